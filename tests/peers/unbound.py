"""A real unbound, as the name server of its own zones.

::

    with Unbound(peer("unbound"), tmp_path, "local-zone: shop.example static", ...) as dns:
        ...                     # dns.port, UDP and TCP; kill() and start() as of any ServerProcess
"""

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import ServerProcess
from tests.peers.reachable import accepts

CONFIGURATION = """\
server:
    directory: "{folder}"
    chroot: ""
    username: ""
    pidfile: "{folder}/pid"
    use-syslog: no
    do-daemonize: no
    interface: 127.0.0.1@{port}
{also}
    do-ip6: no
    do-not-query-localhost: no
    num-threads: 1
    module-config: "iterator"
{server}
{rest}
remote-control:
    control-enable: no
"""


class Unbound(ServerProcess):
    """``server`` are lines of its server clause, ``rest`` other clauses; ``also`` is another address, with port 53."""

    def __init__(self, program: str, folder: Path, *server: str, rest: str = "", also: str = "") -> None:
        super().__init__(folder)
        self._program = program
        self._file = folder / "unbound.conf"
        lines = "\n".join(f"    {line}" for line in server)
        second = f"    interface: {also}@53" if also else ""
        text = CONFIGURATION.format(folder=folder, port=self.port, also=second, server=lines, rest=rest)
        self._file.write_text(text, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-d", "-c", str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)
