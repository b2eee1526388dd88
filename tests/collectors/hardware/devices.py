"""One and the same machine behind each source, for the promises that every source keeps (test_conformance.py).

A new source adds a function to `DEVICES`: an asynchronous context manager that plays a `Machine` and gives the source's
options and its credential.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from collectors.registry import LampTarget
from collectors.secret import Credential, Secret
from tests.peers.ipmi_sim import SPECIFIC, SUPPLY, SimSensor, name_field
from tests.peers.redfish_service import RedfishService, credential, tree_of
from tests.peers.scripted_bmc import GET_CHASSIS_STATUS, OK, READ_FRU, ScriptedBmc
from tests.peers.snmp_agent import SnmpAgent, integer, oid, text

SOUND, FAILED, ABSENT, SILENT = "sound", "failed", "absent", "silent"


@dataclass(frozen=True)
class Machine:
    """What it shows: the state of each power supply, and the locate lamp. Every roll-up says that all is well."""

    supplies: tuple[str, ...] = (SOUND, SOUND, ABSENT, SILENT)
    locate: bool = False
    serial: str = "S-1"


Device = Callable[[Machine], AbstractAsyncContextManager[tuple[dict[str, object], LampTarget]]]


@asynccontextmanager
async def ipmi(machine: Machine) -> AsyncIterator[tuple[dict[str, object], LampTarget]]:
    """Play it by sensors of type power supply: bit 0 present, bit 1 failed, bit 5 of the second byte unreadable."""
    states = {SOUND: (0xC0, 0b01), FAILED: (0xC0, 0b11), ABSENT: (0xC0, 0), SILENT: (0xE0, 0)}
    sensors = [
        SimSensor(number, f"PSU {number}", SUPPLY, SPECIFIC, readable=(0, 1), entity=(10, number))
        for number in range(1, len(machine.supplies) + 1)
    ]
    readings = {number: bytes([0, *states[state], 0]) for number, state in enumerate(machine.supplies, 1)}
    records = [sensor.record(number) for number, sensor in enumerate(sensors)]
    async with ScriptedBmc(records=records, readings=readings) as bmc:
        bmc.answers[READ_FRU] = lambda request: fru_part(machine.serial, request)
        bmc.answers[GET_CHASSIS_STATUS] = OK + bytes([0x01, 0x10, 0x60 if machine.locate else 0x40, 0x70])
        yield {"address": "127.0.0.1", "port": bmc.port}, LampTarget(Credential(bmc.username, Secret(bmc.password)))


def fru_part(serial: str, request: bytes) -> bytes:
    """Return a part of an inventory with a product area alone (FRU Information Storage Definition, 8 and 12)."""
    fields = b"".join(map(name_field, ("Example", "X1", "P-1", "1.0", serial)))
    area = bytes([1, 0, 0x19]) + fields + b"\xc1"
    area = area.ljust(-(-(len(area) + 1) // 8) * 8, b"\0")
    inventory = bytes([1, 0, 0, 0, 1, 0, 0, 0xFE]) + area[:1] + bytes([len(area) // 8]) + area[2:]
    at, count = request[1] | request[2] << 8, request[3]
    part = inventory[at : at + count]
    return OK + bytes([len(part)]) + part


@asynccontextmanager
async def snmp(machine: Machine) -> AsyncIterator[tuple[dict[str, object], LampTarget]]:
    """Play it by a Dell iDRAC: globalSystemStatus, powerSupplyStatus and its sensor state, chassis identify flash."""
    idrac = "1.3.6.1.4.1.674.10892.5"
    states = {SOUND: (3, 1), FAILED: (5, 3), ABSENT: (3, 0), SILENT: (2, 1)}
    tree = {
        "1.3.6.1.2.1.1.1.0": text("Dell Out-of-band SNMP Agent for Remote Access Controller"),
        "1.3.6.1.2.1.1.2.0": oid(idrac),
        f"{idrac}.1.3.2.0": text(machine.serial),
        f"{idrac}.1.3.12.0": text("PowerEdge R640"),
        f"{idrac}.2.1.0": integer(3),
        f"{idrac}.2.4.0": integer(4),
        f"{idrac}.4.200.10.1.9.1": integer(3),
        f"{idrac}.4.300.10.1.29.1": integer(8 if machine.locate else 0),
    }
    for number, state in enumerate(machine.supplies, 1):
        status, bits = states[state]
        row = f"{idrac}.4.600.12.1"
        tree |= {
            f"{row}.5.1.{number}": integer(status),
            f"{row}.8.1.{number}": text(f"PSU {number}"),
            f"{row}.11.1.{number}": integer(bits),
        }
    async with SnmpAgent(tree) as agent:
        yield (
            {"address": "127.0.0.1", "port": agent.port},
            LampTarget(Credential(secrets={"community": Secret(agent.community)})),
        )


@asynccontextmanager
async def redfish(machine: Machine) -> AsyncIterator[tuple[dict[str, object], LampTarget]]:
    """Play it by a Power resource of the old kind, and a system whose roll-up is OK."""
    well = {"State": "Enabled", "Health": "OK", "HealthRollup": "OK"}
    states: dict[str, dict[str, str]] = {
        SOUND: {"State": "Enabled", "Health": "OK"},
        FAILED: {"State": "Enabled", "Health": "Critical"},
        ABSENT: {"State": "Absent"},
        SILENT: {},
    }
    supplies = [
        {"MemberId": str(number), "Name": f"PSU {number}", "Status": states[state]}
        for number, state in enumerate(machine.supplies, 1)
    ]
    tree = tree_of(
        {
            "@odata.id": "/redfish/v1/Systems/1",
            "Id": "1",
            "Status": well,
            "PowerState": "On",
            "Manufacturer": "Example",
            "Model": "X1",
            "SerialNumber": machine.serial,
            "IndicatorLED": "Lit" if machine.locate else "Off",
        },
        {
            "@odata.id": "/redfish/v1/Chassis/1",
            "Id": "1",
            "Status": well,
            "Power": {"@odata.id": "/redfish/v1/Chassis/1/Power"},
        },
        {"@odata.id": "/redfish/v1/Chassis/1/Power", "Id": "Power", "PowerSupplies": supplies},
    )
    async with RedfishService(tree) as service:
        yield {"url": service.url}, LampTarget(credential())


DEVICES: dict[str, Device] = {"ipmi": ipmi, "snmp": snmp, "redfish": redfish}
"""By the name under which the source is registered."""
