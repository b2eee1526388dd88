"""HPE iLO 4, 5 and 6 (CPQHLTH-MIB, CPQIDA-MIB, CPQSTDEQ-MIB, CPQSINFO-MIB, CPQHOST-MIB), and blade enclosures.

Fans are "not redundant" on small machines with nothing wrong: redundancy is not judged.
"""

from collections.abc import Callable

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
    Value,
    Vendor,
)
from collectors.reading import Lamp, Quantity

CPQ = "1.3.6.1.4.1.232"
HEALTH = f"{CPQ}.6.2"

CONDITION: Meaning = {1: UNKNOWN, 2: NORMAL, 3: WARNING, 4: CRITICAL}
"""Condition: other, ok, degraded, failed."""

SUPPLY: Meaning = {1: NORMAL, **dict.fromkeys(range(2, 17), CRITICAL)}
"""cpqHeFltTolPowerSupplyStatus: noError, sixteen kinds of failure."""

PROCESSOR: Meaning = {1: UNKNOWN, 2: NORMAL, 3: WARNING, 4: CRITICAL, 5: NORMAL}
"""cpqSeCpuStatus: unknown, ok, degraded, failed, disabled (on purpose)."""

MODULE: Meaning = {2: ABSENT, 4: NORMAL, **dict.fromkeys(range(7, 12), WARNING)}
"""cpqHeResMem2ModuleStatus: notPresent, good; missing, doesNotMatch, notSupported, badConfig, degraded."""

DRIVE: Meaning = {2: NORMAL, 3: CRITICAL, 4: WARNING, 8: WARNING, 9: WARNING}
"""cpqDaPhyDrvStatus: ok, failed, predictiveFailure, ssdWearOut, notAuthenticated; the others are phases of erasing."""

SMART: Meaning = {2: NORMAL, 3: WARNING, 4: WARNING}
"""cpqDaPhyDrvSmartStatus: ok, replaceDrive, replaceDriveSSDWearOut; other (1): it has none."""

VOLUME: Meaning = {
    1: UNKNOWN,
    2: NORMAL,
    **dict.fromkeys((3, 11, 13, 20, 23), CRITICAL),
    **dict.fromkeys((5, 6, 7, 8, 9, 10, 15, 17), WARNING),
    **dict.fromkeys((12, 14, 16, 18, 19, 21, 22, 24, 25), NORMAL),
}
"""cpqDaLogDrvStatus: ok; failed, shutdown, not available, no access; recovering, rebuilding, degraded; at work."""

OCTET: Meaning = CONDITION
"""cpqHoMibHealthStatusArray: 0 is "not available", then as a condition."""

ARRAY = (
    (Lamp.SYSTEM, "Health array: system"),
    (Lamp.SYSTEM, "Health array: total"),
    (Lamp.PROCESSOR, "Health array: processors"),
    (Lamp.MEMORY, "Health array: memory"),
    (Lamp.FAN, "Health array: cooling"),
    (Lamp.TEMPERATURE, "Health array: sensors"),
    (Lamp.POWER_SUPPLY, "Health array: power"),
    (Lamp.EVENT_LOG, "Health array: logs"),
    (Lamp.OTHER, "Health array: automatic recovery"),
    (Lamp.STORAGE, "Health array: drive array"),
)

LOCALES = {3: "system", 4: "system board", 5: "I/O board", 6: "CPU", 7: "memory", 8: "storage"} | {
    9: "removable media",
    10: "power supply",
    11: "ambient",
    12: "chassis",
    13: "bridge card",
}
"""cpqHeFltTolFanLocale and cpqHeTemperatureLocale."""


def octet(number: int) -> Callable[[Value], Value]:
    """Return what takes one octet out of cpqHoMibHealthStatusArray; 0 and what is beyond its end are not told."""

    def pick(value: Value) -> Value:
        return value[number] or None if isinstance(value, bytes) and number < len(value) else None

    return pick


def located(part: str) -> Callable[[Row], str]:
    """Return what names a row by its number, and by its locale in column 3."""

    def name(row: Row) -> str:
        place = LOCALES.get(row.integer(3) or 0, "")
        return f"{part} {row.number_in_index(-1)} {place}".rstrip()

    return name


def present(column: int) -> State:
    """Return a presence column: other, absent, present. Only an absent part's says all there is to say."""
    return State(column, {2: ABSENT}, silent=frozenset({1, 3}))


VENDOR = Vendor(
    name="HPE iLO",
    manufacturer="HPE",
    systems=(f"{CPQ}.9.4", f"{CPQ}.22"),
    descriptions=("Integrated Lights-Out",),
    subtrees=(CPQ,),
    scalars=(
        Scalar(Lamp.SYSTEM, "Health", f"{CPQ}.6.1.3.0", CONDITION),
        Scalar(Lamp.STORAGE, "Drive array", f"{CPQ}.3.1.3.0", CONDITION),
        Scalar(Lamp.PROCESSOR, "Standard equipment", f"{CPQ}.1.1.3.0", CONDITION),
        Scalar(Lamp.SYSTEM, "System information", f"{CPQ}.2.1.3.0", CONDITION),
        Scalar(Lamp.TEMPERATURE, "Thermal", f"{HEALTH}.6.1.0", CONDITION),
        Scalar(Lamp.TEMPERATURE, "Temperatures", f"{HEALTH}.6.3.0", CONDITION),
        Scalar(Lamp.FAN, "Fans", f"{HEALTH}.6.4.0", CONDITION),
        Scalar(Lamp.POWER_SUPPLY, "Power supplies", f"{HEALTH}.9.1.0", CONDITION),
        Scalar(Lamp.MEMORY, "Memory", f"{HEALTH}.14.4.0", {1: UNKNOWN, 2: NORMAL, 3: WARNING}),
        Scalar(Lamp.BATTERY, "Batteries", f"{HEALTH}.17.1.0", CONDITION),
        Scalar(Lamp.EVENT_LOG, "Integrated Management Log", f"{HEALTH}.11.2.0", CONDITION),
        *(
            Scalar(lamp, name, f"{CPQ}.11.2.10.7.0", OCTET, pick=octet(number))
            for number, (lamp, name) in enumerate(ARRAY)
        ),
        Scalar(Lamp.SYSTEM, "Enclosure", f"{CPQ}.22.1.3.0", CONDITION),
    ),
    tables=(
        Table(
            Lamp.FAN,
            f"{HEALTH}.6.7.1",
            "Fan",
            states=(State(9, CONDITION), present(4)),
            columns=(3,),
            called=located("Fan"),
            measures=(Measure(12, Quantity.FAN_SPEED, least=0),),
        ),
        Table(
            Lamp.TEMPERATURE,
            f"{HEALTH}.6.8.1",
            "Temperature",
            states=(State(6, CONDITION),),
            columns=(3,),
            called=located("Temperature"),
            measures=(Measure(4, Quantity.TEMPERATURE, none=frozenset({-1}), least=-99),),
        ),
        Table(
            Lamp.POWER_SUPPLY,
            f"{HEALTH}.9.3.1",
            "Power supply",
            states=(State(4, CONDITION), present(3), State(5, SUPPLY)),
            called=lambda row: f"Power supply {row.number_in_index(-1)}",
            measures=(Measure(7, Quantity.POWER, least=0), Measure(6, Quantity.VOLTAGE, least=1)),
        ),
        Table(
            Lamp.MEMORY,
            f"{HEALTH}.14.13.1",
            "Memory module",
            states=(
                State(20, {1: UNKNOWN, 2: NORMAL, 3: WARNING, 4: WARNING}),
                State(19, MODULE, silent=frozenset({1, 3, 5, 6, 12, 13})),
            ),
            names=(13,),
        ),
        Table(
            Lamp.BATTERY,
            f"{HEALTH}.17.2.1",
            "Battery",
            states=(State(4, CONDITION), present(3)),
            called=lambda row: f"Battery {row.number_in_index(-1)}",
        ),
        Table(
            Lamp.PROCESSOR,
            f"{CPQ}.1.2.2.1.1",
            "Processor",
            states=(State(6, PROCESSOR),),
            called=lambda row: f"Processor {row.number_in_index(-1)}",
        ),
        Table(
            Lamp.DRIVE,
            f"{CPQ}.3.2.5.1.1",
            "Drive",
            states=(
                State(37, CONDITION),
                State(6, DRIVE, silent=frozenset({1, 5, 6, 7})),
                State(57, SMART, silent=frozenset({1})),
            ),
            names=(64,),
        ),
        Table(
            Lamp.STORAGE,
            f"{CPQ}.3.2.3.1.1",
            "Logical drive",
            states=(State(11, CONDITION), State(4, VOLUME, silent=frozenset({4}))),
        ),
        Table(Lamp.STORAGE, f"{CPQ}.3.2.2.1.1", "Controller", states=(State(6, CONDITION),)),
        Table(
            Lamp.STORAGE,
            f"{CPQ}.3.2.2.2.1",
            "Cache module",
            states=(State(9, CONDITION),),
        ),
        Table(
            Lamp.INTRUSION,
            f"{CPQ}.8.2.1.1",
            "Storage enclosure side panel",
            states=(State(10, {1: UNKNOWN, 2: NORMAL, 3: CRITICAL}, silent=frozenset({4})),),
        ),
        Table(
            lambda _: None,
            f"{CPQ}.22.2.3.1.1.1",
            "Enclosure",
            columns=(23,),
            locate=lambda row: {3: True, 4: False}.get(row.integer(23) or 0),
        ),
        Table(
            lambda _: None,
            f"{CPQ}.22.2.4.1.1.1",
            "Blade",
            columns=(26,),
            locate=lambda row: True if row.integer(26) == 3 else None,
        ),
    ),
    locate=(Light(f"{HEALTH}.12.3.0", on=frozenset({3, 5}), off=frozenset({4})),),
    model=(f"{CPQ}.2.2.4.2.0",),
    serial=(f"{CPQ}.2.2.2.1.0",),
    firmware=(f"{CPQ}.11.2.14.1.1.5.0",),
)
