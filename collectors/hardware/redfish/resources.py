"""What each kind of resource says about its parts. Pure: JSON in, parts out.

By the DMTF's schemas (DSP8010): ComputerSystem, Chassis, Manager, Thermal, Power, ThermalSubsystem, PowerSubsystem,
Fan, PowerSupply, Battery, Sensor, LeakDetector, Storage, SimpleStorage, Drive, Volume, Memory, Processor, LogService.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from collectors.hardware.redfish import status
from collectors.hardware.redfish.documents import (
    Json,
    Resource,
    evidence,
    link,
    mapping,
    mappings,
    number,
    text,
    word,
)
from collectors.hardware.redfish.parts import Log, Part, Rank
from collectors.reading import Hardware, Lamp, Quantity, Verdict

Values = tuple[tuple[Quantity, float], ...]

UNITS: Mapping[str, Quantity] = {
    "cel": Quantity.TEMPERATURE,
    "rpm": Quantity.FAN_SPEED,
    "{rev}/min": Quantity.FAN_SPEED,
    "v": Quantity.VOLTAGE,
    "a": Quantity.CURRENT,
    "w": Quantity.POWER,
}
"""``Sensor.ReadingUnits``, in UCUM."""

MEASURES: Mapping[Quantity, Lamp] = {
    Quantity.TEMPERATURE: Lamp.TEMPERATURE,
    Quantity.FAN_SPEED: Lamp.FAN,
    Quantity.FAN_SPEED_RATIO: Lamp.FAN,
    Quantity.VOLTAGE: Lamp.VOLTAGE,
    Quantity.CURRENT: Lamp.POWER,
    Quantity.POWER: Lamp.POWER,
}

MAIN_SYSTEMS = frozenset({"", "physical", "composed"})
"""``SystemType`` of what is the server itself, not a card in it (DPU) or a part of it."""


def name(resource: Resource) -> str:
    """Return what a resource is called."""
    return text(resource.data.get("Name")) or text(resource.data.get("Id")) or resource.tail


def part(
    resource: Resource,
    lamp: Lamp | None,
    *also: str,
    verdicts: Iterable[Verdict] = (),
    place: str = "",
    rank: Rank = Rank.PART,
    values: Values = (),
) -> Part:
    """Return a part by its Status. ``also`` are properties that are evidence too, ``verdicts`` what they say."""
    data = resource.data
    return Part(
        resource.path,
        name(resource),
        lamp,
        status.judged(data.get("Status"), *verdicts),
        evidence(resource.path, data, "Status", *also),
        place,
        rank,
        values=() if status.is_absent(data.get("Status")) else values,
        locate=status.locate(data),
    )


def container(resource: Resource, lamp: Lamp, place: str, explained_by: Iterable[Lamp]) -> Iterator[Part]:
    """Return what holds parts: its own health, and its roll-up for what none of them explains."""
    data = resource.data
    told = evidence(resource.path, data, "Status")
    title = name(resource)
    own = status.judged(data.get("Status"), whole=True)
    yield Part(resource.path, title, lamp, own, told, place, locate=status.locate(data))
    above = status.roll_up(data.get("Status"))
    if own is not None and above > own:
        yield Part(
            resource.path,
            title,
            lamp,
            above,
            told,
            place,
            Rank.ROLL_UP,
            explained_by=frozenset(explained_by) | {lamp},
        )


def roll_up(resource: Resource, key: str, title: str, lamp: Lamp, place: str) -> Iterator[Part]:
    """Return a property of a resource that sums up parts of one kind."""
    summary = mapping(resource.data.get(key))
    if "Status" in summary:
        found = summary["Status"]
        verdict = status.judged(found, status.roll_up(found))
        told = evidence(resource.path, {f"{key}.Status": found}, f"{key}.Status")
        yield Part(f"{resource.path}#/{key}", title, lamp, verdict, told, place, Rank.ROLL_UP)


# Systems


def system(resource: Resource) -> Iterator[Part]:
    """Return a system's own lamp, its trusted modules and summaries.

    Its roll-up counts whatever explains it: that is the server's health lamp.
    """
    data = resource.data
    found = data.get("Status")
    verdict = status.judged(found, status.roll_up(found), whole=True)
    told = evidence(resource.path, data, "Status")
    yield Part(resource.path, name(resource), Lamp.SYSTEM, verdict, told, resource.path, locate=status.locate(data))
    yield from _array(resource, "TrustedModules", Lamp.OTHER, resource.path)
    yield from roll_up(resource, "MemorySummary", "Memory summary", Lamp.MEMORY, resource.path)
    yield from roll_up(resource, "ProcessorSummary", "Processor summary", Lamp.PROCESSOR, resource.path)


def power_state(systems: Iterable[Resource]) -> bool | None:
    """Return whether the server is on: off as soon as one of its main systems is."""
    states = {
        status.POWER.get(word(system.data.get("PowerState")))
        for system in systems
        if word(system.data.get("SystemType")) in MAIN_SYSTEMS and not status.is_absent(system.data.get("Status"))
    }
    return False if False in states else True if True in states else None


def hardware(
    root: Resource, systems: Iterable[Resource], chassis: Iterable[Resource], managers: Iterable[Resource]
) -> Hardware:
    """Return who the machine says it is: its first system, else its first chassis; the firmware is its manager's."""
    bodies = (*sorted(systems, key=lambda system: word(system.data.get("SystemType")) not in MAIN_SYSTEMS), *chassis)
    owners = [body.data for body in bodies if text(body.data.get("SerialNumber"))] or [body.data for body in bodies]
    owner = owners[0] if owners else {}
    vendor = next((key for key in mapping(root.data.get("Oem"))), "")
    return Hardware(
        manufacturer=text(owner.get("Manufacturer")) or text(root.data.get("Vendor")) or text(vendor),
        model=text(owner.get("Model")),
        serial=text(owner.get("SerialNumber")),
        firmware=next((found for manager in managers if (found := text(manager.data.get("FirmwareVersion")))), ""),
    )


def memory(resource: Resource, place: str) -> Part:
    """Return a memory module."""
    return part(resource, Lamp.MEMORY, place=place)


def processor(resource: Resource, place: str) -> Part:
    """Return a processor, accelerators included."""
    return part(resource, Lamp.PROCESSOR, place=place)


# Storage


def storage(resource: Resource) -> Iterator[Part]:
    """Return a storage subsystem, and the controllers and volumes that came with it. Its drives are read one by one."""
    yield from container(resource, Lamp.STORAGE, resource.path, (Lamp.DRIVE,))
    yield from _array(resource, "StorageControllers", Lamp.STORAGE, resource.path)
    for key in ("Controllers", "Volumes"):
        for inner in mappings(mapping(resource.data.get(key)).get("Members")):
            if "Status" in inner:
                yield part(Resource(link(inner) or f"{resource.path}#/{key}", inner), Lamp.STORAGE, place=resource.path)


def simple_storage(resource: Resource) -> Iterator[Part]:
    """Return a controller and the devices it lists."""
    yield from container(resource, Lamp.STORAGE, resource.path, (Lamp.DRIVE,))
    yield from _array(resource, "Devices", Lamp.DRIVE, resource.path)


def drive(resource: Resource, place: str) -> Part:
    """Return a drive: its health, the failure it predicts, and what its lamp shows."""
    data = resource.data
    verdicts = [status.DRIVE_INDICATOR.get(word(data.get("StatusIndicator")), Verdict.UNKNOWN)]
    if data.get("FailurePredicted") is True or word(data.get("FailurePredicted")) == "true":
        verdicts.append(Verdict.WARNING)
    return part(resource, Lamp.DRIVE, "FailurePredicted", "StatusIndicator", verdicts=verdicts, place=place)


# Chassis


def chassis(resource: Resource) -> Iterator[Part]:
    """Return a chassis's own lamp and its intrusion sensor."""
    yield from container(resource, Lamp.SYSTEM, resource.path, Lamp)
    security = mapping(resource.data.get("PhysicalSecurity"))
    if security.get("IntrusionSensor") is not None:
        path = f"{resource.path}#/PhysicalSecurity"
        verdict = status.INTRUSION.get(word(security["IntrusionSensor"]), Verdict.UNKNOWN)
        told = evidence(path, security, "IntrusionSensor")
        yield Part(path, f"{name(resource)} intrusion", Lamp.INTRUSION, verdict, told, resource.path)


def manager(resource: Resource) -> Iterator[Part]:
    """Return a management controller's own lamp."""
    yield from container(resource, Lamp.OTHER, resource.path, ())


def thermal(resource: Resource, place: str) -> Iterator[Part]:
    """Return fans and temperatures of Thermal, which ThermalSubsystem and Sensors replace."""
    for path, entry in _entries(resource, "Fans"):
        yield _old_fan(Resource(path, entry), place)
    for path, entry in _entries(resource, "Temperatures"):
        yield _measurement(Resource(path, entry), Quantity.TEMPERATURE, "ReadingCelsius", place)
    yield from _redundancy(resource, "Redundancy", "Fan redundancy", Lamp.FAN, place)


def power(resource: Resource, place: str) -> Iterator[Part]:
    """Return supplies, voltages and consumption of Power, which PowerSubsystem and Sensors replace."""
    for path, entry in _entries(resource, "PowerSupplies"):
        yield supply(Resource(path, entry), place, Rank.OLDER)
    for path, entry in _entries(resource, "Voltages"):
        yield _measurement(Resource(path, entry), Quantity.VOLTAGE, "ReadingVolts", place)
    for path, entry in _entries(resource, "PowerControl"):
        yield _measurement(Resource(path, entry), Quantity.POWER, "PowerConsumedWatts", place)
    yield from _redundancy(resource, "Redundancy", "Power supply redundancy", Lamp.POWER_SUPPLY, place)


def thermal_subsystem(resource: Resource, place: str) -> Iterator[Part]:
    """Return what ThermalSubsystem sums up. Its fans have their own resources."""
    yield from _redundancy(resource, "FanRedundancy", "Fan redundancy", Lamp.FAN, place)
    yield from _subsystem(resource, Lamp.FAN, place)


def power_subsystem(resource: Resource, place: str) -> Iterator[Part]:
    """Return what PowerSubsystem sums up. Its supplies and batteries have their own resources."""
    yield from _redundancy(resource, "PowerSupplyRedundancy", "Power supply redundancy", Lamp.POWER_SUPPLY, place)
    yield from _subsystem(resource, Lamp.POWER_SUPPLY, place)


def fan(resource: Resource, place: str) -> Part:
    """Return a fan of ThermalSubsystem."""
    speed = mapping(resource.data.get("SpeedPercent"))
    values = (
        *_value(Quantity.FAN_SPEED, speed.get("SpeedRPM")),
        *_value(Quantity.FAN_SPEED_RATIO, speed.get("Reading"), 0.01),
    )
    return part(resource, Lamp.FAN, place=place, values=values)


def supply(resource: Resource, place: str, rank: Rank = Rank.PART) -> Part:
    """Return a power supply, of PowerSubsystem or of Power."""
    data = resource.data
    output = data.get("PowerOutputWatts", data.get("LastPowerOutputWatts"))
    values = (*_value(Quantity.POWER, output), *_value(Quantity.VOLTAGE, data.get("LineInputVoltage")))
    line = status.LINE_INPUT.get(word(data.get("LineInputStatus")), Verdict.UNKNOWN)
    found = (line,) if line >= Verdict.WARNING else ()  # that there is current does not say that the supply is well
    return part(resource, Lamp.POWER_SUPPLY, "LineInputStatus", verdicts=found, place=place, rank=rank, values=values)


def battery(resource: Resource, place: str) -> Part:
    """Return a battery of PowerSubsystem."""
    return part(resource, Lamp.BATTERY, place=place)


def sensor(resource: Resource, place: str) -> Part:
    """Return a sensor of a chassis: its health, and its reading where it is of a kind that we publish."""
    data = resource.data
    units = word(data.get("ReadingUnits"))
    is_fan = "fan" in name(resource).lower() or word(data.get("PhysicalContext")) == "fan"
    quantity, scale = UNITS.get(units), 1.0
    if units == "%" and is_fan:
        quantity, scale = Quantity.FAN_SPEED_RATIO, 0.01
    lamp = (Lamp.OTHER if quantity is None else MEASURES[quantity]) if "Status" in data else None
    values = () if quantity is None else _value(quantity, data.get("Reading"), scale)
    return part(resource, lamp, "Reading", place=place, rank=Rank.SENSOR, values=values)


def leak_detector(resource: Resource, place: str) -> Part:
    """Return a leak detector."""
    found = status.LEAK.get(word(resource.data.get("DetectorState")), Verdict.UNKNOWN)
    return part(resource, Lamp.OTHER, "DetectorState", verdicts=(found,), place=place)


def _old_fan(resource: Resource, place: str) -> Part:
    data = resource.data
    # FanName, CurrentReading and Units: Thermal before v1.0, as iLO 4 has it
    reading = data.get("Reading", data.get("CurrentReading"))
    percent = word(data.get("ReadingUnits", data.get("Units"))) == "percent"
    values = _value(Quantity.FAN_SPEED_RATIO, reading, 0.01) if percent else _value(Quantity.FAN_SPEED, reading)
    named = {**data, "Name": text(data.get("Name")) or text(data.get("FanName"))}
    return part(Resource(resource.path, named), Lamp.FAN, place=place, rank=Rank.OLDER, values=values)


def _measurement(resource: Resource, quantity: Quantity, key: str, place: str) -> Part:
    """Return an entry of Temperatures or Voltages. Without a Status it is a measurement and no lamp."""
    lamp = MEASURES[quantity] if "Status" in resource.data else None
    values = _value(quantity, resource.data.get(key))
    return part(resource, lamp, key, place=place, rank=Rank.OLDER, values=values)


def _subsystem(resource: Resource, lamp: Lamp, place: str) -> Iterator[Part]:
    found = resource.data.get("Status")
    if found is not None:
        verdict = status.judged(found, status.roll_up(found))
        told = evidence(resource.path, resource.data, "Status")
        yield Part(resource.path, name(resource), lamp, verdict, told, place, Rank.ROLL_UP)


def _redundancy(resource: Resource, key: str, title: str, lamp: Lamp, place: str) -> Iterator[Part]:
    """Return redundancy groups: shown where redundancy is lost and none of their members explains it."""
    for path, group in _entries(resource, key):
        if "Status" in group:
            verdict = status.judged(group["Status"])
            called = text(group.get("Name"))
            label = f"{called} redundancy" if called else title
            yield Part(path, label, lamp, verdict, evidence(path, group, "Status"), place, Rank.ROLL_UP)


# Logs


def log(resource: Resource, entries: Json) -> Part:
    """Return a log service and how full it is. A log that is full and keeps the old loses the new: a warning."""
    data = resource.data
    count, most = (_count(found) for found in (entries.get("Members@odata.count"), data.get("MaxNumberOfRecords")))
    policy = word(data.get("OverWritePolicy"))
    full = bool(most) and count is not None and most is not None and count >= most
    loses = full and policy == "neveroverwrites"
    verdict = status.judged(data.get("Status"), *((Verdict.WARNING,) if loses else ()))
    told = evidence(
        resource.path, {**data, **entries}, "Status", "Members@odata.count", "MaxNumberOfRecords", "OverWritePolicy"
    )
    lamp = Lamp.EVENT_LOG if loses or "Status" in data else None
    wrapped = (
        full and policy == "wrapswhenfull"
    )  # it stays full for ever and loses nothing new: that is no fill to tell
    fill = None if count is None else Log(count, None if wrapped else most or None)
    return Part(resource.path, name(resource), lamp, verdict, told, resource.path, log=fill)


def _count(value: object) -> int | None:
    found = number(value)
    return int(found) if found is not None and found >= 0 else None


# Arrays


def _array(resource: Resource, key: str, lamp: Lamp, place: str) -> Iterator[Part]:
    for position, (path, entry) in enumerate(_entries(resource, key), 1):
        found = part(Resource(path, entry), lamp, place=place)
        yield found if "Name" in entry else replace(found, name=f"{key} {position}")


def _entries(resource: Resource, key: str) -> Iterator[tuple[str, Json]]:
    """Give the objects of an array, each with its own path (a JSON pointer behind #, DSP0266 section 9.6.5)."""
    for position, entry in enumerate(mappings(resource.data.get(key))):
        own = link(entry)
        yield own if own.startswith(f"{resource.path}#") else f"{resource.path}#/{key}/{position}", entry


def _value(quantity: Quantity, reading: object, scale: float = 1.0) -> Values:
    found = number(reading)
    return () if found is None else ((quantity, found * scale),)
