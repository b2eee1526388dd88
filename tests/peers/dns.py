"""Parts of DNS messages, right and wrong, as a server sends them; the checks' own code makes none of them."""

from collections.abc import Sequence

from collectors.dns_message import TYPES

QUESTION = 12
"""Where the question begins."""


def name(text: str) -> bytes:
    """Return a name, not compressed."""
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


def record(owner: bytes, kind: str | int, data: bytes) -> bytes:
    """Return a record of the Internet; ``owner`` is its name as it stands in the message."""
    number = TYPES[kind][0] if isinstance(kind, str) else kind
    return owner + number.to_bytes(2) + b"\0\1" + bytes(4) + len(data).to_bytes(2) + data


def response(asked: bytes, records: Sequence[bytes], *, flags: int = 0x8000, count: int | None = None) -> bytes:
    """Return an answer to a question as it came; ``count`` is what it announces, if that is not what it has."""
    end = asked.index(b"\0", QUESTION) + 5
    counts = b"\0\1" + (len(records) if count is None else count).to_bytes(2) + bytes(4)
    return asked[:2] + flags.to_bytes(2) + counts + asked[QUESTION:end] + b"".join(records)


ZONE = (
    record(b"\xc0\x0c", "A", bytes([192, 0, 2, 1])),
    record(b"\xc0\x0c", "MX", b"\0\x0a" + name("mail.shop.example")),
    record(b"\xc0\x0c", "TXT", b"\x06v=spf1\x05 -all"),
    record(b"\xc0\x0c", "SOA", name("ns1.example") + name("mail.example") + bytes(20)),
    record(name("a.example"), "CNAME", b"\xc0\x0c"),
)
"""Records of all kinds for ``shop.example``."""
