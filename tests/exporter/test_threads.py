"""All that a customer gets about an incident is one conversation: as a real IMAP server threads it."""

import imaplib
import re
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from exporter.alerts import Alert
from exporter.clock import DAY, MINUTE, SECOND
from exporter.contract.incidents import What
from exporter.inventory import Config
from exporter.mail.reports import report_mails
from tests.exporter.test_notices import ALERT, CUSTOMER, PROVIDER, SERVER, Office
from tests.peers.certificates import Authority
from tests.peers.dovecot import PASSWORD, USER, Dovecot


@pytest.fixture
def mailbox(peer: Callable[[str], str], tmp_path: Path) -> Iterator[imaplib.IMAP4]:
    """Return the customer's mailbox."""
    authority = Authority(tmp_path)
    with Dovecot(peer("dovecot"), authority.issue("localhost")) as server:
        context = ssl.create_default_context(cafile=authority.file)
        with imaplib.IMAP4_SSL("localhost", server.ports["imaps"], ssl_context=context) as client:
            client.login(USER, PASSWORD)
            client.select("INBOX")
            yield client


async def incident(folder: Path, days: int) -> list[bytes]:
    """Return the mails of an incident: notice, update, recovery, interim report and report."""
    office = Office(folder)
    office.clock.moved = days * DAY
    async with office.server.listening() as mail:
        office.configure(mail)
        await office.outage()
        await office.chain.received([ALERT])
        await office.pass_by(0)
        await office.happens(What.CHECK_DOWN, "imap", reason="timeout", step="connect", last_good=0)
        office.clock.moved += 11 * MINUTE
        await office.happens(What.LIMIT_REACHED, "imap")
        await office.chain.received([Alert("customer", "web01", "imap")])
        await office.pass_by(0)
        for check in ("https", "imap"):
            await office.happens(What.CHECK_UP, check)
        await office.happens(What.RECOVERED)
        await office.pass_by(SECOND)
        config = Config(provider=PROVIDER, mail=mail, customers={CUSTOMER.id: CUSTOMER}, servers={SERVER.name: SERVER})
        now = office.clock.now().wall
        await office.happens(What.REPORT_DRAFTED, due=now)
        await office.happens(What.REPORT_POSTPONED, until=now, reason="調査中", author="sato")
        known = office.incidents[office.incident]
        for name in ("interim", "report"):
            await office.post(*report_mails(config, known, now, name=name))
            await office.settled()
        await office.end()
    return office.server.mails


async def test_notice_update_recovery_and_reports_are_one_thread_and_another_incident_another(
    mailbox: imaplib.IMAP4, tmp_path: Path
) -> None:
    mails = await incident(tmp_path / "one", 0)
    assert len(mails) == 5
    others = await incident(tmp_path / "two", 7)
    # in no order: the thread is told by the headers alone
    for content in (*reversed(mails), *others):
        status, _ = mailbox.append("INBOX", "", "", content)
        assert status == "OK"
    mailbox.select("INBOX")
    # REFS is REFERENCES without its last step, which joins what has the same subject
    status, [answer] = mailbox.thread("REFS", "UTF-8", "ALL")
    assert status == "OK"
    threads = re.fullmatch(rb"\((\d+)((?:\s?\(\d+\)){4})\)\((\d+)((?:\s?\(\d+\)){4})\)", answer)
    assert threads, answer
    # a notice, and beside each other what came after it
    assert [threads[1], threads[3]] == [b"5", b"6"]
    assert [set(re.findall(rb"\d+", threads[number])) for number in (2, 4)] == [
        {b"1", b"2", b"3", b"4"},
        {b"7", b"8", b"9", b"10"},
    ]
