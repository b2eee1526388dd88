"""Virtual time: an event loop that waits for nothing, and the clocks of a simulated site.

Time is counted in whole milliseconds, so that what happened at the same moment in two runs did so to the millisecond.
"""

import asyncio
import math
import selectors
from collections.abc import Callable
from typing import Any

from exporter.clock import Moment

NOISE = 1e-3
"""Milliseconds that floating point may be wrong by."""


class _Jumping(selectors.SelectSelector):
    """Waits for nothing: what it should wait, it reports. There is no input but timers."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("nothing will ever happen again")
        if timeout > 0:
            self._passed(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is simulated. Work for threads is done on the spot, in no time."""

    def __init__(self) -> None:
        self.passed = 0
        """Milliseconds since the loop was made."""
        super().__init__(_Jumping(self._pass))
        self._clock_resolution = 2 * NOISE / 1000

    def time(self) -> float:
        return self.passed / 1000

    def run_in_executor(  # type: ignore[override]  # typeshed says it returns a Future of any loop
        self, executor: Any, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        done = self.create_future()
        # told as a thread tells it: after what the work itself told the loop, and never before the caller waits
        try:
            self.call_soon(_settle, done, func(*args), None)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever waits
            self.call_soon(_settle, done, None, error)
        return done

    def call_soon_threadsafe(  # type: ignore[override]  # as above
        self, callback: Callable[..., Any], *args: Any, context: Any = None
    ) -> asyncio.Handle:
        return self.call_soon(callback, *args, context=context)

    def _pass(self, seconds: float) -> None:
        self.passed += math.ceil(seconds * 1000 - NOISE)


def _settle(done: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
    if done.done():
        return
    if error is not None:
        done.set_exception(error)
    else:
        done.set_result(result)


class SiteTime:
    """The time at a site: what it truly is, and what the wall clock of its machine says.

    ``skipped`` was left out because nothing happened in it (`tests.simulation.site`), ``error`` is how wrong the wall
    clock is. All in milliseconds.
    """

    def __init__(self, loop: VirtualLoop, epoch: int) -> None:
        self._loop = loop
        self._epoch = epoch
        self.skipped = 0
        self.error = 0

    @property
    def true(self) -> int:
        """The true time, Unix time in ms."""
        return self._epoch + self._loop.passed + self.skipped

    @property
    def passed(self) -> int:
        """Milliseconds that were lived through."""
        return self._loop.passed

    async def sleep_until(self, passed: int) -> None:
        """Sleep until so many milliseconds have been lived through."""
        await asyncio.sleep(max(passed - self._loop.passed, 0) / 1000)


class ProcessClock:
    """What one process of a site sees: its monotonic clock began at another number than any other's."""

    def __init__(self, time: SiteTime, offset: int) -> None:
        self._time = time
        self._offset = offset

    def now(self) -> Moment:
        return Moment(self._time.passed + self._offset, self._time.true + self._time.error)
