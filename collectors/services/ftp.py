"""FTP: a pass proves that the server greets us, encrypts where it says so, lets us in with a credential, lists files.

RFC 959: every reply begins with three digits (§4.2), 220 is the greeting, 230 that we are in, 421 and every other 4yz
mean "not now" (§4.2.1). TLS begins with ``AUTH TLS`` (RFC 4217 §4), or with the first byte on port 990; ``PBSZ`` and
``PROT P`` (§9) encrypt the data, too. The listing comes over a second connection, to the port that the server names to
``EPSV`` (RFC 2428 §3) or ``PASV``: always to the address that we speak with, whatever address it names. That
connection resumes the TLS session of the first, as many servers want. No file is read or written.
"""

import contextlib
import re
from collections.abc import Iterator
from typing import Literal

from collectors.dialogue import Dialogue
from collectors.failures import (
    CheckFailure,
    TimedOut,
    Unavailable,
    UnexpectedReply,
    WrongContent,
)
from collectors.login import asks_for_tls, presentable, rejected
from collectors.registry import Port, check
from collectors.tls import StartTlsOptions, TlsOptions, needs_name

LINE = 4096
"""Bytes: a server may greet with the longest path it has."""
LINES = 200
"""Lines of one reply, at most."""
LISTING = 64 * 1024
"""Bytes of a listing that are read; a longer one is cut off there."""
IMPLICIT_PORT = 990
READY_LATER = 120
PASSWORD_WANTED = 331
NEGATIVE = 400
COMPLETED = (226, 250)
CUT_OFF = (*COMPLETED, 426, 451)
"""What a server says whose listing we did not read to its end."""
REJECTED = 430
"""The password is wrong, say some instead of 530."""
SYNTAX = 50
"""How replies about syntax begin (§4.2.1): they say nothing about our password."""
TOO_MANY = re.compile(r"\b(?:maximum|too many)\b", re.IGNORECASE)
"""What ProFTPD says with 530 when it has enough clients (mod_auth, MaxClients and its like)."""

_REPLY = re.compile(r"([1-5][0-9]{2})(?:([ -]).*)?", re.DOTALL)
_EXTENDED = re.compile(r"\(([!-~])\1\1([0-9]{1,5})\1\)")
_PASSIVE = re.compile(r"([0-9]{1,3},[0-9]{1,3},[0-9]{1,3},[0-9]{1,3}),([0-9]{1,3}),([0-9]{1,3})")


class FtpOptions(StartTlsOptions):
    """What can be said about an ftp check."""

    port: Port = 21


class FtpsOptions(TlsOptions):
    """What can be said about an ftps check."""

    port: Port | None = None
    """Else 21, where implicit 990."""
    mode: Literal["auto", "explicit", "implicit"] = "auto"
    """``explicit``: TLS begins with AUTH TLS; ``implicit``: with the first byte; ``auto``: implicit on port 990."""

    @property
    def implicit(self) -> bool:
        """Whether TLS begins with the first byte."""
        return self.mode == "implicit" or (self.mode == "auto" and self.port == IMPLICIT_PORT)


@check("ftp", options=FtpOptions, verifies=needs_name)
async def ftp(talk: Dialogue, opts: FtpOptions) -> None:
    """Return when the server has greeted, encrypted where it offers to, let us in, listed files, and said goodbye."""
    await talk.connect(opts.port)
    await _expect(talk, "greeting", 220)
    if opts.starttls != "off":
        await _auth_tls(talk, opts, required=opts.starttls == "required")
    await _visit(talk, opts)


@check("ftps", options=FtpsOptions, verifies=needs_name)
async def ftps(talk: Dialogue, opts: FtpsOptions) -> None:
    """Return when the server has done the same over TLS, with a good certificate."""
    await talk.connect(opts.port or (IMPLICIT_PORT if opts.implicit else 21), tls=opts if opts.implicit else None)
    await _expect(talk, "greeting", 220)
    if not opts.implicit:
        await _auth_tls(talk, opts, required=True)
    await _visit(talk, opts)


async def _auth_tls(talk: Dialogue, opts: TlsOptions, *, required: bool) -> None:
    talk.step = "starttls"
    talk.send("AUTH TLS")
    code, lines = await _reply(talk)
    # only asking tells: Pure-FTPd lists AUTH TLS among its features (FEAT) also where it has no certificate
    if code // 100 == 5 and not required:
        return
    _judge(talk, code, lines, 234)
    await talk.start_tls(opts)


async def _visit(talk: Dialogue, opts: TlsOptions) -> None:
    credential = presentable(talk, opts)
    if credential is not None:
        talk.send(f"USER {credential.username}")
        code, _ = await _expect(talk, "log-in", 230, 232, 331)
        if code == PASSWORD_WANTED:
            talk.send("PASS ", credential.password)
            await _expect(talk, "log-in", 202, 230)
        if talk.encrypted:
            for command in ("PBSZ 0", "PROT P"):
                talk.send(command)
                await _expect(talk, "protection", 200)
        with contextlib.closing(talk.beside()) as data:
            await _list(talk, data, opts)
    talk.send("QUIT")
    await _expect(talk, "quit", 221)


async def _list(talk: Dialogue, data: Dialogue, opts: TlsOptions) -> None:
    """Have the folder listed where the log-in led us."""
    port = await _passive_port(talk, data.target.address)
    talk.step = "data"
    talk.late = TimedOut("data", f"no connection to passive port {port}: does a firewall let us through to it?")
    with _told_as_data():
        await data.connect(port)
    talk.late = None
    talk.send("LIST")
    await _expect(talk, "listing", 125, 150)
    talk.step = "data"
    try:
        with _told_as_data():
            if talk.encrypted:
                await data.start_tls(opts)
            whole = await _read(talk, data)
    except CheckFailure as failure:
        talk.late = failure
        raise type(failure)("data", failure.detail + await _explanation(talk)) from failure
    await _expect(talk, "listing", *(COMPLETED if whole else CUT_OFF))


async def _explanation(talk: Dialogue) -> str:
    """Return what the server says about a data connection that failed."""
    try:
        _, lines = await _reply(talk)
    except CheckFailure:
        return ""
    return f"; the server says: {talk.show(' '.join(lines))}"


@contextlib.contextmanager
def _told_as_data() -> Iterator[None]:
    """Tell what goes wrong with the data connection as that: ``connect`` and ``tls`` are steps of the first one."""
    try:
        yield
    except CheckFailure as failure:
        raise type(failure)("data", failure.detail) from failure


async def _read(talk: Dialogue, data: Dialogue) -> bool:
    """Read a listing; tell whether that was all of it."""
    size = 0
    while size < LISTING and (piece := await data.some(LISTING)):
        size += len(piece)
    data.close()
    talk.transcript.note("*", f"{size} bytes of a listing")
    return size < LISTING


async def _passive_port(talk: Dialogue, address: str) -> int:
    """Return the port that the server listens on for us."""
    talk.step = "passive"
    talk.send("EPSV")
    code, lines = await _reply(talk)
    if code // 100 == 5 and ":" not in address:
        talk.send("PASV")
        _, lines = await _expect(talk, "passive", 227)
        match = _PASSIVE.search(lines[-1])
        port = int(match[2]) * 256 + int(match[3]) if match else 0
        if match and (named := match[1].replace(",", ".")) != address:
            talk.transcript.note("*", f"it names {talk.show(named)}, and we stay with {address}")
    else:
        _judge(talk, code, lines, 229)
        match = _EXTENDED.search(lines[-1])
        port = int(match[2]) if match else 0
    if not 0 < port < 65536:
        raise talk.unexpected("a port", lines[-1])
    return port


async def _expect(talk: Dialogue, step: str, *codes: int) -> tuple[int, list[str]]:
    """Return a reply if it has one of these codes.

    Raises UnexpectedReply for what is no reply, Unavailable for one that says "not now", Unauthorized for one to our
    password, WrongContent for any other.
    """
    talk.step = step
    code, lines = await _reply(talk)
    _judge(talk, code, lines, *codes)
    return code, lines


async def _reply(talk: Dialogue) -> tuple[int, list[str]]:
    """Return the code and the lines of a reply; the lines between its first and last need not begin with the code."""
    lines = [await talk.line(LINE)]
    match = _REPLY.fullmatch(lines[0])
    if match is None:
        raise talk.unexpected("an FTP reply", lines[0])
    if match[2] == "-":
        while not lines[-1].startswith(f"{match[1]} "):
            if len(lines) == LINES:
                raise UnexpectedReply(talk.step, f"a reply of more than {LINES} lines")
            lines.append(await talk.line(LINE))
    return int(match[1]), lines


def _judge(talk: Dialogue, code: int, lines: list[str], *codes: int) -> None:
    if code in codes:
        return
    shown = talk.show(" ".join(lines))
    about_us = code // 100 == 5 and code // 10 != SYNTAX
    about_password = (about_us or code == REJECTED) and not TOO_MANY.search(shown)
    if talk.step == "log-in" and code >= NEGATIVE and (about_password or asks_for_tls(talk, shown)):
        raise rejected(talk, shown)
    if code // 100 == 4 or code == READY_LATER or (about_us and talk.step in {"greeting", "log-in"}):
        raise Unavailable(talk.step, shown)
    raise WrongContent(talk.step, f"expected {' or '.join(map(str, codes))}, got: {shown}")
