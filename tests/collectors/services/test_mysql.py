"""mysql and mariadb: a server that lets us in and gives the value passes; every other is told as what it is."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

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
from collectors.mysqlwire import CACHING_SHA2, NATIVE, proof
from collectors.secret import Credential, Secret
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.mariadb import PROBE, MariaDb
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "db.example"
ME = Credential("me", Secret("hunter2"))
SALT = bytes(range(65, 85))
TLS = 0x800
OK = b"\0\0\0\2\0\0\0"
END = b"\xfe\0\0\2\0"
DENIED = b"\xff\x15\x04#28000Access denied for user"
COLUMN = b"\3def\0\0\0\6pieces\0\x0c\x3f\0\4\0\0\0\3\0\0\0\0\0"
SEVEN = (b"\1", COLUMN, END, b"\x017", END)
LIMITS = ((OK,), (OK,), (OK,))


def error(code: int, text: str = "sorry") -> bytes:
    return b"\xff" + code.to_bytes(2, "little") + b"#HY000" + text.encode()


def greeting(version: bytes = b"8.0.36", capabilities: int = 0x000FF7FF, method: str = NATIVE) -> bytes:
    low, high = (capabilities & 0xFFFF).to_bytes(2, "little"), (capabilities >> 16).to_bytes(2, "little")
    head = b"\x0a" + version + b"\0" + b"\7\0\0\0" + SALT[:8] + b"\0" + low
    return head + b"\xff\2\0" + high + b"\x15" + bytes(10) + SALT[8:] + b"\0" + method.encode() + b"\0"


class Wire:
    """Packets of a server. A client's TLS follows its request at once, so that asyncio's start_tls comes too late."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        self._number = 0

    async def start_tls(self, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        await self._through(self._tls.do_handshake)

    async def read(self) -> bytes:
        head = await self._exactly(4)
        self._number = head[3] + 1
        return await self._exactly(int.from_bytes(head[:3], "little"))

    def say(self, *bodies: bytes) -> None:
        for body in bodies:
            packet = len(body).to_bytes(3, "little") + bytes((self._number,)) + body
            self._number = (self._number + 1) % 256
            if self._tls is not None:
                self._tls.write(packet)
                packet = self._outgoing.read()
            self._writer.write(packet)

    async def _exactly(self, count: int) -> bytes:
        if self._tls is None:
            return await self._reader.readexactly(count)
        got = b""
        while len(got) < count:
            if not (piece := await self._through(partial(self._tls.read, count - len(got)))):
                raise EOFError
            got += piece
        return got

    async def _through(self, do: Callable[[], Any]) -> Any:
        while True:
            try:
                done = do()
            except ssl.SSLWantReadError:
                self._writer.write(self._outgoing.read())
                if not (data := await self._reader.read(4096)):
                    raise EOFError from None
                self._incoming.write(data)
            else:
                self._writer.write(self._outgoing.read())
                return done


class Heard(list[bytes]):
    """What the client said; ``over`` once it says no more."""

    def __init__(self) -> None:
        super().__init__()
        self.over = asyncio.Event()


def database(
    *answers: tuple[bytes, ...],
    greets: bytes | None = None,
    tls: ssl.SSLContext | None = None,
    heard: Heard | None = None,
) -> Script:
    """Greet, and give one answer (of several packets) to each packet from the log-in on; then listen to the end."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(reader, writer)
        wire.say(greets or greeting(capabilities=0x000FF7FF | (TLS if tls else 0)))
        told = Heard() if heard is None else heard
        try:
            if tls:
                await wire.read()
                await wire.start_tls(tls)
            for answer in answers:
                told.append(await wire.read())
                wire.say(*answer)
            while True:
                told.append(await wire.read())
        finally:
            told.over.set()

    return script


WELL = ((OK,), *LIMITS, SEVEN)


@pytest.mark.parametrize("protocol", ["mysql", "mariadb"])
async def test_a_server_that_denies_nobody_passes_without_a_credential(
    serve: Serve, run: Attempt, protocol: str
) -> None:
    heard = Heard()
    assert (await run(protocol, await serve(database((DENIED,), heard=heard)))).failure is None
    assert b"dserver_exporter\0\0" in heard[0]


async def test_with_a_credential_the_query_is_asked_in_a_session_that_only_reads(serve: Serve, run: Attempt) -> None:
    heard = Heard()
    port = await serve(database(*WELL, heard=heard))
    reading = await run("mysql", port, credential=ME, query="SELECT pieces FROM stock", expect=7)
    assert reading.failure is None
    await asyncio.wait_for(heard.over.wait(), 5)
    assert heard[1] == b"\x03SET SESSION TRANSACTION READ ONLY"
    assert heard[2].startswith(b"\x03SET SESSION max_execution_time = ")
    assert heard[4:] == [b"\x03SELECT pieces FROM stock", b"\x01"]
    assert not int.from_bytes(heard[0][:4], "little") & 0x80  # CLIENT_LOCAL_FILES
    assert b"hunter2" not in b"".join(heard)


async def test_an_old_server_has_none_of_the_limits(serve: Serve, run: Attempt) -> None:
    unknown = (error(1193, "Unknown system variable"),)
    syntax = (error(1064, "You have an error in your SQL syntax"),)
    answers = ((OK,), syntax, unknown, (OK,), SEVEN)
    assert (await run("mysql", await serve(database(*answers)), credential=ME)).failure is None


async def test_tls_is_begun_before_the_name_is_said_and_its_certificate_judged(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    reading = await run("mysql", await serve(database((DENIED,))), starttls="required")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"
    tls = server_context(authority.issue("other.example"))
    assert (await run("mysql", await serve(database((DENIED,), tls=tls)))).failure is None
    reading = await run(
        "mysql", await serve(database(tls=tls)), hostname=NAME, certificate="verify", ca_file=authority.file
    )
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry is not None


# caching_sha2_password, MySQL's own since 8.0: by the hash that the server remembers, or by the password itself


def sha2(*then: tuple[bytes, ...], heard: Heard, tls: ssl.SSLContext | None = None) -> Script:
    switch = (b"\xfecaching_sha2_password\0" + SALT + b"\0",)
    return database(switch, *then, heard=heard, tls=tls)


async def test_a_server_that_remembers_our_hash_is_given_a_proof(serve: Serve, run: Attempt) -> None:
    heard = Heard()
    port = await serve(sha2((b"\x01\x03", OK), *WELL[1:], heard=heard))
    assert (await run("mysql", port, credential=ME)).failure is None
    assert heard[1] == proof(CACHING_SHA2, "hunter2", SALT)


async def test_a_server_that_does_not_is_given_the_password_encrypted_or_not_at_all(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard = Heard()
    tls = server_context(authority.issue(NAME))
    port = await serve(sha2((b"\x01\x04",), (OK,), *WELL[1:], heard=heard, tls=tls))
    reading = await run("mysql", port, credential=ME)
    assert reading.failure is None
    assert heard[2] == b"hunter2\0"
    assert "hunter2" not in "".join(reading.transcript)
    heard = Heard()
    reading = await run("mysql", await serve(sha2((b"\x01\x04",), (OK,), heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert len(heard) == 2


async def test_without_tls_the_password_is_sealed_with_the_servers_key_where_that_is_said(
    serve: Serve, run: Attempt
) -> None:
    heard = Heard()
    key = rsa.generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    port = await serve(sha2((b"\x01\x04",), (b"\x01" + pem,), (OK,), *WELL[1:], heard=heard))
    assert (await run("mysql", port, credential=ME, starttls="off")).failure is None
    assert heard[2] == b"\x02"
    opened = key.decrypt(heard[3], padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    assert bytes(a ^ b for a, b in zip(opened, SALT, strict=False)) == b"hunter2\0"
    port = await serve(sha2((b"\x01\x04",), (b"\x01no key",), heard=Heard()))
    assert isinstance((await run("mysql", port, credential=ME, starttls="off")).failure, UnexpectedReply)


@pytest.mark.parametrize(
    ("greets", "failure", "step"),
    [
        (error(1040, "Too many connections"), Unavailable, "greeting"),
        (b"\xff\x69\x04Host is blocked because of many connection errors", Misconfigured, "greeting"),
        (b"\xff\x6a\x04Host is not allowed to connect", None, ""),
        (b"\xff", UnexpectedReply, "greeting"),
        (b"\x09old", UnexpectedReply, "greeting"),
        (greeting(capabilities=0), UnexpectedReply, "greeting"),
        (greeting(capabilities=0x200), UnexpectedReply, "greeting"),
    ],
)
async def test_every_greeting_is_told_as_what_it_is(
    serve: Serve, run: Attempt, greets: bytes, failure: type[CheckFailure] | None, step: str
) -> None:
    reading = await run("mysql", await serve(database(greets=greets)))
    assert type(reading.failure) is (failure or type(None))
    assert reading.failure is None or reading.failure.step == step


@pytest.mark.parametrize(
    "said",
    [
        b"220 ftp.example ready\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\xff\xff\xff\0" * 5,
        b"\0\0\0\0",
        b"\1\0\1\0",
    ],
)
async def test_what_is_not_mysql_is_told_at_the_greeting(serve: Serve, run: Attempt, said: bytes) -> None:
    reading = await run("mysql", await serve(says(said)))
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "greeting"


FILE = (b"\xfb/etc/passwd",)


@pytest.mark.parametrize(
    ("answers", "failure", "step"),
    [
        (((DENIED,),), Unauthorized, "log-in"),
        (((error(1049),),), WrongContent, "log-in"),
        (((error(1040),),), Unavailable, "log-in"),
        (((b"\xfemysql_clear_password\0",),), Misconfigured, "log-in"),
        (((b"\xfe",),), Misconfigured, "log-in"),
        (((b"\x01\x04",),), UnexpectedReply, "log-in"),
        (((b"\x02",),), UnexpectedReply, "log-in"),
        (((b"\xfemysql_native_password\0" + SALT,),) * 20, UnexpectedReply, "log-in"),
        ((FILE,), UnexpectedReply, "log-in"),
        (((OK,), (error(1053),)), Unavailable, "query"),
        (((OK,), *LIMITS, FILE), UnexpectedReply, "query"),
        (((OK,), *LIMITS, (error(1969),)), TimedOut, "query"),
        (((OK,), *LIMITS, (error(1142),)), Unauthorized, "query"),
        (((OK,), *LIMITS, (error(1146),)), WrongContent, "query"),
        (((OK,), *LIMITS, (error(1064),)), Misconfigured, "query"),
        (((OK,), *LIMITS, (OK,)), WrongContent, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, END, END)), WrongContent, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, END, b"\xfb", END)), WrongContent, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, END, b"\x018", END)), WrongContent, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, END, b"\x097", END)), UnexpectedReply, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, COLUMN, END)), UnexpectedReply, "query"),
        (((OK,), *LIMITS, (b"\xfe" + b"\xff" * 8,)), UnexpectedReply, "query"),
        (((OK,), *LIMITS, (b"\1", COLUMN, END, b"\x017", error(1317))), TimedOut, "query"),
        (WELL, None, ""),
    ],
)
async def test_with_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answers: tuple[tuple[bytes, ...], ...], failure: type[CheckFailure] | None, step: str
) -> None:
    port = await serve(database(*answers))
    reading = await run("mysql", port, credential=ME, query="SELECT 1", expect="7")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500


async def test_a_wish_for_a_file_is_told_and_answered_with_nothing(serve: Serve, run: Attempt) -> None:
    heard = Heard()
    reading = await run("mysql", await serve(database((OK,), *LIMITS, FILE, heard=heard)), credential=ME)
    assert reading.failure is not None
    assert "asks us for the file /etc/passwd" in reading.failure.detail
    await asyncio.wait_for(heard.over.wait(), 5)
    assert heard[-1] == b"\x01"  # and we went


async def test_rows_without_end_end(serve: Serve, run: Attempt) -> None:
    row = b"\xfc\0\xf0" + b"x" * 0xF000
    answers = ((OK,), *LIMITS, (b"\1", COLUMN, END, *(row,) * 100))
    reading = await run("mysql", await serve(database(*answers)), credential=ME)
    assert isinstance(reading.failure, UnexpectedReply)
    assert "more than" in reading.failure.detail


async def test_silence_is_a_timeout_and_a_closed_connection_is_lost(serve: Serve, run: Attempt) -> None:
    silent = await run("mysql", await serve(says(b"")), within=0.5)
    assert isinstance(silent.failure, TimedOut)
    assert silent.failure.step == "greeting"

    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x4a\0\0\0\x0a5.5")

    assert isinstance((await run("mysql", await serve(closes))).failure, Unreachable)


# the real one


@pytest.fixture(scope="module")
def made(peer: Callable[[str], str], authority: Authority) -> Iterator[MariaDb]:
    database = MariaDb(peer("mariadbd"), authority.issue(NAME))
    yield database
    database.remove()


@pytest.fixture(scope="module")
def mariadb(made: MariaDb) -> Iterator[MariaDb]:
    with made:
        yield made


@pytest.fixture
def verified(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "starttls": "required", "certificate": "verify", "ca_file": authority.file}


STOCK = "SELECT pieces FROM stock WHERE item = 'lamp'"


async def test_mariadb_passes_without_a_credential_and_with_one(
    mariadb: MariaDb, run: Attempt, verified: dict[str, Any]
) -> None:
    for options in ({}, {"starttls": "off"}, verified):
        assert (await run("mariadb", mariadb.port, **options)).failure is None
        log_in: dict[str, Any] = {"credential": PROBE, "database": "shop", "query": STOCK, "expect": 7}
        reading = await run("mariadb", mariadb.port, **options, **log_in)
        assert reading.failure is None
        assert (reading.certificate_expiry is None) == (options == {"starttls": "off"})


@pytest.mark.parametrize(
    ("query", "expect", "failure"),
    [
        (STOCK, 8, WrongContent),
        ("SELECT pieces FROM stock WHERE item = 'fan'", "7", WrongContent),
        ("SELECT pieces FROM stock WHERE item = 'none'", "7", WrongContent),
        ("SELECT '漏電'", "漏電", None),
        ("SELECT item FROM stock ORDER BY item", "fan", None),
        ("DO 1", None, None),
        ("SELECT * FROM closed", None, Unauthorized),
        ("SELCT", None, Misconfigured),
        ("SELECT 1; DELETE FROM stock", None, Misconfigured),
        ("INSERT INTO stock VALUES ('drive', 1)", None, Misconfigured),
        ("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE stock", None, Misconfigured),
        ("SELECT repeat('x', 1000000)", None, UnexpectedReply),
    ],
)
async def test_mariadb_answers_the_query(
    mariadb: MariaDb, run: Attempt, query: str, expect: object, failure: type[CheckFailure] | None
) -> None:
    reading = await run("mysql", mariadb.port, credential=PROBE, database="shop", query=query, expect=expect)
    assert type(reading.failure) is (failure or type(None))


async def test_mariadb_gives_up_a_query_that_takes_too_long(mariadb: MariaDb, run: Attempt) -> None:
    reading = await run("mysql", mariadb.port, credential=PROBE, query="SELECT sleep(60)", within=1.5)
    assert isinstance(reading.failure, TimedOut)
    assert "max_statement_time" in reading.failure.detail


@pytest.mark.parametrize(
    "credential",
    [
        Credential("probe", Secret("wrong")),
        Credential("unknown", Secret("x")),
        Credential("locked", Secret("x")),
        Credential("socket", Secret("x")),
    ],
)
async def test_mariadb_that_rejects_our_account_is_void(mariadb: MariaDb, run: Attempt, credential: Credential) -> None:
    assert isinstance((await run("mysql", mariadb.port, credential=credential)).failure, Unauthorized)


async def test_mariadb_that_has_locked_our_account_or_wants_tls_is_void(mariadb: MariaDb, run: Attempt) -> None:
    with mariadb.given(max_password_errors=1, require_secure_transport="ON"):
        assert isinstance((await run("mysql", mariadb.port, credential=PROBE, starttls="off")).failure, Unauthorized)
        wrong = Credential("probe", Secret("wrong"))
        assert isinstance((await run("mysql", mariadb.port, credential=wrong)).failure, Unauthorized)
        blocked = await run("mysql", mariadb.port, credential=PROBE)
        assert isinstance(blocked.failure, Unauthorized)
        assert "blocked" in blocked.failure.detail


async def test_mariadb_that_hangs_is_a_timeout(mariadb: MariaDb, run: Attempt) -> None:
    with mariadb.suspended():
        assert isinstance((await run("mysql", mariadb.port, within=0.5)).failure, TimedOut)
    assert (await run("mysql", mariadb.port)).failure is None


async def test_mariadb_stops_and_comes_back(mariadb: MariaDb, run: Attempt) -> None:
    mariadb.stop()
    try:
        assert isinstance((await run("mysql", mariadb.port)).failure, Refused)
    finally:
        mariadb.start()
    assert (await run("mysql", mariadb.port)).failure is None


async def test_mariadb_with_an_expired_certificate_fails_only_where_it_is_judged(
    mariadb: MariaDb, run: Attempt, authority: Authority, verified: dict[str, Any]
) -> None:
    with mariadb.given(authority.issue(NAME, ends=now() - DAY)):
        judged = await run("mysql", mariadb.port, **verified)
        assert isinstance(judged.failure, CertificateFailure)
        assert judged.certificate_expiry is not None
        assert (await run("mysql", mariadb.port)).failure is None


async def test_mariadb_with_too_many_guests_is_unavailable(mariadb: MariaDb, run: Attempt) -> None:
    with mariadb.given(max_connections=10):
        guests = [await asyncio.open_connection("127.0.0.1", mariadb.port) for _ in range(13)]
        for reader, _ in guests:
            await reader.readexactly(4)  # some are let in, the last are refused
        reading = await run("mysql", mariadb.port)
        for _, writer in guests:
            writer.close()
    assert isinstance(reading.failure, Unavailable)
    assert "1040" in reading.failure.detail
