"""Dell iDRAC: ``ComputerSystem.Oem.Dell.DellSystem`` sums up each kind of part.

``OK``, ``Degraded`` and ``Error``; ``Unknown`` and null where a machine has no such parts (a blade its fans). The event
log's roll-up is left out: it is history, and stays an Error until somebody clears the log.
"""

from collections.abc import Iterator, Mapping

from collectors.hardware.redfish.documents import Json, Resource, mapping, word
from collectors.hardware.redfish.oem.summary import summary
from collectors.hardware.redfish.parts import Part
from collectors.reading import Lamp, Verdict

KEYS = ("Dell",)

WORDS = {"ok": Verdict.NORMAL, "degraded": Verdict.WARNING, "error": Verdict.CRITICAL}

ROLL_UPS: Mapping[str, Lamp] = {
    "BatteryRollupStatus": Lamp.BATTERY,
    "CPURollupStatus": Lamp.PROCESSOR,
    "CoolingRollupStatus": Lamp.FAN,
    "CurrentRollupStatus": Lamp.POWER,
    "FanRollupStatus": Lamp.FAN,
    "IntrusionRollupStatus": Lamp.INTRUSION,
    "PSRollupStatus": Lamp.POWER_SUPPLY,
    "StorageRollupStatus": Lamp.STORAGE,
    "SysMemPrimaryStatus": Lamp.MEMORY,
    "TempRollupStatus": Lamp.TEMPERATURE,
    "VoltRollupStatus": Lamp.VOLTAGE,
}


def parts(resource: Resource, data: Json) -> Iterator[Part]:
    """Give the roll-ups of a system."""
    system = mapping(data.get("DellSystem"))
    path = f"{resource.path}#/Oem/Dell/DellSystem"
    for key, lamp in ROLL_UPS.items():
        if (value := word(system.get(key))) not in {"", "unknown"}:
            yield summary(path, system, key, lamp, WORDS.get(value, Verdict.UNKNOWN))
