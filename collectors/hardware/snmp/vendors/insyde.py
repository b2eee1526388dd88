"""OpenBMC by Insyde (INSYDE-IPMI-MIB). It tells no health: power, the system LED that a person switches, readings."""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import Light, Row, Table, Vendor
from collectors.reading import Lamp, Quantity

INSYDE = "1.3.6.1.4.1.45065.1"
UNITS = (
    ("rpm", Quantity.FAN_SPEED),
    ("volt", Quantity.VOLTAGE),
    ("amp", Quantity.CURRENT),
    ("watt", Quantity.POWER),
    ("degrees c", Quantity.TEMPERATURE),
)


def measured(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure a sensor by sensorHumanReading, a number and its unit."""
    reading, text = row.number(13), row.text(13).casefold()
    quantity = next((quantity for unit, quantity in UNITS if unit in text), None)
    if reading is not None and quantity is not None:
        yield quantity, reading


def no_lamp(_: Row) -> Lamp | None:
    """Return None: a measurement without a state stands for no lamp."""
    return None


VENDOR = Vendor(
    name="Insyde OpenBMC",
    manufacturer="Insyde",
    systems=("1.3.6.1.4.1.45065",),
    subtrees=(INSYDE,),
    tables=(Table(no_lamp, f"{INSYDE}.2.1.1", "Sensor", columns=(13,), names=(22,), measure=measured),),
    locate=(Light(f"{INSYDE}.1.1.8.0", on=frozenset({1, 2}), off=frozenset({0})),),
    power=(Light(f"{INSYDE}.1.1.1.0", on=frozenset({1, 2}), off=frozenset({0})),),
    serial=(f"{INSYDE}.1.1.6.0",),
    firmware=(f"{INSYDE}.1.1.3.0",),
)
