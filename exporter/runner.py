"""Runs service checks when the schedule says: limits, deadlines, what counts as evidence, and what is published.

One attempt goes: due, dialogue under a deadline, evidence or void, `outage.decide`, ledger, metrics, next due.
A change is published after it was committed, or after the ledger said loudly that it could not be.
"""

import asyncio
import logging
import resource
import time
from typing import Protocol

from collectors.attempt import attempt
from collectors.failures import NETWORK_REASONS, CheckFailure, Internal, Misconfigured, Void
from collectors.reading import ServiceReading
from collectors.registry import CHECKS, ServiceTarget
from collectors.transcript import ROOM
from exporter.clock import Clock, Moment
from exporter.exposition import Exposition
from exporter.inventory import Check, CheckKey
from exporter.lastruns import look_at, pack
from exporter.ledger import Ledger, Record, check_event, check_row, forget_check, void_event
from exporter.loopwatch import LoopWatch
from exporter.outage import Attempt, CheckState, Phase, Transition, decide
from exporter.rendering import check_lines
from exporter.schedule import Entry, Schedule
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry
from exporter.vantage import Vantage

log = logging.getLogger("checks")

IN_FLIGHT = 4_000
"""Attempts under way at once, at most."""

KEPT = 2048
"""Bytes kept of what was said in an attempt, about: the last good and the last failing run of every check are kept."""

TICK = 50
"""Milliseconds. What becomes due within them starts together at their end: checks that share a wake-up cost half."""

DESCRIPTORS_BESIDE_CHECKS = 300
"""File descriptors for everything that is not a service check: BMC sessions, scrapes, ledger, log."""


class TooFewDescriptors(Exception):  # noqa: N818 - it says what there is too little of
    """The machine does not give this process as many file descriptors as the inventory needs."""


def raise_descriptor_limit(checks: int) -> None:
    """Raise RLIMIT_NOFILE to what ``checks`` checks need at once.

    Raises TooFewDescriptors when the hard limit is below that.
    """
    needed = min(checks, IN_FLIGHT) + DESCRIPTORS_BESIDE_CHECKS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooFewDescriptors(
            f"{checks} checks need {needed} open files and this process may open {hard}: raise the hard limit "
            "(LimitNOFILE= in the systemd unit, ulimit -Hn in a shell, --ulimit nofile= for a container)"
        )
    wanted = max(needed, IN_FLIGHT + DESCRIPTORS_BESIDE_CHECKS)  # a reload may bring more checks
    wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def run_once(check: Check, secrets: Secrets, seconds: float, *, room: int = ROOM) -> ServiceReading:
    """Run a check now, for at most so many seconds. Never raises but when cancelled."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        credential = secrets.get(check.credential) if check.credential else None
        kind = CHECKS[check.protocol]
        target = ServiceTarget(check.address, check.hostname, credential, check.address_family, check.source_address)
        return await attempt(kind, target, check.options, began + seconds, room=room)
    except Misconfigured as failure:
        return ServiceReading(failure, loop.time() - began)


class OutageDuties(Protocol):
    """What is to be done about outages beside publishing them."""

    def tried(self, check: Check, before: CheckState, after: CheckState, detail: str) -> list[Record]:
        """Take in an attempt of a check in trouble; return what belongs into the same commit."""
        ...

    def settled(self, check: Check) -> None:
        """Publish what came of it: the commit is done, or failed loudly."""
        ...


class Runner:
    """Keeps the schedule of service checks running on the event loop."""

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Schedule,
        ledger: Ledger,
        exposition: Exposition,
        telemetry: Telemetry,
        secrets: Secrets,
        vantage: Vantage,
        watch: LoopWatch,
        limit: int = IN_FLIGHT,
    ) -> None:
        self.schedule = schedule
        self.secrets = secrets
        self._clock = clock
        self._ledger = ledger
        self._exposition = exposition
        self._telemetry = telemetry
        self._vantage = vantage
        self._watch = watch
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake = 0
        self._certificates: dict[CheckKey, float] = {}
        self._stopped = False
        self.duties: OutageDuties | None = None
        telemetry.in_flight.set_function(lambda: len(self._running))

    def poke(self) -> None:
        """Start what is due, and come back when the next is. To be called whenever the schedule changed."""
        if self._stopped:
            return
        now = self._clock.now().monotonic
        while len(self._running) < self._limit and (entry := self.schedule.take(now)) is not None:
            self._telemetry.schedule_lag.observe((now - entry.due) / 1000)
            task = self._loop.create_task(self._run(entry))
            self._running.add(task)
            task.add_done_callback(self._done)
        self._arm()

    def _arm(self) -> None:
        """Come back at the first tick after something is due; while the limit is reached, whoever ends makes room."""
        due = self.schedule.next_due()
        if self._stopped or due is None or len(self._running) >= self._limit:
            return
        now = self._clock.now().monotonic
        wake = -(-max(due, now + 1) // TICK) * TICK  # never early, and later than now: timers must not spin
        if self._timer is None or wake < self._wake:
            if self._timer:
                self._timer.cancel()
            self._wake = wake
            self._timer = self._loop.call_later((wake - now) / 1000, self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.poke()

    async def stop(self) -> None:
        """Abandon what is under way: an attempt that did not finish is no evidence."""
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def publish(self, check: Check, state: CheckState, duration: float | None = None) -> None:
        """Publish a check's metrics."""
        certificate = self._certificates.get(check.key)
        self._exposition.publish(("check", *check.key), check_lines(check, state, duration, certificate))

    def certificate(self, key: CheckKey) -> float | None:
        """Return when the certificate that a check saw last ends (Unix time, seconds)."""
        return self._certificates.get(key)

    def withdraw(self, check: Check) -> None:
        """Drop a check's metrics."""
        self._certificates.pop(check.key, None)
        self._exposition.withdraw(("check", *check.key))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("an attempt broke our own code", exc_info=error)
        if len(self._running) + 1 < self._limit:
            self._arm()
        else:
            self.poke()

    async def _run(self, entry: Entry) -> None:
        check = entry.check
        begun = time.monotonic()
        at = self._clock.now()
        entry.last_start = at.monotonic  # a moment later than it was taken: grid and evidence count from one instant
        state = entry.state
        try:
            reading = await run_once(check, self.secrets, check.timing.timeout / 1000, room=KEPT)
            failure = await self._judge(reading.failure, begun)
            entry.keep(pack(at.wall, failure, reading.recording), good=failure is None)
            outcome = Attempt(at) if failure is None else _failed(at, failure)
            result = "success" if failure is None else "void" if outcome.void else "failure"
            self._telemetry.checks.labels(check.protocol, result).inc()
            new, changes = decide(state, outcome, check.timing.interval)
            records: list[Record] = [check_event(check, change, evidence(entry, change)) for change in changes]
            if state.void != new.void:
                records.append(void_event(check, state, new))
            if _worth_keeping(state, new):
                records.append(check_row(check, new))
            if not self.schedule.holds(entry):
                return
            if self.duties and _troubled(state, new):
                records += self.duties.tried(check, state, new, failure.detail if failure else "")
            if records:
                await self._ledger.save(records)
            if not self.schedule.holds(entry):
                if self.schedule.get(check.key) is None:  # removed while its row was being written
                    await self._ledger.save([forget_check(check.key)])
                return
            state = new
            if reading.certificate_expiry is not None:
                self._certificates[check.key] = reading.certificate_expiry
            self.publish(check, state, reading.duration)
            for change in changes:
                # a fleet that is well says so once, in the summary; what is news is what fails or was failing
                level = logging.DEBUG if change.was is Phase.UNTRIED and failure is None else logging.INFO
                log.log(
                    level, "%s/%s: %s -> %s%s", *check.key, change.was, change.now, f": {failure}" if failure else ""
                )
        finally:
            before = entry.state
            self.schedule.finish(entry, state, self._clock.now().monotonic)
            if self.duties and _troubled(before, state):
                self.duties.settled(check)

    async def _judge(self, failure: CheckFailure | None, begun: float) -> CheckFailure | None:
        """Return the failure as it counts: what our own side may have caused is void."""
        if failure is None or isinstance(failure, Void):
            return failure
        if self._watch.late_since(begun):
            return Internal("loop", f"our event loop was late during the attempt; it saw: {failure}")
        if failure.reason in NETWORK_REASONS and await self._vantage.lost():
            return Internal("vantage", f"our own uplink is gone; the attempt saw: {failure}")
        return failure


def evidence(entry: Entry, change: Transition) -> str:
    """Return what the ledger keeps of the runs around a change: of an outage's begin and end what was said."""
    if Phase.DOWN not in (change.was, change.now):
        return ""
    runs = (entry.failed, entry.good) if change.now is Phase.DOWN else (entry.good,)
    seen = [look_at(run) for run in runs if run]
    return "\n".join(line for run in seen for line in (run.headline(), *run.lines))


def _troubled(before: CheckState, after: CheckState) -> bool:
    """Tell whether an outage begins, goes on, or was over not long ago."""
    return before.down_since is not None or after.down_since is not None or before.recovery is not None


def _failed(at: Moment, failure: CheckFailure) -> Attempt:
    return Attempt(at, failure.reason, failure.step, void=isinstance(failure, Void))


def _worth_keeping(before: CheckState, after: CheckState) -> bool:
    """Tell whether a restart must find the new state.

    That is a change of phase, every piece of evidence of an outage, where a void spell begins and ends, and rejected
    credentials, whose pace must be kept.
    """
    evidence = after.down_since is not None and before.last_failed != after.last_failed
    return before.phase != after.phase or before.void != after.void or evidence or before.rejected or after.rejected
