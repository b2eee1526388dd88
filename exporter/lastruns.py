"""What a finished attempt leaves for people to look at: when it was, how it ended, and what was said."""

from dataclasses import dataclass
from datetime import UTC, datetime
from struct import Struct
from typing import NewType

from collectors.failures import CheckFailure
from collectors.transcript import Recording, lines_of

Run = NewType("Run", bytes)
"""One attempt, packed. A fleet keeps a quarter of a million, so that they are of a type that the garbage collector does
not walk through."""

RESULT = 1024
"""Bytes kept of a result."""

_HEAD = Struct("!qH")
"""Wall time in ms, bytes of the result that follows; the recording is the rest."""


@dataclass(frozen=True, slots=True)
class RunSeen:
    """One attempt. ``at`` is when it began (wall time, ms), ``result`` is reason, step and detail of a failure."""

    at: int
    result: str
    lines: tuple[str, ...]
    """What was said, without secrets."""

    def headline(self) -> str:
        """Return when it was and how it ended, in one line."""
        began = datetime.fromtimestamp(self.at / 1000, UTC)
        return f"{began:%Y-%m-%dT%H:%M:%SZ} {self.result or 'success'}"


def pack(at: int, failure: CheckFailure | None, recording: Recording) -> Run:
    """Return an attempt that began ``at`` (wall time, ms), to be kept."""
    result = b"" if failure is None else str(failure).encode("utf-8", "backslashreplace")[:RESULT]
    return Run(_HEAD.pack(at, len(result)) + result + recording)


def look_at(run: Run) -> RunSeen:
    """Return a kept attempt, for somebody who asks."""
    at, length = _HEAD.unpack_from(run)
    end = _HEAD.size + length
    return RunSeen(at, run[_HEAD.size : end].decode("utf-8", "ignore"), lines_of(Recording(run[end:])))
