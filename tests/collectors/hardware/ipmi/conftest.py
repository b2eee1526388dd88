"""What the IPMI tests share: readers, credentials, and the two BMCs of tests.peers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from collectors.hardware.ipmi import Ipmi, IpmiOptions
from collectors.reading import HardwareReading
from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.peers.ipmi_sim import SENSORS, IpmiSim
from tests.peers.scripted_bmc import ScriptedBmc

PATIENCE = 20.0

Read = Callable[..., Awaitable[HardwareReading]]


@pytest.fixture
def target() -> LampTarget:
    """The account that both BMCs have."""
    return LampTarget(Credential("monitor", Secret("secret-of-the-bmc")))


@pytest.fixture
def read(target: LampTarget) -> Read:
    """Read a BMC once, by a reader of its own unless one is given."""

    async def once(
        bmc: IpmiSim | ScriptedBmc | int, reader: Ipmi | None = None, *, patience: float = PATIENCE
    ) -> HardwareReading:
        port = bmc if isinstance(bmc, int) else bmc.port
        reader = reader or Ipmi(IpmiOptions(address="127.0.0.1", port=port))
        return await reader.read(target, asyncio.get_running_loop().time() + patience)

    return once


@pytest.fixture
def sim(peer: Callable[[str], str], tmp_path: Path) -> Callable[..., IpmiSim]:
    """Make OpenIPMI simulators; enter each as a context manager."""
    program = peer("ipmi_sim")
    made: list[IpmiSim] = []

    def make(**fields: object) -> IpmiSim:
        made.append(IpmiSim(program, tmp_path / f"bmc{len(made)}", **fields))  # type: ignore[arg-type]  # its own fields
        return made[-1]

    return make


HARMLESS = {
    *((0x06, 0x3B), (0x06, 0x3C)),  # Set Session Privilege Level (of our own session), Close Session
    *((0x06, 0x01), (0x00, 0x01), (0x0A, 0x40), (0x0A, 0x11)),  # device id, chassis status, SEL info, FRU data
    *((0x0A, 0x20), (0x0A, 0x22), (0x0A, 0x23), (0x04, 0x20), (0x04, 0x22), (0x04, 0x21)),  # sensor data records
    *((0x04, 0x2D), (0x04, 0x23)),  # sensor reading and its factors
}
"""All that may be sent to any BMC."""

Command = tuple[int, int, bytes]
IBM_LIGHTS = {(0x3A, 0xC0, bytes(pair)) for pair in ((0, 0), (0, 1), (1, 0))}
PICMG_LIGHTS = {(0x2C, 0x05, bytes(2)), *((0x2C, 0x08, bytes([0, 0, number])) for number in range(20))}
HARMLESS_OF_VENDORS: dict[int, set[Command]] = {
    10368: {(0x2E, 0xF5, bytes.fromhex("80 28 00 b1")), (0x2E, 0xF5, bytes.fromhex("80 28 00 b3"))},
    674: {(0x30, 0x32, b"")},
    11161: {(0x30, 0x1C, b"")},
    343: {(0x30, 0xB0, b"")},
    **dict.fromkeys((2, 4769, 20301), IBM_LIGHTS),
    19046: {(0x3A, 0xC1, b""), *((0x3A, 0x02, bytes([number])) for number in (0, 2, 3, 4, *range(0x10, 0x18)))},
    **dict.fromkeys((2011, 12634), PICMG_LIGHTS),
}
"""All that may be sent besides, to BMCs of a manufacturer, with the data."""
ORACLE, GET_SUN_LIGHT = 42, (0x2E, 0x21)
"""Its data are those of the BMC's own records."""
SEND_MESSAGE, BRIDGED = (0x06, 0x34), {(0x04, 0x2D), (0x04, 0x23)}


def harmful(bmc: ScriptedBmc) -> list[str]:
    """Return what a BMC was sent and should not have been."""
    vendor = HARMLESS_OF_VENDORS.get(bmc.manufacturer, set())

    def is_harmless(netfn: int, command: int, data: bytes) -> bool:
        if (netfn, command) == SEND_MESSAGE:
            return (data[2] >> 2, data[6]) in BRIDGED
        if (netfn, command) == GET_SUN_LIGHT:
            return bmc.manufacturer == ORACLE
        return (netfn, command) in HARMLESS or (netfn, command, data) in vendor

    return [f"{asked[0]:02x}/{asked[1]:02x} {asked[2].hex(' ')}" for asked in bmc.asked if not is_harmless(*asked)]


@pytest.fixture
async def bmc() -> AsyncIterator[ScriptedBmc]:
    """A scripted BMC with the plain server's records, all in order. Whatever was sent to it may only have read."""
    records = [sensor.record(number) for number, sensor in enumerate(SENSORS)]
    readings = {
        sensor.number: bytes([sensor.raw, 0xC0, sum(1 << offset for offset in sensor.states) & 0xFF, 0])
        for sensor in SENSORS
    }
    async with ScriptedBmc(records=records, readings=readings) as scripted:
        yield scripted
    assert harmful(scripted) == []


@pytest.fixture
def freeipmi(peer: Callable[[str], str]) -> str:
    """The path of FreeIPMI's ipmi-sensors."""
    return peer("ipmi-sensors")
