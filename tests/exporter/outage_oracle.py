"""The outage clock told a second time: slowly, from the whole history, without any state.

Written from the words of docs/architecture.md alone and apart from `exporter.outage`, so that a misunderstanding has
to happen twice to stay unseen. Nothing here may import the product's outage clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from exporter.clock import MINUTE, Moment

FIRST_MOMENT = Moment(monotonic=7_000_000, wall=1_790_000_000_000)
FIRST_INTERVAL = 10 * MINUTE


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    VOID = "void"


@dataclass(frozen=True, slots=True)
class Tried:
    """The check ran."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Passed:
    """Time passed, on both clocks."""

    ms: int


@dataclass(frozen=True, slots=True)
class WallStepped:
    """Somebody set the wall clock, forward or (negative) back."""

    ms: int


@dataclass(frozen=True, slots=True)
class Restarted:
    """The exporter was away for ``gap`` of wall time; the new process counts from another ``monotonic``."""

    gap: int
    monotonic: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """The check has another interval from now on."""

    interval: int


Event = Tried | Passed | WallStepped | Restarted | Reloaded


@dataclass(frozen=True, slots=True)
class Seen:
    """One attempt, with all that was true at its start."""

    outcome: Outcome
    process: int
    monotonic: int
    wall: int
    interval: int


@dataclass(frozen=True, slots=True)
class Expected:
    """What must be known after a history. Times are in milliseconds, ``down_since`` and ``last_failed`` by the wall."""

    ever_up: bool
    up: bool | None
    down_since: int | None
    confirmed: int
    last_failed: int | None


def expected(history: Sequence[Event]) -> Expected:
    """Work out what must be known after the whole of ``history``."""
    evidence = [attempt for attempt in attempts(history) if attempt.outcome is not Outcome.VOID]
    successes = [place for place, attempt in enumerate(evidence) if attempt.outcome is Outcome.SUCCESS]
    failures = evidence[successes[-1] + 1 :] if successes else evidence
    outage = failures if successes else []
    return Expected(
        ever_up=bool(successes),
        up=not failures if evidence else None,
        down_since=outage[0].wall if outage else None,
        confirmed=sum(step(earlier, later) for earlier, later in pairwise(outage)),
        last_failed=failures[-1].wall if failures else None,
    )


def step(earlier: Seen, later: Seen) -> int:
    """Return the evidence, in milliseconds, that two consecutive failed attempts give."""
    same_process = earlier.process == later.process
    length = later.monotonic - earlier.monotonic if same_process else later.wall - earlier.wall
    if length < 0 or length > 2 * later.interval:
        return 0
    return length


def attempts(history: Sequence[Event]) -> list[Seen]:
    """List the attempts of ``history``."""
    process, monotonic, wall, interval = 1, FIRST_MOMENT.monotonic, FIRST_MOMENT.wall, FIRST_INTERVAL
    seen = []
    for event in history:
        match event:
            case Tried(outcome):
                seen.append(Seen(outcome, process, monotonic, wall, interval))
            case Passed(ms):
                monotonic += ms
                wall += ms
            case WallStepped(ms):
                wall += ms
            case Restarted(gap, fresh):
                process += 1
                monotonic = fresh
                wall += gap
            case Reloaded(other):
                interval = other
    return seen
