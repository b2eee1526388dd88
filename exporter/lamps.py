"""What one more read makes of the lamps of a server. Pure: no I/O, no clock reads.

A lamp keeps its last known verdict, with its age, until *the same source* reads it otherwise or absent: a source that
falls silent never turns critical into normal. A lamp gets worse only when two reads in a row say so; it gets better at
once. A lamp that is read as *unknown* keeps a warning or a critical, and loses a normal: unknown is never normal.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from collectors.failures import CheckFailure
from collectors.reading import (
    EventLogReading,
    Hardware,
    HardwareReading,
    Lamp,
    LampReading,
    SensorReading,
    Verdict,
    worst,
)
from exporter.clock import DAY, HOUR, SECOND, Moment

CONFIRM_AFTER = 20 * SECOND
"""An abnormal or unreadable lamp is read again this soon (or after ``lamp_recheck_interval``, if that is shorter)."""

BACK_OFF_AFTER = DAY
BACK_OFF_TO = HOUR

POWER_COMPONENT = "Power state"
HARDWARE = "hardware changed"
"""The subject of the event that model, serial number or board are others than before."""
IDENTITY = ("model", "serial", "board")
"""The fields of `Hardware` that make a machine another one: firmware is updated, makers spell themselves anew."""


@dataclass(frozen=True, slots=True)
class KnownLamp:
    """One lamp of one source. Times are wall milliseconds."""

    lamp: Lamp
    component: str
    verdict: Verdict
    """What counts: confirmed by two reads where it is abnormal."""
    read_as: Verdict
    """What the last read said."""
    since: int
    """When it became normal, unknown or abnormal (warning and critical count as one)."""
    evidence: str

    @property
    def abnormal(self) -> bool:
        """Tell whether the server has a fault there. A full event log is none of the server's."""
        return self.verdict >= Verdict.WARNING and self.lamp is not Lamp.EVENT_LOG


@dataclass(frozen=True, slots=True)
class SourceState:
    """What is known from one lamp source. Times are wall milliseconds; 0 is never."""

    lamps: Mapping[str, KnownLamp] = field(default_factory=lambda: MappingProxyType({}))
    """By component."""
    sensors: tuple[SensorReading, ...] = ()
    logs: tuple[EventLogReading, ...] = ()
    hardware: Hardware | None = None
    locate: bool | None = None
    power: bool | None = None
    last_run: int = 0
    last_success: int = 0
    duration: float = 0.0
    reason: str = ""
    """Why the last run failed; empty when it did not."""
    step: str = ""
    detail: str = ""
    unreadable_since: int = 0

    @property
    def readable(self) -> bool:
        """Tell whether the last run succeeded and told the state of at least one lamp.

        That the power is on says nothing of the parts; that it is off explains why they say nothing.
        """
        told = any(
            known.read_as is not Verdict.UNKNOWN and known.component != POWER_COMPONENT for known in self.lamps.values()
        )
        return self.last_run > 0 and not self.reason and (told or self.power is False)

    @property
    def unsettled(self) -> bool:
        """Tell whether a lamp was read as worse than it counts: the next read decides."""
        return any(known.read_as > known.verdict for known in self.lamps.values())

    @property
    def verdict(self) -> Verdict:
        """Return the worst known verdict of the source's lamps. A full event log is no fault of the server."""
        return worst(known.verdict for known in self.lamps.values() if known.lamp is not Lamp.EVENT_LOG)


@dataclass(frozen=True, slots=True)
class LampRead:
    """One finished read of a source: a reading or a failure. ``at`` is its start, ``duration`` in seconds."""

    at: Moment
    outcome: HardwareReading | CheckFailure
    duration: float


@dataclass(frozen=True, slots=True)
class LampEvent:
    """A change worth keeping, for the ledger. ``subject`` is the component, or `HARDWARE`."""

    at: int
    subject: str
    was: str
    now: str
    evidence: str


VISUAL = "visual"
"""The source that is a person."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a person saw of a server's lamps. ``at`` is wall ms; it counts for one lamp interval."""

    server: str
    at: int
    verdict: Verdict
    note: str
    author: str

    def state(self) -> SourceState:
        """Return it as a source's state."""
        evidence = f"{self.author}: {self.note}"
        lamp = KnownLamp(Lamp.SYSTEM, "Lamps as seen", self.verdict, self.verdict, self.at, evidence)
        return SourceState(MappingProxyType({lamp.component: lamp}), last_run=self.at, last_success=self.at)


def decide(state: SourceState, read: LampRead, *, power_expected: bool) -> tuple[SourceState, tuple[LampEvent, ...]]:
    """Return the state after ``read`` and what changed."""
    at = read.at.wall
    if isinstance(read.outcome, CheckFailure):
        failure = read.outcome
        failed = replace(
            state,
            last_run=at,
            duration=read.duration,
            reason=failure.reason,
            step=failure.step,
            detail=failure.detail,
            unreadable_since=state.unreadable_since or at,
        )
        return failed, ()
    reading = read.outcome
    shown = _one_each((*reading.lamps, *_power_lamp(reading.power, expected=power_expected)))
    known: dict[str, KnownLamp] = {} if reading.complete else dict(state.lamps)
    events: list[LampEvent] = []
    for lamp in shown:
        before = state.lamps.get(lamp.component)
        if lamp.verdict is None:
            known.pop(lamp.component, None)
            continue
        after = _one_lamp(before, lamp, lamp.verdict, at)
        known[lamp.component] = after
        was = before.verdict if before else Verdict.UNKNOWN
        first_sight_of_a_sound_part = before is None and after.verdict <= Verdict.NORMAL
        if after.verdict is not was and not first_sight_of_a_sound_part:
            events.append(LampEvent(at, lamp.component, was.name.lower(), after.verdict.name.lower(), lamp.evidence))
    for component, gone in state.lamps.items():
        if component not in known:
            events.append(LampEvent(at, component, gone.verdict.name.lower(), "absent", ""))
    hardware, changed = _hardware(state.hardware, reading.hardware)
    if state.hardware and hardware and changed:
        events.append(LampEvent(at, HARDWARE, _named(state.hardware), _named(hardware), repr(hardware)))
    return SourceState(
        lamps=MappingProxyType(known),
        sensors=reading.sensors,
        logs=reading.logs,
        hardware=hardware,
        locate=reading.locate,
        power=reading.power,
        last_run=at,
        last_success=at,
        duration=read.duration,
    ), tuple(events)


def is_routine(before: SourceState, after: SourceState) -> bool:
    """Tell whether a read told nothing new but times, values and evidence.

    A crash may lose it: the next process would read this source again, and find the same.
    """
    return (
        before.last_run > 0
        and _told(before) == _told(after)
        and {name: (lamp.lamp, lamp.verdict, lamp.read_as) for name, lamp in before.lamps.items()}
        == {name: (lamp.lamp, lamp.verdict, lamp.read_as) for name, lamp in after.lamps.items()}
    )


def _told(state: SourceState) -> tuple[object, ...]:
    return (state.reason, state.step, state.logs, state.hardware, state.locate, state.power)


def _one_lamp(before: KnownLamp | None, lamp: LampReading, read_as: Verdict, at: int) -> KnownLamp:
    was = before.verdict if before else Verdict.UNKNOWN
    read_before = before.read_as if before else Verdict.UNKNOWN
    if read_as is Verdict.UNKNOWN:
        verdict = was if was >= Verdict.WARNING else Verdict.UNKNOWN
    elif read_as <= max(was, Verdict.NORMAL):
        verdict = read_as
    else:
        verdict = max(was, min(read_before, read_as))
    same = before is not None and (was is verdict or min(was, verdict) >= Verdict.WARNING)
    since = before.since if before and same else at
    return KnownLamp(lamp.lamp, lamp.component, verdict, read_as, since, lamp.evidence)


def _power_lamp(power: bool | None, *, expected: bool) -> tuple[LampReading, ...]:
    """Judge the power state against the inventory: a server that should run and is off is a fault."""
    if power is None:
        return ()
    verdict = Verdict.CRITICAL if expected and not power else Verdict.NORMAL
    evidence = f"power is {'on' if power else 'off'}, {'on' if expected else 'off'} is expected"
    return (LampReading(Lamp.POWER, POWER_COMPONENT, verdict, evidence),)


def _one_each(lamps: Iterable[LampReading]) -> Iterable[LampReading]:
    """Return one lamp for each component: a name that a controller gives twice must not hide the worse of the two."""
    by_component: dict[str, LampReading] = {}
    for lamp in lamps:
        other = by_component.get(lamp.component)
        if other is None or other.verdict is None or (lamp.verdict is not None and lamp.verdict > other.verdict):
            by_component[lamp.component] = lamp
    return by_component.values()


def _hardware(was: Hardware | None, now: Hardware | None) -> tuple[Hardware | None, bool]:
    """Return what is known of the hardware now, and whether it is another than before.

    Only what both reads told is compared: an inventory that could not be read once is no exchange. What is silent this
    time stays known while nothing else has changed.
    """
    if was is None or now is None:
        return now or was, False
    if any(before and after and before != after for before, after in zip(_identity(was), _identity(now), strict=True)):
        return now, True
    kept = {name: getattr(now, name) or getattr(was, name) for name in ("manufacturer", *IDENTITY, "firmware")}
    return Hardware(**kept), False


def _identity(hardware: Hardware) -> tuple[str, ...]:
    return tuple(getattr(hardware, name) for name in IDENTITY)


def _named(hardware: Hardware) -> str:
    """Return a machine's name for people: ``Example X1, serial S1, board B1``."""
    maker = " ".join(part for part in (hardware.manufacturer, hardware.model) if part)
    numbers = [f"{name} {value}" for name in ("serial", "board") if (value := getattr(hardware, name))]
    return ", ".join([maker, *numbers] if maker else numbers)


def server_verdict(sources: Iterable[SourceState]) -> Verdict:
    """Return the server's verdict: critical, else warning, else unknown if a source is unreadable, else normal."""
    states = list(sources)
    known = worst(state.verdict for state in states)
    if known >= Verdict.WARNING:
        return known
    if not states or not all(state.readable for state in states):
        return Verdict.UNKNOWN
    return Verdict.NORMAL


def abnormal_since(sources: Iterable[SourceState]) -> int | None:
    """Return since when (wall ms) a lamp of the server has been abnormal without a break; None while none is."""
    since = [known.since for state in sources for known in state.lamps.values() if known.abnormal]
    return min(since, default=None)


def next_read(state: SourceState, *, interval: int, recheck_interval: int) -> int:
    """Return how long after the start of the last read the next one follows, in milliseconds.

    A sound lamp waits for its daily turn. One that cannot be read or looks bad is read again soon, then every
    ``recheck_interval``; a controller that was silent for a day only every hour.
    """
    soon = min(CONFIRM_AFTER, recheck_interval)
    if state.reason:
        silent = state.last_run - state.unreadable_since
        if silent >= BACK_OFF_AFTER:
            return max(BACK_OFF_TO, recheck_interval)
        # wrong credentials tried again at once lock accounts
        return soon if silent == 0 and state.reason != "auth" else recheck_interval
    if state.unsettled:
        return soon
    if state.verdict >= Verdict.WARNING or not state.readable:
        return recheck_interval
    return interval
