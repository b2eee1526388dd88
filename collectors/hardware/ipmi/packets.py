"""RMCP+ packets and IPMI messages: values in, bytes out, and back (IPMI v2.0 sections 13.1.3 to 13.8, 13.27 to 13.32).

What arrives is untrusted: `Keys.open` gives nothing but what the holder of the session's keys has signed and encrypted.
"""

import hashlib
import hmac
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

LARGEST_PACKET = 2_048
"""Bytes taken of one datagram: twice what the longest answer has. A longer one is cut, and so refused."""

RMCP_HEADER = b"\x06\x00\xff\x07"
"""Version 1.0, no acknowledgement asked for, class IPMI (section 13.1.3)."""

RMCP_PLUS = 0x06
OPEN_SESSION, RAKP_1, RAKP_3 = 0x10, 0x12, 0x14
"""Payload types of what we send to log in; that of the answer is one more (table 13-16)."""
IPMI_SEALED = 0xC0
"""Payload type of IPMI messages, encrypted and authenticated."""

HEADER = struct.Struct("<4sBBIIH")
"""RMCP header, authentication type, payload type, session id, session sequence number, payload length (table 13-8)."""

BLOCK = 16
PADS = tuple(bytes(range(1, length + 1)) + bytes([length]) for length in range(BLOCK))
"""Confidentiality trailers: 01h, 02h ... and how many of them (section 13.29)."""

TRAILER = b"\xff\xff\x02\x07"
"""Integrity pad, its length and "next header". Twelve bytes before whole blocks: the pad is always two bytes long."""

SHORTEST_ANSWER = 8
"""Bytes of an IPMI answer without data: addresses, network function, sequence, command, code and checksums."""


class PacketError(Exception):
    """What came is not the packet that it should be; the text says why."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite (table 22-20). ``algorithms`` are authentication, integrity and confidentiality."""

    number: int
    algorithms: tuple[int, int, int]
    digest: str
    code_length: int
    """Bytes of an integrity code, and of the check value of RAKP message 4."""


SUITES: Mapping[int, Suite] = {
    17: Suite(17, (3, 4, 1), "sha256", 16),
    3: Suite(3, (1, 1, 1), "sha1", 12),
}
"""HMAC-SHA256 or HMAC-SHA1, both with AES-CBC-128; best first."""


def plain(kind: int, payload: bytes) -> bytes:
    """Return a packet of the log-in: outside of any session, in the clear."""
    return HEADER.pack(RMCP_HEADER, RMCP_PLUS, kind, 0, 0, len(payload)) + payload


def open_plain(packet: bytes) -> tuple[int, bytes]:
    """Return payload type and payload of a packet of the log-in. Raises PacketError."""
    kind, session, _, payload = unpack(packet)
    if session or kind & IPMI_SEALED:
        raise PacketError("a packet of a session outside of one")
    if HEADER.size + len(payload) != len(packet):
        raise PacketError("a packet with extra bytes")
    return kind, payload


def unpack(packet: bytes) -> tuple[int, int, int, bytes]:
    """Return payload type, session id, session sequence number and payload. Raises PacketError."""
    if len(packet) < HEADER.size:
        raise PacketError("too short for an IPMI packet")
    rmcp, authentication, kind, session, number, length = HEADER.unpack_from(packet)
    # The byte between is the RMCP sequence number: nobody asked for an acknowledgement.
    if rmcp[0] != RMCP_HEADER[0] or rmcp[3] != RMCP_HEADER[3] or authentication != RMCP_PLUS:
        raise PacketError("not an IPMI 2.0 packet")
    payload = packet[HEADER.size : HEADER.size + length]
    if len(payload) != length:
        raise PacketError("a packet cut short")
    return kind, session, number, payload


class Signer:
    """HMAC with one key: its two hashes are begun once, which halves the cost of a code (RFC 2104, section 4)."""

    def __init__(self, key: bytes, digest: str) -> None:
        self._inner, self._outer = hashlib.new(digest), hashlib.new(digest)
        block = key.ljust(self._inner.block_size, b"\0")  # no key of ours is longer than a block
        self._inner.update(bytes(byte ^ 0x36 for byte in block))
        self._outer.update(bytes(byte ^ 0x5C for byte in block))

    def __call__(self, data: bytes) -> bytes:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(data)
        outer.update(inner.digest())
        return outer.digest()


class Keys:
    """The keys of one session.

    K1 and K2 come from constants of 20 bytes whatever the hash: section 13.32 writes them down for HMAC-SHA1, and
    ipmitool, FreeIPMI and BMC firmware kept their length for SHA256.
    """

    def __init__(self, suite: Suite, integrity_key: bytes) -> None:
        k1, k2 = (hmac.digest(integrity_key, bytes([number]) * 20, suite.digest) for number in (1, 2))
        self._sign = Signer(k1, suite.digest)
        self._code_length = suite.code_length
        # One cipher context each way for the whole session: making one costs more than all else in a packet. CBC is
        # chained on from packet to packet; `seal` and `open` say why that changes nothing for the other side.
        cipher = Cipher(AES(k2[:BLOCK]), CBC(os.urandom(BLOCK)))
        self._encrypt, self._decrypt = cipher.encryptor().update, cipher.decryptor().update

    def seal(self, session: int, number: int, message: bytes) -> bytes:
        """Return a packet with an IPMI message, encrypted (section 13.29) and signed (section 13.28.4)."""
        # A random block, encrypted, is a random block: the initialisation vector that the following blocks need.
        payload = self._encrypt(os.urandom(BLOCK) + message + PADS[-(len(message) + 1) % BLOCK])
        packet = HEADER.pack(RMCP_HEADER, RMCP_PLUS, IPMI_SEALED, session, number, len(payload)) + payload + TRAILER
        return packet + self._sign(packet[len(RMCP_HEADER) :])[: self._code_length]

    def open(self, packet: bytes) -> tuple[int, int, bytes]:
        """Return session id, session sequence number and IPMI message. Raises PacketError for all that is none."""
        kind, session, number, payload = unpack(packet)
        if kind != IPMI_SEALED:
            raise PacketError("not a sealed IPMI message")
        signed, code = packet[len(RMCP_HEADER) : -self._code_length], packet[-self._code_length :]
        if not hmac.compare_digest(self._sign(signed)[: self._code_length], code):
            raise PacketError("a wrong integrity code")
        trailer = len(packet) - self._code_length - HEADER.size - len(payload)
        if trailer < 2 or signed[-2] != trailer - 2:
            raise PacketError("an impossible session trailer")
        if len(payload) < 2 * BLOCK or len(payload) % BLOCK:
            raise PacketError("an encrypted payload of an impossible length")
        # The vector comes first: decrypted as if it followed the last packet it is noise, and what follows it is right.
        plain = self._decrypt(payload)
        pad = plain[-1]
        if pad >= BLOCK or plain[-1 - pad :] != PADS[pad]:
            raise PacketError("a payload encrypted with another key")
        return session, number, plain[BLOCK : -1 - pad]


def request(to: int, netfn_lun: int, sender: int, sequence: int, command: int, data: bytes) -> bytes:
    """Return an IPMI request (section 13.8, figure 13-4)."""
    body = bytes((sender, sequence << 2, command)) + data
    return bytes((to, netfn_lun, -(to + netfn_lun) & 0xFF)) + body + bytes((-sum(body) & 0xFF,))
