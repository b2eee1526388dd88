"""The configuration as it is written: closed, frozen models, one per section.

`exporter.config.load` turns them into the values of `exporter.inventory`. Keys and defaults are described in
docs/configuration.md.
"""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from exporter.clock import DAY, MINUTE, SECOND
from exporter.config.values import (
    AddressOrNone,
    Days,
    Duration,
    Email,
    EmailOrNone,
    FilePath,
    Host,
    HostPort,
    Hours,
    Line,
    Listen,
    LongDuration,
    Name,
    PhoneOrNone,
    Switch,
    Timezone,
    Url,
    UrlOrNone,
    Variable,
    When,
)
from exporter.inventory import RETENTION

Language = Literal["ja", "en"]
Family = Literal["any", "ipv4", "ipv6", "both"]


class Section(BaseModel):
    """A mapping of the file. Unknown keys are refused; a key with nothing after it counts as not given."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True, hide_input_in_errors=True)

    placeholders: ClassVar[dict[str, str]] = {}
    """Stand-ins for what is missing or wrong, so that the rest is judged all the same."""

    @classmethod
    def written(cls) -> dict[str, str]:
        """Return the keys as they are written, with the fields they set."""
        return {info.alias or name: name for name, info in cls.model_fields.items()}

    @model_validator(mode="before")
    @classmethod
    def _without_empty(cls, raw: Any) -> Any:
        if isinstance(raw, dict) and None in raw.values():
            keys = cls.written()
            return {key: value for key, value in raw.items() if value is not None or key not in keys}
        return raw


class CalendarSection(Section):
    """Business hours."""

    hours: tuple[Hours, ...] = ((600, 720), (780, 1020))
    closed: tuple[Days, ...] = ("12-29/01-03",)
    open: tuple[Days, ...] = ()


class VantageSection(Section):
    """An address that answers as long as our own uplink is up."""

    tcp: HostPort


class GlobalSection(Section):
    """What holds for everything that does not say otherwise."""

    timezone: Timezone = "Asia/Tokyo"
    interval: Duration = 10 * MINUTE
    recheck_interval: Duration = 1 * MINUTE
    outage_notice_after: Duration = 10 * MINUTE
    timeout: Duration = 10 * SECOND
    lamp_interval: Duration = 1 * DAY
    lamp_recheck_interval: Duration = 10 * MINUTE
    calendar: CalendarSection = CalendarSection()
    vantage: tuple[VantageSection, ...] = ()
    external_url: UrlOrNone = ""
    notices: Literal["alertmanager", "ledger"] = "ledger"
    retention: LongDuration = RETENTION


class ContactSection(Section):
    """A person or desk that is told."""

    name: Line
    email: EmailOrNone = ""
    phone: PhoneOrNone = ""

    @model_validator(mode="after")
    def _reachable(self) -> "ContactSection":
        if not self.email and not self.phone:
            raise ValueError("has neither email nor phone: add one, or remove the contact")
        return self


class NocSection(Section):
    """Our own staff."""

    language: Language = "ja"
    contacts: tuple[ContactSection, ...] = ()


class ProviderSection(Section):
    """How mails are signed."""

    name: Line = ""
    phone: PhoneOrNone = ""
    email: EmailOrNone = ""


class MailSection(Section):
    """How mail leaves."""

    smarthost: HostPort
    sender: Email = Field(alias="from")
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    credential: Name = ""
    ca_file: FilePath = None
    templates: FilePath = None


class AlertmanagerSection(Section):
    """Where Alertmanager is, what we show its API, and what it shows our webhook."""

    urls: tuple[Url, ...] = ()
    webhook_credential: Name = ""
    credential: Name = ""
    ca_file: FilePath = None
    webhook_cert_file: FilePath = None
    webhook_key_file: FilePath = None
    webhook_ca_file: FilePath = None

    @model_validator(mode="after")
    def _whole(self) -> "AlertmanagerSection":
        if bool(self.webhook_cert_file) != bool(self.webhook_key_file):
            raise ValueError("needs both of webhook_cert_file and webhook_key_file")
        return self


class TrapsSection(Section):
    """Where SNMP traps are received."""

    listen: Listen = ""


class MaintenanceSection(Section):
    """A maintenance window of one server, customer or site."""

    server: Name = ""
    customer: Name = ""
    site: Line = ""
    start: When = Field(alias="from")
    end: When = Field(alias="to")
    reason: Line = ""

    @model_validator(mode="after")
    def _one_scope(self) -> "MaintenanceSection":
        if sum(map(bool, (self.server, self.customer, self.site))) != 1:
            raise ValueError("needs exactly one of server, customer and site")
        return self


SECRETS = ("password", "community", "auth_password", "priv_password", "token", "private_key")
"""What is never written into the file: ``NAME_file`` or ``NAME_env`` says where it is."""


class CredentialSection(Section):
    """A named credential: plain values, and where its secrets are."""

    username: Line = ""
    auth_protocol: Literal["MD5", "SHA-1", "SHA-224", "SHA-256", "SHA-384", "SHA-512"] | None = None
    priv_protocol: Literal["DES", "AES-128", "AES-192", "AES-256"] | None = None
    password_file: FilePath = None
    password_env: Variable = ""
    community_file: FilePath = None
    community_env: Variable = ""
    auth_password_file: FilePath = None
    auth_password_env: Variable = ""
    priv_password_file: FilePath = None
    priv_password_env: Variable = ""
    token_file: FilePath = None
    token_env: Variable = ""
    private_key_file: FilePath = None
    private_key_env: Variable = ""

    @model_validator(mode="after")
    def _consistent(self) -> "CredentialSection":
        for name in SECRETS:
            if getattr(self, f"{name}_file") and getattr(self, f"{name}_env"):
                raise ValueError(f"has both {name}_file and {name}_env: keep one of them")
        for name in ("auth", "priv"):
            secret = getattr(self, f"{name}_password_file") or getattr(self, f"{name}_password_env")
            if bool(secret) != bool(getattr(self, f"{name}_protocol")):
                raise ValueError(f"needs both of {name}_protocol and {name}_password_file (or _env)")
        if self.priv_protocol and not self.auth_protocol:
            raise ValueError("has priv_protocol without auth_protocol: SNMPv3 encrypts only what it authenticates")
        return self


class CustomerSection(Section):
    """Who leases servers."""

    id: Name
    name: Line
    language: Language = "ja"
    managed: bool = False
    contacts: tuple[ContactSection, ...] = ()


class ServerSection(Section):
    """A leased physical machine. Its lamps and services are validated one by one."""

    placeholders: ClassVar[dict[str, str]] = {"name": "server", "customer": "customer", "address": "server.invalid"}

    name: Name
    customer: Name
    managed: bool | None = None
    address: Host
    hostname: Host = ""
    power: Annotated[Literal["on", "off"], Switch] = "on"
    os: Line = ""
    site: Line = ""
    rack: Line = ""
    login_check: Name = ""
    lamps: list[Any] = []
    services: list[Any] = []


class ServiceSection(Section):
    """What every service check can say beside the options of its protocol."""

    protocol: str
    name: Name = ""
    credential: Name = ""
    address: Host = ""
    hostname: Host = ""
    address_family: Family = "any"
    source_address: AddressOrNone = ""
    interval: Duration | None = None
    recheck_interval: Duration | None = None
    timeout: Duration | None = None


class LampSection(Section):
    """What every lamp source can say beside the options of its kind."""

    source: str
    credential: Name


MAIN: dict[str, type[Section]] = {
    "global": GlobalSection,
    "noc": NocSection,
    "provider": ProviderSection,
    "mail": MailSection,
    "alertmanager": AlertmanagerSection,
    "traps": TrapsSection,
}
"""The sections that only the main file has."""

SHARED = ("customers", "servers", "credentials", "maintenance")
"""The sections that included files may have too."""
