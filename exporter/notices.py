"""Customers are told: alerts and incidents in, mails in the outbox out (``notices: ledger``).

Who is told what is decided in `exporter.contract.notices`; here mails are written, put into the ledger together with
the event that says so, and handed to the outbox.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from exporter.clock import MINUTE, SECOND, Clock
from exporter.contract.incidents import Incident, IncidentEvent, What
from exporter.contract.notices import Due, Mailing, decide, dropped_event, queued_event, told_event
from exporter.contract.report import INTERIM, REPORT
from exporter.incidents import Incidents
from exporter.inventory import Config, Contact, Customer
from exporter.ledger import Ledger, Record, incident_record, outgoing_record
from exporter.mail.courier import Result
from exporter.mail.facts import Case, parts, services
from exporter.mail.message import Occasion, Outgoing, compose
from exporter.mail.reports import handed_over
from exporter.mail.templates import Templates
from exporter.outbox import Outbox

log = logging.getLogger("notices")

TO_CUSTOMERS = frozenset({Mailing.NOTICE, Mailing.HARDWARE, Mailing.UPDATE, Mailing.RECOVERY, Mailing.REPAIRED})
REMEDIES: Mapping[str, str] = {
    REPORT: "send it again with dserver-exporter incidents send, or on paper",
    INTERIM: "tell them by phone that the report takes longer",
    **dict.fromkeys(map(str, TO_CUSTOMERS), "tell them by phone, and record it with dserver-exporter incidents told"),
}
"""What is left to do when a mail to a customer cannot be sent, by its kind."""
BETWEEN_FAILURES = 5 * MINUTE
"""The NOC gets one mail in so long about mails that are refused: a mail server may refuse a thousand at once."""
AFTER_DEFECT = MINUTE
"""An incident whose mails could not be written is looked at again so much later."""
BATCH = 100
"""Incidents whose mails go into one commit: the first of a thousand leave while the others are written."""
BREATH = 5
"""Incidents whose mails are written before the loop gets its turn: some 5 ms each."""


@dataclass(frozen=True, slots=True)
class Undelivered:
    """A mail to a customer that the mail server will not have, or that was given up."""

    mail: Outgoing
    given_up: bool
    why: str


class Notices:
    """Writes the mails of incidents. Quiet unless the configuration says ``notices: ledger``."""

    def __init__(self, *, clock: Clock, ledger: Ledger, incidents: Incidents, outbox: Outbox) -> None:
        self._clock = clock
        self._ledger = ledger
        self._incidents = incidents
        self._outbox = outbox
        self._config = Config()
        self._templates = Templates(ZoneInfo("Asia/Tokyo"))
        self._looks: dict[str, int] = {}
        """When to look at an incident again (wall ms)."""
        self._told_by_hand: set[str] = set()
        self._undelivered: list[Undelivered] = []
        self._failures_told: int | None = None
        self._wake = asyncio.Event()
        self.on_told: Callable[[str], None] = lambda _server: None
        """Called when the ledger knows that a server's customer was told."""
        outbox.on_sent = self._sent
        outbox.on_written = self._written
        outbox.on_failed = self._failed
        outbox.overtaken = self._overtaken
        outbox.on_cancelled = self._cancelled

    @property
    def active(self) -> bool:
        """Tell whether it is we who tell customers."""
        return self._config.tells_customers

    def take_over(self, config: Config) -> None:
        """Work by another configuration."""
        self._config = config
        self._templates = Templates(ZoneInfo(config.settings.timezone), config.mail.templates if config.mail else None)
        self._outbox.settings = config.mail if config.settings.notices == "ledger" else None
        for incident in self._incidents.known():
            self._looks[incident.id] = 0
        self._wake.set()

    def happened(self, events: Iterable[IncidentEvent]) -> None:
        """Take in that incidents changed."""
        for event in events:
            self._looks[event.incident] = 0
            if event.what is What.TOLD and not event.data.get("mail"):
                self._told_by_hand.add(event.incident)
        self._wake.set()

    async def work(self) -> None:
        """Write what is due, for ever."""
        while True:
            self._wake.clear()
            await self.look()
            pause = min(self._next_looks(), default=None)
            with contextlib.suppress(TimeoutError):
                left = None if pause is None else max(pause - self._clock.now().wall, 0) / SECOND + 0.05
                async with asyncio.timeout(left):
                    await self._wake.wait()

    async def look(self) -> None:
        """Write what is due now."""
        if not self.active:
            self._looks.clear()
            if self._config.settings.notices != "ledger":
                await self._outbox.cancel(lambda _: True)
            return
        if hand := frozenset(self._told_by_hand):
            self._told_by_hand.clear()
            first = {Mailing.NOTICE, Mailing.HARDWARE, Mailing.CALL}
            await self._outbox.cancel(lambda mail: mail.incident in hand and mail.kind in first)
        await self._outbox.cancel(self._overtaken)
        now = self._clock.now().wall
        due = [name for name, at in self._looks.items() if at <= now]
        for start in range(0, len(due), BATCH):
            await self._write(due[start : start + BATCH], now)
        await self._tell_failures(now)

    async def _write(self, names: Iterable[str], now: int) -> None:
        """Write the mails that are due of some incidents."""
        posted: list[Outgoing] = []
        records: list[Record] = []
        for number, name in enumerate(names, 1):
            if number % BREATH == 0:
                await asyncio.sleep(0)
            self._looks.pop(name, None)
            incident = self._incidents.get(name)
            if incident is None:
                continue
            try:
                events, mails = self._due(incident, now)
            except Exception:
                log.exception("%s: its mails could not be written", name)
                self._looks[name] = now + AFTER_DEFECT
                continue
            records += [incident_record(event) for event in self._incidents.append(events)]
            records += [outgoing_record(mail) for mail in mails]
            posted += mails
        if records:
            await self._ledger.save(records)  # where that fails it is tried again, and the mails leave all the same
        for mail in posted:
            log.info("%s: %s for %s is in the outbox", mail.incident, mail.kind, mail.recipient)
            self._outbox.post(mail)

    async def _tell_failures(self, now: int) -> None:
        """Tell the NOC of mails that cannot be sent, all of them in one mail."""
        if self._undelivered and self._failures_due() <= now:
            failures, self._undelivered = self._undelivered, []
            self._failures_told = now
            await self.tell_noc("undelivered", "outbox", failures=failures)

    def _failures_due(self) -> int:
        return 0 if self._failures_told is None else self._failures_told + BETWEEN_FAILURES

    def _next_looks(self) -> Iterator[int]:
        yield from self._looks.values()
        if self._undelivered:
            yield self._failures_due()

    async def tell_noc(self, template: str, subject: str, **facts: object) -> None:
        """Write a mail to our own staff, ``subject`` being the incident that it is about, or the alert."""
        now = self._clock.now().wall
        mails = list(self._to_noc(template, Occasion(subject, f"{template}-{now}", now), **facts))
        await self._ledger.save([outgoing_record(mail) for mail in mails])
        for mail in mails:
            self._outbox.post(mail)

    def _due(self, incident: Incident, now: int) -> tuple[list[IncidentEvent], list[Outgoing]]:
        customer = self._customer(incident.customer)
        decision = decide(incident, customer.contacts, now)
        if decision.look_again is not None:
            self._looks[incident.id] = decision.look_again
        events = [queued_event(incident, due, now) for due in decision.due]
        return events, [mail for due in decision.due for mail in self._written_for(incident, customer, due, now)]

    def _customer(self, name: str) -> Customer:
        return self._config.customers.get(name) or Customer(name, name)

    def _written_for(self, incident: Incident, customer: Customer, due: Due, now: int) -> Iterator[Outgoing]:
        server = self._config.servers.get(incident.server)
        protocols = {check.name: check.protocol for check in server.checks} if server else {}
        case = Case(
            incident.id,
            incident.server,
            customer,
            due.contact,
            self._config.provider,
            list(services(incident, due.outages, protocols)),
            list(parts(incident, due.lamps)),
            incident.recovered or 0,
            incident.lamps_normal or 0,
            managed=server is None or server.managed,
        )
        occasion = Occasion(incident.id, due.event, now)
        if due.mailing is Mailing.CALL:
            yield from self._to_noc("call", occasion, case=case)
            return
        limits = [outage.limit_reached or 0 for outage in due.outages.values()]
        since = min(limits, default=0) if due.mailing is Mailing.NOTICE else 0
        letter = self._templates.render(customer.language, due.mailing.value, case=case)
        mail = self._config.mail
        if mail is not None:
            message = compose(
                letter,
                occasion,
                due.contact,
                mail=mail,
                provider=self._config.provider,
                language=customer.language,
                zone=ZoneInfo(self._config.settings.timezone),
            )
            yield _outgoing(message, occasion, due.mailing.value, due.contact, mail.sender, since)

    def _to_noc(self, template: str, occasion: Occasion, **facts: object) -> Iterator[Outgoing]:
        noc, mail = self._config.noc, self._config.mail
        if mail is None:
            return
        letter = self._templates.render(noc.language, template, **facts)
        for contact in noc.contacts:
            if contact.email:
                message = compose(
                    letter,
                    occasion,
                    contact,
                    mail=mail,
                    provider=self._config.provider,
                    language=noc.language,
                    zone=ZoneInfo(self._config.settings.timezone),
                )
                yield _outgoing(message, occasion, template, contact, mail.sender)

    def _sent(self, mail: Outgoing, at: int) -> list[Record]:
        """Return what to write when a mail was handed over."""
        events = handed_over(mail, at)
        if mail.kind in TO_CUSTOMERS:
            events = [told_event(mail.incident, mail.kind, Contact(mail.contact, mail.recipient), at)]
        known = self._incidents.get(mail.incident) is not None
        events = self._incidents.append(events) if known else events
        self.happened(events)
        return [incident_record(event) for event in events]

    def _overtaken(self, mail: Outgoing) -> bool:
        """Tell whether a mail says that an outage is over that goes on again."""
        if mail.kind != Mailing.RECOVERY:
            return False
        incident = self._incidents.get(mail.incident)
        return incident is not None and incident.recovered is None

    def _cancelled(self, mail: Outgoing, at: int) -> list[Record]:
        """Return what to write when a mail was taken out: a recovery is owed again when the outage is over for good."""
        if not self._overtaken(mail):
            return []
        events = self._incidents.append([dropped_event(mail.incident, mail.kind, mail.recipient, at)])
        return [incident_record(event) for event in events]

    def _failed(self, mail: Outgoing, result: Result, why: str) -> None:
        """Take in that a mail was refused for good, or is given up. What is for the NOC itself it cannot be told of."""
        if remedy := REMEDIES.get(mail.kind):
            log.error("%s: %s for %s does not arrive: %s", mail.incident, mail.kind, mail.recipient, remedy)
            self._undelivered.append(Undelivered(mail, result is Result.EXPIRED, why))
            self._wake.set()

    def _written(self, mail: Outgoing) -> None:
        """Let the world know what was sent and is in the ledger."""
        if incident := self._incidents.get(mail.incident):
            self.on_told(incident.server)


def _outgoing(
    message: EmailMessage, occasion: Occasion, kind: str, contact: Contact, sender: str, since: int = 0
) -> Outgoing:
    return Outgoing(
        str(message["Message-ID"]),
        occasion.at,
        occasion.incident,
        kind,
        contact.name,
        contact.email,
        sender,
        message.as_bytes(),
        since,
    )
