"""When an exporter ran: without that, a check that nobody watched would count as up.

A killed process writes nothing. So the moment at which it was seen to run last is kept in the ledger, and the next one
writes where the gap began. A machine that was suspended leaves a gap too.
"""

import asyncio

from exporter.clock import MINUTE, Clock
from exporter.ledger import Ledger, alive_row, presence_event
from exporter.ticks import tick

BEAT = 5.0
"""Seconds between two signs of life. They are written with what is written anyway, at least once a minute."""
GAP = 2 * MINUTE
"""Without a sign of life for longer, the exporter did not run."""


class Presence:
    """The signs of life of a serving exporter."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._seen: int | None = None

    async def begin(self) -> None:
        """Write that an exporter runs from now on, and since when none did."""
        last = await asyncio.to_thread(self._ledger.last_alive)
        await self._returned(last)

    async def beat(self) -> None:
        """Give a sign of life, if it began."""
        now = self._clock.now().wall
        if self._seen is None:
            return
        if now - self._seen > GAP:
            await self._returned(self._seen)
        self._seen = now
        self._ledger.keep(alive_row(now))

    async def watch(self) -> None:
        """Give signs of life for ever."""
        while True:
            await self.beat()
            await tick(BEAT)

    async def _returned(self, last: int | None) -> None:
        now = self._clock.now().wall
        stopped = [] if last is None else [presence_event(last, running=False)]
        await self._ledger.save([*stopped, presence_event(now, running=True), alive_row(now)])
        self._seen = now
