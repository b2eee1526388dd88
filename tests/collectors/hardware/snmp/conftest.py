"""What the SNMP tests share: readers, credentials, agents, and where recordings of real BMCs are."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from collectors.hardware.snmp import Snmp, SnmpOptions
from collectors.reading import HardwareReading
from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.peers.snmp_agent import SnmpAgent

PATIENCE = 60.0

Read = Callable[..., Awaitable[HardwareReading]]


@pytest.fixture
def target() -> LampTarget:
    """The community of every agent."""
    return LampTarget(Credential(secrets={"community": Secret("public")}))


@pytest.fixture
def read(target: LampTarget) -> Read:
    """Read an agent once, by a reader of its own unless one is given."""

    async def once(
        agent: SnmpAgent | int, reader: Snmp | None = None, *, version: str = "2c", patience: float = PATIENCE
    ) -> HardwareReading:
        port = agent if isinstance(agent, int) else agent.port
        reader = reader or Snmp(SnmpOptions(address="127.0.0.1", port=port, version=version))
        return await reader.read(target, asyncio.get_running_loop().time() + patience)

    return once


@pytest.fixture(scope="session")
def recordings() -> Path:
    """The folder of SNMP recordings, which are not part of this repository."""
    beside = Path(__file__).parents[4].parent / "shared" / "recordings"
    folder = Path(os.environ.get("DSERVER_RECORDINGS", beside)) / "snmp"
    if not folder.is_dir():
        pytest.skip(f"there are no recordings at {folder}: set DSERVER_RECORDINGS")
    return folder
