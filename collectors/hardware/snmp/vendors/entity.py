"""Any agent with ENTITY-STATE-MIB (RFC 4268) and ENTITY-SENSOR-MIB (RFC 3433), named by ENTITY-MIB (RFC 6933)."""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import CRITICAL, NORMAL, UNKNOWN, WARNING, Meaning, Row, State, Table, Vendor
from collectors.reading import Lamp, Quantity, Verdict

STATES = "1.3.6.1.2.1.131.1.1.1"
SENSORS = "1.3.6.1.2.1.99.1.1.1"
PHYSICAL = "1.3.6.1.2.1.47.1.1.1.1"
NAME, CLASS, DESCRIPTION = -1, -2, -3
ENTITIES = (f"{PHYSICAL}.7", f"{PHYSICAL}.5", f"{PHYSICAL}.2")
"""entPhysicalName, entPhysicalClass, entPhysicalDescr"""

OPERATION: Meaning = {1: UNKNOWN, 2: NORMAL, 3: NORMAL, 4: UNKNOWN}
"""entStateOper: unknown, disabled (on purpose), enabled, testing."""

ALARMS = ((0x20, CRITICAL), (0x10, CRITICAL), (0x08, WARNING), (0x04, WARNING), (0x80, UNKNOWN), (0x02, UNKNOWN))
"""EntityAlarmStatus, BITS from the most significant: unknown, underRepair, critical, major, minor, warning, ..."""

SENSOR: Meaning = {1: NORMAL, 2: UNKNOWN, 3: WARNING}
"""entPhySensorOperStatus: ok, unavailable, nonoperational."""

CLASSES = {3: Lamp.SYSTEM, 6: Lamp.POWER_SUPPLY, 7: Lamp.FAN, 12: Lamp.PROCESSOR, 13: Lamp.POWER, 14: Lamp.BATTERY}
"""entPhysicalClass: chassis, powerSupply, fan, cpu, energyObject, battery."""

QUANTITIES = {
    3: (Quantity.VOLTAGE, 1.0),
    4: (Quantity.VOLTAGE, 1.0),
    5: (Quantity.CURRENT, 1.0),
    6: (Quantity.POWER, 1.0),
    8: (Quantity.TEMPERATURE, 1.0),
    10: (Quantity.FAN_SPEED, 1.0),
}
"""entPhySensorType: voltsAC, voltsDC, amperes, watts, celsius, rpm."""

LAMPS = {
    3: Lamp.VOLTAGE,
    4: Lamp.VOLTAGE,
    5: Lamp.POWER,
    6: Lamp.POWER,
    8: Lamp.TEMPERATURE,
    10: Lamp.FAN,
}
UNITS_SCALE = 9
"""entPhySensorScale: units(9); each step is a factor of a thousand."""


def kind_of(row: Row) -> Lamp:
    """Return the lamp by entPhysicalClass."""
    return CLASSES.get(row.integer(CLASS) or 0, Lamp.OTHER)


def sensor_lamp(row: Row) -> Lamp:
    """Return the lamp by what a sensor measures."""
    return LAMPS.get(row.integer(1) or 0, Lamp.OTHER)


def named(row: Row) -> str:
    """Return the entity's name, or what describes it."""
    return row.text(NAME) or row.text(DESCRIPTION)


def sensor_name(row: Row) -> str:
    """Return the sensor's name, told apart from the entity's own lamp."""
    return f"{name} sensor" if (name := named(row)) else ""


def alarm(row: Row) -> Iterator[Verdict | None]:
    """Judge entStateAlarm; no bit set is no alarm."""
    value = row.cells.get(5)
    if value is None:
        return
    if not isinstance(value, bytes):
        yield UNKNOWN
        return
    bits = value[0] if value else 0
    yield next((verdict for bit, verdict in ALARMS if bits & bit), NORMAL if not bits & 0x40 else WARNING)


def measured(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure entPhySensorValue, by its type, scale and precision."""
    value, scale, precision = row.integer(4), row.integer(2), row.integer(3)
    kind = QUANTITIES.get(row.integer(1) or 0)
    if value is None or kind is None or row.integer(5) != 1:
        return
    if scale is None or not 1 <= scale <= 17 or precision is None or not -8 <= precision <= 9:
        return
    quantity, factor = kind
    yield quantity, value * factor * 1000.0 ** (scale - UNITS_SCALE) / 10.0 ** max(precision, 0)


VENDOR = Vendor(
    name="ENTITY-STATE-MIB and ENTITY-SENSOR-MIB",
    manufacturer="",
    subtrees=(STATES, SENSORS),
    tables=(
        Table(
            kind_of,
            STATES,
            "Entity",
            states=(State(3, OPERATION),),
            columns=(5, CLASS, NAME, DESCRIPTION),
            elsewhere=ENTITIES,
            called=named,
            judge=alarm,
        ),
        Table(
            sensor_lamp,
            SENSORS,
            "Sensor",
            states=(State(5, SENSOR),),
            columns=(1, 2, 3, 4, NAME, DESCRIPTION),
            elsewhere=ENTITIES,
            called=sensor_name,
            measure=measured,
        ),
    ),
    model=(f"{PHYSICAL}.13.1",),
    serial=(f"{PHYSICAL}.11.1",),
    firmware=(f"{PHYSICAL}.9.1",),
)
