"""The vantage guard: when every vantage address fails, our own uplink is gone, and failures say nothing of a server."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence

from exporter.inventory import VantageAddress
from exporter.ticks import tick

log = logging.getLogger("vantage")

TIMEOUT = 3.0
PERIOD = 15.0
FRESH = 1.0
"""A probe that began at most so many seconds before the question still answers it."""


class Vantage:
    """Opens TCP connections to the vantage addresses: every 15 s, and when a failure asks. Never two rounds at once."""

    def __init__(self, addresses: Sequence[VantageAddress], report: Callable[[bool], None]) -> None:
        self.addresses = tuple(addresses)
        self._report = report
        self._up = True
        self._began = float("-inf")
        self._round: asyncio.Task[None] | None = None

    async def lost(self) -> bool:
        """Tell whether our uplink is gone at this moment. False where no address is configured."""
        asked = asyncio.get_running_loop().time() - FRESH
        while self.addresses and self._began < asked:
            if self._round is None or self._round.done():
                self._round = asyncio.create_task(self._probe())
            await asyncio.shield(self._round)
        return bool(self.addresses) and not self._up

    async def watch(self) -> None:
        """Probe for ever, so that the loss is known before a check fails."""
        while True:
            await self.lost()
            await tick(PERIOD)

    async def _probe(self) -> None:
        addresses = self.addresses
        began = asyncio.get_running_loop().time()
        tries = [asyncio.create_task(_answers(address)) for address in addresses]
        up = False
        try:
            for answer in asyncio.as_completed(tries):
                if await answer:
                    up = True
                    break
        finally:
            for each in tries:
                each.cancel()
            await asyncio.gather(*tries, return_exceptions=True)
        if up != self._up:
            names = ", ".join(f"{address.host}:{address.port}" for address in addresses)
            if up:
                log.warning("a vantage address answers again: failures count as evidence from now on")
            else:
                log.error("no vantage address answers (%s): our own uplink is gone; failures are void", names)
        self._up = up
        self._began = began
        self._report(up)


async def _answers(address: VantageAddress) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT):
            _, writer = await asyncio.open_connection(address.host, address.port)
    except OSError:
        return False
    with contextlib.suppress(OSError):
        writer.close()
    return True
