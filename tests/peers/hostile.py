"""Servers that mean harm, for every protocol: each is one script over TCP, and what it says as a datagram.

::

    async with HostileServer(HOSTILE["endless banner"]) as server:
        ...                     # server.port, over TCP and UDP; with tls=context over TLS as well

``reasons`` are those that make sense for whatever client meets it: a protocol of which the script is a part may come
further than others before it notices.
"""

import asyncio
import contextlib
import gzip
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, cast

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LOST = frozenset({"unreachable", "refused"})
ODD = frozenset({"protocol", "content", "unavailable", "tls"})
"""What an answer that makes no sense can mean: to a protocol that understands a part of it, "wrong", or "not now"."""
LATE = frozenset({"timeout"})
ANY = LOST | ODD | LATE


@dataclass(frozen=True, slots=True)
class Hostile:
    """One way to be hostile."""

    script: Script
    reasons: frozenset[str]
    datagram: bytes = b""
    """What it answers to a datagram; nothing if it is empty."""
    flood: bool = False
    """Whether it sends without end: what its victims keep in memory is measured."""


def _silent() -> Hostile:
    async def script(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass
        await asyncio.Event().wait()

    return Hostile(script, LATE)


def _says(said: bytes, reasons: frozenset[str] = ANY, *, datagram: bytes | None = None) -> Hostile:
    """Say it at once, and again to whatever is said, so that those who speak first get it as an answer."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        while await reader.read(65536):
            writer.write(said)
            await writer.drain()

    return Hostile(script, reasons, said[:1400] if datagram is None else datagram)


def _floods(head: bytes, forever: bytes, reasons: frozenset[str] = ODD | LATE) -> Hostile:
    piece = forever * (65536 // len(forever) or 1)

    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return Hostile(script, reasons, (head + forever)[:1400], flood=True)


def _answers_with_a_flood(head: bytes, forever: bytes, reasons: frozenset[str] = ODD | LATE) -> Hostile:
    """Wait for a request, as a web server does, then send without end."""
    flood = _floods(head, forever, reasons)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        await flood.script(reader, writer)

    return Hostile(script, reasons, flood.datagram, flood=True)


def _drips(text: bytes, pause: float = 0.01) -> Hostile:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            for number in range(len(text)):
                writer.write(text[number : number + 1])
                await writer.drain()
                await asyncio.sleep(pause)  # a byte a second, as seen by an attempt of a second instead of two minutes

    return Hostile(script, LATE | ODD)


def _closes(after: bytes = b"") -> Hostile:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(after)

    return Hostile(script, LOST | ODD)


def _half_closes(after: bytes) -> Hostile:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(after)
        if writer.can_write_eof():
            writer.write_eof()
        while await reader.read(65536):
            pass

    return Hostile(script, LOST | ODD | LATE)


def _resets(after: int, said: bytes = b"") -> Hostile:
    """Say something, hear ``after`` pieces, answer each in kind, and reset the connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _ in range(after):
            writer.write(said)
            await writer.drain()
            await reader.read(65536)
        plain: socket.socket = writer.get_extra_info("socket")
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return Hostile(script, LOST | ODD | LATE)


OK = b"HTTP/1.1 200 OK\r\n"
HOSTILE: dict[str, Hostile] = {
    "accepts and says nothing": _silent(),
    "one byte a second": _drips(b"220 " + b"x" * 1000),
    "one byte a second of an answer": _drips(OK + b"Content-Length: 100000\r\n\r\n" + b"x" * 1000),
    "closes at once": _closes(),
    "closes within a line": _closes(b"* O"),
    "half closed at once": _half_closes(b""),
    "half closed within a line": _half_closes(b"220 mail.exam"),
    "reset at once": _resets(0),
    "reset after the first word": _resets(1),
    "reset after a greeting": _resets(1, b"220 hello\r\n"),
    "reset after two answers": _resets(2, b"+OK\r\n"),
    "endless banner": _floods(b"", b"welcome to our server\r\n"),
    "endless line": _floods(b"", b"x"),
    "endless empty lines": _floods(b"", b"\r\n"),
    "endless spaces": _floods(b"", b" "),
    "endless zeros": _floods(b"", b"\0"),
    "multiline reply without end": _floods(b"", b"220-and more\r\n"),
    "untagged responses without end": _floods(b"* OK ready\r\n", b"* CAPABILITY IMAP4rev1\r\n"),
    "literal of 4 GB": _floods(b"* OK {4294967296}\r\n", b"x" * 64),
    "greets and floods": _floods(b"220 ready\r\n", b"250-x\r\n"),
    "noise": _floods(random.Random(5).randbytes(4096), random.Random(6).randbytes(4096)),
    "wrong protocol: http": _says(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno\n"),
    "wrong protocol: ssh": _says(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "wrong protocol: smtp": _says(b"220 mail.example ESMTP\r\n"),
    "wrong protocol: imap": _says(b"* OK IMAP4rev1 ready\r\n"),
    "wrong protocol: pop": _says(b"+OK ready\r\n"),
    "wrong protocol: mysql": _says(b"\x4a\x00\x00\x00\x0a8.0.36\x00" + b"\x08" * 64),
    "wrong protocol: redis": _says(b"-ERR unknown command\r\n"),
    "wrong protocol: a telnet negotiation": _says(b"\xff\xfd\x18\xff\xfd\x20\xff\xfd\x23\xff\xfd\x27"),
    "control characters": _says(b"\x1b[2J\x07\x00\x08\x7f\x9b31m\r\n" * 20),
    "invalid utf-8": _says(b"220 \xff\xfe\xc3\x28\xa0\xa1\xed\xa0\x80\r\n" * 5),
    "header flood": _answers_with_a_flood(OK, b"X-Header: and one more\r\n"),
    "one header without end": _answers_with_a_flood(OK + b"X-Long: ", b"y" * 64),
    "body of 10 GB": _answers_with_a_flood(OK + b"Content-Length: 10737418240\r\n\r\n", b"z" * 64),
    "chunks without end": _answers_with_a_flood(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nz\r\n"),
    "a chunk of 2^60": _answers_with_a_flood(OK + b"Transfer-Encoding: chunked\r\n\r\n1000000000000000\r\n", b"z" * 64),
    "interim responses without end": _answers_with_a_flood(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "endless redirect": _says(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n"),
    "gzip bomb": _says(
        OK + b"Content-Encoding: gzip\r\nConnection: close\r\n\r\n" + gzip.compress(b"\0" * 20_000_000), ANY
    ),
    "absurd tls record": _says(b"\x16\x03\x03\xff\xff" + b"\0" * 100),
    "tls hello of 16 MiB": _floods(b"\x16\x03\x03\x00\x04\x02\xff\xff\xff", b"\x16\x03\x03\x00\x04abcd", ANY),
    "empty tls records without end": _floods(b"", b"\x16\x03\x03\x00\x00", ANY),
    "tls alert": _says(b"\x15\x03\x03\x00\x02\x02\x28"),
    "postgresql message of 2^31": _floods(b"R\x7f\xff\xff\xff", b"x" * 64),
    "postgresql agrees to TLS and talks on": _says(b"SR\x00\x00\x00\x08\x00\x00\x00\x00"),
    "mysql asks for a local file": _says(b"\x0c\x00\x00\x01\xfb/etc/passwd"),
    "mysql packet of 16 MiB": _floods(b"\xff\xff\xff\x00\x0a", b"x" * 64),
    "ldap message of 2^31": _floods(b"\x30\x84\x7f\xff\xff\xff\x02\x01\x01\x61", b"x" * 64),
    "ldap nested without end": _floods(b"", b"\x30\x84\x00\x10\x00\x00"),
    "redis bulk of 512 MB": _floods(b"$536870912\r\n", b"x" * 64),
    "redis arrays in arrays": _floods(b"", b"*1000000\r\n"),
    "ssh packet of 2^32": _floods(b"SSH-2.0-x\r\n\xff\xff\xff\xff\x04\x14", b"x" * 64),
    "dns compression loop": _says(
        b"\x00\x2a" + b"\0\0\x84\x00\0\1\0\1\0\0\0\0\xc0\x0c\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1",
        datagram=b"\0\0\x84\x00\0\1\0\1\0\0\0\0\xc0\x0c\0\1\0\1\xc0\x0c\0\1\0\1\0\0\0\0\0\4\x7f\0\0\1",
    ),
}


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's has its methods and is no subclass

    def connection_lost(self, exc: Exception | None) -> None:
        self.gone.set()

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._answer:
            # the number of a question comes first in many protocols: one that is not ours would be dropped
            self._transport.sendto(data[:2] + self._answer[2:], addr)


class HostileServer:
    """One of them on a free port of the loopback: over TCP (with ``tls`` over TLS) and UDP."""

    def __init__(self, hostile: Hostile, tls: ssl.SSLContext | None = None) -> None:
        self._hostile = hostile
        self._tls = tls
        self._talks: set[asyncio.Task[object]] = set()
        self.port = 0
        self.connections = 0

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        writer.transport.set_write_buffer_limits(65536)
        with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
            await self._hostile.script(reader, writer)
            await writer.drain()
        writer.close()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        stream, datagrams = _two_sockets()
        self.port = stream.getsockname()[1]
        self._server = await asyncio.start_server(self._talk, sock=stream, ssl=self._tls)
        self._datagrams, self._listener = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self._hostile.datagram), sock=datagrams
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._datagrams.close()
        self._server.close()
        for task in self._talks:
            task.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)
        await self._listener.gone.wait()


def _two_sockets() -> tuple[socket.socket, socket.socket]:
    """Return sockets for TCP and UDP on one port that is free for both."""
    while True:
        stream = socket.create_server(("127.0.0.1", 0))
        datagrams = socket.socket(type=socket.SOCK_DGRAM)
        try:
            datagrams.bind(stream.getsockname())
        except OSError:
            stream.close()
            datagrams.close()
        else:
            return stream, datagrams


def descriptors() -> int:
    """Return how many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())
