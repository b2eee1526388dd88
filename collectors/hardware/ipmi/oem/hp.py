"""HP and HPE: no command, but two discrete sensors of type C0h (FreeIPMI's tables, from a DL160 G8)."""

from collectors.hardware.ipmi.oem.vendor import Light, LocateLight, Vendor
from collectors.hardware.ipmi.sdr import Sensor
from collectors.reading import Lamp, Verdict

GREEN = 0b001
GREEN_AMBER_RED = {GREEN: Verdict.NORMAL, 0b010: Verdict.WARNING, 0b100: Verdict.CRITICAL}
ON_OFF_BLINKING = {0b001: True, 0b010: False, 0b100: True}


def lights(sensor: Sensor) -> Light | LocateLight | None:
    """Know "UID Light", the locate lamp, and "Sys. Health LED"."""
    match sensor.type, sensor.event_type:
        case 0xC0, 0x70:
            return LocateLight(ON_OFF_BLINKING.get)
        case 0xC0, 0x71:
            return Light(Lamp.SYSTEM, health)
    return None


def health(states: int) -> Verdict:
    """Return what the health lamp says: the gravest of its colours, UNKNOWN where none is told."""
    gravest = max((verdict for bit, verdict in GREEN_AMBER_RED.items() if states & bit), default=Verdict.UNKNOWN)
    return Verdict.UNKNOWN if gravest is Verdict.NORMAL and states != GREEN else gravest


HP = Vendor(frozenset({11, 47196}), lights=lights, always=True)
