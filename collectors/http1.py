"""HTTP/1.1 as a client that looks once (RFC 9112): one request, one response, each part of it with a limit."""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass

from collectors.dialogue import Dialogue
from collectors.failures import UnexpectedReply, Unreachable

HEAD = 64 * 1024
"""Bytes of status line and headers, at most."""
HEADERS = 200
INTERIM = 10
"""Responses 1xx before the one that counts, at most."""
CHUNKS = 64 * 1024
"""Chunks of a body, at most."""
CHUNK_LINE = 1024
SWITCHING_PROTOCOLS = 101
NO_CONTENT = 204
NOT_MODIFIED = 304

_STATUS = re.compile(r"HTTP/1\.[0-9] ([0-9]{3})(?: (.*))?", re.DOTALL)
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CHUNK_SIZE = re.compile(r"([0-9A-Fa-f]{1,16})[ \t]*(?:;.*)?", re.DOTALL)
_LENGTH = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Response:
    """The head of a response. Field names are in lower case, repeated fields joined with commas (RFC 9110 §5.3)."""

    status: int
    reason: str
    fields: dict[str, str]

    def __str__(self) -> str:
        return f"{self.status} {self.reason}".rstrip()


async def read_head(talk: Dialogue) -> Response:
    """Return the head of the next response that is not an interim one (steps ``status`` and ``headers``)."""
    for _ in range(INTERIM):
        talk.step = "status"
        if not await talk.begins(b"HTTP/"):
            raise talk.unexpected("an HTTP response", talk.waiting())
        line, *lines = await talk.paragraph(HEAD)
        status = _STATUS.fullmatch(line)
        if status is None:
            raise talk.unexpected("an HTTP/1.1 status line", line)
        talk.step = "headers"
        response = Response(int(status[1]), status[2] or "", _fields(talk, lines))
        if response.status // 100 != 1 or response.status == SWITCHING_PROTOCOLS:
            return response
    raise UnexpectedReply("status", f"more than {INTERIM} interim responses")


def _fields(talk: Dialogue, lines: list[str]) -> dict[str, str]:
    if len(lines) > HEADERS:
        raise UnexpectedReply(talk.step, f"more than {HEADERS} header fields")
    fields: dict[str, str] = {}
    name = ""
    for line in lines:
        if name and line[0] in " \t":  # a folded line, obsolete but legal (RFC 9112 §5.2)
            fields[name] += f" {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if not colon or not _FIELD_NAME.fullmatch(name):
            raise talk.unexpected("a header field", line)
        name = name.lower()
        value = value.strip(" \t")
        fields[name] = f"{fields[name]}, {value}" if name in fields else value
    return fields


class Enough(Exception):  # noqa: N818 - it is no error
    """Raised by who takes in a body and needs no more of it."""


async def read_body(
    talk: Dialogue, method: str, response: Response, limit: int, store: Callable[[bytes], object]
) -> None:
    """Read the body (step ``body``) to its end or to ``limit`` bytes, and give every piece of it to ``store``.

    Its length is told as RFC 9112 §6.3 has it. Raises UnexpectedReply where it is told wrongly, Unreachable where the
    connection ends before the body does.
    """
    talk.step = "body"
    with contextlib.suppress(Enough):
        await _read_body(talk, method, response, limit, store)


async def _read_body(
    talk: Dialogue, method: str, response: Response, limit: int, store: Callable[[bytes], object]
) -> None:
    fields = response.fields
    if method == "HEAD" or response.status in {NO_CONTENT, NOT_MODIFIED}:
        pass
    elif "transfer-encoding" in fields:
        coding = fields["transfer-encoding"]
        if coding.lower().rpartition(",")[2].strip() == "chunked":
            await _chunked(talk, limit, store)
        else:
            await _until_closed(talk, limit, store)
    elif "content-length" in fields:
        await _copy(talk, min(content_length(talk, fields["content-length"]), limit), store)
    else:
        await _until_closed(talk, limit, store)


def content_length(talk: Dialogue, text: str) -> int:
    """Return the value of Content-Length, which may be there twice if it says the same (RFC 9110 §8.6)."""
    lengths = {part.strip() for part in text.split(",")}
    length = lengths.pop()
    if lengths or not _LENGTH.fullmatch(length):
        raise talk.unexpected("a length in Content-Length", text)
    return int(length)


async def _chunked(talk: Dialogue, room: int, store: Callable[[bytes], object]) -> None:
    for _ in range(CHUNKS):
        line = await talk.line(CHUNK_LINE, note=False)
        match = _CHUNK_SIZE.fullmatch(line)
        if match is None:
            raise talk.unexpected("the size of a chunk", line)
        size = int(match[1], 16)
        await _copy(talk, min(size, room), store)
        room -= size
        if size == 0 or room <= 0:
            return
        if line := await talk.line(CHUNK_LINE, note=False):
            raise talk.unexpected("the end of a chunk", line)
    raise UnexpectedReply(talk.step, f"more than {CHUNKS} chunks")


async def _copy(talk: Dialogue, count: int, store: Callable[[bytes], object]) -> None:
    while count:
        piece = await talk.some(count)
        if not piece:
            raise Unreachable(talk.step, f"the server closed the connection, {count} bytes early")
        count -= len(piece)
        store(piece)


async def _until_closed(talk: Dialogue, room: int, store: Callable[[bytes], object]) -> None:
    while room and (piece := await talk.some(room)):
        room -= len(piece)
        store(piece)
