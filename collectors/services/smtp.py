"""SMTP: a pass proves that the server greets us, knows extended SMTP, encrypts where it says so, and says goodbye.

RFC 5321: the greeting is 220 (§3.1), ``EHLO`` lists the extensions (§4.1.1.1), ``QUIT`` is answered with 221. 421 and
every other 4xx mean "not now", so does 554 instead of a greeting (§3.1). STARTTLS is RFC 3207. No mail is sent.
"""

import re
from typing import Annotated

from pydantic import Field

from collectors.dialogue import Dialogue
from collectors.failures import Unavailable, UnexpectedReply, WrongContent
from collectors.registry import Port, check
from collectors.tls import StartTlsOptions, needs_name

LINES = 100
"""Lines of one reply, at most."""
LINE = 2048
"""Bytes: §4.5.3.1.5 has 512; more has been seen."""
NO_SERVICE = frozenset({521, 554})
"""Instead of a greeting: no mail here (RFC 7504), or not now."""

_REPLY = re.compile(r"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


class SmtpOptions(StartTlsOptions):
    """What can be said about an smtp check."""

    port: Port = 25
    helo: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:\[\]_-]{0,255}$")] = ""
    """What we call ourselves; else our address, ``[192.0.2.1]``."""


@check("smtp", options=SmtpOptions, verifies=needs_name)
async def smtp(talk: Dialogue, opts: SmtpOptions) -> None:
    """Return when the server has greeted, answered EHLO, encrypted where it offers to, and said goodbye."""
    await talk.connect(opts.port)
    await expect(talk, "greeting", 220)
    ehlo = f"EHLO {opts.helo or address_literal(talk.local_address())}"
    talk.send(ehlo)
    extensions = await expect(talk, "ehlo", 250)
    if opts.starttls != "off" and any(line.upper() == "STARTTLS" for line in extensions):
        talk.send("STARTTLS")
        await expect(talk, "starttls", 220)
        await talk.start_tls(opts)
        talk.send(ehlo)
        await expect(talk, "ehlo", 250)
    elif opts.starttls == "required":
        raise WrongContent("starttls", "the server does not offer STARTTLS")
    talk.send("QUIT")
    await expect(talk, "quit", 221)


async def expect(talk: Dialogue, step: str, code: int) -> list[str]:
    """Return the texts of a reply (§4.2) if it has this code.

    Raises UnexpectedReply for what is no reply, Unavailable for one that says "not now", WrongContent for any other.
    """
    talk.step = step
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
            break
    else:
        raise UnexpectedReply(step, f"a reply of more than {LINES} lines")
    said = int(first)
    if said == code:
        return texts
    shown = talk.show(f"{first} {' '.join(texts)}")
    if said // 100 == 4 or (step == "greeting" and said in NO_SERVICE):
        raise Unavailable(step, shown)
    raise WrongContent(step, f"expected {code}, got: {shown}")


def address_literal(address: str) -> str:
    """Return an IP address as EHLO has it (§4.1.3)."""
    return f"[IPv6:{address}]" if ":" in address else f"[{address}]"
