"""Messages of LDAP as bytes (RFC 4511), filters of searches (RFC 4515), what results mean (RFC 4511, appendix A)."""

import re
from dataclasses import dataclass

from collectors import ber
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
BIND, BOUND, UNBIND = 0x60, 0x61, 0x42
SEARCH, ENTRY, DONE, REFERENCE = 0x63, 0x64, 0x65, 0x73
EXTENDED, EXTENDED_DONE = 0x77, 0x78
START_TLS = "1.3.6.1.4.1.1466.20037"
SCOPES = {"base": 0, "one": 1, "sub": 2}
NO_ATTRIBUTES = "1.1"
"""§4.5.1.8: the entries' names suffice."""
FILTER_DEPTH = 10

SUCCESS, SIZE_LIMIT, NO_OBJECT, BUSY = 0, 4, 32, 51


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the server: to which of ours, and the operation's tag and content."""

    number: int
    kind: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """An LDAPResult."""

    code: int
    text: str

    def __str__(self) -> str:
        name = NAMES.get(self.code, "")
        return " ".join(word for word in (str(self.code), name, self.text) if word)


def message(number: int, operation: bytes) -> bytes:
    """Return a message."""
    return ber.element(ber.SEQUENCE, ber.integer(number), operation)


def bind(name: str, password_length: int) -> bytes:
    """Return a BindRequest (§4.2) for a simple log-in that ends with as many NULs as the password has bytes."""
    return ber.element(BIND, ber.integer(3), ber.text(name), ber.element(0x80, bytes(password_length)))


def search(base: str, scope: str, wanted: bytes, seconds: int) -> bytes:
    """Return a SearchRequest (§4.5.1) for one entry, its name only."""
    return ber.element(
        SEARCH,
        ber.text(base),
        ber.integer(SCOPES[scope], ber.ENUMERATED),
        ber.integer(0, ber.ENUMERATED),
        ber.integer(1),
        ber.integer(seconds),
        ber.element(ber.BOOLEAN, b"\xff"),
        wanted,
        ber.element(ber.SEQUENCE, ber.text(NO_ATTRIBUTES)),
    )


def extended(name: str) -> bytes:
    """Return an ExtendedRequest (§4.12)."""
    return ber.element(EXTENDED, ber.text(name, 0x80))


def parsed(content: bytes) -> Message:
    """Return the message in a sequence's content. Raises ValueError where it is none."""
    parts = list(ber.elements(content))
    if len(parts) not in (2, 3) or parts[0][0] != ber.INTEGER:
        raise ValueError("not an LDAP message")
    return Message(ber.number(parts[0][1]), *parts[1])


def result(content: bytes) -> Result:
    """Return what the answer to an operation says (§4.1.9). Raises ValueError where it is none."""
    match list(ber.elements(content)):
        case [(ber.ENUMERATED, code), (ber.OCTETS, _), (ber.OCTETS, text), *_]:
            return Result(ber.number(code), text.rstrip(b"\0").decode("utf-8", "backslashreplace"))
    raise ValueError("not an LDAP result")


def meaning(said: Result, step: str, shown: str) -> CheckFailure:
    """Return the failure that a result is."""
    match said.code:
        case 7 | 14 | 48 | 49 | 50:
            return Unauthorized(step, shown)
        case 1 if "bind" in said.text.lower():  # Active Directory's way to ask for a log-in
            return Unauthorized(step, shown)
        case 51 | 52 | 53:
            return Unavailable(step, shown)
        case 3:
            return TimedOut(step, shown)
        case 2:
            return UnexpectedReply(step, shown)
        case 8 | 13 | 17 | 18 | 34:  # it wants TLS or a stronger log-in; a search with a mistake
            return Misconfigured(step, shown)
    return WrongContent(step, shown)


NAMES = {
    0: "success",
    1: "operationsError",
    2: "protocolError",
    3: "timeLimitExceeded",
    4: "sizeLimitExceeded",
    7: "authMethodNotSupported",
    8: "strongerAuthRequired",
    10: "referral",
    11: "adminLimitExceeded",
    13: "confidentialityRequired",
    32: "noSuchObject",
    34: "invalidDNSyntax",
    48: "inappropriateAuthentication",
    49: "invalidCredentials",
    50: "insufficientAccessRights",
    51: "busy",
    52: "unavailable",
    53: "unwillingToPerform",
    80: "other",
}

_ITEM = re.compile(r"([A-Za-z0-9.;-]+)(=|>=|<=|~=)([^()]*)")
_ESCAPED = re.compile(r"\\(?:([0-9A-Fa-f]{2})|(.?))", re.DOTALL)
_COMPARES = {"=": 0xA3, ">=": 0xA5, "<=": 0xA6, "~=": 0xA8}


def filter_of(said: str) -> bytes:
    """Return a filter, given as text (RFC 4515 §3). Raises ValueError where it is none; extensible matches are none."""
    wanted, end = _filter(said, 0, FILTER_DEPTH)
    if end != len(said):
        raise ValueError(f"has something after its end: {said[end:]}")
    return wanted


def _filter(said: str, place: int, depth: int) -> tuple[bytes, int]:
    if said[place : place + 1] != "(":
        raise ValueError(f'must have a "(" at character {place + 1}')
    if not depth:
        raise ValueError(f"is nested more than {FILTER_DEPTH} deep")
    kind = said[place + 1 : place + 2]
    parts: list[bytes] = []
    if kind in ("&", "|", "!"):
        place += 2
        while said[place : place + 1] == "(":
            part, place = _filter(said, place, depth - 1)
            parts.append(part)
        if not parts or (kind == "!" and len(parts) != 1):
            raise ValueError(f"has a {kind} with the wrong number of filters")
        wanted = ber.element({"&": 0xA0, "|": 0xA1, "!": 0xA2}[kind], *parts)
    else:
        match = _ITEM.match(said, place + 1)
        if match is None:
            raise ValueError(f"has no attribute=value at character {place + 2}")
        wanted, place = _item(match[1], match[2], match[3]), match.end()
    if said[place : place + 1] != ")":
        raise ValueError(f'must have a ")" at character {place + 1}')
    return wanted, place + 1


def _item(attribute: str, compares: str, value: str) -> bytes:
    if compares == "=" and value == "*":
        return ber.text(attribute, 0x87)
    pieces = [_unescaped(piece) for piece in value.split("*")]
    if len(pieces) == 1:
        return ber.element(_COMPARES[compares], ber.text(attribute), ber.element(ber.OCTETS, pieces[0]))
    if compares != "=":
        raise ValueError(f"has a * after {compares}")
    substrings = [
        ber.element(0x80 if number == 0 else 0x82 if number == len(pieces) - 1 else 0x81, piece)
        for number, piece in enumerate(pieces)
        if piece
    ]
    if not substrings:
        raise ValueError("has ** for a value")
    return ber.element(0xA4, ber.text(attribute), ber.element(ber.SEQUENCE, *substrings))


def _unescaped(value: str) -> bytes:
    parts: list[bytes] = []
    end = 0
    for escape in _ESCAPED.finditer(value):
        if escape[1] is None:
            raise ValueError(r"has a \ without two hexadecimal digits")
        parts += (value[end : escape.start()].encode(), bytes.fromhex(escape[1]))
        end = escape.end()
    return b"".join((*parts, value[end:].encode()))
