"""The demo as a whole: it starts, is watched by a configuration that production would accept, and leaves nothing."""

import asyncio
import logging
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from collectors.failures import CheckFailure, Refused, TimedOut
from collectors.reading import HardwareReading, Lamp, ServiceReading, Verdict, worst
from exporter.clock import Moment
from exporter.config import load
from exporter.demo import Demo
from exporter.demo.fleet import CUSTOMERS
from exporter.demo.story import ROUND, SCENES
from exporter.families import FAMILIES
from exporter.inventory import Config
from exporter.lamps import LampRead, server_verdict
from exporter.lampwatch import read_once, reader_of
from exporter.probe import as_confirmed
from exporter.runner import run_once
from exporter.secrets import Secrets


class VirtualTime:
    """Sleeps that end when the test says so, one after the other."""

    def __init__(self) -> None:
        self.now = 0.0
        self.asleep = asyncio.Event()
        self._wake = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.due = self.now + seconds
        self.asleep.set()
        await self._wake.wait()
        self._wake.clear()

    async def step(self) -> None:
        """Go to the end of the sleep, and wait for the next one."""
        await asyncio.wait_for(self.asleep.wait(), 10)
        self.asleep.clear()
        self.now = self.due
        self._wake.set()
        await asyncio.wait_for(self.asleep.wait(), 10)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's temporary folders go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def names_in(folder: Path) -> list[str]:
    return [entry.name for entry in folder.iterdir()]


def ports_of(demo: Demo) -> set[tuple[str, int]]:
    bmcs = {("udp", server.bmc.port) for server in demo.fleet}
    bmcs |= {("udp", demo.fleet["web02"].idrac.port), ("tcp", demo.fleet["app01"].redfish.port)}
    return bmcs | {("tcp", endpoint.port) for server in demo.fleet for endpoint in server.endpoints.values()}


@pytest.fixture
def time() -> VirtualTime:
    return VirtualTime()


@pytest.fixture
async def demo(folder: Path, time: VirtualTime) -> AsyncIterator[Demo]:
    async with Demo(time.sleep) as demo:
        yield demo


@pytest.fixture
def config(demo: Demo) -> Config:
    config, _ = load(demo.config_file)
    return config


def test_the_configuration_is_accepted_without_a_warning(demo: Demo) -> None:
    _, warnings = load(demo.config_file)
    assert warnings == ()


def test_it_is_a_dozen_servers_of_four_customers_with_a_bmc_each(config: Config) -> None:
    assert len(config.servers) == 12
    assert len(config.customers) == 4
    others = {server.name: [source.kind for source in server.lamps[1:]] for server in config.servers.values()}
    assert {name: kinds for name, kinds in others.items() if kinds} == {"web02": ["snmp"], "app01": ["redfish"]}
    endpoints = {(server.lamps[0].options.address, server.lamps[0].options.port) for server in config.servers.values()}  # type: ignore[attr-defined]  # the IPMI options
    assert len(endpoints) == 12
    assert {check.protocol for check in config.checks()} == {"ssh", "http", "https"}


def test_some_are_special_a_managed_one_is_watched_and_an_unmanaged_one_is_not(config: Config) -> None:
    assert not config.servers["lab01"].managed
    assert not config.servers["lab01"].checks
    assert not config.servers["spare01"].power_expected
    watched = [server for server in config.servers.values() if server.managed and server.power_expected]
    assert len(watched) == 10
    assert all(2 <= len(server.checks) <= 3 and server.login_check == "ssh" for server in watched)


def test_everything_is_marked_as_a_demo_and_stays_on_loopback(config: Config, demo: Demo) -> None:
    assert demo.config_file.read_text("utf-8").startswith("# DEMO")
    assert all(server.site.endswith("-demo") for server in config.servers.values())
    assert all(server.address == "127.0.0.1" for server in config.servers.values())
    assert all(not check.address or check.address == "127.0.0.1" for check in config.checks())
    assert config.mail is None


@pytest.mark.parametrize(("credential", "secret"), [("bmc", "password"), ("community", "community")])
def test_secrets_are_in_files_that_only_we_can_read(demo: Demo, config: Config, credential: str, secret: str) -> None:
    file = config.credentials[credential].secrets[secret].file
    assert file is not None
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert file.read_text() not in demo.config_file.read_text("utf-8")


async def test_two_demos_run_side_by_side(demo: Demo) -> None:
    async with Demo() as other:
        ports = [ports_of(demo), ports_of(other)]
        assert not ports[0] & ports[1]


async def test_nothing_stays_behind(folder: Path) -> None:
    async with Demo() as demo:
        port = next(iter(demo.fleet["web01"].endpoints.values())).port
        assert names_in(folder)
    assert names_in(folder) == []
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)


# -- the story ------------------------------------------------------------------------------------------------------


class Exporter:
    """Sees the fleet with the exporter's own collectors, now."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._secrets = Secrets(config.credentials)

    async def lamps(self, server: str, seconds: float = 20.0, kind: str = "ipmi") -> HardwareReading | CheckFailure:
        [source] = [source for source in self._config.servers[server].lamps if source.kind == kind]
        return await read_once(source, reader_of(source), self._secrets, seconds)

    async def lamp(self, server: str, kind: str, component: str) -> tuple[Lamp, Verdict | None]:
        reading = await self.lamps(server, kind=kind)
        assert isinstance(reading, HardwareReading), reading
        [found] = [lamp for lamp in reading.lamps if component in lamp.component]
        return found.lamp, found.verdict

    async def verdict(self, server: str) -> Verdict:
        """As it is once each of its sources was read twice."""
        states = []
        for source in self._config.servers[server].lamps:
            reading = await self.lamps(server, kind=source.kind)
            states.append(as_confirmed(LampRead(Moment(0, 1), reading, 0.1), self._config.servers[server]))
        return server_verdict(states)

    async def locate(self, server: str, kind: str) -> bool | None:
        reading = await self.lamps(server, kind=kind)
        assert isinstance(reading, HardwareReading), reading
        return reading.locate

    async def service(self, server: str, name: str) -> ServiceReading:
        (check,) = [check for check in self._config.servers[server].checks if check.name == name]
        return await run_once(check, self._secrets, 20.0)


@pytest.fixture
def exporter(config: Config) -> Exporter:
    return Exporter(config)


async def test_at_first_all_is_well_but_one_certificate(exporter: Exporter, config: Config) -> None:
    for source in config.sources():
        reading = await exporter.lamps(source.server, kind=source.kind)
        assert isinstance(reading, HardwareReading), reading
        assert worst(lamp.verdict for lamp in reading.lamps if lamp.verdict is not None) is Verdict.NORMAL, reading
        assert reading.power is (source.server != "spare01")
        assert reading.locate is (source.server == "batch01")
    failures = {}
    for check in config.checks():
        outcome = await exporter.service(check.server, check.name)
        if outcome.failure:
            failures[check.key] = outcome.failure.reason
    assert failures == {("app02", "https"): "certificate"}


async def test_every_scene_is_seen_by_the_exporters_own_collectors(
    time: VirtualTime, demo: Demo, exporter: Exporter
) -> None:
    async def drive_2() -> Verdict | None:
        lamp, verdict = await exporter.lamp("db01", "ipmi", "Drive 2")
        assert lamp is Lamp.DRIVE
        return verdict

    telling = asyncio.create_task(demo.story())
    for _ in range(2):
        assert await drive_2() is Verdict.NORMAL
        await time.step()
        assert await drive_2() is Verdict.WARNING
        await time.step()
        assert await exporter.lamp("web02", "snmp", "PS2") == (Lamp.POWER_SUPPLY, Verdict.WARNING)
        assert await exporter.lamp("web02", "ipmi", "PS2") == (Lamp.POWER_SUPPLY, Verdict.NORMAL)
        assert await exporter.verdict("web02") is Verdict.WARNING
        await time.step()
        assert isinstance(await exporter.lamps("file01", seconds=0.3), TimedOut)
        await time.step()
        assert isinstance((await exporter.service("shop01", "https")).failure, Refused)
        await time.step()
        assert await exporter.lamp("app01", "redfish", "Bay 3") == (Lamp.DRIVE, Verdict.WARNING)
        assert await exporter.verdict("app01") is Verdict.WARNING
        await time.step()
        assert await drive_2() is Verdict.CRITICAL
        before = await exporter.verdict("app01")
        await time.step()
        assert await exporter.locate("app01", "redfish")
        assert await exporter.verdict("app01") is before
        await time.step()
        assert (await exporter.service("shop01", "https")).failure is None
        await time.step()
        assert await exporter.verdict("web02") is Verdict.NORMAL
        await time.step()
        assert await exporter.verdict("app01") is Verdict.NORMAL
        assert not await exporter.locate("app01", "redfish")
        await time.step()
        assert isinstance(await exporter.lamps("file01"), HardwareReading)
        await time.step()
        assert await drive_2() is Verdict.NORMAL
        await time.step()
    assert time.now == 2 * ROUND
    assert demo.fleet["app01"].redfish.open_sessions == 0
    telling.cancel()


async def test_it_is_told_in_plain_words_within_two_minutes_and_every_line_says_demo(
    time: VirtualTime, demo: Demo, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "demo")
    telling = asyncio.create_task(demo.story())
    for _ in SCENES:
        await time.step()
    telling.cancel()
    assert time.now <= 120
    lines = [record.getMessage() for record in caplog.records if record.name == "demo"]
    assert all(line.startswith("DEMO 0") for line in lines)
    assert "12 servers" in lines[0]
    story = "\n".join(lines)
    for words in (
        "00:15 db01: drive 2",
        "its lamp turns amber",
        "service dies",
        "is back",
        "BMC stops answering",
        "never a fault",
    ):
        assert words in story
    assert lines[-1].endswith("the story begins anew at 05:00")
    assert '"' not in story, "logfmt would escape it"


async def test_watched_by_a_configuration_of_ones_own_the_outage_outlasts_its_limit(
    time: VirtualTime, folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "demo")
    file = folder / "dserver.yml"
    customers = ", ".join(
        f"{{id: {customer['id']}, name: x, contacts: [{{name: x, email: x@x.example}}]}}" for customer in CUSTOMERS
    )
    file.write_text(f"include: [fleet/servers.yml]\nglobal: {{outage_notice_after: 10m}}\ncustomers: [{customers}]\n")
    async with Demo(time.sleep, folder / "fleet", file) as demo:
        config, _ = load(file)
        assert len(config.servers) == len(demo.fleet)
        telling = asyncio.create_task(demo.story())
        for _ in SCENES:
            await time.step()
        telling.cancel()
    lines = [record.getMessage() for record in caplog.records if record.name == "demo"]
    assert f"{file} says who is told of what; of an outage after 10m" in "\n".join(lines)
    [dies, returns] = [seconds(line) for line in lines if "shop01: its https service" in line]
    assert returns - dies == 1000
    assert "After 10m its customer is to be told" in "\n".join(lines)
    assert stat.S_IMODE((folder / "fleet").stat().st_mode) == 0o700


def seconds(line: str) -> int:
    minutes, _, rest = line.removeprefix("DEMO ").partition(":")
    return 60 * int(minutes) + int(rest[:2])


def test_every_series_that_the_story_names_exists() -> None:
    names = {family.name: family.labels for family in FAMILIES}
    for scene in SCENES:
        name, _, selector = scene.watch.rstrip("}").partition("{")
        labels = {pair.partition("=")[0] for pair in selector.split(",")}
        assert labels <= set(names[name]), scene.watch
