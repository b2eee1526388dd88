"""What the Redfish tests share: a read of a service, and the recordings where they are."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from collectors.hardware.redfish import Redfish, RedfishOptions
from collectors.reading import HardwareReading
from collectors.registry import LampTarget
from tests.peers.redfish_service import RedfishService, Tree, credential, recorded

ROOT = Path(__file__).parents[4]
PATIENCE = 20.0

Read = Callable[..., Awaitable[HardwareReading]]


@pytest.fixture
def read() -> Read:
    """Read a service once, by a reader of its own unless one is given."""

    async def once(
        service: RedfishService,
        reader: Redfish | None = None,
        *,
        patience: float = PATIENCE,
        password: str | None = None,
        **options: object,
    ) -> HardwareReading:
        reader = reader or Redfish(RedfishOptions.model_validate({"url": service.url, **options}))
        target = LampTarget(credential() if password is None else credential(password))
        return await reader.read(target, asyncio.get_running_loop().time() + patience)

    return once


@pytest.fixture(scope="session")
def mockup() -> Tree:
    """The DMTF's rack server: recordings are not part of the repository."""
    folder = Path(os.environ.get("DSERVER_RECORDINGS", ROOT.parent / "shared" / "recordings"))
    if not folder.is_dir():
        pytest.skip(f"no recordings: neither {folder} is there nor does DSERVER_RECORDINGS name their folder")
    return recorded(folder / "redfish" / "public-rackmount1")
