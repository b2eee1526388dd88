"""Fujitsu iRMC: what ``Oem.ts_fujitsu`` adds.

In Power ``PsuSumStatus``, ``VoltageSumStatus`` and ``PowerConfigSumStatus``; in the system ``MainBoard``, which has a
serial number of its own.
"""

from collections.abc import Iterator, Mapping

from collectors.hardware.redfish import status
from collectors.hardware.redfish.documents import Json, Resource, mapping, text
from collectors.hardware.redfish.oem.summary import summary
from collectors.hardware.redfish.parts import Part
from collectors.reading import Lamp

KEYS = ("ts_fujitsu",)

SUMMARIES: Mapping[str, Lamp] = {
    "PsuSumStatus": Lamp.POWER_SUPPLY,
    "VoltageSumStatus": Lamp.VOLTAGE,
    "PowerConfigSumStatus": Lamp.POWER_SUPPLY,
}


def parts(resource: Resource, data: Json) -> Iterator[Part]:
    """Give the sums of Power."""
    for key, lamp in SUMMARIES.items():
        if data.get(key) is not None:
            path = f"{resource.path}#/Oem/{KEYS[0]}"
            yield summary(path, data, key, lamp, status.judged({"Health": data[key]}))


def board(data: Json) -> str:
    """Return the serial number of a system's main board."""
    return text(mapping(data.get("MainBoard")).get("SerialNumber"))
