"""What is monitored: servers of every protocol, and relays before a BMC and an SNMP agent; they count what comes.

A process of its own, so that its CPU time is nobody's. Asked for its counts, it tells how many connections were
accepted (tcp and the line protocols), requests answered (http), requests answered after a full TLS handshake (https),
datagrams answered (udp, dns), IPMI sessions opened (bmc) and clients that ask an SNMP agent (snmp): each read has a
socket of its own. Told of the port of a ``bmc`` or an ``agent``, it opens a relay to it.

The ``fleet`` is a server that says hello, on every address of the loopback. Told that some addresses are ``dark``, it
accepts there and says nothing, and notes when; asked for what it ``noted``, it tells.
"""

import asyncio
import contextlib
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

from collectors import ber, ldapwire
from collectors import mysqlwire as wire
from exporter.demo.endpoints import SSH_GREETING
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


MYSQL_GREETING = wire.packet(
    0,
    b"\x0a8.0.36\0" + bytes(4) + b"saltsalt\0" + b"\x09\x82\x21\x02\0\x08\0\x15" + bytes(10) + b"saltsaltsalt\0"
    b"mysql_native_password\0",
)
MYSQL_DENIAL = wire.packet(2, b"\xff\x15\x04#28000Access denied")


def ldap_result(number: int, kind: int, code: int = ldapwire.SUCCESS) -> bytes:
    """Return an answer to the request of this number."""
    said = ber.element(kind, ber.integer(code, ber.ENUMERATED), ber.text(""), ber.text(""))
    return ldapwire.message(number, said)


def ldap_found(number: int) -> bytes:
    """Return an entry and the end of a search."""
    entry = ber.element(ldapwire.ENTRY, ber.text(""), ber.element(ber.SEQUENCE))
    return ldapwire.message(number, entry) + ldap_result(number, ldapwire.DONE)


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
            b"a6 LOGOUT": b"* BYE\r\na6 OK done\r\n",
        },
    ),
    "pop": Talk(
        b"+OK ready\r\n",
        {b"CAPA": b"+OK\r\nUSER\r\n.\r\n", b"STAT": b"+OK 0 0\r\n", b"QUIT": b"+OK bye\r\n"},
    ),
    "ftp": Talk(
        b"220 ready\r\n",
        {b"AUTH TLS": b"500 unknown\r\n", b"FEAT": b"211-Features:\r\n UTF8\r\n211 End\r\n", b"QUIT": b"221 bye\r\n"},
    ),
    "submission": Talk(
        b"220 x ESMTP\r\n",
        {b"EHLO": b"250-x\r\n250 STARTTLS\r\n", b"STARTTLS": b"220 go ahead\r\n", b"QUIT": b"221 bye\r\n"},
    ),
    "postgresql": Talk(b"", {b"\x04\xd2\x16\x2f": b"N", b"user\0": b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I"}),
    "mysql": Talk(MYSQL_GREETING, {b"": MYSQL_DENIAL}),
    "redis": Talk(b"", {b"PING": b"+PONG\r\n"}),
    "ldap": Talk(
        b"",
        {
            ldapwire.START_TLS.encode(): ldap_result(1, ldapwire.EXTENDED_DONE, 2),
            b"\x02\x01\x01\x60": ldap_result(1, ldapwire.BOUND),
            b"\x02\x01\x02\x60": ldap_result(2, ldapwire.BOUND),
            b"\x02\x01\x02\x63": ldap_found(2),
            b"\x02\x01\x03\x63": ldap_found(3),
        },
    ),
    "ssh": Talk(SSH_GREETING),
}


TLS_TALKS = {"smtps": "smtp", "imaps": "imap", "pop3s": "pop", "ftps": "ftp", "ldaps": "ldap"}
"""Those that are held over TLS from the first byte, too."""


class Talks(asyncio.Protocol):
    """Holds its part of a dialogue, and begins TLS where it is asked to."""

    def __init__(self, counts: Counter[str], name: str, talk: Talk, tls: ssl.SSLContext) -> None:
        self._counts = counts
        self._name = name
        self._talk = talk
        self._tls = tls
        self._upgrade: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._counts[self._name] += 1
        self._transport.write(self._talk.greeting)

    def data_received(self, data: bytes) -> None:
        for asked, reply in self._talk.replies.items():
            if asked in data:
                self._transport.write(reply)
                if asked == b"STARTTLS":
                    self._upgrade = asyncio.ensure_future(self._encrypt())
                if asked.endswith(FAREWELLS):
                    self._transport.close()

    async def _encrypt(self) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):  # the client went in the middle of it
            secure = await loop.start_tls(self._transport, self, self._tls, server_side=True)
            self._transport = secure or self._transport


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
    context = server_context(certificate)
    for name, factory, tls in (
        ("tcp", lambda: Accepts(counts), None),
        ("http", lambda: Answers(counts, "http"), None),
        ("https", lambda: Answers(counts, "https"), context),
    ):
        ports[name] = await _listen(factory, "127.0.0.1", tls)
    for name, talk in TALKS.items():
        ports[name] = await _listen(partial(Talks, counts, name, talk, context), "127.0.0.1")
    for name, same in TLS_TALKS.items():
        ports[name] = await _listen(partial(Talks, counts, name, TALKS[same], context), "127.0.0.1", context)
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
