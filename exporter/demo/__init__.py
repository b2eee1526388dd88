"""The embedded demo: a small fleet on loopback, all in this process, and a story that happens to it."""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from exporter.config import durations, load
from exporter.demo.fleet import Fleet
from exporter.demo.story import tell


class Demo:
    """The fleet while the block runs.

    ``sleep`` is how the story waits, in seconds. Without a ``folder`` its files are in a temporary one, which is gone
    afterwards, and ``config_file`` is a configuration that watches the fleet. With one, servers.yml in it has the
    fleet's servers, for a configuration of yours that includes it, and ``config_file`` is that one.
    """

    fleet: Fleet

    def __init__(
        self,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        folder: Path | None = None,
        config_file: Path = Path("dserver.yml"),
    ) -> None:
        self._sleep = sleep
        self._folder = folder
        self.config_file = config_file

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            if self._folder is None:
                self.fleet = Fleet(Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dserver-demo-"))))
            else:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self.fleet = Fleet(self._folder)
            stack.push_async_callback(self.fleet.stop)
            await self.fleet.start()
            if self._folder is None:
                self.config_file = self.fleet.write_config()
            else:
                self.fleet.write_servers()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def story(self) -> None:
        """Let the story happen, and tell it in the log, until cancelled."""
        if self._folder is None:
            await tell(self.fleet, self._sleep)
        else:
            config, _ = load(self.config_file)
            notice = config.settings.timing.outage_notice_after
            told = f"{self.config_file} says who is told of what; of an outage after {durations.text(notice)}"
            await tell(self.fleet, self._sleep, notice=notice, before=(told,))
