"""Durations: whole numbers with a unit, such as ``30s``, ``10m`` or ``1h30m``; in code whole milliseconds."""

import re

from exporter.clock import DAY, HOUR, MINUTE, SECOND

UNITS = {"d": DAY, "h": HOUR, "m": MINUTE, "s": SECOND, "ms": 1}
LONGEST = 366 * DAY

# each unit at most once, longest first: "30m1h" is a slip of the pen, not a duration
DURATION = re.compile("".join(rf"(?:([0-9]{{1,9}}){unit})?" for unit in UNITS))
BARE = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6})?")


def parse(value: object) -> int:
    """Return the milliseconds that ``value`` says, a year at most. Raises ValueError with a sentence."""
    total = parse_any(value)
    if total > LONGEST:
        raise ValueError("is longer than a year: check the unit")
    return total


def parse_any(value: object) -> int:
    """Return the milliseconds that ``value`` says, however many. Raises ValueError with a sentence."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str):
        raise ValueError("must be a duration: 30s, 10m, 1d")  # noqa: TRY004 - pydantic collects ValueErrors
    if BARE.fullmatch(text):
        raise ValueError(f"{text} needs a unit: 30s, 10m, 1d")
    match = DURATION.fullmatch(text)
    if not match or not text:
        raise ValueError("is not a duration: whole numbers with the units ms, s, m, h, d, such as 30s, 10m, 1h30m")
    total = sum(int(count) * size for count, size in zip(match.groups(), UNITS.values(), strict=True) if count)
    if total == 0:
        raise ValueError("must be longer than 0")
    return total


def text(milliseconds: int) -> str:
    """Write a duration as the configuration does: the inverse of ``parse``."""
    parts = []
    for unit, size in UNITS.items():
        count, milliseconds = divmod(milliseconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
