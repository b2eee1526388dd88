"""pop, pop3s: a server that greets, lets us in and says goodbye passes; every other is told as what it is."""

import asyncio
import base64
import contextlib
import ssl
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dialogue import Dialogue
from collectors.failures import (
    CertificateFailure,
    CheckFailure,
    Misconfigured,
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
from collectors.services import pop as module
from collectors.services.pop import PopOptions
from tests.peers.certificates import Authority, server_context
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "mail.example"
ME = Credential("probe@mail.example", Secret("hunter2"))
SASL = b"+OK\r\nSASL LOGIN PLAIN\r\n.\r\n"


def maildrop(
    *,
    greeting: bytes = b"+OK ready\r\n",
    capabilities: bytes = b"+OK list follows\r\nTOP\r\nUSER\r\nSASL PLAIN\r\n.\r\n",
    stls: bytes = b"+OK begin\r\n",
    user: bytes = b"+OK\r\n",
    auth: bytes = b"+ \r\n",
    password: bytes = b"+OK welcome\r\n",
    stat: bytes = b"+OK 2 320\r\n",
    quit_: bytes = b"+OK bye\r\n",
    tls: ssl.SSLContext | None = None,
    heard: list[str] | None = None,
) -> Script:
    """Answer as told; with ``tls``, STLS is offered before it is begun."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        encrypted = False
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            if heard is not None:
                heard.append(line)
            match line.split()[0]:
                case "CAPA":
                    offer = tls and not encrypted
                    writer.write(capabilities.replace(b"USER\r\n", b"stls\r\n") if offer else capabilities)
                case "STLS":
                    writer.write(stls)
                    if tls:
                        await writer.start_tls(tls)
                        encrypted = True
                case "USER":
                    writer.write(user)
                case "PASS":
                    writer.write(password)
                case "AUTH":
                    writer.write(auth)
                    if auth.startswith(b"+ "):
                        secret = base64.b64decode(await reader.readline()).decode()
                        if heard is not None:
                            heard.append(secret)
                        writer.write(password)
                case "STAT":
                    writer.write(stat)
                case "QUIT":
                    writer.write(quit_)
                    return

    return script


async def test_a_maildrop_passes_without_a_log_in(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    assert (await run("pop", await serve(maildrop(heard=heard)))).failure is None
    assert heard == ["CAPA", "QUIT"]


async def test_with_a_credential_we_log_in_encrypted_and_show_no_password(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    port = await serve(maildrop(tls=server_context(authority.issue(NAME)), heard=heard))
    reading = await run("pop", port, credential=ME)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert heard == ["CAPA", "STLS", "CAPA", "USER probe@mail.example", "PASS hunter2", "STAT", "QUIT"]
    assert "PASS ***" in "".join(reading.transcript)
    assert "hunter2" not in "".join(reading.transcript)


async def test_where_only_sasl_is_offered_it_is_used(serve: Serve, run: Attempt, authority: Authority) -> None:
    heard: list[str] = []
    port = await serve(maildrop(capabilities=SASL, heard=heard), tls=server_context(authority.issue(NAME)))
    reading = await run("pop3s", port, hostname=NAME, ca_file=authority.file, credential=ME)
    assert reading.failure is None
    assert heard == ["CAPA", "AUTH PLAIN", "\0probe@mail.example\0hunter2", "STAT", "QUIT"]
    assert base64.b64encode(heard[2].encode()).decode() not in "".join(reading.transcript)


async def test_a_server_without_capabilities_knows_user_all_the_same(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    port = await serve(maildrop(capabilities=b"-ERR what?\r\n", heard=heard))
    assert (await run("pop", port, credential=ME, starttls="off")).failure is None
    assert heard[1:3] == ["USER probe@mail.example", "PASS hunter2"]
    reading = await run("pop", port, starttls="required")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"


async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    reading = await run("pop", await serve(maildrop(heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert heard == ["CAPA"]


async def test_a_server_that_offers_no_log_in_has_failed_where_it_is_encrypted(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    without = b"+OK\r\nTOP\r\nSASL GSSAPI\r\n.\r\n"
    reading = await run("pop", await serve(maildrop(capabilities=without)), credential=ME, starttls="off")
    assert isinstance(reading.failure, Misconfigured)
    port = await serve(maildrop(capabilities=without), tls=server_context(authority.issue(NAME)))
    reading = await run("pop3s", port, hostname=NAME, ca_file=authority.file, credential=ME)
    assert isinstance(reading.failure, WrongContent)


@pytest.mark.parametrize(
    ("server", "failure", "step"),
    [
        ({}, None, ""),
        ({"greeting": b"+ok lower case is fine <1@mail.example>\r\n"}, None, ""),
        ({"greeting": b"+OK\n"}, None, ""),
        ({"greeting": b"-ERR [SYS/TEMP] too many connections\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"-ERR go away\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"+ \r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"* OK IMAP4rev1\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220 ESMTP\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"+OKAY\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"+OK " + b"x" * 10_000}, UnexpectedReply, "greeting"),
        ({"greeting": b"\0\xff\r\n"}, UnexpectedReply, "greeting"),
        ({"capabilities": b"what?\r\n"}, UnexpectedReply, "capabilities"),
        ({"capabilities": b"+OK\r\n\r\n.\r\n"}, UnexpectedReply, "capabilities"),
        ({"capabilities": b"+OK\r\n" + b"X\r\n" * 1000}, UnexpectedReply, "capabilities"),
        ({"capabilities": b"+OK\r\n\xff\0\r\nUSER\r\n.\r\n"}, None, ""),
        ({"user": b"-ERR who?\r\n"}, Unauthorized, "log-in"),
        ({"user": b"+ \r\n"}, UnexpectedReply, "log-in"),
        ({"password": b"-ERR [AUTH] wrong\r\n"}, Unauthorized, "log-in"),
        ({"password": b"-ERR hunter2 is wrong\r\n"}, Unauthorized, "log-in"),
        ({"password": b"-err [in-use] locked\r\n"}, Unavailable, "log-in"),
        ({"password": b"-ERR [LOGIN-DELAY] later\r\n"}, Unavailable, "log-in"),
        ({"password": b"-ERR [SYS/PERM] disk is gone\r\n"}, Unavailable, "log-in"),
        ({"password": b"-ERR Temporary problem, please try again later\r\n"}, Unavailable, "log-in"),
        ({"user": b"-ERR TLS required to log in.\r\n"}, Misconfigured, "log-in"),
        ({"capabilities": SASL}, None, ""),
        ({"capabilities": SASL, "auth": b"-ERR no such mechanism\r\n"}, Unauthorized, "log-in"),
        ({"capabilities": SASL, "auth": b"+OK what?\r\n"}, UnexpectedReply, "log-in"),
        ({"capabilities": SASL, "password": b"-ERR wrong\r\n"}, Unauthorized, "log-in"),
        ({"stat": b"-ERR mailbox is broken\r\n"}, WrongContent, "stat"),
        ({"stat": b"-ERR [SYS/TEMP] later\r\n"}, Unavailable, "stat"),
        ({"stat": b"+OK some\r\n"}, UnexpectedReply, "stat"),
        ({"stat": b"+OK \xd9\xa2 \xd9\xa2\r\n"}, UnexpectedReply, "stat"),
        ({"quit_": b"-ERR some deleted messages not removed\r\n"}, WrongContent, "quit"),
        ({"quit_": b""}, Unreachable, "quit"),
    ],
)
async def test_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, server: dict[str, Any], failure: type[CheckFailure] | None, step: str
) -> None:
    reading = await run("pop", await serve(maildrop(**server)), credential=ME, starttls="off")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500
        assert "hunter2" not in str(reading.failure)


async def test_words_before_the_encryption_are_not_taken_for_encrypted_ones(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    injected = b"+OK begin\r\n+OK\r\nUSER\r\n.\r\n"
    port = await serve(maildrop(stls=injected, tls=server_context(authority.issue(NAME))))
    assert isinstance((await run("pop", port)).failure, UnexpectedReply)


async def test_the_certificate_is_judged_from_the_first_byte_or_where_that_is_asked_for(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    tls = server_context(authority.issue(NAME))
    port = await serve(maildrop(), tls=tls)
    reading = await run("pop3s", port, hostname=NAME, ca_file=authority.file)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert isinstance((await run("pop3s", port, hostname="other.example")).failure, CertificateFailure)
    assert isinstance((await run("pop3s", await serve(maildrop()), hostname=NAME)).failure, TlsFailure)
    reading = await run("pop", await serve(maildrop(tls=tls)), hostname=NAME, certificate="verify")
    assert isinstance(reading.failure, CertificateFailure)
    kind = CHECKS["pop"]
    assert kind.tls(PopOptions(certificate="verify"))
    assert not kind.tls(PopOptions())


async def test_an_endless_list_ends_and_silence_is_a_timeout(serve: Serve, run: Attempt) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"+OK ready\r\n+OK list follows\r\n")
        while True:
            writer.write(b"UIDL\r\n" * 100)
            await writer.drain()

    assert isinstance((await run("pop", await serve(endless))).failure, UnexpectedReply)
    reading = await run("pop", await serve(says(b"+OK")), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "greeting"


@pytest.mark.parametrize("password", ["a\r\nDELE 1", "a\0b"])
async def test_a_password_cannot_become_a_command(serve: Serve, run: Attempt, password: str) -> None:
    heard: list[str] = []
    credential = Credential("me", Secret(password))
    reading = await run("pop", await serve(maildrop(heard=heard)), credential=credential, starttls="off")
    assert isinstance(reading.failure, Misconfigured)
    assert heard == ["CAPA"]


@given(
    st.lists(
        st.sampled_from(["+OK", "-ERR", "+", " ", "1", ".", "[AUTH]", "[SYS/TEMP]", "USER", "\n", "\0", "ſ", "ok"]),
        max_size=30,
    ).map("".join)
)
def test_no_reply_breaks_the_parser(said: str) -> None:
    async def parse() -> None:
        talk = Dialogue(ServiceTarget("127.0.0.1", credential=ME), 0)
        lines = iter(said.split("\n"))

        async def line(limit: int) -> str:
            try:
                return next(lines)
            except StopIteration:
                raise Unreachable("greeting") from None

        talk.line = line  # type: ignore[method-assign, assignment]  # no network for hundreds of examples
        talk.send = lambda *_: None  # type: ignore[method-assign]  # the same
        await module._greeting(talk)
        await module._visit(talk, PopOptions(starttls="off"), await module._capabilities(talk))
        assert said.upper().count("+OK") >= 3

    with contextlib.suppress(Unreachable, UnexpectedReply, Unavailable, Unauthorized, WrongContent, Misconfigured):
        asyncio.run(parse())
