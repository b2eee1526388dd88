"""The whole path from a configuration file to metrics, with reloads and restarts, on services of the test's own."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import cast

import pytest
import sqlalchemy as sa

from collectors.reading import Verdict
from collectors.registry import Options
from exporter.cli import main
from exporter.clock import SystemClock
from exporter.config import ConfigError
from exporter.contract.incidents import Held, Hold, IncidentEvent, What, holding
from exporter.demo.endpoints import SSH_GREETING
from exporter.desk import Desk
from exporter.families import Selection
from exporter.inventory import Check, Timing
from exporter.ledger import Ledger, append, beside, check_event, events, incident_events, incident_record
from exporter.monitor import Monitor
from exporter.outage import Phase, Transition
from tests.peers.process import free_udp_port
from tests.peers.snmptrap import Sender, snmptrap

__all__ = ["snmptrap"]  # a fixture

AT = 1_795_653_000_000  # Thursday, 2026-11-26 09:30:00 in Japan
HEAD = """\
global: {interval: 800ms, recheck_interval: 500ms, timeout: 400ms, outage_notice_after: 1s}
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: ops@customer.example}]}
servers:
"""


class Greeting(asyncio.Protocol):
    """Greets, and hangs up when it is greeted."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(SSH_GREETING)

    def data_received(self, _data: bytes) -> None:
        self._transport.close()


class Greeter:
    """A server that greets as SSH does; it can be stopped and started again on its port."""

    def __init__(self) -> None:
        self.port = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> "Greeter":
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(Greeting, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def stop(self) -> None:
        if self._server:
            self._server.close()
            await self._server.wait_closed()
            self._server = None


class Site:
    """A configuration file, a ledger folder, and the monitor that runs on them."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "dserver.yml"
        self.storage = folder / "data"
        self.monitor: Monitor
        self._ledger: Ledger | None = None

    def write(self, *servers: str) -> None:
        self.file.write_text(HEAD + "".join(f"  - {server}\n" for server in servers), encoding="utf-8")

    async def start(self) -> None:
        self._ledger = Ledger.open(self.storage, SystemClock())
        self.monitor = Monitor(self.file, self._ledger, SystemClock())
        await self.monitor.start()

    async def stop(self) -> None:
        if self._ledger:
            await self.monitor.stop()
            self._ledger.close()
            self._ledger = None

    def lines(self, family: str, **labels: str) -> list[str]:
        text = b"".join(self.monitor.exposition.chunks(list(Selection))).decode()
        wanted = [f'{name}="{value}"' for name, value in labels.items()]
        return [
            line
            for line in text.splitlines()
            if line.startswith((family + "{", family + " ")) and all(each in line for each in wanted)
        ]

    def value(self, family: str, **labels: str) -> float | None:
        found = self.lines(family, **labels)
        assert len(found) <= 1
        return float(found[0].rsplit(" ", 1)[1]) if found else None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the conditions are about what was published
                await asyncio.sleep(0.01)


def server(name: str, port: int, extra: str = "", check_name: str = "ssh") -> str:
    check = f"{{protocol: ssh, name: {check_name}, port: {port}}}"
    return f"{{name: {name}, customer: c0001, address: 127.0.0.1, services: [{check}]{extra}}}"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    yield made
    await made.stop()


@pytest.fixture
async def greeter() -> AsyncIterator[Greeter]:
    made = await Greeter().start()
    yield made
    await made.stop()


async def test_a_service_is_up_goes_down_with_a_reason_and_comes_back(site: Site, greeter: Greeter) -> None:
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 0)
    assert site.value("dserver_service_failure_info", reason="refused", step="connect") == 1
    await site.until(lambda: (site.value("dserver_service_outage_seconds", check="ssh") or 0) >= 1)
    await greeter.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    assert site.value("dserver_service_outage_seconds", check="ssh") == 0


async def test_the_response_level_rises_with_the_second_failed_log_in_and_falls_with_the_recovery(
    site: Site, greeter: Greeter
) -> None:
    site.write(server("web01", greeter.port, ", login_check: ssh"))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    assert site.value("dserver_response_level", server="web01") == 0
    await greeter.stop()
    await site.until(lambda: site.value("dserver_response_level", server="web01") == 1)
    await site.until(lambda: site.value("dserver_response_level", server="web01") == 2)
    await greeter.start()
    await site.until(lambda: site.value("dserver_response_level", server="web01") == 0)


async def test_an_outage_is_an_incident_until_its_recovery_lasts_and_its_lamps_were_seen(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.outage.LASTING", 1)
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    assert not site.lines("dserver_incident_open")
    await greeter.stop()
    await site.until(lambda: bool(site.lines("dserver_incident_open", server="web01", kind="outage")))
    [incident] = site.monitor.duties.incidents.open()
    assert incident.down == ("ssh",)
    await greeter.start()
    await site.until(lambda: site.monitor.duties.incidents.open()[0].recovered is not None)
    assert holding(site.monitor.duties.incidents.open()[0], {}) == (Held(Hold.NO_SOURCE),)


async def test_an_incident_of_a_server_without_lamp_sources_ends_with_what_a_person_saw(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.outage.LASTING", 1)
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: bool(site.lines("dserver_incident_open")))
    await greeter.start()
    await site.until(lambda: site.monitor.duties.incidents.open()[0].recovered is not None)
    desk = Desk(site.storage, SystemClock())
    web01 = site.monitor.config.servers["web01"]
    desk.confirm_lamps(web01, Verdict.WARNING, "amber on bay 3", "sato")
    await site.until(lambda: site.value("dserver_lamp_verdict", server="web01", source="visual") == 1)
    assert site.lines("dserver_incident_open")
    desk.confirm_lamps(web01, Verdict.NORMAL, "all green", "sato")
    await site.until(lambda: not site.lines("dserver_incident_open"))
    assert site.value("dserver_server_lamp_verdict", server="web01") == 0
    now = site.monitor.clock.now()
    later = now.wall + site.monitor.config.settings.lamp_interval
    monkeypatch.setattr(site.monitor.clock, "now", lambda: type(now)(now.monotonic, later))
    await site.until(lambda: site.value("dserver_server_lamp_verdict", server="web01") == -1)
    assert not site.lines("dserver_lamp_verdict")


async def test_a_restart_in_the_middle_of_an_incident_goes_on_with_it(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.outage.LASTING", 1)
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: bool(site.lines("dserver_incident_open")))
    before = site.monitor.duties.incidents.open()
    await site.stop()
    await site.start()
    assert site.monitor.duties.incidents.open() == before
    await greeter.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await site.stop()
    await site.start()
    await site.until(lambda: site.monitor.duties.incidents.open()[0].recovered is not None)
    [incident] = site.monitor.duties.incidents.open()
    assert [each.id for each in before] == [incident.id]
    assert len(incident.outages["ssh"]) == 1


async def test_a_check_that_leaves_the_inventory_withdraws_its_incident_at_a_reload_and_at_a_restart(
    site: Site, greeter: Greeter
) -> None:
    other = await Greeter().start()
    site.write(server("web01", greeter.port), server("web02", greeter.port), server("web03", other.port))
    await site.start()
    for name in ("web01", "web02"):
        await site.until(lambda name=name: site.value("dserver_service_up", server=name) == 1)  # type: ignore[misc]
    await greeter.stop()
    await site.until(lambda: len(site.monitor.duties.incidents.open()) == 2)
    site.write(server("web02", greeter.port), server("web03", other.port))
    await site.monitor.reload()
    assert [incident.server for incident in site.monitor.duties.incidents.open()] == ["web02"]
    await site.stop()
    site.write(server("web03", other.port))
    await site.start()
    assert site.monitor.duties.incidents.open() == []
    assert not site.lines("dserver_incident_open")
    await other.stop()


async def test_the_ledger_says_when_a_check_is_gone_when_the_exporter_ran_and_whose_and_where_a_server_is(
    site: Site, greeter: Greeter
) -> None:
    def written(kind: str) -> list[tuple[str, str]]:
        with beside(site.storage) as connection:
            query = sa.select(events).where(events.c.kind == kind).order_by(events.c.id)
            return [(row.server, row.now) for row in connection.execute(query)]

    names = ("web01", "web02", "web03")
    site.write(*(server(name, greeter.port) for name in names))
    await site.start()
    for name in names:
        await site.until(lambda name=name: site.value("dserver_service_up", server=name) == 1)  # type: ignore[misc]
    site.write(server("web02", greeter.port), server("web03", greeter.port))
    await site.monitor.reload()
    assert written("check")[-1] == ("web01", "withdrawn")
    await site.stop()
    site.write(server("web03", greeter.port))
    await site.start()
    assert written("check")[-1] == ("web02", "withdrawn")
    assert written("exporter") == [("", "running"), ("", "stopped"), ("", "running")]
    leases = [*((name, "c0001") for name in names), ("web01", ""), ("web02", "")]
    assert written("lease") == leases
    site.file.write_text(site.file.read_text(encoding="utf-8").replace("c0001", "c0002"), encoding="utf-8")
    moved = site.file.read_text(encoding="utf-8").replace("name: web03,", "name: web03, site: ogaki,")
    site.file.write_text(moved, encoding="utf-8")
    await site.monitor.reload()
    assert written("lease") == [*leases, ("web03", "c0002")]
    assert written("site") == [("web03", "ogaki")]
    await site.stop()
    await site.start()
    assert written("site") == [("web03", "ogaki")]


async def test_what_a_person_writes_into_the_ledger_is_seen_by_the_server(site: Site, greeter: Greeter) -> None:
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: bool(site.lines("dserver_incident_open")))
    [incident] = site.monitor.duties.incidents.open()
    told = IncidentEvent(incident.id, What.TOLD, 1_800_000_000_000, "運用担当", {"by": "phone"})
    engine = sa.create_engine(f"sqlite:///{site.storage / 'ledger.db'}")
    with engine.begin() as connection:
        connection.execute(sa.insert(incident_events), [dict(incident_record(told).values)])
    engine.dispose()
    await site.until(
        lambda: site.value("dserver_outage_notified_timestamp_seconds", server="web01", check="ssh") == 1.8e9
    )


async def test_a_report_that_is_owed_is_published_until_somebody_sent_it_also_for_a_server_that_left(
    site: Site, greeter: Greeter
) -> None:
    over = [
        IncidentEvent("i", What.OPENED, AT, data={"kind": "outage", "server": "left01", "customer": "c0001"}),
        IncidentEvent("i", What.CHECK_DOWN, AT, "ssh", {"reason": "refused", "step": "connect"}),
        IncidentEvent("i", What.LIMIT_REACHED, AT + 600_000, "ssh", {"confirmed": 600_000}),
        IncidentEvent("i", What.CHECK_UP, AT + 700_000, "ssh"),
        IncidentEvent("i", What.RECOVERED, AT + 700_000),
        IncidentEvent("i", What.LAMPS_NORMAL, AT + 800_000),
        IncidentEvent("i", What.CLOSED, AT + 800_000),
    ]
    Ledger.open(site.storage, SystemClock()).close()
    with beside(site.storage) as connection:
        append(connection, over[:1] + over[1:5])
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: bool(site.lines("dserver_incident_report_due_timestamp_seconds")))
    due = site.value("dserver_incident_report_due_timestamp_seconds", server="left01", incident="i")
    assert due == 1_795_766_400  # 2026-11-27 17:00:00 in Japan
    with beside(site.storage) as connection:
        append(connection, over[5:])
    await site.until(lambda: not site.monitor.duties.incidents["i"].open)
    assert site.lines("dserver_incident_report_due_timestamp_seconds")
    await site.stop()
    await site.start()
    await site.until(lambda: bool(site.lines("dserver_incident_report_due_timestamp_seconds")))
    with beside(site.storage) as connection:
        append(
            connection,
            [
                IncidentEvent(
                    "i",
                    What.REPORT_SENT,
                    AT + 900_000,
                    "c",
                    {"by": "fax", "copy": "x", "page": "", "end": AT + 700_000},
                )
            ],
        )
    await site.until(lambda: not site.lines("dserver_incident_report_due_timestamp_seconds"))


async def test_a_start_that_takes_long_says_how_far_it_is(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exporter.monitor.PROGRESS_PERIOD", 0.01)
    monkeypatch.setattr("exporter.monitor.BREATH", 2)
    caplog.set_level(logging.INFO, "monitor")
    site.write(*(server(f"web{number}", greeter.port) for number in range(5)))
    starting = asyncio.create_task(site.start())
    told: list[str] = []
    while not starting.done():
        await asyncio.sleep(0)
        if hasattr(site, "monitor") and site.monitor.progress not in told:
            told.append(site.monitor.progress)
    await starting
    assert told == ["reading dserver.yml", "2 of 5 servers taken in", "4 of 5 servers taken in"]
    assert "reading dserver.yml, after 0 s" in caplog.text  # another process does that: we have time to tell
    await asyncio.sleep(0)
    assert not [task for task in asyncio.all_tasks() if "tell" in repr(task.get_coro())]


async def test_a_restart_keeps_down_since_and_the_evidence(site: Site, greeter: Greeter) -> None:
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: (site.value("dserver_service_outage_seconds", check="ssh") or 0) > 0.1)
    since = site.value("dserver_service_down_since_timestamp_seconds", check="ssh")
    confirmed = site.value("dserver_service_outage_seconds", check="ssh") or 0
    await site.stop()
    await site.start()
    assert site.value("dserver_service_down_since_timestamp_seconds", check="ssh") == since
    await site.until(lambda: (site.value("dserver_service_outage_seconds", check="ssh") or 0) > confirmed)
    assert site.value("dserver_service_down_since_timestamp_seconds", check="ssh") == since


async def test_a_reload_keeps_the_state_of_unchanged_checks_and_drops_the_series_of_removed_ones(
    site: Site, greeter: Greeter
) -> None:
    site.write(server("web01", greeter.port), server("web02", greeter.port))
    await site.start()
    await site.until(lambda: len(site.lines("dserver_service_up")) == 2)
    await greeter.stop()
    await site.until(lambda: site.value("dserver_service_up", server="web01") == 0)
    since = site.value("dserver_service_down_since_timestamp_seconds", server="web01")
    site.write(server("web01", greeter.port, ", rack: A-03"), server("web03", greeter.port))
    await site.monitor.reload()
    assert site.value("dserver_service_down_since_timestamp_seconds", server="web01") == since
    assert not site.lines("dserver_service_up", server="web02")
    assert not site.lines("dserver_server_info", server="web02")
    assert not site.lines("dserver_server_lamp_verdict", server="web02")
    assert site.lines("dserver_server_info", server="web01", rack="A-03")
    await site.until(lambda: site.value("dserver_service_up", server="web03") == 0)


async def test_a_changed_option_keeps_the_state_and_a_changed_protocol_or_address_starts_anew(
    site: Site, greeter: Greeter
) -> None:
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    await greeter.stop()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 0)
    since = site.value("dserver_service_down_since_timestamp_seconds", check="ssh")
    site.write(server("web01", greeter.port, ", hostname: web01.example"))
    await site.monitor.reload()
    assert site.value("dserver_service_down_since_timestamp_seconds", check="ssh") == since
    site.file.write_text(site.file.read_text().replace("127.0.0.1", "127.0.0.2"))
    await site.monitor.reload()
    assert site.value("dserver_service_down_since_timestamp_seconds", check="ssh") is None


async def test_a_bad_file_keeps_the_old_configuration_and_says_so_in_log_answer_and_metrics(
    site: Site, greeter: Greeter, caplog: pytest.LogCaptureFixture
) -> None:
    site.write(server("web01", greeter.port))
    await site.start()
    await site.until(lambda: site.value("dserver_service_up", check="ssh") == 1)
    site.file.write_text(site.file.read_text() + "nonsense: 1\n")
    with caplog.at_level(logging.ERROR, "monitor"), pytest.raises(ConfigError, match="nonsense"):
        await site.monitor.reload()
    assert "the old one stays in force" in caplog.text
    assert "dserver_exporter_config_last_reload_successful 0.0" in site.monitor.telemetry.render().decode()
    assert site.value("dserver_service_up", check="ssh") == 1
    site.write(server("web01", greeter.port))
    await site.monitor.reload()
    assert "dserver_exporter_config_last_reload_successful 1.0" in site.monitor.telemetry.render().decode()


async def test_a_scrape_before_the_first_reading_is_done_sees_no_failed_one(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, SystemClock())
    told = Monitor(tmp_path / "dserver.yml", ledger, SystemClock()).telemetry.render().decode()
    ledger.close()
    assert "dserver_exporter_config_last_reload_successful 1.0" in told


async def test_what_is_no_longer_in_the_inventory_at_a_restart_is_forgotten(site: Site, greeter: Greeter) -> None:
    site.write(server("web01", greeter.port), server("web02", greeter.port))
    await site.start()
    await site.until(lambda: len(site.lines("dserver_service_up")) == 2)
    await site.stop()
    site.write(server("web01", greeter.port))
    await site.start()
    assert set(site.monitor.ledger.check_states()) == {("web01", "ssh")}


async def test_a_bad_configuration_at_the_start_is_refused_with_its_problems(site: Site) -> None:
    site.write("{name: web01, customer: nobody, address: 127.0.0.1}")
    with pytest.raises(ConfigError, match="is not the id of a customer"):
        await site.start()


async def test_a_server_without_lamp_sources_is_unknown_and_one_that_cannot_be_read_says_why(
    site: Site, greeter: Greeter
) -> None:
    lamps = ", lamps: [{source: snmp, address: 127.0.0.1, version: 2c, credential: public}]"
    site.write(server("web01", greeter.port), server("web02", greeter.port, lamps))
    with site.file.open("a", encoding="utf-8") as file:
        file.write("credentials: {public: {community_env: COMMUNITY}}\n")
    await site.start()
    await site.until(lambda: bool(site.lines("dserver_lamp_check_failure_info", server="web02")))
    assert site.value("dserver_server_lamp_verdict", server="web01") == -1
    assert site.value("dserver_server_lamp_verdict", server="web02") == -1
    assert site.value("dserver_lamp_check_success", server="web02", source="snmp") == 0


async def test_a_maintenance_window_is_published_when_it_begins_and_ends(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.monitor.LEDGER_PERIOD", 0.02)
    site.write(server("web01", greeter.port))
    with site.file.open("a", encoding="utf-8") as file:
        window = "from: 2020-01-01T00:00+09:00, to: 2099-01-01T00:00+09:00"
        file.write(f"maintenance: [{{server: web01, {window}, reason: memory}}]\n")
    await site.start()
    assert site.value("dserver_server_maintenance", server="web01") == 1
    later = SystemClock().now().wall + 100 * 366 * 86_400_000
    now = site.monitor.clock.now()
    monkeypatch.setattr(site.monitor.clock, "now", lambda: type(now)(now.monotonic, later))
    await site.until(lambda: site.value("dserver_server_maintenance", server="web01") == 0)


async def test_a_window_entered_at_the_command_line_is_published_and_so_is_its_end(
    site: Site, greeter: Greeter, capsys: pytest.CaptureFixture[str]
) -> None:
    site.write(server("web01", greeter.port), server("web02", greeter.port))
    await site.start()

    async def maintenance(*arguments: str) -> None:
        where = (f"--storage.path={site.storage}", f"--config.file={site.file}")
        with pytest.raises(SystemExit):
            await asyncio.to_thread(main, ["maintenance", arguments[0], *where, *arguments[1:]])

    assert site.value("dserver_server_maintenance", server="web01") == 0
    await maintenance("add", "--server", "web01", "--to", "2099-01-01T00:00", "--reason", "memory")
    await site.until(lambda: site.value("dserver_server_maintenance", server="web01") == 1)
    assert site.value("dserver_server_maintenance", server="web02") == 0
    await site.stop()
    await site.start()
    assert site.value("dserver_server_maintenance", server="web01") == 1
    await maintenance("end", "1")
    await site.until(lambda: site.value("dserver_server_maintenance", server="web01") == 0)


async def test_what_has_been_over_for_three_years_is_forgotten_while_it_serves(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def moments() -> list[int]:
        with beside(site.storage) as connection:
            return list(connection.scalars(sa.select(events.c.at).where(events.c.kind == "check")))

    check = Check("web01", "ssh", "ssh", "127.0.0.1", "", Options(), Timing())
    ledger = Ledger.open(site.storage, SystemClock())
    await ledger.save([check_event(check, Transition(at, Phase.UP, Phase.DOWN)) for at in (1_000, 2_000)])
    ledger.close()
    monkeypatch.setattr("exporter.monitor.PRUNE_FIRST", 0)
    site.write("{name: web01, customer: c0001, address: 192.0.2.10}")
    await site.start()
    await site.until(lambda: moments() == [2_000])


async def test_business_hours_are_published_and_change_with_the_clock(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("exporter.monitor.CALENDAR_PERIOD", 0.02)
    site.write(server("web01", greeter.port))
    await site.start()
    now = site.monitor.clock.now()
    for wall, is_open in ((1_795_653_000_000, 0), (1_795_656_600_000, 1)):  # Thursday, 2026-11-26 09:30, 10:30 JST
        monkeypatch.setattr(site.monitor.clock, "now", lambda: type(now)(now.monotonic, wall))  # noqa: B023 - waited for
        await site.until(lambda: site.value("dserver_business_hours") == is_open)  # noqa: B023 - as above


async def test_the_coming_end_of_the_verified_holidays_is_logged(
    site: Site, greeter: Greeter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("exporter.monitor.CALENDAR_PERIOD", 0.02)
    site.write(server("web01", greeter.port))
    await site.start()
    now = site.monitor.clock.now()
    late = 1_825_642_800_000  # 2027-11-08
    monkeypatch.setattr(site.monitor.clock, "now", lambda: type(now)(now.monotonic, late))
    await site.until(lambda: "the public holidays of Japan are verified until 2027-12-31 only" in caplog.text)


async def test_a_trap_of_a_members_controller_makes_its_lamps_be_read_until_a_reload_takes_it_out(
    site: Site, snmptrap: Sender
) -> None:
    def write(*servers: str, port: int) -> None:
        site.write(*servers)
        with site.file.open("a", encoding="utf-8") as file:
            file.write(f"credentials: {{public: {{password_env: HOME}}}}\ntraps: {{listen: '127.0.0.1:{port}'}}\n")

    def reads() -> float | None:
        return site.value("dserver_lamp_check_last_run_timestamp_seconds", server="web01")

    def traps(result: str) -> bool:
        return f'dserver_exporter_traps_total{{result="{result}"}} 1.0' in site.monitor.telemetry.render().decode()

    closed, first, second = (free_udp_port() for _ in range(3))
    lamps = f"{{source: ipmi, address: 127.0.0.1, port: {closed}, credential: public}}"
    member = f"{{name: web01, customer: c0001, address: 192.0.2.10, lamps: [{lamps}]}}"
    write(member, port=first)
    await site.start()
    await site.until(lambda: reads() is not None)
    before = reads()
    await snmptrap.run("-v2c", "-c", "public", f"127.0.0.1:{first}", "", "1.3.6.1.6.3.1.1.5.1")
    await site.until(lambda: traps("reread") and reads() != before)
    write("{name: web01, customer: c0001, address: 192.0.2.10}", port=second)
    await site.monitor.reload()
    await snmptrap.run("-v2c", "-c", "public", f"127.0.0.1:{second}", "", "1.3.6.1.6.3.1.1.5.1")
    await site.until(lambda: traps("foreign"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", first))
        write(member, port=first)
        with pytest.raises(ConfigError, match="another program receives there"):
            await site.monitor.reload()
    assert "dserver_exporter_config_last_reload_successful 0.0" in site.monitor.telemetry.render().decode()
    assert not site.monitor.config.servers["web01"].lamps


async def test_traps_that_cannot_be_received_at_the_start_refuse_it_with_the_remedy(site: Site) -> None:
    site.write("{name: web01, customer: c0001, address: 192.0.2.10}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        with site.file.open("a", encoding="utf-8") as file:
            file.write(f"traps: {{listen: '127.0.0.1:{taken.getsockname()[1]}'}}\n")
        with pytest.raises(ConfigError, match=r"traps\.listen: SNMP traps cannot be received at .*stop it"):
            await site.start()
