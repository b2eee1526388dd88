"""Turns pydantic's errors into sentences for operators. No sentence repeats a value: it might be a secret."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from exporter.config.problems import Path, nearest

SECRET_KEY = re.compile(
    r"(?:.*_)?(?:password|passwd|passphrase|community|token|secret|api_?key|private_?key)", re.IGNORECASE
)
PLAIN_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,40}")

SENTENCES = {
    "missing": "is missing: add it",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text: put it in quotes",
    "string_pattern_mismatch": "is not written as it should be: see docs/configuration.md",
    "list_type": "must be a list: [...]",
    "tuple_type": "must be a list: [...]",
    "set_type": "must be a list: [...]",
    "frozen_set_type": "must be a list: [...]",
    "dict_type": "must be a mapping: {key: value}",
    "model_type": "must be a mapping: {key: value}",
    "model_attributes_type": "must be a mapping: {key: value}",
}


def sentences(
    error: ValidationError, model: type[BaseModel], raw: Mapping[str, Any], also: Iterable[str] = ()
) -> Iterator[tuple[Path, str]]:
    """Give the place below ``raw`` and the sentence of each error. ``also`` are further keys that may be meant."""
    for detail in error.errors(include_url=False):
        path, rest = _place(detail["loc"], raw)
        if detail["type"] == "extra_forbidden":
            yield _unknown(path, model, raw, also)
        elif detail["type"] == "missing":
            yield (*path, *map(str, rest[:1])), SENTENCES["missing"]
        else:
            yield path, _sentence(detail)


def _place(location: tuple[str | int, ...], raw: Any) -> tuple[Path, tuple[str | int, ...]]:
    """Split pydantic's location into what the file has and the rest: names of alternatives, or a missing key."""
    path: list[str | int] = []
    for number, part in enumerate(location):
        match raw, part:
            case dict(), _ if part in raw:
                raw = raw[part]
            case list(), int() if part < len(raw):
                raw = raw[part]
            case _:
                return tuple(path), location[number:]
        path.append(part)
    return tuple(path), ()


def _sentence(detail: ErrorDetails) -> str:
    context = detail.get("ctx", {})
    match detail["type"]:
        case "value_error" | "assertion_error":
            return str(context["error"])
        case "literal_error" | "enum":
            return f"must be {context['expected'].replace(chr(39), '')}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case kind:
            return SENTENCES.get(kind) or detail["msg"].replace("Input should be", "must be")


def _unknown(path: Path, model: type[BaseModel], raw: Mapping[str, Any], also: Iterable[str]) -> tuple[Path, str]:
    value: Any = raw
    for part in path:
        value = value[part]
    known = {*_keys_at(model, path[:-1]), *(also if len(path) == 1 else ())}
    return unknown_key(path, value, known)


def unknown_key(path: Path, value: object, known: Iterable[str]) -> tuple[Path, str]:
    """Return place and sentence for a key that is not known; what may be a secret slipped out of place is not shown."""
    key = str(path[-1])
    if {f"{key}_file", f"{key}_env"} <= {*known}:
        return path, f"is a secret, which does not belong into this file: use {key}_file or {key}_env"
    if SECRET_KEY.fullmatch(key):
        return path, "is a secret, which does not belong here: name an entry of credentials with credential"
    remedy = nearest(key, known)
    if (value is None and not remedy.startswith("did")) or not PLAIN_KEY.fullmatch(key):
        return path[:-1], f"has an unknown key (it is not shown, it might be a secret); {remedy}"
    return path, f"unknown key; {remedy}"


def _keys_at(model: type[BaseModel], path: Path) -> Iterator[str]:
    """Give the keys of the model at ``path`` below ``model``."""
    for part in path:
        if isinstance(part, str):
            field = next((info for name, info in model.model_fields.items() if part in {name, info.alias}), None)
            inner = _model_in(field.annotation) if field else None
            if inner is None:
                return
            model = inner
    for name, info in model.model_fields.items():
        yield info.alias or name


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for part in get_args(annotation) if (model := _model_in(part))), None)
