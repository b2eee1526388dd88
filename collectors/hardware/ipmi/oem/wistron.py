"""Wistron, who also makes Dell's C6220: chassis lights (NetFn 30h, command 1Ch; FreeIPMI's ipmi-oem)."""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps, either
from collectors.reading import Lamp, Verdict

NETFN, GET_LIGHTS = 0x30, 0x1C
KNOWS_IDENTIFY, KNOWS_FAULT = 0x01, 0x02
FAULT = "Fault lamp"
OFF_SOLID_BLINKING = {0: Verdict.NORMAL, 1: Verdict.CRITICAL, 2: Verdict.CRITICAL}


async def read(talk: Talk) -> VendorLamps:
    """Ask for both lights: version, which of them there are, identify, fault; each off, solid or blinking."""
    lights = await talk.ask(NETFN, GET_LIGHTS, length=4)
    knows = lights.data[1] if lights.data else KNOWS_FAULT
    return VendorLamps(
        lamps=lights.lamp(Lamp.SYSTEM, FAULT, lambda data: either(data[3], OFF_SOLID_BLINKING))
        if knows & KNOWS_FAULT
        else (),
        locate={0: False, 1: True, 2: True}.get(lights.data[2]) if lights.data and knows & KNOWS_IDENTIFY else None,
    )


WISTRON = Vendor(frozenset({11161}), read)
