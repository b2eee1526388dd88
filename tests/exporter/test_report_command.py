"""Outage reports at the command line: from the draft over its approval to the copy that is kept."""

import json
import re
from datetime import date, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.clock import HOUR, MINUTE, SystemClock
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import REJOIN, Incident, IncidentEvent, What, folded
from exporter.inventory import Calendar
from exporter.ledger import Ledger, delivery_record, incident_record
from exporter.mail.reports import as_text, handed_over, letter_of
from tests.exporter.test_desk import AT, CONFIG, NAME, Call, an_outage, call, ledger

__all__ = ["call", "ledger"]  # fixtures

CALENDAR = BusinessCalendar(Calendar(), ZoneInfo("Asia/Tokyo"))
# the command line goes by this machine's clock: a day that is to come, whatever that says
LATER = CALENDAR.next_business_day(max(CALENDAR.day(SystemClock().now().wall), date(2026, 12, 1)))
DUE = CALENDAR.report_due(AT)
LONG_AFTER = max(AT, SystemClock().now().wall) + HOUR + REJOIN
TELLING = """\
noc: {contacts: [{name: NOC, email: noc@provider.example}]}
alertmanager: {webhook_credential: hook}
credentials: {hook: {token_env: PATH}}
"""
"""What else an exporter needs that tells customers itself."""
UP = IncidentEvent(NAME, What.CHECK_UP, AT + 13 * MINUTE, "https")
OVER = (
    IncidentEvent(NAME, What.LIMIT_REACHED, AT + 10 * MINUTE, "https", {"confirmed": 600_000}),
    UP,
    IncidentEvent(NAME, What.RECOVERED, AT + 13 * MINUTE),
    IncidentEvent(NAME, What.REPORT_DRAFTED, AT + 13 * MINUTE, data={"due": DUE}),
    IncidentEvent(NAME, What.CLOSED, AT + 20 * MINUTE),
)


@pytest.fixture
def smarthost(call: Call, tmp_path: Path) -> None:
    """Let the configuration say where mail goes."""
    del call  # writes the rest
    mail = "mail: {smarthost: 'mail.provider.example:587', from: noc@provider.example}\n"
    (tmp_path / "dserver.yml").write_text(mail + TELLING + CONFIG, "utf-8")


def remembered(ledger: Ledger) -> Incident:
    return folded(event for _, event in ledger.incident_events())[NAME]


def written(call: Call) -> None:
    assert call("report", NAME, "--cause", "設定の誤り", "--measures", "手順の見直し", "--author", "sato")[0] == 0


async def test_the_draft_is_shown_as_the_customer_will_read_it(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    status, out, _ = call("report", NAME)
    assert status == 0
    assert out.startswith("【下書き・未承認】障害報告書（web01 2026年11月26日発生）\n\n株式会社サンプル\n運用担当 様\n")
    assert "　復旧確認　　：2026年11月26日（木）09:43:00\n" in out
    assert "■原因\n　（未記入）\n" in out
    assert "Outage report" in call("report", NAME, "--language", "en")[1]


async def test_cause_and_measures_are_written_into_it_each_for_itself(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    assert "■原因\n　一つ目\n　二つ目\n" in call("report", NAME, "--cause", "一つ目\n  二つ目 \n")[1]
    out = call("report", NAME, "--measures", "手順の見直し")[1]
    assert "■原因\n　一つ目\n　二つ目\n" in out
    assert "■再発防止策\n　手順の見直し\n" in out


async def test_the_page_is_written_into_a_file(ledger: Ledger, call: Call, tmp_path: Path) -> None:
    await an_outage(ledger, *OVER)
    file = tmp_path / "report.html"
    assert call("report", NAME, "--format", "html", "-o", str(file)) == (0, "", "")
    assert "<title>障害報告書 " in file.read_text("utf-8")
    status, _, err = call("report", NAME, "-o", str(tmp_path / "none" / "report.txt"))
    assert status == 1
    assert "cannot be written: No such file or directory" in err


async def test_only_a_report_with_cause_and_measures_is_approved(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    status, _, err = call("report", NAME, "--approve")
    assert status == 1
    assert "lacks its cause or its measures" in err
    written(call)
    status, out, _ = call("report", NAME, "--approve", "--author", "suzuki")
    assert status == 0
    assert out.startswith("障害報告書（")
    approval = remembered(ledger).report.approved
    assert approval is not None
    assert approval.author == "suzuki"


async def test_a_step_that_is_done_twice_is_written_once(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    for _ in range(2):
        written(call)
        call("report", NAME, "--approve")
    happened = [event.what for _, event in ledger.incident_events()]
    assert happened.count(What.REPORT_EDITED) == 1
    assert happened.count(What.REPORT_APPROVED) == 1


async def test_what_is_not_approved_as_it_is_now_is_not_sent(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    call("note", NAME, "もう一度確認した")
    status, _, err = call("send", NAME, "--by", "fax")
    assert status == 1
    assert "is not approved as it is now" in err
    assert remembered(ledger).report.owed


async def test_a_report_that_was_handed_over_is_owed_no_more_and_its_copy_is_kept(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    _, approved, _ = call("report", NAME, "--approve")
    assert call("send", NAME, "--by", "fax", "--author", "sato") == (0, "", "")
    [sent] = remembered(ledger).report.sent
    assert (sent.to, sent.by) == ("運用担当", "fax")
    assert sent.copy == approved
    assert call("list")[1] == "no incidents\n"
    [shown] = json.loads(call("show", NAME, "--format", "json")[1])
    assert shown["report"]["sent"][0]["copy"] == approved
    assert "report: sent " in call("show", NAME)[1]
    page = call("report", NAME, "--format", "html")[1]
    assert page.strip() == sent.page.strip()
    assert "<h1>障害報告書</h1>" in page
    status, _, err = call("send", NAME, "--by", "post")
    assert status == 1
    assert "was sent to 運用担当 already" in err
    assert call("report", NAME, "--cause", "別の原因")[0] == 1


async def test_a_sent_report_is_shown_as_it_was_sent(ledger: Ledger, call: Call, tmp_path: Path) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    _, approved, _ = call("report", NAME, "--approve")
    call("send", NAME, "--by", "fax")
    call("note", NAME, "後から")
    (tmp_path / "dserver.yml").write_text(CONFIG.replace("株式会社サンプル", "株式会社別名"), "utf-8")
    assert call("report", NAME)[1] == approved
    assert "Outage report" in call("report", NAME, "--language", "en")[1]


async def test_an_incident_that_owes_a_report_stays_in_the_list_with_its_day(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    columns = re.split(r"\s{2,}", call("list")[1].splitlines()[1])
    assert (columns[0], columns[3], columns[-1]) == (NAME, "closed", "draft, due 2026-11-27 17:00:00 JST")
    assert "report: draft, due 2026-11-27 17:00:00 JST" in call("show", NAME)[1]


async def test_postponing_promises_the_end_of_another_business_day(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    assert call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間")[0] == 0
    reporting = remembered(ledger).report
    assert reporting.due == CALENDAR.end_of_business(LATER)
    assert reporting.postponed[0].reason == "解析に時間"
    assert f"draft, due {LATER} 17:00:00 JST" in call("list")[1]
    status, _, err = call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間")
    assert status == 1
    assert "name a later day" in err


@pytest.mark.usefixtures("smarthost")
async def test_postponing_tells_the_customer_by_mail(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    assert call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間") == (0, "", "")
    [(_, mail)] = ledger.outgoing()
    assert (mail.kind, mail.recipient) == ("interim", "ops@customer.example")
    said = as_text(letter_of(mail))
    assert said.startswith("【中間報告】")
    assert "　解析に時間\n" in said
    assert f"{LATER.year}年{LATER.month}月{LATER.day}日" in said


async def test_a_customer_without_mail_is_told_of_a_postponement_by_a_person(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    status, _, err = call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間")
    assert status == 0
    assert "nobody gets a mail" in err
    assert ledger.outgoing() == []


@pytest.mark.usefixtures("smarthost")
async def test_an_approved_report_goes_into_the_outbox_once_for_each_contact(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    _, approved, _ = call("report", NAME, "--approve")
    assert call("send", NAME, "--author", "sato") == (0, "", "")
    [(_, mail)] = ledger.outgoing()
    assert (mail.kind, mail.contact, mail.recipient) == ("report", "運用担当", "ops@customer.example")
    assert as_text(letter_of(mail)) == approved
    assert remembered(ledger).report.owed
    assert "in the outbox, due 2026-11-27 17:00:00 JST" in call("list")[1]
    for verb in (("send", NAME), ("send", NAME, "--by", "fax"), ("report", NAME, "--cause", "別の原因")):
        status, _, err = call(*verb)
        assert status == 1
        assert "lies in the outbox" in err
    assert len(ledger.outgoing()) == 1
    await ledger.save([incident_record(event) for event in handed_over(mail, AT + 50 * MINUTE)])
    [sent] = remembered(ledger).report.sent
    assert (sent.by, sent.copy) == ("mail", approved)
    assert not remembered(ledger).report.owed
    assert remembered(ledger).told[-1].mail == "report"


@pytest.mark.usefixtures("smarthost")
async def test_a_report_that_could_not_be_delivered_can_be_sent_again(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    call("send", NAME)
    [(_, first)] = ledger.outgoing()
    await ledger.save([delivery_record(first.message_id, "expired", AT)])
    assert call("send", NAME)[0] == 0
    [(_, second)] = ledger.outgoing()
    assert second.message_id != first.message_id


async def test_a_report_that_nobody_can_get_by_mail_is_said_with_the_remedy(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    status, _, err = call("send", NAME)
    assert status == 1
    assert "record that with --by fax, post or mail, and --to NAME" in err
    assert remembered(ledger).report.posted == ()


async def test_a_report_that_need_not_be_sent_is_waived_with_a_reason_and_owed_no_more(
    ledger: Ledger, call: Call
) -> None:
    await an_outage(ledger, *OVER)
    assert call("report", NAME, "--waive", "  ", "--author", "sato")[0] == 1
    assert call("report", NAME, "--waive", "x", "--approve")[0] == 1
    assert call("report", NAME, "--waive", "お客様ご自身の作業による停止", "--author", "sato")[0] == 0
    waived = remembered(ledger).report.waived
    assert waived
    assert (waived.author, waived.reason) == ("sato", "お客様ご自身の作業による停止")
    assert not remembered(ledger).report.owed
    assert ledger.open_incidents(LONG_AFTER) == []
    assert "no incidents" in call("list")[1]
    assert "waived" in call("list", "--all")[1]
    assert "お客様ご自身の作業による停止" in call("show", NAME)[1]
    for command in (["report", NAME, "--approve"], ["report", NAME, "--waive", "again"], ["send", NAME]):
        status, _, err = call(*command)
        assert status == 1
        assert "was waived by sato: お客様ご自身の作業による停止" in err


async def test_what_is_written_into_a_waived_report_takes_it_up_again(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--waive", "誤って連絡したため")
    written(call)
    assert remembered(ledger).report.owed
    assert ledger.open_incidents(LONG_AFTER) != []
    assert call("report", NAME, "--approve")[0] == 0


async def test_a_report_in_the_outbox_cannot_be_waived(ledger: Ledger, call: Call, smarthost: None) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    assert call("send", NAME)[0] == 0
    status, _, err = call("report", NAME, "--waive", "x")
    assert status == 1
    assert "lies in the outbox" in err


async def test_where_alertmanager_tells_customers_the_exporter_mails_no_report_and_a_person_may(
    ledger: Ledger, call: Call, smarthost: None, tmp_path: Path
) -> None:
    file = tmp_path / "dserver.yml"
    file.write_text(f"global: {{notices: alertmanager}}\n{file.read_text('utf-8')}", "utf-8")
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    status, _, err = call("send", NAME)
    assert status == 1
    assert "record that with --by fax, post or mail, and --to NAME" in err
    status, _, err = call("postpone", NAME, "--until", f"{LATER}", "--reason", "解析に時間")
    assert status == 0
    assert "tell them by phone" in err
    assert call("send", NAME, "--by", "mail", "--to", "運用担当", "--author", "sato")[0] == 0
    assert ledger.outgoing() == []
    [sent] = remembered(ledger).report.sent
    assert (sent.by, sent.to) == ("mail", "運用担当")
    assert not remembered(ledger).report.owed


async def test_by_mail_a_report_goes_to_every_contact_and_none_can_be_named(
    ledger: Ledger, call: Call, smarthost: None
) -> None:
    await an_outage(ledger, *OVER)
    written(call)
    call("report", NAME, "--approve")
    status, _, err = call("send", NAME, "--to", "運用担当")
    assert status == 1
    assert "leave it out" in err
    assert remembered(ledger).report.sent == ()


async def test_a_day_that_cannot_be_promised_is_refused_with_one_that_can(ledger: Ledger, call: Call) -> None:
    await an_outage(ledger, *OVER)
    saturday = LATER + timedelta(days=(5 - LATER.weekday()) % 7)
    status, _, err = call("postpone", NAME, "--until", f"{saturday}", "--reason", "x")
    assert status == 1
    assert f"{saturday} is no business day: the next one is {CALENDAR.next_business_day(saturday)}" in err
    status, _, err = call("postpone", NAME, "--until", "2026-11-27", "--reason", "x")
    assert status == 1
    assert "is due at 2026-11-27 17:00:00 JST: name a later day" in err
    status, _, err = call("postpone", NAME, "--until", "tomorrow", "--reason", "x")
    assert status == 2
    assert "tomorrow is no date" in err
    assert remembered(ledger).report.postponed == ()


@pytest.mark.parametrize(
    ("more", "said"),
    [((), "it is not over"), ((UP, OVER[2], OVER[-1]), "its customer had to be told of none")],
)
async def test_an_incident_without_a_report_says_why(
    ledger: Ledger, call: Call, more: tuple[IncidentEvent, ...], said: str
) -> None:
    await an_outage(ledger, *more)
    for verb in (
        ("report", NAME),
        ("send", NAME, "--by", "fax"),
        ("postpone", NAME, "--until", f"{LATER}", "--reason", "x"),
    ):
        status, out, err = call(*verb)
        assert (status, out) == (1, "")
        assert f"{NAME} has no report: {said}" in err


@pytest.mark.parametrize(
    ("text", "said"), [("あ" * 4_001, "4000 are the most"), (" \n ", "the text is empty")], ids=["long", "empty"]
)
async def test_a_text_that_is_none_is_refused(ledger: Ledger, call: Call, text: str, said: str) -> None:
    await an_outage(ledger, *OVER)
    status, _, err = call("report", NAME, "--cause", text)
    assert status == 1
    assert said in err
    assert remembered(ledger).report.cause == ""
