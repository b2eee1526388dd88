"""What a mail is about, as its template sees it. Times are Unix time in ms; filters of the template say them."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from exporter.contract.incidents import AbnormalLamp, Incident, Outage
from exporter.inventory import Contact, Customer, Provider


@dataclass(frozen=True, slots=True)
class Service:
    """One outage of a check."""

    name: str
    protocol: str
    down_since: int
    last_good: int = 0
    """The start of the last success before; 0 where it is not known."""
    up_since: int = 0
    """0 while it is down."""
    reason: str = ""
    """What the last failed attempt told: a reason of the closed set."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the hardware whose lamp is critical."""

    lamp: str
    component: str
    seen: int


@dataclass(frozen=True, slots=True)
class Case:
    """An incident as one contact of its customer is told of it."""

    incident: str
    """What the incident is called, so that people can refer to it."""
    server: str
    customer: Customer
    contact: Contact
    provider: Provider
    services: Sequence[Service] = ()
    parts: Sequence[Part] = ()
    recovered: int = 0
    """When the last of the services was up again; 0 until then."""
    lamps_normal: int = 0
    """When the server's lamps were seen to be normal after that; 0 until then."""
    managed: bool = True
    """Whether we log in and restart; without the managed contract a reboot is forced when the customer asks."""

    @property
    def down_since(self) -> int:
        """Return when the first of the services was seen to fail."""
        return min((service.down_since for service in self.services), default=0)

    @property
    def last_good(self) -> int:
        """Return when the service that failed first was seen to work last; 0 where it is not known."""
        first = min(self.services, key=lambda service: service.down_since, default=None)
        return first.last_good if first else 0

    @property
    def seen(self) -> int:
        """Return when the first of the parts was read as critical."""
        return min((part.seen for part in self.parts), default=0)


def services(incident: Incident, outages: Mapping[str, Outage], protocols: Mapping[str, str]) -> Iterator[Service]:
    """Give the outage of each check that is told of. ``protocols`` are those of the inventory now.

    A check that was up since and failed again is as its last outage has it: to its user it is one outage.
    """
    for check, outage in outages.items():
        last = incident.outages[check][-1]
        reason = last.observations[-1].reason if last.observations else ""
        yield Service(check, protocols.get(check, ""), outage.down_since, outage.last_good, last.up_since or 0, reason)


def parts(incident: Incident, names: Sequence[str]) -> Iterator[Part]:
    """Give the lamps (``source/component``) that are named."""
    for name in names:
        lamp: AbnormalLamp = incident.lamps[name]
        yield Part(lamp.lamp, name.partition("/")[2], lamp.at)
