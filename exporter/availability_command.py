"""``dserver-exporter availability``: a month of every check, as a table, CSV or JSON."""

import argparse
import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.availability import CheckReport, Month, month_of, reports
from exporter.clock import SECOND, SystemClock
from exporter.config import load
from exporter.config.problems import nearest
from exporter.desk import DeskError
from exporter.incident_tables import duration, table
from exporter.ledger import beside
from exporter.parser import Parser
from exporter.patience import patience

COLUMNS = ("month", "customer", "server", "check", "share", "downtime_seconds", "outages")
SPANS = ("counted_seconds", "maintenance_seconds", "void_seconds", "unknown_seconds")


def add_availability(commands: "argparse._SubParsersAction[Parser]", parents: list[Parser]) -> None:
    """Add ``availability``. ``parents`` have the flags that all commands on a ledger take."""
    text = "Show for which share of a month each check was up, without maintenance and our own faults."
    asking = commands.add_parser("availability", parents=parents, allow_abbrev=False, help=text, description=text)
    asking.set_defaults(parser=asking, run=_run)
    asking.add_argument("--month", required=True, metavar="YYYY-MM", help="In the configuration's time zone.")
    asking.add_argument("--customer", default="", metavar="CUSTOMER", help="Only servers of this customer.")
    asking.add_argument("--format", choices=["table", "csv", "json"], default="table")


def _run(options: argparse.Namespace) -> int:
    with patience(f"reading {options.config_file}"):
        config, _ = load(Path(options.config_file))
    if options.customer and options.customer not in config.customers:
        hint = nearest(options.customer, config.customers)
        raise DeskError(f"there is no customer {options.customer} in {options.config_file}; {hint}")
    now = SystemClock().now().wall
    try:
        month = month_of(options.month, ZoneInfo(config.settings.timezone), now)
    except ValueError as error:
        raise DeskError(f"--month={options.month} {error}") from None
    with beside(Path(options.storage_path)) as connection:
        found = reports(connection, config, month, now, options.customer)
    shown = {"table": _table, "csv": _csv, "json": _json}[options.format](found, month)
    for line in shown:
        print(line)
    return 0


def _table(found: Sequence[CheckReport], month: Month) -> Iterator[str]:
    start, end = (
        f"{datetime.fromtimestamp(at / SECOND, UTC).astimezone(month.zone):%Y-%m-%d %H:%M}" for at in month.period
    )
    yield f"{month}, {month.zone}, from {start} to {end}{'' if month.over else ' (so far)'}"
    head = ("CUSTOMER", "SERVER", "CHECK", "AVAILABLE", "DOWNTIME", "OUTAGES", "MAINTENANCE", "VOID", "NOT KNOWN")
    rows = [
        (
            each.customer or "-",
            each.server,
            each.check,
            each.result.percent or "not known",
            duration(each.result.downtime),
            str(each.result.outages),
            duration(each.result.maintenance),
            duration(each.result.void),
            duration(each.result.unknown),
        )
        for each in found
    ]
    yield from table([head, *rows])


def _csv(found: Sequence[CheckReport], month: Month) -> Iterator[str]:
    out = io.StringIO()
    writer = csv.DictWriter(out, (*COLUMNS, *SPANS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(_row(each, month) for each in found)
    yield out.getvalue().rstrip("\n")


def _json(found: Sequence[CheckReport], month: Month) -> Iterator[str]:
    shown = {
        "month": str(month),
        "timezone": str(month.zone),
        "from": month.period[0],
        "to": month.period[1],
        "over": month.over,
        "checks": [{name: value for name, value in _row(each, month).items() if name != "month"} for each in found],
    }
    yield json.dumps(shown, ensure_ascii=False, indent=2)


def _row(report: CheckReport, month: Month) -> dict[str, str | int | float | None]:
    result = report.result
    return {
        "month": str(month),
        "customer": report.customer,
        "server": report.server,
        "check": report.check,
        "share": result.share,
        "downtime_seconds": result.downtime / SECOND,
        "outages": result.outages,
        "counted_seconds": result.counted / SECOND,
        "maintenance_seconds": result.maintenance / SECOND,
        "void_seconds": result.void / SECOND,
        "unknown_seconds": result.unknown / SECOND,
    }
