"""Cisco CIMC: discrete sensors LED_... whose offsets are the light's state and colour (from a dump of one machine)."""

from collectors.hardware.ipmi.oem.vendor import Light, LocateLight, Vendor
from collectors.hardware.ipmi.sdr import Sensor
from collectors.reading import Lamp, Verdict

PREFIX = "LED_"
LOCATING = ("LED_FPID", "LED_LOC")
KINDS = {"LED_PSU": Lamp.POWER_SUPPLY, "LED_FAN": Lamp.FAN, "LED_TEMP": Lamp.TEMPERATURE, "LED_DIMM": Lamp.MEMORY}
OFF, ON, GREEN, AMBER, BLUE = 1 << 0, 1 << 1, 1 << 4, 1 << 5, 1 << 6


def lights(sensor: Sensor) -> Light | LocateLight | None:
    """Know the discrete sensors that are called LED_..."""
    if not sensor.name.startswith(PREFIX) or sensor.event_type == 0x01:
        return None
    if sensor.name.startswith(LOCATING):
        return LocateLight(locate)
    kind = next((lamp for prefix, lamp in KINDS.items() if sensor.name.startswith(prefix)), Lamp.SYSTEM)
    return Light(kind, health)


def locate(states: int) -> bool | None:
    """Return whether the locate lamp is lit."""
    return {OFF: False, ON: True}.get(states & (OFF | ON))


def health(states: int) -> Verdict:
    """Return what a light says: on and green, or on and amber. Nothing else is known well enough."""
    if states == ON | GREEN:
        return Verdict.NORMAL
    return Verdict.WARNING if states == ON | AMBER else Verdict.UNKNOWN


CISCO = Vendor(frozenset({5771}), lights=lights)
