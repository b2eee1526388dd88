"""A backup is whole however much is written meanwhile, and what docs/operations.md says brings it back."""

import asyncio
import re
import sqlite3
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collectors.registry import Options
from exporter.cli import main
from exporter.clock import SystemClock
from exporter.contract.incidents import IncidentEvent, What
from exporter.inventory import Check, Timing
from exporter.ledger import SCHEMA_VERSION, Ledger, check_event, check_row, incident_record
from exporter.outage import CheckState, Phase, Transition

ROOT = Path(__file__).parents[2]
CHECK = Check("web01", "https", "https", "192.0.2.10", "", Options(), Timing())
AT = 1_795_653_000_000
OPENED = IncidentEvent(
    "web01-20261126-093000", What.OPENED, AT, data={"kind": "outage", "server": "web01", "customer": "c0001"}
)
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``dserver-exporter backup``; return its exit status and what it said."""

    def backup(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["backup", f"--storage.path={tmp_path / 'data'}", *arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return backup


def changes(file: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(file)) as connection:
        return connection.execute("SELECT at, now FROM events ORDER BY id").fetchall()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_a_backup_made_while_the_exporter_writes_is_one_moment_of_it(
    ledger: Ledger, call: Call, tmp_path: Path
) -> None:
    """Each commit has a down and an up: a moment between two commits has as many of one as of the other."""
    stopped = False

    async def write() -> None:
        at = AT
        while not stopped:
            pair = [Transition(at, Phase.UP, Phase.DOWN), Transition(at, Phase.DOWN, Phase.UP)]
            await ledger.save([check_event(CHECK, change, "x" * 2000) for change in pair])
            at += 1

    writing = asyncio.create_task(write())
    for number in range(5):
        status, out, err = await asyncio.to_thread(call, str(tmp_path / f"backup-{number}"))
        assert (status, err) == (0, "")
        assert out.startswith(f"{tmp_path / f'backup-{number}'}: ")
    stopped = True
    await writing
    found = [changes(tmp_path / f"backup-{number}") for number in range(5)]
    assert all([now for _, now in each] == ["down", "up"] * (len(each) // 2) for each in found)
    assert len(found[0]) < len(found[-1])  # it wrote meanwhile
    assert names(tmp_path) == {"data", *(f"backup-{number}" for number in range(5))}


async def test_only_its_owner_can_read_it_and_it_needs_no_file_beside_it(
    ledger: Ledger, call: Call, tmp_path: Path
) -> None:
    file = tmp_path / "backup"
    call(str(file))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with closing(sqlite3.connect(f"file:{file}?immutable=1", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_no_file_is_overwritten(ledger: Ledger, call: Call, tmp_path: Path) -> None:
    file = tmp_path / "backup"
    file.write_text("yesterday's")
    status, out, err = call(str(file))
    assert (status, out) == (1, "")
    assert f"{file} exists, and no backup is overwritten: name another file" in err
    assert file.read_text() == "yesterday's"


def test_what_cannot_be_backed_up_is_said_and_leaves_nothing(call: Call, tmp_path: Path) -> None:
    assert "there is no ledger in" in call(str(tmp_path / "backup"))[2]
    (tmp_path / "data").mkdir()
    damaged = tmp_path / "data" / "ledger.db"
    damaged.write_bytes(b"no database, " * 1000)
    status, _, err = call(str(tmp_path / "backup"))
    assert status == 1
    assert "cannot be copied" in err
    assert "file is not a database" in err
    assert "cannot be written: No such file or directory" in call(str(tmp_path / "nowhere" / "backup"))[2]
    assert names(tmp_path) == {"data"}


def overwrite_a_page(file: Path) -> None:
    content = bytearray(file.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 4096] = b"\xff" * 4096
    file.write_bytes(content)


def lose_an_index(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("PRAGMA writable_schema=ON; DELETE FROM sqlite_master WHERE name='ix_events_at';")


@pytest.mark.parametrize("damage", [overwrite_a_page, lose_an_index])
async def test_a_damaged_ledger_makes_no_backup(
    ledger: Ledger, call: Call, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    await ledger.save([check_event(CHECK, Transition(AT + n, Phase.UP, Phase.DOWN), "x" * 2000) for n in range(100)])
    ledger.close()
    damage(tmp_path / "data" / "ledger.db")
    status, _, err = call(str(tmp_path / "backup"))
    assert status == 1
    assert "cannot be copied" in err
    assert names(tmp_path) == {"data"}


def test_a_backup_that_was_not_finished_is_not_taken_for_a_ledger(
    ledger: Ledger, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = b""

    def killed(_file: Path, _name: str) -> None:
        nonlocal seen
        seen = (tmp_path / "backup").read_bytes()
        raise KeyboardInterrupt

    monkeypatch.setattr("exporter.backup._copy", killed)
    assert call(str(tmp_path / "backup"))[0] == 130
    assert names(tmp_path) == {"data"}
    (tmp_path / "unfinished").write_bytes(seen)
    with (
        closing(sqlite3.connect(tmp_path / "unfinished")) as connection,
        pytest.raises(sqlite3.DatabaseError, match="file is not a database"),
    ):
        connection.execute("SELECT * FROM meta")


async def test_the_restore_that_is_documented_brings_the_incidents_and_outages_back(
    ledger: Ledger, call: Call, tmp_path: Path
) -> None:
    down = CheckState(up=False, ever_up=True, down_since=AT, confirmed=120_000, last_run=AT)
    await ledger.save([incident_record(OPENED), check_row(CHECK, down)])
    assert call(str(tmp_path / "ledger-2026-11-26.db"))[0] == 0
    await ledger.save([incident_record(IncidentEvent(OPENED.incident, What.CLOSED, AT + 1))])
    # the exporter is killed: its files stay as they are, the write-ahead log with the newer events among them
    killed = tmp_path / "killed"
    killed.mkdir()
    for file in ("ledger.db", "ledger.db-wal"):
        (killed / file).write_bytes((tmp_path / "data" / file).read_bytes())
    ledger.close()
    (tmp_path / "data").rename(tmp_path / "gone")
    killed.rename(tmp_path / "data")

    guide = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^## Restore\n.*?```sh\n(.*?)```", guide, re.MULTILINE | re.DOTALL)
    steps = [line for line in block.splitlines() if not line.startswith("systemctl")]
    steps = [line.replace("/backup/", "").replace("-o dserver -g dserver ", "") for line in steps]
    steps = [line.replace("/var/lib/dserver-exporter", "data") for line in steps]
    subprocess.run(["sh", "-ec", "\n".join(steps)], cwd=tmp_path, check=True)  # noqa: ASYNC221 - three quick commands

    restored = Ledger.open(tmp_path / "data", SystemClock())
    try:
        assert [event for _, event in restored.open_incidents(AT)] == [OPENED]
        assert restored.check_states()[CHECK.key][2].down_since == AT
    finally:
        restored.close()


async def test_a_backup_of_an_older_version_is_brought_up_to_date_when_it_is_restored(
    ledger: Ledger, call: Call, tmp_path: Path
) -> None:
    await ledger.save([incident_record(OPENED)])
    file = tmp_path / "restored" / "ledger.db"
    file.parent.mkdir()
    call(str(file))
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript(
            "DROP TABLE maintenance_ends; DROP TABLE maintenance_windows; "
            "UPDATE meta SET value='2' WHERE key='schema_version';"
        )
    restored = Ledger.open(file.parent, SystemClock())
    try:
        assert restored.bookings() == []
        assert [event for _, event in restored.incident_events()] == [OPENED]
    finally:
        restored.close()
    with closing(sqlite3.connect(file)) as connection:
        version = connection.execute("SELECT value FROM meta WHERE key='schema_version'").fetchone()
    assert version == (str(SCHEMA_VERSION),)
