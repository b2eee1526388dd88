"""The outage clock against an oracle written apart from it, over generated histories, and its promises in words."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.failures import NETWORK_REASONS, VOID_REASONS
from exporter.clock import HOUR, MINUTE, SECOND, Moment
from exporter.outage import Attempt, CheckState, Transition, decide, restored
from tests.exporter.outage_oracle import (
    FIRST_INTERVAL,
    FIRST_MOMENT,
    Event,
    Expected,
    Outcome,
    Passed,
    Reloaded,
    Restarted,
    Tried,
    WallStepped,
    expected,
)

SUCCESS = Tried(Outcome.SUCCESS)
FAILURE = Tried(Outcome.FAILURE, "timeout")
VOID = Tried(Outcome.VOID, "auth")
REASONS = sorted(NETWORK_REASONS | {"tls", "certificate", "unavailable", "protocol", "content"})


class Product:
    """`exporter.outage`, living through a history one event at a time."""

    def __init__(self) -> None:
        self.state = CheckState()
        self.now = FIRST_MOMENT
        self.interval = FIRST_INTERVAL

    def live(self, event: Event) -> tuple[Transition, ...]:
        """Live through ``event`` and return the changes of phase that it made."""
        match event:
            case Tried(outcome, reason):
                attempt = Attempt(self.now, reason, void=outcome is Outcome.VOID)
                self.state, transitions = decide(self.state, attempt, self.interval)
                return transitions
            case Passed(ms):
                self.now = Moment(self.now.monotonic + ms, self.now.wall + ms)
            case WallStepped(ms):
                self.now = Moment(self.now.monotonic, self.now.wall + ms)
            case Restarted(gap, monotonic):
                self.now = Moment(monotonic, self.now.wall + gap)
                self.state = restored(self.state)
            case Reloaded(interval):
                self.interval = interval
        return ()

    def known(self) -> Expected:
        state = self.state
        last_failed = state.last_failed.wall if state.last_failed else None
        return Expected(state.ever_up, state.up, state.down_since, state.confirmed, last_failed)


def after(*history: Event) -> Expected:
    """Return what the product knows after ``history``, having seen that the oracle says the same."""
    product = Product()
    for event in history:
        product.live(event)
    assert product.known() == expected(history)
    return product.known()


INTERVALS = (MINUTE, 10 * MINUTE)
# Where the evidence ends: a generator left to itself would hardly ever meet these to the millisecond
EDGES = [length for each in INTERVALS for length in (each, 2 * each, 2 * each + 1)]

durations = st.sampled_from(EDGES) | st.integers(1, 2 * MINUTE) | st.integers(1, 3 * HOUR)
failed = st.sampled_from(REASONS).map(lambda reason: Tried(Outcome.FAILURE, reason))
# No reason: the answer was good, but came while our own loop was late
void = st.sampled_from(sorted(VOID_REASONS | NETWORK_REASONS | {""})).map(lambda reason: Tried(Outcome.VOID, reason))


def later(tried: st.SearchStrategy[Tried]) -> st.SearchStrategy[tuple[Event, ...]]:
    """Draw an attempt and the time before it."""
    return st.tuples(durations.map(Passed), tried)


wall_steps = st.builds(WallStepped, durations | durations.map(int.__neg__))
restarts = st.builds(Restarted, gap=durations | st.just(0), monotonic=st.integers(0, 10 * HOUR))
reloads = st.builds(Reloaded, st.sampled_from(INTERVALS) | st.integers(SECOND, HOUR))
disturbances = wall_steps | restarts | reloads | void
# Two failed attempts with time and trouble between them: left to chance, trouble would meet few rows of failures
troubled_rows = st.tuples(failed, durations.map(Passed), st.lists(disturbances, min_size=1, max_size=3), failed).map(
    lambda row: (row[0], row[1], *row[2], row[3])
)
episodes = (later(failed), later(failed), later(void), later(st.just(SUCCESS)), troubled_rows, st.tuples(disturbances))
histories = st.lists(st.sampled_from(episodes).flatmap(lambda episode: episode), max_size=20).map(
    lambda drawn: [event for episode in drawn for event in episode]
)


@settings(max_examples=1000, deadline=None)  # a busy machine is no finding
@given(histories, st.booleans())
def test_after_every_event_of_any_history_the_product_says_what_the_oracle_says(
    events: list[Event], seen_up: bool
) -> None:
    history: list[Event] = [SUCCESS, *events] if seen_up else events
    product = Product()
    for count, event in enumerate(history, 1):
        product.live(event)
        assert product.known() == expected(history[:count])


@settings(max_examples=200, deadline=None)
@given(histories)
def test_a_transition_is_told_exactly_when_a_check_comes_up_or_goes_down(history: list[Event]) -> None:
    product = Product()
    before = expected([])
    for count, event in enumerate(history, 1):
        transitions = product.live(event)
        now = expected(history[:count])
        assert len(transitions) == (before.up is not now.up)
        assert all(transition.at == product.now.wall for transition in transitions)
        before = now


def every(step: int, *tried: Tried) -> Sequence[Event]:
    """Return attempts that start ``step`` milliseconds apart."""
    events: list[Event] = []
    for attempt in tried:
        events += [Passed(step), attempt]
    return events


def test_nothing_is_known_before_the_first_evidence() -> None:
    assert after() == after(VOID) == Expected(ever_up=False, up=None, down_since=None, confirmed=0, last_failed=None)


def test_down_since_is_the_start_of_the_first_failed_attempt_which_alone_confirms_nothing() -> None:
    known = after(SUCCESS, Passed(10 * MINUTE), FAILURE)
    assert known.up is False
    assert known.down_since == FIRST_MOMENT.wall + 10 * MINUTE
    assert known.confirmed == 0


def test_ten_rechecks_of_a_minute_confirm_exactly_ten_minutes() -> None:
    assert after(SUCCESS, *every(MINUTE, *[FAILURE] * 11)).confirmed == 600_000


def test_nine_rechecks_of_a_minute_and_one_a_millisecond_early_confirm_a_millisecond_less_than_ten_minutes() -> None:
    known = after(SUCCESS, *every(MINUTE, *[FAILURE] * 10), Passed(MINUTE - 1), FAILURE)
    assert known.confirmed == 599_999


def test_a_check_that_never_succeeded_opens_no_outage() -> None:
    known = after(*every(MINUTE, *[FAILURE] * 30))
    assert known.up is False
    assert (known.ever_up, known.down_since, known.confirmed) == (False, None, 0)


def test_failures_before_the_first_success_never_count() -> None:
    known = after(*every(MINUTE, FAILURE, FAILURE, SUCCESS, FAILURE, FAILURE))
    assert known.down_since == FIRST_MOMENT.wall + 4 * MINUTE
    assert known.confirmed == MINUTE


def test_the_first_success_ends_the_outage() -> None:
    known = after(SUCCESS, *every(MINUTE, *[FAILURE] * 15, SUCCESS))
    assert known == Expected(ever_up=True, up=True, down_since=None, confirmed=0, last_failed=None)


def test_the_next_outage_starts_its_own_clock() -> None:
    known = after(SUCCESS, *every(MINUTE, *[FAILURE] * 9, SUCCESS, FAILURE, FAILURE))
    assert known.down_since == FIRST_MOMENT.wall + 11 * MINUTE
    assert known.confirmed == MINUTE


def test_a_void_attempt_starts_no_outage() -> None:
    known = after(SUCCESS, *every(MINUTE, VOID, VOID))
    assert (known.up, known.down_since, known.confirmed) == (True, None, 0)


def test_a_void_attempt_extends_no_outage() -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, FAILURE, VOID))
    assert known.confirmed == MINUTE


def test_a_void_attempt_ends_no_outage() -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, VOID))
    assert (known.up, known.down_since) == (False, FIRST_MOMENT.wall + MINUTE)


def test_a_void_spell_between_two_failures_keeps_the_clock() -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, VOID, VOID, VOID, FAILURE))
    assert known.confirmed == 4 * MINUTE


def test_a_void_spell_longer_than_twice_the_interval_is_no_evidence() -> None:
    known = after(SUCCESS, *every(10 * MINUTE, FAILURE, VOID, VOID, FAILURE, FAILURE))
    assert known.down_since == FIRST_MOMENT.wall + 10 * MINUTE
    assert known.confirmed == 10 * MINUTE


def test_a_gap_of_exactly_twice_the_interval_is_evidence() -> None:
    assert after(SUCCESS, FAILURE, Passed(20 * MINUTE), FAILURE).confirmed == 20 * MINUTE


def test_a_gap_longer_than_twice_the_interval_is_no_evidence() -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, FAILURE), Passed(20 * MINUTE + 1), FAILURE, Passed(MINUTE), FAILURE)
    assert known.down_since == FIRST_MOMENT.wall + MINUTE
    assert known.confirmed == 2 * MINUTE


@pytest.mark.parametrize("hours", [-9, 9])
def test_a_step_of_the_wall_clock_moves_neither_down_since_nor_the_confirmed_outage(hours: int) -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, FAILURE), WallStepped(hours * HOUR), *every(MINUTE, FAILURE))
    assert known.down_since == FIRST_MOMENT.wall + MINUTE
    assert known.confirmed == 2 * MINUTE


@pytest.mark.parametrize("monotonic", [0, FIRST_MOMENT.monotonic, FIRST_MOMENT.monotonic + 3 * HOUR])
def test_a_restart_keeps_down_since_and_is_measured_by_the_wall_clock(monotonic: int) -> None:
    known = after(
        SUCCESS,
        *every(MINUTE, FAILURE, FAILURE),
        Restarted(5 * MINUTE, monotonic),
        FAILURE,
        *every(MINUTE, FAILURE),
    )
    assert known.down_since == FIRST_MOMENT.wall + MINUTE
    assert known.confirmed == (1 + 5 + 1) * MINUTE


def test_after_the_first_failure_of_a_new_process_its_own_monotonic_clock_measures_again() -> None:
    known = after(SUCCESS, FAILURE, Restarted(MINUTE, 0), FAILURE, WallStepped(5 * MINUTE), Passed(MINUTE), FAILURE)
    assert known.confirmed == 2 * MINUTE


def test_a_void_attempt_after_a_restart_leaves_the_step_to_the_next_failure() -> None:
    known = after(SUCCESS, FAILURE, Restarted(2 * MINUTE, 0), VOID, Passed(MINUTE), FAILURE)
    assert known.confirmed == 3 * MINUTE


def test_two_restarts_in_a_row_are_one_step() -> None:
    known = after(SUCCESS, FAILURE, Restarted(2 * MINUTE, 0), Passed(MINUTE), Restarted(2 * MINUTE, 9), FAILURE)
    assert known.confirmed == 5 * MINUTE


def test_a_wall_clock_set_back_across_a_restart_takes_no_evidence_away() -> None:
    known = after(SUCCESS, *every(MINUTE, *[FAILURE] * 4), WallStepped(-HOUR), Restarted(MINUTE, 0), FAILURE)
    assert known.down_since == FIRST_MOMENT.wall + MINUTE
    assert known.confirmed == 3 * MINUTE


def test_a_restart_that_took_longer_than_twice_the_interval_is_no_evidence() -> None:
    known = after(SUCCESS, *every(MINUTE, FAILURE, FAILURE), Restarted(20 * MINUTE + 1, 0), FAILURE)
    assert known.down_since == FIRST_MOMENT.wall + MINUTE
    assert known.confirmed == MINUTE


def test_a_restart_after_a_success_opens_nothing_and_the_next_failure_does() -> None:
    assert after(SUCCESS, Restarted(MINUTE, 0)).down_since is None
    assert after(SUCCESS, Restarted(MINUTE, 0), FAILURE).down_since == FIRST_MOMENT.wall + MINUTE


def test_a_restart_does_not_make_a_check_that_never_succeeded_one_that_did() -> None:
    assert after(FAILURE, Restarted(MINUTE, 0), *every(MINUTE, FAILURE, FAILURE)).down_since is None


def test_a_reload_with_a_shorter_interval_keeps_the_outage_and_judges_the_next_step() -> None:
    known = after(SUCCESS, *every(5 * MINUTE, FAILURE, FAILURE), Reloaded(MINUTE), Passed(2 * MINUTE + 1), FAILURE)
    assert known.down_since == FIRST_MOMENT.wall + 5 * MINUTE
    assert known.confirmed == 5 * MINUTE


def test_a_reload_with_a_longer_interval_lets_a_longer_step_count() -> None:
    assert after(SUCCESS, FAILURE, Reloaded(HOUR), Passed(2 * HOUR), FAILURE).confirmed == 2 * HOUR
