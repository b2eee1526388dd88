"""The help desk's calendar: business days and hours in Japan, and the day by which an outage report is due.

Public holidays are computed by jpholiday from the act on national holidays (国民の祝日に関する法律). A year's list is
official from February of the year before, when the Cabinet Office (内閣府「国民の祝日について」) publishes it with the
days of the equinoxes; `VERIFIED_UNTIL` says how far the computed days were compared with it.
"""

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import jpholiday

from exporter.clock import SECOND
from exporter.inventory import Calendar, Settings

VERIFIED_UNTIL = date(2027, 12, 31)
"""The last day for which the public holidays were compared with the published list."""
WARN_BEFORE = timedelta(days=60)
"""So long before `VERIFIED_UNTIL` people are told that this version's list comes to its end."""
LONGEST_CLOSURE = 366
"""Days in a row without a business day that are believed."""
YEARS = range(2026, 2046)
"""The years for which a calendar is looked through when it is configured."""

SATURDAY = 5


class NoBusinessDay(ValueError):  # noqa: N818 - it says what it is
    """The calendar leaves no business day for more than a year."""


class BusinessCalendar:
    """Which days and hours are business. An `open` day beats a `closed` one, and both beat weekends and holidays."""

    def __init__(self, calendar: Calendar, zone: ZoneInfo) -> None:
        self._hours = calendar.hours
        self._zone = zone
        self._open = [_matcher(days) for days in calendar.open]
        self._closed = [_matcher(days) for days in calendar.closed]

    @classmethod
    def of(cls, settings: Settings) -> "BusinessCalendar":
        """Return the calendar that the configuration describes."""
        return cls(settings.calendar, ZoneInfo(settings.timezone))

    def day(self, wall: int) -> date:
        """Return the day on which ``wall`` (Unix time in ms) lies, in the configured time zone."""
        return datetime.fromtimestamp(wall / SECOND, self._zone).date()

    def is_business_day(self, day: date) -> bool:
        """Tell whether the help desk works on ``day`` at all."""
        if any(matches(day) for matches in self._open):
            return True
        if any(matches(day) for matches in self._closed):
            return False
        return day.weekday() < SATURDAY and not jpholiday.is_holiday(day)

    def is_open(self, wall: int) -> bool:
        """Tell whether ``wall`` (Unix time in ms) lies in business hours."""
        local = datetime.fromtimestamp(wall / SECOND, self._zone)
        minute = local.hour * 60 + local.minute
        return any(start <= minute < end for start, end in self._hours) and self.is_business_day(local.date())

    def next_opening(self, wall: int) -> int:
        """Return when the help desk opens next after ``wall``, both Unix time in ms. Raises NoBusinessDay."""
        local = datetime.fromtimestamp(wall / SECOND, self._zone)
        minute = local.hour * 60 + local.minute
        later = [start for start, _ in self._hours if start > minute] if self.is_business_day(local.date()) else []
        day = local.date() if later else self.next_business_day(local.date())
        start = min(later or [start for start, _ in self._hours], default=0)
        opening = datetime.combine(day, time(), self._zone) + timedelta(minutes=start)
        return round(opening.timestamp() * SECOND)

    def next_business_day(self, day: date) -> date:
        """Return the first business day after ``day``; the day itself never counts. Raises NoBusinessDay."""
        for ahead in range(1, LONGEST_CLOSURE + 1):
            candidate = day + timedelta(days=ahead)
            if self.is_business_day(candidate):
                return candidate
        raise NoBusinessDay(f"leaves no business day in the {LONGEST_CLOSURE} days after {day}")

    def verify(self) -> None:
        """Raise NoBusinessDay for a calendar that has none for more than a year."""
        for year in YEARS:
            self.next_business_day(date(year, 1, 1))

    def report_due(self, recovered: int) -> int:
        """Return when the report of an outage that ended at ``recovered`` is due, both Unix time in ms.

        That is the end of business on the next business day: 17:00 by the specification's hours. Raises NoBusinessDay.
        """
        return self.end_of_business(self.next_business_day(self.day(recovered)))

    def end_of_business(self, day: date) -> int:
        """Return when the help desk closes on ``day``, Unix time in ms."""
        end = max((end for _, end in self._hours), default=24 * 60)
        # on the wall's clock, so that a change of summer time in another zone does not move the hour
        due = datetime.combine(day, time(), self._zone) + timedelta(minutes=end)
        return round(due.timestamp() * SECOND)


def list_ends_soon(day: date) -> bool:
    """Tell whether ``day`` is so late that the verified list of public holidays is about to end."""
    return day >= VERIFIED_UNTIL - WARN_BEFORE


def _matcher(days: str) -> Callable[[date], bool]:
    """Return a test for days as the configuration has them: one or two dates, each with its year or for every year."""
    start, _, end = days.partition("/")
    first, last = start, end or start
    if len(first) == len("12-29"):
        if first <= last:
            return lambda day: first <= f"{day:%m-%d}" <= last
        return lambda day: f"{day:%m-%d}" >= first or f"{day:%m-%d}" <= last  # over the turn of the year
    return lambda day: first <= day.isoformat() <= last
