"""The service checks, one module per protocol. Importing this package registers them; this is the only list."""

from collectors.services import dns, ftp, http, icmp, imap, ldap, mysql, pop, postgresql, redis, smtp, ssh, tcp, udp

__all__ = [
    "dns",
    "ftp",
    "http",
    "icmp",
    "imap",
    "ldap",
    "mysql",
    "pop",
    "postgresql",
    "redis",
    "smtp",
    "ssh",
    "tcp",
    "udp",
]
