"""A real Redis without a disk.

::

    with Redis(peer("redis-server"), tmp_path, "requirepass secret", certificate=file) as database:
        ...                     # database.port, database.tls_port; kill() and start() as of any ServerProcess
"""

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import ServerProcess, free_port
from tests.peers.reachable import accepts

CONFIGURATION = """\
bind 127.0.0.1
port {port}
dir {folder}
save ""
appendonly no
{tls}
{extra}
"""


class Redis(ServerProcess):
    """``extra`` is added to its configuration; with a ``certificate`` (a file with certificate and key) TLS as well."""

    def __init__(self, program: str, folder: Path, extra: str = "", certificate: Path | None = None) -> None:
        super().__init__(folder)
        self._program = program
        self.tls_port = free_port() if certificate else 0
        tls = ""
        if certificate:
            tls = f"tls-port {self.tls_port}\ntls-cert-file {certificate}\ntls-key-file {certificate}\n"
            tls += f"tls-ca-cert-file {certificate}\ntls-auth-clients no"
        self._file = folder / "redis.conf"
        text = CONFIGURATION.format(port=self.port, folder=folder, tls=tls, extra=extra)
        self._file.write_text(text, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)
