"""The availability of a month: from what the exporter writes into its ledger to what the command prints.

The last test compares it with what a real Prometheus says of the month, by the query that docs/operations.md gives.
"""

import asyncio
import csv
import io
import json
import random
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from collectors.registry import Options
from exporter import families as f
from exporter.cli import main
from exporter.clock import DAY, HOUR, MINUTE, Moment, SystemClock
from exporter.inventory import Check, MaintenanceWindow, Server, Timing
from exporter.ledger import (
    Event,
    Ledger,
    Record,
    beside,
    check_event,
    events,
    lease_event,
    move_event,
    presence_event,
    void_event,
    window_record,
    withdrawn_event,
)
from exporter.outage import Attempt, CheckState, Phase, Transition, decide
from exporter.presence import Presence
from exporter.rendering import check_lines, inventory_lines
from tests.peers.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
START = 1_793_458_800_000  # 2026-11-01 00:00 in Japan
END = START + 30 * DAY
HTTPS = Check("web01", "https", "https", "192.0.2.10", "", Options(), Timing())
WEB01 = Server("web01", "c0001", managed=False, address="192.0.2.10", site="ogaki", checks=(HTTPS,))
CONFIG = """\
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: ops@customer.example}]}
  - {id: c0002, name: Example, managed: true, contacts: [{name: ops, email: ops@other.example}]}
servers:
  - {name: web01, customer: c0001, address: 192.0.2.10, site: ogaki, hostname: web01.example, services: [https]}
  - {name: db01, customer: c0002, address: 192.0.2.11, services: [postgresql]}
"""
Call = Callable[..., tuple[int, str, str]]


@dataclass
class Hand:
    """A clock that a test sets."""

    wall: int = END + HOUR

    def now(self) -> Moment:
        return Moment(0, self.wall)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Hand:
    hand = Hand()
    monkeypatch.setattr("exporter.availability_command.SystemClock", lambda: hand)
    return hand


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Ledger.open(tmp_path / "data", SystemClock())
    yield opened
    opened.close()


@pytest.fixture
def call(ledger: Ledger, clock: Hand, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``dserver-exporter availability``; return its exit status and what it said."""
    config = tmp_path / "dserver.yml"
    config.write_text(CONFIG, encoding="utf-8")

    def availability(*arguments: str) -> tuple[int, str, str]:
        where = (f"--storage.path={tmp_path / 'data'}", f"--config.file={config}")
        with pytest.raises(SystemExit) as end:
            main(["availability", *where, *arguments])
        said = capsys.readouterr()
        return int(end.value.code or 0), said.out, said.err

    return availability


def change(at: int, was: Phase, now: Phase, check: Check = HTTPS) -> Event:
    return check_event(check, Transition(at, was, now))


RUNNING = presence_event(START - 40 * DAY, running=True)
UP = change(START - 40 * DAY, Phase.UNTRIED, Phase.UP)
OUTAGE = [change(START + DAY, Phase.UP, Phase.DOWN), change(START + DAY + 72 * MINUTE, Phase.DOWN, Phase.UP)]


def rows(call: Call, *arguments: str) -> dict[tuple[str, str], dict[str, Any]]:
    status, out, err = call("--month", "2026-11", "--format", "json", *arguments)
    assert status == 0, err
    return {(row["server"], row["check"]): row for row in json.loads(out)["checks"]}


async def test_a_month_is_shown_with_what_was_lost_and_what_is_not_known(ledger: Ledger, call: Call) -> None:
    await ledger.save([RUNNING, UP, *OUTAGE])
    status, out, err = call("--month", "2026-11")
    assert (status, err) == (0, "")
    title, _, web01, db01 = out.splitlines()
    assert title == "2026-11, Asia/Tokyo, from 2026-11-01 00:00 to 2026-12-01 00:00"
    assert re.split(r"\s{2,}", web01) == [
        "c0001", "web01", "https", "99.833 %", "1 h 12 min", "1", "0 s", "0 s", "0 s"
    ]  # fmt: skip
    assert re.split(r"\s{2,}", db01)[3:] == ["not known", "0 s", "0", "0 s", "0 s", "720 h 0 min"]


async def test_a_share_is_not_rounded_up_to_a_promise(ledger: Ledger, call: Call) -> None:
    blip = [change(START + DAY, Phase.UP, Phase.DOWN), change(START + DAY + 1000, Phase.DOWN, Phase.UP)]
    await ledger.save([RUNNING, UP, *blip])
    assert "99.999 %" in call("--month", "2026-11")[1]


async def test_csv_has_the_same_in_seconds(ledger: Ledger, call: Call) -> None:
    await ledger.save([RUNNING, UP, *OUTAGE])
    row, _ = csv.DictReader(io.StringIO(call("--month", "2026-11", "--format", "csv")[1]))
    assert (row["month"], row["customer"], row["server"], row["check"]) == ("2026-11", "c0001", "web01", "https")
    assert float(row["downtime_seconds"]) == 72 * 60
    assert float(row["share"]) == pytest.approx(1 - 72 / (30 * 24 * 60))


async def test_only_one_customers_checks_are_shown_on_request(ledger: Ledger, call: Call) -> None:
    await ledger.save([RUNNING, UP])
    assert rows(call, "--customer", "c0002").keys() == {("db01", "postgresql")}


async def test_a_month_that_goes_on_is_shown_so_far(ledger: Ledger, call: Call, clock: Hand) -> None:
    clock.wall = START + 2 * DAY
    await ledger.save([RUNNING, UP, *OUTAGE])
    assert rows(call)["web01", "https"]["counted_seconds"] == 2 * 24 * 3600
    assert call("--month", "2026-11")[1].splitlines()[0].endswith("to 2026-11-03 00:00 (so far)")


async def test_maintenance_and_void_spells_are_left_out(ledger: Ledger, call: Call) -> None:
    void = CheckState(up=True, ever_up=True, last_run=START + 3 * DAY, reason="auth", void=True)
    well = CheckState(up=True, ever_up=True, last_run=START + 3 * DAY + HOUR)
    window = MaintenanceWindow(START + DAY, START + DAY + 30 * MINUTE, "memory", site="ogaki")
    spell = [void_event(HTTPS, well, void), void_event(HTTPS, void, well)]
    await ledger.save([RUNNING, UP, *OUTAGE, *spell, window_record(window, START, "sato")])
    row = rows(call)["web01", "https"]
    assert (row["downtime_seconds"], row["outages"]) == (42 * 60, 1)
    assert (row["maintenance_seconds"], row["void_seconds"], row["unknown_seconds"]) == (1800, 3600, 0)


async def test_while_no_exporter_ran_nothing_is_known(ledger: Ledger, call: Call) -> None:
    await ledger.save([RUNNING, UP])
    gap = [presence_event(START + DAY, running=False), presence_event(START + 2 * DAY, running=True)]
    await ledger.save(gap)
    row = rows(call)["web01", "https"]
    assert (row["share"], row["unknown_seconds"]) == (1.0, 24 * 3600)


async def test_an_exporter_that_gives_no_sign_of_life_is_not_believed_to_run(
    ledger: Ledger, call: Call, clock: Hand
) -> None:
    clock.wall = START + DAY
    await ledger.save([RUNNING, UP])
    presence = Presence(ledger, clock)
    await presence.begin()
    clock.wall = START + 3 * DAY
    assert rows(call)["web01", "https"]["unknown_seconds"] == 2 * 24 * 3600


async def test_a_check_that_was_withdrawn_is_shown_for_as_long_as_it_was_there(ledger: Ledger, call: Call) -> None:
    old = Check("web01", "old", "https", "192.0.2.10", "", Options(), Timing())
    gone = Check("app01", "https", "https", "192.0.2.12", "", Options(), Timing())
    await ledger.save([RUNNING, *(change(START - DAY, Phase.UNTRIED, Phase.UP, check) for check in (old, gone))])
    await ledger.save([withdrawn_event(old.key, START - HOUR), withdrawn_event(gone.key, START + DAY)])
    found = rows(call)
    assert found.keys() == {("web01", "https"), ("db01", "postgresql"), ("app01", "https")}
    assert (found["app01", "https"]["customer"], found["app01", "https"]["counted_seconds"]) == ("", 24 * 3600)


async def test_a_server_that_was_leased_again_is_each_customers_for_their_part_of_the_month(
    ledger: Ledger, call: Call
) -> None:
    """web01 was c0002's until it went to c0001; the outage was before that. The window of the site is for both."""
    leases = [
        lease_event("web01", "", "c0002", START - 40 * DAY),
        lease_event("web01", "c0002", "c0001", START + 10 * DAY),
    ]
    window = MaintenanceWindow(START + 9 * DAY, START + 11 * DAY, "power", site="ogaki")
    await ledger.save([RUNNING, UP, *OUTAGE, *leases, window_record(window, START, "sato")])
    new, old = (rows(call, "--customer", customer).get(("web01", "https")) for customer in ("c0001", "c0002"))
    assert new
    assert old
    assert (old["outages"], old["counted_seconds"], old["maintenance_seconds"]) == (1, 9 * 86_400, 2 * 86_400)
    assert (new["outages"], new["counted_seconds"], new["maintenance_seconds"]) == (0, 19 * 86_400, 2 * 86_400)


async def test_a_sites_window_counts_for_the_servers_that_were_there_then(ledger: Ledger, call: Call) -> None:
    """web01 is at ogaki now. It was at gifu until the tenth day, and the windows overlap that."""
    moves = [move_event("web01", "", "gifu", START + DAY), move_event("web01", "gifu", "ogaki", START + 10 * DAY)]
    windows = [
        MaintenanceWindow(START, START + 2 * DAY, "power", site="gifu"),  # it was there before that was written down
        MaintenanceWindow(START + 9 * DAY, START + 13 * DAY, "power", site="gifu"),
        MaintenanceWindow(START + 5 * DAY, START + 12 * DAY, "power", site="ogaki"),
    ]
    await ledger.save([RUNNING, UP, *moves, *(window_record(window, START, "sato") for window in windows)])
    assert rows(call)["web01", "https"]["maintenance_seconds"] == (2 + 1 + 2) * 86_400


async def test_a_server_that_is_gone_is_still_its_customers(ledger: Ledger, call: Call) -> None:
    gone = Check("app01", "https", "https", "192.0.2.12", "", Options(), Timing())
    leases = [lease_event("app01", "", "c0002", START), lease_event("app01", "c0002", "", START + DAY)]
    await ledger.save([RUNNING, change(START - DAY, Phase.UNTRIED, Phase.UP, gone), *leases])
    await ledger.save([withdrawn_event(gone.key, START + DAY)])
    assert rows(call, "--customer", "c0002")["app01", "https"]["counted_seconds"] == 86_400
    assert ("app01", "https") not in rows(call, "--customer", "c0001")


async def test_a_check_that_comes_back_under_its_name_is_not_void_because_the_old_one_was(
    ledger: Ledger, call: Call
) -> None:
    void = CheckState(up=True, ever_up=True, last_run=START - 2 * DAY, reason="auth", void=True)
    again = change(START - HOUR, Phase.UNTRIED, Phase.UP)
    await ledger.save([RUNNING, UP, void_event(HTTPS, CheckState(), void), withdrawn_event(HTTPS.key, START - DAY)])
    await ledger.save([again])
    assert rows(call)["web01", "https"]["void_seconds"] == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--month", "2026-13"), "--month=2026-13 is no month, such as 2026-11"),
        (("--month", "11"), "--month=11 is no month"),
        (("--month", "2027-02"), "--month=2027-02 has not begun"),
        (("--month", "2026-11", "--customer", "c01"), "there is no customer c01"),
    ],
)
async def test_what_cannot_be_shown_is_said(call: Call, arguments: tuple[str, ...], said: str) -> None:
    status, out, err = call(*arguments)
    assert (status, out) == (1, "")
    assert said in err


async def test_a_restart_writes_since_when_nothing_ran_and_a_suspended_machine_too(
    ledger: Ledger, tmp_path: Path
) -> None:
    clock = Hand(START)

    def seen() -> list[tuple[int, str]]:
        with beside(tmp_path / "data") as connection:
            query = sa.select(events).where(events.c.kind == "exporter").order_by(events.c.id)
            return [(row.at, row.now) for row in connection.execute(query)]

    first = Presence(ledger, clock)
    await first.beat()  # it did not begin: it failed to start
    await first.begin()
    assert seen() == [(START, "running")]
    clock.wall += 90_000
    await first.beat()
    await ledger.save([])  # and whatever waits
    clock.wall += HOUR
    await Presence(ledger, clock).begin()
    assert seen()[1:] == [(START + 90_000, "stopped"), (START + 90_000 + HOUR, "running")]
    second = Presence(ledger, clock)
    await second.begin()
    clock.wall += 2 * HOUR
    await second.beat()
    assert seen()[-2:] == [(clock.wall - 2 * HOUR, "stopped"), (clock.wall, "running")]


def ledger_events(ledger: Ledger) -> list[Any]:
    import sqlalchemy as sa

    from exporter.ledger import events

    return list(ledger._read(sa.select(events).order_by(events.c.id)))


STEP = 5 * MINUTE


@dataclass
class Story:
    """A month of a check in steps: what the exporter wrote into the ledger, and what Prometheus scraped."""

    records: list[Record] = field(default_factory=list)
    samples: dict[int, list[str]] = field(default_factory=dict)

    def scrape(self, at: int, state: CheckState, *, maintenance: bool) -> None:
        check, inventory = check_lines(HTTPS, state, None, None), inventory_lines(WEB01, maintenance=maintenance)
        for lines, family in ((check, f.SERVICE_UP), (check, f.SERVICE_FAILURE), (inventory, f.SERVER_MAINTENANCE)):
            for line in lines.by_family.get(family.index, b"").decode().splitlines():
                self.samples.setdefault(family.index, []).append(f"{line} {at // 1000}")

    def openmetrics(self) -> str:
        return "\n".join([*(line for lines in self.samples.values() for line in lines), "# EOF\n"])


def story(chance: random.Random) -> Story:
    """Tell a month with outages, void spells, a maintenance window, and hours in which no exporter ran."""
    told = Story()
    window = MaintenanceWindow(START + 9 * DAY, START + 9 * DAY + 7 * HOUR, "memory", customer="c0001")
    away = range(START + 12 * DAY, START + 12 * DAY + 3 * HOUR)
    told.records += [presence_event(START, running=True), window_record(window, START, "sato")]
    told.records += [presence_event(away.start, running=False), presence_event(away.stop, running=True)]
    state, mood = CheckState(), ""
    for at in range(START, END, STEP):
        if at in away:
            continue
        if chance.random() < 0.01:
            mood = chance.choice(["", "refused", "timeout", "auth", "internal"])
        before = state
        attempt = Attempt(Moment(at, at), mood, void=mood in {"auth", "internal"})
        state, changes = decide(state, attempt, 10 * MINUTE)
        told.records += [check_event(HTTPS, each) for each in changes]
        if before.void != state.void:
            told.records.append(void_event(HTTPS, before, state))
        told.scrape(at, state, maintenance=window.start <= at < window.end)
    return told


async def test_prometheus_says_the_same_of_the_same_month(
    ledger: Ledger, call: Call, peer: Callable[[str], str], tmp_path: Path
) -> None:
    told = story(random.Random(20261101))
    await ledger.save(told.records)
    row = rows(call)["web01", "https"]
    assert row["downtime_seconds"] > 24 * 3600
    assert row["void_seconds"] > 24 * 3600
    assert (row["maintenance_seconds"], row["unknown_seconds"]) == (7 * 3600, 3 * 3600)

    (tmp_path / "month.om").write_text(told.openmetrics(), encoding="utf-8")
    backfill = ("tsdb", "create-blocks-from", "openmetrics", "--max-block-duration=31d", "month.om", "prometheus/data")
    made = await asyncio.create_subprocess_exec(peer("promtool"), *backfill, cwd=tmp_path, stdout=subprocess.DEVNULL)
    assert await made.wait() == 0
    keep = "--storage.tsdb.retention.time=100y"
    [query] = re.findall(r"```promql\n(.*?)```", (ROOT / "docs" / "operations.md").read_text("utf-8"), re.DOTALL)
    range_of_query = "[30d:5m]"
    assert range_of_query in query
    at_the_end = query.replace(range_of_query, f"{range_of_query} @ {END // 1000 - 1}")
    with Prometheus(peer("prometheus"), tmp_path / "prometheus", "", (keep, "--query.lookback-delta=1m")) as prometheus:
        [found] = prometheus.query(at_the_end)
        [counted] = prometheus.query(at_the_end.replace("avg_over_time", "count_over_time"))
    assert (found["metric"]["server"], found["metric"]["check"]) == ("web01", "https")
    assert float(counted["value"][1]) * STEP / 1000 == row["counted_seconds"]
    assert float(found["value"][1]) == pytest.approx(row["share"], abs=1e-9)
