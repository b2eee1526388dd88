"""What is monitored: servers of every protocol, and relays before a BMC and an SNMP agent; they count what comes.

A process of its own, so that its CPU time is nobody's. Asked for its counts, it tells how many connections were
accepted (tcp and the line protocols), requests answered (http), requests answered after a full TLS handshake (https),
datagrams answered (udp, dns), IPMI sessions opened (bmc) and clients that ask an SNMP agent (snmp): each read has a
socket of its own. Told of the port of a ``bmc`` or an ``agent``, it opens a relay to it.

The ``fleet`` is a server that says hello, on every address of the loopback. Told that some addresses are ``dark``, it
accepts there and says nothing, and notes when; asked for what it ``noted``, it tells.
"""

import asyncio
import ssl
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import cast

import uvloop

from tests.bench.measure import Questions
from tests.peers.certificates import server_context
from tests.peers.dns import record, response

BODY = b"<!doctype html><title>Shop</title><p>ready</p>\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (
    len(BODY),
    BODY,
)
RMCP_PLUS, OPEN_SESSION = 0x06, 0x10
ANSWER = (record(b"\xc0\x0c", "A", bytes([192, 0, 2, 1])),)
FAREWELLS = (b"QUIT", b"LOGOUT")
"""What a server of a line protocol closes the connection after."""
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


@dataclass(frozen=True, slots=True)
class Talk:
    """A server's part in a dialogue: what it says first, and what it answers to a message with certain bytes in it."""

    greeting: bytes
    replies: Mapping[bytes, bytes] = field(default_factory=dict)


TALKS: Mapping[str, Talk] = {
    "smtp": Talk(
        b"220 x ESMTP\r\n",
        {b"EHLO": b"250-x\r\n250 8BITMIME\r\n", b"HELO": b"250 x\r\n", b"QUIT": b"221 bye\r\n"},
    ),
    "imap": Talk(
        b"* OK ready\r\n",
        {
            b"a1 CAPABILITY": b"* CAPABILITY IMAP4rev1\r\na1 OK done\r\n",
            b"a1 LOGOUT": b"* BYE\r\na1 OK done\r\n",
            b"a4 LOGOUT": b"* BYE\r\na4 OK done\r\n",
        },
    ),
    "ssh": Talk(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n"),
}


class Talks(asyncio.Protocol):
    """Holds its part of a dialogue."""

    def __init__(self, counts: Counter[str], name: str) -> None:
        self._counts = counts
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._counts[self._name] += 1
        self._transport.write(TALKS[self._name].greeting)

    def data_received(self, data: bytes) -> None:
        for asked, reply in TALKS[self._name].replies.items():
            if asked in data:
                self._transport.write(reply)
                if asked.endswith(FAREWELLS):
                    self._transport.close()


class Fleet(asyncio.Protocol):
    """Says hello, and nothing where it is dark."""

    def __init__(self, counts: Counter[str], dark: set[str], noted: dict[str, list[float]]) -> None:
        self._counts = counts
        self._dark = dark
        self._noted = noted

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        address = transport.get_extra_info("sockname")[0]
        self._counts["fleet"] += 1
        if address in self._dark:
            self._noted.setdefault(address, []).append(time.monotonic())
        else:
            cast("asyncio.Transport", transport).write(b"hello\n")


class Datagrams(asyncio.DatagramProtocol):
    """Answers datagrams."""

    def __init__(self, counts: Counter[str], name: str, reply: Callable[[bytes], bytes]) -> None:
        self._counts = counts
        self._name = name
        self._reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._counts[self._name] += 1
        self._transport.sendto(self._reply(data), addr)


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
    counts: Counter[str] = Counter()
    ports: dict[str, int] = {}
    for name, factory, tls in (
        ("tcp", lambda: Accepts(counts), None),
        ("http", lambda: Answers(counts, "http"), None),
        ("https", lambda: Answers(counts, "https"), server_context(certificate)),
    ):
        ports[name] = await _listen(factory, "127.0.0.1", tls)
    for name in TALKS:
        ports[name] = await _listen(partial(Talks, counts, name), "127.0.0.1")
    for name, reply in (("udp", bytes), ("dns", partial(response, records=ANSWER))):
        ports[name] = await _datagrams(partial(Datagrams, counts, name, reply), "127.0.0.1", 0)
    dark: set[str] = set()
    noted: dict[str, list[float]] = {}
    ports["fleet"] = await _listen(partial(Fleet, counts, dark, noted), "0.0.0.0")
    asked = Questions()
    while (question := await asyncio.to_thread(asked.next)) is not None:
        if bmc := question.get("bmc"):
            ports["bmc"] = await _datagrams(partial(Relay, counts, "bmc", bmc), "127.0.0.1", 0)
            try:
                ports["ipmi"] = await _datagrams(partial(Relay, counts, "bmc", bmc), question["address"], IPMI_PORT)
            except OSError:  # not root, or taken
                ports["ipmi"] = 0
        if agent := question.get("agent"):
            ports["snmp"] = await _datagrams(partial(Relay, counts, "snmp", agent), "127.0.0.1", 0)
        if "dark" in question:
            dark.clear()
            dark.update(question["dark"])
        asked.answer(ports=ports, counts=counts, noted=noted if question.get("noted") else {})


async def _listen(factory: Callable[[], asyncio.Protocol], address: str, tls: ssl.SSLContext | None = None) -> int:
    server = await asyncio.get_running_loop().create_server(factory, address, 0, ssl=tls, backlog=1024)
    port: int = server.sockets[0].getsockname()[1]
    return port


async def _datagrams(factory: Callable[[], asyncio.DatagramProtocol], address: str, port: int) -> int:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(factory, local_addr=(address, port))
    bound: int = transport.get_extra_info("sockname")[1]
    return bound


if __name__ == "__main__":
    uvloop.run(main(Path(sys.argv[1])))
