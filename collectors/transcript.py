"""What was said in one attempt: bounded, escaped, without secrets. Kept as it came, rendered when somebody asks."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Literal, NewType

from collectors.secret import Secret

HIDDEN = b"***"
ROOM = 8 * 1024
"""Bytes kept of one attempt."""
LINES = 200
"""Lines shown of one attempt."""
LONGEST_SECRET = 1024
"""Looked at beyond a cut, so that a secret across it is seen whole and hidden."""
CUT = b"..."

Mark = Literal[">", "<", "*"]
"""Sent, received, remarked."""

_HEAD = Struct("!IcH")
"""Of an entry in a recording: milliseconds since the attempt began, mark, bytes that follow."""


Recording = NewType("Recording", bytes)
"""A transcript without its secrets, rendered only when somebody asks. A fleet keeps two for every check, so that they
are of a type that the garbage collector does not walk through."""

NOTHING = Recording(b"")


def lines_of(recording: Recording) -> tuple[str, ...]:
    """Return the lines: seconds since the attempt began, sent (>), received (<) or remarked (*), and the text."""
    lines: list[str] = []
    for at, mark, said in _entries(recording):
        prefix = f"{at / 1000:6.3f} {mark} "
        lines += [prefix + line for line in _printable_lines(said)] if mark else [CUT.decode()]
    if len(lines) > LINES:
        lines[LINES:] = [CUT.decode()]
    return tuple(lines)


def _entries(recording: Recording) -> Iterator[tuple[int, str, str]]:
    place = 0
    while place < len(recording):
        at, mark, length = _HEAD.unpack_from(recording, place)
        place += _HEAD.size
        yield at, mark.decode().strip(), recording[place : place + length].decode("utf-8", "backslashreplace")
        place += length


class Transcript:
    """The lines of one attempt. ``clock`` gives seconds."""

    __slots__ = ("_began", "_clock", "_entries", "_room", "_secrets")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._entries: list[tuple[float, Mark, bytes | bytearray | str]] = []
        self._room = ROOM
        self._secrets: list[bytes] = []

    def hide(self, secret: Secret) -> None:
        """Show ``***`` instead of this secret from now on, also where the server repeats it."""
        text = secret.reveal().encode("utf-8", "surrogateescape")  # as the environment has what is not UTF-8
        if text and text not in self._secrets:
            self._secrets.append(text)
            self._secrets.sort(key=len, reverse=True)  # the longer first: one may be part of another

    def note(self, mark: Mark, said: bytes | bytearray | str) -> None:
        """Keep a line, or several."""
        if self._room > 0:
            self._entries.append((self._clock(), mark, said[: self._room + LONGEST_SECRET]))
            self._room -= len(said) + 1

    def show(self, said: bytes | bytearray | str, limit: int = 200) -> str:
        """Return what was said as one printable line without secrets, cut to about ``limit`` characters."""
        return _printable(self._hidden(said, limit).decode("utf-8", "backslashreplace"))

    def recording(self, room: int = ROOM) -> Recording:
        """Return what was noted, in about ``room`` bytes: an entry takes half of what is left at most.

        So a long answer leaves some for what was said last, which tells most about a failure.
        """
        parts: list[bytes] = []
        whole = self._room > 0
        for at, mark, said in self._entries:
            if room <= 0:
                whole = False
                break
            piece = self._hidden(said, room // 2)
            parts += (_HEAD.pack(int((at - self._began) * 1000), mark.encode(), len(piece)), piece)
            room -= len(piece) + _HEAD.size
        if not whole:
            parts.append(_HEAD.pack(0, b" ", 0))
        return Recording(b"".join(parts))

    def lines(self) -> tuple[str, ...]:
        """Return the lines of all of it."""
        return lines_of(self.recording())

    def _hidden(self, said: bytes | bytearray | str, limit: int) -> bytes:
        piece = said[: limit + LONGEST_SECRET]
        text = piece.encode("utf-8", "backslashreplace") if isinstance(piece, str) else bytes(piece)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        if len(text) <= limit:
            return text
        while limit and text[limit] & 0xC0 == 0x80:  # within a character of several bytes
            limit -= 1
        return text[:limit] + CUT


def _printable_lines(text: str) -> list[str]:
    text = text.rstrip("\r\n").replace("\r\n", "\n")
    lines = text.split("\n")
    # one look at all of it: nearly always nothing needs to be escaped
    return lines if text.replace("\n", "").isprintable() else [_printable(line) for line in lines]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
