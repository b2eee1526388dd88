"""Who is told what of an incident, and when: decided from its history alone, so that deciding twice tells once."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from types import MappingProxyType
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.clock import SECOND
from exporter.contract.incidents import (
    Incident,
    IncidentEvent,
    Kind,
    Value,
    What,
    folded,
    opening,
    recovery_events,
)
from exporter.contract.notices import (
    BETWEEN_UPDATES,
    GATHER,
    NOBODY,
    Due,
    Mailing,
    decide,
    dropped_event,
    queued_event,
    told_event,
    unalerted,
)
from exporter.incidents import Incidents
from exporter.inventory import Contact, Server
from exporter.outage import CheckState

SERVER = Server("web01", "c0001", managed=True, address="192.0.2.10")
START = 1_795_653_000_000
OPS = Contact("運用担当", "ops@customer.example")
BOSS = Contact("", "boss@customer.example")
PHONE = Contact("夜間担当", "", "+81-584-00-0000")


@dataclass
class Story:
    """One incident, to which things happen at times counted in seconds from its beginning."""

    kind: Kind = Kind.OUTAGE
    contacts: tuple[Contact, ...] = (OPS,)
    history: list[IncidentEvent] = field(default_factory=list)
    mails: list[tuple[float, Due]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.history.append(opening(self.kind, SERVER, START, ZoneInfo("Asia/Tokyo")))

    @property
    def incident(self) -> Incident:
        [incident] = folded(self.history).values()
        return incident

    def happens(self, what: What, seconds: float, subject: str = "", **data: Value) -> None:
        at = START + round(seconds * SECOND)
        self.history.append(IncidentEvent(self.history[0].incident, what, at, subject, MappingProxyType(data)))

    def down(self, check: str, seconds: float = 0) -> None:
        self.happens(What.CHECK_DOWN, seconds, check, reason="refused", step="connect", last_good=1)

    def limit(self, check: str, seconds: float = 600) -> None:
        self.happens(What.LIMIT_REACHED, seconds, check)

    def alerted(self, subject: str, seconds: float) -> None:
        self.happens(What.ALERTED, seconds, subject, by="webhook")

    def outage(self, check: str, seconds: float = 0) -> None:
        self.down(check, seconds)
        self.limit(check, seconds + 600)
        self.alerted(f"check/{check}", seconds + 630)

    def lamp(self, name: str, lamp: str, verdict: str, seconds: float) -> None:
        self.happens(What.LAMP_ABNORMAL, seconds, name, lamp=lamp, verdict=verdict, evidence="")

    def over(self, check: str, seconds: float) -> None:
        self.happens(What.CHECK_UP, seconds, check)

    def decide(self, seconds: float, *, sent: bool = True) -> list[Due]:
        """Decide, and let what is due be written and sent at once."""
        now = START + round(seconds * SECOND)
        due = decide(self.incident, self.contacts, now).due
        for each in due:
            self.history.append(queued_event(self.incident, each, now))
            if sent and each.mailing is not Mailing.CALL:
                self.history.append(told_event(self.incident.id, each.mailing, each.contact, now))
        self.mails += [(seconds, each) for each in due]
        return list(due)


def test_one_notice_per_contact_names_all_checks_that_reached_the_limit() -> None:
    story = Story(contacts=(OPS, BOSS))
    for check in ("https", "imap", "ssh"):
        story.outage(check)
    first, second = story.decide(631)
    assert (first.mailing, first.checks, first.event) == (Mailing.NOTICE, ("https", "imap", "ssh"), "notice")
    assert {first.contact, second.contact} == {OPS, BOSS}
    assert story.decide(632) == story.decide(10_000) == []


def test_without_the_limit_or_without_the_alert_nobody_is_told() -> None:
    story = Story()
    story.down("https")
    story.alerted("check/https", 300)
    story.down("imap")
    story.limit("imap")
    assert story.decide(700) == []
    assert list(unalerted(story.incident, START)) == ["check/imap"]


def test_the_notice_waits_for_alerts_that_belong_together_but_not_for_long() -> None:
    story = Story()
    story.outage("https")
    story.down("imap", 10)
    assert story.decide(631) == []
    assert decide(story.incident, (OPS,), START + 631_000).look_again == START + 630_000 + GATHER
    story.limit("imap", 610)
    story.alerted("check/imap", 645)
    [notice] = story.decide(645)
    assert notice.checks == ("https", "imap")

    alone = Story()
    alone.outage("https")
    alone.down("imap", 10)
    [notice] = alone.decide(630 + GATHER / SECOND)
    assert notice.checks == ("https",)


def test_the_notice_does_not_wait_for_a_check_that_failed_much_later() -> None:
    story = Story()
    story.outage("https")
    story.down("imap", 300)
    [notice] = story.decide(630)
    assert notice.checks == ("https",)


def test_checks_that_reach_the_limit_later_are_told_in_one_update_in_ten_minutes() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.outage("imap", 100)
    story.outage("ssh", 400)
    assert story.decide(1_031) == []
    look = decide(story.incident, (OPS,), START + 1_031_000).look_again
    assert look == START + 630_000 + BETWEEN_UPDATES
    [update] = story.decide(1_230)
    assert (update.mailing, update.checks) == (Mailing.UPDATE, ("imap", "ssh"))
    assert update.event == f"update-{START + 1_230_000}"


def test_a_check_that_fails_for_so_long_again_in_the_same_incident_is_told_again() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.over("https", 700)
    story.outage("https", 900)
    [update] = story.decide(1_530)
    assert (update.mailing, update.checks) == (Mailing.UPDATE, ("https",))


def test_an_outage_is_told_also_when_the_clock_was_set_back_since_the_one_before_it_was_told() -> None:
    story = Story()
    story.outage("https")
    [notice] = story.decide(630)
    story.over("https", 700)
    an_hour_back = -3_600
    story.outage("https", an_hour_back + 1_000)
    assert [due.mailing for due in story.decide(an_hour_back + 1_630)] == [Mailing.UPDATE]
    assert notice.mailing is Mailing.NOTICE


def test_an_outage_is_told_once_also_when_the_clock_was_set_back_between_its_limit_and_its_notice() -> None:
    story = Story()
    story.outage("https")
    assert [due.mailing for due in story.decide(660)] == [Mailing.NOTICE]
    story = Story()
    story.down("https")
    story.limit("https", 600)
    story.alerted("check/https", -3_000)
    assert [due.mailing for due in story.decide(-2_900)] == [Mailing.NOTICE]
    assert story.decide(-2_900 + 700) == []


def test_the_recovery_is_told_once_and_only_to_those_who_were_told() -> None:
    story = Story(contacts=(OPS, BOSS))
    story.outage("https")
    now = START + 630_000
    to_ops, to_boss = decide(story.incident, story.contacts, now).due
    story.history += [queued_event(story.incident, each, now) for each in (to_ops, to_boss)]
    story.history.append(told_event(story.incident.id, "notice", OPS, now))
    story.over("https", 700)
    assert story.decide(701) == []
    story.happens(What.RECOVERED, 700)
    [recovery] = story.decide(830)
    assert (recovery.mailing, recovery.contact, recovery.checks) == (Mailing.RECOVERY, OPS, ("https",))
    assert story.decide(831) == []


def test_no_recovery_of_an_outage_that_nobody_was_told_of() -> None:
    story = Story()
    story.down("https")
    story.over("https", 300)
    story.happens(What.RECOVERED, 300)
    assert story.decide(430) == []


def test_each_recovery_of_an_incident_is_told_but_not_that_of_a_short_relapse() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.over("https", 700)
    story.happens(What.RECOVERED, 700)
    [first] = story.decide(830)
    story.down("https", 900)
    story.over("https", 1_000)
    story.happens(What.RECOVERED, 1_000)
    assert story.decide(1_130) == []
    story.outage("https", 1_200)
    [update] = story.decide(1_830)
    assert update.mailing is Mailing.UPDATE
    story.over("https", 1_900)
    story.happens(What.RECOVERED, 1_900)
    [second] = story.decide(2_030)
    assert second.mailing is Mailing.RECOVERY
    assert first.event != second.event


def test_an_outage_that_reached_the_limit_is_told_although_it_is_over_and_the_check_failed_again() -> None:
    story = Story()
    story.down("https")
    story.limit("https")
    story.over("https", 610)
    story.down("https", 640)
    assert list(unalerted(story.incident, START)) == ["check/https"]
    story.alerted("check/https", 650)
    assert list(unalerted(story.incident, START)) == []
    [notice] = story.decide(650)
    assert (notice.mailing, notice.outages["https"].down_since) == (Mailing.NOTICE, START)
    assert story.decide(2_000) == []


def test_the_alert_of_an_outage_that_is_over_is_not_taken_for_that_of_the_next_one() -> None:
    story = Story()
    story.down("https")
    story.limit("https")
    story.over("https", 610)
    story.down("https", 620)
    story.alerted("check/https", 650)
    story.decide(650)
    story.limit("https", 1_220)
    assert list(unalerted(story.incident, START)) == ["check/https"]
    assert story.decide(1_260) == []
    story.alerted("check/https", 1_270)
    [update] = story.decide(1_270)
    assert (update.mailing, update.outages["https"].down_since) == (Mailing.UPDATE, START + 620_000)


def test_a_later_outage_of_a_check_that_was_told_needs_no_mail_about_an_earlier_one() -> None:
    story = Story()
    story.down("https")
    story.limit("https")
    story.over("https", 610)
    story.outage("https", 620)
    [notice] = story.decide(1_250)
    assert notice.outages["https"].down_since == START + 620_000
    assert list(unalerted(story.incident, START)) == []
    assert story.decide(5_000) == []


def test_who_was_told_of_an_outage_hears_of_the_recovery_also_after_a_short_relapse() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.over("https", 700)
    story.down("https", 760)
    story.over("https", 820)
    story.happens(What.RECOVERED, 820)
    [recovery] = story.decide(940)
    assert (recovery.mailing, recovery.outages["https"].down_since) == (Mailing.RECOVERY, START)
    assert story.decide(950) == []


def test_a_recovery_that_was_taken_out_of_the_outbox_is_told_when_the_outage_is_over_again() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.over("https", 700)
    story.happens(What.RECOVERED, 700)
    [first] = story.decide(820, sent=False)
    story.down("https", 900)
    story.history.append(dropped_event(story.incident.id, Mailing.RECOVERY, OPS.email, START + 900_000))
    assert story.decide(900) == []
    story.over("https", 960)
    story.happens(What.RECOVERED, 960)
    [second] = story.decide(1_080)
    assert second.mailing is Mailing.RECOVERY
    assert second.event != first.event


def test_a_history_that_does_not_say_which_outage_a_mail_told_of_tells_nobody_again() -> None:
    story = Story()
    story.outage("https")
    story.happens(What.QUEUED, 631, OPS.email, mail="notice", covers="check/https")
    story.history.append(told_event(story.incident.id, Mailing.NOTICE, OPS, START + 632_000))
    assert story.decide(2_000) == []
    story.over("https", 2_100)
    story.happens(What.RECOVERED, 2_100)
    assert [due.mailing for due in story.decide(2_220)] == [Mailing.RECOVERY]


def test_who_was_told_by_a_person_gets_no_notice_but_later_checks_and_the_recovery() -> None:
    story = Story()
    story.down("https")
    story.limit("https")
    story.happens(What.TOLD, 605, OPS.name, by="phone", author="suzuki")
    assert list(unalerted(story.incident, START)) == []
    story.alerted("check/https", 630)
    assert story.decide(650) == []
    story.outage("imap", 300)
    [update] = story.decide(930)
    assert (update.mailing, update.checks) == (Mailing.UPDATE, ("imap",))
    story.over("https", 1_000)
    story.over("imap", 1_000)
    story.happens(What.RECOVERED, 1_000)
    [recovery] = story.decide(1_130)
    assert recovery.checks == ("https", "imap")


def test_a_contact_with_a_phone_only_makes_the_noc_call_once() -> None:
    story = Story(contacts=(PHONE,))
    story.outage("https")
    [call] = story.decide(630)
    assert (call.mailing, call.contact) == (Mailing.CALL, PHONE)
    story.outage("imap", 300)
    story.over("https", 2_000)
    story.over("imap", 2_000)
    story.happens(What.RECOVERED, 2_000)
    assert story.decide(2_130) == []


def test_a_customer_without_contacts_makes_the_noc_look_for_one() -> None:
    story = Story(contacts=())
    story.outage("https")
    [call] = story.decide(630)
    assert (call.mailing, call.contact) == (Mailing.CALL, NOBODY)
    assert story.decide(640) == []


def test_a_critical_lamp_is_told_as_hardware_and_a_warning_is_not() -> None:
    story = Story(kind=Kind.LAMP)
    story.lamp("ipmi/Drive 1", "drive", "critical", 0)
    story.lamp("ipmi/Fan 1", "fan", "warning", 0)
    story.alerted("lamp/fan", 30)
    assert story.decide(60) == []
    story.alerted("lamp/drive", 30)
    [notice] = story.decide(60)
    assert (notice.mailing, notice.event, notice.lamps) == (Mailing.HARDWARE, "notice", ("ipmi/Drive 1",))
    story.lamp("ipmi/Drive 2", "drive", "critical", 90)
    story.alerted("lamp/drive", 330)
    [update] = story.decide(660)
    assert (update.mailing, update.lamps) == (Mailing.UPDATE, ("ipmi/Drive 2",))


def test_that_a_lamp_is_normal_again_is_told_to_those_who_were_told_of_it() -> None:
    story = Story(kind=Kind.LAMP, contacts=(OPS, BOSS))
    story.lamp("ipmi/Drive 1", "drive", "critical", 0)
    story.alerted("lamp/drive", 30)
    now = START + 60_000
    to_ops, to_boss = decide(story.incident, story.contacts, now).due
    story.history += [queued_event(story.incident, each, now) for each in (to_ops, to_boss)]
    story.history.append(told_event(story.incident.id, "hardware", OPS, now))
    assert story.decide(600) == []
    story.happens(What.LAMPS_NORMAL, 900)
    story.happens(What.CLOSED, 900)
    [repaired] = story.decide(901)
    assert (repaired.mailing, repaired.contact, repaired.lamps) == (Mailing.REPAIRED, OPS, ("ipmi/Drive 1",))
    assert story.decide(902) == []
    story.history.append(told_event(story.incident.id, "hardware", BOSS, START + 3_600_000))
    [late] = story.decide(3_601)
    assert (late.mailing, late.contact) == (Mailing.REPAIRED, BOSS)


def test_of_an_outage_with_a_critical_lamp_the_services_and_the_lamp_recover_each_in_its_time() -> None:
    story = Story()
    story.outage("https")
    story.lamp("ipmi/Drive 1", "drive", "critical", 620)
    story.alerted("lamp/drive", 640)
    [notice] = story.decide(650)
    assert (notice.checks, notice.lamps) == (("https",), ("ipmi/Drive 1",))
    story.over("https", 1_000)
    story.happens(What.RECOVERED, 1_000)
    [recovery] = story.decide(1_130)
    assert (recovery.mailing, recovery.checks, recovery.lamps) == (Mailing.RECOVERY, ("https",), ())
    story.happens(What.LAMPS_NORMAL, 5_000)
    [repaired] = story.decide(5_001)
    assert (repaired.mailing, repaired.checks, repaired.lamps) == (Mailing.REPAIRED, (), ("ipmi/Drive 1",))
    assert repaired.event != recovery.event


def test_a_lamp_of_which_an_older_incident_tells_is_told_there_alone() -> None:
    story = Story()
    story.happens(What.LAMP_ABNORMAL, 0, "ipmi/Drive 1", lamp="drive", verdict="critical", evidence="", elsewhere=True)
    story.alerted("lamp/drive", 30)
    assert story.decide(60) == []
    assert list(unalerted(story.incident, START)) == []
    assert not story.incident.customer_had_to_be_told


def test_what_had_no_update_before_the_recovery_is_told_with_it_and_not_as_down_after_it() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.outage("imap", 100)
    assert story.decide(731) == []
    for check in ("https", "imap"):
        story.over(check, 800)
    story.happens(What.RECOVERED, 800)
    [recovery] = story.decide(930)
    assert (recovery.mailing, recovery.checks) == (Mailing.RECOVERY, ("https", "imap"))
    assert story.decide(1_300) == []


def test_who_is_registered_after_the_end_is_told_of_nothing() -> None:
    story = Story()
    story.outage("https")
    story.decide(630)
    story.over("https", 700)
    story.happens(What.RECOVERED, 700)
    story.decide(830)
    story.happens(What.CLOSED, 900)
    story.contacts = (OPS, BOSS)
    assert story.decide(900 + 31 * 60) == []


def test_nobody_is_written_to_for_a_phone_call_of_long_ago() -> None:
    story = Story()
    story.down("https")
    story.limit("https")
    story.happens(What.TOLD, 605, OPS.name, by="phone", author="suzuki")
    story.over("https", 1_000)
    story.happens(What.RECOVERED, 1_000)
    story.happens(What.CLOSED, 1_100)
    story.happens(What.TOLD, 1_200, "x", by="mail", mail="report", to=OPS.email)
    assert story.decide(1_100 + 31 * 60) == []
    assert list(unalerted(story.incident, START + 1_000_000)) == []


def test_the_last_resort_is_for_critical_lamps_too_until_they_are_told_or_normal() -> None:
    story = Story(kind=Kind.LAMP)
    story.lamp("ipmi/Drive 1", "drive", "critical", 0)
    story.lamp("ipmi/Fan 1", "fan", "warning", 0)
    assert list(unalerted(story.incident, START)) == ["lamp/drive"]
    story.alerted("lamp/drive", 30)
    assert list(unalerted(story.incident, START)) == []
    story.lamp("ipmi/Drive 2", "drive", "critical", 60)
    assert list(unalerted(story.incident, START)) == ["lamp/drive"]
    story.happens(What.LAMPS_NORMAL, 900)
    assert list(unalerted(story.incident, START)) == []


def test_a_clock_that_is_set_back_makes_nobody_told_twice() -> None:
    story = Story()
    story.outage("https", 3_600)
    [notice] = story.decide(30)
    assert notice.mailing is Mailing.NOTICE
    assert story.decide(40) == story.decide(700) == []
    story.over("https", 7_200)
    story.happens(What.RECOVERED, 7_200)
    [recovery] = story.decide(900)
    assert recovery.mailing is Mailing.RECOVERY
    assert story.decide(910) == story.decide(9_000) == []


def test_an_incident_that_was_withdrawn_is_told_to_nobody() -> None:
    story = Story()
    story.outage("https")
    story.happens(What.WITHDRAWN, 631)
    assert story.decide(640) == []


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["down", "limit", "alert", "up", "recovered", "hand"]), st.sampled_from("abc")),
        max_size=40,
    ),
    st.integers(5, 700),
)
def test_whatever_happens_there_is_one_notice_and_no_update_within_ten_minutes(
    events: list[tuple[str, str]], step: int
) -> None:
    story = Story()
    for number, (what, check) in enumerate(events):
        at = number * step
        match what:
            case "down":
                story.down(check, at)
            case "limit" if check in story.incident.down:  # one that is up is not confirmed to be down
                story.limit(check, at)
            case "alert":
                story.alerted(f"check/{check}", at)
            case "up":
                story.over(check, at)
            case "recovered" if not story.incident.down and story.incident.outages:
                story.happens(What.RECOVERED, at)
            case "hand":
                story.happens(What.TOLD, at, "x", by="phone")
        if [each.mailing for each in story.decide(at + 0.5)] == [Mailing.NOTICE]:
            # of what is over when its alert comes the recovery is told as soon as the notice was
            assert all(each.mailing is Mailing.RECOVERY for each in story.decide(at + 0.5))
        assert story.decide(at + 0.5) == []
    kinds = [each.mailing for _, each in story.mails]
    assert kinds.count(Mailing.NOTICE) <= 1
    told = [at for at, each in story.mails if each.mailing is not Mailing.RECOVERY]
    assert all(later - earlier >= BETWEEN_UPDATES / SECOND for earlier, later in pairwise(told))
    assert len({each.event for _, each in story.mails}) == len(story.mails)


def test_a_recovery_is_seen_and_told_also_when_the_clock_was_set_back_since_the_one_before_it() -> None:
    story = Story()
    a_day_ahead = 86_400
    story.outage("https", a_day_ahead)
    assert [due.mailing for due in story.decide(a_day_ahead + 630)] == [Mailing.NOTICE]
    story.over("https", a_day_ahead + 700)
    story.happens(What.RECOVERED, a_day_ahead + 700)
    assert [due.mailing for due in story.decide(a_day_ahead + 830)] == [Mailing.RECOVERY]
    story.outage("https")
    assert [due.mailing for due in story.decide(630)] == [Mailing.UPDATE]
    story.over("https", 700)
    [recovered] = recovery_events(story.incident, {"https": CheckState(up=True, ever_up=True)})
    assert recovered.at == START + 700 * SECOND
    story.history.append(recovered)
    assert [due.mailing for due in story.decide(830)] == [Mailing.RECOVERY]


def test_the_end_is_the_one_that_was_seen_last_also_when_the_clock_was_a_day_ahead_at_an_earlier_one() -> None:
    story = Story()
    a_day_ahead = 86_400
    story.down("https")
    story.down("imap", a_day_ahead + 60)
    story.over("imap", a_day_ahead + 120)
    story.over("https", 700)
    assert story.incident.last_end == START + 700 * SECOND


def test_the_end_of_checks_that_were_tried_side_by_side_is_the_start_of_the_later_success() -> None:
    story = Story()
    story.down("https")
    story.down("imap")
    story.over("imap", 705)
    story.over("https", 700)
    assert story.incident.last_end == START + 705 * SECOND


def test_two_mails_that_are_handed_over_in_one_millisecond_are_both_on_record() -> None:
    story = Story()
    story.outage("https")
    incidents = Incidents()
    incidents.take_in(story.history)
    told = [told_event(story.incident.id, mailing, OPS, START + 700_000) for mailing in ("notice", "recovery")]
    assert incidents.append(told) == [told[0], replace(told[1], at=START + 700_001)]
    assert [each.mail for each in incidents[story.incident.id].told] == ["notice", "recovery"]
