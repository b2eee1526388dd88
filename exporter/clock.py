"""The clock, passed in everywhere: a test moves it, a simulated year takes minutes.

Times are whole milliseconds. Integers keep sums exact: ten steps of a minute are 600,000 ms, never 599.999 s.
"""

import time
from dataclasses import dataclass
from typing import Protocol

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Moment:
    """One instant on both clocks, in milliseconds.

    ``monotonic`` measures steps within this process and never jumps; ``wall`` is Unix time and may be stepped.
    """

    monotonic: int
    wall: int


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> Moment:
        """Return this instant."""
        ...


class SystemClock:
    """The machine's clock. Its monotonic half is the event loop's clock too (CLOCK_MONOTONIC)."""

    def now(self) -> Moment:
        """Return this instant."""
        return Moment(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)
