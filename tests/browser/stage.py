"""The demo's fleet, watched by a whole exporter with its web pages, and a clock that moves when a test says so.

All is real but the time: BMCs and services speak their protocols on loopback, the configuration keeps the contract's
ten minutes, and what happens is the demo's story, scene by scene. Nothing is waited for: when time passes, whatever is
due then is run to its end.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import yaml

from exporter.clock import MINUTE, SECOND, Moment
from exporter.demo import Demo
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
    """Stands still until it is moved. It begins at three in the morning of this day, in Japan."""

    def __init__(self) -> None:
        today = datetime.now(ZoneInfo("Asia/Tokyo")).replace(hour=3, minute=0, second=0, microsecond=0)
        begin = today - timedelta(days=1)  # never later than now: certificates are valid from now on
        self._now = Moment(SECOND, round(begin.timestamp()) * SECOND)

    def now(self) -> Moment:
        return self._now

    def forward(self, milliseconds: int) -> None:
        self._now = Moment(self._now.monotonic + milliseconds, self._now.wall + milliseconds)


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
    async def open(cls, folder: Path) -> AsyncIterator[Self]:
        """Start everything; every check and lamp was tried once, and then some time has passed."""
        clock = StageClock()
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
            self.clock.forward(until - now)
            await self.monitor.presence.beat()
            await self._settled()

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
    document: dict[str, Any] = yaml.safe_load(config_file.read_text("utf-8"))
    document["global"] = TIMING
    config_file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), "utf-8")
