"""Sensor data records, names and inventory: the formats' corners, and any bytes at all."""

import contextlib
import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyipmi.sdr import SdrFullSensorRecord  # type: ignore[import-untyped]  # has no py.typed

from collectors.hardware.ipmi import identity, sdr, text
from collectors.hardware.ipmi.sdr import Sensor, components, parse
from collectors.reading import Quantity
from tests.peers.ipmi_sim import SENSORS, SimSensor, record, temperature

COMPACT_BODY = struct.Struct("<5B4B3H3BHBB3xB")


def compact(name: bytes, *, sharing: int = 1, modifiers: int = 0, owner: int = 0x20, lun: int = 0) -> bytes:
    """Return a compact record of a drive slot, the name with its type/length byte."""
    body = COMPACT_BODY.pack(
        *(owner, lun, 0x41, 4, 1),
        *(0x63, 0x40, 0x0D, 0x6F),
        *(3, 3, 3),
        *(0xC0, 0, 0),
        *(sharing | modifiers << 8, 0, 0, 0),
    )
    return record(1, 2, body + name)


def only(record_bytes: bytes) -> Sensor:
    (sensor,) = parse(record_bytes)
    return sensor


# --- names (section 43.15) ---


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"\xc7Drive 1", "Drive 1"),
        (b"\xc8D\xe9bit \xb0C", "Débit °C"),
        (b"\x83\x29\xdc\xa6", "IPMI"),
        (b"\x84\x29\xdc\xa6\x38", "IPMIX"),
        (b"\x43\x12\xab\xcd", "12 -.:"),
        (b"\x06Fan 12", "Fan 12"),
        (b"\x08Fan 1\0\0\0", "Fan 1"),
        (b"\x09" + "ファン".encode(), "ファン"),
        (b"\x0a" + "Fan 1".encode("utf-16-le"), "Fan 1"),
        (b"\x08" + "ファン1".encode("utf-16-le"), "ファン1"),
        (b"\x0c" + "Fan\0\0\0".encode("utf-16-le"), "Fan"),
        (b"\x05\xff\xfe\xfd\xfc\xfb", "\ufffd\ufffd\ufffd\ufffd\ufffd"),
        (b"\xc9Fan 1\0\0\0\0", "Fan 1"),
        (b"\xc6A\nB\x1bC ", "A B C"),
        (b"\xc0", "Sensor 65"),
        (b"\xc3\0\0\0", "Sensor 65"),
        (b"\xc9Short", "Short"),
        (b"", "Sensor 65"),
    ],
)
def test_names_are_read_in_every_encoding(field: bytes, name: str) -> None:
    assert only(compact(field)).name == name


def test_six_bit_text_is_packed_least_significant_bits_first() -> None:
    # The example of the FRU storage definition: "IPMI" is 29h DCh A6h.
    assert text.decode(2, bytes.fromhex("29 dc a6")) == "IPMI"


def test_repeated_names_get_their_entity_and_then_their_number() -> None:
    same = {"event_type": 1, "type": 1, "owner": 0x20, "channel": 0, "lun": 0, "name": "Temp"}
    sensors = [
        Sensor(number=1, entity=3, instance=1, **same),  # type: ignore[arg-type]  # the fields of Sensor
        Sensor(number=2, entity=3, instance=2, **same),  # type: ignore[arg-type]  # the fields of Sensor
        Sensor(number=3, entity=7, instance=1, **same),  # type: ignore[arg-type]  # the fields of Sensor
        Sensor(number=4, entity=7, instance=1, **same),  # type: ignore[arg-type]  # the fields of Sensor
    ]
    names = [component for component, _ in components(sensors, ())]
    assert names == ["Temp (3.1)", "Temp (3.2)", "Temp (7.1, 20h/0/3)", "Temp (7.1, 20h/0/4)"]


def test_a_sensor_that_is_called_like_a_chassis_lamp_gets_its_entity() -> None:
    sensor = only(compact(b"\xcdChassis power"))
    assert [component for component, _ in components([sensor], ["Chassis power"])] == ["Chassis power (4.1)"]


@given(st.lists(st.sampled_from(["Temp", "Temp (3.1)", "Temp (3.1, 20h/0/1)", "SEL"]), max_size=12))
def test_components_are_unique_whatever_a_bmc_calls_its_sensors(names: list[str]) -> None:
    sensors = [Sensor(0x20, 0, 0, 1, 3, 1, 1, 1, name) for name in names]
    given_names = [component for component, _ in components(sensors, ["SEL"])]
    assert len({*given_names, "SEL"}) == len(names) + 1


# --- records ---


def test_a_shared_record_describes_each_of_its_sensors() -> None:
    sensors = parse(compact(b"\xc4Bay ", sharing=0x03, modifiers=0x80 | 5))
    assert [(each.name, each.number, each.instance) for each in sensors] == [
        ("Bay5", 0x41, 1),
        ("Bay6", 0x42, 2),
        ("Bay7", 0x43, 3),
    ]


def test_shared_sensors_can_have_letters_and_one_entity() -> None:
    sensors = parse(compact(b"\xc4DIMM", sharing=0x13, modifiers=25))
    assert [(each.name, each.instance) for each in sensors] == [("DIMMZ", 1), ("DIMMAA", 1), ("DIMMAB", 1)]


def test_sensors_on_other_luns_and_controllers_keep_their_place() -> None:
    sensor = only(compact(b"\xc3Far", owner=0x72, lun=0x62))
    assert (sensor.owner, sensor.channel, sensor.lun) == (0x72, 6, 2)


def test_sensors_of_system_software_cannot_be_asked() -> None:
    assert parse(compact(b"\xc3App", owner=0x41)) == ()


@pytest.mark.parametrize("kind", [0x03, 0x08, 0x09, 0x10, 0x11, 0x12, 0x13, 0x14, 0xC0])
def test_records_that_tell_no_present_state_have_no_sensors(kind: int) -> None:
    assert parse(record(1, kind, bytes(range(40)))) == ()


@pytest.mark.parametrize("length", [0, 3, 4, 5, 10, 21])
def test_a_record_cut_short_before_it_says_how_to_read_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="cut short"):
        parse(compact(b"\xc7Drive 1")[:length])


def test_the_masks_of_a_record_say_what_a_sensor_can_tell() -> None:
    limited, unlimited = only(SENSORS[0].record(1)), only(temperature(9, "Free", 1, limits=()).record(1))
    assert (limited.thresholds, limited.compared, limited.states) == (True, 0x3F, 0)
    assert (unlimited.thresholds, unlimited.compared) == (False, 0)
    assert only(compact(b"\xc1X")).states == 3


# --- conversion (section 36.3) ---


def analog(**fields: object) -> sdr.Conversion:
    sensor = SimSensor(1, "X", 0x02, unit=4, **fields)  # type: ignore[arg-type]  # the fields of SimSensor
    conversion = only(sensor.record(1)).conversion
    assert conversion is not None
    return conversion


@pytest.mark.parametrize(
    ("fields", "raw", "value"),
    [
        ({"m": 63, "exponent": -3}, 192, 12.096),
        ({"m": -1, "b": 100}, 30, 70.0),
        ({"m": 1, "b": -512, "b_exponent": -2}, 10, 4.88),
        ({"m": 2, "b": 3, "b_exponent": 2, "exponent": 1}, 5, 3100.0),
        ({"units_1": 0x40}, 0xFE, -1.0),
        ({"units_1": 0x40}, 0xFF, 0.0),
        ({"units_1": 0x80}, 0xFF, -1.0),
        ({"units_1": 0x80}, 0x7F, 127.0),
        ({"linearisation": 8}, 12, 144.0),
        ({"linearisation": 7}, 4, 0.25),
        ({"linearisation": 7}, 0, None),
        ({"linearisation": 1}, 0, None),
        ({"linearisation": 4, "m": 500}, 255, None),
        ({"linearisation": 10, "m": -1}, 4, None),
        ({"linearisation": 11, "m": -1}, 8, -2.0),
    ],
)
def test_readings_are_converted_by_the_records_formula(
    fields: dict[str, object], raw: int, value: float | None
) -> None:
    assert analog(**fields).value(raw) == (None if value is None else pytest.approx(value, abs=1e-12))


def test_values_carry_no_rounding_noise() -> None:
    assert analog(m=61, exponent=-3).value(196) == 11.956


@given(
    m=st.integers(-512, 511),
    b=st.integers(-512, 511),
    b_exponent=st.integers(-8, 7),
    exponent=st.integers(-8, 7),
    data_format=st.sampled_from([0, 0x40, 0x80]),
    linearisation=st.integers(0, 11),
    raw=st.integers(0, 255),
)
def test_conversion_agrees_with_python_ipmi(
    m: int, b: int, b_exponent: int, exponent: int, data_format: int, linearisation: int, raw: int
) -> None:
    sensor = SimSensor(
        1, "X", 0x02, unit=4, units_1=data_format, m=m, b=b, b_exponent=b_exponent, exponent=exponent,
        linearisation=linearisation,
    )  # fmt: skip
    conversion = only(sensor.record(1)).conversion
    assert conversion is not None
    ours = conversion.value(raw)
    try:
        theirs = SdrFullSensorRecord(sensor.record(1)).convert_sensor_raw_to_value(raw)
    except (ValueError, ZeroDivisionError, OverflowError):
        # It has no cube root of negative numbers.
        assert ours is None or linearisation == 11
        return
    if ours is None:
        assert not math.isfinite(theirs)
    else:
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(
    ("unit", "raw", "quantity", "value"),
    [
        (1, 40, Quantity.TEMPERATURE, 40.0),
        (2, 104, Quantity.TEMPERATURE, 40.0),
        (3, 250, Quantity.TEMPERATURE, -23.15),
        (4, 12, Quantity.VOLTAGE, 12.0),
        (5, 3, Quantity.CURRENT, 3.0),
        (6, 200, Quantity.POWER, 200.0),
        (18, 90, Quantity.FAN_SPEED, 90.0),
    ],
)
def test_units_become_those_of_the_quantity(unit: int, raw: int, quantity: Quantity, value: float) -> None:
    conversion = only(SimSensor(1, "X", 0x01, unit=unit).record(1)).conversion
    assert conversion is not None
    assert (conversion.quantity, conversion.value(raw)) == (quantity, value)


@pytest.mark.parametrize(
    ("sensor_type", "unit", "units_1"), [(0x01, 1, 0xC0), (0x01, 1, 0x02), (0x0B, 17, 0), (0x07, 0, 0x01)]
)
def test_what_is_no_quantity_of_ours_has_no_value(sensor_type: int, unit: int, units_1: int) -> None:
    assert only(SimSensor(1, "X", sensor_type, unit=unit, units_1=units_1).record(1)).conversion is None


def test_a_fans_percentage_is_a_ratio() -> None:
    conversion = only(SimSensor(1, "X", 0x04, units_1=0x01, m=392, exponent=-3).record(1)).conversion
    assert conversion is not None
    assert conversion.quantity is Quantity.FAN_SPEED_RATIO
    assert conversion.value(39) == pytest.approx(0.15288)


# --- any bytes at all ---


@given(head=st.sampled_from([1, 2, 3, 0x11, 0xC0]), body=st.binary(max_size=80))
def test_any_record_is_parsed_or_refused_and_every_sensor_can_be_converted(head: int, body: bytes) -> None:
    try:
        sensors = parse(record(1, head, body))
    except ValueError:
        return
    for sensor in sensors:
        assert sensor.name
        assert sensor.name.isprintable()
        if sensor.conversion is not None:
            for raw in (0, 1, 127, 128, 255):
                value = sensor.conversion.value(raw)
                assert value is None or math.isfinite(value)


@given(st.binary(max_size=80))
def test_any_bytes_are_a_record_or_refused(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        parse(data)


@given(area=st.binary(max_size=120))
def test_any_inventory_area_is_read_without_harm(area: bytes) -> None:
    for product in (identity.parse_board(area), identity.parse_product(area)):
        assert (product.manufacturer + product.model + product.serial).isprintable()


@given(header=st.binary(max_size=10))
def test_any_inventory_header_is_taken_or_refused(header: bytes) -> None:
    try:
        board, product = identity.area_offsets(header)
    except ValueError:
        return
    assert board % 8 == product % 8 == 0


# --- device id ---


@pytest.mark.parametrize(
    ("data", "maker", "firmware"),
    [
        ("20 01 02 43 02 9f a2 02 00 00 01", "Dell", "2.43"),
        ("20 81 82 05 02 df 0b 00 00 00 20 aa bb cc dd", "HP", "2.05"),
        ("20 01 09 08 02 bf 80 28 00 00 01", "Fujitsu", "9.08"),
        ("20 01 01 00 02 bf ff ff 0f 00 01", "", "1.00"),
    ],
)
def test_device_id_names_maker_and_firmware(data: str, maker: str, firmware: str) -> None:
    device = identity.parse_device(bytes.fromhex(data))
    assert (device.maker, device.firmware) == (maker, firmware)
