"""Who may do and see what: on loopback and elsewhere, with and without a password or a client certificate."""

import asyncio
import base64
import ssl
from pathlib import Path
from typing import Any

import aiohttp
import bcrypt
import pytest

from exporter.monitor import Monitor
from exporter.outage import CheckState
from exporter.web import access
from exporter.web.access import Passwords

PASSWORD = "correct horse"
STORED = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4))
USERS = f"basic_auth_users: {{noc: {STORED.decode()}}}\n"


def basic(user: str, password: str) -> str:
    """Return the header's value."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


GOOD = {"Authorization": basic("noc", PASSWORD)}
TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key"
EVERYTHING = ["/", "/metrics", "/probe?server=web01&check=https", "/config", "/-/healthy", "/-/ready", "/none"]
CONTACT = "ops@customer.example"


@pytest.fixture(autouse=True)
def outage(monitor: Monitor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a check be down, so that its customer's contact is of interest, and wrong passwords not take long."""
    entry = monitor.schedule.get(("web01", "https"))
    assert entry
    entry.state = CheckState(up=False, ever_up=True, down_since=1, last_run=1, reason="refused", step="connect")
    monkeypatch.setattr(access, "PAUSE", 0.0)

    async def reload() -> None:
        """Do it at once: how it is done is another test's matter."""

    monkeypatch.setattr(monitor, "reload", reload)


async def powers(client: Any, **options: Any) -> set[str]:
    """Return what this client may do and see."""
    able = set()
    status, page = await client.get("/", **options)
    assert status == 200
    if CONTACT in page:
        able.add("contacts")
    for name, path, method in (("probe", "/probe?server=web01&check=lamps", "GET"), ("reload", "/-/reload", "POST")):
        status, _ = await client.get(path, method, **options)
        assert status in {200, 403}
        if status != 403:
            able.add(name)
    return able


ALL = {"contacts", "probe", "reload"}


async def test_on_loopback_everything_is_allowed_without_logging_in(start: Any) -> None:
    assert await powers(await start("127.0.0.1:0")) == ALL


@pytest.mark.parametrize("address", ["0.0.0.0:0", ":0"])
async def test_elsewhere_strangers_see_no_contacts_and_make_nothing_happen(start: Any, address: str) -> None:
    client = await start(address)
    assert await powers(client) == set()
    status, text = await client.get("/probe?server=web01&check=lamps&debug=true")
    assert (status, text.startswith("Only for clients that log in")) == (403, True)
    for path in ("/metrics", "/config", "/-/healthy", "/-/ready"):
        status, text = await client.get(path)
        assert status == 200
        assert CONTACT not in text


async def test_elsewhere_a_password_gives_every_power(start: Any) -> None:
    assert await powers(await start("0.0.0.0:0", USERS), headers=GOOD) == ALL


@pytest.mark.parametrize("address", ["0.0.0.0:0", "127.0.0.1:0"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": basic("noc", "wrong")},
        {"Authorization": basic("noc", "")},
        {"Authorization": basic("root", PASSWORD)},
        {"Authorization": basic("", PASSWORD)},
        {"Authorization": "Basic"},
        {"Authorization": "Basic !!!"},
        {"Authorization": "Basic /w=="},
        {"Authorization": "Bearer bm9jOmNvcnJlY3QgaG9yc2U="},
        {"Authorization": basic("noc", PASSWORD + "\0")},
        {"Authorization": basic("noc", "x" * 100)},
    ],
)
async def test_with_users_configured_nothing_is_told_without_the_right_password(
    start: Any, address: str, headers: dict[str, str]
) -> None:
    client = await start(address, USERS)
    for path in EVERYTHING:
        async with client.session.get(client.url(path), headers=headers) as response:
            assert response.status == 401
            assert response.headers["WWW-Authenticate"].startswith("Basic ")
            assert await response.text() == "A user name and a password are needed.\n"
    assert (await client.get("/-/reload", "POST", headers=headers))[0] == 401


async def test_a_client_certificate_gives_every_power_and_without_one_there_is_no_connection(
    start: Any, certificates: Any
) -> None:
    certificates.issue("noc", "noc.example")
    client = await start(
        "0.0.0.0:0", f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}}\n"
    )
    assert client.web.url.startswith("https://")
    assert await powers(client, ssl=certificates.client_context("noc")) == ALL
    with pytest.raises(aiohttp.ClientError):
        await client.get("/", ssl=certificates.client_context())


async def test_a_certificate_of_another_ca_does_not_count(start: Any, certificates: Any, tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    other = type(certificates).make(folder, "other-ca")
    other.issue("noc", "noc.example")
    client = await start("0.0.0.0:0", f"{TLS}, client_auth_type: VerifyClientCertIfGiven, client_ca_file: ca.pem}}\n")
    context = certificates.client_context()
    assert await powers(client, ssl=context) == set()  # none given: a stranger
    context.load_cert_chain(folder / "noc.pem", folder / "noc.key")
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(client.url("/"), ssl=context)


async def test_only_the_names_in_client_allowed_sans_are_let_in(start: Any, certificates: Any) -> None:
    certificates.issue("noc", "noc.example", "2001:db8::1")
    certificates.issue("guest", "guest.example")
    allowed = 'client_allowed_sans: ["2001:DB8:0::1"]'
    client = await start(
        "127.0.0.1:0", f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem, {allowed}}}\n"
    )
    assert await powers(client, ssl=certificates.client_context("noc")) == ALL
    async with aiohttp.ClientSession() as session:
        for path in EVERYTHING:
            async with session.get(client.url(path), ssl=certificates.client_context("guest")) as response:
                assert response.status == 403


async def test_with_users_a_client_certificate_does_not_replace_the_password(start: Any, certificates: Any) -> None:
    certificates.issue("noc", "noc.example")
    client = await start(
        "0.0.0.0:0", f"{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: ca.pem}}\n{USERS}"
    )
    assert (await client.get("/", ssl=certificates.client_context("noc")))[0] == 401
    assert await powers(client, ssl=certificates.client_context("noc"), headers=GOOD) == ALL


@pytest.mark.parametrize("host", ["localhost", "localhost:10623", "127.0.0.1", "[::1]:10623", "[::1]", "a.localhost:1"])
async def test_on_loopback_a_client_that_addresses_this_machine_is_trusted(start: Any, host: str) -> None:
    assert await powers(await start(), headers={"Host": host}) == ALL


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:10623",
        "localhost.evil.example",
        "192.0.2.1:10623",
        "[2001:db8::1]:1",
        "::",
        "x:y:z",
    ],
)
async def test_a_name_that_somebody_else_resolved_to_loopback_is_not_trusted(start: Any, host: str) -> None:
    assert await powers(await start(), headers={"Host": host}) == set()


@pytest.mark.parametrize("site", ["cross-site", "same-site", "anything"])
async def test_a_page_of_another_site_makes_nothing_happen_through_a_browser_that_is_logged_in(
    start: Any, site: str
) -> None:
    client = await start("127.0.0.1:0", USERS)
    assert await powers(client, headers={"Sec-Fetch-Site": site, **GOOD}) == {"contacts"}
    assert await powers(client, headers={"Sec-Fetch-Site": "same-origin", **GOOD}) == ALL


async def test_an_answer_is_remembered_so_that_a_scrape_costs_no_bcrypt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def matches(password: bytes, stored: bytes) -> bool:
        asked.append(password)
        return password == b"right"

    monkeypatch.setattr(access, "_matches", matches)
    passwords = Passwords()
    users = {"noc": STORED}
    for _ in range(3):
        assert await passwords.match(users, "noc", "right")
        assert not await passwords.match(users, "noc", "wrong")
        assert not await passwords.match(users, "nobody", "right")
    assert asked == [b"right", b"wrong", b"right"]
    assert await passwords.match({"noc": b"another " + STORED}, "noc", "right")  # another hash is another question
    assert len(asked) == 4
    passwords.close()


async def test_an_unknown_user_costs_as_much_as_the_most_expensive_known_one(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes] = []

    def matches(_password: bytes, stored: bytes) -> bool:
        asked.append(stored)
        return True  # even then

    monkeypatch.setattr(access, "_matches", matches)
    dear = STORED.replace(b"$04$", b"$12$")
    passwords = Passwords()
    assert not await passwords.match({"a": STORED, "b": dear}, "nobody", PASSWORD)
    assert asked == [dear]
    passwords.close()


async def test_guessing_is_slow_bounded_in_memory_and_does_not_lock_out_who_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(access, "REMEMBERED", 5)
    release = asyncio.Event()
    passwords = Passwords()
    users = {"noc": STORED}
    assert await passwords.match(users, "noc", PASSWORD)
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        await release.wait()

    monkeypatch.setattr("exporter.web.access.asyncio.sleep", pause)
    guesses = [
        asyncio.create_task(passwords.match(users, "noc", f"guess {number}")) for number in range(access.WAITING)
    ]
    while not pauses:
        await asyncio.wait(guesses, timeout=0.01)
    with pytest.raises(access.BusyError):
        await passwords.match(users, "noc", "one too many")
    assert await passwords.match(users, "noc", PASSWORD)
    assert len(pauses) == 1  # the second guess waits until the first one's pause is over
    release.set()
    assert not any(await asyncio.gather(*guesses))
    assert len(pauses) == access.WAITING
    assert len(passwords._wrong) == 5
    assert await passwords.match(users, "noc", PASSWORD)
    passwords.close()


async def test_too_many_log_ins_at_once_are_told_to_come_back(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "WAITING", 0)
    client = await start("127.0.0.1:0", USERS)
    async with client.session.get(client.url("/"), headers=GOOD) as response:
        assert response.status == 429
        assert response.headers["Retry-After"] == "5"


async def test_old_protocol_versions_are_refused(start: Any, certificates: Any) -> None:
    client = await start("127.0.0.1:0", f"{TLS}, min_version: TLS13}}\n")
    context = certificates.client_context()
    assert (await client.get("/-/healthy", ssl=context))[0] == 200
    old = certificates.client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.get(client.url("/"), ssl=old)
