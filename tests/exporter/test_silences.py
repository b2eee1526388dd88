"""Maintenance windows as silences of a real Alertmanager, which may be away."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web

from exporter.cli import main
from exporter.clock import HOUR, MINUTE, SECOND, SystemClock
from exporter.contract.maintenance import GRACE
from exporter.inventory import MaintenanceWindow, Server
from exporter.ledger import Ledger
from exporter.silences import AlertmanagerClient, AlertmanagerError, Matcher, Silence, mirror, silence_of, unmirror
from tests.peers.alertmanager import Alertmanager as RealAlertmanager

CONFIGURATION = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
SERVERS = [
    Server("web01", "c0001", managed=False, address="192.0.2.10", site="ogaki"),
    Server("db.01", "c0001", managed=False, address="192.0.2.11", site="ogaki"),
    Server("app01", "c0002", managed=False, address="192.0.2.12", site="gifu"),
]


@pytest.fixture(scope="module")
def real(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealAlertmanager]:
    with RealAlertmanager(peer("alertmanager"), tmp_path_factory.mktemp("alertmanager"), CONFIGURATION) as started:
        yield started


@pytest.fixture
def nowhere() -> str:
    """The address of an Alertmanager that is not running."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def window(**scope: str) -> MaintenanceWindow:
    now = int(time.time()) * SECOND
    return MaintenanceWindow(now - MINUTE, now + HOUR, "メモリ増設", **scope)


def alert(real: RealAlertmanager, **labels: str) -> None:
    real.send({"alertname": "ServiceOutage", **labels}, {})


def silenced(real: RealAlertmanager, **labels: str) -> bool:
    [found] = [each for each in real.alerts() if labels.items() <= each["labels"].items()]
    return bool(found["status"]["silencedBy"])


async def until_silenced(real: RealAlertmanager, **labels: str) -> None:
    """Alertmanager judges an alert's silences when it is asked for the alert."""
    async with asyncio.timeout(10):
        while not silenced(real, **labels):  # noqa: ASYNC110 - it is another process
            await asyncio.sleep(0.02)


async def ours(real: RealAlertmanager, comment: str) -> list[Silence]:
    async with AlertmanagerClient([real.url]) as client:
        return [silence for silence in await client.list() if silence.comment == comment]


@pytest.mark.parametrize(
    ("number", "scope", "hit"),
    [
        (1, {"server": "web01"}, {"web01"}),
        (2, {"customer": "c0001"}, {"web01", "db.01"}),
        (3, {"site": "ogaki"}, {"web01", "db.01"}),
    ],
)
async def test_a_window_silences_the_customers_alerts_of_its_servers_and_never_the_nocs(
    real: RealAlertmanager, number: int, scope: dict[str, str], hit: set[str]
) -> None:
    booked = window(**scope)
    names = ["web01", "db.01", "dbx01", "app01"]
    for name in names:
        whose = "c0002" if name in {"app01", "dbx01"} else "c0001"
        for notify in ("customer", "noc"):
            alert(real, server=name, customer_id=whose, notify=notify, check=f"https-{number}")
    await mirror([real.url], silence_of(number, booked, "sato", SERVERS))
    about = {"check": f"https-{number}"}
    await until_silenced(real, server="web01", notify="customer", **about)
    assert {name for name in names if silenced(real, server=name, notify="customer", **about)} == hit
    assert not any(silenced(real, server=name, notify="noc", **about) for name in names)
    [made] = await ours(real, f"maintenance {number}: メモリ増設")
    assert (made.state, made.end, made.author) == ("active", booked.end + GRACE, "sato")
    await unmirror([real.url], number, booked)
    assert [silence.state for silence in await ours(real, made.comment)] == ["expired"]


async def test_only_the_windows_own_silence_is_expired(real: RealAlertmanager) -> None:
    first, second = window(server="web01"), window(server="app01")
    for number, booked in ((41, first), (42, second)):
        await mirror([real.url], silence_of(number, booked, "sato", SERVERS))
    await unmirror([real.url], 41, first)
    assert [silence.state for silence in await ours(real, "maintenance 42: メモリ増設")] == ["active"]
    await unmirror([real.url], 42, second)


async def test_a_member_that_is_away_is_passed_over(real: RealAlertmanager, nowhere: str) -> None:
    async with AlertmanagerClient([nowhere, f"{real.url}/"]) as client:
        assert await client.status(real.url) == "disabled"  # alone: no cluster
        identity = await client.create(
            Silence(frozenset({Matcher("server", "x")}), 0, (int(time.time()) + 60) * SECOND, "sato", "passed over")
        )
        await client.expire(identity)
        [silence] = [each for each in await client.list() if each.id == identity]
        assert silence.state == "expired"


async def test_what_alertmanager_refuses_is_said(real: RealAlertmanager) -> None:
    over = Silence(frozenset({Matcher("server", "web01")}), 0, SECOND, "sato", "over before it begins")
    async with AlertmanagerClient([real.url]) as client:
        with pytest.raises(AlertmanagerError, match="answered 400"):
            await client.create(over)
        with pytest.raises(AlertmanagerError, match="answered 404"):
            await client.expire("00000000-0000-0000-0000-000000000000")


@pytest.fixture
async def impostor() -> AsyncIterator[tuple[str, dict[str, str]]]:
    """Something else at Alertmanager's address. It answers what a test sets, by path."""
    said: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        if said.get("redirect"):
            raise web.HTTPFound(said["redirect"])
        return web.Response(text=said.get(request.path, ""))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # aiohttp has no way to ask
    yield f"http://127.0.0.1:{port}", said
    await runner.cleanup()


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ({}, "the answer has no cluster"),
        ({"/api/v2/status": "<html>"}, "Expecting value"),
        ({"/api/v2/status": "[" * 100_000}, "recursion|Expecting"),
        ({"/api/v2/status": " " * (17 << 20)}, "longer than 16 MiB"),
        ({"/api/v2/status": '{"cluster": 1}'}, "the answer has no status"),
        ({"/api/v2/status": '{"cluster": {"status": "ready"}}'}, "list of silences is not readable"),
        (
            {"/api/v2/status": '{"cluster": {"status": "ready"}}', "/api/v2/silences": '[{"matchers": 1}]'},
            "list of silences is not readable",
        ),
        ({"redirect": "http://192.0.2.1/"}, "answered 302"),
    ],
)
async def test_what_is_no_alertmanager_is_an_error_and_nothing_worse(
    impostor: tuple[str, dict[str, str]], answers: dict[str, str], complaint: str
) -> None:
    url, said = impostor
    said.update(answers)
    with pytest.raises(AlertmanagerError, match=complaint):
        await unmirror([url], 1, window(server="web01"))


@pytest.mark.parametrize("running", [True, False])
def test_the_command_mirrors_windows_and_only_warns_when_it_cannot(
    running: bool,
    real: RealAlertmanager,
    nowhere: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = real.url if running else nowhere
    config = tmp_path / "dserver.yml"
    config.write_text(
        f"alertmanager: {{urls: ['{url}']}}\n"
        "global: {calendar: {hours: ['00:00-24:00'], open: ['01-01/12-31'], closed: []}}\n"
        "customers: [{id: c0001, name: x, contacts: [{name: ops, email: ops@customer.example}]}]\n"
        "servers: [{name: web01, customer: c0001, address: 192.0.2.10}]\n"
    )
    Ledger.open(tmp_path / "data", SystemClock()).close()

    def maintenance(*arguments: str) -> tuple[int, str]:
        where = (f"--storage.path={tmp_path / 'data'}", f"--config.file={config}")
        with pytest.raises(SystemExit) as end:
            main(["maintenance", arguments[0], *where, *arguments[1:]])
        return int(end.value.code or 0), capsys.readouterr().err

    span = ("--from", "2098-01-01T00:00", "--to", "2098-01-01T01:00")
    comment = "maintenance 1: command"
    status, err = maintenance("add", "--server", "web01", *span, "--reason", "command")
    assert status == 0
    assert ("it holds, but Alertmanager does not show it as a silence" in err) is not running
    if running:
        [silence] = asyncio.run(ours(real, comment))
        assert silence.state == "pending"
    status, err = maintenance("end", "1")
    assert status == 0
    assert ("it is ended; if Alertmanager shows a silence for it, expire that one there" in err) is not running
    if running:
        [silence] = asyncio.run(ours(real, comment))
        assert silence.state == "expired"
