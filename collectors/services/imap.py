"""IMAP: a pass proves that the server greets us, encrypts where it says so, opens our mailbox, and says goodbye.

RFC 9051 §7.1: the greetings ``OK`` and ``PREAUTH`` mean serving, ``BYE`` means up, but refusing us. ``CAPABILITY``
is §6.1.1, ``STARTTLS`` §6.2.1, ``AUTHENTICATE PLAIN`` §6.2.2, ``LOGIN`` §6.2.3, ``SELECT`` §6.3.2; ``LOGOUT`` (§6.1.3)
obliges the server to answer with ``* BYE``. The mailbox is opened with a credential only, and no message is looked at.
"""

import re

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, UnexpectedReply, WrongContent
from collectors.login import no_way_in, plain, presentable, rejected
from collectors.registry import Port, check
from collectors.secret import Credential, Secret
from collectors.tls import StartTlsOptions, TlsOptions, needs_name

LINES = 100
"""Untagged responses to one command, at most."""
NOT_NOW = re.compile(r"\[(?:UNAVAILABLE|INUSE|LIMIT|SERVERBUG)\b", re.IGNORECASE)
"""Response codes of a refusal that is not about our password (RFC 5530 §3)."""
LITERAL = re.compile(r".*\{[0-9]+\+?\}", re.DOTALL)
"""What announces that many bytes (§4.3); nothing that we ask for is answered so. In the text of a status it is text."""
STATUSES = frozenset({"OK", "NO", "BAD"})


class ImapOptions(StartTlsOptions):
    """What can be said about an imap check."""

    port: Port = 143


class ImapsOptions(TlsOptions):
    """What can be said about an imaps check."""

    port: Port = 993


@check("imap", options=ImapOptions, verifies=needs_name)
async def imap(talk: Dialogue, opts: ImapOptions) -> None:
    """Return when the server has greeted, encrypted where it offers to, opened our mailbox, and said goodbye."""
    await talk.connect(opts.port)
    greeting = await _greeting(talk)
    capabilities = await _capabilities(talk, "a1")
    if opts.begin(offered="STARTTLS" in capabilities):
        talk.send("a2 STARTTLS")
        await _completed(talk, "starttls", "a2")
        await talk.start_tls(opts)
        if talk.target.credential is not None:
            capabilities = await _capabilities(talk, "a3")  # those from before are forgotten (§6.2.1)
    await _visit(talk, opts, greeting, capabilities)


@check("imaps", options=ImapsOptions, verifies=needs_name)
async def imaps(talk: Dialogue, opts: ImapsOptions) -> None:
    """Return when the server has greeted over TLS, with a good certificate, opened our mailbox, and said goodbye."""
    await talk.connect(opts.port, tls=opts)
    greeting = await _greeting(talk)
    await _visit(talk, opts, greeting, await _capabilities(talk, "a1"))


async def _greeting(talk: Dialogue) -> str:
    return (await talk.expect("greeting", "* OK", "* PREAUTH", unavailable="* BYE")).upper()


async def _capabilities(talk: Dialogue, tag: str) -> frozenset[str]:
    talk.send(f"{tag} CAPABILITY")
    untagged = await _completed(talk, "capability", tag)
    return frozenset(" ".join(untagged).upper().split())


async def _visit(talk: Dialogue, opts: TlsOptions, greeting: str, capabilities: frozenset[str]) -> None:
    if talk.target.credential is not None:
        if not greeting.startswith("* PREAUTH") and (credential := presentable(talk, opts)):
            await _log_in(talk, credential, capabilities)
        talk.send("a5 SELECT INBOX")
        untagged = await _completed(talk, "select", "a5")
        if not any(line.upper().split()[2:] == ["EXISTS"] for line in untagged):
            raise WrongContent(talk.step, "the server does not say how many messages EXIST")
    talk.send("a6 LOGOUT")
    await talk.expect("logout", "* BYE")


async def _log_in(talk: Dialogue, credential: Credential, capabilities: frozenset[str]) -> None:
    if "AUTH=PLAIN" in capabilities:  # unlike LOGIN it takes a password in any script
        talk.send("a4 AUTHENTICATE PLAIN")
        await _completed(talk, "log-in", "a4", goes_on=True)
        talk.send(plain(credential))
    elif "LOGINDISABLED" not in capabilities:
        talk.send(f"a4 LOGIN {_quoted(credential.username)} ", Secret(_quoted(credential.password.reveal())))
    else:
        raise no_way_in(talk, "the server offers neither LOGIN nor AUTH=PLAIN")
    await _completed(talk, "log-in", "a4")


async def _completed(talk: Dialogue, step: str, tag: str, *, goes_on: bool = False) -> list[str]:
    """Return the untagged responses to a command that was completed with OK (§7.1), or ``+`` where it ``goes_on``."""
    talk.step = step
    untagged: list[str] = []
    for _ in range(LINES):
        line = await talk.line()
        words = line.upper().split(maxsplit=2)
        match words:
            case ["+", *_] if goes_on:
                return untagged
            case ["*", "BYE", *_]:
                raise Unavailable(step, talk.show(line))
            case ["*", kind, *_] if kind in STATUSES or not LITERAL.fullmatch(line):
                untagged.append(line)
            case [given, "OK", *_] if given == tag.upper() and not goes_on:
                return untagged
            case [given, "NO", *_] if given == tag.upper():
                if NOT_NOW.search(line):
                    raise Unavailable(step, talk.show(line))
                if step == "log-in":
                    raise rejected(talk, talk.show(line))
                raise WrongContent(step, talk.show(line))
            case [given, "BAD", *_] if given == tag.upper():
                raise WrongContent(step, talk.show(line))
            case _:
                raise talk.unexpected("an IMAP response", line)
    raise UnexpectedReply(step, f"more than {LINES} untagged responses")


def _quoted(text: str) -> str:
    """Return a text, in which there is no line end, as a quoted string (§4.3)."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
