"""Looks that come again and again share wake-ups."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.ticks import SHORTEST, until_tick


@given(
    now=st.integers(0, 10**10).map(lambda number: number / 1000), period=st.sampled_from([0.25, 0.5, 1.0, 5.0, 15.0])
)
def test_the_next_tick_is_a_multiple_of_the_period_and_never_the_one_that_just_came(now: float, period: float) -> None:
    left = until_tick(now, period)
    assert SHORTEST < left <= period + SHORTEST
    place = (now + left) / period
    assert place == pytest.approx(round(place), abs=1e-6)


def test_periods_that_divide_each_other_come_together() -> None:
    assert until_tick(100.1, 0.25) == pytest.approx(0.15)
    assert until_tick(100.3, 0.5) == until_tick(100.3, 0.25) == pytest.approx(0.2)
