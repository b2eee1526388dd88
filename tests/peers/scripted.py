"""Servers that follow a script, and what the fixtures of tests/collectors/conftest.py are."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from collectors.reading import ServiceReading
from collectors.secret import Credential

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Serve(Protocol):
    """Starts a server that runs a script for every connection; returns its port."""

    async def __call__(self, script: Script, *, tls: ssl.SSLContext | None = None) -> int: ...


Reply = Callable[[bytes], Iterable[bytes]]
"""What a server of datagrams sends back for one that it receives."""


class ServeUdp(Protocol):
    """Starts a server of datagrams; returns its port."""

    async def __call__(self, reply: Reply) -> int: ...


class Attempt(Protocol):
    """Runs one attempt of a check against a port of the loopback, 0 where the protocol has none."""

    async def __call__(
        self,
        protocol: str,
        port: int,
        *,
        address: str = "127.0.0.1",
        hostname: str = "",
        credential: Credential | None = None,
        within: float = 5.0,
        **options: Any,
    ) -> ServiceReading: ...


def says(said: bytes) -> Script:
    """Say something at once, then wait until the other side goes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        await reader.read()

    return script


def answers(*answer: bytes) -> Script:
    """Read the head of a request, then say something and close."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for piece in answer:
            writer.write(piece)

    return script
