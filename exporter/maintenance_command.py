"""``dserver-exporter maintenance``: windows entered, listed and ended, also while the exporter serves."""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from exporter.clock import SECOND, Clock, SystemClock
from exporter.config import ConfigError, load, read_time
from exporter.config.problems import nearest
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.maintenance import Booking, configured_changes, unusual
from exporter.desk import DeskError
from exporter.incident_tables import table
from exporter.inventory import Config, MaintenanceWindow
from exporter.ledger import beside, bookings, timezone_of, window_end, window_record, write
from exporter.maintenance import CONFIGURATION
from exporter.parser import Parser, add_author
from exporter.patience import patience

SCOPES = ("server", "customer", "site")
UNREAD = 0
"""In place of a number: the ledger does not have the window."""


def add_maintenance(commands: "argparse._SubParsersAction[Parser]", parents: list[Parser]) -> None:
    """Add ``maintenance`` and its commands. ``parents`` have the flags that all of them take."""
    maintenance = commands.add_parser(
        "maintenance",
        parents=parents,
        allow_abbrev=False,
        help="Enter, list and end maintenance windows, in which the customer is not told.",
    )
    maintenance.set_defaults(parser=maintenance)
    verbs = maintenance.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(verb: str, run: Callable[[argparse.Namespace, Clock], None], text: str) -> Parser:
        made = verbs.add_parser(verb, parents=parents, allow_abbrev=False, help=text, description=text)
        made.set_defaults(parser=made, run=lambda options: _run(run, options))
        return made

    adding = add("add", _add, "Enter a window. The serving exporter keeps to it within a second.")
    scope = adding.add_mutually_exclusive_group(required=True)
    scope.add_argument("--server", default="", metavar="SERVER", help="For this server.")
    scope.add_argument("--customer", default="", metavar="CUSTOMER", help="For all servers of this customer.")
    scope.add_argument("--site", default="", metavar="SITE", help="For all servers of this site.")
    adding.add_argument(
        "--from",
        dest="start",
        default="",
        metavar="TIME",
        help="Begin, such as 2026-12-10T10:00; without an offset in the configuration's time zone. (default: now)",
    )
    adding.add_argument("--to", dest="end", required=True, metavar="TIME", help="The moment after the last one.")
    adding.add_argument("--reason", required=True, metavar="TEXT", help="What is done, for the people who look.")
    add_author(adding)

    listing = add("list", _list, "List the windows that hold now or will.")
    listing.add_argument("--all", action="store_true", help="Those that are over too.")
    listing.add_argument("--format", choices=["table", "json"], default="table")

    ending = add("end", _end, "End a window now; one that has not begun never will.")
    ending.add_argument("window", metavar="ID", type=int, help="The number that maintenance list shows.")
    add_author(ending)


def _run(run: Callable[[argparse.Namespace, Clock], None], options: argparse.Namespace) -> int:
    run(options, SystemClock())
    return 0


def _add(options: argparse.Namespace, clock: Clock) -> None:
    config = _load(options)
    now = clock.now().wall
    window = _asked_for(options, config, now)
    with beside(Path(options.storage_path)) as connection:
        number = write(connection, window_record(window, now, options.author))
    print(number)
    for sentence in unusual(window, now, BusinessCalendar.of(config.settings)):
        _warn(number, sentence)


def _asked_for(options: argparse.Namespace, config: Config, now: int) -> MaintenanceWindow:
    known = {
        "server": config.servers,
        "customer": config.customers,
        "site": {server.site for server in config.servers.values() if server.site},
    }
    for scope in SCOPES:
        name = getattr(options, scope)
        if name and name not in known[scope]:
            raise DeskError(f"there is no {scope} {name} in {options.config_file}; {nearest(name, known[scope])}")
    zone = ZoneInfo(config.settings.timezone)
    start, end = _time("from", options.start, zone) if options.start else now, _time("to", options.end, zone)
    if start < now:
        raise DeskError(f"--from={options.start} is in the past: leave --from out for a window that begins now")
    if end <= start:
        raise DeskError(
            f"--to={options.end} is not after its begin, {_shown(start, zone)}: the window would never begin"
        )
    reason = " ".join(options.reason.split())
    if not reason:
        raise DeskError("--reason is empty: say in words what is done")
    return MaintenanceWindow(start, end, reason, options.server, options.customer, options.site)


def _time(flag: str, text: str, zone: ZoneInfo) -> int:
    try:
        return read_time(text, zone)
    except ValueError as error:
        raise DeskError(f"--{flag}={text} {error}") from None


def _list(options: argparse.Namespace, clock: Clock) -> None:
    now = clock.now().wall
    with beside(Path(options.storage_path)) as connection:
        known = bookings(connection)
        zone = ZoneInfo(timezone_of(connection))
    shown = [*known, *_unread(options, known, now)]
    shown = [each for each in shown if options.all or each.in_force.end > now]
    shown.sort(key=lambda each: each.window.start)
    for line in [_as_json(shown, now)] if options.format == "json" else _table(shown, now, zone):
        print(line)


def _unread(options: argparse.Namespace, known: Iterable[Booking], now: int) -> Iterator[Booking]:
    """Give what the configuration has and the ledger lacks: no exporter has read it; say also what it lacks itself."""
    try:
        configured = _load(options).maintenance
    except ConfigError as error:
        print(
            f"dserver-exporter: warning: windows that only {options.config_file} has are not shown: {error}",
            file=sys.stderr,
        )
        return
    fresh, gone = configured_changes(known, configured, now)
    for booking in gone:
        _warn(booking.number, f"{options.config_file} has it no longer: it ends when the exporter reads that again")
    for window in fresh:
        yield Booking(UNREAD, window, now, CONFIGURATION, configured=True)


def _table(found: Iterable[Booking], now: int, zone: ZoneInfo) -> Iterator[str]:
    rows = [
        (
            "-" if booking.number == UNREAD else str(booking.number),
            _scope(booking.window),
            _shown(booking.window.start, zone),
            _shown(booking.in_force.end, zone),
            _state(booking, now),
            f"({CONFIGURATION})" if booking.configured else booking.author,
            booking.window.reason,
        )
        for booking in found
    ]
    head = ("ID", "FOR", "FROM", "TO", "STATE", "BY", "REASON")
    yield from table([head, *rows]) if rows else ["no maintenance windows"]


def _as_json(found: Iterable[Booking], now: int) -> str:
    shown = [
        {
            "id": None if booking.number == UNREAD else booking.number,
            **{scope: getattr(booking.window, scope) for scope in SCOPES},
            "from": booking.window.start,
            "to": booking.window.end,
            "reason": booking.window.reason,
            "state": _state(booking, now),
            "entered": booking.entered,
            "author": booking.author,
            "configured": booking.configured,
            "ended": booking.ended,
            "ended_by": booking.ended_by,
        }
        for booking in found
    ]
    return json.dumps(shown, ensure_ascii=False, indent=2)


def _scope(window: MaintenanceWindow) -> str:
    return next(f"{scope} {getattr(window, scope)}" for scope in SCOPES if getattr(window, scope))


def _state(booking: Booking, now: int) -> str:
    window = booking.in_force
    if booking.number == UNREAD:
        return "not read yet"
    if window.end <= window.start:
        return "cancelled"
    if now < window.start:
        return "coming"
    return "now" if now < window.end else "over"


def _shown(wall: int, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(wall / SECOND, UTC).astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _end(options: argparse.Namespace, clock: Clock) -> None:
    now = clock.now().wall
    with beside(Path(options.storage_path)) as connection:
        booking = next((each for each in bookings(connection) if each.number == options.window), None)
        if booking is None:
            raise DeskError(f"there is no maintenance window {options.window}; maintenance list shows them")
        if booking.in_force.end <= now or booking.ended is not None:
            raise DeskError(f"maintenance window {options.window} is over already")
        if booking.configured:
            raise DeskError(
                f"maintenance window {options.window} is in the configuration: take it out of {options.config_file}, "
                "and have the exporter read that again (kill -HUP, or POST /-/reload)"
            )
        write(connection, window_end(booking.number, now, options.author))


def _load(options: argparse.Namespace) -> Config:
    with patience(f"reading {options.config_file}"):
        return load(Path(options.config_file))[0]


def _warn(number: int, sentence: str) -> None:
    print(f"dserver-exporter: warning: window {number}: {sentence}", file=sys.stderr)
