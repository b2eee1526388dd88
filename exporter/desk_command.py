"""``dserver-exporter incidents`` and ``lamps``: their flags, and what each command prints."""

import argparse
from pathlib import Path

from collectors.reading import Verdict
from exporter.clock import SystemClock
from exporter.config.problems import nearest
from exporter.contract.incidents import Kind
from exporter.desk import MEANS, Desk, DeskError
from exporter.desk_options import Command, loaded
from exporter.incident_tables import as_json, details, export, listing
from exporter.inventory import Server
from exporter.parser import Parser, add_author
from exporter.report_command import add_report_commands

SEEN = {verdict.name.lower(): verdict for verdict in (Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL)}


def add_incidents(commands: "argparse._SubParsersAction[Parser]", parents: list[Parser]) -> None:
    """Add ``incidents`` and its commands. ``parents`` have the flags that all of them take."""
    incidents = commands.add_parser(
        "incidents",
        parents=parents,
        allow_abbrev=False,
        help="Look at incidents and write into them, also while the exporter serves.",
    )
    incidents.set_defaults(parser=incidents)
    verbs = incidents.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(verb: str, run: Command, text: str, *, named: bool = False) -> Parser:
        made = verbs.add_parser(verb, parents=parents, allow_abbrev=False, help=text, description=text)
        made.set_defaults(parser=made, run=lambda options: _run(run, options))
        if named:
            made.add_argument("incident", metavar="INCIDENT", help="As incidents list shows it.")
        return made

    lists = add("list", _list_incidents, "List the incidents that are open or owe a report, newest first.")
    lists.add_argument("--all", action="store_true", help="Closed ones too.")
    lists.add_argument("--server", default="", metavar="SERVER", help="Only of this server.")
    lists.add_argument("--customer", default="", metavar="CUSTOMER", help="Only of this customer.")
    lists.add_argument("--format", choices=["table", "json"], default="table")

    showing = add("show", _show_incident, "Show all that the ledger has of an incident.", named=True)
    showing.add_argument("--format", choices=["table", "json"], default="table")

    noting = add("note", _note, "Write a note: what was found, what was done. It goes into the report.", named=True)
    noting.add_argument("text", metavar="TEXT", help="In words that the customer may read.")
    add_author(noting)

    acknowledging = add("ack", _acknowledge, "Say that somebody works on it.", named=True)
    add_author(acknowledging)

    telling = add("told", _told, "Record that a person told the customer's contact.", named=True)
    telling.add_argument("--to", required=True, metavar="NAME", help="The contact.")
    telling.add_argument("--by", required=True, choices=list(MEANS), help="How.")
    add_author(telling)

    opening = add("open", _open_incident, "Record a customer's request for a reboot.")
    opening.add_argument("server", metavar="SERVER", help="Name of a server in the configuration.")
    opening.add_argument("--kind", required=True, choices=[Kind.REBOOT_REQUEST.value], help="What is asked for.")
    opening.add_argument("--from", dest="asked_by", required=True, metavar="NAME", help="Who asked.")
    opening.add_argument("--note", default="", metavar="TEXT", help="In what words.")

    closing = add("close", _close_incident, "Say that what a customer asked for was done.", named=True)
    add_author(closing)

    add_report_commands(add)

    exporting = add("export", _export_incidents, "Print every event of every incident.")
    exporting.add_argument("--format", choices=["json", "csv"], default="json", help="JSON lines, or CSV.")


def add_lamps(commands: "argparse._SubParsersAction[Parser]", parents: list[Parser]) -> None:
    """Add ``lamps`` and its command. ``parents`` have the flags that all of them take."""
    lamps = commands.add_parser(
        "lamps", parents=parents, allow_abbrev=False, help="Say what the lamps of a server look like."
    )
    lamps.set_defaults(parser=lamps)
    verbs = lamps.add_subparsers(title="commands", metavar="COMMAND", required=True)
    text = "Record what a person saw of a server's lamps. It counts for one lamp interval, beside what machines read."
    confirming = verbs.add_parser("confirm", parents=parents, allow_abbrev=False, help=text, description=text)
    confirming.set_defaults(parser=confirming, run=lambda options: _run(_confirm_lamps, options))
    confirming.add_argument("server", metavar="SERVER", help="Name of a server in the configuration.")
    confirming.add_argument("--verdict", required=True, choices=list(SEEN), help="What the lamps say.")
    confirming.add_argument("--note", required=True, metavar="TEXT", help="What was seen.")
    add_author(confirming)


def _run(run: Command, options: argparse.Namespace) -> int:
    run(options, Desk(Path(options.storage_path), SystemClock()))
    return 0


def _list_incidents(options: argparse.Namespace, desk: Desk) -> None:
    found = desk.incidents(everything=options.all, server=options.server, customer=options.customer)
    lines = [as_json(found)] if options.format == "json" else listing(found, desk)
    for line in lines:
        print(line)


def _show_incident(options: argparse.Namespace, desk: Desk) -> None:
    incident, history = desk.show(options.incident)
    for line in [as_json([incident])] if options.format == "json" else details(incident, history, desk):
        print(line)


def _note(options: argparse.Namespace, desk: Desk) -> None:
    desk.note(options.incident, options.author, options.text)


def _acknowledge(options: argparse.Namespace, desk: Desk) -> None:
    desk.acknowledge(options.incident, options.author)


def _told(options: argparse.Namespace, desk: Desk) -> None:
    desk.told(options.incident, options.to, options.by, options.author)


def _open_incident(options: argparse.Namespace, desk: Desk) -> None:
    print(desk.request_reboot(_server(options), options.asked_by, options.note))


def _confirm_lamps(options: argparse.Namespace, desk: Desk) -> None:
    desk.confirm_lamps(_server(options), SEEN[options.verdict], options.note, options.author)


def _server(options: argparse.Namespace) -> Server:
    servers = loaded(options).servers
    if options.server not in servers:
        hint = nearest(options.server, servers)
        raise DeskError(f"there is no server {options.server} in {options.config_file}; {hint}")
    return servers[options.server]


def _close_incident(options: argparse.Namespace, desk: Desk) -> None:
    desk.close(options.incident, options.author)


def _export_incidents(options: argparse.Namespace, desk: Desk) -> None:
    print(export(desk.history(), options.format))
