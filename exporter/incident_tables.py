"""Incidents as a terminal shows them, and as other programs read them."""

import csv
import dataclasses
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from exporter.clock import HOUR, MINUTE, SECOND
from exporter.contract.incidents import Incident, IncidentEvent, Kind, Value
from exporter.contract.reporting import Reporting
from exporter.desk import Desk
from exporter.words import NEXT_STEPS

MOMENTS = ("due", "until", "end", "posted")
"""What of an event's data is a time."""
UNSAID = ("last_good", "copy", "page")
"""What the table leaves to the lines before it, and what to the JSON: a whole report."""


def listing(incidents: Sequence[Incident], desk: Desk) -> Iterator[str]:
    """Give a table of incidents."""
    if not incidents:
        yield "no incidents"
        return
    head = ("INCIDENT", "CUSTOMER", "OPENED", "STATE", "CHECKS AND LAMPS", "LEVEL", "TOLD", "REPORT")
    rows = [
        (
            incident.id,
            incident.customer,
            desk.time(incident.opened),
            state_of(incident),
            ", ".join([*incident.outages, *incident.lamps]),
            str(incident.response.level or ""),
            desk.time(incident.told[0].at) if incident.told else "no",
            report_state(incident.report, desk),
        )
        for incident in incidents
    ]
    yield from table([head, *rows])


def state_of(incident: Incident) -> str:
    """Return where an incident stands, in a word or two."""
    if incident.withdrawn:
        return "withdrawn"
    if incident.closed is not None:
        return "closed"
    if incident.down:
        return "down"
    if incident.recovered is not None:
        return "recovered, lamps awaited"
    return {Kind.OUTAGE: "recovering", Kind.LAMP: "lamp abnormal", Kind.REBOOT_REQUEST: "requested"}[incident.kind]


def report_state(reporting: Reporting, desk: Desk) -> str:
    """Return where a report stands; empty where there is none."""
    if reporting.delivered:
        return f"{reporting.state} {desk.time(reporting.delivered.at)}"
    if reporting.waived:
        return f"{reporting.state} {desk.time(reporting.waived.at)}"
    return f"{reporting.state}, due {desk.time(reporting.due)}" if reporting.due is not None else ""


def details(incident: Incident, history: Iterable[IncidentEvent], desk: Desk) -> Iterator[str]:
    """Give all that the ledger has of an incident."""
    yield f"{incident.id}: {incident.kind} of {incident.server}, customer {incident.customer}, {state_of(incident)}"
    if incident.reason:
        yield f"requested by {incident.reason}"
    if incident.open and incident.response.level:
        yield f"next: {NEXT_STEPS['en'][incident.response.step]}"
    for check, outages in incident.outages.items():
        for outage in outages:
            end = desk.time(outage.up_since) if outage.up_since else "withdrawn" if outage.withdrawn else "now"
            good = f", last good {desk.time(outage.last_good)}" if outage.last_good else ""
            length = f" ({duration(outage.up_since - outage.down_since)})" if outage.up_since else ""
            yield f"{check}: down from {desk.time(outage.down_since)} to {end}{length}{good}"
    if said := report_state(incident.report, desk):
        yield f"report: {said}"
    yield ""
    yield from table([(desk.time(event.at), event.what, event.subject, _said(event.data, desk)) for event in history])


def as_json(incidents: Iterable[Incident]) -> str:
    """Return incidents as JSON, times in Unix milliseconds."""
    return json.dumps([_plain(incident) for incident in incidents], ensure_ascii=False, indent=2, default=str)


def export(history: Iterable[IncidentEvent], form: str) -> str:
    """Return all events, as JSON lines or as CSV with one line an event. Times are Unix milliseconds."""
    if form == "json":
        return "\n".join(
            json.dumps(
                {
                    "incident": event.incident,
                    "at": event.at,
                    "what": event.what,
                    "subject": event.subject,
                    "data": dict(event.data),
                },
                ensure_ascii=False,
            )
            for event in history
        )
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("incident", "at", "what", "subject", "data"))
    for event in history:
        data = json.dumps(dict(event.data), ensure_ascii=False)
        writer.writerow((event.incident, event.at, event.what, event.subject, data))
    return out.getvalue().rstrip("\n")


def table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Give rows in columns; a Japanese character takes two places."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def duration(milliseconds: int) -> str:
    """Return a length of time in hours and minutes, or in seconds below a minute."""
    if milliseconds < MINUTE:
        return f"{milliseconds // SECOND} s"
    hours, minutes = milliseconds // HOUR, milliseconds % HOUR // MINUTE
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def _said(data: Mapping[str, Value], desk: Desk) -> str:
    """Return what an event has beside its subject."""
    shown = {name: value for name, value in data.items() if value != "" and name not in UNSAID}
    times = {name: desk.time(int(value)) for name, value in shown.items() if name in MOMENTS}
    return ", ".join(f"{name} {' '.join(str(times.get(name, value)).split())}" for name, value in shown.items())


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value
