"""The demo's fleet, watched by a whole exporter with its web pages, and a clock that leaps when a test says so.

All is real but the time: BMCs and services speak their protocols on loopback, the configuration keeps the contract's
ten minutes, and what happens is the demo's story, scene by scene. Nothing is waited for: when time passes, whatever is
due then is run to its end.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import yaml

from exporter.clock import MINUTE, SECOND, Moment
from exporter.contract.incidents import Incident
from exporter.demo import Demo, story
from exporter.demo.fleet import Fleet
from exporter.desk import Desk
from exporter.ledger import Ledger
from exporter.monitor import Monitor
from exporter.web import WebServer, serve

TIMING = {"lamp_interval": "20m", "lamp_recheck_interval": "5m"}
"""Everything else is as the contract has it: a check runs every ten minutes."""
LONGEST_STEP = MINUTE
"""Without a sign of life for two minutes, the exporter would take itself for one that did not run."""


class StageClock:
    """Goes as every clock does, and leaps when it is told to. It begins at three in the morning, in Japan."""

    def __init__(self) -> None:
        today = datetime.now(ZoneInfo("Asia/Tokyo")).replace(hour=3, minute=0, second=0, microsecond=0)
        begin = today - timedelta(days=1)  # never later than now: certificates are valid from now on
        self._leapt = 0
        self._ahead = round(begin.timestamp()) * SECOND - self._monotonic()

    def now(self) -> Moment:
        monotonic = self._monotonic()
        return Moment(monotonic, self._ahead + monotonic)

    def leap(self, milliseconds: int) -> None:
        self._leapt += milliseconds

    def _monotonic(self) -> int:
        return time.monotonic_ns() // 1_000_000 + self._leapt


@dataclass
class Stage:
    """The fleet and the exporter, running."""

    fleet: Fleet
    monitor: Monitor
    web: WebServer
    clock: StageClock
    desk: Desk

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, folder: Path, clock: StageClock | None = None) -> AsyncIterator[Self]:
        """Start everything; every check and lamp was tried once, and then some time has passed."""
        clock = clock or StageClock()
        async with Demo() as demo:
            _retime(demo.config_file)
            ledger = Ledger.open(folder, clock)
            try:
                monitor = Monitor(demo.config_file, ledger, clock)
                web = await serve(monitor, "127.0.0.1:0", None)
                try:
                    await monitor.start()
                    stage = cls(demo.fleet, monitor, web, clock, Desk(folder, clock))
                    await stage.pass_time(25 * MINUTE)
                    yield stage
                finally:
                    await monitor.stop()
                    await web.stop()
            finally:
                await asyncio.to_thread(ledger.close)

    @property
    def url(self) -> str:
        """Where the front page is."""
        return self.web.url

    async def play(self, scene: Callable[[Fleet], Awaitable[None]]) -> None:
        """Let a scene of the demo's story happen."""
        await scene(self.fleet)

    async def pass_time(self, milliseconds: int) -> None:
        """Let time pass, and with it everything that becomes due."""
        end = self.clock.now().monotonic + milliseconds
        while (now := self.clock.now().monotonic) < end:
            queues = (self.monitor.schedule, self.monitor.lamps._queue)
            due = (queue.next_due() for queue in queues)
            until = min([end, now + LONGEST_STEP, *(max(at, now + 1) for at in due if at is not None)])
            self.clock.leap(until - now)
            await self.monitor.presence.beat()
            await self._settled()

    async def night(self) -> None:
        """Let a night happen: an incident that is over and owes a report, then an outage, lamps and a request."""
        await self.play(story.service_dies)
        await self.pass_time(24 * MINUTE)
        [first] = self.monitor.duties.incidents.open()
        self.desk.acknowledge(first.id, "sato")
        self.desk.told(first.id, "運用担当", "phone", "sato")
        self.desk.note(first.id, "sato", "nginxの設定を戻し、再起動した")
        await self.take_in_commands()
        await self.play(story.service_returns)
        await self.pass_time(40 * MINUTE)
        self.desk.edit_report(first.id, "sato", cause="設定ファイルの誤り", measures="反映前の構文検査を手順に追加")
        self.desk.request_reboot(self.monitor.config.servers["lab01"], "開発担当", "画面が固まったため")
        await self.take_in_commands()
        for scene in (story.drive_weakens, story.supply_weakens, story.locate_lamp_is_lit):
            await self.play(scene)
        await self.pass_time(30 * MINUTE)
        await self.play(story.drive_fails)
        await self.pass_time(12 * MINUTE)
        await self.play(story.service_dies)
        await self.pass_time(23 * MINUTE)
        self.desk.acknowledge(self.outage.id, "sato")
        await self.take_in_commands()

    @property
    def outage(self) -> Incident:
        """The incident of the outage that goes on."""
        return next(each for each in self.monitor.duties.incidents.open() if each.down)

    async def take_in_commands(self) -> None:
        """Take in what was written at the command line: the exporter looks for it twice a second by itself."""
        await self.monitor.duties.refresh()

    async def until(self, condition: Callable[[], bool], within: int) -> None:
        """Let time pass, a second at a time, until something is so. Raises AssertionError after ``within`` ms."""
        end = self.clock.now().monotonic + within
        while not condition():
            assert self.clock.now().monotonic < end, f"not within {within // SECOND} s"
            await self.pass_time(SECOND)

    async def _settled(self) -> None:
        """Run what is due, and whatever that makes due at once."""
        while True:
            self.monitor.runner.poke()
            self.monitor.lamps.poke()
            under_way = self.monitor.runner._running | self.monitor.lamps._running
            if not under_way:
                return
            await asyncio.wait(under_way)


def _retime(config_file: Path) -> None:
    """Take the contract's times, and let there be somebody to call."""
    document: dict[str, Any] = yaml.safe_load(config_file.read_text("utf-8"))
    for customer in document["customers"]:
        customer["contacts"][0]["phone"] = "+81-584-00-0000"
    document["global"] = TIMING
    config_file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
