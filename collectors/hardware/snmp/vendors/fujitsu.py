"""Fujitsu iRMC and ServerView agents (FSC-SERVERCONTROL2-MIB).

The component lamp table shows each part's light as it is: steady before a failure, flashing after it.
"""

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
from collectors.reading import Lamp, Quantity

SC2 = "1.3.6.1.4.1.231.2.10.2.2.10"

STATUS: Meaning = {1: NORMAL, 2: WARNING, 3: CRITICAL, 4: UNKNOWN, 5: UNKNOWN, 6: ABSENT, 7: UNKNOWN}
"""sc2AgentStatus: ok, warning, error, (4 is not used), unknown, notPresent, notManageable."""

LAMP: Meaning = {1: UNKNOWN, 2: NORMAL, 3: NORMAL, 4: WARNING, 5: CRITICAL, 6: ABSENT}
"""Component lamp: unknown, ok, identify (lit, and healthy), preFailure, failure, notPresent."""

TEMPERATURE: Meaning = {
    1: UNKNOWN,
    2: UNKNOWN,
    3: NORMAL,
    4: WARNING,
    5: CRITICAL,
    6: WARNING,
    7: CRITICAL,
    8: NORMAL,
    9: WARNING,
}
"""sc2tempSensorStatus: notAvailable; ok; sensorFailed; failed; warning and critical too warm or too cold."""

FAN: Meaning = {1: UNKNOWN, 2: UNKNOWN, 3: NORMAL, 4: CRITICAL, 5: WARNING, 6: WARNING, 7: UNKNOWN, 8: ABSENT}
"""sc2fanStatus: disabled, ok, fail, prefailurePredicted, redundantFanFailed, notManageable, notPresent."""

SUPPLY: Meaning = {
    1: UNKNOWN,
    2: ABSENT,
    3: NORMAL,
    8: UNKNOWN,
    9: WARNING,
    11: NORMAL,
    **dict.fromkeys((4, 5, 6, 7, 10, 12, 13), CRITICAL),
}
"""sc2PowerSupplyStatus: notPresent, ok, fan prefailure, power save; failures of AC, DC, temperature, fan and so on."""

VOLTAGE: Meaning = {1: UNKNOWN, 2: UNKNOWN, 3: NORMAL, 4: CRITICAL, 5: CRITICAL, 6: CRITICAL, 7: WARNING}
"""sc2VoltageStatus: notAvailable, ok, too low, too high, sensor failed, warning."""

PROCESSOR: Meaning = {1: UNKNOWN, 2: ABSENT, 3: NORMAL, 4: NORMAL, 5: CRITICAL, 6: CRITICAL, 7: UNKNOWN, 8: WARNING}
"""sc2cpuStatus: notPresent, ok, disabled (on purpose), error, failed, missing termination, prefailure."""

MEMORY: Meaning = {
    1: UNKNOWN,
    2: ABSENT,
    3: NORMAL,
    4: NORMAL,
    5: CRITICAL,
    6: CRITICAL,
    7: WARNING,
    **dict.fromkeys((8, 9, 10), NORMAL),
}
"""sc2memModuleStatus: notPresent, ok, disabled (on purpose), error, failed, prefailure, spare, mirror, RAID."""

HOUSING: Meaning = {1: UNKNOWN, 2: CRITICAL, 3: NORMAL, 4: WARNING}
"""Housing and door: unknown, open, closed, opened and closed since."""

IDENTIFY = 3
KINDS = (
    (Lamp.MEMORY, ("memory", "dimm")),
    (Lamp.PROCESSOR, ("processor", "cpu")),
    (Lamp.FAN, ("fan", "cooling")),
    (Lamp.POWER_SUPPLY, ("power", "psu")),
    (Lamp.DRIVE, ("disk", "drive", "hdd")),
    (Lamp.BATTERY, ("battery", "batt")),
    (Lamp.TEMPERATURE, ("temp", "ambient")),
)


def kind_of(row: Row) -> Lamp:
    """Return the lamp by a component's type and name."""
    said = f"{row.text(4)} {row.text(3)}".casefold()
    return next((lamp for lamp, words in KINDS if any(word in said for word in words)), Lamp.SYSTEM)


VENDOR = Vendor(
    name="Fujitsu iRMC",
    manufacturer="Fujitsu",
    systems=("1.3.6.1.4.1.231",),
    descriptions=("Primergy", "FUJITSU Out-of-band"),
    subtrees=(SC2,),
    scalars=(
        Scalar(Lamp.SYSTEM, "Agent", f"{SC2}.8.1.0", STATUS),
        Scalar(Lamp.SYSTEM, "Overall", f"{SC2}.8.2.1.2.1", STATUS),
        Scalar(Lamp.SYSTEM, "Boot", f"{SC2}.8.2.1.3.1", STATUS),
        Scalar(Lamp.POWER_SUPPLY, "Power supplies", f"{SC2}.8.2.1.4.1", STATUS),
        Scalar(Lamp.TEMPERATURE, "Temperatures", f"{SC2}.8.2.1.5.1", STATUS),
        Scalar(Lamp.FAN, "Fans", f"{SC2}.8.2.1.6.1", STATUS),
        Scalar(Lamp.VOLTAGE, "Voltages", f"{SC2}.8.2.1.7.1", STATUS),
        Scalar(Lamp.PROCESSOR, "Processors", f"{SC2}.8.2.1.8.1", STATUS),
        Scalar(Lamp.MEMORY, "Memory", f"{SC2}.8.2.1.9.1", STATUS),
        Scalar(Lamp.INTRUSION, "Housing", f"{SC2}.2.3.1.12.1", HOUSING),
        Scalar(Lamp.INTRUSION, "Front door", f"{SC2}.2.3.1.11.1", HOUSING),
    ),
    tables=(
        Table(
            kind_of,
            f"{SC2}.8.3.1",
            "Component",
            states=(State(8, LAMP),),
            columns=(3, 4),
            called=lambda row: f"{row.text(3) or row.index} light",
            locate=lambda row: True if row.integer(8) == IDENTIFY else None,
        ),
        Table(
            Lamp.TEMPERATURE,
            f"{SC2}.5.1.1",
            "Temperature",
            states=(State(5, TEMPERATURE),),
            names=(3,),
            measures=(Measure(6, Quantity.TEMPERATURE, least=-99),),
        ),
        Table(
            Lamp.FAN,
            f"{SC2}.5.2.1",
            "Fan",
            states=(State(5, FAN),),
            names=(3,),
            measures=(Measure(6, Quantity.FAN_SPEED, least=0),),
        ),
        Table(
            Lamp.POWER_SUPPLY,
            f"{SC2}.6.2.1",
            "Power supply",
            states=(State(5, SUPPLY),),
            names=(4, 3),
            measures=(Measure(6, Quantity.POWER, least=0),),
        ),
        Table(
            Lamp.VOLTAGE,
            f"{SC2}.6.3.1",
            "Voltage",
            states=(State(4, VOLTAGE),),
            names=(3,),
            measures=(Measure(5, Quantity.VOLTAGE, 0.001, none=frozenset({4294967295})),),
        ),
        Table(Lamp.PROCESSOR, f"{SC2}.6.4.1", "Processor", states=(State(4, PROCESSOR),), names=(3,)),
        Table(Lamp.MEMORY, f"{SC2}.6.5.1", "Memory module", states=(State(4, MEMORY),), names=(3,)),
    ),
    power=(Light(f"{SC2}.4.2.1.2.1", on=frozenset({3}), off=frozenset({2})),),
    model=(f"{SC2}.2.3.1.5.1",),
    serial=(f"{SC2}.2.3.1.7.1",),
)
