"""The NOC page: what is wrong first, nothing that a server sent as markup, and a fleet of any size."""

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from collectors.failures import Unavailable
from collectors.reading import Lamp, Verdict
from collectors.services.http import HttpsOptions
from collectors.transcript import Recording, Transcript
from exporter.clock import DAY, MINUTE, Moment
from exporter.contract.incidents import IncidentEvent, Kind, What, opening
from exporter.inventory import Config, Customer, MaintenanceWindow, VantageAddress
from exporter.lamps import KnownLamp, SourceState
from exporter.lastruns import pack
from exporter.monitor import Monitor
from exporter.outage import CheckState, restored
from exporter.web import page

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} &amp;"
SINCE = 1_800_000_000_000  # 2027-01-15 17:00:00 in Japan
DOWN = CheckState(
    up=False,
    ever_up=True,
    down_since=SINCE,
    confirmed=13 * MINUTE,
    first_failed=Moment(0, SINCE),
    last_failed=Moment(13 * MINUTE, SINCE + 13 * MINUTE),
    last_run=SINCE + 13 * MINUTE,
    reason="refused",
    step="connect",
)


class Clock:
    """A clock that stands still."""

    def now(self) -> Moment:
        return Moment(10_000_000, SINCE + 15 * MINUTE)


class LaterClock:
    """The same clock a minute later."""

    def now(self) -> Moment:
        return Moment(10_060_000, SINCE + 16 * MINUTE)


class Elements(HTMLParser):
    """Collects the elements of a page and its text, as a browser would see them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.fixture(autouse=True)
def time_stands_still(monitor: Monitor) -> None:
    monitor.clock = Clock()


def set_check(monitor: Monitor, name: str, state: CheckState) -> None:
    entry = monitor.schedule.get(("web01", name))
    assert entry
    entry.state = state


def set_lamps(monitor: Monitor, state: SourceState) -> None:
    entry = monitor.lamps.get(("web01", "test"))
    assert entry
    entry.state = state


def lamp(verdict: Verdict, component: str = "Drive 3", evidence: str = "state=0x0003") -> SourceState:
    known = KnownLamp(Lamp.DRIVE, component, verdict, verdict, SINCE, evidence)
    return SourceState(lamps={component: known}, last_run=SINCE, last_success=SINCE)


async def see(start: Any, path: str = "/", address: str = "127.0.0.1:0") -> Elements:
    client = await start(address)
    async with client.session.get(client.url(path)) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        return Elements(await response.text())


async def test_an_outage_says_who_since_when_how_long_and_why(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    text = (await see(start)).text
    assert (
        "web01 https c0001 株式会社サンプル 運用担当 ops@customer.example +81-584-00-0000 "
        "2027-01-15 17:00:00 JST 13 min refused at connect "
        "level 1: log in, look at the service, restart it (log-in is not checked) 2 min ago"
    ) in text
    assert "1 check down" in text


def said(what: str) -> Recording:
    transcript = Transcript(lambda: 0.0)
    transcript.note("<", what)
    return transcript.recording()


def set_runs(monitor: Monitor, name: str, heard: str) -> None:
    entry = monitor.schedule.get(("web01", name))
    assert entry
    entry.keep(pack(SINCE, None, said(f"well {heard}")), good=True)
    failure = Unavailable("status", f"503 {heard}")
    entry.keep(pack(SINCE + 13 * MINUTE, failure, said(f"HTTP/1.1 503 {heard}")), good=False)


async def test_an_outage_shows_what_was_said_when_it_failed_and_when_it_was_well(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    set_runs(monitor, "https", HOSTILE)
    page = await see(start)
    assert "Last failing run, 2027-01-15 17:13:00 JST: unavailable at status: 503" in page.text
    assert "0.000 < HTTP/1.1 503" in page.text
    assert "Last good run, 2027-01-15 17:00:00 JST" in page.text
    assert "0.000 < well" in page.text
    assert HOSTILE in page.text
    assert not {"script", "img"} & {tag for tag, _ in page.tags}
    assert "0.000 <" not in (await see(start, address="0.0.0.0:0")).text


async def test_a_server_that_is_looked_for_shows_what_its_checks_said_last(start: Any, monitor: Monitor) -> None:
    set_runs(monitor, "ssh", "hello")
    assert "0.000 < well hello" in (await see(start, "/?q=web01")).text


async def test_certificates_that_expire_soon_are_listed(start: Any, monitor: Monitor) -> None:
    (check,) = (each for each in monitor.config.servers["web01"].checks if each.name == "https")
    entry = monitor.schedule.get(check.key)
    assert entry
    entry.check = replace(check, options=HttpsOptions())
    monitor.runner._certificates[check.key] = (SINCE + 20 * DAY) / 1000
    assert "Certificates that expire soon" not in (await see(start)).text
    monitor.runner._certificates[check.key] = (SINCE + 10 * DAY) / 1000
    monitor.clock = LaterClock()
    text = (await see(start)).text
    assert "Certificates that expire soon: 1 Server Check Customer Expires web01 https c0001 2027-01-25" in text


async def test_strangers_see_the_outage_without_the_customers_name_and_contacts(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    text = (await see(start, address="0.0.0.0:0")).text
    assert "web01 https c0001 2027-01-15 17:00:00 JST 13 min refused at connect" in text
    for hidden in ("株式会社サンプル", "運用担当", "ops@", "+81"):
        assert hidden not in text
    assert "Customers' names and contacts, and what servers said, are left out" in text


async def test_abnormal_lamps_come_with_their_evidence_and_age(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.CRITICAL))
    text = (await see(start)).text
    assert "web01 critical Drive 3 drive test state=0x0003 2027-01-15 17:00:00 JST 15 min ago" in text
    assert "1 server with critical lamps" in text


async def test_lamps_that_cannot_be_read_say_why_and_since_when(start: Any, monitor: Monitor) -> None:
    state = SourceState(last_run=SINCE, reason="timeout", step="session", detail="no answer", unreadable_since=SINCE)
    set_lamps(monitor, state)
    text = (await see(start)).text
    assert "Lamps that cannot be read: 1" in text
    assert "web01 test timeout at session no answer 2027-01-15 17:00:00 JST 15 min ago never" in text


async def test_void_checks_and_those_never_up_are_apart_from_outages(start: Any, monitor: Monitor) -> None:
    set_check(
        monitor, "https", CheckState(up=True, ever_up=True, last_run=SINCE, reason="auth", step="log-in", void=True)
    )
    set_check(monitor, "ssh", CheckState(up=False, last_run=SINCE, reason="timeout", step="connect"))
    text = (await see(start)).text
    assert "Outages" not in text
    assert (
        "Void checks (our own side's fault): 1 Server Check Customer Reason Last attempt web01 https c0001 auth" in text
    )
    assert "Checks that never succeeded: 1 Server Check Customer Reason Last attempt web01 ssh c0001 timeout" in text


async def test_what_was_up_before_a_restart_is_not_called_up(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", restored(CheckState(up=True, ever_up=True, last_run=SINCE)))
    set_check(monitor, "ssh", CheckState(up=True, ever_up=True, last_run=SINCE))
    text = (await see(start)).text
    assert "https not tried yet 15 min ago ssh up 15 min ago" in text


async def test_when_nothing_is_wrong_it_says_so(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.NORMAL))
    text = (await see(start)).text
    assert "Nothing is known to be wrong." in text
    assert "1 server with normal lamps" in text


async def test_a_server_in_maintenance_is_marked(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    await monitor.maintenance.configure([MaintenanceWindow(SINCE, SINCE * 2, "memory", site="ogaki")])
    assert "web01 (in maintenance) https" in (await see(start)).text


@pytest.mark.parametrize(
    ("system", "managed", "told"),
    [
        ("rhel-7", True, "web01 (limited support (サーバ保守限定サポート) until 2027-03-31)"),
        ("centos-8", True, "web01 (contract ended with 2026-03-31)"),
        ("rhel-7", False, ""),
        ("rhel-9", True, ""),
    ],
)
async def test_a_managed_server_says_how_long_its_system_is_supported(
    start: Any, monitor: Monitor, system: str, managed: bool, told: str
) -> None:
    web01 = replace(monitor.config.servers["web01"], os=system, managed=managed)
    monitor.config = replace(monitor.config, servers={**monitor.config.servers, "web01": web01})
    text = (await see(start)).text
    assert told in text
    assert ("support" in text or "contract" in text) is bool(told)


async def test_an_incident_that_recovered_says_what_holds_it(start: Any, monitor: Monitor) -> None:
    event = opening(Kind.REBOOT_REQUEST, monitor.config.servers["web01"], SINCE, ZoneInfo("Asia/Tokyo"), "運用担当")
    monitor.duties.incidents.take_in([event])
    assert (
        "web01 web01-20270115-170000-reboot c0001 2027-01-15 17:00:00 JST no nobody has said yet that it was done"
    ) in (await see(start)).text


async def test_reports_that_are_owed_are_listed_with_when_they_are_due(start: Any, monitor: Monitor) -> None:
    for kind, due in ((Kind.OUTAGE, SINCE + DAY), (Kind.LAMP, SINCE)):
        event = opening(kind, monitor.config.servers["web01"], SINCE - DAY, ZoneInfo("Asia/Tokyo"))
        drafted = IncidentEvent(event.incident, What.REPORT_DRAFTED, SINCE - DAY, data={"due": due})
        monitor.duties.incidents.take_in([event, drafted])
    text = (await see(start)).text
    late = "web01-20270114-170000-lamp c0001 2027-01-14 17:00:00 JST late , draft 2027-01-15 17:00:00 JST"
    later = "web01-20270114-170000 c0001 2027-01-14 17:00:00 JST draft 2027-01-16 17:00:00 JST"
    assert "Outage reports that are owed: 2" in text
    assert text.index(late) < text.index(later)


async def test_the_help_desks_hours_are_told(start: Any, monitor: Monitor) -> None:
    # Friday, 2027-01-15 17:15
    assert "Help desk closed, opens 2027-01-18 10:00:00 JST" in (await see(start)).text


async def test_the_exporters_own_troubles_are_told(start: Any, monitor: Monitor) -> None:
    monitor.ready = False
    monitor.progress = "1,000 of 10,000 servers taken in"
    monitor.telemetry.reload_successful.set(0)
    monitor.telemetry.reload_timestamp.set(SINCE / 1000)
    monitor.telemetry.ledger_errors.inc(2)
    monitor.telemetry.vantage_up.set(0)
    settings = replace(monitor.config.settings, vantage=(VantageAddress("192.0.2.1", 53),))
    monitor.config = replace(monitor.config, settings=settings)
    text = (await see(start)).text
    for trouble in (
        "Monitoring Attention: starting: 1,000 of 10,000 servers taken in",
        "Configuration Attention: the last reload failed; that of 2027-01-15 17:00:00 JST stays in force",
        "Ledger Attention: 2 batches could not be written",
        "Our own uplink Attention: lost",
    ):
        assert trouble in text


async def test_what_servers_and_files_say_is_text_and_never_markup(start: Any, monitor: Monitor) -> None:
    customer = Customer("c0001", HOSTILE)
    hostile = replace(monitor.config.servers["web01"], site=HOSTILE, rack=HOSTILE, os=HOSTILE)
    monitor.config = Config(customers={"c0001": customer}, servers={"web01": hostile})
    set_check(monitor, "https", replace(DOWN, step=HOSTILE))
    set_check(monitor, "ssh", CheckState(up=False, last_run=SINCE, reason="content", step=HOSTILE))
    set_lamps(
        monitor, replace(lamp(Verdict.WARNING, HOSTILE, HOSTILE), reason="protocol", step=HOSTILE, detail=HOSTILE)
    )
    clean = await see(start, f"/?q={'%3Cscript%3E'}")
    dirty = await see(start)
    layout = {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "main",
        "nav",
        "footer",
        "div",
        "h1",
        "h2",
        "p",
    }
    words = {"a", "bdi", "span", "strong", "ul", "li", "dl", "dt", "dd", "form", "label", "input", "button"}
    allowed = layout | words | {"table", "thead", "tbody", "tr", "th", "td"}
    for seen in (clean, dirty):
        assert {tag for tag, _ in seen.tags} <= allowed
        assert all(not name.startswith("on") for _, attributes in seen.tags for name in attributes)
    assert dirty.text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in dirty.text


async def test_a_long_answer_of_a_server_is_cut(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.CRITICAL, evidence="x" * 100_000))
    text = (await see(start)).text
    assert "x" * page.LONGEST + " ..." in text
    assert "x" * (page.LONGEST + 1) not in text


async def test_the_page_has_no_script_and_loads_nothing(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    seen = await see(start)
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in seen.tags}
    targets = [
        value for _, attributes in seen.tags for name in ("href", "src", "action") if (value := attributes.get(name))
    ]
    assert targets
    assert all(target.startswith("/") and not target.startswith("//") for target in targets)


async def test_the_policy_allows_exactly_the_style_that_is_on_the_page(start: Any) -> None:
    client = await start()
    async with client.session.get(client.url("/")) as response:
        text = await response.text()
        policy = response.headers["Content-Security-Policy"]
    style = text.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in policy
    assert "style=" not in text


@pytest.fixture
async def large(monitor: Monitor, servers: Any) -> Monitor:
    """A fleet of 1,000 servers whose every check is down and every lamp critical."""
    await monitor._apply(servers([f"s{number:04}" for number in range(1_000)]))
    for entry in monitor.schedule:
        entry.state = DOWN
        entry.keep(pack(SINCE, None, said("well " * 400)), good=True)
        entry.keep(pack(SINCE, Unavailable("status", "503"), said("<" * 400)), good=False)
    for source in monitor.lamps:
        source.state = lamp(Verdict.CRITICAL)
    return monitor


async def test_a_page_about_a_large_fleet_stays_small(start: Any, large: Monitor) -> None:
    client = await start()
    _, text = await client.get("/")
    assert len(text.encode()) < 1_000_000
    assert "Outages: 4000" in text
    assert "3800 more are not listed here." in text
    assert "Page 1 of 10" in text


async def test_every_server_is_on_one_of_the_pages(start: Any, large: Monitor) -> None:
    client = await start()
    names: list[str] = []
    path = "/?page=1"
    for _ in range(20):
        _, text = await client.get(path)
        names += re.findall(r'<a href="/\?q=(s\d{4})#servers">', text.partition('id="servers"')[2])
        following = re.search(r'href="(/\?q=&amp;page=\d+)#servers">next<', text)
        if not following:
            break
        path = following[1].replace("&amp;", "&")
    assert names == [f"s{number:04}" for number in range(1_000)]


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "²", "٣"])
async def test_a_page_number_that_is_none_gives_a_page(start: Any, large: Monitor, number: str) -> None:
    client = await start()
    status, text = await client.get("/", params={"page": number})
    assert status == 200
    assert re.search(r"Page \d+ of 10", text)


async def test_servers_are_found_by_name_customer_site_and_rack(start: Any, large: Monitor) -> None:
    client = await start()
    for query, found in (("S0007", 1), ("c0001", 1000), ("a-03", 1000), ("nowhere", 0)):
        _, text = await client.get("/", params={"q": query})
        assert f"Servers: {found} with <bdi>{query}</bdi>" in text


async def test_the_fleet_is_not_looked_through_again_at_every_reload(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    looked: list[str] = []
    real = monitor.schedule.server

    def server(name: str) -> Any:
        looked.append(name)
        return real(name)

    monkeypatch.setattr(monitor.schedule, "server", server)
    for _ in range(3):
        await client.get("/", params={"q": "nowhere"})
    assert looked == ["web01"]


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [
        (0, "0 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (200_000, "3 min 20 s"),
        (7_500_000, "2 h 5 min"),
        (273_600_000, "3 d 4 h"),
    ],
)
def test_lengths_of_time_are_told_in_their_two_largest_units(milliseconds: int, text: str) -> None:
    assert page._length(milliseconds) == text
