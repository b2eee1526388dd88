"""imap, imaps, pop and pop3s against a real dovecot, up and broken; postfix asks it for passwords."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from collectors.failures import (
    CertificateFailure,
    Misconfigured,
    Refused,
    TimedOut,
    Unauthorized,
    Unavailable,
    WrongContent,
)
from collectors.secret import Credential, Secret
from tests.peers.certificates import DAY, Authority, now
from tests.peers.dovecot import PASSWORD, USER, Dovecot
from tests.peers.postfix import Postfix
from tests.peers.scripted import Attempt

NAME = "mail.example"
ME = Credential(USER, Secret(PASSWORD))
WRONG = Credential(USER, Secret("wrong horse"))


@pytest.fixture
def dovecot(peer: Callable[[str], str]) -> str:
    program = peer("dovecot")
    if os.getuid() != 0:
        pytest.skip("dovecot is not started: it has to change users")
    return program


def verified(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "certificate": "verify", "ca_file": authority.file}


async def test_dovecot_passes_with_and_without_a_log_in_stops_and_comes_back(
    dovecot: str, run: Attempt, authority: Authority
) -> None:
    with Dovecot(dovecot, authority.issue(NAME)) as mail:
        for protocol, port in mail.ports.items():
            for credential in (None, ME):
                reading = await run(protocol, port, credential=credential, **verified(authority))
                assert reading.failure is None
                assert reading.certificate_expiry is not None
        for protocol in ("imap", "pop"):
            assert (await run(protocol, mail.ports[protocol], credential=ME, starttls="off")).failure is None
        mail.stop()
        for protocol, port in mail.ports.items():
            assert isinstance((await run(protocol, port)).failure, Refused)
        mail.start()
        assert (await run("imap", mail.port, credential=ME)).failure is None


async def test_every_broken_dovecot_is_told_as_what_it_is(dovecot: str, run: Attempt, authority: Authority) -> None:
    with Dovecot(dovecot, authority.issue(NAME)) as mail:
        for protocol, port in mail.ports.items():
            reading = await run(protocol, port, credential=WRONG, **verified(authority))
            assert isinstance(reading.failure, Unauthorized)
            assert "wrong horse" not in "".join(reading.transcript)
        mail.mail.chmod(0)
        for protocol, port in mail.ports.items():
            failure = (await run(protocol, port, credential=ME, **verified(authority))).failure
            assert isinstance(failure, Unavailable)
            assert failure.step in {"select", "stat"}
            assert (await run(protocol, port, **verified(authority))).failure is None
        with mail.suspended():
            for protocol, port in mail.ports.items():
                assert isinstance((await run(protocol, port, within=0.3)).failure, TimedOut)


async def test_dovecot_with_an_expired_certificate_fails_where_it_is_judged(
    dovecot: str, run: Attempt, authority: Authority
) -> None:
    with Dovecot(dovecot, authority.issue(NAME, ends=now() - DAY)) as mail:
        for protocol, port in mail.ports.items():
            reading = await run(protocol, port, credential=ME, **verified(authority))
            assert isinstance(reading.failure, CertificateFailure)
            assert reading.failure.step == "expiry"
            assert reading.certificate_expiry is not None
            reported = await run(protocol, port, credential=ME, certificate="ignore")
            assert reported.failure is None
            assert reported.certificate_expiry == reading.certificate_expiry


async def test_dovecot_without_tls_hears_no_password_unless_that_is_said(
    dovecot: str, run: Attempt, authority: Authority
) -> None:
    with Dovecot(dovecot, authority.issue(NAME), "ssl = no\ndisable_plaintext_auth = no") as mail:
        for protocol in ("imap", "pop"):
            port = mail.ports[protocol]
            assert isinstance((await run(protocol, port, credential=ME)).failure, Misconfigured)
            assert isinstance((await run(protocol, port, starttls="required")).failure, WrongContent)
            assert (await run(protocol, port, credential=ME, starttls="off")).failure is None


async def test_postfix_asks_dovecot_and_takes_a_sender_and_a_recipient(
    dovecot: str, peer: Callable[[str], str], run: Attempt, authority: Authority
) -> None:
    extra = (
        "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {sasl}\nsmtpd_sasl_auth_enable = yes\nsmtpd_tls_auth_only = yes\n"
        "smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination\nsmtpd_error_sleep_time = 0\n"
    )
    envelope: dict[str, Any] = {"mail_from": USER, "rcpt_to": "probe@elsewhere.example"}
    with (
        Dovecot(dovecot, authority.issue(NAME)) as mail,
        Postfix(peer("postfix"), authority.issue(NAME), extra.format(sasl=mail.sasl)) as postfix,
    ):
        for protocol, port in (("submission", postfix.port), ("smtps", postfix.tls_port)):
            trusted = verified(authority)
            assert (await run(protocol, port, credential=ME, **trusted, **envelope)).failure is None
            failure = (await run(protocol, port, **trusted, **envelope)).failure
            assert isinstance(failure, WrongContent)
            assert failure.step == "rcpt-to"
            assert isinstance((await run(protocol, port, credential=WRONG, **trusted)).failure, Unauthorized)
        assert isinstance((await run("smtp", postfix.port, credential=ME, starttls="off")).failure, Misconfigured)
        with postfix.suspended():
            assert isinstance((await run("submission", postfix.port, within=0.5)).failure, TimedOut)
        with mail.suspended():
            failure = (await run("submission", postfix.port, credential=ME, within=2.0)).failure
            assert isinstance(failure, TimedOut)
        postfix.stop()
        assert isinstance((await run("smtps", postfix.tls_port, hostname=NAME)).failure, Refused)
