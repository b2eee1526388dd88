import asyncio
import contextlib
import datetime
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from exporter.demo.endpoints import SSH_GREETING, Authority, Endpoint, Http, Https, Ssh

HOSTNAME = "web01.example"
REQUEST = b"GET / HTTP/1.1\r\nHost: web01.example\r\n\r\n"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    endpoint = Http()
    await endpoint.start()
    yield endpoint
    await endpoint.close()


@pytest.fixture
async def ssh() -> AsyncIterator[Ssh]:
    endpoint = Ssh()
    await endpoint.start()
    yield endpoint
    await endpoint.close()


async def ask(endpoint: Endpoint, request: bytes, tls: ssl.SSLContext | None = None) -> bytes:
    name = HOSTNAME if tls else None
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", endpoint.port, ssl=tls, server_hostname=name)
        try:
            writer.write(request)
            return await reader.read()
        finally:
            writer.close()
            await writer.wait_closed()


async def ask_https(folder: Path, valid_for: datetime.timedelta, name: str = HOSTNAME) -> bytes:
    """Ask a server whose certificate is for ``name``, trusting the demo's authority."""
    authority = Authority(folder)
    endpoint = Https(authority.server_context(name, valid_for=valid_for))
    await endpoint.start()
    try:
        client = ssl.create_default_context(cafile=authority.file)
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        return await ask(endpoint, REQUEST, client)
    finally:
        await endpoint.close()


async def test_http_answers_and_closes(http: Http) -> None:
    head, _, body = (await ask(http, REQUEST)).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Length: 6" in head
    assert body == b"ready\n"
    http.status, http.body = 503, "not now"
    reply = await ask(http, REQUEST)
    assert reply.startswith(b"HTTP/1.1 503 ")
    assert reply.endswith(b"not now")


async def test_ssh_greets_offers_keys_and_closes_after_the_clients_line(ssh: Ssh) -> None:
    assert await ask(ssh, b"SSH-2.0-client\r\n") == SSH_GREETING


async def test_openssh_understands_the_offer(ssh: Ssh, peer: Callable[[str], str]) -> None:
    options = ("-v", "-F", "none", "-p", str(ssh.port), "-o", "BatchMode=yes", "-o", "UserKnownHostsFile=/dev/null")
    process = await asyncio.create_subprocess_exec(
        peer("ssh"), *options, "127.0.0.1", stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    _, said = await process.communicate()
    assert b"SSH2_MSG_KEXINIT received" in said
    assert b"kex: algorithm: curve25519-sha256" in said


async def test_https_has_a_certificate_that_a_strict_client_trusts(tmp_path: Path) -> None:
    reply = await ask_https(tmp_path, datetime.timedelta(days=10))
    assert reply.endswith(b"ready\n")


@pytest.mark.parametrize(
    ("days", "name", "complaint"), [(-3, HOSTNAME, "expired"), (10, "other.example", "Hostname mismatch")]
)
async def test_an_expired_certificate_or_one_for_another_name_is_refused_by_the_client(
    tmp_path: Path, days: int, name: str, complaint: str
) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=complaint):
        await ask_https(tmp_path, datetime.timedelta(days=days), name)


def test_no_private_key_stays_in_the_folder(tmp_path: Path) -> None:
    Authority(tmp_path).server_context(HOSTNAME, valid_for=datetime.timedelta(days=1))
    assert [file.name for file in tmp_path.iterdir()] == ["ca.pem"]
    assert b"PRIVATE" not in (tmp_path / "ca.pem").read_bytes()


async def test_a_service_that_died_refuses_and_comes_back_on_its_port(http: Http) -> None:
    port = http.port
    await http.stop()
    assert not http.up
    with pytest.raises(ConnectionRefusedError):
        await ask(http, REQUEST)
    await http.start()
    assert http.port == port
    assert (await ask(http, REQUEST)).endswith(b"ready\n")


async def test_a_dead_services_port_is_given_to_nobody_else(http: Http) -> None:
    await http.stop()
    with socket.socket() as thief, pytest.raises(OSError, match="in use"):
        thief.bind(("127.0.0.1", http.port))


async def test_a_service_that_dies_drops_its_open_connections(ssh: Ssh) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", ssh.port)
    assert await reader.readexactly(len(SSH_GREETING)) == SSH_GREETING
    async with asyncio.timeout(5):
        await ssh.stop()
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
        assert reader.at_eof()
    writer.close()


@pytest.mark.parametrize("garbage", [b"", b"\0" * 100_000, b"\xff\r\n\r\n", b"x" * 20_000 + b"\r\n\r\n"])
async def test_a_bad_client_ends_only_its_own_connection(
    http: Http, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", http.port)
    writer.write(garbage)
    writer.write_eof()
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionResetError):
            await reader.read()
    writer.close()
    assert (await ask(http, REQUEST)).endswith(b"ready\n")
    assert not caplog.records
