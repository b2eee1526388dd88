"""An SNMP agent whose every answer is scripted: what snmpd never does (RFC 1157, RFC 3416; v1 and v2c only).

It serves a tree of encoded values, can leave out what real agents leave out, and counts what it is asked.
"""

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, cast

Oid = tuple[int, ...]

INTEGER, OCTETS, NULL, OBJECT, SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
ADDRESS, COUNTER, GAUGE, TICKS, COUNTER_64 = 0x40, 0x41, 0x42, 0x43, 0x46
NO_SUCH_INSTANCE, END_OF_MIB = b"\x81\x00", b"\x82\x00"
GET, GET_NEXT, RESPONSE, SET, GET_BULK = 0xA0, 0xA1, 0xA2, 0xA3, 0xA5
TOO_BIG, NO_SUCH_NAME, GEN_ERR = 1, 2, 5
V1 = 0

RECORDED = {"2": INTEGER, "65": COUNTER, "66": GAUGE, "67": TICKS, "70": COUNTER_64}
"""Tags of snmprec files (X.690 and RFC 2578, in decimal)."""


def encoded(tag: int, body: bytes) -> bytes:
    """Return a BER value: tag, length, body."""
    size = len(body)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    return bytes([tag]) + length + body


def integer(number: int, tag: int = INTEGER) -> bytes:
    """Return an encoded whole number."""
    return encoded(tag, number.to_bytes(number.bit_length() // 8 + 1, "big", signed=True))


def text(value: str | bytes) -> bytes:
    """Return an encoded octet string."""
    return encoded(OCTETS, value if isinstance(value, bytes) else value.encode())


def oid(value: str) -> bytes:
    """Return an encoded object identifier."""
    return encoded(OBJECT, packed(numbers(value)))


def numbers(value: str) -> Oid:
    """Return an OID's numbers."""
    return tuple(int(number) for number in value.strip(".").split("."))


def packed(value: Oid) -> bytes:
    """Return the body of an encoded OID."""
    body = bytearray([value[0] * 40 + value[1]])
    for number in value[2:]:
        parts = [number & 0x7F]
        while number := number >> 7:
            parts.append(0x80 | number & 0x7F)
        body += bytes(reversed(parts))
    return bytes(body)


def unpacked(body: bytes) -> Oid:
    """Return the numbers of an OID's body."""
    found, number = [*divmod(body[0], 40)], 0
    for byte in body[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            found.append(number)
            number = 0
    return tuple(found)


def parse(data: bytes) -> tuple[int, bytes, bytes]:
    """Return tag and body of the first value, and what follows."""
    size, at = data[1], 2
    if size & 0x80:
        at += size & 0x7F
        size = int.from_bytes(data[2:at], "big")
    return data[0], data[at : at + size], data[at + size :]


def parts(body: bytes) -> list[tuple[int, bytes]]:
    """Return all values in a body."""
    found = []
    while body:
        tag, value, body = parse(body)
        found.append((tag, value))
    return found


def recorded(file: Path) -> dict[str, bytes]:
    """Return the tree of a recording: an snmprec file of snmpsim, or the text of ``snmpwalk -On``."""
    walk = file.suffix == ".snmpwalk"
    lines = file.read_text("utf-8", "replace").splitlines()
    found = (_walked(line) if walk else _recorded(line) for line in lines)
    return dict(pair for pair in found if pair is not None)


def _recorded(line: str) -> tuple[str, bytes] | None:
    name, _, rest = line.partition("|")
    kind, separator, value = rest.partition("|")
    if not separator:
        return None
    if kind in RECORDED:
        return name, integer(int(value), RECORDED[kind])
    if kind == "6":
        return name, oid(value)
    return name, text(bytes.fromhex(value) if kind == "4x" else value)


def _walked(line: str) -> tuple[str, bytes] | None:
    name, separator, said = line.partition(" = ")
    kind, _, value = said.partition(": ")
    if not separator or not name.startswith("."):
        return None
    if kind in {"INTEGER", "Gauge32", "Counter32", "Timeticks"}:
        return name[1:], integer(int(value), GAUGE if kind == "Gauge32" else INTEGER)
    return name[1:], text(value.strip().strip('"'))


def decoded(tlv: bytes) -> int | str | bytes:
    """Return what a client makes of an encoded value."""
    tag, body, _ = parse(tlv)
    if tag == OCTETS:
        return body
    if tag == OBJECT:
        return ".".join(map(str, unpacked(body)))
    return int.from_bytes(body, "big", signed=True)


@dataclass
class Asked:
    """One request."""

    version: int
    kind: int
    request: bytes
    names: list[Oid]
    repetitions: int


Answer = Callable[[Asked], bytes | None]


@dataclass
class SnmpAgent(asyncio.DatagramProtocol):
    """One agent: an asynchronous context manager that has a port while it is open.

    ``silent`` are subtrees for which it gives no answer at all, ``mute_bulk`` and ``failing_bulk`` say how it does not
    know GETBULK, ``most`` is how many values it puts into one answer (more are "too big"; GETBULK's are cut), ``loop``
    is a subtree in which the next object is always its first. ``script`` may answer a request itself: with the bytes
    of the datagram, or None for the agent's own answer.
    """

    tree: Mapping[str, bytes] = field(default_factory=dict)
    community: str = "public"
    silent: tuple[str, ...] = ()
    mute_bulk: bool = False
    failing_bulk: bool = False
    most: int = 1000
    loop: str = ""
    script: Answer | None = None
    port: int = 0
    counts: Counter[int] = field(default_factory=Counter)
    values: int = 0
    asked: list[Asked] = field(default_factory=list)
    peers: set[tuple[str, int]] = field(default_factory=set)

    async def __aenter__(self) -> Self:
        self.serve(self.tree)
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    def serve(self, tree: Mapping[str, bytes]) -> None:
        """Serve another tree from now on."""
        self.tree = tree
        self._values = {numbers(name): value for name, value in tree.items()}
        self._order = sorted(self._values)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        asked = self._parse(data)
        if asked is None:
            return
        self.peers.add(addr)
        self.counts[asked.kind] += 1
        self.asked.append(asked)
        answer = self.script(asked) if self.script else None
        if answer is None:
            answer = self.answer(asked)
        if answer:
            self._transport.sendto(answer, addr)

    def _parse(self, data: bytes) -> Asked | None:
        version, community, pdu = parts(parse(data)[1])
        if community[1].decode() != self.community:
            return None
        request, _, repetitions, bindings = parts(pdu[1])
        names = [unpacked(parts(binding)[0][1]) for _, binding in parts(bindings[1])]
        many = int.from_bytes(repetitions[1], "big")
        return Asked(int.from_bytes(version[1], "big"), pdu[0], request[1], names, many)

    def answer(self, asked: Asked) -> bytes | None:
        """Return the datagram that this agent answers, None where it is silent."""
        if any(name[: len(quiet)] == quiet for quiet in map(numbers, self.silent) for name in asked.names):
            return None
        if asked.kind == GET_BULK:
            if self.mute_bulk or asked.version == V1:
                return None
            if self.failing_bulk:
                return self.reply(asked, [], error=GEN_ERR)
            return self.reply(asked, self._bulk(asked))
        if asked.kind == GET:
            found = [(name, self._values.get(name, NO_SUCH_INSTANCE)) for name in asked.names]
        else:
            found = [self._after(name) for name in asked.names]
        if len(found) > self.most:
            return self.reply(asked, [], error=TOO_BIG)
        missing = next((at for at, (_, value) in enumerate(found, 1) if value in {NO_SUCH_INSTANCE, END_OF_MIB}), 0)
        if asked.version == V1 and missing:
            nothing = [(name, b"\x05\x00") for name in asked.names]
            return self.reply(asked, nothing, error=NO_SUCH_NAME, index=missing)
        return self.reply(asked, found)

    def _bulk(self, asked: Asked) -> list[tuple[Oid, bytes]]:
        found: list[tuple[Oid, bytes]] = []
        name = asked.names[0]
        while len(found) < min(asked.repetitions, self.most):
            found.append(self._after(name))
            name = found[-1][0]
            if found[-1][1] == END_OF_MIB:
                break
        return found

    def _after(self, name: Oid) -> tuple[Oid, bytes]:
        subtree = numbers(self.loop) if self.loop else None
        at = bisect_right(self._order, name)
        if subtree and name[: len(subtree)] == subtree and name != subtree:
            at = bisect_right(self._order, subtree)
        if at == len(self._order):
            return name, END_OF_MIB
        return self._order[at], self._values[self._order[at]]

    def reply(self, asked: Asked, found: Iterable[tuple[Oid, bytes]], error: int = 0, index: int = 0) -> bytes:
        """Return a response with these values."""
        bindings = [encoded(SEQUENCE, encoded(OBJECT, packed(name)) + value) for name, value in found]
        self.values += len(bindings)
        return self.raw_reply(asked, b"".join(bindings), error, index)

    def raw_reply(self, asked: Asked, bindings: bytes, error: int = 0, index: int = 0) -> bytes:
        """Return a response with these bytes as its list of values."""
        head = encoded(INTEGER, asked.request) + integer(error) + integer(index)
        pdu = encoded(RESPONSE, head + encoded(SEQUENCE, bindings))
        return encoded(SEQUENCE, integer(asked.version) + text(self.community) + pdu)
