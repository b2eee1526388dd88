"""What all tests share: uvloop as in production, and real programs that must be there when CI says so."""

import os
import shutil
from collections.abc import Callable

import pytest
import uvloop

INSTALL = {
    "ipmi_sim": "apt install openipmi",
    "ipmi-sensors": "apt install freeipmi-tools",
    "ipmitool": "apt install ipmitool",
    "nginx": "apt install nginx-light",
    "snmpd": "apt install snmpd",
    "snmpget": "apt install snmp",
    "sshd": "apt install openssh-server",
    "postfix": "apt install postfix (and run the tests as root: its master process has to be)",
    "prometheus": "apt install prometheus (3.x; put the binary on the PATH)",
    "promtool": "apt install prometheus (3.x; put the binary on the PATH)",
    "alertmanager": "install Prometheus Alertmanager >= 0.27 and put the binary on the PATH",
    "amtool": "install Prometheus Alertmanager >= 0.27 and put the binary on the PATH",
    "openssl": "apt install openssl",
}


@pytest.hookimpl
def pytest_asyncio_loop_factories() -> dict[str, Callable[[], object]]:
    """Run every asynchronous test on the loop that production uses."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def peer() -> Callable[[str], str]:
    """Return the path of a real program, or skip by name; with REQUIRE_REAL_PEERS=1 a missing one is a failure."""

    def find(program: str) -> str:
        path = shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
        if path:
            return path
        message = f"{program} is not installed: {INSTALL[program]}"
        if os.environ.get("REQUIRE_REAL_PEERS") == "1":
            pytest.fail(message)
        pytest.skip(message)

    return find
