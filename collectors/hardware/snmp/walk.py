"""Reads a vendor's objects: single ones by GET, one column of each table by GETBULK for its rows, then all other cells.

gufo-snmp's GETBULK walks one column at a time, its GET takes many objects: this way a server of a hundred parts costs
some thirty requests. What the last read found is asked for at once, before the walks, which then only look for rows
that are new.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from collectors.failures import CheckFailure, TimedOut, UnexpectedReply
from collectors.hardware.snmp.judge import Answers, Part
from collectors.hardware.snmp.mib import Table, Value, Vendor
from collectors.hardware.snmp.session import HURRIED, Column, Exhausted, Session, Silent

Cell = tuple[str, str, int]
"""Entry of a table, index of a row, column."""


@dataclass(slots=True)
class Known:
    """What was asked before the walks: the OIDs, and the values that the agent has of them."""

    asked: set[str] = field(default_factory=set)
    found: dict[str, Value] = field(default_factory=dict)


def expected(vendor: Vendor, before: Mapping[str, Part]) -> Iterator[str]:
    """Give the OIDs of what the last read found: single objects, and the cells that its walks did not give."""
    yield from vendor.objects
    tables = {table.entry: table for table in vendor.tables}
    for part in before.values():
        table = tables.get(part.source)
        if table is not None and part.cells is not None:
            walked = next(iter(table.wanted))
            for column, oid in table.wanted.items():
                if column != walked or column not in part.cells:
                    yield f"{oid}.{part.index}"


async def ask(
    session: Session, vendor: Vendor, answers: Answers, before: Mapping[str, Part], known: Known
) -> CheckFailure | None:
    """Read a vendor's objects into ``answers``; return why not all of them, where the agent fell silent for good.

    ``before`` are the parts of the last read: their rows are asked for even where the walk does not show them.
    """
    session.step = "objects"
    answers.objects |= {oid: known.found[oid] for oid in vendor.objects if oid in known.found}
    try:
        answers.objects |= await session.get([oid for oid in vendor.objects if oid not in known.asked])
    except Silent as silence:
        if not await session.alive():
            raise
        answers.missed[""] = f"no answer for single objects ({silence})"
    session.step = "tables"
    left = list(vendor.tables)
    rows: dict[str, list[str]] = {}
    for part in before.values():
        rows.setdefault(part.source, []).append(part.index)
    absent = Absent([table.entry for table in vendor.tables if before and table.entry not in rows])
    counts = {
        oid: len(rows[table.entry])
        for table in vendor.tables
        for column, oid in (next(iter(table.wanted.items())),)
        if table.entry in rows and column >= 0
    }
    try:
        columns = await session.columns(counts)
        for table in vendor.tables:
            await _find_rows(session, table, answers, absent, columns)
            left.remove(table)
        left = list(vendor.tables)
        await _read_cells(session, vendor.tables, answers, rows, known)
    except TimedOut as late:
        why: CheckFailure = late
    except Exhausted as excess:
        why = UnexpectedReply("tables", f"the agent never comes to an end: {excess}")
    else:
        return None
    answers.missed |= {table.entry: why.detail for table in left}
    return why


class Absent:
    """The tables that the agent did not have before. One GETNEXT shows several that are still not there."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._doubtful = {entry: numbers(entry) for entry in entries}
        self._proven: set[str] = set()

    def __contains__(self, entry: str) -> bool:
        return entry in self._doubtful

    async def proves(self, session: Session, entry: str) -> bool:
        """Tell whether the agent still does not have the table of this entry. Raises Silent."""
        if entry in self._proven:
            return True
        following = await session.following(entry)
        if following.startswith(f"{entry}."):
            return False
        # What is between here and the next object is not there. An agent that tells none proves nothing of the others.
        begin, end = self._doubtful[entry], numbers(following) if following else ()
        self._proven |= {
            each for each, place in self._doubtful.items() if begin < place < end and place != end[: len(place)]
        }
        return True


def numbers(oid: str) -> tuple[int, ...]:
    """Return an OID's numbers: they compare as the agent orders them."""
    return tuple(map(int, oid.split(".")))


async def _find_rows(
    session: Session, table: Table, answers: Answers, absent: Absent, columns: Mapping[str, Column]
) -> None:
    """Walk the column that matters most; where it is empty, the names, unless the table was not there before either.

    ``columns`` were walked before.
    """
    rows: dict[str, dict[int, Value]] = {}
    answers.rows[table.entry] = rows
    is_new = table.entry in absent
    try:
        if is_new and await absent.proves(session, table.entry):
            return
        for column in dict.fromkeys((next(iter(table.wanted)), *(() if is_new else table.names[:1]))):
            if rows or column < 0:
                break
            oid = table.wanted[column]
            found = columns[oid] if oid in columns else await session.column(oid)
            rows |= {index: {column: value} for index, value in found.cells.items()}
            if found.broken:
                answers.missed[table.entry] = found.broken
    except Silent as silence:
        await _must_live(session, table)
        answers.missed[table.entry] = f"no answer for this table ({silence})"
        answers.unread[table.entry] = set(table.wanted)


async def _read_cells(
    session: Session, tables: tuple[Table, ...], answers: Answers, rows: Mapping[str, list[str]], known: Known
) -> None:
    """Read all other cells of the rows, first of all tables together, then of each alone where that is not answered."""
    wanted = {table.entry: dict(_cells(table, answers, rows.get(table.entry, ()))) for table in tables}
    _put(answers, wanted, known.found)
    left = {entry: [oid for oid in cells if oid not in known.asked] for entry, cells in wanted.items()}
    try:
        _put(answers, wanted, await session.get([oid for oids in left.values() for oid in oids]))
    except Silent:
        session.waits = HURRIED
        for table in tables:
            try:
                _put(answers, wanted, await session.get(left[table.entry]))
            except Silent as silence:
                await _must_live(session, table)
                answers.missed[table.entry] = f"no answer for this table ({silence})"
                answers.unread[table.entry] = {wanted[table.entry][oid][2] for oid in left[table.entry]}


def _cells(table: Table, answers: Answers, before: Iterable[str]) -> Iterator[tuple[str, Cell]]:
    """Give the OIDs of the cells that no walk gave, also those of rows that are only known from ``before``."""
    if answers.unread.get(table.entry):
        return
    rows = answers.rows[table.entry]
    for index in dict.fromkeys((*rows, *before)):
        cells = rows.get(index, {})
        for column, oid in table.wanted.items():
            if column not in cells:
                yield f"{oid}.{index}", (table.entry, index, column)


def _put(answers: Answers, wanted: Mapping[str, Mapping[str, Cell]], found: Mapping[str, Value]) -> None:
    """Put the values into their rows."""
    for cells in wanted.values():
        for oid in cells.keys() & found.keys():
            entry, index, column = cells[oid]
            answers.rows[entry].setdefault(index, {})[column] = found[oid]


async def _must_live(session: Session, table: Table) -> None:
    """Go on where the agent still answers something else. Raises TimedOut."""
    session.waits = HURRIED
    session.transcript.note(f"no answer for {table.entry}")
    if not await session.alive():
        raise TimedOut("tables", f"the agent fell silent at {table.entry}")
