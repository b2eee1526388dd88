"""A real slapd with a small tree: PROBE can log in, and nobody can read what is below ``ou=people``.

::

    with Slapd(peer("slapd"), tmp_path, certificate) as directory:
        ...                     # directory.port, directory.tls_port; kill() and start() as of any ServerProcess
"""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from collectors.secret import Credential, Secret
from tests.peers.process import ServerProcess, free_port
from tests.peers.reachable import accepts

PROBE = Credential("cn=probe,dc=example,dc=jp", Secret("hün'ter²"))
BASE = "dc=example,dc=jp"

CONFIGURATION = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_ldif
pidfile {folder}/pid
TLSCertificateFile {certificate}
TLSCertificateKeyFile {certificate}
{extra}
database ldif
suffix "dc=example,dc=jp"
directory {folder}/data
access to dn.subtree="ou=people,dc=example,dc=jp" by dn.base="cn=probe,dc=example,dc=jp" read by * none
access to attrs=userPassword by anonymous auth
access to * by * read
"""

TREE = f"""\
dn: dc=example,dc=jp
objectClass: dcObject
objectClass: organization
dc: example
o: 例

dn: cn=probe,dc=example,dc=jp
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: probe
userPassword: {PROBE.password.reveal()}

dn: ou=people,dc=example,dc=jp
objectClass: organizationalUnit
ou: people

dn: uid=hanako,ou=people,dc=example,dc=jp
objectClass: inetOrgPerson
uid: hanako
cn: 山田花子
sn: 山田

dn: uid=taro,ou=people,dc=example,dc=jp
objectClass: inetOrgPerson
uid: taro
cn: 山田太郎
sn: 山田
"""


class Slapd(ServerProcess):
    """``extra`` is added to its configuration; ``certificate`` is a file with key and certificate."""

    def __init__(self, program: str, folder: Path, certificate: Path, extra: str = "") -> None:
        super().__init__(folder)
        self._program = program
        self.tls_port = free_port()
        (folder / "data").mkdir(exist_ok=True)
        self._file = folder / "slapd.conf"
        self._file.write_text(CONFIGURATION.format(folder=folder, certificate=certificate, extra=extra), "utf-8")
        load = (program, "-T", "add", "-f", str(self._file))
        subprocess.run(load, input=TREE.encode(), check=True, capture_output=True)

    def command(self) -> Sequence[str]:
        """Return the command line."""
        urls = f"ldap://127.0.0.1:{self.port} ldaps://127.0.0.1:{self.tls_port}"
        return (self._program, "-f", str(self._file), "-h", urls, "-d", "stats")

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.tls_port)
