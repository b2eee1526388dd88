"""Content codings of HTTP (RFC 9110 §8.4.1): undone piece by piece while a body arrives, and never beyond a limit.

A megabyte of gzip can stand for a gigabyte, so nothing is ever inflated beyond what is wanted of it.
"""

import zlib
from typing import Protocol

import brotli  # type: ignore[import-untyped] # it has no types

OFFERED = "gzip, deflate, br"
ABSURD = 200
"""So many times its own size a body that reaches the limit was made to harm; text shrinks to a twentieth at best."""

PIECE = 1024
"""Bytes taken in at once: so it is known how few of them stand for how much."""
STEP = 64 * 1024
"""Bytes inflated at once, about: brotli's decoder may give twice as much as is asked of it."""


class InflateError(Exception):
    """The body is not what its coding says; the message says how."""


class _Coding(Protocol):
    def feed(self, data: bytes, most: int) -> bytes:
        """Take data in, return about ``most`` bytes of what it stands for at most; the rest waits for ``feed(b"")``."""
        ...

    def waiting(self) -> bool:
        """Tell whether ``feed(b"")`` would return more."""
        ...

    def ended(self) -> bool:
        """Tell whether the stream came to its end."""
        ...


class _Gzip:
    """gzip (RFC 1952)."""

    def __init__(self, bits: int = zlib.MAX_WBITS + 16) -> None:
        self._stream = zlib.decompressobj(bits)

    def feed(self, data: bytes, most: int) -> bytes:
        try:
            return self._stream.decompress(self._stream.unconsumed_tail + data, most)
        except zlib.error as error:
            raise InflateError(str(error)) from None

    def waiting(self) -> bool:
        return bool(self._stream.unconsumed_tail)

    def ended(self) -> bool:
        return self._stream.eof


class _Deflate:
    """deflate: a stream of zlib (RFC 1950), from some servers without its frame (RFC 1951)."""

    def __init__(self) -> None:
        self._head = b""
        self._stream: _Gzip | None = None

    def feed(self, data: bytes, most: int) -> bytes:
        if self._stream is None:
            self._head += data
            if len(self._head) < 2:
                return b""
            framed = self._head[0] & 0xF == zlib.DEFLATED and int.from_bytes(self._head[:2], "big") % 31 == 0  # §2.2
            self._stream = _Gzip(zlib.MAX_WBITS if framed else -zlib.MAX_WBITS)
            data = self._head
        return self._stream.feed(data, most)

    def waiting(self) -> bool:
        return self._stream is not None and self._stream.waiting()

    def ended(self) -> bool:
        return self._stream is not None and self._stream.ended()


class _Brotli:
    """br (RFC 7932)."""

    def __init__(self) -> None:
        self._stream = brotli.Decompressor()
        self._full = False

    def feed(self, data: bytes, most: int) -> bytes:
        try:
            inflated: bytes = self._stream.process(data, output_buffer_limit=most)
        except brotli.error as error:
            raise InflateError(str(error)) from None
        self._full = len(inflated) >= most
        return inflated

    def waiting(self) -> bool:
        return self._full or not self._stream.can_accept_more_data()  # which is true too when only output waits

    def ended(self) -> bool:
        finished: bool = self._stream.is_finished()
        return finished


def coding(name: str) -> _Coding | None:
    """Return what undoes a coding, None for one that is not known."""
    match name:
        case "gzip" | "x-gzip":
            return _Gzip()
        case "deflate":
            return _Deflate()
        case "br":
            return _Brotli()
        case _:
            return None


class Inflated:
    """A body that is inflated while it arrives, up to ``limit`` bytes."""

    def __init__(self, undo: _Coding, limit: int) -> None:
        self._undo = undo
        self._limit = limit
        self._taken = 0
        self.body = bytearray()

    @property
    def full(self) -> bool:
        """Whether the limit is reached: what comes later is not looked at."""
        return len(self.body) >= self._limit

    def take(self, data: bytes) -> None:
        """Take in a piece. Raises InflateError where it is wrong, or stands for absurdly much."""
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._taken += len(piece)
            while (piece or self._undo.waiting()) and not self.full and not self._undo.ended():
                self.body += self._undo.feed(piece, min(STEP, self._limit - len(self.body)))
                piece = b""
            if self.full and self._taken * ABSURD < self._limit:
                raise InflateError(f"{self._taken} bytes of it stand for {self._limit} and more")

    def end(self) -> bytes:
        """Return the body, whose last piece was taken in. Raises InflateError where it ends too early."""
        if self._taken and not self.full and not self._undo.ended():
            raise InflateError("it ends too early")
        return bytes(self.body[: self._limit])
