"""A real dropbear, with a host key of its own."""

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts


class Dropbear(ServerProcess):
    """``fingerprint`` is that of its key."""

    def __init__(self, program: str, keygen: str, folder: Path) -> None:
        super().__init__(folder)
        self._program = program
        self._key = folder / "host_key"
        made = subprocess.run(
            [keygen, "-t", "ed25519", "-f", str(self._key)], check=True, capture_output=True, text=True
        )
        found = re.search(r"SHA256:\S+", made.stdout)
        assert found, made.stdout
        self.fingerprint = found[0]

    def command(self) -> Sequence[str]:
        """Return the command line: in the foreground, its log to standard error."""
        return (self._program, "-F", "-E", "-r", str(self._key), "-p", f"127.0.0.1:{self.port}", "-P", "")

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)
