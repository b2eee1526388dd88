"""A part of a fleet goes dark at once and comes back, in virtual time: nobody's tenth minute is missed.

The numbers are a twentieth of what one exporter is made for, its limit of attempts at once included: 500 servers with
12 checks, of which 50 go dark. ``make bench`` plays the whole of it.
"""

from itertools import pairwise

import pytest

from exporter.clock import SECOND
from exporter.inventory import Timing
from exporter.runner import IN_FLIGHT, TICK
from tests.exporter.simulation import Fleet, Outage

SCALE = 20
OUTAGE = Outage(servers=10_000 // SCALE, checks=12, dark=1_000 // SCALE)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    return OUTAGE.play(limit=IN_FLIGHT // SCALE)


def test_every_check_of_every_dark_server_is_tried_within_a_second_of_its_tenth_minute(fleet: Fleet) -> None:
    delays = OUTAGE.notice_delays(fleet)
    assert len(delays) == OUTAGE.dark * OUTAGE.checks
    assert max(delays) <= 1 * SECOND


def test_nothing_starts_a_second_late_or_early_meanwhile(fleet: Fleet) -> None:
    assert min(fleet.lags) >= 0
    assert max(fleet.lags) <= 1 * SECOND
    regular = sorted(fleet.lags)[: int(len(fleet.lags) * 0.99)]
    assert regular[-1] <= TICK


def test_the_limit_of_attempts_at_once_is_never_reached(fleet: Fleet) -> None:
    assert fleet.most_in_flight < IN_FLIGHT // SCALE


def test_who_is_well_is_tried_at_the_interval_as_if_nothing_had_happened(fleet: Fleet) -> None:
    gone = OUTAGE.gone(fleet)
    well = [starts for (server, _), starts in fleet.starts.items() if server not in gone]
    assert len(well) == (OUTAGE.servers - OUTAGE.dark) * OUTAGE.checks
    interval = Timing().interval
    for starts in well:
        regular = starts[1:]  # a process's first attempt has a time of its own
        assert all(abs(after - before - interval) <= TICK for before, after in pairwise(regular))


def test_all_are_known_to_be_back_a_recheck_and_a_timeout_later(fleet: Fleet) -> None:
    timing = Timing()
    for server in OUTAGE.gone(fleet):
        for number in range(OUTAGE.checks):
            assert fleet.state((server, f"c{number}")).up
            back = next(start for start in fleet.starts[server, f"c{number}"] if start >= OUTAGE.back)
            assert back <= OUTAGE.back + timing.recheck_interval + timing.timeout + 1 * SECOND
