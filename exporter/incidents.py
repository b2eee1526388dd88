"""The incidents that are open, kept as attempts, lamp reads and people change them.

Deciding is `exporter.contract.incidents`; here its events are taken in, handed on to be written, and published. What a
person writes with the command line comes in through the ledger.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from zoneinfo import ZoneInfo

from collectors.reading import Verdict
from exporter.contract.incidents import (
    REJOIN,
    Incident,
    IncidentEvent,
    Kind,
    Tried,
    What,
    attempt_events,
    lamp_events,
    opened,
    opening,
    recovery_events,
    withdrawal_events,
)
from exporter.contract.level import Response
from exporter.contract.report import report_events
from exporter.inventory import Server, SourceKey
from exporter.lamps import SourceState
from exporter.outage import CheckState


class Incidents:
    """All incidents that are open or owe a report, and those that an outage could still join."""

    def __init__(self) -> None:
        self.zone = ZoneInfo("Asia/Tokyo")
        self._incidents: dict[str, Incident] = {}
        self._seen: dict[str, set[tuple[str, str, str, int]]] = {}
        self._servers: dict[str, list[str]] = {}

    def __getitem__(self, name: str) -> Incident:
        return self._incidents[name]

    def get(self, name: str) -> Incident | None:
        """Return an incident, None if it is not kept."""
        return self._incidents.get(name)

    def of(self, server: str) -> list[Incident]:
        """Return the incidents of a server that are open, owe a report or could be joined, the oldest first."""
        return [self._incidents[name] for name in self._servers.get(server, ())]

    def known(self) -> list[Incident]:
        """Return all that are kept."""
        return list(self._incidents.values())

    def open(self) -> list[Incident]:
        """Return all open incidents, the oldest first."""
        return sorted((each for each in self._incidents.values() if each.open), key=lambda each: each.opened)

    def take_in(self, events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
        """Take in events in their order; return those that were new."""
        fresh: list[IncidentEvent] = []
        for event in events:
            incident = self._incidents.get(event.incident)
            if incident is None and event.what is What.OPENED:
                incident = opened(event)
                self._servers.setdefault(incident.server, []).append(incident.id)
                self._seen[incident.id] = set()
            elif incident is None or event.identity in self._seen[incident.id]:
                continue
            else:
                incident = incident.after(event)
            self._incidents[incident.id] = incident
            self._seen[incident.id].add(event.identity)
            fresh.append(event)
        return fresh

    def append(self, events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
        """Take in events that are new for certain; return them as they were.

        Two mails to one contact may be handed over in one millisecond: the second is written a millisecond later, since
        it would be the same event else.
        """
        return [new for event in events for new in self.take_in([self._distinct(event)])]

    def _distinct(self, event: IncidentEvent) -> IncidentEvent:
        while event.identity in self._seen.get(event.incident, ()):
            event = replace(event, at=event.at + 1)
        return event

    def forget(self, now: int) -> None:
        """Drop what is closed, can be joined no more and owes no report."""
        for incident in list(self._incidents.values()):
            if incident.report.owed or incident.closed is None:
                continue
            if now - max(incident.closed, incident.last_end or 0) > REJOIN:
                del self._incidents[incident.id], self._seen[incident.id]
                names = self._servers[incident.server]
                names.remove(incident.id)
                if not names:
                    del self._servers[incident.server]

    def tried(
        self, server: Server, tried: Tried, states: Mapping[str, CheckState], response: Response, *, maintained: bool
    ) -> list[IncidentEvent]:
        """Take in an attempt that an outage begins, goes on or ends with; return the new events."""
        incident = self._joinable(server.name)
        fresh = self.take_in(
            attempt_events(incident, server, tried, self.zone, maintained=maintained, response=response)
        )
        incident = self._joinable(server.name)
        return fresh + (self.take_in(recovery_events(incident, states)) if incident else [])

    def lamps_read(self, server: Server, sources: Mapping[SourceKey, SourceState], at: int) -> list[IncidentEvent]:
        """Take in what the lamps of a server are now; return the new events. A critical lamp opens an incident."""
        fresh: list[IncidentEvent] = []
        if not any(incident.open and incident.kind is not Kind.REBOOT_REQUEST for incident in self.of(server.name)):
            critical = [
                known.since
                for state in sources.values()
                for known in state.lamps.values()
                if known.abnormal and known.verdict is Verdict.CRITICAL
            ]
            if critical:
                fresh += self.take_in([opening(Kind.LAMP, server, min(critical), self.zone)])
        told_of: set[str] = set()
        for incident in self.of(server.name):
            if incident.open:
                fresh += self.take_in(lamp_events(incident, at, sources, elsewhere=told_of))
                told_of |= {name for name, lamp in self._incidents[incident.id].lamps.items() if lamp.critical}
        return fresh

    def withdraw(self, server: str, check: str, at: int, states: Mapping[str, CheckState]) -> list[IncidentEvent]:
        """Take a check that is no longer in the inventory out of its incident; return the new events.

        ``states`` has the checks that the server still has.
        """
        fresh: list[IncidentEvent] = []
        for incident in self.of(server):
            fresh += self.take_in(withdrawal_events(incident, check, at))
            fresh += self.take_in(recovery_events(self._incidents[incident.id], states))
        return fresh

    def draft_reports(self, names: Iterable[str], due: Callable[[int], int]) -> list[IncidentEvent]:
        """Draft the reports that these incidents owe and have none of; return the new events."""
        return self.take_in([event for name in names for event in report_events(self._incidents[name], due)])

    def _joinable(self, server: str) -> Incident | None:
        outages = [incident for incident in self.of(server) if incident.kind is Kind.OUTAGE and not incident.withdrawn]
        return outages[-1] if outages else None
