"""A real dovecot with mailboxes of its own: IMAP and POP3, with STARTTLS and over TLS, and SASL for postfix.

::

    with Dovecot(peer("dovecot"), certificate) as mail:
        ...                     # mail.port is imap; mail.ports["pop3s"], mail.sasl
        mail.stop()             # SIGTERM: a killed master's children would go on serving the ports
"""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.process import ServerProcess, free_port
from tests.peers.reachable import accepts

USER = "probe@mail.example"
PASSWORD = "right horse"

CONFIGURATION = """\
base_dir = {folder}/run
state_dir = {folder}/run
log_path = /dev/stderr
auth_failure_delay = 0
protocols = imap pop3
listen = 127.0.0.1
ssl = yes
ssl_cert = <{certificate}
ssl_key = <{certificate}
ssl_dh =
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail
first_valid_uid = 1
passdb {{
  driver = passwd-file
  args = {folder}/users
}}
userdb {{
  driver = static
  args = uid=dovecot gid=dovecot home={folder}/mail
}}
service auth {{
  unix_listener sasl {{
    mode = 0666
  }}
}}
service anvil {{
  unix_listener anvil-auth-penalty {{
    mode = 0
  }}
}}
service imap-login {{
  inet_listener imap {{
    port = {imap}
  }}
  inet_listener imaps {{
    port = {imaps}
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {pop}
  }}
  inet_listener pop3s {{
    port = {pop3s}
  }}
}}
{extra}
"""


class Dovecot(ServerProcess):
    """``extra`` is added to the configuration; ``certificate`` is a file with key and certificate."""

    def __init__(self, program: str, certificate: Path, extra: str = "") -> None:
        # its processes run as other users, who may not pass through the test's own folder
        super().__init__(Path(tempfile.mkdtemp(prefix="dovecot-")))
        self.folder.chmod(0o755)
        self._program = program
        self.ports = {"imap": self.port, "imaps": free_port(), "pop": free_port(), "pop3s": free_port()}
        self.sasl = self.folder / "run" / "sasl"
        (self.folder / "users").write_text(f"{USER}:{{PLAIN}}{PASSWORD}\n", "utf-8")
        self.mail = self.folder / "mail"
        self.mail.mkdir()
        shutil.chown(self.mail, "dovecot", "dovecot")
        own = self.folder / "certificate.pem"
        shutil.copy(certificate, own)
        self._file = self.folder / "dovecot.conf"
        filled = CONFIGURATION.format(folder=self.folder, certificate=own, extra=extra, **self.ports)
        self._file.write_text(filled, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-F", "-c", str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.ports["imap"]) and accepts(self.ports["pop"])

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)
