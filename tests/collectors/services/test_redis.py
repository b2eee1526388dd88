"""redis: a server that answers PING passes, also one that asks for a password; every other is told as what it is."""

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dialogue import Dialogue
from collectors.failures import (
    CertificateFailure,
    CheckFailure,
    Misconfigured,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.registry import CHECKS, ServiceTarget
from collectors.secret import Credential, Secret
from collectors.services import redis as module
from tests.peers.certificates import DAY, Authority, now
from tests.peers.redis import Redis
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "db.example"
ME = Credential("", Secret("hunter2"))
MASTER = b"*3\r\n$6\r\nmaster\r\n:3129659\r\n*1\r\n*3\r\n$9\r\n192.0.2.1\r\n$4\r\n9001\r\n$7\r\n3129242\r\n"
REPLICA = b"*5\r\n$5\r\nslave\r\n$9\r\n192.0.2.1\r\n:6379\r\n$9\r\nconnected\r\n:3167038\r\n"


def database(*answers: bytes, heard: list[bytes] | None = None) -> Script:
    """Give one answer to each command."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for answer in answers:
            command = await reader.readline()
            for _ in range(int(command[1:])):
                command += (length := await reader.readline())
                command += await reader.readexactly(int(length[1:]) + 2)
            if heard is not None:
                heard.append(command)
            writer.write(answer)
        await reader.read()

    return script


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"+PONG\r\n", None),
        (b"$4\r\nPONG\r\n", None),
        (b"-NOAUTH Authentication required.\r\n", None),
        (b"-ERR operation not permitted\r\n", None),
        (b"-DENIED Redis is running in protected mode\r\n", None),
        (b"-LOADING Redis is loading the dataset in memory\r\n", Unavailable),
        (b"-MASTERDOWN Link with MASTER is down\r\n", Unavailable),
        (b"-BUSY Redis is busy running a script\r\n", Unavailable),
        (b"-MISCONF Redis is configured to save RDB snapshots, but\r\n", Unavailable),
        (b"-ERR max number of clients reached\r\n", Unavailable),
        (b"-ERR unknown command\r\n", WrongContent),
        (b"+OK POP3 ready\r\n", UnexpectedReply),
        (b"ERROR\r\n", UnexpectedReply),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UnexpectedReply),
        (b"\x15\x03\x03\x00\x02\x02\x46\n", UnexpectedReply),
        (b":7\r\n", UnexpectedReply),
        (b"$-1\r\n", UnexpectedReply),
        (b"$10000000000\r\n", UnexpectedReply),
        (b"$-10000000000\r\n", UnexpectedReply),
        (b"$4\r\nPONGPONG", UnexpectedReply),
        (b"*2000000000\r\n", UnexpectedReply),
        (b"*1\r\n" * 100_000, UnexpectedReply),
        (b"*900\r\n" * 3 + b":1\r\n" * 2000, UnexpectedReply),
        (b"*-1\r\n", UnexpectedReply),
        (b"+" + b"x" * 100_000, UnexpectedReply),
    ],
)
async def test_without_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answer: bytes, failure: type[CheckFailure] | None
) -> None:
    reading = await run("redis", await serve(database(answer)))
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == "ping"
        assert len(str(reading.failure)) < 500


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"-WRONGPASS invalid username-password pair or user is disabled.\r\n", Unauthorized),
        (b"-ERR invalid password\r\n", Unauthorized),
        (b"-ERR AUTH <password> called without any password configured for the default user.\r\n", Misconfigured),
        (b"-ERR wrong number of arguments for 'auth' command\r\n", Misconfigured),
        (b"-LOADING Redis is loading the dataset in memory\r\n", Unavailable),
        (b"-NOPERM this user has no permissions to run the 'ping' command\r\n", Unauthorized),
    ],
)
async def test_a_refused_log_in_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answer: bytes, failure: type[CheckFailure]
) -> None:
    noauth = b"-NOAUTH Authentication required.\r\n"
    reading = await run("redis", await serve(database(noauth, answer)), credential=ME, tls=False)
    assert type(reading.failure) is failure
    assert reading.failure.step == "log-in"


async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said_and_never_shown(
    serve: Serve, run: Attempt
) -> None:
    heard: list[bytes] = []
    answers = (b"-NOAUTH Authentication required.\r\n", b"+OK\r\n", b"+PONG\r\n")
    reading = await run("redis", await serve(database(*answers, heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert len(heard) == 1
    credential = Credential("monitor", Secret("日本\r\nPING"))
    reading = await run("redis", await serve(database(*answers, heard=heard)), credential=credential, tls=False)
    assert reading.failure is None
    assert heard[2].startswith(b"*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$12\r\n\xe6\x97\xa5\xe6\x9c\xac\r\nPING\r\n")
    assert "日本" not in "".join(reading.transcript)


@pytest.mark.parametrize(
    ("role", "answer", "failure"),
    [
        ("master", MASTER, None),
        ("replica", REPLICA, None),
        ("master", REPLICA, WrongContent),
        ("replica", MASTER, WrongContent),
        ("replica", REPLICA.replace(b"$9\r\nconnected", b"$7\r\nconnect"), WrongContent),
        ("replica", b"*1\r\n$5\r\nslave\r\n", WrongContent),
        ("sentinel", b"*2\r\n$8\r\nsentinel\r\n*1\r\n$4\r\nshop\r\n", None),
        ("master", b"*1\r\n$7\r\nnonsense\r\n", UnexpectedReply),
        ("master", b"+master\r\n", UnexpectedReply),
        ("master", b"*1\r\n-ERR inside\r\n", WrongContent),
        ("master", b"-NOPERM no permissions to run the 'role' command\r\n", Unauthorized),
    ],
)
async def test_the_role_is_the_expected_one(
    serve: Serve, run: Attempt, role: str, answer: bytes, failure: type[CheckFailure] | None
) -> None:
    reading = await run("redis", await serve(database(b"+PONG\r\n", answer)), role=role)
    assert type(reading.failure) is (failure or type(None))
    assert reading.failure is None or reading.failure.step == "role"


async def test_a_role_that_nobody_tells_us_is_not_taken_for_granted(serve: Serve, run: Attempt) -> None:
    reading = await run("redis", await serve(database(b"-NOAUTH Authentication required.\r\n")), role="master")
    assert isinstance(reading.failure, Unauthorized)


async def test_silence_is_a_timeout_and_a_closed_connection_is_lost(serve: Serve, run: Attempt) -> None:
    silent = await run("redis", await serve(says(b"")), within=0.5)
    assert isinstance(silent.failure, TimedOut)
    assert silent.failure.step == "ping"

    async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readline()

    assert isinstance((await run("redis", await serve(closes))).failure, Unreachable)


def test_a_name_is_needed_only_in_tls() -> None:
    kind = CHECKS["redis"]
    assert not kind.tls(module.RedisOptions())
    assert kind.tls(module.RedisOptions(tls=True))
    assert not kind.tls(module.RedisOptions(tls=True, certificate="ignore"))


@given(
    st.lists(
        st.sampled_from(["+", "-", ":", "$", "*", "1", "9", "-1", "1000", "\n", "\n", "PONG", "\0", "ſ", "٣", "_"]),
        max_size=40,
    ).map("".join)
)
def test_no_answer_breaks_the_parser(said: str) -> None:
    async def parse() -> None:
        talk = Dialogue(ServiceTarget("127.0.0.1"), 0)
        rest = said

        async def line() -> str:
            nonlocal rest
            first, end, rest = rest.partition("\n")
            if not end:
                raise Unreachable("ping")
            return first

        async def exactly(count: int) -> bytes:
            nonlocal rest
            taken, rest = rest[:count].encode(), rest[count:]
            return taken

        talk.line = line  # type: ignore[method-assign, assignment]  # no network for hundreds of examples
        talk.exactly = exactly  # type: ignore[method-assign]
        await module.answer(talk)

    with contextlib.suppress(Unreachable, UnexpectedReply, Unavailable, WrongContent):
        asyncio.run(parse())


# the real one


async def test_redis_passes_hangs_dies_and_comes_back(peer: Callable[[str], str], run: Attempt, tmp_path: Path) -> None:
    with Redis(peer("redis-server"), tmp_path) as redis:
        assert (await run("redis", redis.port, role="master")).failure is None
        wrong = await run("redis", redis.port, credential=ME, tls=False)
        assert isinstance(wrong.failure, Misconfigured)
        with redis.suspended():
            assert isinstance((await run("redis", redis.port, within=0.5)).failure, TimedOut)
        redis.kill()
        assert isinstance((await run("redis", redis.port)).failure, Refused)
        redis.start()
        assert (await run("redis", redis.port)).failure is None


async def test_redis_lets_us_in_encrypted(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path, authority: Authority
) -> None:
    extra = "requirepass hunter2\nuser monitor on >secret -@all +ping +role"
    verified: dict[str, Any] = {"tls": True, "hostname": NAME, "ca_file": authority.file}
    with Redis(peer("redis-server"), tmp_path, extra, authority.issue(NAME)) as redis:
        assert (await run("redis", redis.port)).failure is None
        assert (await run("redis", redis.tls_port, **verified)).failure is None
        monitor = Credential("monitor", Secret("secret"))
        for credential in (ME, monitor):
            reading = await run("redis", redis.tls_port, credential=credential, role="master", **verified)
            assert reading.failure is None
            assert reading.certificate_expiry is not None
        for wrong in (Credential("", Secret("x")), Credential("monitor", Secret("x")), Credential("who", Secret("x"))):
            reading = await run("redis", redis.tls_port, credential=wrong, **verified)
            assert isinstance(reading.failure, Unauthorized)
        other = await run("redis", redis.tls_port, tls=True, hostname="other.example", ca_file=authority.file)
        assert isinstance(other.failure, CertificateFailure)


async def test_redis_with_an_expired_certificate_fails(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path, authority: Authority
) -> None:
    with Redis(peer("redis-server"), tmp_path, certificate=authority.issue(NAME, ends=now() - DAY)) as redis:
        reading = await run("redis", redis.tls_port, tls=True, hostname=NAME, ca_file=authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry is not None


async def the_only_guest(port: int) -> asyncio.StreamWriter:
    """Connect, and be served: whoever looked whether the server is there may be a guest for a moment yet."""
    async with asyncio.timeout(20):
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"PING\r\n")
            if await reader.readline() == b"+PONG\r\n":
                return writer
            writer.close()


async def test_redis_with_too_many_guests_and_a_replica_without_its_master_are_told(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Redis(peer("redis-server"), tmp_path, "maxclients 1") as redis:
        guest = await the_only_guest(redis.port)
        full = await run("redis", redis.port)
        guest.close()
        assert isinstance(full.failure, Unavailable)
    extra = "replicaof 127.0.0.1 1\nreplica-serve-stale-data no"
    with Redis(peer("redis-server"), tmp_path, extra) as replica:
        reading = await run("redis", replica.port)
        assert isinstance(reading.failure, Unavailable)
        assert "MASTERDOWN" in reading.failure.detail
    with Redis(peer("redis-server"), tmp_path, "replicaof 127.0.0.1 1") as replica:
        assert (await run("redis", replica.port)).failure is None
        assert isinstance((await run("redis", replica.port, role="replica")).failure, WrongContent)
