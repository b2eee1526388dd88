"""Reads the lamps when they are due: once a day while sound, spread over the fleet, more often while they are not.

Kind to controllers: one session at a time to each, limits for the fleet and for each rack, a hard deadline.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from collectors.failures import CheckFailure, Internal, translate
from collectors.reading import HardwareReading, Verdict
from collectors.registry import SOURCES, LampSource, LampTarget
from exporter.clock import MINUTE, SECOND, Clock
from exporter.due import Due, DueQueue
from exporter.exposition import Exposition
from exporter.families import LAMP_VERDICT
from exporter.inventory import LampSourceEntry, Server, Settings, SourceKey
from exporter.lamps import VISUAL, LampRead, Sighting, SourceState, decide, is_routine, next_read, server_verdict
from exporter.ledger import Ledger, Record, forget_source, source_event, source_row
from exporter.rendering import server_lamp_lines, source_lines
from exporter.secrets import Secrets
from exporter.timetable import next_slot, share, slot_of

log = logging.getLogger("lamps")

DEADLINE = 90.0
"""Seconds for one read of one controller: the first read of a slow one walks some hundred records."""
FLEET_LIMIT = 64
RACK_LIMIT = 8
REREAD_PAUSE = MINUTE
"""A trap makes a server's lamps be read at most this often."""
START_RATE = 10
"""Controllers that were never read begin at this many a second, until the lamp interval is the narrower bound."""


class LampEntry(Due):
    """One lamp source in the queue. ``last_start`` and ``wanted`` are in monotonic milliseconds."""

    __slots__ = ("last_start", "reader", "running", "server", "source", "state", "wanted")

    def __init__(self, source: LampSourceEntry, server: Server, state: SourceState) -> None:
        super().__init__()
        self.source = source
        self.server = server
        self.state = state
        self.reader = reader_of(source)
        self.last_start = 0
        self.running = False
        self.wanted: int | None = None
        """When it is to be read again although it is being read at the moment."""


def reader_of(source: LampSourceEntry) -> LampSource:
    """Return a reader for a source."""
    return SOURCES[source.kind].build(source.options)


async def read_once(
    source: LampSourceEntry, reader: LampSource, secrets: Secrets, seconds: float, *, transcript: bool = True
) -> HardwareReading | CheckFailure:
    """Read a lamp source now, for at most so many seconds. Never raises but when cancelled."""
    loop = asyncio.get_running_loop()
    try:
        credential = secrets.get(source.credential) if source.credential else None
        deadline = loop.time() + seconds
        # the reader keeps the deadline itself; the second after it is for its defects
        async with asyncio.timeout_at(deadline + 1.0):
            return await reader.read(LampTarget(credential, transcript), deadline)
    except CheckFailure as failure:
        return failure
    except TimeoutError as error:
        return translate(error, "read")
    except Exception as error:  # a lying controller must not end more than its own read
        log.exception("%s/%s: reading broke our own code", *source.key)
        return Internal("read", f"{type(error).__name__}: {error}")


class LampDuties(Protocol):
    """What is to be done about lamps beside publishing them."""

    def lamps_read(self, server: str) -> list[Record]:
        """Take in what a server's lamps are now; return what belongs into the same commit."""
        ...

    def publish(self, server: str) -> None:
        """Publish what came of it: the commit is done, or failed loudly."""
        ...


class LampWatch:
    """Keeps the lamps of the fleet read."""

    def __init__(
        self,
        *,
        clock: Clock,
        ledger: Ledger,
        exposition: Exposition,
        secrets: Secrets,
        settings: Settings,
    ) -> None:
        self.secrets = secrets
        self.settings = settings
        self.duties: LampDuties | None = None
        self._clock = clock
        self._ledger = ledger
        self._exposition = exposition
        self._loop = asyncio.get_running_loop()
        self._queue: DueQueue[LampEntry] = DueQueue()
        self._entries: dict[SourceKey, LampEntry] = {}
        self._servers: dict[str, dict[SourceKey, LampEntry]] = {}
        self._rereads: dict[str, int] = {}
        """When each server was last read because of a trap, or will be."""
        self._sightings: dict[str, Sighting] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = False
        self._fleet = asyncio.Semaphore(FLEET_LIMIT)
        self._racks: defaultdict[tuple[str, str], asyncio.Semaphore] = defaultdict(
            lambda: asyncio.Semaphore(RACK_LIMIT)
        )
        self._controllers: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def __iter__(self) -> Iterator[LampEntry]:
        return iter(self._entries.values())

    def get(self, key: SourceKey) -> LampEntry | None:
        """Return a source's entry."""
        return self._entries.get(key)

    def endpoints(self) -> Iterator[tuple[str, str]]:
        """Give each server's name with ``host:port`` of a controller."""
        return ((entry.server.name, entry.reader.endpoint()) for entry in self)

    def states(self, server: str) -> dict[SourceKey, SourceState]:
        """Return what each source of a server told last, and what a person saw."""
        states = {key: entry.state for key, entry in self._servers.get(server, {}).items()}
        if seen := self._sightings.get(server):
            states[server, VISUAL] = seen.state()
        return states

    def verdict(self, server: str) -> Verdict:
        """Return the verdict of a server's lamps."""
        return server_verdict(self.states(server).values())

    def add(self, source: LampSourceEntry, server: Server, state: SourceState, fleet: int) -> None:
        """Take in one of ``fleet`` new sources. One that was read within its interval waits for its next turn."""
        entry = LampEntry(source, server, state)
        self._entries[source.key] = entry
        self._servers.setdefault(server.name, {})[source.key] = entry
        now = self._clock.now()
        spread = int(share(source.key) * min(self.settings.lamp_interval, fleet * SECOND // START_RATE))
        entry.last_start = now.monotonic - max(0, now.wall - state.last_run)
        due = self._next(entry) if state.last_run else now.monotonic
        self._queue.put(entry, due if due > now.monotonic else now.monotonic + spread)

    def update(self, source: LampSourceEntry, server: Server) -> None:
        """Give a source its new inventory entry; what it told stays known."""
        entry = self._entries[source.key]
        if entry.source != source:
            entry.source, entry.reader = source, reader_of(source)
            self._read_now(entry)
        elif entry.server.power_expected != server.power_expected:
            self._read_now(entry)
        entry.server = server

    def remove(self, key: SourceKey) -> None:
        """Drop a source and its metrics."""
        entry = self._entries.pop(key)
        self._queue.drop(entry)
        siblings = self._servers[key[0]]
        del siblings[key]
        if not siblings:
            del self._servers[key[0]]
            self._rereads.pop(key[0], None)
        self._exposition.withdraw(("source", *key))

    def reread(self, server: str) -> bool:
        """Read all lamps of a server now; where that was done within the last minute, when the minute is over.

        Returns whether it is now. Wrong credentials keep their pace: whoever makes us try them again locks the account.
        """
        entries = [entry for entry in self._servers.get(server, {}).values() if entry.state.reason != "auth"]
        now = self._clock.now().monotonic
        last = self._rereads.get(server, now - REREAD_PAUSE)
        if last > now or not entries:
            return False
        at = self._rereads[server] = max(now, last + REREAD_PAUSE)
        for entry in entries:
            if entry.running:
                entry.wanted = at
            elif entry.due > at:
                self._queue.put(entry, at)
        self.poke()
        return at == now

    def see(self, sighting: Sighting) -> None:
        """Take in what a person saw of a server's lamps."""
        self._sightings[sighting.server] = sighting
        key = (sighting.server, VISUAL)
        self._exposition.publish(("source", *key), source_lines(key, sighting.state()))
        self.publish_server(sighting.server)

    def outdate(self, wall: int) -> None:
        """Drop what people saw longer than a lamp interval ago."""
        for server, sighting in list(self._sightings.items()):
            if wall - sighting.at >= self.settings.lamp_interval:
                del self._sightings[server]
                self._exposition.withdraw(("source", server, VISUAL))
                self.publish_server(server)

    def publish(self, entry: LampEntry, *, same_verdicts: bool = False) -> None:
        """Publish the metrics of a source. A third of their cost are the lamps' verdicts, which seldom change."""
        owner = ("source", *entry.source.key)
        verdicts = self._exposition.published(owner, LAMP_VERDICT) if same_verdicts else b""
        self._exposition.publish(owner, source_lines(entry.source.key, entry.state, verdicts))

    def publish_server(self, server: str) -> None:
        """Publish what all sources of a server say together."""
        self._exposition.publish(("lamps", server), server_lamp_lines(server, self.states(server)))

    async def read(self, entry: LampEntry, *, transcript: bool = True) -> LampRead:
        """Read a source as soon as its controller, its rack and the fleet have a place free. Changes no state."""
        source, reader, server = entry.source, entry.reader, entry.server
        controller = reader.endpoint()
        # the narrowest first: whoever waits for its own controller must not hold a place of the fleet's
        async with self._controllers[controller], self._racks[server.site, server.rack], self._fleet:
            at = self._clock.now()
            begun = self._loop.time()
            outcome = await read_once(source, reader, self.secrets, DEADLINE, transcript=transcript)
            return LampRead(at, outcome, self._loop.time() - begun)

    def poke(self) -> None:
        """Start what is due, and come back when the next is. To be called whenever the queue changed."""
        if self._stopped:
            return
        now = self._clock.now().monotonic
        while (entry := self._queue.take(now)) is not None:
            entry.running = True
            task = self._loop.create_task(self._run(entry))
            self._running.add(task)
            task.add_done_callback(self._done)
        if self._timer:
            self._timer.cancel()
            self._timer = None
        due = self._queue.next_due()
        if due is not None:
            self._timer = self._loop.call_later(max(due - self._clock.now().monotonic, 1) / 1000, self.poke)

    async def stop(self) -> None:
        """Abandon what is under way; readers close their sessions."""
        self._stopped = True
        if self._timer:
            self._timer.cancel()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a lamp read broke our own code", exc_info=error)
        self.poke()

    def _holds(self, entry: LampEntry) -> bool:
        return self._entries.get(entry.source.key) is entry

    def _read_now(self, entry: LampEntry) -> None:
        if not entry.running:
            self._queue.put(entry, self._clock.now().monotonic)

    def _next(self, entry: LampEntry) -> int:
        settings = self.settings
        wait = next_read(entry.state, interval=settings.lamp_interval, recheck_interval=settings.lamp_recheck_interval)
        if wait == settings.lamp_interval:
            return next_slot(slot_of(entry.source.key, wait), wait, entry.last_start)
        return entry.last_start + wait

    async def _run(self, entry: LampEntry) -> None:
        source, server = entry.source, entry.server
        try:
            read = await self.read(entry, transcript=False)
            entry.last_start = read.at.monotonic
            if not self._holds(entry) or entry.source is not source:
                return
            before = entry.state
            entry.state, changes = decide(before, read, power_expected=server.power_expected)
            if entry.state.reason and entry.state.reason != before.reason:
                log.warning("%s/%s: cannot be read: %s", *source.key, read.outcome)
            elif before.reason and not entry.state.reason:
                log.info("%s/%s: can be read again", *source.key)
            elif not before.last_run:
                log.info("%s/%s: first read: %d lamps", *source.key, len(entry.state.lamps))
            for change in changes:
                log.info("%s/%s: %s: %s -> %s", *source.key, change.subject, change.was, change.now)
            row = source_row(source.key, entry.state)
            duties = self.duties.lamps_read(server.name) if self.duties else []
            routine = is_routine(before, entry.state)
            if routine and not duties:
                self._ledger.keep(row)
            else:
                records: list[Record] = [source_event(source.key, change) for change in changes]
                await self._ledger.save([*records, row, *duties])
            if not self._holds(entry):
                if source.key not in self._entries:
                    await self._ledger.save([forget_source(source.key)])
                return
            self.publish(entry, same_verdicts=routine)
            self.publish_server(server.name)
            if self.duties:
                self.duties.publish(server.name)
        finally:
            entry.running = False
            if self._holds(entry):
                due = self._next(entry) if entry.source is source else self._clock.now().monotonic
                if entry.wanted is not None:
                    due, entry.wanted = min(due, entry.wanted), None
                self._queue.put(entry, due)
