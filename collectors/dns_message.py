"""DNS messages (RFC 1035 §4): a question as bytes, and the answer's records as the text a zone file has.

Pure parsing of hostile bytes. Whatever they are, the result is a Message or Malformed: a compressed name only ever
points backwards (§4.1.4) and is at most 255 bytes long (§2.3.4), and no count is believed.
"""

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass

RECORDS_READ = 500
"""Answer records looked at, at most."""
HEADER = 12
LONGEST_NAME = 255
IN = 1
POINTER = 0b1100_0000
QR, OPCODE, AA, TC, RD = 0x8000, 0x7800, 0x0400, 0x0200, 0x0100
OPT = 41
UDP_SIZE = 1232
"""Bytes of an answer over UDP that we accept (EDNS0, RFC 6891 §6.2.3): what passes every path without fragments."""

RCODES = {0: "NOERROR", 1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}

_LABEL = re.compile(r"[A-Za-z0-9_*/-]{1,63}")
_UNSAFE = re.compile(rb'[^!-~]|[.\\"]')


class Malformed(ValueError):  # noqa: N818 - a fact about them, no error of ours
    """These bytes are no DNS message."""


class Reader:
    """Reads a message from ``place`` on."""

    def __init__(self, data: bytes, place: int = 0) -> None:
        self.data = data
        self.place = place
        self.end = len(data)
        """Where the part that is being read ends."""

    def take(self, count: int) -> bytes:
        """Return the next bytes."""
        taken = self.data[self.place : self.place + count]
        self.place += count
        if self.place > self.end:
            raise Malformed("it ends in the middle of a field")
        return taken

    def number(self, size: int) -> int:
        """Return the next number of so many bytes."""
        return int.from_bytes(self.take(size))

    def name(self) -> str:
        """Return the next name, in lower case and with its last dot."""
        labels: list[bytes] = []
        place = lowest = self.place
        after = 0
        size = 1
        while (length := self._octet(place)) != 0:
            if length >= POINTER:
                after = after or place + 2
                place = (length & ~POINTER) << 8 | self._octet(place + 1)
                if place >= lowest:
                    raise Malformed("a compressed name does not point backwards")
                lowest = place
                continue
            size += 1 + length
            if length >= 64 or size > LONGEST_NAME:
                raise Malformed("a name is too long" if length < 64 else "a label of unknown type")
            labels.append(self.data[place + 1 : place + 1 + length])
            place += 1 + length
        self.place = after or place + 1
        if self.place > self.end:
            raise Malformed("it ends in the middle of a name")
        return ("".join(f"{_escaped(label)}." for label in labels) or ".").lower()

    def strings(self) -> str:
        """Return the character strings (§3.3) up to the end of the part, joined."""
        said = b""
        while self.place < self.end:
            said += self.take(self.number(1))
        return said.decode("utf-8", "backslashreplace")

    def rest(self) -> str:
        """Return what is left of the part."""
        return self.take(self.end - self.place).decode("utf-8", "backslashreplace")

    def _octet(self, place: int) -> int:
        if place >= len(self.data):
            raise Malformed("it ends in the middle of a name")
        return self.data[place]


def tidy_name(text: str) -> str:
    """Return a name as `Reader.name` gives it. Raises ValueError with a sentence."""
    labels = [] if text == "." else text.removesuffix(".").split(".")
    if not all(map(_LABEL.fullmatch, labels)) or sum(len(label) + 1 for label in labels) >= LONGEST_NAME:
        raise ValueError(f"{text!r} is not a DNS name: write an international one in its xn-- form")
    return "".join(f"{label.lower()}." for label in labels) or "."


def _number(text: str) -> str:
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{text!r} is not a number")
    return str(int(text))


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: read from a message, and brought into the same form from the configuration."""

    read: Callable[[Reader], str]
    tidy: Callable[[str], str]


NAME = Field(Reader.name, tidy_name)
NUMBER8 = Field(lambda reader: str(reader.number(1)), _number)
NUMBER16 = Field(lambda reader: str(reader.number(2)), _number)
NUMBER32 = Field(lambda reader: str(reader.number(4)), _number)
IPV4 = Field(lambda reader: str(ipaddress.IPv4Address(reader.take(4))), lambda text: str(ipaddress.IPv4Address(text)))
IPV6 = Field(lambda reader: str(ipaddress.IPv6Address(reader.take(16))), lambda text: str(ipaddress.IPv6Address(text)))
TEXT = Field(Reader.strings, str)
WORD = Field(lambda reader: reader.take(reader.number(1)).decode("ascii", "backslashreplace").lower(), str.lower)
REST = Field(Reader.rest, lambda text: text.strip('"'))

TYPES: dict[str, tuple[int, tuple[Field, ...]]] = {
    "A": (1, (IPV4,)),
    "NS": (2, (NAME,)),
    "CNAME": (5, (NAME,)),
    "SOA": (6, (NAME, NAME, NUMBER32, NUMBER32, NUMBER32, NUMBER32, NUMBER32)),
    "PTR": (12, (NAME,)),
    "MX": (15, (NUMBER16, NAME)),
    "TXT": (16, (TEXT,)),
    "AAAA": (28, (IPV6,)),
    "SRV": (33, (NUMBER16, NUMBER16, NUMBER16, NAME)),
    "CAA": (257, (NUMBER8, WORD, REST)),
}
"""The types of records that can be asked for: their number and their fields (RFC 1035 §3.3, 3596, 2782, 8659)."""
NAMES = {number: name for name, (number, _) in TYPES.items()}


def tidy(kind: str, text: str) -> str:
    """Return a record's data as `parse` would. Raises ValueError with a sentence."""
    fields = TYPES[kind][1]
    words = text.split(None, len(fields) - 1) if len(fields) > 1 else [text]
    if len(words) != len(fields):
        raise ValueError(f"{text!r} is not the data of {kind}: it has {len(fields)} fields")
    return " ".join(field.tidy(word) for field, word in zip(fields, words, strict=True))


@dataclass(frozen=True, slots=True)
class Record:
    """One record of an answer. ``kind`` is a name of TYPES."""

    name: str
    kind: str
    data: str


@dataclass(frozen=True, slots=True)
class Message:
    """What a server answered."""

    rcode: str
    authoritative: bool
    truncated: bool
    answers: tuple[Record, ...]
    """Those of the types that we know."""

    def records(self, name: str, kind: str) -> tuple[str, ...]:
        """Return the data of a name's records, also when CNAMEs lead to them (RFC 1034 §3.6.2)."""
        aliases = {record.name: record.data for record in self.answers if record.kind == "CNAME"}
        while kind != "CNAME" and name in aliases:
            name = aliases.pop(name)  # taken out: a chain that bites its tail ends, too
        return tuple(record.data for record in self.answers if record.name == name and record.kind == kind)


def question(number: int, name: str, kind: str, *, recursion: bool, edns: bool) -> bytes:
    """Return a query for the records of a name, tidied before. ``edns`` accepts answers of UDP_SIZE bytes."""
    header = b"".join(field.to_bytes(2) for field in (number, RD if recursion else 0, 1, 0, 0, int(edns)))
    opt = b"\0" + b"".join(field.to_bytes(2) for field in (OPT, UDP_SIZE, 0, 0, 0)) if edns else b""
    return header + _asked(name, kind) + opt


def answers(data: bytes, number: int, name: str, kind: str) -> bool:
    """Tell whether a message answers this question and nobody else's (RFC 5452 §9.1): its number, name and type.

    A server that understood nothing need not repeat the question.
    """
    if len(data) < HEADER or int.from_bytes(data[:2]) != number:
        return False
    flags, questions = int.from_bytes(data[2:4]), int.from_bytes(data[4:6])
    if not flags & QR or flags & OPCODE:
        return False
    if questions == 0:
        return _rcode(flags) in ("FORMERR", "NOTIMP")
    asked = _asked(name, kind)
    return questions == 1 and data[HEADER : HEADER + len(asked)].lower() == asked.lower()


def parse(data: bytes) -> Message:
    """Return a message. Raises Malformed."""
    reader = Reader(data)
    _, flags, questions, count = (reader.number(2) for _ in range(4))
    reader.take(4)
    for _ in range(min(questions, 2)):
        reader.name()
        reader.take(4)
    found: list[Record] = []
    if count > RECORDS_READ:
        raise Malformed(f"it announces more than {RECORDS_READ} records")
    for _ in range(count):
        if flags & TC and reader.place >= len(data):
            break  # cut between two records
        name, number, of_class = reader.name(), reader.number(2), reader.number(2)
        reader.take(4)
        size = reader.number(2)
        if size > len(data) - reader.place:
            raise Malformed("a record is longer than the message")
        end = reader.place + size
        if number in NAMES and of_class == IN:
            found.append(Record(name, NAMES[number], _data(data, reader.place, end, number)))
        reader.place = end
    return Message(_rcode(flags), bool(flags & AA), bool(flags & TC), tuple(found))


def _data(data: bytes, place: int, end: int, number: int) -> str:
    reader = Reader(data, place)
    reader.end = end
    said = " ".join(field.read(reader) for field in TYPES[NAMES[number]][1])
    if reader.place != end:
        raise Malformed(f"a record of type {NAMES[number]} is too long")
    return said


def _rcode(flags: int) -> str:
    return RCODES.get(flags & 15, f"RCODE {flags & 15}")


def _asked(name: str, kind: str) -> bytes:
    labels = [label.encode() for label in name.split(".") if label]
    wire = b"".join(bytes([len(label)]) + label for label in labels)
    return wire + b"\0" + TYPES[kind][0].to_bytes(2) + IN.to_bytes(2)


def _escaped(label: bytes) -> str:
    """Return a label as RFC 1035 §5.1 writes it."""
    return _UNSAFE.sub(lambda found: b"\\%03d" % found[0][0], label).decode("ascii")
