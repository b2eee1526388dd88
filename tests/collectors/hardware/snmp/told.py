"""What a vendor's description makes of objects and values, without an agent between: the walk in three lines."""

from collections.abc import Mapping

from collectors.hardware.snmp.judge import Answers, Judged, judge
from collectors.hardware.snmp.mib import Value, Vendor
from collectors.reading import Verdict

Tree = Mapping[str, Value]


def told(vendor: Vendor, tree: Tree) -> Judged:
    """Return what an agent with these objects tells."""
    answers = Answers(objects={oid: tree[oid] for oid in vendor.objects if oid in tree})
    for table in vendor.tables:
        rows = answers.rows.setdefault(table.entry, {})
        for column, oid in table.wanted.items():
            for name, value in tree.items():
                index = name.removeprefix(f"{oid}.")
                if index != name and (column >= 0 or index in rows):
                    rows.setdefault(index, {})[column] = value
    return judge(vendor, answers, {})[0]


def verdicts(vendor: Vendor, tree: Tree) -> dict[str, Verdict | None]:
    """Return the verdicts by component."""
    return {lamp.component: lamp.verdict for lamp in told(vendor, tree).lamps}


def values(vendor: Vendor, entry: str, column: int, numbers: range | list[int]) -> dict[int, Verdict | None]:
    """Return the verdict that each value of one column of a table has, alone in its row."""
    found: dict[int, Verdict | None] = {}
    for number in numbers:
        (lamp,) = told(vendor, {f"{entry}.{column}.1": number}).lamps
        found[number] = lamp.verdict
    return found
