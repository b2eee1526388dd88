"""Availability: what counts and what is left out, against an oracle that looks at every moment."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.contract.availability import WITHDRAWN, Availability, History, Span, availability
from exporter.outage import Phase

END = 100
PERIOD = (10, END)
STATES = (Phase.UNTRIED, Phase.NEVER_UP, Phase.UP, Phase.DOWN, WITHDRAWN)
UP: History = [(0, Phase.UP)]
ALWAYS = [(0, END)]

moments = st.integers(0, END + 20)
spans = st.lists(st.tuples(moments, moments), max_size=4)


def histories(states: Sequence[str]) -> st.SearchStrategy[History]:
    return st.lists(st.tuples(moments, st.sampled_from(states)), max_size=8)


def of(
    phases: History, voids: History = (), running: Sequence[Span] = ALWAYS, maintenance: Sequence[Span] = ()
) -> Availability:
    return availability(PERIOD, phases=phases, voids=voids, watched=running, maintenance=maintenance)


def state_at(history: History, moment: int) -> str:
    """The last entry that had begun, where each begins no earlier than the one before it."""
    state, begun = "", 0
    for at, after in history:
        begun = max(begun, at)
        if begun <= moment:
            state = after
    return state


def within(some: Sequence[Span], moment: int) -> bool:
    return any(since <= moment < until for since, until in some)


@given(histories(STATES), histories(("auth", "internal", "")), spans, spans)
def test_every_moment_is_counted_as_an_oracle_counts_it(
    phases: History, voids: History, running: list[Span], maintenance: list[Span]
) -> None:
    counts = dict.fromkeys(("maintenance", "unknown", "void", "up", "down"), 0)
    outages, phase_before, begun = set(), "", 0
    for moment in range(END):
        phase = state_at(phases, moment)
        begun = begun if phase == phase_before else moment
        phase_before = phase
        if moment < PERIOD[0]:
            continue
        if within(maintenance, moment):
            counts["maintenance"] += 1
        elif phase not in (Phase.UP, Phase.DOWN) or not within(running, moment):
            counts["unknown"] += 1
        elif state_at(voids, moment):
            counts["void"] += 1
        elif phase == Phase.UP:
            counts["up"] += 1
        else:
            counts["down"] += 1
            outages.add(begun)
    found = of(phases, voids, running, maintenance)
    assert found == Availability(
        counts["up"] + counts["down"],
        counts["down"],
        len(outages),
        counts["maintenance"],
        counts["void"],
        counts["unknown"],
    )


@given(histories(STATES), histories(("auth", "")), spans, spans)
def test_the_parts_add_up_to_the_period_and_the_share_is_one(
    phases: History, voids: History, running: list[Span], maintenance: list[Span]
) -> None:
    found = of(phases, voids, running, maintenance)
    assert found.counted + found.maintenance + found.void + found.unknown == PERIOD[1] - PERIOD[0]
    assert found.share is None or 0 <= found.share <= 1


@given(histories((Phase.UP, Phase.DOWN)), st.tuples(moments, moments))
def test_more_maintenance_never_makes_more_downtime(phases: History, window: Span) -> None:
    assert of(phases, maintenance=[window]).downtime <= of(phases).downtime


def test_an_outage_lasts_from_its_first_failure_to_the_first_success() -> None:
    found = of([(0, Phase.UP), (20, Phase.DOWN), (29, Phase.UP)])
    assert (found.counted, found.downtime, found.outages, found.share) == (90, 9, 1, 0.9)


def test_an_outage_that_began_before_the_period_counts_from_its_begin_on() -> None:
    assert of([(0, Phase.DOWN), (19, Phase.UP)]).downtime == 9


@pytest.mark.parametrize("phases", [[], [(0, Phase.NEVER_UP)], [(0, Phase.UNTRIED)], [(0, Phase.UP), (5, WITHDRAWN)]])
def test_what_is_not_known_is_neither_up_nor_down(phases: History) -> None:
    found = of(phases)
    assert (found.share, found.unknown, found.downtime) == (None, 90, 0)


def test_while_the_exporter_does_not_run_nothing_is_known() -> None:
    found = of(UP, running=[(0, 40), (50, END)])
    assert (found.share, found.unknown) == (1.0, 10)


def test_void_spells_and_maintenance_are_no_downtime_and_an_outage_they_cut_is_one() -> None:
    down: History = [(0, Phase.UP), (20, Phase.DOWN), (50, Phase.UP)]
    found = of(down, voids=[(25, "auth"), (30, "")], maintenance=[(35, 40)])
    assert (found.downtime, found.outages, found.void, found.maintenance) == (20, 1, 5, 5)


def test_an_outage_wholly_within_maintenance_is_none() -> None:
    assert of([(0, Phase.UP), (20, Phase.DOWN), (30, Phase.UP)], maintenance=[(20, 30)]).outages == 0
