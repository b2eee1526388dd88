"""smtp, pop, imap and ftp beside Debian's plug-ins on the same peers, up and broken: the same verdict, or a reason."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from collectors.failures import (
    CertificateFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unreachable,
    WrongContent,
)
from collectors.secret import Credential, Secret
from tests.peers import dovecot, vsftpd
from tests.peers.certificates import DAY, Authority, now
from tests.peers.dovecot import Dovecot
from tests.peers.monitoring_plugins import Plugin, agree, differ
from tests.peers.postfix import Postfix
from tests.peers.scripted import Attempt, Serve, says
from tests.peers.vsftpd import Vsftpd

NAME = "mail.example"
BOXES = {"pop": "check_pop", "pop3s": "check_spop", "imap": "check_imap", "imaps": "check_simap"}
SASL = "smtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}\nsmtpd_sasl_auth_enable = yes\nsmtpd_error_sleep_time = 0"

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="the mail and file servers have to change users")


def at(port: int, *more: object) -> tuple[object, ...]:
    return ("-H", "127.0.0.1", "-p", port, *more)


def trusting(authority: Authority) -> dict[str, Any]:
    return {"hostname": NAME, "certificate": "verify", "ca_file": authority.file}


# mailboxes


async def test_the_plugins_agree_on_dovecot_up_stuck_and_stopped(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    with Dovecot(peer("dovecot"), authority.issue(NAME)) as mail:
        for protocol, name in BOXES.items():
            reading = await run(protocol, mail.ports[protocol], **trusting(authority))
            agree(reading, await plugin(name, *at(mail.ports[protocol])))
        with mail.suspended():
            for protocol in ("pop", "imaps"):
                reading = await run(protocol, mail.ports[protocol], within=0.5, **trusting(authority))
                assert isinstance(reading.failure, TimedOut)
                agree(reading, await plugin(BOXES[protocol], *at(mail.ports[protocol], "-t", "1")))
        mail.stop()
        for protocol, name in BOXES.items():
            agree(await run(protocol, mail.ports[protocol]), await plugin(name, *at(mail.ports[protocol])))


async def test_the_plugins_see_no_expired_certificate_and_no_broken_mailbox(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    me = Credential(dovecot.USER, Secret(dovecot.PASSWORD))
    with Dovecot(peer("dovecot"), authority.issue(NAME, ends=now() - DAY)) as mail:
        mail.mail.chmod(0)
        for protocol, name in BOXES.items():
            told = await plugin(name, *at(mail.ports[protocol]))
            reading = await run(protocol, mail.ports[protocol], credential=me, certificate="ignore")
            # POP's process ends after its -ERR: sometimes before our STAT is asked
            assert isinstance(reading.failure, Unavailable | Unreachable)
            differ(reading, told, "it reads the greeting and goes; we log in and open the mailbox")
            if protocol.endswith("s"):
                reading = await run(protocol, mail.ports[protocol], **trusting(authority))
                assert isinstance(reading.failure, CertificateFailure)
                differ(reading, told, "it looks at certificates only with -D; we judge them where TLS comes first")
                agree(reading, await plugin(name, *at(mail.ports[protocol], "-D", "1")))


@pytest.mark.parametrize(
    ("protocol", "greeting"),
    [
        ("smtp", b"421 overloaded\r\n"),
        ("pop", b"-ERR [SYS/TEMP] overloaded\r\n"),
        ("imap", b"* BYE overloaded\r\n"),
        ("ftp", b"421 overloaded\r\n"),
    ],
)
async def test_the_plugins_agree_that_a_refusing_server_has_failed(
    run: Attempt, plugin: Plugin, serve: Serve, protocol: str, greeting: bytes
) -> None:
    port = await serve(says(greeting))
    reading = await run(protocol, port)
    assert isinstance(reading.failure, Unavailable)
    agree(reading, await plugin(f"check_{protocol}", *at(port, "-t", "2")))


# smtp


async def test_check_smtp_agrees_on_postfix_but_for_whose_fault_a_wrong_password_is(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    with (
        Dovecot(peer("dovecot"), authority.issue(NAME)) as passwords,
        Postfix(peer("postfix"), authority.issue(NAME), SASL.format(passwords.sasl)) as mail,
    ):
        agree(await run("smtp", mail.port), await plugin("check_smtp", *at(mail.port)))
        agree(await run("submission", mail.port), await plugin("check_smtp", *at(mail.port, "-S")))
        agree(await run("smtps", mail.tls_port, **trusting(authority)), await plugin("check_ssmtp", *at(mail.tls_port)))
        for password in (dovecot.PASSWORD, "wrong"):
            log_in = at(mail.port, "-A", "LOGIN", "-U", dovecot.USER, "-P", password)
            reading = await run("smtp", mail.port, credential=Credential(dovecot.USER, Secret(password)))
            told = await plugin("check_smtp", *log_in)
            if password == dovecot.PASSWORD:
                agree(reading, told)
            else:
                assert isinstance(reading.failure, Unauthorized)
                differ(reading, told, "the password is ours: the attempt is void and touches no customer's clock")
        with mail.suspended():
            agree(await run("smtp", mail.port, within=0.5), await plugin("check_smtp", *at(mail.port, "-t", "1")))
        mail.stop()
        agree(await run("smtp", mail.port), await plugin("check_smtp", *at(mail.port)))


async def test_check_smtp_sends_a_password_in_the_clear_and_we_do_not(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    with (
        Dovecot(peer("dovecot"), authority.issue(NAME)) as passwords,
        Postfix(
            peer("postfix"),
            authority.issue(NAME),
            f"{SASL.format(passwords.sasl)}\nsmtpd_tls_security_level = none",
        ) as mail,
    ):
        me = Credential(dovecot.USER, Secret(dovecot.PASSWORD))
        told = await plugin("check_smtp", *at(mail.port, "-A", "LOGIN", "-U", me.username, "-P", dovecot.PASSWORD))
        reading = await run("smtp", mail.port, credential=me)
        assert isinstance(reading.failure, Misconfigured)
        differ(reading, told, "no password in the clear, unless starttls: off says that it may be")
        agree(await run("smtp", mail.port, credential=me, starttls="off"), told)
        missing = await run("submission", mail.port)
        assert isinstance(missing.failure, WrongContent)
        agree(missing, await plugin("check_smtp", *at(mail.port, "-S")))


async def test_check_smtp_agrees_on_an_expired_certificate_where_both_judge_it(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    with Postfix(peer("postfix"), authority.issue(NAME, ends=now() - DAY)) as mail:
        agree(await run("smtp", mail.port), await plugin("check_smtp", *at(mail.port, "-S")))
        judged = await run("smtp", mail.port, **trusting(authority))
        assert isinstance(judged.failure, CertificateFailure)
        agree(judged, await plugin("check_smtp", *at(mail.port, "-S", "-D", "1")))


# ftp


async def test_check_ftp_agrees_on_vsftpd_up_stuck_and_stopped_and_looks_no_further_than_the_greeting(
    run: Attempt, plugin: Plugin, peer: Callable[[str], str], authority: Authority
) -> None:
    me = Credential(vsftpd.USER, Secret(vsftpd.PASSWORD))
    with Vsftpd(peer("vsftpd"), authority.issue(NAME)) as files:
        told = await plugin("check_ftp", *at(files.port))
        agree(await run("ftp", files.port, credential=me), told)
        wrong = await run("ftp", files.port, credential=Credential(vsftpd.USER, Secret("wrong")))
        assert isinstance(wrong.failure, Unauthorized)
        differ(wrong, told, "it does not log in")
        with files.suspended():
            agree(await run("ftp", files.port, within=0.5), await plugin("check_ftp", *at(files.port, "-t", "1")))
        files.stop()
        agree(await run("ftp", files.port), await plugin("check_ftp", *at(files.port)))
    with Vsftpd(peer("vsftpd"), authority.issue(NAME, ends=now() - DAY), "pasv_enable=NO") as files:
        told = await plugin("check_ftp", *at(files.port))
        expired = await run("ftps", files.port, **trusting(authority))
        assert isinstance(expired.failure, CertificateFailure)
        differ(expired, told, "it speaks no TLS on this port")
        closed = await run("ftp", files.port, credential=me)
        assert isinstance(closed.failure, WrongContent)
        differ(closed, told, "it lists nothing: a server without a data port passes")
