"""The reader on the DMTF's recorded rack server, by the outcome that the recordings' README expects."""

from contextlib import AbstractAsyncContextManager

import pytest

from collectors.hardware.redfish import Redfish, RedfishOptions
from collectors.hardware.redfish.walk import BUDGET
from collectors.reading import EventLogReading, Hardware, HardwareReading, Lamp, Quantity, Verdict
from tests.collectors.hardware.redfish.conftest import Read
from tests.peers.redfish_service import RedfishService, Tree, serving

Service = AbstractAsyncContextManager[RedfishService]

PARTS_OF_THEIR_OWN = 4 + 3
"""Memory modules and processors; its drives are listed by their controller."""


@pytest.fixture(params=["expands", "offers it in vain", "knows no queries"])
def service(request: pytest.FixtureRequest, mockup: Tree) -> Service:
    """The mockup as a service that expands collections, as one that ignores that, and as a mere file server."""
    return serving(mockup, expands=request.param == "expands", knows_queries=request.param != "knows no queries")


def abnormal(reading: HardwareReading) -> dict[str, tuple[Lamp, Verdict]]:
    return {
        lamp.component: (lamp.lamp, lamp.verdict)
        for lamp in reading.lamps
        if lamp.verdict is not None and lamp.verdict >= Verdict.WARNING
    }


async def test_a_warning_of_a_supply_and_of_a_drive_and_of_nothing_else(service: Service, read: Read) -> None:
    async with service as running:
        reading = await read(running)
    assert abnormal(reading) == {
        "SATA Bay 2": (Lamp.DRIVE, Verdict.WARNING),
        "Power Supply Bay 1": (Lamp.POWER_SUPPLY, Verdict.WARNING),
    }
    assert reading.locate is True
    assert reading.power is True
    assert reading.complete


async def test_each_part_is_counted_once_though_old_and_new_resources_list_it(mockup: Tree, read: Read) -> None:
    async with serving(mockup) as service:
        reading = await read(service)
    fitted = [lamp for lamp in reading.lamps if lamp.verdict is not None]
    assert sorted(lamp.component for lamp in fitted if lamp.lamp is Lamp.FAN) == [
        "Fan Bay 1",
        "Fan Bay 2",
        "Fan for CPU 1",
        "Fan for CPU 2",
    ]
    assert [lamp.component for lamp in fitted if lamp.lamp is Lamp.POWER_SUPPLY] == ["Power Supply Bay 1"]
    values = [sensor.sensor for sensor in reading.sensors if sensor.quantity is Quantity.TEMPERATURE]
    assert len(values) == 8
    assert "CPU1 Temp" not in values


async def test_empty_places_have_no_verdict(service: Service, read: Read) -> None:
    async with service as running:
        reading = await read(running)
    absent = {lamp.component for lamp in reading.lamps if lamp.verdict is None}
    assert {"DIMM Slot 4", "Processor (CPU2)", "SATA Bay 3", "SATA Bay 4", "Power Supply Bay 2"} <= absent
    assert all(
        '"State": "Absent"' in one.evidence or '"Disabled"' in one.evidence
        for one in reading.lamps
        if one.component in absent
    )


async def test_it_says_who_the_machine_is_and_how_full_its_logs_are(mockup: Tree, read: Read) -> None:
    async with serving(mockup) as service:
        reading = await read(service)
    assert reading.hardware == Hardware("Contoso", "3500", "437XR1138R2", "1.45.455b66-rev4")
    assert reading.logs == (
        EventLogReading("System Log Service (Log1)", 2, 0.002),
        EventLogReading("System Log Service (Log)", 1, 0.001),
    )


async def test_the_evidence_is_path_and_property_as_they_were_sent(mockup: Tree, read: Read) -> None:
    async with serving(mockup) as service:
        reading = await read(service)
    (supply,) = (lamp for lamp in reading.lamps if lamp.component == "Power Supply Bay 1")
    assert supply.evidence == (
        "/redfish/v1/Chassis/1U/PowerSubsystem/PowerSupplies/Bay1 "
        'Status={"State": "Enabled", "Health": "Warning"}, LineInputStatus="Normal"'
    )


async def test_at_most_thirty_requests_on_one_connection_in_one_session(service: Service, read: Read) -> None:
    async with service as running:
        reader = Redfish(RedfishOptions(url=running.url))
        await read(running, reader)
        assert len(running.asked) <= BUDGET + (0 if running.expands else PARTS_OF_THEIR_OWN)
        assert len(set(running.asked)) == len(running.asked)
        assert len(running.connections) == 1
        assert (running.opened, running.sessions) == (1, {})
        running.asked.clear()
        reading = await read(running, reader)
    assert len(running.asked) <= BUDGET + (0 if running.expands else PARTS_OF_THEIR_OWN)
    assert reading.logs
