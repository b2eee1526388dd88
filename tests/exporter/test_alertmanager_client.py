"""What a real Alertmanager says and does, alone and as a cluster of two, and what is made of one that is none."""

import asyncio
import base64
import re
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from collectors.secret import Credential, Secret
from exporter import alertmanager_client
from exporter.alertmanager_client import (
    Access,
    AlertmanagerClient,
    AlertmanagerError,
    Matcher,
    Silence,
    UnreachableError,
    customer_alerts,
)
from exporter.alerts import Alert
from exporter.clock import HOUR, SECOND
from exporter.inventory import Alertmanager as Configured
from exporter.inventory import CredentialEntry, SecretSource
from exporter.secrets import Secrets
from tests.peers.alertmanager import Alertmanager, cluster
from tests.peers.certificates import Authority, server_context
from tests.peers.process import free_port

ROUTING = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"
Says = dict[str, str]


@pytest.fixture(scope="module")
def real(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with Alertmanager(peer("alertmanager"), tmp_path_factory.mktemp("alertmanager"), ROUTING) as started:
        yield started


def silence(server: str, comment: str = "moved to another rack", *, start: int = 0) -> Silence:
    now = int(time.time()) * SECOND
    matchers = frozenset({Matcher("server", server), Matcher("notify", "customer|noc", regex=True)})
    return Silence(matchers, start or now, now + HOUR, "noc", comment)


def client(*urls: str) -> AlertmanagerClient:
    return AlertmanagerClient(urls, Access())


def nowhere() -> str:
    return f"http://127.0.0.1:{free_port()}"


async def test_a_real_alertmanager_tells_of_customers_alerts_and_which_a_person_silenced(real: Alertmanager) -> None:
    for server, notify in (("web01", "customer"), ("web02", "customer"), ("web02", "noc")):
        real.send({"alertname": "ServiceOutage", "notify": notify, "server": server, "check": "https"}, {})
    with client(real.url) as alertmanager:
        alertmanager.create(silence("web02"))
    async with asyncio.timeout(20):
        wanted = {Alert("customer", "web01", "https"), Alert("customer", "web02", "https", suppressed=True)}
        # a silence counts from the next time that alerts are looked at: nothing to wait for but the answer itself
        while set(await customer_alerts([f"{real.url}/", nowhere()])) != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.1)


def test_a_silence_is_made_listed_and_expired_as_it_was_meant(real: Alertmanager) -> None:
    later = int(time.time()) * SECOND + HOUR // 2
    meant = silence("db.01", "メモリ増設", start=later)
    with client(nowhere(), f"{real.url}/") as alertmanager:  # a member that is away is passed over
        assert alertmanager.status(real.url) == "disabled"  # alone: no cluster
        identity = alertmanager.create(meant)
        [made] = [each for each in alertmanager.silences() if each.id == identity]
        assert (made.matchers, made.start, made.end) == (meant.matchers, later, meant.end)
        assert (made.author, made.comment, made.state) == ("noc", "メモリ増設", "pending")
        alertmanager.expire(identity)
        assert [each.state for each in alertmanager.silences() if each.id == identity] == ["expired"]


def test_what_alertmanager_refuses_is_said_with_its_words(real: Alertmanager) -> None:
    with client(real.url) as alertmanager:
        over = Silence(frozenset({Matcher("server", "web01")}), 0, SECOND, "noc", "over before it begins")
        with pytest.raises(AlertmanagerError, match=r"silences answered 400: .*end time"):
            alertmanager.create(over)
        with pytest.raises(AlertmanagerError, match="answered 404"):
            alertmanager.expire("00000000-0000-0000-0000-000000000000")


def test_a_silence_made_on_one_member_is_seen_and_ended_on_the_other_and_one_that_is_down_is_passed_over(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    def states(*urls: str) -> list[str]:
        with client(*urls) as alertmanager:
            return [each.state for each in alertmanager.silences() if each.comment == "shared"]

    def until(url: str, wanted: str) -> None:
        deadline = time.monotonic() + 20
        while states(url) != [wanted]:
            assert time.monotonic() < deadline, f"{url} does not hear of it"
            time.sleep(0.02)  # the members tell each other when they like

    with cluster(peer("alertmanager"), tmp_path, ROUTING) as (first, second):
        with client(first.url, second.url) as alertmanager:
            assert alertmanager.status(second.url) == "ready"
            identity = alertmanager.create(silence("web01", "shared"))
        until(second.url, "active")
        first.kill()
        assert states(first.url, second.url) == ["active"]
        with client(first.url, second.url) as alertmanager:
            alertmanager.expire(identity)
        first.start()
        until(first.url, "expired")


@asynccontextmanager
async def answering(
    *, says: Says | None = None, status: int = 200, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, list[web.Request]]]:
    """Run something else at Alertmanager's address. It answers what a test says, by path."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        if status in {301, 302}:
            raise web.HTTPFound("http://192.0.2.1/")
        return web.Response(text=(says or {}).get(request.path, ""), status=status)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # aiohttp has no way to ask
    try:
        yield f"{'https' if tls else 'http'}://localhost:{port}", seen
    finally:
        await runner.cleanup()


ALERTS, STATUS, SILENCES = "/api/v2/alerts", "/api/v2/status", "/api/v2/silences"
READY = '{"cluster": {"status": "ready"}}'


@pytest.mark.parametrize(
    ("says", "status", "complaint"),
    [
        ({ALERTS: "[" * 10_000}, 200, "nested too deeply|Expecting"),
        ({ALERTS: "<html>"}, 200, "Expecting value"),
        ({ALERTS: "{}"}, 200, "no list of alerts"),
        ({ALERTS: "[]"}, 502, r"answered 502: \[\]"),
        ({ALERTS: " " * (1 << 20)}, 200, "longer than 0 MiB"),
        ({}, 401, "answered 401: name who we are with alertmanager.credential"),
        ({}, 302, "answered 302, which points elsewhere: correct alertmanager.urls"),
    ],
)
async def test_an_answer_that_is_none_counts_as_none_and_says_place_and_remedy(
    says: Says, status: int, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager_client, "LARGEST", 100_000)
    async with answering(says=says, status=status) as (url, _):
        with pytest.raises(UnreachableError, match=f"^{url}{ALERTS}.*(?:{complaint})"):
            await customer_alerts([url])


@pytest.mark.parametrize(
    ("says", "complaint"),
    [
        ({}, f"{STATUS}|the answer has no cluster"),
        ({STATUS: "<html>"}, "its answer is no JSON"),
        ({STATUS: "[" * 100_000}, "its answer is no JSON"),
        ({STATUS: '{"cluster": 1}'}, "no status: this is no Alertmanager with API v2, correct alertmanager.urls"),
        ({STATUS: READY}, "the list of silences is not readable"),
        ({STATUS: READY, SILENCES: '[{"matchers": 1}]'}, "the list of silences is not readable"),
    ],
)
async def test_what_is_no_alertmanager_is_an_error_and_nothing_worse(says: Says, complaint: str) -> None:
    async with answering(says=says) as (url, _):
        with pytest.raises(AlertmanagerError, match=complaint), client(url) as alertmanager:
            await asyncio.to_thread(alertmanager.silences)


async def test_one_of_a_cluster_is_enough_and_none_is_said() -> None:
    gone = nowhere()
    async with answering(says={ALERTS: "[]"}) as (url, _):
        assert await customer_alerts([gone, url]) == ()
    with pytest.raises(UnreachableError, match=f"{gone}.*: Connection refused"):
        await customer_alerts([gone])
    with pytest.raises(UnreachableError, match=r"nobody.invalid.*(?:resolution|not known)"):
        await customer_alerts(["http://nobody.invalid"])
    for ask in (lambda: customer_alerts([]), lambda: asyncio.to_thread(client().silences)):
        with pytest.raises(AlertmanagerError, match=r"alertmanager\.urls is empty"):
            await ask()


def secret(**secrets: str) -> Credential:
    kept = {name: Secret(text) for name, text in secrets.items() if name != "username"}
    return Credential(secrets.get("username", ""), kept.get("password", Secret("")), secrets=kept)


@pytest.mark.parametrize(
    ("credential", "shown"),
    [
        (None, None),
        (secret(token="t0k3n"), "Bearer t0k3n"),
        (secret(username="監視", password="鍵"), "Basic " + base64.b64encode("監視:鍵".encode()).decode()),
    ],
)
async def test_who_we_are_is_shown_as_configured_and_nothing_is_taken_from_the_environment(
    credential: Credential | None, shown: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".netrc").write_text("machine localhost login other password other\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("http_proxy", nowhere())
    async with answering(says={ALERTS: "[]"}) as (url, seen):
        await customer_alerts([url], lambda: Access(credential=credential))
    assert seen[0].headers.get("Authorization") == shown


async def test_a_certificate_is_judged_by_the_configured_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    async with answering(says={ALERTS: "[]"}, tls=server_context(authority.issue("localhost"))) as (url, _):
        assert await customer_alerts([url], lambda: Access(authority.file)) == ()
        for ca_file in (other.file, None):
            remedy = "its certificate is not accepted: .*: name its authority with alertmanager.ca_file"
            with pytest.raises(UnreachableError, match=remedy):
                await customer_alerts([url], lambda ca_file=ca_file: Access(ca_file))  # type: ignore[misc]
        with pytest.raises(UnreachableError, match=r"missing\.pem"):
            await customer_alerts([url], lambda: Access(tmp_path / "missing.pem"))
        with pytest.raises(UnreachableError, match=r"Remote end closed"):
            await customer_alerts([url.replace("https", "http")])


async def test_a_secret_that_cannot_be_had_is_said_with_its_place() -> None:
    entry = CredentialEntry("am", secrets={"token": SecretSource(Path("/nowhere/token"))})
    configured = Configured(("http://127.0.0.1:9",), credential="am")
    with pytest.raises(UnreachableError, match=r"alertmanager.credential: .*am\.token: /nowhere/token: No such file"):
        await customer_alerts(configured.urls, lambda: Access.of(configured, Secrets({"am": entry})))


@pytest.mark.parametrize(
    ("said", "deadline", "complaint"),
    [
        ("", 10.0, "no answer within 0.2 s"),
        ("HTTP/1.1 200 OK\r\n\r\n", 10.0, "no answer within 0.2 s"),
        ("HTTP/1.1 200 OK\r\n\r\n[", 0.0, "its answer takes longer than 0 s"),
    ],
)
async def test_an_alertmanager_that_hangs_or_drips_is_not_waited_for(
    said: str, deadline: float, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alertmanager_client, "PATIENCE", 0.2)
    monkeypatch.setattr(alertmanager_client, "DEADLINE", deadline)
    left = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said.encode())
        await reader.read()
        writer.close()
        left.set()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UnreachableError, match=re.escape(complaint)):
            await customer_alerts([f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"])
        await left.wait()
