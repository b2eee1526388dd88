"""Whether a v3 answer is signed with our key (RFC 3414 section 6.3.2, RFC 7860 section 4.2.2).

gufo-snmp 0.13 signs what it sends and does not look at the signature of what it receives: whoever can write into the
path could turn *critical* into *normal*. So each datagram is looked at before gufo-snmp reads it, and dropped when it
is not signed. Reports need not be: an agent that rejects our user cannot sign for it; they only ever end a read.
"""

import hmac
import socket
from dataclasses import dataclass, field
from typing import Final

SEQUENCE, INTEGER, OCTETS, REPORT = 0x30, 0x02, 0x04, 0xA8
LENGTHS: Final = {"MD5": 12, "SHA-1": 12, "SHA-224": 16, "SHA-256": 24, "SHA-384": 32, "SHA-512": 48}
"""Octets of the digest that are sent, by hash."""
DIGESTS: Final = {"MD5": "md5", "SHA-1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256"} | {
    "SHA-384": "sha384",
    "SHA-512": "sha512",
}
LARGEST = 65_535


@dataclass(frozen=True, slots=True)
class Signature:
    """How the agent signs: the hash by its name, and the localised key."""

    auth: str
    key: bytes = field(repr=False)

    def is_on(self, datagram: bytes) -> bool:
        """Tell whether this datagram is signed so, or a report in plain text."""
        try:
            at, size, data = places(datagram)
        except ValueError:
            return False
        if data[:1] == bytes([SEQUENCE]) and is_report(data):
            return True
        if size != LENGTHS[self.auth]:
            return False
        unsigned = datagram[:at] + bytes(size) + datagram[at + size :]
        digest = hmac.digest(self.key, unsigned, DIGESTS[self.auth])
        return hmac.compare_digest(digest[:size], datagram[at : at + size])


def places(datagram: bytes) -> tuple[int, int, bytes]:
    """Return where msgAuthenticationParameters begin, their size, and msgData. Raises ValueError."""
    message, end = value(datagram, 0, SEQUENCE)
    if end != len(datagram):
        raise ValueError("more than a message")
    _, at = value(datagram, message, INTEGER)  # msgVersion
    _, at = value(datagram, at, SEQUENCE)  # msgGlobalData
    security, data = value(datagram, at, OCTETS)  # msgSecurityParameters
    at, _ = value(datagram, security, SEQUENCE)
    _, at = value(datagram, at, OCTETS)  # msgAuthoritativeEngineID
    _, at = value(datagram, at, INTEGER)  # msgAuthoritativeEngineBoots
    _, at = value(datagram, at, INTEGER)  # msgAuthoritativeEngineTime
    _, at = value(datagram, at, OCTETS)  # msgUserName
    begin, end = value(datagram, at, OCTETS)
    return begin, end - begin, datagram[data:]


def is_report(scoped: bytes) -> bool:
    """Tell whether a ScopedPDU in plain text holds a report. Raises ValueError."""
    at, _ = value(scoped, 0, SEQUENCE)
    _, at = value(scoped, at, OCTETS)  # contextEngineID
    _, at = value(scoped, at, OCTETS)  # contextName
    return scoped[at : at + 1] == bytes([REPORT])


def value(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the body of the BER value at this place begins and ends. Raises ValueError."""
    if data[at : at + 1] != bytes([tag]) or at + 1 >= len(data):
        raise ValueError(f"no value of type {tag:02x}h")
    size, begin = data[at + 1], at + 2
    if size & 0x80:
        begin += size & 0x7F
        size = int.from_bytes(data[at + 2 : begin], "big")
    if begin + size > len(data):
        raise ValueError("longer than the datagram")
    return begin, begin + size


class Watch:
    """Looks at the datagrams of a socket before anybody reads them; to be closed beside it."""

    def __init__(self, descriptor: int, signature: Signature) -> None:
        self._socket = socket.fromfd(descriptor, socket.AF_INET, socket.SOCK_DGRAM)
        self._signature = signature

    def next_is_signed(self) -> bool:
        """Tell whether the next datagram is signed, and drop it where it is not. Raises OSError."""
        datagram = self._socket.recv(LARGEST, socket.MSG_PEEK)
        if self._signature.is_on(datagram):
            return True
        self._socket.recv(1)
        return False

    def close(self) -> None:
        """Close our own handle."""
        self._socket.close()
