"""The embedded demo: a small fleet on loopback, all in this process, and a story that happens to it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from exporter.demo.fleet import Fleet
from exporter.demo.story import tell


class Demo:
    """The fleet while the block runs. Its files are in one temporary folder, which is gone afterwards.

    ``config_file`` is the configuration that watches the fleet. ``sleep`` is how the story waits, in seconds.
    """

    config_file: Path
    fleet: Fleet

    def __init__(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._sleep = sleep

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="dserver-demo-"))
            self.fleet = Fleet(Path(folder))
            stack.push_async_callback(self.fleet.stop)
            await self.fleet.start()
            self.config_file = self.fleet.write_config()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def story(self) -> None:
        """Let the story happen, and tell it in the log, until cancelled."""
        await tell(self.fleet, self._sleep)
