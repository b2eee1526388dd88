"""Lenovo ThinkSystem with a TSM: lights (NetFn 3Ah, command 02h; pyghmi's oem/lenovo/handler.py).

An XCC has other commands under the same numbers. It is known by its answer of three bytes to 3Ah/C1h, and asked nothing
else: SNMP and Redfish tell its lamps.
"""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps
from collectors.reading import Lamp, LampReading, Verdict

NETFN, GET_LIGHT, XCC_ONLY = 0x3A, 0x02, 0xC1
UID = 0x00
OFF = 0x00
LIGHTS: dict[int, tuple[Lamp, str]] = {
    0x02: (Lamp.SYSTEM, "System fault lamp"),
    0x03: (Lamp.POWER_SUPPLY, "PSU1 fault lamp"),
    0x04: (Lamp.POWER_SUPPLY, "PSU2 fault lamp"),
    **{0x10 + place: (Lamp.FAN, f"Fan {place + 1} fault lamp") for place in range(8)},
}


async def read(talk: Talk) -> VendorLamps:
    """Ask for each light: 00h off, FFh on, all else blinking."""
    if len((await talk.ask(NETFN, XCC_ONLY)).data) == 3:
        return VendorLamps()
    uid = await talk.ask(NETFN, GET_LIGHT, bytes([UID]))
    lamps: list[LampReading] = []
    for number, (kind, component) in LIGHTS.items():
        said = await talk.ask(NETFN, GET_LIGHT, bytes([number]))
        lamps += said.lamp(kind, component, lambda data: Verdict.NORMAL if data[0] == OFF else Verdict.CRITICAL)
    return VendorLamps(tuple(lamps), uid.data[0] != OFF if uid.data else None)


LENOVO = Vendor(frozenset({19046}), read)
