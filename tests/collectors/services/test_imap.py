"""imap, imaps: a server that greets, lets us in and says goodbye passes; every other is told as what it is."""

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
from collectors.registry import ServiceTarget
from collectors.secret import Credential, Secret
from collectors.services import imap as module
from tests.peers.certificates import Authority, server_context
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "mail.example"
PLAIN = b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK\r\n"
ME = Credential("probe@mail.example", Secret('hun"ter\\2'))


def mailboxes(
    *,
    greeting: bytes = b"* OK [CAPABILITY IMAP4rev1] ready\r\n",
    starttls: bytes = b"TAG OK begin\r\n",
    capability: bytes = b"* CAPABILITY IMAP4rev1 IDLE\r\nTAG OK done\r\n",
    login: bytes = b"TAG OK welcome\r\n",
    authenticate: bytes = b"+ \r\n",
    select: bytes = b"* FLAGS (\\Seen)\r\n* 17 EXISTS\r\nTAG OK [READ-WRITE] done\r\n",
    logout: bytes = b"* BYE come again\r\nTAG OK\r\n",
    tls: ssl.SSLContext | None = None,
    heard: list[str] | None = None,
) -> Script:
    """Answer as told, ``TAG`` replaced; with ``tls``, STARTTLS is offered before it is begun."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        encrypted = False
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            if heard is not None:
                heard.append(line)
            tag, command = line.split()[:2]
            answers = {
                "CAPABILITY": capability,
                "STARTTLS": starttls,
                "LOGIN": login,
                "AUTHENTICATE": authenticate,
                "SELECT": select,
                "LOGOUT": logout,
            }
            answer = answers[command].replace(b"TAG", tag.encode())
            if command == "CAPABILITY" and tls and not encrypted:
                answer = answer.replace(b"IDLE", b"StartTLS LOGINDISABLED")
            writer.write(answer)
            if command == "STARTTLS" and tls:
                await writer.start_tls(tls)
                encrypted = True
            if command == "AUTHENTICATE" and answer.startswith(b"+ "):
                secret = base64.b64decode(await reader.readline()).decode()
                if heard is not None:
                    heard.append(secret)
                writer.write(login.replace(b"TAG", tag.encode()))
            if command == "LOGOUT":
                return

    return script


async def test_a_mail_server_passes_without_a_log_in(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    assert (await run("imap", await serve(mailboxes(heard=heard)))).failure is None
    assert heard == ["a1 CAPABILITY", "a6 LOGOUT"]


async def test_with_a_credential_we_log_in_encrypted_and_show_no_password(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    port = await serve(mailboxes(tls=server_context(authority.issue(NAME)), heard=heard))
    reading = await run("imap", port, credential=ME)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert heard[3:] == [r'a4 LOGIN "probe@mail.example" "hun\"ter\\2"', "a5 SELECT INBOX", "a6 LOGOUT"]
    assert "hun" not in "".join(reading.transcript)
    assert "LOGIN" in "".join(reading.transcript)


async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    reading = await run("imap", await serve(mailboxes(heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert not any("LOGIN" in line for line in heard)
    assert (await run("imap", await serve(mailboxes(heard=heard)), credential=ME, starttls="off")).failure is None
    assert any("LOGIN" in line for line in heard)


async def test_a_password_in_any_script_is_sent_by_sasl_where_that_is_offered(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    port = await serve(mailboxes(capability=PLAIN, heard=heard), tls=server_context(authority.issue(NAME)))
    credential = Credential("probe", Secret("秘密 2"))
    reading = await run("imaps", port, hostname=NAME, ca_file=authority.file, credential=credential)
    assert reading.failure is None
    assert heard[1:] == ["a4 AUTHENTICATE PLAIN", "\0probe\0秘密 2", "a5 SELECT INBOX", "a6 LOGOUT"]
    shown = "".join(reading.transcript)
    assert "秘密" not in shown
    assert base64.b64encode("\0probe\0秘密 2".encode()).decode() not in shown


async def test_a_server_that_wants_no_log_in_without_tls_is_asked_for_none(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    disabled = b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK\r\n"
    port = await serve(mailboxes(capability=disabled, heard=heard))
    reading = await run("imap", port, credential=ME, starttls="off")
    assert isinstance(reading.failure, Misconfigured)
    port = await serve(mailboxes(capability=disabled, heard=heard), tls=server_context(authority.issue(NAME)))
    reading = await run("imaps", port, hostname=NAME, ca_file=authority.file, credential=ME)
    assert isinstance(reading.failure, WrongContent)
    assert not any("LOGIN" in line for line in heard)


async def test_words_before_the_encryption_are_not_taken_for_encrypted_ones(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    injected = b"TAG OK begin\r\na3 OK no capabilities\r\n"
    port = await serve(mailboxes(starttls=injected, tls=server_context(authority.issue(NAME))))
    assert isinstance((await run("imap", port)).failure, UnexpectedReply)


async def test_imaps_speaks_tls_from_the_first_byte_and_judges_the_certificate(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    port = await serve(mailboxes(), tls=server_context(authority.issue(NAME)))
    reading = await run("imaps", port, hostname=NAME, ca_file=authority.file)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert isinstance((await run("imaps", port, hostname="other.example")).failure, CertificateFailure)
    assert isinstance((await run("imaps", await serve(mailboxes()), hostname=NAME)).failure, TlsFailure)


async def test_preauth_needs_no_log_in(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    port = await serve(mailboxes(greeting=b"* PREAUTH hello\r\n", heard=heard))
    assert (await run("imap", port, credential=ME)).failure is None
    assert not any("LOGIN" in line for line in heard)


async def test_starttls_can_be_required_and_its_certificate_judged(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    reading = await run("imap", await serve(mailboxes()), starttls="required")
    assert isinstance(reading.failure, WrongContent)
    port = await serve(mailboxes(tls=server_context(authority.issue("other.example"))))
    reading = await run("imap", port, hostname=NAME, certificate="verify", ca_file=authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry is not None


@pytest.mark.parametrize(
    ("server", "failure", "step"),
    [
        ({"greeting": b"* BYE overloaded, try later\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"* ok lower case is fine\r\n"}, None, ""),
        ({"greeting": b"+OK POP3 ready\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220 ESMTP\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"* NO idea\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"* OK {4294967296}\r\n"}, None, ""),
        ({"greeting": b"* OK " + b"x" * 100_000}, UnexpectedReply, "greeting"),
        ({"capability": b"TAG BAD what?\r\n"}, WrongContent, "capability"),
        ({"capability": b"* BYE going down\r\n"}, Unavailable, "capability"),
        ({"capability": b"a9 OK not yours\r\n"}, UnexpectedReply, "capability"),
        ({"capability": b"\0\xff\r\n"}, UnexpectedReply, "capability"),
        ({"capability": b"\r\n"}, UnexpectedReply, "capability"),
        ({"capability": b"* 1 EXISTS\r\n" * 1000}, UnexpectedReply, "capability"),
        ({"login": b"TAG NO [AUTHENTICATIONFAILED] wrong\r\n"}, Unauthorized, "log-in"),
        ({"login": b"TAG NO [UNAVAILABLE] database is down\r\n"}, Unavailable, "log-in"),
        ({"login": b"TAG NO [PRIVACYREQUIRED] not like this\r\n"}, Misconfigured, "log-in"),
        ({"login": b"TAG BAD syntax\r\n"}, WrongContent, "log-in"),
        ({"login": b"* BYE too many errors\r\n"}, Unavailable, "log-in"),
        ({"login": b"* OK [ALERT] quota\r\n* 1 EXISTS\r\nTAG OK\r\n"}, None, ""),
        ({"login": b"+ go on\r\n"}, UnexpectedReply, "log-in"),
        ({"capability": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\nTAG OK\r\n"}, None, ""),
        ({"capability": PLAIN, "authenticate": b"TAG NO [AUTHORIZATIONFAILED] not you\r\n"}, Unauthorized, "log-in"),
        ({"capability": PLAIN, "authenticate": b"TAG OK what?\r\n"}, UnexpectedReply, "log-in"),
        ({"capability": PLAIN, "login": b"TAG NO wrong\r\n"}, Unauthorized, "log-in"),
        ({"capability": b"* CAPABILITY IMAP4rev1 LOGINDISABLED\r\nTAG OK\r\n"}, Misconfigured, "log-in"),
        ({"capability": b"* LIST () {4294967296}\r\n" + b"x" * 1000}, UnexpectedReply, "capability"),
        ({"capability": b"* CAPABILITY {4294967296+}\r\n" + b"x" * 1000}, UnexpectedReply, "capability"),
        ({"select": b"* NO {99} is text here\r\n* 0 EXISTS\r\nTAG OK [READ-ONLY]\r\n"}, None, ""),
        ({"select": b"TAG OK done\r\n"}, WrongContent, "select"),
        ({"select": b"TAG NO [NONEXISTENT] no such mailbox\r\n"}, WrongContent, "select"),
        ({"select": b"TAG NO [SERVERBUG] disk is gone\r\n"}, Unavailable, "select"),
        ({"select": b"* BYE idle for too long\r\n"}, Unavailable, "select"),
        ({"logout": b"TAG OK\r\n"}, UnexpectedReply, "logout"),
        ({"logout": b""}, Unreachable, "logout"),
    ],
)
async def test_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, server: dict[str, Any], failure: type[CheckFailure] | None, step: str
) -> None:
    reading = await run("imap", await serve(mailboxes(**server)), credential=ME, starttls="off")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500


async def test_silence_is_a_timeout(serve: Serve, run: Attempt) -> None:
    reading = await run("imap", await serve(says(b"* OK")), within=0.5)
    assert isinstance(reading.failure, TimedOut)


@pytest.mark.parametrize("password", ["a\r\na9 DELETE INBOX", "a\0b"])
async def test_a_password_cannot_become_a_command(serve: Serve, run: Attempt, password: str) -> None:
    heard: list[str] = []
    credential = Credential("me", Secret(password))
    reading = await run("imap", await serve(mailboxes(heard=heard)), credential=credential, starttls="off")
    assert isinstance(reading.failure, Misconfigured)
    assert len(heard) == 1


@given(
    st.lists(
        st.sampled_from(
            ["* ", "a1 ", "OK", "NO", "BAD", "BYE", "[UNAVAILABLE]", "{99}", "+", "\n", "\0", " ", "ſ", "ok"]
        ),
        max_size=30,
    ).map("".join)
)
def test_no_response_breaks_the_parser(said: str) -> None:
    async def parse() -> None:
        talk = Dialogue(ServiceTarget("127.0.0.1"), 0)
        lines = iter(said.split("\n"))

        async def line() -> str:
            try:
                return next(lines)
            except StopIteration:
                raise Unreachable("capability") from None

        talk.line = line  # type: ignore[method-assign, assignment]  # no network for hundreds of examples
        await module._completed(talk, "capability", "a1")
        assert "OK" in said.upper()

    with contextlib.suppress(Unreachable, UnexpectedReply, Unavailable, WrongContent):
        asyncio.run(parse())
