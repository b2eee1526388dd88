"""The ledger: what must survive a restart, in one SQLite file that one process owns.

All writing happens in one thread, in batches: whatever came in while the last transaction was running goes into the
next, and with it what may wait (`Ledger.keep`). A batch that cannot be written (a full disk) is kept and tried again;
the monitoring goes on, loudly. `save` returns when the rows are committed, or when that failed, so that what is
published was committed first or was reported as not.

The storage path is owned through a lock file: a second process is refused and told who the owner is.
"""

import asyncio
import contextlib
import dataclasses
import errno
import fcntl
import logging
import os
import queue
import secrets
import socket
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

import sqlalchemy as sa

from collectors.reading import EventLogReading, Hardware, Lamp, Verdict
from exporter.clock import Clock, Moment
from exporter.contract.availability import WITHDRAWN
from exporter.contract.incidents import REJOIN, IncidentEvent, What
from exporter.contract.maintenance import Booking
from exporter.inventory import Check, CheckKey, MaintenanceWindow, Settings, SourceKey
from exporter.lamps import HARDWARE, KnownLamp, LampEvent, Sighting, SourceState
from exporter.mail.message import Outgoing
from exporter.outage import CheckState, Transition, restored

log = logging.getLogger("ledger")

SCHEMA_VERSION = 3
MIGRATIONS: Mapping[int, Sequence[str]] = {1: (), 2: ()}
"""By the version they start from: what brings a ledger to the next one. Tables that are missing are made anyway."""
RETRY_AFTER = 5.0
"""Seconds until a batch that could not be written is tried again when nothing new comes in."""
ROUTINE_WITHIN = 60.0
"""Seconds until rows that a crash may lose are written, if nothing else is written before."""
LEASE, SITE = "lease", "site"
"""Kinds of events: whose a server is, and where."""
RUNNING, STOPPED = "running", "stopped"
"""What the ledger says of the exporter itself."""
KEPT_EVENTS = 100_000
"""Events kept in memory while the disk is full; the oldest go first, and the loss is logged."""

metadata = sa.MetaData()

meta = sa.Table(
    "meta", metadata, sa.Column("key", sa.String, primary_key=True), sa.Column("value", sa.String, nullable=False)
)

check_states = sa.Table(
    "check_states",
    metadata,
    sa.Column("server", sa.String, primary_key=True),
    sa.Column("check", sa.String, primary_key=True),
    sa.Column("protocol", sa.String, nullable=False),
    sa.Column("address", sa.String, nullable=False),
    sa.Column("up", sa.Boolean),
    sa.Column("ever_up", sa.Boolean, nullable=False),
    sa.Column("down_since", sa.BigInteger),
    sa.Column("confirmed", sa.BigInteger, nullable=False),
    sa.Column("first_failed", sa.BigInteger),
    sa.Column("last_failed", sa.BigInteger),
    sa.Column("last_run", sa.BigInteger),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("void", sa.Boolean, nullable=False),
)

source_states = sa.Table(
    "source_states",
    metadata,
    sa.Column("server", sa.String, primary_key=True),
    sa.Column("source", sa.String, primary_key=True),
    sa.Column("state", sa.JSON, nullable=False),
)

events = sa.Table(
    "events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
    sa.Column("server", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("was", sa.String, nullable=False),
    sa.Column("now", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("step", sa.String, nullable=False),
    sa.Column("evidence", sa.String, nullable=False),
    sa.Index("events_of_a_server", "server", "id"),
)

incident_events = sa.Table(
    "incident_events",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("incident", sa.String, nullable=False),
    sa.Column("what", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("subject", sa.String, nullable=False),
    sa.Column("data", sa.JSON, nullable=False),
    sa.UniqueConstraint("incident", "what", "subject", "at"),
    sa.Index("incident_events_of_a_kind", "what"),
)


sightings = sa.Table(
    "sightings",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("server", sa.String, nullable=False),
    sa.Column("at", sa.BigInteger, nullable=False, index=True),
    sa.Column("verdict", sa.Integer, nullable=False),
    sa.Column("note", sa.String, nullable=False),
    sa.Column("author", sa.String, nullable=False),
)


maintenance_windows = sa.Table(
    "maintenance_windows",
    metadata,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("start", sa.BigInteger, nullable=False),
    sa.Column("end", sa.BigInteger, nullable=False),
    sa.Column("server", sa.String, nullable=False),
    sa.Column("customer", sa.String, nullable=False),
    sa.Column("site", sa.String, nullable=False),
    sa.Column("reason", sa.String, nullable=False),
    sa.Column("entered", sa.BigInteger, nullable=False),
    sa.Column("author", sa.String, nullable=False),
    sa.Column("configured", sa.Boolean, nullable=False),
    sqlite_autoincrement=True,  # people call windows by their number: none is given twice
)


maintenance_ends = sa.Table(
    "maintenance_ends",
    metadata,
    sa.Column("window", sa.Integer, sa.ForeignKey("maintenance_windows.number"), primary_key=True, autoincrement=False),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("author", sa.String, nullable=False),
)

outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("message_id", sa.String, nullable=False, unique=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("incident", sa.String, nullable=False),
    sa.Column("kind", sa.String, nullable=False),
    sa.Column("contact", sa.String, nullable=False),
    sa.Column("recipient", sa.String, nullable=False),
    sa.Column("sender", sa.String, nullable=False),
    sa.Column("message", sa.LargeBinary, nullable=False),
    sa.Column("since", sa.BigInteger, nullable=False),
)
"""Mails that are to leave, with their whole text. What became of each is in ``deliveries``."""

deliveries = sa.Table(
    "deliveries",
    metadata,
    sa.Column("message_id", sa.String, primary_key=True),
    sa.Column("at", sa.BigInteger, nullable=False),
    sa.Column("result", sa.String, nullable=False),
)

_EVENT_TABLES: Sequence[tuple[sa.Table, Mapping[str, str]]] = (
    (events, {"reason": "", "step": "", "evidence": ""}),
    (incident_events, {}),
    (maintenance_windows, {}),
    (maintenance_ends, {}),
    (outbox, {}),
    (deliveries, {}),
)
"""What is appended to, each with what an event may leave out."""


class StorageError(Exception):
    """The storage path cannot be used; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Row:
    """The present state of one thing: replaces the row with the same key. ``values`` None removes it."""

    table: sa.Table
    key: tuple[str, ...]
    values: Mapping[str, Any] | None


@dataclass(frozen=True, slots=True)
class Event:
    """A change, appended and never edited. One that its table has already is left as it is."""

    values: Mapping[str, Any]
    table: sa.Table = events


Record = Row | Event


def check_row(check: Check, state: CheckState) -> Row:
    """Return the row that keeps a check's state."""
    return Row(
        check_states,
        check.key,
        {
            "protocol": check.protocol,
            "address": check.address,
            "up": state.up,
            "ever_up": state.ever_up,
            "down_since": state.down_since,
            "confirmed": state.confirmed,
            "first_failed": state.first_failed.wall if state.first_failed else None,
            "last_failed": state.last_failed.wall if state.last_failed else None,
            "last_run": state.last_run,
            "reason": state.reason,
            "step": state.step,
            "void": state.void,
        },
    )


def forget_check(key: CheckKey) -> Row:
    """Return the record that removes a check's state."""
    return Row(check_states, key, None)


def check_event(check: Check, change: Transition, evidence: str = "") -> Event:
    """Return the event of a check's change of phase; ``evidence`` is what was said."""
    values = {"at": change.at, "server": check.server, "kind": "check", "subject": check.name, "evidence": evidence}
    return Event({**values, "was": change.was, "now": change.now, "reason": change.reason, "step": change.step})


def withdrawn_event(key: CheckKey, at: int) -> Event:
    """Return the event of a check that is no longer in the inventory: nothing is known of it from now on."""
    values = {"at": at, "server": key[0], "kind": "check", "subject": key[1], "was": "", "now": WITHDRAWN}
    return Event(values)


def void_event(check: Check, before: CheckState, after: CheckState) -> Event:
    """Return the event of a void spell that begins or ends: the reason of each, empty for an attempt that counts."""
    values = {"at": after.last_run, "server": check.server, "kind": "void", "subject": check.name}
    reasons = [state.reason if state.void else "" for state in (before, after)]
    return Event({**values, "was": reasons[0], "now": reasons[1], "step": after.step if after.void else ""})


def lease_event(server: str, was: str, now: str, at: int) -> Event:
    """Return the event of a server that is leased to another customer than before; empty for none."""
    return _belonging(LEASE, server, was, now, at)


def move_event(server: str, was: str, now: str, at: int) -> Event:
    """Return the event of a server that is at another site than before; empty for none."""
    return _belonging(SITE, server, was, now, at)


def _belonging(kind: str, server: str, was: str, now: str, at: int) -> Event:
    return Event({"at": at, "server": server, "kind": kind, "subject": "", "was": was, "now": now})


def presence_event(at: int, *, running: bool) -> Event:
    """Return the event of an exporter that begins or ceases to run on this ledger."""
    words = (STOPPED, RUNNING) if running else (RUNNING, STOPPED)
    return Event({"at": at, "server": "", "kind": "exporter", "subject": "", "was": words[0], "now": words[1]})


def alive_row(at: int) -> Row:
    """Return the row that says when the exporter was seen to run last."""
    return Row(meta, ("alive",), {"value": str(at)})


_LAST_ALIVE = sa.select(meta.c.value).where(meta.c.key == "alive")


def last_alive(connection: sa.Connection) -> int | None:
    """Return when an exporter was seen to run on this ledger last; None where that was never written."""
    at: str | None = connection.scalar(_LAST_ALIVE)
    return None if at is None else int(at)


def source_row(key: SourceKey, state: SourceState) -> Row:
    """Return the row that keeps what a lamp source told last. Sensor values are not kept: old ones would mislead."""
    return Row(
        source_states,
        key,
        {
            "state": {
                "lamps": [
                    [known.lamp, known.component, known.verdict, known.read_as, known.since, known.evidence]
                    for known in state.lamps.values()
                ],
                "logs": [[entry.log, entry.entries, entry.used_ratio] for entry in state.logs],
                "hardware": [*_hardware_fields(state.hardware)] if state.hardware else None,
                "locate": state.locate,
                "power": state.power,
                "last_run": state.last_run,
                "last_success": state.last_success,
                "duration": state.duration,
                "reason": state.reason,
                "step": state.step,
                "detail": state.detail,
                "unreadable_since": state.unreadable_since,
            }
        },
    )


def forget_source(key: SourceKey) -> Row:
    """Return the record that removes a lamp source's state."""
    return Row(source_states, key, None)


def source_event(key: SourceKey, change: LampEvent) -> Event:
    """Return the event of a lamp's change, or of hardware that is another than before."""
    kind, subject = (HARDWARE, key[1]) if change.subject == HARDWARE else ("lamp", f"{key[1]}/{change.subject}")
    values = {"at": change.at, "server": key[0], "kind": kind, "subject": subject}
    return Event({**values, "was": change.was, "now": change.now, "evidence": change.evidence})


def incident_record(event: IncidentEvent) -> Event:
    """Return the record of an event of an incident."""
    values = {"incident": event.incident, "what": event.what.value, "at": event.at, "subject": event.subject}
    return Event({**values, "data": dict(event.data)}, incident_events)


def incident_history(
    connection: sa.Connection, after: int = 0, among: sa.Select[tuple[str]] | Sequence[str] | None = None
) -> list[tuple[int, IncidentEvent]]:
    """Return the events of all incidents, or of some, each with its number, from number ``after`` + 1 on.

    ``among`` has the names of the incidents that are meant, or selects them.
    """
    query = sa.select(incident_events).where(incident_events.c.id > after).order_by(incident_events.c.id)
    if among is not None:
        query = query.where(incident_events.c.incident.in_(among))
    return [(row.id, _incident_event(row)) for row in connection.execute(query)]


def window_record(window: MaintenanceWindow, at: int, author: str, *, configured: bool = False) -> Event:
    """Return the record of a maintenance window that was entered at ``at``."""
    values = {name: getattr(window, name) for name in ("start", "end", "server", "customer", "site", "reason")}
    return Event({**values, "entered": at, "author": author, "configured": configured}, maintenance_windows)


def window_end(number: int, at: int, author: str) -> Event:
    """Return the record of a maintenance window's end before its time."""
    return Event({"window": number, "at": at, "author": author}, maintenance_ends)


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """A change that the ledger keeps of a server; ``at`` is wall ms. What ``was`` and ``now`` say depends on ``kind``.

    ``check``: phases; ``void``: reasons of our own fault, empty for none; ``lamp``: verdicts; `HARDWARE`: model, serial
    number and board; `LEASE`: customers; `SITE`: sites. ``subject`` is the check, or the source and the component.
    """

    at: int
    server: str
    kind: str
    subject: str
    was: str
    now: str
    reason: str
    step: str
    evidence: str
    """What was said or read: of a check, lines of its dialogue."""


def server_events(connection: sa.Connection, server: str = "", limit: int = 100) -> list[ServerEvent]:
    """Return what happened to a server, or to all of them, the newest first, at most ``limit``."""
    query = sa.select(events).order_by(events.c.id.desc()).limit(limit)
    query = query.where(events.c.server == server if server else events.c.server != "")  # "": the exporter itself
    fields = [field.name for field in dataclasses.fields(ServerEvent)]
    return [ServerEvent(**{name: getattr(row, name) for name in fields}) for row in connection.execute(query)]


def bookings(connection: sa.Connection, after: int | None = None) -> list[Booking]:
    """Return all maintenance windows, or those that are not over at ``after``, in the order of their begin."""
    windows, ends = maintenance_windows.c, maintenance_ends.c
    query = sa.select(maintenance_windows, ends.at.label("ended"), ends.author.label("ended_by")).join_from(
        maintenance_windows, maintenance_ends, isouter=True
    )
    if after is not None:
        query = query.where(windows.end > after, sa.or_(ends.at.is_(None), ends.at > after))
    return [
        Booking(
            row.number,
            MaintenanceWindow(row.start, row.end, row.reason, row.server, row.customer, row.site),
            row.entered,
            row.author,
            row.configured,
            row.ended,
            row.ended_by or "",
        )
        for row in connection.execute(query.order_by(windows.start, windows.number))
    ]


def write(connection: sa.Connection, event: Event) -> int:
    """Append an event; return the number of its row."""
    return connection.execute(sa.insert(event.table).values(**event.values)).lastrowid


def outgoing_record(mail: Outgoing) -> Event:
    """Return the record of a mail that is to leave. One with the same Message-ID is there already and stays."""
    return Event(dataclasses.asdict(mail), outbox)


def delivery_record(message_id: str, result: str, at: int) -> Event:
    """Return the record that a mail is done with."""
    return Event({"message_id": message_id, "result": result, "at": at}, deliveries)


def timezone_row(timezone: str) -> Row:
    """Return the row that tells the command line in which time zone to show times."""
    return Row(meta, ("timezone",), {"value": timezone})


def timezone_of(connection: sa.Connection) -> str:
    """Return the time zone of the configuration that was served last."""
    zone: str | None = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "timezone"))
    return zone or Settings().timezone


@contextlib.contextmanager
def beside(storage: Path) -> Iterator[sa.Connection]:
    """Open the ledger in the folder ``storage`` for one transaction, whether or not an exporter runs on it.

    Raises StorageError: there is none, it is of another version, or it stays locked.
    """
    file = storage / "ledger.db"
    if not file.exists():
        raise StorageError(f"there is no ledger in {storage}: name the exporter's folder with --storage.path=")
    engine = _engine(file)
    try:
        with engine.begin() as connection:
            version = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema_version"))
            if version != str(SCHEMA_VERSION):
                raise StorageError(
                    f"the ledger {file} has schema {version}, this command knows {SCHEMA_VERSION}: use the version of "
                    "dserver-exporter that serves, and start that one once after an upgrade"
                )
            yield connection
    except sa.exc.DBAPIError as error:
        raise StorageError(
            f"the ledger {file} cannot be used: {error.orig}: run this as the exporter's user, "
            "and see that the disk has room"
        ) from error
    finally:
        engine.dispose()


def append(connection: sa.Connection, events: Iterable[IncidentEvent]) -> None:
    """Append events of incidents; one that is there already is left as it is."""
    rows = [dict(incident_record(event).values) for event in events]
    if rows:
        connection.execute(sa.insert(incident_events).prefix_with("OR IGNORE"), rows)


def post(connection: sa.Connection, mails: Iterable[Outgoing]) -> None:
    """Put mails into the outbox; one with the same Message-ID is there already and stays."""
    rows = [dict(outgoing_record(mail).values) for mail in mails]
    if rows:
        connection.execute(sa.insert(outbox).prefix_with("OR IGNORE"), rows)


def waiting_since(connection: sa.Connection, incident: str, kind: str) -> int | None:
    """Return since when a mail of this kind about an incident has been waiting in the outbox; None where none does."""
    done = sa.select(deliveries.c.message_id)
    mine = sa.and_(outbox.c.incident == incident, outbox.c.kind == kind, outbox.c.message_id.not_in(done))
    since: int | None = connection.scalar(sa.select(sa.func.min(outbox.c.at)).where(mine))
    return since


def add_sighting(connection: sa.Connection, sighting: Sighting) -> None:
    """Append what a person saw."""
    values = {"server": sighting.server, "at": sighting.at, "note": sighting.note, "author": sighting.author}
    connection.execute(sa.insert(sightings), {**values, "verdict": int(sighting.verdict)})


class Ledger:
    """The open ledger. Made by `Ledger.open`; `close` writes what is left and gives the storage path free."""

    def __init__(self, engine: sa.Engine, lock: IO[str]) -> None:
        self._engine = engine
        self._lock = lock
        self._inbox: queue.SimpleQueue[_Order | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write_forever, name="ledger", daemon=True)
        self._routine: dict[tuple[str, tuple[str, ...]], Row] = {}
        self._routine_due: asyncio.TimerHandle | None = None
        self._unwritten_rows: dict[tuple[str, tuple[str, ...]], Row] = {}
        self._unwritten_events: list[Event] = []
        self._prepared = False
        self._failing = False
        self.on_error: Callable[[], None] = lambda: None
        """Called in the writing thread for each of them."""

    @classmethod
    def open(cls, storage: Path, clock: Clock) -> "Ledger":
        """Open or create the ledger in the folder ``storage`` and own it.

        A disk that is full at this moment does not stop the monitoring: that is logged, and tried again.

        Raises StorageError: the folder or the file cannot be written, another process owns it, or the file is damaged
        or of a newer version.
        """
        file = storage / "ledger.db"
        try:
            storage.mkdir(mode=0o700, parents=True, exist_ok=True)  # contacts and mails are in it
            if file.exists() and not os.access(file, os.R_OK | os.W_OK):
                raise PermissionError(errno.EACCES, f"{file.name}: {os.strerror(errno.EACCES)}")
            lock = _own(storage, clock)
        except OSError as error:
            raise StorageError(
                f"the storage path {storage} cannot be used: {error.strerror}: "
                "give the exporter's user a folder it may write, with --storage.path="
            ) from error
        ledger = cls(_engine(file), lock)
        try:
            ledger._prepare()
        except sa.exc.OperationalError as error:
            ledger._failed(error)
        except sa.exc.DBAPIError as error:
            lock.close()
            raise StorageError(
                f"the ledger {file} is damaged: {error.orig}: restore it from a backup, "
                "or move the file away to start with an empty one (open outages are then forgotten)"
            ) from error
        except BaseException:
            lock.close()
            raise
        ledger._thread.start()
        return ledger

    def check_states(self) -> dict[CheckKey, tuple[str, str, CheckState]]:
        """Return what is known of each check: its protocol and address then, and its state as a new process has it."""
        return {
            (row.server, row.check): (row.protocol, row.address, _check_state(row))
            for row in self._read(sa.select(check_states))
        }

    def source_states(self) -> dict[SourceKey, SourceState]:
        """Return what each lamp source told last."""
        known: dict[SourceKey, SourceState] = {}
        for row in self._read(sa.select(source_states)):
            try:
                known[row.server, row.source] = _source_state(row.state)
            except (KeyError, TypeError, ValueError) as error:
                log.warning("%s: what source %s told last is not readable: %r", row.server, row.source, error)
        return known

    def open_incidents(self, now: int) -> list[tuple[int, IncidentEvent]]:
        """Return the events of the incidents that are open, owe a report or can be joined ``now`` (wall ms)."""
        what, number = incident_events.c.what, incident_events.c.id
        ended = sa.or_(what == What.CLOSED, sa.and_(what == What.WITHDRAWN, incident_events.c.subject == ""))
        last_closed = sa.func.max(sa.case((ended, number), else_=0))
        last_opened = sa.func.max(sa.case((what.in_((What.OPENED, What.CHECK_DOWN)), number), else_=0))
        owed, settled = (What.REPORT_DRAFTED, What.REPORT_EDITED), (What.REPORT_SENT, What.REPORT_WAIVED)
        last_drafted, last_sent = (sa.func.max(sa.case((what.in_(some), number), else_=0)) for some in (owed, settled))
        recent = sa.func.max(incident_events.c.at) >= now - REJOIN
        alive = (
            sa.select(incident_events.c.incident)
            .group_by(incident_events.c.incident)
            .having(sa.or_(last_closed < last_opened, last_sent < last_drafted, recent))
        )
        query = sa.select(incident_events).where(incident_events.c.incident.in_(alive)).order_by(number)
        return [(row.id, _incident_event(row)) for row in self._read(query)]

    def stamp(self) -> tuple[tuple[int, int], ...]:
        """Return what changes when anybody writes into the ledger: time and size of its files."""
        found = []
        for suffix in ("", "-wal"):
            with contextlib.suppress(OSError):
                told = Path(f"{self._engine.url.database}{suffix}").stat()
                found.append((told.st_mtime_ns, told.st_size))
        return tuple(found)

    def incident_events(self, after: int = 0) -> list[tuple[int, IncidentEvent]]:
        """Return the events of all incidents, each with its number, from number ``after`` + 1 on."""
        query = sa.select(incident_events).where(incident_events.c.id > after).order_by(incident_events.c.id)
        return [(row.id, _incident_event(row)) for row in self._read(query)]

    def histories(self, names: Collection[str]) -> list[IncidentEvent]:
        """Return the events of the incidents that are named."""
        query = sa.select(incident_events).where(incident_events.c.incident.in_(names)).order_by(incident_events.c.id)
        return [_incident_event(row) for row in self._read(query)]

    def last_incident_event(self) -> int:
        """Return the number of the newest event of all incidents."""
        rows = self._read(sa.select(sa.func.max(incident_events.c.id)))
        return (rows[0][0] or 0) if rows else 0

    def sightings(self, since: int, after: int = 0) -> list[tuple[int, Sighting]]:
        """Return what people saw later than ``since`` (wall ms), each with its number, from ``after`` + 1 on."""
        query = sa.select(sightings).where(sightings.c.id > after, sightings.c.at > since).order_by(sightings.c.id)
        return [
            (row.id, Sighting(row.server, row.at, Verdict(row.verdict), row.note, row.author))
            for row in self._read(query)
        ]

    def bookings(self, after: int | None = None) -> list[Booking] | None:
        """Return the maintenance windows as the function `bookings` does; None when they cannot be read."""
        try:
            with self._engine.connect() as connection:
                return bookings(connection, after)
        except sa.exc.OperationalError as error:
            log.error("the ledger cannot be read: %s: maintenance windows stay as they were known", error.orig)  # noqa: TRY400
            return None

    def server_events(self, server: str, limit: int = 100) -> list[ServerEvent]:
        """Return what happened to a server as the function `server_events` does; nothing when it cannot be read."""
        try:
            with self._engine.connect() as connection:
                return server_events(connection, server, limit)
        except sa.exc.OperationalError as error:
            log.error("the ledger cannot be read: %s: no events are shown", error.orig)  # noqa: TRY400
            return []

    def belongings(self, kind: str) -> dict[str, str]:
        """Return which customer each server was leased to last (`LEASE`), or its site (`SITE`); empty for none."""
        last = sa.select(sa.func.max(events.c.id)).where(events.c.kind == kind).group_by(events.c.server)
        return {row.server: row.now for row in self._read(sa.select(events).where(events.c.id.in_(last)))}

    def name(self) -> str:
        """Return the ledger's own name, made up when it was made; empty while it cannot be read."""
        rows = self._read(sa.select(meta.c.value).where(meta.c.key == "name"))
        return str(rows[0][0]) if rows else ""

    def last_alive(self) -> int | None:
        """Return when an exporter was seen to run on this ledger last; None where that is not known."""
        rows = self._read(_LAST_ALIVE)
        return int(rows[0][0]) if rows else None

    def outgoing(self, after: int = 0) -> list[tuple[int, Outgoing]]:
        """Return the mails that wait to leave, each with its number, from number ``after`` + 1 on."""
        done = sa.select(deliveries.c.message_id)
        query = sa.select(outbox).where(outbox.c.id > after, outbox.c.message_id.not_in(done)).order_by(outbox.c.id)
        return [
            (row.id, Outgoing(**{name: value for name, value in row._asdict().items() if name != "id"}))
            for row in self._read(query)
        ]

    async def save(self, records: Iterable[Record]) -> bool:
        """Write records; return whether they are committed now. If not they are kept and tried again."""
        loop = asyncio.get_running_loop()
        done: asyncio.Future[bool] = loop.create_future()
        self._inbox.put(_Order((*self._take_routine(), *records), loop, done))
        return await done

    def keep(self, row: Row) -> None:
        """Write a row with whatever is written next, at the latest in a minute: for what a crash may lose.

        A commit waits for the disk and costs as much as the reading of a BMC.
        """
        self._routine[row.table.name, row.key] = row
        if self._routine_due is None:
            self._routine_due = asyncio.get_running_loop().call_later(ROUTINE_WITHIN, self._write_routine)

    def _write_routine(self) -> None:
        self._inbox.put(_Order(self._take_routine()))

    def _take_routine(self) -> tuple[Row, ...]:
        if self._routine_due is not None:
            self._routine_due.cancel()
            self._routine_due = None
        rows = tuple(self._routine.values())
        self._routine.clear()
        return rows

    @contextlib.contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """Give one short transaction beside the writing thread, for housekeeping in a thread. Raises DBAPIError."""
        with self._engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Give a connection to look things up, in a thread. Raises DBAPIError."""
        with self._engine.connect() as connection:
            yield connection

    def close(self) -> None:
        """Write what is left, stop the thread and give the storage path free."""
        self._inbox.put(_Order(tuple(self._routine.values())))
        self._inbox.put(None)
        self._thread.join()
        self._engine.dispose()
        self._lock.close()

    def _read(self, query: sa.Select[Any]) -> Sequence[sa.Row[Any]]:
        try:
            with self._engine.connect() as connection:
                return connection.execute(query).all()
        except sa.exc.OperationalError as error:
            log.error("the ledger cannot be read: %s: what was known before is forgotten", error.orig)  # noqa: TRY400
            return ()

    def _prepare(self) -> None:
        with self._engine.begin() as connection:
            meta.create(connection, checkfirst=True)
            version = connection.scalar(sa.select(meta.c.value).where(meta.c.key == "schema_version"))
            if version is not None and int(version) > SCHEMA_VERSION:
                raise StorageError(
                    f"the ledger {self._engine.url.database} was written by a newer dserver-exporter (schema "
                    f"{version}, this one knows {SCHEMA_VERSION}): run the newer one, or give this one a path of its "
                    "own with --storage.path="
                )
            metadata.create_all(connection)
            if version is None:
                connection.execute(sa.insert(meta), {"key": "schema_version", "value": str(SCHEMA_VERSION)})
            elif int(version) < SCHEMA_VERSION:
                for number in range(int(version), SCHEMA_VERSION):
                    for statement in MIGRATIONS[number]:
                        connection.exec_driver_sql(statement)
                connection.execute(
                    sa.update(meta).where(meta.c.key == "schema_version"), {"value": str(SCHEMA_VERSION)}
                )
            for index in (index for table in metadata.tables.values() for index in table.indexes):
                index.create(connection, checkfirst=True)  # that a ledger from before lacks: older versions do without
            named = sa.insert(meta).prefix_with("OR IGNORE").values(key="name", value=secrets.token_hex(4))
            connection.execute(named)
        self._prepared = True

    def _write_forever(self) -> None:
        while True:
            orders = self._collect()
            for order in orders:
                if order is not None:
                    self._take_in(order.records)
            written = self._commit()
            for order in orders:
                if order is not None:
                    order.answer(written)
            if None in orders:
                return

    def _collect(self) -> "list[_Order | None]":
        orders: list[_Order | None] = []
        with contextlib.suppress(queue.Empty):
            orders.append(self._inbox.get(timeout=RETRY_AFTER if self._failing else None))
            while True:
                orders.append(self._inbox.get_nowait())
        return orders

    def _take_in(self, records: tuple[Record, ...]) -> None:
        for record in records:
            if isinstance(record, Row):
                self._unwritten_rows[record.table.name, record.key] = record
            else:
                self._unwritten_events.append(record)
        surplus = len(self._unwritten_events) - KEPT_EVENTS
        if surplus > 0:
            del self._unwritten_events[:surplus]
            log.error("the ledger cannot be written: %d oldest events are lost", surplus)

    def _commit(self) -> bool:
        try:
            if not self._prepared:
                self._prepare()
            with self._engine.begin() as connection:
                for table in (meta, check_states, source_states):
                    rows = [row for row in self._unwritten_rows.values() if row.table is table]
                    if rows:
                        _replace(connection, table, rows)
                for table, blank in _EVENT_TABLES:
                    fresh = [{**blank, **event.values} for event in self._unwritten_events if event.table is table]
                    if fresh:
                        connection.execute(sa.insert(table).prefix_with("OR IGNORE"), fresh)
        except sa.exc.DBAPIError as error:
            self._failed(error)
            return False
        if self._failing:
            log.warning("the ledger can be written again; nothing that waited was lost")
            self._failing = False
        self._unwritten_rows.clear()
        self._unwritten_events.clear()
        return True

    def _failed(self, error: sa.exc.DBAPIError) -> None:
        self._failing = True
        self.on_error()
        log.error(
            "the ledger cannot be written: %s: %d states and %d events wait in memory and would be lost with this "
            "process; the monitoring goes on; free disk space or repair the disk",
            error.orig,
            len(self._unwritten_rows),
            len(self._unwritten_events),
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Order:
    records: tuple[Record, ...]
    loop: asyncio.AbstractEventLoop | None = None
    done: "asyncio.Future[bool] | None" = None

    def answer(self, written: bool) -> None:
        def settle() -> None:
            if self.done is not None and not self.done.done():
                self.done.set_result(written)

        if self.loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is gone: nobody waits any more
                self.loop.call_soon_threadsafe(settle)


def _own(storage: Path, clock: Clock) -> IO[str]:
    lock = (storage / "lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = lock.read(200).strip() or "another process"
        lock.close()
        raise StorageError(
            f"the storage path {storage} belongs to {owner}: stop that one, or give this one a path of its own "
            "with --storage.path="
        ) from None
    started = datetime.fromtimestamp(clock.now().wall / 1000, UTC).isoformat(timespec="seconds")
    with contextlib.suppress(OSError):  # a full disk: the lock holds all the same, only its owner has no name
        lock.truncate(0)
        lock.write(f"dserver-exporter, process {os.getpid()} on {socket.gethostname()}, since {started}\n")
        lock.flush()
    return lock


def _engine(file: Path) -> sa.Engine:
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"check_same_thread": False, "timeout": 5.0})

    @sa.event.listens_for(engine, "connect")
    def _on_connect(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine


def _replace(connection: sa.Connection, table: sa.Table, rows: list[Row]) -> None:
    columns = [column.name for column in table.primary_key]
    keys = [dict(zip((f"key_{name}" for name in columns), row.key, strict=True)) for row in rows]
    where = [table.c[name] == sa.bindparam(f"key_{name}") for name in columns]
    connection.execute(sa.delete(table).where(*where), keys)
    fresh = [{**dict(zip(columns, row.key, strict=True)), **row.values} for row in rows if row.values is not None]
    if fresh:
        connection.execute(sa.insert(table), fresh)


def _check_state(row: Any) -> CheckState:
    # Only the wall half of a moment means anything to another process: `foreign` says so.
    return restored(
        CheckState(
            up=row.up,
            ever_up=row.ever_up,
            down_since=row.down_since,
            confirmed=row.confirmed,
            first_failed=None if row.first_failed is None else Moment(0, row.first_failed),
            last_failed=None if row.last_failed is None else Moment(0, row.last_failed),
            last_run=row.last_run,
            reason=row.reason,
            step=row.step,
            void=row.void,
        )
    )


def _incident_event(row: Any) -> IncidentEvent:
    return IncidentEvent(row.incident, What(row.what), row.at, row.subject, MappingProxyType(row.data))


def _hardware_fields(hardware: Hardware) -> tuple[str, ...]:
    return (hardware.manufacturer, hardware.model, hardware.serial, hardware.firmware, hardware.board)


def _source_state(state: Mapping[str, Any]) -> SourceState:
    lamps = (
        KnownLamp(Lamp(lamp), component, Verdict(verdict), Verdict(read_as), since, evidence)
        for lamp, component, verdict, read_as, since, evidence in state["lamps"]
    )
    return SourceState(
        lamps={known.component: known for known in lamps},
        logs=tuple(EventLogReading(*entry) for entry in state["logs"]),
        hardware=Hardware(*state["hardware"]) if state["hardware"] else None,
        **{name: state[name] for name in state if name not in {"lamps", "logs", "hardware"}},
    )
