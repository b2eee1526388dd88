"""Maintenance windows at the command line, and what the exporter that serves the same ledger makes of them."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exporter.cli import main
from exporter.clock import DAY, HOUR, MINUTE, Moment, SystemClock
from exporter.contract.maintenance import Booking
from exporter.inventory import MaintenanceWindow, Server
from exporter.ledger import Ledger
from exporter.maintenance import Maintenance

NOW = 1_795_653_000_000  # 2026-11-26 09:30:00 in Japan
CONFIG = """\
customers:
  - {id: c0001, name: 株式会社サンプル, contacts: [{name: 運用担当, email: ops@customer.example}]}
servers:
  - {name: web01, customer: c0001, address: 192.0.2.10, site: ogaki}
  - {name: db01, customer: c0001, address: 192.0.2.11, site: gifu}
"""
WEB01 = Server("web01", "c0001", managed=False, address="192.0.2.10", site="ogaki")
DB01 = Server("db01", "c0001", managed=False, address="192.0.2.11", site="gifu")
HOMELESS = Server("app01", "c0002", managed=False, address="192.0.2.12")
Call = Callable[..., tuple[int, str, str]]


class Hand:
    """A clock that a test sets."""

    wall = NOW

    def now(self) -> Moment:
        return Moment(0, self.wall)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr("exporter.maintenance_command.SystemClock", lambda: hand)
    return hand


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def serving(ledger: Ledger, clock: Hand) -> Maintenance:
    """What the exporter that owns the ledger knows."""
    return Maintenance(ledger, clock)


@pytest.fixture
def call(ledger: Ledger, clock: Hand, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``dserver-exporter maintenance``; return its exit status and what it said."""
    config = tmp_path / "dserver.yml"
    config.write_text(CONFIG, encoding="utf-8")

    def maintenance(*arguments: str) -> tuple[int, str, str]:
        where = (f"--storage.path={tmp_path / 'data'}", f"--config.file={config}")
        with pytest.raises(SystemExit) as end:
            main(["maintenance", arguments[0], *where, *arguments[1:]])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return maintenance


def iso(wall: int) -> str:
    return datetime.fromtimestamp(wall / 1000, UTC).isoformat()


def bookings(ledger: Ledger) -> list[Booking]:
    found = ledger.bookings()
    assert found is not None
    return found


async def test_a_window_that_was_entered_holds_from_its_begin_to_its_end(call: Call, serving: Maintenance) -> None:
    window = ("--from", "2026-12-10T10:00", "--to", "2026-12-10T12:00", "--reason", "メモリ増設", "--author", "sato")
    assert call("add", "--server", "web01", *window) == (0, "1\n", "")
    await serving.refresh()
    start = 1_796_864_400_000
    assert [serving.covers(WEB01, at) for at in (start - 1, start, start + 2 * HOUR - 1, start + 2 * HOUR)] == [
        False, True, True, False
    ]  # fmt: skip
    assert not serving.covers(DB01, start)


@pytest.mark.parametrize(
    ("scope", "covered"),
    [(("--server", "web01"), [WEB01]), (("--customer", "c0001"), [WEB01, DB01]), (("--site", "gifu"), [DB01])],
)
async def test_a_window_is_for_a_server_a_customer_or_a_site(
    call: Call, serving: Maintenance, scope: tuple[str, str], covered: list[Server]
) -> None:
    call("add", *scope, "--to", "2026-11-26T12:00", "--reason", "x")
    await serving.refresh()
    assert [each for each in (WEB01, DB01, HOMELESS) if serving.covers(each, NOW)] == covered


async def test_the_customer_is_spared_until_ten_minutes_after_a_window_however_short(
    call: Call, serving: Maintenance
) -> None:
    call("add", "--server", "web01", "--to", iso(NOW + MINUTE), "--reason", "x")
    await serving.refresh()
    assert serving.spares_customer(WEB01, NOW + 5 * MINUTE)
    assert serving.spares_customer(WEB01, NOW + 11 * MINUTE - 1)
    assert not serving.spares_customer(WEB01, NOW + 11 * MINUTE)
    assert not serving.spares_customer(WEB01, NOW - 1)


async def test_a_window_is_ended_now_and_one_that_has_not_begun_never_begins(
    call: Call, serving: Maintenance, clock: Hand
) -> None:
    call("add", "--server", "web01", "--to", iso(NOW + DAY), "--reason", "x")
    soon = NOW + HOUR + 5 * MINUTE
    call("add", "--server", "db01", "--from", iso(soon), "--to", iso(NOW + DAY), "--reason", "x")
    clock.wall += HOUR
    assert call("end", "1") == call("end", "2") == (0, "", "")
    await serving.refresh()
    assert not serving.covers(WEB01, clock.wall)
    assert serving.spares_customer(WEB01, clock.wall + 10 * MINUTE - 1)
    assert not serving.spares_customer(DB01, soon)
    assert call("list")[1] == "no maintenance windows\n"
    assert [row["state"] for row in json.loads(call("list", "--all", "--format", "json")[1])] == ["over", "cancelled"]


async def test_windows_are_listed_with_what_to_know_at_a_glance(call: Call) -> None:
    call("add", "--site", "ogaki", "--to", "2026-11-26T12:00", "--reason", "停電", "--author", "sato")
    assert re.split(r"\s{2,}", call("list")[1].splitlines()[1]) == [
        "1", "site ogaki", "2026-11-26 09:30 JST", "2026-11-26 12:00 JST", "now", "sato", "停電"
    ]  # fmt: skip
    [row] = json.loads(call("list", "--format", "json")[1])
    assert (row["id"], row["site"], row["from"], row["reason"]) == (1, "ogaki", NOW, "停電")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--server", "web1", "--to", "2026-12-01T10:00"), "there is no server web1 in {}; did you mean web01?"),
        (("--customer", "c1", "--to", "2026-12-01T10:00"), "there is no customer c1 in {}; there are: c0001"),
        (("--site", "tokyo", "--to", "2026-12-01T10:00"), "there is no site tokyo in {}; there are: gifu, ogaki"),
        (
            ("--server", "web01", "--from", "2026-11-26T09:00", "--to", "2026-12-01T10:00"),
            "--from=2026-11-26T09:00 is in the past: leave --from out for a window that begins now",
        ),
        (
            ("--server", "web01", "--from", "2026-12-10T10:00", "--to", "2026-12-10T10:00+09:00"),
            "--to=2026-12-10T10:00+09:00 is not after its begin, 2026-12-10 10:00 JST: the window would never begin",
        ),
        (("--server", "web01", "--to", "tomorrow"), "--to=tomorrow must be a date and a time, such as"),
        (("--server", "web01", "--to", "2026-12-01T10:00", "--reason", " "), "--reason is empty"),
        (("--server", "web01", "--site", "ogaki", "--to", "2026-12-01T10:00"), "not allowed with argument --server"),
        (("--to", "2026-12-01T10:00"), "one of the arguments --server --customer --site is required"),
    ],
)
async def test_a_window_that_cannot_be_is_refused_with_the_remedy(
    call: Call, ledger: Ledger, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    status, out, err = call("add", "--reason", "x", *arguments)
    assert status
    assert out == ""
    assert said.format(tmp_path / "dserver.yml") in err
    assert bookings(ledger) == []


async def test_what_a_window_does_not_keep_to_is_a_warning(call: Call) -> None:
    status, out, err = call("add", "--server", "web01", "--to", "2026-11-26T12:00", "--reason", "x")
    assert (status, out) == (0, "1\n")
    assert len(err.splitlines()) == 2
    assert "dserver-exporter: warning: window 1: it begins in less than two weeks" in err


async def test_what_cannot_be_ended_is_said_with_the_remedy(call: Call, serving: Maintenance, clock: Hand) -> None:
    assert "there is no maintenance window 7; maintenance list shows them" in call("end", "7")[2]
    await serving.configure([MaintenanceWindow(NOW, NOW + HOUR, "x", server="web01")])
    refusal = call("end", "1")[2]
    assert "is in the configuration: take it out of " in refusal
    assert "dserver.yml, and have the exporter read that again (kill -HUP, or POST /-/reload)" in refusal
    clock.wall += HOUR
    assert "maintenance window 1 is over already" in call("end", "1")[2]


async def test_configured_windows_are_in_the_ledger_once_and_end_with_the_configuration(
    ledger: Ledger, serving: Maintenance, clock: Hand, call: Call
) -> None:
    window = MaintenanceWindow(NOW, NOW + HOUR, "x", customer="c0001")
    for _ in range(2):
        await serving.configure([window])
    assert serving.covers(DB01, NOW)
    assert [(each.window, each.author) for each in bookings(ledger)] == [(window, "configuration")]
    clock.wall += MINUTE
    await serving.configure([])
    await serving.refresh()
    assert not serving.covers(DB01, clock.wall)
    assert [each.in_force.end for each in bookings(ledger)] == [clock.wall]


CONFIGURED = "maintenance: [{site: ogaki, from: 2026-12-10T10:00, to: 2026-12-10T12:00, reason: 停電}]\n"


async def test_configured_windows_are_listed_as_such_also_before_an_exporter_has_read_them(
    call: Call, serving: Maintenance, clock: Hand, tmp_path: Path
) -> None:
    (tmp_path / "dserver.yml").write_text(CONFIG + CONFIGURED, encoding="utf-8")

    def cells() -> list[list[str]]:
        return [re.split(r"\s{2,}", line) for line in call("list")[1].splitlines()[1:]]

    call("add", "--server", "web01", "--to", "2026-11-26T12:00", "--reason", "x", "--author", "configuration")
    times = ["site ogaki", "2026-12-10 10:00 JST", "2026-12-10 12:00 JST"]
    assert cells()[1:] == [["-", *times, "not read yet", "(configuration)", "停電"]]
    assert cells()[0][-2:] == ["configuration", "x"]  # a person of that name
    await serving.configure([MaintenanceWindow(1_796_864_400_000, 1_796_871_600_000, "停電", site="ogaki")])
    assert cells()[1:] == [["2", *times, "coming", "(configuration)", "停電"]]
    [entered, configured] = json.loads(call("list", "--format", "json")[1])
    assert (entered["configured"], configured["configured"], configured["id"]) == (False, True, 2)


async def test_a_list_says_what_the_configuration_has_no_longer_or_cannot_say(
    call: Call, serving: Maintenance, tmp_path: Path
) -> None:
    await serving.configure([MaintenanceWindow(NOW, NOW + HOUR, "x", site="ogaki")])
    status, out, err = call("list")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "window 1: " in err
    assert "dserver.yml has it no longer: it ends when the exporter reads that again" in err
    (tmp_path / "dserver.yml").write_text("servers: 1\n")
    status, out, err = call("list")
    assert (status, len(out.splitlines())) == (0, 2)
    assert "windows that only" in err
    assert "must be a list" in err


async def test_a_number_is_given_once(call: Call, ledger: Ledger) -> None:
    assert [call("add", "--server", "web01", "--to", "2026-12-01T10:00", "--reason", "x")[1] for _ in range(2)] == [
        "1\n", "2\n"
    ]  # fmt: skip


async def test_windows_stay_as_they_were_known_while_the_ledger_cannot_be_read(
    call: Call, ledger: Ledger, serving: Maintenance, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("add", "--server", "web01", "--to", "2026-12-01T10:00", "--reason", "x")
    await serving.refresh()
    monkeypatch.setattr(ledger, "bookings", lambda _after=None: None)
    await serving.refresh()
    assert serving.covers(WEB01, NOW)
