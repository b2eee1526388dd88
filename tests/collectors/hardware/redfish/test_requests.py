"""Kind to the controller: how much it is asked, on servers as large as they come."""

from collections.abc import Mapping
from typing import Any

import pytest

from collectors.hardware.redfish import Redfish, RedfishOptions
from collectors.hardware.redfish.walk import BUDGET, expand_of
from collectors.reading import Lamp, Verdict
from tests.collectors.hardware.redfish.conftest import Read
from tests.peers.redfish_service import Tree, serving, tree_of

ROOT = "/redfish/v1"
SYSTEM = f"{ROOT}/Systems/System.Embedded.1"
MANAGER = f"{ROOT}/Managers/iDRAC.Embedded.1"
CHASSIS = [f"{ROOT}/Chassis/System.Embedded.1", f"{ROOT}/Chassis/Enclosure.Internal.0-1:RAID.Integrated.1-1"]
FINE = {"State": "Enabled", "Health": "OK"}
DRIVES, MODULES, PROCESSORS, FANS, SUPPLIES, SENSORS, LOGS = 24, 32, 2, 12, 2, 60, 6


def many(below: str, count: int) -> list[str]:
    return [f"{below}/{number}" for number in range(1, count + 1)]


def parts(paths: list[str], **data: Any) -> list[Mapping[str, Any]]:
    return [{"@odata.id": path, "Name": path.rpartition("/")[2], "Status": FINE, **data} for path in paths]


def large_server(*, old: bool, new: bool) -> Tree:
    """Two processors, two chassis, two controllers of twelve drives, six logs; by old resources, new ones, or both."""
    main = CHASSIS[0]
    storages = many(f"{SYSTEM}/Storage", 2)
    disks = {storage: many(f"{storage}/Drives", DRIVES // 2) for storage in storages}
    logs = {owner: many(f"{owner}/LogServices", LOGS // 2) for owner in (SYSTEM, MANAGER)}
    chassis: dict[str, Any] = {"@odata.id": main, "Name": "Main", "Status": FINE}
    resources: list[Mapping[str, Any]] = []
    if old:
        chassis |= {key: {"@odata.id": f"{main}/{key}"} for key in ("Thermal", "Power")}
        fans = [{"Name": f"{n}", "Status": FINE} for n in range(1, FANS + 1)]
        supplies = [{"Name": f"{n}", "Status": FINE} for n in range(1, SUPPLIES + 1)]
        resources += [
            {"@odata.id": f"{main}/Thermal", "Fans": fans},
            {"@odata.id": f"{main}/Power", "PowerSupplies": supplies},
        ]
    if new:
        cooling, feeding = f"{main}/ThermalSubsystem", f"{main}/PowerSubsystem"
        chassis |= {"ThermalSubsystem": {"@odata.id": cooling}, "PowerSubsystem": {"@odata.id": feeding}}
        chassis["Sensors"] = many(f"{main}/Sensors", SENSORS)
        resources += [
            {"@odata.id": cooling, "Fans": many(f"{cooling}/Fans", FANS)},
            {"@odata.id": feeding, "PowerSupplies": many(f"{feeding}/PowerSupplies", SUPPLIES)},
            *parts(many(f"{cooling}/Fans", FANS)),
            *parts(many(f"{feeding}/PowerSupplies", SUPPLIES)),
            *parts(many(f"{main}/Sensors", SENSORS), ReadingUnits="Cel", Reading=22),
        ]
    return tree_of(
        {
            "@odata.id": SYSTEM,
            "Name": "System",
            "Status": FINE,
            "Memory": many(f"{SYSTEM}/Memory", MODULES),
            "Processors": many(f"{SYSTEM}/Processors", PROCESSORS),
            "Storage": storages,
            "LogServices": logs[SYSTEM],
        },
        {"@odata.id": MANAGER, "Name": "BMC", "Status": FINE, "LogServices": logs[MANAGER]},
        chassis,
        {"@odata.id": CHASSIS[1], "Name": "Backplane", "Status": FINE},
        *parts(many(f"{SYSTEM}/Memory", MODULES)),
        *parts(many(f"{SYSTEM}/Processors", PROCESSORS)),
        *({**part, "Drives": [{"@odata.id": disk} for disk in disks[part["@odata.id"]]]} for part in parts(storages)),
        *(part for storage in storages for part in parts(disks[storage])),
        *(
            {**part, "Entries": {"@odata.id": f"{part['@odata.id']}/Entries"}, "MaxNumberOfRecords": 100}
            for owner in logs.values()
            for part in parts(owner)
        ),
        *(
            {"@odata.id": f"{path}/Entries", "Members": [], "Members@odata.count": 7}
            for owner in logs.values()
            for path in owner
        ),
        *resources,
    )


def offering(tree: Tree, **expand: object) -> Tree:
    return {**tree, ROOT: {**tree[ROOT], "ProtocolFeaturesSupported": {"ExpandQuery": expand}}}


GENERATIONS = {"old": (True, False), "both": (True, True), "new": (False, True)}


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(
    ("expand", "own"),
    [
        ({"NoLinks": True, "Levels": True, "MaxLevels": 6}, 0),
        ({"NoLinks": True, "Levels": True, "MaxLevels": 1}, DRIVES),
        ({"ExpandAll": True, "Levels": False}, DRIVES),
    ],
    ids=["levels", "one level", "all"],
)
async def test_a_large_server_that_expands_takes_at_most_thirty_requests_and_one_for_each_drive(
    read: Read, generation: str, expand: dict[str, object], own: int
) -> None:
    old, new = GENERATIONS[generation]
    async with serving(offering(large_server(old=old, new=new), **expand)) as service:
        reading = await read(service)
    assert len(service.asked) <= BUDGET + own
    assert len(service.connections) == 1
    count = {lamp: sum(one.lamp is lamp and one.verdict is not None for one in reading.lamps) for lamp in Lamp}
    wanted = {Lamp.DRIVE: DRIVES, Lamp.MEMORY: MODULES, Lamp.PROCESSOR: PROCESSORS, Lamp.FAN: FANS}
    assert {lamp: count[lamp] for lamp in wanted} == wanted
    assert count[Lamp.TEMPERATURE] == (SENSORS if new else 0)
    assert len(reading.logs) == LOGS
    assert Verdict.UNKNOWN not in {lamp.verdict for lamp in reading.lamps}


@pytest.mark.parametrize("generation", ["old", "both"])
async def test_a_large_server_that_does_not_expand_takes_one_more_for_each_part_of_its_own(
    read: Read, generation: str
) -> None:
    old, new = GENERATIONS[generation]
    async with serving(large_server(old=old, new=new)) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        reading = await read(service, reader)
        first = len(service.asked)
        assert first <= BUDGET + DRIVES + MODULES + PROCESSORS
        assert (await read(service, reader)).lamps == reading.lamps
        assert len(service.asked) == 2 * first
    assert sum(lamp.lamp is Lamp.FAN and lamp.verdict is Verdict.NORMAL for lamp in reading.lamps) == FANS
    assert reading.complete
    assert reading.logs


async def test_the_only_word_on_a_part_is_read_beyond_the_budget_and_what_is_left_is_told(read: Read) -> None:
    async with serving(large_server(old=False, new=True)) as service:
        reading = await read(service)
    assert sum(lamp.lamp is Lamp.FAN and lamp.verdict is Verdict.NORMAL for lamp in reading.lamps) == FANS
    (left,) = (lamp for lamp in reading.lamps if lamp.verdict is Verdict.UNKNOWN)
    assert left.lamp is Lamp.TEMPERATURE
    assert "the 30 requests of a read are used up" in left.evidence
    assert reading.complete


async def test_only_one_entry_of_a_log_is_asked_for(read: Read) -> None:
    async with serving(large_server(old=True, new=False)) as service:
        reading = await read(service)
    entries = [said for said in service.asked if "/Entries" in said]
    assert entries
    assert all(said.endswith("/Entries?$top=1") for said in entries)
    assert {(log.entries, log.used_ratio) for log in reading.logs} == {(7, 0.07)}


@pytest.mark.parametrize(
    ("offer", "query"),
    [
        ({"NoLinks": True, "Levels": True, "MaxLevels": 6}, "?$expand=.($levels=2)"),
        ({"NoLinks": True, "ExpandAll": True, "Levels": True, "MaxLevels": 1}, "?$expand=.($levels=1)"),
        ({"NoLinks": True, "Levels": True}, "?$expand=.($levels=2)"),
        ({"NoLinks": True}, "?$expand=."),
        ({"ExpandAll": True, "Levels": True, "MaxLevels": 2}, "?$expand=*($levels=2)"),
    ],
)
def test_expand_is_asked_for_as_it_is_offered(offer: dict[str, object], query: str) -> None:
    expand = expand_of({"ProtocolFeaturesSupported": {"ExpandQuery": offer}})
    assert expand is not None
    assert expand.query(2) == query


@pytest.mark.parametrize("offer", [{}, {"Links": True}, {"NoLinks": False}, {"NoLinks": "yes"}, None, []])
def test_expand_is_not_asked_for_where_it_is_not_offered(offer: object) -> None:
    assert expand_of({"ProtocolFeaturesSupported": {"ExpandQuery": offer}}) is None
