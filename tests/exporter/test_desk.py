"""Incidents at the command line, on a ledger that an exporter could be serving at the same time."""

import csv
import io
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from collectors.reading import Verdict
from exporter.cli import main
from exporter.clock import MINUTE, SystemClock
from exporter.contract.incidents import IncidentEvent, Value, What
from exporter.ledger import Ledger, incident_record, timezone_row

AT = 1_795_653_000_000  # 2026-11-26 09:30:00 in Japan
NAME = "web01-20261126-093000"
CONFIG = """\
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: ops@customer.example}]}
servers:
  - {name: web01, customer: c0001, address: 192.0.2.10}
"""
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def call(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    """Call ``dserver-exporter incidents``; return its exit status and what it said."""
    config = tmp_path / "dserver.yml"
    config.write_text(CONFIG, encoding="utf-8")
    # it would log for the whole of this process, which an exporter of the test may run in
    monkeypatch.setattr("exporter.logs.set_up", lambda *_: None)

    def incidents(*arguments: str) -> tuple[int, str, str]:
        where = (f"--storage.path={tmp_path / 'data'}", f"--config.file={config}")
        with pytest.raises(SystemExit) as end:
            main(["incidents", arguments[0], *where, *arguments[1:]])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return incidents


async def an_outage(ledger: Ledger, *more: IncidentEvent) -> None:
    opened: dict[str, Value] = {"kind": "outage", "server": "web01", "customer": "c0001"}
    why: dict[str, Value] = {"reason": "refused", "step": "connect", "detail": "", "last_good": AT - 10 * MINUTE}
    history = [
        IncidentEvent(NAME, What.OPENED, AT, data=opened),
        IncidentEvent(NAME, What.CHECK_DOWN, AT, "https", why),
        IncidentEvent(NAME, What.LEVEL, AT, data={"level": 1, "step": "log-in"}),
    ]
    await ledger.save([incident_record(event) for event in (*history, *more)])


async def test_open_incidents_are_listed_with_what_to_know_at_a_glance(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger)
    status, out, _ = call("list")
    assert status == 0
    assert re.split(r"\s{2,}", out.splitlines()[1]) == [
        NAME, "c0001", "2026-11-26 09:30:00 JST", "down", "https", "1", "no"
    ]  # fmt: skip


async def test_times_are_shown_in_the_served_configurations_zone(ledger: Ledger, call: Call) -> None:
    await ledger.save([timezone_row("UTC")])
    await an_outage(ledger)
    assert "2026-11-26 00:30:00 UTC" in call("list")[1]


async def test_closed_incidents_are_listed_on_request_only(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, IncidentEvent(NAME, What.CLOSED, AT + MINUTE))
    assert call("list")[1] == "no incidents\n"
    assert NAME in call("list", "--all")[1]
    assert call("list", "--all", "--server", "web02")[1] == "no incidents\n"
    assert call("list", "--all", "--customer", "c0002")[1] == "no incidents\n"


async def test_all_that_happened_is_shown_in_its_order_and_as_json(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, IncidentEvent(NAME, What.CHECK_UP, AT + 13 * MINUTE, "https"))
    call("note", NAME, "nginx を再起動した", "--author", "sato")
    call("told", NAME, "--to", "運用担当", "--by", "phone")
    status, out, _ = call("show", NAME)
    assert status == 0
    assert out.splitlines()[:4] == [
        f"{NAME}: outage of web01, customer c0001, recovering",
        "next: level 1: log in, look at the service, restart it",
        "https: down from 2026-11-26 09:30:00 JST to 2026-11-26 09:43:00 JST (13 min), "
        "last good 2026-11-26 09:20:00 JST",
        "",
    ]
    happened = [line.split("  ")[1] for line in out.splitlines()[4:]]
    assert [what.strip() for what in happened] == [
        "opened", "check-down", "level", "check-up", "note", "told"
    ]  # fmt: skip
    assert "nginx を再起動した" in out
    [incident] = json.loads(call("show", NAME, "--format", "json")[1])
    assert incident["outages"]["https"][0]["up_since"] == AT + 13 * MINUTE
    assert incident["notes"][0]["author"] == "sato"
    assert incident["told"][0]["contact"] == "運用担当"


async def test_an_incident_is_acknowledged_once(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger)
    assert call("ack", NAME, "--author", "sato") == (0, "", "")
    status, _, err = call("ack", NAME, "--author", "suzuki")
    assert status == 1
    assert f"{NAME} was acknowledged by sato at " in err


async def test_a_requested_reboot_is_an_incident_until_somebody_says_it_was_done(ledger: Ledger, call: Call) -> None:
    status, out, _ = call("open", "web01", "--kind", "reboot-request", "--from", "運用担当", "--note", "応答なし")
    assert status == 0
    name = out.strip()
    assert name.endswith("-reboot")
    assert "requested by 運用担当: 応答なし" in call("show", name)[1]
    assert call("close", name)[0] == 0
    assert "recovered, lamps awaited" in call("list")[1]
    status, _, err = call("close", name)  # would move the time after which the lamps have to be read
    assert status == 1
    assert "was reported as done at" in err
    assert "lamps confirm web01 --verdict normal" in err


async def test_what_a_person_saw_of_the_lamps_is_recorded_with_who_and_when(ledger: Ledger, tmp_path: Path) -> None:
    (tmp_path / "dserver.yml").write_text(CONFIG, encoding="utf-8")
    where = (f"--storage.path={tmp_path / 'data'}", f"--config.file={tmp_path / 'dserver.yml'}")
    with pytest.raises(SystemExit) as end:
        main(["lamps", "confirm", *where, "web01", "--verdict", "normal", "--note", "全て緑", "--author", "sato"])
    assert not end.value.code
    [(_, seen)] = ledger.sightings(0)
    assert (seen.server, seen.verdict, seen.note, seen.author) == ("web01", Verdict.NORMAL, "全て緑", "sato")
    assert ledger.sightings(seen.at) == []


async def test_an_outage_cannot_be_closed_by_hand(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger)
    status, _, err = call("close", NAME)
    assert status == 1
    assert "closes by itself" in err


async def test_the_history_is_exported_whole_as_json_lines_and_csv(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger)
    lines = [json.loads(line) for line in call("export")[1].splitlines()]
    assert [line["what"] for line in lines] == ["opened", "check-down", "level"]
    rows = list(csv.DictReader(io.StringIO(call("export", "--format", "csv")[1])))
    assert [row["subject"] for row in rows] == ["", "https", ""]
    assert json.loads(rows[1]["data"])["reason"] == "refused"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("show", "web01-1"), "there is no incident web01-1; incidents list shows them"),
        (("note", "web01", "text"), f"web01 is a server: its open incidents are {NAME}"),
        (("note", NAME, "  "), "the text is empty"),
        (("open", "web1", "--kind", "reboot-request", "--from", "x"), "there is no server web1"),
    ],
)
async def test_what_cannot_be_done_is_said_with_the_remedy(
    ledger: Ledger, call: Call, arguments: tuple[str, ...], said: str
) -> None:
    await an_outage(ledger)
    status, out, err = call(*arguments)
    assert (status, out) == (1, "")
    assert said in err


def test_a_storage_path_without_a_ledger_is_said(call: Call) -> None:
    status, _, err = call("list")
    assert status == 1
    assert "name the exporter's folder with --storage.path=" in err


async def test_a_ledger_of_another_version_is_not_touched(tmp_path: Path, ledger: Ledger, call: Call) -> None:
    await an_outage(ledger)
    with closing(sqlite3.connect(tmp_path / "data" / "ledger.db")) as connection:
        connection.execute("UPDATE meta SET value='99' WHERE key='schema_version'")
        connection.commit()
    status, _, err = call("list")
    assert status == 1
    assert "has schema 99" in err


def test_a_user_that_is_a_number_without_a_name_signs_with_the_number(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nameless() -> str:
        raise KeyError("getpwuid(): uid not found: 10623")

    monkeypatch.setattr("getpass.getuser", nameless)
    monkeypatch.setattr("os.getuid", lambda: 10623)
    with pytest.raises(SystemExit):
        main(["incidents", "note", "--help"])
    assert "(default: 10623)" in " ".join(capsys.readouterr().out.split())
