"""Incidents: what the ledger remembers of an outage from its first failure until its report is sent.

An incident is a history of events, appended and never edited; what it is now is the fold of its history. All outages of
one server that overlap, and any that begins within 30 minutes after, are one incident. It ends when its checks are well
again *and* the server's lamps were seen to be normal after that.

Deciding is pure: what happened goes in, events come out. Writing them twice is writing them once: an event's identity
is its incident, kind, subject and time. All times are Unix time in ms.
"""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

from collectors.reading import Verdict
from exporter.clock import MINUTE, SECOND
from exporter.contract.level import NextStep, Response
from exporter.contract.reporting import Approval, Posting, Postponement, Reporting, SentReport, Waiver
from exporter.inventory import Server, SourceKey
from exporter.lamps import SourceState, server_verdict
from exporter.outage import CheckState

REJOIN = 30 * MINUTE
"""An outage that begins so soon after the incident's last one belongs to it."""
SIDE_BY_SIDE = 30 * SECOND
"""Attempts that run side by side end in another order than they began in, by so much at most. An end that is earlier
than the one before it by more was seen after the clock was set back."""


NOTHING_TO_DO = Response()
NOTHING_TO_REPORT = Reporting()


class Kind(StrEnum):
    """Why there is an incident."""

    OUTAGE = "outage"
    LAMP = "lamp"
    REBOOT_REQUEST = "reboot-request"


_SUFFIXES = {Kind.OUTAGE: "", Kind.LAMP: "-lamp", Kind.REBOOT_REQUEST: "-reboot"}


class What(StrEnum):
    """What can happen in an incident: the words of the ledger."""

    OPENED = "opened"
    CHECK_DOWN = "check-down"
    """An outage began. Subject: the check."""
    OBSERVED = "observed"
    """A failed attempt told something new. Subject: the check."""
    LIMIT_REACHED = "limit-reached"
    """The outage is confirmed for as long as the contract lets it go untold. Subject: the check."""
    CHECK_UP = "check-up"
    """The first success. Subject: the check."""
    RECOVERED = "recovered"
    """All checks are up, and stay so."""
    LAMP_ABNORMAL = "lamp-abnormal"
    """Subject: source and component."""
    LAMPS_NORMAL = "lamps-normal"
    """Every source was read after the recovery, and the lamps are as they should be."""
    LEVEL = "level"
    ALERTED = "alerted"
    """The customer's alert reached us, or we had to see for ourselves. Subject: ``check/NAME`` or ``lamp/NAME``."""
    HELD = "held"
    """A person suppressed the customer's alert in Alertmanager. Subject: as of ALERTED."""
    QUEUED = "queued"
    """A mail waits in the outbox. Subject: the address, or the number to call."""
    DROPPED = "dropped"
    """A mail was taken out of the outbox, since what it said was true no longer. Subject: as of QUEUED."""
    TOLD = "told"
    """Subject: the contact."""
    ACKNOWLEDGED = "acknowledged"
    NOTE = "note"
    WITHDRAWN = "withdrawn"
    """Subject: a check that the inventory has no longer; without one, the incident as a whole."""
    CLOSED = "closed"
    REPORT_DRAFTED = "report-drafted"
    """The incident is over, and its customer has to get a report."""
    REPORT_EDITED = "report-edited"
    REPORT_POSTPONED = "report-postponed"
    REPORT_APPROVED = "report-approved"
    REPORT_POSTED = "report-posted"
    """The approved report lies in the outbox."""
    REPORT_SENT = "report-sent"
    """Subject: to whom."""
    REPORT_WAIVED = "report-waived"
    """A person said that none has to be sent, and why."""


Value = str | int | bool
"""What an event's data holds."""


@dataclass(frozen=True, slots=True)
class IncidentEvent:
    """One thing that happened."""

    incident: str
    what: What
    at: int
    subject: str = ""
    data: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def identity(self) -> tuple[str, str, str, int]:
        """What makes it the same event when it is written again."""
        return (self.incident, self.what, self.subject, self.at)


@dataclass(frozen=True, slots=True)
class Observation:
    """What a failed attempt told: reason and step from the closed sets, the detail as it was."""

    at: int
    reason: str
    step: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage of a check. ``last_good`` is the start of the last success before it; 0 where it is not known."""

    down_since: int
    last_good: int = 0
    up_since: int | None = None
    limit_reached: int | None = None
    observations: tuple[Observation, ...] = ()
    withdrawn: int | None = None
    """When its check was taken out of the inventory."""
    alerted: int | None = None
    held: int | None = None

    @property
    def over(self) -> bool:
        """Tell whether it has ended."""
        return self.up_since is not None or self.withdrawn is not None


@dataclass(frozen=True, slots=True)
class AbnormalLamp:
    """A lamp that was not normal, as it was read."""

    at: int
    lamp: str
    verdict: str
    evidence: str
    alerted: int | None = None
    held: int | None = None
    elsewhere: bool = False
    """An older incident of the server has it too: the customer is told there."""

    @property
    def critical(self) -> bool:
        """Tell whether it is one that the customer is told of in this incident."""
        return self.verdict == Verdict.CRITICAL.name.lower() and not self.elsewhere


@dataclass(frozen=True, slots=True)
class Told:
    """Who was told, when and how (``mail``, ``phone``, ``fax``)."""

    at: int
    contact: str
    by: str
    mail: str = ""
    """Which of our mails it was; empty where a person told."""
    to: str = ""
    """The address that it went to."""

    @property
    def name(self) -> str:
        """Return the contact's name; the address where it has none."""
        return self.contact.removesuffix(f" <{self.to}>")


@dataclass(frozen=True, slots=True)
class Queued:
    """A mail that was written: to whom, which, and what of the incident it told (subjects as of ALERTED)."""

    at: int
    to: str
    mail: str
    covers: frozenset[str]
    outages: frozenset[tuple[str, int]] = frozenset()
    """Which outages of the checks: check and down since. Other times do not tell that: the clock may be set back."""


@dataclass(frozen=True, slots=True)
class Note:
    """What a person wrote."""

    at: int
    author: str
    text: str


@dataclass(frozen=True, slots=True)
class Incident:
    """What an incident is now."""

    id: str
    kind: Kind
    server: str
    customer: str
    opened: int
    reason: str = ""
    """Of a reboot request: who asked, in what words."""
    outages: Mapping[str, tuple[Outage, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """By check, the oldest first."""
    lamps: Mapping[str, AbnormalLamp] = field(default_factory=lambda: MappingProxyType({}))
    """Lamps that were abnormal in this incident, by ``source/component``, as they were first seen so."""
    response: Response = NOTHING_TO_DO
    queued: tuple[Queued, ...] = ()
    told: tuple[Told, ...] = ()
    acknowledged: Note | None = None
    notes: tuple[Note, ...] = ()
    ended: int | None = None
    """When the last outage ended. Earlier ends may be later, by a clock that was set back."""
    recovered: int | None = None
    """When the last check's first lasting success began."""
    lamps_normal: int | None = None
    closed: int | None = None
    withdrawn: bool = False
    report: Reporting = NOTHING_TO_REPORT

    @property
    def open(self) -> bool:
        """Tell whether it is still somebody's business."""
        return self.closed is None

    @property
    def down(self) -> tuple[str, ...]:
        """Return the checks that are down."""
        return tuple(check for check, outages in self.outages.items() if not outages[-1].over)

    @property
    def last_end(self) -> int | None:
        """Return when the last outage ended; None while one goes on or there was none."""
        return None if self.down else self.ended

    def owed(self, check: str) -> Outage | None:
        """Return the last outage of a check that reached the limit, whatever came after it; None if none did."""
        return next((each for each in reversed(self.outages[check]) if each.limit_reached is not None), None)

    def awaiting(self, check: str) -> Outage:
        """Return the outage that an alert of a check is about: the one of which the customer has to be told, if none
        came of that yet, else the last one.
        """
        owed = self.owed(check)
        return owed if owed and owed.alerted is None else self.outages[check][-1]

    @property
    def customer_had_to_be_told(self) -> bool:
        """Tell whether the contract asked for a notice: ten confirmed minutes, or a critical lamp."""
        limits = any(outage.limit_reached for outages in self.outages.values() for outage in outages)
        return limits or any(lamp.critical for lamp in self.lamps.values())

    def after(self, event: IncidentEvent) -> "Incident":
        """Return the incident after an event."""
        match event.what:
            case What.CHECK_DOWN | What.OBSERVED | What.LIMIT_REACHED | What.CHECK_UP:
                return self._after_attempt(event)
            case What.WITHDRAWN if event.subject:
                return replace(self._last(event.subject, withdrawn=event.at), ended=self._end(event.at))
            case What.WITHDRAWN:
                return replace(self, withdrawn=True, closed=event.at)
            case What.RECOVERED:
                return replace(self, recovered=event.at)
            case What.LAMP_ABNORMAL:
                lamp, verdict, evidence = (str(event.data[name]) for name in ("lamp", "verdict", "evidence"))
                seen = AbnormalLamp(event.at, lamp, verdict, evidence, elsewhere=bool(event.data.get("elsewhere")))
                return replace(self, lamps=MappingProxyType({**self.lamps, event.subject: seen}))
            case What.LAMPS_NORMAL:
                return replace(self, lamps_normal=event.at)
            case What.LEVEL:
                return replace(self, response=Response(int(event.data["level"]), NextStep(str(event.data["step"]))))
            case What.ALERTED | What.HELD:
                return self._after_alert(event)
            case What.QUEUED:
                return replace(self, queued=(*self.queued, self._queued(event)))
            case What.DROPPED:
                mail = str(event.data["mail"])
                dropped = next(
                    (each for each in reversed(self.queued) if (each.to, each.mail) == (event.subject, mail)), None
                )
                return replace(self, queued=tuple(each for each in self.queued if each is not dropped))
            case What.TOLD:
                how = (str(event.data.get(name, "")) for name in ("by", "mail", "to"))
                return replace(self, told=(*self.told, Told(event.at, event.subject, *how)))
            case What.ACKNOWLEDGED:
                return replace(self, acknowledged=self.acknowledged or _note(event))
            case What.NOTE:
                return replace(self, notes=(*self.notes, _note(event)), report=self.report.annotated())
            case What.CLOSED:
                return replace(self, closed=event.at)
            case What.OPENED:  # written again after a restart
                return self
            case _:
                return replace(self, report=_reporting(self.report, event))

    def _after_attempt(self, event: IncidentEvent) -> "Incident":
        check = event.subject
        outages = self.outages.get(check, ())
        match event.what:
            case What.CHECK_DOWN:
                last_good = int(event.data.get("last_good", 0))
                outage = Outage(event.at, last_good, observations=(_observation(event),))
                joined = MappingProxyType({**self.outages, check: (*outages, outage)})
                reporting = self.report.reopened()
                return replace(self, outages=joined, recovered=None, lamps_normal=None, closed=None, report=reporting)
            case What.OBSERVED if outages:
                return self._last(check, observations=(*outages[-1].observations, _observation(event)))
            case What.LIMIT_REACHED:
                return self._last(check, limit_reached=event.at)
            case _:
                return replace(self._last(check, up_since=event.at), ended=self._end(event.at))

    def _end(self, at: int) -> int:
        before = self.ended
        return before if before is not None and 0 < before - at <= SIDE_BY_SIDE else at

    def _queued(self, event: IncidentEvent) -> Queued:
        covers: set[str] = set()
        outages: set[tuple[str, int]] = set()
        for each in str(event.data["covers"]).split():
            subject, _, down_since = each.partition("@")
            covers.add(subject)
            kind, _, check = subject.partition("/")
            if kind == "check" and check in self.outages:
                # histories from before 0.1.0 do not say which outage of the check
                outages.add((check, int(down_since or self.outages[check][-1].down_since)))
        return Queued(event.at, event.subject, str(event.data["mail"]), frozenset(covers), frozenset(outages))

    def _after_alert(self, event: IncidentEvent) -> "Incident":
        kind, _, name = event.subject.partition("/")
        if kind == "check" and name in self.outages:
            return self._with(name, self.awaiting(name), **{event.what.value: event.at})
        alerted = event.what is What.ALERTED
        changed = {
            key: replace(lamp, alerted=lamp.alerted or event.at) if alerted else replace(lamp, held=event.at)
            for key, lamp in self.lamps.items()
            if lamp.critical and lamp.lamp == name
        }
        return replace(self, lamps=MappingProxyType({**self.lamps, **changed}))

    def _last(self, check: str, **changes: Any) -> "Incident":
        """Return the incident with its last outage of a check changed."""
        outages = self.outages.get(check)
        return self._with(check, outages[-1], **changes) if outages else self

    def _with(self, check: str, outage: Outage, **changes: Any) -> "Incident":
        changed = tuple(replace(each, **changes) if each is outage else each for each in self.outages[check])
        return replace(self, outages=MappingProxyType({**self.outages, check: changed}))


def incident_id(kind: Kind, server: str, at: int, zone: ZoneInfo) -> str:
    """Return the name of an incident that began at ``at``: the same one, however often it is asked for."""
    return f"{server}-{datetime.fromtimestamp(at // SECOND, zone):%Y%m%d-%H%M%S}{_SUFFIXES[kind]}"


def folded(events: Iterable[IncidentEvent]) -> dict[str, Incident]:
    """Return all incidents of a history. Events of an incident that was never opened are passed over."""
    incidents: dict[str, Incident] = {}
    for event in events:
        if event.what is What.OPENED and event.incident not in incidents:
            incidents[event.incident] = opened(event)
        elif event.incident in incidents:
            incidents[event.incident] = incidents[event.incident].after(event)
    return incidents


def opened(event: IncidentEvent) -> Incident:
    """Return the incident that an event opens."""
    data = event.data
    kind, server, customer = Kind(str(data["kind"])), str(data["server"]), str(data["customer"])
    return Incident(event.incident, kind, server, customer, event.at, str(data.get("reason", "")))


def opening(kind: Kind, server: Server, at: int, zone: ZoneInfo, reason: str = "") -> IncidentEvent:
    """Return the event that opens an incident of a server."""
    data: dict[str, Value] = {"kind": kind.value, "server": server.name, "customer": server.customer}
    if reason:
        data["reason"] = reason
    return IncidentEvent(incident_id(kind, server.name, at, zone), What.OPENED, at, data=MappingProxyType(data))


def rejoins(incident: Incident, down_since: int) -> bool:
    """Tell whether an outage that began at ``down_since`` belongs to an incident of its server."""
    if incident.kind is not Kind.OUTAGE or incident.withdrawn:
        return False
    end = incident.last_end
    return bool(incident.down) or (end is not None and down_since - end <= REJOIN)


@dataclass(frozen=True, slots=True)
class Tried:
    """One attempt of a check as the outage clock saw it. ``limit`` is ``outage_notice_after`` in ms."""

    check: str
    before: CheckState
    after: CheckState
    detail: str
    limit: int


def attempt_events(
    incident: Incident | None, server: Server, tried: Tried, zone: ZoneInfo, *, maintained: bool, response: Response
) -> Iterator[IncidentEvent]:
    """Give what an attempt adds to the server's incident: a new one, if ``incident`` is none that the outage joins.

    In maintenance the customer's limit is not reached: that is looked at again with the next attempt.
    """
    after, at = tried.after, tried.after.last_run or 0
    down = after.down_since
    if down is not None:
        new = {"reason": after.reason, "step": after.step, "detail": tried.detail}
        if incident is None or not rejoins(incident, down):
            event = opening(Kind.OUTAGE, server, down, zone)
            incident = opened(event)
            yield event
        if tried.check not in incident.down:
            last_good = tried.before.last_run if tried.before.up else None
            event = IncidentEvent(
                incident.id, What.CHECK_DOWN, down, tried.check, MappingProxyType({**new, "last_good": last_good or 0})
            )
            incident = incident.after(event)
            yield event
        outage = incident.outages[tried.check][-1]
        evidence = not after.void and after.last_failed != tried.before.last_failed
        if evidence and all((seen.reason, seen.step) != (after.reason, after.step) for seen in outage.observations):
            yield IncidentEvent(incident.id, What.OBSERVED, at, tried.check, MappingProxyType(new))
        if outage.limit_reached is None and after.confirmed >= tried.limit and not maintained:
            data = MappingProxyType({"confirmed": after.confirmed})
            yield IncidentEvent(incident.id, What.LIMIT_REACHED, at, tried.check, data)
    elif incident is not None and tried.check in incident.down and after.up:
        yield IncidentEvent(incident.id, What.CHECK_UP, at, tried.check)
    if incident is not None and incident.open and response != incident.response:
        said: dict[str, Value] = {"level": response.level, "step": response.step.value}
        # two checks may be tried in one millisecond, so the step is a part of what makes the event itself
        yield IncidentEvent(incident.id, What.LEVEL, at, response.step.value, MappingProxyType(said))


def recovery_events(incident: Incident, states: Mapping[str, CheckState]) -> Iterator[IncidentEvent]:
    """Give the recovery, once every check of the incident is up and stays so. ``states`` has the server's checks."""
    end = incident.last_end
    lasting = (
        state.up and not state.foreign and state.recovery is None
        for check, state in states.items()
        if check in incident.outages and incident.outages[check][-1].withdrawn is None
    )
    unrecovered = incident.kind is Kind.OUTAGE and incident.recovered is None and not incident.withdrawn
    if unrecovered and end is not None and all(lasting):
        yield IncidentEvent(incident.id, What.RECOVERED, end)


def withdrawal_events(incident: Incident, check: str, at: int) -> Iterator[IncidentEvent]:
    """Give what it means to an open incident that the inventory has a check no longer."""
    if check not in incident.down:
        return
    event = IncidentEvent(incident.id, What.WITHDRAWN, at, check)
    yield event
    incident = incident.after(event)
    seen_to_end = any(outage.up_since for outages in incident.outages.values() for outage in outages)
    if not incident.down and not seen_to_end:
        yield IncidentEvent(incident.id, What.WITHDRAWN, at)


def lamp_events(
    incident: Incident, at: int, sources: Mapping[SourceKey, SourceState], *, elsewhere: Container[str] = ()
) -> Iterator[IncidentEvent]:
    """Give what the present lamps add to an open incident: those that are abnormal, and the end.

    ``elsewhere`` are the lamps (``source/component``) of which an older incident tells the customer.

    It ends when it recovered, every configured source was read after the recovery, the server's verdict is normal, and
    each lamp that was abnormal in this incident is normal or gone. One unknown component does not hold it.
    """
    for (_, source), state in sources.items():
        for known in state.lamps.values():
            name = f"{source}/{known.component}"
            seen = incident.lamps.get(name)
            worse = seen is None or (known.verdict is Verdict.CRITICAL and seen.verdict != "critical")
            if known.abnormal and worse:
                data: dict[str, Value] = {"lamp": known.lamp.value, "verdict": known.verdict.name.lower()}
                data["evidence"] = known.evidence
                if name in elsewhere:
                    data["elsewhere"] = True
                yield IncidentEvent(incident.id, What.LAMP_ABNORMAL, at, name, MappingProxyType(data))
    if not holding(incident, sources):
        yield IncidentEvent(incident.id, What.LAMPS_NORMAL, at)
        yield IncidentEvent(incident.id, What.CLOSED, at)


class Hold(StrEnum):
    """Why an incident is not closed yet. Said in words in `exporter.words`."""

    DOWN = "down"
    """Subject: the check."""
    RECOVERING = "recovering"
    UNDONE = "undone"
    """What a customer asked for was not reported as done."""
    NO_SOURCE = "no-source"
    """Nothing can read the lamps: a person has to look."""
    UNREAD = "unread"
    """Source: it was not read since."""
    LIT = "lit"
    """Subject: the component that is not normal, source, verdict."""
    UNSEEN = "unseen"
    """A source tells the state of no lamp."""


@dataclass(frozen=True, slots=True)
class Held:
    """One thing that keeps an incident from being closed."""

    why: Hold
    subject: str = ""
    source: str = ""
    verdict: Verdict = Verdict.NORMAL


def holding(incident: Incident, sources: Mapping[SourceKey, SourceState]) -> tuple[Held, ...]:
    """Return what keeps an incident from being closed; empty when nothing does."""
    if incident.kind is Kind.OUTAGE and incident.recovered is None:
        return tuple(Held(Hold.DOWN, check) for check in incident.down) or (Held(Hold.RECOVERING),)
    if incident.kind is Kind.REBOOT_REQUEST and incident.recovered is None:
        return (Held(Hold.UNDONE),)
    since = incident.recovered if incident.recovered is not None else incident.opened
    if not sources:
        return (Held(Hold.NO_SOURCE),)
    unread = [source for (_, source), state in sources.items() if state.last_success <= since]
    if unread:
        return tuple(Held(Hold.UNREAD, source=source) for source in unread)
    lit = [
        Held(Hold.LIT, known.component, source, known.verdict)
        for (_, source), state in sources.items()
        for known in state.lamps.values()
        if known.abnormal or (known.verdict is Verdict.UNKNOWN and f"{source}/{known.component}" in incident.lamps)
    ]
    if lit:
        return tuple(lit)
    if server_verdict(sources.values()) is not Verdict.NORMAL:
        return (Held(Hold.UNSEEN),)
    return ()


def _observation(event: IncidentEvent) -> Observation:
    data = event.data
    return Observation(event.at, str(data["reason"]), str(data["step"]), str(data.get("detail", "")))


def _note(event: IncidentEvent) -> Note:
    return Note(event.at, str(event.data.get("author", "")), str(event.data.get("text", "")))


def _reporting(reporting: Reporting, event: IncidentEvent) -> Reporting:
    data = event.data
    author = str(data.get("author", ""))
    match event.what:
        case What.REPORT_DRAFTED:
            return reporting.drafted(event.at, int(data["due"]))
        case What.REPORT_EDITED:
            cause, measures = (str(data[name]) if name in data else None for name in ("cause", "measures"))
            return reporting.edited(cause, measures)
        case What.REPORT_POSTPONED:
            return reporting.postponed_by(Postponement(event.at, int(data["until"]), str(data["reason"]), author))
        case What.REPORT_APPROVED:
            return reporting.approved_by(Approval(event.at, author))
        case What.REPORT_WAIVED:
            return reporting.waived_by(Waiver(event.at, str(data["reason"]), author))
        case What.REPORT_POSTED:
            return reporting.posted_as(Posting(event.at, int(data["end"])))
        case _:
            by, copy, page = (str(data[name]) for name in ("by", "copy", "page"))
            end, posted = (int(data.get(name, 0)) for name in ("end", "posted"))
            return reporting.sent_as(SentReport(event.at, event.subject, by, copy, page, end, posted))
