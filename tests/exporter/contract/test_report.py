"""Outage reports: which incidents owe one, by when, what it says, and what people's steps make of it."""

from itertools import product
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.clock import DAY, HOUR, MINUTE, Moment, SystemClock
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import Incident, IncidentEvent, Kind, Tried, Value, What, folded
from exporter.contract.level import diagnose
from exporter.contract.report import INTERIM, REPORT, drafted, ended, handed_over_events, report_events
from exporter.incidents import Incidents
from exporter.inventory import Calendar, Contact, Server
from exporter.ledger import Ledger, incident_record
from exporter.outage import Attempt, CheckState, decide

DUE = BusinessCalendar(Calendar(), ZoneInfo("Asia/Tokyo")).report_due
START = 1_795_653_000_000  # Thursday, 2026-11-26 09:30:00 in Japan
NAME = "web01-20261126-093000"
SERVER = Server("web01", "c0001", managed=True, address="192.0.2.10", login_check="ssh")
LIMIT_AT = 10 * MINUTE
COPIES = {"copy": "x", "page": "<p>x</p>"}
FRIDAY_AT_FIVE = 1_795_766_400_000  # 2026-11-27 17:00:00 in Japan


def happened(what: What, minute: float = 0, subject: str = "", **data: Value) -> IncidentEvent:
    return IncidentEvent(NAME, what, START + round(minute * MINUTE), subject, data)


def opened(kind: Kind = Kind.OUTAGE) -> IncidentEvent:
    return happened(What.OPENED, kind=kind.value, server="web01", customer="c0001")


def down(minute: float, check: str = "https", reason: str = "refused") -> IncidentEvent:
    last_good = START + round((minute - 10) * MINUTE)
    return happened(
        What.CHECK_DOWN, minute, check, reason=reason, step="connect", detail="as it was", last_good=last_good
    )


def lamp(minute: float, verdict: str = "critical") -> IncidentEvent:
    return happened(What.LAMP_ABNORMAL, minute, "ipmi/Drive 1", lamp="drive", verdict=verdict, evidence="0x6f 0x02")


LIMIT = happened(What.LIMIT_REACHED, 10, "https", confirmed=600_000)
UP = happened(What.CHECK_UP, 12, "https")
RECOVERED = happened(What.RECOVERED, 12)
NORMAL = happened(What.LAMPS_NORMAL, 20)
TOLD = happened(What.TOLD, 11, "運用担当", by="phone")
OUTAGE = (opened(), down(0), LIMIT, UP, RECOVERED)


def incident(*events: IncidentEvent) -> Incident:
    return folded(events)[NAME]


def with_draft(*events: IncidentEvent) -> Incident:
    """Return the incident after these events, each draft made as soon as it is owed."""
    so_far = incident(events[0])
    for event in events[1:]:
        so_far = so_far.after(event)
        for draft in report_events(so_far, DUE):
            so_far = so_far.after(draft)
    return so_far


@pytest.mark.parametrize(
    ("history", "minute"),
    [
        ((opened(), down(0), LIMIT), None),
        ((opened(), down(0), UP, RECOVERED), None),
        (OUTAGE, 12),
        ((opened(), down(0), UP, RECOVERED, TOLD), 12),
        ((opened(), down(0), UP, RECOVERED, lamp(15, "warning"), NORMAL), None),
        ((opened(), down(0), UP, RECOVERED, lamp(15)), None),
        ((opened(), down(0), UP, RECOVERED, lamp(15), NORMAL), 20),
        ((*OUTAGE, lamp(15)), 12),
        ((opened(Kind.LAMP), lamp(0)), None),
        ((opened(Kind.LAMP), lamp(0), TOLD, NORMAL), 20),
        ((opened(Kind.REBOOT_REQUEST), TOLD, lamp(5), RECOVERED, NORMAL), None),
        ((*OUTAGE[:-2], happened(What.WITHDRAWN, 30)), None),
    ],
    ids=[
        "it goes on",
        "a blip",
        "ten minutes",
        "a blip that the customer was told of",
        "a blip and a warning lamp",
        "a blip and a critical lamp that still is",
        "a blip and a critical lamp until it was replaced",
        "ten minutes, whatever the lamps are",
        "a critical lamp that still is",
        "a critical lamp until it was replaced",
        "a requested reboot",
        "withdrawn",
    ],
)
def test_a_report_is_owed_from_the_end_of_what_the_customer_had_to_be_told(
    history: tuple[IncidentEvent, ...], minute: float | None
) -> None:
    end = None if minute is None else START + minute * MINUTE
    assert ended(incident(*history)) == end
    assert [event.at for event in report_events(incident(*history), DUE)] == ([] if end is None else [end])


def test_it_is_due_at_five_on_the_next_business_day_and_drafted_once() -> None:
    owed = with_draft(*OUTAGE)
    assert owed.report.due == FRIDAY_AT_FIVE
    assert owed.report.owed
    assert list(report_events(owed, DUE)) == []


def test_an_outage_that_joins_makes_it_another_report_of_the_whole() -> None:
    edited = happened(What.REPORT_EDITED, 14, cause="原因", measures="対策", author="sato")
    approved = happened(What.REPORT_APPROVED, 15, author="sato")
    again = (down(DAY / MINUTE - 30), happened(What.CHECK_UP, DAY / MINUTE, "https"))
    joined = with_draft(*OUTAGE, edited, approved, again[0])
    assert joined.report.due is None
    assert joined.report.approved is None
    assert joined.report.cause == "原因"
    over = with_draft(*OUTAGE, edited, approved, *again, happened(What.RECOVERED, DAY / MINUTE))
    assert over.report.due == FRIDAY_AT_FIVE + 3 * DAY  # over the weekend
    assert drafted(over, {}).disruptions[0].times == 2


def test_postponing_moves_the_due_time_and_keeps_why() -> None:
    until = FRIDAY_AT_FIVE + 4 * DAY
    moved = with_draft(*OUTAGE, happened(What.REPORT_POSTPONED, 60, until=until, reason="調査に時間", author="sato"))
    assert moved.report.due == until
    [postponement] = moved.report.postponed
    assert (postponement.reason, postponement.author, postponement.until) == ("調査に時間", "sato", until)
    assert moved.report.owed


@pytest.mark.parametrize(
    "change",
    [
        happened(What.REPORT_EDITED, 16, cause="別の原因", author="suzuki"),
        happened(What.NOTE, 16, author="suzuki", text="追記"),
    ],
)
def test_what_changes_after_the_approval_has_to_be_approved_again(change: IncidentEvent) -> None:
    approved = with_draft(*OUTAGE, happened(What.REPORT_APPROVED, 15, author="sato"))
    assert approved.report.approved is not None
    assert approved.after(change).report.approved is None


def test_an_edit_leaves_alone_what_it_does_not_name() -> None:
    first = happened(What.REPORT_EDITED, 14, cause="原因", measures="対策", author="sato")
    second = happened(What.REPORT_EDITED, 16, measures="別の対策", author="sato")
    assert with_draft(*OUTAGE, first, second).report.cause == "原因"
    assert with_draft(*OUTAGE, first, second).report.measures == "別の対策"


def test_a_sent_report_is_owed_no_more_and_its_copy_is_kept() -> None:
    end = START + 12 * MINUTE
    sent = with_draft(
        *OUTAGE, happened(What.REPORT_SENT, 90, "運用担当", by="fax", copy="障害報告書", page="", end=end)
    )
    assert not sent.report.owed
    assert (sent.report.sent[0].to, sent.report.sent[0].copy) == ("運用担当", "障害報告書")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["in order", "the other way round"])
def test_a_mailed_report_is_sent_when_the_mail_server_took_it(order: tuple[int, int]) -> None:
    posted = happened(What.REPORT_POSTED, 30, end=START + 12 * MINUTE, author="sato")
    taken = handed_over_events(
        NAME, REPORT, Contact("運用担当", "ops@customer.example"), posted=posted.at, copies=COPIES, at=posted.at + 1
    )
    assert [event.what for event in taken] == [What.TOLD, What.REPORT_SENT]
    assert with_draft(*OUTAGE, posted).report.state == "in the outbox"
    assert with_draft(*OUTAGE, posted).report.owed
    steps = [posted, taken[1]]
    sent = with_draft(*OUTAGE, taken[0], *(steps[number] for number in order))
    assert not sent.report.owed
    assert sent.report.state == "sent"


def test_a_report_that_left_before_another_outage_joined_is_not_the_report_of_the_whole() -> None:
    posted = happened(What.REPORT_POSTED, 14, end=START + 12 * MINUTE, author="sato")
    contact = Contact("運用担当", "ops@customer.example")
    _, sent = handed_over_events(NAME, REPORT, contact, posted=posted.at, copies=COPIES, at=START + 99 * MINUTE)
    again = (down(20), happened(What.CHECK_UP, 25, "https"), happened(What.RECOVERED, 25))
    assert with_draft(*OUTAGE, posted, *again, sent).report.owed
    assert with_draft(*OUTAGE, posted, again[0], sent, *again[1:]).report.owed


def test_an_interim_report_tells_the_customer_and_leaves_the_report_owed() -> None:
    contact = Contact("運用担当", "ops@customer.example")
    [told] = handed_over_events(NAME, INTERIM, contact, posted=START, copies=COPIES, at=START + 99 * MINUTE)
    after = with_draft(*OUTAGE, told)
    assert after.report.owed
    assert drafted(after, {}).told == ()


def test_the_draft_says_what_failed_since_when_how_long_and_what_was_seen_and_done() -> None:
    smtp = (
        down(1, "smtp", "timeout"),
        happened(What.OBSERVED, 3, "smtp", reason="refused", step="connect", detail=""),
        happened(What.CHECK_UP, 5, "smtp"),
        down(7, "smtp", "timeout"),
        happened(What.CHECK_UP, 9, "smtp"),
    )
    note = happened(What.NOTE, 8, author="sato", text="nginx を再起動した")
    report_mail = happened(What.TOLD, 99, "運用担当", by="mail", mail="report", to="ops@customer.example")
    report = drafted(
        with_draft(opened(), down(0), *smtp, note, LIMIT, TOLD, UP, RECOVERED, NORMAL, report_mail), {"smtp": "smtp"}
    )
    assert (report.last_good, report.detected, report.recovered) == (
        START - 10 * MINUTE, START, START + 12 * MINUTE
    )  # fmt: skip
    assert report.length == 12 * MINUTE
    assert report.lamps_normal == START + 20 * MINUTE
    https, mail = report.disruptions
    assert (https.check, https.protocol, https.times, https.down) == ("https", "", 1, 12 * MINUTE)
    assert (mail.check, mail.protocol, mail.times, mail.down) == ("smtp", "smtp", 2, 6 * MINUTE)
    assert [(seen.reason, seen.at - START) for seen in mail.seen] == [
        ("timeout", 1 * MINUTE), ("refused", 3 * MINUTE)
    ]  # fmt: skip
    assert [note.text for note in report.notes] == ["nginx を再起動した"]
    assert [told.by for told in report.told] == ["phone"]


def test_lamps_are_awaited_in_the_draft_until_they_were_seen() -> None:
    assert drafted(with_draft(*OUTAGE), {}).lamps_normal == 0


def test_what_alone_a_lamp_showed_is_reported_from_the_lamp_to_its_replacement() -> None:
    report = drafted(with_draft(opened(Kind.LAMP), lamp(0), NORMAL), {})
    assert (report.detected, report.recovered, report.last_good) == (START, START + 20 * MINUTE, 0)
    assert [fault.component for fault in report.faults] == ["Drive 1"]
    assert report.disruptions == ()


def test_a_draft_that_is_made_twice_is_the_same_event() -> None:
    once, again = (list(report_events(incident(*OUTAGE), DUE)) for _ in range(2))
    assert [event.identity for event in once] == [event.identity for event in again]
    assert len(once) == 1


async def test_a_report_that_is_owed_is_remembered_over_a_restart_until_it_is_sent(tmp_path: Path) -> None:
    ledger = Ledger.open(tmp_path, SystemClock())
    closed = (*OUTAGE, NORMAL, happened(What.CLOSED, 20))
    draft = list(report_events(incident(*closed), DUE))
    await ledger.save([incident_record(event) for event in (*closed, *draft)])
    later = START + 12 * HOUR
    restored = folded(event for _, event in ledger.open_incidents(later))
    assert restored[NAME] == with_draft(*closed)
    await ledger.save([incident_record(happened(What.REPORT_SENT, 60, "運用担当", by="fax", copy="x", page=""))])
    assert ledger.open_incidents(later) == []
    ledger.close()


@given(st.lists(st.tuples(st.sets(st.sampled_from(["https", "ssh"])), st.sampled_from([1, 3, 12, 32])), max_size=7))
def test_in_any_history_a_report_is_owed_exactly_while_an_incident_of_ten_minutes_is_over(
    spells: list[tuple[set[str], int]],
) -> None:
    kept, history = Incidents(), list[IncidentEvent]()
    states = {"https": CheckState(), "ssh": CheckState()}
    failing = [names for names, length in spells for _ in range(length)]
    for (minute, names), check in product(enumerate(failing), states):
        wall = START + round(minute * MINUTE) + len(check)
        before = states[check]
        attempt = Attempt(Moment(wall, wall), "refused" if check in names else "", "connect")
        states[check], _ = decide(before, attempt, LIMIT_AT)
        tried = Tried(check, before, states[check], "", LIMIT_AT)
        history += kept.tried(SERVER, tried, states, diagnose(SERVER, states), maintained=False)
        history += kept.draft_reports([incident.id for incident in kept.known()], DUE)
        for incident in kept.known():
            over = incident.recovered if incident.customer_had_to_be_told else None
            assert incident.report.due == (None if over is None else DUE(over))
    assert {incident.id: incident for incident in kept.known()} == folded(history)
