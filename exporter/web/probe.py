"""``/probe``: runs one check, or reads the lamps of one server, now. Never evidence: nothing is remembered.

Only members of the inventory are contacted, whatever the request says.
"""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from aiohttp import hdrs, web
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from collectors.failures import CheckFailure
from collectors.reading import ServiceReading
from exporter.exposition import text_of
from exporter.inventory import Check, Server
from exporter.lamps import LampRead, SourceState
from exporter.lampwatch import LampEntry
from exporter.lastruns import look_at
from exporter.monitor import Monitor
from exporter.probe import LAMPS, as_confirmed, lamps_told
from exporter.rendering import server_lamp_lines, source_lines
from exporter.runner import run_once

LIMIT = 10
"""Probes under way at once."""
LAMPS_DEADLINE = 120.0
"""Seconds: the reader's own deadline, and some for a controller that is being read already."""

# A terminal shows what a server sent: nothing in it may move the cursor. Tabs stay.
_CONTROLS = {code: "\N{REPLACEMENT CHARACTER}" for code in (*range(32), *range(127, 160)) if code != 9}


@dataclass(frozen=True, slots=True)
class Answer:
    """What a probe saw: the dialogue, and the metrics."""

    transcript: tuple[str, ...]
    metrics: bytes

    def text(self, *, debug: bool) -> bytes:
        """Return the body: the metrics, with ``debug`` after the dialogue."""
        if not debug:
            return self.metrics
        lines = [line.translate(_CONTROLS) for line in self.transcript]
        told = "\n".join([*lines, "", "Metrics that are returned without debug=true:", ""])
        return told.encode(errors="backslashreplace") + self.metrics


class Prober:
    """Runs probes, a few at a time and none twice at once."""

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._running: set[tuple[str, str]] = set()

    async def probe(self, server_name: str, what: str) -> Answer:
        """Run the check ``what`` of a server, or read its ``lamps``.

        Raises HTTPNotFound for what the inventory does not have, and HTTPServiceUnavailable when too much is under way.
        """
        server = self._monitor.config.servers.get(server_name)
        if server is None:
            raise web.HTTPNotFound(
                text=f"The inventory has no server {server_name!r}, and nothing else is contacted.\n"
            )
        check = next((check for check in server.checks if check.name == what), None)
        if check is None and not (what == LAMPS and server.lamps):
            names = ", ".join([*([LAMPS] if server.lamps else []), *(check.name for check in server.checks)])
            raise web.HTTPNotFound(
                text=f"{server.name} has no check {what!r}; it has: {names or 'nothing to probe'}.\n"
            )
        key = (server.name, what)
        if key in self._running:
            raise _busy("This probe is under way already.")
        if len(self._running) >= LIMIT:
            raise _busy(f"{LIMIT} probes are under way already.")
        self._running.add(key)
        try:
            return await (self._check(check) if check else self._lamps(server))
        finally:
            self._running.discard(key)

    async def _check(self, check: Check) -> Answer:
        seconds = check.timing.timeout / 1000
        reading = await run_once(check, self._monitor.secrets, seconds)
        told = (
            f"{check.server}/{check.name}: {check.protocol} at {check.address}, for at most {seconds:g} s",
            *(f"  {line}" for line in reading.transcript),
            f"{_result(reading.failure)} ({reading.duration * 1000:.1f} ms)",
            *self._last_runs(check),
        )
        return Answer(told, _check_metrics(reading))

    def _last_runs(self, check: Check) -> Iterator[str]:
        """Give what was said in the runs that counted: the last failing and the last good one."""
        entry = self._monitor.schedule.get(check.key)
        for title, run in (("failing", entry.failed), ("good", entry.good)) if entry else ():
            yield ""
            seen = look_at(run) if run else None
            yield f"Last {title} run: {seen.headline() if seen else 'none since the exporter started'}"
            yield from (f"  {line}" for line in (seen.lines if seen else ()))

    async def _lamps(self, server: Server) -> Answer:
        watch = self._monitor.lamps
        entries = [entry for source in server.lamps if (entry := watch.get(source.key))]
        begun = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(LAMPS_DEADLINE):
                reads = await asyncio.gather(*(watch.read(entry) for entry in entries))
        except TimeoutError:
            raise _busy("The management controller is busy with other reads.") from None
        duration = asyncio.get_running_loop().time() - begun
        seen = [(entry, read, as_confirmed(read, server)) for entry, read in zip(entries, reads, strict=True)]
        states = {entry.source.key: state for entry, _, state in seen}
        lines = [source_lines(key, state) for key, state in states.items()]
        lines.append(server_lamp_lines(server.name, states))
        success = not any(isinstance(read.outcome, CheckFailure) for read in reads)
        told = tuple(line for each in seen for line in _lamps_told(*each))
        return Answer(told, _metrics(success, duration) + text_of(lines))


def _lamps_told(entry: LampEntry, read: LampRead, state: SourceState) -> Iterator[str]:
    where = entry.reader.endpoint()
    yield f"{entry.source.server}/{entry.source.source}: lamps by {entry.source.kind} at {where}"
    for line in lamps_told(read.outcome, state):
        yield f"  {line}"
    failure = read.outcome if isinstance(read.outcome, CheckFailure) else None
    yield f"{_result(failure)} ({read.duration * 1000:.1f} ms)"


def _result(failure: CheckFailure | None) -> str:
    return f"failed: {failure}" if failure else "success"


def _check_metrics(reading: ServiceReading) -> bytes:
    extra: list[tuple[str, str, dict[str, str], float]] = []
    if reading.failure:
        why = {"reason": reading.failure.reason, "step": reading.failure.step}
        extra.append(("probe_failure_info", "Why and at which step the probe failed, always 1.", why, 1.0))
    if reading.certificate_expiry is not None:
        text = "Unix time at which the certificate that the server showed expires."
        extra.append(("probe_certificate_expiry_timestamp_seconds", text, {}, reading.certificate_expiry))
    return _metrics(reading.failure is None, reading.duration, extra)


def _metrics(success: bool, duration: float, extra: Iterable[tuple[str, str, dict[str, str], float]] = ()) -> bytes:
    registry = CollectorRegistry()
    Gauge("probe_success", "Whether the probe succeeded: 1 yes, 0 no.", registry=registry).set(success)
    Gauge("probe_duration_seconds", "How long the probe took.", registry=registry).set(duration)
    for name, text, labels, value in extra:
        gauge = Gauge(name, text, [*labels], registry=registry)
        (gauge.labels(**labels) if labels else gauge).set(value)
    return generate_latest(registry)


def _busy(text: str) -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text=f"{text} Try again later.\n", headers={hdrs.RETRY_AFTER: "5"})
