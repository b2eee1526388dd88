"""DNS: a pass proves that the server answers our question, and answers it with the records that are expected.

RFC 1035: the answer carries our number and repeats our question (also RFC 5452 §9.1); whatever else arrives over UDP is
not heard. Number and source port are random. An answer that does not fit a datagram comes truncated, and is asked for
again over TCP (RFC 7766 §5), which every server has to speak. With EDNS0 (RFC 6891) we say how much we take; a server
that is too old for it is asked again without (§7).
"""

import ipaddress
import secrets
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator, model_validator

from collectors import dns_message
from collectors.datagram import over_udp
from collectors.dialogue import Dialogue
from collectors.dns_message import Malformed, Message, answers, parse, question, tidy_name
from collectors.failures import Unavailable, WrongContent
from collectors.registry import Options, Port, check

LENGTH = 2
"""Bytes before a message over TCP (RFC 1035 §4.2.2)."""
LONGEST = 0xFFFF
SHOWN = 10
"""Records of an answer in the transcript."""
ANSWER = "an answer to our question"
TOO_OLD = ("FORMERR", "NOTIMP")
"""What a server says that does not know EDNS0."""

Type = Literal["A", "AAAA", "CNAME", "MX", "NS", "PTR", "SOA", "SRV", "TXT", "CAA"]


def _query(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        return f"{ipaddress.ip_address(value).reverse_pointer}."
    except ValueError:
        return tidy_name(value)


class DnsOptions(Options):
    """What can be said about a dns check."""

    port: Port = 53
    query: Annotated[str, BeforeValidator(_query)]
    """The name that is asked for; of an IP address its name under ``in-addr.arpa`` or ``ip6.arpa``."""
    type: Type = "A"
    expect: Annotated[tuple[str, ...], Field(max_length=100)] = ()
    """Data of records, as a zone file has it."""
    match: Literal["all", "any", "exactly"] = "all"
    expect_rcode: Literal["NOERROR", "NXDOMAIN", "REFUSED"] = "NOERROR"
    transport: Literal["udp", "tcp", "both"] = "udp"
    recursion: bool = True
    authoritative: bool = False
    """The answer must be the zone's own server's."""

    @field_validator("expect")
    @classmethod
    def _tidy(cls, value: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        kind = info.data.get("type")
        return tuple(dns_message.tidy(kind, text) for text in value) if kind else value

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.expect and self.expect_rcode != "NOERROR":
            raise ValueError(f"expect has no place beside expect_rcode: {self.expect_rcode}, which brings no records")
        return self


@check("dns", options=DnsOptions)
async def dns(talk: Dialogue, opts: DnsOptions) -> None:
    """Return when the question was answered as expected, over each transport that is asked for."""
    truncated = False
    if opts.transport != "tcp":
        message = await _ask(_over_udp, talk, opts)
        truncated = message.truncated
        if not truncated:
            talk.step = "udp answer"
            _judge(talk, opts, message)
    if truncated or opts.transport != "udp":
        message = await _ask(_over_tcp, talk, opts)
        talk.step = "tcp answer"
        _judge(talk, opts, message)


Transport = Callable[[Dialogue, DnsOptions, bool], Awaitable[Message]]
"""Asks once; the last argument says whether with EDNS0."""


async def _ask(transport: Transport, talk: Dialogue, opts: DnsOptions) -> Message:
    message = await transport(talk, opts, True)
    return await transport(talk, opts, False) if message.rcode in TOO_OLD else message


async def _over_udp(talk: Dialogue, opts: DnsOptions, edns: bool) -> Message:
    talk.step = "udp query"
    number, asked, shown = _question(opts, edns=edns)
    talk.transcript.note(">", shown)

    def take(data: bytes) -> bytes | None:
        if answers(data, number, opts.query, opts.type):
            return data
        talk.transcript.note("*", f"{len(data)} bytes that are no answer to our question")
        return None

    data = await over_udp(talk, opts.port, lambda datagrams: datagrams.ask(asked, ANSWER, take, note=False))
    return _parsed(talk, data)


async def _over_tcp(talk: Dialogue, opts: DnsOptions, edns: bool) -> Message:
    await talk.connect(opts.port, limit=LENGTH + LONGEST)
    talk.step = "tcp query"
    number, asked, shown = _question(opts, edns=edns)
    talk.write(len(asked).to_bytes(LENGTH) + asked, shown_as=shown)
    data = await talk.exactly(int.from_bytes(await talk.exactly(LENGTH)))
    if not answers(data, number, opts.query, opts.type):
        raise talk.unexpected(ANSWER, data)
    return _parsed(talk, data)


def _question(opts: DnsOptions, *, edns: bool) -> tuple[int, bytes, str]:
    number = secrets.randbits(16)
    shown = f"{opts.query} {opts.type}{' +edns' if edns else ''} (number {number})"
    return number, question(number, opts.query, opts.type, recursion=opts.recursion, edns=edns), shown


def _parsed(talk: Dialogue, data: bytes) -> Message:
    try:
        message = parse(data)
    except Malformed as error:
        raise talk.unexpected(f"a DNS message ({error})", data) from None
    flags = f"{' authoritative' if message.authoritative else ''}{' truncated' if message.truncated else ''}"
    talk.transcript.note("<", f"{message.rcode}{flags}, {len(data)} bytes")
    for record in message.answers[:SHOWN]:
        talk.transcript.note("<", f"{record.name} {record.kind} {record.data}")
    return message


def _judge(talk: Dialogue, opts: DnsOptions, message: Message) -> None:
    if message.rcode != opts.expect_rcode:
        if message.rcode == "SERVFAIL":
            raise Unavailable(talk.step, "the server answers SERVFAIL: it cannot tell now")
        raise WrongContent(talk.step, f"expected {opts.expect_rcode}, got {message.rcode}")
    if opts.authoritative and not message.authoritative:
        raise WrongContent(talk.step, "the answer is not authoritative: this server does not have the zone")
    if opts.expect_rcode != "NOERROR":
        return
    found = message.records(opts.query, opts.type)
    if not found:
        raise WrongContent(talk.step, f"{opts.query} has no {opts.type} record")
    missing = [data for data in opts.expect if data not in found]
    others = [data for data in found if data not in opts.expect]
    right = {
        "all": not missing,
        "any": len(missing) < len(opts.expect) or not opts.expect,
        "exactly": not missing and not (opts.expect and others),
    }
    if not right[opts.match]:
        wanted = f"{opts.match} of {', '.join(opts.expect)}" if len(opts.expect) > 1 else opts.expect[0]
        raise WrongContent(talk.step, f"expected {wanted}, got: {talk.show(', '.join(found))}")
