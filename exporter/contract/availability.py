"""Availability: for which part of a period a check was up, of the part for which that counts.

What does not count is taken out in this order, so that the parts add up to the period: maintenance, what is *unknown*
(the exporter did not run; the check was not there, was another customer's, or never succeeded yet), and *void* spells,
in which our own side failed. What is left counts, and of that the time from each first failed attempt to the first
success is downtime. The unknown is told beside the share and is never part of it.

Histories are lists of (time, state from then on) in the order in which they were written. Where the wall clock was set
back an entry begins no earlier than the one before it. All times are Unix time in ms.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from exporter.outage import Phase

WITHDRAWN = "withdrawn"
"""What the ledger says of a check that the inventory has no longer, beside the phases."""

Span = tuple[int, int]
"""From and to, the end exclusive."""
History = Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Availability:
    """How a check did in a period; lengths in ms."""

    counted: int
    downtime: int
    outages: int
    """How many outages have a part in the downtime."""
    maintenance: int
    void: int
    unknown: int

    @property
    def share(self) -> float | None:
        """Return the share of what counts that the check was up; None where nothing counts."""
        return (self.counted - self.downtime) / self.counted if self.counted else None

    @property
    def percent(self) -> str:
        """Return the share for people, never rounded up to a promise that was not kept; empty where nothing counts."""
        if not self.counted:
            return ""
        thousandths = (self.counted - self.downtime) * 100_000 // self.counted
        return f"{thousandths // 1000}.{thousandths % 1000:03} %"


def availability(
    period: Span, *, phases: History, voids: History, watched: Iterable[Span], maintenance: Iterable[Span]
) -> Availability:
    """Return how a check did. ``voids`` has the reason of each void spell, and an empty one where it ends.

    ``watched`` is when an exporter ran, and the server was leased to the customer who asks.
    """
    start, end = period
    spans = [(since, until, phase) for since, until, phase in lasting(phases, end) if since < until]
    judged = ((since, until) for since, until, phase in spans if phase in (Phase.UP, Phase.DOWN))
    known = common(united(judged), united(watched))
    void = united((since, until) for since, until, reason in lasting(voids, end) if reason)
    counted = [period] if start < end else []
    parts = []
    for left_out in (united(maintenance), without([period], known), void):
        parts.append(_length(common(counted, left_out)))
        counted = without(counted, left_out)
    outages = [[(since, until)] for since, until, phase in _joined(spans) if phase == Phase.DOWN]
    lost = [_length(common(outage, counted)) for outage in outages]
    return Availability(_length(counted), sum(lost), sum(map(bool, lost)), parts[0], parts[2], parts[1])


def spent_in(state: str, history: History, end: int) -> list[Span]:
    """Return when a history was in a state, until ``end``."""
    return [(since, until) for since, until, each in lasting(history, end) if each == state]


def common(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return what two lists have in common; the spans of each are in their order and do not overlap."""
    found, first, second = [], 0, 0
    while first < len(one) and second < len(other):
        since, until = max(one[first][0], other[second][0]), min(one[first][1], other[second][1])
        if since < until:
            found.append((since, until))
        if one[first][1] < other[second][1]:
            first += 1
        else:
            second += 1
    return found


def lasting(history: History, end: int) -> Iterator[tuple[int, int, str]]:
    """Give from when until when (``end`` at the latest) each state of a history lasted."""
    since: int | None = None
    state = ""
    for at, after in history:
        if since is not None:
            yield since, max(since, min(at, end)), state
        since, state = at if since is None else max(since, at), after
    if since is not None and since < end:
        yield since, end, state


def _joined(spans: Iterable[tuple[int, int, str]]) -> Iterator[tuple[int, int, str]]:
    """Give spans with those that follow on one another in the same state made one."""
    last: tuple[int, int, str] | None = None
    for since, until, state in spans:
        if last and last[1:] == (since, state):
            last = (last[0], until, state)
            continue
        if last:
            yield last
        last = (since, until, state)
    if last:
        yield last


def united(spans: Iterable[Span]) -> list[Span]:
    """Return spans in their order, none touching another."""
    united: list[Span] = []
    for since, until in sorted(spans):
        if since >= until:
            continue
        if united and since <= united[-1][1]:
            united[-1] = (united[-1][0], max(united[-1][1], until))
        else:
            united.append((since, until))
    return united


def without(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """Return what is left of a united list without another."""
    left = []
    for since, until in one:
        at = since
        for gap_since, gap_until in common([(since, until)], other):
            if at < gap_since:
                left.append((at, gap_since))
            at = gap_until
        if at < until:
            left.append((at, until))
    return left


def _length(spans: Iterable[Span]) -> int:
    return sum(until - since for since, until in spans)
