"""``dserver-exporter probe``: one check or one lamp read, now, with its dialogue. Never evidence.

Exit status as monitoring-plugins have it: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime
from enum import IntEnum
from zoneinfo import ZoneInfo

from collectors.failures import CheckFailure, Void
from collectors.reading import HardwareReading, Verdict
from collectors.tls import expires_soon
from exporter.clock import Moment
from exporter.inventory import Check, Config, LampSourceEntry, Server
from exporter.lamps import LampRead, SourceState, decide
from exporter.lampwatch import DEADLINE, read_once, reader_of
from exporter.patience import patience
from exporter.runner import run_once
from exporter.secrets import Secrets

LAMPS = "lamps"


class Status(IntEnum):
    """Exit statuses, by the monitoring-plugins guidelines."""

    OK = 0
    WARNING = 1
    CRITICAL = 2
    UNKNOWN = 3


_BY_VERDICT = {
    Verdict.NORMAL: Status.OK,
    Verdict.WARNING: Status.WARNING,
    Verdict.CRITICAL: Status.CRITICAL,
    Verdict.UNKNOWN: Status.UNKNOWN,
}
_GRAVITY = (Status.OK, Status.UNKNOWN, Status.WARNING, Status.CRITICAL)

Say = Callable[[str], None]


def status_of(failure: CheckFailure | None) -> Status:
    """Return the status of an attempt that ended so: what is void says nothing of the server."""
    if failure is None:
        return Status.OK
    return Status.UNKNOWN if isinstance(failure, Void) else Status.CRITICAL


async def probe(config: Config, server_name: str, what: str, say: Say) -> Status:
    """Run one check, the lamps, or everything of a server (``what`` empty), and say what was seen."""
    server = config.servers.get(server_name)
    if server is None:
        say(f"UNKNOWN: no server {server_name!r} in the configuration; it has: {_some(config.servers)}")
        return Status.UNKNOWN
    secrets = Secrets(config.credentials)
    runs: list[Awaitable[Status]] = []
    if what in ("", LAMPS):
        runs += [_lamps(server, source, secrets, say) for source in server.lamps]
    runs += [
        _check(check, secrets, ZoneInfo(config.settings.timezone), say)
        for check in server.checks
        if what in ("", check.name)
    ]
    if not runs:
        names = [LAMPS] if server.lamps else []
        names += [check.name for check in server.checks]
        missing = f"no check {what!r}" if what not in ("", LAMPS) else "nothing to probe"
        say(f"UNKNOWN: {missing} on {server_name}; it has: {_some(names)}")
        return Status.UNKNOWN
    return max([await run for run in runs], key=_GRAVITY.index)


async def _check(check: Check, secrets: Secrets, zone: ZoneInfo, say: Say) -> Status:
    seconds = check.timing.timeout / 1000
    say(f"{check.server}/{check.name}: {check.protocol} at {check.address}, for at most {seconds:g} s")
    with patience(f"{check.server}/{check.name} under way"):
        reading = await run_once(check, secrets, seconds)
    for line in reading.transcript:
        say(f"  {line}")
    status, result = status_of(reading.failure), str(reading.failure or "it answers as it should")
    if reading.certificate_expiry is not None:
        expiry = datetime.fromtimestamp(reading.certificate_expiry, UTC).astimezone(zone)
        say(f"  the certificate expires {expiry:%Y-%m-%d %H:%M %Z}")
        soon = expires_soon(check.options, reading.certificate_expiry, datetime.now(UTC).timestamp())
        if soon and status is Status.OK:
            status, result = Status.WARNING, f"{result}, and its certificate expires soon"
    say(f"{status.name}: {result} ({reading.duration * 1000:.1f} ms)")
    return status


async def _lamps(server: Server, source: LampSourceEntry, secrets: Secrets, say: Say) -> Status:
    reader = reader_of(source)
    where = reader.endpoint()
    say(f"{server.name}/{source.source}: lamps by {source.kind} at {where}, for at most {DEADLINE:g} s")
    with patience(f"{server.name}/{source.source} under way"):
        outcome = await read_once(source, reader, secrets, DEADLINE)
    state = as_confirmed(LampRead(Moment(0, 1), outcome, 0.0), server)
    for line in lamps_told(outcome, state):
        say(f"  {line}")
    if isinstance(outcome, CheckFailure):
        say(f"UNKNOWN: {outcome}")
        return Status.UNKNOWN
    status = _BY_VERDICT[state.verdict]
    say(f"{status.name}: {len(state.lamps)} lamps, worst is {state.verdict.name.lower()}")
    return status


def lamps_told(outcome: HardwareReading | CheckFailure, state: SourceState) -> Iterator[str]:
    """Give what a read showed, a line each: the dialogue, every lamp with its evidence, the worst first."""
    yield from outcome.transcript
    if isinstance(outcome, CheckFailure):
        return
    for known in sorted(state.lamps.values(), key=lambda known: (-known.verdict, known.lamp, known.component)):
        yield f"{known.verdict.name.lower():8} {known.lamp:12} {known.component}: {known.evidence}"
    for lamp in sorted(outcome.lamps, key=lambda lamp: (lamp.lamp, lamp.component)):
        if lamp.component not in state.lamps:
            yield f"{'absent':8} {lamp.lamp:12} {lamp.component}: {lamp.evidence}"
    if outcome.locate is not None:
        yield f"the locate lamp is {'on' if outcome.locate else 'off'}"


def as_confirmed(read: LampRead, server: Server) -> SourceState:
    """Return what a source's state would be after ``read`` and a second one that says the same."""
    once, _ = decide(SourceState(), read, power_expected=server.power_expected)
    twice, _ = decide(once, read, power_expected=server.power_expected)
    return twice


def _some(names: Iterable[str]) -> str:
    listed = list(names)
    return ", ".join(listed[:20]) + (" ..." if len(listed) > 20 else "") or "none"
