"""The guide's dialogues for protocols without a check of their own: each passes at a server that is well alone."""

import asyncio
from typing import Any

import pytest

from collectors.failures import CertificateFailure, UnexpectedReply, Unreachable
from tests import guide
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.scripted import Attempt, Script, Serve

NAME = "mqtt.example"


def answering(greeting: bytes, *answers: tuple[bytes, bytes]) -> Script:
    """Greet, then wait for each thing to be said, and answer it."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        for said, answer in answers:
            assert await reader.readuntil(said[-2:]) == said
            writer.write(answer)
        await reader.read()

    return script


def mqtt(answer: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind, length = await reader.readexactly(2)
        packet = await reader.readexactly(length)
        # MQTT 3.1.1 section 3.1: protocol name and level, clean session, keep alive, a client identifier of no bytes
        assert kind == 0x10
        assert packet == b"\0\4MQTT\4\2\0\x0a\0\0"
        writer.write(answer)
        await reader.read()

    return script


def sip(answer: bytes) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        needed = ("Via:", "To:", "From:", "Call-ID:", "CSeq:", "Max-Forwards:")  # RFC 3261 section 8.1.1
        assert all(f"\r\n{field} " in head for field in needed)
        writer.write(answer)
        await reader.read()

    return script


SERVERS: dict[str, tuple[Script, ...]] = {
    "memcached": (
        answering(b"", (b"version\r\n", b"VERSION 1.6.18\r\n")),
        answering(b"", (b"version\r\n", b"ERROR\r\n")),
        answering(b"ERROR Too many open connections\r\n"),
    ),
    "nntp": (
        answering(
            b"200 news.example ready\r\n", (b"DATE\r\n", b"111 20261125120000\r\n"), (b"QUIT\r\n", b"205 bye\r\n")
        ),
        answering(b"400 not now\r\n"),
        answering(b"201 ready\r\n", (b"DATE\r\n", b"480 log in first\r\n")),
    ),
    "sip": (
        sip(b"SIP/2.0 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n"),
        sip(b"SIP/2.0 503 Service Unavailable\r\n\r\n"),
        sip(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    ),
    "mqtt": (mqtt(b"\x20\2\0\0"), mqtt(b"\x20\2\0\3"), mqtt(b"\x20\2\0\5")),
}
"""The first is well, the others are not."""


def dialogue(name: str, protocol: str = "tcp") -> dict[str, Any]:
    (entry,) = (entry for entry in guide.examples(protocol) if entry.get("name") == name)
    return {**guide.options(entry)}


@pytest.mark.parametrize("name", SERVERS)
async def test_a_dialogue_of_the_guide_passes_at_a_server_that_is_well_and_at_no_other(
    serve: Serve, run: Attempt, name: str
) -> None:
    well, *broken = SERVERS[name]
    options = dialogue(name)
    options.pop("port")
    reading = await run("tcp", await serve(well), **options)
    assert reading.failure is None, reading.failure
    for script in broken:
        reading = await run("tcp", await serve(script), within=0.5, **options)
        assert isinstance(reading.failure, UnexpectedReply | Unreachable)
        assert reading.failure.step.startswith("step ")


async def test_a_tls_dialogue_judges_the_certificate_first(serve: Serve, run: Attempt, authority: Authority) -> None:
    options = dialogue("mqtts", "tls") | {"hostname": NAME, "ca_file": authority.file}
    options.pop("port")
    ends = now() - DAY
    good = await serve(mqtt(b"\x20\2\0\0"), tls=server_context(authority.issue(NAME)))
    expired = await serve(mqtt(b"\x20\2\0\0"), tls=server_context(authority.issue(NAME, ends=ends)))
    busy = await serve(mqtt(b"\x20\2\0\3"), tls=server_context(authority.issue(NAME)))
    assert (await run("tls", good, **options)).failure is None
    reading = await run("tls", expired, **options)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.failure.step == "expiry"
    assert reading.certificate_expiry == ends.timestamp()
    assert isinstance((await run("tls", busy, within=0.5, **options)).failure, UnexpectedReply)


async def test_a_tls_check_without_steps_proves_the_handshake(serve: Serve, run: Attempt, authority: Authority) -> None:
    async def quiet(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    port = await serve(quiet, tls=server_context(authority.issue(NAME)))
    reading = await run("tls", port, hostname=NAME, ca_file=authority.file)
    assert reading.failure is None
    assert reading.certificate_expiry is not None


def test_a_tls_check_does_not_begin_tls_twice() -> None:
    from pydantic import ValidationError

    from collectors.services.tcp import TlsDialogueOptions

    with pytest.raises(ValidationError, match="encrypted from the first byte"):
        TlsDialogueOptions.model_validate({"port": 1, "steps": [{"starttls": True}]})
