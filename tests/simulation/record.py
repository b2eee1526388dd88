"""What is written down of a simulated site by the world around the product: all that the oracle may look at.

Times are milliseconds. *True* time is Unix time as a perfect clock has it; the wall clock of the exporter's machine may
be wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    VOID = "void"


@dataclass(slots=True)
class Attempt:
    """One attempt of one check, as the world saw it."""

    server: str
    check: str
    process: int
    """Which process of the exporter made it."""
    monotonic: int
    """Its start by the clocks of that process, and below, truly."""
    wall: int
    true: int
    outcome: Outcome
    reason: str = ""
    ended: int | None = None
    """True time; None while it runs, and for ever when it was cut off."""
    ended_wall: int = 0
    lost: bool = False
    """What it found was not on the disk when its process was killed."""


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that the mail server took."""

    true: int
    wall: int
    recipient: str
    message_id: str
    subject: str
    text: str
    thread: str
    """The Message-ID of the notice that it refers to; its own, if it is that."""


@dataclass(slots=True)
class Span:
    """From when until when something was so; ``end`` None while it is."""

    start: int
    end: int | None = None

    def overlaps(self, start: int, end: int) -> bool:
        """Tell whether it was so at any time from ``start`` until before ``end``."""
        return self.start < end and (self.end is None or self.end > start)


class Part(StrEnum):
    """What can be away at a site."""

    EXPORTER = "exporter"
    PROMETHEUS = "Prometheus"
    ALERTMANAGER = "Alertmanager"
    SCRAPES = "scrapes"
    MAIL = "mail server"
    VANTAGE = "vantage"
    LOOP = "event loop"


@dataclass(slots=True)
class Record:
    """Everything that happened at a site."""

    attempts: list[Attempt] = field(default_factory=list)
    mails: list[Mail] = field(default_factory=list)
    away: dict[Part, list[Span]] = field(default_factory=lambda: {part: [] for part in Part})
    wrong_clock: list[Span] = field(default_factory=list)
    """When the wall clock was wrong."""
    drafts: list[tuple[str, int, int]] = field(default_factory=list)
    """Reports that were drafted: the server, and by the wall clock the end of the incident and when it is due."""
    killed: list[int] = field(default_factory=list)
    """When the exporter was killed, in contrast to stopped."""
    complaints: list[str] = field(default_factory=list)
    """What the product's log says of defects of its own."""
    lived: int = 0
    """Milliseconds that were lived through, not skipped."""

    def leaves(self, part: Part, at: int) -> None:
        """Note that a part is away from ``at`` on."""
        self.away[part].append(Span(at))

    def returns(self, part: Part, at: int) -> None:
        """Note that it is back."""
        self.away[part][-1].end = at

    def spans(self, *parts: Part) -> Iterator[Span]:
        """Give when any of these was away."""
        for part in parts:
            yield from self.away[part]
