"""The outage report (障害報告書): which incidents owe one, and what it says, drafted from an incident's history alone.

The specification owes it by mail, by the next business day after the recovery, for every outage of which the customer
was told or had to be told. The monitoring knows when, how long, what was seen and who was told; a person adds the cause
and the measures, and approves.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from exporter.contract.incidents import (
    AbnormalLamp,
    Incident,
    IncidentEvent,
    Kind,
    Note,
    Observation,
    Outage,
    Told,
    Value,
    What,
)
from exporter.contract.notices import told_event
from exporter.contract.reporting import Postponement
from exporter.inventory import Contact

REPORT = "report"
INTERIM = "interim"
"""The mails of this duty, by the names of their templates."""


@dataclass(frozen=True, slots=True)
class Disruption:
    """A service that could not be used."""

    check: str
    protocol: str
    first: int
    """When its first outage was detected."""
    last: int
    """When its last outage ended; 0 where that was not seen: the check was taken out of the inventory."""
    times: int
    down: int
    """Milliseconds, all its outages together, as far as their ends were seen."""
    seen: tuple[Observation, ...]
    """The first failed attempt for each reason."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A lamp that was not normal."""

    component: str
    lamp: AbnormalLamp


@dataclass(frozen=True, slots=True)
class Report:
    """What the report says. Times are 0 where they are not known."""

    incident: str
    server: str
    last_good: int
    """The start of the last success before the first outage."""
    detected: int
    recovered: int
    disruptions: tuple[Disruption, ...]
    faults: tuple[Fault, ...]
    lamps_normal: int
    """When the lamps were seen to be normal after the recovery; 0 while that is awaited."""
    told: tuple[Told, ...]
    """Of the incident, not of its report."""
    notes: tuple[Note, ...]
    cause: str
    measures: str
    postponed: tuple[Postponement, ...]
    due: int
    approved: int
    """0 while it is a draft."""

    @property
    def length(self) -> int:
        """Return the time from the detection to the recovery."""
        return max(self.recovered - self.detected, 0)


def ended(incident: Incident) -> int | None:
    """Return when an incident that owes a report was over for its customer; None before that, or where it owes none.

    That is the recovery of its services. Where the customer had to be told of a lamp alone, it is the time at which the
    lamps were seen to be normal again. A reboot on the customer's request is no outage, and one that was withdrawn was
    never seen to end.
    """
    if incident.withdrawn or incident.kind is Kind.REBOOT_REQUEST:
        return None
    limits = any(outage.limit_reached for outage in _outages(incident))
    critical = any(lamp.critical for lamp in incident.lamps.values())
    if limits or (incident.told and not critical):
        return incident.recovered
    return incident.lamps_normal if critical else None


def report_events(incident: Incident, due: Callable[[int], int]) -> Iterator[IncidentEvent]:
    """Give the draft, once an incident that owes a report is over. ``due`` has the calendar's answer for its end."""
    end = ended(incident)
    if end is not None and incident.report.due is None:
        yield IncidentEvent(incident.id, What.REPORT_DRAFTED, end, data=MappingProxyType({"due": due(end)}))


def handed_over_events(
    incident: str, mail: str, contact: Contact, *, posted: int, copies: Mapping[str, Value], at: int
) -> list[IncidentEvent]:
    """Return what it means that the mail server took a report, or an interim one, that was ``posted`` then.

    ``copies`` has what it said: as text, ``copy``, and as HTML, ``page``.
    """
    told = told_event(incident, mail, contact, at)
    data: dict[str, Value] = {"by": "mail", "posted": posted, **copies}
    sent = IncidentEvent(incident, What.REPORT_SENT, at, told.subject, MappingProxyType(data))
    return [told, sent] if mail == REPORT else [told]


def drafted(incident: Incident, protocols: Mapping[str, str]) -> Report:
    """Return what the report of an incident says now. ``protocols`` are those of the inventory, by check."""
    outages = sorted(_outages(incident), key=lambda outage: outage.down_since)
    lit = [lamp.at for lamp in incident.lamps.values()]
    reporting = incident.report
    return Report(
        incident=incident.id,
        server=incident.server,
        last_good=outages[0].last_good if outages else 0,
        detected=outages[0].down_since if outages else min(lit, default=incident.opened),
        recovered=ended(incident) or 0,
        disruptions=tuple(_disruption(check, of, protocols) for check, of in incident.outages.items()),
        faults=tuple(Fault(name.partition("/")[2], lamp) for name, lamp in incident.lamps.items()),
        lamps_normal=incident.lamps_normal or 0,
        told=tuple(told for told in incident.told if told.mail not in (REPORT, INTERIM)),
        notes=incident.notes,
        cause=reporting.cause,
        measures=reporting.measures,
        postponed=reporting.postponed,
        due=reporting.due or 0,
        approved=reporting.approved.at if reporting.approved else 0,
    )


def _outages(incident: Incident) -> list[Outage]:
    return [outage for outages in incident.outages.values() for outage in outages]


def _disruption(check: str, outages: tuple[Outage, ...], protocols: Mapping[str, str]) -> Disruption:
    seen: dict[str, Observation] = {}
    for outage in outages:
        for observation in outage.observations:
            seen.setdefault(observation.reason, observation)
    return Disruption(
        check=check,
        protocol=protocols.get(check, ""),
        first=outages[0].down_since,
        last=outages[-1].up_since or 0,
        times=len(outages),
        down=sum(outage.up_since - outage.down_since for outage in outages if outage.up_since),
        seen=tuple(seen.values()),
    )
