"""What people do with incidents at the command line: look, write, and nothing that the ledger would forget.

Everything is read from and appended to the ledger of the storage path; the exporter that runs on it sees it within a
second.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from collectors.reading import Verdict
from exporter.clock import SECOND, Clock
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import (
    Incident,
    IncidentEvent,
    Kind,
    Value,
    What,
    folded,
    opening,
)
from exporter.contract.report import REPORT
from exporter.inventory import Server
from exporter.lamps import Sighting
from exporter.ledger import add_sighting, append, beside, incident_history, post, timezone_of, waiting_since
from exporter.mail.message import Outgoing

MEANS = ("phone", "fax", "mail")
"""How a contact can be told by a person."""
ON_PAPER = ("fax", "post")
"""How a person hands over a report that the exporter does not mail."""
WriteMails = Callable[[Incident, int], Iterable[Outgoing]]
"""Writes the mails about an incident's report at a time."""
LONGEST_TEXT = 4_000
"""Characters of a cause or of measures."""


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
        """Return the incidents that are open or owe a report, or all, newest first. Raises StorageError."""
        with beside(self._storage) as connection:
            known = _known(connection)
        return [
            incident
            for incident in sorted(known.values(), key=lambda each: each.opened, reverse=True)
            if (everything or incident.open or incident.report.owed)
            and server in ("", incident.server)
            and customer in ("", incident.customer)
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
            if incident.recovered is not None:
                raise DeskError(
                    f"{name} was reported as done at {self.time(incident.recovered)}: it closes when the lamps of "
                    f"{incident.server} were read as normal after that; where nothing reads them, say what you see "
                    f"with lamps confirm {incident.server} --verdict normal --note TEXT"
                )
            append(connection, [self._event(name, What.RECOVERED, author=author)])

    def report(self, name: str) -> Incident:
        """Return an incident that has a report, sent or owed. Raises DeskError and StorageError."""
        with self._incident(name) as (incident, _):
            return _with_report(incident)

    def edit_report(self, name: str, author: str, *, cause: str | None, measures: str | None) -> None:
        """Write the cause or the measures into a report; None leaves one. Raises DeskError and StorageError."""
        given = {"cause": cause, "measures": measures}
        texts = {name: _paragraphs(text) for name, text in given.items() if text is not None}
        with self._incident(name) as (incident, connection):
            _not_waiting(connection, incident)
            reporting = _unsent(incident).report
            if reporting.waived or any(getattr(reporting, name) != text for name, text in texts.items()):
                append(connection, [self._event(name, What.REPORT_EDITED, **texts, author=author)])

    def waive_report(self, name: str, author: str, reason: str) -> None:
        """Say that no report has to be sent, and why. Raises DeskError and StorageError."""
        words = _text(reason)
        with self._incident(name) as (incident, connection):
            _not_waiting(connection, incident)
            waived = _unsent(incident).report.waived
            if waived:
                raise DeskError(f"the report of {name} was waived by {waived.author}: {waived.reason}")
            append(connection, [self._event(name, What.REPORT_WAIVED, reason=words, author=author)])

    def approve_report(self, name: str, author: str) -> None:
        """Say that a report can be sent as it is. Raises DeskError and StorageError."""
        with self._incident(name) as (incident, connection):
            reporting = _owed(incident).report
            if not (reporting.cause and reporting.measures):
                raise DeskError(
                    f"the report of {name} lacks its cause or its measures: write them with incidents report {name} "
                    "--cause TEXT --measures TEXT"
                )
            if reporting.approved is None:
                append(connection, [self._event(name, What.REPORT_APPROVED, author=author)])

    def postpone_report(
        self, name: str, until: date, reason: str, author: str, calendar: BusinessCalendar, interim: WriteMails
    ) -> int:
        """Promise a report for another day, at the end of its business hours; return how many are told of it by mail.

        Raises DeskError and StorageError.
        """
        end, words = calendar.end_of_business(until), _text(reason)
        with self._incident(name) as (incident, connection):
            due = _owed(incident).report.due or 0
            if not calendar.is_business_day(until):
                raise DeskError(f"{until} is no business day: the next one is {calendar.next_business_day(until)}")
            if end <= max(due, self._now()):
                raise DeskError(f"the report of {name} is due at {self.time(due)}: name a later day that is to come")
            event = self._event(name, What.REPORT_POSTPONED, until=end, reason=words, author=author)
            append(connection, [event])
            mails = list(interim(incident.after(event), event.at))
            post(connection, mails)
        return len(mails)

    def approved_report(self, name: str) -> Incident:
        """Return an incident whose report can be sent now. Raises DeskError and StorageError."""
        with self._incident(name) as (incident, _):
            return _sendable(incident)

    def post_report(self, name: str, author: str, write: WriteMails) -> int:
        """Put the approved report into the outbox; return for how many. Raises DeskError and StorageError."""
        with self._incident(name) as (incident, connection):
            _not_waiting(connection, _sendable(incident))
            event = self._event(name, What.REPORT_POSTED, end=incident.report.end or 0, author=author)
            mails = list(write(incident, event.at))
            if mails:
                append(connection, [event])
                post(connection, mails)
        return len(mails)

    def report_handed_over(
        self, incident: Incident, to: str, by: str, author: str, copies: Mapping[str, Value]
    ) -> None:
        """Record that a person sent the report as the ``copies`` have it. Raises DeskError and StorageError."""
        with self._incident(incident.id) as (now, connection):
            _not_waiting(connection, now)
            if _sendable(now) != incident:
                raise DeskError(f"{incident.id} has changed meanwhile: look at the report again")
            data: dict[str, Value] = {"by": by, "end": incident.report.end or 0, "author": author, **copies}
            sent = IncidentEvent(incident.id, What.REPORT_SENT, self._now(), _text(to), MappingProxyType(data))
            append(connection, [sent])

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


def _with_report(incident: Incident) -> Incident:
    if incident.report.due is None:
        over = (
            "it is not over" if incident.recovered is None and incident.open else "its customer had to be told of none"
        )
        raise DeskError(
            f"{incident.id} has no report: {over}. The exporter that serves drafts one when an incident is over "
            "of which the customer was told (incidents told records that) or had to be told"
        )
    return incident


def _unsent(incident: Incident) -> Incident:
    if sent := _with_report(incident).report.delivered:
        raise DeskError(f"the report of {incident.id} was sent to {sent.to} already")
    return incident


def _owed(incident: Incident) -> Incident:
    if waived := _unsent(incident).report.waived:
        raise DeskError(
            f"the report of {incident.id} was waived by {waived.author}: {waived.reason}; if it has to be sent all the "
            f"same, write its cause and measures with incidents report {incident.id}, which takes it up again"
        )
    return incident


def _not_waiting(connection: sa.Connection, incident: Incident) -> None:
    if waiting_since(connection, incident.id, REPORT) is not None:
        raise DeskError(
            f"the report of {incident.id} lies in the outbox and leaves as soon as the mail server takes it: "
            "the exporter that serves logs how it goes"
        )


def _sendable(incident: Incident) -> Incident:
    if _owed(incident).report.approved is None:
        raise DeskError(
            f"the report of {incident.id} is not approved as it is now: read it with incidents report {incident.id}, "
            "then add --approve"
        )
    return incident


def _paragraphs(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.strip().splitlines()]
    if len(text) > LONGEST_TEXT:
        raise DeskError(f"the text has {len(text)} characters: {LONGEST_TEXT} are the most")
    return _text(text) and "\n".join(lines)


def _text(text: str) -> str:
    cleaned = " ".join(text.split())
    if not cleaned:
        raise DeskError("the text is empty: say in words what is to be remembered")
    return cleaned
