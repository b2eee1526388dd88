"""Reads, validates and connects the configuration files: all mistakes at once, or a whole Config."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path as File
from stat import S_IROTH, S_ISREG
from typing import Any
from zoneinfo import ZoneInfo

from collectors.registry import AddressFamily
from exporter.clock import DAY, SECOND
from exporter.config import durations
from exporter.config.document import UnreadableError, contents, parse
from exporter.config.entries import Entries, Service, fitted
from exporter.config.parts import Part, read
from exporter.config.problems import ConfigError, Findings, Path, Problem, nearest
from exporter.config.rules import folder_of_rules, outage_limits
from exporter.config.schema import (
    SECRETS,
    AlertmanagerSection,
    ContactSection,
    CredentialSection,
    CustomerSection,
    GlobalSection,
    MailSection,
    MaintenanceSection,
    NocSection,
    ProviderSection,
    ServerSection,
    TrapsSection,
)
from exporter.config.values import NAME, ip_version, moment
from exporter.contract.businessdays import BusinessCalendar, NoBusinessDay
from exporter.inventory import (
    Alertmanager,
    Calendar,
    Check,
    Config,
    Contact,
    CredentialEntry,
    Customer,
    LampSourceEntry,
    Mail,
    MaintenanceWindow,
    Noc,
    Provider,
    SecretSource,
    Server,
    Settings,
    Timing,
    VantageAddress,
)
from exporter.mail.samples import mistakes as template_mistakes

PLAIN = ("username", "auth_protocol", "priv_protocol")
"""The keys of a credential that are no secrets."""
SHORTEST_RETENTION = 92 * DAY
"""The month that is over, the one before it, and the one that goes on."""
EPOCH = datetime.fromtimestamp(0, UTC)
NOBODY = "nobody is told of outages and abnormal lamps; add a contact with an email"
BY_PHONE = "only the NOC is told of outages and abnormal lamps, and has to phone; add a contact with an email"


def load(path: File, *, rules: File | None = None) -> tuple[Config, tuple[Problem, ...]]:
    """Read and validate the configuration at ``path`` and everything it includes.

    ``rules`` is the folder of alert rules whose limit is compared with ``outage_notice_after``; without it the folder
    beside the configuration, in the current folder or shipped with the exporter. Returns the configuration and the
    warnings. Raises ConfigError with all errors and warnings.
    """
    findings = Findings()
    config = _Loading(path, findings).config(rules)
    problems = findings.problems(_lines)
    if config is None or any(problem.severity == "error" for problem in problems):
        raise ConfigError(problems)
    return config, problems


def _lines(file: str, wanted: set[Path]) -> Mapping[Path, int]:
    try:
        return parse(contents(File(file)), wanted).lines
    except UnreadableError:
        return {}


class _Loading:
    """One reading of the configuration."""

    def __init__(self, path: File, findings: Findings) -> None:
        self._path = path
        self._findings = findings
        self._whole = True
        """Whether every file could be read: references into an unread file are not judged."""
        self._customers: dict[str, Customer] = {}
        self._credentials: dict[str, CredentialEntry] = {}
        self._servers: dict[str, Server] = {}
        self._places: dict[tuple[str, str], tuple[str, Path]] = {}
        """Where each name of a kind was first given."""
        self._texts: dict[str, str] = {}
        self._files_seen: set[File] = set()

    def config(self, rules: File | None) -> Config | None:
        """Return what the files say; only worth something where nothing was found to be wrong."""
        parts, self._whole = read(self._path, self._findings)
        if not parts:
            return None
        main = parts[0]
        settings = self._settings(main)
        self._check_rules(main, settings, rules)
        for part in parts:
            self._read_credentials(part)
            self._read_customers(part)
        entries = Entries(settings.timing, self._credentials if self._whole else None)
        for part in parts:
            for path, raw in part.items("servers"):
                self._read_server(part, path, raw, entries)
        if self._whole and main.sections and not any(part.sections.get("servers") for part in parts):
            main.warn((), "has no servers: nothing is watched; add them under servers")
        alertmanager = main.one("alertmanager", AlertmanagerSection)
        for key in ("webhook_credential", "credential"):
            self._check_login(main, ("alertmanager", key), getattr(alertmanager, key))
        if alertmanager.ca_file:
            self._check_file(main, ("alertmanager", "ca_file"), alertmanager.ca_file)
        noc = self._noc(main)
        if settings.notices == "ledger":
            self._check_ledger(main, noc, settings, alertmanager)
        return Config(
            settings=settings,
            noc=noc,
            provider=Provider(**main.one("provider", ProviderSection).model_dump()),
            mail=self._mail(main),
            alertmanager=Alertmanager(**alertmanager.model_dump()),
            traps_listen=main.one("traps", TrapsSection).listen,
            maintenance=tuple(self._windows(parts, ZoneInfo(settings.timezone))),
            credentials=self._credentials,
            customers=self._customers,
            servers=self._servers,
        )

    def _first(self, part: Part, path: Path, kind: str, name: str) -> bool:
        """Tell whether the name of a kind is new; report it otherwise."""
        other = self._places.setdefault((kind, name), (part.file, path))
        if other == (part.file, path):
            return True
        part.error(path, f"is already the name of another {kind}: change one of them", see=other)
        return False

    def _settings(self, main: Part) -> Settings:
        section = main.one("global", GlobalSection)
        timing = Timing(section.interval, section.recheck_interval, section.outage_notice_after, section.timeout)
        timing, doubts = fitted(timing, section.model_fields_set)
        for path, message in doubts:
            main.warn(("global", *path), message)
        lamp_recheck_interval = min(section.lamp_recheck_interval, section.lamp_interval)
        if (
            lamp_recheck_interval < section.lamp_recheck_interval
            and "lamp_recheck_interval" in section.model_fields_set
        ):
            message = "is longer than lamp_interval: abnormal lamps are read as often as normal ones"
            main.warn(("global", "lamp_recheck_interval"), message)
        if section.retention < SHORTEST_RETENTION:
            message = (
                f"is {durations.text(section.retention)}, and {durations.text(SHORTEST_RETENTION)} are the least: "
                "the availability of last month, and a report that takes long, need what happened"
            )
            main.error(("global", "retention"), message)
        calendar = Calendar(section.calendar.hours, section.calendar.closed, section.calendar.open)
        try:
            BusinessCalendar(calendar, ZoneInfo(section.timezone)).verify()
        except NoBusinessDay as error:
            main.error(("global", "calendar"), f"{error}: no report would ever be due")
        return Settings(
            timezone=section.timezone,
            timing=timing,
            lamp_interval=section.lamp_interval,
            lamp_recheck_interval=lamp_recheck_interval,
            calendar=calendar,
            vantage=tuple(VantageAddress(*entry.tcp) for entry in section.vantage),
            external_url=section.external_url,
            notices=section.notices,
            retention=section.retention,
        )

    def _check_rules(self, main: Part, settings: Settings, rules: File | None) -> None:
        folder = rules or folder_of_rules(self._path)
        if folder is None:
            return
        if not folder.is_dir():
            main.warn((), f"the folder of alert rules, {folder}, does not exist: no limit was compared")
            return
        ours = settings.timing.outage_notice_after
        try:
            for file, seconds in outage_limits(folder):
                if seconds * SECOND != ours:
                    message = (
                        f"is {durations.text(ours)}, but the alert ServiceOutage in {file} fires after {seconds:g} s: "
                        "make both the same"
                    )
                    main.warn(("global", "outage_notice_after"), message)
        except UnreadableError as error:
            main.warn((), f"the alert rules could not be compared: {error}")

    def _noc(self, main: Part) -> Noc:
        section = main.one("noc", NocSection)
        noc = Noc(section.language, _contacts(section.contacts))
        if main.sections.keys() & {"noc", "mail"} and not any(contact.email for contact in noc.contacts):
            main.warn(("noc",), f"has no contact with an email: {NOBODY}")
        return noc

    def _mail(self, main: Part) -> Mail | None:
        if main.sections.get("mail") is None:
            return None
        section = main.section(("mail",), MailSection, main.sections["mail"])
        if section is None:
            return None
        self._check_login(main, ("mail", "credential"), section.credential)
        if section.ca_file:
            self._check_file(main, ("mail", "ca_file"), section.ca_file)
        if section.templates:
            self._check_templates(main, ("mail", "templates"), section.templates)
        tls, credential = section.tls, section.credential
        return Mail(*section.smarthost, section.sender, tls, credential, section.ca_file, section.templates)

    def _check_templates(self, main: Part, path: Path, folder: File) -> None:
        if not folder.is_dir():
            main.error(path, f"is not a folder; relative paths start at the folder of {main.name}")
            return
        for mistake in template_mistakes(folder):
            main.error(path, mistake)

    def _check_ledger(self, main: Part, noc: Noc, settings: Settings, alertmanager: AlertmanagerSection) -> None:
        """Look for what the exporter needs to tell customers itself."""
        path = ("global", "notices")
        raw = main.sections.get("global")
        said = isinstance(raw, dict) and raw.get("notices") == "ledger"
        reachable = any(contact.email for contact in noc.contacts)

        def lacks(what: str) -> None:
            without = "ledger" if said else "is ledger where nothing else is said, which"
            otherwise = "" if said else ", or say notices: alertmanager, and Alertmanager goes on mailing customers"
            main.error(path, f"{without} needs {what}{otherwise}")

        if main.sections.get("mail") is None:
            if said:
                lacks("the section mail, by which notices leave: add smarthost and from")
            elif reachable:
                main.warn((), "has no section mail: nobody is told of anything by mail; add smarthost and from")
            return
        if not reachable:
            lacks("a contact with an email under noc, whom we tell when the chain is broken: add one")
        name = alertmanager.webhook_credential
        credential = self._credentials.get(name)
        if (not name and not alertmanager.webhook_cert_file) or (name and credential is None and self._whole):
            lacks(
                "what Alertmanager shows our webhook: add alertmanager.webhook_credential, the name of a credential, "
                "or webhook_cert_file and webhook_key_file"
            )
        elif credential is not None and not {"password", "token"} & credential.secrets.keys():
            main.error(
                ("credentials", name), "alertmanager.webhook_credential names it: add token_file or password_file"
            )
        if alertmanager.webhook_cert_file and not settings.external_url.startswith("https:"):
            message = "certificates are shown over TLS only: give global.external_url, with https, and serve it so"
            main.error(("alertmanager", "webhook_cert_file"), message)
        if not alertmanager.urls:
            message = "with ledger, Alertmanager is asked whether a missing alert was suppressed: add alertmanager.urls"
            main.warn(path, message)

    def _check_login(self, main: Part, path: Path, name: str) -> None:
        # a warning: monitoring works without it
        if name and self._whole and name not in self._credentials:
            remedy = nearest(name, self._credentials)
            main.warn(path, f"is not the name of a credential: what needs it will fail; {remedy}")

    # credentials and customers

    def _read_credentials(self, part: Part) -> None:
        raw = part.sections.get("credentials")
        if raw is not None and not isinstance(raw, dict):
            part.error(("credentials",), "must be a mapping: each credential's name, then its keys")
            return
        for name, value in (raw or {}).items():
            path = ("credentials", name)
            if not NAME.fullmatch(name):
                part.error(("credentials",), "has a name that is none: letters, digits and . _ - : @ +")
                continue
            section = part.section(path, CredentialSection, value)
            first = self._first(part, path, "credential", name)
            if section is None or not first:
                self._credentials.setdefault(name, CredentialEntry(name))
                continue
            self._credentials[name] = entry = _credential(name, section)
            for secret, source in entry.secrets.items():
                if source.file:
                    self._check_secret_file(part, (*path, f"{secret}_file"), source.file)
                elif source.env not in os.environ:
                    message = "this environment variable is not set here: set it for the exporter's service"
                    part.warn((*path, f"{secret}_env"), message)

    def _check_secret_file(self, part: Part, path: Path, file: File) -> None:
        # the name is not shown: it might be the secret itself
        try:
            status = file.stat()
        except FileNotFoundError:
            message = f"this file does not exist; relative paths start at the folder of {part.name}"
        except (OSError, ValueError):
            message = "this file cannot be reached: look at the permissions of its folders"
        else:
            if not S_ISREG(status.st_mode):
                message = "this is not a file: name a file that has the secret as its only line"
            elif not os.access(file, os.R_OK):
                message = "this file cannot be read: give the exporter's user permission to read it"
            elif status.st_mode & S_IROTH:
                message = "everybody on this host may read this file: chmod o-r"
            elif not status.st_size:
                message = "this file is empty: write the secret into it"
            else:
                return
        part.warn(path, message)

    def _check_file(self, part: Part, path: Path, file: File) -> None:
        if file in self._files_seen:
            return
        self._files_seen.add(file)
        if not file.is_file() or not os.access(file, os.R_OK):
            part.warn(path, f"this file cannot be read; relative paths start at the folder of {part.name}")

    def _read_customers(self, part: Part) -> None:
        for path, raw in part.items("customers"):
            section = part.section(path, CustomerSection, raw)
            name = str(raw["id"]) if isinstance(raw, dict) and isinstance(raw.get("id"), str | int) else ""
            if not name or not self._first(part, (*path, "id"), "customer", name):
                continue
            if section is None:
                self._customers[name] = Customer(name, name)
                continue
            contacts = _contacts(section.contacts)
            self._customers[name] = Customer(name, section.name, section.language, section.managed, contacts)
            if not any(contact.email for contact in contacts):
                part.warn(path, f"has no contact with an email: {BY_PHONE}")

    # servers

    def _text(self, text: str) -> str:
        """Return the one object for equal texts: memory per check counts."""
        return self._texts.setdefault(text, text)

    def _read_server(self, part: Part, path: Path, raw: Any, entries: Entries) -> None:
        section = part.section(path, ServerSection, raw)
        if section is None:
            return
        if "name" in raw and not self._first(part, (*path, "name"), "server", section.name):
            return
        customer = self._customers.get(section.customer)
        if customer is None and self._whole and "customer" in raw:
            message = f"is not the id of a customer; {nearest(section.customer, self._customers)}"
            part.error((*path, "customer"), message)
        managed = section.managed if section.managed is not None else customer is not None and customer.managed
        if section.services and not managed and (customer or section.managed is False):
            message = (
                "service monitoring is part of the managed contract, and this server is not managed: "
                "set managed: true, or remove the services"
            )
            part.warn((*path, "services"), message)
        checks = self._checks(part, path, section, entries)
        self._servers[section.name] = Server(
            section.name,
            self._text(section.customer),
            managed,
            section.address,
            section.hostname,
            section.power == "on",
            self._text(section.os),
            self._text(section.site),
            self._text(section.rack),
            self._text(section.login_check),
            tuple(self._lamps(part, path, section, entries)),
            checks,
        )

    def _checks(self, part: Part, path: Path, section: ServerSection, entries: Entries) -> tuple[Check, ...]:
        checks: list[Check] = []
        names: dict[str, Path] = {}
        for number, raw in enumerate(section.services):
            here = (*path, "services", number)
            service = entries.service(raw, part.folder)
            for below, sentence in service.mistakes:
                part.error((*here, *below) if isinstance(raw, dict) else here, sentence)
            for below, sentence in service.doubts:
                part.warn((*here, *below), sentence)
            for name, family in _families(service):
                if (other := names.setdefault(name, here)) is not here:
                    message = f"is a second check called {name}: give it a name of its own, such as name: {name}-2"
                    part.error(here, message, see=(part.file, other))
                elif service.options is not None:
                    checks.append(self._check(part, here, section, service, name, family))
        if section.login_check and section.login_check not in names:
            message = f"is not the name of a check of this server; {nearest(section.login_check, names)}"
            part.error((*path, "login_check"), message)
        return tuple(checks)

    def _check(
        self, part: Part, here: Path, section: ServerSection, service: Service, name: str, family: AddressFamily
    ) -> Check:
        assert service.options is not None
        address = service.address or section.address
        hostname = service.hostname or section.hostname
        version = ip_version(address)
        if service.needs_name and not hostname and version:
            message = (
                "verifies a certificate, and no name is known that it should carry: add hostname to the server, "
                "server_name to the check, or certificate: ignore"
            )
            part.error(here, message)
        if family != "any" and version and family != f"ipv{version}":
            message = f"asks for {family}, and the address is an address of the other family: change one of them"
            part.error((*here, "address_family"), message)
        source = service.source_address
        meant = f"ipv{version}" if version else family
        if source and meant not in {"any", f"ipv{ip_version(source)}"}:
            part.error((*here, "source_address"), f"is not an {meant} address, and the check goes to one: change one")
        for key, file in service.files:
            self._check_file(part, (*here, *key), file)
        return Check(
            section.name,
            self._text(name),
            self._text(service.protocol),
            section.address if address == section.address else self._text(address),
            section.hostname if hostname == section.hostname else self._text(hostname),
            service.options,
            service.timing,
            self._text(service.credential),
            family,
            self._text(source),
        )

    def _lamps(self, part: Part, path: Path, section: ServerSection, entries: Entries) -> Iterator[LampSourceEntry]:
        count: Counter[str] = Counter()
        for number, raw in enumerate(section.lamps):
            here = (*path, "lamps", number)
            lamp = entries.lamp(raw, part.folder)
            for below, sentence in lamp.mistakes:
                part.error((*here, *below), sentence)
            if lamp.mistakes or lamp.options is None:
                continue
            other = self._places.setdefault(("endpoint", lamp.endpoint), (part.file, here))
            if lamp.endpoint and other != (part.file, here):
                part.warn(here, "names the same management controller as another entry: correct one", see=other)
            for key, file in lamp.files:
                self._check_file(part, (*here, *key), file)
            count[lamp.kind] += 1
            label = lamp.kind if count[lamp.kind] == 1 else f"{lamp.kind}-{count[lamp.kind]}"
            yield LampSourceEntry(
                section.name, self._text(label), self._text(lamp.kind), lamp.options, self._text(lamp.credential)
            )

    # maintenance

    def _windows(self, parts: list[Part], zone: ZoneInfo) -> Iterator[MaintenanceWindow]:
        sites = {server.site for server in self._servers.values()}
        for part in parts:
            for path, raw in part.items("maintenance"):
                if (section := part.section(path, MaintenanceSection, raw)) is None:
                    continue
                for key, known in (("server", self._servers), ("customer", self._customers), ("site", sites)):
                    name = getattr(section, key)
                    if name and name not in known and self._whole:
                        part.error((*path, key), f"there is no such {key}; {nearest(name, known)}")
                start, end = _milliseconds(section.start, zone), _milliseconds(section.end, zone)
                if start >= end:
                    part.error((*path, "to"), "is not after from: the window would never begin")
                yield MaintenanceWindow(start, end, section.reason, section.server, section.customer, section.site)


def _contacts(sections: tuple[ContactSection, ...]) -> tuple[Contact, ...]:
    return tuple(Contact(section.name, section.email, section.phone) for section in sections)


def _credential(name: str, section: CredentialSection) -> CredentialEntry:
    values = {key: value for key in PLAIN if (value := getattr(section, key))}
    secrets = {}
    for secret in SECRETS:
        file, env = getattr(section, f"{secret}_file"), getattr(section, f"{secret}_env")
        if file or env:
            secrets[secret] = SecretSource(file, env)
    return CredentialEntry(name, values, secrets)


def _families(service: Service) -> Iterator[tuple[str, AddressFamily]]:
    """Give the checks that an entry makes: two where both families of addresses are asked for."""
    if not service.name:
        return
    if service.family == "both":
        yield f"{service.name}-ipv4", "ipv4"
        yield f"{service.name}-ipv6", "ipv6"
    else:
        yield service.name, service.family


def read_time(text: str, zone: ZoneInfo) -> int:
    """Return a time as Unix time in ms; ``zone`` is meant where it names none. Raises ValueError with a sentence."""
    return _milliseconds(moment(text), zone)


def _milliseconds(time: datetime, zone: ZoneInfo) -> int:
    aware = time if time.tzinfo else time.replace(tzinfo=zone)
    return round((aware - EPOCH) / timedelta(milliseconds=1))
