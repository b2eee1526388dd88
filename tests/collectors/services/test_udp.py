"""udp: the datagrams of the configuration are answered, whatever gets lost and whoever else answers."""

import os
import signal
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.failures import Misconfigured, Refused, TimedOut, UnexpectedReply
from collectors.registry import CHECKS
from collectors.services.udp import UdpOptions
from tests.peers.chrony import Chrony
from tests.peers.process import free_port
from tests.peers.scripted import Attempt, ServeUdp

PING = [{"send": "ping"}, {"expect": "pong"}]


def echo(data: bytes) -> Iterable[bytes]:
    return [data]


@pytest.mark.parametrize(
    "steps",
    [
        [{"send": r"PING\r\n\x00"}, {"expect_hex": "50494e47 0d0a00"}],
        [{"send_hex": "00ff80"}, {"expect": r"\x00\xff"}, {"expect_hex": "80"}],
        [{"send": "日本"}, {"expect_regex": "^日"}, {"expect": "本"}],
        [{"send": "one"}, {"expect": "one"}, {"send": "two"}, {"expect_regex": "^two$"}],
        [{"send": "one"}, {"send": "two"}, {"expect": "two"}],
    ],
)
async def test_datagrams_are_sent_as_written_and_answers_looked_at_whole(
    serve_udp: ServeUdp, run: Attempt, steps: list[dict[str, Any]]
) -> None:
    reading = await run("udp", await serve_udp(echo), steps=steps)
    assert reading.failure is None, reading.failure


async def test_one_answer_has_to_meet_all_that_is_expected_of_it(serve_udp: ServeUdp, run: Attempt) -> None:
    port = await serve_udp(lambda _: [b"a", b"b"])
    steps = [{"send": "x"}, {"expect": "a"}, {"expect": "b"}]
    reading = await run("udp", port, steps=steps, within=0.3)
    assert isinstance(reading.failure, UnexpectedReply)
    assert (await run("udp", await serve_udp(lambda _: [b"a", b"ba"]), steps=steps)).failure is None


async def test_a_closed_port_is_refused_and_silence_is_a_timeout_at_the_step_that_waits(
    serve_udp: ServeUdp, run: Attempt
) -> None:
    assert isinstance((await run("udp", free_port(), steps=PING)).failure, Refused)
    reading = await run("udp", await serve_udp(lambda _: []), steps=PING, within=0.3)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "step 2"


async def test_another_answer_is_told_as_such(serve_udp: ServeUdp, run: Attempt) -> None:
    reading = await run("udp", await serve_udp(lambda _: [b"go away\0\x1b"]), steps=PING, within=0.3)
    assert isinstance(reading.failure, UnexpectedReply)
    assert "expected pong, got: go away\\x00\\x1b" in reading.failure.detail


async def test_a_datagram_that_got_lost_is_sent_again(
    serve_udp: ServeUdp, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.datagram.AGAIN", 0.05)
    heard: list[bytes] = []

    def forgetful(data: bytes) -> Iterable[bytes]:
        heard.append(data)
        return [b"pong"] if len(heard) == 3 else []

    assert (await run("udp", await serve_udp(forgetful), steps=PING)).failure is None
    assert heard == [b"ping"] * 3


async def test_the_first_address_of_a_name_that_answers_is_enough(
    serve_udp: ServeUdp, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def resolve(*_: object) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]

    monkeypatch.setattr("collectors.dialogue.Dialogue._resolve", resolve)
    port = await serve_udp(lambda _: [b"pong"])
    reading = await run("udp", port, address="two.example", steps=PING)
    assert reading.failure is None
    assert "127.0.0.2: connection refused" in "".join(reading.transcript)
    wrong = await run("udp", await serve_udp(lambda _: [b"no"]), address="two.example", steps=PING, within=0.4)
    assert isinstance(wrong.failure, UnexpectedReply)


async def test_a_flood_of_other_answers_ends_the_attempt(
    serve_udp: ServeUdp, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.datagram.DATAGRAMS", 10)
    reading = await run("udp", await serve_udp(lambda _: [b"x" * 100] * 30), steps=PING)
    assert isinstance(reading.failure, UnexpectedReply)
    assert "more than 10 datagrams" in reading.failure.detail


async def test_a_pattern_that_runs_wild_is_our_fault(serve_udp: ServeUdp, run: Attempt) -> None:
    port = await serve_udp(lambda _: [b"a" * 100 + b"c"])
    reading = await run("udp", port, steps=[{"send": "x"}, {"expect_regex": "(a+)+b"}])
    assert isinstance(reading.failure, Misconfigured)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": PING}, "port"),
        ({"port": 1}, "steps"),
        ({"port": 1, "steps": [{"send": "a"}]}, "at least 2"),
        ({"port": 1, "steps": [{"send": "a"}, {"send": "b"}]}, "silence proves nothing"),
        ({"port": 1, "steps": [{"expect": "a"}, {"expect": "b"}]}, "must begin with send"),
        ({"port": 1, "steps": [{"send": "a"}, {"starttls": True}]}, "Extra inputs"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        UdpOptions.model_validate(options)
    assert sentence in str(refused.value)


def test_no_certificate_is_looked_at() -> None:
    assert not CHECKS["udp"].tls(UdpOptions.model_validate({"port": 1, "steps": PING}))


# the real one

NTP = [
    {"send_hex": "23" + "00" * 47},
    {"expect_regex": r"^[\x24\x64\udca4][\x01-\x0f]"},
]
"""A request of a client in version 4 (RFC 5905 §7.3), answered by a server that is synchronised."""


async def test_chronyd_passes_dies_hangs_loses_its_time_and_comes_back(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Chrony(peer("chronyd"), tmp_path, "local stratum 3", "allow 127.0.0.0/8") as chrony:
        reading = await run("udp", chrony.port, steps=NTP)
        assert reading.failure is None, reading.failure
        os.kill(chrony.pid, signal.SIGSTOP)
        assert isinstance((await run("udp", chrony.port, steps=NTP, within=0.4)).failure, TimedOut)
        chrony.kill()
        assert isinstance((await run("udp", chrony.port, steps=NTP)).failure, Refused)
        chrony.start()
        assert (await run("udp", chrony.port, steps=NTP)).failure is None


@pytest.mark.parametrize(
    ("configuration", "failure"),
    [(("allow 127.0.0.0/8",), UnexpectedReply), (("local stratum 3", "allow 192.0.2.0/24"), TimedOut)],
    ids=["without-time", "without-permission"],
)
async def test_chronyd_without_time_answers_wrongly_and_without_permission_not_at_all(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path, configuration: tuple[str, ...], failure: type[Exception]
) -> None:
    with Chrony(peer("chronyd"), tmp_path, *configuration) as chrony:
        assert isinstance((await run("udp", chrony.port, steps=NTP, within=0.4)).failure, failure)
