"""A report and its postponement on their way to the customer: command line, ledger, exporter, mail server, metric."""

import asyncio
from collections.abc import AsyncIterator, Callable
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest

from exporter.clock import SystemClock
from exporter.families import Selection
from exporter.ledger import Ledger
from exporter.mail.message import message_id
from exporter.monitor import Monitor
from tests.exporter.mailroom import MailServer
from tests.exporter.test_desk import CONFIG, NAME, Call, an_outage, call, ledger
from tests.exporter.test_report_command import CALENDAR, DUE, LATER, OVER, TELLING, remembered, written

__all__ = ["call", "ledger"]  # fixtures

CONTACT = "ops@customer.example"
SENDER = "noc@provider.example"


@pytest.fixture
async def taken(tmp_path: Path, call: Call) -> AsyncIterator[list[bytes]]:
    """What the mail server of the configuration took."""
    del call  # writes the rest of the configuration
    server = MailServer()
    async with server.listening() as smarthost:
        mail = f"mail: {{smarthost: '127.0.0.1:{smarthost.port}', from: {SENDER}, tls: none}}\n"
        (tmp_path / "dserver.yml").write_text(mail + TELLING + CONFIG, "utf-8")
        yield server.mails


@pytest.fixture
async def monitor(tmp_path: Path, ledger: Ledger, taken: list[bytes]) -> AsyncIterator[Monitor]:
    """An exporter that serves on a ledger in which a report is owed."""
    del taken  # the configuration names its server
    await an_outage(ledger, *OVER)
    serving = Monitor(tmp_path / "dserver.yml", ledger, SystemClock())
    await serving.start()
    yield serving
    await serving.stop()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the conditions are about what other threads do
            await asyncio.sleep(0.01)


def due(monitor: Monitor) -> float | None:
    text = b"".join(monitor.exposition.chunks([Selection.SERVICES])).decode()
    family = "dserver_incident_report_due_timestamp_seconds{"
    found = [float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(family)]
    return found[0] if found else None


def mail(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


async def test_a_sent_report_reaches_the_customer_in_the_incidents_thread_and_is_owed_no_more(
    monitor: Monitor, ledger: Ledger, call: Call, taken: list[bytes]
) -> None:
    await until(lambda: due(monitor) == DUE / 1000)
    written(call)
    _, approved, _ = call("report", NAME, "--approve")
    assert call("send", NAME)[0] == 0
    await until(lambda: due(monitor) is None)
    [raw] = taken
    assert message_from_bytes(raw)["Auto-Submitted"] is None  # RFC 3834 §5: a person sent it
    message = mail(raw)
    assert message["To"].addresses[0].addr_spec == CONTACT
    assert message["References"] == message["In-Reply-To"] == message_id(NAME, "notice", CONTACT, SENDER)
    plain, html = (message.get_body((kind,)) for kind in ("plain", "html"))
    assert plain is not None
    assert html is not None
    assert plain.get_content().splitlines() == approved.splitlines()[2:]
    assert "<h1>障害報告書</h1>" in html.get_content()
    [sent] = remembered(ledger).report.sent
    assert (sent.to, sent.by, sent.copy) == (f"運用担当 <{CONTACT}>", "mail", approved)


async def test_a_waived_report_quiets_its_alerts_and_is_owed_again_when_somebody_writes_into_it(
    monitor: Monitor, call: Call
) -> None:
    await until(lambda: due(monitor) == DUE / 1000)
    assert call("report", NAME, "--waive", "お客様ご自身の作業による停止")[0] == 0
    await until(lambda: due(monitor) is None)
    await until(lambda: monitor.duties.incidents.get(NAME) is None)  # closed for long, and forgotten
    written(call)
    await until(lambda: due(monitor) == DUE / 1000)


async def test_a_postponed_report_is_promised_to_the_customer_by_mail_and_due_later(
    monitor: Monitor, ledger: Ledger, call: Call, taken: list[bytes]
) -> None:
    await until(lambda: due(monitor) == DUE / 1000)
    assert call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間")[0] == 0
    await until(lambda: due(monitor) == CALENDAR.end_of_business(LATER) / 1000)
    await until(lambda: any(told.mail == "interim" for told in remembered(ledger).told))
    [raw] = taken
    assert mail(raw)["Subject"].startswith("【中間報告】")
