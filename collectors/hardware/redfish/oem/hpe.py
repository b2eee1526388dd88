"""HPE iLO: what ``Oem.Hpe`` (``Oem.Hp`` up to iLO 4) adds to system and chassis.

``AggregateHealthStatus`` sums up each kind of part, by a Status or by the word alone. Its redundancies are
``Redundant``, ``NonRedundant`` (so configured: no fault), ``FailedRedundant`` or ``Unknown``. ``IndicatorLED`` is the
locate lamp where the standard properties are missing (iLO 6). ``SmartStorageBattery`` lists the batteries of a chassis.
``Links.SmartStorage`` of the system leads to the drives of Smart Array controllers, which the standard Storage lacks.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from collectors.hardware.redfish import resources, status
from collectors.hardware.redfish.documents import Json, Resource, evidence, mapping, mappings, text, word
from collectors.hardware.redfish.oem.storage import StorageTree
from collectors.hardware.redfish.oem.summary import summary
from collectors.hardware.redfish.parts import Part
from collectors.reading import Lamp, Verdict

KEYS = ("Hpe", "Hp")

SUMMARIES: Mapping[str, Lamp] = {
    "AggregateServerHealth": Lamp.SYSTEM,
    "BiosOrHardwareHealth": Lamp.SYSTEM,
    "Fans": Lamp.FAN,
    "Memory": Lamp.MEMORY,
    "Network": Lamp.NETWORK,
    "PowerSupplies": Lamp.POWER_SUPPLY,
    "Processors": Lamp.PROCESSOR,
    "SmartStorageBattery": Lamp.BATTERY,
    "Storage": Lamp.STORAGE,
    "Temperatures": Lamp.TEMPERATURE,
}
REDUNDANCIES: Mapping[str, Lamp] = {"FanRedundancy": Lamp.FAN, "PowerSupplyRedundancy": Lamp.POWER_SUPPLY}
REDUNDANCY_WORDS = {
    "redundant": Verdict.NORMAL,
    "nonredundant": Verdict.NORMAL,
    "failedredundant": Verdict.WARNING,
}


def parts(resource: Resource, data: Json) -> Iterator[Part]:
    """Give summaries, batteries and the locate lamp."""
    path = f"{resource.path}#/Oem/{KEYS[0] if KEYS[0] in mapping(resource.data.get('Oem')) else KEYS[1]}"
    health = mapping(data.get("AggregateHealthStatus"))
    inner = f"{path}/AggregateHealthStatus"
    for key, lamp in SUMMARIES.items():
        if (value := health.get(key)) is not None:
            found = value if isinstance(value, str) else mapping(value).get("Status")
            yield summary(inner, health, key, lamp, status.judged(found))
    for key, lamp in REDUNDANCIES.items():
        if key in health:
            yield summary(inner, health, key, lamp, REDUNDANCY_WORDS.get(word(health[key]), Verdict.UNKNOWN))
    for position, battery in enumerate(mappings(data.get("SmartStorageBattery"))):
        place = f"{path}/SmartStorageBattery/{position}"
        title = f"Smart Storage Battery {text(battery.get('Index')) or position + 1}"
        verdict = status.judged(battery.get("Status"))
        yield Part(place, title, Lamp.BATTERY, verdict, evidence(place, battery, "Status"), resource.path)
    if status.locate(resource.data) is None and (lit := status.LIT.get(word(data.get("IndicatorLED")))) is not None:
        told = evidence(path, data, "IndicatorLED")
        yield Part(f"{path}/IndicatorLED", "IndicatorLED", None, None, told, resource.path, locate=lit)


def storage(data: Json) -> StorageTree | None:
    """Return where the Smart Array controllers of a system are, None where it has none."""
    root = mapping(mapping(data.get("Links")).get("SmartStorage"))
    return StorageTree(root, "ArrayControllers", "PhysicalDrives", drive) if root else None


def drive(resource: Resource, place: str) -> Part:
    """Return a drive: they all have the same name, and a location of port, box and bay."""
    found = resources.drive(resource, place)
    location = text(resource.data.get("Location"))
    return replace(found, name=f"Drive {location}") if location else found
