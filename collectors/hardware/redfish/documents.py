"""What a Redfish service sends, taken apart with care: bounded bodies, JSON by type, printable text. Pure.

Redfish (DSP0266) sections 6.5 (media types, UTF-8), 9 (data model). Every value may be of another type than its schema
says: the accessors return the empty value then, and what is empty is never judged as normal.
"""

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

LONGEST_TEXT = 100
LONGEST_EVIDENCE = 400

WORDS = frozenset({"State", "Health", "HealthRollup", "HealthRollUp"})
"""What a Status is judged by."""

WINDOW_BITS = {"gzip": 31, "x-gzip": 31, "deflate": 15}
"""How zlib unpacks each content coding (RFC 9110 section 8.4.1)."""

_SURROGATE = re.compile(r"[\ud800-\udfff]")

Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: ``path`` is its URI without scheme and host, ``data`` the properties."""

    path: str
    data: Json

    @property
    def tail(self) -> str:
        """The last segment of its path: the Id, in nearly every service."""
        return self.path.rstrip("/").rpartition("/")[2]


def unpacked(body: bytes, coding: str, limit: int) -> bytes:
    """Return a body without its content coding. Raises ValueError, also for one that unpacks to more than ``limit``."""
    coding = coding.strip().lower()
    if coding in {"", "identity"}:
        return body
    if coding not in WINDOW_BITS:
        raise ValueError(f"its content coding {printable(coding)!r} was not asked for")
    unpacker = zlib.decompressobj(WINDOW_BITS[coding])
    try:
        plain = unpacker.decompress(body, limit + 1)
    except zlib.error as error:
        raise ValueError(f"its {coding} body is broken") from error
    if len(plain) > limit:
        raise ValueError(f"it unpacks to more than {limit} bytes")
    if not unpacker.eof:
        raise ValueError(f"its {coding} body is cut off")
    return plain


def values_in(body: bytes) -> int:
    """Return how many values JSON text may have: what it takes in memory, many times its length."""
    return sum(body.count(mark) for mark in (b",", b"[", b"{"))


def parsed(body: bytes) -> Json:
    """Return the JSON object in a body. Raises ValueError with what is wrong.

    Control characters in texts are let through: some services put bare carriage returns there.
    """
    try:
        value = json.loads(body.decode("utf-8-sig", "replace"), strict=False, parse_constant=_no_number)
    except RecursionError as error:
        raise ValueError("its JSON is nested too deeply") from error
    except ValueError as error:
        raise ValueError(f"it is not JSON: {printable(str(error))}") from error
    if not isinstance(value, dict):
        raise ValueError("it is JSON and not an object")  # noqa: TRY004 - one kind of error for whatever is wrong
    return value


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def printable(text: str, longest: int = LONGEST_TEXT) -> str:
    """Return text as one line without surprises: names go into labels, and what a BMC sends is untrusted."""
    text = text[: 4 * longest]
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    text = text.strip()
    return text if len(text) <= longest else text[:longest].rstrip() + "..."


def text(value: object) -> str:
    """Return a text (or a number written as one), empty for anything else."""
    if isinstance(value, str):
        return printable(value)
    return printable(repr(value)) if isinstance(value, int | float) and not isinstance(value, bool) else ""


def word(value: object) -> str:
    """Return an enumeration's value for comparing: vendors differ in case, blanks and quotes.

    Empty for null; ``?`` for what is no text.
    """
    if value is None:
        return ""
    return printable(value).strip("\"' ").lower() if isinstance(value, str) else "?"


def number(value: object) -> float | None:
    """Return a finite number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def mapping(value: object) -> Json:
    """Return an object, an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def mappings(value: object) -> tuple[Json, ...]:
    """Return the objects in an array."""
    return tuple(item for item in value if isinstance(item, dict)) if isinstance(value, list) else ()


def link(value: object) -> str:
    """Return where a reference leads (``@odata.id``), empty where it is none."""
    target = mapping(value).get("@odata.id")
    return target if isinstance(target, str) else ""


def is_whole(value: Json) -> bool:
    """Tell whether an object is a resource, not only a reference to one."""
    return any(not key.startswith("@") for key in value)


def _sent(value: object) -> str:
    """Return a value as it was sent; of a Status only what is judged by, not its long Conditions."""
    if isinstance(value, dict) and WORDS & value.keys():
        value = {key: item for key, item in value.items() if key in WORDS}
    try:
        return _SURROGATE.sub("?", json.dumps(value, ensure_ascii=False))
    except RecursionError:  # what could just be parsed may be too deep to be written from here
        return "..."


def evidence(path: str, data: Json, *keys: str) -> str:
    """Return properties of a resource as they were sent, after its path."""
    told = ", ".join(f"{key}={_sent(data[key])}" for key in keys if key in data)
    return printable(f"{path} {told or 'without ' + keys[0]}", LONGEST_EVIDENCE)
