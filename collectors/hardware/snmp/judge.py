"""What an agent's answers say: a vendor's description and the values read, to lamps and sensors. Pure.

Roll-ups and parts are both told. A part without a listed state is UNKNOWN; one that its row calls absent is None.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field, replace

from collectors.hardware.snmp.mib import (
    ABSENT,
    NORMAL,
    UNKNOWN,
    Row,
    Scalar,
    Table,
    Value,
    Vendor,
    integer_of,
    meaning_of,
    text_of,
)
from collectors.reading import Hardware, Lamp, LampReading, Quantity, SensorReading, Verdict

NOTHING: Set[int] = frozenset()
SHOWN = 80
"""Characters of one value in the evidence."""
LONGEST_NAME = 80
PLAUSIBLE = 1e7
"""No temperature, speed, voltage, current or power of a server is larger."""
NO_TEXT = frozenset({"n/a", "na", "none", "unknown", "not available", "not specified"})
"""What agents answer where they have no model or serial number."""


@dataclass(slots=True)
class Answers:
    """What was read: single objects by OID, and of each table its rows, with their cells by column, by index."""

    objects: dict[str, Value] = field(default_factory=dict)
    rows: dict[str, dict[str, dict[int, Value]]] = field(default_factory=dict)
    """By the table's entry OID."""
    missed: dict[str, str] = field(default_factory=dict)
    """Why a table (by its entry; "" for the single objects) could not be read to its end."""
    unread: dict[str, set[int]] = field(default_factory=dict)
    """The columns of a table that gave no answer."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part as it was shown. ``source`` is the entry of its table (empty: a single object), ``index`` its row's."""

    source: str
    index: str
    lamp: Lamp | None
    name: str
    verdict: Verdict | None
    evidence: str
    measured: tuple[tuple[Quantity, float], ...] = ()
    lit: bool | None = None
    power: bool | None = None
    is_named: bool = True
    """Whether the agent told the name."""
    cells: Mapping[int, Value] | None = None
    """What it was judged by: its whole row; None where that was not read."""

    @property
    def key(self) -> str:
        """What sets it apart from all others."""
        return f"{self.source} {self.index}"


@dataclass(frozen=True, slots=True)
class Judged:
    """All that a vendor's objects told."""

    lamps: tuple[LampReading, ...]
    sensors: tuple[SensorReading, ...]
    hardware: Hardware
    locate: bool | None
    power: bool | None


def judge(vendor: Vendor, answers: Answers, before: Mapping[str, Part]) -> tuple[Judged, dict[str, Part]]:
    """Return what the answers say, and the parts by key, which the next read takes as ``before``.

    What was shown before and could not be read now keeps its name, and its state is unknown.
    """
    shown_now = (*scalar_parts(vendor.scalars, answers), *table_parts(vendor.tables, answers, before))
    keys = {part.key for part in shown_now}
    parts = {part.key: part for part in named((*renamed(shown_now, before), *silent(before, keys, answers.missed)))}
    lights = [light.lit(answers.objects.get(light.oid)) for light in vendor.locate]
    powers = [light.lit(answers.objects.get(light.oid)) for light in vendor.power]
    return Judged(
        lamps=tuple(
            LampReading(part.lamp, part.name, part.verdict, part.evidence)
            for part in parts.values()
            if part.lamp is not None
        ),
        sensors=tuple(
            SensorReading(quantity, part.name, value)
            for part in parts.values()
            if part.verdict is not ABSENT
            for quantity, value in part.measured
        ),
        hardware=Hardware(
            vendor.manufacturer,
            *(first_text(oids, answers.objects) for oids in (vendor.model, vendor.serial, vendor.firmware)),
        ),
        locate=any_lit((*lights, *(part.lit for part in parts.values()))),
        power=any_lit((*powers, *(part.power for part in parts.values()))),
    ), parts


def renamed(parts: Iterable[Part], before: Mapping[str, Part]) -> Iterator[Part]:
    """Give the parts, with the name of the last read where the agent did not tell one now."""
    for part in parts:
        known = before.get(part.key)
        yield part if part.is_named or known is None else replace(part, name=known.name)


def silent(before: Mapping[str, Part], now: set[str], missed: Mapping[str, str]) -> Iterator[Part]:
    """Give the parts of the last read that belong to what could not be read now."""
    for part in before.values():
        if part.source in missed and part.key not in now and part.verdict is not ABSENT:
            yield replace(
                part, verdict=UNKNOWN, evidence=missed[part.source], measured=(), lit=None, power=None, cells=None
            )


def scalar_parts(scalars: Iterable[Scalar], answers: Answers) -> Iterator[Part]:
    """Give the lamps of single objects. One that the agent does not have is not told."""
    for scalar in scalars:
        if scalar.oid not in answers.objects:
            continue
        value = answers.objects[scalar.oid]
        part = value if scalar.pick is None else scalar.pick(value)
        if part is None and scalar.pick is not None:
            continue
        # Several may share one object.
        index = scalar.oid if scalar.pick is None else f"{scalar.oid} {scalar.component}"
        verdict = meaning_of(part, scalar.meaning)
        yield Part("", index, scalar.lamp, scalar.component, verdict, shown(scalar.oid, value))


def table_parts(tables: Iterable[Table], answers: Answers, before: Mapping[str, Part]) -> Iterator[Part]:
    """Give the parts of tables, one for each row. One whose cells are what they were is what it was."""
    for table in tables:
        unread = answers.unread.get(table.entry, NOTHING)
        for index, cells in answers.rows.get(table.entry, {}).items():
            known = before.get(f"{table.entry} {index}")
            is_same = known is not None and known.cells == cells and not unread
            yield known if known is not None and is_same else part_of(table, Row(index, cells), unread)


def part_of(table: Table, row: Row, unread: Set[int]) -> Part:
    """Return what one row says; ``unread`` are columns that gave no answer."""
    lamp = table.lamp if isinstance(table.lamp, Lamp) else table.lamp(row)
    told = [state for state in table.states if state.column in row.cells]
    verdict = verdict_of(table, row, unread)
    measured = [
        (measure.quantity, number * measure.factor)
        for measure in table.measures
        if (number := row.number(measure.column)) is not None and number not in measure.none and number >= measure.least
    ]
    if table.measure is not None:
        measured += table.measure(row)
    name = table.called(row) if table.called else first(row.text(column) for column in table.names)
    columns = [state.column for state in told] + [column for column in table.columns if column in row.cells]
    evidence = "; ".join(
        shown(f"{table.wanted[column]}.{row.index}", row.cells[column]) for column in dict.fromkeys(columns)
    )
    return Part(
        table.entry,
        row.index,
        lamp,
        name[:LONGEST_NAME] or f"{table.part} {row.index}"[:LONGEST_NAME],
        verdict,
        evidence or f"{table.entry}: the row {row.index} tells no state",
        tuple((quantity, round(value, 6)) for quantity, value in measured if abs(value) <= PLAUSIBLE),
        table.locate(row) if table.locate else None,
        table.power(row) if table.power else None,
        is_named=bool(name),
        cells=None if unread else row.cells,
    )


def verdict_of(table: Table, row: Row, unread: Set[int]) -> Verdict | None:
    """Return the gravest thing that a row's states say.

    Absent comes first; beside a value that nobody knows, or one that was not answered, "normal" is not believed.
    """
    looked_at = {state.column for state in table.states} | (set(table.columns) if table.judge else set())
    said: list[Verdict | None] = [UNKNOWN] if unread & looked_at else []
    for state in table.states:
        if state.column not in row.cells:
            continue
        value = row.cells[state.column]
        if integer_of(value) in state.silent:
            continue
        said.append(meaning_of(value, state.meaning))
    if table.judge is not None:
        said += table.judge(row)
    if ABSENT in said:
        return ABSENT
    verdicts = [verdict for verdict in said if verdict is not None]
    gravest = max(verdicts, default=UNKNOWN)
    return UNKNOWN if gravest is NORMAL and UNKNOWN in verdicts else gravest


def named(parts: Iterable[Part]) -> Iterator[Part]:
    """Give the parts with names that are unique: a repeated one gets its index, or else its OID."""
    parts = tuple(parts)
    seen = Counter(part.name for part in parts)
    taken: set[str] = set()
    for part in parts:
        name = part.name
        if seen[name] > 1:
            name = f"{name} ({part.index})"
        if name in taken or (name != part.name and name in seen):
            name = f"{part.name} ({part.key})"
        taken.add(name)
        yield part if name == part.name else replace(part, name=name)


def any_lit(lights: Iterable[bool | None]) -> bool | None:
    """Return True where one is lit, else False where one is known to be off."""
    known = [lit for lit in lights if lit is not None]
    return any(known) if known else None


def first(texts: Iterable[str]) -> str:
    """Return the first text that is not empty."""
    return next((text for text in texts if text), "")


def first_text(oids: Iterable[str], objects: Mapping[str, Value]) -> str:
    """Return the first text that an agent has among these objects."""
    texts = (text_of(objects.get(oid)) for oid in oids)
    return first(text for text in texts if text.casefold() not in NO_TEXT)[:LONGEST_NAME]


def shown(oid: str, value: Value) -> str:
    """Return OID and value as evidence, verbatim: octets that are no text in hexadecimal."""
    if isinstance(value, bytes):
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = ""
        value = f'"{text}"' if text.isprintable() and (text or not value) else value[:SHOWN].hex(" ")
    said = str(value)
    return f"{oid}={said if len(said) <= SHOWN else said[:SHOWN] + '...'}"
