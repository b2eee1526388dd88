"""RMCP+ packets: headers, integrity and encryption (IPMI 2.0 §13.6, §13.28 to §13.32).

Written apart from the library that the IPMI reader uses: a mistake there must not be answered by the same mistake here.
"""

import hmac
import os
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

AUTH_TYPE_RMCPPLUS = 0x06
HEADER = struct.Struct("<BBIIH")  # authentication type, payload type, session ID, sequence number, payload length
ENCRYPTED = 0x80
AUTHENTICATED = 0x40
NEXT_HEADER = 0x07
AES_BLOCK = 16


class BadPacket(Exception):  # noqa: N818 - traffic from outside, not an error of ours
    """A packet that is not well formed, or not signed and encrypted as its session demands: BMCs drop it."""


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite (IPMI 2.0, table 22-20): all its algorithms follow from its hash."""

    number: int
    digest: str
    algorithms: tuple[int, int, int]
    """Numbers of the authentication, integrity and confidentiality algorithms."""
    code_length: int
    """Bytes that are left of an HMAC in RAKP message 4 and in session trailers."""

    def mac(self, key: bytes, *parts: bytes) -> bytes:
        """Return the whole HMAC of the parts, one after the other."""
        return hmac.digest(key, b"".join(parts), self.digest)


SUITES = {
    3: Suite(3, "sha1", (0x01, 0x01, 0x01), 12),
    17: Suite(17, "sha256", (0x03, 0x04, 0x01), 16),
}


class Keys:
    """What signs and encrypts one session's packets."""

    def __init__(self, suite: Suite, session_integrity_key: bytes) -> None:
        self._suite = suite
        # The constants are 20 bytes long whatever the hash (§13.32), as in every client and BMC tried.
        self._k1 = suite.mac(session_integrity_key, b"\x01" * 20)
        self._k2 = suite.mac(session_integrity_key, b"\x02" * 20)[:AES_BLOCK]

    def sign(self, packet: bytes) -> bytes:
        """Return the authentication code of a packet, from authentication type to next header."""
        return self._suite.mac(self._k1, packet)[: self._suite.code_length]

    def encrypt(self, payload: bytes) -> bytes:
        """Return initialization vector and ciphertext (§13.29)."""
        pad = -(len(payload) + 1) % AES_BLOCK
        padded = payload + bytes(range(1, pad + 1)) + bytes([pad])
        vector = os.urandom(AES_BLOCK)
        encryptor = self._cipher(vector).encryptor()
        return vector + encryptor.update(padded) + encryptor.finalize()

    def decrypt(self, payload: bytes) -> bytes:
        """Return the plain text. Raises BadPacket."""
        if len(payload) < 2 * AES_BLOCK or len(payload) % AES_BLOCK:
            raise BadPacket("not whole blocks")
        decryptor = self._cipher(payload[:AES_BLOCK]).decryptor()
        plain = decryptor.update(payload[AES_BLOCK:]) + decryptor.finalize()
        pad = plain[-1]
        if plain[-pad - 1 : -1] != bytes(range(1, pad + 1)):
            raise BadPacket("wrong confidentiality pad")
        return plain[: -pad - 1]

    def _cipher(self, vector: bytes) -> Cipher[modes.CBC]:
        return Cipher(algorithms.AES(self._k2), modes.CBC(vector))


@dataclass(frozen=True, slots=True)
class Header:
    """What a packet says before its payload."""

    payload_type: int
    encrypted: bool
    authenticated: bool
    session_id: int
    sequence: int
    length: int


def parse_header(packet: bytes) -> Header:
    """Return the session header (§13.6). Raises BadPacket."""
    if len(packet) < HEADER.size:
        raise BadPacket("short header")
    auth_type, kind, session_id, sequence, length = HEADER.unpack_from(packet)
    if auth_type != AUTH_TYPE_RMCPPLUS or HEADER.size + length > len(packet):
        raise BadPacket("not an RMCP+ packet")
    return Header(kind & 0x3F, bool(kind & ENCRYPTED), bool(kind & AUTHENTICATED), session_id, sequence, length)


def unseal(packet: bytes, header: Header, keys: Keys | None) -> bytes:
    """Return the payload, verified and in plain text. Within a session both are demanded. Raises BadPacket."""
    payload = packet[HEADER.size : HEADER.size + header.length]
    if (header.encrypted, header.authenticated) != (keys is not None, keys is not None):
        raise BadPacket("not protected as agreed")
    if keys is None:
        return payload
    # Everything up to the next-header byte is signed; the code fills what is left of the packet (§13.28.4).
    trailer = packet[HEADER.size + header.length :]
    code_length = len(keys.sign(b""))
    code = packet[-code_length:]
    if len(trailer) < code_length + 2 or not hmac.compare_digest(keys.sign(packet[:-code_length]), code):
        raise BadPacket("wrong authentication code")
    return keys.decrypt(payload)


def seal(payload_type: int, payload: bytes, session_id: int, sequence: int, keys: Keys | None) -> bytes:
    """Return a packet; with keys it is encrypted and signed."""
    if keys is None:
        return HEADER.pack(AUTH_TYPE_RMCPPLUS, payload_type, session_id, sequence, len(payload)) + payload
    payload = keys.encrypt(payload)
    kind = payload_type | ENCRYPTED | AUTHENTICATED
    packet = HEADER.pack(AUTH_TYPE_RMCPPLUS, kind, session_id, sequence, len(payload)) + payload
    pad = -(len(packet) + 2) % 4
    packet += b"\xff" * pad + bytes([pad, NEXT_HEADER])
    return packet + keys.sign(packet)
