"""BER as LDAP has it (RFC 4511 §5.1, ITU-T X.690): definite lengths, tags of one byte, nothing longer than it says."""

from collections.abc import Iterator

BOOLEAN, INTEGER, OCTETS, ENUMERATED, SEQUENCE = 0x01, 0x02, 0x04, 0x0A, 0x30
LENGTH_BYTES = 4
"""That say a length, at most."""
INTEGER_BYTES = 8


def element(tag: int, *parts: bytes) -> bytes:
    """Return an element with these contents."""
    content = b"".join(parts)
    if len(content) < 0x80:
        return bytes((tag, len(content))) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(number: int, tag: int = INTEGER) -> bytes:
    """Return a number of at least 0."""
    return element(tag, number.to_bytes(number.bit_length() // 8 + 1, "big"))


def text(said: str, tag: int = OCTETS) -> bytes:
    """Return a text in UTF-8."""
    return element(tag, said.encode())


def more_length(first: int) -> int:
    """Return how many bytes of the length follow its first. Raises ValueError for an indefinite one and the absurd."""
    count = first & 0x7F if first & 0x80 else 0
    if (first & 0x80 and not count) or count > LENGTH_BYTES:
        raise ValueError("a length that LDAP does not have")
    return count


def length(first: int, more: bytes) -> int:
    """Return a length from its first byte and those that follow."""
    return int.from_bytes(more, "big") if first & 0x80 else first


def elements(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Give tag and content of each element. Raises ValueError where one is longer than what is there."""
    place = 0
    while place < len(content):
        if place + 2 > len(content):
            raise ValueError("an element without a length")
        tag, first = content[place], content[place + 1]
        begin = place + 2 + more_length(first)
        end = begin + length(first, content[place + 2 : begin])
        if end > len(content):
            raise ValueError("an element that is longer than what is there")
        yield tag, content[begin:end]
        place = end


def number(content: bytes) -> int:
    """Return the number that an INTEGER or ENUMERATED holds. Raises ValueError for an empty or an absurd one."""
    if not 0 < len(content) <= INTEGER_BYTES:
        raise ValueError("a number of no bytes, or of too many")
    return int.from_bytes(content, "big", signed=True)
