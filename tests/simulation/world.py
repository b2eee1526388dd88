"""The world around the product, drawn from a seed: what breaks when, at the servers and on our own side.

Drawn to hit: lengths lie around what the promises turn on (one re-check, ten minutes, twice the interval), and half of
what breaks on our side does so around an outage.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.inventory import MaintenanceWindow
from tests.simulation.record import Part, Span

EPOCH = 1_767_538_800_000  # 2026-01-05 00:00 in Japan, a Monday
BEGIN = 2 * HOUR
"""So long nothing happens: every check is seen to be up first."""
SETTLED = 4 * DAY
"""So long before its end nothing new happens."""

NETWORK = ("refused", "unreachable", "timeout", "dns")
ANSWERED = ("tls", "certificate", "unavailable", "protocol", "content")
OURS = ("auth", "misconfigured", "internal")

CHECKS = ("chk-a", "chk-b", "chk-c", "chk-d")
"""The checks of each server: no word of a mail but these looks like them."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A check does not succeed from ``start`` until before ``end`` (true time)."""

    start: int
    end: int
    reason: str


class How(StrEnum):
    """How the exporter ends."""

    STOPPED = "stopped"
    KILLED = "killed"
    KILLED_BEFORE_COMMIT = "killed before a commit"
    KILLED_AFTER_COMMIT = "killed between a commit and what follows"


@dataclass(frozen=True, slots=True)
class ExporterEnds:
    """The exporter is away for ``length`` ms; killed at a commit that concerns ``table``, if it is at one."""

    how: How
    length: int
    table: str = ""


@dataclass(frozen=True, slots=True)
class Restart:
    """Prometheus or Alertmanager is away for ``length`` ms; ``forgets`` what it had not on the disk."""

    part: Part
    length: int
    forgets: bool


@dataclass(frozen=True, slots=True)
class ClockStep:
    """The wall clock jumps by ``by`` ms."""

    by: int


@dataclass(frozen=True, slots=True)
class Entered:
    """A person enters a maintenance window."""

    window: MaintenanceWindow


@dataclass(frozen=True, slots=True)
class Milestone:
    """Nothing is to be skipped here."""


Act = ExporterEnds | Restart | ClockStep | Entered | Milestone


@dataclass
class Plan:
    """All that is going to happen at one site."""

    name: str
    servers: tuple[str, ...]
    end: int
    """True time."""
    troubles: dict[tuple[str, str], list[Trouble]] = field(default_factory=dict)
    acts: list[tuple[int, Act]] = field(default_factory=list)
    """By true time, sorted."""
    away: dict[Part, list[Span]] = field(default_factory=dict)
    """Lost scrapes, mail server, vantage, late event loop; sorted."""
    windows: list[MaintenanceWindow] = field(default_factory=list)
    """All maintenance windows."""
    configured: tuple[MaintenanceWindow, ...] = ()
    """Those that are in the configuration."""

    def __post_init__(self) -> None:
        self._starts: list[int] = []

    def reason(self, server: str, check: str, at: int) -> str:
        """Return why a check does not succeed at ``at``; empty when it does. To be asked with rising times."""
        for trouble in self._present(self.troubles.get((server, check), []), at):
            if trouble.start <= at < trouble.end:
                return trouble.reason
        return ""

    def is_away(self, part: Part, at: int) -> bool:
        """Tell whether a part is away at ``at``. To be asked with rising times."""
        spans = self.away.get(part, [])
        while spans and (spans[0].end or 0) <= at:
            del spans[0]
        return bool(spans) and spans[0].start <= at

    def next_start(self, after: int) -> int:
        """Return when something happens next that is no act."""
        if not self._starts:
            troubles = (trouble.start for each in self.troubles.values() for trouble in each)
            spans = (span.start for each in self.away.values() for span in each)
            self._starts = sorted({*troubles, *spans})
        place = bisect_right(self._starts, after)
        return self._starts[place] if place < len(self._starts) else self.end

    def busy(self, at: int) -> bool:
        """Tell whether anything is in trouble or away at ``at``."""
        if any(self.is_away(part, at) for part in self.away):
            return True
        return any(trouble.start <= at for each in self.troubles.values() for trouble in self._present(each, at))

    @staticmethod
    def _present(troubles: list[Trouble], at: int) -> Sequence[Trouble]:
        while troubles and troubles[0].end <= at:
            del troubles[0]
        return troubles[:3]


def draw(seed: str, name: str, servers: Sequence[str], days: int) -> Plan:
    """Draw what happens at a site with these servers in so many days."""
    return _Author(Random(f"{seed}/{name}"), name, servers, days).plan()


class _Author:
    def __init__(self, random: Random, name: str, servers: Sequence[str], days: int) -> None:
        self.random = random
        self.last = EPOCH + max(days * DAY - SETTLED, BEGIN)
        self.drawn = Plan(name, tuple(servers), EPOCH + days * DAY)
        self.outages: list[tuple[str, Trouble]] = []

    def plan(self) -> Plan:
        for server in self.drawn.servers:
            for check in CHECKS:
                self.drawn.troubles[server, check] = []
            self._server(server)
        self._own_side()
        for troubles in self.drawn.troubles.values():
            troubles.sort(key=lambda trouble: trouble.start)
        self.drawn.away = {part: merged(spans) for part, spans in self.drawn.away.items()}
        self.drawn.acts.sort(key=lambda act: act[0])
        return self.drawn

    def _server(self, server: str) -> None:
        """Draw a server's troubles: about ten a year, one after the other; some follow the last one closely."""
        random = self.random
        at = EPOCH + BEGIN + round(random.expovariate(1 / (20 * DAY)))
        while at < self.last:
            kind = random.choices(
                (self._host, self._one_check, self._some_checks, self._flapping, self._blips, self._void),
                (4, 5, 3, 2, 2, 2),
            )[0]
            end = kind(server, at)
            soon = random.random() < 0.25
            at = end + (
                random.randrange(1 * MINUTE, 50 * MINUTE) if soon else round(random.expovariate(1 / (45 * DAY)))
            )

    def _length(self) -> int:
        """Draw the length of an outage: 1 s to 3 days, most of them where the promise turns."""
        random = self.random
        match random.choices(("short", "edge", "long", "days"), (30, 45, 23, 2))[0]:
            case "short":
                return random.randrange(1 * SECOND, 9 * MINUTE)
            case "edge":
                return random.choice((10, 11, 12, 20, 30)) * MINUTE + random.randrange(-70 * SECOND, 70 * SECOND)
            case "long":
                return random.randrange(20 * MINUTE, 4 * HOUR)
            case _:
                return random.randrange(4 * HOUR, 3 * DAY)

    def _trouble(self, server: str, check: str, start: int, length: int, reason: str) -> int:
        trouble = Trouble(start, start + length, reason)
        self.drawn.troubles[server, check].append(trouble)
        if reason not in OURS:
            self.outages.append((server, trouble))
        return trouble.end

    def _host(self, server: str, at: int) -> int:
        reason, length = self.random.choice(NETWORK), self._length()
        back = [self.random.choice((0, 0, self.random.randrange(3 * MINUTE))) for _ in CHECKS]
        return max(
            self._trouble(server, check, at, length + late, reason) for check, late in zip(CHECKS, back, strict=True)
        )

    def _one_check(self, server: str, at: int) -> int:
        return self._trouble(server, self.random.choice(CHECKS), at, self._length(), self._reason())

    def _some_checks(self, server: str, at: int) -> int:
        """Draw outages of several checks that overlap, or follow closely."""
        chosen = self.random.sample(CHECKS, self.random.randrange(2, len(CHECKS)))
        delays = [0, *(self.random.randrange(0, self.random.choice((MINUTE, HOUR))) for _ in chosen[1:])]
        return max(
            self._trouble(server, check, at + delay, self._length(), self._reason())
            for check, delay in zip(chosen, delays, strict=True)
        )

    def _flapping(self, server: str, at: int) -> int:
        check, reason = self.random.choice(CHECKS), self._reason()
        longest = self.random.choice((2, 5, 15)) * MINUTE
        end = at
        for _ in range(self.random.randrange(3, 20)):
            end = self._trouble(server, check, end, self.random.randrange(5 * SECOND, longest), reason)
            end += self.random.randrange(5 * SECOND, longest)
        return end

    def _blips(self, server: str, at: int) -> int:
        check = self.random.choice(CHECKS)
        for _ in range(self.random.randrange(1, 4)):
            at = self._trouble(server, check, at, self.random.randrange(1 * SECOND, MINUTE), self._reason())
            at += self.random.randrange(MINUTE, 20 * MINUTE)
        return at

    def _void(self, server: str, at: int) -> int:
        """Draw a void spell: alone, or in the middle of an outage."""
        check, reason = self.random.choice(CHECKS), self.random.choice(OURS)
        length = self.random.randrange(30 * SECOND, 2 * HOUR)
        if self.random.random() < 0.3:
            return self._trouble(server, check, at, length, reason)
        before, after = (self.random.randrange(1 * MINUTE, 25 * MINUTE) for _ in range(2))
        why = self._reason()
        at = self._trouble(server, check, at, before, why)
        at = self._trouble(server, check, at, min(length, 40 * MINUTE), reason)
        return self._trouble(server, check, at, after, why)

    def _reason(self) -> str:
        return self.random.choice(NETWORK + ANSWERED)

    def _moments(self, mean: float) -> Iterator[int]:
        """Give ``mean`` moments, about: half of them just before, in or after an outage."""
        number = round(mean * self.random.uniform(0.5, 1.5))
        for _ in range(number):
            if self.outages and self.random.random() < 0.6:
                _, trouble = self.random.choice(self.outages)
                at = trouble.start + self.random.randrange(-2 * MINUTE, 21 * MINUTE)
            else:
                at = self.random.randrange(EPOCH + BEGIN, max(self.last, EPOCH + BEGIN + 1))
            if at > EPOCH + BEGIN:
                yield at

    def _own_side(self) -> None:
        random, drawn = self.random, self.drawn
        share = len(self.outages) / 100  # so many times what is drawn for a hundred outages
        self._exporter(30 * share)
        self._restarts(Part.PROMETHEUS, 12 * share)
        self._restarts(Part.ALERTMANAGER, 12 * share)
        drawn.away[Part.SCRAPES] = [
            Span(at, at + random.choice((16, 20, 31, 100, 400)) * SECOND) for at in self._moments(15 * share)
        ]
        drawn.away[Part.MAIL] = [
            Span(at, at + random.randrange(10 * SECOND, 2 * HOUR)) for at in self._moments(6 * share)
        ]
        drawn.away[Part.VANTAGE] = [
            Span(at, at + random.choice((random.randrange(5 * SECOND, MINUTE), random.randrange(MINUTE, HOUR))))
            for at in self._moments(10 * share)
        ]
        drawn.away[Part.LOOP] = [
            Span(at, at + random.randrange(1 * SECOND, 90 * SECOND)) for at in self._moments(10 * share)
        ]
        self._clock(8 * share)
        self._maintenance(10 * share)

    def _exporter(self, mean: float) -> None:
        tables = ("check_states", "incident_events", "outbox", "deliveries")
        free = 0
        for at in sorted(self._moments(mean)):
            if at < free:
                continue
            how = self.random.choice(list(How))
            length = self.random.choice((self.random.randrange(SECOND, MINUTE), self.random.randrange(MINUTE, HOUR)))
            table = self.random.choice(tables) if "commit" in how else ""
            self.drawn.acts.append((at, ExporterEnds(how, length, table)))
            free = at + length + MINUTE

    def _restarts(self, part: Part, mean: float) -> None:
        free = 0
        for at in sorted(self._moments(mean)):
            if at < free:
                continue
            length = self.random.choice((self.random.randrange(SECOND, MINUTE), self.random.randrange(MINUTE, HOUR)))
            self.drawn.acts.append((at, Restart(part, length, self.random.random() < 0.5)))
            free = at + length + MINUTE

    def _clock(self, mean: float) -> None:
        """Draw steps of the wall clock: each is put right some time later."""
        free = 0
        for at in sorted(self._moments(mean)):
            if at < free:
                continue
            by = self.random.choice((-1, 1)) * self.random.choice((2 * SECOND, 45 * SECOND, 7 * MINUTE, 2 * HOUR, DAY))
            back = at + self.random.randrange(30 * SECOND, 3 * HOUR)
            self.drawn.acts += [(at, ClockStep(by)), (back, ClockStep(-by))]
            free = back + MINUTE

    def _maintenance(self, mean: float) -> None:
        configured: list[MaintenanceWindow] = []
        for at in self._moments(mean):
            server = self.random.choice(self.drawn.servers)
            near = [trouble for name, trouble in self.outages if name == server]
            start = at
            if near and self.random.random() < 0.7:
                start = self.random.choice(near).start + self.random.randrange(-HOUR, 20 * MINUTE)
            start -= start % MINUTE
            if start <= EPOCH + BEGIN:
                continue
            length = self.random.randrange(10, 180) * MINUTE
            window = MaintenanceWindow(start, start + length, "simulated", server=server)
            if self.random.random() < 0.5:
                configured.append(window)
            else:
                self.drawn.acts.append((start - self.random.randrange(MINUTE, DAY), Entered(window)))
            self.drawn.windows.append(window)
            marks = (window.start, window.end, window.end + 10 * MINUTE)
            self.drawn.acts += [(mark, Milestone()) for mark in marks]
        self.drawn.configured = tuple(configured)


def merged(spans: Iterable[Span]) -> list[Span]:
    """Return the same time without overlaps."""
    result: list[Span] = []
    for span in sorted(spans, key=lambda each: each.start):
        if result and result[-1].end is not None and span.start <= result[-1].end:
            result[-1].end = max(result[-1].end, span.end or 0)
        else:
            result.append(Span(span.start, span.end))
    return result
