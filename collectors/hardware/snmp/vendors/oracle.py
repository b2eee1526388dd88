"""Oracle and Sun ILOM (SUN-PLATFORM-MIB). Rows share ENTITY-MIB's index, and its names.

A lamp is a visible alarm; its name says what it stands for: .../SERVICE and .../FAULT light up at a fault, .../LOCATE
is the locate light, .../OK and .../OK2RM are no faults.
"""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import CRITICAL, NORMAL, UNKNOWN, WARNING, Meaning, Row, State, Table, Vendor
from collectors.reading import Lamp, Verdict

PLATFORM = "1.3.6.1.4.1.42.2.70.101.1"
NAMES = "1.3.6.1.2.1.47.1.1.1.1.7"
"""entPhysicalName"""

NAME = -1
ALARM: Meaning = {1: CRITICAL, 2: CRITICAL, 3: WARNING, 4: UNKNOWN, 5: WARNING, 6: UNKNOWN, 7: NORMAL}
"""sunPlatEquipmentAlarmStatus: critical, major, minor, indeterminate, warning, pending, cleared."""

VISIBLE, NON_CRITICAL = 3, 5
OFF, STEADY, ALTERNATING = 2, 3, 4
KINDS = (
    (Lamp.FAN, ("/FM", "/FAN", "FAN")),
    (Lamp.POWER_SUPPLY, ("/PS",)),
    (Lamp.MEMORY, ("/D0", "/DIMM", "DIMM")),
    (Lamp.PROCESSOR, ("/P0", "/P1", "/CPU", "CPU")),
    (Lamp.DRIVE, ("/HDD", "HDD", "/DBP")),
    (Lamp.TEMPERATURE, ("TEMP", "/T_")),
    (Lamp.VOLTAGE, ("/V_", "VOLT")),
    (Lamp.BATTERY, ("BAT",)),
)


def kind_of(row: Row) -> Lamp:
    """Return the lamp by a part's name, which is a path."""
    name = row.text(NAME).upper()
    return next((lamp for lamp, words in KINDS if any(word in name for word in words)), Lamp.SYSTEM)


def light_lamp(row: Row) -> Lamp | None:
    """Return the lamp of an alarm that can be seen and stands for a fault."""
    return kind_of(row) if row.integer(1) == VISIBLE and is_fault(row) else None


def is_fault(row: Row) -> bool:
    """Tell whether an alarm's name stands for a fault."""
    last = row.text(NAME).upper().rpartition("/")[2]
    return any(word in last for word in ("SERVICE", "FAULT", "FAIL", "SVC"))


def light(row: Row) -> Iterator[Verdict | None]:
    """Judge a fault's lamp: lit it is as grave as its urgency says."""
    state = row.integer(2)
    if state in {STEADY, ALTERNATING}:
        yield WARNING if row.integer(3) == NON_CRITICAL else CRITICAL
    else:
        yield NORMAL if state == OFF else UNKNOWN


def locate(row: Row) -> bool | None:
    """Return whether the locate light is lit."""
    is_locate = "LOCATE" in row.text(NAME).upper().rpartition("/")[2]
    return {OFF: False, STEADY: True, ALTERNATING: True}.get(row.integer(2) or 0) if is_locate else None


VENDOR = Vendor(
    name="Oracle ILOM",
    manufacturer="Oracle",
    systems=("1.3.6.1.4.1.42.2.200",),
    subtrees=(PLATFORM,),
    tables=(
        Table(
            light_lamp,
            f"{PLATFORM}.1.12.1",
            "Light",
            columns=(2, 1, 3, NAME),
            names=(NAME,),
            elsewhere=(NAMES,),
            judge=light,
            locate=locate,
        ),
        Table(
            kind_of,
            f"{PLATFORM}.1.2.1",
            "Part",
            states=(State(3, ALARM),),
            columns=(NAME,),
            names=(NAME,),
            elsewhere=(NAMES,),
        ),
        Table(
            lambda _: None,
            f"{PLATFORM}.1.2.2.1",
            "Power",
            columns=(1,),
            power=lambda row: {2: True, 7: False, 10: False}.get(row.integer(1) or 0),
        ),
    ),
)
