"""The steps of a dialogue in the configuration: what is sent and what is expected, as text, bytes or pattern."""

import re
from collections.abc import Callable
from typing import Annotated, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from collectors.failures import Misconfigured
from collectors.patterns import Pattern, TooSlow, search
from collectors.registry import Options

MOST_STEPS = 50
LONGEST = 16 * 1024
"""Bytes sent in one step, at most."""

_ESCAPE = re.compile(r"\\(x[0-9A-Fa-f]{2}|.|$)", re.DOTALL)
_ESCAPED = {"r": "\r", "n": "\n", "t": "\t", "0": "\0", "\\": "\\"}


def _text(value: object) -> object:
    """Take a text with escapes as bytes."""
    if not isinstance(value, str):
        return value
    parts: list[bytes] = []
    end = 0
    for escape in _ESCAPE.finditer(value):
        parts.append(value[end : escape.start()].encode())
        end = escape.end()
        name = escape[1]
        if name.startswith("x") and len(name) == 3:
            parts.append(bytes.fromhex(name[1:]))
        elif name in _ESCAPED:
            parts.append(_ESCAPED[name].encode())
        else:
            raise ValueError(r"has an unknown escape: there are \r \n \t \0 \\ and \xNN")
    return b"".join((*parts, value[end:].encode()))


def _hex(value: object) -> object:
    """Take pairs of hexadecimal digits as bytes."""
    if not isinstance(value, str):
        return value
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise ValueError('must be pairs of hexadecimal digits in quotes, such as "00 1f"') from None


_bounded = Field(min_length=1, max_length=LONGEST)
Text = Annotated[bytes, BeforeValidator(_text), _bounded, PlainSerializer(lambda data: data.decode("latin-1"))]
Hex = Annotated[bytes, BeforeValidator(_hex), _bounded, PlainSerializer(lambda data: data.hex(" "))]


class Step(Options):
    """One step of a dialogue: exactly one of its keys."""

    send: Text | None = None
    send_hex: Hex | None = None
    expect: Text | None = None
    expect_hex: Hex | None = None
    expect_regex: Pattern | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"must have one of {', '.join(type(self).model_fields)}: begin a new step for each")
        return self

    def sent(self) -> bytes | None:
        """Return what this step sends, None when it expects something."""
        return self.send or self.send_hex

    def end(self, step: str) -> Callable[[bytes], int] | None:
        """Return the function that tells where in what was said this step's expectation ends, -1 for nowhere.

        None when it expects nothing. The function raises Misconfigured, at ``step``, when the pattern takes too long.
        """
        if wanted := self.expect or self.expect_hex:
            return lambda said: said.find(wanted) + len(wanted) if wanted in said else -1
        pattern = self.expect_regex
        return None if pattern is None else lambda said: _end_of_match(pattern, said, step)

    def wanted(self) -> bytes | str:
        """Return what this step expects, to be shown."""
        if self.expect_regex is not None:
            return f"a match of {self.expect_regex.pattern}"
        return self.expect or self.expect_hex or b""


def _end_of_match(pattern: re.Pattern[str], said: bytes, step: str) -> int:
    text = said.decode("utf-8", "surrogateescape")
    try:
        match = search(pattern, text)
    except TooSlow:
        raise Misconfigured(step, "expect_regex needs too long on this answer: simplify it") from None
    return len(text[: match.end()].encode("utf-8", "surrogateescape")) if match else -1
