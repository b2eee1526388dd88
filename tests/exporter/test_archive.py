"""What the ledger remembers of a server and of an incident, as the pages ask for it."""

from collections.abc import Iterator
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from collectors.registry import Options
from exporter.archive import CHANGES, WEEK, IncidentPast, ServerPast, incidents
from exporter.clock import DAY, HOUR, MINUTE, SystemClock
from exporter.contract.incidents import IncidentEvent, Kind, What, opening
from exporter.contract.strips import Mark, Piece
from exporter.inventory import Check, MaintenanceWindow, Server, Timing
from exporter.lamps import LampEvent
from exporter.ledger import (
    Event,
    Ledger,
    alive_row,
    check_event,
    incident_record,
    presence_event,
    source_event,
    window_record,
)
from exporter.outage import Phase, Transition

NOW = 1_800_000_000_000
JAPAN = ZoneInfo("Asia/Tokyo")


def server(name: str, site: str = "ogaki") -> Server:
    checks = tuple(Check(name, each, each, "192.0.2.10", "", Options(), Timing()) for each in ("https", "ssh"))
    return Server(name, "c0001", managed=True, address="192.0.2.10", site=site, checks=checks)


WEB01 = server("web01")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


def change(at: int, was: Phase, now: Phase, name: str = "web01") -> Event:
    return check_event(server(name).checks[0], Transition(at, was, now, "refused", "connect"), "what was said")


RUNNING = presence_event(NOW - 40 * DAY, running=True)
UP = change(NOW - 40 * DAY, Phase.UNTRIED, Phase.UP)


def past(ledger: Ledger, of: Server = WEB01) -> ServerPast:
    with ledger.reading() as connection:
        return ServerPast.of(connection, of, NOW)


async def test_a_check_has_its_last_day_and_week(ledger: Ledger) -> None:
    down, back = NOW - 2 * DAY, NOW - 2 * DAY + HOUR
    outage = [change(down, Phase.UP, Phase.DOWN), change(back, Phase.DOWN, Phase.UP)]
    await ledger.save([RUNNING, UP, *outage, change(NOW - DAY, Phase.UP, Phase.DOWN, "web02"), alive_row(NOW)])
    seen = past(ledger).checks["https"]
    assert seen.day.pieces == (Piece(NOW - DAY, NOW, Mark.UP),)
    assert seen.week.pieces == (
        Piece(NOW - WEEK, down, Mark.UP),
        Piece(down, back, Mark.DOWN),
        Piece(back, NOW, Mark.UP),
    )
    assert (seen.week.result.downtime, seen.week.result.outages, seen.day.result.share) == (HOUR, 1, 1.0)


async def test_of_a_check_that_was_never_tried_nothing_is_known(ledger: Ledger) -> None:
    await ledger.save([RUNNING, UP, alive_row(NOW)])
    assert past(ledger).checks["ssh"].day.pieces == (Piece(NOW - DAY, NOW, Mark.UNKNOWN),)


async def test_while_no_exporter_ran_there_is_no_data(ledger: Ledger) -> None:
    gone, back = NOW - 5 * HOUR, NOW - 4 * HOUR
    await ledger.save(
        [RUNNING, UP, presence_event(gone, running=False), presence_event(back, running=True), alive_row(NOW)]
    )
    marks = [(piece.since, piece.mark) for piece in past(ledger).checks["https"].day.pieces]
    assert marks == [(NOW - DAY, Mark.UP), (gone, Mark.UNKNOWN), (back, Mark.UP)]


async def test_maintenance_of_its_site_is_the_servers_too_and_that_of_another_server_is_not(ledger: Ledger) -> None:
    window = MaintenanceWindow(NOW - 2 * HOUR, NOW - HOUR, "増設", site="ogaki")
    other = MaintenanceWindow(NOW - 4 * HOUR, NOW - 3 * HOUR, "増設", server="web02")
    await ledger.save(
        [RUNNING, UP, alive_row(NOW), *(window_record(each, NOW - DAY, "sato") for each in (window, other))]
    )
    seen = past(ledger)
    assert [booking.window for booking in seen.windows] == [window]
    assert Piece(window.start, window.end, Mark.MAINTENANCE) in seen.checks["https"].day.pieces
    assert len(seen.checks["https"].day.pieces) == 3


async def test_changes_are_those_of_the_server_the_newest_first_and_not_without_end(ledger: Ledger) -> None:
    lamp = LampEvent(NOW - HOUR, "Drive 3", "normal", "critical", "state=0x0003")
    many = [change(NOW - DAY + each, Phase.UP, Phase.DOWN) for each in range(CHANGES + 1)]
    await ledger.save(
        [*many, source_event(("web01", "ipmi"), lamp), change(NOW - MINUTE, Phase.UP, Phase.DOWN, "web02")]
    )
    changes = past(ledger).changes
    assert len(changes) == CHANGES
    assert (changes[0].kind, changes[0].subject, changes[0].was, changes[0].now) == (
        "lamp",
        "ipmi/Drive 3",
        "normal",
        "critical",
    )
    assert [each.at for each in changes] == sorted((each.at for each in changes), reverse=True)


def opened(name: str, at: int, customer: str = "c0001", kind: Kind = Kind.OUTAGE) -> IncidentEvent:
    leased = Server(name, customer, managed=True, address="192.0.2.10")
    return opening(kind, leased, at, JAPAN)


async def test_incidents_are_found_by_server_and_by_customer_and_in_pages(ledger: Ledger) -> None:
    history = [opened("web01", NOW - each * DAY) for each in range(5, 0, -1)]
    others = [opened("web01-b", NOW - 3 * DAY), opened("web", NOW - DAY), opened("web02", NOW - HOUR, "c0002")]
    await ledger.save(incident_record(event) for event in (*history, *others))
    with ledger.reading() as connection:
        everything = incidents(connection)
        assert [incident.server for _, incident in everything[:3]] == ["web02", "web", "web01-b"]
        assert [incident.opened for _, incident in incidents(connection, server="web01")] == [
            NOW - each * DAY for each in range(1, 6)
        ]
        assert [incident.server for _, incident in incidents(connection, customer="c0002")] == ["web02"]
        first = incidents(connection, most=3)
        second = incidents(connection, most=3, before=first[-1][0])
        assert [*first, *second] == everything[:6]


async def test_an_incident_has_all_that_happened_in_it(ledger: Ledger) -> None:
    event = opened("web01", NOW - DAY)
    note = IncidentEvent(event.incident, What.NOTE, NOW, "", MappingProxyType({"author": "sato", "text": "再起動した"}))
    await ledger.save(incident_record(each) for each in (event, opened("web02", NOW), note))
    with ledger.reading() as connection:
        found = IncidentPast.of(connection, event.incident)
        assert found
        assert found.history == (event, note)
        assert [each.text for each in found.incident.notes] == ["再起動した"]
        assert IncidentPast.of(connection, "web01-19990101-000000") is None


async def test_a_ledger_from_before_gets_what_makes_it_quick(tmp_path: Path, ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        connection.exec_driver_sql("DROP INDEX events_of_a_server")
        connection.exec_driver_sql("DROP INDEX incident_events_of_a_kind")
    ledger.close()
    again = Ledger.open(tmp_path / "data", SystemClock())
    try:
        with again.reading() as connection:
            plan = connection.exec_driver_sql("EXPLAIN QUERY PLAN SELECT 1 FROM events WHERE server = 'web01'").all()
            names = {index["name"] for index in sa.inspect(connection).get_indexes("incident_events")}
    finally:
        again.close()
    assert "events_of_a_server" in str(plan)
    assert "incident_events_of_a_kind" in names
