"""What the ledger forgets: everything that has been over for ``global.retention``, and nothing that is still needed.

Of each history the last entry before that stays, whatever its age: it says what has held since. An incident goes whole,
once it is closed. Deleting is done in small pieces, each a transaction of its own, so that it delays no other writing.
"""

import logging
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import sqlalchemy as sa

from exporter.contract.incidents import folded
from exporter.ledger import (
    Ledger,
    bookings,
    deliveries,
    events,
    incident_events,
    incident_history,
    maintenance_ends,
    maintenance_windows,
    outbox,
    sightings,
)

log = logging.getLogger("ledger")

PIECE = 500
"""Rows, or incidents, that are deleted in one transaction."""


def prune(ledger: Ledger, before: int) -> int:
    """Delete what was over ``before`` (wall ms); return how many entries that were.

    What could not be deleted is logged and left for the next time.
    """
    forgotten = 0
    try:
        with ledger.transaction() as connection:
            over = [
                (events.c.id, _events(connection, before)),
                (incident_events.c.incident, _incidents(connection, before)),
                (sightings.c.id, connection.scalars(sa.select(sightings.c.id).where(sightings.c.at < before)).all()),
                # the mail before what became of it: the other way round it would be sent again
                *((column, _mails(connection, before)) for column in (outbox.c.message_id, deliveries.c.message_id)),
                *((column, _windows(connection, before)) for column in (maintenance_ends.c.window, _WINDOW)),
            ]
        for column, keys in over:
            for piece in _pieces(keys):
                with ledger.transaction() as connection:
                    forgotten += connection.execute(sa.delete(column.table).where(column.in_(piece))).rowcount
    except sa.exc.DBAPIError as error:
        log.warning("what is older than global.retention could not be deleted from the ledger: %s", error.orig)
    if forgotten:
        log.info("%d entries older than global.retention were deleted from the ledger", forgotten)
    return forgotten


_WINDOW = maintenance_windows.c.number


def _events(connection: sa.Connection, before: int) -> Sequence[int]:
    column = events.c
    standing = sa.select(sa.func.max(column.id)).where(column.at < before)
    standing = standing.group_by(column.server, column.kind, column.subject)
    return connection.scalars(sa.select(column.id).where(column.at < before, column.id.not_in(standing))).all()


def _incidents(connection: sa.Connection, before: int) -> list[str]:
    column = incident_events.c
    quiet = sa.select(column.incident).group_by(column.incident).having(sa.func.max(column.at) < before)
    history = (event for _, event in incident_history(connection, among=quiet))
    return [incident.id for incident in folded(history).values() if not incident.open]


def _mails(connection: sa.Connection, before: int) -> Sequence[str]:
    return connection.scalars(sa.select(deliveries.c.message_id).where(deliveries.c.at < before)).all()


def _windows(connection: sa.Connection, before: int) -> list[int]:
    return [booking.number for booking in bookings(connection) if booking.in_force.end < before]


def _pieces(keys: Sequence[Any]) -> Iterator[list[Any]]:
    left = iter(keys)
    while piece := list(islice(left, PIECE)):
        yield piece
