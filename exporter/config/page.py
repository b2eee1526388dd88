"""The configuration as the page /config shows it: without secrets and without contacts."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from pydantic import BaseModel

from exporter.config.durations import text
from exporter.inventory import Calendar, Check, Config, LampSourceEntry, Server, Settings, Timing

HIDDEN = "(removed)"
USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*:/+)[^/?#\s]*@")
QUERY = re.compile(r"([?&][^=&#\s]+=)[^&#\s]*")
PRIVATE = re.compile(r"authorization|cookie|body|data|headers?|.*(?:secret|token|key|passw|community).*", re.IGNORECASE)
"""Options whose values may be secrets: an option that names a file is none of them."""


def redacted(config: Config) -> Iterator[str]:
    """Give the configuration as YAML, in pieces that are made within a few milliseconds: a fleet takes seconds."""
    zone = ZoneInfo(config.settings.timezone)
    yield _yaml({"global": _settings(config.settings)})
    yield _yaml({"noc": {"language": config.noc.language}, "provider": {"name": config.provider.name}})
    if config.mail:
        mail = config.mail
        yield _yaml({"mail": {"smarthost": f"{mail.host}:{mail.port}", "tls": mail.tls, "credential": mail.credential}})
    alertmanager = config.alertmanager
    names = ("credential", "ca_file", "webhook_credential", "webhook_cert_file", "webhook_key_file", "webhook_ca_file")
    access = {name: str(value) for name in names if (value := getattr(alertmanager, name))}
    yield _yaml({"alertmanager": {"urls": [_clean(url) for url in alertmanager.urls], **access}})
    yield _yaml({"traps": {"listen": config.traps_listen}})
    yield "maintenance:\n"
    for window in config.maintenance:
        start, end = (datetime.fromtimestamp(at / 1000, zone).isoformat() for at in (window.start, window.end))
        scope = _said(server=window.server, customer=window.customer, site=window.site)
        yield _yaml([{**scope, "from": start, "to": end, "reason": window.reason}])
    yield "credentials:\n"
    for credential in config.credentials.values():
        sources = {
            f"{name}_file" if source.file else f"{name}_env": str(source.file) if source.file else source.env
            for name, source in credential.secrets.items()
        }
        plain = {key: value for key, value in credential.values.items() if key != "username"}
        yield _indented(_yaml({credential.name: {**plain, **sources}}))
    yield "customers:\n"
    for customer in config.customers.values():
        shown = {"id": customer.id, "name": customer.name, "language": customer.language, "managed": customer.managed}
        yield _yaml([shown])
    yield "servers:\n"
    for server in config.servers.values():
        yield _yaml([_server(server, config.settings.timing)])


def _settings(settings: Settings) -> dict[str, Any]:
    return {
        "timezone": settings.timezone,
        **_timing(settings.timing),
        "outage_notice_after": text(settings.timing.outage_notice_after),
        "lamp_interval": text(settings.lamp_interval),
        "lamp_recheck_interval": text(settings.lamp_recheck_interval),
        "retention": text(settings.retention),
        "calendar": _calendar(settings.calendar),
        "vantage": [{"tcp": f"{address.host}:{address.port}"} for address in settings.vantage],
        "external_url": _clean(settings.external_url),
        "notices": settings.notices,
    }


def _timing(timing: Timing) -> dict[str, str]:
    keys = ("interval", "recheck_interval", "timeout")
    return {key: text(getattr(timing, key)) for key in keys}


def _calendar(calendar: Calendar) -> dict[str, list[str]]:
    hours = [f"{start // 60:02}:{start % 60:02}-{end // 60:02}:{end % 60:02}" for start, end in calendar.hours]
    return {"hours": hours, "closed": list(calendar.closed), "open": list(calendar.open)}


def _server(server: Server, timing: Timing) -> dict[str, Any]:
    return {
        "name": server.name,
        "customer": server.customer,
        "managed": server.managed,
        "address": server.address,
        "power": "on" if server.power_expected else "off",
        **_said(hostname=server.hostname, os=server.os, site=server.site, rack=server.rack),
        **_said(login_check=server.login_check),
        "lamps": [_lamp(lamp) for lamp in server.lamps],
        "services": [_check(check, server, timing) for check in server.checks],
    }


def _lamp(lamp: LampSourceEntry) -> dict[str, Any]:
    return {"source": lamp.kind, **_options(lamp.options), **_said(credential=lamp.credential)}


def _check(check: Check, server: Server, timing: Timing) -> dict[str, Any]:
    return {
        "protocol": check.protocol,
        "name": check.name,
        **_said(address=check.address if check.address != server.address else ""),
        **_said(hostname=check.hostname if check.hostname != server.hostname else ""),
        **_said(address_family=check.address_family if check.address_family != "any" else ""),
        **_said(source_address=check.source_address),
        **(_timing(check.timing) if check.timing != timing else {}),
        **_options(check.options),
        **_said(credential=check.credential),
    }


def _options(options: BaseModel | None) -> dict[str, Any]:
    said: dict[str, Any] = options.model_dump(mode="json", exclude_defaults=True) if options else {}
    return {key: _hidden(key, value) for key, value in said.items()}


def _hidden(key: str, value: Any) -> Any:
    """Return the value of an option, as far as everybody may see it."""
    if PRIVATE.fullmatch(key) and not key.endswith("_file"):
        return HIDDEN
    match value:
        case str():
            return _clean(value)
        case dict():
            return {inner: _hidden(inner, kept) for inner, kept in value.items()}
        case list():
            return [_hidden(key, inner) for inner in value]
        case _:
            return value


def _clean(value: str) -> str:
    """Take user names, passwords and the values of a query out of a URL or path."""
    return QUERY.sub(rf"\g<1>{HIDDEN}", USER.sub(r"\g<1>", value))


def _said(**values: str) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}


def _yaml(value: Any) -> str:
    dumped: str = yaml.dump(value, Dumper=yaml.CSafeDumper, allow_unicode=True, sort_keys=False, width=120)
    return dumped


def _indented(block: str) -> str:
    return "".join(f"  {line}" for line in block.splitlines(keepends=True))
