"""Sun and Oracle ILOM: each light is a device locator record (type 10h), and asked for with that record's own bytes.

NetFn 2Eh, command 21h (as ipmitool and FreeIPMI know it): slave address, light type, access address, the OEM byte, and
0 for "through the controller"; blade systems want entity and instance before the last.
"""

from collectors.hardware.ipmi.oem.vendor import Said, Talk, Vendor, VendorLamps
from collectors.hardware.ipmi.sdr import Locator
from collectors.reading import Lamp, LampReading, Verdict

NETFN, GET_LIGHT = 0x2E, 0x21
SERVICE, LOCATE = 1, 3
OFF_TO_FAST = range(5)
MAX_LIGHTS = 128


async def read(talk: Talk) -> VendorLamps:
    """Ask for every service and locate light. The others, ok-to-remove and activity, are no faults."""
    lamps: list[LampReading] = []
    located: list[bool] = []
    for locator in talk.locators[:MAX_LIGHTS]:
        if locator.oem == SERVICE:
            said = await ask(talk, locator)
            lamps += said.lamp(Lamp.SYSTEM, locator.name, service)
        elif locator.oem == LOCATE:
            said = await ask(talk, locator)
            located += [bool(said.data[0])] if said.data and said.data[0] in OFF_TO_FAST else []
    return VendorLamps(tuple(lamps), any(located) if located else None)


async def ask(talk: Talk, locator: Locator) -> Said:
    """Ask for one light, in the longer form where the BMC wants that."""
    head = bytes([locator.slave, locator.oem, locator.access, locator.oem])
    said = await talk.ask(NETFN, GET_LIGHT, head + b"\0")
    if not said.data:
        said = await talk.ask(NETFN, GET_LIGHT, head + bytes([locator.entity, locator.instance, 0]))
    return said


def service(data: bytes) -> Verdict:
    """Return what a service light says: 0 off, 1 on, 2 to 4 blinking."""
    if data[0] not in OFF_TO_FAST:
        return Verdict.UNKNOWN
    return Verdict.CRITICAL if data[0] else Verdict.NORMAL


ORACLE = Vendor(frozenset({42}), read)
