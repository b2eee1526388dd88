"""IMAP: a pass proves that the server greets us, encrypts where it says so, lets us in with a credential, says goodbye.

RFC 9051 §7.1: the greetings ``OK`` and ``PREAUTH`` mean serving, ``BYE`` means up, but refusing us. ``CAPABILITY``
is §6.1.1, ``STARTTLS`` §6.2.1, ``LOGIN`` §6.2.3; ``LOGOUT`` (§6.1.3) obliges the server to answer with ``* BYE``.
"""

import re

from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, Unavailable, UnexpectedReply, WrongContent
from collectors.registry import Port, check
from collectors.secret import Secret
from collectors.tls import StartTlsOptions, needs_name

LINES = 100
"""Untagged responses to one command, at most."""
NOT_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\b", re.IGNORECASE)
"""Response codes of a refusal that is not about our password (RFC 5530 §3)."""


class ImapOptions(StartTlsOptions):
    """What can be said about an imap check."""

    port: Port = 143


@check("imap", options=ImapOptions, verifies=needs_name)
async def imap(talk: Dialogue, opts: ImapOptions) -> None:
    """Return when the server has greeted, encrypted where it offers to, let us in, and said goodbye."""
    await talk.connect(opts.port)
    greeting = await talk.expect("greeting", "* OK", "* PREAUTH", unavailable="* BYE")
    talk.send("a1 CAPABILITY")
    capabilities = await _completed(talk, "capability", "a1")
    encrypted = False
    if opts.starttls != "off" and "STARTTLS" in " ".join(capabilities).upper().split():
        talk.send("a2 STARTTLS")
        await _completed(talk, "starttls", "a2")
        await talk.start_tls(opts)
        encrypted = True
    elif opts.starttls == "required":
        raise WrongContent("starttls", "the server does not offer STARTTLS")
    credential = talk.target.credential
    if credential is not None and not greeting.upper().startswith("* PREAUTH"):
        if not encrypted and opts.starttls != "off":
            detail = "without STARTTLS the password would be sent in the clear: if it may be, say starttls: off"
            raise Misconfigured("log-in", detail)
        password = Secret(_quoted(credential.password.reveal()))
        talk.send(f"a3 LOGIN {_quoted(credential.username)} ", password)
        await _completed(talk, "log-in", "a3")
    talk.send("a4 LOGOUT")
    await talk.expect("logout", "* BYE")


async def _completed(talk: Dialogue, step: str, tag: str) -> list[str]:
    """Return the untagged responses to a command that was completed with OK (§7.1)."""
    talk.step = step
    untagged: list[str] = []
    for _ in range(LINES):
        line = await talk.line()
        words = line.upper().split(maxsplit=2)
        match words:
            case ["*", "BYE", *_]:
                raise Unavailable(step, talk.show(line))
            case ["*", _, *_]:
                untagged.append(line)
            case [given, "OK", *_] if given == tag.upper():
                return untagged
            case [given, "NO", *_] if given == tag.upper():
                if NOT_NOW.search(line):
                    raise Unavailable(step, talk.show(line))
                if step == "log-in":
                    raise Unauthorized(step, talk.show(line))
                raise WrongContent(step, talk.show(line))
            case [given, "BAD", *_] if given == tag.upper():
                raise WrongContent(step, talk.show(line))
            case _:
                raise talk.unexpected("an IMAP response", line)
    raise UnexpectedReply(step, f"more than {LINES} untagged responses")


def _quoted(text: str) -> str:
    """Return a text as a quoted string (§4.3). Raises Misconfigured for what none can hold."""
    if any(c in text for c in "\r\n\0"):
        raise Misconfigured("log-in", "the user name or password has a line end or a NUL in it")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
