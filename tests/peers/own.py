"""Programs that refuse to run as root: in a folder of their own, as the user that Debian made for them."""

import os
import shutil
import tempfile
from pathlib import Path

from tests.peers.process import ServerProcess


class OwnUser(ServerProcess):
    """``user`` runs the program and owns the folder, where the tests run as root; else they do themselves."""

    user = ""

    def __init__(self) -> None:
        # another user may not pass through pytest's own folders
        super().__init__(Path(tempfile.mkdtemp(prefix=f"{type(self).__name__.lower()}-")))
        self.folder.chmod(0o755)
        self.own(self.folder)

    def own(self, path: Path) -> Path:
        """Give a file or folder to the program's user."""
        if os.getuid() == 0:
            shutil.chown(path, self.user, self.user)
        return path

    def copy(self, certificate: Path, name: str) -> Path:
        """Return a copy of a file with a key that only the program's user can read."""
        copy = self.folder / name
        shutil.copy(certificate, copy)
        copy.chmod(0o600)
        return self.own(copy)

    def run_as(self) -> tuple[str, ...]:
        """Return how the command line begins; the program keeps the process id."""
        if os.getuid() != 0:
            return ()
        return ("setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--clear-groups", "--")

    def remove(self) -> None:
        """End it, and remove its folder."""
        self.stop()
        shutil.rmtree(self.folder)
