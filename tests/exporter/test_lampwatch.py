"""The lamp watch: who is read when, how many at once, and what survives a restart."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.failures import Unauthorized
from collectors.reading import HardwareReading, Lamp, LampReading, Verdict
from collectors.registry import LampTarget, Options, Registry, source
from exporter.clock import DAY, Moment, SystemClock
from exporter.exposition import Exposition
from exporter.families import LAMP_VERDICT, Selection
from exporter.inventory import LampSourceEntry, Server, Settings
from exporter.lamps import SourceState
from exporter.lampwatch import FLEET_LIMIT, RACK_LIMIT, REREAD_PAUSE, LampWatch
from exporter.ledger import Ledger
from exporter.rendering import source_lines
from exporter.secrets import Secrets

FAST = Settings(lamp_interval=DAY, lamp_recheck_interval=20)


class Hall:
    """All scripted controllers: what they say, and how many are being read."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] = {}
        self.silent: set[str] = set()
        self.broken: set[str] = set()
        self.locked: set[str] = set()
        self.reads: dict[str, int] = {}
        self.reading: dict[str, int] = {}
        self.most = 0
        self.most_of_one = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def read(self, name: str) -> HardwareReading:
        self.reads[name] = self.reads.get(name, 0) + 1
        self.reading[name] = self.reading.get(name, 0) + 1
        self.most = max(self.most, sum(self.reading.values()))
        self.most_of_one = max(self.most_of_one, self.reading[name])
        try:
            await self.gate.wait()
            if name in self.silent:
                await asyncio.Event().wait()
            if name in self.locked:
                raise Unauthorized("log-in", "scripted")
            if name in self.broken:
                raise ZeroDivisionError("a defect of the reader")
            verdict = self.verdicts.get(name, Verdict.NORMAL)
            return HardwareReading(lamps=(LampReading(Lamp.DRIVE, "Drive 1", verdict, "scripted"),))
        finally:
            self.reading[name] -= 1


class ScriptedOptions(Options):
    name: str


@pytest.fixture
def hall() -> Iterator[Hall]:
    made = Hall()

    @source("scripted", options=ScriptedOptions)
    class Scripted:
        def __init__(self, options: ScriptedOptions) -> None:
            self._name = options.name

        def endpoint(self) -> str:
            return self._name

        async def read(self, _target: LampTarget, deadline: float) -> HardwareReading:
            async with asyncio.timeout_at(deadline):
                return await made.read(self._name)

    yield made
    del Registry.sources["scripted"]


class AheadClock:
    """The machine's clock, set ahead by the test."""

    def __init__(self) -> None:
        self.ahead = 0

    def now(self) -> Moment:
        now = SystemClock().now()
        return Moment(now.monotonic + self.ahead, now.wall + self.ahead)


class Rig:
    def __init__(self, storage: Path, settings: Settings = FAST) -> None:
        self.storage = storage
        self.clock = AheadClock()
        self.exposition = Exposition()
        self.ledger = Ledger.open(storage, SystemClock())
        self.watch = LampWatch(
            clock=self.clock,
            ledger=self.ledger,
            exposition=self.exposition,
            secrets=Secrets({}),
            settings=settings,
        )

    def add(self, server: str, controller: str = "", rack: str = "") -> None:
        entry = LampSourceEntry(server, "scripted", "scripted", ScriptedOptions(name=controller or server))
        machine = Server(server, "c0001", managed=True, address="192.0.2.1", rack=rack or server)
        known = self.ledger.source_states().get(entry.key, SourceState())
        self.watch.add(entry, machine, known, 1)

    async def stop(self) -> None:
        await self.watch.stop()
        self.ledger.close()

    def value(self, family: str, server: str) -> float | None:
        text = b"".join(self.exposition.chunks(list(Selection))).decode()
        found = [line for line in text.splitlines() if line.startswith(family + "{") and f'server="{server}"' in line]
        return float(found[0].rsplit(" ", 1)[1]) if found else None


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the conditions are about what was published
            await asyncio.sleep(0.002)


async def test_a_fault_counts_after_a_second_read_and_is_read_again_until_it_is_gone(
    hall: Hall, tmp_path: Path
) -> None:
    rig = Rig(tmp_path)
    hall.verdicts["db01"] = Verdict.CRITICAL
    rig.add("db01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "db01") == 2)
    assert hall.reads["db01"] >= 2
    assert rig.value("dserver_server_lamp_verdict", "db01") == 2
    hall.verdicts["db01"] = Verdict.NORMAL
    await until(lambda: rig.value("dserver_lamp_verdict", "db01") == 0)
    count = hall.reads["db01"]
    rig.add("other")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "other") == 0)
    assert hall.reads["db01"] == count
    await rig.stop()


async def test_silent_controllers_do_not_slow_the_others(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    hall.silent.update({"dead01", "dead02"})
    for server in ("dead01", "dead02", *(f"web{number:02}" for number in range(20))):
        rig.add(server)
    rig.watch.poke()
    await until(lambda: all(rig.value("dserver_lamp_verdict", f"web{number:02}") == 0 for number in range(20)))
    assert hall.reading["dead01"] == hall.reading["dead02"] == 1
    await rig.stop()


async def test_one_controller_has_one_session_though_two_servers_name_it(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.add("blade01", "enclosure")
    rig.add("blade02", "enclosure")
    rig.watch.poke()
    await until(lambda: hall.reads.get("enclosure") == 2 and not hall.reading["enclosure"])
    assert hall.most_of_one == 1
    await rig.stop()


async def test_no_more_controllers_are_read_at_once_than_the_limits_of_rack_and_fleet(
    hall: Hall, tmp_path: Path
) -> None:
    rig = Rig(tmp_path)
    hall.gate.clear()
    for number in range(RACK_LIMIT + 5):
        rig.add(f"same{number}", rack="A-01")
    rig.watch.poke()
    await until(lambda: sum(hall.reading.values()) == RACK_LIMIT)
    for number in range(FLEET_LIMIT + 5):
        rig.add(f"own{number}")
    rig.watch.poke()
    await until(lambda: sum(hall.reading.values()) == FLEET_LIMIT)
    hall.gate.set()
    await until(lambda: len(hall.reads) == RACK_LIMIT + FLEET_LIMIT + 10)
    assert hall.most == FLEET_LIMIT
    await rig.stop()


async def test_a_restart_keeps_verdicts_and_ages_and_reads_nothing_that_is_not_due(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    rig.add("web01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "web01") == 0)
    age = rig.value("dserver_lamp_check_last_success_timestamp_seconds", "web01")
    await rig.stop()
    again = Rig(tmp_path)
    again.add("web01")
    for entry in again.watch:
        again.watch.publish(entry)
    again.add("new01")
    again.watch.poke()
    await until(lambda: again.value("dserver_lamp_verdict", "new01") == 0)
    assert again.value("dserver_lamp_verdict", "web01") == 0
    assert again.value("dserver_lamp_check_last_success_timestamp_seconds", "web01") == age
    assert hall.reads["web01"] == 1
    await again.stop()


async def test_a_controller_that_falls_silent_keeps_its_fault_and_says_why(
    hall: Hall, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path)
    hall.verdicts["db01"] = Verdict.CRITICAL
    rig.add("db01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "db01") == 2)
    monkeypatch.setattr("exporter.lampwatch.DEADLINE", 0.05)
    hall.silent.add("db01")
    await until(lambda: rig.value("dserver_lamp_check_success", "db01") == 0)
    assert rig.value("dserver_lamp_verdict", "db01") == 2
    assert rig.value("dserver_lamp_check_failure_info", "db01") == 1
    await rig.stop()


async def test_a_defect_of_a_reader_ends_only_its_own_read(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    hall.broken.add("odd01")
    rig.add("odd01")
    rig.add("web01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_check_failure_info", "odd01") == 1)
    await until(lambda: rig.value("dserver_lamp_verdict", "web01") == 0)
    assert rig.value("dserver_server_lamp_verdict", "odd01") == -1
    await rig.stop()


async def test_a_source_removed_while_it_is_read_publishes_nothing(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    hall.gate.clear()
    rig.add("web01")
    rig.watch.poke()
    await until(lambda: hall.reading.get("web01") == 1)
    rig.watch.remove(("web01", "scripted"))
    hall.gate.set()
    await until(lambda: hall.reading["web01"] == 0)
    rig.add("web02")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "web02") == 0)
    assert rig.value("dserver_lamp_verdict", "web01") is None
    assert ("web01", "scripted") not in rig.ledger.source_states()
    await rig.stop()


async def test_a_trap_makes_sound_lamps_be_read_now_and_then_when_the_minute_is_over(
    hall: Hall, tmp_path: Path
) -> None:
    rig = Rig(tmp_path, Settings())
    rig.add("db01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_verdict", "db01") == 0)
    hall.verdicts["db01"] = Verdict.WARNING
    assert rig.watch.reread("db01")
    await until(lambda: hall.reads["db01"] == 2 and not hall.reading["db01"])
    hall.verdicts["db01"] = Verdict.NORMAL
    assert [rig.watch.reread("db01") for _ in range(1_000)] == [False] * 1_000
    rig.clock.ahead += REREAD_PAUSE
    rig.watch.poke()
    await until(lambda: hall.reads["db01"] == 3 and not hall.reading["db01"])
    entry = rig.watch.get(("db01", "scripted"))
    assert entry
    await until(lambda: not entry.running)
    assert entry.due > rig.clock.now().monotonic + REREAD_PAUSE
    assert not rig.watch.reread("db01")
    rig.clock.ahead += 2 * REREAD_PAUSE
    assert rig.watch.reread("db01")
    await rig.stop()


async def test_a_trap_during_a_read_makes_another_follow_it(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path, Settings())
    hall.gate.clear()
    rig.add("db01")
    rig.watch.poke()
    await until(lambda: hall.reading.get("db01") == 1)
    assert rig.watch.reread("db01")
    hall.gate.set()
    await until(lambda: hall.reads["db01"] == 2 and not hall.reading["db01"])
    entry = rig.watch.get(("db01", "scripted"))
    assert entry
    await until(lambda: not entry.running)
    assert entry.due > rig.clock.now().monotonic + REREAD_PAUSE
    await rig.stop()


async def test_traps_never_make_wrong_credentials_be_tried_again(hall: Hall, tmp_path: Path) -> None:
    rig = Rig(tmp_path, Settings())
    hall.locked.add("db01")
    rig.add("db01")
    rig.watch.poke()
    await until(lambda: rig.value("dserver_lamp_check_failure_info", "db01") == 1)
    entry = rig.watch.get(("db01", "scripted"))
    assert entry
    await until(lambda: not entry.running)
    due = entry.due
    assert not rig.watch.reread("db01")
    assert entry.due == due
    await rig.stop()


async def test_a_trap_of_a_server_without_lamp_sources_reads_nothing(tmp_path: Path) -> None:
    rig = Rig(tmp_path, Settings())
    assert not rig.watch.reread("gone01")
    await rig.stop()


async def test_what_is_published_after_each_read_is_what_the_state_says(hall: Hall, tmp_path: Path) -> None:
    """Also where the verdicts' lines are those of the read before."""
    rig = Rig(tmp_path, Settings(lamp_interval=20, lamp_recheck_interval=20))
    rig.add("db01")
    rig.watch.poke()
    for verdict in (Verdict.NORMAL, Verdict.WARNING, Verdict.NORMAL, Verdict.CRITICAL):
        hall.verdicts["db01"] = verdict
        count = hall.reads.get("db01", 0)
        await until(lambda: hall.reads.get("db01", 0) >= count + 3)  # noqa: B023 - it is over before the next round
        assert rig.value("dserver_lamp_verdict", "db01") == verdict
    (entry,) = rig.watch
    text = b"".join(rig.exposition.chunks(list(Selection))).decode()
    await rig.stop()
    for line in source_lines(entry.source.key, entry.state).by_family[LAMP_VERDICT.index].decode().splitlines():
        assert line in text
