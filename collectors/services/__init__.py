"""The service checks, one module per protocol. Importing this package registers them; this is the only list."""

from collectors.services import http, ssh

__all__ = ["http", "ssh"]
