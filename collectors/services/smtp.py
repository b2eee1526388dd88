"""SMTP: a pass proves that the server greets us, encrypts where it says so, lets us in with a credential, says goodbye.

RFC 5321: the greeting is 220 (§3.1), ``EHLO`` lists the extensions (§4.1.1.1), a server without any knows ``HELO``
(§3.2), ``QUIT`` is answered with 221. 421 and every other 4xx mean "not now", so does 554 instead of a greeting
(§3.1). STARTTLS is RFC 3207, ``AUTH`` RFC 4954. A sender and a recipient can be asked for (§3.3), and are taken back
with ``RSET`` (§4.1.1.5): there is no ``DATA``, no mail is sent.
"""

import re
from typing import Annotated, Self

from pydantic import Field, model_validator

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, UnexpectedReply, WrongContent
from collectors.login import encoded, no_way_in, plain, presentable, rejected
from collectors.registry import Options, Port, check
from collectors.secret import Credential, Secret
from collectors.tls import StartTls, StartTlsOptions, TlsOptions, needs_name

LINES = 100
"""Lines of one reply, at most."""
LINE = 2048
"""Bytes: §4.5.3.1.5 has 512; more has been seen."""
NO_SERVICE = frozenset({521, 554})
"""Instead of a greeting: no mail here (RFC 7504), or not now."""
NOT_KNOWN = frozenset({500, 502})
"""The server does not have this command (§4.2.4)."""
SYNTAX = 50
"""How replies about syntax begin (§4.2.1): they say nothing about our password."""

_REPLY = re.compile(r"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)

Mailbox = Annotated[str, Field(pattern=r"^(<>|[!-;=?-~]{1,254})$")]
Extensions = dict[str, list[str]]
"""Parameters by keyword, both in upper case."""


class MailOptions(Options):
    """What every check of a server that takes mail can be told."""

    helo: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]_-]{0,255}$")] = ""
    """What we call ourselves; else our address, ``[192.0.2.1]``."""
    mail_from: Mailbox | None = None
    """The sender to ask for; ``<>`` is the empty one of bounces."""
    rcpt_to: Mailbox | None = None
    """The recipient to ask for."""

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.rcpt_to and not self.mail_from:
            raise ValueError("rcpt_to needs mail_from: a server hears of a recipient after a sender")
        if self.rcpt_to == "<>":
            raise ValueError("rcpt_to must be an address: the empty one is for senders")
        return self


class SmtpOptions(MailOptions, StartTlsOptions):
    """What can be said about an smtp check."""

    port: Port = 25


class SubmissionOptions(SmtpOptions):
    """What can be said about a submission check."""

    port: Port = 587
    starttls: StartTls = "required"
    """What programs insist on where they submit mail (RFC 8314 §3.3)."""


class SmtpsOptions(MailOptions, TlsOptions):
    """What can be said about an smtps check."""

    port: Port = 465


@check("smtp", options=SmtpOptions, verifies=needs_name)
@check("submission", options=SubmissionOptions, verifies=needs_name)
async def smtp(talk: Dialogue, opts: SmtpOptions) -> None:
    """Return when the server has greeted, encrypted where it offers to, let us in, and said goodbye."""
    await talk.connect(opts.port)
    await expect(talk, "greeting", 220)
    extensions = await _hello(talk, opts)
    if opts.begin(offered="STARTTLS" in extensions):
        talk.send("STARTTLS")
        await expect(talk, "starttls", 220)
        await talk.start_tls(opts)
        extensions = await _hello(talk, opts)  # those from before are forgotten (RFC 3207 §4.2)
    await _visit(talk, opts, extensions)


@check("smtps", options=SmtpsOptions, verifies=needs_name)
async def smtps(talk: Dialogue, opts: SmtpsOptions) -> None:
    """Return when the server has greeted over TLS, with a good certificate, let us in, and said goodbye."""
    await talk.connect(opts.port, tls=opts)
    await expect(talk, "greeting", 220)
    await _visit(talk, opts, await _hello(talk, opts))


async def _hello(talk: Dialogue, opts: MailOptions) -> Extensions:
    name = opts.helo or address_literal(talk.local_address())
    talk.step = "ehlo"
    talk.send(f"EHLO {name}")
    code, texts = await _reply(talk)
    if code in NOT_KNOWN:
        talk.send(f"HELO {name}")
        await expect(talk, "helo", 250)
        return {}
    _judge(talk, code, texts, 250)
    extensions: Extensions = {}
    for text in texts:
        # AUTH=LOGIN is what servers said before there was an RFC
        keyword, *parameters = text.upper().replace("AUTH=", "AUTH ", 1).split() or [""]
        extensions.setdefault(keyword, []).extend(parameters)
    return extensions


async def _visit(talk: Dialogue, opts: SmtpOptions | SmtpsOptions, extensions: Extensions) -> None:
    credential = presentable(talk, opts)
    if credential is not None:
        await _log_in(talk, credential, extensions.get("AUTH", []))
    if opts.mail_from:
        talk.send(f"MAIL FROM:<{opts.mail_from.strip('<>')}>")
        await expect(talk, "mail-from", 250)
        if opts.rcpt_to:
            talk.send(f"RCPT TO:<{opts.rcpt_to}>")
            await expect(talk, "rcpt-to", 250, 251)
        talk.send("RSET")
        await expect(talk, "reset", 250)
    talk.send("QUIT")
    await expect(talk, "quit", 221)


async def _log_in(talk: Dialogue, credential: Credential, mechanisms: list[str]) -> None:
    messages: tuple[str | Secret, ...]
    if "PLAIN" in mechanisms:
        talk.send("AUTH PLAIN")
        messages = (plain(credential),)
    elif "LOGIN" in mechanisms:
        talk.send("AUTH LOGIN")
        messages = (encoded(credential.username), Secret(encoded(credential.password.reveal())))
    else:
        raise no_way_in(talk, "the server offers neither AUTH PLAIN nor AUTH LOGIN")
    for message in messages:
        await expect(talk, "log-in", 334)
        talk.send(message)
    await expect(talk, "log-in", 235)


async def expect(talk: Dialogue, step: str, *codes: int) -> list[str]:
    """Return the texts of a reply (§4.2) if it has one of these codes.

    Raises UnexpectedReply for what is no reply, Unavailable for one that says "not now", Unauthorized for one to our
    password, WrongContent for any other.
    """
    talk.step = step
    said, texts = await _reply(talk)
    _judge(talk, said, texts, *codes)
    return texts


async def _reply(talk: Dialogue) -> tuple[int, list[str]]:
    texts: list[str] = []
    first = ""
    for _ in range(LINES):
        line = await talk.line(LINE)
        match = _REPLY.fullmatch(line)
        if match is None or (first and match[1] != first):
            raise talk.unexpected("an SMTP reply", line)
        first = match[1]
        texts.append(match[3] or "")
        if match[2] != "-":
            return int(first), texts
    raise UnexpectedReply(talk.step, f"a reply of more than {LINES} lines")


def _judge(talk: Dialogue, said: int, texts: list[str], *codes: int) -> None:
    if said in codes:
        return
    shown = talk.show(f"{said} {' '.join(texts)}")
    if said // 100 == 4 or (talk.step == "greeting" and said in NO_SERVICE):
        raise Unavailable(talk.step, shown)
    if talk.step == "log-in" and said // 100 == 5 and said // 10 != SYNTAX:
        raise rejected(talk, shown)
    raise WrongContent(talk.step, f"expected {' or '.join(map(str, codes))}, got: {shown}")


def address_literal(address: str) -> str:
    """Return an IP address as EHLO has it (§4.1.3)."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
