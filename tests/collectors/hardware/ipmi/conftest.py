"""What the IPMI tests share: readers, credentials, and the two BMCs of tests.peers."""

import asyncio
import shutil
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


@pytest.fixture
async def bmc() -> AsyncIterator[ScriptedBmc]:
    """A scripted BMC with the plain server's records, all in order."""
    records = [sensor.record(number) for number, sensor in enumerate(SENSORS)]
    readings = {
        sensor.number: bytes([sensor.raw, 0xC0, sum(1 << offset for offset in sensor.states) & 0xFF, 0])
        for sensor in SENSORS
    }
    async with ScriptedBmc(records=records, readings=readings) as scripted:
        yield scripted


@pytest.fixture
def freeipmi(peer: Callable[[str], str]) -> str:
    """The path of FreeIPMI's ipmi-sensors."""
    return peer("ipmi-sensors")


@pytest.fixture
def ipmitool() -> str | None:
    """The path of ipmitool, where it is installed."""
    return shutil.which("ipmitool")
