"""Huawei, and whoever follows PICMG 3.0: the lights of FRU device 0.

Get FRU LED Properties (NetFn 2Ch, command 05h) tells which there are, Get FRU LED State (08h) what each does (PICMG 3.0
section 3.2.5.6; openUBMC's IPMI reference). What is shown is lamp test before override before local control.
"""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps
from collectors.reading import Lamp, LampReading, Verdict

NETFN, GET_PROPERTIES, GET_STATE = 0x2C, 0x05, 0x08
PICMG = b"\x00"
FRU = b"\x00"
GENERAL, FIRST_OWN = 4, 4
MAX_OWN = 16

OFF, ON, BLINKING = range(3)
SLOWEST = 0xFA
"""00h is off, FFh on, up to this the time that it is off while it blinks."""

LOCAL, OVERRIDE, LAMP_TEST = 0x01, 0x02, 0x04
SHOWN_AT = {OVERRIDE: 4, LOCAL: 1}
"""Where function, on-time and colour begin after PICMG's byte; the override goes before."""

BLUE_LIGHT = 0
BLUE, RED, GREEN, AMBER, ORANGE, WHITE = range(1, 7)
MEANINGS: dict[int, tuple[Verdict, Verdict, Verdict]] = {
    RED: (Verdict.NORMAL, Verdict.CRITICAL, Verdict.CRITICAL),
    GREEN: (Verdict.UNKNOWN, Verdict.NORMAL, Verdict.UNKNOWN),
    AMBER: (Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL),
    ORANGE: (Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL),
}
"""What a light of a colour says when it is off, on and blinking."""


async def read(talk: Talk) -> VendorLamps:
    """Ask for every light that there is. Blue and white ones locate, the others tell health by their colour."""
    properties = await talk.ask(NETFN, GET_PROPERTIES, PICMG + FRU, prefix=PICMG, length=3)
    if not properties.data:
        return VendorLamps()
    numbers = [number for number in range(GENERAL) if properties.data[0] >> number & 1]
    numbers += range(FIRST_OWN, FIRST_OWN + min(properties.data[1], MAX_OWN))
    lamps: list[LampReading] = []
    located: list[bool] = []
    for number in numbers:
        said = await talk.ask(NETFN, GET_STATE, PICMG + FRU + bytes([number]), prefix=PICMG, length=5)
        shown = effective(said.data)
        if number == BLUE_LIGHT or (shown and shown[1] in {BLUE, WHITE}):
            located += [shown[0] != OFF] if shown else []
        else:
            lamps += said.lamp(Lamp.SYSTEM, f"FRU LED {number}", health)
    return VendorLamps(tuple(lamps), any(located) if located else None)


def effective(state: bytes) -> tuple[int, int] | None:
    """Return what is shown: OFF, ON or BLINKING, and the colour. None where that is not told, or during a lamp test."""
    if not state or state[0] & LAMP_TEST:
        return None
    at = next((at for bit, at in SHOWN_AT.items() if state[0] & bit), None)
    if at is None or len(state) < at + 3:
        return None
    match state[at]:
        case 0x00:
            return OFF, state[at + 2] & 0x0F
        case 0xFF:
            return ON, state[at + 2] & 0x0F
        case function if function <= SLOWEST:
            return BLINKING, state[at + 2] & 0x0F
    return None


def health(state: bytes) -> Verdict:
    """Return what a light says by its colour; a green one that is dark or blinks says nothing known."""
    function, colour = effective(state) or (OFF, GREEN)
    return MEANINGS[colour][function] if colour in MEANINGS else Verdict.UNKNOWN


HUAWEI = Vendor(frozenset({2011, 12634}), read)
