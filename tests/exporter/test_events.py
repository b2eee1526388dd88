"""What changed on servers, at the command line and for those who ask the ledger."""

import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collectors.reading import Verdict
from collectors.registry import Options
from exporter.cli import main
from exporter.clock import MINUTE, SystemClock
from exporter.inventory import Check, Timing
from exporter.lamps import HARDWARE, LampEvent
from exporter.ledger import (
    Ledger,
    check_event,
    lease_event,
    move_event,
    presence_event,
    source_event,
    timezone_row,
    void_event,
)
from exporter.outage import CheckState, Phase, Transition

AT = 1_795_653_000_000  # 2026-11-26 09:30:00 in Japan
HTTPS = Check("web01", "https", "https", "192.0.2.10", "", Options(), Timing())
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``dserver-exporter events list``; return its exit status and what it said."""

    def events(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["events", "list", f"--storage.path={tmp_path / 'data'}", *arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return events


async def happen(ledger: Ledger) -> None:
    """Write one event of each kind."""
    key = ("web01", "ipmi")
    void = CheckState(void=True, reason="auth", step="login", last_run=AT + 4 * MINUTE)
    await ledger.save(
        [
            presence_event(AT, running=True),
            lease_event("web01", "", "c0001", AT),
            move_event("web01", "", "ogaki", AT),
            source_event(key, LampEvent(AT + MINUTE, HARDWARE, "R640 S1 B1", "R640 S2 B2", "Hardware(...)")),
            source_event(key, LampEvent(AT + 2 * MINUTE, "PSU 2", Verdict.NORMAL.name.lower(), "critical", "0x08")),
            check_event(HTTPS, Transition(AT + 3 * MINUTE, Phase.UP, Phase.DOWN, "refused", "connect"), "> GET /"),
            void_event(HTTPS, CheckState(), void),
            lease_event("db01", "", "c0002", AT + 5 * MINUTE),
        ]
    )


async def test_what_changed_on_a_server_is_listed_newest_first(ledger: Ledger, call: Call) -> None:
    await happen(ledger)
    status, out, err = call("web01")
    assert (status, err) == (0, "")
    assert [re.split(r"\s{2,}", line) for line in out.splitlines()[1:]] == [
        ["2026-11-26 09:34:00 JST", "web01", "void", "https", "-", "auth", "login"],
        ["2026-11-26 09:33:00 JST", "web01", "check", "https", "up", "down", "refused at connect"],
        ["2026-11-26 09:32:00 JST", "web01", "lamp", "ipmi/PSU 2", "normal", "critical"],
        ["2026-11-26 09:31:00 JST", "web01", "hardware changed", "ipmi", "R640 S1 B1", "R640 S2 B2"],
        ["2026-11-26 09:30:00 JST", "web01", "site", "-", "-", "ogaki"],
        ["2026-11-26 09:30:00 JST", "web01", "lease", "-", "-", "c0001"],
    ]


async def test_all_servers_are_listed_together_the_newest_only_and_the_exporter_itself_is_none(
    ledger: Ledger, call: Call
) -> None:
    await happen(ledger)
    found = json.loads(call("--format", "json", "--limit", "3")[1])
    assert [(each["server"], each["kind"]) for each in found] == [
        ("db01", "lease"),
        ("web01", "void"),
        ("web01", "check"),
    ]
    assert found[2]["evidence"] == "> GET /"
    assert len(json.loads(call("--format", "json")[1])) == 7


async def test_who_shows_a_server_asks_the_ledger_for_its_last_events(ledger: Ledger) -> None:
    await happen(ledger)
    assert [event.kind for event in ledger.server_events("web01", 4)] == ["void", "check", "lamp", "hardware changed"]
    assert ledger.server_events("nobody") == []


async def test_times_are_in_the_zone_of_the_exporter_that_serves(ledger: Ledger, call: Call) -> None:
    await happen(ledger)
    await ledger.save([timezone_row("Europe/Berlin")])
    assert "2026-11-26 01:33:00 CET" in call("web01")[1]


async def test_nothing_to_show_and_nonsense_are_said(ledger: Ledger, call: Call, tmp_path: Path) -> None:
    assert call("web01") == (0, "no events\n", "")
    assert "0 is no number from 1 on" in call("--limit", "0")[2]
    assert "there is no ledger in" in call(f"--storage.path={tmp_path}")[2]


def test_a_ledger_from_before_gets_the_index_by_which_a_servers_events_are_found(tmp_path: Path) -> None:
    Ledger.open(tmp_path / "data", SystemClock()).close()
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as old:
        old.execute("DROP INDEX events_of_a_server")
    Ledger.open(tmp_path / "data", SystemClock()).close()
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as new:
        query = "EXPLAIN QUERY PLAN SELECT * FROM events WHERE server = 'web01' ORDER BY id DESC LIMIT 5"
        [step] = [row[3] for row in new.execute(query)]
    assert step == "SEARCH events USING INDEX events_of_a_server (server=?)"
