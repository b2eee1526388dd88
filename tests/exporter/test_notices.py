"""From an incident to the customer's mail box: one notice, whoever says that it is due and whatever breaks."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from exporter.alertmanager_client import UnreachableError
from exporter.alerts import Alert, parse_alerts, parse_webhook
from exporter.chain import AFTER_SCRAPE, ASK_AGAIN, REPEATED, WATCHDOG_SILENT, WITHOUT_SCRAPE, Chain
from exporter.clock import MINUTE, SECOND
from exporter.contract.incidents import IncidentEvent, Kind, Value, What, opening
from exporter.incidents import Incidents
from exporter.inventory import Config, Contact, Customer, Mail, Noc, Provider, Server, Settings
from exporter.ledger import incident_record
from exporter.mail.courier import Result
from exporter.mail.message import Outgoing
from exporter.notices import BETWEEN_FAILURES, Notices
from tests.exporter.mailroom import Mailroom, MailServer

OPS = Contact("運用担当", "ops@customer.example")
NIGHT = Contact("夜間担当", "", "+81-584-00-0000")
CUSTOMER = Customer("c0001", "株式会社サンプル", contacts=(OPS,))
SERVER = Server("web01", "c0001", managed=True, address="192.0.2.10")
PROVIDER = Provider("株式会社プロバイダ", "0120-000-000", "support@provider.example")
ALERT = Alert("customer", "web01", "https")


class Office(Mailroom):
    """One server with an incident, and everything between it and the mail server."""

    def __init__(self, storage: Path) -> None:
        super().__init__(storage)
        self.incidents = Incidents()
        self.notices = Notices(clock=self.clock, ledger=self.ledger, incidents=self.incidents, outbox=self.outbox)
        self.answer: tuple[Alert, ...] | None = ()
        self.asked = 0
        self.chain = Chain(
            clock=self.clock, ledger=self.ledger, incidents=self.incidents, notices=self.notices, ask=self._ask
        )
        self.server = MailServer()
        self.incident = ""

    async def _ask(self, _urls: Sequence[str]) -> tuple[Alert, ...]:
        self.asked += 1
        if self.answer is None:
            raise UnreachableError("refused")
        return self.answer

    def configure(self, mail: Mail, *contacts: Contact, by: str = "ledger", managed: bool = True) -> None:
        customer = Customer(CUSTOMER.id, CUSTOMER.name, contacts=contacts or CUSTOMER.contacts)
        self.notices.take_over(
            Config(
                settings=Settings(notices="ledger" if by == "ledger" else "alertmanager"),
                noc=Noc("en", (Contact("NOC", "noc@provider.example"),)),
                provider=PROVIDER,
                mail=mail,
                customers={customer.id: customer},
                servers={SERVER.name: replace(SERVER, managed=managed)},
            )
        )
        self.begin(mail)

    async def happens(self, what: What, subject: str = "", **data: Value) -> None:
        event = IncidentEvent(self.incident, what, self.clock.now().wall, subject, MappingProxyType(data))
        if what is What.OPENED:
            event = opening(Kind.OUTAGE, SERVER, self.clock.now().wall, ZoneInfo("Asia/Tokyo"))
            self.incident = event.incident
        fresh = self.incidents.take_in([event])
        self.notices.happened(fresh)
        self.chain.happened(fresh)
        await self.ledger.save([incident_record(each) for each in fresh])

    async def critical_lamp(self, component: str = "Drive 1") -> None:
        """Let a lamp be critical, in an incident of its own if there is none."""
        if not self.incident:
            event = opening(Kind.LAMP, SERVER, self.clock.now().wall, ZoneInfo("Asia/Tokyo"))
            self.incident = event.incident
            self.incidents.take_in([event])
            await self.ledger.save([incident_record(event)])
        await self.happens(What.LAMP_ABNORMAL, f"ipmi/{component}", lamp="drive", verdict="critical", evidence="")

    async def outage(self) -> None:
        """Let the check fail, and reach the limit."""
        await self.happens(What.OPENED)
        await self.happens(What.CHECK_DOWN, "https", reason="refused", step="connect", last_good=0)
        self.clock.moved += 10 * MINUTE
        await self.happens(What.LIMIT_REACHED, "https")

    async def pass_by(self, milliseconds: int, *, watchdog: bool = True) -> None:
        self.clock.moved += milliseconds
        if watchdog:
            await self.chain.received([Alert("watchdog")])
        await self.chain.look()
        await self.notices.look()
        await self.settled()

    def mails(self, to: str = OPS.email) -> list[EmailMessage]:
        found = [message_from_bytes(content, policy=policy.default) for content in self.server.mails]
        return [mail for mail in found if to in str(mail["To"])]

    def subjects(self, to: str = OPS.email) -> list[str]:
        return [str(mail["Subject"]) for mail in self.mails(to)]

    def told(self) -> list[str]:
        history = [event for _, event in self.ledger.incident_events()]
        return [event.subject for event in history if event.what is What.TOLD]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    office = Office(tmp_path / "data")
    async with office.server.listening() as mail:
        office.configure(mail)
        yield office
        await office.end()


async def test_the_webhook_makes_one_notice_and_repeats_make_no_more(office: Office) -> None:
    published: list[str] = []
    office.notices.on_told = published.append
    await office.outage()
    assert await office.chain.received([ALERT])
    await office.pass_by(0)
    assert await office.chain.received([ALERT, ALERT])
    await office.pass_by(5 * MINUTE)
    assert office.subjects() == ["【重要】サービス障害のお知らせ（web01 https）"]
    assert office.told() == ["運用担当 <ops@customer.example>"]
    assert published == ["web01"]
    assert office.value("dserver_outage_notice_delay_seconds_count") == 1


async def test_a_customer_without_the_managed_contract_is_offered_a_reboot(tmp_path: Path) -> None:
    office = Office(tmp_path / "data")
    async with office.server.listening() as mail:
        office.configure(mail, managed=False)
        await office.outage()
        await office.chain.received([ALERT])
        await office.pass_by(0)
        [notice] = office.mails()
        assert "強制再起動をご希望の場合は" in notice.get_body(("plain",)).get_content()  # type: ignore[union-attr]  # it has one
        await office.end()


async def test_notice_update_and_recovery_are_one_thread(office: Office) -> None:
    await office.outage()
    await office.chain.received([ALERT])
    await office.pass_by(0)
    await office.happens(What.CHECK_DOWN, "imap", reason="timeout", step="connect", last_good=0)
    office.clock.moved += 10 * MINUTE
    await office.happens(What.LIMIT_REACHED, "imap")
    await office.chain.received([Alert("customer", "web01", "imap")])
    await office.pass_by(0)
    for check in ("https", "imap"):
        await office.happens(What.CHECK_UP, check)
    await office.happens(What.RECOVERED)
    await office.pass_by(SECOND)
    notice, update, recovery = office.mails()
    assert "imap" in str(update["Subject"])
    assert str(recovery["Subject"]) == "【復旧】サービス復旧のお知らせ（web01）"
    assert update["References"] == recovery["References"] == notice["Message-ID"]


async def test_a_restart_between_alert_and_mail_loses_nothing_and_tells_once(tmp_path: Path) -> None:
    server = MailServer()
    async with server.listening() as mail:
        before = Office(tmp_path / "data")
        before.configure(mail)
        before.outbox.settings = None
        await before.outage()
        await before.chain.received([ALERT])
        await before.notices.look()
        await before.end()
        after = Office(tmp_path / "data")
        after.server = server
        after.incidents.take_in(event for _, event in after.ledger.incident_events())
        after.configure(mail)
        await after.outbox.refresh()
        await after.notices.look()
        await after.settled()
        await after.chain.received([ALERT])
        await after.notices.look()
        await after.settled()
        assert len(after.mails()) == 1
        assert len(after.told()) == 1
        await after.end()


async def test_who_tells_by_phone_stops_the_notice_and_the_last_resort(office: Office) -> None:
    mail = office.outbox.settings
    office.outbox.settings = None
    await office.outage()
    await office.chain.received([ALERT])
    await office.notices.look()
    await office.happens(What.TOLD, "運用担当", by="phone")
    await office.notices.look()
    office.outbox.settings = mail
    await office.pass_by(WITHOUT_SCRAPE)
    assert office.mails() == []
    assert office.count("cancelled") == 1
    assert office.asked == 0


async def test_the_noc_is_told_whom_to_phone(office: Office) -> None:
    assert office.outbox.settings
    office.configure(office.outbox.settings, NIGHT)
    await office.outage()
    await office.chain.received([ALERT])
    await office.pass_by(0)
    [mail] = office.mails("noc@provider.example")
    assert str(mail["Subject"]) == "[PHONE THE CUSTOMER] 株式会社サンプル web01"
    body = mail.get_body(("plain",))
    assert body
    assert "Phone: +81-584-00-0000" in body.get_content()
    assert f"incidents told {office.incident} --by phone --to 夜間担当" in body.get_content()
    assert office.told() == []


async def test_what_waits_in_the_outbox_does_not_leave_when_alertmanager_is_to_tell(office: Office) -> None:
    assert office.outbox.settings
    settings, office.outbox.settings = office.outbox.settings, None
    await office.outage()
    await office.chain.received([ALERT])
    await office.notices.look()
    office.configure(settings, by="alertmanager")
    await office.notices.look()
    await office.settled()
    assert office.mails() == []
    assert office.count("cancelled") == 1


async def test_with_alertmanager_nothing_is_sent(office: Office) -> None:
    assert office.outbox.settings
    office.configure(office.outbox.settings, by="alertmanager")
    await office.outage()
    await office.chain.received([ALERT])
    await office.pass_by(WITHOUT_SCRAPE + WATCHDOG_SILENT)
    assert office.server.mails == []
    assert office.asked == 0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "does not answer"),
        ((), "does not know the alert"),
        ((Alert("customer", "web01", "imap", suppressed=True),), "does not know the alert"),
        ((ALERT,), "has the alert and did not pass it on"),
    ],
    ids=["unreachable", "ignorant", "another one is suppressed", "active"],
)
async def test_two_minutes_after_the_scrape_without_a_webhook_the_customer_is_told_and_the_noc_that_the_chain_is_broken(
    office: Office, answer: tuple[Alert, ...] | None, said: str
) -> None:
    office.answer = answer
    await office.outage()
    office.chain.scraped()
    await office.pass_by(AFTER_SCRAPE - SECOND)
    assert (office.asked, office.server.mails) == (0, [])
    await office.pass_by(SECOND)
    assert len(office.mails()) == 1
    [mail] = office.mails("noc@provider.example")
    body = mail.get_body(("plain",))
    assert body
    assert f"Alertmanager: {said}" in body.get_content()
    await office.chain.received([ALERT])
    await office.pass_by(ASK_AGAIN - SECOND)
    assert len(office.server.mails) == 2


async def test_without_any_scrape_the_customer_is_told_a_minute_later(office: Office) -> None:
    await office.outage()
    await office.pass_by(WITHOUT_SCRAPE - SECOND)
    assert office.mails() == []
    await office.pass_by(SECOND)
    assert len(office.mails()) == 1


LAMP_ALERT = Alert("customer", "web01", lamp="drive")


@pytest.mark.parametrize("answer", [None, ()], ids=["unreachable", "ignorant"])
async def test_the_customer_is_told_of_a_critical_lamp_also_without_an_alert(
    office: Office, answer: tuple[Alert, ...] | None
) -> None:
    office.answer = answer
    await office.critical_lamp()
    office.chain.scraped()  # of the services: it did not carry the lamp
    await office.pass_by(AFTER_SCRAPE)
    office.chain.scraped("lamp")
    await office.pass_by(WITHOUT_SCRAPE - AFTER_SCRAPE - SECOND)
    assert (office.asked, office.server.mails) == (0, [])
    await office.pass_by(SECOND)
    assert office.subjects() == ["【重要】ハードウェア異常のお知らせ（web01 Drive 1）"]
    assert len(office.subjects("noc@provider.example")) == 1
    await office.chain.received([LAMP_ALERT])
    await office.pass_by(ASK_AGAIN)
    assert len(office.server.mails) == 2


async def test_a_critical_lamp_whose_alert_a_person_suppressed_is_told_to_the_noc_alone(office: Office) -> None:
    office.answer = (Alert("customer", "web01", lamp="drive", suppressed=True),)
    await office.critical_lamp()
    for _ in range(3):
        await office.pass_by(ASK_AGAIN)
    assert office.mails() == []
    assert office.subjects("noc@provider.example") == ["[CUSTOMER NOT TOLD] The alert is suppressed (web01)"]


async def test_no_alert_is_missed_while_there_is_none_to_wait_for(office: Office) -> None:
    office.chain.spares_customer = lambda _incident, subject: subject == "lamp/drive"
    await office.critical_lamp()
    await office.pass_by(WITHOUT_SCRAPE + ASK_AGAIN)
    assert (office.asked, office.server.mails) == (0, [])


async def test_a_lamp_that_joins_an_alert_waits_for_its_repetition(office: Office) -> None:
    office.answer = (LAMP_ALERT,)
    await office.critical_lamp()
    await office.chain.received([LAMP_ALERT])
    await office.pass_by(0)
    await office.critical_lamp("Drive 2")
    office.chain.scraped("lamp")
    await office.pass_by(6 * MINUTE)
    assert office.asked == 0
    await office.chain.received([LAMP_ALERT])
    await office.pass_by(REPEATED)
    assert office.asked == 0
    assert office.subjects()[1] == "【重要】障害状況のお知らせ（web01 Drive 2）"


async def test_a_repaired_lamp_is_told_in_the_thread_of_its_notice(office: Office) -> None:
    await office.critical_lamp()
    await office.chain.received([LAMP_ALERT])
    await office.pass_by(0)
    office.clock.moved += 90 * MINUTE
    await office.happens(What.LAMPS_NORMAL)
    await office.happens(What.CLOSED)
    await office.pass_by(0)
    notice, repaired = office.mails()
    assert str(repaired["Subject"]) == "【復旧】ハードウェア復旧のお知らせ（web01 Drive 1）"
    assert repaired["References"] == repaired["In-Reply-To"] == notice["Message-ID"]
    body = repaired.get_body(("plain",))
    assert body
    assert "ドライブ（Drive 1）" in body.get_content()


async def test_the_noc_is_told_once_of_each_mail_that_the_server_will_not_have(office: Office) -> None:
    said = "550 5.1.1 no such user"

    async def refuse(content: bytes) -> str:
        if b"noc@provider.example" in message_from_bytes(content)["To"].encode():
            return await office.server._take(content)
        return said

    office.server.answer = refuse
    await office.outage()
    await office.chain.received([ALERT])
    await office.notices.look()
    await office.until(lambda: office.count("refused") == 1)
    await office.notices.look()
    await office.until(lambda: len(office.server.mails) == 1)
    office.clock.moved += MINUTE
    await office.post()
    office.outbox._wake.set()
    await office.until(lambda: office.count("refused") == 2)
    office.clock.moved += BETWEEN_FAILURES
    await office.notices.look()
    [mail] = office.mails("noc@provider.example")
    assert str(mail["Subject"]) == "[MAIL NOT TAKEN] ops@customer.example"
    body = mail.get_body(("plain",))
    assert body
    assert said in body.get_content()
    assert office.incident in body.get_content()
    assert mail["Auto-Submitted"] == "auto-generated"


async def test_a_thousand_refusals_are_a_few_mails_and_those_to_the_noc_none(office: Office) -> None:
    office.server.rcpt = "550 5.7.1 relaying denied"
    mail = Outgoing("<0@x>", office.clock.now().wall, "web01-1", "recovery", "", OPS.email, "noc@provider.example", b"")
    to_noc = replace(mail, message_id="<noc@x>", kind="chain", recipient="noc@provider.example")
    for each in (to_noc, *(replace(mail, message_id=f"<{number}@x>") for number in range(1_000))):
        office.notices._failed(each, Result.REFUSED, "550 5.7.1 relaying denied")
        await office.notices.look()
    office.clock.moved += BETWEEN_FAILURES
    await office.notices.look()
    waiting = [mail for _, mail in office.ledger.outgoing()]
    assert [mail.kind for mail in waiting] == ["undelivered"] * 2
    assert len(waiting[1].message) < 50_000


async def test_what_a_person_suppressed_is_not_told_until_it_is_lifted(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    office.answer = (Alert("customer", "web01", "https", suppressed=True),)
    await office.outage()
    office.chain.scraped()
    for _ in range(3):
        await office.pass_by(ASK_AGAIN)
    assert office.mails() == []
    assert office.subjects("noc@provider.example") == ["[CUSTOMER NOT TOLD] The alert is suppressed (web01)"]
    office.answer = ()
    await office.pass_by(ASK_AGAIN)
    assert len(office.mails()) == 1


async def test_the_silence_of_the_watchdog_is_told_once_to_the_noc(office: Office) -> None:
    for _ in range(10):
        await office.pass_by(MINUTE)
    assert office.server.mails == []
    await office.pass_by(WATCHDOG_SILENT + 1, watchdog=False)
    await office.pass_by(WATCHDOG_SILENT, watchdog=False)
    assert office.subjects("noc@provider.example") == ["[CHAIN BROKEN] No Watchdog for 5 min"]
    await office.pass_by(0)
    await office.pass_by(WATCHDOG_SILENT + 1, watchdog=False)
    assert len(office.server.mails) == 2


async def test_an_alert_that_belongs_to_no_incident_is_taken_and_said_aloud(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    assert await office.chain.received([Alert("customer", "web99", "https"), Alert("customer", "web01", lamp="fan")])
    assert "belongs to no incident of ours: web99 check/https" in caplog.text


async def test_it_is_not_taken_while_the_ledger_cannot_be_written_but_the_mail_leaves(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.outage()

    async def fails(_records: object) -> bool:
        return False

    monkeypatch.setattr(office.ledger, "save", fails)
    assert not await office.chain.received([ALERT])
    assert not await office.chain.received([ALERT])
    await office.notices.look()
    await office.until(lambda: len(office.mails()) == 1)


async def test_hundreds_of_servers_dark_at_once_are_told_once_each_and_stall_nothing(tmp_path: Path) -> None:
    number = 300
    office = Office(tmp_path / "data")
    servers = [replace(SERVER, name=f"web{each:04}", customer=f"c{each:04}") for each in range(number)]
    customers = [
        Customer(each.customer, each.customer, contacts=(Contact("", f"{each.customer}@x.example"),))
        for each in servers
    ]
    checks = ("https", "imap", "ssh", "smtp")
    late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            late = max(late, time.perf_counter() - before - 0.01)

    async with office.server.listening() as mail:
        office.configure(mail)
        office.notices.take_over(
            replace(
                office.notices._config,
                customers={each.id: each for each in customers},
                servers={each.name: each for each in servers},
            )
        )
        wall = office.clock.now().wall
        for server in servers:
            opened = opening(Kind.OUTAGE, server, wall, ZoneInfo("Asia/Tokyo"))
            down: dict[str, Value] = {"reason": "timeout", "step": "connect", "last_good": 0}
            events = [opened]
            events += [IncidentEvent(opened.incident, What.CHECK_DOWN, wall, check, down) for check in checks]
            events += [IncidentEvent(opened.incident, What.LIMIT_REACHED, wall, check) for check in checks]
            office.incidents.take_in(events)
            office.chain.happened(events)
        working, watching = asyncio.create_task(office.notices.work()), asyncio.create_task(watch())
        for check in checks:  # one notification an alert, as Alertmanager sends them
            async with asyncio.TaskGroup() as tasks:
                for server in servers:
                    tasks.create_task(office.chain.received([Alert("customer", server.name, check)]))
        await office.until(lambda: len(office.server.mails) == number)
        await office.settled()
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)
        await office.end()
    recipients = {message_from_bytes(content)["To"] for content in office.server.mails}
    assert len(recipients) == len(office.server.mails) == number
    assert late < 1


async def test_a_recovery_that_waits_does_not_leave_when_the_check_is_down_again(office: Office) -> None:
    await office.outage()
    await office.chain.received([ALERT])
    await office.notices.look()
    await office.settled()
    office.server.rcpt = "450 not now"
    await office.happens(What.CHECK_UP, "https")
    await office.happens(What.RECOVERED)
    await office.notices.look()
    await office.until(lambda: office.count("deferred", "recovery") == 1)
    office.server.rcpt = "250 OK"
    office.clock.moved += MINUTE
    await office.happens(What.CHECK_DOWN, "https", reason="refused", step="connect", last_good=0)
    await office.notices.look()
    await office.settled()
    assert office.count("cancelled", "recovery") == 1
    office.clock.moved += MINUTE
    await office.happens(What.CHECK_UP, "https")
    await office.happens(What.RECOVERED)
    await office.notices.look()
    await office.settled()
    assert len(office.mails()) == 2
    assert office.subjects()[1].startswith("【復旧】")


def notification(*alerts: object, version: str = "4") -> bytes:
    return json.dumps({"version": version, "alerts": alerts}).encode()


def test_of_a_notification_only_what_we_know_is_taken() -> None:
    labels = {"notify": "customer", "server": "web01", "check": "https", "other": "x"}
    body = notification({"status": "firing", "labels": labels}, {"status": "resolved", "labels": labels})
    assert parse_webhook(body) == (ALERT, Alert("customer", "web01", "https", firing=False))
    api = json.dumps([{"labels": labels, "status": {"state": "suppressed", "silencedBy": ["x"]}}]).encode()
    assert parse_alerts(api) == (Alert("customer", "web01", "https", suppressed=True),)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"version": 1e999}',
        notification(version="3"),
        notification("alert"),
        notification({"labels": None}),
        notification({"labels": {"server": ["web01"]}}),
        json.dumps({"version": "4", "alerts": {"a": 1}}).encode(),
        json.dumps({"version": "4", "alerts": [{}] * 50_001}).encode(),
    ],
)
def test_what_is_no_notification_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        parse_webhook(body)
