"""A fleet in virtual time: the real runner and schedule, scripted checks, and a clock that jumps to what happens next.

Nothing is waited for: an afternoon of a fleet takes as long as its attempts take to compute, and every run of it is the
same to the millisecond.
"""

import asyncio
import selectors
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from collectors.registry import Options, Registry, check
from exporter.clock import MINUTE, SECOND, Clock, Moment
from exporter.exposition import Exposition
from exporter.inventory import Check, CheckKey, Timing
from exporter.ledger import Ledger, Record
from exporter.loopwatch import LoopWatch
from exporter.outage import CheckState
from exporter.runner import IN_FLIGHT, Runner
from exporter.schedule import Schedule
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry
from exporter.vantage import Vantage

EPOCH = 1_790_000_000_000
ANSWERS_AFTER = 0.02
"""Seconds that a healthy server takes."""


class JumpingSelector(selectors.SelectSelector):
    """Waits for nothing: what it should wait, it reports to the clock."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        self._passed(max(timeout, 0.0))
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is that of the simulation."""

    def __init__(self) -> None:
        self._passed = 0.0
        super().__init__(JumpingSelector(self._pass))

    def time(self) -> float:
        return self._passed

    def _pass(self, seconds: float) -> None:
        self._passed += seconds


class VirtualClock:
    """The loop's time, on both clocks."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now(self) -> Moment:
        # a timer fires when its time has come, and floating point may lack a millionth of a millisecond to that
        passed = int(self._loop.time() * SECOND + 1e-3)
        return Moment(passed, EPOCH + passed)


class PunctualLoop:
    """Stands for the watch on the loop: this one is never late."""

    def late_since(self, _begun: float) -> bool:
        return False


class Forgetful:
    """Stands for the ledger: everything is committed at once."""

    async def save(self, _records: Iterable[Record]) -> bool:
        return True


class SimulatedOptions(Options):
    server: str
    check: str


@dataclass
class Fleet:
    """``servers`` with ``checks`` each. ``starts`` are the virtual milliseconds at which each check was tried."""

    servers: int
    checks: int
    timing: Timing = field(default_factory=Timing)
    limit: int = IN_FLIGHT
    dark: set[str] = field(default_factory=set)
    """Servers that answer nothing at present."""
    starts: dict[CheckKey, list[int]] = field(default_factory=dict)
    lags: list[int] = field(default_factory=list)
    """How late each attempt started, in milliseconds."""
    most_in_flight: int = 0

    def run(self, story: Mapping[int, Callable[[], None]], until: int) -> None:
        """Play a story (what happens at which millisecond) until its end."""
        with asyncio.Runner(loop_factory=VirtualLoop) as runner, self._registered():
            runner.run(self._play(story, until))

    def names(self) -> list[str]:
        """Return the servers' names."""
        return [f"s{number:05}" for number in range(self.servers)]

    async def _play(self, story: Mapping[int, Callable[[], None]], until: int) -> None:
        loop = asyncio.get_running_loop()
        self._clock: Clock = VirtualClock(loop)
        self._schedule = Recording(self.lags)
        telemetry = Telemetry(self._clock)
        runner = Runner(
            clock=self._clock,
            schedule=self._schedule,
            ledger=cast("Ledger", Forgetful()),
            exposition=Exposition(),
            telemetry=telemetry,
            secrets=Secrets({}),
            vantage=Vantage((), telemetry.vantage_up.set),
            watch=cast("LoopWatch", PunctualLoop()),
            limit=self.limit,
        )
        for server in self.names():
            for name in (f"c{number}" for number in range(self.checks)):
                options = SimulatedOptions(server=server, check=name)
                entry = Check(server, name, "simulated", "192.0.2.1", "", options, self.timing)
                self._schedule.add(entry, CheckState(), self.servers * self.checks, self._clock.now())
        self._running = 0
        runner.poke()
        for moment, act in sorted(story.items()):
            await asyncio.sleep(moment / SECOND - loop.time())
            act()
        await asyncio.sleep(until / SECOND - loop.time())
        await runner.stop()

    def state(self, key: CheckKey) -> CheckState:
        """Return what is known of a check."""
        entry = self._schedule.get(key)
        assert entry
        return entry.state

    @contextmanager
    def _registered(self) -> Iterator[None]:
        check("simulated", options=SimulatedOptions)(self._attempt)
        try:
            yield
        finally:
            del Registry.checks["simulated"]

    async def _attempt(self, _talk: Any, options: SimulatedOptions) -> None:
        key = (options.server, options.check)
        self.starts.setdefault(key, []).append(self._clock.now().monotonic)
        self._running += 1
        self.most_in_flight = max(self.most_in_flight, self._running)
        try:
            if options.server in self.dark:
                await asyncio.Event().wait()
            await asyncio.sleep(ANSWERS_AFTER)
        finally:
            self._running -= 1


@dataclass(frozen=True, slots=True)
class Outage:
    """``dark`` of so many ``servers`` answer nothing from ``begins`` to ``back``, in milliseconds, all at once."""

    servers: int
    checks: int
    dark: int
    begins: int = 12 * MINUTE
    back: int = 30 * MINUTE
    end: int = 33 * MINUTE

    def play(self, limit: int = IN_FLIGHT) -> Fleet:
        """Return the fleet after it, with the shipped timing."""
        fleet = Fleet(self.servers, self.checks, limit=limit)
        gone = self.gone(fleet)
        fleet.run({self.begins: lambda: fleet.dark.update(gone), self.back: fleet.dark.clear}, self.end)
        return fleet

    def gone(self, fleet: Fleet) -> set[str]:
        """Return the servers that go dark."""
        return set(fleet.names()[:: self.servers // self.dark])

    def notice_delays(self, fleet: Fleet) -> list[int]:
        """Return how long after its tenth minute each check of the dark servers was tried; a missed one is missing."""
        delays = []
        for server in self.gone(fleet):
            for number in range(self.checks):
                starts = [start for start in fleet.starts[server, f"c{number}"] if self.begins <= start < self.back]
                notice = starts[0] + fleet.timing.outage_notice_after
                delays += [min(start - notice for start in starts if start >= notice)] if starts[-1] >= notice else []
        return delays


class Recording(Schedule):
    """A schedule that notes how late each attempt is started."""

    def __init__(self, lags: list[int]) -> None:
        super().__init__()
        self._lags = lags

    def take(self, now: int) -> Any:
        entry = super().take(now)
        if entry is not None:
            self._lags.append(now - entry.due)
        return entry
