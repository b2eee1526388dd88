"""Agents that lack, cut, repeat, stall and lie: what they have is told, the rest is unknown, and it ends."""

import asyncio
import contextlib
import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.failures import CheckFailure, Misconfigured, NoAddress, Refused, TimedOut, UnexpectedReply
from collectors.hardware.snmp import Snmp, SnmpOptions, session
from collectors.reading import HardwareReading, Verdict
from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.collectors.hardware.snmp.conftest import Read
from tests.peers.snmp_agent import (
    GEN_ERR,
    GET,
    GET_BULK,
    GET_NEXT,
    OBJECT,
    SEQUENCE,
    SET,
    Asked,
    SnmpAgent,
    encoded,
    integer,
    numbers,
    oid,
    packed,
    text,
)

U, N, W, C = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL
IDRAC = "1.3.6.1.4.1.674.10892.5"
FANS, TEMPERATURES = f"{IDRAC}.4.700.12.1", f"{IDRAC}.4.700.20.1"
WHO = (numbers("1.3.6.1.2.1.1.2.0"), numbers("1.3.6.1.2.1.1.1.0"))
SYSTEM = {"1.3.6.1.2.1.1.1.0": text("a BMC"), "1.3.6.1.2.1.1.2.0": oid(IDRAC)}


def tree(fans: int = 3, temperatures: int = 2, *, status: int = 3) -> dict[str, bytes]:
    """An iDRAC with its roll-up, fans and temperatures."""
    found = {**SYSTEM, f"{IDRAC}.2.1.0": integer(3)}
    for entry, count, part in ((FANS, fans, "Fan"), (TEMPERATURES, temperatures, "Temp")):
        for number in range(1, count + 1):
            found[f"{entry}.5.1.{number}"] = integer(status)
            found[f"{entry}.6.1.{number}"] = integer(400)
            found[f"{entry}.8.1.{number}"] = text(f"{part} {number}")
    return found


def verdicts(reading: HardwareReading) -> dict[str, Verdict | None]:
    return {lamp.component: lamp.verdict for lamp in reading.lamps}


HEALTHY = dict.fromkeys(("System", "Fan 1", "Fan 2", "Fan 3", "Temp 1", "Temp 2"), N)


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is believed at once, so that no test waits for it."""
    monkeypatch.setattr(session, "WAITS", (0.05, 0.05))
    for place in ("session.HURRIED", "session.LOGGING_IN", "walk.HURRIED", "reader.HURRIED", "reader.LOGGING_IN"):
        monkeypatch.setattr(f"collectors.hardware.snmp.{place}", (0.05,))


# --- what agents cannot do ---


@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_drops_getbulk_is_read_by_getnext_and_not_asked_again_the_next_time(read: Read) -> None:
    async with SnmpAgent(tree(), mute_bulk=True) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        assert verdicts(await read(agent, reader)) == HEALTHY
        assert agent.counts[GET_BULK] == len(session.WAITS)
        assert verdicts(await read(agent, reader)) == HEALTHY
        assert agent.counts[GET_BULK] == len(session.WAITS)


async def test_an_agent_whose_getbulk_fails_is_asked_more_gently_and_then_by_getnext(read: Read) -> None:
    async with SnmpAgent(tree(), failing_bulk=True) as agent:
        reading = await read(agent)
    assert verdicts(reading) == HEALTHY
    repetitions = [asked.repetitions for asked in agent.asked if asked.kind == GET_BULK]
    assert list(dict.fromkeys(repetitions)) == [25, 6]
    assert agent.counts[GET_NEXT] > agent.counts[GET_BULK]
    assert reading.complete


@pytest.mark.parametrize("most", [1, 2, 7])
async def test_an_agent_that_cuts_its_answers_gives_everything(read: Read, most: int) -> None:
    async with SnmpAgent(tree(fans=40), most=most) as agent:
        reading = await read(agent)
    assert len(reading.lamps) == 43
    assert set(verdicts(reading).values()) == {N}


@pytest.mark.usefixtures("impatient")
async def test_answers_too_large_for_one_datagram_of_ours_are_asked_again_in_smaller_ones(read: Read) -> None:
    large = tree(fans=40)
    for number in range(1, 41):
        large[f"{FANS}.8.1.{number}"] = text(f"Fan {number} " + "x" * 200)
    async with SnmpAgent(large) as agent:
        reading = await read(agent)
    assert len(reading.lamps) == 43
    assert all(len(lamp.component) <= 80 for lamp in reading.lamps)


async def test_an_agent_of_v1_without_some_objects_gives_the_others(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        assert verdicts(await read(agent, version="1")) == HEALTHY
    assert GET_BULK not in agent.counts


async def test_nothing_is_ever_set(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        await read(agent)
        await read(agent, version="1")
    assert set(agent.counts) <= {GET, GET_NEXT, GET_BULK}
    assert SET not in agent.counts


# --- what the last read found ---


async def test_what_the_last_read_found_is_asked_for_at_once(read: Read) -> None:
    async with SnmpAgent(tree(fans=20, temperatures=8)) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        first = await read(agent, reader)
        asked = len(agent.asked)
        agent.asked.clear()
        assert (await read(agent, reader)).lamps == first.lamps
    assert len(agent.asked) < asked * 2 // 3
    # Two GETs for 34 single objects and 56 cells, a walk of each of the two tables; the others are still not there.
    assert [each.kind for each in agent.asked if each.kind != GET_NEXT] == [GET] * 3 + [GET_BULK] * 2


async def test_parts_that_come_change_and_go_are_seen_by_the_next_read(read: Read) -> None:
    async with SnmpAgent(tree(fans=2, temperatures=0)) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        assert verdicts(await read(agent, reader)) == dict.fromkeys(("System", "Fan 1", "Fan 2"), N)
        agent.serve(tree(fans=3, temperatures=2))
        assert verdicts(await read(agent, reader)) == HEALTHY
        agent.serve({**tree(), f"{FANS}.5.1.2": integer(5), f"{FANS}.8.1.3": text("Fan of 3")})
        changed = HEALTHY | {"Fan 2": C, "Fan of 3": N}
        del changed["Fan 3"]
        assert verdicts(await read(agent, reader)) == changed
        agent.serve(tree(fans=1, temperatures=0))
        assert verdicts(await read(agent, reader)) == {"System": N, "Fan 1": N}


async def test_one_request_shows_that_several_tables_are_still_not_there(read: Read) -> None:
    drives = f"{IDRAC}.5.1.20.140.1.1"
    served = {**tree(), f"{drives}.20.1": integer(3), f"{drives}.2.1": text("Volume"), "1.3.6.1.6.3.1.0": integer(1)}
    async with SnmpAgent(served) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        before = agent.counts[GET_NEXT]
        await read(agent, reader)
        # Before the fans, in the older tree, and between temperatures and volumes.
        assert agent.counts[GET_NEXT] - before == 3


async def test_an_agent_that_goes_back_proves_no_table_absent(read: Read) -> None:
    new = {**tree(), f"{IDRAC}.4.1100.50.1.5.1.1": integer(5)}

    def goes_back(asked: Asked) -> bytes | None:
        return agent.reply(asked, [(numbers("1.3.6.1.2.1.1.1.0"), text("?"))]) if asked.kind == GET_NEXT else None

    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        agent.script = goes_back
        assert verdicts(await read(agent, reader)) == HEALTHY
        agent.script = None
        agent.serve(new)
        assert C in verdicts(await read(agent, reader)).values()


@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_gives_no_answer_to_more_at_once_is_asked_who_it_is_first_from_then_on(read: Read) -> None:
    def overtaxed(asked: Asked) -> bytes | None:
        return b"" if asked.kind == GET and WHO[1] in asked.names and len(asked.names) > 3 else None

    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        agent.script = overtaxed
        reading = await read(agent, reader)
        assert verdicts(reading) == HEALTHY
        assert reading.complete
        agent.asked.clear()
        assert verdicts(await read(agent, reader)) == HEALTHY
        assert set(agent.asked[0].names) == set(WHO)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("lost", range(2, 9))
async def test_any_answer_of_a_later_read_may_be_lost_once(read: Read, lost: int) -> None:
    async with SnmpAgent(tree(fans=30, temperatures=20)) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        first = await read(agent, reader)
        agent.asked.clear()
        agent.script = lambda _: b"" if len(agent.asked) == lost else None
        reading = await read(agent, reader)
        assert len(agent.asked) > lost
    assert (reading.lamps, reading.complete) == (first.lamps, True)


@pytest.mark.usefixtures("impatient")
async def test_another_agent_at_the_same_address_is_read_as_what_it_is(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        agent.serve(
            {**SYSTEM, "1.3.6.1.2.1.1.2.0": oid("1.3.6.1.4.1.232.9.4.10"), "1.3.6.1.4.1.232.6.1.3.0": integer(4)}
        )
        reading = await read(agent, reader)
    assert reading.hardware is not None
    assert reading.hardware.manufacturer == "HPE"
    assert C in verdicts(reading).values()


# --- what agents leave out ---


@pytest.mark.usefixtures("impatient")
async def test_a_silent_table_makes_its_parts_unknown_and_leaves_the_others(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        assert verdicts(await read(agent, reader)) == HEALTHY
        agent.silent = (FANS,)
        reading = await read(agent, reader)
    assert verdicts(reading) == HEALTHY | dict.fromkeys(("Fan 1", "Fan 2", "Fan 3"), U)
    assert not reading.complete
    assert "no answer" in next(lamp.evidence for lamp in reading.lamps if lamp.component == "Fan 1")
    assert {sensor.sensor for sensor in reading.sensors} == {"Temp 1", "Temp 2"}


@pytest.mark.usefixtures("impatient")
async def test_a_silent_name_column_keeps_the_names_and_a_silent_state_column_believes_no_normal(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        agent.silent = (f"{FANS}.8",)
        assert verdicts(await read(agent, reader)) == HEALTHY
        agent.silent = (f"{FANS}.5",)
        assert verdicts(await read(agent, reader))["Fan 1"] == U


@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_falls_silent_in_the_middle_is_a_timeout_and_not_a_healthy_server(read: Read) -> None:
    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        asked = 0

        def dies(_: Asked) -> bytes | None:
            nonlocal asked
            asked += 1
            return b"" if asked > 1 else None

        agent.script = dies
        with pytest.raises(TimedOut) as failure:
            await read(agent, reader)
    assert failure.value.step == "tables"


@pytest.mark.usefixtures("impatient")
async def test_a_fault_seen_before_the_agent_fell_silent_is_told(read: Read) -> None:
    served = {**tree(), f"{IDRAC}.2.1.0": integer(5)}
    async with SnmpAgent(served) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        seen = 0

        def dies(_: Asked) -> bytes | None:
            nonlocal seen
            seen += 1
            return b"" if seen > 1 else None

        agent.script = dies
        reading = await read(agent, reader)
    assert verdicts(reading)["System"] == C
    assert verdicts(reading)["Fan 1"] == U
    assert not reading.complete


async def test_one_table_is_better_than_none(read: Read) -> None:
    served = {**SYSTEM, f"{FANS}.5.1.1": integer(5)}
    async with SnmpAgent(served) as agent:
        assert verdicts(await read(agent)) == {"Fan 1.1": C}


async def test_a_row_without_a_state_is_unknown(read: Read) -> None:
    served = {**SYSTEM, f"{FANS}.8.1.1": text("Fan 1"), f"{FANS}.6.1.1": integer(4000)}
    async with SnmpAgent(served) as agent:
        reading = await read(agent)
    assert verdicts(reading) == {"Fan 1": U}
    assert [sensor.value for sensor in reading.sensors] == [4000]


async def test_an_agent_that_is_nobody_we_know_has_no_lamp(read: Read) -> None:
    async with SnmpAgent({**SYSTEM, "1.3.6.1.2.1.1.2.0": oid("1.3.6.1.4.1.99999.1")}) as agent:
        reading = await read(agent)
    assert reading.lamps == ()
    assert reading.hardware is None


# --- what agents repeat ---


async def test_a_table_that_never_ends_is_left_at_its_first_repetition(read: Read) -> None:
    async with SnmpAgent(tree(), loop=f"{FANS}.5") as agent:
        reading = await read(agent)
    assert verdicts(reading).items() >= {"System": N, "Fan 1": N, "Temp 1": N, "Temp 2": N}.items()
    assert not reading.complete
    assert agent.counts[GET_BULK] < 80


async def test_rows_without_end_are_bounded(read: Read) -> None:
    def endless(asked: Asked) -> bytes | None:
        name = asked.names[0]
        if asked.kind != GET_BULK or name[: len(numbers(FANS))] != numbers(FANS):
            return None
        column = name[: len(numbers(FANS)) + 1]
        row = name[-1] + 1 if len(name) > len(column) else 1
        return agent.reply(asked, [((*column, row + more), integer(3)) for more in range(asked.repetitions)])

    async with SnmpAgent(tree(), script=endless) as agent:
        reading = await read(agent)
    assert len(reading.lamps) <= session.MOST_ROWS + 100
    assert not reading.complete


async def test_answers_to_what_was_not_asked_are_not_believed(read: Read) -> None:
    def lies(asked: Asked) -> bytes | None:
        if asked.kind != GET or len(asked.names) < 3:
            return None
        return agent.reply(asked, [(numbers("1.3.6.1.2.1.1.2.0"), oid(IDRAC)), (numbers(f"{IDRAC}.9.9.0"), integer(3))])

    async with SnmpAgent(tree(), script=lies) as agent:
        assert "System" not in verdicts(await read(agent))


# --- what is no answer ---


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "answer",
    [
        b"\x30",
        b"\x30\x00",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff" * 1400,
        b"\x30\x82\xff\xff" + b"\x02\x01\x01" * 300,
    ],
    ids=["a byte", "nothing", "another protocol", "ones", "a wrong length"],
)
async def test_what_does_not_speak_snmp_is_told_so(read: Read, answer: bytes) -> None:
    async with SnmpAgent(tree(), script=lambda _: answer) as agent:
        with pytest.raises(UnexpectedReply) as failure:
            await read(agent)
    assert failure.value.step == "first answer"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "bindings",
    [
        encoded(SEQUENCE, b""),
        encoded(SEQUENCE, b"\x06"),
        encoded(SEQUENCE, encoded(OBJECT, b"")),
        encoded(SEQUENCE, encoded(OBJECT, b"\xff" * 40)),
        encoded(SEQUENCE, encoded(OBJECT, packed(numbers(IDRAC)))),
        encoded(SEQUENCE, encoded(OBJECT, packed(numbers(IDRAC))) + b"\x44\x07\x9f\x78\x04\x7f\xff\xff\xff"),
        encoded(SEQUENCE, encoded(OBJECT, packed(numbers(IDRAC))) + b"\x02\x00"),
        encoded(SEQUENCE, encoded(OBJECT, packed(numbers(IDRAC))) + b"\x02\x14" + b"\x7f" * 20),
    ],
)
async def test_malformed_values_crash_nothing(read: Read, bindings: bytes) -> None:
    async with SnmpAgent(tree(), script=lambda asked: agent.raw_reply(asked, bindings)) as agent:
        await outcome(read(agent, patience=3.0))


@pytest.mark.usefixtures("impatient")
async def test_an_agent_that_answers_only_errors_is_unknown(read: Read) -> None:
    async with SnmpAgent(tree(), script=lambda asked: agent.raw_reply(asked, b"", GEN_ERR)) as agent:
        reading = await read(agent)
    assert reading.lamps == ()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cuts=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=4), at=st.integers(2, 8))
@pytest.mark.usefixtures("impatient")
async def test_any_byte_of_any_answer_may_be_another(
    cuts: list[tuple[int, int]], at: int, target: LampTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with SnmpAgent(tree()) as agent:

        def mutated(asked: Asked) -> bytes | None:
            if len(agent.asked) != at:
                return None
            answer = bytearray(agent.answer(asked) or b"")
            for place, byte in cuts:
                if answer:
                    answer[place % len(answer)] = byte
            return bytes(answer)

        agent.script = mutated
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        found = await outcome(reader.read(target, asyncio.get_running_loop().time() + 5.0))
    if isinstance(found, HardwareReading):
        assert len({lamp.component for lamp in found.lamps}) == len(found.lamps)


async def outcome(read: object) -> HardwareReading | CheckFailure:
    """Return the reading or the failure; anything else that is raised is a defect."""
    try:
        return await read  # type: ignore[misc, no-any-return]  # a read of any kind
    except CheckFailure as failure:
        return failure


# --- what ends ---


def sockets() -> int:
    gc.collect()
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own
            found += link.readlink().name.startswith("socket:")
    return found


@pytest.mark.usefixtures("impatient")
async def test_no_socket_is_left_behind_by_a_read_a_failure_or_a_cancellation(read: Read, target: LampTarget) -> None:
    async with SnmpAgent(tree()) as agent:
        reader = Snmp(SnmpOptions(address="127.0.0.1", port=agent.port))
        await read(agent, reader)
        before = sockets()
        await read(agent, reader)
        assert sockets() == before
        agent.script = lambda _: b""
        kept = await outcome(read(agent, reader))
        assert isinstance(kept, TimedOut)
        assert sockets() == before
        silence = asyncio.Event()

        def falls_silent(_: Asked) -> bytes | None:
            silence.set()
            return b""

        agent.script = falls_silent
        task = asyncio.ensure_future(reader.read(target, asyncio.get_running_loop().time() + 60))
        await silence.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        del task
        assert sockets() == before


async def test_the_deadline_holds_and_what_was_seen_until_then_is_told_if_it_is_a_fault(read: Read) -> None:
    served = {**tree(), f"{IDRAC}.2.1.0": integer(6)}

    def stalls(asked: Asked) -> bytes | None:
        return b"" if asked.kind == GET_BULK else None

    async with SnmpAgent(served, script=stalls) as agent:
        assert verdicts(await read(agent, patience=0.5)) == {"System": C}
        agent.serve(tree())
        with pytest.raises(TimedOut):
            await read(agent, patience=0.5)


async def test_a_name_that_is_none_and_a_port_that_is_closed_are_told(target: LampTarget) -> None:
    now = asyncio.get_running_loop().time()
    with pytest.raises(NoAddress):
        await Snmp(SnmpOptions(address="bmc.invalid")).read(target, now + 10)
    async with SnmpAgent(tree()) as agent:
        port = agent.port
    with pytest.raises(Refused) as failure:
        await Snmp(SnmpOptions(address="127.0.0.1", port=port)).read(target, now + 10)
    assert failure.value.step == "first answer"


async def test_an_address_that_is_not_local_is_no_defect_of_ours(target: LampTarget) -> None:
    with pytest.raises((TimedOut, Misconfigured, CheckFailure)):
        await Snmp(SnmpOptions(address="255.255.255.255")).read(target, asyncio.get_running_loop().time() + 0.2)


async def test_the_community_is_nowhere_in_what_is_told() -> None:
    secret = Credential(secrets={"community": Secret("very-secret")})
    async with SnmpAgent(tree(), community="very-secret") as agent:
        reading = await Snmp(SnmpOptions(address="127.0.0.1", port=agent.port)).read(
            LampTarget(secret), asyncio.get_running_loop().time() + 10
        )
    assert verdicts(reading) == HEALTHY
    assert "very-secret" not in repr(reading)
