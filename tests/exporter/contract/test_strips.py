"""Strips: what a check was at every moment of a period, against an oracle, and beside the availability."""

from itertools import pairwise
from typing import Any

from hypothesis import given

from exporter.contract.availability import WITHDRAWN, History, Span, availability
from exporter.contract.strips import Mark, Piece, strip
from exporter.outage import Phase
from tests.exporter.contract.test_availability import ALWAYS, END, PERIOD, STATES, histories, spans, state_at, within


def mark_at(moment: int, phases: History, voids: History, running: list[Span], maintenance: list[Span]) -> Mark:
    if within(maintenance, moment):
        return Mark.MAINTENANCE
    if not within(running, moment):
        return Mark.UNKNOWN
    if state_at(voids, moment):
        return Mark.VOID
    known = {Phase.UP: Mark.UP, Phase.DOWN: Mark.DOWN, Phase.NEVER_UP: Mark.NEVER_UP}
    return {phase.value: mark for phase, mark in known.items()}.get(state_at(phases, moment), Mark.UNKNOWN)


@given(histories(STATES), histories(("auth", "internal", "")), spans, spans)
def test_every_moment_has_the_mark_that_an_oracle_gives_it(
    phases: History, voids: History, running: list[Span], maintenance: list[Span]
) -> None:
    pieces = strip(PERIOD, phases=phases, voids=voids, watched=running, maintenance=maintenance)
    drawn = {moment: piece.mark for piece in pieces for moment in range(piece.since, piece.until)}
    moments = range(*PERIOD)
    assert drawn == {moment: mark_at(moment, phases, voids, running, maintenance) for moment in moments}


@given(histories(STATES), histories(("auth", "")), spans, spans)
def test_pieces_follow_one_another_without_a_gap_and_none_is_cut_in_two(
    phases: History, voids: History, running: list[Span], maintenance: list[Span]
) -> None:
    pieces = strip(PERIOD, phases=phases, voids=voids, watched=running, maintenance=maintenance)
    assert (pieces[0].since, pieces[-1].until) == PERIOD
    for one, other in pairwise(pieces):
        assert one.until == other.since
        assert one.mark is not other.mark


@given(histories(STATES), histories(("auth", "")), spans, spans)
def test_what_is_down_is_the_downtime_of_the_availability(
    phases: History, voids: History, running: list[Span], maintenance: list[Span]
) -> None:
    told: Any = {"phases": phases, "voids": voids, "watched": running, "maintenance": maintenance}
    down = sum(piece.length for piece in strip(PERIOD, **told) if piece.mark is Mark.DOWN)
    assert down == availability(PERIOD, **told).downtime


def test_a_check_that_was_taken_out_or_never_tried_has_no_data() -> None:
    history: History = [(0, Phase.UP), (40, WITHDRAWN), (60, Phase.UNTRIED)]
    assert strip(PERIOD, phases=history, voids=(), watched=ALWAYS, maintenance=()) == (
        Piece(10, 40, Mark.UP),
        Piece(40, END, Mark.UNKNOWN),
    )


def test_a_period_that_has_not_begun_has_no_pieces() -> None:
    assert strip((END, END), phases=[(0, Phase.UP)], voids=(), watched=ALWAYS, maintenance=()) == ()
