"""The queue of checks: spread, order, sweeps, dark servers, reloads. Time is given, nothing waits."""

from dataclasses import replace

import pytest

from collectors.registry import Options
from exporter.clock import MINUTE, SECOND, Moment
from exporter.inventory import Check, Timing
from exporter.outage import Attempt, CheckState, decide, restored
from exporter.schedule import Entry, Schedule

TIMING = Timing()
WALL = 1_800_000_000_000


def check(server: str = "web01", name: str = "https", timing: Timing = TIMING) -> Check:
    return Check(server, name, "https", "192.0.2.10", "", Options(), timing)


def finish(schedule: Schedule, entry: Entry, now: int, reason: str = "", *, void: bool = False) -> None:
    attempt = Attempt(Moment(entry.last_start, WALL + entry.last_start), reason, "connect" if reason else "", void)
    state, _ = decide(entry.state, attempt, entry.timing.interval)
    schedule.finish(entry, state, now)


def run_all_due(schedule: Schedule, now: int, reason: str = "") -> list[str]:
    names = []
    while (entry := schedule.take(now)) is not None:
        names.append(entry.check.name)
        finish(schedule, entry, now, reason)
    return names


def started(*names: str, timing: Timing = TIMING, now: int = 0) -> Schedule:
    """Return a schedule whose checks have all succeeded once, at their first turn."""
    schedule = Schedule()
    for name in names:
        schedule.add(check(name=name, timing=timing), CheckState(), len(names), Moment(now, WALL))
    while any(entry.state.up is None for entry in schedule):
        due = schedule.next_due()
        assert due is not None
        run_all_due(schedule, due)
    return schedule


def take(schedule: Schedule, now: int) -> Entry:
    entry = schedule.take(now)
    assert entry is not None
    return entry


def next_due(schedule: Schedule) -> int:
    due = schedule.next_due()
    assert due is not None
    return due


def test_a_big_fleet_starts_spread_over_the_interval_and_a_small_one_within_seconds() -> None:
    def first_minutes(fleet: int) -> list[int]:
        schedule = Schedule()
        for number in range(fleet):
            schedule.add(check(f"s{number}"), CheckState(), fleet, Moment(0, WALL))
        counts: dict[int, int] = {}
        while (due := schedule.next_due()) is not None:
            while schedule.take(due):
                counts[due // MINUTE] = counts.get(due // MINUTE, 0) + 1
        return [counts[minute] for minute in sorted(counts)]

    assert first_minutes(12) == [12]
    spread = first_minutes(60_000)
    assert len(spread) == 10
    assert max(spread) < 1.1 * min(spread)


def test_a_check_keeps_its_slot_so_that_regular_attempts_are_one_interval_apart() -> None:
    schedule = started("https")
    first = next_due(schedule)
    run_all_due(schedule, first + 300)  # late by 300 ms
    assert next_due(schedule) == first + TIMING.interval


def test_two_regular_attempts_are_never_more_than_an_interval_apart_after_a_recovery() -> None:
    schedule = started("https")
    entry = take(schedule, next_due(schedule))
    finish(schedule, entry, entry.last_start, "refused")
    recovered = entry.last_start + 3 * MINUTE
    entry = take(schedule, recovered)
    finish(schedule, entry, recovered)
    assert recovered < next_due(schedule) <= recovered + TIMING.interval


def test_a_failing_check_is_tried_on_the_grid_of_its_first_failure_never_early() -> None:
    schedule = started("https")
    entry = take(schedule, next_due(schedule))
    first = entry.last_start
    finish(schedule, entry, first + 9 * SECOND, "content")
    assert next_due(schedule) == first + MINUTE
    assert schedule.take(first + MINUTE - 1) is None
    entry = take(schedule, first + MINUTE + 700)
    finish(schedule, entry, first + MINUTE + 900, "content")
    assert next_due(schedule) == first + 2 * MINUTE


def test_the_attempt_at_the_notice_time_is_exact_and_happens_once() -> None:
    timing = replace(TIMING, recheck_interval=7 * SECOND, outage_notice_after=20 * SECOND)
    schedule = started("https", timing=timing)
    entry = take(schedule, next_due(schedule))
    first = entry.last_start
    finish(schedule, entry, first, "content")
    starts = []
    for _ in range(5):
        due = next_due(schedule)
        starts.append(due - first)
        finish(schedule, take(schedule, due), due, "content")
    assert starts == [7_000, 14_000, 20_000, 21_000, 28_000]


def test_an_attempt_at_the_notice_time_goes_before_everything_that_is_due() -> None:
    schedule = started("https")
    entry = take(schedule, next_due(schedule))
    first = entry.last_start
    finish(schedule, entry, first, "content")
    for minute in range(1, 10):
        finish(schedule, take(schedule, first + minute * MINUTE), first + minute * MINUTE, "content")
    for number in range(5):
        schedule.add(check("other", f"check{number}"), CheckState(), 1, Moment(first, WALL))
    now = first + TIMING.outage_notice_after
    assert take(schedule, now) is entry


def test_no_check_runs_twice_at_once() -> None:
    schedule = started("https")
    due = next_due(schedule)
    take(schedule, due)
    assert schedule.take(due + 100 * TIMING.interval) is None


def test_the_first_network_failure_of_a_server_runs_all_its_checks_at_once() -> None:
    schedule = started("https", "ssh", "imap")
    entry = take(schedule, next_due(schedule))
    finish(schedule, entry, entry.last_start + 10 * SECOND, "timeout")
    others = {"https", "ssh", "imap"} - {entry.check.name}
    assert set(run_all_due(schedule, entry.last_start + 10 * SECOND)) == others


def test_a_failure_that_is_no_network_failure_starts_no_sweep() -> None:
    schedule = started("https", "ssh")
    entry = take(schedule, next_due(schedule))
    finish(schedule, entry, entry.last_start, "content")
    assert schedule.take(entry.last_start) is None


def test_of_a_dark_server_one_check_is_tried_a_minute_each_in_turn() -> None:
    schedule = started("https", "ssh", "imap")
    due = next_due(schedule)
    run_all_due(schedule, due, "timeout")
    tried = [run_all_due(schedule, due + minute * MINUTE, "timeout") for minute in range(1, 7)]
    assert [len(names) for names in tried] == [1] * 6
    assert {name for names in tried for name in names} == {"https", "ssh", "imap"}


def test_all_checks_of_a_dark_server_run_at_the_notice_time_with_ten_minutes_of_evidence() -> None:
    schedule = started("https", "ssh", "imap")
    first = next_due(schedule)
    run_all_due(schedule, first, "timeout")
    while next_due(schedule) < first + TIMING.outage_notice_after:
        run_all_due(schedule, next_due(schedule), "timeout")
    assert set(run_all_due(schedule, first + TIMING.outage_notice_after, "timeout")) == {"https", "ssh", "imap"}
    assert [entry.state.confirmed for entry in schedule] == [600_000] * 3


def test_all_checks_of_a_dark_server_run_as_soon_as_one_is_answered() -> None:
    schedule = started("https", "ssh", "imap")
    first = next_due(schedule)
    run_all_due(schedule, first, "timeout")
    assert len(run_all_due(schedule, first + MINUTE)) == 3


def test_a_dark_server_at_a_one_minute_interval_gathers_evidence_for_every_check() -> None:
    timing = replace(TIMING, interval=MINUTE)
    schedule = started("https", "ssh", "imap", timing=timing)
    first = next_due(schedule)
    run_all_due(schedule, first, "timeout")
    while next_due(schedule) <= first + timing.outage_notice_after:
        run_all_due(schedule, next_due(schedule), "timeout")
    assert min(entry.state.confirmed for entry in schedule) >= 600_000


def test_rejected_credentials_are_never_tried_again_faster_than_the_interval() -> None:
    schedule = started("imap", "ssh")
    entry = take(schedule, next_due(schedule))
    finish(schedule, entry, entry.last_start, "auth", void=True)
    assert entry.due == entry.last_start + TIMING.interval
    sibling = next(each for each in schedule if each is not entry)
    now = max(next_due(schedule), sibling.due)
    while (other := take(schedule, now)) is entry:
        finish(schedule, entry, now, "auth", void=True)
    finish(schedule, other, now, "timeout")
    assert entry.due >= entry.last_start + TIMING.interval


def test_a_check_known_as_failing_is_tried_at_once_after_a_restart() -> None:
    down = restored(
        CheckState(up=False, ever_up=True, down_since=WALL, first_failed=Moment(0, WALL), last_failed=Moment(0, WALL))
    )
    schedule = Schedule()
    schedule.add(check(), down, 10_000, Moment(5_000, WALL + 90_000))
    assert take(schedule, 5_000).check == check()


def test_rejected_credentials_wait_for_their_interval_also_after_a_restart() -> None:
    rejected = restored(CheckState(up=True, ever_up=True, last_run=WALL, reason="auth", step="log-in", void=True))
    schedule = Schedule()
    schedule.add(check(), rejected, 1, Moment(5_000, WALL + MINUTE))
    assert next_due(schedule) == 5_000 + TIMING.interval - MINUTE


def test_a_dark_server_after_a_restart_is_known_as_dark_only_by_attempts_of_this_process() -> None:
    gone = restored(
        CheckState(
            up=False,
            ever_up=True,
            down_since=WALL,
            first_failed=Moment(0, WALL),
            last_failed=Moment(0, WALL),
            last_run=WALL,
            reason="timeout",
            step="connect",
        )
    )
    schedule = Schedule()
    for name in ("https", "ssh", "imap"):
        schedule.add(check(name=name), gone, 3, Moment(5_000, WALL + MINUTE))
    entry = take(schedule, 5_000)
    finish(schedule, entry, 5_000, "timeout")
    assert {each.due for each in schedule if each is not entry} == {5_000}


def test_a_server_that_goes_dark_while_one_of_its_checks_fails_already_is_swept_all_the_same() -> None:
    schedule = started("https", "ssh", "imap")
    refused = take(schedule, next_due(schedule))
    finish(schedule, refused, refused.last_start, "refused")
    run_all_due(schedule, refused.last_start)  # its own sweep finds the others well
    while (entry := take(schedule, next_due(schedule))) is refused:
        finish(schedule, refused, refused.last_start, "refused")
    finish(schedule, entry, entry.last_start + 10 * SECOND, "timeout")
    third = next(each for each in schedule if each not in (refused, entry))
    assert third.due == entry.last_start + 10 * SECOND


def test_a_sweep_tries_each_check_once_however_many_fail_in_it() -> None:
    names = [f"check{number}" for number in range(12)]
    schedule = started(*names)
    first = next_due(schedule)
    finish(schedule, take(schedule, first), first, "refused")
    swept: list[str] = []
    running = []
    while (entry := schedule.take(first)) is not None:
        running.append(entry)
    for entry in running:
        swept.append(entry.check.name)
        finish(schedule, entry, first + 5, "refused" if entry.check.name in names[:6] else "")
        swept += run_all_due(schedule, first + 5)
    assert len(swept) == 11


def test_a_removed_check_never_runs_again_even_when_it_was_running() -> None:
    schedule = started("https", "ssh")
    entry = take(schedule, next_due(schedule))
    schedule.remove(entry.check.key)
    finish(schedule, entry, entry.last_start, "timeout")
    while (due := schedule.next_due()) is not None and due < 100 * MINUTE:
        assert run_all_due(schedule, due) == [next(iter(schedule)).check.name]


def test_a_changed_timing_counts_from_the_last_attempt() -> None:
    schedule = started("https")
    entry = next(iter(schedule))
    schedule.update(check(timing=replace(TIMING, interval=MINUTE)), entry.last_start)
    assert entry.last_start < entry.due <= entry.last_start + MINUTE


def test_a_shorter_interval_holds_for_checks_that_never_ran_too() -> None:
    schedule = Schedule()
    fleet = [check(f"s{number}") for number in range(60_000)]
    for each in fleet:
        schedule.add(each, CheckState(), len(fleet), Moment(0, WALL))
    assert max(entry.due for entry in schedule) > 9 * MINUTE
    before = {entry.check.key: entry.due for entry in schedule}
    for each in fleet:
        schedule.update(replace(each, timing=replace(TIMING, interval=MINUTE)), 5 * SECOND)
    assert all(entry.due <= 5 * SECOND + MINUTE for entry in schedule)
    assert all(entry.due <= before[entry.check.key] for entry in schedule)


def test_a_shorter_interval_does_not_try_rejected_credentials_earlier_after_a_restart() -> None:
    schedule = Schedule()
    state = restored(replace(CheckState(), last_run=WALL, reason="auth", step="log-in", void=True))
    entry = schedule.add(check(), state, 1, Moment(0, WALL))
    schedule.update(check(timing=replace(TIMING, interval=MINUTE)), 1 * SECOND)
    assert entry.due == TIMING.interval


def test_a_changed_option_changes_no_due_time() -> None:
    schedule = started("https")
    entry = next(iter(schedule))
    due = entry.due
    schedule.update(replace(check(), hostname="www.example"), entry.last_start)
    assert entry.due == due
    assert entry.check.hostname == "www.example"


@pytest.mark.parametrize("reason", ["timeout", "refused"])
def test_the_queue_does_not_grow_while_a_server_is_dark(reason: str) -> None:
    schedule = started(*(f"check{number}" for number in range(12)))
    first = next_due(schedule)
    run_all_due(schedule, first, reason)
    for minute in range(1, 200):
        run_all_due(schedule, first + minute * MINUTE, reason)
    assert len(schedule._queue._waiting) + len(schedule._queue._ready) < 12 * 12
