"""An SNMP agent inside this process: SNMPv2c over UDP, Get, GetNext and GetBulk of whatever objects it is given.

RFC 1901 (message), RFC 3416 (operations), X.690 (encoding). Written apart from the libraries that the SNMP reader and
the receiver of traps use, as the demo's BMC is (docs/decisions/0005-embedded-demo.md). It never sets anything.
"""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from enum import IntEnum

Oid = tuple[int, ...]
Value = int | str | bytes | Oid
"""A whole number, text, octets, or the name of an object."""

INTEGER, OCTETS, OBJECT, SEQUENCE = 0x02, 0x04, 0x06, 0x30
NO_SUCH_OBJECT, END_OF_MIB = b"\x80\x00", b"\x82\x00"
TOO_BIG = 1
VERSION_2C = 1
LARGEST = 1_400
"""Bytes of an answer: a GetBulk is cut to it, as real agents do."""


class Kind(IntEnum):
    """Operations (RFC 3416 section 3)."""

    GET = 0xA0
    GET_NEXT = 0xA1
    RESPONSE = 0xA2
    GET_BULK = 0xA5


def oid(text: str) -> Oid:
    """Return a name as numbers."""
    return tuple(map(int, text.split(".")))


def encoded(tag: int, body: bytes) -> bytes:
    """Return tag, length and body."""
    size = len(body)
    if size < 0x80:
        return bytes([tag, size]) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + body


def encoded_integer(value: int) -> bytes:
    """Return a whole number."""
    return encoded(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def encoded_oid(name: Oid) -> bytes:
    """Return a name: its first two numbers share a byte, the others have seven bits in each."""
    body = bytearray([name[0] * 40 + name[1]])
    for number in name[2:]:
        septets = [number & 0x7F]
        while number := number >> 7:
            septets.append(0x80 | number & 0x7F)
        body += bytes(reversed(septets))
    return encoded(OBJECT, bytes(body))


def encoded_value(value: Value) -> bytes:
    """Return a value as its type is written."""
    match value:
        case int():
            return encoded_integer(value)
        case str():
            return encoded(OCTETS, value.encode())
        case bytes():
            return encoded(OCTETS, value)
        case _:
            return encoded_oid(value)


def decoded(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tag and body of each value in ``data``. Raises ValueError where they do not fit into it."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise ValueError("cut off")
        tag, size = data[at], data[at + 1]
        at += 2
        if size & 0x80:
            count = size & 0x7F
            size = int.from_bytes(data[at : at + count], "big")
            at += count
        if at + size > len(data):
            raise ValueError("cut off")
        yield tag, data[at : at + size]
        at += size


def decoded_oid(body: bytes) -> Oid:
    """Return a name. Raises ValueError for an empty one."""
    if not body:
        raise ValueError("no name")
    name, number = [min(body[0] // 40, 2)], 0
    name.append(body[0] - 40 * name[0])
    for byte in body[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            name.append(number)
            number = 0
    return tuple(name)


class SnmpAgent(asyncio.DatagramProtocol):
    """One agent. `serve` gives it its objects, at any time; ``silent`` makes it answer nothing at all."""

    def __init__(self, community: str) -> None:
        self.silent = False
        self.requests = 0
        self.port = 0
        self._community = community.encode()
        self._objects: dict[Oid, Value] = {}
        self._order: list[Oid] = []
        self._transport: asyncio.DatagramTransport | None = None

    def serve(self, objects: Mapping[Oid, Value]) -> None:
        """Have these objects from now on."""
        self._objects = dict(objects)
        self._order = sorted(self._objects)

    async def start(self, host: str) -> None:
        """Answer on a free port. Raises OSError."""
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(host, 0))
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def stop(self) -> None:
        """Give the port back."""
        if self._transport:
            self._transport.close()
            self._transport = None

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one request. What is none, or not for this community, is dropped (RFC 3416 section 4)."""
        if self.silent or self._transport is None:
            return
        with contextlib.suppress(ValueError, IndexError):
            if answer := self._answer(data):
                self.requests += 1
                self._transport.sendto(answer, addr)

    def _answer(self, data: bytes) -> bytes:
        [(_, message)] = decoded(data)
        (_, version), (_, community), (kind, pdu) = decoded(message)
        if int.from_bytes(version, "big") != VERSION_2C or community != self._community:
            return b""
        (_, request), (_, first), (_, second), (_, bindings) = decoded(pdu)
        names = [decoded_oid(next(decoded(binding))[1]) for _, binding in decoded(bindings)]
        match kind:
            case Kind.GET:
                found = [self._binding(name, self._objects.get(name)) for name in names]
            case Kind.GET_NEXT:
                found = [self._next(name)[1] for name in names]
            case Kind.GET_BULK:
                found = self._bulk(names, int.from_bytes(first, "big"), int.from_bytes(second, "big"))
            case _:
                return b""
        if sum(map(len, found)) > LARGEST:
            return self._message(request, encoded_integer(TOO_BIG), [])
        return self._message(request, encoded_integer(0), found)

    def _bulk(self, names: list[Oid], once: int, repetitions: int) -> list[bytes]:
        """Repeat GetNext for all names but the first ``once``, as long as there is room (RFC 3416 section 4.2.3)."""
        found = [self._next(name)[1] for name in names[:once]]
        names = names[once:]
        room = LARGEST - sum(map(len, found))
        for _ in range(repetitions):
            steps = [self._next(name) for name in names]
            names = [name for name, _ in steps]
            for _, binding in steps:
                if (room := room - len(binding)) < 0:
                    return found
                found.append(binding)
            if all(binding.endswith(END_OF_MIB) for _, binding in steps):
                break
        return found

    def _next(self, name: Oid) -> tuple[Oid, bytes]:
        at = bisect_right(self._order, name)
        if at == len(self._order):
            return name, encoded(SEQUENCE, encoded_oid(name) + END_OF_MIB)
        after = self._order[at]
        return after, self._binding(after, self._objects[after])

    def _binding(self, name: Oid, value: Value | None) -> bytes:
        return encoded(SEQUENCE, encoded_oid(name) + (NO_SUCH_OBJECT if value is None else encoded_value(value)))

    def _message(self, request: bytes, status: bytes, bindings: list[bytes]) -> bytes:
        head = encoded(INTEGER, request) + status + encoded_integer(0)
        pdu = encoded(Kind.RESPONSE, head + encoded(SEQUENCE, b"".join(bindings)))
        return encoded(SEQUENCE, encoded_integer(VERSION_2C) + encoded(OCTETS, self._community) + pdu)
