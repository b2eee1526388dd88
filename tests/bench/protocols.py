"""One entry per registered protocol: its target, and how the peers are told to check the same thing.

A protocol that is added gets an entry here, and a talk in `tests.bench.targets` if none of those there serves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TCP = "{{prober: tcp, timeout: 5s, tcp: {{preferred_ip_protocol: ip4, {}query_response: [{}]}}}}"
TRUST = "tls_config: {ca_file: {authority}}, "
NAME = "shop.example"
"""What the targets' certificate is for, and what the name server knows."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """How one protocol is measured. ``{port}`` is its target's, ``{authority}`` the file of who signed it."""

    target: str
    """Its name in `tests.bench.targets`; empty where the kernel answers, and nobody else can count."""
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin: str = ""
    """The plug-in of monitoring-plugins and its arguments; empty where there is none."""
    module: str = ""
    """The module of blackbox_exporter, as YAML on one line; empty where it has none."""
    place: str = "127.0.0.1:{port}"
    """What blackbox_exporter is given as target."""

    @property
    def peers(self) -> tuple[str, ...]:
        """Its peers, as the rows name them."""
        plugin = (f"monitoring-plugins {self.plugin.split()[0]}",) if self.plugin else ()
        return plugin + (("blackbox_exporter",) if self.module else ())


def dialogue(*steps: str, tls: bool = False) -> str:
    """Return a module for a dialogue, ``tls`` from its first byte.

    A step is ``>`` and what is sent, ``<`` and the pattern that is expected, or ``*`` for TLS to begin.
    """
    written = {">": "{{send: '{}'}}", "<": "{{expect: '{}'}}", "*": "{{starttls: true}}"}
    trust = TRUST if tls or "*" in steps else ""
    said = ", ".join(written[step[0]].format(step[1:]) for step in steps)
    return TCP.format(f"tls: true, {trust}" if tls else trust, said)


SMTP = ("<^220", ">EHLO prober\\r", "<^250 ", ">QUIT\\r", "<^221")
IMAP = ("<^\\* OK", ">a1 CAPABILITY\\r", "<^a1 OK", ">a6 LOGOUT\\r", "<^a6 OK")
POP = ("<^\\+OK", ">CAPA\\r", "<^\\.", ">QUIT\\r", "<^\\+OK")
FTP = ("<^220", ">FEAT\\r", "<^211 ", ">QUIT\\r", "<^221")
REDIS = "check_tcp -H 127.0.0.1 -p {port} -E -s PING\\r\\n -e +PONG"
TRUSTING = {"ca_file": "{authority}"}

PROTOCOLS: Mapping[str, Protocol] = {
    "tcp": Protocol("tcp", plugin="check_tcp -H 127.0.0.1 -p {port}", module=dialogue()),
    "tls": Protocol("smtps", options=TRUSTING, plugin="check_tcp -S -H 127.0.0.1 -p {port}", module=dialogue(tls=True)),
    "http": Protocol(
        "http",
        plugin="check_http -I 127.0.0.1 -p {port}",
        module="{prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}",
        place="http://127.0.0.1:{port}/",
    ),
    "https": Protocol(
        "https",
        options=TRUSTING,
        plugin="check_http -S -I 127.0.0.1 -p {port}",
        module="{prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4, tls_config: {ca_file: {authority}}}}",
        place="https://127.0.0.1:{port}/",
    ),
    "ssh": Protocol(
        "ssh", plugin="check_ssh -p {port} 127.0.0.1", module=dialogue("<^SSH-2.0-", ">SSH-2.0-blackbox-ssh-check")
    ),
    "smtp": Protocol(
        "smtp",
        plugin="check_smtp -H 127.0.0.1 -p {port}",
        module=dialogue(*SMTP),
    ),
    "submission": Protocol(
        "submission",
        options=TRUSTING,
        plugin="check_smtp -S -H 127.0.0.1 -p {port}",
        module=dialogue(*SMTP[:3], ">STARTTLS\\r", "<^220", "*", *SMTP[1:]),
    ),
    "smtps": Protocol(
        "smtps",
        options=TRUSTING,
        plugin="check_ssmtp -H 127.0.0.1 -p {port}",
        module=dialogue(*SMTP, tls=True),
    ),
    "pop": Protocol("pop", plugin="check_pop -H 127.0.0.1 -p {port}", module=dialogue(*POP)),
    "pop3s": Protocol(
        "pop3s", options=TRUSTING, plugin="check_spop -H 127.0.0.1 -p {port}", module=dialogue(*POP, tls=True)
    ),
    "imap": Protocol(
        "imap",
        plugin="check_imap -H 127.0.0.1 -p {port}",
        module=dialogue(*IMAP),
    ),
    "imaps": Protocol(
        "imaps", options=TRUSTING, plugin="check_simap -H 127.0.0.1 -p {port}", module=dialogue(*IMAP, tls=True)
    ),
    "ftp": Protocol("ftp", plugin="check_ftp -H 127.0.0.1 -p {port}", module=dialogue(*FTP)),
    "ftps": Protocol("ftps", options={**TRUSTING, "mode": "implicit"}, module=dialogue(*FTP, tls=True)),
    "postgresql": Protocol("postgresql", plugin="check_pgsql -H 127.0.0.1 -P {port} -l probe"),
    "mysql": Protocol("mysql", plugin="check_mysql -n -H 127.0.0.1 -P {port}"),
    "mariadb": Protocol("mysql", plugin="check_mysql -n -H 127.0.0.1 -P {port}"),
    "redis": Protocol("redis", plugin=REDIS, module=dialogue(">PING\\r", "<^\\+PONG")),
    "ldap": Protocol("ldap", plugin="check_ldap -3 -H 127.0.0.1 -p {port} -b dc=example"),
    "ldaps": Protocol("ldaps", options=TRUSTING),  # check_ldaps can be told of no authority
    "udp": Protocol(
        "udp",
        options={"steps": [{"send": "ping"}, {"expect": "ping"}]},
        plugin="check_udp -H 127.0.0.1 -p {port} -s ping -e ping",
    ),
    "dns": Protocol(
        "dns",
        options={"query": NAME},
        plugin=f"check_dig -H 127.0.0.1 -p {{port}} -l {NAME} -a 192.0.2.1",
        module=f"{{prober: dns, timeout: 5s, dns: {{query_name: {NAME}, query_type: A, preferred_ip_protocol: ip4}}}}",
    ),
    "icmp": Protocol(
        "",
        plugin="check_icmp -H 127.0.0.1 -n 1",
        module="{prober: icmp, timeout: 5s, icmp: {preferred_ip_protocol: ip4}}",
        place="127.0.0.1",
    ),
}


MIX = ("http", "https", "ftp", "smtp", "smtps", "pop", "pop3s", "imap", "imaps", "postgresql", "mysql", "ssh")
"""The twelve checks of a server of the fleet: those that the contract names."""


def options(protocol: str, ports: Mapping[str, int], authority: Path) -> dict[str, Any]:
    """Return what our check of a protocol is told, with its target's port."""
    entry = PROTOCOLS[protocol]
    port = {"port": ports[entry.target]} if entry.target else {}
    filled = {
        name: said.replace("{authority}", str(authority)) if isinstance(said, str) else said
        for name, said in entry.options.items()
    }
    return {**port, **filled}


def row_key(protocol: str, peer: str) -> str:
    """Return the key of a protocol's row beside a peer."""
    return f"{protocol} {peer}"
