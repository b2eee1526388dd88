"""Each vendor's enums by its MIB, its quirks, and how its agents are recognised. No value beyond an enum is normal."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.hardware.snmp import detect, mib
from collectors.hardware.snmp.mib import Row, Table, Value, Vendor, meaning_of
from collectors.hardware.snmp.vendors import (
    GENERIC,
    VENDORS,
    cisco,
    dell,
    dell_mx,
    dell_omsa,
    entity,
    fujitsu,
    hpe,
    huawei,
    ibm,
    insyde,
    lenovo,
    oracle,
    superdoctor,
    supermicro,
    ups,
)
from collectors.reading import Lamp, Quantity, SensorReading, Verdict
from tests.collectors.hardware.snmp.told import told, values, verdicts

U, N, W, C = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL
A = None
"""Absent."""

EVERY = (*VENDORS, *GENERIC)

# --- who it is ---


@pytest.mark.parametrize(
    ("system", "vendor"),
    [
        ("1.3.6.1.4.1.674.10892.5", dell.VENDOR),
        (".1.3.6.1.4.1.674.10892.2", dell.VENDOR),
        ("1.3.6.1.4.1.674.10892.6", dell_mx.VENDOR),
        ("1.3.6.1.4.1.674.10892.1", dell_omsa.VENDOR),
        ("1.3.6.1.4.1.232.9.4.10", hpe.VENDOR),
        ("1.3.6.1.4.1.232.9.4.12", hpe.VENDOR),
        ("1.3.6.1.4.1.2.3.51.3", ibm.VENDOR),
        ("1.3.6.1.4.1.19046.11.1", lenovo.VENDOR),
        ("1.3.6.1.4.1.231.1.28.1", fujitsu.VENDOR),
        ("1.3.6.1.4.1.21317", supermicro.VENDOR),
        ("1.3.6.1.4.1.9.1.2178", cisco.VENDOR),
        ("1.3.6.1.4.1.42.2.200.2.1.1", oracle.VENDOR),
        (".1.3.6.1.4.1.2011.2.235", huawei.VENDOR),
        ("1.3.6.1.4.1.8072.3.2.10", None),
        ("1.3.6.1.4.1.9.1.21780", None),
        ("1.3.6.1.4.1.2311.1", None),
        ("", None),
    ],
)
def test_sysobjectid_names_the_vendor(system: str, vendor: Vendor | None) -> None:
    assert detect.by_system(system) is vendor


@pytest.mark.parametrize(
    ("description", "vendor"),
    [
        ("Dell Out-of-band SNMP Agent for Remote Access Controller", dell.VENDOR),
        ("Integrated Lights-Out 5 2.71 Jul 04 2022", hpe.VENDOR),
        ("Primergy iRMC S4 Mon Oct 31 12:36:04 CET 2016", fujitsu.VENDOR),
        ("FUJITSU Out-of-band agent", fujitsu.VENDOR),
        ("Cisco Integrated Management Controller(Cisco IMC)", cisco.VENDOR),
        ("Linux host 6.1", None),
    ],
)
def test_sysdescr_names_the_vendor_where_sysobjectid_does_not(description: str, vendor: Vendor | None) -> None:
    assert detect.by_description(description) is vendor


def test_names_of_vendors_and_their_single_objects_are_unique() -> None:
    assert len({vendor.name for vendor in EVERY}) == len(EVERY)
    for vendor in EVERY:
        components = [scalar.component for scalar in vendor.scalars]
        assert len(set(components)) == len(components), vendor.name
        entries = [table.entry for table in vendor.tables]
        assert len(set(entries)) == len(entries), vendor.name


def test_the_vendor_in_the_guide_for_contributors_is_one() -> None:
    guide = (Path(__file__).parents[4] / "CONTRIBUTING.md").read_text("utf-8")
    found = re.search(r"## Add a vendor by SNMP.*?```python\n(.*?)```", guide, re.DOTALL)
    assert found
    names: dict[str, Any] = {**vars(mib), "Lamp": Lamp}
    exec(found[1], names)
    tree: dict[str, Value] = {"1.3.6.1.4.1.99999.2.1.0": 2, "1.3.6.1.4.1.99999.2.2.1.3.1": 1}
    assert verdicts(names["VENDOR"], tree) == {"Overall": W, "Fan 1": N}


# --- Dell ---

IDRAC = dell.IDRAC


def test_dell_status_and_probe_enums() -> None:
    assert values(dell.VENDOR, f"{IDRAC}.4.600.50.1", 5, range(9)) == {
        0: U,
        1: U,
        2: U,
        3: N,
        4: W,
        5: C,
        6: C,
        7: U,
        8: U,
    }
    assert values(dell.VENDOR, f"{IDRAC}.4.700.20.1", 5, range(12)) == {
        0: U,
        1: U,
        2: U,
        3: N,
        4: W,
        5: C,
        6: C,
        7: W,
        8: C,
        9: C,
        10: C,
        11: U,
    }
    assert values(dell.VENDOR, f"{IDRAC}.4.700.10.1", 5, range(1, 9)) == {
        1: U,
        2: U,
        3: N,
        4: W,
        5: W,
        6: N,
        7: U,
        8: U,
    }
    assert values(dell_omsa.VENDOR, f"{dell_omsa.OMSA}.600.50.1", 5, [3, 7]) == {3: N, 7: A}


def test_dell_roll_ups_and_parts_are_both_told() -> None:
    found = verdicts(
        dell.VENDOR,
        {
            f"{IDRAC}.2.1.0": 3,
            f"{IDRAC}.4.200.10.1.9.1": 4,
            f"{IDRAC}.4.200.10.1.6.1": 6,
            f"{IDRAC}.4.600.12.1.5.1.1": 5,
            f"{IDRAC}.4.600.12.1.8.1.1": b"PS1 Status",
        },
    )
    assert found == {"System": N, "Power supplies": W, "Power redundancy": N, "PS1 Status": C}


@pytest.mark.parametrize(
    ("status", "bits", "verdict"),
    [
        (3, 1, N),
        (3, 0, A),
        (3, 1 | 2, C),
        (3, 1 | 4, W),
        (3, 1 | 8, C),
        (3, 1 | 16, C),
        (3, 1 | 32, W),
        (3, 1 | 64, C),
        (5, 1, C),
        (3, 128, U),
        (2, 1, U),
    ],
)
def test_dell_power_supply_sensor_bits_add_to_its_status(status: int, bits: int, verdict: Verdict | None) -> None:
    entry = f"{IDRAC}.4.600.12.1"
    assert list(verdicts(dell.VENDOR, {f"{entry}.5.1.1": status, f"{entry}.11.1.1": bits}).values()) == [verdict]


@pytest.mark.parametrize(
    ("state", "alert", "verdict"),
    [(3, 0, N), (2, 0, N), (4, 0, W), (7, 0, C), (9, 0, A), (3, 1, W), (3, 5, U), (11, 0, U)],
)
def test_dell_drives_count_their_state_and_smart_alert(state: int, alert: int, verdict: Verdict | None) -> None:
    entry = f"{IDRAC}.5.1.20.130.4.1"
    tree: dict[str, Value] = {
        f"{entry}.24.1": 3,
        f"{entry}.4.1": state,
        f"{entry}.31.1": alert,
        f"{entry}.2.1": b"Disk 0:1:0",
    }
    assert verdicts(dell.VENDOR, tree) == {"Disk 0:1:0": verdict}


def test_dell_intrusion_locate_and_power() -> None:
    entry = f"{IDRAC}.4.300.70.1"
    assert verdicts(dell.VENDOR, {f"{entry}.5.1.1": 3, f"{entry}.6.1.1": 2}) == {"Intrusion 1.1": C}
    assert told(dell.VENDOR, {f"{IDRAC}.4.300.10.1.29.1": 10}).locate is True
    assert told(dell.VENDOR, {f"{IDRAC}.4.300.10.1.29.1": 2}).locate is False
    assert [told(dell.VENDOR, {f"{IDRAC}.2.4.0": power}).power for power in (4, 3, 2)] == [True, False, None]


def test_dell_amperage_probes_measure_amperes_or_watts() -> None:
    entry = f"{IDRAC}.4.600.30.1"
    tree: dict[str, Value] = {
        f"{entry}.5.1.1": 3,
        f"{entry}.6.1.1": 8,
        f"{entry}.7.1.1": 23,
        f"{entry}.5.1.2": 3,
        f"{entry}.6.1.2": 198,
        f"{entry}.7.1.2": 26,
        f"{entry}.8.1.2": b"Pwr Consumption",
    }
    assert told(dell.VENDOR, tree).sensors == (
        SensorReading(Quantity.CURRENT, "Current 1.1", 0.8),
        SensorReading(Quantity.POWER, "Pwr Consumption", 198),
    )


def test_dell_cmc_and_mx_chassis() -> None:
    assert verdicts(dell.VENDOR, {f"{dell.RAC}.3.1.6.0": 5}) == {"CMC: fans": C}
    assert verdicts(dell_mx.VENDOR, {f"{dell_mx.MM}.2.1.0": 4, f"{dell_mx.MM}.4.2.1.8.1.1": 3}) == {
        "Chassis": W,
        "Power supply 1.1": N,
    }


# --- HPE ---

H = hpe.CPQ


def test_hpe_conditions() -> None:
    for oid in (f"{H}.6.1.3.0", f"{H}.6.2.9.1.0", f"{H}.6.2.11.2.0"):
        found = [next(iter(verdicts(hpe.VENDOR, {oid: value}).values())) for value in range(6)]
        assert found == [U, U, N, W, C, U]


@pytest.mark.parametrize(
    ("condition", "present", "redundant", "verdict"),
    [(2, 3, 2, N), (1, 2, 2, A), (4, 3, 3, C), (3, 3, 3, W), (1, 3, 3, U), (2, 9, 3, U)],
)
def test_hpe_fans_are_judged_by_condition_and_presence_and_never_by_redundancy(
    condition: int, present: int, redundant: int, verdict: Verdict | None
) -> None:
    entry = f"{H}.6.2.6.7.1"
    tree = {f"{entry}.9.0.1": condition, f"{entry}.4.0.1": present, f"{entry}.7.0.1": redundant, f"{entry}.3.0.1": 3}
    assert verdicts(hpe.VENDOR, tree) == {"Fan 1 system": verdict}


@pytest.mark.parametrize(
    ("condition", "status", "verdict"),
    [(2, 4, N), (1, 2, A), (3, 11, W), (2, 3, N), (2, 9, W), (1, 4, U), (2, 77, U)],
)
def test_hpe_memory_modules(condition: int, status: int, verdict: Verdict | None) -> None:
    entry = f"{H}.6.2.14.13.1"
    tree: dict[str, Value] = {f"{entry}.20.5": condition, f"{entry}.19.5": status, f"{entry}.13.5": b"PROC 1 DIMM 6"}
    assert verdicts(hpe.VENDOR, tree) == {"PROC 1 DIMM 6": verdict}


def test_hpe_drives_and_supplies() -> None:
    drive, supply = f"{H}.3.2.5.1.1", f"{H}.6.2.9.3.1"
    for (condition, status, smart), verdict in {
        (2, 2, 2): N,
        (2, 2, 1): N,
        (2, 2, 3): W,
        (3, 4, 2): W,
        (4, 3, 2): C,
        (2, 8, 2): W,
        (2, 77, 2): U,
    }.items():
        tree = {f"{drive}.37.0.1": condition, f"{drive}.6.0.1": status, f"{drive}.57.0.1": smart}
        assert verdicts(hpe.VENDOR, tree) == {"Drive 0.1": verdict}
    for (condition, present, status), expected in {(2, 3, 1): N, (2, 2, 1): A, (3, 3, 2): C, (2, 3, 99): U}.items():
        tree = {f"{supply}.4.0.2": condition, f"{supply}.3.0.2": present, f"{supply}.5.0.2": status}
        assert verdicts(hpe.VENDOR, tree) == {"Power supply 2": expected}


def test_hpe_health_array_and_uid() -> None:
    found = verdicts(hpe.VENDOR, {f"{H}.11.2.10.7.0": bytes([2, 3, 0, 1, 4])})
    assert found == {
        "Health array: system": N,
        "Health array: total": W,
        "Health array: memory": U,
        "Health array: cooling": C,
    }
    lit = [told(hpe.VENDOR, {f"{H}.6.2.12.3.0": value}).locate for value in range(1, 7)]
    assert lit == [None, None, True, False, True, None]


# --- Lenovo and IBM ---


@pytest.mark.parametrize("vendor", [lenovo.VENDOR, ibm.VENDOR])
def test_lenovo_health_is_not_ordered_and_its_texts_vary_in_case(vendor: Vendor) -> None:
    tree = vendor.subtrees[0]
    found = [next(iter(verdicts(vendor, {f"{tree}.4.1.0": value}).values())) for value in (0, 1, 2, 3, 4, 255, 256)]
    assert found == [C, U, C, U, W, N, U]
    for text, verdict in {
        b"Normal": N,
        b'"Normal"': N,
        b" normal ": N,
        b"Warning": W,
        b"nonCritical": W,
        b"critical": C,
        b"NonRecoverable": C,
        b"Error": C,
        b"Anonymized 155": U,
        b"": U,
        b"Norma": U,
    }.items():
        assert list(verdicts(vendor, {f"{tree}.1.2.1.11.1": text}).values()) == [verdict]


def test_lenovo_lights_and_fan_speeds() -> None:
    entry, fan = f"{lenovo.XCC}.8.2.1", f"{lenovo.XCC}.3.2.1"
    tree: dict[str, Value] = {}
    for row, (label, state) in enumerate(((b"Fault", 1), (b"Check Log", 2), (b"Identify", 2), (b"Power", 1)), 1):
        tree |= {f"{entry}.4.{row}": label, f"{entry}.5.{row}": state, f"{entry}.6.{row}": b"Amber"}
    found = told(lenovo.VENDOR, tree)
    assert {lamp.component: lamp.verdict for lamp in found.lamps} == {"Fault light": C, "Check Log light": W}
    assert found.locate is True
    for text, value in ((b" 24% of maximum", [0.24]), (b"56 %", [0.56]), (b"offline", []), (b"Unavailable", [])):
        tree = {f"{fan}.10.1": b"Normal", f"{fan}.2.1": b"Fan 1 Tach", f"{fan}.3.1": text}
        assert [sensor.value for sensor in told(lenovo.VENDOR, tree).sensors] == value
    power = [told(lenovo.VENDOR, {"1.3.6.1.4.1.19046.11.1.5.1.1.0": value}).power for value in (255, 0, 1)]
    assert power == [True, False, None]


# --- Fujitsu ---

F = fujitsu.SC2


def test_fujitsu_enums() -> None:
    assert values(fujitsu.VENDOR, f"{F}.8.3.1", 8, range(8)) == {0: U, 1: U, 2: N, 3: N, 4: W, 5: C, 6: A, 7: U}
    assert values(fujitsu.VENDOR, f"{F}.5.1.1", 5, range(11)) == {
        0: U,
        1: U,
        2: U,
        3: N,
        4: W,
        5: C,
        6: W,
        7: C,
        8: N,
        9: W,
        10: U,
    }
    assert values(fujitsu.VENDOR, f"{F}.5.2.1", 5, range(10)) == {
        0: U,
        1: U,
        2: U,
        3: N,
        4: C,
        5: W,
        6: W,
        7: U,
        8: A,
        9: U,
    }
    assert values(fujitsu.VENDOR, f"{F}.6.2.1", 5, range(15)) == {
        0: U,
        1: U,
        2: A,
        3: N,
        4: C,
        5: C,
        6: C,
        7: C,
        8: U,
        9: W,
        10: C,
        11: N,
        12: C,
        13: C,
        14: U,
    }
    assert values(fujitsu.VENDOR, f"{F}.6.3.1", 4, range(9)) == {0: U, 1: U, 2: U, 3: N, 4: C, 5: C, 6: C, 7: W, 8: U}
    assert values(fujitsu.VENDOR, f"{F}.6.4.1", 4, range(10)) == {
        0: U,
        1: U,
        2: A,
        3: N,
        4: N,
        5: C,
        6: C,
        7: U,
        8: W,
        9: U,
    }
    assert values(fujitsu.VENDOR, f"{F}.6.5.1", 4, range(12)) == {
        0: U,
        1: U,
        2: A,
        3: N,
        4: N,
        5: C,
        6: C,
        7: W,
        8: N,
        9: N,
        10: N,
        11: U,
    }


def test_fujitsu_identify_is_no_fault_and_the_housing_is_watched() -> None:
    entry = f"{F}.8.3.1"
    found = told(
        fujitsu.VENDOR, {f"{entry}.8.1.1": 3, f"{entry}.3.1.1": b"DIMM-1A", f"{entry}.4.1.1": b"Memory Device"}
    )
    assert [(lamp.lamp, lamp.component, lamp.verdict) for lamp in found.lamps] == [(Lamp.MEMORY, "DIMM-1A light", N)]
    assert found.locate is True
    for value, verdict in {1: U, 2: C, 3: N, 4: W, 5: U}.items():
        assert verdicts(fujitsu.VENDOR, {f"{F}.2.3.1.12.1": value}) == {"Housing": verdict}
    assert [told(fujitsu.VENDOR, {f"{F}.4.2.1.2.1": value}).power for value in (3, 2, 1)] == [True, False, None]


# --- Supermicro ---

ATEN = supermicro.ATEN


def sensor(name: str, reading: str, limits: tuple[int, ...] = (0, 0, 0, 0, 0, 0)) -> dict[str, Value]:
    """A row of Supermicro's sensor table; limits as in the MIB: lnr, lcr, lnc, unc, ucr, unr."""
    cells: dict[int, str] = {13: name, 2: reading}
    cells |= {7: str(limits[0]), 6: str(limits[1]), 5: str(limits[2])}
    cells |= {8: str(limits[3]), 9: str(limits[4]), 10: str(limits[5])}
    return {f"{ATEN}.3.1.{column}.1": text.encode() for column, text in cells.items()}


@pytest.mark.parametrize(
    ("row", "verdict"),
    [
        (sensor("CPU Temp", "46.000", (0, 0, 0, 80, 85, 90)), N),
        (sensor("CPU Temp", "80.000", (0, 0, 0, 80, 85, 90)), W),
        (sensor("CPU Temp", "86", (0, 0, 0, 80, 85, 90)), C),
        (sensor("FAN1", "3600.000", (300, 500, 700, 25300, 25400, 25500)), N),
        (sensor("FAN1", "600.000", (300, 500, 700, 25300, 25400, 25500)), W),
        (sensor("FAN1", "0.000", (300, 500, 700, 25300, 25400, 25500)), C),
        (sensor("FAN2", "0.000"), A),
        (sensor("PS1 Status", "1"), N),
        (sensor("PS1 Status", "3"), C),
        (sensor("PS2 Status", "0"), A),
        (sensor("Chassis Intru", "0"), N),
        (sensor("Chassis Intru", "1"), C),
        (sensor("VBAT", "4"), N),
        (sensor("VBAT", "1"), W),
        (sensor("VBAT", "0"), U),
        (sensor("12V", "N/A", (10, 10, 11, 13, 14, 14)), U),
    ],
)
def test_supermicro_readings_are_compared_with_their_limits(row: dict[str, Value], verdict: Verdict | None) -> None:
    assert list(verdicts(supermicro.VENDOR, row).values()) == [verdict]


def test_supermicro_without_names_or_limits_tells_nothing_and_its_lights_are_told_apart() -> None:
    nothing = {f"{ATEN}.3.1.2.{row}": b"48.000" for row in range(1, 20)}
    assert told(supermicro.VENDOR, nothing).lamps == ()
    assert told(supermicro.VENDOR, {f"{ATEN}.10.0": 1, f"{ATEN}.4.0": 1}).locate is True
    assert told(supermicro.VENDOR, {f"{ATEN}.4.0": b"0"}).power is False
    assert values(supermicro.VENDOR, f"{ATEN}.14.2.1", 2, range(3)) == {0: C, 1: N, 2: U}


def test_superdoctor_compares_where_its_agent_has_no_status() -> None:
    entry = f"{superdoctor.HEALTH}.1.1.1.1"
    base: dict[str, Value] = {f"{entry}.2.1": b"CPU temperature", f"{entry}.3.1": 2, f"{entry}.4.1": 40}
    limits: dict[str, Value] = {f"{entry}.5.1": 75, f"{entry}.6.1": 0, f"{entry}.10.1": 1}
    assert verdicts(superdoctor.VENDOR, base | limits) == {"CPU temperature": N}
    assert verdicts(superdoctor.VENDOR, base | limits | {f"{entry}.4.1": 80}) == {"CPU temperature": C}
    assert verdicts(superdoctor.VENDOR, base) == {"CPU temperature": U}
    assert verdicts(superdoctor.VENDOR, base | limits | {f"{entry}.10.1": 0}) == {}
    for status, verdict in {0: N, 1: W, 2: C, 3: U}.items():
        assert verdicts(superdoctor.VENDOR, base | limits | {f"{entry}.12.1": status}) == {"CPU temperature": verdict}


# --- Cisco ---

K = cisco.CUCS


def test_cisco_enums() -> None:
    assert values(cisco.VENDOR, f"{K}.1.1.1", 20, range(8)) == {0: N, 1: N, 2: U, 3: W, 4: W, 5: C, 6: C, 7: U}
    assert values(cisco.VENDOR, f"{K}.15.56.1", 7, [0, 1, 2, 3, 6, 9, 12, 82, 100, 101]) == {
        0: U,
        1: N,
        2: C,
        3: W,
        6: A,
        9: W,
        12: C,
        82: C,
        100: U,
        101: U,
    }
    assert values(cisco.VENDOR, f"{K}.15.114.1", 5, range(4)) == {0: N, 1: W, 2: C, 3: U}


@pytest.mark.parametrize(
    ("operability", "presence", "verdict"), [(1, 10, N), (0, 11, A), (2, 1, A), (2, 10, C), (1, 5, U)]
)
def test_cisco_presence_beats_operability(operability: int, presence: int, verdict: Verdict | None) -> None:
    entry = f"{K}.30.11.1"
    tree: dict[str, Value] = {
        f"{entry}.13.2": operability,
        f"{entry}.17.2": presence,
        f"{entry}.2.2": b"sys/rack-unit-1/board/mem-2",
    }
    assert verdicts(cisco.VENDOR, tree) == {"rack-unit-1/board/mem-2": verdict}


@pytest.mark.parametrize(
    ("name", "colour", "state", "verdict"),
    [
        (b"LED_HLTH_STATUS", 1, 1, N),
        (b"LED_HLTH_STATUS", 2, 1, W),
        (b"LED_HLTH_STATUS", 2, 3, C),
        (b"LED_PSU_STATUS", 3, 1, C),
        (b"LED_FAN_STATUS", 2, 2, U),
        (b"LED_FAN_STATUS", 1, 0, U),
    ],
)
def test_cisco_indicator_leds(name: bytes, colour: int, state: int, verdict: Verdict) -> None:
    entry = f"{K}.15.35.1"
    assert verdicts(cisco.VENDOR, {f"{entry}.7.1": state, f"{entry}.4.1": colour, f"{entry}.6.1": name}) == {
        name.decode(): verdict
    }


def test_cisco_locator_and_power() -> None:
    assert [told(cisco.VENDOR, {f"{K}.15.40.1.18.1": value}).locate for value in range(4)] == [None, True, False, True]
    assert told(cisco.VENDOR, {f"{K}.9.35.1.42.1": 14}).power is False
    blue: dict[str, Value] = {f"{K}.15.35.1.7.1": 1, f"{K}.15.35.1.4.1": 4, f"{K}.15.35.1.6.1": b"FP_ID_LED"}
    assert told(cisco.VENDOR, blue).lamps == ()


# --- Oracle ---


def test_oracle_lamps_are_known_by_their_names() -> None:
    entry = f"{oracle.PLATFORM}.1.12.1"
    tree: dict[str, Value] = {}
    for row, (name, state, urgency) in enumerate(
        (
            (b"/SYS/SERVICE", 3, 6),
            (b"/SYS/LOCATE", 4, 0),
            (b"/SYS/OK", 3, 0),
            (b"/SYS/PS0/SERVICE", 2, 6),
            (b"/SYS/FM0/FAULT", 3, 5),
        ),
        1,
    ):
        tree |= {
            f"{entry}.1.{row}": 3,
            f"{entry}.2.{row}": state,
            f"{entry}.3.{row}": urgency,
            f"{oracle.NAMES}.{row}": name,
        }
    found = told(oracle.VENDOR, tree)
    assert {lamp.component: (lamp.lamp, lamp.verdict) for lamp in found.lamps} == {
        "/SYS/SERVICE": (Lamp.SYSTEM, C),
        "/SYS/PS0/SERVICE": (Lamp.POWER_SUPPLY, N),
        "/SYS/FM0/FAULT": (Lamp.FAN, W),
    }
    assert found.locate is True
    alarms = values(oracle.VENDOR, f"{oracle.PLATFORM}.1.2.1", 3, range(9))
    assert alarms == {0: U, 1: C, 2: C, 3: W, 4: U, 5: W, 6: U, 7: N, 8: U}


# --- Huawei ---

M = huawei.IBMC


def test_huawei_enums_and_presence() -> None:
    assert values(huawei.VENDOR, f"{M}.6.50.1", 7, range(8)) == {0: U, 1: N, 2: W, 3: C, 4: C, 5: A, 6: U, 7: U}
    for value, verdict in {0: U, 1: N, 2: W, 3: C, 4: C, 5: U}.items():
        assert verdicts(huawei.VENDOR, {f"{M}.1.1.0": value}) == {"System health": verdict}
    drive = f"{M}.18.50.1"
    for (status, present, failing), expected in {
        (1, 2, 1): N,
        (1, 2, 255): N,
        (1, 2, 2): W,
        (5, 1, 255): A,
        (1, 1, 255): A,
        (1, 2, 3): U,
    }.items():
        tree: dict[str, Value] = {
            f"{drive}.3.1": status,
            f"{drive}.2.1": present,
            f"{drive}.23.1": failing,
            f"{drive}.6.1": b"Disk0",
        }
        assert verdicts(huawei.VENDOR, tree) == {"Disk0": expected}


@pytest.mark.parametrize(
    ("colour", "state", "verdict"),
    [
        (b"GREEN", 2, N),
        (b"GREEN", 1, U),
        (b"AMBER", 2, W),
        (b"AMBER", 3, C),
        (b"RED", 2, C),
        (b"RED", 1, N),
        (b"", 2, U),
    ],
)
def test_huawei_leds(colour: bytes, state: int, verdict: Verdict) -> None:
    entry, index = f"{M}.9.50.1", "0.3.83.89.83"
    tree: dict[str, Value] = {
        f"{entry}.8.{index}": state,
        f"{entry}.6.{index}": colour,
        f"{entry}.2.{index}": b"SysHealLed",
    }
    assert list(verdicts(huawei.VENDOR, tree).values()) == [verdict]
    blue: dict[str, Value] = tree | {f"{entry}.6.{index}": b"BLUE"}
    assert told(huawei.VENDOR, blue).lamps == ()
    assert told(huawei.VENDOR, blue).locate is (state != 1)


# --- the others ---


def test_insyde_tells_power_locate_light_and_readings_and_no_lamp() -> None:
    tree: dict[str, Value] = {
        f"{insyde.INSYDE}.1.1.1.0": 1,
        f"{insyde.INSYDE}.1.1.8.0": 2,
        f"{insyde.INSYDE}.2.1.1.13.1": b"32.000 degrees C",
        f"{insyde.INSYDE}.2.1.1.22.1": b"Inlet",
        f"{insyde.INSYDE}.2.1.1.13.2": b"N/A",
    }
    found = told(insyde.VENDOR, tree)
    assert (found.lamps, found.locate, found.power) == ((), True, True)
    assert found.sensors == (SensorReading(Quantity.TEMPERATURE, "Inlet", 32.0),)


@pytest.mark.parametrize(
    ("oper", "alarm", "verdict"),
    [
        (3, b"\x00", N),
        (3, b"", N),
        (2, b"\x00", N),
        (3, b"\x20", C),
        (3, b"\x10", C),
        (3, b"\x08", W),
        (3, b"\x04", W),
        (3, b"\x02", U),
        (3, b"\x80", U),
        (3, b"\x40", W),
        (3, 0, U),
        (1, b"\x00", U),
        (4, b"\x00", U),
        (9, b"\x00", U),
    ],
)
def test_entity_state(oper: int, alarm: Value, verdict: Verdict) -> None:
    tree: dict[str, Value] = {
        f"{entity.STATES}.3.7": oper,
        f"{entity.STATES}.5.7": alarm,
        f"{entity.PHYSICAL}.7.7": b"PSU 1",
        f"{entity.PHYSICAL}.5.7": 6,
    }
    (lamp,) = told(entity.VENDOR, tree).lamps
    assert (lamp.lamp, lamp.component, lamp.verdict) == (Lamp.POWER_SUPPLY, "PSU 1", verdict)


def test_entity_sensors_have_a_scale_and_a_precision() -> None:
    def sensor_row(status: int, kind: int, scale: int, precision: int, value: int) -> dict[str, Value]:
        cells = {5: status, 1: kind, 2: scale, 3: precision, 4: value}
        return {f"{entity.SENSORS}.{column}.3": cell for column, cell in cells.items()}

    found = told(entity.VENDOR, sensor_row(1, 4, 8, 1, 33012) | {f"{entity.PHYSICAL}.7.3": b"3.3V"})
    assert found.sensors == (SensorReading(Quantity.VOLTAGE, "3.3V sensor", 3.3012),)
    assert [lamp.verdict for lamp in found.lamps] == [N]
    for status, verdict in {2: U, 3: W, 4: U}.items():
        found = told(entity.VENDOR, sensor_row(status, 8, 9, 0, 40))
        assert ([lamp.verdict for lamp in found.lamps], found.sensors) == ([verdict], ())


def test_ups_battery_source_and_alarms() -> None:
    for value, verdict in {0: U, 1: U, 2: N, 3: W, 4: C, 5: U}.items():
        assert verdicts(ups.VENDOR, {f"{ups.UPS}.2.1.0": value}) == {"UPS battery": verdict}
    for value, verdict in {1: U, 2: C, 3: N, 4: W, 5: W, 8: U}.items():
        assert verdicts(ups.VENDOR, {f"{ups.UPS}.4.1.0": value}) == {"UPS output": verdict}
    assert verdicts(ups.VENDOR, {f"{ups.UPS}.6.1.0": 3}) == {"UPS alarms": W}
    for number, verdict in {1: C, 2: W, 8: C, 20: W, 24: N, 99: W}.items():
        tree: dict[str, Value] = {f"{ups.UPS}.6.2.1.2.1": f"{ups.ALARMS}{number}"}
        assert list(verdicts(ups.VENDOR, tree).values()) == [verdict]


# --- what no value may do ---

ANY_VALUE: st.SearchStrategy[Value] = st.one_of(
    st.none(),
    st.integers(-(2**31), 2**32),
    st.floats(allow_nan=True, allow_infinity=True),
    st.binary(max_size=40),
    st.text(max_size=20),
    st.sampled_from([b"3", b"Normal", b"1e999", b"nan", b"\xff\xfe", "1.3.6.1", b"9" * 40]),
)
TABLES = [(vendor, table) for vendor in EVERY for table in vendor.tables]
SCALARS = [(vendor, scalar) for vendor in EVERY for scalar in vendor.scalars]


def normal(meaning: dict[int | str, Verdict | None]) -> set[int | str]:
    return {value for value, verdict in meaning.items() if verdict is N}


@given(chosen=st.sampled_from(SCALARS), value=ANY_VALUE)
def test_no_value_of_a_single_object_outside_its_enum_is_normal_or_absent(chosen: tuple, value: Value) -> None:  # type: ignore[type-arg]  # of SCALARS
    vendor, scalar = chosen
    for lamp in told(vendor, {scalar.oid: value}).lamps:
        if lamp.verdict is not U and scalar.pick is None:
            assert lamp.verdict is meaning_of(value, scalar.meaning)
            number = int(value) if isinstance(value, bytes) else value
            assert number in scalar.meaning


@given(chosen=st.sampled_from(TABLES), data=st.data())
def test_no_row_crashes_or_is_normal_beside_a_state_that_nobody_knows(
    chosen: tuple[Vendor, Table], data: st.DataObject
) -> None:
    vendor, table = chosen
    cells = {column: data.draw(ANY_VALUE) for column in table.wanted}
    tree = {f"{oid}.1": cells[column] for column, oid in table.wanted.items()}
    found = told(vendor, tree)
    row = Row("1", cells)
    for lamp in found.lamps:
        assert lamp.component == lamp.component.strip()
        assert 0 < len(lamp.component) <= 90
        assert lamp.component.isprintable()
        if lamp.verdict is N:
            for state in table.states:
                said = row.integer(state.column)
                assert said in state.silent or meaning_of(cells[state.column], state.meaning) is N
    for sensor_ in found.sensors:
        assert math.isfinite(sensor_.value)
