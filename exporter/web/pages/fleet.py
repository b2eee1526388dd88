"""Looking at the fleet: what the pages show, taken at one moment from what the monitoring knows.

A large fleet is looked through in slices, so that the event loop gets its turn, and not for every reader: what was seen
is kept for a while that grows with what it cost. What a look gives is changed by nobody any more, so that pages can be
made of it in a thread.
"""

import asyncio
import logging
import operator
import time
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeVar

from collectors.reading import Verdict
from collectors.tls import expires_soon
from exporter.clock import DAY, SECOND, Moment
from exporter.contract.businessdays import list_ends_soon
from exporter.contract.incidents import Held, Incident, holding
from exporter.contract.level import Response
from exporter.inventory import Check, Config, Customer, MaintenanceWindow, Server, SourceKey
from exporter.lamps import KnownLamp, SourceState, server_verdict
from exporter.lastruns import Run
from exporter.monitor import Monitor
from exporter.outage import CheckState
from exporter.schedule import Entry
from exporter.telemetry import Telemetry

log = logging.getLogger("web")
T = TypeVar("T")

SLICE = 100
"""Servers that are looked at before the event loop gets its turn: one or two milliseconds."""
FRESH = SECOND
"""The fleet is not looked through again within this time, ..."""
SHARE = 50
"""... nor within this many times what the last look cost: looking takes a fiftieth of our time at most."""
WARM = 15.0
"""Seconds between two looks when nobody asks: what is new since the last look is found faster than the whole."""
PATIENCE = 0.05
"""Seconds for which a reader waits for a look that is under way; then he sees what the last one saw, ..."""
OLD = 30 * SECOND
"""... unless that is older than this."""
AHEAD = 7 * DAY
"""Maintenance that begins so soon is shown."""


class State(StrEnum):
    """Where a check stands, for people."""

    DOWN = "down"
    NEVER_UP = "never-up"
    UNTRIED = "untried"
    UP = "up"


def state_of(state: CheckState) -> State:
    """Return where a check stands. What was up before a restart may be down by now."""
    if state.up is None or (state.up and state.foreign):
        return State.UNTRIED
    if state.up:
        return State.UP
    return State.DOWN if state.ever_up else State.NEVER_UP


@dataclass(frozen=True, slots=True)
class CheckSeen:
    """A check at one moment."""

    check: Check
    server: Server
    state: CheckState
    failed: Run | None = None
    """The last run that was no success, and below the last that was one: of this process."""
    good: Run | None = None
    expiry: int | None = None
    """Of its certificate, wall time in ms."""

    @classmethod
    def of(cls, entry: Entry, server: Server, certificate: float | None) -> "CheckSeen":
        """Return the check of an entry of the schedule as it is now."""
        expiry = None if certificate is None else round(certificate * SECOND)
        return cls(entry.check, server, entry.state, entry.failed, entry.good, expiry)

    @property
    def stands(self) -> State:
        """Return where it stands."""
        return state_of(self.state)


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """A lamp source at one moment. ``source`` is its label, `exporter.lamps.VISUAL` a person."""

    source: str
    server: Server
    state: SourceState


@dataclass(frozen=True, slots=True)
class LampSeen:
    """A lamp at one moment."""

    source: SourceSeen
    lamp: KnownLamp

    @property
    def server(self) -> Server:
        """Return whose it is."""
        return self.source.server


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """An open incident at one moment, and what keeps it open."""

    incident: Incident
    server: Server
    response: Response
    holding: tuple[Held, ...]


Standing = tuple[str, State, bool]
"""Protocol of a check, where it stands, and whether its last attempt was void."""


@dataclass(frozen=True, slots=True)
class Glance:
    """A server at one moment, in short."""

    server: Server
    verdict: Verdict
    locate: bool
    """Whether its locate lamp is lit."""
    maintained: bool
    checks: tuple[Standing, ...]
    down: bool
    """Whether a check of it is down."""

    @property
    def counted(self) -> list[tuple[State, int]]:
        """Return how many checks of it stand how, the most urgent first."""
        states = Counter(state for _, state, _ in self.checks)
        return [(state, states[state]) for state in State if states[state]]


@dataclass(frozen=True, slots=True)
class Health:
    """The monitoring's own state. Times are wall ms, lags seconds."""

    ready: bool
    progress: str
    config_read: int
    """0 before the first time."""
    config_good: bool
    ledger_errors: int
    vantage: bool | None
    """Whether a vantage address answers; None where none is configured."""
    outbox: int
    """Mails that wait."""
    chained: bool
    """Whether alerts come to us, so that we tell the customers."""
    alertmanager_tells: bool
    """Whether it is Alertmanager that mails customers; then nobody tells us that it did."""
    watchdog_silent: int | None
    """For how long no Watchdog has come, in ms, once that is too long."""
    open: bool
    """Whether the help desk is."""
    opens: int
    holidays_end: bool
    """Whether the list of public holidays is about to end."""
    loop_lag: float
    schedule_lag: float
    in_flight: int


@dataclass(slots=True)
class Fleet:
    """What the whole fleet looks like: every server in short, and all that is wrong."""

    at: Moment
    customers: Mapping[str, Customer]
    health: Health
    windows: tuple[MaintenanceWindow, ...]
    """Those that hold, and those that begin soon."""
    glances: list[Glance] = field(default_factory=list)
    outages: list[CheckSeen] = field(default_factory=list)
    responses: dict[str, Response] = field(default_factory=dict)
    """To the outages, by server."""
    incidents: list[IncidentSeen] = field(default_factory=list)
    """The open ones, the oldest first."""
    reports: list[Incident] = field(default_factory=list)
    """Those whose customer has to get a report, the most urgent first."""
    never_up: list[CheckSeen] = field(default_factory=list)
    void: list[CheckSeen] = field(default_factory=list)
    expiring: list[CheckSeen] = field(default_factory=list)
    abnormal: list[LampSeen] = field(default_factory=list)
    unreadable: list[SourceSeen] = field(default_factory=list)

    def customer(self, server: Server) -> Customer | None:
        """Return who leases the server."""
        return self.customers.get(server.customer)


@dataclass(frozen=True, slots=True)
class _Lamps:
    """What a server's sources told, and what follows from it."""

    told: tuple[SourceState, ...]
    verdict: Verdict
    abnormal: tuple[LampSeen, ...]
    unreadable: tuple[SourceSeen, ...]

    @classmethod
    def of(cls, server: Server, sources: Mapping[SourceKey, SourceState]) -> "_Lamps":
        seen = tuple(SourceSeen(label, server, state) for (_, label), state in sources.items())
        lamps = (LampSeen(each, lamp) for each in seen for lamp in each.state.lamps.values())
        return cls(
            tuple(sources.values()),
            server_verdict(sources.values()),
            tuple(each for each in lamps if each.lamp.verdict >= Verdict.WARNING),
            tuple(each for each in seen if each.state.last_run and not each.state.readable),
        )


@dataclass(frozen=True, slots=True)
class _Known:
    """What was seen of a server, and what followed from it when one of its checks was tried last."""

    lamps: _Lamps
    told: tuple[CheckState, ...]
    wrong: tuple[CheckSeen, ...]
    """The checks that are not simply up."""
    glance: Glance


class Look:
    """Looks at what a monitor knows."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._fleet: Fleet | None = None
        self._config: weakref.ref[Config] = weakref.ref(monitor.config)
        """What the last look was at: weak, so that one that was replaced is not kept."""
        self._looking: asyncio.Task[Fleet] | None = None
        self._fresh = FRESH
        self._known: dict[str, _Known] = {}
        self._standings: dict[tuple[Standing, ...], tuple[Standing, ...]] = {}
        """Most servers' checks stand alike."""

    async def fleet(self) -> Fleet:
        """Return what the fleet looks like, as it was seen a moment ago at most."""
        known, now = self._fleet, self._monitor.clock.now()
        if self._config() is not self._monitor.config:
            known = None
        age = now.monotonic - known.at.monotonic if known else OLD
        if known and age < self._fresh:
            return known
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look(now))
        if known and age < OLD:
            await asyncio.wait([self._looking], timeout=PATIENCE)
            return self._looking.result() if self._looking.done() else known
        return await asyncio.shield(self._looking)

    async def keep_warm(self) -> None:
        """Look for ever, so that the next reader need not wait."""
        while True:
            try:
                await self.fleet()
            except Exception:  # the next reader gets it too, as an answer that says so
                log.exception("looking at the fleet broke our own code")
            await asyncio.sleep(WARM)

    async def _look(self, now: Moment) -> Fleet:
        monitor, config = self._monitor, self._monitor.config
        scopes = monitor.maintenance.scopes(now.wall)
        fleet = Fleet(now, config.customers, health(monitor, now), monitor.maintenance.windows(now.wall, AHEAD))
        cost, before = 0.0, self._known
        self._known, self._standings = {}, {}
        for part in _slices(list(config.servers.values())):
            begun = time.thread_time()
            for server in part:
                known = self._see(server, before.pop(server.name, None), now.wall, maintained=server.within(scopes))
                self._known[server.name] = known
                self._take_in(fleet, known)
            cost += time.thread_time() - begun
            await asyncio.sleep(0)
        for incident in monitor.duties.incidents.open():
            if owner := config.servers.get(incident.server):
                reasons = holding(incident, monitor.lamps.states(owner.name))
                fleet.incidents.append(IncidentSeen(incident, owner, monitor.duties.response(owner), reasons))
        owed = [incident for incident in monitor.duties.incidents.known() if incident.report.owed]
        fleet.reports = sorted(owed, key=lambda incident: incident.report.due or 0)
        fleet.outages.sort(key=lambda seen: seen.state.down_since or 0)
        fleet.abnormal.sort(key=lambda seen: (-seen.lamp.verdict, seen.lamp.since))
        fleet.unreadable.sort(key=lambda seen: seen.state.unreadable_since)
        fleet.expiring.sort(key=lambda seen: seen.expiry or 0)
        gone = self._fleet.glances.copy() if self._fleet and self._config() is not config else []
        self._fleet, self._config = fleet, weakref.ref(config)
        self._fresh = max(FRESH, round(SHARE * cost * SECOND))
        await _let_go(gone)
        return fleet

    def _see(self, server: Server, known: _Known | None, wall: int, *, maintained: bool) -> _Known:
        """Return what is to be seen of a server: the same as before where nothing was tried and read since."""
        sources = self._monitor.lamps.states(server.name)
        entries = self._monitor.schedule.server(server.name)
        if known and known.glance.server is server and _same(known.lamps.told, sources.values()):
            lamps = known.lamps
            if known.glance.maintained is maintained and _same(known.told, (entry.state for entry in entries)):
                self._standings.setdefault(known.glance.checks, known.glance.checks)
                return known
        else:
            lamps = _Lamps.of(server, sources)
        standings: list[Standing] = []
        wrong: list[CheckSeen] = []
        for entry in entries:
            stands, expiry = state_of(entry.state), self._monitor.runner.certificate(entry.check.key)
            standings.append((entry.check.protocol, stands, entry.state.void))
            soon = expires_soon(entry.check.options, expiry, wall / SECOND)
            if soon or entry.state.void or stands not in {State.UP, State.UNTRIED}:
                wrong.append(CheckSeen.of(entry, server, expiry))
        checks = tuple(standings)
        checks = self._standings.setdefault(checks, checks)
        down = any(seen.stands is State.DOWN for seen in wrong)
        locate = any(state.locate for state in sources.values())
        glance = Glance(server, lamps.verdict, locate, maintained, checks, down)
        return _Known(lamps, tuple(entry.state for entry in entries), tuple(wrong), glance)

    def _take_in(self, fleet: Fleet, known: _Known) -> None:
        fleet.glances.append(known.glance)
        fleet.abnormal += known.lamps.abnormal
        fleet.unreadable += known.lamps.unreadable
        if known.glance.down:
            fleet.responses[known.glance.server.name] = self._monitor.duties.response(known.glance.server)
        for seen in known.wrong:
            if seen.stands is State.DOWN:
                fleet.outages.append(seen)
            elif seen.stands is State.NEVER_UP:
                fleet.never_up.append(seen)
            if seen.state.void:
                fleet.void.append(seen)
            if seen.expiry and expires_soon(seen.check.options, seen.expiry / SECOND, fleet.at.wall / SECOND):
                fleet.expiring.append(seen)


def checks_of(monitor: Monitor, server: Server) -> tuple[CheckSeen, ...]:
    """Return the checks of a server as they are now."""
    certificate = monitor.runner.certificate
    return tuple(
        CheckSeen.of(entry, server, certificate(entry.check.key)) for entry in monitor.schedule.server(server.name)
    )


def sources_of(monitor: Monitor, server: Server) -> tuple[SourceSeen, ...]:
    """Return what the lamp sources of a server told last, and what a person saw."""
    return tuple(SourceSeen(label, server, told) for (_, label), told in monitor.lamps.states(server.name).items())


def health(monitor: Monitor, now: Moment) -> Health:
    """Return how the monitoring itself does."""
    telemetry, calendar = monitor.telemetry, monitor.calendar
    return Health(
        ready=monitor.ready,
        progress=monitor.progress,
        config_read=round(_value(telemetry, "exporter_config_last_reload_success_timestamp_seconds") * SECOND),
        config_good=bool(_value(telemetry, "exporter_config_last_reload_successful")),
        ledger_errors=round(_value(telemetry, "exporter_ledger_errors_total")),
        vantage=bool(_value(telemetry, "exporter_vantage_up")) if monitor.config.settings.vantage else None,
        outbox=round(_value(telemetry, "outbox_pending")),
        chained=monitor.notices.active,
        alertmanager_tells=monitor.config.settings.notices == "alertmanager",
        watchdog_silent=monitor.chain.silent(now.monotonic),
        open=calendar.is_open(now.wall),
        opens=calendar.next_opening(now.wall),
        holidays_end=list_ends_soon(calendar.day(now.wall)),
        loop_lag=telemetry.loop_lag.value(),
        schedule_lag=telemetry.schedule_lag.value(),
        in_flight=round(_value(telemetry, "exporter_checks_in_flight")),
    )


def _value(telemetry: Telemetry, name: str) -> float:
    metrics = telemetry.registry.restricted_registry([f"dserver_{name}"]).collect()
    return next((sample.value for metric in metrics for sample in metric.samples), 0.0)


async def _let_go(glances: list[Glance]) -> None:
    """Free the servers of an inventory that was replaced a few at a time, not to stall the loop."""
    while glances:
        del glances[-SLICE:]
        await asyncio.sleep(0)


def _same(known: Sequence[T], now: Iterable[T]) -> bool:
    """Tell whether these are the very same ones: states are never changed, they are replaced."""
    others = tuple(now)
    return len(known) == len(others) and all(map(operator.is_, known, others))


def _slices(things: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(things), SLICE):
        yield things[start : start + SLICE]
