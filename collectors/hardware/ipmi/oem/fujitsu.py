"""Fujitsu iRMC: error lamps and identify lamp.

NetFn 2Eh, command F5h with Fujitsu's IANA number, B3h for the error lamps and B1h for the identify lamp, by the iRMC
S2/S3 manual; what the global error lamp means, by the PRIMERGY upgrade manuals: steady before a failure, flashing after
it. The manual's system status (10h) is not asked for: it hands the BMC a time.
"""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps
from collectors.reading import Lamp, Verdict

NETFN, LAMPS = 0x2E, 0xF5
NUMBER = bytes.fromhex("80 28 00")
IDENTIFY, ERROR_LAMPS = b"\xb1", b"\xb3"
OFF_STEADY_FLASHING = (Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL)
GLOBAL_ERROR, SELF_SERVICE = "Global error lamp", "Customer self service lamp"


async def read(talk: Talk) -> VendorLamps:
    """Ask for both."""
    errors = await talk.ask(NETFN, LAMPS, NUMBER + ERROR_LAMPS, prefix=NUMBER, length=4)
    identify = await talk.ask(NETFN, LAMPS, NUMBER + IDENTIFY, prefix=NUMBER, length=4)
    return VendorLamps(
        lamps=errors.lamp(Lamp.SYSTEM, GLOBAL_ERROR, global_error)
        + errors.lamp(Lamp.SYSTEM, SELF_SERVICE, self_service),
        locate=bool(identify.data[0] & 1) if identify.data else None,
    )


def global_error(state: bytes) -> Verdict:
    """Return what the global error lamp says: the state is 3 x CSS + GEL, each off, steady or flashing."""
    return OFF_STEADY_FLASHING[state[0] % 3] if state[0] < 9 else Verdict.UNKNOWN


def self_service(state: bytes) -> Verdict:
    """Return what the customer self service lamp says."""
    return OFF_STEADY_FLASHING[state[0] // 3] if state[0] < 9 else Verdict.UNKNOWN


FUJITSU = Vendor(frozenset({10368}), read, always=True)
