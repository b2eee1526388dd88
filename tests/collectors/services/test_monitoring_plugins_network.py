"""dns, udp and icmp beside Debian's plug-ins on the same peers, up and broken: the same verdict, or a reason."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.failures import UnexpectedReply
from tests.collectors.services.test_udp import NTP
from tests.peers.chrony import Chrony
from tests.peers.monitoring_plugins import Plugin, agree, differ
from tests.peers.process import free_port
from tests.peers.scripted import Attempt, ServeUdp
from tests.peers.unbound import Unbound

ADDRESS = "127.0.0.53"
"""Has port 53, for the plug-in that knows no other."""
ZONE = (
    "local-zone: shop.example static",
    'local-data: "shop.example A 192.0.2.1"',
    'local-data: "shop.example MX 10 mail.shop.example"',
    "local-zone: secret.example refuse",
)


@pytest.fixture
def unbound(peer: Callable[[str], str], tmp_path: Path) -> Iterator[Unbound]:
    with Unbound(peer("unbound"), tmp_path, *ZONE) as server:
        yield server


# dns


@pytest.mark.parametrize(
    ("query", "kind", "expected"),
    [
        ("shop.example", "A", "192.0.2.1"),
        ("shop.example", "A", "192.0.2.9"),
        ("shop.example", "MX", "10 mail.shop.example."),
        ("shop.example", "AAAA", "2001:db8::1"),
        ("gone.shop.example", "A", "192.0.2.1"),
        ("x.secret.example", "A", "192.0.2.1"),
    ],
)
async def test_check_dig_agrees_on_answers_right_and_wrong(
    run: Attempt, plugin: Plugin, unbound: Unbound, query: str, kind: str, expected: str
) -> None:
    options = ("-H", "127.0.0.1", "-p", unbound.port, "-l", query, "-T", kind, "-a", expected)
    reading = await run("dns", unbound.port, query=query, type=kind, expect=[expected])
    agree(reading, await plugin("check_dig", *options))


async def test_check_dig_agrees_on_a_server_that_is_stuck_and_one_that_is_gone(
    run: Attempt, plugin: Plugin, unbound: Unbound
) -> None:
    options = ("-H", "127.0.0.1", "-p", unbound.port, "-l", "shop.example", "-a", "192.0.2.1", "-t", 2)
    os.kill(unbound.pid, signal.SIGSTOP)
    agree(await run("dns", unbound.port, query="shop.example", within=0.5), await plugin("check_dig", *options))
    unbound.kill()
    agree(await run("dns", unbound.port, query="shop.example"), await plugin("check_dig", *options))


@pytest.mark.skipif(os.getuid() != 0, reason="port 53 is for root")
async def test_check_dns_agrees_on_answers_right_and_wrong(
    peer: Callable[[str], str], run: Attempt, plugin: Plugin, tmp_path: Path
) -> None:
    with Unbound(peer("unbound"), tmp_path, *ZONE, also=ADDRESS) as server:
        for query, expected in (
            ("shop.example", "192.0.2.1"),
            ("shop.example", "192.0.2.9"),
            ("gone.shop.example", "192.0.2.1"),
            ("x.secret.example", "192.0.2.1"),
        ):
            told = await plugin("check_dns", "-H", query, "-s", ADDRESS, "-a", expected, "-t", 5)
            agree(await run("dns", 53, address=ADDRESS, query=query, expect=[expected]), told)
        server.kill()
        told = await plugin("check_dns", "-H", "shop.example", "-s", ADDRESS, "-t", 5)
        agree(await run("dns", 53, address=ADDRESS, query="shop.example"), told)


# udp


async def test_check_udp_agrees_on_answers_right_wrong_and_missing(
    run: Attempt, plugin: Plugin, serve_udp: ServeUdp
) -> None:
    for port in (
        await serve_udp(lambda data: [data]),
        await serve_udp(lambda _: [b"no"]),
        await serve_udp(lambda _: []),
        free_port(),
    ):
        told = await plugin("check_udp", "-H", "127.0.0.1", "-p", port, "-s", "ping", "-e", "ping", "-t", 1)
        agree(await run("udp", port, steps=[{"send": "ping"}, {"expect": "ping"}], within=0.5), told)


async def test_check_ntp_time_agrees_on_chronyd_up_and_gone_and_not_on_one_without_time(
    peer: Callable[[str], str], run: Attempt, plugin: Plugin, tmp_path: Path
) -> None:
    with Chrony(peer("chronyd"), tmp_path / "up", "local stratum 3", "allow 127.0.0.0/8") as chrony:
        options = ("check_ntp_time", "-H", "127.0.0.1", "-p", chrony.port, "-t", 3)
        agree(await run("udp", chrony.port, steps=NTP), await plugin(*options))
        chrony.kill()
        agree(await run("udp", chrony.port, steps=NTP), await plugin(*options))
    with Chrony(peer("chronyd"), tmp_path / "lost", "allow 127.0.0.0/8") as chrony:
        reading = await run("udp", chrony.port, steps=NTP, within=0.5)
        assert isinstance(reading.failure, UnexpectedReply)
        agree(reading, await plugin("check_ntp_time", "-H", "127.0.0.1", "-p", chrony.port, "-t", 3))


async def test_check_ntp_peer_asks_for_what_chronyd_tells_nobody(
    peer: Callable[[str], str], run: Attempt, plugin: Plugin, tmp_path: Path
) -> None:
    with Chrony(peer("chronyd"), tmp_path, "local stratum 3", "allow 127.0.0.0/8") as chrony:
        told = await plugin("check_ntp_peer", "-H", "127.0.0.1", "-p", chrony.port, "-t", 2)
        because = (
            "it speaks ntpd's control protocol (mode 6), which chronyd has not; ours asks for the time, as clients do"
        )
        differ(await run("udp", chrony.port, steps=NTP), told, because)


# icmp


@pytest.mark.skipif(os.getuid() != 0, reason="the ping that the plug-ins call is for root")
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("check_ping", ("-w", "1000,50%", "-c", "2000,90%", "-p", "1", "-t", "2")),
        ("check_icmp", ("-n", "1", "-t", "2")),
    ],
)
async def test_ping_plugins_agree_on_a_host_that_answers(
    run: Attempt, plugin: Plugin, name: str, arguments: tuple[str, ...]
) -> None:
    """One that does not is in test_icmp.py, in a network of its own."""
    agree(await run("icmp", 0), await plugin(name, "-H", "127.0.0.1", *arguments))
