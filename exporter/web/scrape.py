"""Sends a large text piece by piece: compressed outside the event loop, and at the reader's pace."""

import asyncio
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor

from aiohttp import hdrs, web

from exporter.web.accept import accepts_gzip

PIECE = 256 * 1024
"""Bytes (before compression) that are handled at a time: what a slow reader keeps us holding."""
INLINE = 16 * 1024
"""Less than this is compressed on the spot: that takes less time than waking a thread."""
DEADLINE = 60.0
"""Seconds until a reader that does not read is dropped. Prometheus gives up after 10 to 60."""


async def send(
    request: web.Request, chunks: Iterable[bytes], headers: Mapping[str, str], executor: Executor
) -> web.StreamResponse:
    """Answer with the text of ``chunks``. A reader that has not taken it all before the deadline is dropped."""
    response = web.StreamResponse(headers=headers)
    gzip = accepts_gzip(request.headers.getall(hdrs.ACCEPT_ENCODING, ()))
    if gzip:
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"
    try:
        async with asyncio.timeout(DEADLINE):
            await response.prepare(request)
            if request.method != hdrs.METH_HEAD:
                await (_compressed if gzip else _plain)(response, pieces(chunks), executor)
                await response.write_eof()
    except TimeoutError:
        if request.transport:
            request.transport.abort()  # nothing more can be said on a connection that takes nothing
    return response


def pieces(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Join small chunks, so that each piece is worth a write."""
    held: list[bytes] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += len(chunk)
        if size >= PIECE:
            yield b"".join(held)
            held, size = [], 0
    yield b"".join(held)


async def _plain(response: web.StreamResponse, text: Iterable[bytes], _executor: Executor) -> None:
    for piece in text:
        await response.write(piece)
        await asyncio.sleep(0)  # writing waits only while the connection is full, and a fast reader keeps it empty


async def _compressed(response: web.StreamResponse, text: Iterable[bytes], executor: Executor) -> None:
    loop = asyncio.get_running_loop()
    packer = zlib.compressobj(level=1, wbits=31)  # 31: with gzip's header
    for piece in text:
        if len(piece) < INLINE:
            await response.write(packer.compress(piece))
        else:
            await response.write(await loop.run_in_executor(executor, packer.compress, piece))
    await response.write(packer.flush())
