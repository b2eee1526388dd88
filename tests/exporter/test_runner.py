"""The runner: limits, deadlines, evidence or void, and publishing after the commit."""

import asyncio
import resource
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from collectors.failures import Refused, TimedOut, Unauthorized, WrongContent
from collectors.registry import CHECKS, Options, Registry, check
from exporter.clock import Moment, SystemClock
from exporter.exposition import Exposition
from exporter.families import Selection
from exporter.inventory import Check, CheckKey, Timing
from exporter.ledger import Ledger, Record, events
from exporter.loopwatch import LoopWatch
from exporter.outage import CheckState
from exporter.runner import Runner, TooFewDescriptors, raise_descriptor_limit
from exporter.schedule import Entry, Schedule
from exporter.secrets import Secrets
from exporter.telemetry import Telemetry
from exporter.vantage import Vantage

FAST = Timing(interval=40, recheck_interval=20, outage_notice_after=200, timeout=30_000)


class Scripted:
    """What the scripted checks of a test do, by name, and what they did."""

    def __init__(self) -> None:
        self.acts: dict[str, Callable[[], Any]] = {}
        self.running: dict[str, int] = {}
        self.overlaps = 0
        self.runs: dict[str, int] = {}

    async def run(self, name: str) -> None:
        self.overlaps += self.running.get(name, 0)
        self.running[name] = self.running.get(name, 0) + 1
        self.runs[name] = self.runs.get(name, 0) + 1
        try:
            act = self.acts.get(name)
            if act is not None:
                result = act()
                if asyncio.iscoroutine(result):
                    await result
        finally:
            self.running[name] -= 1


class ScriptedOptions(Options):
    name: str


@pytest.fixture
def script() -> Iterator[Scripted]:
    scripted = Scripted()

    @check("scripted", options=ScriptedOptions)
    async def run(_talk: object, options: ScriptedOptions) -> None:
        await scripted.run(options.name)

    yield scripted
    del Registry.checks["scripted"]


class Rig:
    """A runner with everything around it."""

    def __init__(self, storage: Path, limit: int) -> None:
        clock = SystemClock()
        self.clock = clock
        self.ledger = Ledger.open(storage, clock)
        self.exposition = Exposition()
        self.telemetry = Telemetry(clock)
        self.schedule = Schedule()
        self.vantage = Vantage((), self.telemetry.vantage_up.set)
        self.watch = LoopWatch(asyncio.get_running_loop(), self.telemetry.loop_lag.observe)
        self.watch.start()
        self.runner = Runner(
            clock=clock,
            schedule=self.schedule,
            ledger=self.ledger,
            exposition=self.exposition,
            telemetry=self.telemetry,
            secrets=Secrets({}),
            vantage=self.vantage,
            watch=self.watch,
            limit=limit,
        )

    def add(self, *names: str, server: str = "web01", timing: Timing = FAST, credential: str = "") -> None:
        now = self.clock.now()  # one for all, however long a busy machine takes
        for name in names:
            options = ScriptedOptions(name=name)
            entry = Check(server, name, "scripted", "127.0.0.1", "", options, timing, credential)
            self.schedule.add(entry, CheckState(), 1, now)
        self.runner.poke()

    def metrics(self) -> str:
        return b"".join(self.exposition.chunks(list(Selection))).decode()

    def value(self, family: str, name: str) -> float | None:
        start = f'{family}{{check="{name}",protocol="scripted",server="web01"}} '
        found = [line for line in self.metrics().splitlines() if line.startswith(start)]
        return float(found[0].removeprefix(start)) if found else None

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():  # noqa: ASYNC110 - the conditions are about what was published
                await asyncio.sleep(0.002)


@pytest.fixture
async def rig(tmp_path: Path, script: Scripted) -> AsyncIterator[Rig]:
    made = Rig(tmp_path / "data", limit=600)
    yield made
    await made.runner.stop()
    made.watch.stop()
    made.ledger.close()


def fails(failure: Exception) -> Callable[[], Any]:
    def act() -> None:
        raise failure

    return act


async def forever() -> None:
    await asyncio.Event().wait()


async def test_checks_that_become_due_within_a_tick_start_together_and_none_early(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments: list[int] = []
    take = rig.schedule.take

    def taken(now: int) -> Entry | None:
        entry = take(now)
        if entry is not None:
            assert entry.due <= now
            moments.append(now)
        return entry

    monkeypatch.setattr(rig.schedule, "take", taken)
    names = [f"c{number}" for number in range(20)]
    rig.add(*names, timing=Timing(interval=60_000, recheck_interval=60_000, outage_notice_after=600_000, timeout=1_000))
    assert len({entry.due for entry in rig.schedule}) > 5
    await rig.until(lambda: len(moments) == 20)
    assert len(set(moments)) <= 3  # some at once, the others spread over 20 ms, in which a tick may end


async def test_five_hundred_checks_that_never_answer_delay_no_other(rig: Rig, script: Scripted) -> None:
    silent = [f"silent{number}" for number in range(500)]
    script.acts.update(dict.fromkeys(silent, forever))
    rig.add(*silent)
    await rig.until(lambda: sum(script.running.values()) == 500)
    quick = [f"quick{number}" for number in range(50)]
    rig.add(*quick)
    await rig.until(lambda: all(script.runs.get(name, 0) >= 3 for name in quick))
    assert all(script.runs[name] == 1 for name in silent)


async def test_no_more_attempts_are_under_way_than_the_limit_and_the_rest_follow(
    tmp_path: Path, script: Scripted
) -> None:
    rig = Rig(tmp_path / "small", limit=10)
    gate = asyncio.Event()
    names = [f"check{number}" for number in range(30)]
    script.acts.update(dict.fromkeys(names, gate.wait))
    rig.add(*names)
    await rig.until(lambda: sum(script.running.values()) == 10)
    assert len(script.runs) == 10
    gate.set()
    await rig.until(lambda: len(script.runs) == 30)
    await rig.runner.stop()
    rig.watch.stop()
    rig.ledger.close()


async def test_a_check_never_runs_twice_at_once_though_it_takes_longer_than_its_interval(
    rig: Rig, script: Scripted
) -> None:
    async def slow() -> None:
        await asyncio.sleep(0.1)  # two and a half intervals

    script.acts["slow"] = slow
    rig.add("slow")
    await rig.until(lambda: script.runs.get("slow", 0) >= 3)
    assert script.overlaps == 0


async def test_an_attempt_ends_at_its_deadline_as_a_timeout(rig: Rig, script: Scripted) -> None:
    script.acts["stuck"] = forever
    rig.add("stuck", timing=Timing(interval=60_000, recheck_interval=30_000, outage_notice_after=600_000, timeout=20))
    await rig.until(lambda: 'reason="timeout"' in rig.metrics())
    assert rig.value("dserver_service_up", "stuck") == 0.0


async def test_an_outage_is_published_with_its_down_since_and_its_evidence_grows(rig: Rig, script: Scripted) -> None:
    rig.add("shop")
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 1.0)
    assert rig.value("dserver_service_outage_seconds", "shop") == 0.0
    script.acts["shop"] = fails(Refused("connect"))
    await rig.until(lambda: (rig.value("dserver_service_outage_seconds", "shop") or 0) > 0.05)
    since = rig.value("dserver_service_down_since_timestamp_seconds", "shop")
    await rig.until(lambda: (rig.value("dserver_service_outage_seconds", "shop") or 0) > 0.1)
    assert rig.value("dserver_service_down_since_timestamp_seconds", "shop") == since
    del script.acts["shop"]
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 1.0)
    assert rig.value("dserver_service_down_since_timestamp_seconds", "shop") is None


async def test_the_ledger_keeps_what_was_said_when_an_outage_began_and_ended(rig: Rig, script: Scripted) -> None:
    rig.add("shop", "well")
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 1.0)
    script.acts["shop"] = fails(Refused("connect", "nobody listens"))
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 0.0)
    del script.acts["shop"]
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 1.0)
    await rig.runner.stop()
    rows = {(row.subject, row.now): row.evidence for row in rig.ledger._read(sa.select(events))}
    assert rows["shop", "up"].endswith(" success")
    began = rows["shop", "down"].splitlines()
    assert began[0].endswith(" refused at connect: nobody listens")
    assert began[1].endswith(" success")
    assert rows["well", "up"] == ""


async def test_a_failed_check_is_not_tried_again_before_its_grid_though_it_started_a_moment_late(
    rig: Rig, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    tick = 0
    real = rig.clock.now

    def later_each_time() -> Moment:
        nonlocal tick
        tick += 7
        moment = real()
        return Moment(moment.monotonic + tick, moment.wall + tick)

    monkeypatch.setattr(rig.clock, "now", later_each_time)
    script.acts["shop"] = fails(WrongContent("body"))
    rig.add("shop", timing=Timing())
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 0.0)
    entry = rig.schedule.get(("web01", "shop"))
    assert entry
    await rig.until(lambda: not entry.running)
    assert entry.state.first_failed
    assert entry.due == entry.state.first_failed.monotonic + Timing().recheck_interval
    assert script.runs["shop"] == 1


async def test_rejected_credentials_are_void_and_end_no_success(rig: Rig, script: Scripted) -> None:
    rig.add("mail")
    await rig.until(lambda: rig.value("dserver_service_up", "mail") == 1.0)
    script.acts["mail"] = fails(Unauthorized("log-in"))
    await rig.until(lambda: 'reason="auth"' in rig.metrics())
    assert rig.value("dserver_service_up", "mail") == 1.0
    assert rig.value("dserver_service_outage_seconds", "mail") == 0.0


async def test_a_void_spell_is_in_the_ledger_from_its_begin_to_its_end_and_known_after_a_restart(
    rig: Rig, script: Scripted
) -> None:
    rig.add("mail")
    await rig.until(lambda: rig.value("dserver_service_up", "mail") == 1.0)
    script.acts["mail"] = fails(ZeroDivisionError("our defect"))
    await rig.until(lambda: 'reason="internal"' in rig.metrics())
    [(_, _, known)] = rig.ledger.check_states().values()
    assert (known.void, known.up) == (True, True)
    del script.acts["mail"]
    await rig.until(lambda: 'reason="internal"' not in rig.metrics())
    query = sa.select(events).where(events.c.kind == "void").order_by(events.c.id)
    spell = [(row.subject, row.was, row.now) for row in rig.ledger._read(query)]
    assert spell == [("mail", "", "internal"), ("mail", "internal", "")]
    assert not any(state.void for _, _, state in rig.ledger.check_states().values())


async def test_an_unknown_credential_is_our_fault_not_the_servers(rig: Rig, script: Scripted) -> None:
    rig.add("mail", credential="missing")
    await rig.until(lambda: 'reason="misconfigured"' in rig.metrics())
    assert rig.value("dserver_service_up", "mail") is None
    assert "mail" not in script.runs


async def test_a_defect_of_a_check_is_void_and_ends_nothing_else(rig: Rig, script: Scripted) -> None:
    script.acts["broken"] = fails(ZeroDivisionError("our defect"))
    rig.add("broken", "sound")
    await rig.until(lambda: 'reason="internal"' in rig.metrics())
    await rig.until(lambda: script.runs.get("sound", 0) > 3)
    assert rig.value("dserver_service_up", "broken") is None


async def test_a_failure_while_our_loop_was_late_is_void(
    rig: Rig, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rig.watch, "late_since", lambda _begun: True)
    script.acts["shop"] = fails(TimedOut("connect"))
    rig.add("shop")
    await rig.until(lambda: 'step="loop"' in rig.metrics())
    assert rig.value("dserver_service_up", "shop") is None


async def test_a_network_failure_while_our_uplink_is_gone_is_void_and_a_wrong_answer_is_not(
    rig: Rig, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def lost() -> bool:
        return True

    monkeypatch.setattr(rig.vantage, "lost", lost)
    script.acts["shop"] = fails(TimedOut("connect"))
    script.acts["page"] = fails(WrongContent("body"))
    rig.add("shop", "page")
    await rig.until(lambda: 'step="vantage"' in rig.metrics() and 'reason="content"' in rig.metrics())
    assert rig.value("dserver_service_up", "shop") is None
    assert rig.value("dserver_service_up", "page") == 0.0


async def test_a_change_is_published_only_after_it_was_committed(
    rig: Rig, script: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = asyncio.Event()
    save = rig.ledger.save

    async def slow_save(records: list[Record]) -> bool:
        await committed.wait()
        return await save(records)

    monkeypatch.setattr(rig.ledger, "save", slow_save)
    rig.add("shop")
    await rig.until(lambda: script.runs.get("shop") == 1 and not script.running["shop"])
    assert rig.value("dserver_service_up", "shop") is None
    committed.set()
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 1.0)


async def test_a_ledger_that_cannot_be_written_does_not_stop_the_monitoring(rig: Rig, script: Scripted) -> None:
    good, bad = rig.ledger._engine, sa.create_engine("sqlite:////nonexistent/ledger.db")
    rig.ledger._engine = bad
    script.acts["shop"] = fails(Refused("connect"))
    rig.add("shop", "page")
    await rig.until(lambda: rig.value("dserver_service_up", "shop") == 0.0 and script.runs.get("page", 0) > 2)
    rig.ledger._engine = good
    bad.dispose()


async def test_a_check_removed_while_it_runs_publishes_nothing(rig: Rig, script: Scripted) -> None:
    gate = asyncio.Event()
    script.acts["shop"] = gate.wait
    rig.add("shop", "page")
    await rig.until(lambda: script.running.get("shop") == 1)
    key: CheckKey = ("web01", "shop")
    entry = rig.schedule.remove(key)
    rig.runner.withdraw(entry.check)
    gate.set()
    await rig.until(lambda: script.running["shop"] == 0 and script.runs.get("page", 0) > 3)
    assert rig.value("dserver_service_up", "shop") is None
    assert key not in rig.ledger.check_states()


async def test_the_attempts_under_way_are_told_as_they_are_now(rig: Rig, script: Scripted) -> None:
    gate = asyncio.Event()
    script.acts["shop"] = gate.wait
    rig.add("shop", timing=Timing())
    await rig.until(lambda: "dserver_exporter_checks_in_flight 1.0" in rig.telemetry.render().decode())
    gate.set()
    await rig.until(lambda: "dserver_exporter_checks_in_flight 0.0" in rig.telemetry.render().decode())


async def test_results_are_counted_by_protocol(rig: Rig, script: Scripted) -> None:
    script.acts["shop"] = fails(Refused("connect"))
    rig.add("shop", "page")
    await rig.until(lambda: script.runs.get("shop", 0) > 1 and script.runs.get("page", 0) > 1)
    text = rig.telemetry.render().decode()
    assert 'dserver_exporter_checks_total{protocol="scripted",result="failure"}' in text
    assert 'dserver_exporter_checks_total{protocol="scripted",result="success"}' in text
    assert CHECKS["scripted"].options is ScriptedOptions


def test_the_descriptor_limit_is_raised_to_what_the_inventory_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 100_000))
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, limits: raised.append(limits))
    raise_descriptor_limit(120_000)
    assert raised == [(4_300, 100_000)]


def test_too_low_a_hard_limit_is_refused_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (256, 1_024))
    with pytest.raises(TooFewDescriptors, match=r"120000 checks need 4300 open files .* 1024: raise the hard limit"):
        raise_descriptor_limit(120_000)
