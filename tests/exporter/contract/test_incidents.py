"""Incidents: which outages are one, when one is over, and that a history written twice is the same history."""

from dataclasses import dataclass, field
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import TimedOut
from collectors.reading import HardwareReading, Lamp, LampReading, Verdict
from exporter.clock import MINUTE, Moment
from exporter.contract.incidents import (
    Held,
    Hold,
    Incident,
    IncidentEvent,
    Kind,
    Tried,
    What,
    attempt_events,
    folded,
    holding,
    lamp_events,
    opening,
    recovery_events,
    withdrawal_events,
)
from exporter.contract.level import NextStep, Response, diagnose
from exporter.incidents import Incidents
from exporter.inventory import Server, SourceKey
from exporter.lamps import LampRead, SourceState
from exporter.lamps import decide as decide_lamps
from exporter.outage import Attempt, CheckState, decide

TOKYO = ZoneInfo("Asia/Tokyo")
SERVER = Server("web01", "c0001", managed=True, address="192.0.2.10", login_check="ssh")
START = 1_795_653_000_000  # 2026-11-26 09:30:00 JST
LIMIT = 10 * MINUTE


@dataclass
class Desk:
    """One server, its checks and lamps, and the history that they write."""

    states: dict[str, CheckState] = field(default_factory=dict)
    lamps: dict[SourceKey, SourceState] = field(default_factory=dict)
    history: list[IncidentEvent] = field(default_factory=list)
    maintained: bool = False

    def incidents(self) -> dict[str, Incident]:
        return folded(self.history)

    def is_open(self) -> bool:
        return self.last.open

    @property
    def last(self) -> Incident:
        return list(self.incidents().values())[-1]

    def attempt(self, minutes: float, check: str, reason: str = "", *, void: bool = False) -> None:
        wall = START + round(minutes * MINUTE)
        at = Moment(wall - START + 10_000_000, wall)
        before = self.states.get(check, CheckState())
        after, _ = decide(before, Attempt(at, reason, "connect", void=void), LIMIT)
        self.states[check] = after
        incidents = self.incidents()
        incident = list(incidents.values())[-1] if incidents else None
        response = diagnose(SERVER, self.states)
        tried = Tried(check, before, after, f"detail of {reason}", LIMIT)
        events = attempt_events(incident, SERVER, tried, TOKYO, maintained=self.maintained, response=response)
        self.history += list(events)
        if self.history:
            self.history += list(recovery_events(self.last, self.states))

    def read(self, minutes: float, source: str = "ipmi", **lamps: Verdict | None) -> None:
        wall = START + round(minutes * MINUTE)
        readings = tuple(
            LampReading(Lamp.EVENT_LOG if name == "log" else Lamp.DRIVE, name, verdict, f"{name} as read")
            for name, verdict in lamps.items()
        )
        self._lamps(source, LampRead(Moment(wall, wall), HardwareReading(readings), 0.1), wall)

    def unreadable(self, minutes: float, source: str = "ipmi") -> None:
        wall = START + round(minutes * MINUTE)
        self._lamps(source, LampRead(Moment(wall, wall), TimedOut("log-in", ""), 0.1), wall)

    def _lamps(self, source: str, read: LampRead, wall: int) -> None:
        key = (SERVER.name, source)
        self.lamps[key], _ = decide_lamps(self.lamps.get(key, SourceState()), read, power_expected=True)
        if self.history and self.last.open:
            self.history += list(lamp_events(self.last, wall, self.lamps))

    def outage(self, begin: float, end: float, check: str = "https") -> None:
        """A check that was up goes down and comes back for good."""
        self.attempt(begin - 10, check)
        for minute in range(int(end - begin)):
            self.attempt(begin + minute, check, "refused")
        for minute in range(3):
            self.attempt(end + minute, check)


def at(minutes: float) -> int:
    return START + round(minutes * MINUTE)


def words(history: list[IncidentEvent]) -> list[tuple[str, str]]:
    return [(event.what.value, event.subject) for event in history]


def test_an_outage_is_told_from_its_first_failure_to_the_lamps_after_its_recovery() -> None:
    desk = Desk()
    desk.outage(0, 12)
    assert words(desk.history) == [
        ("opened", ""),
        ("check-down", "https"),
        ("level", "log-in-unchecked"),
        ("limit-reached", "https"),
        ("check-up", "https"),
        ("level", "none"),
        ("recovered", ""),
    ]
    incident = desk.last
    assert (incident.id, incident.kind, incident.opened) == ("web01-20261126-093000", Kind.OUTAGE, at(0))
    outage = incident.outages["https"][0]
    assert (outage.last_good, outage.down_since, outage.limit_reached, outage.up_since) == (
        at(-10), at(0), at(10), at(12)
    )  # fmt: skip
    assert incident.recovered == at(12)
    assert incident.customer_had_to_be_told
    desk.read(13, bay=Verdict.NORMAL)
    assert words(desk.history)[-2:] == [("lamps-normal", ""), ("closed", "")]
    assert not desk.is_open()


def test_two_levels_within_one_millisecond_are_two_events() -> None:
    desk = Desk()
    desk.outage(0, 1)
    first, second = (
        IncidentEvent(desk.last.id, What.LEVEL, at(2), step.value, {"level": level, "step": step.value})
        for level, step in ((1, NextStep.LOG_IN), (2, NextStep.REBOOT))
    )
    incidents = Incidents()
    incidents.take_in(desk.history)
    assert incidents.take_in([first, second]) == [first, second]
    assert incidents[desk.last.id].response == Response(2, NextStep.REBOOT)


def test_a_blip_is_an_incident_that_nobody_had_to_be_told_of() -> None:
    desk = Desk()
    desk.outage(0, 2)
    assert desk.last.recovered == at(2)
    assert not desk.last.customer_had_to_be_told


def test_overlapping_outages_of_a_server_are_one_incident_and_it_recovers_with_the_last() -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(-1, "smtp")
    desk.attempt(0, "https", "refused")
    desk.attempt(3, "smtp", "timeout")
    for minute in (5, 6, 7):
        desk.attempt(minute, "https")
    assert desk.last.down == ("smtp",)
    assert desk.last.recovered is None
    for minute in (8, 9, 10):
        desk.attempt(minute, "smtp")
    assert len(desk.incidents()) == 1
    assert desk.last.recovered == at(8)


@pytest.mark.parametrize(("again", "incidents"), [(42, 1), (42.02, 2)])
def test_an_outage_that_begins_within_thirty_minutes_after_the_last_end_joins(again: float, incidents: int) -> None:
    desk = Desk()
    desk.outage(0, 12)
    desk.read(15, bay=Verdict.NORMAL)
    desk.attempt(20, "https")
    desk.attempt(again, "https", "timeout")
    assert len(desk.incidents()) == incidents
    assert desk.is_open()
    assert desk.last.recovered is None
    assert desk.last.outages["https"][-1].down_since == at(again)


@pytest.mark.parametrize(
    ("successes", "recovered"),
    [((12, 13, 14), True), ((12, 13), False), ((12, 12.5, 13.9), False), ((12, 12.1, 12.2, 14), True)],
)
def test_a_recovery_is_three_successes_over_two_minutes(successes: tuple[float, ...], recovered: bool) -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(0, "https", "refused")
    for minute in successes:
        desk.attempt(minute, "https")
    assert desk.last.recovered == (at(12) if recovered else None)


def test_a_failure_among_the_successes_is_the_next_outage_of_the_same_incident() -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(0, "https", "refused")
    desk.attempt(1, "https")
    desk.attempt(2, "https", "timeout")
    for minute in (3, 4, 5):
        desk.attempt(minute, "https")
    assert [(outage.down_since, outage.up_since) for outage in desk.last.outages["https"]] == [
        (at(0), at(1)),
        (at(2), at(3)),
    ]
    assert desk.last.recovered == at(3)


def test_void_attempts_add_nothing_and_a_new_reason_is_written_once() -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(0, "https", "refused")
    desk.attempt(1, "https", "auth", void=True)
    desk.attempt(2, "https", "timeout")
    desk.attempt(3, "https", "refused")
    desk.attempt(4, "https", "timeout")
    seen = desk.last.outages["https"][0].observations
    assert [(each.at, each.reason, each.detail) for each in seen] == [
        (at(0), "refused", "detail of refused"),
        (at(2), "timeout", "detail of timeout"),
    ]


def test_in_maintenance_the_limit_is_reached_only_when_the_window_is_over() -> None:
    desk = Desk(maintained=True)
    desk.attempt(-1, "https")
    for minute in range(12):
        desk.attempt(minute, "https", "refused")
    assert not desk.last.customer_had_to_be_told
    desk.maintained = False
    desk.attempt(12, "https", "refused")
    assert desk.last.outages["https"][0].limit_reached == at(12)


def test_the_level_is_written_when_it_changes() -> None:
    desk = Desk()
    for check in ("https", "ssh"):
        desk.attempt(-1, check)
    desk.attempt(0, "https", "timeout")
    desk.attempt(0.1, "ssh", "timeout")
    desk.attempt(1, "ssh", "timeout")
    levels = [event.data["level"] for event in desk.history if event.what is What.LEVEL]
    assert levels == [1, 2]
    assert desk.last.response == Response(2, NextStep.REBOOT)


def test_a_check_that_leaves_the_inventory_withdraws_its_incident() -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(0, "https", "refused")
    desk.history += withdrawal_events(desk.last, "https", at(3))
    assert desk.last.withdrawn
    assert desk.last.closed == at(3)
    desk.attempt(5, "smtp")
    desk.attempt(6, "smtp", "refused")
    assert len(desk.incidents()) == 2


def test_a_withdrawn_check_does_not_hold_the_recovery_of_the_others() -> None:
    desk = Desk()
    for check in ("https", "smtp"):
        desk.attempt(-1, check)
        desk.attempt(0, check, "refused")
    desk.history += withdrawal_events(desk.last, "smtp", at(3))
    del desk.states["smtp"]
    assert not desk.last.withdrawn
    for minute in (4, 5, 6):
        desk.attempt(minute, "https")
    assert desk.last.recovered == at(4)


def test_an_incident_that_recovered_once_recovers_again_when_what_failed_anew_is_withdrawn() -> None:
    desk = Desk()
    desk.outage(0, 12)
    desk.attempt(20, "https", "refused")
    incidents = Incidents()
    incidents.take_in(desk.history)
    del desk.states["https"]
    fresh = incidents.withdraw("web01", "https", at(21), desk.states)
    assert [event.what for event in fresh] == [What.WITHDRAWN, What.RECOVERED]
    [incident] = incidents.known()
    assert incident.recovered == at(21)
    assert not incident.withdrawn


def test_an_incident_is_held_by_a_lamp_that_is_abnormal_until_that_is_normal_or_replaced() -> None:
    desk = Desk()
    desk.read(-5, bay1=Verdict.CRITICAL, bay2=Verdict.NORMAL)
    desk.read(-4, bay1=Verdict.CRITICAL, bay2=Verdict.NORMAL)
    desk.outage(0, 12)
    desk.read(13, bay1=Verdict.CRITICAL, bay2=Verdict.NORMAL)
    assert holding(desk.last, desk.lamps) == (Held(Hold.LIT, "bay1", "ipmi", Verdict.CRITICAL),)
    desk.read(20, bay1=Verdict.UNKNOWN, bay2=Verdict.NORMAL)
    assert desk.is_open()
    desk.read(30, bay1=None, bay2=Verdict.NORMAL)
    assert not desk.is_open()
    assert desk.last.lamps["ipmi/bay1"].evidence == "bay1 as read"


def test_an_unknown_component_that_was_never_abnormal_does_not_hold_it() -> None:
    desk = Desk()
    desk.outage(0, 12)
    desk.read(13, bay1=Verdict.UNKNOWN, bay2=Verdict.NORMAL)
    assert not desk.is_open()


def test_a_full_event_log_does_not_hold_it() -> None:
    desk = Desk()
    desk.outage(0, 12)
    desk.read(13, bay1=Verdict.NORMAL, log=Verdict.WARNING)
    desk.read(14, bay1=Verdict.NORMAL, log=Verdict.WARNING)
    assert not desk.is_open()
    assert not desk.last.lamps


def test_every_source_has_to_be_read_after_the_recovery() -> None:
    desk = Desk()
    desk.read(-5, "snmp", bay=Verdict.NORMAL)
    desk.outage(0, 12)
    desk.read(13, "ipmi", bay=Verdict.NORMAL)
    assert holding(desk.last, desk.lamps) == (Held(Hold.UNREAD, source="snmp"),)
    desk.unreadable(14, "snmp")
    assert desk.is_open()
    desk.read(15, "snmp", bay=Verdict.NORMAL)
    assert not desk.is_open()


def test_without_a_lamp_source_a_person_has_to_look() -> None:
    desk = Desk()
    desk.outage(0, 12)
    assert holding(desk.last, {}) == (Held(Hold.NO_SOURCE),)


def test_what_holds_an_incident_says_first_what_is_down() -> None:
    desk = Desk()
    desk.attempt(-1, "https")
    desk.attempt(0, "https", "refused")
    assert holding(desk.last, {}) == (Held(Hold.DOWN, "https"),)
    desk.attempt(1, "https")
    assert holding(desk.last, {}) == (Held(Hold.RECOVERING),)


def test_a_request_for_a_reboot_is_not_closed_by_normal_lamps() -> None:
    desk = Desk(history=[opening(Kind.REBOOT_REQUEST, SERVER, START, TOKYO, "asked on the phone")])
    desk.read(5, bay=Verdict.NORMAL)
    assert desk.is_open()
    assert (desk.last.id, desk.last.reason) == ("web01-20261126-093000-reboot", "asked on the phone")


attempts = st.lists(
    st.tuples(
        st.sampled_from([0.5, 1, 10, 31]),
        st.sampled_from(["https", "ssh"]),
        st.sampled_from(["", "", "refused", "timeout", "auth"]),
    ),
    max_size=30,
)


@given(attempts)
def test_any_history_is_well_formed_and_written_twice_is_the_same(steps: list[tuple[float, str, str]]) -> None:
    desk = Desk()
    minutes = 0.0
    for wait, check, reason in steps:
        minutes += wait
        desk.attempt(minutes, check, reason, void=reason == "auth")
    incidents = desk.incidents()
    identities = [event.identity for event in desk.history]
    assert len(identities) == len(set(identities))
    assert {check for check, state in desk.states.items() if state.down_since is not None} == {
        check for incident in incidents.values() for check in incident.down
    }
    for check, state in desk.states.items():
        if state.down_since is not None:
            assert desk.last.outages[check][-1].down_since == state.down_since
    spans = [(incident.opened, incident.last_end) for incident in incidents.values()]
    for (_, end), (begin, _) in pairwise(spans):
        assert end is not None
        assert begin - end > 30 * MINUTE


def test_an_incident_that_was_not_seen_to_be_over_before_the_next_began_recovers_with_that() -> None:
    incidents = Incidents()
    state = CheckState()

    def attempt(minutes: float, reason: str = "") -> list[IncidentEvent]:
        nonlocal state
        wall = START + round(minutes * MINUTE)
        before = state
        state, _ = decide(before, Attempt(Moment(wall, wall), reason, "connect"), LIMIT)
        tried = Tried("ssh", before, state, "", LIMIT)
        return incidents.tried(SERVER, tried, {"ssh": state}, Response(), maintained=False)

    attempt(-10)
    attempt(0, "refused")
    attempt(1)
    attempt(40, "refused")  # nothing ran in between
    ends = [event for minutes in (41, 42, 43) for event in attempt(minutes) if event.what is What.RECOVERED]
    assert [event.at - START for event in ends] == [1 * MINUTE, 41 * MINUTE]
    assert len({event.incident for event in ends}) == 2
