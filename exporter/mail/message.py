"""Mails on the wire (RFC 5322): headers that nothing can be smuggled into, and threads that mail programs can follow.

A mail has one Message-ID, made of what it is: the same notice to the same contact has the same one, however often it is
written. Everything that is said of an incident to a contact refers to the first mail about it (RFC 5322 §3.6.4).
"""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from zoneinfo import ZoneInfo

from exporter.clock import SECOND
from exporter.inventory import Contact, Language, Mail, Provider
from exporter.mail.templates import Letter, one_line

ROOT = "notice"
"""The event that begins an incident's thread."""

LONGEST_NAME = 100
"""Characters of a name in an address."""


@dataclass(frozen=True, slots=True)
class Occasion:
    """Why a mail is written: an event of an incident, at a time (Unix time in ms)."""

    incident: str
    event: str
    """``notice``, ``report``; with its time where there can be several: ``update-1764061200000``."""
    at: int


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail as it lies in the outbox. Its bytes are kept, so that a second copy is the same as the first."""

    message_id: str
    at: int
    incident: str
    kind: str
    """A `Mailing`, or ``report`` and the like."""
    contact: str
    """The name; empty where the contact has none."""
    recipient: str
    sender: str
    message: bytes
    since: int = 0
    """When it became due by the contract: the notice's minute 10. 0 where there is no such moment."""


def message_id(incident: str, event: str, contact: str, sender: str) -> str:
    """Return the Message-ID of an event for a contact (its mail address)."""
    # names may hold what a Message-ID may not (RFC 5322 §3.6.4), so it is made of their digest
    digest = hashlib.sha256(f"{incident}\0{event}\0{contact}".encode()).hexdigest()[:40]
    return f"<{digest}@{sender.rpartition('@')[2]}>"


def compose(
    letter: Letter,
    occasion: Occasion,
    contact: Contact,
    *,
    mail: Mail,
    provider: Provider,
    language: Language,
    zone: ZoneInfo,
    by_hand: bool = False,
) -> EmailMessage:
    """Return the mail with its headers and both of its parts. The same arguments give the same headers.

    ``by_hand`` says that a person has it sent.
    """
    # RFC 6532 only where it is needed: not every server takes it
    message = EmailMessage(policy.SMTP.clone(utf8=not (contact.email + mail.sender).isascii()))
    message["From"] = _address(provider.name, mail.sender)
    message["To"] = _address(contact.name, contact.email)
    if provider.email and provider.email != mail.sender:
        message["Reply-To"] = _address(provider.name, provider.email)
    message["Subject"] = letter.subject
    message["Date"] = datetime.fromtimestamp(occasion.at // SECOND, UTC).astimezone(zone)
    message["Message-ID"] = message_id(occasion.incident, occasion.event, contact.email, mail.sender)
    if occasion.event != ROOT:
        root = message_id(occasion.incident, ROOT, contact.email, mail.sender)
        message["In-Reply-To"] = root
        message["References"] = root
    if not by_hand:
        # RFC 3834 §5: answering machines leave such mail alone. It MUST NOT stand on what a person sends, and who sends
        # a report wants to know that its reader is away.
        message["Auto-Submitted"] = "auto-generated"
    message["Content-Language"] = language
    message.set_content(letter.text)
    message.add_alternative(letter.html, subtype="html")
    return message


def _address(name: str, address: str) -> Address:
    local, _, domain = address.rpartition("@")
    return Address(one_line(name, LONGEST_NAME), local, domain)
