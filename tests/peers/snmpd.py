"""A real snmpd from net-snmp that serves a tree of ours, in v1, v2c and v3.

::

    with Snmpd(peer("snmpd"), tmp_path, {"1.3.6.1.4.1.674.10892.5.2.1.0": ("integer", 3)}, users=[...]) as agent:
        ...                     # agent.port, UDP; kill() and start() as of any ServerProcess
"""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.peers.process import DEADLINE, PAUSE, ServerProcess

Served = Mapping[str, tuple[str, int | str]]
"""By OID: snmpd's name of the type (``integer``, ``octet_str``, ``uinteger``, ``object_id``), and the value."""

ENGINE = "80001f8804" + "31" * 8
DELL = "1.3.6.1.4.1.674.10892.5"


@dataclass(frozen=True)
class User:
    """A v3 user, in the words of snmpd.conf."""

    name: str
    auth: str = ""
    priv: str = ""
    auth_password: str = "auth-password"
    priv_password: str = "priv-password"

    @property
    def lines(self) -> str:
        """Its lines in snmpd.conf."""
        auth = f" {self.auth} {self.auth_password}" if self.auth else ""
        priv = f" {self.priv} {self.priv_password}" if self.priv else ""
        level = "priv" if self.priv else "auth" if self.auth else "noauth"
        return f"createUser {self.name}{auth}{priv}\nrouser {self.name} {level}\n"


class Snmpd(ServerProcess):
    """``system`` is its sysObjectID; ``users`` may log in by v3, ``public`` by v1 and v2c."""

    def __init__(
        self,
        program: str,
        folder: Path,
        tree: Served,
        users: Sequence[User] = (),
        system: str = DELL,
    ) -> None:
        super().__init__(folder, _free_udp_port())
        self._program = program
        self._file = folder / "snmpd.conf"
        self._tree = tree
        self._settings = (
            f"agentAddress udp:127.0.0.1:{self.port}\nrocommunity public 127.0.0.1\nsysObjectID {system}\n"
            + "".join(user.lines for user in users)
        )
        self.exchange(ENGINE)

    def exchange(self, engine: str) -> None:
        """Have another engine id from the next start on, as after a board was exchanged."""
        lines = (f'override {oid} {kind} "{value}"\n' for oid, (kind, value) in self._tree.items())
        self._file.write_text(f"exactEngineID 0x{engine}\n{self._settings}{''.join(lines)}", "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-f", "-Lo", "-C", "-c", str(self._file), "-I", "-smux", "-M", str(self.folder))

    def start(self) -> Self:
        """Start it, and return when it is ready: it says so in its log."""
        self.log.write_bytes(b"")
        state = {**os.environ, "SNMP_PERSISTENT_DIR": str(self.folder / "state")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), stdout=log, stderr=log, cwd=self.folder, env=state)
        deadline = time.monotonic() + DEADLINE
        while "NET-SNMP version" not in self.log.read_text("utf-8", "replace"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"snmpd did not become ready:\n{self.log.read_text('utf-8', 'replace')}")
            time.sleep(PAUSE)
        return self


def _free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
