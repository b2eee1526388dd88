"""The NOC page: what is wrong first, then how the fleet does, then the servers. Plain HTML, no script.

A large fleet is looked through in slices, so that the event loop gets its turn, and not at every reload; the page is
rendered in a thread.
"""

import asyncio
import base64
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from typing import Self, TypeVar
from zoneinfo import ZoneInfo

import jinja2
from markupsafe import Markup

from collectors.reading import Verdict
from collectors.tls import expires_soon
from exporter.clock import DAY, HOUR, MINUTE, SECOND, Moment
from exporter.contract.businessdays import VERIFIED_UNTIL, list_ends_soon
from exporter.contract.incidents import Incident, holding
from exporter.contract.ossupport import Support, os_dates
from exporter.inventory import Check, Config, Customer, LampSourceEntry, Scope, Server, SourceKey
from exporter.lamps import KnownLamp, SourceState, server_verdict
from exporter.lastruns import Run, RunSeen, look_at
from exporter.monitor import Monitor
from exporter.outage import CheckState, Phase
from exporter.schedule import Entry
from exporter.telemetry import VERSION, Telemetry
from exporter.words import NEXT_STEPS

SLICE = 100
"""Servers that are looked at before the event loop gets its turn: one or two milliseconds."""
FRESH = 5 * SECOND
"""The fleet is not looked through again within this time."""
ROWS = 200
"""Rows of one table of problems: with a whole site dark, the page is still a page."""
SERVERS = 100
"""Servers on one page."""
FEW = 5
"""Servers found, of which every check shows what was said; of more only those that fail."""
LONGEST_RUN = 1500
"""Characters of what was said in one run."""
LONGEST = 300
"""Characters of one text that a server sent."""

_CSS = files("exporter.web").joinpath("templates/page.css").read_text(encoding="utf-8")
_DIGEST = base64.b64encode(hashlib.sha256(_CSS.encode()).digest()).decode()
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)

_WORDS = {phase: phase.value.replace("_", " ") for phase in Phase}

T = TypeVar("T")


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
    def of(cls, entry: Entry, server: Server, certificate: float | None) -> Self:
        """Return the check of an entry of the schedule as it is now."""
        expiry = None if certificate is None else round(certificate * SECOND)
        return cls(entry.check, server, entry.state, entry.failed, entry.good, expiry)


@dataclass(frozen=True, slots=True)
class SourceSeen:
    """A lamp source at one moment."""

    source: LampSourceEntry
    server: Server
    state: SourceState


@dataclass(frozen=True, slots=True)
class ServerSeen:
    """A server at one moment."""

    server: Server
    verdict: Verdict
    checks: tuple[CheckSeen, ...]
    sources: tuple[SourceSeen, ...]


@dataclass(frozen=True, slots=True)
class IncidentSeen:
    """An open incident at one moment, and what keeps it open."""

    incident: Incident
    server: Server
    holding: tuple[str, ...]


@dataclass(slots=True)
class Fleet:
    """What the whole fleet looks like: how many of what, and all that is wrong."""

    at: Moment
    config: Config
    maintenance: frozenset[Scope] = frozenset()
    maintained: set[str] = field(default_factory=set)
    checks: Counter[str] = field(default_factory=Counter)
    lamps: Counter[str] = field(default_factory=Counter)
    outages: list[CheckSeen] = field(default_factory=list)
    incidents: list[IncidentSeen] = field(default_factory=list)
    """Those that are open and have no outage any more."""
    reports: list[Incident] = field(default_factory=list)
    """Those whose customer has to get a report, the most urgent first."""
    never_up: list[CheckSeen] = field(default_factory=list)
    void: list[CheckSeen] = field(default_factory=list)
    expiring: list[CheckSeen] = field(default_factory=list)
    abnormal: list[tuple[SourceSeen, KnownLamp]] = field(default_factory=list)
    unreadable: list[SourceSeen] = field(default_factory=list)

    def customer(self, server: Server) -> Customer | None:
        """Return who leases the server."""
        return self.config.customers.get(server.customer)

    def take_in(self, server: Server, checks: Iterable[CheckSeen], sources: Mapping[SourceKey, SourceState]) -> None:
        """Count a server, and sort out what is wrong with it."""
        self.lamps[server_verdict(sources.values()).name.lower()] += 1
        if server.within(self.maintenance):
            self.maintained.add(server.name)
        for check in checks:
            word = word_of(check.state)
            self.checks[word] += 1
            if word == "down":
                self.outages.append(check)
            elif word == "never up":
                self.never_up.append(check)
            if check.state.void:
                self.void.append(check)
            if check.expiry and expires_soon(check.check.options, check.expiry / SECOND, self.at.wall / SECOND):
                self.expiring.append(check)
        for source in server.lamps:
            told = sources.get(source.key)
            if told is None:
                continue
            seen = SourceSeen(source, server, told)
            self.abnormal += [(seen, lamp) for lamp in told.lamps.values() if lamp.verdict >= Verdict.WARNING]
            if told.last_run and not told.readable:
                self.unreadable.append(seen)

    def sort(self) -> None:
        """Put the gravest and the oldest first."""
        self.outages.sort(key=lambda seen: seen.state.down_since or 0)
        self.abnormal.sort(key=lambda found: (-found[1].verdict, found[1].since))
        self.unreadable.sort(key=lambda seen: seen.state.unreadable_since)
        self.expiring.sort(key=lambda seen: seen.expiry or 0)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the exporter itself."""

    name: str
    text: str
    bad: bool = False


class Page:
    """Makes the page."""

    def __init__(self, monitor: Monitor, executor: Executor) -> None:
        self._monitor = monitor
        self._executor = executor
        self._fleet: Fleet | None = None
        self._looking = asyncio.Lock()
        environment = jinja2.Environment(
            loader=jinja2.PackageLoader("exporter.web"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._template = environment.get_template("page.html.j2")

    async def render(self, query: str, number: int, *, trusted: bool) -> bytes:
        """Return the page with the ``number``-th part of the servers that ``query`` is found in (all if it is empty).

        Customers' names and contacts are on it only if the reader is ``trusted``.
        """
        fleet = await self._look()
        found = [server async for server in _sliced(fleet.config.servers.values()) if _matches(server, query)]
        pages = max(1, -(-len(found) // SERVERS))
        number = min(max(number, 1), pages)
        shown = [self._see(server) for server in found[(number - 1) * SERVERS : number * SERVERS]]
        zone = ZoneInfo(fleet.config.settings.timezone)

        def time(wall: int) -> str:
            return f"{datetime.fromtimestamp(wall / 1000, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"

        def age(wall: int) -> str:
            return _length(max(0, fleet.at.wall - wall))

        values = {
            "css": Markup(_CSS),  # noqa: S704 - our own file, and the policy above allows nothing else
            "version": VERSION,
            "trusted": trusted,
            "facts": [*_facts(self._monitor, time, age)],
            "fleet": fleet,
            "servers": shown,
            "found": len(found),
            "query": query,
            "page": number,
            "pages": pages,
            "rows": ROWS,
            "time": time,
            "age": age,
            "length": _length,
            "word_of": word_of,
            "next_step": lambda server: NEXT_STEPS["en"][self._monitor.duties.response(server).step],
            "support": lambda server: _support(server, fleet.at.wall),
            "look_at": look_at,
            "said": _said,
            "few": len(found) <= FEW,
            "short": lambda text: text if len(text) <= LONGEST else f"{text[:LONGEST]} ...",
        }
        return await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: self._template.render(values).encode(errors="backslashreplace")
        )

    async def _look(self) -> Fleet:
        async with self._looking:
            known, now, config = self._fleet, self._monitor.clock.now(), self._monitor.config
            if known and known.config is config and now.monotonic - known.at.monotonic < FRESH:
                return known
            fleet = Fleet(now, config, self._monitor.maintenance.scopes(now.wall))
            lamps = self._monitor.lamps
            async for server in _sliced(config.servers.values()):
                fleet.take_in(server, self._checks(server), lamps.states(server.name))
            for incident in self._monitor.duties.incidents.open():
                owner = config.servers.get(incident.server)
                if owner and not incident.down:
                    fleet.incidents.append(IncidentSeen(incident, owner, holding(incident, lamps.states(owner.name))))
            owed = [incident for incident in self._monitor.duties.incidents.known() if incident.report.owed]
            fleet.reports = sorted(owed, key=lambda incident: incident.report.due or 0)
            fleet.sort()
            self._fleet = fleet
            return fleet

    def _see(self, server: Server) -> ServerSeen:
        states = self._monitor.lamps.states(server.name)
        return ServerSeen(
            server,
            self._monitor.lamps.verdict(server.name),
            tuple(self._checks(server)),
            tuple(SourceSeen(each, server, states[each.key]) for each in server.lamps if each.key in states),
        )

    def _checks(self, server: Server) -> Iterator[CheckSeen]:
        certificate = self._monitor.runner.certificate
        for entry in self._monitor.schedule.server(server.name):
            yield CheckSeen.of(entry, server, certificate(entry.check.key))


def _said(run: RunSeen) -> str:
    """Return what was said in a run, as far as it fits on the page."""
    text = "\n".join(run.lines)
    return text if len(text) <= LONGEST_RUN else f"{text[:LONGEST_RUN]} ..."


async def _sliced(things: Iterable[T]) -> AsyncIterator[T]:
    for number, thing in enumerate(things, 1):
        yield thing
        if number % SLICE == 0:
            await asyncio.sleep(0)


def _matches(server: Server, query: str) -> bool:
    told = (server.name, server.customer, server.site, server.rack, server.os)
    return not query or any(query.casefold() in each.casefold() for each in told)


def word_of(state: CheckState) -> str:
    """Return where a check stands."""
    if state.up is None or (state.up and state.foreign):  # what was up before a restart may be down by now
        return "not tried yet"
    return _WORDS[state.phase]


def _facts(monitor: Monitor, time: Callable[[int], str], age: Callable[[int], str]) -> Iterator[Fact]:
    telemetry = monitor.telemetry
    yield Fact("Monitoring", "running" if monitor.ready else f"starting: {monitor.progress}", not monitor.ready)
    read = round(_value(telemetry, "config_last_reload_success_timestamp_seconds") * 1000)
    if not read:
        yield Fact("Configuration", "not read yet")
    elif _value(telemetry, "config_last_reload_successful"):
        yield Fact("Configuration", f"read {time(read)}, {age(read)} ago")
    else:
        yield Fact("Configuration", f"the last reload failed; that of {time(read)} stays in force", bad=True)
    errors = round(_value(telemetry, "ledger_errors_total"))
    yield Fact("Ledger", f"{errors} batches could not be written" if errors else "no errors", bool(errors))
    if not monitor.config.settings.vantage:
        yield Fact("Our own uplink", "not watched: no vantage address is configured")
    elif _value(telemetry, "vantage_up"):
        yield Fact("Our own uplink", "up: a vantage address answers")
    else:
        yield Fact("Our own uplink", "lost: no vantage address answers, failures do not count", bad=True)
    calendar, wall = monitor.calendar, monitor.clock.now().wall
    desk = "open" if calendar.is_open(wall) else f"closed, opens {time(calendar.next_opening(wall))}"
    yield Fact("Help desk", desk)
    if list_ends_soon(calendar.day(wall)):
        yield Fact("Public holidays", f"verified until {VERIFIED_UNTIL} only: install a newer version", bad=True)
    lag = telemetry.loop_lag.value()
    yield Fact("Event loop", f"late by {lag * 1000:.0f} ms at worst in the last minute", lag > 1.0)
    lag = telemetry.schedule_lag.value()
    under_way = _value(telemetry, "checks_in_flight")
    yield Fact(
        "Schedule", f"{under_way:.0f} checks under way, late by {lag:.1f} s at worst in the last minute", lag > 10.0
    )


def _support(server: Server, wall: int) -> str:
    """Return what the contract says of a managed server's operating system, where that is not simply full support."""
    dates = os_dates(server.os) if server.managed else None
    if dates is None:
        return ""
    match dates.support(wall):
        case Support.FULL:
            return ""
        case Support.LIMITED:
            return f"limited support (サーバ保守限定サポート) until {dates.contract_end}"
        case Support.ENDED:
            return f"contract ended with {dates.contract_end}"


def _value(telemetry: Telemetry, name: str) -> float:
    full_name = f"dserver_exporter_{name}"
    metrics = telemetry.registry.restricted_registry([full_name]).collect()
    return next((sample.value for metric in metrics for sample in metric.samples), 0.0)


def _length(milliseconds: int) -> str:
    """Return a length of time in its two largest units."""
    for unit, name, below, small in ((DAY, "d", HOUR, "h"), (HOUR, "h", MINUTE, "min"), (MINUTE, "min", SECOND, "s")):
        if milliseconds >= unit:
            rest = milliseconds % unit // below
            return f"{milliseconds // unit} {name} {rest} {small}" if rest else f"{milliseconds // unit} {name}"
    return f"{milliseconds // SECOND} s"
