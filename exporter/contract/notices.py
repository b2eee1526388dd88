"""Who is told what of an incident: which mails are due now, and when to look again.

Pure: an incident and its customer's contacts go in, mails come out. What was written before is a part of the incident,
so that deciding again decides nothing new.

One notice per incident and contact names all checks whose outage reached the contract's limit. A check that reaches it
later goes into an update, at most one in ten minutes. The recovery is told only to those who were told of the outage,
and that a lamp is normal again only to those who were told of the lamp.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from exporter.clock import MINUTE, SECOND
from exporter.contract.incidents import REJOIN, AbnormalLamp, Incident, IncidentEvent, Outage, Queued, Told, What
from exporter.inventory import Contact

GATHER = 18 * SECOND
"""So long the notice waits for the alerts of checks that began to fail so soon after the first: a check that fails by
timeout is as far ten seconds later, and is evaluated one evaluation (15 s) later."""
BETWEEN_UPDATES = 10 * MINUTE

NOBODY = Contact("")
"""Stands for the contact that a customer does not have."""


class Mailing(StrEnum):
    """The mails that an incident can cause: the names of their templates, and the ``kind`` of the metrics."""

    NOTICE = "notice"
    HARDWARE = "hardware"
    """The notice, where only lamps are concerned."""
    UPDATE = "update"
    RECOVERY = "recovery"
    REPAIRED = "repaired"
    """The recovery, where only lamps are concerned."""
    CALL = "call"
    """To the NOC: a contact has no mail address and has to be phoned."""


@dataclass(frozen=True, slots=True)
class Due:
    """A mail that is due. ``event`` is its name in the incident's thread."""

    mailing: Mailing
    contact: Contact
    event: str
    outages: Mapping[str, Outage]
    """Which outage it tells of, by check."""
    lamps: tuple[str, ...] = ()
    """By ``source/component``."""

    @property
    def checks(self) -> tuple[str, ...]:
        """Return the checks that it names."""
        return tuple(self.outages)


@dataclass(frozen=True, slots=True)
class Decision:
    """What is due, and when to look again if nothing happens until then."""

    due: tuple[Due, ...] = ()
    look_again: int | None = None


@dataclass(frozen=True, slots=True)
class _Owed:
    """What a customer has to be told of."""

    checks: Mapping[str, Outage] = field(default_factory=lambda: MappingProxyType({}))
    lamps: Mapping[str, AbnormalLamp] = field(default_factory=lambda: MappingProxyType({}))


def decide(incident: Incident, contacts: Sequence[Contact], now: int) -> Decision:
    """Return what is due to the contacts of an incident's customer at ``now`` (wall ms)."""
    if incident.withdrawn:
        return Decision()
    due: list[Due] = []
    looks: list[int] = []
    for contact in contacts or (NOBODY,):
        first = not _written(incident, contact) and not by_hand(incident)
        fresh = _untold(incident, contact)
        if long_closed(incident, now):  # who is registered only now is not told that something is down
            fresh = NOTHING_OWED
        elif incident.recovered is not None and not first:  # the recovery tells of these
            fresh = _Owed(lamps=fresh.lamps)
        if fresh.checks or fresh.lamps:
            at = _gathered(incident, fresh) if first else _written(incident, contact) + BETWEEN_UPDATES
            longest = GATHER if first else BETWEEN_UPDATES
            if now < at <= now + longest:  # later than that it can be only if the clock was set back
                looks.append(at)
            elif contact.email or first:
                due.append(_mail(contact, fresh, now, first=first))
        due.extend(_recovery(incident, contact, now))
    return Decision(tuple(due), min(looks, default=None))


NOTHING_OWED = _Owed()


def queued_event(incident: Incident, due: Due, now: int) -> IncidentEvent:
    """Return the event that a mail is written: not before a lamp of which it tells, should the clock be set back."""
    ends = (incident.lamps_normal if due.mailing is Mailing.REPAIRED else None,)
    moments = (*ends, *(lamp.at for name, lamp in incident.lamps.items() if name in due.lamps))
    at = max(now, *(moment or 0 for moment in moments))
    told = [f"check/{check}@{outage.down_since}" for check, outage in due.outages.items()]
    told += [f"lamp/{incident.lamps[name].lamp}" for name in due.lamps]
    data = {"mail": due.mailing.value, "covers": " ".join(dict.fromkeys(told))}
    return IncidentEvent(incident.id, What.QUEUED, at, recipient(due.contact), MappingProxyType(data))


def dropped_event(incident: str, mailing: str, to: str, now: int) -> IncidentEvent:
    """Return the event that a mail was taken out of the outbox, since what it said was true no longer."""
    return IncidentEvent(incident, What.DROPPED, now, to, MappingProxyType({"mail": mailing}))


def told_event(incident: str, mailing: str, contact: Contact, now: int) -> IncidentEvent:
    """Return the event that a mail was handed over to the mail server."""
    name = f"{contact.name} <{contact.email}>" if contact.name else contact.email
    data = {"by": "mail", "mail": mailing, "to": contact.email}
    return IncidentEvent(incident, What.TOLD, now, name, MappingProxyType(data))


def recipient(contact: Contact) -> str:
    """Return what a contact is known by: its address, else its number."""
    return contact.email or contact.phone


def by_hand(incident: Incident) -> Told | None:
    """Return the last time that a person told the customer."""
    return next((told for told in reversed(incident.told) if not told.mail), None)


def long_closed(incident: Incident, now: int) -> bool:
    """Tell whether an incident is over for so long that it can be joined no more."""
    return incident.closed is not None and now - incident.closed > REJOIN


def unalerted(incident: Incident, now: int) -> Iterator[str]:
    """Give what no alert came of (subjects as of ALERTED), and the last resort is for.

    That is a check whose outage reached the limit, and a lamp that is critical.
    """
    if incident.withdrawn or long_closed(incident, now):
        return
    told = by_hand(incident)
    for check in incident.outages:
        owed = incident.owed(check)
        if owed and owed.alerted is None and not (told and told.at >= (owed.limit_reached or 0)):
            yield f"check/{check}"
    if incident.lamps_normal is None:
        lamps = (lamp for lamp in incident.lamps.values() if lamp.critical and not lamp.alerted)
        yield from dict.fromkeys(f"lamp/{lamp.lamp}" for lamp in lamps if not (told and told.at >= lamp.at))


def _owed(incident: Incident) -> _Owed:
    # the last one whose alert came: a later one that waits for its alert is told when that comes
    checks = {
        check: next((each for each in reversed(outages) if each.limit_reached and each.alerted), None)
        for check, outages in incident.outages.items()
    }
    return _Owed(
        {check: outage for check, outage in checks.items() if outage},
        {name: lamp for name, lamp in incident.lamps.items() if lamp.critical and lamp.alerted},
    )


def _untold(incident: Incident, contact: Contact) -> _Owed:
    """Return what a contact has to be told of and is not: neither by a mail that was written nor by a person."""
    known = [queued for queued in incident.queued if queued.to == recipient(contact)]
    hand = by_hand(incident)

    def by_person(since: int | None) -> bool:
        return hand is not None and hand.at >= (since or 0)

    def check_told(name: str, outage: Outage) -> bool:
        return by_person(outage.limit_reached) or _names(known, incident, name, outage)

    def lamp_told(lamp: AbnormalLamp) -> bool:
        mailed = any(f"lamp/{lamp.lamp}" in queued.covers and queued.at >= lamp.at for queued in known)
        return mailed or by_person(lamp.at)

    owed = _owed(incident)
    return _Owed(
        {name: outage for name, outage in owed.checks.items() if not check_told(name, outage)},
        {name: lamp for name, lamp in owed.lamps.items() if not lamp_told(lamp)},
    )


def _names(mails: Iterable[Queued], incident: Incident, check: str, outage: Outage) -> bool:
    """Tell whether any of these mails told of an outage of a check, or of a later one."""
    outages = incident.outages[check]
    later = {(check, each.down_since) for each in outages[outages.index(outage) :]}
    return any(later & queued.outages for queued in mails)


def _written(incident: Incident, contact: Contact) -> int:
    """Return when the last mail to a contact was written; 0 if none was."""
    return max((queued.at for queued in incident.queued if queued.to == recipient(contact)), default=0)


def _gathered(incident: Incident, fresh: _Owed) -> int:
    """Return when the notice is due: at once (0) when all alerts that belong together are here, or not for long."""
    alerted = [outage.alerted or 0 for outage in fresh.checks.values()]
    alerted += [lamp.alerted or 0 for lamp in fresh.lamps.values()]
    begun = min((outage.down_since for outage in fresh.checks.values()), default=0)
    seen = min((lamp.at for lamp in fresh.lamps.values()), default=0)
    latest = [outages[-1] for outages in incident.outages.values()]
    missing = any(
        not outage.over and outage.alerted is None and outage.down_since - begun <= GATHER for outage in latest
    ) or any(lamp.critical and lamp.alerted is None and lamp.at - seen <= GATHER for lamp in incident.lamps.values())
    return min(alerted) + GATHER if missing else 0


def _mail(contact: Contact, fresh: _Owed, now: int, *, first: bool) -> Due:
    outages, lamps = fresh.checks, tuple(fresh.lamps)
    if not contact.email:
        return Due(Mailing.CALL, contact, f"call-{recipient(contact)}", outages, lamps)
    if first:
        return Due(Mailing.NOTICE if outages else Mailing.HARDWARE, contact, Mailing.NOTICE.value, outages, lamps)
    return Due(Mailing.UPDATE, contact, f"update-{now}", outages, lamps)


def _recovery(incident: Incident, contact: Contact, now: int) -> Iterator[Due]:
    if not contact.email or (incident.recovered is None and incident.lamps_normal is None):
        return
    before = [queued for queued in incident.queued if queued.to == contact.email]
    said = [queued for queued in before if queued.mail in (Mailing.RECOVERY, Mailing.REPAIRED)]
    hand = None if long_closed(incident, now) else by_hand(incident)
    by_name = hand is not None and bool(contact.name) and hand.contact == contact.name
    ours = {mailing.value for mailing in Mailing}
    arrived = by_name or any(told.to == contact.email and told.mail in ours for told in incident.told)

    def repair_told(lamp: AbnormalLamp) -> bool:
        return any(
            f"lamp/{lamp.lamp}" in queued.covers and queued.at >= (incident.lamps_normal or 0) for queued in said
        )

    told_of = {subject for queued in before for subject in queued.covers}
    owed = {check: incident.owed(check) for check in incident.outages} if incident.recovered is not None else {}
    ended = {
        check: outage
        for check, outage in owed.items()
        if outage and incident.outages[check][-1].up_since and not _names(said, incident, check, outage)
    }
    lamps = tuple(
        name
        for name, lamp in incident.lamps.items()
        if incident.lamps_normal is not None
        and lamp.critical
        and (by_name or f"lamp/{lamp.lamp}" in told_of)
        and not repair_told(lamp)
    )
    if not arrived or not (ended or lamps):
        return
    mailing = Mailing.RECOVERY if ended else Mailing.REPAIRED
    at = max(incident.recovered or 0, incident.lamps_normal or 0)
    yield Due(mailing, contact, f"{mailing}-{at}", ended, lamps)
