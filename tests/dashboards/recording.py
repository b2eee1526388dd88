"""The demo fleet's story in the shipped timing, watched by the real exporter, and what Prometheus scrapes of it.

The story takes eighty minutes of virtual time (`tests.dashboards.patient_loop`): an outage of ten minutes, a recovery
of two and a report that is due the next day cannot be waited for, and a faster clock would not agree with that of
Prometheus. What is scraped is written in OpenMetrics, and given to a real Prometheus by ``promtool tsdb
create-blocks-from openmetrics``.
"""

import asyncio
import contextlib
import datetime
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from exporter.clock import MINUTE, SECOND
from exporter.contract.businessdays import BusinessCalendar
from exporter.demo import Demo
from exporter.demo import story as scenes
from exporter.demo.fleet import Fleet
from exporter.desk import Desk
from exporter.families import Selection
from exporter.inventory import Settings
from exporter.ledger import Ledger
from exporter.monitor import Monitor
from tests.dashboards.patient_loop import PatientLoop

JAPAN = ZoneInfo("Asia/Tokyo")
INSTANCE = "127.0.0.1:10623"
JOBS = {
    "dserver-services": (15, (Selection.SERVICES, Selection.EXPORTER)),
    "dserver-lamps": (60, (Selection.LAMPS, Selection.SENSORS)),
}
"""The jobs of examples/prometheus.yml: seconds between scrapes, and what of the exporter."""

TIMING = {"lamp_interval": "10m", "lamp_recheck_interval": "1m"}
"""All else is as shipped. Lamps are read every ten minutes instead of once a day: an hour is enough to see them."""

DARK = "mail01"
"""The server all of whose services end: its level is 2."""


@dataclass(frozen=True, slots=True)
class Moments:
    """When to look, in Unix seconds."""

    begin: int
    healthy: int
    amber: int
    outage: int
    recovered: int
    end: int


def last_working_day(now: datetime.datetime) -> datetime.date:
    """Return the latest business day before today that a business day follows: reports are due the day after."""
    calendar = BusinessCalendar.of(Settings())
    day = now.astimezone(JAPAN).date() - datetime.timedelta(days=1)

    def works(date: datetime.date) -> bool:
        noon = datetime.datetime.combine(date, datetime.time(11), JAPAN)
        return calendar.is_open(round(noon.timestamp() * SECOND))

    while not (works(day) and works(day + datetime.timedelta(days=1))):
        day -= datetime.timedelta(days=1)
    return day


def moments(day: datetime.date) -> Moments:
    """Return the moments of the story on a day."""

    def at(hour: int, minute: int) -> int:
        return int(datetime.datetime.combine(day, datetime.time(hour, minute), JAPAN).timestamp())

    return Moments(at(10, 0), at(10, 15), at(10, 30), at(10, 57), at(11, 18), at(11, 19))


@dataclass(frozen=True, slots=True)
class Stage:
    """What the story acts on."""

    fleet: Fleet
    desk: Desk
    monitor: Monitor

    async def drive_fails(self) -> None:
        await scenes.drive_fails(self.fleet)

    async def services_end(self) -> None:
        """One server's web service dies, and another goes dark altogether; a BMC hangs."""
        await scenes.service_dies(self.fleet)
        for endpoint in self.fleet[DARK].endpoints.values():
            await endpoint.stop()
        await scenes.bmc_hangs(self.fleet)

    async def somebody_acts(self) -> None:
        """The customer is told by phone; another asks for a reboot."""
        [incident] = [each for each in self.desk.incidents(everything=False) if each.server == "shop01"]
        self.desk.told(incident.id, "運用担当", "phone", "noc")
        self.desk.request_reboot(self.monitor.config.servers["lab01"], "運用担当", "")

    async def all_returns(self) -> None:
        await scenes.service_returns(self.fleet)
        for endpoint in self.fleet[DARK].endpoints.values():
            await endpoint.start()
        await scenes.bmc_answers(self.fleet)
        await scenes.drive_is_replaced(self.fleet)
        await scenes.supply_is_replaced(self.fleet)
        await scenes.drive_in_bay_3_is_replaced(self.fleet)


def acts(stage: Stage) -> tuple[tuple[int, Callable[[], Awaitable[None]]], ...]:
    """Return what happens, at which minute after the beginning."""
    fleet = stage.fleet
    return (
        (16, lambda: scenes.drive_weakens(fleet)),
        (16, lambda: scenes.supply_weakens(fleet)),
        (16, lambda: scenes.drive_in_bay_3_weakens(fleet)),
        (17, lambda: scenes.locate_lamp_is_lit(fleet)),
        (31, stage.drive_fails),
        (32, stage.services_end),
        (52, stage.somebody_acts),
        (58, stage.all_returns),
    )


def record(folder: Path, day: datetime.date) -> tuple[Path, Moments]:
    """Play the story of a day; return what was scraped, in OpenMetrics, and when to look."""
    when = moments(day)
    file = folder / "scraped.om"
    with asyncio.Runner(loop_factory=lambda: PatientLoop(when.begin * SECOND)) as runner:
        runner.run(_play(folder, file, when))
    return file, when


async def _play(folder: Path, file: Path, when: Moments) -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, PatientLoop)
    async with Demo() as demo, _monitoring(folder, demo, loop) as stage:
        telling = asyncio.create_task(_tell(stage))
        with file.open("wb") as scraped:
            for second in range(0, when.end - when.begin, 15):
                await asyncio.sleep(second - loop.time())
                for job, (interval, selections) in JOBS.items():
                    if second % interval == 0:
                        scraped.writelines(_scrape(stage.monitor, job, selections, when.begin + second))
            scraped.write(b"# EOF\n")
        await telling


@contextlib.asynccontextmanager
async def _monitoring(folder: Path, demo: Demo, loop: PatientLoop) -> AsyncIterator[Stage]:
    document: dict[str, Any] = yaml.safe_load(demo.config_file.read_text("utf-8"))
    document["global"] = TIMING
    begun = datetime.datetime.fromtimestamp(loop.now().wall / SECOND, JAPAN)
    document["maintenance"] = [
        {
            "server": "spare01",
            "from": (begun + datetime.timedelta(minutes=25)).isoformat(timespec="minutes"),
            "to": (begun + datetime.timedelta(minutes=65)).isoformat(timespec="minutes"),
            "reason": "メモリ増設",
        }
    ]
    demo.config_file.write_text(yaml.safe_dump(document, allow_unicode=True), "utf-8")
    ledger = PatientLedger.open(folder / "ledger", loop)
    try:
        monitor = Monitor(demo.config_file, ledger, loop)
        with loop.held():
            await monitor.start()
        yield Stage(demo.fleet, Desk(folder / "ledger", loop), monitor)
        with loop.held():
            await monitor.stop()
    finally:
        ledger.close()


class PatientLedger(Ledger):
    """Time stands still while the ledger's thread writes."""

    async def save(self, records: Iterable[Any]) -> bool:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, PatientLoop)
        with loop.held():
            return await super().save(records)


async def _tell(stage: Stage) -> None:
    loop = asyncio.get_running_loop()
    for minute, act in acts(stage):
        await asyncio.sleep(minute * MINUTE / SECOND + 7 - loop.time())
        await act()


def _scrape(monitor: Monitor, job: str, selections: tuple[Selection, ...], at: int) -> list[bytes]:
    text = b"".join(monitor.exposition.chunks(selections))
    if Selection.EXPORTER in selections:
        text += monitor.telemetry.render()
    target = f'job="{job}",instance="{INSTANCE}"'
    lines = [_with_target(line, target, at) for line in text.decode().splitlines() if not line.startswith("#")]
    own = {"up": 1.0, "scrape_duration_seconds": 0.01, "scrape_samples_scraped": float(len(lines))}
    lines += [f"{name}{{{target}}} {value} {at}\n" for name, value in own.items()]
    return [line.encode() for line in lines]


def _with_target(line: str, target: str, at: int) -> str:
    series, _, value = line.rpartition(" ")
    name, brace, labels = series.partition("{")
    return f"{name}{{{target},{labels} {value} {at}\n" if brace else f"{name}{{{target}}} {value} {at}\n"
