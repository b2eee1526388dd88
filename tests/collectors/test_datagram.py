"""Datagrams: where they come from, and what a socket that cannot be opened means."""

import asyncio
from collections.abc import Iterable

import pytest

from collectors.datagram import Datagrams, over_udp
from collectors.dialogue import Dialogue
from collectors.failures import Internal, Misconfigured
from collectors.registry import ServiceTarget
from tests.peers.scripted import ServeUdp


def dialogue(target: ServiceTarget) -> Dialogue:
    return Dialogue(target, asyncio.get_running_loop().time() + 5)


def echo(data: bytes) -> Iterable[bytes]:
    return [data]


async def local_address(datagrams: Datagrams) -> str:
    await datagrams.ask(b"hi", "hi", lambda data: data)
    address: str = datagrams.sock.getsockname()[0]
    return address


async def test_datagrams_come_from_the_source_address(serve_udp: ServeUdp) -> None:
    talk = dialogue(ServiceTarget("127.0.0.1", source_address="127.0.0.5"))
    assert await over_udp(talk, await serve_udp(echo), local_address) == "127.0.0.5"


@pytest.mark.parametrize("source", ["192.0.2.1", "::1"])
async def test_a_source_address_that_cannot_be_used_is_our_mistake(serve_udp: ServeUdp, source: str) -> None:
    talk = dialogue(ServiceTarget("127.0.0.1", source_address=source))
    with pytest.raises(Misconfigured, match="source_address"):
        await over_udp(talk, await serve_udp(echo), local_address)


async def test_no_file_descriptor_left_is_our_fault(serve_udp: ServeUdp, monkeypatch: pytest.MonkeyPatch) -> None:
    port = await serve_udp(echo)

    def exhausted(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("collectors.datagram.partial", lambda *_: exhausted)
    with pytest.raises(Internal, match="exhausted"):
        await over_udp(dialogue(ServiceTarget("127.0.0.1")), port, local_address)
