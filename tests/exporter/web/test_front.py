"""The NOC page: what is wrong first, nothing that a server sent as markup, and a fleet of any size."""

import asyncio
import gc
import re
import weakref
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from yarl import URL

from collectors.failures import Unavailable
from collectors.reading import Verdict
from collectors.registry import Options
from collectors.services.http import HttpsOptions
from exporter.clock import DAY, MINUTE, SECOND, Moment
from exporter.contract.incidents import IncidentEvent, Kind, What, folded, opening
from exporter.contract.level import NextStep, Response
from exporter.inventory import (
    Check,
    Config,
    Contact,
    Customer,
    MaintenanceWindow,
    Server,
    Timing,
    VantageAddress,
)
from exporter.lamps import SourceState
from exporter.lastruns import pack
from exporter.monitor import Monitor
from exporter.outage import CheckState, restored
from exporter.web.pages import assets, front, layout
from exporter.web.pages.asked import Asked, Reader
from exporter.web.pages.fleet import CheckSeen, Fleet, Glance, Health, IncidentSeen, LampSeen, Look, SourceSeen, State
from exporter.web.pages.words import Words
from tests.exporter.web.browsing import (
    DOWN,
    HOSTILE,
    MAIL,
    SINCE,
    STRANGER,
    Clock,
    Elements,
    lamp,
    said,
    see,
    set_check,
    set_lamps,
    set_runs,
)

TOKYO = ZoneInfo("Asia/Tokyo")
HEALTH = Health(
    ready=True,
    progress="",
    config_read=SINCE,
    config_good=True,
    ledger_errors=0,
    vantage=True,
    outbox=0,
    chained=True,
    alertmanager_tells=False,
    watchdog_silent=None,
    open=True,
    opens=SINCE,
    holidays_end=False,
    loop_lag=0.0,
    schedule_lag=0.0,
    in_flight=0,
)


@pytest.fixture(autouse=True)
def clock(monitor: Monitor) -> Clock:
    monitor.clock = Clock()
    return monitor.clock


async def test_an_outage_says_for_whom_what_since_when_and_what_to_do(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    page = await see(start)
    assert "1 server is down: 1 customer is affected" in page.section("now").text
    assert (
        "Level 1 c0001 株式会社サンプル 運用担当 +81-584-00-0000 ops@customer.example web01 ogaki A-03 "
        "■ down https : the server does not accept connections (connection refused) refused: connect "
        "15 min 01-15 17:00:00 "
        "level 1: log in, look at the service, restart it (log-in is not checked)"
    ) in page.section("incidents").text
    assert {"tel:+81-584-00-0000", "mailto:ops@customer.example", "/servers/web01"} <= set(page.links())


async def test_the_same_is_said_in_japanese(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    page = await see(start, language="ja")
    assert "1台で障害発生中（お客様1社）" in page.section("now").text
    assert "レベル1: ログインしてサービスを確認し、再起動する" in page.section("incidents").text


async def test_an_outage_shows_what_was_said_when_it_failed_and_when_it_was_well(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    set_runs(monitor, "https", HOSTILE)
    page = await see(start)
    assert "Last failing run 01-15 17:13:00 unavailable at status: 503" in page.text
    assert "0.000 < HTTP/1.1 503" in page.text
    assert "Last good run 01-15 17:00:00" in page.text
    assert "0.000 < well" in page.text
    assert HOSTILE in page.text
    assert "0.000 <" not in (await see(start, address=STRANGER)).text


async def test_what_is_down_at_a_higher_level_or_for_longer_goes_first(
    start: Any, monitor: Monitor, servers: Any
) -> None:
    await monitor._apply(servers(["late", "early", "gone"]))
    for name, since in (("late", SINCE + 5 * MINUTE), ("early", SINCE)):
        entry = monitor.schedule.get((name, "https"))
        assert entry
        entry.state = replace(DOWN, down_since=since)
    gone = replace(monitor.config.servers["gone"], login_check="ssh")
    monitor.config = replace(monitor.config, servers={**monitor.config.servers, "gone": gone})
    for entry in monitor.schedule.server("gone"):
        entry.state = replace(DOWN, down_since=SINCE + 10 * MINUTE)
    links = (await see(start)).section("incidents").links()
    names = [link.removeprefix("/servers/") for link in links if link.startswith("/servers/")]
    assert names == ["gone", "early", "late"]


async def test_certificates_that_expire_soon_are_listed(start: Any, monitor: Monitor, clock: Clock) -> None:
    (check,) = (each for each in monitor.config.servers["web01"].checks if each.name == "https")
    entry = monitor.schedule.get(check.key)
    assert entry
    entry.check = replace(check, options=HttpsOptions())
    monitor.runner._certificates[check.key] = (SINCE + 20 * DAY) / 1000
    assert "Certificates that expire soon" not in (await see(start)).text
    monitor.runner._certificates[check.key] = (SINCE + 10 * DAY) / 1000
    clock.passed += MINUTE
    section = (await see(start)).section("certificates")
    assert "Certificates that expire soon: 1 Server Check Customer Expires web01 https c0001" in section.text
    assert "01-25 17:00:00" in section.text


async def test_strangers_see_the_outage_without_the_customers_name_and_contacts(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    text = (await see(start, address=STRANGER)).text
    assert "Level 1 c0001 web01 ogaki A-03 ■ down https" in text
    for hidden in ("株式会社サンプル", "運用担当", "ops@", "+81"):
        assert hidden not in text
    assert "Customers' names and contacts, and what servers said, are left out" in text


async def test_strangers_cannot_look_for_customers_by_name(start: Any, monitor: Monitor) -> None:
    assert "Servers: 1" in (await see(start, "/?q=サンプル")).text
    assert "Servers: 0" in (await see(start, "/?q=サンプル", address=STRANGER)).text


async def test_abnormal_lamps_come_with_their_evidence_and_age(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.CRITICAL))
    page = await see(start)
    assert (
        "■ critical web01 c0001 株式会社サンプル Drive 3 drive state=0x0003 15 min 01-15 17:00:00 test 15 min ago"
    ) in page.section("lamps").text
    assert "1 ■ server with critical lamps" in page.text


async def test_lamps_that_cannot_be_read_say_why_and_since_when(start: Any, monitor: Monitor) -> None:
    state = SourceState(last_run=SINCE, reason="timeout", step="session", detail="no answer", unreadable_since=SINCE)
    set_lamps(monitor, state)
    text = (await see(start)).section("unreadable").text
    assert "Lamps that cannot be read: 1" in text
    assert "there is no answer in time (timeout) timeout: session no answer 15 min 15 min ago never" in text


async def test_void_checks_and_those_never_up_are_apart_from_outages(start: Any, monitor: Monitor) -> None:
    void = CheckState(up=True, ever_up=True, last_run=SINCE, reason="auth", step="log-in", void=True)
    set_check(monitor, "https", void)
    set_check(monitor, "ssh", CheckState(up=False, last_run=SINCE, reason="timeout", step="connect"))
    page = await see(start)
    assert 'id="incidents"' not in page.source
    assert "Void checks (our own side's fault): 1" in page.section("void").text
    assert "web01 https c0001 株式会社サンプル our monitoring's credentials were rejected" in page.section("void").text
    assert "Checks that never succeeded: 1" in page.section("never-up").text
    assert "web01 ssh c0001" in page.section("never-up").text


async def test_what_was_up_before_a_restart_is_not_called_up(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", restored(CheckState(up=True, ever_up=True, last_run=SINCE)))
    set_check(monitor, "ssh", CheckState(up=True, ever_up=True, last_run=SINCE))
    assert "○ not tried yet 1 · ● up 1" in (await see(start)).section("servers").text


async def test_when_nothing_is_wrong_it_says_so(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.NORMAL))
    text = (await see(start)).section("now").text
    assert "Nothing is known to be wrong" in text
    assert "1 ● server with normal lamps" in text


async def test_a_server_in_maintenance_is_marked_and_its_window_is_told(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    await monitor.maintenance.configure([MaintenanceWindow(SINCE, SINCE * 2, "memory", site="ogaki")])
    page = await see(start)
    assert "web01 in maintenance" in page.section("incidents").text
    assert "Site ogaki in maintenance 01-15 17:00:00" in page.section("maintenance").text


@pytest.mark.parametrize(
    ("system", "managed", "told"),
    [
        ("rhel-7", True, "limited support (サーバ保守限定サポート) until 2027-03-31"),
        ("centos-8", True, "contract ended with 2026-03-31"),
        ("rhel-7", False, ""),
        ("rhel-9", True, ""),
    ],
)
async def test_a_managed_server_says_how_long_its_system_is_supported(
    start: Any, monitor: Monitor, system: str, managed: bool, told: str
) -> None:
    web01 = replace(monitor.config.servers["web01"], os=system, managed=managed)
    monitor.config = replace(monitor.config, servers={**monitor.config.servers, "web01": web01})
    text = (await see(start)).section("servers").text
    assert told in text
    assert ("support" in text or "contract" in text) is bool(told)


async def test_an_incident_that_recovered_says_what_holds_it(start: Any, monitor: Monitor) -> None:
    event = opening(Kind.REBOOT_REQUEST, monitor.config.servers["web01"], SINCE, ZoneInfo("Asia/Tokyo"), "運用担当")
    monitor.duties.incidents.take_in([event])
    page = await see(start)
    assert "nobody has said yet that it was done" in page.section("incidents").text
    assert "/incidents/web01-20270115-170000-reboot" in page.links()


async def test_reports_that_are_owed_are_listed_with_when_they_are_due(start: Any, monitor: Monitor) -> None:
    for kind, due in ((Kind.OUTAGE, SINCE + DAY), (Kind.LAMP, SINCE)):
        event = opening(kind, monitor.config.servers["web01"], SINCE - DAY, ZoneInfo("Asia/Tokyo"))
        drafted = IncidentEvent(event.incident, What.REPORT_DRAFTED, SINCE - DAY, data={"due": due})
        monitor.duties.incidents.take_in([event, drafted])
    text = (await see(start)).section("reports").text
    late = "web01-20270114-170000-lamp c0001 株式会社サンプル web01 01-14 17:00:00 ■ late draft 01-15 17:00:00"
    later = "web01-20270114-170000 c0001 株式会社サンプル web01 01-14 17:00:00 draft 01-16 17:00:00"
    assert "Outage reports that are owed: 2" in text
    assert "/servers/web01" in (await see(start)).section("reports").links()
    assert text.index(late) < text.index(later)


async def test_the_help_desks_hours_are_told(start: Any, monitor: Monitor) -> None:
    # Friday, 2027-01-15 17:15
    assert "Help desk closed, opens 2027-01-18 10:00:00 JST" in (await see(start)).text


async def test_the_monitorings_own_troubles_are_told(start: Any, monitor: Monitor) -> None:
    monitor.ready = False
    monitor.progress = "1,000 of 10,000 servers taken in"
    monitor.telemetry.reload_successful.set(0)
    monitor.telemetry.reload_timestamp.set(SINCE / 1000)
    monitor.telemetry.ledger_errors.inc(2)
    monitor.telemetry.vantage_up.set(0)
    settings = replace(monitor.config.settings, vantage=(VantageAddress("192.0.2.1", 53),), notices="ledger")
    monitor.config = replace(monitor.config, settings=settings, mail=MAIL)
    monitor.notices.take_over(monitor.config)
    monitor.chain._watchdog = monitor.clock.now().monotonic - 6 * MINUTE
    text = (await see(start)).section("monitoring").text
    for trouble in (
        "Monitoring ■ Attention starting: 1,000 of 10,000 servers taken in",
        "Configuration ■ Attention the last reload failed; that of 2027-01-15 17:00:00 JST stays in force",
        "Ledger ■ Attention 2 batches could not be written",
        "Our own uplink ■ Attention lost",
        "Chain of alerts ■ Attention no Watchdog for 6 min",
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
    pages = [await see(start, path) for path in ("/", f"/?q={'%3Cscript%3E'}&site=%22%3E%3Cimg%20src%3Dx%3E")]
    for page in pages:
        assert [given for tag, given in page.tags if tag == "script"] == [
            {"src": assets.address("live.js"), "defer": None}
        ]
        assert "img" not in {tag for tag, _ in page.tags}
        assert all(not name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert pages[0].text.count("<script>alert(1)</script>") >= 8
    assert "{{ 7 * 7 }}" in pages[0].text


async def test_a_long_answer_of_a_server_is_cut(start: Any, monitor: Monitor) -> None:
    set_lamps(monitor, lamp(Verdict.CRITICAL, evidence="x" * 100_000))
    text = (await see(start)).text
    assert "x" * layout.LONGEST + " ..." in text
    assert "x" * (layout.LONGEST + 1) not in text


def whole_fleet(ill: int, sites: int = 12) -> Fleet:
    """Return 10,000 servers with 12 checks each, of which every ``ill``-th is down with all of them, lamps lit."""
    now, opened = Moment(0, SINCE), opening(Kind.OUTAGE, Server("s", "c", True, "192.0.2.1"), SINCE, TOKYO)
    protocols = ("http", "https", "smtp", "smtps", "pop", "imap", "ftp", "ssh", "postgresql", "mysql", "dns", "ldap")
    customers: dict[str, Customer] = {}
    fleet = Fleet(now, customers, HEALTH, ())
    options, timing = Options(), Timing()
    for number in range(10_000):
        name, customer = f"server{number:05}", f"c{number // 8:05}"
        checks = tuple(Check(name, each, each, "192.0.2.1", "", options, timing) for each in protocols)
        site, rack = f"site{number % sites:02}", f"R{number // 480:02}"
        server = Server(name, customer, True, "192.0.2.1", os="rhel-7", site=site, rack=rack, checks=checks)
        contacts = tuple(
            Contact(f"運用担当{each}", f"ops{each}@{customer}.example", "+81-584-00-0000") for each in "abc"
        )
        customers[customer] = Customer(customer, f"株式会社サンプル{customer}", contacts=contacts)
        down = number % ill == 0
        state = State.DOWN if down else State.UP
        standings = tuple((each, state, False) for each in protocols)
        verdict = Verdict.CRITICAL if down else Verdict.NORMAL
        fleet.glances.append(Glance(server, verdict, down, False, standings, down))
        if not down:
            continue
        response = Response(2, NextStep.REBOOT)
        fleet.responses[name] = response
        fleet.outages += [CheckSeen(check, server, DOWN, pack(SINCE, None, said("<" * 9000))) for check in checks]
        incident = replace(folded([opened])[opened.incident], id=f"{name}-20270115-170000", server=name)
        fleet.incidents.append(IncidentSeen(incident, server, response, ()))
        source = SourceSeen("ipmi", server, lamp(Verdict.CRITICAL, "Drive 3", "x" * 1000))
        fleet.abnormal += [LampSeen(source, each) for each in source.state.lamps.values()]
    return fleet


@pytest.mark.parametrize(("ill", "sites"), [(1, 12), (1, 400), (10, 1), (100_000, 12)])
def test_every_view_of_10000_servers_stays_below_500_kb(ill: int, sites: int) -> None:
    fleet = whole_fleet(ill, sites)
    for address in ("/", "/?site=site03", "/?site=site03&rack=R07", "/?state=down", "/?q=server0&page=3"):
        asked = Asked(Reader("ja", "auto", trusted=True), URL(address))
        made = layout.Made.of(asked, front.shown(fleet, asked), Words("ja", TOKYO, SINCE))
        assert len(made.body) < 500_000, address


def test_a_fleet_too_large_for_one_wall_is_summed_up_by_site_and_opened_by_links() -> None:
    fleet = whole_fleet(1000)
    seen = {}
    for address in ("/", "/?site=site00", "/?site=site00&rack=R00"):
        asked = Asked(Reader("en", "auto", trusted=True), URL(address))
        made = layout.Made.of(asked, front.shown(fleet, asked), Words("en", TOKYO, SINCE))
        seen[address] = Elements(made.body.decode()).section("wall")
    assert "site00" in seen["/"].text
    assert "4 down" in seen["/"].text
    assert "/servers/server00000" in seen["/"].links()  # what is ill is shown all the same
    assert "/servers/server00012" not in seen["/"].links()
    assert "/?site=site00&rack=R00" in seen["/?site=site00"].links()
    assert "/servers/server00012" in seen["/?site=site00&rack=R00"].links()


async def test_filters_combine_and_each_can_be_taken_out_by_a_link(start: Any, monitor: Monitor, servers: Any) -> None:
    await monitor._apply(servers(["web01", "web02", "web03"]))
    for name, check in (("web01", "https"), ("web02", "ssh")):
        entry = monitor.schedule.get((name, check))
        assert entry
        entry.state = DOWN

    async def shown(query: str) -> list[str | None]:
        page = (await see(start, f"/?{query}")).section("servers")
        return [link.rpartition("/")[2] for link in page.links() if link.startswith("/servers/")]

    assert await shown("state=down") == ["web01", "web02"]
    assert await shown("state=down&protocol=ssh") == ["web02"]
    assert await shown("state=down&protocol=ssh&q=web01") == []
    assert await shown("verdict=unknown&site=ogaki&rack=A-03&customer=c0001") == ["web01", "web02", "web03"]
    assert await shown("verdict=normal") == await shown("site=-") == await shown("rack=B-01") == []
    page = (await see(start, "/?state=down&site=ogaki")).section("filter")
    assert "Site: ogaki ✕ : take out State: down ✕ : take out" in page.text
    assert {"/?state=down", "/?site=ogaki", "/"} <= set(page.links())


async def test_a_filter_hides_no_outage_without_saying_so(start: Any, monitor: Monitor) -> None:
    set_check(monitor, "https", DOWN)
    page = await see(start, "/?site=nowhere")
    assert "1 server that is down is hidden by the filter" in page.section("now").text
    assert 'id="incidents"' not in page.source


async def test_whether_the_customer_was_told_is_said_where_the_contract_asks_for_it(
    start: Any, monitor: Monitor, clock: Clock
) -> None:
    config = replace(monitor.config, settings=replace(monitor.config.settings, notices="ledger"), mail=MAIL)
    monitor.config = config
    monitor.notices.take_over(config)
    set_check(monitor, "https", DOWN)
    begun = opening(Kind.OUTAGE, config.servers["web01"], SINCE, TOKYO)
    down = {"reason": "refused", "step": "connect"}
    events = [begun, IncidentEvent(begun.incident, What.CHECK_DOWN, SINCE, "https", down)]
    limit = IncidentEvent(begun.incident, What.LIMIT_REACHED, SINCE + 10 * MINUTE, "https")
    told = IncidentEvent(begun.incident, What.TOLD, SINCE + 11 * MINUTE, "運用担当", {"by": "phone"})
    for event, says in ((events[1], "not due yet"), (limit, "■ not told yet"), (told, "01-15 17:11:00")):
        monitor.duties.incidents.take_in([*events, event])
        clock.passed += MINUTE
        assert (await see(start)).section("incidents").text.rstrip().endswith(says)


@pytest.mark.parametrize(("notices", "says"), [("ledger", "■ not told yet"), ("alertmanager", "by Alertmanager")])
async def test_without_mail_nobody_is_said_to_tell_the_customer_but_who_does(
    start: Any, monitor: Monitor, notices: Any, says: str
) -> None:
    monitor.config = replace(monitor.config, mail=None, settings=replace(monitor.config.settings, notices=notices))
    monitor.notices.take_over(monitor.config)
    set_check(monitor, "https", DOWN)
    begun = opening(Kind.OUTAGE, monitor.config.servers["web01"], SINCE, TOKYO)
    down = IncidentEvent(begun.incident, What.CHECK_DOWN, SINCE, "https", {"reason": "refused", "step": "connect"})
    limit = IncidentEvent(begun.incident, What.LIMIT_REACHED, SINCE + 10 * MINUTE, "https")
    monitor.duties.incidents.take_in([begun, down, limit])
    page = await see(start)
    assert page.section("incidents").text.rstrip().endswith(says)
    assert ("nobody is mailed; call the customers" in page.section("monitoring").text) == (notices == "ledger")


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
    page = await see(start)
    assert len(page.source.encode()) < 500_000
    assert "1,000 servers are down" in page.text
    assert "940 more are not listed here." in page.section("incidents").text
    assert "Page 1 of 20" in page.text


async def test_every_server_is_on_one_of_the_pages(start: Any, large: Monitor) -> None:
    client = await start()
    names: list[str] = []
    path = "/?page=1"
    for _ in range(30):
        _, text = await client.get(path, headers={"Accept-Language": "en"})
        names += re.findall(r'<a href="/servers/(s\d{4})">', text.partition('id="servers"')[2])
        following = re.search(r'href="(/\?page=\d+)#servers" rel="next"', text)
        if not following:
            break
        path = following[1].replace("&amp;", "&")
    assert names == [f"s{number:04}" for number in range(1_000)]


@pytest.mark.parametrize("number", ["0", "-1", "x", "99999999999999999999", "²", "٣"])
async def test_a_page_number_that_is_none_gives_a_page(start: Any, large: Monitor, number: str) -> None:
    client = await start()
    status, text = await client.get("/", params={"page": number}, headers={"Accept-Language": "en"})
    assert status == 200
    assert re.search(r"Page \d+ of 20", text)


async def test_servers_are_found_by_name_customer_site_and_rack(start: Any, large: Monitor) -> None:
    for query, found in (("S0007", "1"), ("c0001", "1,000"), ("a-03", "1,000"), ("nowhere", "0")):
        page = await see(start, f"/?q={query}")
        assert f"Servers: {found}" in page.section("servers").text


async def test_the_fleet_is_not_looked_through_again_for_every_reader(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()
    looked: list[str] = []
    real = monitor.schedule.server

    def server(name: str) -> Any:
        looked.append(name)
        return real(name)

    monkeypatch.setattr(monitor.schedule, "server", server)
    for query in ("nowhere", "web", "c0001"):
        await client.get("/", params={"q": query})
    assert len(looked) <= 1


async def test_who_comes_while_a_look_is_under_way_sees_the_last_one_unless_that_is_old(
    monitor: Monitor, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = Look(monitor)
    before = await look.fleet()
    going_on = asyncio.Event()
    real = look._look

    async def slow(now: Moment) -> Fleet:
        await going_on.wait()
        return await real(now)

    monkeypatch.setattr(look, "_look", slow)
    monkeypatch.setattr("exporter.web.pages.fleet.PATIENCE", 0.01)
    clock.passed = 20 * SECOND
    assert await look.fleet() is before
    clock.passed = 31 * SECOND
    waits = asyncio.create_task(look.fleet())
    await asyncio.wait([waits], timeout=0.05)
    assert not waits.done()
    going_on.set()
    assert await waits is not before


async def test_an_inventory_that_was_replaced_is_not_kept(monitor: Monitor, servers: Any) -> None:
    look = Look(monitor)
    await look.fleet()
    old = weakref.ref(monitor.config)
    monitor.config = servers(["web02"])
    monitor.duties.take_over(monitor.config)
    monitor.notices.take_over(monitor.config)
    monitor.mirror.take_over(monitor.config)
    gc.collect()
    assert old() is None
    assert [glance.server.name for glance in (await look.fleet()).glances] == ["web02"]
