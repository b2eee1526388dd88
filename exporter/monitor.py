"""The whole of the monitoring, put together: takes in a configuration, keeps the checks and lamps running, reloads."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from exporter.alertmanager_client import Access, customer_alerts
from exporter.chain import Chain
from exporter.clock import SECOND, Clock
from exporter.config import ConfigError, Problem, load_in_child, summary
from exporter.contract.businessdays import VERIFIED_UNTIL, BusinessCalendar, list_ends_soon
from exporter.contract.incidents import IncidentEvent
from exporter.duties import Duties
from exporter.exposition import Exposition
from exporter.inventory import Check, Config, Scope, Server
from exporter.lamps import SourceState
from exporter.lampwatch import LampWatch
from exporter.ledger import (
    LEASE,
    SITE,
    Ledger,
    Record,
    forget_check,
    forget_source,
    lease_event,
    move_event,
    timezone_row,
    withdrawn_event,
)
from exporter.loopwatch import LoopWatch
from exporter.maintenance import Maintenance
from exporter.mirror import Mirror
from exporter.notices import Notices
from exporter.outage import CheckState, Recovery
from exporter.outbox import Outbox
from exporter.presence import Presence
from exporter.rendering import calendar_lines, inventory_lines
from exporter.retention import prune
from exporter.runner import Runner, raise_descriptor_limit
from exporter.schedule import Schedule
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry, TrapResult
from exporter.ticks import tick
from exporter.traps import Traps
from exporter.vantage import Vantage

log = logging.getLogger("monitor")

BREATH = 100
"""So many servers are taken in before the loop gets its turn."""

PRUNE_FIRST, PRUNE_PERIOD = 3600.0, 86_400.0
"""Seconds until the ledger is pruned: not at once, since a machine that starts may not have the right time yet."""

PROGRESS_PERIOD = 2.0
"""Seconds between two lines that say how far the reading of a large configuration is."""

CALENDAR_PERIOD = 5.0
"""Seconds between two looks at the business hours."""

ALL_THE_SAME = 10
"""Every so many looks it is refreshed all the same: sightings grow old, and of two writes within a clock tick the files
may tell one."""
LEDGER_PERIOD = 0.5
"""Seconds between two looks for what people wrote, and for windows that begin or end."""


class Monitor:
    """Everything that runs between the configuration and `/metrics`. Made inside the running event loop."""

    def __init__(self, config_file: Path, ledger: Ledger, clock: Clock) -> None:
        self.config_file = config_file
        self.clock = clock
        self.ledger = ledger
        self.config = Config()
        self.calendar = BusinessCalendar.of(self.config.settings)
        self.ready = False
        self.progress = f"reading {config_file.name}"
        """How far the taking in of a configuration is."""
        self.exposition = Exposition()
        self.telemetry = Telemetry(clock)
        ledger.on_error = self.telemetry.ledger_errors.inc
        self.secrets = Secrets({})
        self.schedule = Schedule()
        self.vantage = Vantage((), self.telemetry.vantage_up.set)
        self.watch = LoopWatch(asyncio.get_running_loop(), self.telemetry.loop_lag.observe)
        self.runner = Runner(
            clock=clock,
            schedule=self.schedule,
            ledger=ledger,
            exposition=self.exposition,
            telemetry=self.telemetry,
            secrets=self.secrets,
            vantage=self.vantage,
            watch=self.watch,
        )
        self.lamps = LampWatch(
            clock=clock,
            ledger=ledger,
            exposition=self.exposition,
            secrets=self.secrets,
            settings=self.config.settings,
        )
        self.maintenance = Maintenance(ledger, clock)
        self.presence = Presence(ledger, clock)
        self.duties = Duties(
            clock=clock,
            schedule=self.schedule,
            lamps=self.lamps,
            ledger=ledger,
            exposition=self.exposition,
            maintenance=self.maintenance,
        )
        self.runner.duties = self.lamps.duties = self.duties
        self.outbox = Outbox(clock=clock, ledger=ledger, secrets=self.secrets, telemetry=self.telemetry)
        self.notices = Notices(clock=clock, ledger=ledger, incidents=self.duties.incidents, outbox=self.outbox)
        self.chain = Chain(
            clock=clock,
            ledger=ledger,
            incidents=self.duties.incidents,
            notices=self.notices,
            ask=partial(customer_alerts, access=self._alertmanager_access),
        )
        self.mirror = Mirror(clock=clock, ledger=ledger, maintenance=self.maintenance, access=self._alertmanager_access)
        self.chain.spares_customer = self.duties.spares_customer
        self.duties.happened = self._happened
        self.notices.on_told = self.duties.publish
        self.traps = Traps(clock, self.secrets, self.lamps.reread, self._count_trap)
        self._known_checks = ledger.check_states()
        self._known_sources = ledger.source_states()
        self._maintained: frozenset[Scope] = frozenset()
        self._background: list[asyncio.Task[None]] = []
        self._reloading = asyncio.Lock()

    async def start(self) -> None:
        """Read the configuration and begin. Raises ConfigError and TooFewDescriptors."""
        async with self._reloading, self._telling():
            await self._start()
        self.ready = True

    async def _start(self) -> None:
        config, warnings = await load_in_child(self.config_file)
        _report(warnings)
        raise_descriptor_limit(sum(1 for _ in config.checks()))
        self.watch.start()
        await self.duties.restore()
        await self.maintenance.refresh()
        await self.presence.begin()
        self.traps.rebind(config.traps_listen, self.config_file)
        await self._apply(config)
        forgotten: list[Record] = []
        for key in self._known_checks:
            forgotten += [forget_check(key), withdrawn_event(key, self.clock.now().wall)]
        forgotten += self.duties.withdraw_unknown()
        forgotten += self.duties.draft_reports()
        forgotten += [forget_source(key) for key in self._known_sources]
        if forgotten:
            await self.ledger.save(forgotten)
        self._known_checks.clear()
        self._known_sources.clear()
        duties = (self._watch_calendar, self._watch_ledger, self._prune, self.mirror.work)
        telling = (self.notices.work, self.outbox.work, self.chain.watch)
        for forever in (self.vantage.watch, self.presence.watch, self.traps.watch, *duties, *telling):
            self._background.append(asyncio.create_task(_keep(forever)))

    def _alertmanager_access(self) -> Access:
        return Access.of(self.config.alertmanager, self.secrets)

    def _happened(self, events: Iterable[IncidentEvent]) -> None:
        events = tuple(events)
        self.notices.happened(events)
        self.chain.happened(events)

    async def stop(self) -> None:
        """Stop everything; what was decided is in the ledger."""
        self.ready = False
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        self.traps.stop()
        await self.runner.stop()
        await self.lamps.stop()
        await self.presence.beat()
        self.watch.stop()

    async def reload(self) -> None:
        """Read the configuration again and apply it. Raises ConfigError and keeps the old one when it is bad."""
        async with self._reloading, self._telling():
            try:
                config, warnings = await load_in_child(self.config_file)
                self.traps.rebind(config.traps_listen, self.config_file)
            except ConfigError as error:
                self.telemetry.reload_successful.set(0)
                log.error("the configuration is bad, the old one stays in force:\n%s", error)  # noqa: TRY400 - its text is all
                raise
            _report(warnings)
            await self._apply(config)
            log.info("the configuration was read again: %s", summary(config))

    @contextlib.asynccontextmanager
    async def _telling(self) -> AsyncIterator[None]:
        """Log how far it is, as long as the block lasts."""
        self.progress = f"reading {self.config_file.name}"

        async def tell() -> None:
            begun = self.clock.now().monotonic
            while True:
                await asyncio.sleep(PROGRESS_PERIOD)
                log.info("%s, after %.0f s", self.progress, (self.clock.now().monotonic - begun) / SECOND)

        task = asyncio.create_task(tell())
        try:
            yield
        finally:
            task.cancel()

    async def _apply(self, config: Config) -> None:
        old = self.config
        self.config = config
        self.secrets.replace(config.credentials)
        self.vantage.addresses = config.settings.vantage
        self.lamps.settings = config.settings
        self.calendar = BusinessCalendar.of(config.settings)
        self.duties.take_over(config)
        await self._write_belongings(old, config)
        await self.maintenance.configure(config.maintenance)
        await self.maintenance.refresh()
        self.mirror.take_over(config)
        self._maintained = self.maintenance.scopes(self.clock.now().wall)
        self.notices.take_over(config)
        self.chain.urls = config.alertmanager.urls
        self.telemetry.tell_who_tells(config.settings.notices)
        if config.settings.timezone != old.settings.timezone or not self.ready:
            await self.ledger.save([timezone_row(config.settings.timezone)])
        await self._drop(old, config)
        fresh_checks = sum(1 for check in config.checks() if self.schedule.get(check.key) is None)
        fresh_sources = sum(1 for source in config.sources() if self.lamps.get(source.key) is None)
        for number, server in enumerate(config.servers.values(), 1):
            self._take_in(server, fresh_checks, fresh_sources)
            if number % BREATH == 0:
                self.progress = f"{number:,} of {len(config.servers):,} servers taken in"
                self.runner.poke()
                await asyncio.sleep(0)
        self.runner.poke()
        self.lamps.poke()
        self.traps.replace(config, self.lamps.endpoints())
        self.telemetry.reload_successful.set(1)
        self.telemetry.reload_timestamp.set(self.clock.now().wall / 1000)
        gc.freeze()  # what was just made stays: without this the collector walks the whole inventory again and again
        gone = dict(old.servers)
        del old
        await _let_go(gone)

    async def _write_belongings(self, old: Config, new: Config) -> None:
        """Write down which servers are another customer's or at another site than before: from then on they are."""
        wall = self.clock.now().wall
        records: list[Record] = []
        for kind, of, event in ((LEASE, _customer, lease_event), (SITE, _site, move_event)):
            if self.ready:
                before = {server.name: of(server) for server in old.servers.values()}
            else:
                before = await asyncio.to_thread(self.ledger.belongings, kind)
            after = {server.name: of(server) for server in new.servers.values()}
            was_and_is = {name: (before.get(name, ""), after.get(name, "")) for name in before | after}
            records += [event(name, was, now, wall) for name, (was, now) in was_and_is.items() if was != now]
        if records:
            await self.ledger.save(records)

    async def _drop(self, old: Config, new: Config) -> None:
        """Take out what the new configuration no longer has, or has under another protocol or address."""
        kept_checks = {check.key: _identity(check) for check in new.checks()}
        kept_sources = {source.key for source in new.sources()}
        forgotten: list[Record] = []
        for number, server in enumerate(old.servers.values(), 1):
            for check in server.checks:
                if kept_checks.get(check.key) != _identity(check):
                    self.schedule.remove(check.key)
                    self.runner.withdraw(check)
                    forgotten += [forget_check(check.key), withdrawn_event(check.key, self.clock.now().wall)]
                    forgotten += self.duties.withdraw(check)
            for source in server.lamps:
                if source.key not in kept_sources:
                    self.lamps.remove(source.key)
                    forgotten.append(forget_source(source.key))
            if server.name not in new.servers:
                self.exposition.withdraw(("inventory", server.name))
                self.exposition.withdraw(("lamps", server.name))
                self.duties.publish(server.name)
            if number % BREATH == 0:
                await asyncio.sleep(0)
        if forgotten:
            await self.ledger.save(forgotten)

    def _take_in(self, server: Server, fresh_checks: int, fresh_sources: int) -> None:
        now = self.clock.now()
        for check in server.checks:
            entry = self.schedule.get(check.key)
            if entry is None:
                state = self._remembered(check)
                self.schedule.add(check, state, fresh_checks, now)
                if state.last_run is not None:
                    self.runner.publish(check, state)
            elif entry.check != check:
                self.schedule.update(check, now.monotonic)
        for source in server.lamps:
            if self.lamps.get(source.key) is None:
                known = self._known_sources.pop(source.key, None)
                self.lamps.add(source, server, known or SourceState(), fresh_sources)
                lamp_entry = self.lamps.get(source.key)
                if known and lamp_entry:
                    self.lamps.publish(lamp_entry)
            else:
                self.lamps.update(source, server)
        self.lamps.publish_server(server.name)
        self._publish_inventory(server)
        self.duties.publish(server.name)

    def _remembered(self, check: Check) -> CheckState:
        protocol, address, state = self._known_checks.pop(check.key, ("", "", CheckState()))
        if (protocol, address) != _identity(check):
            return CheckState()
        if state.up and self.duties.recovering(check):  # the successes before the restart were not counted
            return replace(state, recovery=Recovery(self.clock.now(), 0))
        return state

    def _publish_inventory(self, server: Server) -> None:
        maintenance = server.within(self._maintained)
        self.exposition.publish(("inventory", server.name), inventory_lines(server, maintenance=maintenance))

    def _count_trap(self, result: TrapResult) -> None:
        self.telemetry.traps.labels(result).inc()

    async def _watch_calendar(self) -> None:
        told = None
        while True:
            wall = self.clock.now().wall
            self.exposition.publish(("calendar",), calendar_lines(business_hours=self.calendar.is_open(wall)))
            today = self.calendar.day(wall)
            if today != told and list_ends_soon(today):
                log.warning(
                    "the public holidays of Japan are verified until %s only: install a newer version", VERIFIED_UNTIL
                )
            told = today
            await tick(CALENDAR_PERIOD)

    async def _prune(self) -> None:
        await asyncio.sleep(PRUNE_FIRST)
        while True:
            await asyncio.to_thread(prune, self.ledger, self.clock.now().wall - self.config.settings.retention)
            await asyncio.sleep(PRUNE_PERIOD)

    async def _watch_ledger(self) -> None:
        """Take in what other processes wrote, and note which windows begin and end; in one, to wake up once for all.

        That anybody wrote is told by the ledger's files, for nothing.
        """
        seen, looks = self.ledger.stamp(), 0
        while True:
            stamp = self.ledger.stamp()
            if stamp != seen or looks % ALL_THE_SAME == 0:
                seen, looks = stamp, 0
                await self.duties.refresh()
                await self.outbox.refresh()
            looks += 1
            before, self._maintained = self._maintained, self.maintenance.scopes(self.clock.now().wall)
            if changed := before ^ self._maintained:
                await self._publish_maintenance(changed)
            await tick(LEDGER_PERIOD)

    async def _publish_maintenance(self, changed: frozenset[Scope]) -> None:
        for number, server in enumerate(list(self.config.servers.values()), 1):
            if server.within(changed) and self.config.servers.get(server.name) is server:  # not reloaded meanwhile
                self._publish_inventory(server)
            if number % BREATH == 0:
                await asyncio.sleep(0)


def _customer(server: Server) -> str:
    return server.customer


def _site(server: Server) -> str:
    return server.site


def _identity(check: Check) -> tuple[str, str]:
    """Return what makes a check another one: a changed option keeps its state, these do not."""
    return (check.protocol, check.address)


async def _let_go(servers: dict[str, Server]) -> None:
    """Free a big old inventory a few servers at a time: all at once would stall the loop for up to 0.1 s."""
    while servers:
        for _ in range(min(BREATH, len(servers))):
            servers.popitem()
        await asyncio.sleep(0)


def _report(problems: tuple[Problem, ...]) -> None:
    for problem in problems:
        log.warning("%s", problem)


async def _keep(forever: Callable[[], Awaitable[None]]) -> None:
    """Run a background duty for ever: a defect of ours in it is logged, not fatal."""
    while True:
        try:
            await forever()
        except Exception:
            log.exception("a background duty broke; it starts again")
            await asyncio.sleep(1.0)
