"""A site in virtual time: the real exporter, what it watches, and the chain of alerts that comes back to it.

Everything between the configuration and a mail is the product's own: `Monitor` with runner, schedule, vantage guard,
incidents, maintenance, notices, last resort, outbox, ledger (SQLite). Scripted are: what a check and a vantage address
find, the lamps (normal), how late the event loop is, the mail server, and Prometheus and Alertmanager (`timers`).

**Skipping.** Most of a year nothing happens at a site: every check is up and stays so, and a success of a check that
is up changes nothing. Such stretches are not lived through: the true time and the wall clock move ahead by a multiple
of ten minutes, all else stands still. All that happens regularly (slots of checks, scrapes, evaluations, flushes) has a
period that divides ten minutes, so that it goes on in the same phase as if the time had been lived through; and it goes
on at least `LEAD` before anything happens, more than anything in the chain or in the product remembers of the time
before. `test_what_is_skipped_would_have_changed_nothing` lives through all of it and finds the same.
"""

import asyncio
import contextlib
import gc
import heapq
import json
import logging
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from email import message_from_bytes, policy
from functools import partial
from ipaddress import IPv4Address
from itertools import chain
from pathlib import Path
from random import Random
from typing import IO, Any, cast
from unittest import mock
from zlib import crc32

import sqlalchemy as sa
from aiohttp import web

from collectors import failures
from collectors.reading import HardwareReading, Lamp, LampReading, Verdict
from collectors.registry import LampTarget, Options, Registry, check, source
from exporter import ledger as schema
from exporter.alertmanager_client import Silence, UnreachableError
from exporter.alerts import Alert
from exporter.clock import MINUTE, SECOND
from exporter.contract.incidents import IncidentEvent, What
from exporter.desk import Desk, DeskError
from exporter.families import Selection
from exporter.inventory import (
    Alertmanager,
    Check,
    Config,
    Contact,
    Customer,
    LampSourceEntry,
    Mail,
    Noc,
    Provider,
    Server,
    Settings,
    Timing,
    VantageAddress,
)
from exporter.ledger import Event, Ledger, Row, beside, window_record, write
from exporter.mail.courier import Result
from exporter.mail.courier import UnreachableError as MailUnreachableError
from exporter.mail.message import Outgoing
from exporter.mail.reports import report_mails
from exporter.monitor import Monitor
from exporter.timetable import NEVER, next_slot
from exporter.web.webhook import receive
from tests.simulation import record as rec
from tests.simulation import timers, world
from tests.simulation.record import Attempt, Outcome, Part, Record
from tests.simulation.virtual import ProcessClock, SiteTime, VirtualLoop

SKIPPED = 10 * MINUTE
"""Time is skipped in multiples of this."""
LEAD = 12 * MINUTE
"""So long before anything happens the time is lived through: longer than the interval, and than anything is remembered:
five minutes of samples, ten of maintenance."""
LOOK = 30 * SECOND
"""So often it is looked whether there is something to skip."""
ARMED = 30 * MINUTE
"""So long a kill waits for its commit."""
SELDOM = {"LEDGER_PERIOD": 5.0, "ALL_THE_SAME": 60, "CALENDAR_PERIOD": 60.0}
BEAT = 30.0
LOOK_AT_CHAIN = 5.0
"""For speed the exporter looks less often than shipped at what does not come by itself: at the ledger every 5 s instead
of 0.5 s, at what alerts are missing every 5 s instead of every second. All of them divide `SKIPPED`."""
SEEN = 10 * SECOND
"""So long after a person wrote something nothing is skipped."""
ANSWERS_AFTER = 0.02
"""Seconds that an answer takes."""
FRESH = 1 * SECOND
"""An answer of a vantage address so young still holds."""

FAILURES = {
    kind.reason: kind
    for kind in (
        failures.NoAddress,
        failures.Refused,
        failures.Unreachable,
        failures.TlsFailure,
        failures.CertificateFailure,
        failures.Unavailable,
        failures.UnexpectedReply,
        failures.WrongContent,
        failures.Unauthorized,
        failures.Misconfigured,
        failures.Internal,
    )
}


class SimulatedOptions(Options):
    server: str
    check: str


class SimulatedLamps:
    """A controller that is well."""

    def __init__(self, options: SimulatedOptions) -> None:
        self._server = options.server

    def endpoint(self) -> str:
        # of its own for each server, and no name: that would be looked up
        return f"{IPv4Address(0x0A000000 + crc32(self._server.encode()) % 2**24)}:623"

    async def read(self, _target: LampTarget, _deadline: float) -> HardwareReading:
        await asyncio.sleep(0.5)
        return HardwareReading((LampReading(Lamp.SYSTEM, "Chassis", Verdict.NORMAL, "0x00"),))


def contacts(server: str) -> tuple[str, ...]:
    """Return whom a server's customer wants to be told: one address, or two."""
    number = sum(server.encode()) % 2 + 1
    return tuple(f"{name}@{server}.example" for name in ("desk", "night")[:number])


def configuration(plan: world.Plan) -> Config:
    """Return what `exporter.config` would make of a site's file: shipped times, ``notices: ledger``."""
    servers: dict[str, Server] = {}
    customers: dict[str, Customer] = {}
    for number, name in enumerate(plan.servers):
        checks = tuple(
            Check(name, each, "simulated", "192.0.2.1", "", SimulatedOptions(server=name, check=each), Timing())
            for each in world.CHECKS
        )
        lamps = (LampSourceEntry(name, "simulated", "simulated", SimulatedOptions(server=name, check="")),)
        told = tuple(Contact("" if index else "運用担当", email) for index, email in enumerate(contacts(name)))
        customers[f"of-{name}"] = Customer(f"of-{name}", name, ("ja", "en")[number % 2], True, told)
        servers[name] = Server(
            name, f"of-{name}", True, "192.0.2.1", login_check="chk-a", lamps=lamps, checks=checks, site=plan.name
        )
    return Config(
        settings=Settings(notices="ledger", vantage=(VantageAddress("198.51.100.1", 53),)),
        noc=Noc("ja", (Contact("NOC", "noc@provider.example"),)),
        provider=Provider("株式会社プロバイダ", "0120-000-000", "support@provider.example"),
        mail=Mail("mail.provider.example", 25, "noc@provider.example", tls="none"),
        alertmanager=Alertmanager(("http://alertmanager.example",), ""),
        maintenance=plan.configured,
        customers=customers,
        servers=servers,
    )


class InlineLedger(Ledger):
    """The ledger without its thread: what comes in is committed on the spot, or its process is killed there."""

    site: "Site"
    process: "Process"

    def __init__(self, engine: sa.Engine, lock: IO[str]) -> None:
        super().__init__(engine, lock)
        self._inbox = cast("Any", self)
        self.dead = False

    def put(self, order: Any) -> None:
        """Stand for the queue of the writing thread."""
        if order is None or self.dead:
            return
        how = self.site.kills_at(order.records)
        if how is world.How.KILLED_BEFORE_COMMIT:
            self.site.kill(self.process)
            return
        self._take_in(order.records)
        written = self._commit()
        self.site.committed(self.process, order.records)
        if how is world.How.KILLED_AFTER_COMMIT:
            self.site.kill(self.process)
            return
        order.answer(written)

    def stamp(self) -> tuple[tuple[int, int], ...]:
        # what this process wrote it knows; its own commits need no second look unless that is to be seen itself
        return super().stamp() if self.site.thorough else ((self.site.foreign_writes, 0),)

    def abandon(self) -> None:
        """Let go of everything as a killed process does: nothing is written any more."""
        self.dead = True
        if self._routine_due is not None:
            self._routine_due.cancel()
        self._engine.dispose()
        self._lock.close()

    def _write_forever(self) -> None:
        pass


class LateWatch:
    """Stands for the watch on the event loop: it is late when the world says so."""

    def __init__(self, site: "Site") -> None:
        self._site = site

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def late_since(self, _begun: float) -> bool:
        return self._site.plan.is_away(Part.LOOP, self._site.time.true)


class Courier:
    """Stands for a connection to the mail server."""

    def __init__(self, site: "Site") -> None:
        self._site = site

    @contextmanager
    def connected(self) -> Iterator[None]:
        self._answers()
        yield

    def hand_over(self, mail: Outgoing) -> tuple[Result, str]:
        self._answers()
        self._site.took(mail)
        return Result.SENT, ""

    def abort(self) -> None:
        pass

    def _answers(self) -> None:
        if self._site.plan.is_away(Part.MAIL, self._site.time.true):
            raise MailUnreachableError("the mail server is away")


class SilenceBoard(AbstractContextManager["SilenceBoard"]):
    """Stands for Alertmanager's API where the exporter mirrors windows as silences.

    It keeps them, and mutes nothing: what a window mutes is decided before any alert.
    """

    def __init__(self, site: "Site") -> None:
        self._site = site
        self._kept: dict[str, Silence] = {}
        self._made = 0

    def __exit__(self, *_: object) -> None:
        pass

    def silences(self) -> list[Silence]:
        if self._site.plan.is_away(Part.ALERTMANAGER, self._site.time.true):
            raise UnreachableError("Alertmanager is away")
        return list(self._kept.values())

    def create(self, silence: Silence) -> str:
        self._made += 1
        name = str(self._made)
        self._kept[name] = replace(silence, id=name, state="active")
        return name

    def expire(self, identity: str) -> None:
        del self._kept[identity]


class Complaints(logging.Handler):
    """Keeps what the product says of defects of its own."""

    def __init__(self, kept: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._kept = kept

    def emit(self, entry: logging.LogRecord) -> None:
        if entry.exc_info:
            self._kept.append(logging.Formatter("%(name)s: %(message)s").format(entry))


@dataclass(eq=False)
class Process:
    """One process of the exporter, from its start to its end."""

    number: int
    clock: ProcessClock
    ledger: InlineLedger
    monitor: Monitor
    alive: bool = True
    stopping: bool = False
    died: asyncio.Event = field(default_factory=asyncio.Event)
    latest: dict[tuple[str, str], Attempt] = field(default_factory=dict)
    saved: dict[tuple[str, str], Attempt] = field(default_factory=dict)

    @property
    def serves(self) -> bool:
        """Whether it answers."""
        return self.alive and not self.stopping and self.monitor.ready


class Site:
    """One exporter with its servers and its chain. ``thorough`` skips nothing."""

    def __init__(self, plan: world.Plan, folder: Path, *, thorough: bool = False) -> None:
        self.plan = plan
        self.folder = folder
        self.thorough = thorough
        self.config = configuration(plan)
        self.record = Record()
        for part, spans in plan.away.items():
            self.record.away[part] = list(spans)  # the plan forgets what is over
        self.time: SiteTime
        self.process: Process | None = None
        self.foreign_writes = 0
        self._written = 0
        self._processes = 0
        self._random = Random(f"{plan.name}/chain")
        self._prometheus = timers.Prometheus(timers.RulePace())
        self._alertmanager = timers.Alertmanager(timers.ROUTES)
        self._generation = 0
        """Of Alertmanager: what an earlier one had under way ends."""
        self._received: asyncio.Event
        self._at_commit: tuple[world.How, str] | None = None
        self._later: list[tuple[int, int, str]] = []
        """When a person sends the report of which incident."""
        self._under_way: set[asyncio.Task[None]] = set()
        self._vantage_tried = (0, True)
        self._scraped: tuple[bytes, dict[timers.Series, float], list[str]] = (b"", {}, [])

    def run(self) -> Record:
        """Live through the whole plan; return what happened."""
        complaints = Complaints(self.record.complaints)
        logging.getLogger().addHandler(complaints)
        try:
            with self._in_place(), asyncio.Runner(loop_factory=VirtualLoop) as runner:
                runner.run(self._live())
        finally:
            logging.getLogger().removeHandler(complaints)
            gc.unfreeze()
            gc.collect()
        return self.record

    def history(self) -> list[IncidentEvent]:
        """Return what the ledger has of incidents."""
        with beside(self.folder) as connection:
            return [event for _, event in schema.incident_history(connection)]

    @contextmanager
    def _in_place(self) -> Iterator[None]:
        """Put the scripted world where the product would look at the real one."""

        async def read(_file: Path) -> tuple[Config, tuple[()]]:
            return self.config, ()

        check("simulated", options=SimulatedOptions)(self._attempt)
        source("simulated", options=SimulatedOptions)(SimulatedLamps)
        try:
            with (
                mock.patch("exporter.monitor.load_in_child", read),
                mock.patch.multiple("exporter.monitor", **cast("Any", SELDOM)),
                mock.patch("exporter.presence.BEAT", BEAT),
                mock.patch("exporter.chain.PERIOD", LOOK_AT_CHAIN),
                mock.patch("exporter.monitor.raise_descriptor_limit"),
                mock.patch("exporter.vantage._answers", self._vantage_answers),
                mock.patch("exporter.outbox.Courier", return_value=Courier(self)),
                mock.patch("exporter.mirror.AlertmanagerClient", return_value=SilenceBoard(self)),
            ):
                yield
        finally:
            del Registry.checks["simulated"], Registry.sources["simulated"]

    async def _live(self) -> None:
        self.time = SiteTime(cast("VirtualLoop", asyncio.get_running_loop()), world.EPOCH)
        self._received = asyncio.Event()
        self._phases()
        await self._start()
        forever = [asyncio.create_task(each) for each in (self._watch(), self._pass_on())]
        await self._direct()
        if self.process and self.process.alive:
            await self._stop(self.process)
        self.record.lived = self.time.passed
        for task in (*forever, *self._under_way):
            task.cancel()
        await asyncio.gather(*forever, *self._under_way, return_exceptions=True)

    # what happens when

    async def _direct(self) -> None:
        acts = [act for act in self.plan.acts if act[0] < self.plan.end]
        place = 0
        while (now := self.time.true) < self.plan.end:
            if place < len(acts) and acts[place][0] <= now:
                self._do(acts[place][1])
                place += 1
            elif self._later and self._later[0][0] <= now:
                self._send_report(heapq.heappop(self._later)[2])
            else:
                ahead = [self.plan.next_start(now), self.plan.end]
                ahead += [acts[place][0]] if place < len(acts) else []
                ahead += [self._later[0][0]] if self._later else []
                if not self.thorough:
                    self._skip(min(ahead))
                await asyncio.sleep(min(max(min(ahead) - self.time.true, 1), LOOK) / SECOND)

    def _skip(self, until: int) -> None:
        skipped = (until - LEAD - self.time.true) // SKIPPED * SKIPPED
        if skipped > 0 and self._is_calm():
            self.time.skipped += skipped
            presence = self.process.monitor.presence if self.process else None
            if presence is not None and presence._seen is not None:
                presence._seen += skipped  # it was not away

    def _is_calm(self) -> bool:
        """Tell whether nothing is under way anywhere, so that only time would pass."""
        process = self.process
        if process is None or not process.serves or self._under_way or self.plan.busy(self.time.true):
            return False
        if self.time.passed < self._written + SEEN:
            return False
        monitor = process.monitor
        chain_is_quiet = self._prometheus.quiet and self._alertmanager.quiet
        nothing_owed = not (monitor.chain._missing or monitor.outbox._waiting or monitor.notices._looks)
        return (
            chain_is_quiet
            and nothing_owed
            and not any(incident.open for incident in monitor.duties.incidents.known())
            and all(
                entry.state.up
                and not (entry.state.void or entry.state.foreign or entry.state.recovery or entry.running)
                and entry.last_start != NEVER
                and entry.due == next_slot(entry.slot, entry.timing.interval, entry.last_start)
                for entry in monitor.schedule
            )
        )

    def _do(self, act: world.Act) -> None:
        match act:
            case world.ExporterEnds(how, length, table):
                self._spawn(self._end_exporter(how, length, table))
            case world.Restart(part, length, forgets):
                self._spawn(self._restart(part, length, forgets=forgets))
            case world.ClockStep(by):
                if not self.time.error:
                    self.record.wrong_clock.append(rec.Span(self.time.true))
                self.time.error += by
                if not self.time.error:
                    self.record.wrong_clock[-1].end = self.time.true
            case world.Entered(window):
                with beside(self.folder) as connection:
                    write(connection, window_record(window, self.time.true + self.time.error, "sato"))
                self._somebody_wrote()
            case world.Milestone():
                pass

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    # the exporter

    async def _start(self) -> None:
        self._processes += 1
        clock = ProcessClock(self.time, self._random.randrange(1, 10**9))
        ledger = InlineLedger.open(self.folder, clock)
        monitor = Monitor(Path("dserver.yml"), ledger, clock)
        process = Process(self._processes, clock, cast("InlineLedger", ledger), monitor)
        process.ledger.site, process.ledger.process = self, process
        monitor.chain._ask = self._asked
        monitor.watch = monitor.runner._watch = cast("Any", LateWatch(self))
        self.process = process
        starting = asyncio.create_task(monitor.start())
        died = asyncio.create_task(process.died.wait())
        await asyncio.wait({starting, died}, return_when=asyncio.FIRST_COMPLETED)
        for task in (starting, died):
            task.cancel()
        if not process.alive:
            return
        await starting
        if self.record.away[Part.EXPORTER]:
            self.record.returns(Part.EXPORTER, self.time.true)

    async def _stop(self, process: Process) -> None:
        process.stopping = True
        self.record.leaves(Part.EXPORTER, self.time.true)
        await process.monitor.stop()
        process.ledger.close()
        process.ledger.dead = True
        process.alive = False
        gc.unfreeze()

    async def _end_exporter(self, how: world.How, length: int, table: str) -> None:
        process = self.process
        if process is None or not process.serves or self._at_commit:
            return
        if how is world.How.STOPPED:
            await self._stop(process)
        elif how is world.How.KILLED:
            self.kill(process)
        else:
            self._at_commit = (how, table)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(ARMED / SECOND):
                    await process.died.wait()
            self._at_commit = None
            if process.alive:
                return
        while self.process and not self.process.alive:  # a kill at the first commit of the new one leaves it dead, too
            await asyncio.sleep(length / SECOND)
            await self._start()

    def kills_at(self, records: Sequence[Row | Event]) -> world.How | None:
        """Return how the exporter is killed at the commit of these records, None when it lives on."""
        if self._at_commit is None:
            return None
        how, table = self._at_commit
        if not any(each.table.name == table for each in records):
            return None
        self._at_commit = None
        return how

    def kill(self, process: Process) -> None:
        """End a process as SIGKILL does: nothing of its own runs any more."""
        if not process.alive:
            return
        process.alive = False
        now = self.time.true
        for key, attempt in process.latest.items():
            if attempt.ended == now and process.saved.get(key) is not attempt:
                attempt.lost = True
        self.record.killed.append(now)
        self.record.leaves(Part.EXPORTER, now)
        process.ledger.abandon()
        monitor = process.monitor
        for keeper in (monitor.runner, monitor.lamps):
            keeper._stopped = True
            if keeper._timer:
                keeper._timer.cancel()
        tasks = [*monitor._background, *monitor.runner._running, *monitor.lamps._running, monitor.vantage._round]
        for task in tasks:
            if task is not None:
                task.cancel()
        process.died.set()
        gc.unfreeze()

    def committed(self, process: Process, records: Iterable[Row | Event]) -> None:
        """Note what is on the disk now."""
        for each in records:
            if isinstance(each, Row):
                key = cast("tuple[str, str]", each.key)
                if each.table is schema.check_states and key in process.latest:
                    process.saved[key] = process.latest[key]
            elif each.table is schema.incident_events and each.values["what"] == What.REPORT_DRAFTED:
                name, due = str(each.values["incident"]), int(each.values["data"]["due"])
                self.record.drafts.append((name.rsplit("-", 2)[0], int(each.values["at"]), due))
                left = due - (self.time.true + self.time.error)
                wait = round(max(left - 30 * MINUTE, 0) * self._random.uniform(0.02, 1.0)) + MINUTE
                heapq.heappush(self._later, (self.time.true + wait, len(self.record.attempts), name))

    # what it watches

    async def _attempt(self, _talk: Any, options: SimulatedOptions) -> None:
        process = self.process
        assert process
        now, true = process.clock.now(), self.time.true
        away = self.plan.is_away(Part.VANTAGE, true)
        reason = "timeout" if away else self.plan.reason(options.server, options.check, true)
        attempt = Attempt(
            options.server, options.check, process.number, now.monotonic, now.wall, true, Outcome.SUCCESS, reason
        )
        self.record.attempts.append(attempt)
        process.latest[options.server, options.check] = attempt
        try:
            if reason == "timeout":
                await asyncio.Event().wait()
            await asyncio.sleep(ANSWERS_AFTER)
            if reason:
                raise FAILURES[reason]("connect", "simulated")
        finally:
            if process.alive and not process.stopping:
                attempt.ended, attempt.ended_wall = self.time.true, process.clock.now().wall
                attempt.outcome = self._outcome(reason, attempt.ended)

    def _outcome(self, reason: str, now: int) -> Outcome:
        """Return what an attempt that ends now is by the words of the design."""
        if not reason:
            return Outcome.SUCCESS
        at, answered = self._vantage_tried
        away = not answered if at >= now - FRESH else self.plan.is_away(Part.VANTAGE, now)
        void = reason in world.OURS or self.plan.is_away(Part.LOOP, now) or (reason in world.NETWORK and away)
        return Outcome.VOID if void else Outcome.FAILURE

    async def _vantage_answers(self, _address: VantageAddress) -> bool:
        answered = not self.plan.is_away(Part.VANTAGE, self.time.true)
        self._vantage_tried = (self.time.true, answered)
        return answered

    # Prometheus and Alertmanager

    def _phases(self) -> None:
        """Draw when Prometheus scrapes and evaluates within its intervals."""
        pace, now = self._prometheus.pace, self.time.passed
        self._found = now + timers.DISCOVERY
        self._next_scrape = self._found + self._random.randrange(1, pace.scrape)
        self._next_evaluation = now + self._random.randrange(1, pace.evaluation)

    def _is_running(self, part: Part) -> bool:
        spans = self.record.away[part]
        return not spans or spans[-1].end is not None

    async def _restart(self, part: Part, length: int, *, forgets: bool) -> None:
        if not self._is_running(part):
            return
        self.record.leaves(part, self.time.true)
        if part is Part.ALERTMANAGER:
            self._generation += 1
            self._alertmanager.restart(self.time.passed, forgets=forgets)
        await asyncio.sleep(length / SECOND)
        if part is Part.PROMETHEUS:
            self._prometheus.restart()
            self._phases()
        else:
            self._alertmanager.started = self.time.passed
        self.record.returns(part, self.time.true)

    async def _watch(self) -> None:
        """Scrape and evaluate for ever."""
        pace = self._prometheus.pace
        while True:
            await self.time.sleep_until(min(self._next_scrape, self._next_evaluation))
            now = self.time.passed
            running = self._is_running(Part.PROMETHEUS)
            if self._next_scrape <= now:
                self._next_scrape += pace.scrape
                if running:
                    self._scrape(now)
            if self._next_evaluation <= now:
                self._next_evaluation += pace.evaluation
                if running:
                    self._evaluate(now)

    def _scrape(self, now: int) -> None:
        process = self.process
        if process is None or not process.serves or self.plan.is_away(Part.SCRAPES, self.time.true):
            return
        process.monitor.chain.scraped()
        text = b"".join(process.monitor.exposition.chunks([Selection.SERVICES]))
        if text != self._scraped[0]:
            self._scraped = (text, *_samples(text.decode()))
        self._prometheus.scrape(now, *self._scraped[1:])

    def _evaluate(self, now: int) -> None:
        for key, ends in self._prometheus.evaluate(now):
            if self._is_running(Part.ALERTMANAGER) and now >= self._found:
                self._alertmanager.receive(now, key, ends)
                self._received.set()

    async def _pass_on(self) -> None:
        """Flush what is due for ever."""
        while True:
            self._received.clear()
            due = self._alertmanager.next_flush()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if due is None else max(due - self.time.passed, 0) / SECOND):
                    await self._received.wait()
            for notification in self._alertmanager.flush(self.time.passed):
                asyncio.get_running_loop().create_task(self._notify(notification))

    async def _notify(self, notification: timers.Notification) -> None:
        generation = self._generation
        for at in chain([float(notification.flushed)], timers.retries(notification.flushed)):
            if at > notification.deadline:
                return
            await self.time.sleep_until(round(at))
            if self._generation != generation:
                return
            if await self._webhook(notification.key):
                if self._generation == generation:
                    self._alertmanager.notified(notification)
                return

    async def _webhook(self, key: timers.Key) -> bool:
        """Bring an alert to the exporter; return whether it was answered with 200."""
        process = self.process
        if process is None or not process.serves:
            return False
        labels = dict(zip(("notify", "server", "check"), key, strict=False))
        body = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels}]}).encode()

        class Request:
            async def read(self) -> bytes:
                return body

        answering = asyncio.create_task(receive(cast("web.Request", Request()), process.monitor))
        died = asyncio.create_task(process.died.wait())
        await asyncio.wait({answering, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if not answering.done():
            answering.cancel()
            return False
        return answering.exception() is None and answering.result().status == 200

    async def _asked(self, _urls: Sequence[str]) -> tuple[Alert, ...]:
        """Answer as Alertmanager's API."""
        if not self._is_running(Part.ALERTMANAGER):
            raise UnreachableError("it is away")
        known = self._alertmanager.known(self.time.passed)
        return tuple(Alert(key[0], key[1], key[2]) for key in known if key != timers.THE_WATCHDOG)

    # mail and people

    def took(self, mail: Outgoing) -> None:
        """Take a mail as the mail server does."""
        message = message_from_bytes(mail.message, policy=policy.default)
        body = message.get_body(("plain",))
        text = str(body.get_content()) if body else ""
        true = self.time.true
        identity, subject = str(message["Message-ID"]), str(message["Subject"])
        thread = str(message["References"] or identity)
        self.record.mails.append(
            rec.Mail(true, true + self.time.error, mail.recipient, identity, subject, text, thread)
        )

    def _somebody_wrote(self) -> None:
        self.foreign_writes += 1
        self._written = self.time.passed

    def _send_report(self, incident: str) -> None:
        """Do what a person does with a report: write it, approve it, put it into the outbox."""
        clock = ProcessClock(self.time, 0)
        self._somebody_wrote()
        with contextlib.suppress(DeskError):  # another outage joined meanwhile: there will be another draft
            desk = Desk(self.folder, clock)
            desk.edit_report(incident, "sato", cause="simulated", measures="none")
            desk.approve_report(incident, "sato")
            desk.post_report(incident, "sato", partial(report_mails, self.config))


def _samples(text: str) -> tuple[dict[timers.Series, float], list[str]]:
    """Return what the rule of the customers' alert needs of a scrape."""
    outages: dict[timers.Series, float] = {}
    maintained: list[str] = []
    for line in text.splitlines():
        if line.startswith("dserver_service_outage_seconds{"):
            labels, _, value = line.rpartition(" ")
            outages[_label(labels, "server"), _label(labels, "check")] = float(value)
        elif line.startswith("dserver_server_maintenance{") and line.endswith(" 1.0"):
            maintained.append(_label(line, "server"))
    return outages, maintained


def _label(line: str, name: str) -> str:
    return line.partition(f'{name}="')[2].partition('"')[0]
