"""The long-running process: ledger, web server, monitoring; SIGHUP reads the configuration again, SIGTERM ends it."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import uvloop

from exporter.clock import SystemClock
from exporter.config import ConfigError, summary
from exporter.ledger import Ledger
from exporter.monitor import Monitor
from exporter.telemetry import VERSION
from exporter.web import serve as serve_web

log = logging.getLogger("main")


@dataclass(frozen=True, slots=True)
class ServeOptions:
    """What the command line says."""

    config_file: Path
    storage: Path
    listen_address: str
    web_config: Path | None = None


def run(main: Callable[[], Awaitable[None]]) -> None:
    """Run a coroutine on the production event loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_awaited(main()))


async def _awaited(awaitable: Awaitable[None]) -> None:
    await awaitable


async def serve(options: ServeOptions) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises StorageError, WebError, ConfigError and TooFewDescriptors, each with what to do about it.
    """
    async with running(options) as stopped:
        await stopped.wait()
        log.info("stopping")


@contextlib.asynccontextmanager
async def running(options: ServeOptions) -> AsyncIterator[asyncio.Event]:
    """Run the monitoring for the duration of the block; the event is set by SIGTERM or SIGINT."""
    ledger = Ledger.open(options.storage, SystemClock())
    try:
        monitor = Monitor(options.config_file, ledger, SystemClock())
        stopped = _on_signals(monitor)
        web = await serve_web(monitor, options.listen_address, options.web_config)
        try:
            log.info("dserver-exporter %s listens on %s; reading %s", VERSION, web.url, options.config_file)
            await monitor.start()
            log.info("watching %s", summary(monitor.config))
            yield stopped
        finally:
            try:
                await monitor.stop()
            finally:
                await web.stop()
    finally:
        await asyncio.to_thread(ledger.close)


def _on_signals(monitor: Monitor) -> asyncio.Event:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    reloads: set[asyncio.Task[None]] = set()

    def reload() -> None:
        task = loop.create_task(_reload(monitor))
        reloads.add(task)
        task.add_done_callback(reloads.discard)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    loop.add_signal_handler(signal.SIGHUP, reload)
    return stopped


async def _reload(monitor: Monitor) -> None:
    with contextlib.suppress(ConfigError):  # the monitor has logged it and keeps the old configuration
        await monitor.reload()
