"""dns: the question is answered as expected over each transport, and every other answer is told as what it is."""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.dns_message import question
from collectors.failures import Refused, TimedOut, Unavailable, UnexpectedReply, Unreachable, WrongContent
from collectors.services.dns import DnsOptions
from tests.peers.dns import ZONE, name, record, response
from tests.peers.scripted import Attempt, Script, Serve, ServeUdp, says
from tests.peers.unbound import Unbound

SHOP: dict[str, Any] = {"query": "shop.example"}
ADDRESS = record(b"\xc0\x0c", "A", bytes([192, 0, 2, 1]))
OTHER = record(b"\xc0\x0c", "A", bytes([192, 0, 2, 2]))


def replies(*records: bytes, flags: int = 0x8000) -> Callable[[bytes], Iterable[bytes]]:
    return lambda asked: [response(asked, records, flags=flags)]


def over_tcp(*records: bytes, flags: int = 0x8000) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = await reader.readexactly(int.from_bytes(await reader.readexactly(2)))
        said = response(asked, records, flags=flags)
        writer.write(len(said).to_bytes(2) + said)

    return script


@pytest.mark.parametrize(
    ("expect", "match", "failure"),
    [
        ([], "all", None),
        (["192.0.2.1"], "all", None),
        (["192.0.2.1", "192.0.2.2"], "exactly", None),
        (["192.0.2.1"], "exactly", WrongContent),
        (["192.0.2.1", "192.0.2.3"], "all", WrongContent),
        (["192.0.2.1", "192.0.2.3"], "any", None),
        (["192.0.2.3", "192.0.2.4"], "any", WrongContent),
        ([], "any", None),
    ],
)
async def test_the_answer_has_all_any_or_exactly_what_is_expected(
    serve_udp: ServeUdp, run: Attempt, expect: list[str], match: str, failure: type[Exception] | None
) -> None:
    port = await serve_udp(replies(ADDRESS, OTHER))
    reading = await run("dns", port, **SHOP, expect=expect, match=match)
    assert reading.failure is None if failure is None else isinstance(reading.failure, failure)
    if reading.failure:
        assert reading.failure.step == "udp answer"
        assert "192.0.2.1, 192.0.2.2" in reading.failure.detail


async def test_a_name_without_such_a_record_is_the_wrong_answer(serve_udp: ServeUdp, run: Attempt) -> None:
    reading = await run("dns", await serve_udp(replies(*ZONE)), **SHOP, type="AAAA")
    assert isinstance(reading.failure, WrongContent)
    assert "shop.example. has no AAAA record" in reading.failure.detail


@pytest.mark.parametrize(
    ("rcode", "failure"), [(1, WrongContent), (2, Unavailable), (3, WrongContent), (5, WrongContent), (9, WrongContent)]
)
async def test_what_the_server_says_instead_of_an_answer_is_told(
    serve_udp: ServeUdp, run: Attempt, rcode: int, failure: type[Exception]
) -> None:
    reading = await run("dns", await serve_udp(replies(flags=0x8000 | rcode)), **SHOP)
    assert isinstance(reading.failure, failure)
    assert reading.failure.step == "udp answer"


@pytest.mark.parametrize(("expected", "rcode"), [("NXDOMAIN", 3), ("REFUSED", 5)])
async def test_no_can_be_the_right_answer(serve_udp: ServeUdp, run: Attempt, expected: str, rcode: int) -> None:
    port = await serve_udp(replies(flags=0x8000 | rcode))
    assert (await run("dns", port, **SHOP, expect_rcode=expected)).failure is None
    port = await serve_udp(replies(ADDRESS))
    assert isinstance((await run("dns", port, **SHOP, expect_rcode=expected)).failure, WrongContent)


async def test_an_authoritative_answer_can_be_asked_for(serve_udp: ServeUdp, run: Attempt) -> None:
    assert (
        await run("dns", await serve_udp(replies(ADDRESS, flags=0x8400)), **SHOP, authoritative=True)
    ).failure is None
    reading = await run("dns", await serve_udp(replies(ADDRESS)), **SHOP, authoritative=True)
    assert isinstance(reading.failure, WrongContent)


async def test_a_server_too_old_for_edns_is_asked_again_without(serve_udp: ServeUdp, run: Attempt) -> None:
    asked: list[bool] = []

    def old(data: bytes) -> Iterable[bytes]:
        asked.append(data[11] == 1)
        return [data[:2] + b"\x80\x01" + bytes(8)] if asked[-1] else [response(data, [ADDRESS])]

    assert (await run("dns", await serve_udp(old), **SHOP)).failure is None
    assert asked == [True, False]


async def test_number_and_port_are_other_ones_every_time(serve_udp: ServeUdp, run: Attempt) -> None:
    asked = set()

    def listens(data: bytes) -> Iterable[bytes]:
        asked.add(data[:2])
        return [response(data, [ADDRESS])]

    port = await serve_udp(listens)
    for _ in range(8):
        assert (await run("dns", port, **SHOP)).failure is None
    assert len(asked) > 4


async def test_a_question_that_got_lost_is_asked_again(
    serve_udp: ServeUdp, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.datagram.AGAIN", 0.05)
    asked: list[bytes] = []

    def forgetful(data: bytes) -> Iterable[bytes]:
        asked.append(data)
        return [response(data, [ADDRESS])] if len(asked) == 3 else []

    assert (await run("dns", await serve_udp(forgetful), **SHOP)).failure is None
    assert len(set(asked)) == 1


# transports


async def test_a_truncated_answer_is_asked_for_again_over_tcp(run: Attempt, serve: Serve) -> None:
    def truncated(asked: bytes) -> bytes:
        return response(asked, [], flags=0x8200)

    port = await serve(over_tcp(ADDRESS))
    with closing(await _udp_beside(port, truncated)):
        reading = await run("dns", port, **SHOP, expect=["192.0.2.1"])
        assert reading.failure is None, reading.failure
        assert "truncated" in "".join(reading.transcript)


async def _udp_beside(port: int, reply: Callable[[bytes], bytes]) -> asyncio.DatagramTransport:
    """Serve datagrams on a TCP server's port number."""

    class Server(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            transport.sendto(reply(data), addr)

    loop = asyncio.get_running_loop()
    transport: asyncio.DatagramTransport
    transport, _ = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", port))
    return transport


async def test_each_transport_that_is_asked_for_must_answer(serve: Serve, serve_udp: ServeUdp, run: Attempt) -> None:
    tcp_only = await serve(over_tcp(ADDRESS))
    udp_only = await serve_udp(replies(ADDRESS))
    assert (await run("dns", tcp_only, **SHOP, transport="tcp")).failure is None
    for port, transport, step in (
        (tcp_only, "udp", "udp query"),
        (tcp_only, "both", "udp query"),
        (udp_only, "tcp", "connect"),
        (udp_only, "both", "connect"),
    ):
        reading = await run("dns", port, **SHOP, transport=transport)
        assert isinstance(reading.failure, Refused)
        assert reading.failure.step == step


# hostile servers


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"\0\0",
        b"\0\x05hello",
        b"\xff\xff" + bytes(0xFFFF),
        b"\0\x0c" + b"\xff" * 12,
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
    ],
)
async def test_what_is_not_dns_over_tcp_is_told(serve: Serve, run: Attempt, said: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(30)
        writer.write(said)

    reading = await run("dns", await serve(script), **SHOP, transport="tcp")
    assert isinstance(reading.failure, UnexpectedReply | Unreachable)
    assert reading.failure.step == "tcp query"


@pytest.mark.parametrize(
    "harm",
    [
        lambda asked: response(asked, [record(b"\xc0\x1e", "A", bytes(4))]),
        lambda asked: response(asked, [record(b"\xc0\x0c", "CNAME", b"\xc0\x2a")]),
        lambda asked: response(asked, [], count=0xFFFF),
        lambda asked: response(asked, [], count=1),
        lambda asked: response(asked, [record(b"\xc0\x0c", "TXT", b"\xff\0\0")]),
        lambda asked: response(asked, [record(name("a" * 63 + ".b" * 120), "A", bytes(4))]),
    ],
)
async def test_an_answer_made_to_do_harm_is_no_dns(
    serve_udp: ServeUdp, run: Attempt, harm: Callable[[bytes], bytes]
) -> None:
    reading = await run("dns", await serve_udp(lambda asked: [harm(asked)]), **SHOP)
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "udp query"
    assert len(reading.failure.detail) < 500


async def test_text_of_the_server_is_shown_without_control_characters(serve_udp: ServeUdp, run: Attempt) -> None:
    text = record(b"\xc0\x0c", "TXT", b"\x07\0\x1b[31m\xff")
    reading = await run("dns", await serve_udp(replies(text)), **SHOP, type="TXT", expect=["ready"])
    assert isinstance(reading.failure, WrongContent)
    assert "\\x1b[31m" in reading.failure.detail
    assert all(line.isprintable() for line in reading.transcript)


@pytest.mark.parametrize(
    "forge",
    [
        lambda asked: bytes([asked[0] ^ 1]) + response(asked, [ADDRESS])[1:],
        lambda asked: response(question(0, "evil.example.", "A", recursion=True, edns=False), [ADDRESS]),
        lambda asked: asked,
        lambda _: b"\0",
        lambda _: b"\0\xff\r\n" * 300,
    ],
)
async def test_an_answer_to_another_question_is_not_heard_and_told_when_no_other_comes(
    serve_udp: ServeUdp, run: Attempt, forge: Callable[[bytes], bytes]
) -> None:
    first = await serve_udp(lambda asked: [forge(asked), response(asked, [ADDRESS])])
    assert (await run("dns", first, **SHOP)).failure is None
    reading = await run("dns", await serve_udp(lambda asked: [forge(asked)]), **SHOP, within=0.3)
    assert isinstance(reading.failure, UnexpectedReply)


async def test_an_answer_from_another_address_or_port_is_not_heard(run: Attempt) -> None:
    with contextlib.ExitStack() as stack:
        honest, *forgers = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3))
        for sock, address in zip((honest, *forgers), ("127.0.0.1", "127.0.0.1", "127.0.0.9"), strict=True):
            sock.bind((address, 0))

        def spoof() -> None:
            asked, client = honest.recvfrom(1000)
            for sock in forgers:
                sock.sendto(response(asked, [OTHER]), client)
            honest.sendto(response(asked, [ADDRESS]), client)

        asyncio.get_running_loop().add_reader(honest, spoof)
        reading = await run("dns", honest.getsockname()[1], **SHOP, expect=["192.0.2.1"], match="exactly")
        asyncio.get_running_loop().remove_reader(honest)
    assert reading.failure is None, reading.failure


async def test_a_flood_ends_the_attempt(serve_udp: ServeUdp, run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("collectors.datagram.DATAGRAMS", 20)
    reading = await run("dns", await serve_udp(lambda _: [b"x"] * 50), **SHOP)
    assert isinstance(reading.failure, UnexpectedReply)
    assert "datagrams" in reading.failure.detail


async def test_silence_is_a_timeout(serve: Serve, serve_udp: ServeUdp, run: Attempt) -> None:
    reading = await run("dns", await serve_udp(lambda _: []), **SHOP, within=0.3)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "udp query"
    reading = await run("dns", await serve(says(b"")), **SHOP, transport="tcp", within=0.3)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "tcp query"


# options


def test_an_ip_address_is_asked_for_under_its_reverse_name() -> None:
    assert DnsOptions(query="192.0.2.1", type="PTR").query == "1.2.0.192.in-addr.arpa."
    assert DnsOptions(query="2001:db8::1", type="PTR").query.endswith("8.b.d.0.1.0.0.2.ip6.arpa.")
    assert DnsOptions(query="Shop.Example.").query == "shop.example."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "query"),
        ({"query": "日本.example"}, "xn--"),
        ({"query": "a..b"}, "is not a DNS name"),
        ({"query": "x" * 64}, "is not a DNS name"),
        ({"query": "a.b", "expect": ["x"]}, "Expected 4 octets"),
        ({"query": "a.b", "type": "MX", "expect": ["mail.example"]}, "2 fields"),
        ({"query": "a.b", "expect": ["192.0.2.1"], "expect_rcode": "NXDOMAIN"}, "brings no records"),
        ({"query": "a.b", "type": "ANY"}, "'A', 'AAAA'"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        DnsOptions.model_validate(options)
    assert sentence in str(refused.value)


# the real one

LOCAL = (
    "local-zone: shop.example static",
    'local-data: "shop.example A 192.0.2.1"',
    'local-data: "shop.example A 192.0.2.2"',
    'local-data: "shop.example AAAA 2001:db8::1"',
    'local-data: "shop.example MX 10 Mail.shop.example"',
    'local-data: "_sip._tcp.shop.example SRV 1 2 5060 sip.shop.example"',
    "local-data: 'shop.example TXT \"v=spf1 -all\"'",
    'local-data: "shop.example CAA 0 issue ca.example"',
    'local-data: "shop.example SOA ns1.shop.example noc.shop.example 7 3600 600 86400 60"',
    'local-data-ptr: "192.0.2.1 shop.example"',
    *(f'local-data: "big.shop.example TXT {number:0200}"' for number in range(30)),
    "local-zone: secret.example refuse",
)


async def test_unbound_answers_every_kind_of_question_over_both_transports(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Unbound(peer("unbound"), tmp_path, *LOCAL) as unbound:
        for options in (
            {"query": "shop.example", "expect": ["192.0.2.2", "192.0.2.1"], "match": "exactly"},
            {"query": "shop.example", "type": "AAAA", "expect": ["2001:db8:0::1"], "authoritative": True},
            {"query": "shop.example", "type": "MX", "expect": ["10 mail.SHOP.example"], "recursion": False},
            {"query": "_sip._tcp.shop.example", "type": "SRV", "expect": ["1 2 5060 sip.shop.example."]},
            {"query": "shop.example", "type": "TXT", "expect": ["v=spf1 -all"]},
            {"query": "shop.example", "type": "CAA", "expect": ['0 issue "ca.example"']},
            {
                "query": "shop.example",
                "type": "SOA",
                "expect": ["ns1.shop.example noc.shop.example 7 3600 600 86400 60"],
            },
            {"query": "192.0.2.1", "type": "PTR", "expect": ["shop.example"]},
            {"query": "gone.shop.example", "expect_rcode": "NXDOMAIN"},
            {"query": "x.secret.example", "expect_rcode": "REFUSED"},
            {"query": "big.shop.example", "type": "TXT", "expect": [f"{29:0200}"]},  # truncated over UDP
        ):
            reading = await run("dns", unbound.port, transport="both", **options)
            assert reading.failure is None, f"{options}: {reading.failure}"


async def test_unbound_stopped_stuck_and_wrong_is_told_and_it_comes_back(
    peer: Callable[[str], str], run: Attempt, serve_udp: ServeUdp, tmp_path: Path
) -> None:
    upstream = await serve_udp(replies(flags=0x8005))
    broken = f"forward-zone:\n    name: broken.example\n    forward-addr: 127.0.0.1@{upstream}\n"
    with Unbound(peer("unbound"), tmp_path, *LOCAL, rest=broken) as unbound:
        wrong = await run("dns", unbound.port, **SHOP, expect=["192.0.2.9"])
        assert isinstance(wrong.failure, WrongContent)
        servfail = await run("dns", unbound.port, query="broken.example")
        assert isinstance(servfail.failure, Unavailable)
        refusing = await run("dns", unbound.port, query="x.secret.example")
        assert isinstance(refusing.failure, WrongContent)
        assert "REFUSED" in refusing.failure.detail
        os.kill(unbound.pid, signal.SIGSTOP)
        for transport, step in (("udp", "udp query"), ("tcp", "tcp query")):
            stuck = await run("dns", unbound.port, **SHOP, transport=transport, within=0.4)
            assert isinstance(stuck.failure, TimedOut)
            assert stuck.failure.step == step
        unbound.kill()
        for transport in ("udp", "tcp"):
            assert isinstance((await run("dns", unbound.port, **SHOP, transport=transport)).failure, Refused)
        unbound.start()
        assert (await run("dns", unbound.port, **SHOP, transport="both")).failure is None


async def test_unbound_without_tcp_fails_only_where_tcp_is_needed(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    class UdpOnly(Unbound):
        def ready(self) -> bool:
            return "start of service" in self.log.read_text("utf-8")

    with UdpOnly(peer("unbound"), tmp_path, "do-tcp: no", *LOCAL) as unbound:
        assert (await run("dns", unbound.port, **SHOP)).failure is None
        assert isinstance((await run("dns", unbound.port, **SHOP, transport="both")).failure, Refused)
        assert isinstance((await run("dns", unbound.port, query="big.shop.example", type="TXT")).failure, Refused)
