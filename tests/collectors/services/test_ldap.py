"""ldap and ldaps: a directory that finds an entry passes; every other is told as what it is."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from collectors import ber
from collectors import ldapwire as wire
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
from collectors.secret import Credential, Secret
from collectors.services.ldap import LdapOptions
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.scripted import Attempt, Script, Serve, says
from tests.peers.slapd import BASE, PROBE, Slapd

NAME = "ldap.example"
ME = Credential("cn=me", Secret("hunter2"))
NO_TLS = (wire.EXTENDED_DONE, 2, "unsupported extended operation")
ENTRY = ber.element(wire.ENTRY, ber.text("dc=example"), ber.element(ber.SEQUENCE))
REFERENCE = ber.element(wire.REFERENCE, ber.text("ldap://elsewhere"))


def result(kind: int, code: int = 0, text: str = "") -> bytes:
    return ber.element(kind, ber.integer(code, ber.ENUMERATED), ber.text(""), ber.text(text))


BOUND = result(wire.BOUND)
DONE = result(wire.DONE)


def directory(*answers: bytes | tuple[bytes, ...], heard: list[bytes] | None = None) -> Script:
    """Give one answer (of several operations) to each request."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, answer in enumerate(answers, 1):
            head = await reader.readexactly(2)
            length = ber.length(head[1], await reader.readexactly(ber.more_length(head[1])))
            request = await reader.readexactly(length)
            if heard is not None:
                heard.append(request)
            for operation in answer if isinstance(answer, tuple) else (answer,):
                writer.write(wire.message(number, operation))
        await reader.read()

    return script


async def test_a_directory_passes_without_a_credential(serve: Serve, run: Attempt) -> None:
    heard: list[bytes] = []
    port = await serve(directory(result(*NO_TLS), BOUND, (ENTRY, DONE), heard=heard))
    assert (await run("ldap", port)).failure is None
    assert b"1.3.6.1.4.1.1466.20037" in heard[0]
    assert heard[1] == b"\x02\x01\x02\x60\x07\x02\x01\x03\x04\x00\x80\x00"


async def test_a_password_is_not_sent_in_the_clear_unless_that_is_said_and_never_shown(
    serve: Serve, run: Attempt
) -> None:
    heard: list[bytes] = []
    reading = await run("ldap", await serve(directory(result(*NO_TLS), heard=heard)), credential=ME)
    assert isinstance(reading.failure, Misconfigured)
    assert len(heard) == 1
    port = await serve(directory(BOUND, (ENTRY, DONE), heard=heard))
    reading = await run("ldap", port, credential=ME, starttls="off")
    assert reading.failure is None
    assert heard[1].endswith(b"\x04\x05cn=me\x80\x07hunter2")
    assert "hunter2" not in "".join(reading.transcript)


async def test_tls_can_be_required(serve: Serve, run: Attempt) -> None:
    reading = await run("ldap", await serve(directory(result(*NO_TLS))), starttls="required")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "starttls"


@pytest.mark.parametrize("credential", [Credential("", Secret("x")), Credential("cn=me", Secret(""))])
async def test_a_log_in_that_would_succeed_as_nobody_is_our_mistake(
    serve: Serve, run: Attempt, credential: Credential
) -> None:
    port = await serve(directory(BOUND, (ENTRY, DONE)))
    reading = await run("ldap", port, credential=credential, starttls="off")
    assert isinstance(reading.failure, Misconfigured)


@pytest.mark.parametrize(
    ("answers", "failure", "step"),
    [
        ((result(wire.BOUND, 48, "anonymous bind disallowed"),), None, ""),
        ((result(wire.BOUND, 8),), None, ""),
        ((result(wire.BOUND, 51),), Unavailable, "log-in"),
        ((result(wire.BOUND, 2),), UnexpectedReply, "log-in"),
        ((BOUND, DONE), None, ""),
        ((BOUND, result(wire.DONE, 32)), None, ""),
        ((BOUND, result(wire.DONE, 50)), None, ""),
        ((BOUND, result(wire.DONE, 52, "shutting down")), Unavailable, "search"),
        ((BOUND, result(wire.DONE, 80)), WrongContent, "search"),
        ((DONE,), UnexpectedReply, "log-in"),
        ((ENTRY,), UnexpectedReply, "log-in"),
        ((ber.element(wire.BOUND),), UnexpectedReply, "log-in"),
        (
            (ber.element(wire.BOUND, ber.element(ber.ENUMERATED), ber.text(""), ber.text("")),),
            UnexpectedReply,
            "log-in",
        ),
        ((BOUND, (ENTRY,) * 1000), UnexpectedReply, "search"),
    ],
)
async def test_without_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answers: tuple[bytes, ...], failure: type[CheckFailure] | None, step: str
) -> None:
    reading = await run("ldap", await serve(directory(*answers)), starttls="off")
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == step
        assert len(str(reading.failure)) < 500


@pytest.mark.parametrize(
    ("answers", "failure"),
    [
        ((result(wire.BOUND, 49),), Unauthorized),
        ((result(wire.BOUND, 13, "confidentiality required"),), Misconfigured),
        ((result(wire.BOUND, 53),), Unavailable),
        ((BOUND, DONE), WrongContent),
        ((BOUND, (REFERENCE, DONE)), WrongContent),
        ((BOUND, result(wire.DONE, 32)), WrongContent),
        ((BOUND, result(wire.DONE, 50)), Unauthorized),
        ((BOUND, result(wire.DONE, 3)), TimedOut),
        ((BOUND, result(wire.DONE, 34)), Misconfigured),
        ((BOUND, result(wire.DONE, 4)), WrongContent),
        ((BOUND, (ENTRY, result(wire.DONE, 4))), None),
        ((BOUND, (ENTRY, DONE)), None),
    ],
)
async def test_with_a_credential_every_answer_is_told_as_what_it_is(
    serve: Serve, run: Attempt, answers: tuple[bytes, ...], failure: type[CheckFailure] | None
) -> None:
    port = await serve(directory(*answers))
    reading = await run("ldap", port, credential=ME, starttls="off")
    assert type(reading.failure) is (failure or type(None))


async def test_what_is_looked_for_has_to_be_found_also_without_a_credential(serve: Serve, run: Attempt) -> None:
    for answers in ((BOUND, DONE), (result(wire.BOUND, 48),)):
        reading = await run("ldap", await serve(directory(*answers)), starttls="off", base="dc=example")
        assert isinstance(reading.failure, WrongContent | Unauthorized)


@pytest.mark.parametrize(
    ("code", "failure"), [(52, Unavailable), (51, Unavailable), (8, Misconfigured), (2, UnexpectedReply)]
)
async def test_a_notice_of_disconnection_is_heard(
    serve: Serve, run: Attempt, code: int, failure: type[CheckFailure]
) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(1)
        writer.write(wire.message(0, result(wire.EXTENDED_DONE, code, "going down")))
        await reader.read()

    reading = await run("ldap", await serve(script), credential=ME, starttls="off")
    assert type(reading.failure) is failure
    assert "going down" in reading.failure.detail


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x46",
        b"\x30\x80\x02\x01\x01\x61\x07\0\0",
        b"\x30\x84\x7f\xff\xff\xff",
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30\x88\xff\xff\xff\xff\xff\xff\xff\xff",
        b"\x30\x00",
        b"\x30\x03\x02\x01\x01",
        b"\x30\x05\x02\x01\x01\x61\x7f",
        b"\x30\x0c" + wire.message(9, BOUND)[2:],
    ],
)
async def test_what_is_not_ldap_is_told(serve: Serve, run: Attempt, said: bytes) -> None:
    reading = await run("ldap", await serve(says(said)), starttls="off")
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "log-in"


async def test_silence_is_a_timeout_and_a_closed_connection_is_lost(serve: Serve, run: Attempt) -> None:
    silent = await run("ldap", await serve(says(b"")), within=0.5)
    assert isinstance(silent.failure, TimedOut)
    assert silent.failure.step == "starttls"

    async def closes(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.readexactly(2)

    assert isinstance((await run("ldap", await serve(closes))).failure, Unreachable)


async def test_words_before_tls_begins_are_not_taken_for_the_encrypted_servers(serve: Serve, run: Attempt) -> None:
    reading = await run("ldap", await serve(directory((result(wire.EXTENDED_DONE), BOUND))))
    assert isinstance(reading.failure, UnexpectedReply)


@pytest.mark.parametrize("wrong", [{"filter": "cn=x"}, {"scope": "children"}, {"filter": ""}])
def test_options_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        LdapOptions.model_validate(wrong)


# the real one


@pytest.fixture(scope="module")
def slapd(
    peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory, authority: Authority
) -> Iterator[Slapd]:
    with Slapd(peer("slapd"), tmp_path_factory.mktemp("slapd"), authority.issue(NAME)) as directory:
        yield directory


@pytest.fixture
def verified(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "certificate": "verify", "ca_file": authority.file}


async def test_slapd_passes_without_a_credential_and_with_one(
    slapd: Slapd, run: Attempt, verified: dict[str, Any]
) -> None:
    people: dict[str, Any] = {"credential": PROBE, "base": BASE, "scope": "sub", "filter": "(&(uid=*)(cn=山田*))"}
    for options in ({}, people):
        assert (await run("ldap", slapd.port, starttls="off", **options)).failure is None
        for protocol, port in (("ldap", slapd.port), ("ldaps", slapd.tls_port)):
            reading = await run(protocol, port, **verified, **options)
            assert reading.failure is None
            assert reading.certificate_expiry is not None


@pytest.mark.parametrize(
    ("options", "failure"),
    [
        ({"base": "dc=missing"}, WrongContent),
        ({"base": BASE, "filter": "(cn=none)"}, WrongContent),
        ({"base": "no name"}, Misconfigured),
        ({"base": BASE, "scope": "sub", "filter": "(uid=taro)"}, WrongContent),
        ({"credential": Credential(PROBE.username, Secret("wrong"))}, Unauthorized),
        ({"credential": Credential("cn=unknown," + BASE, Secret("x"))}, Unauthorized),
    ],
)
async def test_slapd_says_what_is_wrong(
    slapd: Slapd, run: Attempt, verified: dict[str, Any], options: dict[str, Any], failure: type[CheckFailure]
) -> None:
    assert type((await run("ldaps", slapd.tls_port, **verified, **options)).failure) is failure


async def test_slapd_hangs_dies_and_comes_back(slapd: Slapd, run: Attempt) -> None:
    with slapd.suspended():
        assert isinstance((await run("ldap", slapd.port, within=0.5)).failure, TimedOut)
    slapd.kill()
    assert isinstance((await run("ldap", slapd.port)).failure, Refused)
    slapd.start()
    assert (await run("ldap", slapd.port)).failure is None


async def test_slapd_with_an_expired_certificate_and_that_wants_tls_is_told(
    peer: Callable[[str], str],
    tmp_path_factory: pytest.TempPathFactory,
    run: Attempt,
    authority: Authority,
    verified: dict[str, Any],
) -> None:
    expired = authority.issue(NAME, ends=now() - DAY)
    folder = tmp_path_factory.mktemp("slapd")
    with Slapd(peer("slapd"), folder, expired, "security ssf=128\ndisallow bind_anon") as directory:
        for protocol, port in (("ldap", directory.port), ("ldaps", directory.tls_port)):
            reading = await run(protocol, port, **verified)
            assert isinstance(reading.failure, CertificateFailure)
            assert reading.certificate_expiry is not None
        assert (await run("ldap", directory.port)).failure is None
        in_the_clear = await run("ldap", directory.port, credential=PROBE, starttls="off")
        assert isinstance(in_the_clear.failure, Misconfigured)


async def test_ldaps_is_encrypted_from_the_first_byte(serve: Serve, run: Attempt, authority: Authority) -> None:
    tls: ssl.SSLContext = server_context(authority.issue("other.example"))
    port = await serve(directory(BOUND, (ENTRY, DONE)), tls=tls)
    assert (await run("ldaps", port, hostname="other.example", ca_file=authority.file)).failure is None
    assert isinstance((await run("ldaps", port, hostname=NAME, ca_file=authority.file)).failure, CertificateFailure)
