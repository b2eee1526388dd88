"""A connection that is reset after so many bytes from the server, wherever in a dialogue that is.

::

    async with Cut(server.port, after=100) as port:
        ...                     # a check against this port sees the real server's first 100 bytes
"""

import asyncio
import contextlib
import socket
import struct
from types import TracebackType


class Cut:
    """Passes on what a client and the server on ``port`` of the loopback say, up to ``after`` bytes of the server's."""

    def __init__(self, port: int, after: int) -> None:
        self._port = port
        self._after = after
        self._talks: set[asyncio.Task[object]] = set()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._port)
        inward = asyncio.ensure_future(_copy(reader, inner_writer))
        left = self._after
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while left and (piece := await inner_reader.read(left)):
                left -= len(piece)
                writer.write(piece)
                await writer.drain()
        inward.cancel()
        await asyncio.gather(inward, return_exceptions=True)
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        inner_writer.transport.abort()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(65536):
        writer.write(piece)
        await writer.drain()
