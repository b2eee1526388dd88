"""The reader against a BMC that is slow, silent, garbled, forgetful or malicious: it fails alone and leaves nothing."""

import asyncio
import hmac
import math
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.failures import CheckFailure, NoAddress, TimedOut, Unauthorized, Unavailable, UnexpectedReply
from collectors.hardware.ipmi import Ipmi, IpmiOptions, packets, session, survey
from collectors.hardware.ipmi.oem import vendor
from collectors.hardware.ipmi.repository import MAX_RECORDS
from collectors.reading import HardwareReading, Verdict
from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.peers import scripted_bmc
from tests.peers.ipmi_sim import SimSensor, temperature
from tests.peers.scripted_bmc import (
    CANCELLED,
    GET_CHASSIS_STATUS,
    GET_DEVICE_ID,
    GET_SDR,
    GET_SDR_INFO,
    GET_SEL_INFO,
    GET_SENSOR_READING,
    INVALID_COMMAND,
    IPMI,
    OK,
    OPENED,
    RAKP2,
    ScriptedBmc,
)

Read = Callable[..., Awaitable[HardwareReading]]


SEND_MESSAGE = (0x06, 0x34)


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, in a twentieth of the time."""
    monkeypatch.setattr(session, "WAITS", (0.05, 0.075, 0.125, 0.25))
    monkeypatch.setattr(session, "CLOSE_WAITS", (0.05, 0.05))
    monkeypatch.setattr(vendor, "WAITS", (0.05, 0.075))
    monkeypatch.setattr(survey, "SATELLITE_WAITS", (0.05, 0.075))


def reader_of(bmc: ScriptedBmc) -> Ipmi:
    return Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port))


def garbage(seed: int = 7) -> Iterator[bytes]:
    """Packets of every length up to 64 that are none, some behind an RMCP header."""
    state = seed
    while True:
        state = (state * 1_103_515_245 + 12_345) & 0x7FFFFFFF
        body = state.to_bytes(4, "big") * (state % 17)
        yield (scripted_bmc.RMCP if state % 3 else b"") + body


# --- the plain case, so that the others mean something ---


@pytest.mark.parametrize("suites", [(17, 3), (3,), (17,)])
@pytest.mark.parametrize("hash_lookup_bit", [True, False])
async def test_a_plain_bmc_is_read_with_the_best_suite_it_has(
    bmc: ScriptedBmc, read: Read, suites: tuple[int, ...], hash_lookup_bit: bool
) -> None:
    bmc.suites, bmc.hash_lookup_bit = suites, hash_lookup_bit
    reading = await read(bmc)
    assert f"session open, cipher suite {suites[0]}, privilege level USER" in reading.transcript
    assert reading.complete
    assert reading.locate is False
    assert {lamp.verdict for lamp in reading.lamps} == {Verdict.NORMAL, None}
    assert (bmc.opened, bmc.closed, bmc.open_sessions, bmc.most_open) == (1, 1, 0, 1)


async def test_the_suite_that_worked_is_remembered(bmc: ScriptedBmc, read: Read) -> None:
    bmc.suites = (3,)
    reader = reader_of(bmc)
    first = await read(bmc, reader)
    second = await read(bmc, reader)
    assert any("No matching cipher suite" in line or "refused" in line for line in first.transcript)
    assert not any("refused" in line for line in second.transcript)


async def test_a_bmc_that_drops_what_it_does_not_know_is_offered_the_older_suite(bmc: ScriptedBmc, read: Read) -> None:
    bmc.suites = (3,)
    bmc.tamper = lambda kind, packet: [] if kind == OPENED and packet[17] else [packet]
    reading = await read(bmc)
    assert "session open, cipher suite 3, privilege level USER" in reading.transcript


async def test_a_bmc_without_a_common_suite_is_a_protocol_failure(bmc: ScriptedBmc, read: Read) -> None:
    bmc.suites = ()
    with pytest.raises(UnexpectedReply) as failure:
        await read(bmc)
    assert failure.value.step == "open session"


async def test_algorithms_that_we_did_not_propose_are_never_taken(bmc: ScriptedBmc, read: Read) -> None:
    def downgrade(kind: int, packet: bytes) -> list[bytes]:
        return [packet[:32] + b"\0" + packet[33:]] if kind == OPENED else [packet]

    bmc.tamper = downgrade
    with pytest.raises(UnexpectedReply) as failure:
        await read(bmc)
    assert failure.value.step == "open session"
    assert bmc.opened == 0
    await bmc.until(lambda: bmc.aborted == 2)
    assert bmc.sessions == {}


# --- silence ---


async def test_a_bmc_that_never_answers_is_given_up_long_before_a_late_deadline(bmc: ScriptedBmc, read: Read) -> None:
    bmc.tamper = lambda _kind, _packet: []
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(TimedOut) as failure:
        await read(bmc, patience=600)
    assert failure.value.step == "open session"
    assert loop.time() - began < 5
    assert bmc.packets == 4


async def test_a_silent_bmc_does_not_slow_another(
    bmc: ScriptedBmc, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "WAITS", (600.0,))
    async with ScriptedBmc() as silent:
        silent.tamper = lambda _kind, _packet: []
        waiting = asyncio.ensure_future(read(silent, patience=600))
        await silent.until(lambda: silent.packets > 0)
        assert (await read(bmc)).complete
        assert not waiting.done()
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting


async def test_the_deadline_holds_for_a_bmc_that_answers_ever_more_slowly(bmc: ScriptedBmc, read: Read) -> None:
    loop = asyncio.get_running_loop()

    def slow(kind: int, packet: bytes) -> list[bytes]:
        if kind != IPMI:
            return [packet]
        loop.call_later(0.2, bmc._transport.sendto, packet, address)
        return []

    address: tuple[str, int] = ("", 0)
    received = bmc.datagram_received

    def remember(data: bytes, addr: tuple[str, int]) -> None:
        nonlocal address
        address = addr
        received(data, addr)

    bmc.datagram_received = remember  # type: ignore[method-assign]  # who asks is known here only
    bmc.tamper = slow
    with pytest.raises(TimedOut) as failure:
        await read(bmc, patience=2.0)  # the log-in fits in, the rest does not
    assert failure.value.step not in {"open session", "log-in"}
    await bmc.until(lambda: bmc.closed == 1)


async def test_lost_packets_are_asked_for_again(bmc: ScriptedBmc, read: Read) -> None:
    sent = 0

    def lossy(_kind: int, packet: bytes) -> list[bytes]:
        nonlocal sent
        sent += 1
        return [] if sent % 9 == 0 else [packet]

    bmc.tamper = lossy
    reading = await read(bmc)
    assert reading.complete
    assert len(reading.sensors) == 18


async def test_there_is_never_more_than_one_request_in_flight(bmc: ScriptedBmc, read: Read) -> None:
    held: list[bytes] = []
    released = False

    def hold(kind: int, packet: bytes) -> list[bytes]:
        if kind != IPMI or released or bmc.asked[-1][:2] != GET_SENSOR_READING:
            return [packet]
        held.append(packet)
        return []

    bmc.tamper = hold
    running = asyncio.ensure_future(read(bmc))
    await bmc.until(lambda: len(held) == 2)  # the same question, asked again
    assert {data for netfn, command, data in bmc.asked if (netfn, command) == GET_SENSOR_READING} == {b"\x01"}
    released = True
    assert len((await running).sensors) == 18


async def test_a_session_dropped_in_the_middle_is_opened_anew_once(bmc: ScriptedBmc, read: Read) -> None:
    def forget(data: bytes) -> bytes | None:
        if bmc.opened == 1:
            bmc.sessions.clear()
            return None
        return OK + bmc.readings[data[0]]

    bmc.answers[GET_SENSOR_READING] = forget
    reading = await read(bmc)
    assert len(reading.sensors) == 18
    assert bmc.opened == 2


async def test_a_session_dropped_every_time_fails_where_it_was_dropped(bmc: ScriptedBmc, read: Read) -> None:
    def forget(_data: bytes) -> None:
        bmc.sessions.clear()

    bmc.answers[GET_SENSOR_READING] = forget
    with pytest.raises(TimedOut) as failure:
        await read(bmc)
    assert failure.value.step == "sensors"
    assert bmc.opened == 2


# --- garbage ---


async def test_nothing_but_garbage_is_not_ipmi(bmc: ScriptedBmc, read: Read) -> None:
    packets = garbage()
    bmc.tamper = lambda _kind, _packet: [next(packets), next(packets)]
    with pytest.raises(UnexpectedReply) as failure:
        await read(bmc)
    assert failure.value.step == "open session"
    assert "dropped" in failure.value.detail


async def test_stray_repeated_wrongly_signed_and_old_packets_are_dropped(bmc: ScriptedBmc, read: Read) -> None:
    packets = garbage()
    before: list[bytes] = []

    def noisy(_kind: int, packet: bytes) -> list[bytes]:
        forged = packet[:-1] + bytes([packet[-1] ^ 1])
        old = before[-2:]
        before.append(packet)
        return [next(packets), forged, *old, packet, packet] if len(before) > 4 else [next(packets), packet, packet]

    bmc.tamper = noisy
    reading = await read(bmc)
    assert {lamp.verdict for lamp in reading.lamps} == {Verdict.NORMAL, None}
    assert len(reading.sensors) == 18
    assert any("dropped a packet" in line for line in reading.transcript)


async def test_an_answer_to_an_earlier_question_is_not_believed(bmc: ScriptedBmc, read: Read) -> None:
    """A replay of the first reading in place of every later one: silence, not a lie."""
    first: list[bytes] = []

    def replay(kind: int, packet: bytes) -> list[bytes]:
        if kind != IPMI or bmc.asked[-1][:2] != GET_SENSOR_READING:
            return [packet]
        first.append(packet)
        return [first[0]]

    bmc.tamper = replay
    with pytest.raises(TimedOut) as failure:
        await read(bmc)
    assert failure.value.step == "sensors"


async def test_one_forged_answer_to_the_log_in_does_not_void_the_password(bmc: ScriptedBmc, read: Read) -> None:
    bmc.tamper = lambda kind, packet: [packet[:-1] + bytes([packet[-1] ^ 1]), packet] if kind == RAKP2 else [packet]
    assert (await read(bmc)).complete


async def test_a_wrong_password_frees_the_slot_it_had_taken(bmc: ScriptedBmc, read: Read) -> None:
    bmc.password = "another-password"
    with pytest.raises(Unauthorized):
        await read(bmc)
    await bmc.until(lambda: bmc.aborted == 1)
    assert bmc.sessions == {}


async def test_a_bmc_without_a_free_session_is_unavailable(bmc: ScriptedBmc, read: Read) -> None:
    bmc.tamper = lambda kind, packet: (
        [packet[:16] + packet[16:17] + b"\x01" + packet[18:24]] if kind == OPENED else [packet]
    )
    # The length field must say what is left of the packet.
    inner = bmc.tamper
    bmc.tamper = lambda kind, packet: (
        [real[:14] + struct.pack("<H", 8) + real[16:] for real in inner(kind, packet)] if kind == OPENED else [packet]
    )
    with pytest.raises(Unavailable) as failure:
        await read(bmc)
    assert failure.value.step == "open session"


# --- cancellation ---


@pytest.mark.parametrize("command", [GET_DEVICE_ID, GET_SDR, GET_SENSOR_READING])
async def test_a_cancelled_read_closes_its_session(bmc: ScriptedBmc, read: Read, command: tuple[int, int]) -> None:
    bmc.answers[command] = lambda _data: None
    running = asyncio.ensure_future(read(bmc))
    await bmc.until(lambda: bmc.count(command) > 0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (bmc.opened, bmc.closed) == (1, 1)


async def test_a_read_cancelled_between_the_log_ins_messages_frees_its_slot(bmc: ScriptedBmc, read: Read) -> None:
    bmc.tamper = lambda kind, packet: [] if kind == RAKP2 else [packet]
    running = asyncio.ensure_future(read(bmc))
    await bmc.until(lambda: any(each.nonce for each in bmc.sessions.values()))
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await bmc.until(lambda: bmc.aborted == 1)


async def test_two_reads_of_one_bmc_never_hold_two_sessions(bmc: ScriptedBmc, read: Read) -> None:
    reader = reader_of(bmc)
    await asyncio.gather(read(bmc, reader), read(bmc, reader), read(bmc, reader))
    assert (bmc.opened, bmc.closed, bmc.most_open) == (3, 3, 1)


# --- sensor data records ---


async def test_a_reservation_cancelled_in_the_middle_is_made_again(bmc: ScriptedBmc, read: Read) -> None:
    bmc.whole_records = False
    cancelled: set[int] = set()

    def interrupted(data: bytes) -> bytes:
        if data[4] > 30 and data[2] not in cancelled:
            cancelled.add(data[2])
            return CANCELLED
        return bmc.sdr(data)

    bmc.answers[GET_SDR] = interrupted
    reading = await read(bmc)
    assert len(cancelled) == len(bmc.records)
    assert reading.complete
    assert len(reading.sensors) == 18


async def test_whole_records_are_read_without_a_reservation_where_somebody_cancels_each(
    bmc: ScriptedBmc, read: Read
) -> None:
    bmc.answers[GET_SDR] = lambda data: CANCELLED if data[:2] != b"\0\0" else bmc.sdr(data)
    reading = await read(bmc)
    assert reading.complete
    assert len(reading.sensors) == 18
    assert bmc.count(scripted_bmc.RESERVE_SDR) == 3


async def test_a_reservation_that_is_always_cancelled_ends_the_read(bmc: ScriptedBmc, read: Read) -> None:
    bmc.answers[GET_SDR] = CANCELLED
    with pytest.raises(UnexpectedReply) as failure:
        await read(bmc)
    assert failure.value.step == "sdr"


@pytest.mark.parametrize("part", [255, 20, 9, 5])
@pytest.mark.parametrize("refusal", ["c4", "c7", "c8", "c9", "ca", "cc", "ff"])
async def test_records_are_read_in_parts_as_small_as_the_bmc_wants(
    bmc: ScriptedBmc, read: Read, part: int, refusal: str
) -> None:
    bmc.answers[GET_SDR] = lambda data: bytes.fromhex(refusal) if data[5] > part else bmc.sdr(data)
    reading = await read(bmc)
    assert reading.complete
    assert len(reading.sensors) == 18


async def test_an_endless_chain_of_records_is_left(bmc: ScriptedBmc, read: Read) -> None:
    count = 0

    def endless(_data: bytes) -> bytes:
        nonlocal count
        count += 1
        return OK + struct.pack("<H", count) + bmc.records[count % len(bmc.records)]

    bmc.answers[GET_SDR] = endless
    reading = await read(bmc, patience=60)
    assert not reading.complete
    assert len({data[2:4] for netfn, command, data in bmc.asked if (netfn, command) == GET_SDR}) == MAX_RECORDS
    assert len(reading.sensors) == 18


async def test_a_chain_that_bites_its_tail_is_left(bmc: ScriptedBmc, read: Read) -> None:
    bmc.answers[GET_SDR] = lambda data: bmc.sdr(data)[:1] + struct.pack("<H", (data[2] + 1) % 5) + bmc.sdr(data)[3:]
    reading = await read(bmc)
    assert not reading.complete
    assert len(reading.sensors) == 5


async def test_truncated_records_cost_only_themselves(bmc: ScriptedBmc, read: Read) -> None:
    for place, length in ((0, 3), (1, 12), (2, 50)):
        bmc.records[place] = bmc.records[place][:length]
    reading = await read(bmc)
    names = {lamp.component for lamp in reading.lamps}
    assert not reading.complete
    assert not names & {"CPU Temp", "Ambient Temp"}
    assert names >= {"Te", "Temp", "PCH Temp", "Drive 1"}


async def test_a_slow_walk_goes_on_where_the_deadline_ended_it(bmc: ScriptedBmc, read: Read) -> None:
    reader = reader_of(bmc)
    bmc.answers[GET_SDR] = lambda data: bmc.sdr(data) if data[2] < 12 else None
    with pytest.raises(TimedOut):
        await read(bmc, reader, patience=1.5)
    del bmc.answers[GET_SDR]
    asked = len(bmc.asked)
    reading = await read(bmc, reader)
    fetched = [data[2] for netfn, command, data in bmc.asked[asked:] if (netfn, command) == GET_SDR]
    assert min(fetched) == 12
    assert reading.complete
    assert len(reading.sensors) == 18


async def test_a_bmc_without_a_stamp_has_its_records_read_every_time(bmc: ScriptedBmc, read: Read) -> None:
    bmc.answers[GET_SDR_INFO] = INVALID_COMMAND
    reader = reader_of(bmc)
    await read(bmc, reader)
    bmc.records[0] = bmc.records[0].replace(b"CPU Temp", b"GPU Temp")
    assert "GPU Temp" in {lamp.component for lamp in (await read(bmc, reader)).lamps}


async def test_a_non_linear_sensor_is_converted_by_the_factors_of_its_reading(bmc: ScriptedBmc, read: Read) -> None:
    sensor = SimSensor(90, "Crooked", 0x02, unit=4, m=1, linearisation=0x70, limits=())
    bmc.records.append(sensor.record(90))
    bmc.readings[90] = bytes.fromhex("64 c0 00 00")
    bmc.answers[0x04, 0x23] = lambda data: OK + bytes([0, data[1] // 2, 0, 0, 0, 0, 0xF0])
    reading = await read(bmc)
    assert ("Crooked", 500.0) in {(value.sensor, value.value) for value in reading.sensors}
    bmc.answers[0x04, 0x23] = INVALID_COMMAND
    assert "Crooked" not in {value.sensor for value in (await read(bmc)).sensors}


# --- satellite controllers (sections 6.13 and 22.7) ---

RISER = 0x72


@pytest.fixture
def satellite(bmc: ScriptedBmc) -> ScriptedBmc:
    """The scripted BMC with a temperature on a satellite controller, behind channel 6 and on LUN 2."""
    record = bytearray(temperature(90, "Riser Temp", 44, owner=RISER).record(90))
    record[6] = 6 << 4 | 2
    bmc.records.append(bytes(record))
    return bmc


def bridged(request: bytes, answer: bytes) -> bytes:
    """Return a satellite's message in answer to the one inside a Send Message request."""
    head = bytes([0x81, (request[2] >> 2) + 1 << 2])
    body = bytes([request[1], request[5] & 0xFC | request[2] & 3, request[6]]) + answer
    return head + scripted_bmc.checksum(head) + body + scripted_bmc.checksum(body)


async def test_a_satellites_answer_is_taken_out_of_the_bmcs(satellite: ScriptedBmc, read: Read) -> None:
    asked: list[bytes] = []

    def forward(data: bytes) -> bytes:
        asked.append(data)
        return OK + bridged(data, OK + bytes.fromhex("2c c0 00 00"))

    satellite.answers[SEND_MESSAGE] = forward
    reading = await read(satellite)
    assert ("Riser Temp", 44.0) in {(value.sensor, value.value) for value in reading.sensors}
    (sent,) = asked
    assert sent[0] == 0x40 | 6  # tracked, channel 6
    assert (sent[1], sent[2] >> 2, sent[2] & 3, sent[4], sent[6], sent[7]) == (RISER, 0x04, 2, 0x20, 0x2D, 90)
    assert sum(sent[1:4]) % 256 == sum(sent[4:]) % 256 == 0


async def test_a_satellites_answer_may_come_after_the_bmcs_on_its_own(satellite: ScriptedBmc, read: Read) -> None:
    def apart(kind: int, packet: bytes) -> list[bytes]:
        if kind != IPMI or satellite.asked[-1][:2] != SEND_MESSAGE:
            return [packet]
        (talk,) = satellite.sessions.values()
        talk.sequence += 1
        answer = bridged(satellite.asked[-1][2], OK + bytes.fromhex("2c c0 00 00"))
        return [packet, scripted_bmc.seal(talk, answer)]

    satellite.answers[SEND_MESSAGE] = OK
    satellite.tamper = apart
    reading = await read(satellite)
    assert ("Riser Temp", 44.0) in {(value.sensor, value.value) for value in reading.sensors}


@pytest.mark.parametrize(
    ("answer", "evidence"),
    [
        (b"\x83", "completion code 83h"),
        (lambda data: OK + bridged(data, b"\xcb"), "completion code cbh"),
        (lambda _data: None, "the BMC stopped answering inside the session"),
    ],
)
async def test_a_satellite_that_does_not_tell_costs_only_its_own_sensor(
    satellite: ScriptedBmc, read: Read, answer: scripted_bmc.Answer, evidence: str
) -> None:
    satellite.answers[SEND_MESSAGE] = answer
    lamps = {lamp.component: lamp for lamp in (await read(satellite)).lamps}
    assert lamps["Riser Temp"].verdict == Verdict.UNKNOWN
    assert evidence in lamps["Riser Temp"].evidence
    assert lamps["CPU Temp"].verdict == Verdict.NORMAL


# --- commands that fail ---


async def test_a_busy_bmc_is_asked_again(bmc: ScriptedBmc, read: Read) -> None:
    def busy_at_first(data: bytes) -> bytes:
        return b"\xc0" if bmc.count(GET_SENSOR_READING) % 2 else OK + bmc.readings[data[0]]

    bmc.answers[GET_SENSOR_READING] = busy_at_first
    assert len((await read(bmc)).sensors) == 18


async def test_a_sensor_that_is_refused_is_unknown_with_the_code_as_evidence(bmc: ScriptedBmc, read: Read) -> None:
    del bmc.readings[1]
    lamps = {lamp.component: lamp for lamp in (await read(bmc)).lamps}
    assert lamps["CPU Temp"].verdict == Verdict.UNKNOWN
    assert lamps["CPU Temp"].evidence.startswith("completion code cbh")
    assert lamps["Ambient Temp"].verdict == Verdict.NORMAL


async def test_sensors_without_readings_leave_the_clear_bits_of_chassis_and_log_unproven(
    bmc: ScriptedBmc, read: Read
) -> None:
    bmc.answers[GET_SENSOR_READING] = OK + bytes.fromhex("00 60 00 00")
    reading = await read(bmc)
    assert {lamp.verdict for lamp in reading.lamps} == {Verdict.UNKNOWN}


async def test_without_records_a_fault_of_the_chassis_is_told_all_the_same(bmc: ScriptedBmc, read: Read) -> None:
    bmc.records = []
    bmc.answers[GET_CHASSIS_STATUS] = OK + bytes.fromhex("01 10 44 70")
    reading = await read(bmc)
    lamps = {lamp.component: lamp for lamp in reading.lamps}
    assert lamps["Chassis drives"].verdict == Verdict.CRITICAL
    assert lamps["Chassis drives"].evidence == "chassis status=01 10 44 70"
    assert lamps["Chassis fans"].verdict == Verdict.UNKNOWN
    assert not reading.complete


async def test_a_bmc_that_knows_few_commands_still_has_its_sensors(bmc: ScriptedBmc, read: Read) -> None:
    for command in (GET_DEVICE_ID, GET_CHASSIS_STATUS, GET_SEL_INFO):
        bmc.answers[command] = INVALID_COMMAND
    reading = await read(bmc)
    assert reading.power is None
    assert reading.logs == ()
    assert len(reading.lamps) == 25
    assert reading.complete


@pytest.mark.parametrize("command", [GET_DEVICE_ID, GET_CHASSIS_STATUS, GET_SEL_INFO])
@pytest.mark.parametrize("answer", [b"\xd5", OK + b"\x01"])
async def test_what_is_refused_this_time_is_silent_and_not_gone(
    bmc: ScriptedBmc, read: Read, command: tuple[int, int], answer: bytes
) -> None:
    bmc.answers[command] = answer
    assert not (await read(bmc)).complete


async def test_user_is_asked_for_first_and_operator_only_where_the_bmc_insists(bmc: ScriptedBmc, read: Read) -> None:
    def levels() -> list[int]:
        return [data[0] for netfn, command, data in bmc.asked if (netfn, command) == scripted_bmc.SET_PRIVILEGE]

    def insists(_data: bytes) -> bytes:
        return OK + bytes.fromhex("01 10 40 70") if levels() else b"\xd4"

    bmc.answers[GET_CHASSIS_STATUS] = insists
    reader = reader_of(bmc)
    assert (await read(bmc, reader)).power is True
    assert (await read(bmc, reader)).power is True
    assert levels() == [3, 3]
    assert (bmc.opened, bmc.closed) == (3, 3)


async def test_a_name_without_an_address_is_a_dns_failure(target: LampTarget) -> None:
    reader = Ipmi(IpmiOptions(address="bmc.invalid"))
    with pytest.raises(NoAddress) as failure:
        await reader.read(target, asyncio.get_running_loop().time() + 20)
    assert failure.value.step == "resolve"


async def test_a_name_with_an_address_is_read(target: LampTarget) -> None:
    loop = asyncio.get_running_loop()
    (_, _, _, _, address), *_ = await loop.getaddrinfo("localhost", 0, type=socket.SOCK_DGRAM)
    async with ScriptedBmc(host=str(address[0])) as bmc:
        bmc.answers[GET_CHASSIS_STATUS] = OK + bytes.fromhex("01 10 44 70")
        reader = Ipmi(IpmiOptions(address="localhost", port=bmc.port))
        assert reader.endpoint() == f"localhost:{bmc.port}"
        assert (await reader.read(target, loop.time() + 20)).power is True


async def test_ipv6_works(target: LampTarget) -> None:
    try:
        async with ScriptedBmc(host="::1") as bmc:
            bmc.answers[GET_CHASSIS_STATUS] = OK + bytes.fromhex("01 10 44 70")
            reader = Ipmi(IpmiOptions(address="::1", port=bmc.port))
            assert reader.endpoint() == f"[::1]:{bmc.port}"
            assert (await reader.read(target, asyncio.get_running_loop().time() + 20)).power is True
    except OSError:
        pytest.skip("this host has no IPv6 loopback address")


# --- any bytes at all ---


KEY = b"k" * 20


def awaiting(keys: packets.Keys | None) -> tuple[session.Session, asyncio.Future[bytes | None]]:
    """A session that awaits an answer and would take any."""
    talk = session.Session("127.0.0.1", 623, 1e12, session.Transcript())
    talk._waiting = waiting = asyncio.get_running_loop().create_future()
    talk._accept = lambda packet: packets.open_plain(packet)[1] if keys is None else keys.open(packet)[2]
    return talk, waiting


@given(data=st.binary(max_size=120), header=st.booleans())
async def test_any_packet_is_dropped_unless_it_is_the_awaited_answer(data: bytes, header: bool) -> None:
    for keys in (None, packets.Keys(packets.SUITES[3], KEY)):
        talk, waiting = awaiting(keys)
        talk._take((scripted_bmc.RMCP if header else b"") + data)
        assert keys is None or not waiting.done()


@given(at=st.integers(0, 200), bit=st.integers(0, 7), cut=st.integers(0, 40), suite=st.sampled_from([3, 17]))
async def test_no_changed_bit_and_no_missing_byte_is_believed(at: int, bit: int, cut: int, suite: int) -> None:
    talk, waiting = awaiting(packets.Keys(packets.SUITES[suite], KEY))
    packet = bytearray(packets.Keys(packets.SUITES[suite], KEY).seal(1, 1, b"an answer"))
    signed = range(4, len(packet))
    packet[signed[at % len(signed)]] ^= 1 << bit
    talk._take(bytes(packet))
    packet[signed[at % len(signed)]] ^= 1 << bit
    talk._take(bytes(packet[: len(packet) - 1 - cut]))
    assert not waiting.done()
    assert talk.dropped == 2
    talk._take(bytes(packet))
    assert waiting.result() == b"an answer"


@settings(max_examples=200)
@given(st.lists(st.integers(1, 200), max_size=60))
async def test_no_session_sequence_number_is_taken_twice(numbers: list[int]) -> None:
    talk = session.Session("127.0.0.1", 623, 1e12, session.Transcript())
    taken = [number for number in numbers if talk._fresh(number)]
    assert len(set(taken)) == len(taken)
    assert not numbers or max(numbers) in taken
    assert talk._fresh(201)
    assert talk._fresh(200) is (200 not in taken)


async def test_an_answer_that_belongs_to_another_session_is_dropped(bmc: ScriptedBmc, read: Read) -> None:
    """Signed as it should be: our ids are ours alone."""

    def readdressed(kind: int, packet: bytes) -> list[bytes]:
        if kind != IPMI or bmc.asked[-1][:2] != GET_SENSOR_READING:
            return [packet]
        (talk,) = bmc.sessions.values()
        digest, cut = scripted_bmc.HASH[talk.suite]
        body = packet[4:6] + b"\0\0\0\0" + packet[10:-cut]
        return [packet[:4] + body + hmac.digest(talk.k1, body, digest)[:cut]]

    bmc.tamper = readdressed
    with pytest.raises(TimedOut) as failure:
        await read(bmc)
    assert failure.value.step == "sensors"


COMMANDS = st.sampled_from(
    [
        *(GET_DEVICE_ID, GET_CHASSIS_STATUS, GET_SEL_INFO, GET_SDR_INFO, scripted_bmc.RESERVE_SDR, GET_SDR),
        *(GET_SENSOR_READING, scripted_bmc.READ_FRU, scripted_bmc.SET_PRIVILEGE, (0x04, 0x20), (0x04, 0x21)),
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    lies=st.dictionaries(COMMANDS, st.binary(min_size=1, max_size=40), max_size=8),
    readings=st.lists(st.binary(max_size=6), max_size=8),
    manufacturer=st.sampled_from([0, 674, 10368, 11, 2011, 42, 0xFFFFF]),
    record=st.binary(max_size=70),
)
async def test_whatever_a_bmc_says_a_read_ends_with_a_reading_or_a_reason_and_a_closed_session(
    lies: dict[tuple[int, int], bytes], readings: list[bytes], manufacturer: int, record: bytes
) -> None:
    sensors = [temperature(number, f"Temp {number}", 7) for number in range(len(readings))]
    async with ScriptedBmc(records=[*(each.record(each.number) for each in sensors), record]) as bmc:
        bmc.readings = dict(enumerate(readings))
        bmc.answers = dict(lies)
        bmc.made_by(manufacturer)
        reader = Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port, oem=True))
        target = LampTarget(Credential("monitor", Secret("secret-of-the-bmc")))
        for _ in range(2):  # the second with what the first left behind
            try:
                reading = await reader.read(target, asyncio.get_running_loop().time() + 20)
            except CheckFailure:
                continue
            assert len({lamp.component for lamp in reading.lamps}) == len(reading.lamps)
            assert all(math.isfinite(sensor.value) for sensor in reading.sensors)
            unread = {
                f"Temp {number}" for number, told in enumerate(readings) if not told[2:] or told[1] & 0x60 != 0x40
            }
            if GET_SENSOR_READING not in lies:
                assert not {lamp.component for lamp in reading.lamps if lamp.verdict == Verdict.NORMAL} & unread
        assert bmc.opened == bmc.closed > 0
