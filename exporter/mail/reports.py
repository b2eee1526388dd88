"""Writes the report of an incident, and the interim one, to a contact of its customer."""

from zoneinfo import ZoneInfo

from exporter.contract.incidents import Incident
from exporter.contract.report import REPORT, drafted
from exporter.inventory import Config, Contact, Customer, Language
from exporter.mail.facts import Case
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
