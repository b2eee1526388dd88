"""Messages of PostgreSQL's protocol 3.0, as bytes, and what its errors mean.

PostgreSQL documentation, "Frontend/Backend Protocol": "Message Formats", "Error and Notice Message Fields"; SQLSTATE
codes are its appendix A.
"""

import hashlib
import struct
from dataclasses import dataclass

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
"""Bytes of one message, at most."""
SSL_REQUEST = struct.pack("!ii", 8, 80877103)
PROTOCOL = 3 << 16
SERVER = frozenset(b"RKSZTDCENAIvs123GHW")
"""First bytes of the messages that a server can send until one copies."""
POOLER_NOT_NOW = ("no more connections allowed", "login has been failing", "cannot connect to server", "timeout")
"""What PgBouncer says when it is full, or when the server behind it is gone."""


@dataclass(frozen=True, slots=True)
class Failed:
    """An ErrorResponse."""

    severity: str
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.severity} {self.code}: {self.message}"


def startup(**parameters: str) -> bytes:
    """Return a StartupMessage. Its names and values hold no NUL."""
    pairs = "".join(f"{name}\0{value}\0" for name, value in parameters.items()).encode() + b"\0"
    return struct.pack("!ii", len(pairs) + 8, PROTOCOL) + pairs


def message(kind: str, body: bytes = b"") -> bytes:
    """Return a message of this type."""
    return kind.encode() + struct.pack("!i", len(body) + 4) + body


def query(statement: str) -> bytes:
    """Return statements that need no parameters, done one after the other."""
    return message("Q", statement.encode() + b"\0")


def one_row(statement: str) -> bytes:
    """Return one statement (several are refused by the server) of which one row is wanted, in text."""
    return b"".join(
        (
            message("P", b"\0" + statement.encode() + b"\0" + struct.pack("!h", 0)),
            message("B", b"\0\0" + struct.pack("!hhh", 0, 0, 0)),
            message("E", b"\0" + struct.pack("!i", 1)),
            message("S"),
        )
    )


def body_length(head: bytes) -> int | None:
    """Return how many bytes follow the first five of a message; None if these are not of one, or of too long a one."""
    length = int.from_bytes(head[1:5], "big") - 4
    return length if head[0] in SERVER and 0 <= length <= LONGEST else None


def failed(body: bytes) -> Failed:
    """Return what an ErrorResponse or NoticeResponse says. Raises ValueError where it is malformed."""
    fields: dict[str, str] = {}
    for field in body.removesuffix(b"\0").split(b"\0"):
        if field:
            fields[chr(field[0])] = field[1:].decode("utf-8", "backslashreplace")
    code = fields.get("C", "")
    if len(code) != 5 or not code.isalnum() or "M" not in fields:
        raise ValueError("an ErrorResponse without code or message")
    return Failed(fields.get("V") or fields.get("S", "ERROR"), code, fields["M"])


def row(body: bytes) -> list[bytes | None]:
    """Return the columns of a DataRow, None for NULL. Raises ValueError where it is malformed."""
    columns: list[bytes | None] = []
    place = 2
    for _ in range(int.from_bytes(body[:2], "big")):
        length = int.from_bytes(body[place : place + 4], "big", signed=True)
        place += 4
        if length < -1 or place + max(length, 0) > len(body):
            raise ValueError("a DataRow whose columns are longer than it is")
        columns.append(None if length < 0 else body[place : place + length])
        place += max(length, 0)
    return columns


def md5_answer(username: str, password: str, salt: bytes) -> str:
    """Return the answer to AuthenticationMD5Password."""
    inner = hashlib.md5((password + username).encode(), usedforsecurity=False).hexdigest()
    return "md5" + hashlib.md5(inner.encode() + salt, usedforsecurity=False).hexdigest()


def unknown_database(error: Failed) -> bool:
    """Tell whether an error says that there is no such database."""
    return error.code == "3D000" or (error.code == "08P01" and error.message.startswith("no such database"))


def meaning(error: Failed, step: str, shown: str) -> CheckFailure:
    """Return the failure that an error is."""
    match error.code:
        case "57014":  # the statement_timeout that we set, or an administrator
            return TimedOut(step, shown)
        case "42501":  # insufficient_privilege: what our account may do
            return Unauthorized(step, shown)
        case "42601" | "25006":  # a syntax error, or a statement that writes
            return Misconfigured(step, shown)
        case "08P01":
            return _pooler(error.message)(step, shown)
    match error.code[:2]:
        case "28":  # invalid authorization specification, invalid password
            return Unauthorized(step, shown)
        case "53" | "57":  # insufficient resources (too many connections), operator intervention (starting up)
            return Unavailable(step, shown)
    return WrongContent(step, shown)


def _pooler(message: str) -> type[CheckFailure]:
    """Return what a protocol violation (08P01) is: PgBouncer has this one code for everything it says itself."""
    if "authentication failed" in message or message.startswith("no such user"):
        return Unauthorized
    if message.startswith("no such database"):
        return WrongContent
    if "statement pooling" in message:  # it has no transactions, and so nothing that only reads
        return Misconfigured
    return Unavailable if any(words in message for words in POOLER_NOT_NOW) else UnexpectedReply
