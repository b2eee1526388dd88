"""The receiver of traps on real sockets: whose datagrams count, what they make happen, and what a flood does not."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from exporter import traps as module
from exporter.clock import MINUTE, Moment
from exporter.config import ConfigError
from exporter.inventory import Config, CredentialEntry, SecretSource
from exporter.secrets import Secrets
from exporter.telemetry import TrapResult
from exporter.traps import ALLOWANCE, LARGEST, Members, Traps, plain
from tests.peers.process import free_udp_port
from tests.peers.snmptrap import AUTH_PASSWORD, ENGINE, PRIV_PASSWORD, Sender, snmptrap, user

__all__ = ["snmptrap"]  # a fixture

TRAP = bytes.fromhex("302a02010004067075626c6963a41d060a2b060104018522d50c054004c00002010201000201004301003000")
"""SNMPv1, community public, coldStart."""
DELL = "1.3.6.1.4.1.674.10892.5.3.2.1.0.2185"
FILE = Path("dserver.yml")


class FakeClock:
    def __init__(self) -> None:
        self.monotonic = 1_000_000

    def now(self) -> Moment:
        return Moment(self.monotonic, 1_800_000_000_000 + self.monotonic)


class Rig:
    """A receiver whose re-reads are noted, for a controller of web01 at 127.0.0.1 unless another is given."""

    def __init__(self, secrets: Secrets) -> None:
        self.clock = FakeClock()
        self.reread: list[str] = []
        self.results: Counter[TrapResult] = Counter()
        self.traps = Traps(self.clock, secrets, self._read, self._count)
        self.fresh = True

    def _read(self, server: str) -> bool:
        self.reread.append(server)
        return self.fresh

    def _count(self, result: TrapResult) -> None:
        self.results[result] += 1

    def open(self, *endpoints: tuple[str, str], config: Config | None = None) -> None:
        self.traps.rebind(f"127.0.0.1:{free_udp_port()}", FILE)
        self.traps.replace(config or Config(), endpoints or [("web01", "127.0.0.1:623")])

    def send(self, *datagrams: bytes, source: str = "127.0.0.1") -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind((source, 0))
            for datagram in datagrams:
                sender.sendto(datagram, ("127.0.0.1", self.traps.port))

    async def until(self, total: int) -> None:
        async with asyncio.timeout(20):
            while sum(self.results.values()) < total:  # noqa: ASYNC110 - the condition is about what was counted
                await asyncio.sleep(0.002)
        assert sum(self.results.values()) == total


@pytest.fixture
def secrets(tmp_path: Path) -> Secrets:
    (tmp_path / "auth").write_text(AUTH_PASSWORD)
    (tmp_path / "priv").write_text(PRIV_PASSWORD)
    return Secrets(users(tmp_path).credentials)


def users(folder: Path) -> Config:
    entry = CredentialEntry(
        "snmpv3",
        {"username": "monitor", "auth_protocol": "SHA-256", "priv_protocol": "AES-128"},
        {"auth_password": SecretSource(folder / "auth"), "priv_password": SecretSource(folder / "priv")},
    )
    return replace(Config(), credentials={"snmpv3": entry})


@pytest.fixture
async def rig(secrets: Secrets) -> AsyncIterator[Rig]:
    made = Rig(secrets)
    yield made
    made.traps.stop()


async def test_a_members_trap_of_each_version_makes_its_lamps_be_read(
    rig: Rig, snmptrap: Sender, tmp_path: Path
) -> None:
    rig.open(config=users(tmp_path))
    place = f"127.0.0.1:{rig.traps.port}"
    assert await snmptrap.run("-v1", "-c", "x", place, "1.3.6.1.4.1.3183.1.1", "10.0.0.1", "6", "552705", "") == 0
    assert await snmptrap.run("-v2c", "-c", "x", place, "", DELL) == 0
    assert await snmptrap.run(*user(), "-e", ENGINE, place, "", DELL) == 0
    await rig.until(3)
    assert rig.results == {TrapResult.REREAD: 3}
    assert rig.reread == ["web01"] * 3


async def test_a_members_informs_are_answered_and_a_strangers_are_not(
    rig: Rig, snmptrap: Sender, tmp_path: Path
) -> None:
    rig.open(config=users(tmp_path))
    place = f"127.0.0.1:{rig.traps.port}"
    assert await snmptrap.run("-v2c", "-c", "x", "-Ci", "-r", "0", place, "", DELL) == 0
    assert await snmptrap.run(*user(), "-Ci", "-r", "0", place, "", DELL) == 0
    await rig.until(3)
    assert rig.results == {TrapResult.REREAD: 2, TrapResult.DISCOVERY: 1}
    rig.traps.replace(users(tmp_path), [("web01", "192.0.2.110:623")])
    assert await snmptrap.run("-v2c", "-c", "x", "-Ci", "-r", "0", "-t", "0.1", place, "", DELL) != 0
    assert await snmptrap.run(*user(), "-Ci", "-r", "0", "-t", "0.1", place, "", DELL) != 0
    assert rig.results[TrapResult.FOREIGN] >= 2
    assert rig.reread == ["web01"] * 2


async def test_a_trap_under_a_wrong_password_is_told_and_makes_nothing_happen(
    rig: Rig, snmptrap: Sender, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig.open(config=users(tmp_path))
    await snmptrap.run(*user(key="not the password"), "-e", ENGINE, f"127.0.0.1:{rig.traps.port}", "", DELL)
    await rig.until(1)
    assert (rig.results, rig.reread) == ({TrapResult.UNAUTHORIZED: 1}, [])
    assert "user 'monitor'" in caplog.text
    assert AUTH_PASSWORD not in caplog.text


async def test_a_changed_secret_counts_from_the_next_trap_on(rig: Rig, snmptrap: Sender, tmp_path: Path) -> None:
    rig.open(config=users(tmp_path))
    (tmp_path / "auth").write_text("another password")
    await snmptrap.run(*user(key="another password"), "-e", ENGINE, f"127.0.0.1:{rig.traps.port}", "", DELL)
    await rig.until(1)
    assert rig.results == {TrapResult.REREAD: 1}


async def test_what_is_no_notification_makes_nothing_happen(rig: Rig) -> None:
    rig.open()
    rig.send(b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", TRAP[:-1], TRAP + bytes(LARGEST))
    await rig.until(5)
    assert (rig.results, rig.reread) == ({TrapResult.MALFORMED: 5}, [])


async def test_a_trap_within_the_minute_is_told_apart(rig: Rig) -> None:
    rig.open()
    rig.fresh = False
    rig.send(TRAP)
    await rig.until(1)
    assert (rig.results, rig.reread) == ({TrapResult.JOINED: 1}, ["web01"])


async def test_a_flood_of_one_member_is_decoded_a_few_times_a_minute(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.open()
    decoded = counted(rig, monkeypatch)
    for hundreds in range(1, 11):
        rig.send(*[TRAP] * 100)  # more at once would not fit into the socket's buffer
        await rig.until(hundreds * 100)
    assert rig.results == {TrapResult.REREAD: ALLOWANCE, TrapResult.LIMITED: 1_000 - ALLOWANCE}
    assert decoded() == ALLOWANCE
    rig.clock.monotonic += MINUTE // ALLOWANCE
    rig.send(TRAP, TRAP)
    await rig.until(1_002)
    assert decoded() == ALLOWANCE + 1


async def test_a_flood_of_strangers_is_never_decoded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.open(("web01", "192.0.2.110:623"))
    decoded = counted(rig, monkeypatch)
    for hundreds in range(1, 11):
        rig.send(*[TRAP] * 100)  # more at once would not fit into the socket's buffer
        await rig.until(hundreds * 100)
    assert rig.results == {TrapResult.FOREIGN: 1_000}
    assert decoded() == 0


async def test_the_loop_has_its_turns_between_datagrams_however_many_members_send(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = [f"127.0.{number // 200}.{number % 200 + 1}" for number in range(250)]
    rig.open(*((f"web{number}", f"{address}:623") for number, address in enumerate(members)))
    decoded = counted(rig, monkeypatch)
    between: list[int] = []
    for address in members:
        rig.send(TRAP, source=address)
    async with asyncio.timeout(20):
        while decoded() < len(members):
            between.append(decoded())
            await asyncio.sleep(0)  # a turn of the loop
    steps = [after - before for before, after in pairwise(between)]
    assert max(steps) <= 2  # the one that is due, and one that a busy machine made due meanwhile
    assert len(rig.reread) == len(members)


async def test_what_waits_to_be_decoded_is_bounded(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 3)
    monkeypatch.setattr(module, "REST", 60.0)  # nothing is decoded after the first
    rig.open()
    rig.send(*[TRAP] * 8)
    async with asyncio.timeout(20):
        while not rig.results[TrapResult.REREAD]:  # noqa: ASYNC110 - the condition is about what was counted
            await asyncio.sleep(0)
    rig.send(*[TRAP] * 4)
    await rig.until(12 - 3)
    assert rig.results == {TrapResult.REREAD: 1, TrapResult.LIMITED: 8}


def counted(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    calls: list[bytes] = []
    read = rig.traps._read

    def counting(datagram: bytes, *rest: object) -> object:
        calls.append(datagram)
        return read(datagram, *rest)  # type: ignore[arg-type]  # what came is passed on

    monkeypatch.setattr(rig.traps, "_read", counting)
    return lambda: len(calls)


async def test_a_port_that_is_taken_is_refused_with_its_remedy_and_the_old_one_stays(rig: Rig) -> None:
    rig.open()
    before = rig.traps.port
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(ConfigError) as refused:
            rig.traps.rebind(taken, FILE)
    assert str(refused.value) == (
        f"dserver.yml: traps.listen: SNMP traps cannot be received at {taken}: Address already in use: another program "
        "receives there, such as snmptrapd: stop it, or choose another port"
    )
    assert rig.traps.port == before
    rig.send(TRAP)
    await rig.until(1)
    assert rig.results == {TrapResult.REREAD: 1}


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (PermissionError(13, "Permission denied"), "Permission denied: a port below 1024 needs CAP_NET_BIND_SERVICE"),
        (OSError(99, "Cannot assign requested address"), "this host has no such address"),
        (OSError(12, "Cannot allocate memory"), "choose another address"),
    ],
)
async def test_an_address_that_cannot_be_had_is_refused_with_its_remedy(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, error: OSError, remedy: str
) -> None:
    def refuse(_listen: str) -> socket.socket:
        raise error

    monkeypatch.setattr(module, "bound", refuse)
    with pytest.raises(ConfigError, match=remedy):
        rig.traps.rebind("0.0.0.0:162", FILE)
    assert rig.traps.port == 0


async def test_an_address_may_change_to_one_that_overlaps_it_and_to_none(rig: Rig) -> None:
    rig.open()
    port = rig.traps.port
    rig.traps.rebind(f"0.0.0.0:{port}", FILE)
    rig.send(TRAP)
    await rig.until(1)
    rig.traps.rebind("", FILE)
    assert rig.traps.port == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))


async def test_a_controller_that_several_servers_share_makes_them_all_be_read(rig: Rig) -> None:
    rig.open(("blade02", "127.0.0.1:161"), ("blade01", "127.0.0.1:161"), ("web01", "192.0.2.1:623"))
    rig.send(TRAP)
    await rig.until(1)
    assert rig.reread == ["blade01", "blade02"]


async def test_members_are_found_in_whatever_form_their_address_comes() -> None:
    members = Members()
    members.replace([("web01", "192.0.2.110:623"), ("web02", "[2001:DB8:0::1]:443"), ("web03", "[fe80::1]:161")])
    assert members["192.0.2.110"] == members["::ffff:192.0.2.110"] == ("web01",)
    assert members["2001:db8::1"] == ("web02",)
    assert members["fe80::1%eth0"] == ("web03",)
    assert members["192.0.2.111"] == members["2001:db8::2"] == members["nonsense"] == ()
    assert plain("::1") == "::1"


async def test_a_named_controllers_addresses_are_looked_up_again_and_kept_while_nobody_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers = {"bmc1.example": frozenset({"192.0.2.1"}), "bmc2.example": frozenset({"192.0.2.2", "2001:db8::2"})}

    async def look_up(name: str) -> frozenset[str]:
        return answers.get(name, frozenset())

    monkeypatch.setattr(module, "_addresses", look_up)
    members = Members()
    members.replace([("web01", "bmc1.example:623"), ("web02", "bmc2.example:443"), ("web03", "192.0.2.3:161")])
    await members.resolve()
    assert [members[each] for each in ("192.0.2.1", "192.0.2.2", "2001:db8::2", "192.0.2.3")] == [
        ("web01",),
        ("web02",),
        ("web02",),
        ("web03",),
    ]
    del answers["bmc1.example"]
    answers["bmc2.example"] = frozenset({"192.0.2.9"})
    await members.resolve()
    assert members["192.0.2.1"] == ("web01",)
    assert (members["192.0.2.2"], members["192.0.2.9"]) == ((), ("web02",))
    members.replace([("web01", "bmc1.example:623")])
    assert members["192.0.2.1"] == ("web01",)
    assert members["192.0.2.9"] == ()


async def test_a_name_is_looked_up_as_soon_as_the_inventory_has_it(rig: Rig) -> None:
    rig.open(("web01", "localhost:623"))
    watching = asyncio.create_task(rig.traps.watch())
    async with asyncio.timeout(20):
        while not rig.traps._members["127.0.0.1"]:  # noqa: ASYNC110 - a look-up has no other end
            await asyncio.sleep(0.002)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching
