"""What the configuration says, typed and frozen: the values that the rest of the exporter works with.

`exporter.config` makes these from the YAML files; nothing here reads files. Durations and times are whole milliseconds.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from collectors.registry import AddressFamily, Options
from exporter.clock import DAY, MINUTE, SECOND

Language = Literal["ja", "en"]
CheckKey = tuple[str, str]
"""The identity of a check: (server, name)."""
SourceKey = tuple[str, str]
"""The identity of a lamp source: (server, source label)."""
Scope = tuple[str, str, str]
"""What a maintenance window is for: (server, customer, site), one of them set."""


RETENTION = 3 * 366 * DAY
"""Three years, whichever of them are leap years."""


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or desk that is told. At least one of ``email`` and ``phone`` is set."""

    name: str
    email: str = ""
    phone: str = ""


@dataclass(frozen=True, slots=True)
class Customer:
    """Who leases servers."""

    id: str
    name: str
    language: Language = "ja"
    managed: bool = False
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Timing:
    """When a check runs. Shared by all checks that say the same."""

    interval: int = 10 * MINUTE
    recheck_interval: int = 1 * MINUTE
    outage_notice_after: int = 10 * MINUTE
    timeout: int = 10 * SECOND


@dataclass(frozen=True, slots=True)
class Check:
    """One service check on one server."""

    server: str
    name: str
    protocol: str
    address: str
    """Where connections go: IP address or name."""
    hostname: str
    """The name expected in certificates; empty where none is known."""
    options: Options
    timing: Timing
    credential: str = ""
    address_family: AddressFamily = "any"
    """Which addresses of a name are meant."""
    source_address: str = ""
    """The address of this host that its connections come from; empty for any."""

    @property
    def key(self) -> CheckKey:
        """The check's identity."""
        return (self.server, self.name)


@dataclass(frozen=True, slots=True)
class LampSourceEntry:
    """One way to read a server's lamps.

    ``source`` is the metric label: the kind, numbered from the second of a kind on (``ipmi``, ``ipmi-2``).
    """

    server: str
    source: str
    kind: str
    options: Options
    credential: str = ""

    @property
    def key(self) -> SourceKey:
        """The source's identity."""
        return (self.server, self.source)


@dataclass(frozen=True, slots=True)
class Server:
    """A leased physical machine."""

    name: str
    customer: str
    managed: bool
    address: str
    hostname: str = ""
    power_expected: bool = True
    os: str = ""
    site: str = ""
    rack: str = ""
    login_check: str = ""
    lamps: tuple[LampSourceEntry, ...] = ()
    checks: tuple[Check, ...] = ()

    def within(self, scopes: Set[Scope]) -> bool:
        """Tell whether one of the scopes has the server in it."""
        return not scopes.isdisjoint(((self.name, "", ""), ("", self.customer, ""), ("", "", self.site)))


@dataclass(frozen=True, slots=True)
class SecretSource:
    """Where one secret comes from: a file (re-read when it changes) or an environment variable."""

    file: Path | None = None
    env: str = ""


@dataclass(frozen=True, slots=True)
class CredentialEntry:
    """A named credential: plain values (``username``, ``auth_protocol`` ...) and where its secrets are."""

    name: str
    values: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, SecretSource] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VantageAddress:
    """An address that answers as long as our own uplink is up."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Business hours (minutes since midnight) and exceptions, in the global time zone."""

    hours: tuple[tuple[int, int], ...] = ((600, 720), (780, 1020))
    closed: tuple[str, ...] = ("12-29/01-03",)
    open: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MaintenanceWindow:
    """A maintenance window of one server, customer or site; Unix time in ms, end exclusive."""

    start: int
    end: int
    reason: str
    server: str = ""
    customer: str = ""
    site: str = ""

    @property
    def scope(self) -> Scope:
        """What it is for."""
        return (self.server, self.customer, self.site)


@dataclass(frozen=True, slots=True)
class Settings:
    """The ``global`` section."""

    timezone: str = "Asia/Tokyo"
    timing: Timing = Timing()
    lamp_interval: int = DAY
    lamp_recheck_interval: int = 10 * MINUTE
    calendar: Calendar = Calendar()
    vantage: tuple[VantageAddress, ...] = ()
    external_url: str = ""
    notices: Literal["alertmanager", "ledger"] = "ledger"
    retention: int = RETENTION
    """For how long the ledger keeps what is over, ms."""


@dataclass(frozen=True, slots=True)
class Noc:
    """Our own staff."""

    language: Language = "ja"
    contacts: tuple[Contact, ...] = ()


@dataclass(frozen=True, slots=True)
class Provider:
    """How mails are signed."""

    name: str = ""
    phone: str = ""
    email: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """How mail leaves."""

    host: str
    port: int
    sender: str
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    credential: str = ""
    ca_file: Path | None = None
    """Who vouches for the server's certificate; the system's authorities where None."""
    templates: Path | None = None
    """The operator's folder of templates."""


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Where Alertmanager is, what we show its API, and how it proves to our webhook who it is."""

    urls: tuple[str, ...] = ()
    webhook_credential: str = ""
    webhook_cert_file: Path | None = None
    """This and the next two are Alertmanager's to read, not ours."""
    webhook_key_file: Path | None = None
    webhook_ca_file: Path | None = None
    """Who vouches for the certificate of our web server; the system's authorities where None."""
    credential: str = ""
    ca_file: Path | None = None
    """Who vouches for the certificates of its API; the system's authorities where None."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Config:
    """A whole valid configuration."""

    settings: Settings = Settings()
    noc: Noc = Noc()
    provider: Provider = Provider()
    mail: Mail | None = None
    alertmanager: Alertmanager = Alertmanager()
    traps_listen: str = ""
    maintenance: tuple[MaintenanceWindow, ...] = ()
    credentials: Mapping[str, CredentialEntry] = field(default_factory=dict)
    customers: Mapping[str, Customer] = field(default_factory=dict)
    servers: Mapping[str, Server] = field(default_factory=dict)

    @property
    def tells_customers(self) -> bool:
        """Tell whether it is the exporter who mails customers."""
        return self.settings.notices == "ledger" and self.mail is not None

    def checks(self) -> Iterator[Check]:
        """Iterate over all checks."""
        for server in self.servers.values():
            yield from server.checks

    def sources(self) -> Iterator[LampSourceEntry]:
        """Iterate over all lamp sources."""
        for server in self.servers.values():
            yield from server.lamps
