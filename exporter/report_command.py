"""``dserver-exporter incidents report``, ``postpone`` and ``send``: from the draft to what the customer has."""

import argparse
import sys
from datetime import date
from functools import partial
from pathlib import Path
from typing import Protocol

from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import Incident
from exporter.contract.report import INTERIM
from exporter.desk import ON_PAPER, Desk, DeskError
from exporter.desk_options import Command, loaded
from exporter.mail.reports import addressee, as_text, copies, customer_of, report_letter, report_mails
from exporter.mail.templates import LANGUAGES
from exporter.parser import Parser, add_author

BY_MAIL = "mail"
UNREACHABLE = (
    "nobody gets a mail: the customer has no contact with an email, or the exporter sends none (notices, mail)"
)


class AddVerb(Protocol):
    """Adds a command of ``incidents``; a named one takes an incident."""

    def __call__(self, verb: str, run: Command, text: str, *, named: bool = False) -> Parser:
        """Return the parser of the command."""


def add_report_commands(add: AddVerb) -> None:
    """Add the commands about reports."""
    reporting = add("report", _report, "Show the outage report, after writing into it what is given.", named=True)
    reporting.add_argument("--format", choices=["text", "html"], default="text", help="html prints well on A4.")
    reporting.add_argument("--language", choices=list(LANGUAGES), help="(default: the customer's)")
    reporting.add_argument("--cause", metavar="TEXT", help="What caused the outage; may have several lines.")
    reporting.add_argument("--measures", metavar="TEXT", help="What will keep it from happening again.")
    reporting.add_argument("--approve", action="store_true", help="Say that it can be sent as it is then.")
    help_waive = "Say that none has to be sent, and why. Recorded; the alerts about it end."
    reporting.add_argument("--waive", metavar="TEXT", help=help_waive)
    reporting.add_argument("-o", "--output", metavar="FILE", help="Write it there.")
    add_author(reporting)

    postponing = add("postpone", _postpone, "Promise the outage report for another day.", named=True)
    postponing.add_argument("--until", required=True, type=_day, metavar="DATE", help="A business day: 2026-12-01.")
    postponing.add_argument("--reason", required=True, metavar="TEXT", help="In words that the customer may read.")
    add_author(postponing)

    text = "Send the approved outage report by mail, or record that it was handed over. A copy is kept."
    sending = add("send", _send, text, named=True)
    help_by = "mail puts it into the outbox; the others, and mail with --to where the exporter sends none (notices: "
    help_by += "alertmanager), say that a person sent it. (default: mail)"
    sending.add_argument("--by", choices=[BY_MAIL, *ON_PAPER], default=BY_MAIL, help=help_by)
    help_to = "Who got it from a person. (default: the customer's contact)"
    sending.add_argument("--to", default="", metavar="NAME", help=help_to)
    add_author(sending)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text} is no date: write it as 2026-12-01") from None


def _report(options: argparse.Namespace, desk: Desk) -> None:
    name = options.incident
    if options.waive is not None:
        if options.approve or options.cause is not None or options.measures is not None:
            raise DeskError(
                "--waive says that no report is sent: it goes with none of --cause, --measures and --approve"
            )
        desk.waive_report(name, options.author, options.waive)
    if options.cause is not None or options.measures is not None:
        desk.edit_report(name, options.author, cause=options.cause, measures=options.measures)
    if options.approve:
        desk.approve_report(name, options.author)
    shown = _shown(desk.report(name), options)
    if not options.output:
        print(shown.rstrip("\n"))
        return
    try:
        Path(options.output).write_text(shown, "utf-8")
    except OSError as error:
        raise DeskError(f"{options.output} cannot be written: {error.strerror}") from error


def _shown(incident: Incident, options: argparse.Namespace) -> str:
    """Return the report as it was sent; before that, as it is now."""
    page, sent = options.format == "html", incident.report.delivered
    if sent and not options.language:
        return sent.page if page else sent.copy
    config = loaded(options)
    contact = addressee(customer_of(config, incident))
    letter = report_letter(config, incident, contact, language=options.language)
    return letter.html if page else as_text(letter)


def _postpone(options: argparse.Namespace, desk: Desk) -> None:
    config = loaded(options)
    calendar = BusinessCalendar.of(config.settings)
    written = partial(report_mails, config, name=INTERIM)
    if not desk.postpone_report(options.incident, options.until, options.reason, options.author, calendar, written):
        print(f"{UNREACHABLE}: tell them by phone, and record it with incidents told", file=sys.stderr)


def _send(options: argparse.Namespace, desk: Desk) -> None:
    incident, config = desk.approved_report(options.incident), loaded(options)
    if options.by == BY_MAIL and options.to and config.tells_customers:
        raise DeskError(
            "--to names who got it from a person; by mail it goes to every contact with an email: leave it out"
        )
    if options.by == BY_MAIL and not options.to:
        if not desk.post_report(incident.id, options.author, partial(report_mails, config)):
            raise DeskError(
                f"{UNREACHABLE}: send what incidents report shows, or its page (--format html), yourself, and record "
                "that with --by fax, post or mail, and --to NAME"
            )
        return
    customer = customer_of(config, incident)
    contact = addressee(customer)
    said = copies(report_letter(config, incident, contact))
    desk.report_handed_over(incident, options.to or contact.name or customer.name, options.by, options.author, said)
