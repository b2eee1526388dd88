"""Fujitsu iRMC: ``Power.Oem.ts_fujitsu`` sums up supplies, voltages and the power configuration."""

from collections.abc import Iterator, Mapping

from collectors.hardware.redfish import status
from collectors.hardware.redfish.documents import Json, Resource
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
