"""Debian's monitoring-plugins beside a check of ours, on the same peer: they agree, or a test says why they do not.

::

    async def test_the_plugin_agrees(run, plugin, ...):
        agree(await run("ssh", port), await plugin("check_ssh", "-p", port, "127.0.0.1"))
        differ(reading, told, "the plug-in calls a wrong password CRITICAL, ours is void: it is our password")

The plug-ins' exit statuses are 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN; ours are those of ``dserver-exporter probe``.
A plug-in's WARNING and CRITICAL are one here: each has its own thresholds, and we know no half failures.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from collectors.reading import ServiceReading
from exporter.probe import Status, status_of

FOLDER = "/usr/lib/nagios/plugins"
PATIENCE = 30.0
"""Seconds for a plug-in whose own timeout is not obeyed."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a plug-in said."""

    status: Status
    text: str


class Plugin:
    """Runs plug-ins; ``find`` gives the path of one, or skips the test."""

    def __init__(self, find: Callable[[str], str]) -> None:
        self._find = find

    async def __call__(self, name: str, *arguments: object) -> Told:
        """Run a plug-in and return its verdict."""
        command = (self._find(name), *map(str, arguments))
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(*command, stdout=pipe, stderr=pipe)
        try:
            async with asyncio.timeout(PATIENCE):
                said, errors = await process.communicate()
        except TimeoutError:
            process.kill()
            await process.communicate()
            raise
        return Told(Status(process.returncode or 0), (said + errors).decode("utf-8", "replace").strip())


def agree(reading: ServiceReading, told: Told) -> None:
    """Assert that both come to the same verdict."""
    assert _same(reading, told), _both(reading, told)


def differ(reading: ServiceReading, told: Told, because: str) -> None:
    """Assert that the verdicts differ, as is intended ``because`` of something. It fails as soon as they do not."""
    assert not _same(reading, told), f"no difference any more ({because}): {_both(reading, told)}"


def _same(reading: ServiceReading, told: Told) -> bool:
    return _problem(status_of(reading.failure)) == _problem(told.status)


def _problem(status: Status) -> Status:
    return Status.CRITICAL if status is Status.WARNING else status


def _both(reading: ServiceReading, told: Told) -> str:
    return f"ours is {status_of(reading.failure).name} ({reading.failure}), theirs {told.status.name}: {told.text}"
