"""icmp: enough echo requests are answered, over the socket that this host allows, or the remedy is told."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.failures import Misconfigured, TimedOut, UnexpectedReply
from collectors.services import icmp
from collectors.services.icmp import IPV4, IPV6, IcmpOptions, Kind, answered, checksum_of, message
from exporter.probe import Status
from tests.peers.scripted import Attempt, Reply

TOKEN = b"t" * 24
NAMESPACE, ROUTER = (f"dserver-{name}-{os.getpid()}" for name in ("icmp", "router"))
ALLOWED = "0 2147483647"


def reply_to(asked: bytes) -> bytes:
    return bytes(1) + asked[1:]


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Reply], None]]:
    """Put the far end of a socket pair in the place of the network, which answers what it is told to."""
    ends: list[socket.socket] = []

    def build(reply: Reply) -> None:
        def open_pair(*_: object) -> socket.socket:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
            ends.append(theirs)
            ours.setblocking(False)

            def heard() -> None:
                for data in reply(theirs.recv(2000)):
                    theirs.send(data)

            asyncio.get_running_loop().add_reader(theirs, heard)
            return ours

        monkeypatch.setattr(icmp, "connected", open_pair)

    yield build
    for end in ends:
        end.close()


@pytest.mark.parametrize(
    ("count", "max_lost", "lost", "passes"),
    [
        (3, 2, (), True),
        (3, 2, (1, 2), True),
        (3, 2, (1, 2, 3), False),
        (5, 1, (2,), True),
        (5, 1, (2, 4), False),
        (1, 0, (), True),
    ],
)
async def test_so_many_may_be_lost_and_no_more(
    host: Callable[[Reply], None],
    run: Attempt,
    monkeypatch: pytest.MonkeyPatch,
    count: int,
    max_lost: int,
    lost: tuple[int, ...],
    passes: bool,
) -> None:
    monkeypatch.setattr(icmp, "PAUSE", 0.01)
    host(lambda asked: [] if int.from_bytes(asked[6:8]) in lost else [reply_to(asked)])
    reading = await run("icmp", 0, count=count, max_lost=max_lost, within=0.5)
    if passes:
        assert reading.failure is None, reading.failure
    else:
        assert isinstance(reading.failure, TimedOut)
        assert f"{count - len(lost)} of {count} echo requests answered" in reading.failure.detail


async def test_no_more_requests_are_sent_once_it_is_decided(host: Callable[[Reply], None], run: Attempt) -> None:
    heard: list[bytes] = []

    def answers(asked: bytes) -> Iterable[bytes]:
        heard.append(asked)
        return [reply_to(asked)]

    host(answers)
    assert (await run("icmp", 0)).failure is None
    assert len(heard) == 1


async def test_one_answer_counts_once(
    host: Callable[[Reply], None], run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(icmp, "PAUSE", 0.01)
    host(lambda asked: [reply_to(asked)] * 3 if asked[7] == 1 else [])
    assert isinstance((await run("icmp", 0, count=3, max_lost=1, within=0.2)).failure, TimedOut)


async def test_a_flood_of_other_messages_ends_the_attempt(
    host: Callable[[Reply], None], run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.datagram.DATAGRAMS", 5)
    host(lambda _: [b"\0" * 60] * 8)
    assert isinstance((await run("icmp", 0)).failure, UnexpectedReply)


# messages


def test_a_request_has_the_checksum_of_the_internet() -> None:
    said = message(IPV4, 0x1234, 7, TOKEN)
    assert said[:2] == b"\x08\0"
    assert said[4:8] == bytes.fromhex("12340007")
    assert checksum_of(said) == 0
    assert message(IPV6, 1, 2, TOKEN)[:4] == b"\x80\0\0\0"


@pytest.mark.parametrize("kind", [IPV4, IPV6])
def test_only_the_reply_to_us_is_an_answer(kind: Kind) -> None:
    reply = bytes([kind.reply]) + message(kind, 9, 513, TOKEN)[1:]
    assert answered(kind, reply, TOKEN) == 513
    for other in (message(kind, 9, 513, TOKEN), reply[:-1], reply + b"x", reply[:-1] + b"x", b"", reply[:8]):
        assert answered(kind, other, TOKEN) is None


def test_the_header_of_a_raw_socket_is_passed_over_whatever_its_length() -> None:
    reply = bytes(1) + message(IPV4, 9, 3, TOKEN)[1:]
    assert answered(IPV4, b"\x45" + bytes(19) + reply, TOKEN) == 3
    assert answered(IPV4, b"\x4f" + bytes(59) + reply, TOKEN) == 3
    assert answered(IPV4, b"\x4f" + bytes(10), TOKEN) is None
    assert answered(IPV4, b"\x40", TOKEN) is None


@given(said=st.binary(max_size=120))
def test_no_bytes_crash_the_reader(said: bytes) -> None:
    assert answered(IPV4, said, TOKEN) is None
    assert answered(IPV6, said, TOKEN) is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 0}, "greater than or equal to 1"),
        ({"count": 21}, "20"),
        ({"count": 2}, "max_lost must be less than count, 2"),
        ({"port": 7}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        IcmpOptions.model_validate(options)
    assert sentence in str(refused.value)


# real sockets


def allowed() -> bool:
    try:
        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not allowed(), reason="needs CAP_NET_RAW: run the tests as root")
@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "localhost"])
async def test_this_host_answers_over_a_raw_socket(run: Attempt, address: str) -> None:
    reading = await run("icmp", 0, address=address)
    assert reading.failure is None, reading.failure


async def test_a_host_that_allows_neither_socket_is_told_how_to(run: Attempt, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(1, "Operation not permitted")

    kinds = SimpleNamespace(SOCK_DGRAM=socket.SOCK_DGRAM, SOCK_RAW=socket.SOCK_RAW, socket=refuse)
    monkeypatch.setattr("collectors.services.icmp.socket", kinds)
    reading = await run("icmp", 0)
    assert isinstance(reading.failure, Misconfigured)
    assert "net.ipv4.ping_group_range" in reading.failure.detail
    assert "CAP_NET_RAW" in reading.failure.detail


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """A network of our own, where a command line runs that follows this one.

    It has a loopback, and a router at its end that has no route to 192.0.2.0/24 and says so.
    """
    program = shutil.which("ip", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    made = program and subprocess.run([program, "netns", "add", NAMESPACE], capture_output=True, check=False)
    if not program or not made or made.returncode:
        pytest.skip("needs network namespaces: run the tests as root, with iproute2")

    def ip(*words: str) -> None:
        subprocess.run([program, *words], check=True)

    inside = [program, "netns", "exec", NAMESPACE]
    try:
        ip("netns", "add", ROUTER)
        ip("-n", NAMESPACE, "link", "set", "lo", "up")
        ip("-n", NAMESPACE, "link", "add", "out", "type", "veth", "peer", "name", "in", "netns", ROUTER)
        for where, device, number in ((NAMESPACE, "out", 1), (ROUTER, "in", 2)):
            ip("-n", where, "address", "add", f"198.51.100.{number}/24", "dev", device)
            ip("-n", where, "link", "set", device, "up")
        ip("-n", NAMESPACE, "route", "add", "default", "via", "198.51.100.2")
        ip("-n", ROUTER, "route", "add", "unreachable", "192.0.2.0/24")
        ip("netns", "exec", ROUTER, "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield inside
    finally:
        for each in (NAMESPACE, ROUTER):
            subprocess.run([program, "netns", "del", each], capture_output=True, check=False)


CONFIGURATION = """\
customers: [{id: c1, name: Example, managed: true, contacts: [{name: Desk, email: ops@customer.example}]}]
servers:
- {name: v4, customer: c1, address: 127.0.0.1, services: [icmp]}
- {name: v6, customer: c1, address: "::1", services: [icmp]}
- name: gone
  customer: c1
  address: 192.0.2.1
  services: [{protocol: icmp, timeout: 1s}, {protocol: udp, port: 9, steps: [{send: x}, {expect: x}]}]
"""


def test_without_privileges_the_group_range_decides_and_a_router_tells_what_is_unreachable(
    peer: Callable[[str], str], namespace: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "dserver.yml"
    file.write_text(CONFIGURATION, "utf-8")
    program = [str(Path(sys.executable).with_name("dserver-exporter")), "probe", f"--config.file={file}"]
    nobody = ["setpriv", "--bounding-set=-net_raw", "--inh-caps=-all", "--ambient-caps=-all"]

    def probe(server: str, check: str = "icmp") -> str:
        command = [*namespace, *nobody, *program, server, check]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"{told.returncode} {told.stdout}{told.stderr}"

    assert "ping_group_range" in probe("v4")
    subprocess.run([*namespace, "sysctl", "-q", "-w", f"net.ipv4.ping_group_range={ALLOWED}"], check=True)
    for server in ("v4", "v6"):
        assert probe(server).startswith("0 ")
    assert "unreachable at echo" in probe("gone")
    theirs = [*namespace, peer("check_ping"), "-H", "192.0.2.1", "-w", "9,50%", "-c", "9,90%", "-p", "1", "-t", "1"]
    assert subprocess.run(theirs, capture_output=True, check=False).returncode == Status.CRITICAL
    assert "unreachable at step 2" in probe("gone", "udp")
