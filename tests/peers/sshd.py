"""A real sshd from OpenSSH, with a host key of its own; nobody can log in.

::

    with Sshd(peer("sshd"), tmp_path) as ssh:
        ...                     # ssh.port; kill() and start() as of any ServerProcess
"""

import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Compiled into Debian's sshd; made at boot, so missing in a container."""


class Sshd(ServerProcess):
    """``configuration`` is added to sshd_config."""

    def __init__(self, program: str, folder: Path, configuration: str = "") -> None:
        super().__init__(folder)
        self._program = program
        if os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        key = folder / "host_key"
        key.touch(mode=0o600)
        key.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
            )
        )
        self._file = folder / "sshd_config"
        self._file.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {key}\nPidFile {folder / 'pid'}\nAllowUsers nobody-at-all\n"
            f"UsePAM no\n{configuration}\n",
            "utf-8",
        )

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-D", "-e", "-f", str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)
