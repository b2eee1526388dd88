"""What is monitored: TCP, HTTP and HTTPS servers, and relays before a BMC and an SNMP agent. All count.

A process of its own, so that its CPU time is nobody's. Asked for its counts, it tells how many connections were
accepted (tcp), requests answered (http), requests answered after a full TLS handshake (https), IPMI sessions opened
(bmc) and clients that ask an SNMP agent (snmp): each read has a socket of its own. Told of the port of a ``bmc`` or an
``agent``, it opens a relay to it.
"""

import asyncio
import sys
from collections import Counter
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.measure import Questions
from tests.peers.certificates import server_context

BODY = b"<!doctype html><title>Shop</title><p>ready</p>\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
RMCP_PLUS, OPEN_SESSION = 0x06, 0x10
KEPT = 64
"""Clients of the relay whose socket is kept: more than read at once, fewer than ever were."""
IPMI_PORT = 623


class Accepts(asyncio.Protocol):
    """Accepts."""

    def __init__(self, counts: Counter[str]) -> None:
        counts["tcp"] += 1


class Answers(asyncio.Protocol):
    """Answers a request and closes."""

    def __init__(self, counts: Counter[str], name: str) -> None:
        self._counts = counts
        self._name = name
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        secure = transport.get_extra_info("ssl_object")
        if secure is not None and secure.session_reused:
            self._name = "resumed"

    def data_received(self, data: bytes) -> None:
        self._head += data
        if self._head.endswith(b"\r\n\r\n"):
            self._counts[self._name] += 1
            self._transport.write(RESPONSE)
            self._transport.close()


class Relay(asyncio.DatagramProtocol):
    """Passes datagrams on to a BMC, each client's over a socket of its own, and its answers back."""

    def __init__(self, counts: Counter[str], name: str, port: int) -> None:
        self._counts = counts
        self._name = name
        self._port = port
        self._clients: dict[tuple[str, int], asyncio.Task[asyncio.DatagramTransport]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self._name == "bmc" and len(data) > 5 and data[4] == RMCP_PLUS and data[5] == OPEN_SESSION:
            self._counts["bmc"] += 1
        if addr not in self._clients:
            self._counts["snmp"] += self._name == "snmp"
            self._clients[addr] = asyncio.ensure_future(self._open(addr))
            if len(self._clients) > KEPT:
                oldest = next(iter(self._clients))
                self._clients.pop(oldest).add_done_callback(lambda opened: opened.result().close())
        self._clients[addr].add_done_callback(lambda opened: opened.result().sendto(data))

    async def _open(self, client: tuple[str, int]) -> asyncio.DatagramTransport:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: Back(self._transport, client), remote_addr=("127.0.0.1", self._port)
        )
        return transport


class Back(asyncio.DatagramProtocol):
    """Passes a BMC's answers back."""

    def __init__(self, relay: asyncio.DatagramTransport, client: tuple[str, int]) -> None:
        self._relay = relay
        self._client = client

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._relay.sendto(data, self._client)


async def main(certificate: Path) -> None:
    """Serve until there are no more questions."""
    loop = asyncio.get_running_loop()
    counts: Counter[str] = Counter()
    ports: dict[str, int] = {}
    for name, factory, tls in (
        ("tcp", lambda: Accepts(counts), None),
        ("http", lambda: Answers(counts, "http"), None),
        ("https", lambda: Answers(counts, "https"), server_context(certificate)),
    ):
        server = await loop.create_server(factory, "127.0.0.1", 0, ssl=tls, backlog=1024)
        ports[name] = server.sockets[0].getsockname()[1]
    asked = Questions()
    while (question := await asyncio.to_thread(asked.next)) is not None:
        if bmc := question.get("bmc"):
            ports["bmc"] = await _relay(counts, "bmc", bmc, "127.0.0.1", 0)
            try:
                ports["ipmi"] = await _relay(counts, "bmc", bmc, question["address"], IPMI_PORT)
            except OSError:  # not root, or taken
                ports["ipmi"] = 0
        if agent := question.get("agent"):
            ports["snmp"] = await _relay(counts, "snmp", agent, "127.0.0.1", 0)
        asked.answer(ports=ports, counts=counts)


async def _relay(counts: Counter[str], name: str, target: int, address: str, port: int) -> int:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Relay(counts, name, target), local_addr=(address, port)
    )
    bound: int = transport.get_extra_info("sockname")[1]
    return bound


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
