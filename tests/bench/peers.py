"""The exporters we are measured beside, as programs on the PATH."""

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.monitoring_plugins import FOLDER
from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts

IPMI = """\
modules:
  all:
    user: {username}
    pass: {password}
    driver: LAN_2_0
    privilege: user
    timeout: 10000
    collectors: [bmc, ipmi, chassis, sel]
    workaround_flags: [opensesspriv]
  sensors:
    user: {username}
    pass: {password}
    driver: LAN_2_0
    privilege: user
    timeout: 10000
    collectors: [ipmi]
    workaround_flags: [opensesspriv]
"""


def find(program: str) -> str | None:
    """Return the path of a program, also of those that only root has on the PATH, and of a plug-in."""
    return shutil.which(program) or shutil.which(program, path=f"/usr/sbin:/usr/local/sbin:{FOLDER}")


def version(program: str) -> str:
    """Return the version that an exporter or a plug-in tells."""
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    found = re.search(r"(?:version|monitoring-plugins) (\d[\w.]*)", said.stdout + said.stderr)
    return found[1] if found else "of unknown version"


class Peer(ServerProcess):
    """An exporter that is asked for checks over HTTP."""

    def __init__(self, folder: Path, program: str, configuration: str, *flags: str) -> None:
        super().__init__(folder)
        self._program = program
        self._flags = flags
        self._file = folder / "peer.yml"
        self._file.touch(mode=0o600)
        self._file.write_text(configuration, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        listen = f"--web.listen-address=127.0.0.1:{self.port}"
        return (self._program, f"--config.file={self._file}", listen, "--log.level=warn", *self._flags)

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)

    def last_error(self) -> str:
        """Return the innermost part of what it said went wrong last."""
        said = re.findall(r'error="?([^"\n]+)', self.log.read_text("utf-8"))
        return said[-1].rpartition(": ")[2] if said else ""
