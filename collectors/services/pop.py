"""POP3: a pass proves that the server greets us, encrypts where it says so, lets us in with a credential, says goodbye.

RFC 1939: every reply begins with ``+OK`` or ``-ERR`` (§3); ``STAT`` (§5) counts the messages in the maildrop. ``CAPA``
is RFC 2449 §5, ``STLS`` RFC 2595 §4, ``AUTH PLAIN`` RFC 5034. No message is read or deleted.
"""

import re

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, UnexpectedReply, WrongContent
from collectors.login import no_way_in, plain, presentable, rejected
from collectors.registry import Port, check
from collectors.secret import Secret
from collectors.tls import StartTlsOptions, TlsOptions, needs_name

LINE = 2048
"""Bytes: RFC 2449 §4 has 512; more has been seen."""
LINES = 100
"""Capabilities, at most."""
NOT_NOW = re.compile(r"-ERR (?:\[(?:IN-USE|LOGIN-DELAY|SYS/)|temporary\b)", re.IGNORECASE)
"""A refusal that is not about our password, by its response code (RFC 2449 §8.1, RFC 3206 §4) or in Courier's words."""

_REPLY = re.compile(r"(\+OK|-ERR|\+)(?: .*)?", re.DOTALL | re.IGNORECASE)
_STATUS = re.compile(r"\+OK [0-9]+ [0-9]+(?: .*)?", re.DOTALL | re.IGNORECASE)

Capabilities = dict[str, list[str]]
"""Arguments by name, both in upper case; empty for a server that does not know CAPA."""


class PopOptions(StartTlsOptions):
    """What can be said about a pop check."""

    port: Port = 110


class Pop3sOptions(TlsOptions):
    """What can be said about a pop3s check."""

    port: Port = 995


@check("pop", options=PopOptions, verifies=needs_name)
async def pop(talk: Dialogue, opts: PopOptions) -> None:
    """Return when the server has greeted, encrypted where it offers to, let us in, and said goodbye."""
    await talk.connect(opts.port)
    await _greeting(talk)
    capabilities = await _capabilities(talk)
    if opts.begin(offered="STLS" in capabilities):
        await _ask(talk, "starttls", "STLS")
        await talk.start_tls(opts)
        capabilities = await _capabilities(talk)  # those from before are forgotten (RFC 2595 §4)
    await _visit(talk, opts, capabilities)


@check("pop3s", options=Pop3sOptions, verifies=needs_name)
async def pop3s(talk: Dialogue, opts: Pop3sOptions) -> None:
    """Return when the server has greeted over TLS, with a good certificate, let us in, and said goodbye."""
    await talk.connect(opts.port, tls=opts)
    await _greeting(talk)
    await _visit(talk, opts, await _capabilities(talk))


async def _visit(talk: Dialogue, opts: TlsOptions, capabilities: Capabilities) -> None:
    credential = presentable(talk, opts)
    if credential is not None:
        if "USER" in capabilities or not capabilities:
            await _ask(talk, "log-in", f"USER {credential.username}")
            await _ask(talk, "log-in", "PASS ", credential.password)
        elif "PLAIN" in capabilities.get("SASL", ()):
            await _ask(talk, "log-in", "AUTH PLAIN", wanted="+")
            await _ask(talk, "log-in", plain(credential))
        else:
            raise no_way_in(talk, "the server offers neither USER nor SASL PLAIN")
        status = await _ask(talk, "stat", "STAT")
        if not _STATUS.fullmatch(status):
            raise talk.unexpected("+OK and two numbers", status)
    await _ask(talk, "quit", "QUIT")


async def _greeting(talk: Dialogue) -> None:
    talk.step = "greeting"
    kind, line = await _reply(talk)
    if kind == "-ERR":
        raise Unavailable(talk.step, talk.show(line))
    if kind != "+OK":
        raise talk.unexpected("+OK", line)


async def _capabilities(talk: Dialogue) -> Capabilities:
    talk.step = "capabilities"
    talk.send("CAPA")
    kind, line = await _reply(talk)
    if kind == "-ERR":
        return {}
    found: Capabilities = {}
    for _ in range(LINES):
        line = await talk.line(LINE)
        if line == ".":
            return found
        match line.upper().split():
            case [name, *arguments]:
                found[name] = arguments
            case _:
                raise talk.unexpected("a capability", line)
    raise UnexpectedReply(talk.step, f"more than {LINES} capabilities")


async def _ask(talk: Dialogue, step: str, *command: str | Secret, wanted: str = "+OK") -> str:
    """Say something and return the reply, which is a good one."""
    talk.step = step
    talk.send(*command)
    kind, line = await _reply(talk)
    if kind == wanted:
        return line
    if kind != "-ERR":
        raise talk.unexpected(wanted, line)
    if NOT_NOW.match(line):
        raise Unavailable(step, talk.show(line))
    raise rejected(talk, talk.show(line)) if step == "log-in" else WrongContent(step, talk.show(line))


async def _reply(talk: Dialogue) -> tuple[str, str]:
    """Return how a reply begins, in upper case, and all of it."""
    line = await talk.line(LINE)
    match = _REPLY.fullmatch(line)
    if match is None:
        raise talk.unexpected("a POP3 reply", line)
    return match[1].upper(), line
