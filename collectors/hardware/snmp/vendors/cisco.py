"""Cisco UCS C-series, CIMC (CISCO-UNIFIED-COMPUTING-*-MIB: FAULT, COMPUTE, EQUIPMENT, MEMORY, PROCESSOR, STORAGE).

The table of active faults is the best overall source. Empty columns and "unknown" are usual on a machine without a UCS
manager. Parts are named by their distinguished name.
"""

from collections.abc import Callable, Iterator

from collectors.hardware.snmp.mib import (
    ABSENT,
    CRITICAL,
    NORMAL,
    UNKNOWN,
    WARNING,
    Meaning,
    Measure,
    Row,
    State,
    Table,
    Vendor,
)
from collectors.reading import Lamp, Quantity, Verdict

CUCS = "1.3.6.1.4.1.9.9.719.1"
DN = 2
PREFIX = "sys/"

SEVERITY: Meaning = {0: NORMAL, 1: NORMAL, 3: WARNING, 4: WARNING, 5: CRITICAL, 6: CRITICAL}
"""CucsFaultSeverity: cleared, info, warning, minor, major, critical."""

OPERABILITY: Meaning = {
    0: UNKNOWN,
    1: NORMAL,
    3: WARNING,
    6: ABSENT,
    9: WARNING,
    100: UNKNOWN,
    **dict.fromkeys((2, 5, 7, 8, 11, 12, 14, 82), CRITICAL),
}
"""CucsEquipmentOperability: unknown, operable, degraded, removed, performance problem; inoperable and the like."""

OPERATION: Meaning = {10: NORMAL, 14: NORMAL, 31: WARNING, **dict.fromkeys((30, 60, 61, 62, 63), CRITICAL)}
"""CucsLsOperState of a rack unit: ok, power off, degraded; inoperable, thermal, power and other problems."""

HEALTH: Meaning = {0: NORMAL, 1: WARNING, 2: CRITICAL}
"""CucsEquipmentHealthLedState: normal, minor, critical."""

PRESENCE: Meaning = {1: ABSENT, 11: ABSENT}
EQUIPPED = frozenset({0, 10})
"""CucsEquipmentPresence: empty, missing; unknown and equipped say nothing of a part's health."""

OFF, STEADY, BLINKING = 2, 1, 3
GREEN, AMBER, RED, BLUE = 1, 2, 3, 4
"""CucsEquipmentLedState and CucsEquipmentLedColor."""

KINDS = (
    (Lamp.FAN, ("/fan",)),
    (Lamp.POWER_SUPPLY, ("/psu",)),
    (Lamp.MEMORY, ("/mem",)),
    (Lamp.DRIVE, ("/pd-", "/disk")),
    (Lamp.STORAGE, ("/storage", "/vd-")),
    (Lamp.PROCESSOR, ("/cpu",)),
    (Lamp.NETWORK, ("/adaptor", "/mgmt")),
)

LED_WORDS = (
    ("PSU", Lamp.POWER_SUPPLY),
    ("FAN", Lamp.FAN),
    ("TEMP", Lamp.TEMPERATURE),
    ("DIMM", Lamp.MEMORY),
    ("CPU", Lamp.PROCESSOR),
)


def placed(row: Row) -> str:
    """Return a part's distinguished name, without the root that all share."""
    return row.text(DN).removeprefix(PREFIX)


def fault_lamp(row: Row) -> Lamp:
    """Return the lamp that a fault's distinguished name belongs to."""
    place = row.text(5).casefold()
    return next((lamp for lamp, words in KINDS if any(word in place for word in words)), Lamp.SYSTEM)


def led_lamp(row: Row) -> Lamp | None:
    """Return the lamp of an indicator LED: blue ones only show where a machine is."""
    name = row.text(6).upper()
    if row.integer(4) == BLUE or "FP_ID" in name or "FPID" in name:
        return None
    return next((lamp for word, lamp in LED_WORDS if word in name), Lamp.SYSTEM)


def led(row: Row) -> Iterator[Verdict | None]:
    """Judge an indicator LED by colour: steady amber warns, red or blinking amber is grave; a dark one says nothing."""
    state, colour = row.integer(7), row.integer(4)
    if state not in {STEADY, BLINKING}:
        yield UNKNOWN
    elif colour == GREEN:
        yield NORMAL
    elif colour == AMBER:
        yield CRITICAL if state == BLINKING else WARNING
    else:
        yield CRITICAL if colour == RED else UNKNOWN


def lit(column: int) -> Callable[[Row], bool | None]:
    """Return what tells whether a locate LED is lit."""
    return lambda row: {STEADY: True, OFF: False, BLINKING: True}.get(row.integer(column) or 0)


def part(lamp: Lamp, entry: str, name: str, operability: int, presence: int = 0) -> Table:
    """Return a table of parts that have an operability, and perhaps a presence."""
    states = [State(operability, OPERABILITY)]
    if presence:
        states.append(State(presence, PRESENCE, silent=EQUIPPED))
    return Table(lamp, f"{CUCS}.{entry}", name, states=tuple(states), columns=(DN,), called=placed)


VENDOR = Vendor(
    name="Cisco CIMC",
    manufacturer="Cisco",
    descriptions=("Cisco Integrated Management Controller",),
    systems=tuple(
        f"1.3.6.1.4.1.9.1.{number}"
        for number in (*range(1512, 1517), *range(1682, 1686), 2178, 2179, 2492, 2493, 3100, 3101, 3208, 3209)
    ),
    subtrees=(CUCS,),
    tables=(
        Table(
            fault_lamp,
            f"{CUCS}.1.1.1",
            "Fault",
            states=(State(20, SEVERITY),),
            columns=(5, 9, 11),
            called=lambda row: f"Fault {row.number_in_index(-1)} {row.text(5).removeprefix(PREFIX)}".rstrip(),
        ),
        Table(
            Lamp.SYSTEM,
            f"{CUCS}.15.114.1",
            "Health LED",
            states=(State(5, HEALTH),),
            columns=(DN,),
            called=placed,
        ),
        Table(led_lamp, f"{CUCS}.15.35.1", "LED", columns=(7, 4, 6), names=(6,), judge=led),
        Table(lambda _: None, f"{CUCS}.15.40.1", "Locator LED", columns=(18,), locate=lit(18)),
        Table(lambda _: None, f"{CUCS}.15.82.1", "Beacon", columns=(18,), locate=lit(18)),
        Table(
            Lamp.SYSTEM,
            f"{CUCS}.9.35.1",
            "Rack unit",
            states=(State(42, OPERATION), State(43, OPERABILITY)),
            columns=(DN,),
            called=placed,
            power=lambda row: False if row.integer(42) == 14 else True if row.integer(42) == 10 else None,
        ),
        part(Lamp.FAN, "15.12.1", "Fan", 9, 13),
        part(Lamp.POWER_SUPPLY, "15.56.1", "Power supply", 7, 11),
        part(Lamp.PROCESSOR, "41.9.1", "Processor", 9, 13),
        part(Lamp.MEMORY, "30.11.1", "Memory", 13, 17),
        part(Lamp.DRIVE, "45.4.1", "Drive", 9, 10),
        part(Lamp.STORAGE, "45.1.1", "Controller", 6),
        part(Lamp.STORAGE, "45.8.1", "Volume", 9),
        part(Lamp.STORAGE, "45.31.1", "Volume", 10),
        part(Lamp.BATTERY, "45.11.1", "RAID battery", 9),
        Table(
            lambda _: None,
            f"{CUCS}.41.2.1",
            "Processor temperature",
            columns=(DN,),
            called=placed,
            measures=(Measure(10, Quantity.TEMPERATURE, least=1),),
        ),
        Table(
            lambda _: None,
            f"{CUCS}.9.44.1",
            "Ambient temperature",
            columns=(DN,),
            called=placed,
            measures=(Measure(4, Quantity.TEMPERATURE, least=1),),
        ),
        Table(
            lambda _: None,
            f"{CUCS}.9.14.1",
            "Consumed power",
            columns=(DN,),
            called=placed,
            measures=(Measure(4, Quantity.POWER, least=1),),
        ),
    ),
    model=(f"{CUCS}.9.6.1.6.1",),
    serial=(f"{CUCS}.9.6.1.14.1",),
)
