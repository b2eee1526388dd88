"""Looks that come again and again: each at whole multiples of its period, so that they share a wake-up.

On a machine with nothing else to do a wake-up costs more than most of what is looked at.
"""

import asyncio
from typing import Final

SHORTEST: Final = 0.001
"""Seconds: timers have no finer resolution, and a nearer tick is the one that just came."""


def until_tick(now: float, period: float) -> float:
    """Return the seconds from ``now`` (event-loop time) until the next whole multiple of ``period`` (seconds)."""
    left = period - now % period
    return left if left > SHORTEST else left + period


async def tick(period: float) -> None:
    """Sleep until the next whole multiple of ``period`` (seconds, event-loop time)."""
    await asyncio.sleep(until_tick(asyncio.get_running_loop().time(), period))
