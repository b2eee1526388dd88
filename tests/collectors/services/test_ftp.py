"""ftp, ftps: a server that greets, lets us in and lists files passes; every other is told as what it is."""

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable
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
    TlsFailure,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.registry import CHECKS, ServiceTarget
from collectors.secret import Credential, Secret
from collectors.services import ftp as module
from collectors.services.ftp import FtpOptions, FtpsOptions
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.process import free_port
from tests.peers.scripted import Attempt, Script, Serve, says
from tests.peers.vsftpd import PASSWORD, USER, Vsftpd

NAME = "files.example"
ME = Credential(USER, Secret(PASSWORD))
ANSWERS = {
    "AUTH": b"234 go on\r\n",
    "USER": b"331 password?\r\n",
    "PASS": b"230 welcome\r\n",
    "PBSZ": b"200 ok\r\n",
    "PROT": b"200 ok\r\n",
    "EPSV": b"229 Entering Extended Passive Mode (|||PORT|)\r\n",
    "PASV": b"227 Entering Passive Mode (127,0,0,1,PAIR)\r\n",
    "LIST": b"150 here it comes\r\n",
    "listed": b"226 that was it\r\n",
    "QUIT": b"221 bye\r\n",
}


def files(
    *,
    greeting: bytes = b"220 files.example\r\n",
    listing: bytes = b"-rw-r--r-- 1 ftp ftp 0 Jan 1 00:00 readme\r\n",
    tls: ssl.SSLContext | None = None,
    data_tls: ssl.SSLContext | None = None,
    heard: list[str] | None = None,
    resumed: list[bool] | None = None,
    **answers: bytes,
) -> Script:
    """Answer as told, with ``PORT`` and ``PAIR`` replaced by the data port; ``data_tls`` encrypts that connection."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()
        all_opened: list[asyncio.StreamWriter] = []

        async def open_data(_: asyncio.StreamReader, to: asyncio.StreamWriter) -> None:
            all_opened.append(to)
            await opened.put(to)

        data = await asyncio.start_server(open_data, "127.0.0.1", 0, ssl=data_tls)
        port = data.sockets[0].getsockname()[1]
        writer.write(greeting)
        try:
            while line := (await reader.readline()).decode().rstrip("\r\n"):
                if heard is not None:
                    heard.append(line)
                command = line.split()[0]
                answer = {**ANSWERS, **answers}[command]
                pair = f"{port // 256},{port % 256}"
                writer.write(answer.replace(b"PORT", str(port).encode()).replace(b"PAIR", pair.encode()))
                if command == "AUTH" and tls:
                    await writer.start_tls(tls)
                elif command == "LIST" and answer.startswith(b"150"):
                    to = await opened.get()
                    if resumed is not None:
                        resumed.append(to.get_extra_info("ssl_object").session_reused)
                    with contextlib.suppress(OSError):
                        to.write(listing)
                        await to.drain()
                    to.close()
                    writer.write({**ANSWERS, **answers}["listed"])
                elif command == "QUIT":
                    return
        finally:
            data.close()
            for to in all_opened:
                to.close()

    return script


@pytest.fixture
def secure(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "ca_file": authority.file}


async def test_a_server_passes_without_a_log_in(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    assert (await run("ftp", await serve(files(AUTH=b"500 what?\r\n", heard=heard)))).failure is None
    assert heard == ["AUTH TLS", "QUIT"]
    heard.clear()
    assert (await run("ftp", await serve(files(heard=heard)), starttls="off")).failure is None
    assert heard == ["QUIT"]


async def test_with_a_credential_we_log_in_encrypted_list_files_and_show_neither_password_nor_names(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    tls = server_context(authority.issue(NAME))
    port = await serve(files(tls=tls, data_tls=tls, heard=heard))
    reading = await run("ftp", port, credential=ME)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert heard == [
        *("AUTH TLS", f"USER {USER}", f"PASS {PASSWORD}"),
        *("PBSZ 0", "PROT P", "EPSV", "LIST", "QUIT"),
    ]
    shown = "\n".join(reading.transcript)
    assert "PASS ***" in shown
    assert PASSWORD not in shown
    assert "readme" not in shown


async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    reading = await run("ftp", await serve(files(AUTH=b"500 what?\r\n", heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert heard == ["AUTH TLS"]
    assert (await run("ftp", await serve(files(heard=heard)), credential=ME, starttls="off")).failure is None


async def test_tls_that_is_refused_for_now_is_no_reason_to_go_on_without(serve: Serve, run: Attempt) -> None:
    reading = await run("ftp", await serve(files(AUTH=b"431 no security now\r\n")))
    assert isinstance(reading.failure, Unavailable)
    reading = await run("ftp", await serve(files(AUTH=b"502 no\r\n")), starttls="required")
    assert isinstance(reading.failure, WrongContent)


async def test_ftps_begins_tls_by_command_or_with_the_first_byte(
    serve: Serve, run: Attempt, authority: Authority, secure: dict[str, Any]
) -> None:
    tls = server_context(authority.issue(NAME))
    heard: list[str] = []
    assert (await run("ftps", await serve(files(tls=tls, heard=heard)), **secure)).failure is None
    assert heard == ["AUTH TLS", "QUIT"]
    heard.clear()
    port = await serve(files(heard=heard), tls=tls)
    assert (await run("ftps", port, mode="implicit", **secure)).failure is None
    assert heard == ["QUIT"]
    assert isinstance((await run("ftps", port, mode="implicit", hostname="other.example")).failure, CertificateFailure)
    plain = await run("ftps", await serve(files(AUTH=b"530 log in first\r\n")), **secure)
    assert isinstance(plain.failure, WrongContent)
    assert plain.failure.step == "starttls"
    wrong_port = await run("ftps", await serve(files()), mode="implicit", **secure)
    assert isinstance(wrong_port.failure, TlsFailure)


def test_port_990_means_tls_from_the_first_byte_unless_the_mode_is_said() -> None:
    assert FtpsOptions(port=990).implicit
    assert FtpsOptions(mode="implicit").implicit
    assert not FtpsOptions().implicit
    assert not FtpsOptions(port=990, mode="explicit").implicit
    assert CHECKS["ftps"].tls(FtpsOptions())
    assert not CHECKS["ftp"].tls(FtpOptions())


@pytest.mark.parametrize(
    ("server", "failure", "step"),
    [
        ({"greeting": b"220-welcome\r\nanything\r\n 220 x\r\n221 not yet\r\n220 files.example\r\n"}, None, ""),
        ({"greeting": b"220\r\n"}, None, ""),
        ({"greeting": b"220-\xff\0\r\n220 \xff\r\n"}, None, ""),
        ({"greeting": b"120 ready in 5 minutes\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"421 too many users\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"530 not you\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"500 OOPS: cannot bind\r\n"}, WrongContent, "greeting"),
        ({"greeting": b"230 already in\r\n"}, WrongContent, "greeting"),
        ({"greeting": b"SSH-2.0-x\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"* OK IMAP4rev1\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"\xd9\xa2\xd9\xa2\xd9\xa0 a\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"2200 a\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220-\r\n" * 1000}, UnexpectedReply, "greeting"),
        ({"greeting": b"220 " + b"x" * 10_000}, UnexpectedReply, "greeting"),
        ({"USER": b"230 come in\r\n"}, None, ""),
        ({"USER": b"530 not you\r\n"}, Unauthorized, "log-in"),
        ({"USER": b"550 SSL/TLS required on the control channel\r\n"}, Misconfigured, "log-in"),
        ({"PASS": b"530 Non-anonymous sessions must use encryption.\r\n"}, Misconfigured, "log-in"),
        ({"PASS": b"421-Sorry, cleartext sessions are not accepted.\r\n421 Use TLS.\r\n"}, Misconfigured, "log-in"),
        ({"USER": b"332 account?\r\n"}, WrongContent, "log-in"),
        ({"PASS": b"530 Login incorrect.\r\n"}, Unauthorized, "log-in"),
        ({"PASS": b"430 Invalid username or password\r\n"}, Unauthorized, "log-in"),
        ({"PASS": b"530 right-horse is wrong\r\n"}, Unauthorized, "log-in"),
        ({"PASS": b"530 Sorry, the maximum number of clients (10) are connected.\r\n"}, Unavailable, "log-in"),
        ({"PASS": b"421 going down\r\n"}, Unavailable, "log-in"),
        ({"PASS": b"500 OOPS: refusing to run with writable root inside chroot()\r\n"}, WrongContent, "log-in"),
        ({"PASS": b"202 no need to\r\n"}, None, ""),
        ({"PASS": b"+OK\r\n"}, UnexpectedReply, "log-in"),
        ({"EPSV": b"500 what?\r\n"}, None, ""),
        ({"EPSV": b"522 use (1)\r\n", "PASV": b"227 it is 10,0,0,1,PAIR\r\n"}, None, ""),
        ({"EPSV": b"502 no\r\n", "PASV": b"502 no\r\n"}, WrongContent, "passive"),
        ({"EPSV": b"502 no\r\n", "PASV": b"227 (127,0,0,1,0,0)\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"502 no\r\n", "PASV": b"227 (127,0,0,1,999,1)\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"502 no\r\n", "PASV": b"227 somewhere\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"229 (|||0|)\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"229 (|||70000|)\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"229 (||\xd9\xa2|)\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"229 here\r\n"}, UnexpectedReply, "passive"),
        ({"EPSV": b"421 no more ports\r\n"}, Unavailable, "passive"),
        ({"LIST": b"425 cannot open data connection\r\n"}, Unavailable, "listing"),
        ({"LIST": b"550 no such folder\r\n"}, WrongContent, "listing"),
        ({"listed": b"250 done\r\n"}, None, ""),
        ({"listed": b"426 connection lost\r\n"}, Unavailable, "listing"),
        ({"listed": b"522 session reuse required\r\n"}, WrongContent, "listing"),
        ({"listing": b""}, None, ""),
        ({"listing": b"\0\xff" * 20_000}, None, ""),
        ({"listing": b"x" * 10_000_000, "listed": b"426 why do you go\r\n"}, None, ""),
        ({"QUIT": b"500 what?\r\n"}, WrongContent, "quit"),
        ({"QUIT": b""}, Unreachable, "quit"),
    ],
)
async def test_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, server: dict[str, Any], failure: type[CheckFailure] | None, step: str
) -> None:
    reading = await run("ftp", await serve(files(**server)), credential=ME, starttls="off")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500
        assert PASSWORD not in str(reading.failure)


async def test_the_data_connection_goes_to_the_server_whatever_address_it_names(serve: Serve, run: Attempt) -> None:
    """127.0.0.2 is the foreign address: somebody listens there on the port that is named, and hears nothing of us."""
    foreign: list[str] = []

    async def trap(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        foreign.append("somebody came")
        writer.close()

    async with await asyncio.start_server(trap, "127.0.0.2", 0) as server:
        port = server.sockets[0].getsockname()[1]
        named = f"127,0,0,2,{port // 256},{port % 256}".encode()
        said = files(EPSV=b"500 what?\r\n", PASV=b"227 Entering Passive Mode (" + named + b")\r\n")
        reading = await run("ftp", await serve(said), credential=ME, starttls="off")
    assert isinstance(reading.failure, Refused)
    assert reading.failure.step == "data"
    assert "it names 127.0.0.2, and we stay with 127.0.0.1" in "".join(reading.transcript)
    assert not foreign


async def test_a_data_port_that_is_closed_or_silent_is_told_as_that(serve: Serve, run: Attempt) -> None:
    closed = files(EPSV=f"229 (|||{free_port()}|)\r\n".encode())
    reading = await run("ftp", await serve(closed), credential=ME, starttls="off")
    assert isinstance(reading.failure, Refused)
    assert reading.failure.step == "data"

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        elsewhere = files(EPSV=f"229 (|||{server.sockets[0].getsockname()[1]}|)\r\n".encode(), LIST=b"150 wait\r\n")
        reading = await run("ftp", await serve(elsewhere), credential=ME, starttls="off", within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "data"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_data_connection_resumes_the_session_of_the_first(
    serve: Serve, run: Attempt, authority: Authority, secure: dict[str, Any], version: ssl.TLSVersion
) -> None:
    tls = server_context(authority.issue(NAME))
    tls.maximum_version = version
    resumed: list[bool] = []
    port = await serve(files(tls=tls, data_tls=tls, resumed=resumed))
    assert (await run("ftps", port, credential=ME, **secure)).failure is None
    assert resumed == [True]


async def test_data_that_are_not_encrypted_fail_with_what_the_server_says_of_it(
    serve: Serve, run: Attempt, authority: Authority, secure: dict[str, Any]
) -> None:
    tls = server_context(authority.issue(NAME))
    port = await serve(files(tls=tls, listed=b"426 that was not TLS\r\n"))
    reading = await run("ftps", port, credential=ME, **secure)
    assert isinstance(reading.failure, TlsFailure | UnexpectedReply)  # they may come before we begin TLS
    assert reading.failure.step == "data"
    assert reading.failure.detail.endswith("; the server says: 426 that was not TLS")
    refused = await run("ftps", await serve(files(tls=tls, PROT=b"534 no\r\n")), credential=ME, **secure)
    assert isinstance(refused.failure, WrongContent)
    assert refused.failure.step == "protection"


async def test_words_before_the_encryption_are_not_taken_for_encrypted_ones(
    serve: Serve, run: Attempt, authority: Authority, secure: dict[str, Any]
) -> None:
    tls = server_context(authority.issue(NAME))
    reading = await run("ftps", await serve(files(tls=tls, AUTH=b"234 go on\r\n230 you are in\r\n")), **secure)
    assert isinstance(reading.failure, UnexpectedReply)


async def test_an_endless_reply_or_listing_ends_and_silence_is_a_timeout(serve: Serve, run: Attempt) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220-welcome\r\n")
        while True:
            writer.write(b"to the jungle\r\n" * 100)
            await writer.drain()

    assert isinstance((await run("ftp", await serve(endless))).failure, UnexpectedReply)
    reading = await run("ftp", await serve(says(b"220-and then\r\n")), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "greeting"


@pytest.mark.parametrize("password", ["a\r\nDELE readme", "a\0b"])
async def test_a_password_cannot_become_a_command(serve: Serve, run: Attempt, password: str) -> None:
    heard: list[str] = []
    credential = Credential("me", Secret(password))
    reading = await run("ftp", await serve(files(heard=heard)), credential=credential, starttls="off")
    assert isinstance(reading.failure, Misconfigured)
    assert heard == []


@given(
    st.lists(
        st.sampled_from(
            ["220", "229", "227", "530", "-", " ", "(|||", "|)", "1,2,3,4,5,6", "99999", ",", "\n", "\0", "２"]
        ),
        max_size=30,
    ).map("".join)
)
def test_no_reply_breaks_the_parser(said: str) -> None:
    async def parse() -> None:
        talk = Dialogue(ServiceTarget("127.0.0.1"), 0)
        lines = iter(said.split("\n"))

        async def line(limit: int) -> str:
            try:
                return next(lines)
            except StopIteration:
                raise Unreachable("greeting") from None

        talk.line = line  # type: ignore[method-assign, assignment]  # no network for hundreds of examples
        talk.send = lambda *_: None  # type: ignore[method-assign]  # the same
        assert 0 < await module._passive_port(talk, "127.0.0.1") < 65536

    with contextlib.suppress(Unreachable, UnexpectedReply, Unavailable, WrongContent):
        asyncio.run(parse())


# vsftpd is the server that most of our customers run


@pytest.fixture
def vsftpd(peer: Callable[[str], str]) -> str:
    program = peer("vsftpd")
    if os.getuid() != 0:
        pytest.skip("vsftpd is not started: it has to change users")
    return program


WAYS: list[tuple[str, str, dict[str, Any]]] = [
    ("ftp", "", {}),
    ("ftps", "", {}),
    ("ftps", "implicit_ssl=YES", {"mode": "implicit"}),
    ("ftps", "require_ssl_reuse=NO", {}),
]


@pytest.mark.parametrize(("protocol", "extra", "options"), WAYS)
async def test_vsftpd_passes_with_and_without_a_log_in_and_every_broken_one_is_told_as_what_it_is(
    vsftpd: str,
    run: Attempt,
    authority: Authority,
    secure: dict[str, Any],
    protocol: str,
    extra: str,
    options: dict[str, Any],
) -> None:
    options = {**options, **secure, "certificate": "verify"}
    with Vsftpd(vsftpd, authority.issue(NAME), extra) as server:
        assert (await run(protocol, server.port, **options)).failure is None
        reading = await run(protocol, server.port, credential=ME, **options)
        assert reading.failure is None
        assert reading.certificate_expiry is not None
        wrong = await run(protocol, server.port, credential=Credential(USER, Secret("wrong-horse")), **options)
        assert isinstance(wrong.failure, Unauthorized)
        server.stop()  # a child that has not gone yet may still hold the port, and resets us
        assert isinstance((await run(protocol, server.port, **options)).failure, Refused | Unreachable)
        server.start()
        assert (await run(protocol, server.port, credential=ME, **options)).failure is None
        with server.suspended():
            stuck = await run(protocol, server.port, within=0.5, **options)
            assert isinstance(stuck.failure, TimedOut)


async def test_vsftpd_in_plain_text(vsftpd: str, run: Attempt, authority: Authority) -> None:
    with Vsftpd(vsftpd) as server:
        assert (await run("ftp", server.port)).failure is None
        assert (await run("ftp", server.port, credential=ME, starttls="off")).failure is None
        assert isinstance((await run("ftp", server.port, credential=ME)).failure, Misconfigured)
        refused = await run("ftps", server.port, hostname=NAME, ca_file=authority.file)
        assert isinstance(refused.failure, WrongContent)
        assert refused.failure.step == "starttls"


async def test_vsftpd_with_an_expired_certificate_fails_where_it_is_judged(
    vsftpd: str, run: Attempt, authority: Authority, secure: dict[str, Any]
) -> None:
    with Vsftpd(vsftpd, authority.issue(NAME, ends=now() - DAY)) as server:
        expired = await run("ftps", server.port, credential=ME, **secure)
        assert isinstance(expired.failure, CertificateFailure)
        assert expired.failure.step == "expiry"
        assert expired.certificate_expiry is not None
        reported = await run("ftp", server.port, credential=ME)
        assert reported.failure is None
        assert reported.certificate_expiry == expired.certificate_expiry


async def test_vsftpd_that_has_no_room_for_us_is_unavailable(vsftpd: str, run: Attempt) -> None:
    with Vsftpd(vsftpd, extra="max_clients=1") as server:
        while True:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            with contextlib.closing(writer):
                if not (await reader.readline()).startswith(b"220"):
                    continue  # the look whether it is ready still takes the place
                reading = await run("ftp", server.port)
                break
    assert isinstance(reading.failure, Unavailable)
    assert reading.failure.step == "greeting"


async def test_vsftpd_that_forbids_the_data_connection_is_told_as_that(
    vsftpd: str, run: Attempt, authority: Authority, secure: dict[str, Any]
) -> None:
    with Vsftpd(vsftpd, authority.issue(NAME), "pasv_enable=NO") as server:
        reading = await run("ftps", server.port, credential=ME, **secure)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "passive"
