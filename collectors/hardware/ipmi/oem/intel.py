"""Intel: the front panel's lights (NetFn 30h, command B0h; intel-ipmi-oem of OpenBMC, src/oemcommands.cpp).

What the status light means is Intel's: steady amber is fatal, blinking amber is not, blinking green is degraded.
"""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps
from collectors.reading import Lamp, Verdict

NETFN, GET_LIGHTS = 0x30, 0xB0
STATUS = "Status lamp"
OFF, BLINKING, ON = 0, 1, 2
AMBER_GREEN = {
    (ON, OFF): Verdict.CRITICAL,
    (ON, BLINKING): Verdict.CRITICAL,
    (ON, ON): Verdict.CRITICAL,
    (BLINKING, OFF): Verdict.WARNING,
    (BLINKING, BLINKING): Verdict.WARNING,
    (BLINKING, ON): Verdict.WARNING,
    (OFF, BLINKING): Verdict.WARNING,
    (OFF, ON): Verdict.NORMAL,
}
"""A light that is dark altogether says nothing: the server may have no power."""


async def read(talk: Talk) -> VendorLamps:
    """Ask for all lights: one byte, two bits for each."""
    lights = await talk.ask(NETFN, GET_LIGHTS)
    identify = {OFF: False, BLINKING: True, ON: True}.get(lights.data[0] >> 6) if lights.data else None
    return VendorLamps(lights.lamp(Lamp.SYSTEM, STATUS, status), identify)


def status(data: bytes) -> Verdict:
    """Return what the status light says: bits 3:2 amber, 5:4 green."""
    return AMBER_GREEN.get((data[0] >> 2 & 3, data[0] >> 4 & 3), Verdict.UNKNOWN)


INTEL = Vendor(frozenset({343}), read)
