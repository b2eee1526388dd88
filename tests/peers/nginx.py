"""A real nginx.

::

    with Nginx(peer("nginx"), tmp_path, "location / { return 200 ready; }", certificate=file) as web:
        ...                     # web.port, web.tls_port
        web.kill()              # gone, as in a power cut
        web.start()             # back, on the same ports
"""

from collections.abc import Sequence
from pathlib import Path

from tests.peers.process import ServerProcess, free_port
from tests.peers.reachable import accepts

CONFIGURATION = """\
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr info;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/temporary;
    proxy_temp_path {folder}/temporary;
    fastcgi_temp_path {folder}/temporary;
    uwsgi_temp_path {folder}/temporary;
    scgi_temp_path {folder}/temporary;
    server {{
        listen 127.0.0.1:{port};
        {tls}
        {server}
    }}
}}
"""


class Nginx(ServerProcess):
    """One server on plain HTTP, and with a ``certificate`` (a file with certificate and key) on HTTPS as well.

    ``server`` is what stands in nginx's server block.
    """

    def __init__(self, program: str, folder: Path, server: str, certificate: Path | None = None) -> None:
        super().__init__(folder)
        self._program = program
        self.tls_port = free_port() if certificate else 0
        tls = ""
        if certificate:
            tls = f"listen 127.0.0.1:{self.tls_port} ssl;"
            tls += f"ssl_certificate {certificate}; ssl_certificate_key {certificate};"
        self._file = folder / "nginx.conf"
        self._file.write_text(CONFIGURATION.format(folder=folder, port=self.port, tls=tls, server=server), "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        return (self._program, "-p", str(self.folder), "-e", "stderr", "-c", str(self._file))

    def ready(self) -> bool:
        """Tell whether it accepts connections."""
        return accepts(self.port)
