"""A real MariaDB. Its data folder is made once and takes seconds.

::

    database = MariaDb(peer("mariadbd"), certificate)
    with database:                              # PROBE can log in
        with database.given(max_connections=1): # started anew with other settings, and after that as it was
            ...
    database.remove()
"""

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from collectors.secret import Credential, Secret
from tests.peers.own import OwnUser

PROBE = Credential("probe", Secret("hün'ter²"))

ACCOUNTS = """\
CREATE DATABASE shop;
CREATE TABLE shop.stock (item varchar(20) PRIMARY KEY, pieces int);
INSERT INTO shop.stock VALUES ('lamp', 7), ('fan', NULL);
CREATE TABLE shop.closed (x int);
CREATE USER probe@'127.0.0.1' IDENTIFIED BY '{password}';
GRANT SELECT, INSERT ON shop.stock TO probe@'127.0.0.1';
CREATE USER encrypted@'127.0.0.1' IDENTIFIED BY 'only in tls' REQUIRE SSL;
CREATE USER locked@'127.0.0.1' IDENTIFIED BY 'x' ACCOUNT LOCK;
CREATE USER socket@'127.0.0.1' IDENTIFIED VIA unix_socket;
"""


class MariaDb(OwnUser):
    """``certificate`` is a file with key and certificate."""

    user = "mysql"

    def __init__(self, program: str, certificate: Path) -> None:
        super().__init__()
        self._program = program
        self._settings: dict[str, object] = {}
        self._certificate = self.copy(certificate, "certificate.pem")
        self.data = self.folder / "data"
        install = shutil.which("mariadb-install-db") or "mariadb-install-db"
        made = (install, "--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal")
        quiet = ("--skip-test-db", "--skip-name-resolve", "--innodb-flush-log-at-trx-commit=0")
        subprocess.run((*self.run_as(), *made, *quiet), check=True, capture_output=True, cwd=self.folder)
        accounts = ACCOUNTS.format(password=PROBE.password.reveal().replace("'", "''"))
        (self.folder / "accounts.sql").write_text(accounts, "utf-8")
        bootstrap = (*self.run_as(), program, "--no-defaults", f"--datadir={self.data}", "--bootstrap")
        sql = "USE mysql;\nFLUSH PRIVILEGES;\n" + accounts
        subprocess.run(bootstrap, input=sql.encode(), check=True, capture_output=True, cwd=self.folder)

    def command(self) -> Sequence[str]:
        """Return the command line."""
        settings = {
            "datadir": self.data,
            "socket": self.folder / "socket",
            "pid-file": self.folder / "pid",
            "bind-address": "127.0.0.1",
            "port": self.port,
            "ssl-cert": self._certificate,
            "ssl-key": self._certificate,
            "innodb-flush-log-at-trx-commit": 0,
            "innodb-buffer-pool-size": "8M",
            "skip-name-resolve": 1,
            "log-warnings": 4,
            **{name.replace("_", "-"): value for name, value in self._settings.items()},
        }
        options = (f"--{name}={value}" for name, value in settings.items())
        return (*self.run_as(), self._program, "--no-defaults", *options)

    def ready(self) -> bool:
        """Tell whether it greets: through its socket file, so that no look counts as a broken connection."""
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1)
                client.connect(str(self.folder / "socket"))
                return len(client.recv(100)) > 5
        except OSError:
            return False

    @contextlib.contextmanager
    def given(self, certificate: Path | None = None, **settings: object) -> Iterator[Self]:
        """Run it for a while with other settings, or with another certificate."""
        if certificate is not None:
            other = self.copy(certificate, "other.pem")
            settings |= {"ssl-cert": other, "ssl-key": other}
        self.stop()
        self._settings = settings
        try:
            with self:
                yield self
        finally:
            self._settings = {}
            self.start()
