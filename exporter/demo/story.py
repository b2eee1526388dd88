"""What happens to the demo fleet, told in the log in plain words. It begins anew every few minutes."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from exporter.clock import SECOND
from exporter.config import durations
from exporter.demo.fleet import FAULT, PREDICTED, PRESENT, Fleet
from exporter.demo.idrac import Supply

log = logging.getLogger("demo")

ROUND = 300
"""Seconds from one beginning of the story to the next."""
MENDING = 85
"""Seconds after the beginning from which on everything is mended, one after the other."""
NOTICE = 30 * SECOND
"""When its customer is to be told of the outage, in ms. One that is told later lasts longer, in proportion."""
OUTAGE = 50
"""Seconds that the outage then lasts."""


@dataclass(frozen=True, slots=True)
class Scene:
    """Something that happens ``at`` so many seconds after the story's beginning.

    ``watch`` is a PromQL selector of the series that will show it.
    """

    at: int
    server: str
    words: str
    watch: str
    happen: Callable[[Fleet], Awaitable[None]]


async def drive_weakens(fleet: Fleet) -> None:
    """A drive predicts its own failure."""
    fleet["db01"].bmc.set_sensor("Drive 2", states=PRESENT | PREDICTED)


async def drive_fails(fleet: Fleet) -> None:
    """The drive has failed: the chassis' own drive lamp is lit too."""
    fleet["db01"].bmc.set_sensor("Drive 2", states=PRESENT | FAULT)
    fleet["db01"].bmc.drive_fault = True


async def drive_is_replaced(fleet: Fleet) -> None:
    """A new drive is in its place."""
    fleet["db01"].bmc.set_sensor("Drive 2", states=PRESENT)
    fleet["db01"].bmc.drive_fault = False


async def supply_weakens(fleet: Fleet) -> None:
    """A power supply predicts its own failure; only the agent that speaks SNMP tells it."""
    fleet["web02"].idrac.supplies[1] = Supply.PRESENT | Supply.PREDICTIVE_FAILURE
    fleet["web02"].idrac.changed()


async def supply_is_replaced(fleet: Fleet) -> None:
    """A new power supply is in its place."""
    fleet["web02"].idrac.supplies[1] = Supply.PRESENT
    fleet["web02"].idrac.changed()


async def drive_in_bay_3_weakens(fleet: Fleet) -> None:
    """A drive's failure is predicted; only Redfish tells it."""
    fleet["app01"].redfish.drives[2].failure_predicted = True


async def locate_lamp_is_lit(fleet: Fleet) -> None:
    """Somebody has the server's locate lamp lit, to find it in the rack."""
    fleet["app01"].redfish.locate = True


async def drive_in_bay_3_is_replaced(fleet: Fleet) -> None:
    """The drive is replaced, and the locate lamp put out."""
    fleet["app01"].redfish.drives[2].failure_predicted = False
    fleet["app01"].redfish.locate = False


async def service_dies(fleet: Fleet) -> None:
    """The web server's process ends."""
    await fleet["shop01"].endpoints["https"].stop()


async def service_returns(fleet: Fleet) -> None:
    """The web server is started again."""
    await fleet["shop01"].endpoints["https"].start()


async def bmc_hangs(fleet: Fleet) -> None:
    """A management controller stops answering; its server works on."""
    fleet["file01"].bmc.silent = True


async def bmc_answers(fleet: Fleet) -> None:
    """The management controller answers again."""
    fleet["file01"].bmc.silent = False


SCENES = (
    Scene(
        15,
        "db01",
        "drive 2 predicts its own failure: its lamp turns amber. The verdict becomes 1, a warning: the NOC is told",
        "dserver_lamp_verdict{server='db01',lamp='drive'}",
        drive_weakens,
    ),
    Scene(
        20,
        "web02",
        "the lamp of power supply 2 turns amber. Only SNMP tells it, IPMI says normal: the worst known verdict counts",
        "dserver_lamp_verdict{server='web02',lamp='power_supply'}",
        supply_weakens,
    ),
    Scene(
        25,
        "file01",
        "its BMC stops answering. The lamps keep their last verdicts and grow older; the server's becomes -1, unknown",
        "dserver_lamp_check_failure_info{server='file01'}",
        bmc_hangs,
    ),
    Scene(
        35,
        "shop01",
        "its https service dies: connections are refused. After {notice} its customer is to be told",
        "dserver_service_outage_seconds{server='shop01',check='https'}",
        service_dies,
    ),
    Scene(
        45,
        "app01",
        "the failure of its drive in bay 3 is predicted, by Redfish. The verdict becomes 1, the roll-up still says OK",
        "dserver_lamp_verdict{server='app01',lamp='drive'}",
        drive_in_bay_3_weakens,
    ),
    Scene(
        55,
        "db01",
        "drive 2 has failed. The verdict becomes 2, critical: its customer is to be told, the drive to be replaced",
        "dserver_server_lamp_verdict{server='db01'}",
        drive_fails,
    ),
    Scene(
        65,
        "app01",
        "somebody lights its locate lamp, to find it in the rack. That is never a fault, no verdict changes",
        "dserver_locate_lamp_on{server='app01'}",
        locate_lamp_is_lit,
    ),
    Scene(
        85,
        "shop01",
        "its https service is back. The outage ends with the next success",
        "dserver_service_up{server='shop01',check='https'}",
        service_returns,
    ),
    Scene(
        90,
        "web02",
        "power supply 2 is replaced: its lamp is green. The verdict returns to 0, normal",
        "dserver_server_lamp_verdict{server='web02'}",
        supply_is_replaced,
    ),
    Scene(
        95,
        "app01",
        "the drive in bay 3 is replaced, and the locate lamp put out",
        "dserver_server_lamp_verdict{server='app01'}",
        drive_in_bay_3_is_replaced,
    ),
    Scene(
        105,
        "file01",
        "its BMC answers again. The lamps are known again with its next reading",
        "dserver_lamp_check_success{server='file01'}",
        bmc_answers,
    ),
    Scene(
        115,
        "db01",
        "drive 2 is replaced: its lamp is green. The verdict returns to 0, normal",
        "dserver_lamp_verdict{server='db01',lamp='drive'}",
        drive_is_replaced,
    ),
)

SIMULATED = "everything here is simulated: %d servers on loopback inside this process"
IN_SECONDS = (
    "no mail leaves, nobody is called",
    "seconds stand for minutes: checks run every 10 s, customers would be told after 30 s, lamps are read every 20 s",
)
"""What is said where the configuration is the demo's own."""
EXPECTED = (
    "meant to be so: app02's certificate expired 3 days ago, shop02's ends in 10 days, spare01 is switched off,"
    " batch01's locate lamp is on, lab01 is not managed; web02's lamps are read by IPMI and SNMP, app01's by IPMI and"
    " Redfish, all others by IPMI"
)


async def tell(
    fleet: Fleet, sleep: Callable[[float], Awaitable[None]], *, notice: int = NOTICE, before: Sequence[str] = IN_SECONDS
) -> None:
    """Tell the story, round after round, until cancelled.

    ``notice`` is the confirmed outage after which customers are told, in ms; ``before`` is said first.
    """
    for line in (SIMULATED % len(fleet), *before, EXPECTED):
        _say(0, line)
    later = max(0, OUTAGE * notice // NOTICE - OUTAGE)
    began = now = 0
    while True:
        for scene in SCENES:
            at = began + scene.at + (later if scene.at >= MENDING else 0)
            await sleep(at - now)
            now = at
            await scene.happen(fleet)
            words = scene.words.format(notice=durations.text(notice))
            _say(now, f"{scene.server}: {words} (watch {scene.watch})")
        began += ROUND + later
        _say(now, f"all is as it was at the beginning; the story begins anew at {_clock(began)}")
        await sleep(began - now)
        now = began


def _say(seconds: int, words: str) -> None:
    log.info("DEMO %s %s", _clock(seconds), words)


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02}:{seconds % 60:02}"
