"""Whole controllers in small, as their makers build them: ids, places, spellings and what is missing differ."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from collectors.reading import Hardware, Lamp, Verdict
from tests.collectors.hardware.redfish.conftest import Read
from tests.peers.redfish_service import OLD_SESSIONS, SESSIONS, Tree, serving, tree_of

ROOT = "/redfish/v1"
OK = {"State": "Enabled", "Health": "OK"}
ROLLED_UP = {**OK, "HealthRollup": "OK"}
WARNING = {"State": "Enabled", "Health": "Warning"}
CRITICAL = {"State": "Enabled", "Health": "Critical"}
ABSENT = {"State": "Absent"}
EXPANDS = {"ExpandQuery": {"ExpandAll": True, "NoLinks": True, "Levels": True, "MaxLevels": 1}}


def reference(path: str) -> dict[str, str]:
    return {"@odata.id": path}


@dataclass(frozen=True)
class Controller:
    """A controller's tree, and what a read of it has to tell."""

    tree: Tree
    hardware: Hardware
    locate: bool | None
    abnormal: Mapping[str, tuple[Lamp, Verdict]]
    normal: frozenset[Lamp]
    """The kinds of which it shows at least one that is well."""
    session_places: frozenset[str] = frozenset({SESSIONS})
    root: Mapping[str, Any] = field(default_factory=dict)


def idrac8() -> Controller:
    """Dell iDRAC 8: sessions at the old place, a blinking chassis LED, a drive that predicts its failure."""
    system, chassis = f"{ROOT}/Systems/System.Embedded.1", f"{ROOT}/Chassis/System.Embedded.1"
    controller = f"{system}/Storage/Controllers/RAID.Integrated.1-1"
    drive = f"{controller}/Drives/Disk.Bay.0:Enclosure.Internal.0-1:RAID.Integrated.1-1"
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "System",
            "SystemType": "Physical",
            "Manufacturer": "Dell Inc.",
            "Model": "PowerEdge R730",
            "SerialNumber": "CN7792162P0001",
            "PowerState": "On",
            "IndicatorLED": "Off",
            "Status": {**OK, "HealthRollup": "Warning"},
            "MemorySummary": {"Status": {"Health": "OK", "HealthRollUp": "OK", "State": "Enabled"}},
            "Storage": [controller],
        },
        {"@odata.id": controller, "Name": "PERC H730 Mini", "Status": ROLLED_UP, "Drives": [reference(drive)]},
        {"@odata.id": drive, "Name": "Physical Disk 0:1:0", "Status": OK, "FailurePredicted": True},
        {
            "@odata.id": chassis,
            "Name": "Computer System Chassis",
            "IndicatorLED": "Blinking",
            "Status": OK,
            "Thermal": reference(f"{chassis}/Thermal"),
            "Power": reference(f"{chassis}/Power"),
        },
        {
            "@odata.id": f"{chassis}/Thermal",
            "Fans": [{"FanName": "System Board Fan1", "Reading": 5040, "ReadingUnits": "RPM", "Status": OK}],
            "Temperatures": [{"Name": "System Board Inlet Temp", "ReadingCelsius": 21, "Status": OK}],
            "Redundancy": [{"Name": "System Board Fan Redundancy", "Status": OK}],
        },
        {
            "@odata.id": f"{chassis}/Power",
            "PowerSupplies": [{"Name": "PS1 Status", "Status": OK}, {"Name": "PS2 Status", "Status": ABSENT}],
            "Voltages": [{"Name": "CPU1 VCORE PG", "ReadingVolts": 1, "Status": OK}],
        },
        {"@odata.id": f"{ROOT}/Managers/iDRAC.Embedded.1", "Name": "Manager", "Status": OK, "FirmwareVersion": "2.70"},
    )
    return Controller(
        tree,
        Hardware("Dell Inc.", "PowerEdge R730", "CN7792162P0001", "2.70"),
        locate=True,
        abnormal={
            "System": (Lamp.SYSTEM, Verdict.WARNING),
            "Physical Disk 0:1:0": (Lamp.DRIVE, Verdict.WARNING),
        },
        normal=frozenset({Lamp.FAN, Lamp.TEMPERATURE, Lamp.POWER_SUPPLY, Lamp.VOLTAGE, Lamp.STORAGE, Lamp.MEMORY}),
        session_places=frozenset({OLD_SESSIONS}),
    )


def ilo4() -> Controller:
    """HPE iLO 4: paths that end in a slash, old names in Thermal, drives that only a word stands for."""
    system, chassis = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1"
    health = {"Storage": {"Status": {"Health": "Critical"}}, "Fans": {"Status": {"Health": "OK"}}}
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "Computer System",
            "Manufacturer": "HPE",
            "Model": "ProLiant ML350 Gen9",
            "SerialNumber": "CZJ1234567      ",
            "PowerState": "On",
            "IndicatorLED": "Off",
            "Status": {"Health": "Critical", "State": "Enabled"},
            "Oem": {"Hp": {"AggregateHealthStatus": health}},
        },
        {
            "@odata.id": chassis,
            "Name": "Computer System Chassis",
            "Status": {"Health": "OK", "State": "Enabled"},
            "Thermal": reference(f"{chassis}/Thermal/"),
            "Power": reference(f"{chassis}/Power/"),
        },
        {
            "@odata.id": f"{chassis}/Thermal",
            "Fans": [
                {"FanName": "Fan 1", "Status": ABSENT},
                {"FanName": "Fan 2", "CurrentReading": 14, "Units": "Percent", "Status": OK},
            ],
            "Temperatures": [
                {"Name": "01-Inlet Ambient", "CurrentReading": 20, "ReadingCelsius": 20, "Status": OK},
                {"Name": "03-CPU 2", "CurrentReading": 0, "ReadingCelsius": 0, "Status": ABSENT},
            ],
        },
        {
            "@odata.id": f"{chassis}/Power",
            "PowerSupplies": [
                {"Name": "HpServerPowerSupply", "Status": OK},
                {"Name": "HpServerPowerSupply", "Status": OK},
            ],
            "Redundancy": [{"Name": "PowerSupply Redundancy Group 1", "Status": OK}],
        },
        {
            "@odata.id": f"{ROOT}/Managers/1",
            "Name": "Manager",
            "Status": {"State": "Enabled"},
            "FirmwareVersion": "iLO 4",
        },
    )
    return Controller(
        tree,
        Hardware("HPE", "ProLiant ML350 Gen9", "CZJ1234567", "iLO 4"),
        locate=False,
        abnormal={
            "Computer System": (Lamp.SYSTEM, Verdict.CRITICAL),
            "Storage": (Lamp.STORAGE, Verdict.CRITICAL),
        },
        normal=frozenset({Lamp.FAN, Lamp.TEMPERATURE, Lamp.POWER_SUPPLY}),
        session_places=frozenset({f"{ROOT}/Sessions"}),
        root={"Links": {"Sessions": reference(f"{ROOT}/Sessions/")}},
    )


def supermicro_x11() -> Controller:
    """Supermicro X11: no health in rows that are not fitted, intrusion in the chassis, a Status without State."""
    system, chassis = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1"
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "System",
            "Manufacturer": "Supermicro",
            "Model": "SYS-1029U",
            "SerialNumber": "A1",
            "PowerState": "On",
            "IndicatorLED": "Off",
            "Status": {"State": "Enabled", "Health": "Critical"},
            "Memory": [f"{system}/Memory/1", f"{system}/Memory/2"],
        },
        {"@odata.id": f"{system}/Memory/1", "Name": "DIMM", "Status": {"Health": "OK"}},
        {"@odata.id": f"{system}/Memory/2", "Name": "DIMM", "Status": {"State": "Absent", "Health": None}},
        {
            "@odata.id": chassis,
            "Name": "Computer System Chassis",
            "IndicatorLED": "Off",
            "Status": OK,
            "PhysicalSecurity": {"IntrusionSensorNumber": 170, "IntrusionSensor": "HardwareIntrusion"},
            "Thermal": reference(f"{chassis}/Thermal"),
        },
        {
            "@odata.id": f"{chassis}/Thermal",
            "Fans": [
                {"MemberId": "0", "Name": "FAN1", "Reading": 4200, "ReadingUnits": "RPM", "Status": OK},
                {"MemberId": "1", "Name": "FAN2", "Reading": None, "Status": ABSENT},
            ],
            "Temperatures": [{"MemberId": "0", "Name": "CPU1 Temp", "ReadingCelsius": 41, "Status": OK}],
        },
        {"@odata.id": f"{ROOT}/Managers/1", "Name": "Manager", "Status": OK, "FirmwareVersion": "1.73.06"},
    )
    return Controller(
        tree,
        Hardware("Supermicro", "SYS-1029U", "A1", "1.73.06"),
        locate=False,
        abnormal={
            "System": (Lamp.SYSTEM, Verdict.CRITICAL),
            "Computer System Chassis intrusion": (Lamp.INTRUSION, Verdict.CRITICAL),
        },
        normal=frozenset({Lamp.FAN, Lamp.TEMPERATURE, Lamp.MEMORY, Lamp.OTHER}),
    )


def cimc() -> Controller:
    """Cisco CIMC: the system's id is its serial number, the chassis links the drives that its storage has too."""
    system, chassis = f"{ROOT}/Systems/WZP23400AK4", f"{ROOT}/Chassis/1"
    drives = [f"{system}/Storage/MRAID/Drives/{number}" for number in (9, 10)]
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "UCS C240 M5SN",
            "Manufacturer": "Cisco Systems Inc",
            "Model": "UCSC-C240-M5SN",
            "SerialNumber": "WZP23400AK4",
            "PowerState": "On",
            "IndicatorLED": "Off",
            "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "Critical"},
            "Storage": [f"{system}/Storage/MRAID"],
            "Processors": [f"{system}/Processors/CPU1"],
        },
        {"@odata.id": f"{system}/Processors/CPU1", "Name": "CPU1", "Status": OK},
        {
            "@odata.id": f"{system}/Storage/MRAID",
            "Name": "MRAID",
            "Status": {**OK, "HealthRollup": "Critical"},
            "StorageControllers": [{"Name": "Cisco 12G Modular Raid Controller", "Status": OK}],
            "Drives": [reference(drive) for drive in drives],
        },
        {"@odata.id": drives[0], "Name": "PD-9", "Status": OK, "StatusIndicator": "OK"},
        {"@odata.id": drives[1], "Name": "PD-10", "Status": {"State": "Enabled"}, "StatusIndicator": "Fail"},
        {
            "@odata.id": chassis,
            "Name": "Chassis",
            "IndicatorLED": "Lit",
            "Status": OK,
            "Links": {"Drives": [reference(drive) for drive in drives]},
            "Power": reference(f"{chassis}/Power"),
        },
        {"@odata.id": f"{chassis}/Power", "PowerSupplies": [{"Name": "PSU1", "Status": OK, "SerialNumber": "P1"}]},
        {"@odata.id": f"{ROOT}/Managers/CIMC", "Name": "Cisco IMC", "Status": OK, "FirmwareVersion": "4.1(2b)"},
    )
    return Controller(
        tree,
        Hardware("Cisco Systems Inc", "UCSC-C240-M5SN", "WZP23400AK4", "4.1(2b)"),
        locate=True,
        abnormal={
            "UCS C240 M5SN": (Lamp.SYSTEM, Verdict.CRITICAL),
            "PD-10": (Lamp.DRIVE, Verdict.CRITICAL),
        },
        normal=frozenset({Lamp.DRIVE, Lamp.STORAGE, Lamp.PROCESSOR, Lamp.POWER_SUPPLY}),
    )


def ibmc() -> Controller:
    """Huawei iBMC: drives of the chassis, a health that is null for what is not fitted, everything well."""
    system, chassis = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1"
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "Computer System",
            "Manufacturer": "Huawei",
            "Model": "2288H V5",
            "SerialNumber": "2102311TYB",
            "PowerState": "On",
            "Status": ROLLED_UP,
            "Memory": [f"{system}/Memory/mainboardDIMM000", f"{system}/Memory/mainboardDIMM001"],
        },
        {"@odata.id": f"{system}/Memory/mainboardDIMM000", "Name": "mainboardDIMM000", "Status": OK},
        {"@odata.id": f"{system}/Memory/mainboardDIMM001", "Name": "mainboardDIMM001", "Status": ABSENT},
        {
            "@odata.id": chassis,
            "Name": "Chassis",
            "IndicatorLED": "Off",
            "Status": ROLLED_UP,
            "Drives": [f"{chassis}/Drives/HDDPlaneDisk0", f"{chassis}/Drives/HDDPlaneDisk1"],
            "Thermal": reference(f"{chassis}/Thermal"),
            "Power": reference(f"{chassis}/Power"),
        },
        {
            "@odata.id": f"{chassis}/Drives/HDDPlaneDisk0",
            "Name": "Disk0",
            "Status": OK,
            "IndicatorLED": "Off",
            "StatusIndicator": "OK",
            "FailurePredicted": False,
        },
        {
            "@odata.id": f"{chassis}/Drives/HDDPlaneDisk1",
            "Name": "Disk1",
            "Status": {"State": "Absent", "Health": None},
        },
        {
            "@odata.id": f"{chassis}/Thermal",
            "Fans": [{"Name": "Fan1 Front", "Reading": 3600, "ReadingUnits": "RPM", "Status": OK}],
            "Temperatures": [{"Name": "Inlet Temp", "ReadingCelsius": 22, "Status": OK}],
        },
        {"@odata.id": f"{chassis}/Power", "PowerSupplies": [{"Name": "PSU1", "Status": OK}]},
        {"@odata.id": f"{ROOT}/Managers/1", "Name": "Manager", "Status": OK, "FirmwareVersion": "3.18"},
    )
    kinds = frozenset({Lamp.DRIVE, Lamp.FAN, Lamp.TEMPERATURE, Lamp.POWER_SUPPLY, Lamp.MEMORY, Lamp.SYSTEM})
    return Controller(tree, Hardware("Huawei", "2288H V5", "2102311TYB", "3.18"), False, {}, kinds)


def xcc() -> Controller:
    """Lenovo XCC: new and old thermal resources list the same fans, one of which fails in both."""
    system, chassis = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1"
    cooling = f"{chassis}/ThermalSubsystem"
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "ComputerSystem",
            "Manufacturer": "Lenovo",
            "Model": "7X06CTO1WW",
            "SerialNumber": "J30A1234",
            "PowerState": "On",
            "LocationIndicatorActive": False,
            "IndicatorLED": "Off",
            "Status": {**OK, "HealthRollup": "Critical"},
        },
        {
            "@odata.id": chassis,
            "Name": "Chassis",
            "LocationIndicatorActive": True,
            "Status": ROLLED_UP,
            "Thermal": reference(f"{chassis}/Thermal"),
            "ThermalSubsystem": reference(cooling),
        },
        {
            "@odata.id": f"{chassis}/Thermal",
            "Fans": [
                {"Name": "Fan 1 Front Tach", "Reading": 8000, "ReadingUnits": "RPM", "Status": OK},
                {"Name": "Fan 2 Front Tach", "Reading": 0, "ReadingUnits": "RPM", "Status": CRITICAL},
            ],
        },
        {"@odata.id": cooling, "Status": OK, "Fans": [f"{cooling}/Fans/1", f"{cooling}/Fans/2"]},
        {"@odata.id": f"{cooling}/Fans/1", "Name": "Fan 1", "Status": OK, "SpeedPercent": {"Reading": 40}},
        {"@odata.id": f"{cooling}/Fans/2", "Name": "Fan 2", "Status": CRITICAL, "SpeedPercent": {"Reading": 0}},
        {"@odata.id": f"{ROOT}/Managers/1", "Name": "Manager", "Status": OK, "FirmwareVersion": "TEI392M"},
    )
    return Controller(
        tree,
        Hardware("Lenovo", "7X06CTO1WW", "J30A1234", "TEI392M"),
        locate=True,
        abnormal={
            "ComputerSystem": (Lamp.SYSTEM, Verdict.CRITICAL),
            "Fan 2": (Lamp.FAN, Verdict.CRITICAL),
        },
        normal=frozenset({Lamp.FAN, Lamp.OTHER}),
        root={"ProtocolFeaturesSupported": EXPANDS},
    )


def openbmc() -> Controller:
    """OpenBMC: subsystems and sensors only, a sensor beyond its limit, and the board a chassis of its own."""
    system, chassis, board = f"{ROOT}/Systems/system", f"{ROOT}/Chassis/Rack_Chassis", f"{ROOT}/Chassis/Baseboard"
    cooling, feeding, sensors = f"{chassis}/ThermalSubsystem", f"{chassis}/PowerSubsystem", f"{board}/Sensors"
    tree = tree_of(
        {
            "@odata.id": system,
            "Name": "system",
            "Manufacturer": "Quanta",
            "Model": "S9S",
            "SerialNumber": "Q1",
            "PowerState": "On",
            "LocationIndicatorActive": False,
            "Status": ROLLED_UP,
        },
        {
            "@odata.id": chassis,
            "Name": "Rack_Chassis",
            "Status": ROLLED_UP,
            "ThermalSubsystem": reference(cooling),
            "PowerSubsystem": reference(feeding),
        },
        {
            "@odata.id": board,
            "Name": "Baseboard",
            "Status": {**OK, "HealthRollup": "Warning"},
            "Sensors": [f"{sensors}/t"],
        },
        {"@odata.id": f"{sensors}/t", "Name": "CPU0 Temp", "ReadingUnits": "Cel", "Reading": 91, "Status": WARNING},
        {"@odata.id": cooling, "Status": OK, "Fans": [f"{cooling}/Fans/fan0"]},
        {"@odata.id": f"{cooling}/Fans/fan0", "Name": "fan0", "Status": OK},
        {"@odata.id": feeding, "Status": OK, "PowerSupplies": [f"{feeding}/PowerSupplies/psu0"]},
        {"@odata.id": f"{feeding}/PowerSupplies/psu0", "Name": "psu0", "Status": OK},
        {
            "@odata.id": f"{ROOT}/Managers/bmc",
            "Name": "OpenBmc Manager",
            "Status": ROLLED_UP,
            "FirmwareVersion": "2.14",
        },
    )
    return Controller(
        tree,
        Hardware("Quanta", "S9S", "Q1", "2.14"),
        locate=False,
        abnormal={"CPU0 Temp": (Lamp.TEMPERATURE, Verdict.WARNING)},
        normal=frozenset({Lamp.SYSTEM, Lamp.FAN, Lamp.POWER_SUPPLY, Lamp.OTHER}),
        root={"ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True, "Levels": True, "MaxLevels": 6}}},
    )


@pytest.mark.parametrize(
    "build", [idrac8, ilo4, supermicro_x11, cimc, ibmc, xcc, openbmc], ids=lambda build: str(build.__name__)
)
async def test_a_controller_tells_what_is_wrong_with_its_server_and_nothing_else(read: Read, build: Any) -> None:
    controller: Controller = build()
    tree = {**controller.tree, ROOT: {**controller.tree[ROOT], **controller.root}}
    async with serving(tree, session_places=set(controller.session_places), takes_basic=False) as service:
        reading = await read(service)
        assert (service.opened, service.sessions) == (1, {})
    fitted = [lamp for lamp in reading.lamps if lamp.verdict is not None]
    assert {
        lamp.component: (lamp.lamp, lamp.verdict)
        for lamp in fitted
        if lamp.verdict in {Verdict.WARNING, Verdict.CRITICAL}
    } == controller.abnormal
    assert controller.normal <= {lamp.lamp for lamp in fitted if lamp.verdict is Verdict.NORMAL}
    assert reading.hardware == controller.hardware
    assert reading.locate is controller.locate
    assert reading.power is True
    assert reading.complete
