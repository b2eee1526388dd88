"""A management controller that is asked by SNMP: the objects that a Dell iDRAC has (IDRAC-MIB-SMIv2)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum

from exporter.demo.snmp import Oid, SnmpAgent, Value, oid

SYSTEM = oid("1.3.6.1.2.1.1")
IDRAC = oid("1.3.6.1.4.1.674.10892.5")
CHASSIS_INFORMATION = (*IDRAC, 4, 300, 10, 1)
SYSTEM_STATE = (*IDRAC, 4, 200, 10, 1)
POWER_SUPPLIES = (*IDRAC, 4, 600, 12, 1)
COOLING_DEVICES = (*IDRAC, 4, 700, 12, 1)
TEMPERATURE_PROBES = (*IDRAC, 4, 700, 20, 1)
PHYSICAL_DISKS = (*IDRAC, 5, 1, 20, 130, 4, 1)
IDENTIFYING = 8
POWER_ON = 4
ONLINE = 3


class Health(IntEnum):
    """ObjectStatusEnum and StatusProbeEnum, as far as they are the same."""

    OK = 3
    NON_CRITICAL = 4
    CRITICAL = 5


class Supply(IntEnum):
    """Bits of powerSupplySensorState."""

    PRESENT = 1
    FAILED = 2
    PREDICTIVE_FAILURE = 4


@dataclass(eq=False)
class Idrac:
    """One controller. Change a field, then say `changed`."""

    serial: str
    community: str = field(repr=False)
    model: str = "Demo Server S"
    supplies: list[int] = field(default_factory=lambda: [Supply.PRESENT, Supply.PRESENT])
    drives: list[Health] = field(default_factory=lambda: [Health.OK, Health.OK])
    identify: bool = False

    def __post_init__(self) -> None:
        self.agent = SnmpAgent(self.community)
        self.changed()

    @property
    def port(self) -> int:
        """Where it answers."""
        return self.agent.port

    async def start(self, host: str) -> None:
        """Answer on a free port. Raises OSError."""
        await self.agent.start(host)

    def stop(self) -> None:
        """Give the port back."""
        self.agent.stop()

    def changed(self) -> None:
        """Show what the fields say now."""
        self.agent.serve(dict(self._objects()))

    def _objects(self) -> Iterator[tuple[Oid, Value]]:
        supplies = [_supply_health(bits) for bits in self.supplies]
        yield (*SYSTEM, 1, 0), "Dell Out-of-band SNMP Agent for Remote Access Controller"
        yield (*SYSTEM, 2, 0), IDRAC
        yield (*SYSTEM, 5, 0), self.serial.lower()
        yield (*IDRAC, 1, 1, 8, 0), "7.00.00.00"
        yield (*IDRAC, 1, 3, 2, 0), self.serial
        yield (*IDRAC, 1, 3, 12, 0), self.model
        yield (*IDRAC, 2, 1, 0), max(*supplies, *self.drives)
        yield (*IDRAC, 2, 4, 0), POWER_ON
        yield (*CHASSIS_INFORMATION, 29, 1), IDENTIFYING if self.identify else 0
        yield (*SYSTEM_STATE, 9, 1), max(supplies)
        for number, (bits, health) in enumerate(zip(self.supplies, supplies, strict=True), 1):
            yield (*POWER_SUPPLIES, 5, 1, number), health
            yield (*POWER_SUPPLIES, 8, 1, number), f"PS{number} Status"
            yield (*POWER_SUPPLIES, 11, 1, number), bits
        for number in range(1, 5):
            yield (*COOLING_DEVICES, 5, 1, number), Health.OK
            yield (*COOLING_DEVICES, 6, 1, number), 5_400 + 120 * number
            yield (*COOLING_DEVICES, 8, 1, number), f"System Board Fan{number}"
        yield (*TEMPERATURE_PROBES, 5, 1, 1), Health.OK
        yield (*TEMPERATURE_PROBES, 6, 1, 1), 220  # tenths of a degree
        yield (*TEMPERATURE_PROBES, 8, 1, 1), "System Board Inlet Temp"
        for number, health in enumerate(self.drives, 1):
            yield (*PHYSICAL_DISKS, 2, number), f"Physical Disk 0:1:{number - 1}"
            yield (*PHYSICAL_DISKS, 4, number), ONLINE
            yield (*PHYSICAL_DISKS, 24, number), health


def _supply_health(bits: int) -> Health:
    if bits & Supply.FAILED:
        return Health.CRITICAL
    return Health.NON_CRITICAL if bits & Supply.PREDICTIVE_FAILURE else Health.OK
