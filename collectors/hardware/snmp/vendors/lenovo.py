"""Lenovo XClarity Controller (LENOVO-XCC-MIB). IBM's IMM has the same layout (see ibm.py).

States are texts, of varying case. systemHealthStat is not ordered: 0 is the worst, 255 is normal.
"""

from collections.abc import Iterator

from collectors.hardware.snmp.mib import (
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
    integer_of,
)
from collectors.reading import Lamp, Quantity, Verdict

XCC = "1.3.6.1.4.1.19046.11.1.1"

HEALTH: Meaning = {0: CRITICAL, 2: CRITICAL, 4: WARNING, 255: NORMAL}
"""systemHealthStat: nonRecoverable, critical, nonCritical, normal."""

TEXT: Meaning = {
    "normal": NORMAL,
    "warning": WARNING,
    "noncritical": WARNING,
    "non-critical": WARNING,
    "critical": CRITICAL,
    "error": CRITICAL,
    "nonrecoverable": CRITICAL,
    "non-recoverable": CRITICAL,
}

OFF, ON, BLINKING = 0, 1, 2
FAULT_LIGHTS = ("fault", "system error", "system-error")
NOTICE_LIGHTS = ("check log", "check-log", "information", "info")
LOCATE_LIGHTS = ("identify", "location", "locate", "uid")


def told(value: Value) -> Value:
    """Return an LED's state; "not available" (3) is not told."""
    return None if integer_of(value) == 3 else value


def light_lamp(row: Row) -> Lamp | None:
    """Return the lamp of an LED of the light path: only those that stand for a fault are lamps."""
    label = row.text(4).casefold()
    fault = any(word in label for word in (*FAULT_LIGHTS, *NOTICE_LIGHTS))
    return Lamp.SYSTEM if fault and not is_locate(row) else None


def is_locate(row: Row) -> bool:
    """Tell whether an LED is the identify light."""
    return any(word in row.text(4).casefold() for word in LOCATE_LIGHTS)


def light(row: Row) -> Iterator[Verdict | None]:
    """Judge an LED by its label."""
    state = row.integer(5)
    if state in {ON, BLINKING}:
        yield CRITICAL if any(word in row.text(4).casefold() for word in FAULT_LIGHTS) else WARNING
    else:
        yield NORMAL if state == OFF else UNKNOWN


def light_locate(row: Row) -> bool | None:
    """Return whether the identify light is lit."""
    return {OFF: False, ON: True, BLINKING: True}.get(row.integer(5) or OFF) if is_locate(row) else None


def fan_speed(row: Row) -> Iterator[tuple[Quantity, float]]:
    """Measure a fan: "24% of maximum"; "offline" and the like are no speed."""
    share = row.number(3)
    if share is not None and "%" in row.text(3) and 0 <= share <= 1000:
        yield Quantity.FAN_SPEED_RATIO, share / 100


def described(tree: str, *, name: str, manufacturer: str, systems: tuple[str, ...]) -> Vendor:
    """Return the description of a controller with this layout below ``tree``."""
    return Vendor(
        name=name,
        manufacturer=manufacturer,
        systems=systems,
        subtrees=(tree,),
        scalars=(
            Scalar(Lamp.SYSTEM, "System health", f"{tree}.4.1.0", HEALTH),
            Scalar(
                Lamp.SYSTEM,
                "Information light",
                f"{tree}.8.3.0",
                {OFF: NORMAL, ON: WARNING, BLINKING: WARNING},
                pick=told,
            ),
        ),
        tables=(
            Table(Lamp.SYSTEM, f"{tree}.4.2.1", "Active event", states=(State(2, TEXT),), columns=(3,)),
            Table(
                light_lamp,
                f"{tree}.8.2.1",
                "Light",
                columns=(5, 4, 6),
                called=lambda row: f"{row.text(4) or row.index} light",
                judge=light,
                locate=light_locate,
            ),
            Table(
                Lamp.TEMPERATURE,
                f"{tree}.1.2.1",
                "Temperature",
                states=(State(11, TEXT),),
                names=(2,),
                measures=(Measure(3, Quantity.TEMPERATURE),),
            ),
            Table(
                Lamp.VOLTAGE,
                f"{tree}.2.2.1",
                "Voltage",
                states=(State(11, TEXT),),
                names=(2,),
                measures=(Measure(3, Quantity.VOLTAGE),),
            ),
            Table(
                Lamp.FAN,
                f"{tree}.3.2.1",
                "Fan",
                states=(State(10, TEXT),),
                names=(2,),
                columns=(3,),
                measure=fan_speed,
            ),
            Table(Lamp.PROCESSOR, f"{tree}.5.20.1", "Processor", states=(State(11, TEXT),), names=(2,)),
            Table(Lamp.MEMORY, f"{tree}.5.21.1", "Memory module", states=(State(8, TEXT),), names=(2,)),
            Table(Lamp.POWER_SUPPLY, f"{tree}.11.2.1", "Power supply", states=(State(6, TEXT),), names=(2,)),
            Table(Lamp.DRIVE, f"{tree}.12.2.1", "Drive", states=(State(3, TEXT),), names=(2,)),
        ),
        locate=(Light(f"{tree}.8.1.0", on=frozenset({ON, BLINKING}), off=frozenset({OFF})),),
        power=(Light(f"{tree.rpartition('.')[0]}.5.1.1.0", on=frozenset({255}), off=frozenset({0})),),
        model=(f"{tree}.5.2.1.5.0",),
        serial=(f"{tree}.5.2.1.3.0",),
        firmware=(f"{tree}.5.1.1.3.1",),
    )


VENDOR = described(XCC, name="Lenovo XCC", manufacturer="Lenovo", systems=("1.3.6.1.4.1.19046.11.1",))
