"""The help desk's calendar: every day of five years against the published lists, hours, and when a report is due."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exporter.contract.businessdays import (
    VERIFIED_UNTIL,
    BusinessCalendar,
    NoBusinessDay,
    list_ends_soon,
)
from exporter.inventory import Calendar

TOKYO = ZoneInfo("Asia/Tokyo")
SHIPPED = BusinessCalendar(Calendar(), TOKYO)

# 2026 and 2027 as the Cabinet Office published them; 2028 to 2030 by the act, with the equinoxes that the National
# Astronomical Observatory calculates. Substitute and in-between holidays included.
HOLIDAYS = {
    2026: "01-01 01-12 02-11 02-23 03-20 04-29 05-03 05-04 05-05 05-06 07-20 08-11 09-21 09-22 09-23 10-12 11-03 11-23",
    2027: "01-01 01-11 02-11 02-23 03-21 03-22 04-29 05-03 05-04 05-05 07-19 08-11 09-20 09-23 10-11 11-03 11-23",
    2028: "01-01 01-10 02-11 02-23 03-20 04-29 05-03 05-04 05-05 07-17 08-11 09-18 09-22 10-09 11-03 11-23",
    2029: "01-01 01-08 02-11 02-12 02-23 03-20 04-29 04-30 05-03 "
    "05-04 05-05 07-16 08-11 09-17 09-23 09-24 10-08 11-03 11-23",
    2030: "01-01 01-14 02-11 02-23 03-20 04-29 05-03 05-04 05-05 "
    "05-06 07-15 08-11 08-12 09-16 09-23 10-14 11-03 11-04 11-23",
}
YEAR_END = {"12-29", "12-30", "12-31", "01-01", "01-02", "01-03"}
ALL_DAYS = [date(2026, 1, 1) + timedelta(days=n) for n in range((date(2031, 1, 1) - date(2026, 1, 1)).days)]


def works(day: date) -> bool:
    text = f"{day:%m-%d}"
    return day.weekday() < 5 and text not in YEAR_END and text not in HOLIDAYS.get(day.year, "").split()


def at(text: str, zone: ZoneInfo = TOKYO) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=zone).timestamp() * 1000)


def test_every_day_from_2026_to_2030_is_a_business_day_or_not_as_published() -> None:
    assert [day for day in ALL_DAYS if SHIPPED.is_business_day(day) != works(day)] == []


def test_the_next_business_day_is_right_for_every_day_from_2026_to_2030() -> None:
    for day in ALL_DAYS[:-10]:
        expected = day + timedelta(days=1)
        while not works(expected):
            expected += timedelta(days=1)
        assert SHIPPED.next_business_day(day) == expected


@pytest.mark.parametrize(
    ("recovered", "due"),
    [
        ("2026-11-25T08:00:00", "2026-11-26T17:00:00"),  # before hours of a business day: the day itself never counts
        ("2026-11-25T23:59:59.999", "2026-11-26T17:00:00"),
        ("2026-11-26T00:00:00", "2026-11-27T17:00:00"),
        ("2026-11-20T18:00:00", "2026-11-24T17:00:00"),  # a Friday before 勤労感謝の日
        ("2026-09-18T12:00:00", "2026-09-24T17:00:00"),  # 敬老の日, 国民の休日, 秋分の日 in a row
        ("2026-12-28T12:00:00", "2027-01-04T17:00:00"),  # year end
    ],
)
def test_a_report_is_due_at_the_end_of_the_next_business_day(recovered: str, due: str) -> None:
    assert SHIPPED.report_due(at(recovered)) == at(due)


def test_a_report_is_due_by_the_wall_clock_also_where_summer_time_begins() -> None:
    new_york = ZoneInfo("America/New_York")
    calendar = BusinessCalendar(Calendar(open=("2026-03-08",)), new_york)
    assert calendar.report_due(at("2026-03-07T12:00:00", new_york)) == at("2026-03-08T17:00:00", new_york)


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-11-25T09:59:59.999", False),
        ("2026-11-25T10:00:00", True),
        ("2026-11-25T11:59:59", True),
        ("2026-11-25T12:00:00", False),
        ("2026-11-25T13:00:00", True),
        ("2026-11-25T16:59:59", True),
        ("2026-11-25T17:00:00", False),
        ("2026-11-23T11:00:00", False),
        ("2026-12-29T11:00:00", False),
    ],
)
def test_business_hours_begin_and_end_on_the_minute_and_only_on_business_days(moment: str, is_open: bool) -> None:
    assert SHIPPED.is_open(at(moment)) is is_open


@pytest.mark.parametrize(
    ("moment", "opening"),
    [
        ("2026-11-25T09:00:00", "2026-11-25T10:00:00"),
        ("2026-11-25T11:00:00", "2026-11-25T13:00:00"),  # open now: the afternoon is the next opening
        ("2026-11-25T12:30:00", "2026-11-25T13:00:00"),
        ("2026-11-25T17:00:00", "2026-11-26T10:00:00"),
        ("2026-12-28T18:00:00", "2027-01-04T10:00:00"),
        ("2026-11-23T11:00:00", "2026-11-24T10:00:00"),
    ],
)
def test_the_next_opening_is_today_where_there_still_is_one(moment: str, opening: str) -> None:
    assert SHIPPED.next_opening(at(moment)) == at(opening)


def test_an_open_day_beats_a_closed_one_and_both_beat_weekends_and_holidays() -> None:
    calendar = BusinessCalendar(Calendar(closed=("08-13/08-15",), open=("2026-11-23", "2026-08-14/2026-08-15")), TOKYO)
    assert calendar.is_business_day(date(2026, 11, 23))
    assert not calendar.is_business_day(date(2026, 8, 13))
    assert calendar.is_business_day(date(2026, 8, 15))  # a Saturday
    assert not calendar.is_business_day(date(2027, 8, 13))


def test_a_closure_over_the_turn_of_the_year_holds_every_year() -> None:
    calendar = BusinessCalendar(Calendar(closed=("12-29/01-03",)), TOKYO)
    assert calendar.is_business_day(date(2028, 12, 28))
    assert not calendar.is_business_day(date(2028, 12, 29))
    assert calendar.is_business_day(date(2029, 1, 4))


def test_a_calendar_without_business_days_is_told_instead_of_searched_for_ever() -> None:
    with pytest.raises(NoBusinessDay, match="leaves no business day in the 366 days after 2026-01-01"):
        BusinessCalendar(Calendar(closed=("01-01/12-31",)), TOKYO).verify()


def test_the_end_of_the_verified_list_is_told_sixty_days_before() -> None:
    assert not list_ends_soon(VERIFIED_UNTIL - timedelta(days=61))
    assert list_ends_soon(VERIFIED_UNTIL - timedelta(days=60))
