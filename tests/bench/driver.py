"""Asks a peer for checks over HTTP as Prometheus would, paced or in a closed loop: a process of its own.

Over kept connections, one request at a time on each, without compression: what the peer spends is spent on checks.
"""

import asyncio
import time
from typing import cast
from urllib.parse import urlsplit

import uvloop

from tests.bench.measure import Questions

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"\r\n0\r\n\r\n"
PATIENCE = 30.0


class Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._said = bytearray()
        self._answer: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._said += data
        head, end, body = bytes(self._said).partition(HEAD_END)
        if not end or self._answer is None:
            return
        length = head.lower().partition(b"content-length:")[2]
        whole = len(body) >= int(length.split(None, 1)[0]) if length else body.endswith(LAST_CHUNK)
        if whole:
            self._answer.set_result(body)
            self._answer = None
            self._said.clear()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None:
            self._answer.set_exception(ConnectionError("the peer closed the connection"))

    async def get(self, request: bytes) -> bytes:
        """Return the body of the answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await asyncio.wait_for(self._answer, PATIENCE)

    def close(self) -> None:
        """Close it."""
        self._transport.close()


class Driver:
    """Drives one address."""

    def __init__(self, url: str, passes: str) -> None:
        place = urlsplit(url)
        self._where = (place.hostname or "", place.port or 80)
        self._request = f"GET {place.path}?{place.query} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode()
        self._passes = passes.encode()
        self._idle: list[Connection] = []
        self.passed = 0
        self.failed = 0

    async def once(self) -> None:
        """Ask once."""
        if self._idle:
            connection = self._idle.pop()
        else:
            _, connection = await asyncio.get_running_loop().create_connection(Connection, *self._where)
        if self._passes in await connection.get(self._request):
            self.passed += 1
        else:
            self.failed += 1
        self._idle.append(connection)

    async def paced(self, rate: float, seconds: float) -> None:
        """Ask so many times a second, evenly, whatever the answers take."""
        began = time.monotonic()
        tasks = []
        for number in range(int(rate * seconds)):
            wait = began + number / rate - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
            tasks.append(asyncio.ensure_future(self.once()))
        await asyncio.gather(*tasks)

    async def closed_loop(self, concurrency: int, seconds: float) -> None:
        """Ask again as soon as there is an answer, so many at a time."""
        end = time.monotonic() + seconds

        async def loop() -> None:
            while time.monotonic() < end:
                await self.once()

        await asyncio.gather(*(loop() for _ in range(concurrency)))

    def close(self) -> None:
        """Close all connections."""
        for connection in self._idle:
            connection.close()


async def main() -> None:
    """Drive as asked until there are no more questions."""
    asked = Questions()
    while (question := await asyncio.to_thread(asked.next)) is not None:
        driver = Driver(question["url"], question["passes"])
        if rate := question.get("rate"):
            await driver.paced(rate, question["seconds"])
        else:
            await driver.closed_loop(question["concurrency"], question["seconds"])
        driver.close()
        asked.answer(passed=driver.passed, failed=driver.failed)


if __name__ == "__main__":
    uvloop.run(main())
