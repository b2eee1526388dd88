"""One entry per registered protocol: its target, and how the peers are told to check the same thing.

A protocol that is added gets an entry here, and a talk in `tests.bench.targets` if none of those there serves it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

TCP = "{{prober: tcp, timeout: 5s, tcp: {{preferred_ip_protocol: ip4, query_response: [{}]}}}}"
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


def dialogue(*steps: str) -> str:
    """Return a module for a dialogue; a step is ``>`` and what is sent, or ``<`` and the pattern that is expected."""
    return TCP.format(", ".join(f"{{{'send' if step[0] == '>' else 'expect'}: '{step[1:]}'}}" for step in steps))


PROTOCOLS: Mapping[str, Protocol] = {
    "tcp": Protocol("tcp", plugin="check_tcp -H 127.0.0.1 -p {port}", module=dialogue()),
    "http": Protocol(
        "http",
        plugin="check_http -I 127.0.0.1 -p {port}",
        module="{prober: http, timeout: 5s, http: {preferred_ip_protocol: ip4}}",
        place="http://127.0.0.1:{port}/",
    ),
    "https": Protocol(
        "https",
        options={"ca_file": "{authority}"},
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
        module=dialogue("<^220", ">EHLO prober\\r", "<^250 ", ">QUIT\\r", "<^221"),
    ),
    "imap": Protocol(
        "imap",
        plugin="check_imap -H 127.0.0.1 -p {port}",
        module=dialogue("<^\\* OK", ">a1 CAPABILITY\\r", "<^a1 OK", ">a4 LOGOUT\\r", "<^a4 OK"),
    ),
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


def row_key(protocol: str, peer: str) -> str:
    """Return the key of a protocol's row beside a peer."""
    return f"{protocol} {peer}"
