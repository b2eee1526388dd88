"""One server's parts as its resources describe them, and what remains of them when each is counted once. Pure.

Redfish tells the same thing several times: in the resources of today and in those they replaced (``Thermal`` and
``ThermalSubsystem``), in sensors beside their parts, in roll-ups. All of it is read, and the worst known wins; but a
fault is shown at the part that has it, once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from collectors.reading import EventLogReading, Lamp, LampReading, Quantity, SensorReading, Verdict, worst


class Rank(IntEnum):
    """How close to the part a description is. What ranks behind is shown where it says worse than what ranks before."""

    PART = 0
    SENSOR = 1
    OLDER = 2
    """Of ``Thermal`` and ``Power``, which the subsystems replace."""
    ROLL_UP = 3


@dataclass(frozen=True, slots=True)
class Log:
    """How full a log service's log is. ``most`` is None where it does not say."""

    entries: int
    most: int | None


@dataclass(frozen=True, slots=True)
class Part:
    """What one resource, or one entry of a resource's array, says about one part.

    ``path`` is where it stands, ``place`` the chassis, system or storage it belongs to (empty for the whole server),
    ``lamp`` None for a mere measurement, ``verdict`` None for an absent part.
    """

    path: str
    name: str
    lamp: Lamp | None
    verdict: Verdict | None
    evidence: str
    place: str = ""
    rank: Rank = Rank.PART
    explained_by: frozenset[Lamp] = frozenset()
    """The lamps of its place that can explain a roll-up; its own kind where none are named."""
    values: tuple[tuple[Quantity, float], ...] = ()
    locate: bool | None = None
    log: Log | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """What all parts together told. ``names`` is the kind and component of each fitted part, by its path."""

    lamps: tuple[LampReading, ...]
    sensors: tuple[SensorReading, ...]
    logs: tuple[EventLogReading, ...]
    locate: bool | None
    names: Mapping[str, tuple[Lamp, str]]


def told(parts: Iterable[Part], remembered: Mapping[str, tuple[Lamp, str]]) -> Told:
    """Return readings of parts, each counted once, under the names ``remembered`` from the last read where they fit."""
    once = counted_once(parts)
    lamps, logs, names = [], [], {}
    components = named(once, remembered)
    for component, part in zip(components, once, strict=True):
        if part.lamp is not None:
            lamps.append(LampReading(part.lamp, component, part.verdict, part.evidence))
            if part.verdict is not None:
                names[part.path] = (part.lamp, component)
        elif part.path in remembered:
            # shown until now, and explained by others since: its series ends, though others could not be read
            lamps.append(LampReading(*remembered[part.path], None, part.evidence))
        if part.log is not None:
            ratio = min(part.log.entries / part.log.most, 1.0) if part.log.most else None
            logs.append(EventLogReading(component, part.log.entries, ratio))
    lit = {part.locate for part in once}
    locate = True if True in lit else False if False in lit else None
    return Told(tuple(lamps), tuple(measured(components, once)), tuple(logs), locate, names)


def counted_once(parts: Iterable[Part]) -> list[Part]:
    """Return the parts without what others said already.

    What ranks behind is no lamp of its own, and keeps what it measures, unless it says worse than the part of the same
    name, or else than all that could explain it. A name that ranks before takes the worse verdict.
    """
    kept: list[Part] = []
    ranked = sorted(parts, key=lambda part: part.rank)
    for rank in Rank:
        before = tuple(kept)
        twins = {_identity(part): position for position, part in enumerate(before)}
        for part in (part for part in ranked if part.rank is rank):
            twin = twins.get(_identity(part)) if part.lamp is not None and rank is not Rank.PART else None
            explained = _is_explained(part, before if twin is None or rank is Rank.ROLL_UP else (before[twin],))
            if twin is None:
                kept.append(replace(part, lamp=None) if explained else part)
                continue
            mate = kept[twin]
            if not explained:
                mate = replace(mate, verdict=part.verdict, evidence=part.evidence)
            known = {quantity for quantity, _ in mate.values}
            more = tuple(value for value in part.values if value[0] not in known)
            kept[twin] = replace(mate, values=mate.values + more, locate=_either(mate.locate, part.locate))
    return kept


def _identity(part: Part) -> tuple[str, Lamp | None, str]:
    return (part.place, part.lamp, part.name.casefold())


def _is_explained(part: Part, others: Sequence[Part]) -> bool:
    """Tell whether others of its place, or all where it speaks of the whole server, say at least as bad a thing."""
    if part.rank is Rank.PART or part.verdict is None:
        return False
    lamps = part.explained_by or {part.lamp}
    verdicts = [
        other.verdict
        for other in others
        if other.verdict is not None and other.lamp in lamps and (not part.place or other.place == part.place)
    ]
    return bool(verdicts) and worst(verdicts) >= part.verdict


def _either(one: bool | None, other: bool | None) -> bool | None:
    return one or other if other is not None else one


def named(parts: Sequence[Part], remembered: Mapping[str, tuple[Lamp, str]]) -> list[str]:
    """Return each part's component, no two the same.

    A repeated name gets its Id, ``Processor (CPU1)``, or more of its path where that repeats too. A part that had a
    name keeps it, so that another one that comes or goes does not rename it.
    """
    names = Counter(part.name for part in parts)
    places = Counter((part.name, _tail(part.path, 1)) for part in parts)
    used: set[str] = set()
    components = []
    for position, part in enumerate(parts):
        component = part.name
        if names[part.name] > 1:
            segments = 1 if places[part.name, _tail(part.path, 1)] == 1 else 3
            component = f"{part.name} ({_tail(part.path, segments)})"
        _, old = remembered.get(part.path, (None, ""))
        if old == part.name or old.startswith(f"{part.name} ("):
            component = old
        if component in used:
            component = f"{part.name} ({part.path})"
        if component in used:
            component = f"{component} #{position}"
        used.add(component)
        components.append(component)
    return components


def _tail(path: str, segments: int) -> str:
    return "/".join(path.replace("#", "").rstrip("/").split("/")[-segments:])


def measured(components: Sequence[str], parts: Sequence[Part]) -> Iterable[SensorReading]:
    """Return the measured values: of each quantity in each place those that rank first, the others repeat them."""
    first: dict[tuple[str, Quantity], Rank] = {}
    for part in parts:
        for quantity, _ in part.values:
            key = (part.place, quantity)
            first[key] = min(first.get(key, part.rank), part.rank)
    for component, part in zip(components, parts, strict=True):
        for quantity, value in part.values:
            if first[part.place, quantity] is part.rank:
                yield SensorReading(quantity, component, value)
