"""A whole Alertmanager configuration from ours: who is told what, and by which mail.

Every alert goes to the NOC. With ``notices: alertmanager``, an alert with ``notify="customer"`` goes to the contacts of
its customer as well; to the NOC with the order to phone, if they have no mail address; to the NOC with a warning, if
the customer is not known here. With ``notices: ledger`` it goes to the exporter's webhook, and so does ``Watchdog``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import yaml

from exporter.alertmanager_mails import (
    Letter,
    customer_letter,
    literal,
    noc_letter,
    phone_letter,
    unknown_customer_letter,
)
from exporter.inventory import Config, Contact, Customer, Mail

HEADER = """\
# Alertmanager's configuration, made by `dserver-exporter alertmanager-config`. Do not edit: make it anew when
# customers, contacts or mail settings change, check it with `amtool check-config`, and reload Alertmanager.
# Start Alertmanager with --data.maintenance-interval=1s. Why, and why these timings: docs/alerting.md.
"""

OWN_ADDRESS = "http://127.0.0.1:10623"
"""Where the exporter listens when nothing else is said."""
IMPLICIT_TLS_PORT = 465
"""Where Alertmanager begins with TLS by itself (RFC 8314 §3.3)."""


class AlertmanagerConfigError(Exception):
    """The configuration cannot be said in Alertmanager's terms. The message holds the remedy."""


def alertmanager_config(config: Config) -> str:
    """Return the text of the configuration file.

    Raises AlertmanagerConfigError when mail cannot be sent as configured.
    """
    noc = [contact for contact in config.noc.contacts if contact.email]
    if not noc:
        raise AlertmanagerConfigError(
            "noc.contacts: nobody in it has an email address, and every alert goes to the NOC: add one"
        )
    to_noc = {"name": "noc", "email_configs": _mails(noc, noc_letter(config.noc.language), send_resolved=True)}
    parts = _by_webhook(config) if config.settings.notices == "ledger" else _by_mail(config, noc)
    document = {
        "global": _smtp(config),
        "route": {
            "receiver": "noc",
            # One mail per alert: one that joins a group would mail the others of the group again.
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1m",
            "repeat_interval": "120h",
            "routes": parts.routes,
        },
        "receivers": [to_noc, *parts.receivers],
    }
    return HEADER + yaml.dump(document, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=10_000)


@dataclass(frozen=True, slots=True)
class _Parts:
    """What depends on who tells customers."""

    routes: list[dict[str, Any]]
    receivers: list[dict[str, Any]]


def _by_webhook(config: Config) -> _Parts:
    """Return the parts for ``notices: ledger``. The ledger takes in each alert once, so that repeating heals."""
    receiver = {"name": "ledger", "webhook_configs": [_webhook(config)]}
    watchdog = {"receiver": "ledger", "matchers": [_matcher("notify", "watchdog")]}
    customers = {
        "receiver": "ledger",
        "matchers": [_matcher("notify", "customer")],
        # One call for all that a server has: a thousand servers dark at once are a thousand calls, not twelve thousand.
        # The ledger knows what it was told before, and waits for what belongs together itself.
        "group_by": ["server"],
        "group_wait": "1s",
        "group_interval": "2s",
        "repeat_interval": "5m",
    }
    return _Parts(
        [
            # the interval at which it is looked whether to repeat has to be shorter than that of repeating
            {**watchdog, "group_interval": "15s", "repeat_interval": "1m"},
            {"receiver": "noc", "continue": True},
            customers,
        ],
        [receiver],
    )


def _webhook(config: Config) -> dict[str, Any]:
    ours = config.alertmanager
    if not ours.webhook_credential and not ours.webhook_cert_file:
        raise AlertmanagerConfigError(
            "alertmanager: it has neither webhook_credential nor webhook_cert_file, and the webhook takes in nothing "
            "from who shows neither: add one, or let Alertmanager mail customers with global.notices: alertmanager"
        )
    shown: dict[str, Any] = _log_in(config) if ours.webhook_credential else {}
    files = {"ca": ours.webhook_ca_file, "cert": ours.webhook_cert_file, "key": ours.webhook_key_file}
    if tls := {f"{name}_file": str(file.absolute()) for name, file in files.items() if file}:
        shown["tls_config"] = tls
    url = (config.settings.external_url or OWN_ADDRESS).rstrip("/")
    # that an alert ended is not yet a recovery: the ledger knows better
    return {"url": f"{url}/api/v1/alertmanager", "send_resolved": False, "http_config": shown}


def _log_in(config: Config) -> dict[str, Any]:
    where = f"credentials.{config.alertmanager.webhook_credential}"
    credential = config.credentials.get(config.alertmanager.webhook_credential)
    if credential is None:
        raise AlertmanagerConfigError(
            "alertmanager.webhook_credential: it names no credential, and the webhook takes in nothing without: add it"
        )
    bearer = credential.secrets.get("token")
    secret = bearer or credential.secrets.get("password")
    if secret is None or secret.file is None:
        raise AlertmanagerConfigError(
            f"{where}: it has no token_file and no password_file, and Alertmanager can read secrets from files only: "
            "write it to a file that both users can read"
        )
    file = str(secret.file.absolute())
    username = credential.values.get("username")
    if username and not bearer:
        return {"basic_auth": {"username": username, "password_file": file}}
    return {"authorization": {"type": "Bearer", "credentials_file": file}}


def _by_mail(config: Config, noc: list[Contact]) -> _Parts:
    language = config.noc.language
    customers = list(config.customers.values())
    receivers: list[dict[str, Any]] = [
        # It always fires, so a mail would be read by nobody. Here belongs what notices absence: a dead man's switch.
        {"name": "watchdog"},
        {
            "name": "noc-customer-unknown",
            "email_configs": _mails(noc, unknown_customer_letter(language), send_resolved=False),
        },
    ]
    for customer in customers:
        mails = [
            mail
            for contact in customer.contacts
            if contact.email
            for mail in _mails(
                [contact],
                customer_letter(customer, contact, config.provider),
                send_resolved=False,
                reply_to=config.provider.email,
            )
        ]
        receivers.append(
            {
                "name": _receiver(customer),
                "email_configs": mails or _mails(noc, phone_letter(language, customer), send_resolved=False),
            }
        )
    routes: list[dict[str, Any]] = [
        {"receiver": "watchdog", "matchers": [_matcher("notify", "watchdog")]},
        {"receiver": "noc", "continue": True},
        {
            "receiver": "noc-customer-unknown",
            "matchers": [_matcher("notify", "customer")],
            "routes": [
                {"receiver": _receiver(customer), "matchers": [_matcher("customer_id", customer.id)]}
                for customer in customers
            ],
        },
    ]
    return _Parts(routes, receivers)


def _receiver(customer: Customer) -> str:
    to_mail = any(contact.email for contact in customer.contacts)
    return f"customer-{customer.id}" if to_mail else f"noc-phones-{customer.id}"


def _smtp(config: Config) -> dict[str, Any]:
    mail = config.mail
    if mail is None:
        raise AlertmanagerConfigError(
            "mail: the section is missing, and Alertmanager sends all notices by mail: add smarthost and from"
        )
    host = f"[{mail.host}]" if ":" in mail.host else mail.host
    smtp: dict[str, Any] = {
        "smtp_smarthost": f"{host}:{mail.port}",
        "smtp_from": literal(mail.sender),
        "smtp_require_tls": mail.tls == "starttls",
    }
    implicit = mail.tls == "implicit"
    if implicit != (mail.port == IMPLICIT_TLS_PORT):
        smtp["smtp_force_implicit_tls"] = implicit  # an older Alertmanager goes by the port alone and refuses the key
    if mail.credential:
        smtp |= _login(config, mail)
    return smtp


def _login(config: Config, mail: Mail) -> dict[str, str]:
    where = f"credentials.{mail.credential}"
    credential = config.credentials.get(mail.credential)
    if credential is None:
        raise AlertmanagerConfigError(f"{where}: mail.credential names it, but it does not exist: add it")
    password = credential.secrets.get("password")
    if password is None:
        raise AlertmanagerConfigError(f"{where}: it has no password, and mail.credential names it: add password_file")
    if password.file is None:
        raise AlertmanagerConfigError(
            f"{where}: its password is in the environment variable {password.env}, which Alertmanager cannot read: "
            "write it to a file that Alertmanager's user can read, and use password_file"
        )
    if not credential.values.get("username"):
        raise AlertmanagerConfigError(f"{where}: it has no username, and mail.credential names it: add username")
    return {
        "smtp_auth_username": credential.values["username"],
        "smtp_auth_password_file": str(password.file.absolute()),
    }


def _mails(
    contacts: Iterable[Contact], letter: Letter, *, send_resolved: bool, reply_to: str = ""
) -> list[dict[str, Any]]:
    """Return one mail per contact: an address that is refused keeps no other from being told."""
    # RFC 3834 §5: answering machines leave such mail alone
    headers = {"Subject": letter.subject, "Auto-Submitted": "auto-generated"}
    if reply_to:
        headers["Reply-To"] = literal(reply_to)
    return [
        {
            "to": literal(contact.email),
            "send_resolved": send_resolved,
            "headers": headers,
            "text": letter.text,
            "html": letter.html,
        }
        for contact in contacts
    ]


def _matcher(label: str, value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'{label}="{escaped}"'


class _Dumper(yaml.CSafeDumper):
    """Writes mails as readable blocks, and everything in full: Alertmanager's reader may limit aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """Never write an alias."""
        return True


def _text(dumper: yaml.CSafeDumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)
