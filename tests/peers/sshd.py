"""A real sshd from OpenSSH, with a host key of its own; nobody can log in, but a ``user`` with an authorised key.

::

    with Sshd(peer("sshd"), tmp_path) as ssh:
        ...                     # ssh.port; kill() and start() as of any ServerProcess
"""

import base64
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts

PRIVILEGE_SEPARATION = Path("/run/sshd")
"""Compiled into Debian's sshd; made at boot, so missing in a container."""


class Sshd(ServerProcess):
    """``configuration`` is added to sshd_config; ``user`` may log in with the key that ``authorise`` gives."""

    def __init__(self, program: str, folder: Path, configuration: str = "", user: str = "nobody-at-all") -> None:
        super().__init__(folder)
        self._program = program
        if os.getuid() == 0:
            PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
        key = folder / "host_key"
        key.touch(mode=0o600)
        host_key = Ed25519PrivateKey.generate()
        key.write_bytes(_openssh(host_key))
        self.fingerprint = fingerprint(host_key.public_key())
        self._authorised = folder / "authorised"
        self._file = folder / "sshd_config"
        self._file.write_text(
            f"ListenAddress 127.0.0.1:{self.port}\nHostKey {key}\nPidFile {folder / 'pid'}\nAllowUsers {user}\n"
            f"UsePAM no\nStrictModes no\nAuthorizedKeysFile {self._authorised}\nPermitRootLogin yes\n{configuration}\n",
            "utf-8",
        )

    def authorise(self) -> str:
        """Return a new private key that its user may log in with."""
        key = Ed25519PrivateKey.generate()
        line = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
        self._authorised.write_bytes(line + b"\n")
        return _openssh(key).decode()

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-D", "-e", "-f", str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return a key's SHA-256 as ssh-keygen shows it."""
    line = key.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return "SHA256:" + base64.b64encode(hashlib.sha256(base64.b64decode(line.split()[1])).digest()).decode().rstrip("=")


def _openssh(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
