"""Supermicro BMC (ATEN-IPMI-MIB). It has no states of sensors: readings are compared with their limits, all texts.

Six limits of 0 are none: an empty fan or DIMM place, or a discrete sensor, whose reading is the IPMI state mask.
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
    Row,
    State,
    Table,
    Vendor,
)
from collectors.reading import Lamp, Quantity, Verdict

ATEN = "1.3.6.1.4.1.21317.1"

NAME, READING = 13, 2
LOWER, UPPER = ((7, CRITICAL), (6, CRITICAL), (5, WARNING)), ((10, CRITICAL), (9, CRITICAL), (8, WARNING))
"""Non-recoverable, critical and non-critical limits."""

SUPPLY_MASK = ((0x6E, CRITICAL), (0x01, NORMAL))
BATTERY_MASK = ((0x02, CRITICAL), (0x01, WARNING), (0x04, NORMAL))
INTRUSION_MASK = ((0x7F, CRITICAL),)
"""Offsets of the IPMI sensor types power supply, battery and physical security (IPMI v2.0 table 42-3)."""

RAID_BATTERY: Meaning = {0: ABSENT, 3: NORMAL, 4: CRITICAL}
"""Missing, optimal, replace."""

RAID_DRIVE: Meaning = {2: NORMAL, 24: NORMAL, 32: NORMAL, 64: NORMAL, 20: WARNING, 1: CRITICAL, 17: CRITICAL}
"""Firmware state: hot spare, online, copy back, JBOD; rebuild; bad, failed."""

RAID_VOLUME: Meaning = {0: CRITICAL, 1: WARNING, 2: WARNING, 3: NORMAL}
"""Offline, partially degraded, degraded, optimal."""


def limits(row: Row) -> list[float]:
    """Return the limits that are set."""
    return [limit for column, _ in (*LOWER, *UPPER) if (limit := row.number(column)) is not None and limit]


def kind_of(row: Row) -> Lamp | None:
    """Return the lamp of a sensor by its name; one without a name stands for none."""
    name = row.text(NAME).casefold()
    if not name:
        return None
    if "intru" in name:
        return Lamp.INTRUSION
    if "fan" in name:
        return Lamp.FAN
    if "temp" in name:
        return Lamp.TEMPERATURE
    if "vbat" in name and not limits(row):
        return Lamp.BATTERY
    if name.startswith("ps") and "status" in name:
        return Lamp.POWER_SUPPLY
    return Lamp.VOLTAGE if limits(row) else Lamp.OTHER


def sensor(row: Row) -> Iterator[Verdict | None]:
    """Judge a sensor by its limits, or by its name and state mask where it has none."""
    reading = row.number(READING)
    if reading is None:
        yield UNKNOWN
    elif limits(row):
        yield compared(row, reading)
    else:
        kind, mask = kind_of(row), int(reading)
        if kind is Lamp.POWER_SUPPLY:
            yield by_mask(mask, SUPPLY_MASK, otherwise=ABSENT)
        elif kind is Lamp.BATTERY:
            yield by_mask(mask, BATTERY_MASK, otherwise=UNKNOWN)
        elif kind is Lamp.INTRUSION:
            yield by_mask(mask, INTRUSION_MASK, otherwise=NORMAL if mask == 0 else UNKNOWN)
        else:
            yield ABSENT if reading == 0 else UNKNOWN


def compared(row: Row, reading: float) -> Verdict:
    """Compare a reading with the limits that are set: the gravest crossed one counts."""
    low = [verdict for column, verdict in LOWER if (limit := row.number(column)) and reading <= limit]
    high = [verdict for column, verdict in UPPER if (limit := row.number(column)) and reading >= limit]
    return max((*low, *high), default=NORMAL)


def by_mask(mask: int, meanings: tuple[tuple[int, Verdict], ...], otherwise: Verdict | None) -> Verdict | None:
    """Return what the first asserted bits mean."""
    return next((verdict for bits, verdict in meanings if mask & bits), otherwise if mask == 0 else UNKNOWN)


def measured(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure a sensor with limits; its name says what it measures."""
    reading = row.number(READING)
    quantity = {
        Lamp.FAN: Quantity.FAN_SPEED,
        Lamp.TEMPERATURE: Quantity.TEMPERATURE,
        Lamp.VOLTAGE: Quantity.VOLTAGE,
    }.get(kind_of(row) or Lamp.OTHER)
    if reading is not None and quantity is not None and limits(row):
        yield quantity, reading


VENDOR = Vendor(
    name="Supermicro BMC",
    manufacturer="Supermicro",
    systems=("1.3.6.1.4.1.21317",),
    subtrees=("1.3.6.1.4.1.21317",),
    tables=(
        Table(
            kind_of,
            f"{ATEN}.3.1",
            "Sensor",
            columns=(READING, 7, 6, 5, 8, 9, 10),
            names=(NAME,),
            judge=sensor,
            measure=measured,
        ),
        Table(Lamp.POWER_SUPPLY, f"{ATEN}.14.2.1", "Power supply", states=(State(2, {0: CRITICAL, 1: NORMAL}),)),
        Table(Lamp.BATTERY, f"{ATEN}.7.1.1", "RAID battery", states=(State(8, RAID_BATTERY),)),
        Table(Lamp.DRIVE, f"{ATEN}.7.2.1", "RAID drive", states=(State(12, RAID_DRIVE),)),
        Table(Lamp.STORAGE, f"{ATEN}.7.3.1", "RAID volume", states=(State(11, RAID_VOLUME),)),
    ),
    locate=(Light(f"{ATEN}.10.0", on=frozenset({1}), off=frozenset({0})),),
    power=(Light(f"{ATEN}.4.0", on=frozenset({1}), off=frozenset({0})),),
)
