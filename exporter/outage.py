"""The outage clock: what one more attempt makes of a check's state. Pure: no I/O, no clock reads.

An *outage* runs from the first failed attempt after a success (*down since*, wall time, never moved by a clock step)
to the first success after it. What is *confirmed* of it is the sum of the steps between consecutive failed attempts,
by the monotonic clock, and across a restart by the wall clock: only evidence counts, not elapsed time. A step longer
than twice the interval is no evidence. A void attempt (our own side's fault) starts, extends and ends nothing. A check
that never succeeded opens no outage.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from collectors.failures import NETWORK_REASONS
from exporter.clock import MINUTE, Moment

LASTING_SUCCESSES = 3
LASTING = 2 * MINUTE
"""A recovery lasts when so many successes in a row were spread over so long."""


class Phase(StrEnum):
    """Where a check stands: the words of the ledger."""

    UNTRIED = "untried"
    NEVER_UP = "never_up"
    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Attempt:
    """One finished run of a check. An empty ``reason`` is a success. ``at`` is its start."""

    at: Moment
    reason: str = ""
    step: str = ""
    void: bool = False


@dataclass(frozen=True, slots=True)
class Recovery:
    """Successes in a row after an outage, not enough yet to tell anybody that it is over. ``since`` is the first."""

    since: Moment
    successes: int


@dataclass(frozen=True, slots=True)
class CheckState:
    """What is known of a check. Times are milliseconds."""

    up: bool | None = None
    """None before the first evidence."""
    ever_up: bool = False
    down_since: int | None = None
    """Wall time of the first failed attempt after a success; None while there is no outage."""
    confirmed: int = 0
    first_failed: Moment | None = None
    """The first failed attempt of the present row: re-checks run on a grid from here."""
    last_failed: Moment | None = None
    foreign: bool = False
    """Read from the ledger and not attempted since: the monotonic halves belong to another process."""
    last_run: int | None = None
    """Wall time of the last attempt, void or not."""
    reason: str = ""
    """Of the last attempt; empty after a success."""
    step: str = ""
    void: bool = False
    """Whether the last attempt was void."""
    recovery: Recovery | None = None
    """The outage is over, and whether that lasts is being watched."""

    @property
    def phase(self) -> Phase:
        """Return where the check stands."""
        if self.up is None:
            return Phase.UNTRIED
        if self.up:
            return Phase.UP
        return Phase.DOWN if self.ever_up else Phase.NEVER_UP

    @property
    def network_failure(self) -> bool:
        """Tell whether the last attempt, one of this process, failed in a way that a host that is gone fails."""
        return not self.void and not self.foreign and self.reason in NETWORK_REASONS

    @property
    def rejected(self) -> bool:
        """Tell whether our credentials were rejected: trying them again faster than the interval locks accounts."""
        return self.void and self.reason == "auth"


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of phase, for the ledger."""

    at: int
    was: Phase
    now: Phase
    reason: str = ""
    step: str = ""


def decide(state: CheckState, attempt: Attempt, interval: int) -> tuple[CheckState, tuple[Transition, ...]]:
    """Return the state after ``attempt`` and the change of phase it made, if any.

    ``interval`` is the check's regular interval in milliseconds.
    """
    if attempt.void:
        new = replace(state, last_run=attempt.at.wall, reason=attempt.reason, step=attempt.step, void=True)
    elif not attempt.reason:
        recovery = _recovery(state, attempt.at)
        new = CheckState(up=True, ever_up=True, last_run=attempt.at.wall, recovery=recovery)
    else:
        new = _after_failure(state, attempt, interval)
    if new.phase == state.phase:
        return new, ()
    return new, (Transition(attempt.at.wall, state.phase, new.phase, attempt.reason, attempt.step),)


def _recovery(state: CheckState, at: Moment) -> Recovery | None:
    if state.down_since is not None:
        return Recovery(at, 1)
    if state.recovery is None:
        return None
    since, successes = state.recovery.since, state.recovery.successes + 1
    lasting = successes >= LASTING_SUCCESSES and at.monotonic - since.monotonic >= LASTING
    return None if lasting else Recovery(since, successes)


def _after_failure(state: CheckState, attempt: Attempt, interval: int) -> CheckState:
    at = attempt.at
    down_since = at.wall if state.up else state.down_since
    confirmed = 0
    first = at
    if state.last_failed is not None and state.first_failed is not None:
        if state.foreign:
            # our own monotonic clock did not run between the two: the wall clock must do, and it may have been stepped
            step = max(0, at.wall - state.last_failed.wall)
            first = Moment(at.monotonic - max(0, at.wall - state.first_failed.wall), state.first_failed.wall)
        else:
            step = at.monotonic - state.last_failed.monotonic
            first = state.first_failed
        if down_since is not None:
            confirmed = state.confirmed + (step if step <= 2 * interval else 0)
    return CheckState(
        up=False,
        ever_up=state.ever_up,
        down_since=down_since,
        confirmed=confirmed,
        first_failed=first,
        last_failed=at,
        last_run=at.wall,
        reason=attempt.reason,
        step=attempt.step,
    )


def restored(state: CheckState) -> CheckState:
    """Return what a new process makes of a state that an earlier one wrote to the ledger."""
    return replace(state, foreign=True)
