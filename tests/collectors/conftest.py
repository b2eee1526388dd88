"""Scripted servers on free ports, and one attempt of a check against them."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

import collectors.services  # noqa: F401 - registers the checks
from collectors.attempt import attempt
from collectors.reading import ServiceReading
from collectors.registry import CHECKS, ServiceTarget
from collectors.secret import Credential
from tests.peers.certificates import Authority
from tests.peers.scripted import Attempt, Reply, Script, Serve, ServeUdp


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []
    talks: set[asyncio.Task[Any]] = set()

    async def start(script: Script, *, tls: ssl.SSLContext | None = None) -> int:
        async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task
            talks.add(task)
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.CancelledError):
                await script(reader, writer)
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(talk, "127.0.0.1", 0, ssl=tls)
        servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    yield start
    for server in servers:
        server.close()
    for task in talks:
        task.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


@pytest.fixture
async def serve_udp() -> AsyncIterator[ServeUdp]:
    transports: list[asyncio.DatagramTransport] = []

    class Server(asyncio.DatagramProtocol):
        def __init__(self, reply: Reply) -> None:
            self._reply = reply

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = cast("asyncio.DatagramTransport", transport)
            transports.append(self._transport)

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            for datagram in self._reply(data):
                self._transport.sendto(datagram, addr)

    async def start(reply: Reply) -> int:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: Server(reply), local_addr=("127.0.0.1", 0))
        port: int = transport.get_extra_info("sockname")[1]
        return port

    yield start
    for transport in transports:
        transport.close()


@pytest.fixture
def run() -> Attempt:
    async def run_once(
        protocol: str,
        port: int,
        *,
        address: str = "127.0.0.1",
        hostname: str = "",
        credential: Credential | None = None,
        within: float = 5.0,
        **options: Any,
    ) -> ServiceReading:
        kind = CHECKS[protocol]
        chosen = kind.options.model_validate({**({"port": port} if port else {}), **options})
        deadline = asyncio.get_running_loop().time() + within
        return await attempt(kind, ServiceTarget(address, hostname, credential), chosen, deadline)

    return run_once


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))
