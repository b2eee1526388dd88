"""Which servers are in maintenance: the windows of the configuration, and those that people entered in the ledger.

The ledger is the truth about the past: windows of the configuration are written into it too, and end there when the
configuration has them no longer.
"""

import asyncio
from collections.abc import Callable, Iterable

from exporter.clock import Clock
from exporter.contract.maintenance import GRACE, Booking, configured_changes
from exporter.inventory import MaintenanceWindow, Scope, Server
from exporter.ledger import Ledger, Record, window_end, window_record

CONFIGURATION = "configuration"
"""Who is named as the author of a configured window."""


class Maintenance:
    """The windows that hold now or will, of one serving exporter."""

    def __init__(self, ledger: Ledger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._configured: tuple[MaintenanceWindow, ...] = ()
        self._entered: tuple[MaintenanceWindow, ...] = ()
        self.booked: tuple[Booking, ...] | None = None
        """What the ledger has of windows that are not over for ten minutes; None until it could be read."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when that is not what it was."""

    async def configure(self, windows: Iterable[MaintenanceWindow]) -> None:
        """Take in the windows of a configuration, and write into the ledger what they change."""
        self._configured = tuple(windows)
        now = self._clock.now().wall
        known = await asyncio.to_thread(self._ledger.bookings)
        if known is None:
            return
        fresh, gone = configured_changes(known, self._configured, now)
        records: list[Record] = [window_record(window, now, CONFIGURATION, configured=True) for window in fresh]
        records += [window_end(booking.number, now, CONFIGURATION) for booking in gone]
        if records:
            await self._ledger.save(records)

    async def refresh(self) -> None:
        """Take in what people entered or ended. What cannot be read stays as it was known."""
        bookings = await asyncio.to_thread(self._ledger.bookings, self._clock.now().wall - GRACE)
        if bookings is None:
            return
        self._entered = tuple(booking.in_force for booking in bookings if not booking.configured)
        before, self.booked = self.booked, tuple(bookings)
        if before != self.booked:
            self.on_change()

    def scopes(self, wall: int, grace: int = 0) -> frozenset[Scope]:
        """Return what is in maintenance at ``wall``, or has been less than ``grace`` ms before."""
        windows = (*self._configured, *self._entered)
        return frozenset(
            window.scope
            for window in windows
            if window.start <= wall < window.end + grace and window.start < window.end
        )

    def windows(self, wall: int, ahead: int) -> tuple[MaintenanceWindow, ...]:
        """Return the windows that hold at ``wall`` or begin within ``ahead`` ms after it, in their order."""
        windows = {*self._configured, *self._entered}
        wanted = (each for each in windows if each.start <= wall + ahead and max(each.start, wall) < each.end)
        return tuple(sorted(wanted, key=lambda each: (each.start, each.end, each.scope)))

    def covers(self, server: Server, wall: int) -> bool:
        """Tell whether a server is in maintenance."""
        return server.within(self.scopes(wall))

    def spares_customer(self, server: Server, wall: int) -> bool:
        """Tell whether the customer is not told yet of an outage, because of maintenance."""
        return server.within(self.scopes(wall, GRACE))
