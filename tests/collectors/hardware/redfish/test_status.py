"""What Redfish's words mean, one by one: by the schemas' enumerations, and by what services send instead."""

from typing import Any

import pytest

from collectors.hardware.redfish import status
from collectors.hardware.redfish.documents import Resource, evidence, printable
from collectors.hardware.redfish.parts import Log
from collectors.hardware.redfish.resources import chassis, drive, log, manager, sensor, supply, system
from collectors.reading import Lamp, Quantity, Verdict

NORMAL, WARNING, CRITICAL, UNKNOWN = Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN


def resource(**data: Any) -> Resource:
    return Resource("/redfish/v1/Chassis/1/X/1", data)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"State": "Enabled", "Health": "OK"}, NORMAL),
        ({"Health": "OK"}, NORMAL),
        ({"State": None, "Health": "Warning"}, WARNING),
        ({"State": "Enabled", "Health": "Critical"}, CRITICAL),
        ({"State": "enabled", "Health": ' "critical" '}, CRITICAL),
        ({"State": "Enabled", "Health": "Degraded"}, WARNING),
        ({"State": "Enabled", "Health": "GoodInUse"}, NORMAL),
        ({"State": "StandbySpare", "Health": "OK"}, NORMAL),
        ({"State": "Updating", "Health": "OK"}, NORMAL),
        ({"State": "Absent"}, None),
        ({"State": "Absent", "Health": "Critical"}, None),
        ({"State": "Disabled"}, None),
        ({"State": "Disabled", "Health": "Critical"}, None),
        ({"State": "StandbyOffline", "Health": "OK"}, None),
        ({"State": "UnavailableOffline", "Health": "OK"}, UNKNOWN),
        ({"State": "UnavailableOffline", "Health": "Critical"}, CRITICAL),
        ({"State": "Enabled"}, UNKNOWN),
        ({"State": "Enabled", "Health": None}, UNKNOWN),
        ({"State": "Enabled", "Health": "Fine"}, UNKNOWN),
        ({"State": "Enabled", "Health": 0}, UNKNOWN),
        ({"State": "Levitating", "Health": "OK"}, UNKNOWN),
        ({"State": 7, "Health": "OK"}, UNKNOWN),
        ("OK", NORMAL),
        ("Critical", CRITICAL),
        ("Absent", None),
        ("Enabled", UNKNOWN),
        ({}, UNKNOWN),
        (None, UNKNOWN),
        ([], UNKNOWN),
        (7, UNKNOWN),
    ],
)
def test_a_status_is_judged_by_presence_then_by_health(said: object, verdict: Verdict | None) -> None:
    assert status.judged(said) is verdict


@pytest.mark.parametrize(
    ("health", "verdict"), [("OK", None), (None, None), ("Warning", WARNING), ("Critical", CRITICAL)]
)
def test_the_fault_of_a_server_that_is_switched_off_counts(health: str | None, verdict: Verdict | None) -> None:
    assert status.judged({"State": "Disabled", "Health": health}, whole=True) is verdict


@pytest.mark.parametrize(
    ("said", "lit"),
    [
        ({"LocationIndicatorActive": True, "IndicatorLED": "Off"}, True),
        ({"LocationIndicatorActive": False, "IndicatorLED": "Lit"}, False),
        ({"LocationIndicatorActive": None, "IndicatorLED": "Blinking"}, True),
        ({"IndicatorLED": "Off"}, False),
        ({"IndicatorLED": "Unknown"}, None),
        ({"IndicatorLED": None}, None),
        ({}, None),
        ({"LocationIndicatorActive": "yes"}, None),
    ],
)
def test_the_new_locate_property_comes_before_the_old(said: dict[str, object], lit: bool | None) -> None:
    assert status.locate(said) is lit


def test_a_lit_locate_lamp_is_no_fault() -> None:
    (part,) = system(resource(Status={"State": "Enabled", "Health": "OK"}, IndicatorLED="Lit"))
    assert (part.verdict, part.locate) == (NORMAL, True)


@pytest.mark.parametrize(
    ("said", "verdict"),
    [
        ({"Status": {"Health": "OK"}, "FailurePredicted": False}, NORMAL),
        ({"Status": {"Health": "OK"}, "FailurePredicted": True}, WARNING),
        ({"Status": {"Health": "OK"}, "FailurePredicted": "True"}, WARNING),
        ({"Status": {"Health": "Critical"}, "FailurePredicted": True}, CRITICAL),
        ({"Status": {"Health": "OK"}, "StatusIndicator": "Rebuild"}, WARNING),
        ({"Status": {"Health": "OK"}, "StatusIndicator": "PredictiveFailureAnalysis"}, WARNING),
        ({"Status": {"Health": "OK"}, "StatusIndicator": "Fail"}, CRITICAL),
        ({"Status": {"Health": "OK"}, "StatusIndicator": "InACriticalArray"}, CRITICAL),
        ({"Status": {"Health": "OK"}, "StatusIndicator": "InAFailedArray"}, CRITICAL),
        ({"Status": {"Health": "OK"}, "StatusIndicator": None}, NORMAL),
        ({"Status": {"Health": None}, "StatusIndicator": "Hotspare"}, NORMAL),
        ({"Status": {"Health": None}, "FailurePredicted": False}, UNKNOWN),
        ({"Status": {"State": "Absent"}, "FailurePredicted": True, "StatusIndicator": "Fail"}, None),
    ],
)
def test_a_drive_is_as_bad_as_the_worst_it_says(said: dict[str, object], verdict: Verdict | None) -> None:
    assert drive(resource(**said), "").verdict is verdict


@pytest.mark.parametrize(
    ("word", "verdict"),
    [("Normal", NORMAL), ("HardwareIntrusion", CRITICAL), ("TamperingDetected", CRITICAL), ("Odd", UNKNOWN)],
)
def test_an_open_chassis_is_intrusion(word: str, verdict: Verdict) -> None:
    parts = chassis(resource(Name="Box", Status={"Health": "OK"}, PhysicalSecurity={"IntrusionSensor": word}))
    (intrusion,) = (part for part in parts if part.lamp is Lamp.INTRUSION)
    assert (intrusion.name, intrusion.verdict) == ("Box intrusion", verdict)


def test_a_chassis_without_intrusion_sensor_has_no_such_lamp() -> None:
    parts = chassis(resource(Status={"Health": "OK"}, PhysicalSecurity={"IntrusionSensor": None}))
    assert [part.lamp for part in parts] == [Lamp.SYSTEM]


@pytest.mark.parametrize(("word", "verdict"), [("Normal", UNKNOWN), ("LossOfInput", CRITICAL), ("OutOfRange", WARNING)])
def test_current_alone_does_not_make_a_supply_well(word: str, verdict: Verdict) -> None:
    assert supply(resource(Status={"Health": None}, LineInputStatus=word), "").verdict is verdict


@pytest.mark.parametrize(
    ("said", "quantity", "value", "lamp"),
    [
        ({"ReadingUnits": "Cel", "Reading": 22.5}, Quantity.TEMPERATURE, 22.5, Lamp.TEMPERATURE),
        ({"ReadingUnits": "RPM", "Reading": 5000}, Quantity.FAN_SPEED, 5000.0, Lamp.FAN),
        ({"ReadingUnits": "{rev}/min", "Reading": 5000}, Quantity.FAN_SPEED, 5000.0, Lamp.FAN),
        ({"ReadingUnits": "%", "Reading": 50, "Name": "Fan 1"}, Quantity.FAN_SPEED_RATIO, 0.5, Lamp.FAN),
        ({"ReadingUnits": "V", "Reading": 12}, Quantity.VOLTAGE, 12.0, Lamp.VOLTAGE),
        ({"ReadingUnits": "A", "Reading": 2}, Quantity.CURRENT, 2.0, Lamp.POWER),
        ({"ReadingUnits": "W", "Reading": 200}, Quantity.POWER, 200.0, Lamp.POWER),
    ],
)
def test_sensors_are_measured_in_our_units(said: dict[str, Any], quantity: Quantity, value: float, lamp: Lamp) -> None:
    part = sensor(resource(Status={"State": "Enabled", "Health": "OK"}, **said), "")
    assert (part.lamp, part.values) == (lamp, ((quantity, value),))


@pytest.mark.parametrize("reading", [None, "22", True, float("inf"), 10**400, []])
def test_what_is_no_number_is_no_measurement(reading: object) -> None:
    assert sensor(resource(ReadingUnits="Cel", Reading=reading), "").values == ()


def test_a_sensor_without_status_measures_and_is_no_lamp() -> None:
    part = sensor(resource(ReadingUnits="Cel", Reading=22), "")
    assert (part.lamp, part.values) == (None, ((Quantity.TEMPERATURE, 22.0),))


@pytest.mark.parametrize(
    ("count", "policy", "verdict", "lamp"),
    [
        (10, "WrapsWhenFull", UNKNOWN, None),
        (10, "NeverOverWrites", WARNING, Lamp.EVENT_LOG),
        (9, "NeverOverWrites", UNKNOWN, None),
    ],
)
def test_a_full_log_that_loses_what_comes_is_a_warning(
    count: int, policy: str, verdict: Verdict, lamp: Lamp | None
) -> None:
    part = log(resource(MaxNumberOfRecords=10, OverWritePolicy=policy), {"Members@odata.count": count})
    assert (part.verdict, part.lamp) == (verdict, lamp)


@pytest.mark.parametrize(
    ("count", "policy", "most"), [(9, "WrapsWhenFull", 10), (10, "WrapsWhenFull", None), (10, "", 10)]
)
def test_the_fill_of_a_log_that_has_wrapped_says_nothing(count: int, policy: str, most: int | None) -> None:
    part = log(resource(MaxNumberOfRecords=10, OverWritePolicy=policy), {"Members@odata.count": count})
    assert part.log == Log(count, most)


@pytest.mark.parametrize(("count", "most"), [(None, 10), ("3", 10), (-1, 10), (True, 10)])
def test_a_log_that_does_not_count_has_no_fill(count: object, most: object) -> None:
    assert log(resource(MaxNumberOfRecords=most), {"Members@odata.count": count}).log is None


def test_a_roll_up_that_is_worse_than_its_own_health_is_told_apart() -> None:
    parts = list(manager(resource(Name="BMC", Status={"State": "Enabled", "Health": "OK", "HealthRollup": "Critical"})))
    assert [part.verdict for part in parts] == [NORMAL, CRITICAL]


def test_the_lamp_of_a_system_shows_its_roll_up() -> None:
    (part,) = system(resource(Status={"State": "Enabled", "Health": "OK", "HealthRollup": "Warning"}))
    assert part.verdict is WARNING


def test_evidence_of_a_bottomless_value_is_told_as_cut() -> None:
    value: list[object] = []
    for _ in range(100_000):
        value = [value]
    assert evidence("/redfish/v1/x", {"Status": value}, "Status") == "/redfish/v1/x Status=..."


def test_evidence_is_one_printable_line_of_bounded_length() -> None:
    told = evidence("/redfish/v1/x", {"Status": {"Health": "\ud800\n" * 500, "Conditions": ["x"] * 500}}, "Status")
    assert told.isprintable()
    assert len(told) <= 403
    assert "Conditions" not in told
    assert printable("  a\r\nb \x00") == "a  b"
