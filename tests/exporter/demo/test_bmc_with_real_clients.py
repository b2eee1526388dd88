"""ipmitool and FreeIPMI are the judges of the simulated BMC."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from exporter.demo.bmc import Bmc

Program = Callable[..., Awaitable[tuple[int, str]]]

both_suites = pytest.mark.parametrize("suite", ["17", "3"])


@pytest.fixture
def ipmitool(bmc: Bmc, program: Program) -> Callable[..., Awaitable[tuple[int, str]]]:
    async def run(command: str, suite: str = "17", password: str = bmc.password) -> tuple[int, str]:
        where = ("-I", "lanplus", "-C", suite, "-H", "127.0.0.1", "-p", str(bmc.port), "-N", "1", "-R", "2")
        return await program("ipmitool", *where, "-U", "monitor", "-P", password, *command.split())

    return run


@pytest.fixture
def ipmi_sensors(bmc: Bmc, program: Program, tmp_path: Path) -> Callable[..., Awaitable[tuple[int, str]]]:
    async def run(suite: str = "17", password: str = bmc.password, username: str = "monitor") -> tuple[int, str]:
        where = ("-D", "LAN_2_0", "-I", suite, "-h", f"127.0.0.1:{bmc.port}", "-l", "USER")
        form = ("--comma-separated-output", "--output-sensor-state", f"--sdr-cache-directory={tmp_path}")
        return await program("ipmi-sensors", *where, *form, "-Q", "-u", username, "-p", password)

    return run


def fields(output: str) -> dict[str, str]:
    pairs = (line.partition(":") for line in output.splitlines())
    return {key.strip(): value.strip() for key, _, value in pairs}


@both_suites
async def test_ipmitool_reads_everything_and_leaves_no_session_behind(bmc: Bmc, ipmitool: Program, suite: str) -> None:
    status, output = await ipmitool("chassis status", suite)
    assert status == 0, output
    assert fields(output)["System Power"] == "on"
    assert fields(output)["Drive Fault"] == "false"

    status, output = await ipmitool("sdr list", suite)
    assert status == 0, output
    rows = [[cell.strip() for cell in line.split("|")] for line in output.splitlines()]
    assert rows == [
        ["Inlet Temp", "24 degrees C", "ok"],
        ["12V", "12.06 Volts", "ok"],
        ["Fan 1", "5600 RPM", "ok"],
        ["Fan 2", "no reading", "ns"],
        ["Drive 1", "0x01", "ok"],
        ["PS1", "0x01", "ok"],
    ]

    status, output = await ipmitool("mc info", suite)
    assert status == 0, output
    assert fields(output)["IPMI Version"] == "2.0"
    assert fields(output)["Firmware Revision"] == "1.23"

    status, output = await ipmitool("fru print", suite)
    assert status == 0, output
    assert fields(output)["Product Manufacturer"] == "Sample"
    assert fields(output)["Product Name"] == "Model S"
    assert fields(output)["Product Serial"] == "S-42"

    status, output = await ipmitool("sel info", suite)
    assert status == 0, output
    assert fields(output)["Entries"] == "12"
    assert fields(output)["Overflow"] == "false"

    assert (bmc.sessions_opened, bmc.sessions_closed, bmc.sessions_open, bmc.sessions_peak) == (5, 5, 0, 1)


@both_suites
async def test_freeipmi_reads_every_sensor_and_leaves_no_session_behind(
    bmc: Bmc, ipmi_sensors: Program, suite: str
) -> None:
    status, output = await ipmi_sensors(suite)
    assert status == 0, output
    assert output.splitlines()[1:] == [
        "1,Inlet Temp,Temperature,Nominal,24.00,C,'OK'",
        "2,12V,Voltage,Nominal,12.06,V,'OK'",
        "3,Fan 1,Fan,Nominal,5600.00,RPM,'OK'",
        "4,Fan 2,Fan,N/A,N/A,RPM,N/A",
        "5,Drive 1,Drive Slot,Nominal,N/A,N/A,'Drive Presence'",
        "6,PS1,Power Supply,Nominal,N/A,N/A,'Presence detected'",
    ]
    assert bmc.sessions_opened == bmc.sessions_closed > 0
    assert bmc.sessions_open == 0


async def test_what_changes_at_run_time_is_what_clients_read(
    bmc: Bmc, ipmitool: Program, ipmi_sensors: Program
) -> None:
    bmc.set_sensor("Fan 1", reading=600)
    bmc.set_sensor("Inlet Temp", reading=43)
    bmc.set_sensor("Drive 1", states=0b011)
    bmc.set_sensor("PS1", states=None)
    bmc.drive_fault = bmc.intrusion = bmc.power_fault = bmc.fan_fault = True
    bmc.power = False
    bmc.event_log_overflow = True

    _, output = await ipmi_sensors()
    states = {row[1]: (row[3], row[6]) for line in output.splitlines()[1:] if (row := line.split(","))}
    assert states["Fan 1"] == ("Critical", "'At or Below (<=) Lower Critical Threshold'")
    assert states["Inlet Temp"][1] == "'At or Above (>=) Upper Non-Critical Threshold'"
    assert states["Drive 1"] == ("Critical", "'Drive Presence' 'Drive Fault'")
    assert states["PS1"] == ("N/A", "N/A")

    _, output = await ipmitool("chassis status")
    status = fields(output)
    assert status["System Power"] == "off"
    assert status["Main Power Fault"] == "true"
    assert status["Chassis Intrusion"] == "active"
    assert status["Drive Fault"] == "true"
    assert status["Cooling/Fan Fault"] == "true"
    _, output = await ipmitool("sel info")
    assert fields(output)["Overflow"] == "true"


async def test_ipmitool_finds_the_best_cipher_suite_by_itself(bmc: Bmc, program: Program) -> None:
    bmc.suites = (3,)
    where = ("-I", "lanplus", "-H", "127.0.0.1", "-p", str(bmc.port), "-N", "1", "-R", "2")
    status, output = await program("ipmitool", *where, "-U", "monitor", "-P", bmc.password, "mc", "info")
    assert status == 0, output
    assert "Unable" not in output


async def test_a_suite_that_is_not_offered_is_refused(bmc: Bmc, ipmi_sensors: Program) -> None:
    bmc.suites = (3,)
    status, output = await ipmi_sensors("17")
    assert status != 0
    assert "cipher suite id unavailable" in output


@both_suites
async def test_a_wrong_password_is_refused(bmc: Bmc, ipmi_sensors: Program, ipmitool: Program, suite: str) -> None:
    status, output = await ipmi_sensors(suite, password="wrong")
    assert (status, output.rpartition(": ")[2]) == (1, "password invalid\n")
    status, output = await ipmitool("mc info", suite, password="wrong")
    assert status == 1
    assert bmc.sessions_opened == 0


async def test_an_unknown_user_is_refused(ipmi_sensors: Program) -> None:
    status, output = await ipmi_sensors(username="nobody")
    assert (status, output.rpartition(": ")[2]) == (1, "username invalid\n")
