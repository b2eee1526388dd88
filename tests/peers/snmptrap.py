"""net-snmp's snmptrap, the real sender of traps and informs."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

ENGINE = "0x80001f8804736e6d7074726170"
"""The sender's engine id, authoritative for its traps."""
AUTH_PASSWORD, PRIV_PASSWORD = "auth-of-the-sender", "priv-of-the-sender"


class Sender:
    """Runs snmptrap without the MIBs and settings of this machine."""

    def __init__(self, program: str, folder: Path) -> None:
        self.folder = folder
        self._program = program
        self._environment = {
            **os.environ,
            "MIBS": "",
            "SNMPCONFPATH": str(folder),
            "SNMP_PERSISTENT_DIR": str(folder),
        }

    async def run(self, *arguments: str) -> int:
        """Run it; return its exit status: 0 for an inform says that it was answered."""
        null = asyncio.subprocess.DEVNULL
        process = await asyncio.create_subprocess_exec(
            self._program, *arguments, env=self._environment, stdout=null, stderr=null
        )
        return await process.wait()


def user(
    auth: str = "SHA-256",
    priv: str = "AES",
    *,
    level: str = "authPriv",
    name: str = "monitor",
    key: str = AUTH_PASSWORD,
) -> tuple[str, ...]:
    """Return the arguments that name a user of SNMPv3."""
    return ("-v3", "-u", name, "-l", level, "-a", auth, "-A", key, "-x", priv, "-X", PRIV_PASSWORD)


@pytest.fixture
def snmptrap(peer: Callable[[str], str], tmp_path: Path) -> Sender:
    folder = tmp_path / "snmp"
    folder.mkdir()
    return Sender(peer("snmptrap"), folder)
