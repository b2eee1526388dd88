"""The outbox: mails lie in the ledger until the mail server has taken them.

A mail is in the ledger before it is sent, with its bytes. Killed between the server's 250 and our commit, it is sent
once more, with the same Message-ID: twice beats never. What fails is tried again, first after seconds, later every
quarter of an hour, and said aloud each time.

The mails of a thread (one incident, one recipient) leave in the order in which they were written: what comes later
waits for what is tried again. Only a mail that the server refuses for good holds up nothing.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from collectors.failures import Misconfigured
from exporter.clock import DAY, MINUTE, SECOND, Clock
from exporter.inventory import Mail
from exporter.ledger import Ledger, Record, delivery_record
from exporter.mail.courier import Courier, Result, Smarthost, UnreachableError
from exporter.mail.message import Outgoing
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry

log = logging.getLogger("outbox")

COURIERS = 4
"""Connections to the mail server at once."""
BATCH = 25
"""Mails over one connection, before another looks at what is most urgent."""
DEADLINE = 120.0
"""Seconds for a connection and its batch, whatever the server does."""
FIRST_PAUSE = 5 * SECOND
LONGEST_PAUSE = 15 * MINUTE
AT_THE_END = 1.0
"""Seconds that whoever stops waits for what the mail server has just taken, so that it is not sent again."""
EXPIRES = DAY
"""A mail that could not be sent for so long says nothing that is true any more."""


@dataclass(slots=True)
class _Waiting:
    mail: Outgoing
    written: int
    """When it was written, on the monotonic clock: a wall clock that is set makes no mail old."""
    due: int = 0
    """On the monotonic clock."""
    pause: int = FIRST_PAUSE
    in_hand: bool = False
    refused: bool = False
    """The server said that it will not have it, and that was reported."""

    @property
    def thread(self) -> tuple[str, str]:
        """What its reader sees as one conversation: the mails of it leave in their order."""
        return self.mail.incident, self.mail.recipient


class Outbox:
    """Sends what is put into it, in its order, with patience."""

    def __init__(self, *, clock: Clock, ledger: Ledger, secrets: Secrets, telemetry: Telemetry) -> None:
        self._clock = clock
        self._ledger = ledger
        self._secrets = secrets
        self._telemetry = telemetry
        self._waiting: dict[str, _Waiting] = {}
        self._done: set[str] = set()
        """Handed over by this process; a commit that failed must not make us send again."""
        self._wake = asyncio.Event()
        self._read_up_to = 0
        self.settings: Mail | None = None
        self.on_sent: Callable[[Outgoing, int], list[Record]] = lambda _mail, _at: []
        """Gives what else to write in the same commit when a mail was handed over (at a wall time)."""
        self.on_written: Callable[[Outgoing], None] = lambda _mail: None
        """Called when that is written, or when that failed loudly."""
        self.on_failed: Callable[[Outgoing, Result, str], None] = lambda _mail, _result, _why: None
        """Called when the mail server refuses a mail for good, once a mail, and when one is given up."""
        self.overtaken: Callable[[Outgoing], bool] = lambda _mail: False
        """Tells that what a mail says is true no longer: it is taken out instead of sent."""
        self.on_cancelled: Callable[[Outgoing, int], list[Record]] = lambda _mail, _at: []
        """Gives what else to write in the same commit when a mail was taken out (at a wall time)."""
        telemetry.outbox_pending.set_function(lambda: len(self._waiting))

    def post(self, mail: Outgoing) -> None:
        """Take in a mail that is in the ledger, or would be if it could be written."""
        if mail.message_id not in self._waiting and mail.message_id not in self._done:
            now = self._clock.now()
            self._waiting[mail.message_id] = _Waiting(mail, now.monotonic - max(now.wall - mail.at, 0))
            self._wake.set()

    async def refresh(self) -> None:
        """Take in what other processes put into the ledger's outbox, and what an earlier one left there."""
        found = await asyncio.to_thread(self._ledger.outgoing, self._read_up_to)
        for number, mail in found:
            self._read_up_to = number
            self.post(mail)

    async def cancel(self, unwanted: Callable[[Outgoing], bool]) -> None:
        """Take out mails that need not leave any more. One that is being handed over leaves."""
        gone = [each.mail for each in self._waiting.values() if not each.in_hand and unwanted(each.mail)]
        for mail in gone:
            log.warning("%s: %s for %s was taken out: it need not leave any more", *_named(mail))
            self._finish(mail, Result.CANCELLED)
        if gone:
            now = self._clock.now().wall
            records: list[Record] = [delivery_record(mail.message_id, Result.CANCELLED, now) for mail in gone]
            self._wake.set()  # what waited for them
            await self._ledger.save([*records, *(each for mail in gone for each in self.on_cancelled(mail, now))])

    async def work(self) -> None:
        """Send for ever."""
        threads = ThreadPoolExecutor(COURIERS, "courier")
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(COURIERS):
                    tasks.create_task(self._deliver(threads))
        finally:
            threads.shutdown(wait=False, cancel_futures=True)  # what is under way was aborted and ends by itself

    async def _deliver(self, threads: ThreadPoolExecutor) -> None:
        while True:
            self._wake.clear()
            await self.cancel(self.overtaken)
            batch = self._take()
            if not batch:
                # not wait_for, which loses a cancellation that comes together with what it waits for
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pause()):
                        await self._wake.wait()
                continue
            await self._expire([each for each in batch if self._clock.now().monotonic - each.written > EXPIRES])
            batch = [each for each in batch if each.mail.message_id in self._waiting]
            try:
                await self._send(batch, threads)
            finally:
                for each in batch:
                    each.in_hand = False

    def _take(self) -> list[_Waiting]:
        if self.settings is None:
            return []
        now = self._clock.now().monotonic
        due = list(islice((each for each in self._next(now) if each.due <= now), BATCH))
        for each in due:
            each.in_hand = True
        return due

    def _next(self, now: int) -> Iterator[_Waiting]:
        """Give what leaves next, due or not: nothing that comes after another of its thread that is not due."""
        held: set[tuple[str, str]] = set()
        for each in self._waiting.values():
            if each.thread in held:
                continue
            if (each.in_hand or each.due > now) and not each.refused:
                held.add(each.thread)
            if not each.in_hand:
                yield each

    def _pause(self) -> float:
        """Return for how many seconds nothing is due."""
        now = self._clock.now().monotonic
        waits = [each.due - now for each in self._next(now)] if self.settings else []
        return max(min(waits, default=MINUTE), SECOND // 10) / SECOND

    async def _send(self, batch: list[_Waiting], threads: ThreadPoolExecutor) -> None:
        if not batch or self.settings is None:
            return
        try:
            courier = Courier(self._smarthost(self.settings))
        except Misconfigured as error:
            self._put_off(batch, str(error))
            return
        loop = asyncio.get_running_loop()
        saved: list[asyncio.Task[None]] = []

        def report(each: _Waiting, result: Result, why: str) -> None:
            saved.append(loop.create_task(self._took(each, result, why)))

        def hand_over() -> None:
            put_off: set[tuple[str, str]] = set()
            with courier.connected():
                for each in batch:
                    if each.thread in put_off:
                        continue
                    result, why = courier.hand_over(each.mail)
                    if result is Result.DEFERRED:
                        put_off.add(each.thread)
                    loop.call_soon_threadsafe(report, each, result, why)

        work = loop.run_in_executor(threads, hand_over)
        work.add_done_callback(_looked_at)  # it may fail when nobody waits any more
        try:
            async with asyncio.timeout(DEADLINE):
                await asyncio.shield(work)
        except UnreachableError as error:
            self._put_off(await self._rest(batch, saved), str(error))
        except TimeoutError:
            courier.abort()
            with contextlib.suppress(UnreachableError, OSError):
                await work
            self._put_off(await self._rest(batch, saved), f"it took longer than {DEADLINE:g} s")
        except asyncio.CancelledError:
            courier.abort()
            await asyncio.wait([work], timeout=AT_THE_END)
            raise
        finally:
            await asyncio.gather(*saved)

    async def _rest(self, batch: list[_Waiting], saved: Iterable[asyncio.Task[None]]) -> list[_Waiting]:
        """Return what of a batch nothing became of, when all else is written."""
        await asyncio.gather(*saved)
        now = self._clock.now().monotonic
        return [each for each in batch if each.mail.message_id in self._waiting and each.due <= now]

    def _smarthost(self, mail: Mail) -> Smarthost:
        credential = self._secrets.get(mail.credential) if mail.credential else None
        return Smarthost(mail.host, mail.port, mail.tls, mail.ca_file, credential)

    async def _took(self, each: _Waiting, result: Result, why: str) -> None:
        mail = each.mail
        if result is not Result.SENT:
            self._again(each, result, why)
            return
        wall = self._clock.now().wall
        self._finish(mail, result)
        if mail.since:
            self._telemetry.notice_delay.observe(max(wall - mail.since, 0) / SECOND)
        log.info("%s: %s for %s was handed over", *_named(mail))
        await self._ledger.save([delivery_record(mail.message_id, result, wall), *self.on_sent(mail, wall)])
        self.on_written(mail)

    def _finish(self, mail: Outgoing, result: Result) -> None:
        self._done.add(mail.message_id)
        self._waiting.pop(mail.message_id, None)
        self._telemetry.notices.labels(mail.kind, result).inc()

    def _put_off(self, batch: Iterable[_Waiting], why: str) -> None:
        for each in batch:
            self._again(each, Result.DEFERRED, why)

    def _again(self, each: _Waiting, result: Result, why: str) -> None:
        each.due = self._clock.now().monotonic + each.pause
        log.error(
            "%s: %s for %s was not taken by the mail server: %s: it is tried again in %d s",
            *(*_named(each.mail), why, each.pause // SECOND),
        )
        if result is Result.REFUSED and not each.refused:
            each.refused = True
            self.on_failed(each.mail, result, why)
        each.pause = min(each.pause * 2, LONGEST_PAUSE)
        self._telemetry.notices.labels(each.mail.kind, result).inc()

    async def _expire(self, old: list[_Waiting]) -> None:
        for each in old:
            log.error("%s: %s for %s could not be sent for a day and is given up", *_named(each.mail))
            self._finish(each.mail, Result.EXPIRED)
            self.on_failed(each.mail, Result.EXPIRED, "")
        if old:
            now = self._clock.now().wall
            await self._ledger.save([delivery_record(each.mail.message_id, Result.EXPIRED, now) for each in old])


def _looked_at(work: "asyncio.Future[None]") -> None:
    if not work.cancelled():
        work.exception()


def _named(mail: Outgoing) -> tuple[str, str, str]:
    """Return what the log calls a mail by."""
    return mail.incident, mail.kind, mail.recipient
