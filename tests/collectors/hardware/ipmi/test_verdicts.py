"""What state bits mean: the byte vectors of the specification's tables, and what must never come out of any bytes."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hardware.ipmi import verdicts
from collectors.hardware.ipmi.sdr import Sensor
from collectors.reading import EventLogReading, Lamp, LampReading, Verdict

U, N, W, C = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL
ALL_STATES = 0x7FFF


def discrete(sensor_type: int, event_type: int = 0x6F, states: int = ALL_STATES, entity: int = 7) -> Sensor:
    return Sensor(0x20, 0, 0, 1, entity, 1, sensor_type, event_type, "sensor", states=states)


def threshold(*, thresholds: bool = True, compared: int = 0x3F) -> Sensor:
    return Sensor(0x20, 0, 0, 1, 7, 1, 0x01, 0x01, "sensor", thresholds=thresholds, compared=compared)


def judged(sensor: Sensor, *offsets: int, flags: int = 0xC0) -> LampReading | None:
    states = sum(1 << offset for offset in offsets)
    data = bytes([0, flags, states & 0xFF, states >> 8])
    return verdicts.judge(sensor, "sensor", data, "evidence")


def verdict(sensor: Sensor, *offsets: int) -> Verdict | None:
    lamp = judged(sensor, *offsets)
    assert lamp is not None
    return lamp.verdict


def chassis(status: str, *, proven: bool = True) -> dict[str, Verdict | None]:
    return {lamp.component: lamp.verdict for lamp in verdicts.chassis_lamps(bytes.fromhex(status), proven=proven)}


# --- chassis status (section 28.2) ---


@pytest.mark.parametrize("status", ["01 10 40 70", "01 10 60 70", "01 10 50 70", "01 10 40", "01 00 00 00"])
def test_a_chassis_without_fault_bits_is_normal(status: str) -> None:
    assert set(chassis(status).values()) == {N}


@pytest.mark.parametrize(
    ("status", "lamp", "expected"),
    [
        ("03 00 00 00", "Chassis power", C),
        ("05 00 00 00", "Chassis power", W),
        ("09 00 00 00", "Chassis power", C),
        ("11 00 00 00", "Chassis power", C),
        ("61 00 00 00", "Chassis power", N),
        ("01 1f 00 00", "Chassis power", N),
        ("01 00 01 00", "Chassis intrusion", C),
        ("01 00 02 00", "Chassis intrusion", N),
        ("01 00 04 00", "Chassis drives", C),
        ("01 00 08 00", "Chassis fans", C),
        ("01 00 f3 00", "Chassis drives", N),
    ],
)
def test_each_fault_bit_of_the_chassis_lights_its_own_lamp(status: str, lamp: str, expected: Verdict) -> None:
    found = chassis(status)
    assert found[lamp] == expected
    if expected != N:
        assert {verdict for component, verdict in found.items() if component != lamp} == {N}


def test_clear_bits_of_a_chassis_that_nothing_proves_are_unknown_and_set_ones_are_not() -> None:
    assert set(chassis("01 00 00 00", proven=False).values()) == {U}
    assert chassis("01 00 04 00", proven=False)["Chassis drives"] == C


@pytest.mark.parametrize(
    ("status", "lit"),
    [
        ("01 10 40 70", False),
        ("01 10 50 70", True),
        ("01 10 60 70", True),
        ("01 10 70 70", None),
        ("01 10 00 70", None),
        ("01 10 20 70", None),
    ],
)
def test_the_locate_lamp_counts_only_where_the_bmc_knows_it(status: str, lit: bool | None) -> None:
    assert verdicts.chassis_locate(bytes.fromhex(status)) is lit


# --- threshold sensors ---


@pytest.mark.parametrize(("bit", "expected"), [(0, W), (1, C), (2, C), (3, W), (4, C), (5, C), (6, N), (7, N)])
def test_each_crossed_threshold_has_its_gravity(bit: int, expected: Verdict) -> None:
    assert verdict(threshold(), bit) == expected


def test_the_gravest_crossed_threshold_counts() -> None:
    assert verdict(threshold(), 3, 4) == C


def test_a_measurement_without_limits_is_no_lamp() -> None:
    assert judged(threshold(thresholds=False, compared=0)) is None


def test_a_crossed_threshold_is_believed_whatever_the_record_says() -> None:
    assert verdict(threshold(thresholds=False, compared=0), 4) == C


@pytest.mark.parametrize("data", ["", "00", "00 40", "00 c0", "00 e0 00 00", "00 80 00 00", "00 60 10 00"])
@pytest.mark.parametrize("sensor", [threshold(), discrete(0x08), discrete(0x0D), discrete(0xC0, 0x70)])
def test_what_cannot_be_read_is_unknown(sensor: Sensor, data: str) -> None:
    lamp = verdicts.judge(sensor, "sensor", bytes.fromhex(data), "evidence")
    assert lamp is not None
    assert lamp.verdict == U


# --- discrete sensors: the offsets of tables 42-2 and 42-3 ---

Cases = dict[int, dict[int, Verdict | None]]

SPECIFIC_CASES: Cases = {
    0x05: {0: C, 1: C, 2: C, 3: C, 4: C, 5: C, 6: C, 7: U},
    0x09: {0: N, 1: N, 2: W, 3: W, 4: C, 5: C, 6: C, 7: W, 8: U},
    0x10: {0: C, 1: C, 2: N, 3: C, 4: C, 5: W, 6: C},
    0x12: {0: W, 1: N, 2: C, 3: N, 4: N, 5: W},
    0x13: {0: C, 1: C, 2: C, 3: W, 4: C, 5: C, 6: C, 7: W, 8: C, 9: C, 10: C, 11: W, 12: U},
    0x21: {0: C, 1: N, 2: N, 8: W},
    0x23: {0: W, 1: C, 2: C, 3: C, 8: W},
    0x28: {0: C, 1: C, 2: C, 3: C, 4: C, 5: C, 6: U},
}
FITTED_CASES: Cases = {
    0x07: {0: C, 1: C, 2: C, 3: C, 4: C, 5: C, 6: C, 8: C, 9: N, 10: W, 11: C, 12: W},
    0x08: {1: C, 2: W, 3: C, 4: C, 5: W, 6: C, 7: W},
    0x0C: {0: W, 1: C, 2: C, 3: C, 4: C, 5: W, 7: C, 8: N, 9: W, 10: C},
    0x0D: {1: C, 2: W, 3: N, 4: N, 5: C, 6: C, 7: N, 8: C},
    0x29: {0: W, 1: C},
}
GENERIC_CASES: Cases = {
    0x03: {0: N, 1: W},
    0x04: {0: N, 1: W},
    0x05: {0: N, 1: C},
    0x06: {0: N, 1: C},
    0x07: {0: N, 1: W, 2: C, 3: C, 4: W, 5: C, 6: C, 7: W, 8: N},
    0x08: {0: None, 1: N},
    0x09: {0: N, 1: N},
    0x0A: {0: N, 1: N, 2: N, 3: N, 4: W, 5: N, 6: C, 7: N, 8: C},
    0x0B: {0: N, 1: C, 2: W, 3: W, 4: W, 5: C, 6: W, 7: W},
}


def cases(table: Cases) -> Iterable[tuple[int, int, Verdict | None]]:
    return [(kind, offset, expected) for kind, offsets in table.items() for offset, expected in offsets.items()]


@pytest.mark.parametrize(("kind", "offset", "expected"), cases(SPECIFIC_CASES))
def test_sensor_specific_offsets(kind: int, offset: int, expected: Verdict) -> None:
    assert verdict(discrete(kind), offset) == expected


@pytest.mark.parametrize(("kind", "offset", "expected"), cases(FITTED_CASES))
def test_offsets_of_a_part_that_is_present(kind: int, offset: int, expected: Verdict) -> None:
    assert verdict(discrete(kind), verdicts.PRESENCE[kind], offset) == expected


@pytest.mark.parametrize("kind", verdicts.PRESENCE)
def test_a_present_part_is_normal_and_an_empty_place_has_no_lamp(kind: int) -> None:
    assert verdict(discrete(kind), verdicts.PRESENCE[kind]) == N
    assert verdict(discrete(kind)) is None
    assert verdict(discrete(kind), 1) is None


@pytest.mark.parametrize("kind", verdicts.PRESENCE)
def test_without_a_mask_a_silent_place_is_unknown_and_a_fault_still_a_fault(kind: int) -> None:
    assert verdict(discrete(kind, states=0)) == U
    assert verdict(discrete(kind, states=0), 1) == C


@pytest.mark.parametrize(("kind", "offset", "expected"), cases(GENERIC_CASES))
def test_generic_offsets(kind: int, offset: int, expected: Verdict | None) -> None:
    assert verdict(discrete(0x04, kind), offset) == expected


@pytest.mark.parametrize("sensor_type", [0x07, 0x0C, 0x15])
def test_an_asserted_state_of_processor_memory_and_board_is_critical(sensor_type: int) -> None:
    assert verdict(discrete(sensor_type, 0x03), 1) == C


@pytest.mark.parametrize("event_type", [0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0A, 0x0B])
def test_a_sensor_that_could_say_fine_and_does_not_is_unknown(event_type: int) -> None:
    assert verdict(discrete(0x04, event_type)) == U


@pytest.mark.parametrize("event_type", [0x03, 0x04, 0x05, 0x06, 0x07, 0x0B])
def test_a_sensor_that_can_only_complain_and_does_not_is_normal(event_type: int) -> None:
    assert verdict(discrete(0x04, event_type, states=0x0002)) == N


@pytest.mark.parametrize("sensor_type", [0x05, 0x10, 0x12, 0x13, 0x23, 0x28])
def test_no_event_of_a_sensor_that_reports_events_is_normal(sensor_type: int) -> None:
    assert verdict(discrete(sensor_type)) == N
    assert verdict(discrete(sensor_type, states=0)) == N


def test_entity_presence_speaks_of_places() -> None:
    assert verdict(discrete(0x25), 0) == N
    assert verdict(discrete(0x25), 1) is None
    assert verdict(discrete(0x25), 2) == N
    assert verdict(discrete(0x25)) == U


def test_an_asserted_offset_without_meaning_is_never_normal() -> None:
    assert verdict(discrete(0x08), 0, 14) == U
    assert verdict(discrete(0x08), 0, 1, 14) == C


@pytest.mark.parametrize("sensor", [discrete(0x14), discrete(0x22), discrete(0x2B), discrete(0x04, 0x02)])
def test_buttons_power_states_and_the_like_are_no_lamps(sensor: Sensor) -> None:
    assert judged(sensor, 0) is None


@pytest.mark.parametrize("sensor", [discrete(0xC0), discrete(0x04, 0x70), discrete(0xD1, 0x7F)])
def test_what_only_the_vendor_can_read_is_unknown(sensor: Sensor) -> None:
    assert verdict(sensor, 0) == U


def test_only_eight_states_may_be_told() -> None:
    lamp = verdicts.judge(discrete(0x08), "sensor", bytes.fromhex("00 c0 03"), "evidence")
    assert lamp is not None
    assert lamp.verdict == C


def test_the_reserved_bit_of_the_states_is_ignored() -> None:
    assert verdict(discrete(0x08), 0, 15) == N


@pytest.mark.parametrize(
    ("sensor_type", "entity", "lamp"),
    [
        (0x01, 3, Lamp.TEMPERATURE),
        (0x02, 7, Lamp.VOLTAGE),
        (0x04, 29, Lamp.FAN),
        (0x08, 10, Lamp.POWER_SUPPLY),
        (0x0D, 4, Lamp.DRIVE),
        (0x0C, 32, Lamp.MEMORY),
        (0x07, 3, Lamp.PROCESSOR),
        (0x29, 40, Lamp.BATTERY),
        (0x10, 6, Lamp.EVENT_LOG),
        (0x05, 23, Lamp.INTRUSION),
        (0x25, 10, Lamp.POWER_SUPPLY),
        (0x25, 32, Lamp.MEMORY),
        (0x15, 7, Lamp.OTHER),
    ],
)
def test_lamps_belong_to_the_part_of_their_sensor(sensor_type: int, entity: int, lamp: Lamp) -> None:
    assert verdicts.lamp_of(discrete(sensor_type, entity=entity)) == lamp


def test_what_cannot_be_read_of_an_empty_place_is_absent_too() -> None:
    slot, temperature, other = discrete(0x08, entity=10), threshold(), discrete(0x08, entity=11)
    temperature = Sensor(0x20, 0, 0, 2, 10, 1, 0x01, 0x01, "PSU temperature", thresholds=True)
    lamps = verdicts.without_empty_places(
        [
            (slot, LampReading(Lamp.POWER_SUPPLY, "PSU", None, "")),
            (temperature, LampReading(Lamp.TEMPERATURE, "PSU temperature", U, "")),
            (other, LampReading(Lamp.POWER_SUPPLY, "other PSU", U, "")),
        ]
    )
    assert [lamp.verdict for lamp in lamps] == [None, None, U]


# --- event log ---


@pytest.mark.parametrize(
    ("info", "expected", "reading"),
    [
        ("51 00 00 80 3e 00 00 00 00 00 00 00 00 0a", N, EventLogReading("SEL", 0, 0.0)),
        ("51 64 00 40 06 00 00 00 00 00 00 00 00 02", N, EventLogReading("SEL", 100, 0.5)),
        ("51 64 00 00 00 00 00 00 00 00 00 00 00 82", W, EventLogReading("SEL", 100, 1.0)),
        ("51 64 00 ff ff 00 00 00 00 00 00 00 00 02", N, EventLogReading("SEL", 100, None)),
        ("51 00 00 00 00 00 00 00 00 00 00 00 00 02", N, EventLogReading("SEL", 0, None)),
    ],
)
def test_the_event_log_tells_its_fill_and_its_overflow(info: str, expected: Verdict, reading: EventLogReading) -> None:
    lamp, log = verdicts.event_log(bytes.fromhex(info), proven=True)
    assert (lamp.verdict, log) == (expected, reading)


# --- any bytes at all ---

SENSORS = st.builds(
    Sensor,
    owner=st.just(0x20),
    channel=st.just(0),
    lun=st.integers(0, 3),
    number=st.integers(0, 255),
    entity=st.integers(0, 255),
    instance=st.integers(0, 127),
    type=st.integers(0, 255),
    event_type=st.integers(0, 255),
    name=st.just("sensor"),
    thresholds=st.booleans(),
    compared=st.integers(0, 63),
    states=st.integers(0, ALL_STATES),
)


@given(sensor=SENSORS, data=st.binary(max_size=8))
def test_no_reading_is_normal_unless_the_bmc_calls_it_available(sensor: Sensor, data: bytes) -> None:
    lamp = verdicts.judge(sensor, "sensor", data, "evidence")
    if lamp is not None and lamp.verdict in {N, None}:
        assert len(data) > 2
        assert data[1] & 0x60 == 0x40


@given(status=st.binary(min_size=3, max_size=5), proven=st.booleans())
def test_any_chassis_status_gives_four_lamps(status: bytes, proven: bool) -> None:
    lamps = verdicts.chassis_lamps(status, proven=proven)
    assert len(lamps) == 4
    assert verdicts.chassis_locate(status) in {True, False, None}


@given(info=st.binary(min_size=14, max_size=20))
def test_any_event_log_fill_is_a_ratio(info: bytes) -> None:
    _, log = verdicts.event_log(info, proven=True)
    assert log.used_ratio is None or 0 <= log.used_ratio <= 1
