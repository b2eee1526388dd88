"""TCP: a pass proves that the port accepts connections and that the dialogue in the configuration runs to its end.

For protocols that have no check of their own. Steps are done in their order; line ends are sent as they are written.
"""

import re
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator

from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured
from collectors.patterns import Pattern, TooSlow, search
from collectors.registry import Options, Port, check
from collectors.tls import TlsOptions, needs_name

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
    starttls: Literal[True] | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"must have one of {', '.join(type(self).model_fields)}: begin a new step for each")
        return self


class TcpOptions(TlsOptions):
    """What can be said about a tcp check."""

    port: Port
    tls: bool = False
    """Encrypted from the first byte."""
    steps: Annotated[tuple[Step, ...], Field(max_length=MOST_STEPS)] = ()
    max_bytes: Annotated[int, Field(ge=1, le=64 * 1024)] = 8 * 1024
    """Bytes received in one step, at most."""


def _verifies(opts: TcpOptions) -> bool:
    return (opts.tls or any(step.starttls for step in opts.steps)) and needs_name(opts)


@check("tcp", options=TcpOptions, verifies=_verifies)
async def tcp(talk: Dialogue, opts: TcpOptions) -> None:
    """Return when the port has accepted us and every step is done."""
    await talk.connect(opts.port, tls=opts if opts.tls else None)
    for number, step in enumerate(opts.steps, 1):
        talk.step = f"step {number}"
        if sent := step.send or step.send_hex:
            talk.write(sent)
        elif wanted := step.expect or step.expect_hex:
            await talk.until(talk.show(wanted), partial(_end, wanted), opts.max_bytes)
        elif step.expect_regex is not None:
            await _match(talk, step.expect_regex, opts.max_bytes)
        else:
            await talk.start_tls(opts)


def _end(wanted: bytes, said: bytes) -> int:
    place = said.find(wanted)
    return place + len(wanted) if place >= 0 else -1


async def _match(talk: Dialogue, pattern: re.Pattern[str], limit: int) -> None:
    def find(said: bytes) -> int:
        text = said.decode("utf-8", "surrogateescape")
        match = search(pattern, text)
        return len(text[: match.end()].encode("utf-8", "surrogateescape")) if match else -1

    try:
        await talk.until(f"a match of {pattern.pattern}", find, limit)
    except TooSlow:
        raise Misconfigured(talk.step, "expect_regex needs too long on this answer: simplify it") from None
