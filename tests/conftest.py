"""What all tests share: uvloop as in production, and real programs that must be there when CI says so."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop
from hypothesis import HealthCheck, settings

from tests.peers.monitoring_plugins import FOLDER, Plugin

INSTALL = {
    "ipmi_sim": "apt install openipmi",
    "ipmi-sensors": "apt install freeipmi-tools",
    "ipmitool": "apt install ipmitool",
    "nginx": "apt install nginx-light",
    "chromium": "apt install chromium fonts-noto-cjk",
    "snmpd": "apt install snmpd",
    "ssh": "apt install openssh-client",
    "sshd": "apt install openssh-server",
    "postfix": "apt install postfix (and run the tests as root: its master process has to be)",
    "dovecot": "apt install dovecot-imapd dovecot-pop3d (and run the tests as root: it changes users)",
    "vsftpd": "apt install vsftpd (and run the tests as root: it changes users)",
    "snmptrap": "apt install snmp",
    "snmpget": "apt install snmp",
    "snmpbulkwalk": "apt install snmp",
    "snmpwalk": "apt install snmp",
    "prometheus": "apt install prometheus (3.x; put the binary on the PATH)",
    "promtool": "apt install prometheus (3.x; put the binary on the PATH)",
    "alertmanager": "install Prometheus Alertmanager >= 0.27 and put the binary on the PATH",
    "amtool": "install Prometheus Alertmanager >= 0.27 and put the binary on the PATH",
    "postgres": "apt install postgresql",
    "pgbouncer": "apt install pgbouncer",
    "mariadbd": "apt install mariadb-server",
    "redis-server": "apt install redis-server",
    "slapd": "apt install slapd",
    "openssl": "apt install openssl",
    "unbound": "apt install unbound",
    "chronyd": "apt install chrony",
    "dropbear": "apt install dropbear-bin",
    "dropbearkey": "apt install dropbear-bin",
    "check_": "apt install monitoring-plugins-basic monitoring-plugins-standard",
}

# No generated test promises a speed: on a busy machine an example may take long, or be long in the making.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

ELSEWHERE = ("/usr/sbin", "/usr/local/sbin", *map(str, sorted(Path("/usr/lib/postgresql").glob("*/bin"))))
"""Where Debian has servers that are not on everybody's PATH."""


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Run every asynchronous test on the loop that production uses."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Return the path of a real program, or skip by name; with REQUIRE_REAL_PEERS=1 a missing one is a failure."""

    def find(program: str) -> str:
        path = shutil.which(program, path=":".join((os.environ.get("PATH", ""), *ELSEWHERE, str(FOLDER))))
        if path:
            return path
        family = "check_" if program.startswith("check_") else program
        message = f"{program} is not installed: {INSTALL[family]}"
        if os.environ.get("REQUIRE_REAL_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)

    return find


@pytest.fixture
def plugin(peer: Callable[[str], str]) -> Plugin:
    """Run one of Debian's monitoring-plugins."""
    return Plugin(peer)


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Give the root logger back what it had: the command line, called in a test, sets it up for itself."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
