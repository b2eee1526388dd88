"""The kinds of values a configuration has: each refuses with a sentence that says what is wanted.

The sentences do not repeat what was written: it might be a secret in the wrong place, and the line is named anyway.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import lru_cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from exporter.config import durations

NAME = re.compile(r"\w[\w.:@+-]{0,99}")
DNS_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
EMAIL = re.compile(r"[^\s@<>\"(),:;\\\[\]]{1,64}@(?P<domain>[^\s@]{1,253})")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
CLOCK = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")
URL_PASSWORD = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+[^/?#\s]*@")


@lru_cache(maxsize=64)
def ip_version(text: str) -> int | None:
    """Return the version of an IP address, None for anything else. Remembered: all checks of a server ask the same."""
    try:
        return ip_address(text).version
    except ValueError:
        return None


def is_ip(text: str) -> bool:
    """Tell whether a text is an IP address."""
    return ip_version(text) is not None


def _name(text: str) -> str:
    if not NAME.fullmatch(text):
        raise ValueError("must be a name: letters, digits and . _ - : @ +, at most 100, the first a letter or digit")
    return text


def _line(text: str) -> str:
    if not text.isprintable() or len(text) > 200:
        raise ValueError("must be one line of at most 200 printable characters")
    return text.strip()


def host(text: str) -> str:
    """Return an IP address or a DNS name. Raises ValueError with a sentence."""
    if is_ip(text):
        return text
    if "://" in text:
        raise ValueError("must be an IP address or a name, not a URL")
    if not text.isascii():
        raise ValueError("must be written in ASCII: an internationalised name in its xn-- form")
    if ":" in text:
        raise ValueError("must be an IP address or a name: a port has a key of its own")
    labels = text.removesuffix(".").split(".")
    if len(text) > 253 or not all(DNS_LABEL.fullmatch(label) for label in labels):
        raise ValueError("must be an IP address or a DNS name")
    if labels[-1].isdigit():
        raise ValueError("is not an IP address: four numbers of 0 to 255")
    return text


def host_and_port(value: object) -> tuple[str, int]:
    """Split ``host:port``; an IPv6 address stands in brackets."""
    sentence = "must be host:port, such as 192.0.2.1:53 or [2001:db8::1]:53"
    if not isinstance(value, str):
        raise ValueError(sentence)  # noqa: TRY004 - pydantic collects ValueErrors
    name, colon, port = value.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or not 1 <= int(port) <= 65535:
        raise ValueError(sentence)
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
        if ":" not in name:
            raise ValueError(sentence)
    elif ":" in name:
        raise ValueError("has an IPv6 address: put it in brackets, [2001:db8::1]:53")
    return host(name), int(port)


def _listen(value: object) -> str:
    if value == "":
        return ""
    address, _ = host_and_port(value)
    if not is_ip(address):
        raise ValueError("must be an IP address of this host and a port, such as 0.0.0.0:162")
    return str(value)


def _url(text: str) -> str:
    if URL_PASSWORD.match(text):
        raise ValueError("has a user name or password in the URL: remove it and name a credential instead")
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        valid = False
    if not valid or not text.isprintable() or " " in text:
        raise ValueError("must be a URL that starts with http:// or https://")
    return text


def _email(text: str) -> str:
    match = EMAIL.fullmatch(text)
    if not match or not text.isprintable() or len(text) > 254:
        raise ValueError("must be an e-mail address, such as ops@customer.example")
    host(match["domain"])
    return text


def _phone(text: str) -> str:
    if not re.fullmatch(r"\+?[0-9][0-9 ()./*#-]{1,39}", text):
        raise ValueError("must be a telephone number, such as +81-584-00-0000")
    return text


def _variable(text: str) -> str:
    if not VARIABLE.fullmatch(text):
        raise ValueError("must be the name of an environment variable, not the secret itself")
    return text


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; a folder of zones an OSError
        raise ValueError("is not a time zone: use a name such as Asia/Tokyo or UTC") from None
    return text


def _hours(value: object) -> tuple[int, int]:
    match = str(value).partition("-")
    start, end = CLOCK.fullmatch(match[0].strip()), CLOCK.fullmatch(match[2].strip())
    if not start or not end:
        raise ValueError('must be hours of a day in quotes, such as "10:00-12:00"')
    minutes = (int(start[1]) * 60 + int(start[2]), int(end[1]) * 60 + int(end[2]))
    if not minutes[0] < minutes[1] <= 24 * 60:
        raise ValueError("must begin before they end, and end by 24:00")
    return minutes


def _days(value: object) -> str:
    """Check days of a calendar: a date or two with ``/`` between, each with its year or for every year without it."""
    text = str(value)
    ends = text.split("/")
    try:
        # a leap year, so that 02-29 of every year is a day
        days = [date.fromisoformat(end if len(end) > 5 else f"2024-{end}") for end in ends]
    except ValueError:
        days = []
    forms = {len(end) for end in ends}
    if not 1 <= len(days) <= 2 or len(forms) != 1 or not forms <= {5, 10}:
        raise ValueError('must be days in quotes, such as "12-29/01-03", "08-13" or "2026-12-28"')
    if forms == {10} and days != sorted(days):
        raise ValueError("ends before it begins: the earlier date comes first")
    return text


def moment(value: object) -> datetime:
    """Return a date and a time, with or without a zone. Raises ValueError with a sentence."""
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        raise ValueError("must be a date and a time, such as 2026-12-10T10:00+09:00") from None


def _file(value: object, info: ValidationInfo) -> Path:
    """Take a path from the folder of the file that names it."""
    text = str(value) if isinstance(value, str | int) else ""
    if not text or "\0" in text:
        raise ValueError("must be the path of a file")
    assert info.context is not None
    folder: Path = info.context["folder"]
    return folder / text


def _switch(value: object) -> object:
    """Let ``power: on`` be written as any YAML dialect reads it."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _address(text: str) -> str:
    if not is_ip(text):
        raise ValueError("must be an IP address of this host")
    return text


def _optional(check: Callable[[str], str]) -> AfterValidator:
    """Let an empty text stand for "none", as the defaults do."""
    return AfterValidator(lambda text: check(text) if text else text)


Name = Annotated[str, AfterValidator(_name)]
Line = Annotated[str, AfterValidator(_line)]
Host = Annotated[str, AfterValidator(host)]
HostPort = Annotated[tuple[str, int], BeforeValidator(host_and_port)]
Listen = Annotated[str, BeforeValidator(_listen)]
AddressOrNone = Annotated[str, _optional(_address)]
Url = Annotated[str, AfterValidator(_url)]
UrlOrNone = Annotated[str, _optional(_url)]
Email = Annotated[str, AfterValidator(_email)]
EmailOrNone = Annotated[str, _optional(_email)]
PhoneOrNone = Annotated[str, _optional(_phone)]
Variable = Annotated[str, AfterValidator(_variable)]
Timezone = Annotated[str, AfterValidator(_timezone)]
Hours = Annotated[tuple[int, int], BeforeValidator(_hours)]
Days = Annotated[str, BeforeValidator(_days)]
When = Annotated[datetime, BeforeValidator(moment)]
Duration = Annotated[int, BeforeValidator(durations.parse)]
LongDuration = Annotated[int, BeforeValidator(durations.parse_any)]
FilePath = Annotated[Path | None, BeforeValidator(_file)]
Switch = BeforeValidator(_switch)
