"""Reads a vendor's objects: single ones by GET, one column of each table by GETBULK for its rows, then all other cells.

gufo-snmp's GETBULK walks one column at a time, its GET takes many objects: this way a server of a hundred parts costs
some thirty requests.
"""

from collections.abc import Iterable, Iterator, Mapping

from collectors.failures import CheckFailure, TimedOut, UnexpectedReply
from collectors.hardware.snmp.judge import Answers, Part
from collectors.hardware.snmp.mib import Table, Value, Vendor
from collectors.hardware.snmp.session import HURRIED, Exhausted, Session, Silent

Cell = tuple[str, str, int]
"""Entry of a table, index of a row, column."""


async def ask(session: Session, vendor: Vendor, answers: Answers, before: Mapping[str, Part]) -> CheckFailure | None:
    """Read a vendor's objects into ``answers``; return why not all of them, where the agent fell silent for good.

    ``before`` are the parts of the last read: their rows are asked for even where the walk does not show them.
    """
    session.step = "objects"
    try:
        answers.objects |= await session.get(vendor.objects)
    except Silent as silence:
        if not await session.alive():
            raise
        answers.missed[""] = f"no answer for single objects ({silence})"
    session.step = "tables"
    left = list(vendor.tables)
    known: dict[str, list[str]] = {}
    for part in before.values():
        known.setdefault(part.source, []).append(part.index)
    try:
        for table in vendor.tables:
            await _find_rows(session, table, answers, is_known=not before or table.entry in known)
            left.remove(table)
        left = list(vendor.tables)
        await _read_cells(session, vendor.tables, answers, known)
    except TimedOut as late:
        why: CheckFailure = late
    except Exhausted as excess:
        why = UnexpectedReply("tables", f"the agent never comes to an end: {excess}")
    else:
        return None
    answers.missed |= {table.entry: why.detail for table in left}
    return why


async def _find_rows(session: Session, table: Table, answers: Answers, *, is_known: bool) -> None:
    """Walk the column that matters most; where it is empty, the names, unless the table was not there before either."""
    rows: dict[str, dict[int, Value]] = {}
    answers.rows[table.entry] = rows
    for column in dict.fromkeys((next(iter(table.wanted)), *(table.names[:1] if is_known else ()))):
        if rows or column < 0:
            break
        try:
            found = await session.column(table.wanted[column])
        except Silent as silence:
            await _must_live(session, table)
            answers.missed[table.entry] = f"no answer for this table ({silence})"
            answers.unread[table.entry] = set(table.wanted)
            break
        rows |= {index: {column: value} for index, value in found.cells.items()}
        if found.broken:
            answers.missed[table.entry] = found.broken


async def _read_cells(
    session: Session, tables: tuple[Table, ...], answers: Answers, known: Mapping[str, list[str]]
) -> None:
    """Read all other cells of the rows, first of all tables together, then of each alone where that is not answered."""
    wanted = {table.entry: dict(_cells(table, answers, known.get(table.entry, ()))) for table in tables}
    try:
        _put(answers, wanted, await session.get([oid for cells in wanted.values() for oid in cells]))
    except Silent:
        session.waits = HURRIED
        for table in tables:
            cells = wanted[table.entry]
            try:
                _put(answers, wanted, await session.get(cells))
            except Silent as silence:
                await _must_live(session, table)
                answers.missed[table.entry] = f"no answer for this table ({silence})"
                answers.unread[table.entry] = {column for _, _, column in cells.values()}


def _cells(table: Table, answers: Answers, known: Iterable[str]) -> Iterator[tuple[str, Cell]]:
    """Give the OIDs of the cells that are still to be read, also those of rows that are only ``known`` from before."""
    if answers.unread.get(table.entry):
        return
    rows = answers.rows[table.entry]
    for index in dict.fromkeys((*rows, *known)):
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
