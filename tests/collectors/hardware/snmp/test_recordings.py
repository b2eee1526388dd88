"""Recordings of real BMCs give what their README expects: parts by lamp, absent ones apart, and the verdict."""

from collections import Counter
from pathlib import Path

import pytest

from collectors.hardware.snmp.detect import by_system
from collectors.hardware.snmp.mib import Value
from collectors.hardware.snmp.session import SYSTEM
from collectors.hardware.snmp.vendors import VENDORS, lenovo
from collectors.reading import HardwareReading, Lamp, Quantity, Verdict, worst
from tests.collectors.hardware.snmp.conftest import Read
from tests.collectors.hardware.snmp.told import told
from tests.peers.snmp_agent import SnmpAgent, decoded, recorded

U, N, W, C = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL
Counts = dict[tuple[Lamp, Verdict | None], int]


def counted(reading: HardwareReading) -> Counter[tuple[Lamp, Verdict | None]]:
    return Counter((lamp.lamp, lamp.verdict) for lamp in reading.lamps)


def overall(reading: HardwareReading) -> Verdict:
    return worst(lamp.verdict for lamp in reading.lamps if lamp.verdict is not None)


EXPECTED: dict[str, tuple[str, Verdict, Counts]] = {
    "drac_r540.snmprec": (
        "Dell",
        N,
        {
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.FAN, N): 6,
            (Lamp.TEMPERATURE, N): 4,
            (Lamp.VOLTAGE, N): 41,
            (Lamp.PROCESSOR, N): 2,
            (Lamp.MEMORY, N): 4,
            (Lamp.DRIVE, N): 10,
            (Lamp.BATTERY, N): 1,
            (Lamp.INTRUSION, N): 1,
            (Lamp.STORAGE, N): 4,
        },
    ),
    "drac_idrac7.snmprec": (
        "Dell",
        N,
        {
            (Lamp.TEMPERATURE, N): 4,
            (Lamp.VOLTAGE, N): 28,
            (Lamp.PROCESSOR, N): 2,
            (Lamp.MEMORY, N): 20,
            (Lamp.DRIVE, N): 26,
            (Lamp.STORAGE, N): 3,
            (Lamp.POWER_SUPPLY, U): 2,
            (Lamp.POWER_SUPPLY, N): 0,
            (Lamp.FAN, N): 0,
        },
    ),
    "drac_m1000e.snmprec": ("Dell", N, {(Lamp.DRIVE, N): 25, (Lamp.INTRUSION, N): 1, (Lamp.FAN, U): 14}),
    "drac_1.snmprec": ("Dell", U, {}),
    "hpe-ilo_4.snmprec": (
        "HPE",
        N,
        {
            (Lamp.FAN, N): 3,
            (Lamp.FAN, None): 5,
            (Lamp.MEMORY, N): 3,
            (Lamp.MEMORY, None): 21,
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.DRIVE, N): 5,
        },
    ),
    "hpe-ilo_5_with_bat_checks.snmprec": (
        "HPE",
        N,
        {
            (Lamp.FAN, N): 7,
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.TEMPERATURE, N): 35,
            (Lamp.DRIVE, N): 104,
            (Lamp.MEMORY, N): 4,
            (Lamp.MEMORY, None): 20,
            (Lamp.BATTERY, N): 1,
        },
    ),
    "xclarity_lenovoxcc.snmprec": (
        "Lenovo",
        N,
        {(Lamp.SYSTEM, N): 1, (Lamp.TEMPERATURE, N): 4, (Lamp.VOLTAGE, N): 4, (Lamp.FAN, N): 4},
    ),
    "fujitsu-irmc_rx300.snmprec": ("Fujitsu", N, {(Lamp.VOLTAGE, N): 14}),
    "supermicro-bmc_x10slehf.snmprec": ("Supermicro", U, {}),
    "cimc.snmprec": (
        "Cisco",
        N,
        {
            (Lamp.FAN, N): 14,
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.PROCESSOR, N): 2,
            (Lamp.MEMORY, N): 3,
            (Lamp.MEMORY, None): 21,
            (Lamp.DRIVE, N): 6,
            (Lamp.DRIVE, None): 4,
        },
    ),
    "ibmc.snmprec": (
        "Huawei",
        N,
        {
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.FAN, N): 8,
            (Lamp.PROCESSOR, N): 2,
            (Lamp.MEMORY, None): 8,
            (Lamp.DRIVE, N): 2,
            (Lamp.DRIVE, None): 12,
        },
    ),
    "dell-ome-m_dell-ome-m.snmprec": ("Dell", N, {(Lamp.POWER_SUPPLY, N): 6}),
    "oracle-ilom.snmprec": ("Oracle", U, {}),
    "ibm-imm.snmprec": ("IBM", U, {}),
    "lenovo-xcc-ok.snmpwalk": (
        "Lenovo",
        N,
        {
            (Lamp.TEMPERATURE, N): 10,
            (Lamp.VOLTAGE, N): 4,
            (Lamp.FAN, N): 12,
            (Lamp.MEMORY, N): 8,
            (Lamp.PROCESSOR, N): 1,
            (Lamp.POWER_SUPPLY, N): 2,
            (Lamp.DRIVE, N): 2,
        },
    ),
    "lenovo-xcc-critical.snmpwalk": (
        "Lenovo",
        C,
        {
            (Lamp.TEMPERATURE, C): 2,
            (Lamp.VOLTAGE, C): 2,
            (Lamp.FAN, C): 4,
            (Lamp.MEMORY, C): 4,
            (Lamp.DRIVE, C): 1,
            (Lamp.PROCESSOR, U): 1,
            (Lamp.POWER_SUPPLY, U): 2,
        },
    ),
}


@pytest.mark.parametrize("name", sorted(EXPECTED))
async def test_a_recording_is_told_as_its_readme_says(name: str, recordings: Path, read: Read) -> None:
    manufacturer, verdict, counts = EXPECTED[name]
    async with SnmpAgent(recorded(recordings / name)) as agent:
        reading = await read(agent)
    assert reading.hardware is not None
    assert reading.hardware.manufacturer == manufacturer
    assert overall(reading) == verdict
    found = counted(reading)
    assert {what: found[what] for what in counts} == counts
    assert reading.complete
    assert reading.locate is None


def test_every_recording_is_expected_something_of(recordings: Path) -> None:
    assert {file.name for file in recordings.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", ["hpe-ilo_4.snmprec", "drac_r540.snmprec", "ibmc.snmprec"])
async def test_a_recording_reads_the_same_by_every_version_and_without_bulk(
    name: str, recordings: Path, read: Read
) -> None:
    tree = recorded(recordings / name)
    async with SnmpAgent(tree) as agent:
        expected = await read(agent)
        by_v1 = await read(agent, version="1")
    async with SnmpAgent(tree, failing_bulk=True, most=7) as agent:
        without_bulk = await read(agent)
    async with SnmpAgent(tree, most=3) as agent:
        cut = await read(agent)
    for other in (by_v1, without_bulk, cut):
        assert (other.lamps, other.sensors, other.hardware) == (expected.lamps, expected.sensors, expected.hardware)
        assert other.complete


async def test_the_fujitsu_lamp_table_is_read_light_by_light(recordings: Path, read: Read) -> None:
    async with SnmpAgent(recorded(recordings / "fujitsu-irmc_rx300.snmprec")) as agent:
        reading = await read(agent)
    lights = Counter(lamp.verdict for lamp in reading.lamps if lamp.component.endswith(" light"))
    assert lights == {N: 45, None: 10}
    parts = counted(
        HardwareReading(lamps=tuple(lamp for lamp in reading.lamps if not lamp.component.endswith(" light")))
    )
    assert (parts[Lamp.FAN, N], parts[Lamp.POWER_SUPPLY, N], parts[Lamp.VOLTAGE, N]) == (7, 2, 14)


async def test_names_and_measurements_are_those_of_the_machine(recordings: Path, read: Read) -> None:
    async with SnmpAgent(recorded(recordings / "drac_r540.snmprec")) as agent:
        reading = await read(agent)
    measured = {(sensor.quantity, sensor.sensor): sensor.value for sensor in reading.sensors}
    assert measured[Quantity.TEMPERATURE, "CPU1 Temp"] == 46.0
    assert measured[Quantity.FAN_SPEED, "System Board Fan1"] == 6240
    assert measured[Quantity.CURRENT, "PS1 Current 1"] == 0.8
    components = [lamp.component for lamp in reading.lamps]
    assert len(set(components)) == len(components)
    supply = next(lamp for lamp in reading.lamps if lamp.component == "PS1 Status")
    assert supply.evidence == (
        "1.3.6.1.4.1.674.10892.5.4.600.12.1.5.1.1=3; 1.3.6.1.4.1.674.10892.5.4.600.12.1.11.1.1=1"
    )


@pytest.mark.parametrize("name", sorted(name for name, (_, verdict, _) in EXPECTED.items() if verdict == N))
def test_a_recording_with_any_one_state_that_nobody_knows_does_not_call_that_part_normal(
    name: str, recordings: Path
) -> None:
    tree: dict[str, Value] = {oid: decoded(value) for oid, value in recorded(recordings / name).items()}
    named = [vendor for vendor in VENDORS if by_system(str(tree.get(SYSTEM, ""))) is vendor]
    (vendor,) = named or [lenovo.VENDOR]
    whole = {lamp.component: lamp for lamp in told(vendor, tree).lamps}
    states = [f"{table.entry}.{state.column}." for table in vendor.tables for state in table.states]
    cells = [oid for oid in tree if any(oid.startswith(state) for state in states)]
    cells += [scalar.oid for scalar in vendor.scalars if scalar.oid in tree]
    assert cells
    for oid in cells[:: max(1, len(cells) // 8)]:
        for value in (12_345, -1, b"no such state", None):
            lamps = told(vendor, {**tree, oid: value}).lamps
            touched = [lamp for lamp in lamps if f"{oid}=" in lamp.evidence]
            assert touched
            assert not any(lamp.verdict is N for lamp in touched)
            others = {lamp.component: lamp.verdict for lamp in lamps if lamp not in touched}
            assert all(whole[component].verdict is verdict for component, verdict in others.items())


async def test_the_power_is_told_where_the_agent_tells_it(recordings: Path, read: Read) -> None:
    async with SnmpAgent(recorded(recordings / "xclarity_lenovoxcc.snmprec")) as agent:
        assert (await read(agent)).power is True
