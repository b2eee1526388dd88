"""The history of a check as a strip: what it was from when until when, in a day or a week.

What is up, down and in maintenance there is so in the availability of the same period too
(`exporter.contract.availability`). All times are Unix time in ms.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from exporter.contract.availability import History, Span, common, lasting, united, without
from exporter.outage import Phase


class Mark(StrEnum):
    """What a piece of a strip says."""

    UP = "up"
    DOWN = "down"
    NEVER_UP = "never-up"
    VOID = "void"
    MAINTENANCE = "maintenance"
    UNKNOWN = "unknown"
    """The exporter did not run, or the check was not there or not tried yet."""


_MARKS = {Phase.DOWN: Mark.DOWN, Phase.NEVER_UP: Mark.NEVER_UP, Phase.UP: Mark.UP}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a strip, the end exclusive."""

    since: int
    until: int
    mark: Mark

    @property
    def length(self) -> int:
        """Return how long it lasted, in ms."""
        return self.until - self.since


def strip(
    period: Span, *, phases: History, voids: History, watched: Iterable[Span], maintenance: Iterable[Span]
) -> tuple[Piece, ...]:
    """Return the pieces of a period in their order, without a gap. The arguments are those of `availability`."""
    start, end = period
    spans = [(since, until, phase) for since, until, phase in lasting(phases, end) if since < until]
    layers = [
        (Mark.MAINTENANCE, united(maintenance)),
        (Mark.UNKNOWN, without([period], united(watched))),
        (Mark.VOID, united((since, until) for since, until, reason in lasting(voids, end) if reason)),
    ]
    for phase, mark in _MARKS.items():
        layers.append((mark, united((since, until) for since, until, each in spans if each == phase)))
    left = [period] if start < end else []
    pieces: list[Piece] = []
    for mark, covered in layers:
        pieces += [Piece(since, until, mark) for since, until in common(left, covered)]
        left = without(left, covered)
    pieces += [Piece(since, until, Mark.UNKNOWN) for since, until in left]
    return tuple(_joined(sorted(pieces, key=lambda piece: piece.since)))


def _joined(pieces: Iterable[Piece]) -> list[Piece]:
    joined: list[Piece] = []
    for piece in pieces:
        if joined and joined[-1].mark is piece.mark:
            joined[-1] = Piece(joined[-1].since, piece.until, piece.mark)
        else:
            joined.append(piece)
    return joined
