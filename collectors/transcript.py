"""What was said in one attempt: bounded, escaped, without secrets. Kept as it came, rendered when somebody asks."""

from collections.abc import Callable
from typing import Literal

from collectors.secret import Secret

HIDDEN = b"***"
ROOM = 8 * 1024
"""Bytes kept of one attempt."""
LINES = 200
"""Lines shown of one attempt."""
LONGEST_SECRET = 1024
"""Looked at beyond a cut, so that a secret across it is seen whole and hidden."""

Mark = Literal[">", "<", "*"]
"""Sent, received, remarked."""


class Transcript:
    """The lines of one attempt. ``clock`` gives seconds."""

    __slots__ = ("_began", "_clock", "_entries", "_room", "_secrets")

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._began = clock()
        self._entries: list[tuple[float, Mark, bytes | bytearray | str, int]] = []
        self._room = ROOM
        self._secrets: list[str] = []

    def hide(self, secret: Secret) -> None:
        """Show ``***`` instead of this secret from now on, also where the server repeats it."""
        text = secret.reveal()
        if text and text not in self._secrets:
            self._secrets.append(text)
            self._secrets.sort(key=len, reverse=True)  # the longer first: one may be part of another

    def note(self, mark: Mark, said: bytes | bytearray | str) -> None:
        """Keep a line, or several."""
        if self._room > 0:
            self._entries.append((self._clock(), mark, said[: self._room + LONGEST_SECRET], self._room))
            self._room -= len(said) + 1

    def show(self, said: bytes | bytearray | str, limit: int = 200) -> str:
        """Return what was said as one printable line without secrets, cut to about ``limit`` characters."""
        return _printable(self._hidden(said, limit))

    def lines(self) -> tuple[str, ...]:
        """Return the lines: seconds since the attempt began, sent (>), received (<) or remarked (*), and the text."""
        lines: list[str] = []
        for at, mark, said, room in self._entries:
            prefix = f"{at - self._began:6.3f} {mark} "
            lines += [prefix + line for line in _printable_lines(self._hidden(said, room))]
        if self._room <= 0 or len(lines) > LINES:
            lines[LINES:] = ["..."]
        return tuple(lines)

    def _hidden(self, said: bytes | bytearray | str, limit: int) -> str:
        piece = said[: limit + LONGEST_SECRET]
        text = piece if isinstance(piece, str) else piece.decode("utf-8", "backslashreplace")
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN.decode())
        return text if len(text) <= limit else text[:limit] + "..."


def _printable_lines(text: str) -> list[str]:
    text = text.rstrip("\r\n").replace("\r\n", "\n")
    lines = text.split("\n")
    # one look at all of it: nearly always nothing needs to be escaped
    return lines if text.replace("\n", "").isprintable() else [_printable(line) for line in lines]


def _printable(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
