"""The outbox: what is in it leaves, whatever the mail server does, and is not forgotten when somebody is killed."""

import asyncio
import logging
import socket
import threading
from collections.abc import AsyncIterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword

from exporter.clock import DAY, SystemClock
from exporter.contract.incidents import IncidentEvent, What
from exporter.inventory import CredentialEntry, Mail, SecretSource
from exporter.ledger import Record, incident_record, outgoing_record
from exporter.mail.courier import Result, Smarthost
from exporter.mail.message import Outgoing
from exporter.outbox import FIRST_PAUSE
from tests.exporter.mailroom import Mailroom, MailServer
from tests.peers.certificates import Authority, server_context

NOTICE = Outgoing(
    "<one@provider.example>",
    SystemClock().now().wall,
    "web01-1",
    "notice",
    "運用担当",
    "ops@customer.example",
    "noc@provider.example",
    b"Subject: x\r\nMessage-ID: <one@provider.example>\r\n\r\nbody\r\n",
    SystemClock().now().wall - 30_000,
)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Mailroom]:
    world = Mailroom(tmp_path / "data")
    yield world
    await world.end()


@pytest.fixture
def server() -> MailServer:
    return MailServer()


async def test_a_mail_leaves_once_and_is_recorded_with_what_belongs_to_it(world: Mailroom, server: MailServer) -> None:
    told = IncidentEvent("web01-1", What.TOLD, 1, "運用担当", {"by": "mail"})

    def on_sent(mail: Outgoing, _at: int) -> list[Record]:
        assert mail == NOTICE
        return [incident_record(told)]

    world.outbox.on_sent = on_sent
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE)
        await world.post(NOTICE)
        await world.settled()
    assert [b"body" in mail for mail in server.mails] == [True]
    assert [event for _, event in world.ledger.incident_events()] == [told]
    assert world.count("sent") == 1
    assert world.value("dserver_outbox_pending") == 0
    assert world.value("dserver_outage_notice_delay_seconds_count") == 1
    assert world.value("dserver_outage_notice_delay_seconds_sum") >= 30


async def test_what_another_process_left_or_put_in_is_sent(world: Mailroom, server: MailServer) -> None:
    await world.ledger.save([outgoing_record(NOTICE)])
    async with server.listening() as settings:
        world.begin(settings)
        await world.outbox.refresh()
        await world.settled()
        await world.outbox.refresh()
        await world.ledger.save([outgoing_record(replace(NOTICE, message_id="<two@x>", kind="report"))])
        await world.outbox.refresh()
        await world.settled()
    assert len(server.mails) == 2


async def test_a_mail_that_was_not_taken_is_tried_again_and_said_aloud(
    world: Mailroom, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.rcpt = "451 4.3.0 come back later"
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE)
        await world.until(lambda: world.count("deferred") == 1)
        assert "ops@customer.example was not taken by the mail server: 451 4.3.0 come back later" in caplog.text
        assert world.value("dserver_outbox_pending") == 1
        server.rcpt = "550 5.7.1 relaying denied"
        world.clock.moved += FIRST_PAUSE
        await world.post(replace(NOTICE, message_id="<two@x>"))
        await world.until(lambda: world.count("refused") == 2)
        server.rcpt = "250 OK"
        world.clock.moved += 2 * FIRST_PAUSE
        await world.post(replace(NOTICE, message_id="<three@x>"))
        await world.settled()
    assert len(server.mails) == 3


async def test_a_server_that_is_away_is_waited_for(world: Mailroom, server: MailServer) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        world.begin(Mail("127.0.0.1", probe.getsockname()[1], "noc@provider.example", "none"))
        await world.post(NOTICE)
        await world.until(lambda: world.count("deferred") == 1)
    async with server.listening() as settings:
        world.outbox.settings = settings
        world.clock.moved += FIRST_PAUSE
        await world.post(replace(NOTICE, message_id="<two@x>"))
        await world.settled()
    assert len(server.mails) == 2


async def test_a_connection_that_breaks_off_costs_only_what_was_not_taken_yet(
    world: Mailroom, server: MailServer
) -> None:
    async def break_off(content: bytes) -> str:
        if len(server.mails) == 1:
            for session in server.sessions:
                session.peer_gone = True
            return "421 4.3.2 shutting down"
        server.mails.append(content)
        return "250 taken"

    server.answer = break_off
    mails = [
        replace(NOTICE, message_id=f"<{number}@x>", message=b"Subject: %d\r\n\r\n" % number) for number in range(3)
    ]
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(*mails)
        await world.until(lambda: world.count("deferred") == 2)
        server.answer = server._take
        world.clock.moved += FIRST_PAUSE
        await world.post(replace(NOTICE, message_id="<again@x>"))
        await world.settled()
    assert len(server.mails) == 4
    assert len(set(server.mails)) == 4


async def test_a_server_that_never_answers_does_not_hold_up_the_end(world: Mailroom) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        world.begin(Mail("127.0.0.1", listening.getsockname()[1], "noc@provider.example", "none"))
        await world.post(NOTICE)
        await world.until(lambda: next(iter(world.outbox._waiting.values())).in_hand)
        async with asyncio.timeout(10):
            await world.end()


async def test_many_mails_share_a_connection(world: Mailroom, server: MailServer) -> None:
    async with server.listening() as settings:
        await world.post(*(replace(NOTICE, message_id=f"<{number}@x>") for number in range(60)))
        world.begin(settings)
        await world.settled()
    assert len(server.mails) == 60
    assert len(server.sessions) <= 4


UPDATE = replace(NOTICE, message_id="<update@x>", kind="update", message=b"Subject: update\r\n\r\nbody\r\n")
OTHERS = replace(NOTICE, message_id="<others@x>", recipient="boss@customer.example", message=b"Subject: b\r\n\r\nb\r\n")


@pytest.mark.parametrize("together", [True, False])
async def test_an_update_does_not_leave_before_a_notice_that_is_tried_again(
    world: Mailroom, server: MailServer, together: bool
) -> None:
    async def not_now(content: bytes) -> str:
        return "451 not now" if content.startswith(b"Subject: x") else await server._take(content)

    server.answer = not_now
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE, *([UPDATE, OTHERS] if together else []))
        await world.until(lambda: world.count("deferred") == 1)
        await world.post(UPDATE, OTHERS)
        await world.waiting(NOTICE, UPDATE)
        assert len(server.mails) == 1
        server.answer = server._take
        world.clock.moved += FIRST_PAUSE
        await world.post(replace(OTHERS, message_id="<again@x>"))
        await world.settled()
    subjects = [mail.partition(b"\r\n")[0] for mail in server.mails]
    assert subjects.index(b"Subject: x") < subjects.index(b"Subject: update")


async def test_a_mail_that_is_refused_for_good_holds_up_no_later_one(world: Mailroom, server: MailServer) -> None:
    async def never(content: bytes) -> str:
        return "554 no" if content.startswith(b"Subject: x") else await server._take(content)

    server.answer = never
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE)
        await world.until(lambda: world.count("refused") == 1)
        await world.post(UPDATE)
        await world.waiting(NOTICE)
    assert len(server.mails) == 1


async def test_what_waited_for_a_mail_that_is_taken_out_leaves(world: Mailroom, server: MailServer) -> None:
    server.rcpt = "450 not now"
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE)
        await world.until(lambda: world.count("deferred") == 1)
        await world.post(UPDATE)
        server.rcpt = "250 OK"
        await world.outbox.cancel(lambda mail: mail.kind == "notice")
        await world.settled()
    assert len(server.mails) == 1


async def test_a_mail_that_says_what_is_true_no_longer_is_taken_out_with_what_belongs_to_it(
    world: Mailroom, server: MailServer
) -> None:
    dropped = IncidentEvent("web01-1", What.DROPPED, 1, NOTICE.recipient, {"mail": "notice"})
    world.outbox.overtaken = lambda mail: mail.kind == "notice"
    world.outbox.on_cancelled = lambda _mail, _at: [incident_record(dropped)]
    async with server.listening() as settings:
        await world.post(NOTICE, UPDATE)
        world.begin(settings)
        await world.settled()
    assert [mail.partition(b"\r\n")[0] for mail in server.mails] == [b"Subject: update"]
    assert [event for _, event in world.ledger.incident_events()] == [dropped]


async def test_what_the_mail_server_takes_while_we_stop_is_written_down(
    world: Mailroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    class LateCourier:
        """The server's answer comes just when the connection is given up."""

        def __init__(self, _smarthost: Smarthost) -> None:
            self.given_up = threading.Event()

        connected = nullcontext

        def hand_over(self, _mail: Outgoing) -> tuple[Result, str]:
            asked.set()
            self.given_up.wait(20)
            return Result.SENT, ""

        def abort(self) -> None:
            self.given_up.set()

    asked = threading.Event()
    monkeypatch.setattr("exporter.outbox.Courier", LateCourier)
    world.begin(Mail("127.0.0.1", 25, "noc@provider.example", "none"))
    await world.post(NOTICE)
    await world.until(asked.is_set)
    assert world._work
    world._work.cancel()
    await asyncio.gather(world._work, return_exceptions=True)
    assert world.ledger.outgoing() == []


async def test_a_mail_that_need_not_leave_any_more_is_taken_out(world: Mailroom) -> None:
    await world.post(NOTICE, replace(NOTICE, message_id="<two@x>", incident="web02-1"))
    await world.outbox.cancel(lambda mail: mail.incident == "web01-1")
    assert [mail.incident for _, mail in world.ledger.outgoing()] == ["web02-1"]
    assert world.count("cancelled") == 1


async def test_a_mail_that_is_a_day_old_is_given_up_loudly(
    world: Mailroom, server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with server.listening() as settings:
        await world.post(replace(NOTICE, at=NOTICE.at - DAY - 1_000))
        world.begin(settings)
        await world.settled()
    assert server.mails == []
    assert world.count("expired") == 1
    assert "could not be sent for a day and is given up" in caplog.text


async def test_a_clock_that_is_set_a_day_ahead_gives_up_no_mail_that_waits(world: Mailroom, server: MailServer) -> None:
    server.rcpt = "450 not now"
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(replace(NOTICE, at=world.clock.now().wall))
        await world.until(lambda: world.count("deferred") == 1)
        server.rcpt = "250 OK"
        world.clock.set_ahead = DAY
        world.clock.moved += FIRST_PAUSE
        await world.post(replace(OTHERS, at=world.clock.now().wall))
        await world.settled()
    assert len(server.mails) == 2


async def test_a_ledger_that_cannot_be_written_holds_up_no_mail_and_sends_none_twice(
    world: Mailroom, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(_records: object) -> bool:
        return False

    monkeypatch.setattr(world.ledger, "save", fails)
    async with server.listening() as settings:
        world.begin(settings)
        await world.post(NOTICE)
        await world.until(lambda: world.count("sent") == 1)
        await world.post(NOTICE)
        assert world.value("dserver_outbox_pending") == 0
    assert len(server.mails) == 1


# it does not see that the connection is encrypted from its first byte
@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_it_logs_in_over_verified_tls(world: Mailroom, server: MailServer, tmp_path: Path, tls: str) -> None:
    authority = Authority(tmp_path)
    certificate = authority.issue("127.0.0.1")
    seen: list[LoginPassword] = []

    def log_in(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: LoginPassword) -> AuthResult:
        seen.append(data)
        return AuthResult(success=data.password == b"right")

    (tmp_path / "password").write_text("right\n")
    world.secrets.replace(
        {"smtp": CredentialEntry("smtp", {"username": "monitor"}, {"password": SecretSource(tmp_path / "password")})}
    )
    context = server_context(certificate)
    options: dict[str, Any] = {"authenticator": log_in, "auth_required": True}
    options |= (
        {"tls_context": context, "require_starttls": True}
        if tls == "starttls"
        else {"implicit": context, "auth_require_tls": False}
    )
    async with server.listening(**options) as settings:
        world.begin(replace(settings, credential="smtp", ca_file=authority.file))
        await world.post(NOTICE)
        await world.settled()
    assert len(server.mails) == 1
    assert [each.login for each in seen] == [b"monitor"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("certificate", "its certificate is not trusted: IP address mismatch"),
        ("password", "535 5.7.8 Authentication credentials invalid"),
        ("no tls", "STARTTLS extension not supported by server"),
        ("no secret", "there is no credential called other"),
    ],
)
async def test_a_server_that_is_not_the_right_one_gets_no_mail_and_it_is_said_why(
    world: Mailroom, server: MailServer, tmp_path: Path, wrong: str, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    authority = Authority(tmp_path)
    name = "192.0.2.1" if wrong == "certificate" else "127.0.0.1"
    (tmp_path / "password").write_text("wrong-secret\n")
    world.secrets.replace(
        {"smtp": CredentialEntry("smtp", {"username": "monitor"}, {"password": SecretSource(tmp_path / "password")})}
    )

    def log_in(*_: Any) -> AuthResult:
        return AuthResult(success=False, handled=False)

    options: dict[str, Any] = {"authenticator": log_in, "tls_context": server_context(authority.issue(name))}
    async with server.listening(**({} if wrong == "no tls" else options)) as settings:
        credential = "other" if wrong == "no secret" else "smtp"
        world.begin(replace(settings, tls="starttls", ca_file=authority.file, credential=credential))
        caplog.set_level(logging.ERROR)
        await world.post(NOTICE)
        await world.until(lambda: world.count("deferred") == 1)
    assert said in caplog.text
    assert "wrong-secret" not in caplog.text
    assert server.mails == []
