"""From an incident to the customer's mail box: one notice, whoever says that it is due and whatever breaks."""

import json
import logging
from collections.abc import AsyncIterator, Sequence
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from exporter.alertmanager_client import UnreachableError
from exporter.alerts import Alert, parse_alerts, parse_webhook
from exporter.chain import AFTER_SCRAPE, ASK_AGAIN, WATCHDOG_SILENT, WITHOUT_SCRAPE, Chain
from exporter.clock import MINUTE, SECOND
from exporter.contract.incidents import IncidentEvent, Kind, Value, What, opening
from exporter.incidents import Incidents
from exporter.inventory import Config, Contact, Customer, Mail, Noc, Provider, Server, Settings
from exporter.ledger import incident_record
from exporter.notices import Notices
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

    def configure(self, mail: Mail, *contacts: Contact, by: str = "ledger") -> None:
        customer = Customer(CUSTOMER.id, CUSTOMER.name, contacts=contacts or CUSTOMER.contacts)
        self.notices.take_over(
            Config(
                settings=Settings(notices="ledger" if by == "ledger" else "alertmanager"),
                noc=Noc("en", (Contact("NOC", "noc@provider.example"),)),
                provider=PROVIDER,
                mail=mail,
                customers={customer.id: customer},
                servers={SERVER.name: SERVER},
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
