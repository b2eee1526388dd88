"""The words in which a vendor's MIB is described: which objects to read, and what their values say of a lamp.

A file in ``vendors/`` is a `Vendor` made of these. Numbers of objects and meanings of values come from the MIB, whose
objects each file names. A value that a description does not list is UNKNOWN, never NORMAL.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from collectors.reading import Lamp, Quantity, Verdict

Value = int | float | str | bytes | None
"""What an agent answers: a number, an OID or IP address (str), an octet string (bytes)."""

Meaning = Mapping[int | str, Verdict | None]
"""What each value says; None: the part is not fitted. Texts are compared without case, quotes and blanks."""

UNKNOWN, NORMAL, WARNING, CRITICAL = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL
ABSENT: Final = None

DECIMAL = re.compile(r"[+-]?\d{1,10}")


def text_of(value: Value) -> str:
    """Return printable text without blanks and quotes around it: names go into labels, and agents are untrusted."""
    if isinstance(value, bytes):
        value = value.split(b"\0", 1)[0].decode("utf-8", "replace")
    text = "" if value is None else str(value)
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip().strip('"').strip()


def integer_of(value: Value) -> int | None:
    """Return a whole number, also one that was sent as text."""
    if isinstance(value, int):
        return value
    if isinstance(value, bytes) and DECIMAL.fullmatch(text := text_of(value)):
        return int(text)
    return None


def number_of(value: Value) -> float | None:
    """Return a finite number, also one that begins a text: ``46.00``, ``25% of maximum``."""
    if isinstance(value, int):
        return float(value)
    found = re.match(r"[+-]?\d{1,12}(?:\.\d{1,12})?", text_of(value))
    return float(found[0]) if found else None


def meaning_of(value: Value, meaning: Meaning) -> Verdict | None:
    """Return what ``value`` says; UNKNOWN where it is not listed."""
    number = integer_of(value)
    if number is not None and number in meaning:
        return meaning[number]
    if isinstance(value, bytes):
        return meaning.get(text_of(value).casefold(), UNKNOWN)
    return UNKNOWN


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table: what was read of it, by column."""

    index: str
    cells: Mapping[int, Value]

    def integer(self, column: int) -> int | None:
        """Return a column's whole number."""
        return integer_of(self.cells.get(column))

    def number(self, column: int) -> float | None:
        """Return a column's number."""
        return number_of(self.cells.get(column))

    def text(self, column: int) -> str:
        """Return a column's text, empty where there is none."""
        return text_of(self.cells.get(column))

    def number_in_index(self, place: int) -> int:
        """Return one number of the index, -1 where it is shorter; places count from 0, or backwards from -1."""
        numbers = self.index.split(".")
        return int(numbers[place]) if -len(numbers) <= place < len(numbers) else -1


@dataclass(frozen=True, slots=True)
class State:
    """A column that tells a state. A value of ``silent`` says nothing: the other columns decide."""

    column: int
    meaning: Meaning
    silent: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Measure:
    """A column that holds a measured value, and the factor that makes it one of the quantity's unit.

    ``none`` lists what an agent answers where there is no value; ``least`` is the smallest possible one.
    """

    column: int
    quantity: Quantity
    factor: float = 1.0
    none: frozenset[int] = frozenset()
    least: float = -1e9


Measured = Iterable[tuple[Quantity, float]]
Kind = Callable[[Row], Lamp | None]


@dataclass(frozen=True, slots=True)
class Table:
    """Parts, one in a row.

    ``entry`` is the OID of the entry object, below which columns are numbered. ``part`` names a row without a name,
    with its index: "Fan 3". ``names`` are the columns in which a name is looked for, in this order. ``lamp`` may depend
    on the row; None: the row stands for no lamp. What the plain words cannot say is a function of the row: ``judge``
    gives what is to be said beside ``states``, ``measure`` beside ``measures``, ``called`` a name, ``locate`` and
    ``power`` whether the row's locate light or the power is on; ``columns`` are those that they look at. ``elsewhere``
    are columns of other tables with the same index, by their OID; they are numbered -1, -2 and so on.
    """

    lamp: Lamp | Kind
    entry: str
    part: str
    states: tuple[State, ...] = ()
    names: tuple[int, ...] = ()
    measures: tuple[Measure, ...] = ()
    columns: tuple[int, ...] = ()
    elsewhere: tuple[str, ...] = ()
    judge: Callable[[Row], Iterable[Verdict | None]] | None = None
    measure: Callable[[Row], Measured] | None = None
    called: Callable[[Row], str] | None = None
    locate: Callable[[Row], bool | None] | None = None
    power: Callable[[Row], bool | None] | None = None
    wanted: Mapping[int, str] = field(init=False)
    """The columns to read and their OIDs, in the order in which they matter."""

    def oid(self, column: int) -> str:
        """Return the OID of a column."""
        return self.elsewhere[-column - 1] if column < 0 else f"{self.entry}.{column}"

    def __post_init__(self) -> None:
        """Work out once what every read asks for."""
        states = (state.column for state in self.states)
        measures = (measure.column for measure in self.measures)
        columns = dict.fromkeys((*states, *self.columns, *self.names, *measures))
        object.__setattr__(self, "wanted", {column: self.oid(column) for column in columns})


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single object that tells a state: mostly a roll-up. ``pick`` takes its part out of a value with several."""

    lamp: Lamp
    component: str
    oid: str
    meaning: Meaning
    pick: Callable[[Value], Value] | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """A single object that is on or off: a locate light, or the power."""

    oid: str
    on: frozenset[int]
    off: frozenset[int]

    def lit(self, value: Value) -> bool | None:
        """Return whether it is on, None where the value says neither."""
        number = integer_of(value)
        return None if number is None else True if number in self.on else False if number in self.off else None


@dataclass(frozen=True, slots=True)
class Vendor:
    """One kind of agent.

    It is recognised by the beginning of its sysObjectID, by words in its sysDescr, or, where both only name the SNMP
    software, by having anything below one of ``subtrees``. The objects of ``model``, ``serial`` and ``firmware`` are
    looked at in the given order.
    """

    name: str
    manufacturer: str
    systems: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    subtrees: tuple[str, ...] = ()
    scalars: tuple[Scalar, ...] = ()
    tables: tuple[Table, ...] = ()
    locate: tuple[Light, ...] = ()
    power: tuple[Light, ...] = ()
    model: tuple[str, ...] = ()
    serial: tuple[str, ...] = ()
    firmware: tuple[str, ...] = ()

    @property
    def objects(self) -> tuple[str, ...]:
        """The single objects to read."""
        lights = (light.oid for light in (*self.locate, *self.power))
        scalars = (scalar.oid for scalar in self.scalars)
        return tuple(dict.fromkeys((*scalars, *lights, *self.model, *self.serial, *self.firmware)))
