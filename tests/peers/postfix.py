"""A real postfix that greets, offers STARTTLS, has a port with TLS only and delivers nothing. Its master must be root.

::

    with Postfix(peer("postfix"), certificate) as mail:
        ...                     # mail.port, mail.tls_port
        mail.stop()             # SIGTERM: a killed master's children would go on serving the port
"""

import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from tests.peers.process import ServerProcess, free_port
from tests.peers.reachable import accepts

MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/queue
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
mail_owner = postfix
setgid_group = postdrop
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
myhostname = mail.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
in_flow_delay = 0
maillog_file = /dev/stdout
smtpd_tls_cert_file = {certificate}
smtpd_tls_key_file = {certificate}
smtpd_tls_security_level = may
{extra}
"""

MASTER = """\
127.0.0.1:{port} inet n - n - {processes} smtpd
127.0.0.1:{tls_port} inet n - n - {processes} smtpd -o smtpd_tls_wrappermode=yes
anvil unix - - n - 1 anvil
rewrite unix - - n - - trivial-rewrite
cleanup unix n - n - 0 cleanup
proxymap unix - - n - - proxymap
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
"""

QUEUE = ("active", "bounce", "defer", "deferred", "incoming", "maildrop", "private", "public", "trace")
"""What ``postfix check`` would make; it takes three seconds, and looks at all of /usr/lib/postfix besides."""


class Postfix(ServerProcess):
    """``extra`` is added to main.cf; ``certificate`` is a file with key and certificate."""

    def __init__(self, program: str, certificate: Path, extra: str = "", processes: int = 5) -> None:
        # its processes run as another user, who may not pass through the test's own folder
        super().__init__(Path(tempfile.mkdtemp(prefix="postfix-")))
        self.folder.chmod(0o755)
        self._master = Path(program).parents[1] / "lib" / "postfix" / "sbin" / "master"
        self.tls_port = free_port()
        own = self.folder / "certificate.pem"
        shutil.copy(certificate, own)
        for name in ("data", *(f"queue/{name}" for name in QUEUE)):
            (self.folder / name).mkdir(parents=True)
            shutil.chown(self.folder / name, "postfix")
        (self.folder / "queue" / "pid").mkdir()
        main = self.folder / "main.cf"
        main.write_text(MAIN.format(folder=self.folder, certificate=own, extra=extra), "utf-8")
        os.utime(main, (0, 0))  # a file that has just been written it reads again and again, for two seconds
        master = MASTER.format(port=self.port, tls_port=self.tls_port, processes=processes)
        (self.folder / "master.cf").write_text(master, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (str(self._master), "-c", str(self.folder), "-d")

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder)
