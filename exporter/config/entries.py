"""The entries of ``services`` and ``lamps``: each distinct one is validated once, and what is equal is one object."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

import collectors.hardware
import collectors.services  # noqa: F401 - both for what they register
from collectors.registry import CHECKS, SOURCES, Options
from exporter.config import durations
from exporter.config.problems import Path, nearest
from exporter.config.schema import Family, LampSection, ServiceSection
from exporter.config.sentences import sentences
from exporter.config.values import URL_PASSWORD, host
from exporter.inventory import CredentialEntry, Timing

Mistakes = tuple[tuple[Path, str], ...]
Model = TypeVar("Model", bound=BaseModel)

REQUIRED_SECRET = {"ipmi": "password", "redfish": "password"}
"""What a lamp source logs in with; SNMP's depends on its version."""


@dataclass(frozen=True, slots=True)
class Service:
    """A validated entry of ``services``. ``options`` is None where it has mistakes."""

    mistakes: Mistakes
    name: str = ""
    protocol: str = ""
    credential: str = ""
    address: str = ""
    hostname: str = ""
    family: Family = "any"
    source_address: str = ""
    options: Options | None = None
    timing: Timing = field(default_factory=Timing)
    needs_name: bool = False
    """Whether it verifies a certificate and says no name for it itself."""
    files: tuple[tuple[Path, File], ...] = ()
    doubts: Mistakes = ()
    """What is obeyed as far as it makes sense, and told as a warning."""


@dataclass(frozen=True, slots=True)
class LampEntry:
    """A validated entry of ``lamps``. ``options`` is None where it has mistakes or no reader."""

    mistakes: Mistakes
    kind: str = ""
    credential: str = ""
    options: Options | None = None
    endpoint: str = ""
    """What is read, so that two servers that name the same controller are told. Empty where it cannot be known."""
    files: tuple[tuple[Path, File], ...] = ()


class Entries:
    """Validates entries. ``credentials`` is None where not all of them could be read: names are not judged then."""

    def __init__(self, timing: Timing, credentials: Mapping[str, CredentialEntry] | None) -> None:
        self._timing = timing
        self._credentials = credentials
        self._services: dict[tuple[File, str], Service] = {}
        self._options: dict[tuple[File, str, str], tuple[Options | None, Mistakes]] = {}
        self._timings: dict[Timing, Timing] = {timing: timing}

    def service(self, raw: Any, folder: File) -> Service:
        """Return the service that an entry of ``services`` describes."""
        key = (folder, repr(raw))
        if (known := self._services.get(key)) is None:
            known = self._services[key] = self._service({"protocol": raw} if isinstance(raw, str) else raw, folder)
        return known

    def _service(self, raw: Any, folder: File) -> Service:
        if not isinstance(raw, dict):
            return Service((((), "must be the name of a protocol, or a mapping with protocol: first"),))
        common = ServiceSection.written()
        said = {key: value for key, value in raw.items() if key in common}
        rest = {key: value for key, value in raw.items() if key not in common}
        section, found = _validated(ServiceSection, said, folder)
        mistakes = list(found)
        protocol = _word(said, "protocol")
        kind = CHECKS.get(protocol)
        options: Options | None = None
        if kind is None and protocol:
            mistakes.append((("protocol",), f"is not a protocol that can be checked; {nearest(protocol, CHECKS)}"))
        elif kind is not None:
            options, found = self._shared(kind.name, kind.options, rest, folder, also=common)
            mistakes += found
        if section is None:
            return Service(tuple(mistakes), name=_word(said, "name") or protocol)
        mistakes += self._credential(section.credential)
        own = {key: value for key in ("interval", "recheck_interval", "timeout") if (value := getattr(section, key))}
        timing, doubts = fitted(replace(self._timing, **own), own)
        needs_name = kind is not None and options is not None and kind.tls(options)
        return Service(
            tuple(mistakes),
            section.name or section.protocol,
            section.protocol,
            section.credential,
            section.address,
            section.hostname,
            section.address_family,
            section.source_address,
            None if mistakes else options,
            self._timings.setdefault(timing, timing),
            needs_name,
            tuple(files(options)) if options else (),
            doubts,
        )

    def lamp(self, raw: Any, folder: File) -> LampEntry:
        """Return the lamp source that an entry of ``lamps`` describes."""
        if not isinstance(raw, dict):
            return LampEntry(
                (((), "must be a mapping with source: first, such as {source: ipmi, address: 192.0.2.110}"),)
            )
        common = LampSection.written()
        said = {key: value for key, value in raw.items() if key in common}
        rest = {key: value for key, value in raw.items() if key not in common}
        section, found = _validated(LampSection, said, folder)
        mistakes = list(found)
        kind = _word(said, "source")
        options: Options | None = None
        if kind in SOURCES:
            options, found = self._shared(kind, SOURCES[kind].options, rest, folder, also=common)
            mistakes += found
        elif kind == "visual":
            mistakes.append((("source",), "visual is entered by a person with `lamps confirm`: remove the entry"))
        elif kind:
            remedy = nearest(kind, SOURCES)
            mistakes.append((("source",), f"is not a source of lamps; {remedy}"))
        if section is None:
            return LampEntry(tuple(mistakes))
        mistakes += self._credential(section.credential)
        if options is not None:
            mistakes += self._usable(section, options)
        mistakes += _address(rest)
        where = [str(value) for key in ("address", "url", "port") if (value := getattr(options, key, None))]
        return LampEntry(
            tuple(mistakes),
            section.source,
            section.credential,
            options,
            " ".join((section.source, *where)) if where else "",
            tuple(files(options)) if options else (),
        )

    def _credential(self, name: str) -> Mistakes:
        if not name or self._credentials is None or name in self._credentials:
            return ()
        return ((("credential",), f"is not the name of a credential; {nearest(name, self._credentials)}"),)

    def _usable(self, section: LampSection, options: BaseModel) -> Mistakes:
        credential = (self._credentials or {}).get(section.credential)
        if credential is None:
            return ()
        version = getattr(options, "version", "")
        if version == "3" and not credential.values.get("username"):
            return ((("credential",), "has no username: SNMPv3 logs in as a user"),)
        needed = REQUIRED_SECRET.get(section.source) or ("community" if version in {"1", "2c"} else "")
        if needed and needed not in credential.secrets:
            return ((("credential",), f"has no {needed}: add {needed}_file or {needed}_env to this credential"),)
        return ()

    def _shared(
        self, kind: str, model: type[Options], raw: dict[str, Any], folder: File, also: Mapping[str, str]
    ) -> tuple[Options | None, Mistakes]:
        key = (folder, kind, repr(raw))
        if (known := self._options.get(key)) is None:
            known = self._options[key] = _validated(model, raw, folder, also)
        return known


def _validated(
    model: type[Model], raw: dict[str, Any], folder: File, also: Mapping[str, str] | None = None
) -> tuple[Model | None, Mistakes]:
    # looked for before the options are judged: their sentences may repeat what was written
    if leaked := tuple(_urls_with_passwords(raw)):
        sentence = "has a user name or password in the URL: remove it and name a credential instead"
        return None, tuple((path, sentence) for path in leaked)
    try:
        return model.model_validate(raw, context={"folder": folder}), ()
    except ValidationError as error:
        return None, tuple(sentences(error, model, raw, also or ()))


def _word(raw: Mapping[str, Any], key: str) -> str:
    """Return a text of an entry that may have other mistakes."""
    return str(value) if isinstance(value := raw.get(key), str | int) else ""


def _urls_with_passwords(value: Any, path: Path = ()) -> Iterator[Path]:
    if isinstance(value, str):
        if URL_PASSWORD.match(value):
            yield path
    elif isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _urls_with_passwords(inner, (*path, key))


def fitted(timing: Timing, said: Container[str]) -> tuple[Timing, Mistakes]:
    """Return the timing with re-checks no rarer than checks, and what is odd about the keys that were ``said``."""
    interval, recheck, timeout = map(durations.text, (timing.interval, timing.recheck_interval, timing.timeout))
    doubts: list[tuple[Path, str]] = []
    if timing.recheck_interval > timing.interval and "recheck_interval" in said:
        message = f"is {recheck}, longer than the interval of {interval}: failing checks are re-tried every {interval}"
        doubts.append((("recheck_interval",), message))
    timing = replace(timing, recheck_interval=min(timing.recheck_interval, timing.interval))
    if timing.timeout >= timing.recheck_interval and "timeout" in said:
        message = (
            f"is {timeout}, not shorter than the time between two re-checks: an attempt without answer delays the next"
        )
        doubts.append((("timeout",), message))
    return timing, tuple(doubts)


def _address(raw: Mapping[str, Any]) -> Mistakes:
    """Judge the address of a management controller, which every kind of source takes."""
    try:
        host(_word(raw, "address") or "controller.invalid")
    except ValueError as error:
        return ((("address",), str(error)),)
    return ()


def files(options: BaseModel) -> Iterator[tuple[Path, File]]:
    """Give the files that options name, such as ``ca_file``."""
    for key in type(options).model_fields:
        if isinstance(value := getattr(options, key), File):
            yield (key,), value
