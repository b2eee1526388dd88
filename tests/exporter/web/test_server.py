"""Listening, methods and headers, hostile requests, and a web configuration that changes while we run."""

import asyncio
import base64
import gc
import re
import socket
import ssl
import time
import weakref
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.config import ConfigError, Problem, redacted
from exporter.monitor import Monitor
from exporter.web import WebError, serve, server
from exporter.web.server import _parsed

HASH = "$2y$04$lh8hg5z2.YBn/GFDu0fVEuRCmRfjbQIs4G4nJA14pmgP.9GGkt17e"


async def until(condition: Any) -> None:
    """Wait until the condition (a coroutine function) holds."""
    async with asyncio.timeout(10):
        while not await condition():  # noqa: ASYNC110 - what changes is a file, a socket or a log
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("address", "parsed"),
    [
        ("127.0.0.1:10623", ("127.0.0.1", 10623)),
        (":10623", ("", 10623)),
        ("[::1]:0", ("::1", 0)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_listen_addresses_are_written_as_for_prometheus(address: str, parsed: tuple[str, int]) -> None:
    assert _parsed(address) == parsed


@pytest.mark.parametrize(
    "address", ["", "10623", "127.0.0.1", "127.0.0.1:", "127.0.0.1:http", "::1:80", ":65536", ":-1", ":٣"]
)
async def test_what_is_no_listen_address_is_refused_with_examples(monitor: Monitor, address: str) -> None:
    with pytest.raises(WebError, match=r"is not HOST:PORT: write 127\.0\.0\.1:10623"):
        await serve(monitor, address, None)


async def test_a_port_in_use_is_named_with_a_remedy(start: Any, monitor: Monitor) -> None:
    first = await start()
    with pytest.raises(WebError, match="Address already in use: another program listens there: end it, or choose"):
        await serve(monitor, f"127.0.0.1:{first.web.port}", None)


async def test_an_address_that_is_not_ours_is_refused_with_a_remedy(monitor: Monitor) -> None:
    with pytest.raises(WebError, match="this machine does not have that address"):
        await serve(monitor, "192.0.2.1:0", None)


async def test_a_name_without_an_address_is_refused(monitor: Monitor) -> None:
    with pytest.raises(WebError, match=r"cannot listen on nobody\.invalid:0: .*give an address and port"):
        await serve(monitor, "nobody.invalid:0", None)


async def test_a_port_that_needs_privileges_is_refused_with_a_remedy(
    monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("exporter.web.server.socket.create_server", refuse)
    with pytest.raises(WebError, match="Permission denied: this user may not: choose a port from 1024 on"):
        await serve(monitor, "127.0.0.1:80", None)


async def test_a_bad_web_configuration_is_refused_before_anything_listens(monitor: Monitor, tmp_path: Path) -> None:
    (tmp_path / "web.yml").write_text("tls: yes\n")
    with pytest.raises(WebError, match=r"web\.yml:1: tls: unknown key"):
        await serve(monitor, "127.0.0.1:0", tmp_path / "web.yml")


async def test_all_addresses_are_both_families(start: Any) -> None:
    if not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    client = await start(":0")
    assert (await client.get("/-/healthy"))[0] == 200
    client.address = "[::1]"
    assert (await client.get("/-/healthy"))[0] == 200


async def test_a_name_listens_where_it_resolves_to(start: Any) -> None:
    client = await start("localhost:0")
    assert client.web.url == f"http://127.0.0.1:{client.web.port}/"
    assert client.web.port > 0


async def test_after_stop_nothing_listens(start: Any) -> None:
    client = await start()
    await client.web.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", client.web.port)


@pytest.mark.parametrize(
    ("path", "method", "allowed"),
    [
        ("/", "POST", "GET,HEAD"),
        ("/metrics", "PUT", "GET,HEAD"),
        ("/probe", "POST", "GET,HEAD"),
        ("/config", "DELETE", "GET,HEAD"),
        ("/-/healthy", "OPTIONS", "GET,HEAD"),
        ("/-/ready", "PATCH", "GET,HEAD"),
        ("/-/reload", "GET", "POST"),
        ("/-/reload", "HEAD", "POST"),
    ],
)
async def test_other_methods_are_told_which_are_allowed(start: Any, path: str, method: str, allowed: str) -> None:
    client = await start()
    async with client.session.request(method, client.url(path)) as response:
        assert response.status == 405
        assert response.headers["Allow"] == allowed


@pytest.mark.parametrize("path", ["/", "/metrics", "/config", "/-/healthy", "/-/ready", "/none", "/-/reload", "/probe"])
async def test_every_answer_has_safe_headers_and_does_not_say_what_we_run(start: Any, path: str) -> None:
    client = await start()
    async with client.session.get(client.url(path)) as response:
        assert "Server" not in response.headers
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Referrer-Policy"] == "no-referrer"
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


async def test_headers_of_the_web_configuration_are_added(start: Any) -> None:
    text = 'http_server_config: {headers: {Strict-Transport-Security: max-age=60, Content-Security-Policy: "a"}}\n'
    client = await start("127.0.0.1:0", text)
    for path in ("/", "/none"):
        async with client.session.get(client.url(path)) as response:
            assert response.headers["Strict-Transport-Security"] == "max-age=60"
            assert response.headers.getall("Content-Security-Policy") == ["a"]


@pytest.mark.parametrize(
    "request_text",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET <script>alert(1)</script> HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(1000)) + b"\r\n",
    ],
)
async def test_what_is_not_http_gets_one_line_and_makes_no_noise(
    start: Any, caplog: pytest.LogCaptureFixture, request_text: bytes
) -> None:
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port)
    writer.write(request_text)
    answer = await reader.read()
    assert answer.startswith((b"HTTP/1.1 400 Bad Request\r\n", b"HTTP/1.0 400 Bad Request\r\n"))
    assert answer.endswith(b"This is not a request in HTTP.\n")
    assert b"ython" not in answer
    assert not caplog.records
    writer.close()
    assert (await client.get("/-/healthy"))[0] == 200


async def test_a_defect_of_ours_is_logged_and_not_shown(
    start: Any, monitor: Monitor, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_selections: object) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(monitor.exposition, "chunks", broken)
    monkeypatch.setattr("exporter.web.app.scrape.send", lambda _request, chunks, *_: next(chunks))
    client = await start()
    status, text = await client.get("/metrics")
    assert status == 500
    assert text == "The exporter has a defect; its log says more.\n"
    assert "inner workings" in caplog.text


async def test_connections_beyond_the_limit_are_closed_and_the_others_go_on(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 2)
    client = await start()
    held = [await asyncio.open_connection("127.0.0.1", client.web.port) for _ in range(3)]
    assert await held[2][0].read() == b""
    held[0][1].write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await held[0][0].readline()).startswith(b"HTTP/1.1 200")
    for _, writer in held:
        writer.close()


async def test_a_client_that_sends_its_request_too_slowly_is_dropped(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "KEEP_ALIVE", 0.05)
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: loc")
    async with asyncio.timeout(10):
        assert await reader.read() == b""
    writer.close()


async def test_readiness_says_starting_until_the_configuration_is_applied(start: Any, monitor: Monitor) -> None:
    monitor.ready = False
    client = await start()
    assert (await client.get("/-/healthy"))[0] == 200
    for path in ("/-/ready", "/config", "/probe?server=web01&check=https"):
        status, text = await client.get(path)
        assert (status, text.startswith("starting")) == (503, True)
    assert (await client.get("/-/reload", "POST"))[0] == 503
    monitor.ready = True
    assert await client.get("/-/ready") == (200, "dserver-exporter is ready.\n")


async def test_a_reload_says_what_it_read_or_everything_that_is_wrong(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await start()

    async def good() -> None:
        """Find nothing wrong."""

    async def bad() -> None:
        raise ConfigError([Problem("error", "dserver.yml", line, "servers[0]", "is wrong") for line in (3, 7)])

    monkeypatch.setattr(monitor, "reload", good)
    assert await client.get("/-/reload", "POST") == (
        200,
        "The configuration was read again: 1 server, 2 checks, 1 lamp source, 1 customer.\n",
    )
    monkeypatch.setattr(monitor, "reload", bad)
    status, text = await client.get("/-/reload", "POST")
    assert status == 500
    assert "old one stays in force:\ndserver.yml:3: servers[0]: is wrong\ndserver.yml:7:" in text


async def test_config_shows_no_contacts_and_is_written_once_per_configuration(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[object] = []

    def counted(config: Any) -> Iterator[str]:
        written.append(config)
        return redacted(config)

    monkeypatch.setattr("exporter.web.app.redacted", counted)
    client = await start()
    answers = await asyncio.gather(*(client.get("/config") for _ in range(3)))
    assert {status for status, _ in answers} == {200}
    assert "web01" in answers[0][1]
    assert "ops@customer.example" not in answers[0][1]
    assert len(written) == 1


async def test_who_has_the_present_config_is_told_so_and_who_has_another_gets_it(start: Any, monitor: Monitor) -> None:
    client = await start()

    async def ask(known: str) -> tuple[int, str, str]:
        async with client.session.get(client.url("/config"), headers={"If-None-Match": known}) as response:
            return response.status, response.headers["ETag"], await response.text()

    status, tag, text = await ask('"another"')
    assert (status, "web01" in text) == (200, True)
    for known in (tag, f'"another", {tag}', tag.removeprefix("W/"), "*"):
        assert await ask(known) == (304, tag, "")
    async with client.session.get(client.url("/config"), headers={"Accept-Encoding": "identity"}) as response:
        assert response.headers["ETag"] == tag
        assert response.headers["Cache-Control"] == "private, no-cache"
    monitor.config = replace(monitor.config, traps_listen="127.0.0.1:162")
    status, changed, text = await ask(tag)
    assert (status, "127.0.0.1:162" in text) == (200, True)
    assert changed != tag
    monitor.config = replace(monitor.config, traps_listen="")
    assert await ask(tag) == (304, tag, "")  # a tag stands for what is said: it survives reloads and restarts


async def test_what_was_rendered_keeps_no_configuration_that_was_replaced(start: Any, monitor: Monitor) -> None:
    client = await start()
    monitor.config = replace(monitor.config)
    assert (await client.get("/config"))[0] == 200
    old = weakref.ref(monitor.config)
    monitor.config = replace(monitor.config)
    gc.collect()
    assert old() is None


TLS = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n"


async def serial(client: Any, context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a new connection sees."""
    _, writer = await asyncio.open_connection("127.0.0.1", client.web.port, ssl=context)
    certificate = writer.get_extra_info("peercert")
    writer.close()
    return int(certificate["serialNumber"], 16)


async def test_a_renewed_certificate_is_used_for_new_connections_and_old_ones_go_on(
    start: Any, certificates: Any
) -> None:
    client = await start("127.0.0.1:0", TLS)
    context = certificates.client_context()
    before = await serial(client, context)
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port, ssl=context)
    certificates.issue("server", "127.0.0.1")

    async def renewed() -> bool:
        return await serial(client, context) != before

    await until(renewed)
    writer.write(b"GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_when_the_own_certificate_expires_is_a_metric_that_follows_its_renewal_and_the_first_of_a_chain(
    start: Any, certificates: Any, tmp_path: Path
) -> None:
    async def expiry(client: Any, **options: object) -> float | None:
        _, text = await client.get("/metrics?collect[]=exporter", **options)
        found = re.findall(r"^dserver_exporter_web_certificate_expiry_timestamp_seconds (\S+)$", text, re.MULTILINE)
        return float(found[0]) if found else None

    assert await expiry(await start()) is None
    server = certificates.issue("server", "127.0.0.1", hours=48)
    client = await start("127.0.0.1:0", TLS)
    context = certificates.client_context()
    first = await expiry(client, ssl=context)
    assert first
    assert first == pytest.approx(time.time() + 48 * 3600, abs=120)
    certificates.issue("server", "127.0.0.1", hours=72)

    async def moved(hours: int) -> bool:
        return await expiry(client, ssl=context) == pytest.approx(first + hours * 3600, abs=120)

    await until(partial(moved, 24))
    intermediate = certificates.issue("intermediate", hours=36)
    server.write_bytes(server.read_bytes() + intermediate.read_bytes())
    await until(partial(moved, -12))


async def test_a_ca_that_is_taken_out_no_longer_lets_its_clients_in(
    start: Any, certificates: Any, tmp_path: Path
) -> None:
    certificates.issue("noc", "noc.example")
    (tmp_path / "clients.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    client = await start(
        "127.0.0.1:0",
        f"{TLS[:-2]}, client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients.pem}}\n",
    )
    context = certificates.client_context("noc")

    async def let_in() -> bool:
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(client.url("/-/healthy"), ssl=context) as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

    assert await let_in()
    folder = tmp_path / "other"
    folder.mkdir()
    type(certificates).make(folder, "other-ca")
    (folder / "other-ca.pem").replace(tmp_path / "clients.pem")

    async def kept_out() -> bool:
        return not await let_in()

    await until(kept_out)


async def test_users_are_read_again_when_the_file_changes(start: Any, tmp_path: Path) -> None:
    client = await start("127.0.0.1:0", f"basic_auth_users: {{a: {HASH}}}\n")

    async def is_in(user: str) -> bool:
        given = base64.b64encode(f"{user}:y".encode()).decode()
        status, _ = await client.get("/-/healthy", headers={"Authorization": f"Basic {given}"})
        return bool(status == 200)

    assert not await is_in("b")
    assert await is_in("a")
    (tmp_path / "web.yml").write_text(f"basic_auth_users: {{b: {HASH}}}\n")

    async def exchanged() -> bool:
        return await is_in("b")

    await until(exchanged)
    assert not await is_in("a")


@pytest.mark.parametrize("text", ["", "basic_auth_users: {}\n", "basic_auth_users: {a: x}\n", "[\n"])
async def test_a_file_that_is_half_written_or_bad_opens_no_door(
    start: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, text: str
) -> None:
    client = await start("127.0.0.1:0", f"basic_auth_users: {{a: {HASH}}}\n")
    (tmp_path / "web.yml").write_text(text)

    async def logged() -> bool:
        return "the web configuration is bad, the old one stays in force" in caplog.text

    await until(logged)
    assert (await client.get("/"))[0] == 401


async def test_clients_that_fail_the_tls_handshake_make_no_noise(
    start: Any, certificates: Any, caplog: pytest.LogCaptureFixture
) -> None:
    client = await start("127.0.0.1:0", TLS)
    for hello in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port)
        writer.write(hello)
        writer.write_eof()
        await reader.read()
        writer.close()
    with pytest.raises(ssl.SSLCertVerificationError):
        await serial(client, ssl.create_default_context())
    assert await serial(client, certificates.client_context())
    assert not caplog.records
