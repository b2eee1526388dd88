"""A real PostgreSQL. Its data folder is made once and takes seconds; a start takes a third of one.

::

    database = Postgres(peer("postgres"), certificate)
    with database:                                  # PROBE can log in with SCRAM, PROBE_MD5 with md5, TRUSTED without
        with database.given(max_connections=4):     # started anew with other settings, and after that as it was
            ...
    database.remove()
"""

import contextlib
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from collectors.secret import Credential, Secret
from tests.peers.own import OwnUser
from tests.peers.process import DEADLINE

PROBE = Credential("probe", Secret("hün'ter²"))
PROBE_MD5 = Credential("probe_md5", Secret("old hash"))
PROBE_CLEAR = Credential("probe_clear", Secret("clear words"))
TRUSTED = Credential("trusted", Secret(""))

ACCESS = """\
local all all trust
host all trusted 127.0.0.1/32 trust
host all probe_md5 127.0.0.1/32 md5
host all probe_clear 127.0.0.1/32 password
host all probe 127.0.0.1/32 scram-sha-256
hostnossl all encrypted 127.0.0.1/32 reject
host all encrypted 127.0.0.1/32 scram-sha-256
host all gss 127.0.0.1/32 gss
host all dserver_exporter 127.0.0.1/32 scram-sha-256
"""

ACCOUNTS = f"""\
CREATE ROLE probe LOGIN PASSWORD '{PROBE.password.reveal().replace("'", "''")}';
CREATE ROLE encrypted LOGIN PASSWORD 'only in tls';
CREATE ROLE probe_clear LOGIN PASSWORD '{PROBE_CLEAR.password.reveal()}';
CREATE ROLE trusted LOGIN;
CREATE ROLE gss LOGIN;
SET password_encryption = 'md5';
CREATE ROLE probe_md5 LOGIN PASSWORD '{PROBE_MD5.password.reveal()}';
CREATE TABLE stock (item text PRIMARY KEY, pieces int);
INSERT INTO stock VALUES ('lamp', 7), ('fan', NULL);
CREATE TABLE closed (x int);
GRANT SELECT, INSERT ON stock TO probe;
GRANT SELECT ON stock TO probe_md5;
"""


class Postgres(OwnUser):
    """``certificate`` is a file with key and certificate."""

    user = "postgres"

    def __init__(self, program: str, certificate: Path) -> None:
        super().__init__()
        self._bin = Path(program).resolve().parent
        self._settings: dict[str, object] = {}
        self._certificate = self.copy(certificate, "certificate.pem")
        self.data = self.folder / "data"
        initdb = (str(self._bin / "initdb"), "-D", str(self.data), "-U", "postgres", "-E", "UTF8", "--locale=C", "-N")
        subprocess.run((*self.run_as(), *initdb), check=True, capture_output=True, cwd=self.folder)
        (self.data / "pg_hba.conf").write_text(ACCESS, "utf-8")
        single = (program, "--single", "-D", str(self.data), "postgres")
        subprocess.run(
            (*self.run_as(), *single), input=ACCOUNTS.encode(), check=True, capture_output=True, cwd=self.folder
        )

    def command(self) -> Sequence[str]:
        """Return the command line."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self.folder,
            "fsync": "off",
            "ssl": "on",
            "ssl_cert_file": self._certificate,
            "ssl_key_file": self._certificate,
            **self._settings,
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        return (*self.run_as(), str(self._bin / "postgres"), "-D", str(self.data), *options)

    def ready(self) -> bool:
        """Tell whether it lets clients in; of a standby that never will, whether it says so."""
        asked = (str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "trusted")
        lets_in, rejects = 0, 1
        wanted = rejects if self._settings.get("hot_standby") == "off" else lets_in
        return subprocess.run(asked, check=False).returncode == wanted

    def stop(self) -> None:
        """Ask it to end without waiting for its clients, and see that it does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait(DEADLINE)
            self._process = None

    @contextlib.contextmanager
    def given(self, certificate: Path | None = None, *, recovering: bool = False, **settings: object) -> Iterator[Self]:
        """Run it for a while with other settings, with another certificate, or as a standby that lets nobody in."""
        if certificate is not None:
            other = self.copy(certificate, "other.pem")
            settings |= {"ssl_cert_file": other, "ssl_key_file": other}
        self.stop()
        self._settings = settings | ({"hot_standby": "off"} if recovering else {})
        standby = self.data / "standby.signal"
        if recovering:
            standby.touch()
            self.own(standby)
        try:
            with self:
                yield self
        finally:
            self._settings = {}
            standby.unlink(missing_ok=True)
            self.start()
