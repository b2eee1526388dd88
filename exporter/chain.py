"""The chain of alerts, seen from its end: what Alertmanager's webhook brings, and what to do when it brings nothing.

Prometheus decides and Alertmanager passes on. When an outage that reached the contract's limit, or a critical lamp, was
scraped and no webhook came for two minutes, Alertmanager is asked: an alert that a person suppressed is told to nobody
but the NOC; otherwise the chain is broken, and the customer is told all the same. ``Watchdog`` always fires: the NOC is
told when it falls silent.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from exporter.alertmanager_client import UnreachableError, customer_alerts
from exporter.alerts import CUSTOMER, WATCHDOG, Alert
from exporter.clock import MINUTE, SECOND, Clock
from exporter.contract.incidents import Incident, IncidentEvent, Kind, What
from exporter.contract.notices import unalerted
from exporter.incidents import Incidents
from exporter.ledger import Ledger, incident_record
from exporter.notices import Notices
from exporter.ticks import tick

log = logging.getLogger("chain")

PERIOD = 1.0
"""Seconds between two looks at what is missing."""
IDLE_PERIOD = 5.0
"""The same while Alertmanager tells the customers."""
AFTER_SCRAPE = 120 * SECOND
"""So long after the first scrape that carried the outage, or the lamp, the webhook is waited for."""
WITHOUT_SCRAPE = 180 * SECOND
"""So long it is waited for where nobody scrapes at all."""
REPEATED = 8 * MINUTE
"""So long it is waited for where the alert has come already, and another lamp joined it: with Alertmanager's next
repetition (``repeat_interval: 5m``, looked at every ``group_interval``)."""
ASK_AGAIN = 5 * MINUTE
"""A suppressed alert is asked for again: the silence may end while the chain is broken."""
WATCHDOG_SILENT = 5 * MINUTE

Ask = Callable[[Sequence[str]], Awaitable[tuple[Alert, ...]]]


@dataclass(slots=True)
class _Missing:
    """An outage that reached the limit, or a critical lamp, of which no alert came. Times are monotonic."""

    noticed: int
    joins: bool = False
    """Its alert fires for another part of the server already."""
    scraped: int | None = None
    asked: int | None = None

    def due(self, now: int) -> bool:
        """Tell whether it was waited for long enough."""
        if self.asked is not None:
            return now >= self.asked + ASK_AGAIN
        if self.joins:
            return now >= self.noticed + REPEATED
        waited = self.scraped is not None and now >= self.scraped + AFTER_SCRAPE
        return waited or now >= self.noticed + WITHOUT_SCRAPE


class Chain:
    """Takes in alerts, and misses those that do not come."""

    def __init__(
        self, *, clock: Clock, ledger: Ledger, incidents: Incidents, notices: Notices, ask: Ask = customer_alerts
    ) -> None:
        self._clock = clock
        self._ledger = ledger
        self._incidents = incidents
        self._notices = notices
        self._ask = ask
        self._missing: dict[str, dict[str, _Missing]] = {}
        """By incident, then by subject (``check/https``, ``lamp/drive``)."""
        self._watchdog = clock.now().monotonic
        self._silence_told = False
        self.urls: Sequence[str] = ()
        self.spares_customer: Callable[[Incident, str], bool] = lambda _incident, _subject: False
        """Tells that there is no alert to wait for, at present."""

    async def received(self, alerts: Iterable[Alert]) -> bool:
        """Take in what the webhook brought; return whether the ledger has it."""
        wall = self._clock.now().wall
        events: list[IncidentEvent] = []
        for alert in alerts:
            if alert.firing and alert.notify == WATCHDOG:
                self._watchdog, self._silence_told = self._clock.now().monotonic, False
            elif alert.firing and alert.notify == CUSTOMER:
                events += self._alerted(alert, wall)
        return await self._write(events)

    def happened(self, events: Iterable[IncidentEvent]) -> None:
        """Take in that incidents changed."""
        now, wall = self._clock.now().monotonic, self._clock.now().wall
        for name in {event.incident for event in events}:
            incident = self._incidents.get(name)
            before = self._missing.pop(name, {})
            subjects = unalerted(incident, wall) if incident else ()
            missing = {each: before.get(each) or _Missing(now, joins=_joins(incident, each)) for each in subjects}
            if missing:
                self._missing[name] = missing

    def scraped(self, kind: str = "check") -> None:
        """Take in that somebody reads the metrics of the services (``check``) or the lamps (``lamp``) now."""
        now = self._clock.now().monotonic
        for subjects in self._missing.values():
            for subject, missing in subjects.items():
                if missing.scraped is None and subject.startswith(kind):
                    missing.scraped = now

    def silent(self, now: int) -> int | None:
        """Return for how long (ms) no Watchdog has come at ``now`` (monotonic), once that is too long; else None."""
        silence = now - self._watchdog
        return silence if self._notices.active and silence > WATCHDOG_SILENT else None

    async def watch(self) -> None:
        """Look at what is missing, for ever."""
        while True:
            await tick(PERIOD if self._notices.active else IDLE_PERIOD)
            await self.look()

    async def look(self) -> None:
        """Do what has to be done now about alerts that do not come."""
        now = self._clock.now().monotonic
        if not self._notices.active:
            self._watchdog = now
            return
        due = [
            (name, subject)
            for name, subjects in self._missing.items()
            for subject, missing in subjects.items()
            if missing.due(now) and not self._spared(name, subject)
        ]
        if due:
            await self._last_resort(due)
        silent = self.silent(now)
        if silent is not None and not self._silence_told:
            self._silence_told = True
            log.error("no Watchdog for %d s: Prometheus or Alertmanager is down, or cannot reach us", silent // SECOND)
            await self._notices.tell_noc("watchdog", "watchdog", silent=silent)

    def _spared(self, name: str, subject: str) -> bool:
        incident = self._incidents.get(name)
        return incident is None or self.spares_customer(incident, subject)

    def _alerted(self, alert: Alert, at: int) -> Iterator[IncidentEvent]:
        kept = self._incidents.of(alert.server)
        if not any(_is_about(incident, alert) for incident in kept):
            log.warning("an alert for a customer belongs to no incident of ours: %s %s", alert.server, alert.subject)
        for incident in kept:
            if _is_about(incident, alert) and not _known(incident, alert):
                yield _event(incident, What.ALERTED, alert.subject, at, "webhook")

    async def _last_resort(self, due: list[tuple[str, str]]) -> None:
        try:
            alerts = await self._ask(self.urls)
            answer = "ignorant"
        except UnreachableError as error:
            log.error("Alertmanager cannot be asked: %s", error)  # noqa: TRY400 - its text is all
            alerts, answer = (), "unreachable"
        suppressed = {(alert.server, alert.subject) for alert in alerts if alert.suppressed}
        passed_on = {(alert.server, alert.subject) for alert in alerts} - suppressed
        now, wall = self._clock.now().monotonic, self._clock.now().wall
        events: list[IncidentEvent] = []
        held: dict[str, None] = {}
        broken: dict[str, None] = {}
        for name, subject in due:
            missing, incident = self._missing.get(name, {}).get(subject), self._incidents.get(name)
            if missing is None or incident is None:  # the alert came while we asked
                continue
            missing.asked = now
            if (incident.server, subject) in suppressed:
                if not _held(incident, subject):
                    held[incident.server] = None
                    events.append(_event(incident, What.HELD, subject, wall, "alertmanager"))
                continue
            answer = "active" if (incident.server, subject) in passed_on else answer
            broken[incident.server] = None
            events.append(_event(incident, What.ALERTED, subject, wall, "last-resort"))
        await self._write(events)
        if held:
            log.error("customers are not told, since their alerts are suppressed in Alertmanager: %s", ", ".join(held))
            await self._notices.tell_noc("held", "held", servers=list(held))
        if broken:
            log.error("customers are told without an alert (Alertmanager is %s): %s", answer, ", ".join(broken))
            await self._notices.tell_noc("chain", "chain", servers=list(broken), answer=answer)

    async def _write(self, events: Iterable[IncidentEvent]) -> bool:
        fresh = self._incidents.take_in(events)
        self.happened(fresh)
        self._notices.happened(fresh)
        # also without events: what came before and could not be written has to be there before we say that it is
        return await self._ledger.save([incident_record(event) for event in fresh])


def _event(incident: Incident, what: What, subject: str, at: int, by: str) -> IncidentEvent:
    return IncidentEvent(incident.id, what, at, subject, MappingProxyType({"by": by}))


def _is_about(incident: Incident, alert: Alert) -> bool:
    """Tell whether an alert can be about an incident: its check has an outage there, or its lamp is critical."""
    if incident.withdrawn:
        return False
    if alert.check:
        return incident.kind is Kind.OUTAGE and alert.check in incident.outages
    return any(lamp.critical and lamp.lamp == alert.lamp for lamp in incident.lamps.values())


def _joins(incident: Incident | None, subject: str) -> bool:
    """Tell whether the alert of a lamp has come for another component already."""
    kind, _, name = subject.partition("/")
    lamps = incident.lamps.values() if incident else ()
    return kind == "lamp" and any(lamp.lamp == name and lamp.alerted is not None for lamp in lamps)


def _held(incident: Incident, subject: str) -> bool:
    """Tell whether it is known that a person suppressed the alert."""
    kind, _, name = subject.partition("/")
    if kind == "check":
        return incident.awaiting(name).held is not None
    return all(lamp.held is not None for lamp in incident.lamps.values() if lamp.critical and lamp.lamp == name)


def _known(incident: Incident, alert: Alert) -> bool:
    """Tell whether the incident has the alert already, or it is about an outage that never reached the limit."""
    if alert.check:
        outage = incident.awaiting(alert.check)
        return outage.alerted is not None or (outage.over and outage.limit_reached is None)
    return all(
        lamp.alerted is not None for lamp in incident.lamps.values() if lamp.critical and lamp.lamp == alert.lamp
    )
