"""A child process reads the configuration; the event loop goes on meanwhile, whatever happens to the child."""

import asyncio
import gc
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config import ConfigError, child, load, load_in_child
from exporter.config.handover import GROUP, PIECE

CUSTOMER = "customers: [{id: c0001, name: A, managed: true, contacts: [{name: a, email: a@customer.example}]}]\n"


Shell = Callable[[str], None]


def write(file: Path, count: int) -> Path:
    """Write a configuration of so many servers."""
    servers = "".join(
        f"  - {{name: s{number}, customer: c0001, address: s{number}.example, rack: A-{number // 40}, "
        "services: [ssh, {protocol: ssh, name: second, port: 2222}]}\n"
        for number in range(count)
    )
    file.write_text(f"{CUSTOMER}global: {{outage_notice_after: 5m}}\nservers:\n{servers}")
    return file


@pytest.fixture
def fleet(tmp_path: Path) -> Path:
    """Four frames of servers."""
    return write(tmp_path / "dserver.yml", 4 * PIECE - 1)


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    file = tmp_path / "bad.yml"
    file.write_text("global: {interval: 10, timeout: 10}\nservers: [x]\n")
    return file


@pytest.fixture
def child_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Run a shell's commands instead of Python."""

    def child_does(commands: str) -> None:
        script = tmp_path / "python"
        script.write_text(f"#!/bin/sh\n{commands}\n")
        script.chmod(stat.S_IRWXU)
        monkeypatch.setattr(sys, "executable", str(script))

    return child_does


async def test_the_child_gives_what_reading_it_here_gives(fleet: Path, rules: Path) -> None:
    assert await load_in_child(fleet, rules=rules) == load(fleet, rules=rules)


async def test_what_checks_share_stays_shared_across_frames(fleet: Path) -> None:
    config, _ = await load_in_child(fleet)
    checks = list(config.checks())
    assert len({id(check.timing) for check in checks}) == 1
    assert len({id(check.options) for check in checks}) == 2
    assert len({id(check.name) for check in checks}) == 2


async def test_more_servers_than_share_a_pickler_arrive_whole(tmp_path: Path, rules: Path) -> None:
    file = write(tmp_path / "dserver.yml", (GROUP + 2) * PIECE)
    assert await load_in_child(file, rules=rules) == load(file, rules=rules)


async def test_the_loop_turns_between_the_frames(fleet: Path) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    turning = asyncio.create_task(turn())
    await load_in_child(fleet)
    turning.cancel()
    assert turns > 4


async def test_a_bad_file_raises_all_its_problems(bad: Path, rules: Path) -> None:
    with pytest.raises(ConfigError) as here:
        load(bad, rules=rules)
    with pytest.raises(ConfigError) as there:
        await load_in_child(bad, rules=rules)
    assert there.value.problems == here.value.problems


async def test_a_child_that_is_killed_is_told(fleet: Path, child_does: Shell) -> None:
    child_does("kill -KILL $$")
    with pytest.raises(ConfigError, match=r"was ended by SIGKILL: is there too little memory\?; .*check-config"):
        await load_in_child(fleet)


async def test_a_child_that_ends_early_is_told(fleet: Path, child_does: Shell) -> None:
    child_does("printf '\\000\\000\\001\\000half'\nexit 3")
    with pytest.raises(ConfigError, match="ended with status 3"):
        await load_in_child(fleet)


async def test_a_child_that_takes_too_long_is_ended_and_told(fleet: Path, child_does: Shell) -> None:
    child_does("exec sleep 600")
    with pytest.raises(ConfigError, match=r"it was not read within 0\.05 s"):
        await load_in_child(fleet, limit=0.05)


async def test_a_cancelled_reading_leaves_no_child(fleet: Path, child_does: Shell, tmp_path: Path) -> None:
    told = tmp_path / "pid"
    os.mkfifo(told)
    child_does(f"echo $$ > {told}\nexec sleep 600")
    reading = asyncio.create_task(load_in_child(fleet))
    pid = int(await asyncio.to_thread(told.read_text))
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_the_garbage_collector_is_left_as_it_was(fleet: Path) -> None:
    assert gc.isenabled()
    await load_in_child(fleet)
    assert gc.isenabled()


def test_a_defect_is_told_by_its_place_and_not_by_its_message(fleet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise KeyError("hunter2")

    monkeypatch.setattr(child, "load", broken)
    (kind, message), end = child.outcome(fleet, None)
    assert (kind, end) == ("crash", ("end", None))
    assert message.startswith("KeyError at test_handover.py:")
    assert "hunter2" not in message
