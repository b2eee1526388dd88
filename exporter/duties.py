"""What the contract asks for when a check fails or a lamp changes: the response level and the incident.

Called by the runner and the lamp watch: first for the records that belong into the same commit, then, once they are
written, to publish. What people write with the command line is looked for in the ledger.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from zoneinfo import ZoneInfo

from collectors.reading import Verdict
from exporter.clock import Clock
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import Incident, IncidentEvent, Tried, What
from exporter.contract.level import Response, diagnose
from exporter.exposition import Exposition
from exporter.incidents import Incidents
from exporter.inventory import Check, CheckKey, Config, Server
from exporter.lampwatch import LampWatch
from exporter.ledger import Ledger, Record, incident_record
from exporter.maintenance import Maintenance
from exporter.outage import CheckState
from exporter.rendering import duty_lines, report_lines
from exporter.schedule import Schedule

log = logging.getLogger("incidents")


class Duties:
    """The contract's duties for all servers of the inventory."""

    def __init__(
        self,
        *,
        clock: Clock,
        schedule: Schedule,
        lamps: LampWatch,
        ledger: Ledger,
        exposition: Exposition,
        maintenance: Maintenance,
    ) -> None:
        self._clock = clock
        self._schedule = schedule
        self._lamps = lamps
        self._ledger = ledger
        self._exposition = exposition
        self._maintenance = maintenance
        self.config = Config()
        self.incidents = Incidents()
        self._calendar = BusinessCalendar.of(self.config.settings)
        self._decided: dict[CheckKey, CheckState] = {}
        """States of attempts whose commit is under way: the schedule does not have them yet."""
        self.happened: Callable[[Iterable[IncidentEvent]], None] = lambda _events: None
        """Called with what happened to incidents."""
        self._read_up_to = 0
        self._seen_up_to = 0

    def take_over(self, config: Config) -> None:
        """Work by another configuration."""
        self.config = config
        self.incidents.zone = ZoneInfo(config.settings.timezone)
        self._calendar = BusinessCalendar.of(config.settings)

    async def restore(self) -> None:
        """Read the incidents that are open from the ledger."""
        history = await asyncio.to_thread(self._ledger.open_incidents, self._clock.now().wall)
        self.happened(self.incidents.take_in(event for _, event in history))
        self._read_up_to = await asyncio.to_thread(self._ledger.last_incident_event)

    def response(self, server: Server) -> Response:
        """Return what the contract asks for a server's open outages."""
        return diagnose(server, self._states(server.name))

    def recovering(self, check: Check) -> bool:
        """Tell whether the check is part of an incident whose recovery was not seen to last."""
        return any(
            incident.open and incident.recovered is None and check.name in incident.outages
            for incident in self.incidents.of(check.server)
        )

    def tried(self, check: Check, before: CheckState, after: CheckState, detail: str) -> list[Record]:
        """Take in an attempt of a check whose outage begins, goes on, or ended not long ago; return what to write."""
        server = self.config.servers.get(check.server)
        if server is None:
            return []
        self._decided[check.key] = after
        states = self._states(server.name)
        tried = Tried(check.name, before, after, detail, check.timing.outage_notice_after)
        maintained = self._maintenance.spares_customer(server, self._clock.now().wall)
        events = self.incidents.tried(server, tried, states, diagnose(server, states), maintained=maintained)
        if any(event.what is What.RECOVERED for event in events):
            events += self.incidents.lamps_read(server, self._lamps.states(server.name), self._clock.now().wall)
        elif any(event.what is What.CHECK_UP for event in events):
            self._lamps.reread(server.name)
        return self._told(events)

    def spares_customer(self, incident: Incident, subject: str) -> bool:
        """Tell whether there is no alert of a lamp (``lamp/drive``) to wait for: maintenance, or it is well again.

        An outage reaches its limit in no maintenance, and has reached it for good.
        """
        kind, _, name = subject.partition("/")
        if kind == "check":
            return False
        server = self.config.servers.get(incident.server)
        if server is None or self._maintenance.spares_customer(server, self._clock.now().wall):
            return True
        lamps = (known for state in self._lamps.states(server.name).values() for known in state.lamps.values())
        return not any(known.lamp == name and known.verdict is Verdict.CRITICAL for known in lamps)

    def settled(self, check: Check) -> None:
        """Publish what an attempt changed."""
        self._decided.pop(check.key, None)
        self.publish(check.server)

    def lamps_read(self, name: str) -> list[Record]:
        """Take in what a server's lamps are after a read; return what to write."""
        server = self.config.servers.get(name)
        if server is None:
            return []
        return self._told(self.incidents.lamps_read(server, self._lamps.states(name), self._clock.now().wall))

    def withdraw(self, check: Check) -> list[Record]:
        """Take a check that the inventory has no longer out of its incident; return what to write."""
        states = self._states(check.server)
        events = self.incidents.withdraw(check.server, check.name, self._clock.now().wall, states)
        if any(event.what is What.RECOVERED for event in events):
            self._lamps.reread(check.server)
        return self._told(events)

    def withdraw_unknown(self) -> list[Record]:
        """Take out of the incidents what the inventory does not have; return what to write."""
        wall = self._clock.now().wall
        events: list[IncidentEvent] = []
        for incident in self.incidents.open():
            for check in incident.down:
                if self._schedule.get((incident.server, check)) is None:
                    events += self.incidents.withdraw(incident.server, check, wall, self._states(incident.server))
        return self._told(events)

    def draft_reports(self) -> list[Record]:
        """Draft what an earlier process left undone, and publish all reports that are owed; return what to write."""
        known = self.incidents.known()
        records = self._told(self.incidents.draft_reports([each.id for each in known], self._calendar.report_due))
        for server in {incident.server for incident in known}:
            self._publish_reports(server)
        return records

    def publish(self, name: str) -> None:
        """Publish what the contract asks for a server."""
        self._publish_reports(name)
        server = self.config.servers.get(name)
        if server is None:
            self._exposition.withdraw(("duties", name))
            return
        protocols = {entry.check.name: entry.check.protocol for entry in self._schedule.server(name)}
        incidents = [incident for incident in self.incidents.of(name) if incident.open]
        self._exposition.publish(("duties", name), duty_lines(name, self.response(server), incidents, protocols))

    def _publish_reports(self, name: str) -> None:
        # owed also for a server that the inventory has no longer
        owed = [incident for incident in self.incidents.of(name) if incident.report.owed]
        if owed:
            self._exposition.publish(("reports", name), report_lines(name, owed))
        else:
            self._exposition.withdraw(("reports", name))

    async def refresh(self) -> None:
        """Take in what people wrote since the last look, and drop what is over."""
        wall = self._clock.now().wall
        await self._maintenance.refresh()
        history = await asyncio.to_thread(self._ledger.incident_events, self._read_up_to)
        self._read_up_to = max((number for number, _ in history), default=self._read_up_to)
        written = [event for _, event in history]
        self.incidents.take_in(await self._before(written))
        fresh = self.incidents.take_in(written)
        _log(fresh)
        self.happened(fresh)
        since = wall - self.config.settings.lamp_interval
        seen = await asyncio.to_thread(self._ledger.sightings, since, self._seen_up_to)
        self._seen_up_to = max((number for number, _ in seen), default=self._seen_up_to)
        sightings = [sighting for _, sighting in seen if sighting.server in self.config.servers]
        for sighting in sightings:
            self._lamps.see(sighting)
        self._lamps.outdate(wall)
        if drafted := self._drafted(fresh):
            await self._ledger.save(self._told(drafted))
        touched = {incident.server for incident in self._of(fresh)} | {sighting.server for sighting in sightings}
        for server in touched:
            if records := self.lamps_read(server):
                await self._ledger.save(records)
            self.publish(server)
        for event in fresh:
            if event.what is What.RECOVERED:  # a person said that it was done
                self._lamps.reread(self.incidents[event.incident].server)
        self.incidents.forget(wall)

    async def _before(self, written: Iterable[IncidentEvent]) -> list[IncidentEvent]:
        """Return what happened before in incidents that were over for long, and into which somebody wrote."""
        late = {event.identity for event in written if self.incidents.get(event.incident) is None}
        if not late:
            return []
        history = await asyncio.to_thread(self._ledger.histories, {identity[0] for identity in late})
        return [event for event in history if event.identity not in late]

    def _states(self, server: str) -> dict[str, CheckState]:
        entries = self._schedule.server(server)
        return {entry.check.name: self._decided.get(entry.check.key, entry.state) for entry in entries}

    def _of(self, events: Iterable[IncidentEvent]) -> list[Incident]:
        named = {event.incident for event in events}
        return [incident for incident in self.incidents.known() if incident.id in named]

    def _drafted(self, events: Iterable[IncidentEvent]) -> list[IncidentEvent]:
        return self.incidents.draft_reports(sorted({event.incident for event in events}), self._calendar.report_due)

    def _told(self, events: list[IncidentEvent]) -> list[Record]:
        events = [*events, *self._drafted(events)]
        _log(events)
        self.happened(events)
        return [incident_record(event) for event in events]


def _log(events: Iterable[IncidentEvent]) -> None:
    for event in events:
        log.info("%s: %s%s", event.incident, event.what, f" {event.subject}" if event.subject else "")
