"""Trees of each vendor and generation, written from their documents: what they say beside the standard."""

from collections.abc import Mapping
from typing import Any

import pytest

from collectors.hardware.redfish import Redfish, RedfishOptions
from collectors.reading import Hardware, HardwareReading, Lamp, Quantity, Verdict
from tests.collectors.hardware.redfish.conftest import Read
from tests.peers.redfish_service import Tree, serving, tree_of

SYSTEM, CHASSIS = "/redfish/v1/Systems/1", "/redfish/v1/Chassis/1"
FINE = {"State": "Enabled", "Health": "OK"}
CRITICAL = {"State": "Enabled", "Health": "Critical"}


def server(
    system: Mapping[str, Any] | None = None, chassis: Mapping[str, Any] | None = None, *more: Mapping[str, Any]
) -> Tree:
    """A server of which nothing but these properties is known."""
    return tree_of(
        {"@odata.id": SYSTEM, "Name": "System", "Status": FINE, **(system or {})},
        {"@odata.id": CHASSIS, "Name": "Chassis", "Status": FINE, **(chassis or {})},
        *more,
    )


def fitted(reading: HardwareReading, lamp: Lamp) -> dict[str, Verdict]:
    return {one.component: one.verdict for one in reading.lamps if one.lamp is lamp and one.verdict is not None}


async def seen(read: Read, tree: Tree) -> HardwareReading:
    async with serving(tree) as service:
        return await read(service)


# HPE


def hpe(key: str = "Hpe", **health: Any) -> Mapping[str, Any]:
    return {"Oem": {key: {"AggregateHealthStatus": health}}}


@pytest.mark.parametrize("key", ["Hpe", "Hp"])
async def test_hpe_sums_up_what_has_no_resource_of_its_own(read: Read, key: str) -> None:
    tree = server(hpe(key, SmartStorageBattery={"Status": CRITICAL}, Network={"Status": {"Health": "Warning"}}))
    reading = await seen(read, tree)
    assert fitted(reading, Lamp.BATTERY) == {"SmartStorageBattery": Verdict.CRITICAL}
    assert fitted(reading, Lamp.NETWORK) == {"Network": Verdict.WARNING}
    (lamp,) = (lamp for lamp in reading.lamps if lamp.component == "SmartStorageBattery")
    assert lamp.evidence.startswith(f"{SYSTEM}#/Oem/{key}/AggregateHealthStatus SmartStorageBattery=")


async def test_hpe_summaries_are_words_alone_in_old_firmware(read: Read) -> None:
    reading = await seen(read, server(hpe("Hp", Temperatures="Critical", Memory="OK")))
    assert fitted(reading, Lamp.TEMPERATURE) == {"Temperatures": Verdict.CRITICAL}
    assert fitted(reading, Lamp.MEMORY) == {"Memory": Verdict.NORMAL}


@pytest.mark.parametrize(
    ("word", "verdict"),
    [
        ("Redundant", Verdict.NORMAL),
        ("NonRedundant", Verdict.NORMAL),
        ("FailedRedundant", Verdict.WARNING),
        ("Unknown", Verdict.UNKNOWN),
    ],
)
async def test_hpe_redundancy_is_a_fault_only_where_it_failed(read: Read, word: str, verdict: Verdict) -> None:
    reading = await seen(read, server(hpe(PowerSupplyRedundancy=word)))
    assert fitted(reading, Lamp.POWER_SUPPLY) == {"PowerSupplyRedundancy": verdict}


async def test_hpe_summary_of_a_fan_that_shows_its_fault_itself_adds_nothing(read: Read) -> None:
    thermal = {"@odata.id": f"{CHASSIS}/Thermal", "Fans": [{"FanName": "Fan 1", "Status": CRITICAL}]}
    tree = server(
        hpe(Fans={"Status": CRITICAL}, FanRedundancy="FailedRedundant"),
        {"Thermal": {"@odata.id": f"{CHASSIS}/Thermal"}},
        thermal,
    )
    assert fitted(await seen(read, tree), Lamp.FAN) == {"Fan 1": Verdict.CRITICAL}


@pytest.mark.parametrize(
    ("word", "lit"), [("Lit", True), ("Blinking", True), ("Off", False), ("Null", None), (7, None)]
)
async def test_hpe_locate_lamp_where_the_standard_has_none(read: Read, word: object, lit: bool | None) -> None:
    reading = await seen(read, server({"Oem": {"Hpe": {"IndicatorLED": word}}}))
    assert reading.locate is lit


async def test_hpe_locate_lamp_does_not_overrule_the_standard(read: Read) -> None:
    tree = server({"LocationIndicatorActive": False, "Oem": {"Hpe": {"IndicatorLED": "Lit"}}})
    assert (await seen(read, tree)).locate is False


async def test_hpe_batteries_of_a_chassis(read: Read) -> None:
    batteries = [{"Index": 1, "Status": FINE}, {"Index": 2, "Status": {"State": "Absent"}}]
    reading = await seen(read, server(chassis={"Oem": {"Hpe": {"SmartStorageBattery": batteries}}}))
    assert fitted(reading, Lamp.BATTERY) == {"Smart Storage Battery 1": Verdict.NORMAL}


async def test_hpe_thermal_before_redfish_1_0(read: Read) -> None:
    thermal = {
        "@odata.id": f"{CHASSIS}/Thermal",
        "Fans": [
            {"FanName": "Fan 1", "CurrentReading": 30, "Units": "Percent", "Status": FINE},
            {"FanName": "Fan 2", "CurrentReading": 0, "Units": "Percent", "Status": {"State": "Absent"}},
        ],
    }
    reading = await seen(read, server(None, {"Thermal": {"@odata.id": f"{CHASSIS}/Thermal"}}, thermal))
    assert fitted(reading, Lamp.FAN) == {"Fan 1": Verdict.NORMAL}
    (value,) = reading.sensors
    assert (value.quantity, value.sensor, round(value.value, 6)) == (Quantity.FAN_SPEED_RATIO, "Fan 1", 0.3)


def smart_array(*drives: Mapping[str, Any], standard: Mapping[str, Any] | None = None) -> Tree:
    """A server with a Smart Array controller, and perhaps a drive in the standard Storage."""
    smart, raid = f"{SYSTEM}/SmartStorage", f"{SYSTEM}/SmartStorage/ArrayControllers/0"
    paths = [f"{raid}/DiskDrives/{number}" for number in range(len(drives))]
    nvme = f"{SYSTEM}/Storage/1/Drives/1"
    return server(
        {"Oem": {"Hpe": {"Links": {"SmartStorage": {"@odata.id": f"{smart}/"}}}}}
        | ({"Storage": [f"{SYSTEM}/Storage/1"]} if standard else {}),
        None,
        {"@odata.id": smart, "Links": {"ArrayControllers": {"@odata.id": f"{smart}/ArrayControllers"}}},
        {"@odata.id": f"{smart}/ArrayControllers", "Members": [{"@odata.id": raid}]},
        {
            "@odata.id": raid,
            "Name": "HpeSmartStorageArrayController",
            "Status": FINE,
            "Links": {"PhysicalDrives": {"@odata.id": f"{raid}/DiskDrives"}},
        },
        {"@odata.id": f"{raid}/DiskDrives", "Members": [{"@odata.id": path} for path in paths]},
        *(
            {"@odata.id": path, "Name": "HpeSmartStorageDiskDrive", **drive}
            for path, drive in zip(paths, drives, strict=True)
        ),
        {"@odata.id": f"{SYSTEM}/Storage/1", "Name": "NVMe", "Status": FINE, "Drives": [{"@odata.id": nvme}]},
        {"@odata.id": nvme, "Name": "NVMe 1", **(standard or {})},
    )


async def test_hpe_drives_of_smart_array_controllers_are_told_by_their_bay(read: Read) -> None:
    tree = smart_array(
        {"Location": "1I:1:1", "Status": FINE, "Model": "M", "SerialNumber": "1"},
        {"Location": "1I:1:2", "Status": CRITICAL, "Model": "M", "SerialNumber": "2"},
    )
    reading = await seen(read, tree)
    assert fitted(reading, Lamp.DRIVE) == {"Drive 1I:1:1": Verdict.NORMAL, "Drive 1I:1:2": Verdict.CRITICAL}
    assert fitted(reading, Lamp.STORAGE) == {"HpeSmartStorageArrayController": Verdict.NORMAL}


async def test_hpe_drives_are_counted_once_where_both_trees_have_them(read: Read) -> None:
    same = {"Status": FINE, "Model": "M", "SerialNumber": "1"}
    other = {"Location": "1I:1:2", "Status": FINE, "Model": "M", "SerialNumber": "2"}
    reading = await seen(read, smart_array({"Location": "1I:1:1", **same}, other, standard=same))
    assert fitted(reading, Lamp.DRIVE) == {"NVMe 1": Verdict.NORMAL, "Drive 1I:1:2": Verdict.NORMAL}


async def test_hpe_drives_that_do_not_say_their_number_are_all_counted(read: Read) -> None:
    same = {"Status": FINE, "Model": "M"}
    reading = await seen(read, smart_array(same, same, standard=same))
    assert len(fitted(reading, Lamp.DRIVE)) == 3


# Dell


def dell(**system: Any) -> Mapping[str, Any]:
    return {"Oem": {"Dell": {"DellSystem": system}}}


@pytest.mark.parametrize(
    ("word", "verdict"), [("OK", Verdict.NORMAL), ("Degraded", Verdict.WARNING), ("Error", Verdict.CRITICAL)]
)
async def test_dell_roll_ups_count_where_no_part_explains_them(read: Read, word: str, verdict: Verdict) -> None:
    reading = await seen(read, server(dell(BatteryRollupStatus=word)))
    assert fitted(reading, Lamp.BATTERY) == {"BatteryRollupStatus": verdict}


async def test_dell_roll_ups_of_what_a_machine_does_not_have_are_no_lamps(read: Read) -> None:
    tree = server(dell(FanRollupStatus=None, PSRollupStatus="Unknown", SELRollupStatus="Error"))
    assert {lamp.component for lamp in (await seen(read, tree)).lamps} == {"System", "Chassis"}


async def test_dell_roll_up_of_a_drive_that_shows_its_fault_itself_adds_nothing(read: Read) -> None:
    drive = {"@odata.id": f"{SYSTEM}/Storage/1/Drives/1", "Name": "Disk 1", "Status": CRITICAL}
    storage = {
        "@odata.id": f"{SYSTEM}/Storage/1",
        "Name": "PERC",
        "Status": {"State": "Enabled", "Health": "OK", "HealthRollup": "Critical"},
        "Drives": [{"@odata.id": drive["@odata.id"]}],
    }
    tree = server({"Storage": [f"{SYSTEM}/Storage/1"], **dell(StorageRollupStatus="Error")}, None, storage, drive)
    reading = await seen(read, tree)
    assert fitted(reading, Lamp.DRIVE) == {"Disk 1": Verdict.CRITICAL}
    assert fitted(reading, Lamp.STORAGE) == {"PERC": Verdict.NORMAL}


async def test_dell_health_of_memory_may_spell_its_roll_up_differently(read: Read) -> None:
    reading = await seen(read, server({"MemorySummary": {"Status": {"Health": None, "HealthRollUp": "Critical"}}}))
    assert fitted(reading, Lamp.MEMORY) == {"Memory summary": Verdict.CRITICAL}


# Fujitsu


@pytest.mark.parametrize(("word", "verdict"), [("OK", 0), ("Warning", 1), ("Critical", 2), ("NotAvailable", -1)])
async def test_fujitsu_sums_of_power(read: Read, word: str, verdict: int) -> None:
    power = {"@odata.id": f"{CHASSIS}/Power", "Oem": {"ts_fujitsu": {"PsuSumStatus": word, "VoltageSumStatus": "OK"}}}
    reading = await seen(read, server(None, {"Power": {"@odata.id": f"{CHASSIS}/Power"}}, power))
    assert fitted(reading, Lamp.POWER_SUPPLY) == {"PsuSumStatus": Verdict(verdict)}
    assert fitted(reading, Lamp.VOLTAGE) == {"VoltageSumStatus": Verdict.NORMAL}


async def test_fujitsu_tells_the_serial_number_of_the_board(read: Read) -> None:
    board = {"Manufacturer": "FUJITSU", "Model": "D3890", "SerialNumber": "B-1"}
    reading = await seen(read, server({"SerialNumber": "S-1", "Oem": {"ts_fujitsu": {"MainBoard": board}}}))
    assert reading.hardware == Hardware(serial="S-1", board="B-1")


# Lenovo


@pytest.mark.parametrize(("word", "lit"), [("On", True), ("Blinking", True), ("Off", False), ("?", None)])
async def test_lenovo_smm_locate_lamp(read: Read, word: str, lit: bool | None) -> None:
    reading = await seen(read, server(chassis={"Oem": {"Lenovo": {"LED": {"IdentifyLED": {"State": word}}}}}))
    assert reading.locate is lit


# Generations


async def test_old_resources_alone_are_enough(read: Read) -> None:
    thermal = {
        "@odata.id": f"{CHASSIS}/Thermal",
        "Fans": [{"Name": "Fan 1", "Status": FINE, "Reading": 5000, "ReadingUnits": "RPM"}],
        "Temperatures": [{"Name": "Inlet", "Status": CRITICAL, "ReadingCelsius": 60}],
    }
    power = {
        "@odata.id": f"{CHASSIS}/Power",
        "PowerSupplies": [{"Name": "PSU 1", "Status": FINE}, {"Name": "PSU 2", "Status": {"State": "Absent"}}],
        "Voltages": [{"Name": "12V", "ReadingVolts": 12.1}],
        "PowerControl": [{"Name": "Server", "PowerConsumedWatts": 210, "Status": FINE}],
    }
    links = {key: {"@odata.id": f"{CHASSIS}/{key}"} for key in ("Thermal", "Power")}
    reading = await seen(read, server(None, links, thermal, power))
    assert fitted(reading, Lamp.FAN) == {"Fan 1": Verdict.NORMAL}
    assert fitted(reading, Lamp.TEMPERATURE) == {"Inlet": Verdict.CRITICAL}
    assert fitted(reading, Lamp.POWER_SUPPLY) == {"PSU 1": Verdict.NORMAL}
    assert fitted(reading, Lamp.VOLTAGE) == {}
    assert fitted(reading, Lamp.POWER) == {"Server": Verdict.NORMAL}
    assert {(value.sensor, value.value) for value in reading.sensors} == {
        ("Fan 1", 5000.0),
        ("Inlet", 60.0),
        ("12V", 12.1),
        ("Server", 210.0),
    }


async def test_parts_without_a_name_get_that_of_their_list(read: Read) -> None:
    reading = await seen(read, server({"TrustedModules": [{"Status": FINE}, {"Status": CRITICAL}]}))
    assert fitted(reading, Lamp.OTHER) == {"TrustedModules 1": Verdict.NORMAL, "TrustedModules 2": Verdict.CRITICAL}


def both(new: Mapping[str, Any], old: Mapping[str, Any]) -> Tree:
    """A chassis with one fan, described by a resource of today and by one of yesterday."""
    return server(
        None,
        {
            "Thermal": {"@odata.id": f"{CHASSIS}/Thermal"},
            "ThermalSubsystem": {"@odata.id": f"{CHASSIS}/ThermalSubsystem"},
        },
        {"@odata.id": f"{CHASSIS}/Thermal", "Fans": [old]},
        {"@odata.id": f"{CHASSIS}/ThermalSubsystem", "Fans": [f"{CHASSIS}/ThermalSubsystem/Fans/1"]},
        {"@odata.id": f"{CHASSIS}/ThermalSubsystem/Fans/1", **new},
    )


async def test_a_part_of_one_name_takes_the_worse_of_two_verdicts(read: Read) -> None:
    reading = await seen(read, both({"Name": "Fan 1", "Status": FINE}, {"Name": "FAN 1", "Status": CRITICAL}))
    assert fitted(reading, Lamp.FAN) == {"Fan 1": Verdict.CRITICAL}
    (lamp,) = (lamp for lamp in reading.lamps if lamp.lamp is Lamp.FAN)
    assert "/Thermal#/Fans/0" in lamp.evidence


async def test_a_fault_that_only_the_old_resource_tells_is_told(read: Read) -> None:
    reading = await seen(read, both({"Name": "Fan 1", "Status": FINE}, {"Name": "Blower", "Status": CRITICAL}))
    assert fitted(reading, Lamp.FAN) == {"Fan 1": Verdict.NORMAL, "Blower": Verdict.CRITICAL}


async def test_a_part_that_only_the_old_resource_knows_the_state_of_is_told(read: Read) -> None:
    reading = await seen(read, both({"Name": "Fan 1"}, {"Name": "Blower", "Status": FINE}))
    assert fitted(reading, Lamp.FAN) == {"Fan 1": Verdict.UNKNOWN, "Blower": Verdict.NORMAL}


async def test_all_systems_and_all_chassis_are_read(read: Read) -> None:
    tree = tree_of(
        {"@odata.id": "/redfish/v1/Systems/1", "Name": "Host", "PowerState": "On", "Status": FINE},
        {"@odata.id": "/redfish/v1/Systems/GPU", "Name": "GPU tray", "PowerState": "Off", "Status": CRITICAL},
        {"@odata.id": "/redfish/v1/Systems/DPU", "Name": "Card", "SystemType": "DPU", "PowerState": "Off"},
        {"@odata.id": "/redfish/v1/Chassis/1", "Name": "Box", "Status": FINE},
        {"@odata.id": "/redfish/v1/Chassis/2", "Name": "Box", "Status": CRITICAL},
    )
    reading = await seen(read, tree)
    assert fitted(reading, Lamp.SYSTEM) == {
        "Host": Verdict.NORMAL,
        "GPU tray": Verdict.CRITICAL,
        "Card": Verdict.UNKNOWN,
        "Box (1)": Verdict.NORMAL,
        "Box (2)": Verdict.CRITICAL,
    }
    assert reading.power is False


async def test_a_name_stays_when_another_part_of_that_name_comes(read: Read) -> None:
    async with serving(server({"Memory": [f"{SYSTEM}/Memory/1"]})) as service:
        service.tree[f"{SYSTEM}/Memory/1"] = {"Name": "DIMM", "Status": FINE}
        reader = Redfish(RedfishOptions(url=service.url))
        before = await read(service, reader)
        service.tree[f"{SYSTEM}/Memory"]["Members"].append({"@odata.id": f"{SYSTEM}/Memory/2"})
        service.tree[f"{SYSTEM}/Memory/2"] = {"Name": "DIMM", "Status": CRITICAL}
        after = await read(service, reader)
    assert fitted(before, Lamp.MEMORY) == {"DIMM": Verdict.NORMAL}
    assert fitted(after, Lamp.MEMORY) == {"DIMM": Verdict.NORMAL, "DIMM (2)": Verdict.CRITICAL}


async def test_a_fault_that_only_the_old_resource_told_ends_with_it_though_others_are_silent(read: Read) -> None:
    async with serving(both({"Name": "Fan 1", "Status": FINE}, {"Name": "Blower", "Status": CRITICAL})) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        assert fitted(await read(service, reader), Lamp.FAN) == {"Fan 1": Verdict.NORMAL, "Blower": Verdict.CRITICAL}
        service.tree[f"{CHASSIS}/Thermal"]["Fans"][0]["Status"] = FINE
        service.tree[SYSTEM]["Memory"] = {"@odata.id": "/elsewhere"}
        reading = await read(service, reader)
    assert not reading.complete
    assert {lamp.component: lamp.verdict for lamp in reading.lamps if lamp.lamp is Lamp.FAN} == {
        "Fan 1": Verdict.NORMAL,
        "Blower": None,
    }


async def test_what_others_explain_is_no_lamp(read: Read) -> None:
    reading = await seen(read, both({"Name": "Fan 1", "Status": FINE}, {"Name": "Blower", "Status": FINE}))
    assert {lamp.component for lamp in reading.lamps if lamp.lamp is Lamp.FAN} == {"Fan 1"}
