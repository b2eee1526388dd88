"""tcp: the dialogue of the configuration, step by step, whatever the server does."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from collectors.failures import Misconfigured, Refused, TimedOut, UnexpectedReply, Unreachable
from collectors.registry import CHECKS
from collectors.services.tcp import TcpOptions
from tests.peers.certificates import Authority, server_context
from tests.peers.process import free_port
from tests.peers.scripted import Attempt, Serve, says
from tests.peers.sshd import Sshd


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(1000):
        writer.write(said)


async def test_an_open_port_passes_and_a_closed_one_is_refused(serve: Serve, run: Attempt) -> None:
    assert (await run("tcp", await serve(says(b"")))).failure is None
    assert isinstance((await run("tcp", free_port())).failure, Refused)


@pytest.mark.parametrize(
    "steps",
    [
        [{"send": r"PING\r\n\x00"}, {"expect_hex": "50494e47 0d0a00"}],
        [{"send": "PING\r\n"}, {"expect": r"G\r\n"}],
        [{"send_hex": "00ff80"}, {"expect": r"\x00\xff"}, {"expect_hex": "80"}],
        [{"send": "日本"}, {"expect_regex": "^日"}, {"expect": "本"}],
        [{"send": "a1 b2"}, {"expect_regex": r"\w1 "}, {"expect_regex": "^b"}],
        [{"send_hex": "ff 41 fe"}, {"expect_regex": "A"}, {"expect_hex": "fe"}],
    ],
)
async def test_steps_are_done_in_order_and_bytes_are_sent_as_written(
    serve: Serve, run: Attempt, steps: list[dict[str, Any]]
) -> None:
    reading = await run("tcp", await serve(echo), steps=steps)
    assert reading.failure is None, reading.failure


async def test_an_answer_in_pieces_is_put_together(serve: Serve, run: Attempt) -> None:
    async def pieces(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in (b"+PO", b"NG\r", b"\n"):
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.01)

    steps = [{"expect_regex": r"^\+PONG\r\n"}]
    assert (await run("tcp", await serve(pieces), steps=steps)).failure is None


async def test_another_answer_is_told_as_such_even_if_the_server_then_waits(serve: Serve, run: Attempt) -> None:
    port = await serve(says(b"-ERR no\r\n"))
    for step in ({"expect": "+PONG"}, {"expect_regex": "PONG$"}, {"expect_hex": "00"}):
        reading = await run("tcp", port, steps=[step], within=0.5)
        assert isinstance(reading.failure, UnexpectedReply)
        assert reading.failure.step == "step 1"
        assert "-ERR no" in reading.failure.detail
        assert reading.duration < 2


async def test_silence_is_a_timeout_at_its_step(serve: Serve, run: Attempt) -> None:
    reading = await run("tcp", await serve(says(b"hi")), steps=[{"expect": "hi"}, {"expect": "you"}], within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "step 2"


@pytest.mark.parametrize(("said", "failure"), [(b"", Unreachable), (b"bye\n", UnexpectedReply)])
async def test_a_connection_that_ends_is_lost_or_another_answer(
    serve: Serve, run: Attempt, said: bytes, failure: type[Exception]
) -> None:
    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    assert isinstance((await run("tcp", await serve(closes), steps=[{"expect": "hello"}])).failure, failure)


@pytest.mark.parametrize("step", [{"expect": "ready"}, {"expect_regex": "re+ady"}])
async def test_an_answer_without_end_is_cut(serve: Serve, run: Attempt, step: dict[str, str]) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 1000)
            await writer.drain()

    reading = await run("tcp", await serve(endless), steps=[step])
    assert isinstance(reading.failure, UnexpectedReply)
    assert len(str(reading.failure)) < 500


async def test_an_answer_in_drops_is_not_looked_at_for_every_drop(
    serve: Serve, run: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    from collectors import steps

    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.001)

    looks = 0

    def search(*_: object) -> None:
        nonlocal looks
        looks += 1

    monkeypatch.setattr(steps, "search", search)
    await run("tcp", await serve(drip), steps=[{"expect_regex": "y+"}], within=0.3)
    assert looks < 25


async def test_a_pattern_that_runs_wild_is_our_fault(serve: Serve, run: Attempt) -> None:
    port = await serve(says(b"a" * 100 + b"c"))
    reading = await run("tcp", port, steps=[{"expect_regex": "(a+)+b"}])
    assert isinstance(reading.failure, Misconfigured)


async def test_tls_from_the_first_byte_or_in_the_middle(serve: Serve, run: Attempt, authority: Authority) -> None:
    context = server_context(authority.issue("x.example"))

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"GO\n")
        await writer.start_tls(context)
        writer.write(b"SECRETLY\n")
        await reader.read()

    implicit = await serve(says(b"hello"), tls=context)
    common = {"hostname": "x.example", "ca_file": authority.file}
    reading = await run("tcp", implicit, tls=True, steps=[{"expect": "hello"}], **common)  # type: ignore[arg-type]  # mixed
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    steps = [{"send": r"TLS\n"}, {"expect": r"GO\n"}, {"starttls": True}, {"expect": "SECRETLY"}]
    reading = await run("tcp", await serve(upgrade), steps=steps, **common)  # type: ignore[arg-type]  # mixed
    assert reading.failure is None


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "port"),
        ({"steps": [{"send": "a", "expect": "b"}]}, "must have one of send, send_hex, expect"),
        ({"steps": [{}]}, "must have one of"),
        ({"steps": [{"send": r"a\q"}]}, r"\r \n \t \0 \\ and \xNN"),
        ({"steps": [{"send": "a\\"}]}, "unknown escape"),
        ({"steps": [{"send": r"\x0g"}]}, "unknown escape"),
        ({"steps": [{"send": ""}]}, "at least 1"),
        ({"steps": [{"send_hex": "0"}]}, "hexadecimal"),
        ({"steps": [{"expect_regex": "("}]}, "regular expression"),
        ({"steps": [{"starttls": False}]}, "True"),
        ({"steps": [{"send": "x"}] * 51}, "50"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TcpOptions.model_validate({"port": 1, **options} if options else {})
    assert sentence in str(refused.value)


def test_a_name_is_needed_where_a_certificate_is_verified() -> None:
    kind = CHECKS["tcp"]
    assert not kind.tls(TcpOptions(port=1))
    assert kind.tls(TcpOptions(port=1, tls=True))
    assert kind.tls(TcpOptions.model_validate({"port": 1, "steps": [{"starttls": True}]}))
    assert not kind.tls(TcpOptions(port=1, tls=True, server_name="x.example"))


def test_options_can_be_shown() -> None:
    options = TcpOptions.model_validate({"port": 1, "steps": [{"send_hex": "00ff"}, {"expect_regex": "a+"}]})
    assert '"send_hex":"00 ff"' in options.model_dump_json()
    assert '"expect_regex":"a+"' in options.model_dump_json()


async def test_sshd_is_greeted_by_a_dialogue(peer: Callable[[str], str], run: Attempt, tmp_path: Path) -> None:
    with Sshd(peer("sshd"), tmp_path) as sshd:
        steps = [{"expect_regex": "^SSH-2.0-OpenSSH"}, {"expect": r"\r\n"}, {"send": r"SSH-2.0-probe\r\n"}]
        assert (await run("tcp", sshd.port, steps=steps)).failure is None
