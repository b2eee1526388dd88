"""A real chronyd, as an NTP server that leaves this machine's clock alone.

::

    with Chrony(peer("chronyd"), tmp_path, "local stratum 3", "allow 127.0.0.0/8") as ntp:
        ...                     # ntp.port; kill() and start() as of any ServerProcess
"""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import ServerProcess


class Chrony(ServerProcess):
    """``configuration`` are lines of chrony.conf."""

    def __init__(self, program: str, folder: Path, *configuration: str) -> None:
        super().__init__(folder)
        self._program = program
        self._pid_file = folder / "pid"
        own = (
            f"port {self.port}",
            "bindaddress 127.0.0.1",
            "cmdport 0",
            "bindcmdaddress /",
            f"pidfile {self._pid_file}",
        )
        self._file = folder / "chrony.conf"
        self._file.write_text("\n".join((*own, *configuration, "")), "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        user = ("-u", "root") if os.getuid() == 0 else ("-U",)
        return (self._program, "-d", "-x", *user, "-f", str(self._file))

    def ready(self) -> bool:
        """Tell whether it has opened its port: its process id is written before that."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.settimeout(0.05)
            probe.connect(("127.0.0.1", self.port))
            try:
                probe.send(b"?")
                probe.recv(1)
            except ConnectionRefusedError:
                return False
            except TimeoutError:  # no answer to what is no question, but a port
                pass
        return True
