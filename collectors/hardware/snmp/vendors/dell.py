"""Dell iDRAC 7 and later (IDRAC-MIB-SMIv2), and the older DRAC and CMC (DELL-RAC-MIB).

A CMC answers with iDRAC's sysObjectID, and an iDRAC has the old tree's roll-up, so both trees are asked for.
"""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import (
    ABSENT,
    CRITICAL,
    NORMAL,
    UNKNOWN,
    WARNING,
    Light,
    Meaning,
    Measure,
    Row,
    Scalar,
    State,
    Table,
    Vendor,
)
from collectors.reading import Lamp, Quantity, Verdict

IDRAC = "1.3.6.1.4.1.674.10892.5"
RAC = "1.3.6.1.4.1.674.10892.2"

STATUS: Meaning = {1: UNKNOWN, 2: UNKNOWN, 3: NORMAL, 4: WARNING, 5: CRITICAL, 6: CRITICAL}
"""ObjectStatusEnum: other, unknown, ok, nonCritical, critical, nonRecoverable."""

PROBE: Meaning = {
    1: UNKNOWN,
    2: UNKNOWN,
    3: NORMAL,
    **dict.fromkeys((4, 7), WARNING),
    **dict.fromkeys((5, 6, 8, 9, 10), CRITICAL),
}
"""StatusProbeEnum: ok; upper and lower nonCritical, critical, nonRecoverable; failed."""

REDUNDANCY: Meaning = {1: UNKNOWN, 2: UNKNOWN, 3: NORMAL, 4: WARNING, 5: WARNING, 6: NORMAL, 7: UNKNOWN}
"""StatusRedundancyEnum: full, degraded, lost, notRedundant (as it was built), redundancyOffline."""

INTRUSION: Meaning = {1: NORMAL, 2: CRITICAL, 3: WARNING, 4: WARNING}
"""intrusionReading: notBreached, breached, breachedPrior, breachSensorFailure."""

DRIVE: Meaning = {
    1: UNKNOWN,
    **dict.fromkeys((2, 3, 8, 10), NORMAL),
    4: WARNING,
    **dict.fromkeys((5, 6, 7), CRITICAL),
    9: ABSENT,
}
"""physicalDiskState: ready, online, nonraid, readonly; foreign; offline, blocked, failed; removed."""

SUPPLY_PRESENT, SUPPLY_CRITICAL, SUPPLY_WARNING = 1, 2 | 8 | 16 | 64, 4 | 32
CURRENT_PROBES, POWER_PROBES = (23, 25), (24, 26)
"""amperageProbeType: power supply and system amperes (in tenths), and watts."""

STATES = {
    2: (Lamp.SYSTEM, "Global"),
    4: (Lamp.SYSTEM, "Chassis"),
    6: (Lamp.POWER, "Power redundancy"),
    9: (Lamp.POWER_SUPPLY, "Power supplies"),
    12: (Lamp.VOLTAGE, "Voltages"),
    18: (Lamp.FAN, "Cooling redundancy"),
    21: (Lamp.FAN, "Fans"),
    24: (Lamp.TEMPERATURE, "Temperatures"),
    27: (Lamp.MEMORY, "Memory"),
    30: (Lamp.INTRUSION, "Intrusion"),
    41: (Lamp.EVENT_LOG, "Event log"),
    50: (Lamp.PROCESSOR, "Processors"),
    52: (Lamp.BATTERY, "Batteries"),
}
"""Columns of systemStateTable that roll up."""


def supply(row: Row) -> Iterator[Verdict | None]:
    """Judge powerSupplySensorState: bits for presence, failures and warnings."""
    bits = row.integer(11)
    if bits is None:
        return
    if bits & ~0x7F or bits < 0:
        yield UNKNOWN
    elif bits & SUPPLY_CRITICAL:
        yield CRITICAL
    elif bits & SUPPLY_WARNING:
        yield WARNING
    else:
        yield NORMAL if bits & SUPPLY_PRESENT else ABSENT


def amperage(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure an amperageProbe, which may count amperes or watts."""
    value, kind = row.number(6), row.integer(7)
    if value is None or value < 0:
        return
    if kind in CURRENT_PROBES:
        yield Quantity.CURRENT, value / 10
    elif kind in POWER_PROBES:
        yield Quantity.POWER, value


def roll_ups(table: str, status: Meaning = STATUS, redundancy: Meaning = REDUNDANCY) -> tuple[Scalar, ...]:
    """Return systemStateTable's columns for chassis 1."""
    return tuple(
        Scalar(lamp, name, f"{table}.{column}.1", redundancy if column in {6, 18} else status)
        for column, (lamp, name) in STATES.items()
    )


def parts(tree: str, status: Meaning = STATUS, probe: Meaning = PROBE) -> tuple[Table, ...]:
    """Return the tables of a server's parts below ``tree``: IDRAC-MIB's and MIB-Dell-10892's are alike."""
    return (
        Table(
            Lamp.INTRUSION,
            f"{tree}.300.70.1",
            "Intrusion",
            states=(State(5, status), State(6, INTRUSION)),
            names=(8,),
        ),
        Table(Lamp.POWER, f"{tree}.600.10.1", "Power unit", states=(State(5, REDUNDANCY),), names=(7,)),
        Table(
            Lamp.POWER_SUPPLY,
            f"{tree}.600.12.1",
            "Power supply",
            states=(State(5, status),),
            names=(8,),
            columns=(11,),
            judge=supply,
            measures=(Measure(16, Quantity.VOLTAGE, least=1),),
        ),
        Table(
            Lamp.VOLTAGE,
            f"{tree}.600.20.1",
            "Voltage",
            states=(State(5, probe),),
            names=(8,),
            measures=(Measure(6, Quantity.VOLTAGE, 0.001),),
        ),
        Table(
            Lamp.POWER,
            f"{tree}.600.30.1",
            "Current",
            states=(State(5, probe),),
            names=(8,),
            columns=(6, 7),
            measure=amperage,
        ),
        Table(Lamp.BATTERY, f"{tree}.600.50.1", "Battery", states=(State(5, status),), names=(7,)),
        Table(Lamp.FAN, f"{tree}.700.10.1", "Cooling unit", states=(State(5, REDUNDANCY),), names=(7,)),
        Table(
            Lamp.FAN,
            f"{tree}.700.12.1",
            "Fan",
            states=(State(5, probe),),
            names=(8,),
            measures=(Measure(6, Quantity.FAN_SPEED, least=0),),
        ),
        Table(
            Lamp.TEMPERATURE,
            f"{tree}.700.20.1",
            "Temperature",
            states=(State(5, probe),),
            names=(8,),
            measures=(Measure(6, Quantity.TEMPERATURE, 0.1),),
        ),
        Table(Lamp.PROCESSOR, f"{tree}.1100.30.1", "Processor", states=(State(5, status),), names=(26, 23)),
        Table(Lamp.MEMORY, f"{tree}.1100.50.1", "Memory", states=(State(5, status),), names=(8,)),
    )


def storage(tree: str) -> tuple[Table, ...]:
    """Return the tables of storage below ``tree``."""
    return (
        Table(Lamp.STORAGE, f"{tree}.130.1.1", "Controller", states=(State(38, STATUS),), names=(2,)),
        Table(
            Lamp.DRIVE,
            f"{tree}.130.4.1",
            "Physical disk",
            states=(State(24, STATUS), State(4, DRIVE), State(31, {0: NORMAL, 1: WARNING})),
            names=(55, 2),
        ),
        Table(Lamp.BATTERY, f"{tree}.130.15.1", "RAID battery", states=(State(6, STATUS),), names=(21,)),
        Table(Lamp.STORAGE, f"{tree}.140.1.1", "Virtual disk", states=(State(20, STATUS),), names=(2,)),
    )


VENDOR = Vendor(
    name="Dell iDRAC, DRAC or CMC",
    manufacturer="Dell",
    systems=(IDRAC, RAC),
    descriptions=("Dell Out-of-band SNMP Agent",),
    subtrees=(IDRAC, RAC),
    scalars=(
        Scalar(Lamp.SYSTEM, "System", f"{IDRAC}.2.1.0", STATUS),
        Scalar(Lamp.SYSTEM, "Front panel", f"{IDRAC}.2.2.0", STATUS),
        Scalar(Lamp.STORAGE, "Storage", f"{IDRAC}.2.3.0", STATUS),
        *roll_ups(f"{IDRAC}.4.200.10.1"),
        Scalar(Lamp.SYSTEM, "RAC: system", f"{RAC}.2.1.0", STATUS),
        Scalar(Lamp.SYSTEM, "CMC: chassis", f"{RAC}.3.1.1.0", STATUS),
        Scalar(Lamp.NETWORK, "CMC: I/O modules", f"{RAC}.3.1.2.0", STATUS),
        Scalar(Lamp.OTHER, "CMC: KVM", f"{RAC}.3.1.3.0", STATUS),
        Scalar(Lamp.POWER, "CMC: redundancy", f"{RAC}.3.1.4.0", STATUS),
        Scalar(Lamp.POWER_SUPPLY, "CMC: power", f"{RAC}.3.1.5.0", STATUS),
        Scalar(Lamp.FAN, "CMC: fans", f"{RAC}.3.1.6.0", STATUS),
        Scalar(Lamp.SYSTEM, "CMC: blades", f"{RAC}.3.1.7.0", STATUS),
        Scalar(Lamp.TEMPERATURE, "CMC: temperatures", f"{RAC}.3.1.8.0", STATUS),
        Scalar(Lamp.SYSTEM, "CMC: management modules", f"{RAC}.3.1.9.0", STATUS),
    ),
    tables=(*parts(f"{IDRAC}.4"), *storage(f"{IDRAC}.5.1.20"), *storage(f"{RAC}.6.1.20")),
    locate=(Light(f"{IDRAC}.4.300.10.1.29.1", on=frozenset({8, 10}), off=frozenset(range(8))),),
    power=(Light(f"{IDRAC}.2.4.0", on=frozenset({4}), off=frozenset({3})),),
    model=(f"{IDRAC}.1.3.12.0", f"{RAC}.1.1.2.0"),
    serial=(f"{IDRAC}.1.3.2.0", f"{RAC}.1.1.11.0"),
    firmware=(f"{IDRAC}.1.1.8.0", f"{RAC}.1.2.1.0"),
)
