"""Maintenance windows: what may be asked for, what is unusual about it, and what the configuration changed.

The specification's help desk makes setting changes in business hours, asked for two weeks ahead. Nothing is forbidden
by that: whoever enters a window is told what it does not keep to. All times are Unix time in ms.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from exporter.clock import DAY, MINUTE
from exporter.contract.businessdays import BusinessCalendar
from exporter.inventory import MaintenanceWindow

NOTICE = 14 * DAY
"""Setting changes are asked for so long ahead."""
GRACE = 10 * MINUTE
"""The customer is told of an outage so long after a window at the earliest."""


@dataclass(frozen=True, slots=True)
class Booking:
    """A window as the ledger has it. ``configured`` ones come from the configuration and end with it."""

    number: int
    window: MaintenanceWindow
    entered: int
    author: str
    configured: bool = False
    ended: int | None = None
    ended_by: str = ""

    @property
    def in_force(self) -> MaintenanceWindow:
        """Return the window as it holds: one that was ended early ends there, and never begins if that was before."""
        return self.window if self.ended is None else replace(self.window, end=min(self.window.end, self.ended))


def unusual(window: MaintenanceWindow, now: int, calendar: BusinessCalendar) -> Iterator[str]:
    """Give what a window that is asked for ``now`` does not keep to, in sentences."""
    last = window.end - 1
    one_day = calendar.day(window.start) == calendar.day(last)
    if not (one_day and calendar.is_open(window.start) and calendar.is_open(last)):
        yield "it is not within the business hours of one day: setting changes are made in business hours"
    if window.start - now < NOTICE:
        yield "it begins in less than two weeks: setting changes are asked for two weeks ahead"


def configured_changes(
    known: Iterable[Booking], configured: Iterable[MaintenanceWindow], now: int
) -> tuple[list[MaintenanceWindow], list[Booking]]:
    """Return the windows of the configuration that the ledger lacks, and what it has and the configuration no longer.

    A window that is over stays in the ledger as it was: people tidy up the configuration.
    """
    standing = [booking for booking in known if booking.configured and booking.ended is None]
    wanted = Counter(configured)
    fresh = wanted - Counter(booking.window for booking in standing)
    gone = [booking for booking in standing if booking.window not in wanted and booking.window.end > now]
    return list(fresh), gone
