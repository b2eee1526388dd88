"""Watches the event loop: while it was more than a second late, a failed attempt is our fault, not the server's."""

import asyncio
import time
from collections.abc import Callable

from exporter.ticks import until_tick

PERIOD = 0.25
LATE = 1.0
"""Seconds from which on the loop's lateness voids failures."""


class LoopWatch:
    """A tick every quarter of a second that notes how late it came. Times are of the monotonic clock, in seconds.

    Not of the loop's clock: uvloop's stands still within one turn, and so would not see what this is to see.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, observe: Callable[[float], None]) -> None:
        self._loop = loop
        self._observe = observe
        self._expected = 0.0
        self._late_until = float("-inf")
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to tick."""
        self._arm()

    def stop(self) -> None:
        """Stop ticking."""
        if self._timer:
            self._timer.cancel()

    def late_since(self, begun: float) -> bool:
        """Tell whether the loop was late at any time since ``begun``, this very moment included."""
        return self._late_until >= begun or time.monotonic() - self._expected > LATE

    def _tick(self) -> None:
        now = time.monotonic()
        lag = max(0.0, now - self._expected)
        self._observe(lag)
        if lag > LATE:
            self._late_until = now
        self._arm()

    def _arm(self) -> None:
        wait = until_tick(self._loop.time(), PERIOD)
        self._expected = time.monotonic() + wait
        self._timer = self._loop.call_later(wait, self._tick)
