"""Packets of the client/server protocol of MySQL and MariaDB, as bytes, and what its errors mean.

MySQL Internals, "Client/Server Protocol": "Connection Phase", "Text Protocol"; MariaDB, "Client/Server Protocol". The
codes of errors are those of "Server Error Message Reference".
"""

import hashlib
from dataclasses import dataclass
from enum import IntFlag

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from collectors.failures import (
    CheckFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WrongContent,
)

LONGEST = 64 * 1024
"""Bytes of one packet, at most; the protocol has 16 MB, and more in several."""
NATIVE = "mysql_native_password"
CACHING_SHA2 = "caching_sha2_password"
FULL = b"\x04"
"""More data of caching_sha2_password: it does not know our account's hash yet."""
WANT_KEY = b"\x02"
UTF8MB4 = 45

OK, MORE, LOCAL_FILE, SWITCH, EOF, ERROR = 0x00, 0x01, 0xFB, 0xFE, 0xFE, 0xFF
"""First bytes of answers."""


class Can(IntFlag):
    """Capabilities. ``LOCAL_FILES`` is not among them: we have no files for a server."""

    LONG_PASSWORD = 0x1
    LONG_FLAG = 0x4
    CONNECT_WITH_DB = 0x8
    PROTOCOL_41 = 0x200
    SSL = 0x800
    TRANSACTIONS = 0x2000
    SECURE_CONNECTION = 0x8000
    PLUGIN_AUTH = 0x80000


OURS = Can.LONG_PASSWORD | Can.LONG_FLAG | Can.PROTOCOL_41 | Can.TRANSACTIONS | Can.SECURE_CONNECTION | Can.PLUGIN_AUTH


@dataclass(frozen=True, slots=True)
class Greeting:
    """An initial handshake packet, version 10."""

    version: str
    capabilities: Can
    salt: bytes
    method: str

    @property
    def mariadb(self) -> bool:
        """Whether it says that it is MariaDB (``5.5.5-10.11.2-MariaDB``)."""
        return "mariadb" in self.version.lower()


@dataclass(frozen=True, slots=True)
class Failed:
    """An ERR packet."""

    code: int
    message: str

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def packet(number: int, body: bytes) -> bytes:
    """Return a packet with its number in the exchange."""
    return len(body).to_bytes(3, "little") + bytes((number & 0xFF,)) + body


def greeting(body: bytes) -> Greeting:
    """Return what the server's first packet says. Raises ValueError where it is none of version 10."""
    if body[:1] != b"\x0a":
        raise ValueError("not a greeting of protocol version 10")
    version, end, rest = body[1:].partition(b"\0")
    if not end or len(rest) < 15:
        raise ValueError("a greeting that is too short")
    capabilities = int.from_bytes(rest[13:15], "little")
    salt, method = rest[4:12], b""
    if len(rest) >= 31:
        capabilities |= int.from_bytes(rest[18:20], "little") << 16
        second = max(13, rest[20] - 8)
        salt += rest[31 : 31 + second].removesuffix(b"\0")[:12]
        method = rest[31 + second :].partition(b"\0")[0]
    return Greeting(_text(version), Can(capabilities & _KNOWN), salt, _text(method) or NATIVE)


def switch(body: bytes) -> tuple[str, bytes]:
    """Return the method and the salt of an AuthSwitchRequest. An old server's has neither."""
    method, _, salt = body[1:].partition(b"\0")
    return _text(method) or "mysql_old_password", salt.removesuffix(b"\0")[:20]


def ssl_request(capabilities: Can) -> bytes:
    """Return the body that asks for TLS: a response to the greeting that ends before the user's name."""
    return int(capabilities).to_bytes(4, "little") + LONGEST.to_bytes(4, "little") + bytes((UTF8MB4,)) + bytes(23)


def response(capabilities: Can, username: str, proof: bytes, database: str, method: str) -> bytes:
    """Return the response to the greeting. No text of it holds a NUL."""
    body = ssl_request(capabilities) + username.encode() + b"\0" + bytes((len(proof),)) + proof
    if Can.CONNECT_WITH_DB in capabilities:
        body += database.encode() + b"\0"
    if Can.PLUGIN_AUTH in capabilities:
        body += method.encode() + b"\0"
    return body


def proof(method: str, password: str, salt: bytes) -> bytes | None:
    """Return what shows that we know a password, and does not give it away. None for a method that we do not speak."""
    secret = password.encode()
    if method == NATIVE:
        return _native(secret, salt) if secret else b""
    if method == CACHING_SHA2:
        return _caching_sha2(secret, salt) if secret else b"\0"
    return None


def sealed(password: str, salt: bytes, key: bytes) -> bytes:
    """Return a password that only the server's key opens. Raises ValueError where it is no key."""
    public = serialization.load_pem_public_key(key)
    if not isinstance(public, rsa.RSAPublicKey) or public.key_size > 8192:
        raise ValueError("not an RSA key of at most 8192 bits")
    secret = password.encode() + b"\0"
    masked = bytes(byte ^ salt[place % len(salt)] for place, byte in enumerate(secret))
    # what the protocol asks for; SHA-1 is no weakness in OAEP
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)  # noqa: S303
    return public.encrypt(masked, oaep)


def limits(server: Greeting, seconds: float) -> tuple[str, ...]:
    """Return what keeps a query from writing, from taking long, and from giving many rows."""
    if server.mariadb:
        longest = f"SET SESSION max_statement_time = {max(seconds, 0.001):.3f}"
    else:
        longest = f"SET SESSION max_execution_time = {max(int(seconds * 1000), 1)}"
    return ("SET SESSION TRANSACTION READ ONLY", longest, "SET SESSION sql_select_limit = 1")


def failed(body: bytes) -> Failed:
    """Return what an ERR packet says. Raises ValueError where it is malformed."""
    if len(body) < 3 or body[0] != ERROR:
        raise ValueError("an error without a code")
    text = body[9:] if body[3:4] == b"#" else body[3:]
    return Failed(int.from_bytes(body[1:3], "little"), _text(text))


def is_end(body: bytes) -> bool:
    """Tell whether a packet ends the columns or the rows."""
    return body[:1] == b"\xfe" and len(body) < 9


def column_count(body: bytes) -> int:
    """Return how many columns a result has. Raises ValueError where that is malformed."""
    count, end = _length(body, 0)
    if count is None or end != len(body):
        raise ValueError("not the number of a result's columns")
    return count


def first_column(body: bytes) -> bytes | None:
    """Return the first column of a row, None for NULL. Raises ValueError where it is malformed."""
    length, end = _length(body, 0)
    if length is None:
        return None
    if end + length > len(body):
        raise ValueError("a row whose first column is longer than it is")
    return body[end : end + length]


def meaning(error: Failed, step: str, shown: str) -> CheckFailure:
    """Return the failure that an error is."""
    if error.code in NOT_NOW or "WSREP has not yet prepared" in error.message:  # that is a node outside its cluster
        return Unavailable(step, shown)
    if error.code in REFUSED:
        return Unauthorized(step, shown)
    if error.code in OUR_FAULT:
        return Misconfigured(step, shown)
    if error.code in INTERRUPTED:
        return TimedOut(step, shown)
    if error.code in BROKEN:
        return UnexpectedReply(step, shown)
    return WrongContent(step, shown)


NOT_NOW = frozenset(
    {
        *(1037, 1041, 1135),  # out of memory, out of threads
        *(1040, 1203, 1226),  # too many connections: all, of our account, in this hour
        *(1053, 1077, 1079, 1927, 3032, 3168),  # shutting down, connection killed, offline, not available
        *(1021, 1114),  # disk full, table full
        *range(2002, 2014),  # a router's or proxy's: the server behind it is gone
        *range(9000, 9010),  # ProxySQL's: no server behind it in time
    }
)
REFUSED = frozenset(
    {
        *(1044, 1045, 1698),  # access denied
        1130,  # our host is not allowed to connect
        *(1142, 1143, 1227, 1370),  # no right to read this
        *(1820, 1862, 3118, 3955, 4150, 4151),  # password expired; account locked, also after too many wrong passwords
        1524,  # the account's plugin is not loaded
    }
)
OUR_FAULT = frozenset({1064, 1065, 1129, 1148, 1251, 1290, 1792, 3159, 4166})
"""A query with a mistake, or that writes or asks for a file; 1129: our host is blocked, after too many broken
connections from it; 3159: only TLS is let in."""
INTERRUPTED = frozenset({1205, 1317, 1969, 3024})
"""By the limit that we set, or by somebody; 1205 waited for a lock."""
UNKNOWN = frozenset({1064, 1193})
"""A syntax error, an unknown variable: how an old server answers a limit that it does not have."""
BROKEN = frozenset({1043, 1047, 1156, 1835})
"""The server does not understand us."""

_KNOWN = sum(Can)


def _native(password: bytes, salt: bytes) -> bytes:
    once = hashlib.sha1(password, usedforsecurity=False).digest()
    twice = hashlib.sha1(once, usedforsecurity=False).digest()
    return _xor(once, hashlib.sha1(salt + twice, usedforsecurity=False).digest())


def _caching_sha2(password: bytes, salt: bytes) -> bytes:
    once = hashlib.sha256(password).digest()
    twice = hashlib.sha256(once).digest()
    return _xor(once, hashlib.sha256(twice + salt).digest())


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _length(body: bytes, place: int) -> tuple[int | None, int]:
    """Return a length-encoded number (None for NULL) and where it ends."""
    first = body[place] if place < len(body) else ERROR
    if first < 0xFB:
        return first, place + 1
    if first == 0xFB:
        return None, place + 1
    size = {0xFC: 2, 0xFD: 3, 0xFE: 8}.get(first, 0)
    if not size or place + 1 + size > len(body):
        raise ValueError("not a length")
    return int.from_bytes(body[place + 1 : place + 1 + size], "little"), place + 1 + size


def _text(said: bytes) -> str:
    return said.decode("utf-8", "backslashreplace")
