"""smtp, submission, smtps: a mail server that lets us in and says goodbye passes; others are told as what they are."""

import asyncio
import base64
import contextlib
import os
import ssl
from collections.abc import Callable
from typing import Any

import pytest
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

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
from collectors.services import smtp as module
from collectors.services.smtp import SmtpOptions
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.postfix import Postfix
from tests.peers.scripted import Attempt, Script, Serve, says

NAME = "mail.example"
ME = Credential("probe@mail.example", Secret("hunter2"))


def mail_server(
    *,
    greeting: bytes = b"220 mail.example ESMTP\r\n",
    ehlo: bytes = b"250-mail.example\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    helo: bytes = b"250 mail.example\r\n",
    starttls: bytes = b"220 go ahead\r\n",
    auth: bytes = b"334 \r\n",
    password: bytes = b"235 2.7.0 welcome\r\n",
    mail: bytes = b"250 ok\r\n",
    rcpt: bytes = b"250 ok\r\n",
    quit_: bytes = b"221 2.0.0 bye\r\n",
    tls: ssl.SSLContext | None = None,
    heard: list[str] | None = None,
) -> Script:
    """Answer as told; with ``tls``, STARTTLS is offered before it is begun."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        encrypted = False
        while line := (await reader.readline()).decode().strip():
            if heard is not None:
                heard.append(line)
            match line.split()[0]:
                case "EHLO":
                    writer.write(ehlo if encrypted or not tls else ehlo.replace(b"PIPELINING", b"StartTLS"))
                case "STARTTLS":
                    writer.write(starttls)
                    if tls and starttls.startswith(b"220"):
                        await writer.start_tls(tls)
                        encrypted = True
                case "HELO":
                    writer.write(helo)
                case "AUTH":
                    writer.write(auth)
                    for answer in (b"334 UGFzc3dvcmQ6\r\n", password) if line == "AUTH LOGIN" else (password,):
                        if auth.startswith(b"334"):
                            secret = (await reader.readline()).decode().strip()
                            if heard is not None:
                                heard.append(base64.b64decode(secret).decode())
                            writer.write(answer)
                case "MAIL":
                    writer.write(mail)
                case "RCPT":
                    writer.write(rcpt)
                case "RSET":
                    writer.write(b"250 forgotten\r\n")
                case "QUIT":
                    writer.write(quit_)
                    return

    return script


async def test_a_mail_server_passes_without_a_word_too_many(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    assert (await run("smtp", await serve(mail_server(heard=heard)))).failure is None
    assert heard == ["EHLO [127.0.0.1]", "QUIT"]
    heard.clear()
    assert (await run("smtp", await serve(mail_server(heard=heard)), helo="probe.example")).failure is None
    assert heard[0] == "EHLO probe.example"


async def test_starttls_is_used_where_it_is_offered_and_its_certificate_reported(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    ends = now() - DAY
    context = server_context(authority.issue("other.example", ends=ends))
    reading = await run("smtp", await serve(mail_server(tls=context, heard=heard)))
    assert reading.failure is None
    assert reading.certificate_expiry == ends.timestamp()
    assert heard == ["EHLO [127.0.0.1]", "STARTTLS", "EHLO [127.0.0.1]", "QUIT"]


async def test_the_certificate_is_judged_where_that_is_asked_for(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    ends = now() - DAY
    port = await serve(mail_server(tls=server_context(authority.issue(NAME, ends=ends))))
    reading = await run("smtp", port, hostname=NAME, certificate="verify", ca_file=authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.detail.startswith("expired on")
    assert reading.certificate_expiry == ends.timestamp()


async def test_starttls_can_be_required_or_left_out(serve: Serve, run: Attempt, authority: Authority) -> None:
    reading = await run("smtp", await serve(mail_server()), starttls="required")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"
    heard: list[str] = []
    tls = server_context(authority.issue(NAME))
    assert (await run("smtp", await serve(mail_server(tls=tls, heard=heard)), starttls=False)).failure is None
    assert "STARTTLS" not in heard


@pytest.mark.parametrize(
    ("server", "failure", "step"),
    [
        ({"greeting": b"421 too busy\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"450 later\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"554-No\r\n554 service\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"521 no mail here\r\n"}, Unavailable, "greeting"),
        ({"greeting": b"550 who are you\r\n"}, WrongContent, "greeting"),
        ({"greeting": b"250 what\r\n"}, WrongContent, "greeting"),
        ({"greeting": b"SSH-2.0-x\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"* OK IMAP4rev1\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220-a\r\n221 b\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220-a\r\nb\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"2200 a\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220_a\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"\xd9\xa2\xd9\xa2\xd9\xa0 a\r\n"}, UnexpectedReply, "greeting"),
        ({"greeting": b"220-\r\n" * 1000}, UnexpectedReply, "greeting"),
        ({"greeting": b"220 " + b"x" * 10_000}, UnexpectedReply, "greeting"),
        ({"ehlo": b"550 not you\r\n"}, WrongContent, "ehlo"),
        ({"ehlo": b"502 what?\r\n", "helo": b"502 what?\r\n"}, WrongContent, "helo"),
        ({"ehlo": b"421 going down\r\n"}, Unavailable, "ehlo"),
        ({"ehlo": b"\0\xff\r\n"}, UnexpectedReply, "ehlo"),
        ({"quit_": b"500 never heard of it\r\n"}, WrongContent, "quit"),
        ({"quit_": b""}, Unreachable, "quit"),
    ],
)
async def test_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, server: dict[str, bytes], failure: type[CheckFailure], step: str
) -> None:
    reading = await run("smtp", await serve(mail_server(**server)))  # type: ignore[arg-type]  # the answers only
    assert type(reading.failure) is failure
    assert reading.failure.step == step
    assert len(str(reading.failure)) < 500


@pytest.mark.parametrize(
    ("server", "failure", "step"),
    [
        ({}, None, ""),
        ({"ehlo": b"250-a\r\n250 AUTH=PLAIN\r\n"}, None, ""),
        ({"ehlo": b"250-a\r\n250-AUTH GSSAPI\r\n250 AUTH=GSSAPI LOGIN\r\n"}, None, ""),
        ({"password": b"535 5.7.8 wrong\r\n"}, Unauthorized, "log-in"),
        (
            {"ehlo": b"250-a\r\n250 AUTH LOGIN\r\n", "password": b"535-wrong\r\n535 aHVudGVyMg==\r\n"},
            Unauthorized,
            "log-in",
        ),
        ({"password": b"554 5.7.0 locked\r\n"}, Unauthorized, "log-in"),
        ({"password": b"454 4.7.0 database is down\r\n"}, Unavailable, "log-in"),
        ({"password": b"421 bye\r\n"}, Unavailable, "log-in"),
        ({"auth": b"538 5.7.11 Encryption required\r\n"}, Misconfigured, "log-in"),
        ({"password": b"530 Must issue a STARTTLS command first\r\n"}, Misconfigured, "log-in"),
        ({"password": b"501 5.5.2 not base64\r\n"}, WrongContent, "log-in"),
        ({"password": b"334 more\r\n"}, WrongContent, "log-in"),
        ({"password": b"+OK\r\n"}, UnexpectedReply, "log-in"),
        ({"auth": b"504 no such mechanism\r\n"}, WrongContent, "log-in"),
        ({"auth": b"535 not you\r\n"}, Unauthorized, "log-in"),
        ({"auth": b"235 all right\r\n"}, WrongContent, "log-in"),
        ({"ehlo": b"250-a\r\n250 AUTH GSSAPI\r\n"}, Misconfigured, "log-in"),
        ({"ehlo": b"502 what?\r\n"}, Misconfigured, "log-in"),
        ({"mail": b"530 5.7.0 log in first\r\n"}, WrongContent, "mail-from"),
        ({"mail": b"452 disk is full\r\n"}, Unavailable, "mail-from"),
        ({"rcpt": b"251 forwarded\r\n"}, None, ""),
        ({"rcpt": b"550 5.1.1 nobody here\r\n"}, WrongContent, "rcpt-to"),
        ({"rcpt": b"450 4.2.0 greylisted\r\n"}, Unavailable, "rcpt-to"),
    ],
)
async def test_every_answer_to_a_log_in_and_an_envelope_is_told_as_what_it_is(
    serve: Serve, run: Attempt, server: dict[str, bytes], failure: type[CheckFailure] | None, step: str
) -> None:
    script = mail_server(**{"ehlo": b"250-mail.example\r\n250 AUTH LOGIN PLAIN\r\n", **server})  # type: ignore[arg-type]  # the answers only
    envelope: dict[str, Any] = {"mail_from": "probe@mail.example", "rcpt_to": "probe@mail.example"}
    reading = await run("smtp", await serve(script), credential=ME, starttls="off", **envelope)
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert "hunter2" not in str(reading.failure)
        assert "aHVudGVyMg" not in "".join((str(reading.failure), *reading.transcript))


async def test_a_mail_is_announced_and_taken_back_and_never_sent(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    port = await serve(mail_server(heard=heard))
    assert (await run("smtp", port, mail_from="a@mail.example", rcpt_to="b@mail.example")).failure is None
    assert heard[1:] == ["MAIL FROM:<a@mail.example>", "RCPT TO:<b@mail.example>", "RSET", "QUIT"]
    heard.clear()
    assert (await run("smtp", port, mail_from="<>")).failure is None
    assert heard[1:] == ["MAIL FROM:<>", "RSET", "QUIT"]


@pytest.mark.parametrize(
    ("mechanisms", "said"),
    [
        (b"DIGEST-MD5 PLAIN LOGIN", ["AUTH PLAIN", "\0probe@mail.example\0hunter2"]),
        (b"LOGIN", ["AUTH LOGIN", "probe@mail.example", "hunter2"]),
    ],
)
async def test_we_log_in_encrypted_by_what_is_offered_and_show_no_password(
    serve: Serve, run: Attempt, authority: Authority, mechanisms: bytes, said: list[str]
) -> None:
    heard: list[str] = []
    ehlo = b"250-mail.example\r\n250-PIPELINING\r\n250 AUTH " + mechanisms + b"\r\n"
    port = await serve(mail_server(ehlo=ehlo, tls=server_context(authority.issue(NAME)), heard=heard))
    options: dict[str, Any] = {"certificate": "verify", "ca_file": authority.file, "credential": ME}
    reading = await run("submission", port, hostname=NAME, **options)
    assert reading.failure is None
    assert heard[3:] == [*said, "QUIT"]
    shown = "".join(reading.transcript)
    assert "AUTH" in shown
    for secret in (b"hunter2", b"\0probe@mail.example\0hunter2"):
        assert secret.decode() not in shown
        assert base64.b64encode(secret).decode() not in shown


@pytest.mark.parametrize("protocol", ["smtp", "submission"])
async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said(
    serve: Serve, run: Attempt, protocol: str
) -> None:
    heard: list[str] = []
    port = await serve(mail_server(ehlo=b"250-a\r\n250 AUTH PLAIN\r\n", heard=heard))
    failure = (await run(protocol, port, credential=ME)).failure
    assert isinstance(failure, Misconfigured if protocol == "smtp" else WrongContent)
    assert not any("AUTH" in line for line in heard)


async def test_a_password_cannot_become_a_command(serve: Serve, run: Attempt) -> None:
    credential = Credential("me", Secret("a\r\nMAIL FROM:<x>"))
    reading = await run("smtp", await serve(mail_server()), credential=credential, starttls="off")
    assert isinstance(reading.failure, Misconfigured)


async def test_an_encrypted_server_without_a_log_in_that_we_speak_has_failed(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    port = await serve(mail_server(), tls=server_context(authority.issue(NAME)))
    reading = await run("smtps", port, hostname=NAME, ca_file=authority.file, credential=ME)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "log-in"


async def test_a_server_without_extensions_is_greeted_the_old_way(serve: Serve, run: Attempt) -> None:
    heard: list[str] = []
    port = await serve(mail_server(ehlo=b"502 what?\r\n", heard=heard))
    assert (await run("smtp", port)).failure is None
    assert heard == ["EHLO [127.0.0.1]", "HELO [127.0.0.1]", "QUIT"]
    reading = await run("submission", port)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"


async def test_smtps_speaks_tls_from_the_first_byte_and_judges_the_certificate(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    heard: list[str] = []
    port = await serve(mail_server(heard=heard), tls=server_context(authority.issue(NAME)))
    reading = await run("smtps", port, hostname=NAME, ca_file=authority.file)
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert heard == ["EHLO [127.0.0.1]", "QUIT"]
    assert isinstance((await run("smtps", port, hostname="other.example")).failure, CertificateFailure)
    plain = await run("smtps", await serve(mail_server()), hostname=NAME)
    assert isinstance(plain.failure, TlsFailure)
    assert "answers without TLS: 220 mail.example" in plain.failure.detail
    heard.clear()
    assert isinstance((await run("smtp", port, within=0.5)).failure, UnexpectedReply | TimedOut)


async def test_a_greeting_without_text_is_one(serve: Serve, run: Attempt) -> None:
    assert (await run("smtp", await serve(mail_server(greeting=b"220\r\n", ehlo=b"250\r\n")))).failure is None


async def test_a_refused_starttls_is_told_at_its_step(serve: Serve, run: Attempt, authority: Authority) -> None:
    tls = server_context(authority.issue(NAME))
    port = await serve(mail_server(tls=tls, starttls=b"454 not now\r\n"))
    reading = await run("smtp", port)
    assert isinstance(reading.failure, Unavailable)
    assert reading.failure.step == "starttls"


async def test_words_before_the_encryption_are_not_taken_for_encrypted_ones(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    tls = server_context(authority.issue(NAME))
    port = await serve(mail_server(tls=tls, starttls=b"220 go\r\n250 mail.example\r\n"))
    reading = await run("smtp", port)
    assert isinstance(reading.failure, UnexpectedReply)


async def test_an_endless_reply_ends(serve: Serve, run: Attempt) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"220-welcome\r\n" * 100)
            await writer.drain()

    assert isinstance((await run("smtp", await serve(endless))).failure, UnexpectedReply)


async def test_silence_is_a_timeout(serve: Serve, run: Attempt) -> None:
    reading = await run("smtp", await serve(says(b"220-and then")), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "greeting"


@given(
    st.lists(st.sampled_from(["220", "250", "421", "-", " ", "x", "\r\n", "\n", "\0", "2", "０"]), max_size=30).map(
        "".join
    )
)
def test_no_reply_breaks_the_parser(reply: str) -> None:
    async def parse() -> None:
        talk = Dialogue(ServiceTarget("127.0.0.1"), 0)
        lines = iter(reply.split("\n"))

        async def line(limit: int) -> str:
            try:
                return next(lines).removesuffix("\r")
            except StopIteration:
                raise Unreachable("greeting") from None

        talk.line = line  # type: ignore[method-assign, assignment]  # no network for hundreds of examples
        texts = await module.expect(talk, "greeting", 220)
        assert texts
        assert reply.startswith("220")

    with contextlib.suppress(Unreachable, UnexpectedReply, Unavailable, WrongContent):
        asyncio.run(parse())


@pytest.mark.parametrize(
    "wrong",
    [
        {"helo": "a b"},
        {"helo": "x\r\nQUIT"},
        {"starttls": "maybe"},
        {"mail_from": "a@b.example\r\nDATA"},
        {"mail_from": "<a@b.example>"},
        {"mail_from": "a@b.example> SIZE=1"},
        {"rcpt_to": "a@b.example"},
        {"mail_from": "<>", "rcpt_to": "<>"},
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SmtpOptions.model_validate(wrong)


def test_a_name_is_needed_only_where_the_certificate_is_judged() -> None:
    kind = CHECKS["smtp"]
    assert not kind.tls(SmtpOptions())
    assert kind.tls(SmtpOptions(certificate="verify"))
    assert not kind.tls(SmtpOptions(certificate="verify", starttls="off"))
    assert not kind.tls(SmtpOptions(certificate="verify", server_name="mail.example"))


def test_yaml_reads_off_as_false() -> None:
    assert SmtpOptions.model_validate({"starttls": False}).starttls == "off"


# aiosmtpd is a server that we did not write


async def test_aiosmtpd_passes_with_its_certificate(run: Attempt, authority: Authority) -> None:
    tls = server_context(authority.issue(NAME))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(Sink(), tls_context=tls, loop=loop), "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        options: dict[str, Any] = {"starttls": "required", "certificate": "verify", "ca_file": authority.file}
        reading = await run("smtp", port, hostname=NAME, **options)
    assert reading.failure is None
    assert reading.certificate_expiry is not None


# and postfix is the one that most of our customers run


@pytest.fixture
def postfix(peer: Callable[[str], str]) -> str:
    program = peer("postfix")
    if os.getuid() != 0:
        pytest.skip("postfix is not started: its master process has to be root")
    return program


async def test_postfix_passes_with_starttls_and_without_stops_and_comes_back(
    postfix: str, run: Attempt, authority: Authority
) -> None:
    with Postfix(postfix, authority.issue(NAME)) as mail:
        verified: dict[str, Any] = {"starttls": "required", "certificate": "verify", "ca_file": authority.file}
        reading = await run("smtp", mail.port, hostname=NAME, **verified)
        assert reading.failure is None
        assert reading.certificate_expiry is not None
        assert (await run("smtp", mail.port, starttls="off")).failure is None
        mail.stop()
        assert isinstance((await run("smtp", mail.port)).failure, Refused)
        mail.start()
        assert (await run("smtp", mail.port)).failure is None


async def test_postfix_with_an_expired_certificate_fails_only_where_it_is_judged(
    postfix: str, run: Attempt, authority: Authority
) -> None:
    with Postfix(postfix, authority.issue(NAME, ends=now() - DAY)) as mail:
        judged = await run("smtp", mail.port, hostname=NAME, certificate="verify", ca_file=authority.file)
        assert isinstance(judged.failure, CertificateFailure)
        assert judged.certificate_expiry is not None
        reported = await run("smtp", mail.port, hostname=NAME)
        assert reported.failure is None
        assert reported.certificate_expiry == judged.certificate_expiry


async def test_postfix_that_refuses_us_is_unavailable(postfix: str, run: Attempt, authority: Authority) -> None:
    refusing = "smtpd_delay_reject = no\nsmtpd_client_restrictions = defer"
    with Postfix(postfix, authority.issue(NAME), refusing) as mail:
        assert isinstance((await run("smtp", mail.port)).failure, Unavailable)
