"""The service checks, one module per protocol. Importing this package registers them; this is the only list."""

from collectors.services import http, imap, pop, smtp, ssh, tcp

__all__ = ["http", "imap", "pop", "smtp", "ssh", "tcp"]
