"""Documents that follow from the configuration alone: rendered once for everybody who asks, outside the event loop.

They carry an ETag, so that a client that has one already is told so instead of getting it again (RFC 9110 section 13).
"""

import asyncio
import hashlib
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import hdrs, web

from exporter.inventory import Config
from exporter.web import scrape

Render = Callable[[Config], Iterable[str]]
"""Gives the text in pieces, each made within a few milliseconds: the event loop gets its turn in between."""


@dataclass(frozen=True, slots=True)
class _Document:
    pieces: tuple[bytes, ...]
    digest: str


class Documents:
    """Renders documents one at a time, as a large one takes seconds, and keeps each until the configuration changes."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._turn = asyncio.Lock()
        # weak: what is kept here must not keep a configuration that was replaced
        self._kept: dict[Render, tuple[weakref.ref[Config], _Document]] = {}

    async def answer(
        self, request: web.Request, render: Render, config: Config, content_type: str
    ) -> web.StreamResponse:
        """Answer with what ``render`` makes of ``config``, or that the client has that already."""
        document = await self._document(render, config)
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: content_type,
            hdrs.VARY: hdrs.ACCEPT_ENCODING,
            hdrs.CACHE_CONTROL: "private, no-cache",  # may be kept, is to be asked for again
            hdrs.ETAG: f'W/"{document.digest}"',  # weak: the same for the compressed and the plain one
        }
        if any(tag.value in {document.digest, "*"} for tag in request.if_none_match or ()):
            return web.Response(status=304, headers=headers)
        return await scrape.send(request, document.pieces, headers, self._executor)

    async def _document(self, render: Render, config: Config) -> _Document:
        async with self._turn:
            known, document = self._kept.get(render, (None, None))
            if document is None or known is None or known() is not config:
                loop = asyncio.get_running_loop()
                document = await loop.run_in_executor(self._executor, _made, render, config)
                self._kept[render] = (weakref.ref(config), document)
            return document


def _made(render: Render, config: Config) -> _Document:
    pieces = tuple(scrape.pieces(text.encode() for text in render(config)))
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return _Document(pieces, digest.hexdigest()[:32])
