"""Vendors' lamp commands: reads only, sent only to BMCs of their maker.

Fujitsu iRMC: error lamps (NetFn 2Eh, command F5h, IANA number 80 28 00, B3h) and identify lamp (B1h), by the iRMC S2/S3
manual; what the global error lamp means, by the PRIMERGY upgrade manuals: steady before a failure, flashing after it.
"""

from dataclasses import dataclass

from collectors.hardware.ipmi.session import Rejected, Session, SessionLost
from collectors.reading import Lamp, LampReading, Verdict

FUJITSU = 10368
NETFN_GROUP, FUJITSU_LAMPS = 0x2E, 0xF5
FUJITSU_NUMBER = bytes.fromhex("80 28 00")
GET_IDENTIFY, GET_ERROR_LAMPS = b"\xb1", b"\xb3"
OFF_STEADY_FLASHING = (Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL)

NAMES = ("Global error lamp", "Customer self service lamp")


@dataclass(frozen=True, slots=True)
class VendorLamps:
    """What vendor commands told."""

    lamps: tuple[LampReading, ...] = ()
    locate: bool | None = None


async def read(session: Session, manufacturer: int) -> VendorLamps:
    """Return the lamps of the maker's own commands. A BMC that does not know them has none."""
    if manufacturer != FUJITSU:
        return VendorLamps()
    try:
        return VendorLamps(
            lamps=fujitsu_lamps(await fujitsu(session, GET_ERROR_LAMPS)),
            locate=fujitsu_locate(await fujitsu(session, GET_IDENTIFY)),
        )
    except SessionLost as loss:
        # Some drop what they do not know; all else has been read by then.
        return VendorLamps(tuple(LampReading(Lamp.SYSTEM, name, Verdict.UNKNOWN, str(loss)) for name in NAMES))


async def fujitsu(session: Session, selector: bytes) -> bytes:
    """Return what follows Fujitsu's number in the answer, empty where there is no such answer."""
    try:
        answer = await session.request(NETFN_GROUP, FUJITSU_LAMPS, FUJITSU_NUMBER + selector)
    except Rejected:
        return b""
    return answer[3:] if answer[:3] == FUJITSU_NUMBER else b""


def fujitsu_lamps(state: bytes) -> tuple[LampReading, ...]:
    """Return global error and customer self service lamp: 3 x CSS + GEL, each off, steady or flashing."""
    if not state:
        return ()
    evidence = f"error lamps={state.hex(' ')}"
    css, gel = divmod(state[0], 3)
    verdicts = (OFF_STEADY_FLASHING[gel], OFF_STEADY_FLASHING[css]) if css < 3 else (Verdict.UNKNOWN,) * 2
    return tuple(
        LampReading(Lamp.SYSTEM, name, verdict, evidence) for name, verdict in zip(NAMES, verdicts, strict=True)
    )


def fujitsu_locate(state: bytes) -> bool | None:
    """Return whether the identify lamp is lit: bit 0."""
    return bool(state[0] & 1) if state else None
