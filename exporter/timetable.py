"""When a check runs next: pure arithmetic on the monotonic clock, in milliseconds. `exporter.schedule` keeps the queue.

While up, a check keeps its own slot of the interval, so that a fleet is spread evenly and a restart changes nothing.
After an outage it is tried every ``recheck_interval`` until the recovery lasts.
While failing it is re-tried on the grid *first failure* + k x ``recheck_interval``, never early, and once exactly at
*first failure* + ``outage_notice_after``. While all checks of a server fail for network reasons (it is *dark*), only
one of them, each in turn, is re-tried on the grid; the others keep their regular pace, which is enough evidence, and
all run at the notice time.
"""

from collections.abc import Sequence
from typing import Protocol
from zlib import crc32

from exporter.inventory import CheckKey, Timing
from exporter.outage import CheckState

NEVER = -(1 << 60)
"""The ``last_start`` of a check that this process has not tried yet: long before any other time."""

START_RATE = 50
"""New checks begin at this many a second, until the interval is the narrower bound."""


class Scheduled(Protocol):
    """What the timetable must know of one check. ``last_start`` is the start of its last attempt."""

    state: CheckState
    slot: int
    last_start: int

    @property
    def timing(self) -> Timing:
        """Its intervals."""
        ...


def share(key: CheckKey) -> float:
    """Return this check's fixed place in the fleet, 0 <= share < 1, the same in every process."""
    return crc32("\0".join(key).encode()) / 2**32


def slot_of(key: CheckKey, interval: int) -> int:
    """Return the check's slot within the interval."""
    return int(share(key) * interval)


def first_run(key: CheckKey, interval: int, fleet: int, now: int) -> int:
    """Return when one of ``fleet`` new checks runs first: soon in a small fleet, within the interval in a big one."""
    return now + int(share(key) * min(interval, fleet * 1000 // START_RATE))


def next_slot(slot: int, interval: int, after: int) -> int:
    """Return the first instant later than ``after`` that is in the slot: never more than one interval away."""
    return after + interval - (after - slot) % interval


def notice_run(check: Scheduled) -> int | None:
    """Return the instant of the attempt that decides about the notice, None when there is none ahead."""
    first = check.state.first_failed
    if first is None or check.state.foreign:
        return None
    notice = first.monotonic + check.timing.outage_notice_after
    return notice if check.last_start < notice else None


def next_run(check: Scheduled, after: int | None = None) -> int:
    """Return when a check runs next: the first of its times later than ``after``, by default its last start."""
    state, timing = check.state, check.timing
    last = check.last_start if after is None else after
    if state.rejected:
        return last + timing.interval
    if state.recovery:
        return last + timing.recheck_interval
    if state.first_failed is None:
        return next_slot(check.slot, timing.interval, last)
    if state.foreign:
        return last + timing.recheck_interval  # void since the restart: the grid is not known to this process
    return _earlier(next_slot(state.first_failed.monotonic, timing.recheck_interval, last), notice_run(check))


def fails_since(check: Scheduled, since: int) -> bool:
    """Tell whether a check fails for a network reason and has done so since ``since`` or later.

    Its server's other checks were then all run because of it just now; the failures they found are no new beginning.
    """
    first = check.state.first_failed
    return check.state.network_failure and first is not None and first.monotonic + check.timing.timeout >= since


def is_dark(checks: Sequence[Scheduled]) -> bool:
    """Tell whether a server looks gone: all its checks, more than one, failed for network reasons when last tried."""
    return len(checks) > 1 and all(check.state.network_failure for check in checks)


def dark_runs(checks: Sequence[Scheduled]) -> list[int]:
    """Return when each check of a dark server runs next, in the order given."""
    stand_in = min(checks, key=lambda check: check.last_start)
    last_of_any = max(check.last_start for check in checks)
    # one grid for all, that of the check which failed last: with a grid each, taking turns would double the pace
    darkness = max(check.state.first_failed.monotonic for check in checks if check.state.first_failed)
    runs = []
    for check in checks:
        run = check.last_start + check.timing.interval
        if check is stand_in:
            run = min(run, next_slot(darkness, check.timing.recheck_interval, last_of_any))
        runs.append(_earlier(run, notice_run(check)))
    return runs


def _earlier(run: int, notice: int | None) -> int:
    return run if notice is None else min(run, notice)
