"""Maintenance windows as silences of a real Alertmanager, which may be away."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from exporter.alertmanager_client import Access, AlertmanagerClient, Silence
from exporter.clock import HOUR, MINUTE, SECOND, Moment, SystemClock
from exporter.contract.maintenance import GRACE
from exporter.inventory import Alertmanager as Configured
from exporter.inventory import Config, MaintenanceWindow, Server
from exporter.ledger import Ledger, beside, window_end, window_record, write
from exporter.maintenance import Maintenance
from exporter.mirror import Mirror
from exporter.silences import author_of
from tests.peers.alertmanager import Alertmanager, cluster
from tests.peers.exporter import Exporter
from tests.peers.process import free_port

ROUTING = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
WEB01 = Server("web01", "c0001", managed=False, address="192.0.2.10", site="ogaki")
DB01 = Server("db.01", "c0001", managed=False, address="192.0.2.11", site="gifu")
APP01 = Server("app01", "c0002", managed=False, address="192.0.2.12", site="gifu")


@pytest.fixture(scope="module")
def real(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with Alertmanager(peer("alertmanager"), tmp_path_factory.mktemp("alertmanager"), ROUTING) as started:
        yield started


class Hand:
    """A clock that a test moves on from the real time: Alertmanager has one of its own."""

    ahead = 0

    def now(self) -> Moment:
        return Moment(0, int(time.time()) * SECOND + self.ahead)


class Serving:
    """What a serving exporter has of windows, and its mirror."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        self.ledger = ledger
        self.folder = folder
        self.clock = Hand()
        self.maintenance = Maintenance(ledger, self.clock)
        self.mirror = Mirror(clock=self.clock, ledger=ledger, maintenance=self.maintenance, access=Access)

    async def take_over(
        self, *servers: Server, urls: tuple[str, ...], windows: tuple[MaintenanceWindow, ...] = ()
    ) -> None:
        """Take in a configuration, as a start or a reload does, and mirror it."""
        await self.maintenance.configure(windows)
        self.mirror.take_over(
            Config(alertmanager=Configured(urls), servers={each.name: each for each in servers}, maintenance=windows)
        )
        await self.look()

    async def look(self) -> None:
        await self.maintenance.refresh()
        await self.mirror.look()

    async def enter(self, window: MaintenanceWindow) -> int:
        """Enter a window as the command line does, and mirror it."""
        with beside(self.folder) as connection:
            number = write(connection, window_record(window, self.clock.now().wall, "sato"))
        await self.look()
        return number

    async def end(self, number: int) -> None:
        with beside(self.folder) as connection:
            write(connection, window_end(number, self.clock.now().wall, "sato"))
        await self.look()

    async def shown(self, *urls: str) -> list[Silence]:
        """Return the silences of this exporter that are not over."""
        author = author_of(self.ledger.name())
        return [each for each in await listed(*urls) if each.author == author and each.state != "expired"]


async def listed(*urls: str) -> list[Silence]:
    with AlertmanagerClient(urls, Access()) as client:
        return await asyncio.to_thread(client.silences)


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Serving]:
    ledger = Ledger.open(tmp_path / "data", SystemClock())
    yield Serving(ledger, tmp_path / "data")
    ledger.close()


def window(
    begin: int = -MINUTE, reason: str = "メモリ増設", *, server: str = "", customer: str = "", site: str = ""
) -> MaintenanceWindow:
    now = int(time.time()) * SECOND
    return MaintenanceWindow(now + begin, now + begin + HOUR, reason, server, customer, site)


def scoped(scope: str, name: str) -> MaintenanceWindow:
    return replace(window(), **{scope: name})  # type: ignore[arg-type]  # names of scopes are fields of text


def silenced(real: Alertmanager, **labels: str) -> bool:
    [found] = [each for each in real.alerts() if labels.items() <= each["labels"].items()]
    return bool(found["status"]["silencedBy"])


@pytest.mark.parametrize(
    ("scope", "whose", "hit"),
    [
        ("server", "web01", {"web01"}),
        ("customer", "c0001", {"web01", "db.01"}),
        ("site", "gifu", {"db.01", "app01"}),
    ],
)
async def test_a_window_silences_the_customers_alerts_of_its_servers_and_never_the_nocs(
    real: Alertmanager, serving: Serving, scope: str, whose: str, hit: set[str]
) -> None:
    customers = {"web01": "c0001", "db.01": "c0001", "dbx01": "c0003", "app01": "c0002"}
    about = {"alertname": "ServiceOutage", "check": scope}
    for server, customer in customers.items():
        for notify in ("customer", "noc"):
            real.send({**about, "server": server, "customer_id": customer, "notify": notify}, {})
    await serving.take_over(WEB01, DB01, APP01, urls=(real.url,), windows=(scoped(scope, whose),))
    async with asyncio.timeout(10):
        # Alertmanager judges an alert's silences when it is asked for the alert
        while {name for name in customers if silenced(real, server=name, notify="customer", **about)} != hit:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not any(silenced(real, server=name, notify="noc", **about) for name in customers)
    serving.clock.ahead = 2 * HOUR
    await serving.look()
    assert await serving.shown(real.url) == []


async def test_windows_are_shown_as_they_are_entered_configured_and_ended_and_looking_twice_changes_nothing(
    real: Alertmanager, serving: Serving
) -> None:
    configured = window(HOUR, server="web01", reason="OS 更新")
    await serving.take_over(WEB01, DB01, urls=(real.url,), windows=(configured,))
    number = await serving.enter(window(customer="c0001"))
    await serving.enter(window(2 * HOUR, server="db.01", reason="x"))
    first = await serving.shown(real.url)
    assert sorted((each.comment, each.state) for each in first) == [
        ("maintenance 1: OS 更新", "pending"),
        (f"maintenance {number} (sato): メモリ増設", "active"),
        ("maintenance 3 (sato): x", "pending"),
    ]
    await serving.look()
    assert {each.id for each in await serving.shown(real.url)} == {each.id for each in first}
    await serving.end(number)
    ended = serving.clock.now().wall
    [left] = [each for each in await serving.shown(real.url) if each.state == "active"]
    assert abs(left.end - ended - GRACE) <= SECOND  # the customer is told ten minutes after the window
    await serving.end(3)
    await serving.take_over(WEB01, DB01, urls=(real.url,))  # the configuration has its window no longer
    assert [each.id for each in await serving.shown(real.url)] == [left.id]
    serving.clock.ahead = HOUR
    await serving.look()
    assert await serving.shown(real.url) == []


async def test_what_was_missed_or_changed_by_hand_is_put_right_after_a_restart_and_others_silences_stay(
    real: Alertmanager, serving: Serving
) -> None:
    booked = (window(server="web01"),)
    await serving.take_over(WEB01, urls=(real.url,), windows=booked)
    [made] = await serving.shown(real.url)
    persons = Silence(made.matchers, made.start, made.end, "suzuki", "mine")
    with AlertmanagerClient((real.url,), Access()) as client:
        client.expire(made.id)
        client.create(Silence(made.matchers, made.start, made.end, made.author, "maintenance 99: left over"))
        client.create(persons)
    again = Serving(serving.ledger, serving.folder)
    await again.take_over(WEB01, urls=(real.url,), windows=booked)
    assert [each.comment for each in await again.shown(real.url)] == [made.comment]
    assert [each.state for each in await listed(real.url) if each.author == "suzuki"] == ["active"]


async def test_a_server_that_moves_leaves_its_old_sites_silence_and_joins_the_new_ones(
    real: Alertmanager, serving: Serving
) -> None:
    booked = (window(site="gifu"),)

    async def servers() -> set[str]:
        [silence] = await serving.shown(real.url)
        return {matcher.value for matcher in silence.matchers if matcher.name == "server"}

    await serving.take_over(WEB01, DB01, urls=(real.url,), windows=booked)
    assert await servers() == {r"db\.01"}
    moved = Server("web01", "c0001", managed=False, address="192.0.2.10", site="gifu")
    await serving.take_over(moved, DB01, urls=(real.url,), windows=booked)
    assert await servers() == {r"db\.01|web01"}
    await serving.take_over(WEB01, urls=(real.url,), windows=())
    assert await serving.shown(real.url) == []


async def test_an_alertmanager_that_is_away_is_said_once_and_shown_all_when_it_is_back(
    peer: Callable[[str], str], serving: Serving, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    away = Alertmanager(peer("alertmanager"), tmp_path / "away", ROUTING)
    await serving.take_over(WEB01, urls=(away.url,), windows=(window(server="web01"),))
    await serving.look()
    assert serving.maintenance.covers(WEB01, serving.clock.now().wall)
    [said] = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert "maintenance windows hold, but Alertmanager does not show them as silences" in said
    assert "Connection refused" in said
    with away:
        await serving.look()
        assert len(await serving.shown(away.url)) == 1


async def test_of_a_cluster_the_member_that_is_up_is_used_and_both_show_the_windows_once(
    peer: Callable[[str], str], serving: Serving, tmp_path: Path
) -> None:
    with cluster(peer("alertmanager"), tmp_path / "cluster", ROUTING) as (first, second):
        first.kill()
        urls = (first.url, second.url)
        await serving.take_over(WEB01, urls=urls, windows=(window(server="web01"),))
        assert len(await serving.shown(second.url)) == 1
        first.start()
        async with asyncio.timeout(20):
            while not await serving.shown(first.url):  # noqa: ASYNC110 - the members tell each other when they like
                await asyncio.sleep(0.02)
        await serving.look()
        assert len(await serving.shown(first.url)) == len(await serving.shown(second.url)) == 1


async def test_a_ledger_that_cannot_be_read_ends_no_silence(
    real: Alertmanager, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked = (window(server="web01"),)
    await serving.take_over(WEB01, urls=(real.url,), windows=booked)
    again = Serving(serving.ledger, serving.folder)
    monkeypatch.setattr(serving.ledger, "bookings", lambda _after=None: None)
    await again.take_over(WEB01, urls=(real.url,), windows=booked)
    assert len(await again.shown(real.url)) == 1


async def test_two_exporters_on_one_alertmanager_leave_each_others_silences_alone(
    real: Alertmanager, serving: Serving, tmp_path: Path
) -> None:
    await serving.take_over(WEB01, urls=(real.url,), windows=(window(server="web01"),))
    other = Ledger.open(tmp_path / "other", SystemClock())
    await Serving(other, tmp_path / "other").take_over(DB01, urls=(real.url,))
    other.close()
    assert len(await serving.shown(real.url)) == 1


def test_the_serving_process_mirrors_configured_and_entered_windows_within_moments(
    real: Alertmanager, tmp_path: Path
) -> None:
    configuration = (
        f"alertmanager: {{urls: ['http://127.0.0.1:{free_port()}', '{real.url}']}}\n"
        "customers: [{id: c0001, name: x, contacts: [{name: ops, email: ops@customer.example}]}]\n"
        "servers: [{name: web01, customer: c0001, address: 192.0.2.10, site: ogaki}]\n"
        "maintenance: [{site: ogaki, from: 2026-01-01T00:00, to: 2098-01-01T00:00, reason: configured here}]\n"
    )

    def until(comment: str, state: str | None) -> None:
        deadline = time.monotonic() + 20
        while [each.state for each in asyncio.run(listed(real.url)) if each.comment == comment][-1:] != [state]:
            assert time.monotonic() < deadline, f"{comment} is not {state}"
            time.sleep(0.05)  # another process

    with Exporter(tmp_path / "exporter", configuration) as exporter:
        until("maintenance 1: configured here", "active")
        exporter.call(
            "maintenance",
            "add",
            "--server=web01",
            "--from=2097-01-01T00:00",
            "--to=2097-01-02T00:00",
            "--reason=entered here",
            "--author=sato",
        )
        until("maintenance 2 (sato): entered here", "pending")
        exporter.call("maintenance", "end", "2")
        until("maintenance 2 (sato): entered here", "expired")
