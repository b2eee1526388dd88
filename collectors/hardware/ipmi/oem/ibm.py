"""IBM System x: light path (NetFn 3Ah, command C0h; FreeIPMI's ipmi-oem, tried there on an x3755)."""

from collectors.hardware.ipmi.oem.vendor import Said, Talk, Vendor, VendorLamps
from collectors.reading import Lamp, Verdict

NETFN, GET_LIGHT = 0x3A, 0xC0
FAULT, LOCATION = 0x0000, 0x0001
FAULT_LAMP = "Fault lamp"


async def read(talk: Talk) -> VendorLamps:
    """Ask for the fault and the location lamp: the second byte of the answer is not 0 while it is lit."""
    fault, location = await ask(talk, FAULT), await ask(talk, LOCATION)
    return VendorLamps(
        lamps=fault.lamp(Lamp.SYSTEM, FAULT_LAMP, lambda data: Verdict.CRITICAL if data[1] else Verdict.NORMAL),
        locate=bool(location.data[1]) if location.data else None,
    )


async def ask(talk: Talk, light: int) -> Said:
    """Ask for one light. BMCs do not agree in which order the bytes of its number come: C9h means the other one."""
    said = await talk.ask(NETFN, GET_LIGHT, light.to_bytes(2, "big"), length=6)
    if not said.there and light:
        said = await talk.ask(NETFN, GET_LIGHT, light.to_bytes(2, "little"), length=6)
    return said


IBM = Vendor(frozenset({2, 4769, 20301}), read)
