"""Supermicro SuperDoctor in the operating system (SUPERMICRO-HEALTH-MIB).

Older agents have no status column: their readings are compared with their limits. Rows that are not monitored are no
lamps.
"""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import CRITICAL, NORMAL, UNKNOWN, WARNING, Meaning, Row, Scalar, State, Table, Vendor
from collectors.reading import Lamp, Quantity, Verdict

HEALTH = "1.3.6.1.4.1.10876.2"

STATUS: Meaning = {0: NORMAL, 1: WARNING, 2: CRITICAL}
FAN, VOLTAGE, TEMPERATURE = 0, 1, 2
"""smHealthMonitorType."""

LAMPS = {FAN: Lamp.FAN, VOLTAGE: Lamp.VOLTAGE, TEMPERATURE: Lamp.TEMPERATURE}
READING, HIGH, LOW, MONITORED, ROW_STATUS = 4, 5, 6, 10, 12


def kind_of(row: Row) -> Lamp | None:
    """Return the lamp of a row, None where it is not monitored."""
    kind = row.integer(3)
    return None if row.integer(MONITORED) == 0 else LAMPS.get(kind if kind is not None else -1, Lamp.OTHER)


def compared(row: Row) -> Iterator[Verdict | None]:
    """Compare a reading with its limits, where the agent does not do so itself."""
    if ROW_STATUS in row.cells:
        return
    reading, high, low = row.number(READING), row.number(HIGH), row.number(LOW)
    if reading is None or (not high and not low):
        yield UNKNOWN
    else:
        yield CRITICAL if (high and reading >= high) or (low and reading <= low) else NORMAL


def measured(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure a row: rpm, millivolts, degrees."""
    reading = row.number(READING)
    if reading is None or row.integer(MONITORED) == 0:
        return
    match row.integer(3):
        case 0:
            yield Quantity.FAN_SPEED, reading
        case 1:
            yield Quantity.VOLTAGE, reading / 1000
        case 2:
            yield Quantity.TEMPERATURE, reading


VENDOR = Vendor(
    name="Supermicro SuperDoctor",
    manufacturer="Supermicro",
    systems=("1.3.6.1.4.1.10876",),
    subtrees=(HEALTH,),
    scalars=(Scalar(Lamp.SYSTEM, "All in one", f"{HEALTH}.2.0", STATUS),),
    tables=(
        Table(
            kind_of,
            f"{HEALTH}.1.1.1.1",
            "Sensor",
            states=(State(ROW_STATUS, STATUS),),
            names=(2,),
            columns=(3, READING, HIGH, LOW, MONITORED),
            judge=compared,
            measure=measured,
        ),
    ),
)
