"""postgresql: a server that answers, lets us in and gives the value passes; every other is told as what it is."""

import asyncio
import base64
import contextlib
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

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
from collectors.pgwire import message, startup
from collectors.secret import Credential, Secret
from collectors.services.postgresql import PostgresqlOptions
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.pgbouncer import PgBouncer
from tests.peers.postgres import PROBE, PROBE_CLEAR, PROBE_MD5, TRUSTED, Postgres
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "db.example"
ME = Credential("me", Secret("hunter2"))
READY = message("Z", b"I")
OK = message("R", bytes(4))
CLEARTEXT = message("R", b"\0\0\0\3")
MD5 = message("R", b"\0\0\0\5salt")
SASL = message("R", b"\0\0\0\nSCRAM-SHA-256\0\0")
NOTICE = message("N", b"SNOTICE\0C00000\0Mhello\0\0")
BEGUN = message("C", b"BEGIN\0") + message("C", b"SET\0") + message("Z", b"T")
SEVEN = message("1") + message("2") + message("D", b"\0\1\0\0\0\x017") + message("s") + message("Z", b"T")
DONE = message("C", b"ROLLBACK\0") + READY
LET_IN = message("S", b"server_version\x0015\0") + message("K", b"12345678") + READY
WELL = (OK + LET_IN, BEGUN, SEVEN, DONE)
FLUSHES = b"pQSX"
"""Messages of ours after which the server answers."""


def error(code: str, text: str = "sorry") -> bytes:
    return message("E", f"SFATAL\0VFATAL\0C{code}\0M{text}\0\0".encode())


def database(*answers: bytes, tls: ssl.SSLContext | None = None, heard: list[bytes] | None = None) -> Script:
    """Give one answer after the start-up, and one after everything else that we wait for."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        start = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
        if start == b"\x04\xd2\x16\x2f":  # SSLRequest
            writer.write(b"S" if tls else b"N")
            if tls:
                await writer.start_tls(tls)
            await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
        for answer in answers:
            writer.write(answer)
            while True:
                head = await reader.readexactly(5)
                body = await reader.readexactly(int.from_bytes(head[1:], "big") - 4)
                if heard is not None:
                    heard.append(head[:1] + body)
                if head[0] in FLUSHES:
                    break

    return script


async def test_a_server_that_asks_who_we_are_passes_without_a_log_in(serve: Serve, run: Attempt) -> None:
    heard: list[bytes] = []
    assert (await run("postgresql", await serve(database(SASL, heard=heard)))).failure is None
    assert heard == []


async def test_with_a_credential_the_query_is_asked_in_a_read_only_transaction_with_a_limit(
    serve: Serve, run: Attempt
) -> None:
    heard: list[bytes] = []
    port = await serve(database(*WELL, heard=heard))
    reading = await run("postgresql", port, credential=ME, query="SELECT pieces FROM stock", expect=7)
    assert reading.failure is None
    assert heard[0].startswith(b"QBEGIN READ ONLY; SET LOCAL statement_timeout = ")
    assert heard[1] == b"P\0SELECT pieces FROM stock\0\0\0"
    assert heard[-1] == b"QROLLBACK\0" or heard[-1] == b"X"
    assert "< DataRow 7" in "".join(reading.transcript)


@pytest.mark.parametrize("asked", [CLEARTEXT, MD5])
async def test_a_password_is_sent_encrypted_or_not_at_all_unless_that_is_said(
    serve: Serve, run: Attempt, authority: Authority, asked: bytes
) -> None:
    heard: list[bytes] = []
    answers = (asked, *WELL)
    reading = await run("postgresql", await serve(database(*answers, heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert heard == []
    port = await serve(database(*answers, heard=heard))
    assert (await run("postgresql", port, credential=ME, starttls="off")).failure is None
    port = await serve(database(*answers, heard=heard, tls=server_context(authority.issue(NAME))))
    reading = await run("postgresql", port, credential=ME)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert "hunter2" not in "".join(reading.transcript)
    assert "*** " not in heard[0].decode()
    assert heard[0] in (b"phunter2\0", b"pmd5" + heard[0][4:-1] + b"\0")


async def test_tls_can_be_required_and_its_certificate_judged(serve: Serve, run: Attempt, authority: Authority) -> None:
    reading = await run("postgresql", await serve(database(OK)), starttls="required")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"
    port = await serve(database(OK, tls=server_context(authority.issue("other.example"))))
    reading = await run("postgresql", port, hostname=NAME, certificate="verify", ca_file=authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry is not None


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (OK, None),
        (CLEARTEXT, None),
        (MD5, None),
        (SASL, None),
        (NOTICE + SASL, None),
        (error("28000", "no pg_hba.conf entry"), None),
        (error("3D000", "database does not exist"), None),
        (error("08P01", "no such database: postgres"), None),
        (error("57P03", "the database system is starting up"), Unavailable),
        (error("57P03", "the database system is in recovery mode"), Unavailable),
        (error("53300", "sorry, too many clients already"), Unavailable),
        (error("08P01", "no more connections allowed (max_client_conn)"), Unavailable),
        (error("XX000", "could not open file"), WrongContent),
        (message("E", b"Mno code\0\0"), UnexpectedReply),
        (message("Z", b"I"), UnexpectedReply),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", UnexpectedReply),
        (b"\x15\x03\x03\x00\x02\x02\x46", UnexpectedReply),
        (b"R\x80\0\0\0", UnexpectedReply),
        (b"R\x7f\xff\xff\xff", UnexpectedReply),
        (b"R\xff\xff\xff\xff", UnexpectedReply),
        (b"R\0\0\0\0", UnexpectedReply),
        (NOTICE * 1000, UnexpectedReply),
    ],
)
async def test_without_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answer: bytes, failure: type[CheckFailure] | None
) -> None:
    reading = await run("postgresql", await serve(database(answer)))
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == "start-up"
        assert len(str(reading.failure)) < 500


ROW_LIES = message("1") + message("2") + message("D", b"\0\1\x7f\xff\xff\xff7")
NO_ROW = message("1") + message("2") + message("C", b"SELECT 0\0") + message("Z", b"T")
NULL = SEVEN.replace(b"D\0\0\0\x0b\0\1\0\0\0\x017", b"D\0\0\0\x0a\0\1\xff\xff\xff\xff")
COPY = message("1") + message("2") + message("G", b"\0\0\0")


@pytest.mark.parametrize(
    ("answers", "failure", "step"),
    [
        ((error("28000"),), Unauthorized, "start-up"),
        ((CLEARTEXT, error("28P01")), Unauthorized, "log-in"),
        ((CLEARTEXT, error("53300")), Unavailable, "log-in"),
        ((CLEARTEXT, error("3D000")), WrongContent, "log-in"),
        ((CLEARTEXT, CLEARTEXT), UnexpectedReply, "log-in"),
        ((message("R", b"\0\0\0\5"),), Misconfigured, "log-in"),
        ((message("R", b"\0"),), UnexpectedReply, "start-up"),
        ((message("R", b"\0\0\0\7"),), Misconfigured, "log-in"),
        ((message("R", b"\0\0\0\nSCRAM-SHA-1\0\0"),), Misconfigured, "log-in"),
        ((SASL, message("R", b"\0\0\0\x0br=x,s=AAAA,i=1")), UnexpectedReply, "log-in"),
        ((SASL, message("R", b"\0\0\0\x0b\xff")), UnexpectedReply, "log-in"),
        ((SASL, OK), UnexpectedReply, "log-in"),
        ((OK + NOTICE * 1000,), UnexpectedReply, "log-in"),
        ((OK + LET_IN, error("57P01")), Unavailable, "query"),
        ((OK + LET_IN, BEGUN, message("1") + error("57014")), TimedOut, "query"),
        ((OK + LET_IN, BEGUN, message("1") + message("2") + error("42501")), Unauthorized, "query"),
        ((OK + LET_IN, BEGUN, message("1") + error("42P01")), WrongContent, "query"),
        ((OK + LET_IN, BEGUN, ROW_LIES), UnexpectedReply, "query"),
        ((OK + LET_IN, BEGUN, COPY), Misconfigured, "query"),
        ((OK + LET_IN, BEGUN, NO_ROW, DONE), WrongContent, "query"),
        ((OK + LET_IN, BEGUN, NULL, DONE), WrongContent, "query"),
        ((OK + LET_IN, BEGUN, SEVEN.replace(b"7", b"8"), DONE), WrongContent, "query"),
        ((OK + LET_IN, BEGUN, SEVEN, READY), UnexpectedReply, "query"),
        (WELL, None, ""),
    ],
)
async def test_with_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answers: tuple[bytes, ...], failure: type[CheckFailure] | None, step: str
) -> None:
    port = await serve(database(*answers))
    reading = await run("postgresql", port, credential=ME, starttls="off", query="SELECT 1", expect="7")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500


@pytest.mark.parametrize(
    ("iterations", "failure"),
    [(1, UnexpectedReply), (50_000, UnexpectedReply), (999_999_999, UnexpectedReply), (10**30, UnexpectedReply)],
)
async def test_a_scram_server_that_does_not_know_the_password_is_another_one(
    serve: Serve, run: Attempt, iterations: int, failure: type[CheckFailure]
) -> None:
    async def impostor(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(int.from_bytes(await reader.readexactly(4), "big") - 4)
        writer.write(SASL)
        nonce = (await reader.readuntil(b"r="), await reader.readexactly(24))[1]
        salt = base64.b64encode(b"salt")
        writer.write(message("R", b"\0\0\0\x0br=%smore,s=%s,i=%d" % (nonce, salt, iterations)))
        await reader.readuntil(b",p=")
        writer.write(message("R", b"\0\0\0\x0cv=AAAA") + OK + LET_IN)
        await reader.read()

    reading = await run("postgresql", await serve(impostor), credential=ME, starttls="off")
    assert type(reading.failure) is failure
    assert reading.failure.step == "log-in"


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b"could not fork new process for connection: Cannot allocate memory\n\0", Unavailable),
        (b"RROR\r\n", UnexpectedReply),
    ],
)
async def test_a_server_that_cannot_fork_is_unavailable_and_memcached_is_no_postgresql(
    serve: Serve, run: Attempt, said: bytes, failure: type[CheckFailure]
) -> None:
    reading = await run("postgresql", await serve(says(b"E" + said)))
    assert type(reading.failure) is failure


async def test_words_before_tls_begins_are_not_taken_for_the_encrypted_servers(serve: Serve, run: Attempt) -> None:
    reading = await run("postgresql", await serve(says(b"S" + OK)))
    assert isinstance(reading.failure, UnexpectedReply)


async def test_notices_without_end_end(serve: Serve, run: Attempt) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(NOTICE * 100)
            await writer.drain()

    reading = await run("postgresql", await serve(endless), starttls="off")
    assert isinstance(reading.failure, UnexpectedReply)


async def test_silence_is_a_timeout_and_a_closed_connection_is_lost(serve: Serve, run: Attempt) -> None:
    silent = await run("postgresql", await serve(says(b"")), within=0.5)
    assert isinstance(silent.failure, TimedOut)
    assert silent.failure.step == "starttls"

    async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)

    assert isinstance((await run("postgresql", await serve(closes))).failure, Unreachable)


@pytest.mark.parametrize("credential", [Credential("", Secret("x")), Credential("a\0b", Secret("x"))])
async def test_a_credential_that_cannot_be_sent_is_our_mistake(
    serve: Serve, run: Attempt, credential: Credential
) -> None:
    reading = await run("postgresql", await serve(database(OK)), credential=credential)
    assert isinstance(reading.failure, Misconfigured)


async def test_a_query_without_a_credential_is_our_mistake(serve: Serve, run: Attempt) -> None:
    reading = await run("postgresql", await serve(database(OK)), query="SELECT 1")
    assert isinstance(reading.failure, Misconfigured)


@pytest.mark.parametrize(
    "wrong",
    [{"expect": "1"}, {"query": "SELECT 1", "expect": True}, {"database": "a\0b"}, {"query": "a\0b"}, {"query": []}],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        PostgresqlOptions.model_validate(wrong)


# the real one, and the pooler that many put before it


@pytest.fixture(scope="module")
def made(peer: Callable[[str], str], authority: Authority) -> Iterator[Postgres]:
    database = Postgres(peer("postgres"), authority.issue(NAME))
    yield database
    database.remove()


@pytest.fixture(scope="module")
def postgres(made: Postgres) -> Iterator[Postgres]:
    with made:
        yield made


@pytest.fixture
def verified(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "starttls": "required", "certificate": "verify", "ca_file": authority.file}


async def test_postgresql_passes_without_a_credential_and_logs_no_broken_connection(
    postgres: Postgres, run: Attempt, verified: dict[str, Any]
) -> None:
    before = postgres.log.read_text("utf-8")
    for options in ({}, {"starttls": "off"}, verified, {"database": "missing"}):
        reading = await run("postgresql", postgres.port, **options)
        assert reading.failure is None
        assert (reading.certificate_expiry is None) == (options == {"starttls": "off"})
    assert postgres.log.read_text("utf-8").removeprefix(before) == ""


@pytest.mark.parametrize("credential", [PROBE, PROBE_MD5, PROBE_CLEAR, TRUSTED])
async def test_postgresql_lets_us_in_by_every_method(
    postgres: Postgres, run: Attempt, verified: dict[str, Any], credential: Credential
) -> None:
    for options in (verified, {"starttls": "off"}):
        assert (await run("postgresql", postgres.port, credential=credential, **options)).failure is None


async def test_postgresql_is_shown_that_we_see_the_certificate_that_it_has(
    postgres: Postgres, run: Attempt, verified: dict[str, Any]
) -> None:
    reading = await run("postgresql", postgres.port, credential=PROBE, **verified)
    assert "SASLInitialResponse SCRAM-SHA-256-PLUS p=tls-server-end-point" in "".join(reading.transcript)


STOCK = "SELECT pieces FROM stock WHERE item = 'lamp'"


@pytest.mark.parametrize(
    ("query", "expect", "failure"),
    [
        (STOCK, 7, None),
        (STOCK, 8, WrongContent),
        ("SELECT pieces FROM stock WHERE item = 'fan'", "7", WrongContent),
        ("SELECT pieces FROM stock WHERE item = 'none'", "7", WrongContent),
        ("SELECT '漏電', 2", "漏電", None),
        ("SELECT generate_series(1, 10000000)", "1", None),
        ("SELECT * FROM missing", None, WrongContent),
        ("SELECT * FROM closed", None, Unauthorized),
        ("SELCT", None, Misconfigured),
        ("COMMIT; DELETE FROM stock", None, Misconfigured),
        ("INSERT INTO stock VALUES ('drive', 1)", None, Misconfigured),
        ("COPY stock TO STDOUT", None, Misconfigured),
        ("SELECT repeat('x', 1000000)", None, UnexpectedReply),
    ],
)
async def test_postgresql_answers_the_query(
    postgres: Postgres, run: Attempt, query: str, expect: object, failure: type[CheckFailure] | None
) -> None:
    reading = await run("postgresql", postgres.port, credential=PROBE, query=query, expect=expect)
    assert type(reading.failure) is (failure or type(None))


async def test_postgresql_gives_up_a_query_that_takes_too_long(postgres: Postgres, run: Attempt) -> None:
    reading = await run("postgresql", postgres.port, credential=PROBE, query="SELECT pg_sleep(60)", within=1.5)
    assert isinstance(reading.failure, TimedOut)
    assert "statement timeout" in reading.failure.detail


async def test_postgresql_that_rejects_our_account_is_void(postgres: Postgres, run: Attempt) -> None:
    for credential in (Credential("probe", Secret("wrong")), Credential("unknown", Secret("x"))):
        assert isinstance((await run("postgresql", postgres.port, credential=credential)).failure, Unauthorized)
    assert isinstance((await run("postgresql", postgres.port, credential=Credential("gss"))).failure, Misconfigured)


async def test_postgresql_without_the_database_is_wrong(postgres: Postgres, run: Attempt) -> None:
    assert isinstance((await run("postgresql", postgres.port, credential=PROBE, database="x")).failure, WrongContent)


async def test_postgresql_that_hangs_is_a_timeout(postgres: Postgres, run: Attempt) -> None:
    with postgres.suspended():
        assert isinstance((await run("postgresql", postgres.port, within=0.5)).failure, TimedOut)
    assert (await run("postgresql", postgres.port)).failure is None


async def test_postgresql_stops_and_comes_back(made: Postgres, postgres: Postgres, run: Attempt) -> None:
    postgres.stop()
    try:
        assert isinstance((await run("postgresql", made.port)).failure, Refused)
    finally:
        made.start()
    assert (await run("postgresql", made.port)).failure is None


async def test_postgresql_with_an_expired_certificate_fails_only_where_it_is_judged(
    postgres: Postgres, run: Attempt, authority: Authority, verified: dict[str, Any]
) -> None:
    with postgres.given(authority.issue(NAME, ends=now() - DAY)):
        judged = await run("postgresql", postgres.port, **verified)
        assert isinstance(judged.failure, CertificateFailure)
        assert judged.certificate_expiry is not None
        assert (await run("postgresql", postgres.port)).failure is None


async def test_postgresql_with_too_many_guests_is_unavailable(postgres: Postgres, run: Attempt) -> None:
    with postgres.given(max_connections=2, superuser_reserved_connections=0, max_wal_senders=0):
        async with contextlib.AsyncExitStack() as guests:
            for _ in range(2):  # who do not log in, and take a place
                reader, writer = await asyncio.open_connection("127.0.0.1", postgres.port)
                guests.callback(writer.close)
                writer.write(startup(user="probe", database="postgres"))
                await reader.readexactly(1)
            reading = await run("postgresql", postgres.port)
    assert isinstance(reading.failure, Unavailable)
    assert "53300" in reading.failure.detail


async def test_postgresql_that_is_not_ready_is_unavailable(postgres: Postgres, run: Attempt) -> None:
    with postgres.given(recovering=True):
        for credential in (None, PROBE):
            reading = await run("postgresql", postgres.port, credential=credential)
            assert isinstance(reading.failure, Unavailable)
            assert "57P03" in reading.failure.detail


async def test_pgbouncer_is_judged_like_the_server_behind_it(
    peer: Callable[[str], str], postgres: Postgres, run: Attempt, authority: Authority, verified: dict[str, Any]
) -> None:
    program = peer("pgbouncer")
    settings = "pool_mode = transaction\nquery_wait_timeout = 1"
    with PgBouncer(program, authority.issue(NAME), postgres.port, settings) as pooler:
        assert (await run("postgresql", pooler.port, **verified)).failure is None
        reading = await run("postgresql", pooler.port, credential=PROBE, query=STOCK, expect=7, **verified)
        assert reading.failure is None
        wrong = await run("postgresql", pooler.port, credential=Credential("probe", Secret("wrong")))
        assert isinstance(wrong.failure, Unauthorized)
        missing = await run("postgresql", pooler.port, credential=PROBE, database="missing")
        assert isinstance(missing.failure, WrongContent)
        postgres.stop()
        try:
            reading = await run("postgresql", pooler.port, credential=PROBE)
        finally:
            postgres.start()
        assert isinstance(reading.failure, Unavailable)


async def test_pgbouncer_without_transactions_is_our_mistake(
    peer: Callable[[str], str], postgres: Postgres, run: Attempt, authority: Authority
) -> None:
    with PgBouncer(peer("pgbouncer"), authority.issue(NAME), postgres.port, "pool_mode = statement") as pooler:
        assert (await run("postgresql", pooler.port)).failure is None
        assert isinstance((await run("postgresql", pooler.port, credential=PROBE)).failure, Misconfigured)


async def test_pgbouncer_that_is_full_is_unavailable(
    peer: Callable[[str], str], postgres: Postgres, run: Attempt, authority: Authority
) -> None:
    with PgBouncer(peer("pgbouncer"), authority.issue(NAME), postgres.port, "max_client_conn = 1") as pooler:
        async with contextlib.AsyncExitStack() as guests:
            for _ in range(2):
                reader, writer = await asyncio.open_connection("127.0.0.1", pooler.port)
                guests.callback(writer.close)
                writer.write(startup(user="probe", database="postgres"))
                await reader.readexactly(1)
            reading = await run("postgresql", pooler.port)
    assert isinstance(reading.failure, Unavailable)
