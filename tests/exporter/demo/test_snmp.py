"""The demo's SNMP agent, judged by net-snmp."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.demo.idrac import Idrac, Supply
from exporter.demo.snmp import SnmpAgent

IDRAC = "1.3.6.1.4.1.674.10892.5"


class NetSnmp:
    """Its command-line programs, with numbers for names."""

    def __init__(self, peer: Callable[[str], str], port: int) -> None:
        self._peer = peer
        self._port = port

    async def __call__(self, program: str, name: str, *more: str, community: str = "demo", version: str = "2c") -> str:
        # -Ln: on a machine where it never ran it would tell of the folders that it makes
        arguments = (
            "-Ln",
            "-v",
            version,
            "-c",
            community,
            "-On",
            "-t",
            "0.3",
            "-r",
            "0",
            *more,
            f"127.0.0.1:{self._port}",
        )
        process = await asyncio.create_subprocess_exec(
            self._peer(program),
            *arguments,
            name,
            env={"MIBS": ""},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return output.decode()


@pytest.fixture
async def idrac() -> AsyncIterator[Idrac]:
    made = Idrac("DEMO0001", "demo")
    await made.start("127.0.0.1")
    yield made
    made.stop()


@pytest.fixture
def snmp(peer: Callable[[str], str], idrac: Idrac) -> NetSnmp:
    return NetSnmp(peer, idrac.port)


def names(output: str) -> list[str]:
    return [line.partition(" ")[0] for line in output.splitlines()]


async def test_single_objects_of_each_type(snmp: NetSnmp) -> None:
    assert f".1.3.6.1.2.1.1.2.0 = OID: .{IDRAC}\n" == await snmp("snmpget", "1.3.6.1.2.1.1.2.0")
    assert f'.{IDRAC}.1.3.2.0 = STRING: "DEMO0001"\n' == await snmp("snmpget", f"{IDRAC}.1.3.2.0")
    assert f".{IDRAC}.4.700.12.1.6.1.1 = INTEGER: 5520\n" == await snmp("snmpget", f"{IDRAC}.4.700.12.1.6.1.1")
    assert "No Such Object" in await snmp("snmpget", "1.3.6.1.2.1.1.9.0")


async def test_a_walk_by_getnext_and_one_by_getbulk_see_the_same_in_order(snmp: NetSnmp) -> None:
    walked = await snmp("snmpwalk", "1.3.6.1")
    assert walked.splitlines()[:-1] == (await snmp("snmpbulkwalk", "1.3.6.1", "-Cr50")).splitlines()[:-1]
    oids = [tuple(map(int, name.strip(".").split("."))) for name in names(walked)[:-1]]
    assert oids == sorted(set(oids))
    assert f".{IDRAC}.4.700.20.1.8.1.1" in names(walked)
    assert "No more variables left in this MIB View" in walked


async def test_a_failing_supply_shows_in_its_row_and_in_the_roll_ups(snmp: NetSnmp, idrac: Idrac) -> None:
    idrac.supplies[1] = Supply.PRESENT | Supply.FAILED
    idrac.identify = True
    idrac.changed()
    told = dict(
        line.split(" = INTEGER: ") for line in (await snmp("snmpwalk", IDRAC)).splitlines() if "INTEGER" in line
    )
    for row in ("4.600.12.1.5.1.2", "4.200.10.1.9.1", "2.1.0"):
        assert told[f".{IDRAC}.{row}"] == "5"
    assert told[f".{IDRAC}.4.300.10.1.29.1"] == "8"


async def test_another_community_another_version_and_a_silent_agent_get_no_answer(snmp: NetSnmp, idrac: Idrac) -> None:
    assert "Timeout" in await snmp("snmpget", "1.3.6.1.2.1.1.2.0", community="other")
    assert "Timeout" in await snmp("snmpget", "1.3.6.1.2.1.1.2.0", version="1")
    idrac.agent.silent = True
    assert "Timeout" in await snmp("snmpget", "1.3.6.1.2.1.1.2.0")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_noise_is_dropped(noise: bytes) -> None:
    agent = SnmpAgent("demo")
    sent: list[bytes] = []
    agent._transport = type("Wire", (), {"sendto": lambda _self, data, _to: sent.append(data)})()
    agent.datagram_received(noise, ("127.0.0.1", 1))
    request = bytes.fromhex("301f0201010404") + b"demo" + bytes.fromhex("a0140201010201000201003009300706032b06010500")
    agent.datagram_received(request[: len(noise) % len(request)] + noise, ("127.0.0.1", 1))
    assert all(len(data) < 1_500 for data in sent)


async def test_its_port_is_given_back() -> None:
    made = Idrac("DEMO0001", "demo")
    await made.start("127.0.0.1")
    made.stop()
    await asyncio.sleep(0)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", made.port))
