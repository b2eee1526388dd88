"""The promises of the lamp state: what a verdict needs, what silence does, when the next read follows."""

from dataclasses import replace

import pytest

from collectors.failures import TimedOut, Unauthorized
from collectors.reading import Hardware, HardwareReading, Lamp, LampReading, Verdict
from exporter.clock import DAY, HOUR, MINUTE, SECOND, Moment
from exporter.lamps import (
    HARDWARE,
    POWER_COMPONENT,
    LampRead,
    SourceState,
    abnormal_since,
    decide,
    is_routine,
    next_read,
    server_verdict,
)

NORMAL, WARNING, CRITICAL, UNKNOWN = Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN
START = 1_800_000_000_000


def drive(verdict: Verdict | None, component: str = "Drive 1") -> LampReading:
    return LampReading(Lamp.DRIVE, component, verdict, f"{component}={verdict}")


def reading(*lamps: LampReading, complete: bool = True) -> HardwareReading:
    return HardwareReading(lamps=lamps, complete=complete)


def after(*outcomes: HardwareReading | TimedOut | Unauthorized, step: int = MINUTE) -> SourceState:
    state = SourceState()
    for number, outcome in enumerate(outcomes):
        at = Moment(number * step, START + number * step)
        state, _ = decide(state, LampRead(at, outcome, 0.1), power_expected=True)
    return state


def verdict_of(state: SourceState, component: str = "Drive 1") -> Verdict:
    return state.lamps[component].verdict


def test_a_lamp_counts_as_abnormal_only_when_two_reads_in_a_row_say_so() -> None:
    once = after(reading(drive(NORMAL)), reading(drive(CRITICAL)))
    assert verdict_of(once) is NORMAL
    assert once.unsettled
    assert verdict_of(after(reading(drive(NORMAL)), reading(drive(CRITICAL)), reading(drive(CRITICAL)))) is CRITICAL


def test_a_first_abnormal_read_is_unknown_not_normal() -> None:
    assert verdict_of(after(reading(drive(CRITICAL)))) is UNKNOWN


def test_a_glitch_that_the_second_read_denies_never_counts() -> None:
    state = after(reading(drive(NORMAL)), reading(drive(CRITICAL)), reading(drive(NORMAL)))
    assert verdict_of(state) is NORMAL
    assert not state.unsettled


def test_what_two_different_abnormal_reads_agree_on_counts() -> None:
    assert verdict_of(after(reading(drive(NORMAL)), reading(drive(WARNING)), reading(drive(CRITICAL)))) is WARNING


def test_a_lamp_gets_better_at_once() -> None:
    bad = (reading(drive(CRITICAL)), reading(drive(CRITICAL)))
    assert verdict_of(after(*bad, reading(drive(WARNING)))) is WARNING
    assert verdict_of(after(*bad, reading(drive(NORMAL)))) is NORMAL


def test_a_source_that_falls_silent_never_turns_critical_into_normal() -> None:
    state = after(reading(drive(CRITICAL)), reading(drive(CRITICAL)), TimedOut("open session"))
    assert verdict_of(state) is CRITICAL
    assert server_verdict([state]) is CRITICAL


def test_a_lamp_read_as_unknown_keeps_a_fault_and_loses_a_normal() -> None:
    assert verdict_of(after(reading(drive(CRITICAL)), reading(drive(CRITICAL)), reading(drive(UNKNOWN)))) is CRITICAL
    assert verdict_of(after(reading(drive(NORMAL)), reading(drive(UNKNOWN)))) is UNKNOWN


def test_an_absent_part_has_no_lamp() -> None:
    assert "Drive 1" not in after(reading(drive(CRITICAL)), reading(drive(CRITICAL)), reading(drive(None))).lamps


def test_a_part_that_a_complete_reading_does_not_list_is_gone_and_one_of_an_incomplete_reading_stays() -> None:
    two = reading(drive(NORMAL), drive(NORMAL, "Drive 2"))
    assert set(after(two, reading(drive(NORMAL))).lamps) == {"Drive 1"}
    assert set(after(two, reading(drive(NORMAL), complete=False)).lamps) == {"Drive 1", "Drive 2"}


def test_a_server_that_should_run_and_is_off_is_critical_and_one_that_should_be_off_is_not() -> None:
    off = LampRead(Moment(0, START), HardwareReading(power=False), 0.1)
    once, _ = decide(SourceState(), off, power_expected=True)
    twice, _ = decide(once, off, power_expected=True)
    assert server_verdict([twice]) is CRITICAL
    meant, _ = decide(SourceState(), off, power_expected=False)
    assert server_verdict([meant]) is NORMAL


def test_the_server_is_unknown_when_a_source_is_silent_or_tells_nothing_or_there_is_none() -> None:
    sound = after(reading(drive(NORMAL)))
    assert server_verdict([sound]) is NORMAL
    assert server_verdict([sound, after(TimedOut("connect"))]) is UNKNOWN
    assert server_verdict([sound, after(reading())]) is UNKNOWN
    assert server_verdict([sound, SourceState()]) is UNKNOWN
    assert server_verdict([]) is UNKNOWN


def test_a_server_of_which_only_the_power_is_known_to_be_on_is_unknown() -> None:
    on = LampRead(Moment(0, START), HardwareReading(lamps=(drive(UNKNOWN),), power=True), 0.1)
    state, _ = decide(SourceState(), on, power_expected=True)
    assert server_verdict([state]) is UNKNOWN


def test_a_single_unknown_component_changes_nothing() -> None:
    assert server_verdict([after(reading(drive(NORMAL), drive(UNKNOWN, "Drive 2")))]) is NORMAL


def test_a_known_fault_of_one_source_outweighs_the_silence_of_another() -> None:
    bad = after(reading(drive(WARNING)), reading(drive(WARNING)))
    assert server_verdict([bad, after(TimedOut("connect"))]) is WARNING


def test_abnormal_since_is_the_moment_it_was_confirmed_and_survives_a_change_from_warning_to_critical() -> None:
    state = after(*[reading(drive(WARNING))] * 2, *[reading(drive(CRITICAL))] * 3)
    assert abnormal_since([state]) == START + MINUTE
    assert abnormal_since([after(reading(drive(NORMAL)))]) is None


def test_every_change_of_a_verdict_is_an_event_with_its_evidence() -> None:
    state = after(reading(drive(NORMAL)), reading(drive(CRITICAL)))
    at = Moment(9 * MINUTE, START + 9 * MINUTE)
    _, events = decide(state, LampRead(at, reading(drive(CRITICAL)), 0.1), power_expected=True)
    assert [(event.subject, event.was, event.now, event.evidence) for event in events] == [
        ("Drive 1", "normal", "critical", "Drive 1=2")
    ]


def test_the_first_sight_of_a_sound_part_is_no_event() -> None:
    _, events = decide(SourceState(), LampRead(Moment(0, START), reading(drive(NORMAL)), 0.1), power_expected=True)
    assert events == ()


FIRST = Hardware("Example", "X1", "A", "1.0", "B1")


@pytest.mark.parametrize(
    ("now", "told"),
    [
        (replace(FIRST, serial="B"), "Example X1, serial B, board B1"),
        (replace(FIRST, model="X2"), "Example X2, serial A, board B1"),
        (replace(FIRST, board="B2"), "Example X1, serial A, board B2"),
        (Hardware(model="X2"), "X2"),
    ],
)
def test_another_model_serial_number_or_board_is_an_event_that_names_both(now: Hardware, told: str) -> None:
    state = after(HardwareReading(hardware=FIRST))
    after_it, [event] = decide(
        state, LampRead(Moment(1, START), HardwareReading(hardware=now), 0.1), power_expected=True
    )
    assert (event.subject, event.was, event.now) == (HARDWARE, "Example X1, serial A, board B1", told)
    assert now.model in event.evidence
    assert after_it.hardware == now


@pytest.mark.parametrize(
    "now",
    [
        FIRST,
        None,
        Hardware(),
        replace(FIRST, firmware="2.0"),
        replace(FIRST, manufacturer="EXAMPLE INC."),
        replace(FIRST, serial="", board=""),
    ],
)
def test_new_firmware_and_silence_about_the_hardware_are_no_exchange(now: Hardware | None) -> None:
    state = after(HardwareReading(hardware=FIRST))
    quiet, events = decide(state, LampRead(Moment(1, START), HardwareReading(hardware=now), 0.1), power_expected=True)
    assert events == ()
    exchanged = HardwareReading(hardware=replace(FIRST, serial="B"))
    _, events = decide(quiet, LampRead(Moment(2, START), exchanged, 0.1), power_expected=True)
    assert [event.subject for event in events] == [HARDWARE]


def test_a_name_that_a_controller_gives_twice_never_hides_the_worse_of_the_two() -> None:
    for pair in ((drive(CRITICAL), drive(NORMAL)), (drive(NORMAL), drive(CRITICAL)), (drive(CRITICAL), drive(None))):
        assert verdict_of(after(*[reading(*pair)] * 2)) is CRITICAL
    named_as_ours = LampReading(Lamp.OTHER, POWER_COMPONENT, CRITICAL, "a sensor of that name")
    state = after(*[HardwareReading(lamps=(named_as_ours,), power=True)] * 2)
    assert server_verdict([state]) is CRITICAL


def wait(state: SourceState) -> int:
    return next_read(state, interval=DAY, recheck_interval=10 * MINUTE)


def test_a_sound_lamp_is_read_once_a_day() -> None:
    assert wait(after(reading(drive(NORMAL)))) == DAY


def test_an_abnormal_lamp_is_read_again_within_two_minutes_and_then_every_ten() -> None:
    assert wait(after(reading(drive(NORMAL)), reading(drive(CRITICAL)))) <= 2 * MINUTE
    assert wait(after(*[reading(drive(CRITICAL))] * 2)) == 10 * MINUTE
    assert wait(after(*[reading(drive(CRITICAL))] * 2, reading(drive(NORMAL)))) == DAY


def test_an_unreadable_controller_is_read_again_soon_then_every_ten_minutes_then_every_hour() -> None:
    silent = TimedOut("open session")
    assert wait(after(silent)) <= 2 * MINUTE
    assert wait(after(silent, silent)) == 10 * MINUTE
    assert wait(after(silent, silent, step=DAY)) == HOUR


def test_rejected_credentials_are_not_tried_again_soon() -> None:
    assert wait(after(Unauthorized("log-in"))) == 10 * MINUTE


def test_a_shorter_recheck_interval_also_shortens_the_second_look() -> None:
    state = after(reading(drive(CRITICAL)))
    assert next_read(state, interval=MINUTE, recheck_interval=5 * SECOND) == 5 * SECOND


def test_a_read_that_says_the_same_with_other_values_is_routine() -> None:
    warm, warmer = (
        HardwareReading(lamps=(LampReading(Lamp.FAN, "Fan 1", NORMAL, evidence),)) for evidence in ("2a", "2b")
    )
    assert is_routine(after(warm), after(warm, warmer))
    assert is_routine(after(TimedOut("sensors")), after(TimedOut("sensors"), TimedOut("sensors")))


def test_whatever_a_restart_has_to_know_is_not_routine() -> None:
    sound, faulty = reading(drive(NORMAL)), reading(drive(CRITICAL))
    assert not is_routine(SourceState(), after(sound))
    assert not is_routine(after(sound), after(sound, faulty))
    assert not is_routine(after(sound, faulty), after(sound, faulty, faulty))
    assert not is_routine(after(sound), after(sound, reading(drive(NORMAL), drive(NORMAL, "Drive 2"))))
    assert not is_routine(after(sound), after(sound, TimedOut("sensors")))
    assert not is_routine(after(sound), after(sound, HardwareReading(lamps=sound.lamps, locate=True)))


def test_an_event_log_that_overflowed_has_its_lamp_and_leaves_the_servers_verdict_alone() -> None:
    full = reading(drive(NORMAL), LampReading(Lamp.EVENT_LOG, "SEL", WARNING, "SEL info=.. 82"))
    state = after(full, full)
    assert verdict_of(state, "SEL") is WARNING
    assert server_verdict([state]) is NORMAL
    assert abnormal_since([state]) is None
    assert next_read(state, interval=DAY, recheck_interval=10 * MINUTE) == DAY
