"""A real snmpd from net-snmp: every version, every algorithm it has, and what happens when it is not as it was."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.failures import Misconfigured, Refused, TimedOut, Unauthorized
from collectors.hardware.snmp import Snmp, SnmpOptions
from collectors.hardware.snmp.keys import Account
from collectors.hardware.snmp.signature import REPORT, Signature
from collectors.reading import Lamp, LampReading, Quantity, SensorReading, Verdict
from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.peers.snmp_agent import (
    COUNTER,
    INTEGER,
    OBJECT,
    SEQUENCE,
    encoded,
    integer,
    numbers,
    packed,
    parse,
    parts,
    text,
)
from tests.peers.snmpd import DELL, Served, Snmpd, User

TREE: Served = {
    f"{DELL}.1.3.2.0": ("octet_str", "8X7Y6Z5"),
    f"{DELL}.1.3.12.0": ("octet_str", "PowerEdge R650"),
    f"{DELL}.2.1.0": ("integer", 4),
    f"{DELL}.2.4.0": ("integer", 4),
    f"{DELL}.4.300.10.1.29.1": ("integer", 8),
    f"{DELL}.4.700.20.1.5.1.1": ("integer", 3),
    f"{DELL}.4.700.20.1.5.1.2": ("integer", 7),
    f"{DELL}.4.700.20.1.6.1.1": ("integer", 231),
    f"{DELL}.4.700.20.1.8.1.1": ("octet_str", "Inlet"),
    f"{DELL}.4.700.20.1.8.1.2": ("octet_str", "Exhaust"),
}
LAMPS = (
    LampReading(Lamp.SYSTEM, "System", Verdict.WARNING, f"{DELL}.2.1.0=4"),
    LampReading(Lamp.TEMPERATURE, "Inlet", Verdict.NORMAL, f"{DELL}.4.700.20.1.5.1.1=3"),
    LampReading(Lamp.TEMPERATURE, "Exhaust", Verdict.WARNING, f"{DELL}.4.700.20.1.5.1.2=7"),
)

AUTH = {"MD5": "MD5", "SHA": "SHA-1", "SHA-224": "SHA-224", "SHA-256": "SHA-256", "SHA-384": "SHA-384"} | {
    "SHA-512": "SHA-512"
}
PRIV = {"DES": "DES", "AES": "AES-128", "AES192": "AES-192", "AES256": "AES-256", "AES256C": "AES-256"}
"""snmpd's words, and ours. AES256C lengthens short keys in Cisco's way."""

USERS = [
    User("noauth"),
    *(User(f"auth-{auth}", auth) for auth in AUTH),
    *(User(f"priv-{auth}-{priv}", auth, priv) for auth in AUTH for priv in PRIV if priv != "AES256C"),
    User("priv-SHA-AES256C", "SHA", "AES256C"),
]


def credential(user: User, **wrong: str) -> Credential:
    values = {"username": user.name}
    secrets = {}
    if user.auth:
        values["auth_protocol"] = AUTH[user.auth]
        secrets["auth_password"] = Secret(wrong.get("auth_password", user.auth_password))
    if user.priv:
        values["priv_protocol"] = PRIV[user.priv]
        secrets["priv_password"] = Secret(wrong.get("priv_password", user.priv_password))
    return Credential(wrong.get("username", user.name), values=values, secrets=secrets)


@pytest.fixture(scope="module")
def snmpd(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    with Snmpd(peer("snmpd"), tmp_path_factory.mktemp("snmpd"), TREE, USERS) as agent:
        yield agent


def reader(agent: Snmpd, version: str = "3") -> Snmp:
    return Snmp(SnmpOptions.model_validate({"address": "127.0.0.1", "port": agent.port, "version": version}))


async def read(snmp: Snmp, credential: Credential, patience: float = 30.0):  # type: ignore[no-untyped-def]  # as Snmp.read
    return await snmp.read(LampTarget(credential), asyncio.get_running_loop().time() + patience)


@pytest.mark.parametrize("user", USERS, ids=lambda user: user.name)
async def test_every_user_of_v3_reads_the_same(snmpd: Snmpd, user: User) -> None:
    snmp = reader(snmpd)
    for _ in range(2):
        reading = await read(snmp, credential(user))
        assert reading.lamps == LAMPS
        assert (reading.locate, reading.power, reading.complete) == (True, True, True)
        assert reading.sensors == (SensorReading(Quantity.TEMPERATURE, "Inlet", 23.1),)
        assert reading.hardware is not None
        assert (reading.hardware.model, reading.hardware.serial) == ("PowerEdge R650", "8X7Y6Z5")


@pytest.mark.parametrize("version", ["1", "2c"])
async def test_a_community_reads_the_same(snmpd: Snmpd, version: str) -> None:
    reading = await read(reader(snmpd, version), Credential(secrets={"community": Secret("public")}))
    assert reading.lamps == LAMPS


@pytest.mark.parametrize(
    "wrong",
    [{"auth_password": "another-password"}, {"priv_password": "another-password"}, {"username": "nobody"}],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_wrong_password_or_user_is_our_fault_and_not_the_servers(snmpd: Snmpd, wrong: dict[str, str]) -> None:
    user = User("priv-SHA-256-AES", "SHA-256", "AES")
    with pytest.raises(Unauthorized) as failure:
        await read(reader(snmpd), credential(user, **wrong))
    assert failure.value.step == "log-in"
    assert "another-password" not in f"{failure.value} {failure.value.transcript}"
    assert failure.value.transcript


async def test_a_wrong_community_is_silence(snmpd: Snmpd) -> None:
    with pytest.raises(TimedOut) as failure:
        await read(reader(snmpd, "2c"), Credential(secrets={"community": Secret("another")}), patience=1.0)
    assert failure.value.step == "first answer"


async def test_keys_are_localised_once_for_an_engine_and_again_when_it_or_the_password_changes(
    peer: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engines: list[bytes] = []
    localise = Account.localised

    def counted(account: Account, engine: bytes) -> object:
        engines.append(engine)
        return localise(account, engine)

    monkeypatch.setattr(Account, "localised", counted)
    user = User("monitor", "SHA-256", "AES")
    with Snmpd(peer("snmpd"), tmp_path, TREE, [user]) as agent:
        snmp = reader(agent)
        for _ in range(3):
            await read(snmp, credential(user))
        assert len(engines) == 1
        with pytest.raises(Unauthorized):
            await read(snmp, credential(user, auth_password="another-password"))
        await read(snmp, credential(user))
        assert len(engines) == 3
        agent.stop()
        agent.exchange("80001f8804" + "32" * 8)
        agent.start()
        assert (await read(snmp, credential(user))).lamps == LAMPS
    assert len(set(engines)) == 2
    assert len(engines) == 4


async def test_a_closed_port_is_refused_and_an_agent_that_comes_back_is_read_again(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    user = User("monitor", "SHA-256", "AES")
    with Snmpd(peer("snmpd"), tmp_path, TREE, [user]) as agent:
        snmp = reader(agent)
        await read(snmp, credential(user))
        agent.stop()
        with pytest.raises(Refused):
            await read(snmp, credential(user))
        agent.start()
        assert (await read(snmp, credential(user))).lamps == LAMPS


class Forger(asyncio.DatagramProtocol):
    """Stands between us and the agent, and rewrites what it can read of the agent's answers."""

    def __init__(self, port: int, was: bytes = b"", forged: bytes = b"", rejects_at: int = 0) -> None:
        self._port = port
        self._was = was
        self._forged = forged
        self._left = rejects_at
        """After this many requests one is rejected, as by an agent that was restarted."""
        self._agents: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self.forgeries = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.client = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._task = asyncio.ensure_future(self._pass_on(data, addr))

    async def _pass_on(self, data: bytes, addr: tuple[str, int]) -> None:
        if addr not in self._agents:
            self._agents[addr], _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: Answered(self, addr), remote_addr=("127.0.0.1", self._port)
            )
        self._left -= 1
        if self._left == 0:
            self.client.sendto(not_in_time_window(data), addr)
        else:
            self._agents[addr].sendto(data)

    def answered(self, data: bytes, addr: tuple[str, int]) -> None:
        self.forgeries += bool(self._was) and self._was in data
        self.client.sendto(data.replace(self._was, self._forged) if self._was else data, addr)

    def close(self) -> None:
        self.client.close()
        for agent in self._agents.values():
            agent.close()


def not_in_time_window(request: bytes) -> bytes:
    """The report of an agent whose clock began anew (RFC 3414 section 3.2, 7): usmStatsNotInTimeWindows."""
    (_, version), (_, header), (_, security), *_ = parts(parse(request)[1])
    message_id = parts(header)[0][1]
    (_, engine), _, _, (_, user), *_ = parts(parse(security)[1])
    counter = encoded(OBJECT, packed(numbers("1.3.6.1.6.3.15.1.1.2.0"))) + integer(1, COUNTER)
    pdu = encoded(REPORT, integer(0) * 3 + encoded(SEQUENCE, encoded(SEQUENCE, counter)))
    return encoded(
        SEQUENCE,
        encoded(INTEGER, version)
        + encoded(SEQUENCE, encoded(INTEGER, message_id) + integer(65507) + text(b"\0") + integer(3))
        + text(encoded(SEQUENCE, text(engine) + integer(1) + integer(1) + text(user) + text(b"") * 2))
        + encoded(SEQUENCE, text(engine) + text(b"") + pdu),
    )


class Answered(asyncio.DatagramProtocol):
    def __init__(self, forger: Forger, client: tuple[str, int]) -> None:
        self._forger = forger
        self._client = client

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._forger.answered(data, self._client)


@pytest.mark.parametrize("auth", AUTH)
async def test_an_answer_that_was_changed_on_the_way_is_not_believed(
    snmpd: Snmpd, auth: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.hardware.snmp.reader.WAITS", (0.1,))
    monkeypatch.setattr("collectors.hardware.snmp.walk.HURRIED", (0.1,))
    state = numbers(f"{DELL}.4.700.20.1.5.1.2")
    was, forged = (encoded(OBJECT, packed(state)) + integer(value) for value in (7, 3))
    transport, forger = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Forger(snmpd.port, was, forged), local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    snmp = Snmp(SnmpOptions(address="127.0.0.1", port=port, version="3"))
    try:
        reading = await read(snmp, credential(User(f"auth-{auth}", auth)))
    finally:
        forger.close()
    assert forger.forgeries
    assert not any(lamp.component == "Exhaust" and lamp.verdict is Verdict.NORMAL for lamp in reading.lamps)
    assert not reading.complete


@pytest.mark.parametrize("user", [User("auth-SHA-256", "SHA-256"), User("priv-SHA-AES", "SHA", "AES")])
async def test_an_agent_that_restarts_in_between_is_logged_in_to_again(snmpd: Snmpd, user: User) -> None:
    transport, forger = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Forger(snmpd.port, rejects_at=8), local_addr=("127.0.0.1", 0)
    )
    snmp = Snmp(SnmpOptions(address="127.0.0.1", port=transport.get_extra_info("sockname")[1], version="3"))
    try:
        reading = await read(snmp, credential(user))
    finally:
        forger.close()
    assert reading.lamps == LAMPS
    assert any("after a restart" in line for line in reading.transcript)


@given(datagram=st.binary(max_size=200))
def test_no_bytes_are_signed_by_chance_or_crash_the_look_at_their_signature(datagram: bytes) -> None:
    assert not Signature("SHA-256", b"k" * 32).is_on(datagram)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        (Credential(), "username"),
        (Credential("x" * 33), "32 bytes"),
        (
            Credential("m", values={"auth_protocol": "MD5"}, secrets={"auth_password": Secret("short")}),
            "less than 8",
        ),
        (Credential("m", values={"auth_protocol": "CRC"}, secrets={"auth_password": Secret("long-enough")}), "CRC"),
        (
            Credential("m", values={"priv_protocol": "DES"}, secrets={"priv_password": Secret("long-enough")}),
            "auth_protocol",
        ),
    ],
)
async def test_a_credential_that_cannot_be_is_told_before_anything_is_sent(broken: Credential, says: str) -> None:
    with pytest.raises(Misconfigured, match=says):
        await read(Snmp(SnmpOptions(address="127.0.0.1", port=1, version="3")), broken)


async def test_v2c_without_a_community_is_misconfigured() -> None:
    with pytest.raises(Misconfigured, match="community"):
        await read(Snmp(SnmpOptions(address="127.0.0.1", port=1)), Credential("monitor"))
