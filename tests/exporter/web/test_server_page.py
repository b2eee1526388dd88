"""The page of a server: what is wrong, what to do, all the evidence, and nothing that a server sent as markup."""

import re
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest
import sqlalchemy as sa

from collectors.reading import EventLogReading, Hardware, Lamp, Quantity, SensorReading, Verdict
from exporter.archive import Strip
from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.contract.availability import availability
from exporter.contract.incidents import IncidentEvent, Kind, What, opening
from exporter.contract.strips import Mark, Piece, strip
from exporter.inventory import MaintenanceWindow
from exporter.lamps import KnownLamp, LampEvent, SourceState
from exporter.ledger import (
    alive_row,
    check_event,
    incident_record,
    lease_event,
    move_event,
    presence_event,
    source_event,
    void_event,
    window_record,
)
from exporter.monitor import Monitor
from exporter.outage import CheckState, Phase, Transition
from exporter.web.pages.server import NARROWEST, WIDTH, bars
from tests.exporter.web.browsing import (
    DOWN,
    HOSTILE,
    SINCE,
    STRANGER,
    Clock,
    Elements,
    lamp,
    see,
    set_check,
    set_lamps,
    set_runs,
)

UP = CheckState(up=True, ever_up=True, last_run=SINCE + 12 * MINUTE)


@pytest.fixture(autouse=True)
def clock(monitor: Monitor) -> Clock:
    monitor.clock = Clock()
    return monitor.clock


def change(monitor: Monitor, **server: Any) -> None:
    web01 = replace(monitor.config.servers["web01"], **server)
    monitor.config = replace(monitor.config, servers={**monitor.config.servers, "web01": web01})


async def test_first_comes_what_is_wrong_whom_to_call_and_what_to_do(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    page = await see(start, "/servers/web01")
    assert (
        "web01 : down level 1: log in, look at the service, restart it (log-in is not checked) "
        "1 check is down, since 15 min 01-15 17:00:00 Customer c0001 株式会社サンプル 運用担当 +81-584-00-0000 "
        "ops@customer.example Contract managed"
    ) in page.section("now").text
    assert "tel:+81-584-00-0000" in page.links()
    assert "ogaki A-03" in page.text
    assert "dserver-exporter probe web01 https" in page.section("commands").text


async def test_a_server_of_which_nothing_is_wrong_says_so_and_the_unknown_is_not_well(
    start: Any, monitor: Monitor
) -> None:
    for name in ("https", "ssh"):
        set_check(monitor, name, UP)
    assert "web01 : needs a look" in (await see(start, "/servers/web01")).text
    set_lamps(monitor, lamp(Verdict.NORMAL))
    assert "web01 : nothing is known to be wrong" in (await see(start, "/servers/web01")).text
    set_check(monitor, "ssh", replace(UP, void=True, reason="auth", step="login"))
    page = await see(start, "/servers/web01")
    assert "web01 : needs a look" in page.text
    assert "void our monitoring's credentials were rejected (our side) auth: login" in page.section("services").text


async def test_a_lamp_that_failed_says_what_to_do_next(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.CRITICAL))
    server = monitor.config.servers["web01"]
    monitor.duties.incidents.take_in([opening(Kind.LAMP, server, SINCE, monitor.duties.incidents.zone)])
    now = (await see(start, "/servers/web01")).section("now").text
    assert "web01 : a lamp is critical tell the customer, replace the part Customer c0001" in now


async def test_every_lamp_has_its_verdict_evidence_age_and_since_when_the_worst_first(
    start: Any, monitor: Monitor
) -> None:
    verdicts = (Verdict.NORMAL, Verdict.UNKNOWN, Verdict.CRITICAL, Verdict.WARNING)
    known = {
        f"Part {verdict.name}": KnownLamp(
            Lamp.DRIVE, f"Part {verdict.name}", verdict, verdict, SINCE, f"state=0x{verdict & 0xFF:02x}"
        )
        for verdict in verdicts
    }
    set_lamps(monitor, SourceState(lamps=MappingProxyType(known), last_run=SINCE, last_success=SINCE + MINUTE))
    text = (await see(start, "/servers/web01")).section("lamps").text
    order = [text.index(f"{word} Part {word.upper()} drive test") for word in ("critical", "warning", "unknown")]
    assert order == sorted(order)
    assert text.index("normal Part NORMAL") > order[-1]
    assert "critical Part CRITICAL drive test state=0x02 15 min 01-15 17:00:00 14 min ago" in text


async def test_a_lamp_that_was_read_as_worse_once_says_so(start: Any, monitor: Monitor) -> None:
    known = KnownLamp(Lamp.FAN, "Fan 1", Verdict.NORMAL, Verdict.CRITICAL, SINCE, "0 rpm")
    set_lamps(monitor, SourceState(lamps={"Fan 1": known}, last_run=SINCE, last_success=SINCE))
    assert "normal (the last read says critical) Fan 1" in (await see(start, "/servers/web01")).text


async def test_hardware_event_logs_sensors_and_power_are_told(start: Any, monitor: Monitor) -> None:
    state = replace(
        lamp(Verdict.NORMAL),
        hardware=Hardware("Example", "X1", "S-42", "2.71", "B-43"),
        logs=(EventLogReading("SEL", 3000, 0.93),),
        sensors=(
            SensorReading(Quantity.TEMPERATURE, "Inlet", 23.06),
            SensorReading(Quantity.FAN_SPEED_RATIO, "Fan 2", 0.425),
            SensorReading(Quantity.FAN_SPEED, "Fan 1", 12_600.0),
        ),
        power=False,
        locate=True,
    )
    set_lamps(monitor, state)
    page = await see(start, "/servers/web01")
    assert "Example X1 serial S-42 board B-43 2.71 SEL 3,000 entries 93 % full" in page.section("lamps").text
    sensors = page.section("sensors").text
    for told in ("Inlet 23.1 °C test", "Fan 1 12,600 rpm test", "Fan 2 42 % test"):
        assert told in sensors
    assert "Power off (not as it should be)" in page.section("now").text
    assert "locate lamp is lit" in page.section("now").text


async def test_a_source_that_cannot_be_read_says_why_and_since_when(start: Any, monitor: Monitor) -> None:
    state = replace(
        lamp(Verdict.NORMAL),
        last_run=SINCE + 14 * MINUTE,
        reason="timeout",
        step="session",
        detail="no answer",
        unreadable_since=SINCE + 5 * MINUTE,
    )
    set_lamps(monitor, state)
    assert (
        "test ? cannot be read 10 min there is no answer in time (timeout) timeout: session no answer "
        "last read well 15 min ago"
    ) in (await see(start, "/servers/web01")).section("lamps").text


@pytest.mark.parametrize(
    ("system", "managed", "told"),
    [
        ("rhel-7", True, "rhel-7 limited support end of life 2024-06-30, contract ends with 2027-03-31"),
        ("centos-6", True, "centos-6 contract ended end of life 2020-11-30, contract ends with 2026-03-31"),
        ("rhel-9", True, "rhel-9 Lamps"),
        ("rhel-7", False, "rhel-7 Lamps"),
    ],
)
async def test_the_operating_system_says_how_far_it_is_supported(
    start: Any, monitor: Monitor, system: str, managed: bool, told: str
) -> None:
    change(monitor, os=system, managed=managed)
    assert told in (await see(start, "/servers/web01")).section("now").text


async def test_limited_support_has_its_japanese_name(start: Any, monitor: Monitor) -> None:
    change(monitor, os="rhel-7")
    assert "サーバ保守限定サポート" in (await see(start, "/servers/web01", language="ja")).text


async def test_a_window_that_holds_or_comes_soon_is_told(start: Any, monitor: Monitor, clock: Clock) -> None:
    now = clock.now().wall
    holds = MaintenanceWindow(now - HOUR, now + HOUR, "メモリ増設", server="web01")
    comes = MaintenanceWindow(now + DAY, now + DAY + HOUR, "電源工事", site="ogaki")
    await monitor.maintenance.configure([holds, comes])
    text = (await see(start, "/servers/web01")).section("now").text
    assert "in maintenance" in text
    assert text.index("メモリ増設") < text.index("電源工事")


# -- the past -------------------------------------------------------------------------------------------------------


async def remember(monitor: Monitor, now: int) -> None:
    """Let https have been down for an hour, twelve hours ago, and the exporter have run for a month."""
    https = monitor.config.servers["web01"].checks[0]
    began = now - 30 * DAY

    def phase(at: int, was: Phase, after: Phase) -> Any:
        return check_event(https, Transition(at, was, after, "refused", "connect"), f"> GET {HOSTILE}")

    await monitor.ledger.save(
        [
            presence_event(began, running=True),
            alive_row(now),
            phase(began, Phase.UNTRIED, Phase.UP),
            phase(now - 12 * HOUR, Phase.UP, Phase.DOWN),
            phase(now - 11 * HOUR, Phase.DOWN, Phase.UP),
            source_event(("web01", "ipmi"), LampEvent(now - HOUR, "Drive 3", "normal", "critical", HOSTILE)),
            source_event(
                ("web01", "ipmi"), LampEvent(now - HOUR, "hardware changed", "X1, serial 1", "X1, serial 2", "")
            ),
            void_event(https, UP, replace(UP, void=True, reason="auth", step="login", last_run=now - 2 * HOUR)),
            window_record(
                MaintenanceWindow(now - 3 * DAY, now - 2 * DAY, "増設", server="web01"), now - 9 * DAY, "sato"
            ),
        ]
    )


async def test_a_strip_is_drawn_and_said_in_words(start: Any, monitor: Monitor, clock: Clock) -> None:
    await remember(monitor, clock.now().wall)
    set_check(monitor, "https", UP)
    page = await see(start, "/servers/web01")
    [label, *_] = [given["aria-label"] for tag, given in page.tags if tag == "svg" and given.get("aria-label")]
    assert label == ("https, Last 24 hours: up 95.454 %, 1 outage, 1 h, 01-15 05:15:00 for 1 h, void 2 h")
    drawn = [given["class"] for tag, given in page.tags if tag == "rect" and given["class"] != "mark-unknown"]
    legend = len(Mark) - 1
    assert drawn[legend : legend + 4] == ["mark-up", "mark-up", "mark-void", "mark-down"]


async def test_changes_incidents_and_windows_of_the_past_are_listed(start: Any, monitor: Monitor, clock: Clock) -> None:
    now = clock.now().wall
    await remember(monitor, now)
    event = opening(Kind.OUTAGE, monitor.config.servers["web01"], now - 12 * HOUR, monitor.duties.incidents.zone)
    closed = IncidentEvent(event.incident, What.CLOSED, now - 10 * HOUR)
    await monitor.ledger.save([incident_record(each) for each in (event, closed)])
    page = await see(start, "/servers/web01")
    text = page.section("changes").text
    assert f"/incidents/{event.incident}" in page.links()
    assert "/incidents?server=web01" in page.links()
    assert "増設 sato" in text
    for told in (
        "void spell https counts our monitoring's credentials were rejected (our side)",
        "hardware changed ipmi X1, serial 1 X1, serial 2",
        "lamp ipmi/Drive 3 normal critical <script>",
        "check https up down the server does not accept connections (connection refused) refused: connect",
    ):
        assert told in text


async def test_what_a_server_sent_is_text_and_only_for_those_who_may_see_it(
    start: Any, monitor: Monitor, clock: Clock
) -> None:
    await remember(monitor, clock.now().wall)
    set_check(monitor, "https", DOWN)
    set_runs(monitor, "https", HOSTILE)
    set_lamps(monitor, lamp(Verdict.CRITICAL, component=HOSTILE, evidence=HOSTILE))
    change(monitor, os=HOSTILE, rack=HOSTILE, hostname=HOSTILE)
    page = await see(start, "/servers/web01")
    assert page.text.count("<script>alert(1)</script>") > 6
    assert "{{ 7 * 7 }}" in page.text
    assert [given.get("src") for tag, given in page.tags if tag == "script"] != [None]
    assert not [tag for tag, _ in page.tags if tag == "img"]
    stranger = await see(start, "/servers/web01", STRANGER)
    assert "HTTP/1.1 503" in page.text
    assert "> GET" in page.text
    for private in ("HTTP/1.1 503", "> GET", "ops@customer.example", "株式会社サンプル", "+81-584"):
        assert private not in stranger.text
    assert "are left out: you have not logged in" in stranger.text


async def test_a_ledger_that_cannot_be_read_takes_only_the_past_from_the_page(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise sa.exc.OperationalError("SELECT", {}, Exception("disk I/O error"))

    set_check(monitor, "https", DOWN)
    monkeypatch.setattr(monitor.ledger, "reading", broken)
    page = await see(start, "/servers/web01")
    assert "web01 : down" in page.text
    assert "The history cannot be read from the ledger now" in page.section("changes").text


@pytest.mark.parametrize(
    ("language", "told"), [("ja", "そのサーバは登録されていません"), ("en", "There is no such server in the inventory")]
)
async def test_an_unknown_server_is_told_in_the_readers_language(start: Any, language: str, told: str) -> None:
    client = await start()
    path = "/servers/%3Cscript%3E"
    async with client.session.get(client.url(path), headers={"Accept-Language": language}) as response:
        page = Elements(await response.text())
    assert response.status == 404
    assert told in page.text
    assert "<script>" in page.text
    assert "/incidents?server=%3Cscript%3E" in page.links()


async def test_a_server_that_left_the_inventory_is_remembered(start: Any, monitor: Monitor, clock: Clock) -> None:
    server = replace(monitor.config.servers["web01"], name="old01")
    at = clock.now().wall - 30 * DAY
    begun = opening(Kind.OUTAGE, server, at, monitor.duties.incidents.zone)
    moved = move_event("old01", was="gifu", now="ogaki", at=at)
    await monitor.ledger.save([lease_event("old01", was="", now="c0001", at=at), moved, incident_record(begun)])
    page = await see(start, "/servers/old01")
    assert "old01 : not in the inventory any more" in page.section("now").text
    assert "c0001 株式会社サンプル 運用担当 +81-584-00-0000" in page.section("now").text
    assert f"/incidents/{begun.incident}" in page.section("changes").links()
    japanese = await see(start, "/servers/old01", language="ja")
    assert "監視対象に登録されていません" in japanese.section("now").text
    assert "サイトの変更 gifu ogaki" in japanese.section("changes").text
    stranger = await see(start, "/servers/old01", STRANGER)
    assert "株式会社サンプル" not in stranger.text


async def test_a_page_changes_with_what_it_tells_and_not_with_the_clock(
    start: Any, monitor: Monitor, clock: Clock
) -> None:
    async def digest() -> str:
        client = await start()
        async with client.session.get(client.url("/servers/web01")) as response:
            return str(response.headers["ETag"])

    await remember(monitor, clock.now().wall)
    set_check(monitor, "https", DOWN)
    set_lamps(monitor, lamp(Verdict.CRITICAL))
    before = await digest()
    clock.passed += 59 * SECOND
    assert await digest() == before
    set_lamps(monitor, lamp(Verdict.WARNING))
    assert await digest() != before


# -- strips ---------------------------------------------------------------------------------------------------------


def strip_of(phases: list[tuple[int, str]]) -> Strip:
    told: Mapping[str, Any] = {"phases": phases, "voids": (), "watched": [(0, DAY)], "maintenance": ()}
    return Strip((0, DAY), strip((0, DAY), **told), availability((0, DAY), **told))


def test_a_minute_of_outage_in_a_day_is_wide_enough_to_be_seen_and_stays_within_the_strip() -> None:
    drawn = list(bars(strip_of([(0, Phase.UP), (DAY - MINUTE, Phase.DOWN)])))
    assert [bar.mark for bar in drawn] == [Mark.UP, Mark.DOWN]
    assert (drawn[1].x, drawn[1].width) == (WIDTH - NARROWEST, NARROWEST)
    assert drawn[0].width == pytest.approx(WIDTH, abs=1)


def test_what_a_piece_says_is_seen_without_colours_too() -> None:
    pieces = tuple(Piece(at, at + 1, mark) for at, mark in enumerate(Mark))
    drawn = bars(replace(strip_of([]), period=(0, len(pieces)), pieces=pieces))
    heights = {bar.mark: bar.height for bar in drawn}
    assert len(set(heights.values())) == len(Mark)
    assert max(heights, key=lambda mark: heights[mark]) is Mark.DOWN


def test_units_of_a_strip_are_numbers_that_svg_takes() -> None:
    for bar in bars(strip_of([(0, Phase.UP), (1234567, Phase.DOWN), (2345678, Phase.UP)])):
        assert re.fullmatch(r"\d+(\.\d)?", str(bar.x))
        assert re.fullmatch(r"\d+(\.\d)?", str(bar.width))
