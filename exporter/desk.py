"""What people do with incidents at the command line: look, write, and nothing that the ledger would forget.

Everything is read from and appended to the ledger of the storage path; the exporter that runs on it sees it within a
second.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from collectors.reading import Verdict
from exporter.clock import SECOND, Clock
from exporter.contract.incidents import (
    Incident,
    IncidentEvent,
    Kind,
    Value,
    What,
    folded,
    opening,
)
from exporter.inventory import Server
from exporter.lamps import Sighting
from exporter.ledger import add_sighting, append, beside, incident_history, timezone_of

MEANS = ("phone", "fax", "mail")
"""How a contact can be told by a person."""


class DeskError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


class Desk:
    """The incidents in a ledger. Times are shown in the time zone of the exporter that serves it.

    Raises StorageError.
    """

    def __init__(self, storage: Path, clock: Clock) -> None:
        self._storage = storage
        self._clock = clock
        with beside(storage) as connection:
            self._zone = ZoneInfo(timezone_of(connection))

    def incidents(self, *, everything: bool, server: str = "", customer: str = "") -> list[Incident]:
        """Return the open incidents, or all, newest first. Raises StorageError."""
        with beside(self._storage) as connection:
            known = _known(connection)
        return [
            incident
            for incident in sorted(known.values(), key=lambda each: each.opened, reverse=True)
            if (everything or incident.open) and server in ("", incident.server) and customer in ("", incident.customer)
        ]

    def show(self, name: str) -> tuple[Incident, list[IncidentEvent]]:
        """Return an incident and its history. Raises DeskError and StorageError."""
        with beside(self._storage) as connection:
            events = [event for _, event in incident_history(connection)]
        return _find(folded(events), name), [event for event in events if event.incident == name]

    def history(self) -> list[IncidentEvent]:
        """Return the events of all incidents. Raises StorageError."""
        with beside(self._storage) as connection:
            return [event for _, event in incident_history(connection)]

    def note(self, name: str, author: str, text: str) -> None:
        """Write a note. Raises DeskError and StorageError."""
        self._write(name, What.NOTE, author=author, text=_text(text))

    def acknowledge(self, name: str, author: str) -> None:
        """Say that somebody works on it. Raises DeskError, also where somebody does already, and StorageError."""
        with self._incident(name) as (incident, connection):
            if incident.acknowledged:
                at = self.time(incident.acknowledged.at)
                raise DeskError(f"{name} was acknowledged by {incident.acknowledged.author} at {at}")
            append(connection, [self._event(name, What.ACKNOWLEDGED, author=author)])

    def told(self, name: str, contact: str, by: str, author: str) -> None:
        """Record that a person told a contact. Raises DeskError and StorageError."""
        self._write(name, What.TOLD, _text(contact), by=by, author=author)

    def request_reboot(self, server: Server, asked_by: str, text: str) -> str:
        """Open an incident for a customer's request; return its name. Raises StorageError."""
        reason = f"{_text(asked_by)}: {text}" if text else _text(asked_by)
        event = opening(Kind.REBOOT_REQUEST, server, self._now(), self._zone, reason)
        with beside(self._storage) as connection:
            append(connection, [event])
        return event.incident

    def confirm_lamps(self, server: Server, verdict: Verdict, note: str, author: str) -> None:
        """Record what a person saw of a server's lamps. Raises DeskError and StorageError."""
        with beside(self._storage) as connection:
            add_sighting(connection, Sighting(server.name, self._now(), verdict, _text(note), author))

    def close(self, name: str, author: str) -> None:
        """Say that what a customer asked for was done. Outages and lamps end by what is measured.

        Raises DeskError and StorageError.
        """
        with self._incident(name) as (incident, connection):
            if not incident.open:
                raise DeskError(f"{name} is closed already")
            if incident.kind is not Kind.REBOOT_REQUEST:
                raise DeskError(
                    f"{name} closes by itself: its checks must be up in three attempts over two minutes, and the lamps "
                    "be read as normal after that"
                )
            append(connection, [self._event(name, What.RECOVERED, author=author)])

    def time(self, wall: int) -> str:
        """Return a time as it is shown."""
        return f"{datetime.fromtimestamp(wall / SECOND, UTC).astimezone(self._zone):%Y-%m-%d %H:%M:%S %Z}"

    def _now(self) -> int:
        return self._clock.now().wall

    def _write(self, name: str, what: What, subject: str = "", **data: Value) -> None:
        with self._incident(name) as (_, connection):
            append(connection, [self._event(name, what, subject, **data)])

    def _event(self, name: str, what: What, subject: str = "", **data: Value) -> IncidentEvent:
        return IncidentEvent(name, what, self._now(), subject, MappingProxyType(data))

    @contextmanager
    def _incident(self, name: str) -> Iterator[tuple[Incident, sa.Connection]]:
        with beside(self._storage) as connection:
            yield _find(_known(connection), name), connection


def _known(connection: sa.Connection) -> dict[str, Incident]:
    return folded(event for _, event in incident_history(connection))


def _find(known: Mapping[str, Incident], name: str) -> Incident:
    incident = known.get(name)
    if incident is None:
        names = [each.id for each in known.values() if each.server == name and each.open]
        hint = (
            f"{name} is a server: its open incidents are {', '.join(names)}" if names else "incidents list shows them"
        )
        raise DeskError(f"there is no incident {name}; {hint}")
    return incident


def _text(text: str) -> str:
    cleaned = " ".join(text.split())
    if not cleaned:
        raise DeskError("the text is empty: say in words what is to be remembered")
    return cleaned
