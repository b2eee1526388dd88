"""``dserver-exporter events``: what changed on a server, as the ledger has it."""

import argparse
import dataclasses
import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.clock import SECOND
from exporter.incident_tables import table
from exporter.ledger import ServerEvent, beside, server_events, timezone_of
from exporter.parser import Parser

LIMIT = 100


def add_events(commands: "argparse._SubParsersAction[Parser]", parents: list[Parser]) -> None:
    """Add ``events`` and its command. ``parents`` have the flags that all commands on a ledger take."""
    events = commands.add_parser("events", parents=parents, allow_abbrev=False, help="Look at what changed on servers.")
    events.set_defaults(parser=events)
    verbs = events.add_subparsers(title="commands", metavar="COMMAND", required=True)
    text = "List what changed, newest first: checks, lamps, hardware, our own faults, customer and site."
    listing = verbs.add_parser("list", parents=parents, allow_abbrev=False, help=text, description=text)
    listing.set_defaults(parser=listing, run=_list)
    listing.add_argument("server", metavar="SERVER", nargs="?", default="", help="Only of this server, gone ones too.")
    listing.add_argument("--limit", type=_number, default=LIMIT, metavar="N", help="At most so many. (default: 100)")
    listing.add_argument("--format", choices=["table", "json"], default="table", help="json has the evidence, too.")


def _number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is no number from 1 on")
    return int(text)


def _list(options: argparse.Namespace) -> int:
    with beside(Path(options.storage_path)) as connection:
        found = server_events(connection, options.server, options.limit)
        zone = ZoneInfo(timezone_of(connection))
    if options.format == "json":
        print(json.dumps([dataclasses.asdict(event) for event in found], ensure_ascii=False, indent=2))
        return 0
    for line in _table(found, zone):
        print(line)
    return 0


def _table(found: Iterable[ServerEvent], zone: ZoneInfo) -> Iterator[str]:
    rows = [
        (
            f"{datetime.fromtimestamp(event.at / SECOND, UTC).astimezone(zone):%Y-%m-%d %H:%M:%S %Z}",
            event.server,
            event.kind,
            event.subject or "-",
            event.was or "-",
            event.now or "-",
            " at ".join(filter(None, (event.reason, event.step))),
        )
        for event in found
    ]
    head = ("TIME", "SERVER", "WHAT", "OF", "WAS", "NOW", "WHY")
    yield from table([head, *rows]) if rows else ["no events"]
