"""Notifications of net-snmp's snmptrap, and what is none."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.notifications import Engine, Malformed, Notification, Unauthenticated, describe
from collectors.notifications.decoding import read
from collectors.secret import Credential, Secret
from tests.peers.snmptrap import AUTH_PASSWORD, ENGINE, PRIV_PASSWORD, Sender, snmptrap, user

__all__ = ["snmptrap"]  # a fixture

COLD_START = "1.3.6.1.6.3.1.1.5.1"
DELL = "1.3.6.1.4.1.674.10892.5.3.2.1.0.2185"
US = Engine(bytes.fromhex("80000000050102030405060708"), 1, 1000)


def credential(auth: str = "SHA-256", priv: str = "AES-128", key: str = AUTH_PASSWORD) -> Credential:
    values = {"username": "monitor", "auth_protocol": auth, "priv_protocol": priv}
    return Credential(
        "monitor",
        values=values,
        secrets={"auth_password": Secret(key), "priv_password": Secret(PRIV_PASSWORD)},
    )


class Receiver(asyncio.DatagramProtocol):
    """Reads what comes, and sends the reply."""

    def __init__(self) -> None:
        self.credentials: list[Credential] = []
        self.seen: asyncio.Queue[Notification | Exception] = asyncio.Queue()
        self.datagrams: list[bytes] = []
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        self.datagrams.append(data)
        try:
            notification = read(data, lambda name: [each for each in self.credentials if each.username == name], US)
        except (Malformed, Unauthenticated) as error:
            self.seen.put_nowait(error)
            return
        if notification.reply:
            self._transport.sendto(notification.reply, sender)
        if notification.trap:
            self.seen.put_nowait(notification)

    async def next(self) -> Notification | Exception:
        async with asyncio.timeout(10):
            return await self.seen.get()

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self.port}"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    transport, made = await asyncio.get_running_loop().create_datagram_endpoint(Receiver, ("127.0.0.1", 0))
    yield made
    transport.close()


async def test_a_trap_of_the_first_version_is_named_by_its_generic_or_specific_number(
    snmptrap: Sender, receiver: Receiver
) -> None:
    to = ("-v1", "-c", "whatever", receiver.place)
    await snmptrap.run(*to, "1.3.6.1.4.1.8072.3.2.10", "127.0.0.1", "0", "0", "")
    assert await receiver.next() == Notification(COLD_START)
    await snmptrap.run(*to, "1.3.6.1.4.1.3183.1.1", "127.0.0.1", "6", "552705", "", "1.3.6.1.4.1.3183.1.1.1", "s", "x")
    assert await receiver.next() == Notification("1.3.6.1.4.1.3183.1.1.0.552705")


async def test_a_trap_of_the_second_version_is_named_by_its_snmptrapoid(snmptrap: Sender, receiver: Receiver) -> None:
    await snmptrap.run("-v2c", "-c", "whatever", receiver.place, "", DELL, "1.3.6.1.4.1.674.10892.5.3.1.3", "i", "5")
    assert await receiver.next() == Notification(DELL)


async def test_an_inform_of_the_second_version_is_answered(snmptrap: Sender, receiver: Receiver) -> None:
    status = await snmptrap.run("-v2c", "-c", "x", "-Ci", receiver.place, "", DELL, "1.3.6.1.2.1.1.5.0", "s", "b")
    assert status == 0
    notification = await receiver.next()
    assert isinstance(notification, Notification)
    assert notification.trap == DELL


@pytest.mark.parametrize("priv", ["DES", "AES", "AES-192", "AES-256"])
@pytest.mark.parametrize("auth", ["MD5", "SHA", "SHA-224", "SHA-256", "SHA-384", "SHA-512"])
async def test_traps_and_informs_of_the_third_version_are_read_and_informs_answered(
    snmptrap: Sender, receiver: Receiver, auth: str, priv: str
) -> None:
    ours = {"SHA": "SHA-1"}.get(auth, auth), {"AES": "AES-128"}.get(priv, priv)
    receiver.credentials = [credential(key="another of that name"), credential(*ours)]
    await snmptrap.run(*user(auth, priv), "-e", ENGINE, receiver.place, "", DELL)
    assert await receiver.next() == Notification(DELL)
    status = await snmptrap.run(*user(auth, priv), "-Ci", "-r", "0", receiver.place, "", DELL)
    assert status == 0
    notification = await receiver.next()
    assert isinstance(notification, Notification)
    assert notification.trap == DELL


@pytest.mark.parametrize("level", ["noAuthNoPriv", "authNoPriv"])
async def test_less_secure_informs_of_the_third_version_are_answered_as_secure_as_they_were(
    snmptrap: Sender, receiver: Receiver, level: str
) -> None:
    receiver.credentials = [credential()]
    status = await snmptrap.run(*user(level=level), "-Ci", "-r", "0", receiver.place, "", DELL)
    assert status == 0
    notification = await receiver.next()
    assert isinstance(notification, Notification)
    assert notification.trap == DELL


async def test_a_trap_under_another_password_or_user_is_not_authentic(snmptrap: Sender, receiver: Receiver) -> None:
    receiver.credentials = [credential()]
    for who in (user(key="not the password"), user(name="nobody"), user(auth="SHA-512")):
        await snmptrap.run(*who, "-e", ENGINE, receiver.place, "", DELL)
        assert isinstance(await receiver.next(), Unauthenticated)


async def test_a_question_for_data_is_not_answered(
    snmptrap: Sender, receiver: Receiver, peer: Callable[[str], str]
) -> None:
    get = Sender(peer("snmpget"), snmptrap.folder)
    for version in ("-v1", "-v2c"):
        status = await get.run(version, "-c", "public", "-r", "0", "-t", "0.1", receiver.place, "1.3.6.1.2.1.1.5.0")
        assert status != 0
        assert isinstance(await receiver.next(), Malformed)


async def test_what_is_changed_on_its_way_is_read_as_itself_or_refused(snmptrap: Sender, receiver: Receiver) -> None:
    receiver.credentials = [credential()]
    await snmptrap.run(
        "-v1", "-c", "c", receiver.place, "1.3.6.1.4.1.232", "127.0.0.1", "6", "6020", "", "1.3.6", "s", "x"
    )
    await snmptrap.run("-v2c", "-c", "c", "-Ci", receiver.place, "", DELL, "1.3.6.1.2.1.1.5.0", "s", "b")
    await snmptrap.run(*user(), "-Ci", "-r", "0", receiver.place, "", DELL)
    whole = receiver.datagrams

    @settings(max_examples=300, deadline=None)
    @given(st.sampled_from(whole), st.data())
    def mutated(datagram: bytes, data: st.DataObject) -> None:
        at = data.draw(st.integers(0, len(datagram) - 1))
        cut = data.draw(st.integers(at, len(datagram)))
        changed = datagram[:at] + data.draw(st.binary(max_size=4)) + datagram[cut:]
        refused_or_read(changed)

    mutated()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | st.integers(1, 4_000).map(lambda depth: b"\x30\x80" * depth))
def test_noise_and_nests_are_refused(datagram: bytes) -> None:
    with pytest.raises((Malformed, Unauthenticated)):
        read(datagram, lambda _name: [credential()], US)


def refused_or_read(datagram: bytes) -> None:
    try:
        notification = read(datagram, lambda _name: [credential()], US)
    except (Malformed, Unauthenticated):
        return
    assert notification.trap or notification.reply
    describe(notification.trap)


@pytest.mark.parametrize(
    ("specific", "words"),
    [
        (552705, "platform event: power supply, event 6fh offset 1 began"),
        (356096, "platform event: intrusion, event 6fh offset 0 began"),
        (65801, "platform event: temperature, event 01h offset 9 began"),
        (262402, "platform event: fan, event 01h offset 2 began"),
        (131330 | 0x80, "platform event: voltage, event 01h offset 2 ended"),
        (0xC07000, "platform event: sensor type c0h, event 70h offset 0 began"),
    ],
)
def test_platform_events_are_told_in_words(specific: int, words: str) -> None:
    assert describe(f"1.3.6.1.4.1.3183.1.1.0.{specific}") == words


def test_vendors_notifications_are_told_with_their_vendor() -> None:
    assert describe(DELL) == f"Dell {DELL}"
    assert describe("1.3.6.1.4.1.231.2.10.2.20.0.2121") == "Fujitsu iRMC 1.3.6.1.4.1.231.2.10.2.20.0.2121"
    assert describe(COLD_START) == f"SNMP agent {COLD_START}"
    assert describe("1.3.6.1.4.1.99999.1") == "1.3.6.1.4.1.99999.1"
