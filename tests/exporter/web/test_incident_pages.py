"""The pages of incidents: everything that happened, in both languages, to those who may see it; and the report."""

from dataclasses import replace
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from exporter.archive import INCIDENTS, IncidentPast
from exporter.clock import DAY, HOUR, MINUTE
from exporter.contract.incidents import IncidentEvent, Kind, What, folded, opening
from exporter.contract.report import report_events
from exporter.inventory import Server
from exporter.ledger import incident_record
from exporter.monitor import Monitor
from exporter.web.pages.incident import IncidentNow, commands, time_line
from exporter.web.pages.words import LANGUAGES, Words
from tests.exporter.web.browsing import HOSTILE, MAIL, SINCE, STRANGER, Clock, Elements, see

TOKYO = ZoneInfo("Asia/Tokyo")
WEB01 = Server("web01", "c0001", managed=True, address="192.0.2.10")
OPENED = opening(Kind.OUTAGE, WEB01, SINCE, TOKYO)
NAME = OPENED.incident


@pytest.fixture(autouse=True)
def clock(monitor: Monitor) -> Clock:
    monitor.clock = Clock()
    return monitor.clock


def event(what: What, after: int, subject: str = "", **data: Any) -> IncidentEvent:
    return IncidentEvent(NAME, what, SINCE + after, subject, MappingProxyType(data))


DOWN = event(
    What.CHECK_DOWN, 0, "https", reason="refused", step="connect", detail=HOSTILE, last_good=SINCE - 5 * MINUTE
)
OUTAGE = (
    OPENED,
    DOWN,
    event(What.LEVEL, 0, level=1, step="log-in"),
    event(What.OBSERVED, MINUTE, "https", reason="timeout", step="tls", detail="Tls alert 80"),
    event(What.ACKNOWLEDGED, 2 * MINUTE, author="sato"),
    event(What.LIMIT_REACHED, 10 * MINUTE, "https", confirmed=600_000),
    event(What.ALERTED, 10 * MINUTE, "check/https"),
    event(What.TOLD, 11 * MINUTE, "運用担当", by="phone", to="+81-584-00-0000"),
    event(What.NOTE, 12 * MINUTE, author="sato", text=f"nginxを再起動した {HOSTILE}"),
)
OVER = (
    event(What.CHECK_UP, 13 * MINUTE, "https"),
    event(What.RECOVERED, 13 * MINUTE),
    event(What.LAMP_ABNORMAL, 13 * MINUTE, "ipmi/Drive 3", lamp="drive", verdict="critical", evidence=HOSTILE),
    event(What.REPORT_DRAFTED, 13 * MINUTE, due=SINCE + 3 * DAY),
)
ENDED = (
    event(What.LAMPS_NORMAL, 14 * MINUTE),
    event(What.CLOSED, 14 * MINUTE),
    event(What.REPORT_EDITED, 15 * MINUTE, cause=f"設定の誤り {HOSTILE}", measures="構文検査の追加", author="sato"),
    event(What.REPORT_POSTPONED, 16 * MINUTE, until=SINCE + 5 * DAY, reason="部品の解析", author="sato"),
    event(What.REPORT_APPROVED, 17 * MINUTE, author="suzuki"),
)
SENT = event(
    What.REPORT_SENT, 18 * MINUTE, "運用担当", by="fax", end=SINCE + 13 * MINUTE, copy="text", page="<p>the copy</p>"
)


async def write(monitor: Monitor, *events: IncidentEvent) -> None:
    """Let it have happened: in memory and in the ledger."""
    monitor.duties.incidents.take_in(events)
    await monitor.ledger.save(incident_record(each) for each in events)


async def get(start: Any, path: str, address: str = "127.0.0.1:0", language: str = "en") -> tuple[int, str]:
    client = await start(address)
    status, text = await client.get(path, headers={"Accept-Language": language})
    return int(status), str(text)


async def test_an_open_incident_says_what_to_do_what_holds_it_and_whom_to_call(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE)
    now = (await see(start, f"/incidents/{NAME}")).section("now").text
    assert f"Down: {NAME} level 1: log in, look at the service, restart it" in now
    assert "Customer c0001 株式会社サンプル 運用担当 +81-584-00-0000" in now
    assert "Opened 01-15 17:00:00 15 min ago" in now
    assert "Customer told 01-15 17:11:00 by phone 運用担当 +81-584-00-0000" in now
    assert "Acknowledged 01-15 17:02:00 sato" in now
    assert "What holds it open https is down" in now


@pytest.mark.parametrize(
    ("notices", "told"), [("ledger", "has to be told, and is not yet"), ("alertmanager", "by Alertmanager")]
)
async def test_whether_the_customer_was_told_is_said_as_far_as_it_is_known(
    start: Any, monitor: Monitor, notices: Any, told: str
) -> None:
    settings = replace(monitor.config.settings, notices=notices)
    monitor.config = replace(monitor.config, settings=settings, mail=MAIL)
    await write(monitor, OPENED, DOWN)
    assert "Customer told not due yet" in (await see(start, f"/incidents/{NAME}")).text
    await write(monitor, OUTAGE[5])
    assert f"Customer told {told}" in (await see(start, f"/incidents/{NAME}")).text


async def test_the_outages_of_its_checks_have_all_three_times(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *OVER)
    outages = (await see(start, f"/incidents/{NAME}")).section("outages").text
    assert "https 01-15 16:55:00 01-15 17:00:00 01-15 17:13:00 13 min the server does not accept" in outages
    assert "there is no answer in time (timeout) timeout: tls" in outages


async def test_the_time_line_has_everything_in_the_order_in_which_it_happened(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *ENDED[:2], *OVER)
    line = (await see(start, f"/incidents/{NAME}")).section("timeline").text
    told = (
        "01-15 17:00:00 opened (outage)",
        "https went down: the server does not accept connections (connection refused) (refused: connect) <script>",
        "next step: level 1: log in",
        "https told something new: there is no answer in time (timeout) (timeout: tls) Tls alert 80",
        "01-15 17:02:00 acknowledged by sato",
        "https: 10 min are confirmed, the customer has to be told",
        "the customer's alert came (check/https)",
        "01-15 17:11:00 the customer was told (by phone) 運用担当 +81-584-00-0000",
        "note by sato nginxを再起動した <script>",
        "01-15 17:13:00 https answers again",
        "recovered: all checks are up",
        "lamp critical: drive, ipmi/Drive 3 (<script>",
        "the report was drafted, due 2027-01-18 17:00:00 JST",
        "the lamps were seen to be normal",
        "01-15 17:14:00 closed",
    )
    places = [line.index(each) for each in told]
    assert places == sorted(places)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("what", list(What))
def test_everything_that_can_happen_has_words(what: What, language: Any) -> None:
    samples = {each.what: each for each in (*OUTAGE, *OVER, *ENDED, SENT)}
    bare = event(what, 0, "https")
    for each in (samples.get(what, bare), bare if what is What.WITHDRAWN else event(What.WITHDRAWN, 0)):
        [entry] = time_line([each], Words(language, TOKYO, SINCE))
        assert entry.words


async def test_the_lines_that_may_be_typed_next_follow_what_was_done(start: Any, monitor: Monitor) -> None:
    def lines(page: Elements) -> list[str]:
        text = page.section("commands").text.replace(NAME, "ID")
        return [f"incidents {each.strip()}" for each in text.split("dserver-exporter incidents ")[1:]]

    await write(monitor, OPENED, DOWN)
    assert lines(await see(start, f"/incidents/{NAME}")) == ["incidents ack ID", "incidents note ID TEXT"]
    await write(monitor, OUTAGE[5])
    assert lines(await see(start, f"/incidents/{NAME}")) == [
        "incidents ack ID",
        "incidents told ID --by phone --to '運用担当'",
        "incidents note ID TEXT",
    ]
    assert "--to NAME" in lines(await see(start, f"/incidents/{NAME}", STRANGER))[1]
    await write(monitor, OUTAGE[4], OUTAGE[7], *OVER)
    assert lines(await see(start, f"/incidents/{NAME}"))[1:] == [
        "incidents report ID --cause TEXT --measures TEXT",
        "incidents postpone ID --until DATE --reason TEXT",
        "incidents report ID --waive TEXT",
    ]
    await write(monitor, *ENDED[:3])
    assert lines(await see(start, f"/incidents/{NAME}"))[1] == "incidents report ID --approve"
    await write(monitor, *ENDED[3:])
    assert lines(await see(start, f"/incidents/{NAME}"))[1] == "incidents send ID"
    await write(monitor, SENT)
    assert 'id="commands"' not in (await see(start, f"/incidents/{NAME}")).source


def test_names_in_command_lines_are_quoted_for_the_shell(monitor: Monitor) -> None:
    evil = opening(Kind.REBOOT_REQUEST, Server("web01;reboot $(id)", "c0001", managed=True, address=""), SINCE, TOKYO)
    past = IncidentPast(folded([evil])[evil.incident], (evil,))
    for line in commands(IncidentNow.of(monitor, past, monitor.clock.now()), trusted=True):
        assert "'web01;reboot $(id)" in line


async def test_a_request_that_nobody_reported_as_done_says_so(start: Any, monitor: Monitor) -> None:
    request = opening(Kind.REBOOT_REQUEST, WEB01, SINCE, TOKYO, "運用担当: 至急")
    await write(monitor, request)
    page = await see(start, f"/incidents/{request.incident}")
    assert "Requested: web01-20270115-170000-reboot force the reboot, and record that it was done" in page.text
    assert "nobody has said yet that it was done" in page.text
    assert "opened (reboot request) 運用担当: 至急" in page.text
    assert "incidents close web01-20270115-170000-reboot" in page.text


async def test_contacts_notes_answers_and_the_report_are_kept_from_strangers(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *OVER, *ENDED, SENT)
    page = await see(start, f"/incidents/{NAME}", STRANGER)
    for private in ("株式会社サンプル", "運用担当", "+81-584", "nginx", "alert 80", "設定の誤り", "部品の解析"):
        assert private not in page.text
    assert f"/incidents/{NAME}/report" not in page.links()
    assert "note by sato" in page.text
    assert (await get(start, f"/incidents/{NAME}/report", STRANGER))[0] == 403
    assert "株式会社サンプル" not in (await see(start, "/incidents", STRANGER)).text


async def test_what_servers_and_people_wrote_is_text_and_never_markup(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *OVER, *ENDED)
    page = await see(start, f"/incidents/{NAME}")
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "{{ 7 * 7 }}" in page.text
    assert not [tag for tag, _ in page.tags if tag == "img"]
    assert sum(tag == "script" for tag, _ in page.tags) == 1


async def test_an_incident_of_long_ago_comes_from_the_ledger_also_of_a_server_that_is_gone(
    start: Any, monitor: Monitor
) -> None:
    gone = Server("old01", "c0009", managed=True, address="192.0.2.9")
    opened = opening(Kind.LAMP, gone, SINCE - 400 * DAY, TOKYO)
    closed = IncidentEvent(opened.incident, What.CLOSED, SINCE - 399 * DAY)
    await monitor.ledger.save(incident_record(each) for each in (opened, closed))
    text = (await see(start, f"/incidents/{opened.incident}")).text
    assert "Closed: old01-20251211-170000-lamp" in text
    assert "old01 (not in the inventory any more)" in text
    assert "/servers/old01" in (await see(start, f"/incidents/{opened.incident}")).section("now").links()
    assert "2025-12-12 17:00:00 closed" in text


@pytest.mark.parametrize(
    ("language", "told"), [("ja", "そのインシデントはありません"), ("en", "There is no such incident")]
)
async def test_an_unknown_incident_is_told_in_the_readers_language(start: Any, language: str, told: str) -> None:
    status, text = await get(start, "/incidents/%3Cb%3Enone", language=language)
    assert status == 404
    assert told in text
    assert "<b>" not in text


async def test_a_ledger_that_cannot_be_read_leaves_what_is_known(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise sa.exc.OperationalError("SELECT", {}, Exception("disk I/O error"))

    await write(monitor, *OUTAGE)
    monkeypatch.setattr(monitor.ledger, "reading", broken)
    page = await see(start, f"/incidents/{NAME}")
    assert "https is down" in page.text
    assert "The history cannot be read from the ledger now" in page.section("timeline").text
    listed = await see(start, "/incidents")
    assert f"/incidents/{NAME}" in listed.links()
    assert "The history cannot be read" in listed.section("over").text
    assert (await get(start, f"/incidents/{NAME}/report"))[0] == 503


# -- the report -----------------------------------------------------------------------------------------------------


async def test_the_report_is_shown_as_it_is_now_and_once_it_was_sent_as_it_was(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *OVER, *ENDED[:3])
    page = await see(start, f"/incidents/{NAME}")
    assert f"/incidents/{NAME}/report" in page.links()
    assert (
        "State ▲ draft, not approved open the report (A4) Due 01-18 17:00:00 Cause 設定の誤り"
        in page.section("report").text
    )
    client = await start()
    async with client.session.get(client.url(f"/incidents/{NAME}/report")) as response:
        draft = await response.text()
        assert "script-src" not in response.headers["Content-Security-Policy"]
        assert response.headers["Content-Security-Policy"].startswith("default-src 'none'; ")
    assert "障害報告書" in draft
    assert "下書き" in draft
    assert "設定の誤り &lt;script&gt;" in draft
    assert "DRAFT" in (await get(start, f"/incidents/{NAME}/report?language=en"))[1].upper()
    await write(monitor, *ENDED[3:], SENT)
    assert await get(start, f"/incidents/{NAME}/report") == (200, "<p>the copy</p>")
    assert "sent" in (await see(start, f"/incidents/{NAME}")).section("report").text


async def test_where_there_is_no_report_none_is_shown(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE)
    assert (await get(start, f"/incidents/{NAME}/report"))[0] == 404
    assert (await get(start, "/incidents/nobody/report"))[0] == 404


async def test_a_report_that_is_late_says_so(start: Any, monitor: Monitor, clock: Clock) -> None:
    await write(monitor, *OUTAGE, *OVER)
    clock.passed = 4 * DAY
    assert "Due 01-18 17:00:00 overdue" in (await see(start, f"/incidents/{NAME}")).section("report").text
    assert "Due 01-18 17:00:00 overdue" in (await see(start, "/incidents")).section("owed").text


# -- the list -------------------------------------------------------------------------------------------------------


async def test_the_list_has_what_is_open_what_is_owed_and_what_is_over_each_once(start: Any, monitor: Monitor) -> None:
    await write(monitor, *OUTAGE, *OVER, *ENDED[:2])
    other = opening(Kind.LAMP, WEB01, SINCE + HOUR, TOKYO)
    await write(monitor, other)
    past = opening(Kind.OUTAGE, WEB01, SINCE - 9 * DAY, TOKYO)
    closed = IncidentEvent(past.incident, What.CLOSED, SINCE - 8 * DAY)
    await monitor.ledger.save(incident_record(each) for each in (past, closed))
    page = await see(start, "/incidents")
    assert "Open: 1" in page.text
    assert "Reports that are owed: 1" in page.text
    for section, name in (("open", other.incident), ("owed", NAME), ("over", past.incident)):
        links = [link for link in page.section(section).links() if link.startswith("/incidents/")]
        assert links == [f"/incidents/{name}"]


async def test_what_is_down_goes_first_in_the_list_of_open_ones(start: Any, monitor: Monitor) -> None:
    older = opening(Kind.LAMP, WEB01, SINCE - DAY, TOKYO)
    await write(monitor, older, OPENED, DOWN)
    links = (await see(start, "/incidents")).section("open").links()
    assert [link for link in links if link.startswith("/incidents/")] == [
        f"/incidents/{NAME}",
        f"/incidents/{older.incident}",
    ]


async def test_incidents_without_end_are_listed_in_pages_and_by_server_and_customer(
    start: Any, monitor: Monitor
) -> None:
    servers = [Server(f"s{number % 2}", f"c{number % 2}", managed=True, address="") for number in range(INCIDENTS + 5)]
    opened = [opening(Kind.OUTAGE, each, SINCE - DAY + number * MINUTE, TOKYO) for number, each in enumerate(servers)]
    closed = [IncidentEvent(each.incident, What.CLOSED, each.at + 1) for each in opened]
    await monitor.ledger.save(incident_record(each) for each in (*opened, *closed))

    def shown(page: Elements) -> list[str]:
        return [link.removeprefix("/incidents/") for link in page.links() if link.startswith("/incidents/")]

    first = await see(start, "/incidents")
    [older] = [link for link in first.links() if "before=" in link]
    second = await see(start, older)
    assert shown(first) + shown(second) == [each.incident for each in reversed(opened)]
    assert "/incidents" in second.links()
    of_one = await see(start, "/incidents?server=s1")
    assert shown(of_one) == [each.incident for each in reversed(opened) if each.incident.startswith("s1-")]
    of_other = await see(start, "/incidents?customer=c0")
    assert shown(of_other) == [each.incident for each in reversed(opened) if each.incident.startswith("s0-")]


@pytest.mark.parametrize("query", ["before=x", "before=-1", "before=9" * 30, "server=%00", "customer=%27%3B--"])
async def test_nonsense_in_the_address_is_no_fault_of_ours(start: Any, query: str) -> None:
    assert (await get(start, f"/incidents?{query}"))[0] == 200


def test_the_history_of_these_tests_is_one_that_happens() -> None:
    incident = folded([*OUTAGE, *OVER[:3]])[NAME]
    assert [each.what for each in report_events(incident, lambda _end: SINCE + 3 * DAY)] == [What.REPORT_DRAFTED]
