"""What is unusual about a maintenance window, and what a changed configuration makes of the ledger's."""

from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from exporter.clock import DAY, HOUR, MINUTE
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.maintenance import Booking, configured_changes, unusual
from exporter.inventory import MaintenanceWindow, Settings

CALENDAR = BusinessCalendar.of(Settings())
NOW = 1_795_653_000_000  # 2026-11-26 09:30:00 in Japan
WINDOW = MaintenanceWindow(NOW + HOUR, NOW + 2 * HOUR, "memory", server="web01")
HOURS = "it is not within the business hours of one day: setting changes are made in business hours"
NOTICE = "it begins in less than two weeks: setting changes are asked for two weeks ahead"


def at(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Tokyo")).timestamp() * 1000)


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        ("2026-12-10T10:00", "2026-12-10T12:00", []),
        ("2026-12-10T10:00", "2026-12-10T17:00", []),  # over lunch
        ("2026-12-10T09:59", "2026-12-10T12:00", [HOURS]),
        ("2026-12-10T16:00", "2026-12-10T17:01", [HOURS]),
        ("2026-12-10T16:00", "2026-12-11T11:00", [HOURS]),  # over night
        ("2026-12-12T10:00", "2026-12-12T12:00", [HOURS]),  # a Saturday
        ("2026-12-10T09:30", "2026-12-10T12:00", [HOURS]),
        ("2026-12-09T10:00", "2026-12-09T12:00", [NOTICE]),
        ("2026-11-26T22:00", "2026-11-27T02:00", [HOURS, NOTICE]),
    ],
)
def test_what_a_window_does_not_keep_to_is_said(start: str, end: str, said: list[str]) -> None:
    assert list(unusual(MaintenanceWindow(at(start), at(end), "", server="web01"), NOW, CALENDAR)) == said


def booking(window: MaintenanceWindow, **changes: object) -> Booking:
    return replace(Booking(1, window, NOW - DAY, "configuration", configured=True), **changes)  # type: ignore[arg-type]  # fields of it


def test_a_window_that_was_ended_early_holds_until_then_and_never_if_that_was_before_its_begin() -> None:
    assert booking(WINDOW, ended=WINDOW.start + MINUTE).in_force.end == WINDOW.start + MINUTE
    assert booking(WINDOW, ended=WINDOW.end + MINUTE).in_force == WINDOW
    assert booking(WINDOW, ended=NOW).in_force.end < WINDOW.start


def test_a_configured_window_is_written_once_and_ends_when_the_configuration_has_it_no_longer() -> None:
    assert configured_changes([], [WINDOW], NOW) == ([WINDOW], [])
    assert configured_changes([booking(WINDOW)], [WINDOW], NOW) == ([], [])
    assert configured_changes([booking(WINDOW)], [], NOW) == ([], [booking(WINDOW)])
    assert configured_changes([booking(WINDOW, ended=NOW)], [], NOW) == ([], [])


def test_a_configured_window_that_is_over_or_that_a_person_entered_is_left_as_it_is() -> None:
    assert configured_changes([booking(WINDOW)], [], WINDOW.end) == ([], [])
    assert configured_changes([booking(WINDOW, configured=False)], [], NOW) == ([], [])


def test_a_configured_window_that_comes_back_is_a_new_one() -> None:
    assert configured_changes([booking(WINDOW, ended=NOW)], [WINDOW], NOW) == ([WINDOW], [])
