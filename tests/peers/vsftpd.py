"""A real vsftpd. It lists files to user ``ftp`` with a password, as Debian builds it without a system account of ours.

::

    with Vsftpd(peer("vsftpd"), certificate) as files:
        ...                     # files.port
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts

USER = "ftp"
PASSWORD = "right-horse"

CONFIGURATION = """\
listen=YES
listen_address=127.0.0.1
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
secure_email_list_enable=YES
email_password_file={folder}/passwords
anon_root={folder}/files
secure_chroot_dir={folder}/empty
seccomp_sandbox=NO
xferlog_enable=NO
ssl_enable={tls}
allow_anon_ssl={tls}
force_anon_logins_ssl={tls}
force_anon_data_ssl={tls}
ssl_tlsv1=YES
ssl_ciphers=HIGH
rsa_cert_file={folder}/certificate.pem
rsa_private_key_file={folder}/certificate.pem
{extra}
"""


class Vsftpd(ServerProcess):
    """``extra`` is added to the configuration; with ``certificate``, a file with certificate and key, it wants TLS."""

    def __init__(self, program: str, certificate: Path | None = None, extra: str = "") -> None:
        # its processes run as other users, who may not pass through the test's own folder
        super().__init__(Path(tempfile.mkdtemp(prefix="vsftpd-")))
        self.folder.chmod(0o755)
        self._program = program
        for name in ("empty", "files"):
            (self.folder / name).mkdir(mode=0o755)
        (self.folder / "files" / "readme").touch()
        (self.folder / "passwords").write_text(f"{PASSWORD}\n", "utf-8")
        if certificate is not None:
            shutil.copy(certificate, self.folder / "certificate.pem")
        self._file = self.folder / "vsftpd.conf"
        tls = "YES" if certificate else "NO"
        filled = CONFIGURATION.format(folder=self.folder, port=self.port, tls=tls, extra=extra)
        self._file.write_text(filled, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)
