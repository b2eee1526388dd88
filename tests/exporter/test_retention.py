"""What the ledger forgets after three years, and what it must not."""

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from collectors.reading import Verdict
from collectors.registry import Options
from exporter.availability import CheckReport, month_of, reports
from exporter.clock import DAY, SystemClock
from exporter.contract.incidents import IncidentEvent, What
from exporter.inventory import RETENTION, Check, Config, MaintenanceWindow, Timing
from exporter.lamps import Sighting
from exporter.ledger import (
    Ledger,
    Record,
    add_sighting,
    check_event,
    deliveries,
    delivery_record,
    events,
    incident_events,
    incident_record,
    maintenance_ends,
    maintenance_windows,
    outgoing_record,
    presence_event,
    sightings,
    window_end,
    window_record,
)
from exporter.mail.message import Outgoing
from exporter.outage import Phase, Transition
from exporter.retention import PIECE, prune

NOW = 1_900_000_000_000
OLD = NOW - RETENTION - DAY
YOUNG = NOW - RETENTION + DAY


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


def change(at: int, now: Phase, name: str = "https") -> Record:
    check = Check("web01", name, "https", "192.0.2.10", "", Options(), Timing())
    return check_event(check, Transition(at, Phase.UP, now))


def incident(name: str, *history: tuple[What, int]) -> list[Record]:
    opened = {"kind": "outage", "server": "web01", "customer": "c0001"}
    return [
        incident_record(IncidentEvent(name, what, at, data=opened if what is What.OPENED else {}))
        for what, at in history
    ]


def left(ledger: Ledger, column: sa.Column[Any]) -> list[Any]:
    with ledger.transaction() as connection:
        return list(connection.scalars(sa.select(column).order_by(column)))


async def test_changes_go_and_of_each_check_the_last_before_stays_whatever_its_age(ledger: Ledger) -> None:
    await ledger.save([change(OLD - 2, Phase.DOWN), change(OLD - 1, Phase.UP), change(OLD, Phase.UP, "imap")])
    await ledger.save([change(YOUNG, Phase.DOWN)])
    assert prune(ledger, NOW - RETENTION) == 1
    assert left(ledger, events.c.at) == [OLD - 1, OLD, YOUNG]
    assert prune(ledger, NOW - RETENTION) == 0


async def test_an_incident_goes_whole_once_it_is_closed_and_its_last_word_is_old(ledger: Ledger) -> None:
    await ledger.save(
        [
            *incident("closed", (What.OPENED, OLD - 1), (What.CLOSED, OLD)),
            *incident("withdrawn", (What.OPENED, OLD - 1), (What.WITHDRAWN, OLD)),
            *incident("open", (What.OPENED, OLD - 1)),
            *incident("reported late", (What.OPENED, OLD - 1), (What.CLOSED, OLD), (What.NOTE, YOUNG)),
        ]
    )
    prune(ledger, NOW - RETENTION)
    assert set(left(ledger, incident_events.c.incident)) == {"open", "reported late"}
    assert len(left(ledger, incident_events.c.id)) == 4


async def test_maintenance_windows_go_when_they_have_been_over_for_so_long(ledger: Ledger) -> None:
    def window(start: int, end: int) -> Record:
        return window_record(MaintenanceWindow(start, end, "memory", server="web01"), start, "sato")

    await ledger.save([window(OLD - 2, OLD), window(OLD, YOUNG), window(OLD - 2, YOUNG), window(NOW, NOW + DAY)])
    await ledger.save([window_end(3, OLD, "sato")])
    prune(ledger, NOW - RETENTION)
    assert left(ledger, maintenance_windows.c.number) == [2, 4]
    assert left(ledger, maintenance_ends.c.window) == []


async def test_what_people_saw_goes(ledger: Ledger) -> None:
    with ledger.transaction() as connection:
        for at in (OLD, YOUNG):
            add_sighting(connection, Sighting("web01", at, Verdict.NORMAL, "all green", "sato"))
    prune(ledger, NOW - RETENTION)
    assert left(ledger, sightings.c.at) == [YOUNG]


async def test_much_goes_in_pieces_and_all_of_it(ledger: Ledger) -> None:
    await ledger.save([change(OLD - number, Phase.DOWN) for number in range(2 * PIECE + 2)])
    assert prune(ledger, NOW - RETENTION) == 2 * PIECE + 1


async def test_while_somebody_else_holds_the_ledger_it_is_left_for_the_next_time(
    ledger: Ledger, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.save([change(OLD - 1, Phase.DOWN), change(OLD, Phase.UP)])
    with ledger.transaction() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout=0")  # the pool's one connection is used again
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        assert prune(ledger, NOW - RETENTION) == 0
    assert "could not be deleted from the ledger: database is locked" in caplog.text
    assert prune(ledger, NOW - RETENTION) == 1


async def test_what_is_forgotten_changes_no_availability_of_a_month_that_is_kept(ledger: Ledger) -> None:
    month = month_of("2026-11", ZoneInfo("Asia/Tokyo"), NOW)
    start, end = month.period
    chance = random.Random(20261101)
    records: list[Record] = [presence_event(start - 40 * DAY, running=True)]
    for name in ("ssh", "https", "imap", "smtp", "pop3s"):
        moments = sorted(chance.randrange(start - 40 * DAY, end) for _ in range(chance.randrange(1, 12)))
        records += [change(at, chance.choice((Phase.UP, Phase.DOWN)), name) for at in moments]
    await ledger.save(records)

    def asked() -> list[CheckReport]:
        with ledger.transaction() as connection:
            return reports(connection, Config(), month, end)

    before = asked()
    assert sum(each.result.outages for each in before) > 2
    assert prune(ledger, start) > 5
    assert asked() == before


async def test_a_mail_is_forgotten_with_what_became_of_it_and_one_that_waits_is_not(ledger: Ledger) -> None:
    mails = [
        Outgoing(f"<{name}@x>", at, "web01-1", "notice", "", "ops@customer.example", "noc@provider.example", b"x")
        for name, at in (("old", OLD), ("young", YOUNG), ("waits", OLD))
    ]
    done = [delivery_record("<old@x>", "sent", OLD), delivery_record("<young@x>", "sent", YOUNG)]
    await ledger.save([*map(outgoing_record, mails), *done])
    assert prune(ledger, NOW - RETENTION) == 2
    with ledger.transaction() as connection:
        assert connection.scalars(sa.select(deliveries.c.message_id)).all() == ["<young@x>"]
    assert [mail.message_id for _, mail in ledger.outgoing()] == ["<waits@x>"]
