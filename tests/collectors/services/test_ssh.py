"""ssh: an SSH server that greets passes, everything else is told as what it is."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest

from collectors.failures import Refused, TimedOut, Unavailable, UnexpectedReply, Unreachable
from tests.peers.nginx import Nginx
from tests.peers.scripted import Attempt, Serve, says
from tests.peers.sshd import Sshd


@pytest.mark.parametrize(
    "greeting",
    [
        b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n",
        b"SSH-2.0-dropbear\n",
        b"SSH-1.99-Cisco-1.25\n",
        b"Authorised use only\r\n\r\n\xe6\x97\xa5\xe6\x9c\xac\xff\r\nSSH-2.0-x y\r\n\x00\x00\x01\x14 key exchange",
    ],
)
async def test_an_ssh_server_passes(serve: Serve, run: Attempt, greeting: bytes) -> None:
    assert (await run("ssh", await serve(says(greeting)))).failure is None


async def test_we_identify_ourselves_and_go(serve: Serve, run: Attempt) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-x\r\n")
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


# the real one


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
