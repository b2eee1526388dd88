"""Uninterruptible power supplies (UPS-MIB, RFC 1628)."""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import (
    CRITICAL,
    NORMAL,
    UNKNOWN,
    WARNING,
    Meaning,
    Row,
    Scalar,
    Table,
    Value,
    Vendor,
    integer_of,
)
from collectors.reading import Lamp, Verdict

UPS = "1.3.6.1.2.1.33.1"
ALARMS = f"{UPS}.6.3."
"""upsWellKnownAlarms: an alarm's description is an OID below."""

BATTERY: Meaning = {1: UNKNOWN, 2: NORMAL, 3: WARNING, 4: CRITICAL}
"""upsBatteryStatus: unknown, normal, low, depleted."""

SOURCE: Meaning = {1: UNKNOWN, 2: CRITICAL, 3: NORMAL, 4: WARNING, 5: WARNING, 6: NORMAL, 7: NORMAL}
"""upsOutputSource: other, none, normal, bypass, battery, booster, reducer."""

GRAVE = frozenset({1, 5, 7, 8, 13, 16, 18})
"""Battery bad, temperature, output bad, overload, charger failed, fan failure, general fault."""
HARMLESS = frozenset({24})
"""A test is in progress."""
MOST_KNOWN = 24


def any_alarm(value: Value) -> Value:
    """Return 0 or 1: whether alarms are present."""
    number = integer_of(value)
    return number if number is None or number < 0 else min(number, 1)


def number_of_alarm(row: Row) -> int:
    """Return an alarm's number among the well-known ones, 0 for others."""
    oid = row.text(2).lstrip(".")
    number = oid.removeprefix(ALARMS)
    return int(number) if oid.startswith(ALARMS) and number.isdecimal() and int(number) <= MOST_KNOWN else 0


def alarm(row: Row) -> Iterator[Verdict | None]:
    """Judge an alarm that is present."""
    number = number_of_alarm(row)
    yield CRITICAL if number in GRAVE else NORMAL if number in HARMLESS else WARNING


def kind_of(row: Row) -> Lamp:
    """Return the lamp of an alarm."""
    number = number_of_alarm(row)
    return {1: Lamp.BATTERY, 3: Lamp.BATTERY, 5: Lamp.TEMPERATURE, 16: Lamp.FAN}.get(number, Lamp.POWER)


VENDOR = Vendor(
    name="UPS-MIB",
    manufacturer="",
    subtrees=(UPS,),
    scalars=(
        Scalar(Lamp.BATTERY, "UPS battery", f"{UPS}.2.1.0", BATTERY),
        Scalar(Lamp.POWER, "UPS output", f"{UPS}.4.1.0", SOURCE),
        Scalar(Lamp.POWER, "UPS alarms", f"{UPS}.6.1.0", {0: NORMAL, 1: WARNING}, pick=any_alarm),
    ),
    tables=(
        Table(
            kind_of,
            f"{UPS}.6.2.1",
            "UPS alarm",
            columns=(2,),
            called=lambda row: f"UPS alarm {number_of_alarm(row) or row.index}",
            judge=alarm,
        ),
    ),
    model=(f"{UPS}.1.2.0",),
    firmware=(f"{UPS}.1.3.0",),
)
