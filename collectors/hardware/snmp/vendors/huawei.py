"""Huawei iBMC and openUBMC (HUAWEI-SERVER-IBMC-MIB).

An LED's colour is in a text; blue ones are UID lights. What an LED is called is in its index too.
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

IBMC = "1.3.6.1.4.1.2011.2.235.1.1"
ACTIVE_IBMC = "11.65.99.116.105.118.101.32.105.66.77.67"
"""The index of the firmware row "Active iBMC"."""

STATUS: Meaning = {1: NORMAL, 2: WARNING, 3: CRITICAL, 4: CRITICAL, 5: ABSENT, 6: UNKNOWN}
"""ok, minor, major, critical, absence, unknown."""

OVERALL: Meaning = {1: NORMAL, 2: WARNING, 3: CRITICAL, 4: CRITICAL}
TEMPERATURE: Meaning = {**OVERALL, 5: UNKNOWN}
RAID: Meaning = {0: NORMAL, 65535: UNKNOWN}
VOLUME: Meaning = {1: CRITICAL, 2: WARNING, 3: WARNING, 4: NORMAL}
"""offline, partially degraded, degraded, optimal."""

NAME, COLOUR, STATE = 2, 6, 8
OFF, ON, BLINKING = 1, 2, 3
UID_COLOUR, HEALTHY_COLOURS = "BLUE", ("GREEN", "WHITE")
FAULT_COLOURS = ("RED", "AMBER", "ORANGE", "YELLOW")
NOTHING = frozenset({65535, -1, 255})


def present(column: int) -> State:
    """Return a presence column: absent, present. Only an absent part's says all there is to say."""
    return State(column, {1: ABSENT}, silent=frozenset({2}))


def is_uid(row: Row) -> bool:
    """Tell whether an LED is a UID light."""
    return UID_COLOUR in row.text(COLOUR).upper() or "UID" in row.text(NAME).upper()


def led(row: Row) -> Iterator[Verdict | None]:
    """Judge an LED: what a fault's colour means depends on whether it is steady; a dark one says no more than that."""
    state, colour = row.integer(STATE), row.text(COLOUR).upper()
    is_fault = any(word in colour for word in FAULT_COLOURS)
    if state == OFF:
        yield NORMAL if is_fault else UNKNOWN
    elif state not in {ON, BLINKING}:
        yield UNKNOWN
    elif is_fault:
        yield CRITICAL if state == BLINKING or "RED" in colour else WARNING
    else:
        yield NORMAL if any(word in colour for word in HEALTHY_COLOURS) else UNKNOWN


def uid(row: Row) -> bool | None:
    """Return whether a UID light is lit."""
    return {OFF: False, ON: True, BLINKING: True}.get(row.integer(STATE) or 0) if is_uid(row) else None


def entire(lamp: Lamp, name: str, oid: str, meaning: Meaning = STATUS) -> Scalar:
    """Return the roll-up of one kind of parts."""
    return Scalar(lamp, name, f"{IBMC}.{oid}.0", meaning)


VENDOR = Vendor(
    name="Huawei iBMC",
    manufacturer="Huawei",
    systems=("1.3.6.1.4.1.2011.2.235",),
    subtrees=(IBMC,),
    scalars=(
        entire(Lamp.SYSTEM, "System health", "1.1", OVERALL),
        entire(Lamp.POWER_SUPPLY, "Power supplies", "6.1"),
        entire(Lamp.FAN, "Fans", "8.3"),
        entire(Lamp.PROCESSOR, "Processors", "15.1"),
        entire(Lamp.MEMORY, "Memory", "16.1"),
        entire(Lamp.DRIVE, "Drives", "18.1"),
        entire(Lamp.OTHER, "PCIe cards", "24.1"),
        entire(Lamp.TEMPERATURE, "Temperatures", "26.1", TEMPERATURE),
    ),
    tables=(
        Table(
            lambda row: None if is_uid(row) else Lamp.SYSTEM,
            f"{IBMC}.9.50.1",
            "LED",
            columns=(STATE, COLOUR, 7),
            called=lambda row: f"{row.text(NAME) or row.index} {row.text(COLOUR)} LED",
            names=(NAME,),
            judge=led,
            locate=uid,
        ),
        Table(
            Lamp.POWER_SUPPLY,
            f"{IBMC}.6.50.1",
            "Power supply",
            states=(State(7, STATUS), present(9)),
            names=(13,),
            measures=(Measure(8, Quantity.POWER, none=NOTHING, least=0),),
        ),
        Table(
            Lamp.FAN,
            f"{IBMC}.8.50.1",
            "Fan",
            states=(State(4, STATUS), present(3)),
            names=(7,),
            measures=(Measure(2, Quantity.FAN_SPEED, none=NOTHING, least=0),),
        ),
        Table(Lamp.PROCESSOR, f"{IBMC}.15.50.1", "Processor", states=(State(6, STATUS),), names=(10,)),
        Table(Lamp.MEMORY, f"{IBMC}.16.50.1", "Memory", states=(State(6, STATUS),), names=(10,)),
        Table(
            Lamp.DRIVE,
            f"{IBMC}.18.50.1",
            "Drive",
            states=(
                State(3, STATUS),
                present(2),
                State(23, {1: NORMAL, 2: WARNING}, silent=frozenset({255})),
            ),
            names=(6,),
            columns=(29,),
            locate=lambda row: True if row.integer(29) == 3 else None,
        ),
        Table(Lamp.OTHER, f"{IBMC}.10.50.1", "Board", states=(State(5, STATUS),)),
        Table(Lamp.OTHER, f"{IBMC}.24.50.1", "PCIe card", states=(State(3, STATUS),)),
        Table(Lamp.STORAGE, f"{IBMC}.36.50.1", "RAID controller", states=(State(7, RAID),)),
        Table(Lamp.STORAGE, f"{IBMC}.37.50.1", "Volume", states=(State(4, VOLUME),)),
        Table(
            lambda _: None,
            f"{IBMC}.26.50.1",
            "Temperature",
            names=(2,),
            measures=(Measure(3, Quantity.TEMPERATURE, 0.1, none=NOTHING),),
        ),
    ),
    power=(Light(f"{IBMC}.1.12.0", on=frozenset({2}), off=frozenset({1})),),
    model=(f"{IBMC}.1.6.0",),
    serial=(f"{IBMC}.1.7.0",),
    firmware=(f"{IBMC}.11.50.1.4.{ACTIVE_IBMC}",),
)
