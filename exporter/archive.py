"""What the ledger remembers of a server or an incident, for people who look. Only read, and meant to run in a thread.

Whatever is asked is answered by an index: a server's page costs the same whether the ledger has a day or three years.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Self

import sqlalchemy as sa

from exporter.availability import read_histories, running_spans, window_spans
from exporter.clock import DAY
from exporter.contract.availability import Availability, Span, availability
from exporter.contract.incidents import Incident, IncidentEvent, What, folded
from exporter.contract.maintenance import Booking
from exporter.contract.strips import Piece, strip
from exporter.inventory import Server
from exporter.ledger import bookings, events, incident_events, incident_history

WEEK = 7 * DAY
CHANGES = 50
"""Changes of one server that are looked up."""
INCIDENTS = 50
"""Incidents that are looked up at once."""


@dataclass(frozen=True, slots=True)
class Strip:
    """How a check did in a period."""

    period: Span
    pieces: tuple[Piece, ...]
    result: Availability


@dataclass(frozen=True, slots=True)
class CheckPast:
    """How a check did until now."""

    day: Strip
    week: Strip
    since: int | None
    """Since when it stands as it does; None where it was never tried."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed on a server, as the ledger has it. ``at`` is Unix time in ms."""

    number: int
    at: int
    kind: str
    subject: str
    was: str
    now: str
    reason: str
    step: str
    evidence: str


@dataclass(frozen=True, slots=True)
class ServerPast:
    """What is remembered of a server."""

    checks: Mapping[str, CheckPast]
    changes: tuple[Change, ...]
    """The newest first."""
    incidents: tuple[Incident, ...]
    """The newest first."""
    windows: tuple[Booking, ...]
    """Of maintenance: those of the last week and all that are to come, by their begin."""

    @classmethod
    def of(cls, connection: sa.Connection, server: Server, now: int) -> Self:
        """Look up a server."""
        week: Span = (now - WEEK, now)
        histories = read_histories(connection, week, server.name)
        watched = running_spans(connection, histories, now, now)
        booked = [booking for booking in bookings(connection, now - WEEK) if server.within({booking.window.scope})]
        maintained = window_spans(booked, server, histories, week)

        def strip_of(check: str, period: Span) -> Strip:
            key = (server.name, check)
            phases, voids = histories.phases.get(key, ()), histories.voids.get(key, ())
            pieces = strip(period, phases=phases, voids=voids, watched=watched, maintenance=maintained)
            result = availability(period, phases=phases, voids=voids, watched=watched, maintenance=maintained)
            return Strip(period, pieces, result)

        def past_of(check: str) -> CheckPast:
            phases = histories.phases.get((server.name, check))
            since = phases[-1][0] if phases else None
            return CheckPast(strip_of(check, (now - DAY, now)), strip_of(check, week), since)

        return cls(
            {check.name: past_of(check.name) for check in server.checks},
            tuple(_changes(connection, server.name)),
            tuple(incident for _, incident in incidents(connection, server=server.name)),
            tuple(booked),
        )


@dataclass(frozen=True, slots=True)
class GonePast:
    """What is remembered of a server that the inventory has no longer."""

    changes: tuple[Change, ...]
    """The newest first."""
    incidents: tuple[Incident, ...]
    """The newest first."""

    @classmethod
    def of(cls, connection: sa.Connection, name: str) -> Self | None:
        """Look up a server by its name; None where there never was one of that name."""
        changes = tuple(_changes(connection, name))
        found = tuple(incident for _, incident in incidents(connection, server=name))
        return cls(changes, found) if changes or found else None


@dataclass(frozen=True, slots=True)
class IncidentPast:
    """An incident, and all that happened in it."""

    incident: Incident
    history: tuple[IncidentEvent, ...]

    @classmethod
    def of(cls, connection: sa.Connection, name: str) -> Self | None:
        """Look up an incident; None where there is none of that name."""
        history = [event for _, event in incident_history(connection, among=[name])]
        incident = folded(history).get(name)
        return cls(incident, tuple(history)) if incident else None


def incidents(
    connection: sa.Connection, *, server: str = "", customer: str = "", before: int | None = None, most: int = INCIDENTS
) -> list[tuple[int, Incident]]:
    """Return incidents, the newest first, each with the number ``before`` which the next ones are found."""
    column = incident_events.c
    query = sa.select(column.id, column.incident).order_by(column.id.desc())
    if server:  # all its names begin with it; SQLite would look through the openings of all servers if it could
        begin, end = f"{server}-", f"{server}{chr(ord('-') + 1)}"
        query = query.where(column.incident >= begin, column.incident < end, column.what + "" == What.OPENED)
        query = query.where(column.data["server"].as_string() == server)
    else:
        query = query.where(column.what == What.OPENED)
    if before is not None:
        query = query.where(column.id < before)
    if customer:
        query = query.where(column.data["customer"].as_string() == customer)
    numbers = {row.incident: row.id for row in connection.execute(query.limit(most))}
    known = folded(event for _, event in incident_history(connection, among=[*numbers]))
    return [(number, known[name]) for name, number in numbers.items()]


def _changes(connection: sa.Connection, server: str) -> Iterable[Change]:
    column = events.c
    query = sa.select(events).where(column.server == server).order_by(column.id.desc())
    for row in connection.execute(query.limit(CHANGES)):
        yield Change(row.id, row.at, row.kind, row.subject, row.was, row.now, row.reason, row.step, row.evidence)
