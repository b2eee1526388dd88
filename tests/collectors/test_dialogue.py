"""The conversation itself: whatever a server does, an attempt ends in time, within its limits, with reason and step."""

import asyncio
import logging
import os
import socket
import ssl
import struct
import tracemalloc
from pathlib import Path

import pytest

from collectors.attempt import attempt
from collectors.dialogue import Dialogue
from collectors.failures import (
    Internal,
    Misconfigured,
    NoAddress,
    Refused,
    TimedOut,
    Unavailable,
    UnexpectedReply,
    Unreachable,
)
from collectors.reading import ServiceReading
from collectors.registry import CheckKind, Options, ServiceCheck, ServiceTarget
from collectors.secret import Credential, Secret
from collectors.tls import TlsOptions
from tests.peers.certificates import Authority, server_context
from tests.peers.process import free_port
from tests.peers.scripted import Serve, says

HERE = ServiceTarget("127.0.0.1")


async def run(
    check: ServiceCheck, *, target: ServiceTarget = HERE, options: Options | None = None, within: float = 5.0
) -> ServiceReading:
    kind = CheckKind("test", Options, check, lambda _: False)
    return await attempt(kind, target, options or Options(), asyncio.get_running_loop().time() + within)


def greets(port: int, *, limit: int = 1000) -> ServiceCheck:
    async def check(talk: Dialogue, _: Options) -> None:
        await talk.connect(port, limit=limit)
        await talk.expect("greeting", "HELLO", unavailable="BUSY")

    return check


async def test_a_greeting_as_expected_passes(serve: Serve) -> None:
    reading = await run(greets(await serve(says(b"hello there\r\n"))))
    assert reading.failure is None
    assert 0 < reading.duration < 5
    assert reading.certificate_expiry is None


async def test_connections_come_from_the_source_address(serve: Serve) -> None:
    async def tells(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(f"hello {writer.get_extra_info('peername')[0]}\n".encode())

    target = ServiceTarget("localhost", source_address="127.0.0.5")
    reading = await run(greets(await serve(tells)), target=target)
    assert reading.failure is None
    assert "hello 127.0.0.5" in "".join(reading.transcript)


@pytest.mark.parametrize("source", ["192.0.2.1", "::1"])
async def test_a_source_address_that_cannot_be_used_is_our_mistake(serve: Serve, source: str) -> None:
    target = ServiceTarget("127.0.0.1", source_address=source)
    reading = await run(greets(await serve(says(b"hello\n"))), target=target)
    assert isinstance(reading.failure, Misconfigured)
    assert source in reading.failure.detail


async def test_an_address_where_nobody_listens_is_refused() -> None:
    reading = await run(greets(free_port()))
    assert isinstance(reading.failure, Refused)
    assert reading.failure.step == "connect"


async def test_a_name_without_an_address_is_a_failure_of_dns() -> None:
    reading = await run(greets(1), target=ServiceTarget("does-not-exist.invalid"))
    assert isinstance(reading.failure, NoAddress)


@pytest.mark.parametrize("name", ["a" * 64 + ".example", "..", "a b"])
async def test_what_cannot_be_a_name_is_a_failure_of_dns(name: str) -> None:
    reading = await run(greets(1), target=ServiceTarget(name))
    assert isinstance(reading.failure, NoAddress)


async def test_every_address_of_a_name_is_tried(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    port = await serve(says(b"hello\r\n"))

    async def resolve(self: Dialogue, name: str) -> list[str]:
        return ["127.0.0.2", "127.0.0.1"]  # the server listens on the second only

    monkeypatch.setattr(Dialogue, "_resolve", resolve)
    reading = await run(greets(port), target=ServiceTarget("web.example"))
    assert reading.failure is None
    assert "refused" in "\n".join(reading.transcript)


@pytest.mark.parametrize("order", [("192.0.2.1", "192.0.2.2"), ("192.0.2.2", "192.0.2.1")])
async def test_of_several_failures_the_most_telling_is_told(
    monkeypatch: pytest.MonkeyPatch, order: tuple[str, str]
) -> None:
    async def resolve(self: Dialogue, name: str) -> list[str]:
        return list(order)

    async def dial(self: Dialogue, address: str, port: int, limit: int) -> None:
        raise Unreachable("connect") if address == "192.0.2.1" else Refused("connect")

    monkeypatch.setattr(Dialogue, "_resolve", resolve)
    monkeypatch.setattr(Dialogue, "_dial", dial)
    assert isinstance((await run(greets(1), target=ServiceTarget("web.example"))).failure, Refused)


async def test_an_address_that_never_answers_leaves_time_for_the_next(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = await serve(says(b"hello\r\n"))
    really = Dialogue._dial

    async def resolve(self: Dialogue, name: str) -> list[str]:
        return ["192.0.2.1", "127.0.0.1"]

    async def dial(self: Dialogue, address: str, port: int, limit: int) -> object:
        if address == "192.0.2.1":
            await asyncio.Event().wait()
        return await really(self, address, port, limit)

    monkeypatch.setattr(Dialogue, "_resolve", resolve)
    monkeypatch.setattr(Dialogue, "_dial", dial)
    assert (await run(greets(port), target=ServiceTarget("web.example"), within=0.4)).failure is None


async def test_a_name_is_resolved_for_the_family_that_is_asked_for(serve: Serve) -> None:
    port = await serve(says(b"hello\r\n"))
    assert (await run(greets(port), target=ServiceTarget("localhost", address_family="ipv4"))).failure is None
    reading = await run(greets(port), target=ServiceTarget("localhost", address_family="ipv6"))
    assert isinstance(reading.failure, NoAddress | Refused | Unreachable)  # the server listens on IPv4 only


async def test_a_silent_server_is_a_timeout_at_the_step_it_is_silent_at(serve: Serve) -> None:
    reading = await run(greets(await serve(says(b""))), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "greeting"
    assert reading.duration > 0.4


async def test_a_server_that_sends_one_byte_at_a_time_ends_at_the_deadline(serve: Serve) -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"h")
            await writer.drain()
            await asyncio.sleep(0.02)

    reading = await run(greets(await serve(drip)), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert any(line.endswith("< " + "h" * n) for line in reading.transcript for n in range(1, 50))


async def test_a_line_that_never_ends_is_cut_and_not_kept(serve: Serve) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x" * 65536)
            await writer.drain()

    reading = await run(greets(await serve(endless), limit=10**9))
    assert isinstance(reading.failure, UnexpectedReply)
    assert len(str(reading.failure)) < 500
    assert sum(map(len, reading.transcript)) < 20_000


async def test_more_than_the_byte_limit_is_a_failure_even_in_short_lines(serve: Serve) -> None:
    async def endless(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            writer.write(b"x\r\n" * 100)
            await writer.drain()

    async def patient(talk: Dialogue, _: Options) -> None:
        await talk.connect(port, limit=10_000)
        talk.step = "banner"
        while True:
            await talk.line(note=False)

    port = await serve(endless)
    reading = await run(patient)
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "banner"
    assert "10000 bytes" in reading.failure.detail


async def test_what_a_server_pours_out_while_nobody_looks_stays_in_its_own_memory(serve: Serve) -> None:
    poured = 0
    finished = asyncio.Event()

    async def pour(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        try:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
                poured += 65536
        finally:
            finished.set()

    async def looks_away(talk: Dialogue, _: Options) -> None:
        await talk.connect(port, limit=10**9)
        await asyncio.sleep(5)

    port = await serve(pour)
    tracemalloc.start()
    try:
        reading = await run(looks_away, within=0.3)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    await asyncio.wait_for(finished.wait(), 5)
    assert isinstance(reading.failure, TimedOut)
    assert poured > 65536  # the kernel's buffers take some
    assert peak < 2_000_000


async def test_reading_goes_on_after_a_pause(serve: Serve) -> None:
    size = 2_000_000

    async def large(talk: Dialogue, _: Options) -> None:
        await talk.connect(port, limit=size + 1)
        assert len(await talk.exactly(size)) == size

    port = await serve(says(b"x" * size))
    assert (await run(large)).failure is None


@pytest.mark.parametrize("said", [b"", b"HEL", b"\x00\xff"])
async def test_a_connection_that_ends_within_a_line_is_lost(serve: Serve, said: bytes) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)

    reading = await run(greets(await serve(script)))
    assert isinstance(reading.failure, Unreachable)
    assert reading.failure.step == "greeting"


async def test_a_reset_is_a_lost_connection(serve: Serve) -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    reading = await run(greets(await serve(reset)))
    assert isinstance(reading.failure, Unreachable)


async def test_not_now_is_unavailable(serve: Serve) -> None:
    reading = await run(greets(await serve(says(b"BUSY, try later\n"))))
    assert isinstance(reading.failure, Unavailable)
    assert reading.failure.detail == "BUSY, try later"


async def test_a_tls_server_on_a_plain_port_is_told_as_such(serve: Serve) -> None:
    reading = await run(greets(await serve(lambda r, w: _alert(w))))
    assert isinstance(reading.failure, UnexpectedReply)
    assert "speaks TLS" in reading.failure.detail


async def _alert(writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x15\x03\x01\x00\x02\x02\x0a")


async def test_control_characters_and_bytes_that_are_no_text_are_shown_escaped(serve: Serve) -> None:
    reading = await run(greets(await serve(says(b"no\x00\x1b[31m\xff\xe2\x80\xae \xe6\x97\xa5\r\n"))))
    assert reading.failure is not None
    shown = reading.failure.detail + "".join(reading.transcript)
    assert shown.isprintable()
    assert r"\x00\x1b[31m\xff\u202e 日" in reading.failure.detail


async def test_a_transcript_takes_no_more_room_than_is_given(serve: Serve) -> None:
    kind = CheckKind("test", Options, greets(await serve(says(b"hello " + b"x" * 900 + b"\r\n"))), lambda _: False)
    deadline = asyncio.get_running_loop().time() + 5.0
    reading = await attempt(kind, HERE, Options(), deadline, room=300)
    assert reading.failure is None
    assert "< hello" in "".join(reading.transcript)
    assert len(reading.recording) < 350


async def test_secrets_are_shown_nowhere_even_when_the_server_repeats_them(serve: Serve) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"what is '" + (await reader.readline()).strip() + b"'?" + b" hunter2 t0ken" * 200 + b"\r\n")

    async def logs_in(talk: Dialogue, _: Options) -> None:
        await talk.connect(port)
        talk.send("LOGIN me ", Secret("b64-of-it"), " or ", Secret(""))
        await talk.expect("log-in", "OK")

    port = await serve(echo)
    credential = Credential("me", Secret("hunter2"), secrets={"token": Secret("t0ken")})
    target = ServiceTarget("127.0.0.1", credential=credential)
    reading = await run(logs_in, target=target)
    assert reading.failure is not None
    shown = repr(reading) + str(reading.failure) + "".join(reading.transcript)
    assert "b64" not in shown
    assert "hunter" not in shown
    assert "t0ken" not in shown
    assert "> LOGIN me *** or" in "".join(reading.transcript)
    assert "'LOGIN me *** or'" in reading.failure.detail


async def test_a_defect_of_ours_is_internal_and_logged_once(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(talk: Dialogue, _: Options) -> None:
        await talk.connect(port)
        talk.step = "sum"
        raise ZeroDivisionError("by nothing")

    port = await serve(says(b""))
    with caplog.at_level(logging.ERROR):
        reading = await run(broken)
    assert isinstance(reading.failure, Internal)
    assert reading.failure.step == "sum"
    assert len(caplog.records) == 1
    assert "ZeroDivisionError" in caplog.text


async def test_a_check_that_talks_before_it_connects_is_a_defect_of_ours() -> None:
    async def rash(talk: Dialogue, _: Options) -> None:
        talk.send("hello")

    assert isinstance((await run(rash)).failure, Internal)


async def test_a_failure_keeps_nothing_of_the_attempt_alive() -> None:
    reading = await run(greets(free_port()))
    assert reading.failure is not None
    assert reading.failure.__traceback__ is None
    assert reading.failure.__context__ is None
    assert reading.failure.__cause__ is None


async def test_a_cancelled_attempt_is_cancelled_and_leaves_nothing_open(serve: Serve) -> None:
    gone = asyncio.Event()

    async def waits(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        gone.set()

    connected = asyncio.Event()
    task = asyncio.create_task(run(greets(await serve(waits))))
    await asyncio.wait_for(connected.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.wait_for(gone.wait(), 5)


async def test_no_task_and_no_file_descriptor_is_left_behind(serve: Serve) -> None:
    silent, quick = await serve(says(b"")), await serve(says(b"hello\r\n"))
    refusing = free_port()
    tasks = asyncio.all_tasks()
    before = _open_files()
    for port in (silent, quick, refusing):
        await run(greets(port), within=0.05)
    async with asyncio.timeout(5):
        # the servers' own tasks and sockets end when they see ours closed
        while asyncio.all_tasks() != tasks or _open_files() > before:  # noqa: ASYNC110 - there is no event to wait for
            await asyncio.sleep(0.001)


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def test_the_last_words_leave_before_the_connection_is_closed(serve: Serve) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listens(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())

    async def polite(talk: Dialogue, _: Options) -> None:
        await talk.connect(port)
        talk.send("QUIT")

    port = await serve(listens)
    assert (await run(polite)).failure is None
    assert await asyncio.wait_for(heard, 5) == b"QUIT\r\n"


async def test_start_tls_refuses_what_was_said_before_it(serve: Serve, authority: Authority) -> None:
    async def early(talk: Dialogue, opts: TlsOptions) -> None:
        await talk.connect(port)
        await talk.expect("starttls", "OK")
        await talk.start_tls(opts)

    port = await serve(says(b"OK\r\nOK, and you are logged in\r\n"))
    reading = await run(early, options=TlsOptions(ca_file=authority.file))
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == "starttls"


async def test_start_tls_encrypts_a_conversation_that_began_without(serve: Serve, authority: Authority) -> None:
    context = server_context(authority.issue("mail.example"))

    async def upgrade(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"OK\r\n")
        await reader.readline()
        writer.write(b"GO\r\n")
        await writer.start_tls(context)
        writer.write(b"BYE\r\n")
        await reader.read()

    async def check(talk: Dialogue, opts: TlsOptions) -> None:
        await talk.connect(port)
        await talk.expect("greeting", "OK")
        talk.send("STARTTLS")
        await talk.expect("starttls", "GO")
        await talk.start_tls(opts)
        await talk.expect("goodbye", "BYE")

    port = await serve(upgrade)
    target = ServiceTarget("127.0.0.1", "mail.example")
    reading = await run(check, target=target, options=TlsOptions(ca_file=authority.file))
    assert reading.failure is None
    assert reading.certificate_expiry is not None


def test_one_context_serves_all_checks_that_trust_the_same_file(authority: Authority, tmp_path: Path) -> None:
    from collectors.tls import Contexts

    contexts = Contexts()
    file = tmp_path / "ca.pem"
    file.write_bytes(authority.file.read_bytes())
    first = contexts.get(TlsOptions(ca_file=file), verify=True)
    assert contexts.get(TlsOptions(ca_file=file), verify=True) is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    os.utime(file, ns=(1, 1))
    assert contexts.get(TlsOptions(ca_file=file), verify=True) is not first
