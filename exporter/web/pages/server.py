"""The page of a server: what is wrong with it, whom to call and what to do, and all the evidence there is."""

import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from collectors.reading import Quantity, SensorReading, Verdict
from exporter.archive import Change, GonePast, ServerPast, Strip
from exporter.clock import MINUTE, Moment
from exporter.contract.incidents import Held, Incident, holding
from exporter.contract.level import Response
from exporter.contract.ossupport import OsDates, Support, os_dates
from exporter.contract.strips import Mark
from exporter.inventory import Customer, MaintenanceWindow, Server
from exporter.lamps import HARDWARE, VISUAL, KnownLamp, server_verdict
from exporter.ledger import LEASE, SITE
from exporter.monitor import Monitor
from exporter.outage import Phase
from exporter.web.pages.asked import Asked
from exporter.web.pages.fleet import AHEAD, CheckSeen, SourceSeen, State, checks_of, sources_of
from exporter.web.pages.layout import Shown
from exporter.web.pages.remembered import Memory, UnreadableError
from exporter.web.pages.words import Words

WIDTH = 1000
"""Units of a strip's width."""
NARROWEST = 10
"""Units of a piece that must not be overlooked: a tenth of a minute in a week is to be seen."""
HEIGHTS: Mapping[Mark, int] = {
    Mark.UNKNOWN: 2,
    Mark.MAINTENANCE: 6,
    Mark.UP: 10,
    Mark.VOID: 14,
    Mark.NEVER_UP: 17,
    Mark.DOWN: 20,
}
"""Units of a piece's height: what it says must be seen without colours too."""
TALLEST = max(HEIGHTS.values())
SPELLS = 5
"""Outages of a strip that are told with their times to those who do not see it."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A piece of a strip as it is drawn, in units."""

    x: float
    y: int
    width: float
    height: int
    mark: Mark


def bars(strip: Strip) -> Iterator[Bar]:
    """Give the pieces of a strip as they are drawn, what is worse over what is better. Pure."""
    start, end = strip.period
    for piece in sorted(strip.pieces, key=lambda piece: HEIGHTS[piece.mark]):
        x, width = ((each * WIDTH / (end - start)) for each in (piece.since - start, piece.length))
        if piece.mark is not Mark.UNKNOWN:
            width = max(width, NARROWEST)
        height = HEIGHTS[piece.mark]
        yield Bar(round(min(x, WIDTH - width), 1), TALLEST - height, round(width, 1), height, piece.mark)


@dataclass(frozen=True, slots=True)
class Measured:
    """A sensor's value."""

    source: str
    reading: SensorReading


@dataclass(frozen=True, slots=True)
class LampShown:
    """A lamp of a source."""

    source: SourceSeen
    lamp: KnownLamp


@dataclass(frozen=True, slots=True)
class OpenIncident:
    """An incident that is open, and what keeps it so."""

    incident: Incident
    holding: tuple[Held, ...]


@dataclass(frozen=True, slots=True)
class ServerNow:
    """What the monitoring knows of a server at one moment."""

    at: Moment
    server: Server
    customer: Customer | None
    response: Response
    checks: tuple[CheckSeen, ...]
    sources: tuple[SourceSeen, ...]
    incidents: tuple[OpenIncident, ...]
    windows: tuple[MaintenanceWindow, ...]
    """Those that hold, and those that begin soon."""

    @classmethod
    def of(cls, monitor: Monitor, server: Server, now: Moment) -> "ServerNow":
        """Look at a server."""
        states = monitor.lamps.states(server.name)
        return cls(
            at=now,
            server=server,
            customer=monitor.config.customers.get(server.customer),
            response=monitor.duties.response(server),
            checks=checks_of(monitor, server),
            sources=sources_of(monitor, server),
            incidents=tuple(
                OpenIncident(each, holding(each, states))
                for each in monitor.duties.incidents.of(server.name)
                if each.open
            ),
            windows=tuple(each for each in monitor.maintenance.windows(now.wall, AHEAD) if server.within({each.scope})),
        )

    @property
    def verdict(self) -> Verdict:
        """Return what its lamps say."""
        return server_verdict(seen.state for seen in self.sources)

    @property
    def down(self) -> list[CheckSeen]:
        """Return the checks that are down, the oldest outage first."""
        found = [seen for seen in self.checks if seen.stands is State.DOWN]
        return sorted(found, key=lambda seen: seen.state.down_since or 0)

    @property
    def standing(self) -> str:
        """Return how it is in a word: the end of a key of the catalogue."""
        if self.down:
            return "down"
        if self.verdict is Verdict.CRITICAL:
            return "critical"
        return "well" if self.well else "so_so"

    @property
    def well(self) -> bool:
        """Tell whether nothing is known to be wrong with it."""
        up = all(seen.stands in {State.UP, State.UNTRIED} and not seen.state.void for seen in self.checks)
        return up and self.verdict is Verdict.NORMAL and not self.incidents

    @property
    def maintained(self) -> MaintenanceWindow | None:
        """Return the maintenance window that holds now."""
        return next((each for each in self.windows if each.start <= self.at.wall), None)

    @property
    def lamps(self) -> list[LampShown]:
        """Return all its lamps, the worst first."""
        shown = [LampShown(seen, lamp) for seen in self.sources for lamp in seen.state.lamps.values()]
        return sorted(shown, key=lambda each: (_urgency(each.lamp.verdict), each.lamp.lamp, each.source.source))

    @property
    def sensors(self) -> list[tuple[Quantity, list[Measured]]]:
        """Return what was measured, by quantity."""
        measured = [Measured(seen.source, reading) for seen in self.sources for reading in seen.state.sensors]
        groups = ((each, [one for one in measured if one.reading.quantity is each]) for each in Quantity)
        return [(quantity, found) for quantity, found in groups if found]

    @property
    def power(self) -> bool | None:
        """Return whether it is switched on, None where no source tells."""
        told = [seen.state.power for seen in self.sources if seen.state.power is not None]
        return any(told) if told else None

    @property
    def located(self) -> bool:
        """Tell whether its locate lamp is lit."""
        return any(seen.state.locate for seen in self.sources)

    @property
    def system(self) -> OsDates | None:
        """Return the dates of its operating system, where the contract names it."""
        return os_dates(self.server.os) if self.server.managed else None

    @property
    def support(self) -> Support:
        """Return how far its operating system is supported."""
        return self.system.support(self.at.wall) if self.system else Support.FULL


def _urgency(verdict: Verdict) -> int:
    """Return where a verdict stands in a list: the unknown comes before the normal."""
    return (Verdict.CRITICAL, Verdict.WARNING, Verdict.UNKNOWN, Verdict.NORMAL).index(verdict)


def commands(now: ServerNow) -> list[str]:
    """Return what a person may type about a server."""
    name = shlex.quote(now.server.name)
    lines = [f"dserver-exporter probe {name} {shlex.quote(seen.check.name)}" for seen in now.down[:3]]
    lines += [f"dserver-exporter probe {name} lamps"] if now.server.lamps else []
    lines.append(f"dserver-exporter lamps confirm {name} --verdict normal --note TEXT")
    lines.append(f"dserver-exporter maintenance add --server {name} --from TIME --to TIME --reason TEXT")
    lines.append(f"dserver-exporter incidents open {name} --kind reboot-request --from NAME")
    return lines


def told(strip: Strip, speak: Words) -> str:
    """Return what a strip shows, for those who do not see it."""
    result = strip.result
    parts = [speak("server.share", share=result.percent) if result.percent else speak("server.nothing_counts")]
    spells = [piece for piece in strip.pieces if piece.mark is Mark.DOWN]
    if spells:
        parts.append(speak("server.down_for", n=result.outages, length=speak.length(result.downtime)))
        times = [
            f"{speak.short_time(piece.since)} {speak('server.spell', length=speak.length(piece.length))}"
            for piece in spells[-SPELLS:]
        ]
        parts += times
    for name in ("void", "maintenance", "unknown"):
        if length := getattr(result, name):
            parts.append(f"{speak(f'server.mark_{name}')} {speak.length(length)}")
    return speak("server.between").join(parts)


UNITS: Mapping[Quantity, tuple[str, float, int]] = {
    Quantity.TEMPERATURE: ("°C", 1, 1),
    Quantity.FAN_SPEED: ("rpm", 1, 0),
    Quantity.FAN_SPEED_RATIO: ("%", 100, 0),
    Quantity.VOLTAGE: ("V", 1, 2),
    Quantity.CURRENT: ("A", 1, 2),
    Quantity.POWER: ("W", 1, 0),
}
"""Unit, factor and decimals of what is shown."""


def measured(reading: SensorReading) -> str:
    """Return a sensor's value with its unit."""
    unit, factor, decimals = UNITS[reading.quantity]
    return f"{reading.value * factor:,.{decimals}f} {unit}"


@dataclass(frozen=True, slots=True)
class ChangeShown:
    """A change in words."""

    change: Change
    what: str
    was: str
    now: str


KINDS = frozenset({"check", "void", "lamp", LEASE, SITE, HARDWARE})
"""The changes of a server that have words."""
GONE = frozenset({"withdrawn", "absent"})
PHASES: Mapping[str, str] = {phase: f"base.state_{phase.replace('_', '-')}" for phase in Phase}


def _change(change: Change, speak: Words) -> ChangeShown:
    def word(text: str) -> str:
        if change.kind == "lamp" and text.upper() in Verdict.__members__:
            return speak.verdict(Verdict[text.upper()])
        if change.kind == "void":
            return speak.reason(text) if text else speak("server.counts_again")
        if change.kind == "check" and text in PHASES:
            return speak(PHASES[text])
        return speak(f"server.{text}") if text in GONE else text

    kind = speak(f"server.kind_{change.kind.replace(' ', '-')}") if change.kind in KINDS else change.kind
    return ChangeShown(change, kind, word(change.was), word(change.now))


class ServerView:
    """Looks at what the page shows."""

    def __init__(self, monitor: Monitor, executor: Executor) -> None:
        self._monitor = monitor
        self._memory = Memory(monitor.ledger, executor)

    async def __call__(self, name: str, asked: Asked) -> Shown:
        """Return the page of the server of this name."""
        now = self._monitor.clock.now()
        server = self._monitor.config.servers.get(name)
        if server is None:
            return await self._gone(name, now)
        until = now.wall // MINUTE * MINUTE  # the strips move once a minute, and with them the page
        try:
            past = await self._memory.ask(lambda connection: ServerPast.of(connection, server, until))
        except UnreadableError:
            past = None
        return Shown("server.html.j2", partial(_values, ServerNow.of(self._monitor, server, now), past), now)

    async def _gone(self, name: str, now: Moment) -> Shown:
        """Return the page of a server that the inventory does not have: what is remembered of it."""
        try:
            past = await self._memory.ask(lambda connection: GonePast.of(connection, name))
        except UnreadableError:
            past = None
        if past is None:
            return Shown("missing.html.j2", lambda _speak: {"kind": "server", "name": name}, now, status=404)
        customers = self._monitor.config.customers
        return Shown("gone.html.j2", partial(_gone_values, name, past, customers), now)


def _gone_values(name: str, past: GonePast, customers: Mapping[str, Customer], speak: Words) -> Mapping[str, object]:
    leases = (each.now or each.was for each in past.changes if each.kind == LEASE)
    customer = next(leases, "") or next((each.customer for each in past.incidents), "")
    return {
        "name": name,
        "customer": customer,
        "known": customers.get(customer),
        "left": past.changes[0].at if past.changes else None,
        "incidents": past.incidents,
        "changes": [_change(each, speak) for each in past.changes],
    }


def _values(now: ServerNow, past: ServerPast | None, speak: Words) -> Mapping[str, object]:
    return {
        "now": now,
        "past": past,
        "checks": [(seen, past.checks.get(seen.check.name) if past else None) for seen in now.checks],
        "bars": bars,
        "told": partial(told, speak=speak),
        "marks": tuple(reversed(list(HEIGHTS))),
        "width": WIDTH,
        "tallest": TALLEST,
        "heights": HEIGHTS,
        "closed": [each for each in past.incidents if not each.open] if past else [],
        "changes": [_change(each, speak) for each in past.changes] if past else [],
        "measured": measured,
        "visual": VISUAL,
        "commands": commands(now),
    }
