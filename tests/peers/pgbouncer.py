"""A real PgBouncer in front of a PostgreSQL: ``probe`` logs in with SCRAM, and nobody else is known."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.own import OwnUser
from tests.peers.postgres import PROBE
from tests.peers.reachable import accepts

CONFIGURATION = """\
[databases]
postgres = host=127.0.0.1 port={behind}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
client_tls_sslmode = allow
client_tls_key_file = {certificate}
client_tls_cert_file = {certificate}
{extra}
"""


class PgBouncer(OwnUser):
    """``behind`` is the port of the PostgreSQL; ``extra`` is added to its configuration."""

    user = "postgres"

    def __init__(self, program: str, certificate: Path, behind: int, extra: str = "") -> None:
        super().__init__()
        self._program = program
        own = self.copy(certificate, "certificate.pem")
        (self.folder / "users").write_text(f'"{PROBE.username}" "{PROBE.password.reveal()}"\n', "utf-8")
        self._file = self.folder / "pgbouncer.ini"
        self._file.write_text(
            CONFIGURATION.format(port=self.port, behind=behind, folder=self.folder, certificate=own, extra=extra)
        )

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (*self.run_as(), self._program, str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.remove()
