"""Writes the report of an incident, and the interim one, to a contact of its customer."""

from collections.abc import Iterator, Mapping
from email import message_from_bytes, policy
from zoneinfo import ZoneInfo

from exporter.contract.incidents import Incident, IncidentEvent, Value
from exporter.contract.report import INTERIM, REPORT, drafted, handed_over_events
from exporter.inventory import Config, Contact, Customer, Language
from exporter.mail.facts import Case
from exporter.mail.message import Occasion, Outgoing, compose
from exporter.mail.templates import Letter, Templates

NOBODY = Contact("")
"""Stands for the contact that a customer does not have: the report is addressed to the customer alone."""


def customer_of(config: Config, incident: Incident) -> Customer:
    """Return the customer of an incident, also one that the inventory has no longer."""
    return config.customers.get(incident.customer) or Customer(incident.customer, incident.customer)


def addressee(customer: Customer) -> Contact:
    """Return the contact to whom a report is addressed that is read before it is sent."""
    return next((contact for contact in customer.contacts if contact.email), (*customer.contacts, NOBODY)[0])


def report_letter(
    config: Config, incident: Incident, contact: Contact, *, name: str = REPORT, language: Language | None = None
) -> Letter:
    """Return the report, or what else of it is called ``name``, as it is now. ``language`` is the customer's."""
    customer = customer_of(config, incident)
    server = config.servers.get(incident.server)
    protocols = {check.name: check.protocol for check in server.checks} if server else {}
    case = Case(incident.id, incident.server, customer, contact, config.provider)
    templates = Templates(ZoneInfo(config.settings.timezone), config.mail.templates if config.mail else None)
    return templates.render(language or customer.language, name, case=case, report=drafted(incident, protocols))


def report_mails(config: Config, incident: Incident, now: int, *, name: str = REPORT) -> Iterator[Outgoing]:
    """Give the mails with the report, or what else is called ``name``: one to each contact with an address.

    None where the exporter sends no mails (``notices: alertmanager``).
    """
    mail, customer = config.mail if config.tells_customers else None, customer_of(config, incident)
    for contact in customer.contacts if mail else ():
        if contact.email and mail:
            # with the time: one that could not be delivered can be sent again
            occasion = Occasion(incident.id, f"{name}-{now}", now)
            message = compose(
                report_letter(config, incident, contact, name=name),
                occasion,
                contact,
                mail=mail,
                provider=config.provider,
                language=customer.language,
                zone=ZoneInfo(config.settings.timezone),
                by_hand=True,
            )
            identity = str(message["Message-ID"])
            raw = message.as_bytes()
            yield Outgoing(identity, now, incident.id, name, contact.name, contact.email, mail.sender, raw)


def handed_over(mail: Outgoing, at: int) -> list[IncidentEvent]:
    """Return what it means to an incident that the mail server took a mail; nothing where it is not about a report."""
    if mail.kind not in (REPORT, INTERIM):
        return []
    contact, said = Contact(mail.contact, mail.recipient), copies(letter_of(mail))
    return handed_over_events(mail.incident, mail.kind, contact, posted=mail.at, copies=said, at=at)


def copies(letter: Letter) -> Mapping[str, Value]:
    """Return what the ledger keeps of a report that was sent."""
    return {"copy": as_text(letter), "page": letter.html}


def as_text(letter: Letter) -> str:
    """Return what a letter says, its subject first."""
    return f"{letter.subject}\n\n{letter.text}"


def letter_of(mail: Outgoing) -> Letter:
    """Return what a mail says."""
    message = message_from_bytes(mail.message, policy=policy.default)
    text, html = (
        "".join(f"{line}\n" for line in body.get_content().splitlines()) if body else ""
        for body in (message.get_body((kind,)) for kind in ("plain", "html"))
    )
    return Letter(str(message["Subject"]), text, html)
