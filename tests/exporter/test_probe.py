"""``probe`` on the command line: what an attempt found, as an exit status of monitoring-plugins."""

import time

import pytest

from collectors.failures import CheckFailure, Refused, Unauthorized
from collectors.reading import ServiceReading
from collectors.services.http import HttpsOptions
from exporter import probe
from exporter.clock import DAY, SECOND
from exporter.inventory import Check, Config, Server, Timing
from exporter.probe import Status

CHECK = Check("web01", "https", "https", "192.0.2.10", "web01.example", HttpsOptions(), Timing())
CONFIG = Config(servers={"web01": Server("web01", "c0001", managed=True, address="192.0.2.10", checks=(CHECK,))})


@pytest.mark.parametrize(
    ("failure", "days", "status", "said"),
    [
        (None, 15, Status.OK, "it answers as it should"),
        (None, 13, Status.WARNING, "it answers as it should, and its certificate expires soon"),
        (Refused("connect", "connection refused"), 13, Status.CRITICAL, "refused at connect: connection refused"),
        (Unauthorized("log-in", "no"), 13, Status.UNKNOWN, "auth at log-in: no"),
    ],
)
async def test_a_certificate_that_expires_soon_is_a_warning_of_a_check_that_passes(
    monkeypatch: pytest.MonkeyPatch, failure: CheckFailure | None, days: int, status: Status, said: str
) -> None:
    async def run_once(*_: object) -> ServiceReading:
        return ServiceReading(failure, 0.001, time.time() + days * DAY / SECOND)

    monkeypatch.setattr(probe, "run_once", run_once)
    told: list[str] = []
    assert await probe.probe(CONFIG, "web01", "https", told.append) is status
    assert told[-1].startswith(f"{status.name}: {said} (")
