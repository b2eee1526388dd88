"""The ledger keeps what a restart must find, is loud when it cannot write, and has one owner."""

import asyncio
import logging
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa

from collectors.reading import EventLogReading, Hardware, Lamp, Verdict
from collectors.registry import Options
from exporter.clock import HOUR, MINUTE, Moment, SystemClock
from exporter.contract.incidents import IncidentEvent, What
from exporter.inventory import Check, Timing
from exporter.lamps import HARDWARE, KnownLamp, LampEvent, SourceState
from exporter.ledger import (
    SCHEMA_VERSION,
    Ledger,
    StorageError,
    check_event,
    check_row,
    events,
    forget_check,
    forget_source,
    incident_record,
    source_event,
    source_row,
)
from exporter.outage import CheckState, Phase, Transition

CHECK = Check("web01", "https", "https", "192.0.2.10", "web01.example", Options(), Timing())
DOWN = CheckState(
    up=False,
    ever_up=True,
    down_since=1_800_000_000_123,
    confirmed=120_000,
    first_failed=Moment(5_000, 1_800_000_000_123),
    last_failed=Moment(125_000, 1_800_000_120_123),
    last_run=1_800_000_120_123,
    reason="refused",
    step="connect",
)


@pytest.fixture
def storage(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def ledger(storage: Path) -> Iterator[Ledger]:
    opened = Ledger.open(storage, SystemClock())
    yield opened
    opened.close()


def reopened(ledger: Ledger, storage: Path) -> Ledger:
    ledger.close()
    return Ledger.open(storage, SystemClock())


async def test_an_outage_is_found_again_with_its_evidence_and_is_marked_as_another_processs(
    ledger: Ledger, storage: Path
) -> None:
    assert await ledger.save([check_row(CHECK, DOWN)])
    again = reopened(ledger, storage)
    try:
        protocol, address, state = again.check_states()[CHECK.key]
    finally:
        again.close()
    assert (protocol, address) == ("https", "192.0.2.10")
    assert (state.down_since, state.confirmed, state.up, state.ever_up) == (1_800_000_000_123, 120_000, False, True)
    assert state.last_failed
    assert state.last_failed.wall == 1_800_000_120_123
    assert state.foreign


async def test_the_newest_state_replaces_the_older_one(ledger: Ledger) -> None:
    await ledger.save([check_row(CHECK, DOWN)])
    await ledger.save([check_row(CHECK, CheckState(up=True, ever_up=True))])
    assert ledger.check_states()[CHECK.key][2].up is True


async def test_a_withdrawn_check_is_forgotten(ledger: Ledger) -> None:
    await ledger.save([check_row(CHECK, DOWN)])
    await ledger.save([forget_check(CHECK.key)])
    assert ledger.check_states() == {}


async def test_what_a_lamp_source_told_is_found_again_without_its_sensor_values(ledger: Ledger) -> None:
    state = SourceState(
        lamps={"Drive 1": KnownLamp(Lamp.DRIVE, "Drive 1", Verdict.CRITICAL, Verdict.CRITICAL, 17, "reading=00")},
        logs=(EventLogReading("SEL", 12, 0.25),),
        hardware=Hardware("Example", "X1", "S1", "1.2", "B1"),
        locate=False,
        power=True,
        last_run=100,
        last_success=90,
        duration=0.5,
        reason="timeout",
        step="sensors",
        detail="no answer",
        unreadable_since=100,
    )
    await ledger.save([source_row(("web01", "ipmi"), state)])
    assert ledger.source_states() == {("web01", "ipmi"): state}


async def test_what_a_version_without_boards_told_of_the_hardware_is_found_again(ledger: Ledger) -> None:
    await ledger.save([source_row(("web01", "ipmi"), SourceState(hardware=Hardware("Example", "X1", "S1", "1.2")))])
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql(
            """UPDATE source_states SET state = json_set(state, '$.hardware', json('["Example", "X1", "S1", "1.2"]'))"""
        )
    assert ledger.source_states()["web01", "ipmi"].hardware == Hardware("Example", "X1", "S1", "1.2")


async def test_events_are_appended_in_order(ledger: Ledger, storage: Path) -> None:
    await ledger.save([check_event(CHECK, Transition(1, Phase.UP, Phase.DOWN, "refused", "connect"))])
    await ledger.save([source_event(("web01", "ipmi"), LampEvent(2, "Drive 1", "normal", "critical", "reading=00"))])
    await ledger.save([source_event(("web01", "ipmi"), LampEvent(3, HARDWARE, "X1, serial A", "X1, serial B", "..."))])
    engine = sa.create_engine(f"sqlite:///{storage / 'ledger.db'}")
    with engine.connect() as connection:
        rows = connection.execute(sa.select(events).order_by(events.c.id)).all()
    engine.dispose()
    assert [(row.kind, row.subject, row.was, row.now) for row in rows] == [
        ("check", "https", "up", "down"),
        ("lamp", "ipmi/Drive 1", "normal", "critical"),
        ("hardware changed", "ipmi", "X1, serial A", "X1, serial B"),
    ]


async def test_a_full_disk_is_loud_stops_nothing_and_loses_nothing(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    counted: list[None] = []
    ledger.on_error = lambda: counted.append(None)
    with ledger._engine.connect() as connection:
        # SQLite's own limit gives the very error a full disk does: SQLITE_FULL
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
    many = [check_row(replace(CHECK, server=f"s{n}", address="a" * 200), DOWN) for n in range(200)]
    with caplog.at_level(logging.ERROR, "ledger"):
        assert await ledger.save(many) is False
    assert "cannot be written" in caplog.text
    assert "free disk space" in caplog.text
    assert counted
    with ledger._engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count=100000")
    assert await ledger.save([check_row(CHECK, DOWN)]) is True
    assert len(ledger.check_states()) == 201


async def test_what_waits_for_a_full_disk_is_written_when_there_is_room_though_nothing_new_comes(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.ledger.RETRY_AFTER", 0.01)
    good = ledger._engine
    bad = sa.create_engine("sqlite:////nonexistent/ledger.db")
    ledger._engine = bad
    assert await ledger.save([check_row(CHECK, DOWN)]) is False
    ledger._engine = good
    while not ledger.check_states():
        assert ledger._thread.is_alive()
    bad.dispose()


async def test_what_may_wait_goes_with_whatever_is_written_next_and_only_its_newest_state(ledger: Ledger) -> None:
    for last_run in (1, 2):
        ledger.keep(source_row(("web01", "ipmi"), SourceState(last_run=last_run)))
    assert ledger.source_states() == {}
    assert await ledger.save([check_row(CHECK, DOWN)])
    assert ledger.source_states() == {("web01", "ipmi"): SourceState(last_run=2)}


async def test_what_may_wait_is_overtaken_by_what_may_not(ledger: Ledger) -> None:
    ledger.keep(source_row(("web01", "ipmi"), SourceState(last_run=1)))
    assert await ledger.save([forget_source(("web01", "ipmi"))])
    assert ledger.source_states() == {}


async def test_what_may_wait_is_written_in_time_though_nothing_else_is(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.ledger.ROUTINE_WITHIN", 0.0)
    ledger.keep(source_row(("web01", "ipmi"), SourceState(last_run=1)))
    async with asyncio.timeout(10):
        while not ledger.source_states():  # noqa: ASYNC110 - the condition is in a file
            await asyncio.sleep(0)


async def test_what_may_wait_is_written_at_the_end(ledger: Ledger, storage: Path) -> None:
    ledger.keep(source_row(("web01", "ipmi"), SourceState(last_run=1)))
    again = reopened(ledger, storage)
    try:
        assert again.source_states() == {("web01", "ipmi"): SourceState(last_run=1)}
    finally:
        again.close()


async def test_the_stamp_tells_whether_anybody_wrote(ledger: Ledger) -> None:
    await ledger.save([check_row(CHECK, DOWN)])
    before = ledger.stamp()
    ledger.check_states()
    assert ledger.stamp() == before
    await ledger.save([check_row(replace(CHECK, server="web02"), DOWN)])
    assert ledger.stamp() != before


def test_a_second_process_on_the_same_storage_path_is_refused_by_name(ledger: Ledger, storage: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from exporter.clock import SystemClock\n"
        "from exporter.ledger import Ledger, StorageError\n"
        "try:\n    Ledger.open(pathlib.Path(sys.argv[1]), SystemClock())\n"
        "except StorageError as error:\n    print(error)\n"
    )
    answer = subprocess.run([sys.executable, "-c", code, str(storage)], capture_output=True, text=True, check=True)
    assert "belongs to dserver-exporter, process" in answer.stdout
    assert "--storage.path=" in answer.stdout


async def test_a_ledger_of_the_first_version_is_brought_to_this_one_and_keeps_what_it_knows(storage: Path) -> None:
    ledger = Ledger.open(storage, SystemClock())
    assert await ledger.save([check_row(CHECK, DOWN)])
    ledger.close()
    with sa.create_engine(f"sqlite:///{storage / 'ledger.db'}").begin() as connection:
        connection.exec_driver_sql("DROP TABLE incident_events")
        connection.exec_driver_sql("DROP INDEX events_of_a_server")
        connection.exec_driver_sql("UPDATE meta SET value='1' WHERE key='schema_version'")
    ledger = Ledger.open(storage, SystemClock())
    assert await ledger.save([incident_record(event("web01-1", What.OPENED, 1))])
    assert [number for number, _ in ledger.incident_events()] == [1]
    assert ledger.check_states()[CHECK.key][2].down_since == DOWN.down_since
    ledger.close()
    with sa.create_engine(f"sqlite:///{storage / 'ledger.db'}").begin() as connection:
        version = connection.exec_driver_sql("SELECT value FROM meta WHERE key='schema_version'").scalar()
        indexes = {
            index["name"]
            for name in ("events", "incident_events")
            for index in sa.inspect(connection).get_indexes(name)
        }
    assert version == str(SCHEMA_VERSION)
    assert {"events_of_a_server", "incident_events_of_a_kind"} <= indexes


def event(incident: str, what: What, at: int, subject: str = "") -> IncidentEvent:
    data = {"kind": "outage", "server": "web01", "customer": "c0001"} if what is What.OPENED else {}
    return IncidentEvent(incident, what, at, subject, data)


async def test_an_event_of_an_incident_that_is_written_twice_is_there_once(ledger: Ledger) -> None:
    happened = [event("web01-1", What.OPENED, 1), event("web01-1", What.NOTE, 2)]
    await ledger.save([incident_record(each) for each in happened])
    await ledger.save([incident_record(each) for each in (*happened, event("web01-1", What.NOTE, 3))])
    assert [each.at for _, each in ledger.incident_events()] == [1, 2, 3]
    assert [each.at for _, each in ledger.incident_events(after=2)] == [3]


async def test_only_incidents_that_are_open_or_can_still_be_joined_are_read_at_the_start(ledger: Ledger) -> None:
    history = [
        *(event("open", what, at) for at, what in ((1, What.OPENED), (2, What.CHECK_DOWN))),
        *(event("closed", what, at) for at, what in ((1, What.OPENED), (2, What.CHECK_DOWN), (3, What.CLOSED))),
        *(event("withdrawn", what, at) for at, what in ((1, What.OPENED), (3, What.WITHDRAWN))),
        event("check-withdrawn", What.OPENED, 1),
        event("check-withdrawn", What.WITHDRAWN, 2, "https"),
        *(event("again", what, at) for at, what in ((1, What.OPENED), (3, What.CLOSED), (4, What.CHECK_DOWN))),
        *(event("just-closed", what, at) for at, what in ((1, What.OPENED), (10 * HOUR, What.CLOSED))),
    ]
    await ledger.save([incident_record(each) for each in history])
    read = ledger.open_incidents(10 * HOUR + 30 * MINUTE)
    assert {each.incident for _, each in read} == {"open", "again", "just-closed", "check-withdrawn"}
    assert [each.what for _, each in read if each.incident == "again"] == [What.OPENED, What.CLOSED, What.CHECK_DOWN]


async def test_a_ledger_of_a_newer_version_is_refused_and_left_as_it_is(ledger: Ledger, storage: Path) -> None:
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE outbox")  # the newer version may do without
        connection.exec_driver_sql(f"UPDATE meta SET value='{SCHEMA_VERSION + 1}' WHERE key='schema_version'")
    ledger.close()
    with pytest.raises(StorageError, match="written by a newer dserver-exporter"):
        Ledger.open(storage, SystemClock())
    assert "outbox" not in sa.inspect(sa.create_engine(f"sqlite:///{storage / 'ledger.db'}")).get_table_names()


def test_a_storage_path_that_is_made_is_for_its_owner_only(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "new", SystemClock()).close()
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_a_storage_path_that_cannot_be_made_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"give the exporter's user a folder it may write"):
        Ledger.open(tmp_path / "file" / "data", SystemClock())


def test_a_damaged_ledger_is_refused_with_the_remedy(storage: Path) -> None:
    storage.mkdir()
    (storage / "ledger.db").write_bytes(b"no database " * 1000)
    with pytest.raises(StorageError, match="move the file away"):
        Ledger.open(storage, SystemClock())


def test_a_disk_that_is_full_at_the_start_does_not_stop_it_and_is_used_when_there_is_room(storage: Path) -> None:
    # The operating system's limit on file sizes, here 0, fails writes as a full disk does.
    code = """
import asyncio, pathlib, resource, sys
from collectors.registry import Options
from exporter.clock import SystemClock
from exporter.inventory import Check, Timing
from exporter.ledger import Ledger, check_row
from exporter.outage import CheckState

async def main():
    row = check_row(Check("web01", "https", "https", "192.0.2.10", "", Options(), Timing()), CheckState())
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    ledger = Ledger.open(pathlib.Path(sys.argv[1]), SystemClock())
    print(len(ledger.check_states()), await ledger.save([row]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print(await ledger.save([]), len(ledger.check_states()))
    ledger.close()

asyncio.run(main())
"""
    answer = subprocess.run([sys.executable, "-c", code, str(storage)], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["0", "False", "True", "1"]
    assert "the monitoring goes on" in answer.stderr


async def test_a_state_that_cannot_be_understood_is_left_out_and_said(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    await ledger.save([source_row(("web01", "ipmi"), SourceState())])
    with ledger._engine.begin() as connection:
        connection.exec_driver_sql("""UPDATE source_states SET state='{"lamps": [["?"]]}'""")
    assert ledger.source_states() == {}
    assert "not readable" in caplog.text
