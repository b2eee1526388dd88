"""Keeps silences in Alertmanager that mirror the maintenance windows of the ledger, for the people who look there.

The ledger is what counts: a silence that could not be made or ended changes nothing but what Alertmanager shows. What
should be there is compared with what is there, again and again, so that whatever was missed or changed by hand is put
right: windows entered or configured, ended, or whose servers moved to another site.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Sequence

from collectors.failures import Misconfigured
from exporter.alertmanager_client import Access, AlertmanagerClient, AlertmanagerError, Silence
from exporter.clock import Clock
from exporter.inventory import Config
from exporter.ledger import Ledger
from exporter.maintenance import Maintenance
from exporter.silences import author_of, differences, wanted

log = logging.getLogger("silences")

PERIOD = 300.0
"""Seconds between two comparisons when no window changes."""
RETRY_AFTER = 60.0
"""Seconds after which an Alertmanager that could not be asked is asked again."""


class Mirror:
    """Keeps Alertmanager's silences like the windows of one serving exporter."""

    def __init__(self, *, clock: Clock, ledger: Ledger, maintenance: Maintenance, access: Callable[[], Access]) -> None:
        self._clock = clock
        self._ledger = ledger
        self._maintenance = maintenance
        self._access = access
        self._config = Config()
        self._changed = asyncio.Event()
        self._complaint = ""
        maintenance.on_change = self._changed.set

    def take_over(self, config: Config) -> None:
        """Work by another configuration."""
        self._config = config
        self._changed.set()

    async def work(self) -> None:
        """Compare when a window or the configuration changed, and now and then, for ever."""
        while True:
            self._changed.clear()
            await self.look()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_AFTER if self._complaint else PERIOD):
                    await self._changed.wait()

    async def look(self) -> None:
        """Compare now, and put right what is not. What fails is logged when it is new, and tried again."""
        urls, booked = self._config.alertmanager.urls, self._maintenance.booked
        if not urls or booked is None or not (name := await asyncio.to_thread(self._ledger.name)):
            self._complaint = ""
            return
        now, author, servers = self._clock.now().wall, author_of(name), self._config.servers.values()

        def compare() -> tuple[int, int]:  # a fleet's servers at a site take a while to name
            return _reflect(urls, access, wanted(booked, servers, author, now), author)

        try:
            access = self._access()
            made, ended = await asyncio.to_thread(compare)
        except (AlertmanagerError, Misconfigured) as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("maintenance windows hold, but Alertmanager does not show them as silences: %s", error)  # noqa: TRY400 - its text is all
            return
        if self._complaint or made or ended:
            log.info("Alertmanager shows the maintenance windows as silences: %d made, %d ended", made, ended)
        self._complaint = ""


def _reflect(urls: Sequence[str], access: Access, silences: Iterable[Silence], author: str) -> tuple[int, int]:
    """Make Alertmanager show these silences of ``author`` and no others; return how many were made and ended."""
    with AlertmanagerClient(urls, access) as alertmanager:
        missing, surplus = differences(silences, alertmanager.silences(), author)
        for silence in missing:
            alertmanager.create(silence)
        for silence in surplus:  # last, so that no moment is without
            alertmanager.expire(silence.id)
    return len(missing), len(surplus)
