"""One timer for all the waits of a session: nearly none of them rings, and a timer for each is dear."""

import asyncio
from collections.abc import Callable


class Alarm:
    """Calls ``ring`` at the moment that was set last. Moments are event-loop time, in seconds.

    The timer is left running when the moment moves on, and looks when it rings whether that has come.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring = ring
        self._moment = 0.0
        self._rings_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def set(self, moment: float) -> None:
        """Ring at this moment, and no more at the one set before."""
        self._moment = moment
        if self._timer is not None:
            if self._rings_at <= moment:
                return
            self._timer.cancel()
        self._start(moment)

    def end(self) -> None:
        """Ring no more, and let go of whom it would have rung."""
        self._ring = _nobody
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _start(self, moment: float) -> None:
        self._rings_at = moment
        self._timer = self._loop.call_at(moment, self._rung)

    def _rung(self) -> None:
        self._timer = None
        if self._rings_at < self._moment:
            self._start(self._moment)
        else:
            self._ring()


def _nobody() -> None:
    """Ring for nobody."""
