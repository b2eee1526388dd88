"""The reader against OpenIPMI's simulator, with FreeIPMI's ipmi-sensors as the second opinion on the same BMC."""

import asyncio
import contextlib
import csv
import io
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from collectors.failures import Refused, Unauthorized, Unavailable
from collectors.hardware.ipmi import Ipmi, IpmiOptions, session
from collectors.reading import Hardware, HardwareReading, Lamp, Quantity, Verdict
from collectors.registry import SOURCES, LampTarget
from collectors.secret import Credential, Secret
from tests.peers.ipmi_sim import (
    DRIVE,
    PRESENCE,
    SENSORS,
    SPECIFIC,
    TEMPERATURE,
    IpmiSim,
    SimSensor,
    free_port,
    temperature,
)

Read = Callable[..., Awaitable[HardwareReading]]
Sim = Callable[..., IpmiSim]


def verdicts(reading: HardwareReading) -> dict[str, Verdict | None]:
    return {lamp.component: lamp.verdict for lamp in reading.lamps}


def test_the_source_is_registered_under_its_name() -> None:
    assert SOURCES["ipmi"].build is Ipmi
    assert SOURCES["ipmi"].options is IpmiOptions


async def test_a_server_in_order_has_only_normal_lamps_and_none_for_its_empty_slot(sim: Sim, read: Read) -> None:
    with sim() as bmc:
        reading = await read(bmc)
    assert reading.complete
    assert reading.power is True
    assert reading.locate is None
    absent = {component for component, verdict in verdicts(reading).items() if verdict is None}
    assert absent == {"DIMM A2"}
    assert {verdict for verdict in verdicts(reading).values() if verdict is not None} == {Verdict.NORMAL}
    assert len(reading.lamps) == 25 + 4 + 1  # sensors with limits or states, chassis status, event log
    assert {lamp.component for lamp in reading.lamps} >= {"Temp (3.1)", "Temp (3.2)", "Chassis power", "SEL"}


async def test_measured_values_are_in_the_units_of_their_quantities(sim: Sim, read: Read) -> None:
    with sim() as bmc:
        reading = await read(bmc)
    values = {sensor.sensor: (sensor.quantity, sensor.value) for sensor in reading.sensors}
    assert values["Ambient Temp"] == (Quantity.TEMPERATURE, 21.5)
    assert values["PCH Temp"] == (Quantity.TEMPERATURE, -10.0)
    assert values["Fan 1"] == (Quantity.FAN_SPEED, 4100.0)
    assert values["12V"] == (Quantity.VOLTAGE, 11.956)
    assert values["VBAT"] == (Quantity.VOLTAGE, 3.05)
    assert values["PSU1 Current"] == (Quantity.CURRENT, 1.5)
    assert values["Total Power"] == (Quantity.POWER, 228.0)


async def test_a_failed_drive_a_lost_supply_and_a_hot_processor_are_told_and_forgiven(sim: Sim, read: Read) -> None:
    with sim() as bmc:
        reader = Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port))
        await read(bmc, reader)
        bmc.set_states("Drive 1", 0, 1)
        bmc.set_states("PSU2 Status", 0, 3)
        bmc.set_states("PS Redundancy", 1)
        bmc.set_raw("CPU Temp", 85)
        told = await read(bmc, reader)
        bmc.set_states("Drive 1", 0)
        mended = await read(bmc, reader)
    lamps = {lamp.component: lamp for lamp in told.lamps}
    assert (lamps["Drive 1"].lamp, lamps["Drive 1"].verdict) == (Lamp.DRIVE, Verdict.CRITICAL)
    assert lamps["Drive 1"].evidence == "reading=00 c0 03 00"
    assert lamps["Drive 2"].verdict == Verdict.NORMAL
    assert (lamps["PSU2 Status"].lamp, lamps["PSU2 Status"].verdict) == (Lamp.POWER_SUPPLY, Verdict.CRITICAL)
    assert (lamps["PS Redundancy"].lamp, lamps["PS Redundancy"].verdict) == (Lamp.POWER, Verdict.CRITICAL)
    assert (lamps["CPU Temp"].lamp, lamps["CPU Temp"].verdict) == (Lamp.TEMPERATURE, Verdict.WARNING)
    assert verdicts(mended)["Drive 1"] == Verdict.NORMAL


async def test_a_server_that_is_powered_off_says_so(sim: Sim, read: Read) -> None:
    with sim() as bmc:
        bmc.set_power(on=False)
        assert (await read(bmc)).power is False


async def test_sensor_data_records_are_read_once_and_again_when_the_repository_changed(sim: Sim, read: Read) -> None:
    def records_read(reading: HardwareReading) -> int:
        return sum(line.startswith("0a/23") for line in reading.transcript)

    with sim() as bmc:
        reader = Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port))
        first, second = await read(bmc, reader), await read(bmc, reader)
        added = temperature(50, "Riser Temp", 35)
        for command in added.commands(len(SENSORS) + 1):
            bmc.command(command)
        third = await read(bmc, reader)
    assert records_read(first) >= len(SENSORS)
    assert records_read(second) == 0
    assert second.lamps == first.lamps
    assert verdicts(third)["Riser Temp"] == Verdict.NORMAL


async def test_a_wrong_password_is_our_credential_not_an_outage(sim: Sim, read: Read, target: LampTarget) -> None:
    with sim(password="another-password") as bmc:
        with pytest.raises(Unauthorized) as failure:
            await read(bmc)
        assert failure.value.step == "log-in"
        assert "secret-of-the-bmc" not in "".join((*failure.value.transcript, str(failure.value)))


async def test_an_unknown_user_is_our_credential_too(sim: Sim) -> None:
    stranger = LampTarget(Credential("stranger", Secret("secret-of-the-bmc")))
    with sim() as bmc:
        with pytest.raises(Unauthorized) as failure:
            await Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port)).read(stranger, 1e12)
        assert failure.value.step == "log-in"


async def test_a_bmc_without_records_proves_nothing(sim: Sim, read: Read) -> None:
    with sim(sensors=()) as bmc, pytest.raises(Unavailable) as failure:
        await read(bmc)
    assert failure.value.step == "sdr"


async def test_a_closed_port_is_refused_at_once(read: Read) -> None:
    with pytest.raises(Refused) as failure:
        await read(free_port(socket.SOCK_DGRAM))
    assert failure.value.step == "open session"


async def test_a_satellite_controller_that_is_gone_costs_only_its_own_sensors(sim: Sim, read: Read) -> None:
    lost = (temperature(1, "Riser Temp", 44, owner=RISER), temperature(2, "Riser Temp 2", 44, owner=RISER))
    with sim(sensors=(*SENSORS, *lost)) as bmc:
        bmc.command(f"mc_disable 0x{RISER:02x}")
        reading = await read(bmc)
    lamps = {lamp.component: lamp for lamp in reading.lamps}
    assert lamps["Riser Temp"].verdict == Verdict.UNKNOWN
    assert lamps["Riser Temp"].evidence == "completion code 83h"
    assert lamps["Riser Temp 2"].evidence == "controller 72h does not answer"
    assert lamps["CPU Temp"].verdict == Verdict.NORMAL


async def test_records_of_a_bmc_without_a_repository_are_those_of_its_devices(sim: Sim, read: Read) -> None:
    sensors = SENSORS[:3]
    with sim(sensors=sensors, device_records=True) as bmc:
        reading = await read(bmc)
    assert reading.complete
    assert {sensor.sensor for sensor in reading.sensors} == {"CPU Temp", "Ambient Temp", "Temp"}
    assert any(line.startswith("04/21") for line in reading.transcript)


async def test_sensors_of_one_number_on_other_luns_are_others(sim: Sim, read: Read) -> None:
    elsewhere = [temperature(1, f"LUN {lun} Temp", 50 + lun, lun=lun) for lun in (1, 3)]
    with sim(sensors=(*SENSORS, *elsewhere)) as bmc:
        reading = await read(bmc)
    values = {sensor.sensor: sensor.value for sensor in reading.sensors}
    assert (values["CPU Temp"], values["LUN 1 Temp"], values["LUN 3 Temp"]) == (42.0, 51.0, 53.0)


async def test_the_event_log_fills_and_overflows(sim: Sim, read: Read) -> None:
    with sim() as bmc:
        bmc.command("sel_enable 0x20 4 0x0a")
        fills = []
        for _ in range(6):
            reading = await read(bmc)
            (lamp,) = [lamp for lamp in reading.lamps if lamp.component == "SEL"]
            fills.append((reading.logs[0].entries, reading.logs[0].used_ratio, lamp.verdict))
            with contextlib.suppress(RuntimeError):  # the fifth does not fit in
                bmc.command("sel_add 0x20 2 0 0 0 0 0x20 0 4 1 1 1 1 0 0")
    assert fills == [
        *((count, count / 4, Verdict.NORMAL) for count in range(5)),
        (4, 1.0, Verdict.WARNING),
    ]


@pytest.fixture
def cancelled_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> Callable[[IpmiSim, int], Awaitable[None]]:
    """Read a BMC once, cancelled when the message with this number has just been sent."""
    exchange, left = session.Session._exchange, 0

    async def counting(talk: session.Session, *arguments: Any) -> bytes:
        nonlocal left
        left -= 1
        task = asyncio.current_task()
        if left == 0 and task is not None:
            task.cancel()
        return await exchange(talk, *arguments)

    async def once(bmc: IpmiSim, number: int) -> None:
        nonlocal left
        left = number
        running = asyncio.ensure_future(read(bmc))
        with pytest.raises(asyncio.CancelledError):
            await running

    monkeypatch.setattr(session.Session, "_exchange", counting)
    return once


OPEN_SUITE_3, RAKP_1, RAKP_3 = 2, 3, 4
"""Messages of a log-in to the simulator, which refuses suite 17 first."""
SIMULATORS_SLOTS = 63


async def test_no_cancelled_read_leaves_its_session_behind(
    sim: Sim, read: Read, cancelled_read: Callable[[IpmiSim, int], Awaitable[None]]
) -> None:
    with sim() as bmc:
        for number in (RAKP_3, 5, 6, 7, 8, 9, 10, 30, 50):
            await cancelled_read(bmc, number)
        assert (await read(bmc)).complete
        assert bmc.sessions() == (10, 10)


@pytest.mark.parametrize("number", [OPEN_SUITE_3, RAKP_1])
async def test_no_cancelled_log_in_holds_a_slot(
    sim: Sim, read: Read, cancelled_read: Callable[[IpmiSim, int], Awaitable[None]], number: int
) -> None:
    with sim() as bmc:
        for _ in range(2 * SIMULATORS_SLOTS):
            await cancelled_read(bmc, number)
        assert (await read(bmc)).complete


def fru() -> bytes:
    """An inventory with a board and a product area."""

    def text(value: str) -> bytes:
        return bytes([0xC0 | len(value)]) + value.encode()

    def area(head: bytes, *values: str) -> bytes:
        body = head + b"".join(text(value) for value in values) + b"\xc1"
        length = -(-(len(body) + 2) // 8)
        body = bytes([body[0], length]) + body[1:]
        body = body.ljust(length * 8 - 1, b"\0")
        return body + bytes([-sum(body) & 0xFF])

    board = area(b"\x01\x19\0\0\0", "Board Maker", "X12 board", "B-0001", "part")
    product = area(b"\x01\x19", "Maker", "PowerServe 640", "model", "1.0", "SN-4711")
    header = bytes([1, 0, 0, 1, 1 + len(board) // 8, 0, 0])
    return header + bytes([-sum(header) & 0xFF]) + board + product


async def test_the_inventory_gives_model_and_serial_numbers_of_machine_and_board(sim: Sim, read: Read) -> None:
    with sim(fru=fru()) as bmc:
        reader = Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port))
        reading, again = await read(bmc, reader), await read(bmc, reader)
    assert reading.hardware == Hardware("Dell", "PowerServe 640", "SN-4711", "2.43", "B-0001")
    assert again.hardware == reading.hardware
    assert not any(line.startswith("0a/11") for line in again.transcript)


AGREEMENT = (
    *SENSORS,
    SimSensor(60, "Fan Presence", 0x04, PRESENCE, states=(1,), readable=(0, 1), entity=(29, 9)),
    SimSensor(61, "Drive 3", DRIVE, SPECIFIC, states=(0, 1), readable=(0, 1, 2), entity=(4, 3)),
    SimSensor(62, "Inlet K", TEMPERATURE, raw=200, unit=3, m=15, exponent=-1, limits=(1, 1, 1, 250, 251, 252)),
    SimSensor(63, "Ones Temp", TEMPERATURE, raw=0xF5, unit=1, units_1=0x40, limits=()),
    SimSensor(64, "Squared", 0x02, raw=12, unit=4, linearisation=8, exponent=-1, limits=()),
    SimSensor(65, "Inverse", 0x02, raw=12, unit=4, linearisation=7, m=3, b=-2, b_exponent=1, exponent=-2, limits=()),
    SimSensor(66, "Fan Ratio", 0x04, raw=39, units_1=0x01, m=392, exponent=-3, limits=()),
    SimSensor(67, "Off Temp", TEMPERATURE, raw=39, unit=1, limits=(5, 3, 0, 80, 90, 100), scanning=False),
)
RISER = 0x72
BRIDGED = (
    *AGREEMENT,
    temperature(1, "Riser Temp", 44, owner=RISER, entity=(11, 1)),
    SimSensor(2, "Riser Drive", DRIVE, SPECIFIC, states=(0, 1), readable=(0, 1), owner=RISER, entity=(4, 9)),
)
UNITS = {"C": 1.0, "RPM": 1.0, "V": 1.0, "A": 1.0, "W": 1.0, "%": 0.01}


async def test_every_sensor_agrees_with_freeipmi_on_the_same_bmc(
    sim: Sim, read: Read, freeipmi: str, tmp_path: Path
) -> None:
    with sim(sensors=BRIDGED) as bmc:
        bmc.set_states("Drive 1", 0, 1)
        bmc.set_states("CPU1 Status", 7, 0)
        bmc.set_raw("CPU Temp", 95)
        bmc.set_raw("Fan 3", 3)
        reading = await read(bmc)
        rows = ipmi_sensors(freeipmi, bmc, tmp_path)
    ours = verdicts(reading)
    values = {sensor.sensor: sensor for sensor in reading.sensors}
    assert len(rows) == len(BRIDGED)
    repeated = {"Temp"}
    for row, sensor in zip(rows, BRIDGED, strict=True):
        name = sensor.name
        assert row["Name"] == name
        component = f"{name} ({sensor.entity[0]}.{sensor.entity[1]})" if name in repeated else name
        verdict = ours.get(component, "no lamp")
        if row["State"] == "Critical":
            assert verdict == Verdict.CRITICAL, name
        elif row["State"] == "N/A":
            assert verdict == Verdict.UNKNOWN, name
        else:
            # Its "nominal" is our normal, our empty place, or no lamp where the sensor has no limits.
            assert verdict in {Verdict.NORMAL, None, "no lamp"}, name
            assert row["State"] == "Nominal", name
        if row["Reading"] == "N/A" or row["Units"] not in UNITS:
            continue
        expected = float(row["Reading"]) * UNITS[row["Units"]]
        assert values[component].value == pytest.approx(expected, abs=0.006), name


def ipmi_sensors(program: str, bmc: IpmiSim, folder: Path) -> list[dict[str, str]]:
    """Return FreeIPMI's table. "opensesspriv": the simulator wants the privilege level when the session is opened."""
    done = subprocess.run(
        [
            program,
            *("--driver-type=LAN_2_0", f"--hostname=127.0.0.1:{bmc.port}"),
            *(f"--username={bmc.username}", f"--password={bmc.password}"),
            *("--privilege-level=USER", "--cipher-suite-id=3", "--workaround-flags=opensesspriv"),
            *(f"--sdr-cache-directory={folder}", "--quiet-cache"),
            *("--comma-separated-output", "--output-sensor-state", "--bridge-sensors"),
        ],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
        env={**os.environ, "HOME": str(folder)},
    )
    return list(csv.DictReader(io.StringIO(done.stdout)))
