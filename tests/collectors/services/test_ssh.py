"""ssh: an SSH server that offers keys, and lets us in, passes; everything else is told as what it is."""

import asyncio
import contextlib
import getpass
import os
import signal
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.failures import (
    CertificateFailure,
    Misconfigured,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.secret import Credential, Secret
from collectors.services.ssh import SshOptions, parse_kexinit
from tests.peers.cut import Cut
from tests.peers.dropbear import Dropbear
from tests.peers.nginx import Nginx
from tests.peers.scripted import Attempt, Serve, says
from tests.peers.sshd import Sshd

LISTS = ("curve25519-sha256", "ssh-ed25519", *["aes128-ctr"] * 2, *["hmac-sha2-256"] * 2, *["none"] * 2, "", "")


def kexinit(*lists: str) -> bytes:
    named = b"".join(len(each).to_bytes(4, "big") + each.encode() for each in lists)
    return b"\x14" + bytes(range(16)) + named + b"\0" * 5


def packet(payload: bytes, padding: int = 5) -> bytes:
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + b"\xff" * padding


OFFER = packet(kexinit(*LISTS))


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"SSH-2.0-dropbear\n",
        b"SSH-1.99-Cisco-1.25\n",
        b"Authorised use only\r\n\r\n\xe6\x97\xa5\xe6\x9c\xac\xff\r\nSSH-2.0-x y\r\n",
    ],
)
async def test_an_ssh_server_passes(serve: Serve, run: Attempt, greeting: bytes) -> None:
    reading = await run("ssh", await serve(says(greeting + OFFER)))
    assert reading.failure is None
    assert "KEXINIT: curve25519-sha256; host keys ssh-ed25519" in "".join(reading.transcript)


@pytest.mark.parametrize(
    ("offer", "failure"),
    [
        (b"", TimedOut),
        (OFFER[:100], TimedOut),
        (b"\xff\xff\xff\xff\x04\x14", UnexpectedReply),
        (b"\0\0\0\1\5", UnexpectedReply),
        (b"\0\0\0\0\0", UnexpectedReply),
        (packet(b""), UnexpectedReply),
        (packet(b"\x15"), UnexpectedReply),
        (packet(b"\x14" + b"x" * 16), UnexpectedReply),
        (packet(kexinit(*LISTS)[:-20]), UnexpectedReply),
        (packet(kexinit("", *LISTS[1:])), UnexpectedReply),
        (packet(b"\x14" + b"x" * 16 + b"\xff\xff\xff\xff"), UnexpectedReply),
        (packet(kexinit("日本", *LISTS[1:])), UnexpectedReply),
        (packet(b"\1\0\0\0\x0c\0\0\0\4full\0\0\0\0"), Unavailable),
        (packet(b"\1\0\0\0\2\0\0\0\2no\0\0\0\0"), UnexpectedReply),
        (b"220 mail.example\r\n", UnexpectedReply),
    ],
)
async def test_what_is_no_offer_to_exchange_keys_fails_there(
    serve: Serve, run: Attempt, offer: bytes, failure: type[Exception]
) -> None:
    reading = await run("ssh", await serve(says(b"SSH-2.0-x\r\n" + offer)), within=0.5)
    assert type(reading.failure) is failure
    assert reading.failure is not None
    assert reading.failure.step == "key-exchange"
    assert reading.failure.detail.isprintable()


@given(st.binary(max_size=300))
def test_no_bytes_break_the_parser_of_an_offer(payload: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert len(parse_kexinit(payload)) == 10
    with contextlib.suppress(ValueError):
        assert len(parse_kexinit(b"\x14" + bytes(16) + payload)) == 10


async def test_we_identify_ourselves_and_go(serve: Serve, run: Attempt) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n" + OFFER)
        heard.set_result(await reader.read())

    assert (await run("ssh", await serve(listens))).failure is None
    assert await asyncio.wait_for(heard, 5) == b"SSH-2.0-dserver_exporter\r\n"


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-1.5-old\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"220 ftp.example\r\n530 what?\r\n",
        b"\r\n" * 100,
        b"x" * 5000,
        b"\x15\x03\x03\x00\x02\x02\x46",
    ],
)
async def test_what_is_not_ssh_is_told_at_the_greeting(serve: Serve, run: Attempt, said: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(said)

    reading = await run("ssh", await serve(script))
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "greeting"


async def test_a_banner_without_end_is_not_read_for_ever(serve: Serve, run: Attempt) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"welcome\r\n" * 100)
            await writer.drain()

    assert isinstance((await run("ssh", await serve(endless))).failure, UnexpectedReply)


@pytest.mark.parametrize("said", [b"Exceeded MaxStartups\r\n", b"Not allowed at this time\r\n"])
async def test_not_now_is_unavailable(serve: Serve, run: Attempt, said: bytes) -> None:
    assert isinstance((await run("ssh", await serve(says(said)))).failure, Unavailable)


async def test_silence_is_a_timeout_and_a_closed_connection_is_lost(serve: Serve, run: Attempt) -> None:
    silent = await run("ssh", await serve(says(b"")), within=0.5)
    assert isinstance(silent.failure, TimedOut)
    assert silent.failure.step == "greeting"

    async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readline()

    assert isinstance((await run("ssh", await serve(closes))).failure, Unreachable)


# log-ins, at a server of asyncssh's


class Guests(asyncssh.SSHServer):
    """Lets ``probe`` in with the password ``right``."""

    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("probe", "right")


def command(process: "asyncssh.SSHServerProcess[str]") -> None:
    if process.command == "flood":
        process.stdout.write("x" * 4_000_000)
    process.stdout.write(f"ran {process.command}\n")
    process.exit(3 if process.command == "fail" else 0)


@pytest.fixture
async def host() -> AsyncIterator[tuple[int, str]]:
    """A server's port and the fingerprint of its key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    options: dict[str, Any] = {"server_host_keys": [key], "process_factory": command}
    server = await asyncssh.create_server(Guests, "127.0.0.1", 0, **options)
    yield server.get_port(), key.get_fingerprint("sha256")
    server.close()
    await server.wait_closed()


def login(password: str = "right") -> Credential:
    return Credential("probe", Secret(password))


async def test_a_log_in_and_a_command_pass(run: Attempt, host: tuple[int, str]) -> None:
    port, fingerprint = host
    options: dict[str, Any] = {"fingerprint_sha256": fingerprint, "command": "hello", "expect_output": "^ran hello$"}
    reading = await run("ssh", port, credential=login(), **options)
    assert reading.failure is None, reading.failure
    shown = "".join(reading.transcript)
    assert f"host key ssh-ed25519 {fingerprint}" in shown
    assert "logged in as probe" in shown
    assert "ran hello" in shown
    assert "right" not in shown


async def test_a_rejected_password_is_void(run: Attempt, host: tuple[int, str]) -> None:
    reading = await run("ssh", host[0], credential=login("wrong"))
    assert isinstance(reading.failure, Unauthorized)
    assert reading.failure.step == "log-in"


@pytest.mark.parametrize("credential", [None, login()])
async def test_a_host_key_that_is_not_pinned_fails_before_anything_secret_is_said(
    run: Attempt, host: tuple[int, str], credential: Credential | None
) -> None:
    other = "SHA256:" + "A" * 43
    reading = await run("ssh", host[0], credential=credential, fingerprint_sha256=other)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "pin"
    assert host[1] in reading.failure.detail
    passes = await run("ssh", host[0], credential=credential, fingerprint_sha256=[other, host[1]])
    assert passes.failure is None


@pytest.mark.parametrize(
    ("options", "said"),
    [({"command": "fail"}, "exit status 3"), ({"command": "hello", "expect_output": "bye"}, "expect_output")],
)
async def test_a_command_that_does_not_do_what_it_should_is_the_wrong_content(
    run: Attempt, host: tuple[int, str], options: dict[str, Any], said: str
) -> None:
    reading = await run("ssh", host[0], credential=login(), **options)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "command"
    assert said in reading.failure.detail


@pytest.mark.parametrize(
    ("said", "forever", "failure"),
    [
        (b"", b"", TimedOut),
        (b"", b"\0" * 64, UnexpectedReply | Unreachable),
        (b"", b"\xff" * 64, UnexpectedReply | Unreachable),
        (b"", packet(b"\x02\0\0\0\x40" + b"x" * 64), UnexpectedReply | TimedOut),  # SSH_MSG_IGNORE, without end
        (packet(b"\x1f" + b"\0\0\0\x10" * 3), b"", UnexpectedReply | Unreachable | CertificateFailure),
        (packet(b"\x1f\xff\xff\xff\xff"), b"", UnexpectedReply | Unreachable),
        (packet(b"\x15") * 3, b"", UnexpectedReply | Unreachable),
        (packet(b"\1\0\0\0\x0c\0\0\0\4full\0\0\0\0"), b"", Unavailable),
        (OFFER * 50, b"", UnexpectedReply | Unreachable | TimedOut),
    ],
)
@pytest.mark.parametrize("credential", [None, login()])
async def test_a_hostile_server_fails_the_log_in_in_time_and_within_bounds(
    serve: Serve, run: Attempt, credential: Credential | None, said: bytes, forever: bytes, failure: Any
) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n" + OFFER + said)
        while forever:
            writer.write(forever * 500)
            await writer.drain()
        await asyncio.Event().wait()

    port = await serve(script)
    options: dict[str, Any] = {"within": 0.5, "credential": credential, "fingerprint_sha256": "SHA256:" + "A" * 43}
    await run("ssh", port, **options)  # once before, for what is made once
    tracemalloc.start()
    reading = await run("ssh", port, **options)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(reading.failure, failure), reading.failure
    assert reading.failure.step in {"key-exchange", "pin"}
    assert peak < 8 * 1024 * 1024


async def test_output_without_end_is_not_read_for_ever(run: Attempt, host: tuple[int, str]) -> None:
    reading = await run("ssh", host[0], credential=login(), command="flood")
    assert isinstance(reading.failure, UnexpectedReply)
    assert "more than" in reading.failure.detail


@pytest.mark.parametrize("after", [0, 100, 400, 900, 1500, 2500])
async def test_a_connection_that_breaks_off_anywhere_in_a_log_in_is_lost(
    run: Attempt, host: tuple[int, str], after: int
) -> None:
    async with Cut(host[0], after) as port:
        reading = await run("ssh", port, credential=login())
    assert isinstance(reading.failure, Unreachable | UnexpectedReply), reading.failure


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN OPENSSH PRIVATE KEY-----\nxx\n-----END OPENSSH PRIVATE KEY-----"]
)
async def test_a_private_key_that_cannot_be_read_is_our_mistake(run: Attempt, host: tuple[int, str], text: str) -> None:
    credential = Credential("probe", secrets={"private_key": Secret(text)})
    reading = await run("ssh", host[0], credential=credential)
    assert isinstance(reading.failure, Misconfigured)


@pytest.mark.parametrize("wrong", ["", "MD5:00", "SHA256:short", ["SHA256:" + "A" * 43, "x"], 5])
def test_a_fingerprint_is_written_as_ssh_keygen_shows_it(wrong: object) -> None:
    with pytest.raises(ValidationError, match="SHA256"):
        SshOptions.model_validate({"fingerprint_sha256": wrong})


# the real ones


async def test_a_log_in_with_a_key_passes_at_sshd_and_a_strange_key_is_void(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    me = getpass.getuser()
    with Sshd(peer("sshd"), tmp_path, user=me) as sshd:
        mine, strange = sshd.authorise(), Sshd(peer("sshd"), tmp_path / "other").authorise()
        options: dict[str, Any] = {"fingerprint_sha256": sshd.fingerprint, "command": "echo ready"}
        for key, failure in ((mine, type(None)), (strange, Unauthorized)):
            credential = Credential(me, secrets={"private_key": Secret(key)})
            reading = await run("ssh", sshd.port, credential=credential, expect_output="ready", **options)
            assert type(reading.failure) is failure, (reading.failure, reading.transcript)
            assert "PRIVATE KEY" not in "".join(reading.transcript)
        wrong = await run("ssh", sshd.port, credential=Credential(me, Secret("wrong")), **options)
        assert isinstance(wrong.failure, Unauthorized)
        assert (await run("ssh", sshd.port, fingerprint_sha256=sshd.fingerprint)).failure is None


async def test_a_stopped_sshd_is_a_timeout_while_its_port_is_open(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Sshd(peer("sshd"), tmp_path) as sshd:
        os.kill(sshd.pid, signal.SIGSTOP)
        try:
            reading = await run("ssh", sshd.port, within=0.5)
        finally:
            os.kill(sshd.pid, signal.SIGCONT)
    assert isinstance(reading.failure, TimedOut)


async def test_dropbear_passes_and_its_key_is_pinned(peer: Callable[[str], str], run: Attempt, tmp_path: Path) -> None:
    with Dropbear(peer("dropbear"), peer("dropbearkey"), tmp_path) as dropbear:
        assert (await run("ssh", dropbear.port)).failure is None
        assert (await run("ssh", dropbear.port, fingerprint_sha256=dropbear.fingerprint)).failure is None
        reading = await run("ssh", dropbear.port, credential=Credential("nobody-at-all", Secret("wrong")))
        assert isinstance(reading.failure, Unauthorized)
        dropbear.kill()
        assert isinstance((await run("ssh", dropbear.port)).failure, Refused)


async def test_sshd_passes_dies_and_comes_back(peer: Callable[[str], str], run: Attempt, tmp_path: Path) -> None:
    with Sshd(peer("sshd"), tmp_path) as sshd:
        reading = await run("ssh", sshd.port)
        assert reading.failure is None
        assert "SSH-2.0-OpenSSH" in "".join(reading.transcript)
        sshd.kill()
        assert isinstance((await run("ssh", sshd.port)).failure, Refused)
        sshd.start()
        assert (await run("ssh", sshd.port)).failure is None


async def test_sshd_with_too_many_guests_is_unavailable(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Sshd(peer("sshd"), tmp_path, "MaxStartups 1:100:1") as sshd:
        reader, writer = await asyncio.open_connection("127.0.0.1", sshd.port)
        with contextlib.closing(writer):
            await reader.readline()  # a guest who does not log in
            reading = await run("ssh", sshd.port)
    assert isinstance(reading.failure, Unavailable)


async def test_nginx_is_no_ssh_server(peer: Callable[[str], str], run: Attempt, tmp_path: Path) -> None:
    with Nginx(peer("nginx"), tmp_path, "location / { return 200; }") as nginx:
        reading = await run("ssh", nginx.port)
    assert isinstance(reading.failure, UnexpectedReply)
    assert "HTTP/1.1 400" in "".join(reading.transcript)
