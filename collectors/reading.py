"""What collectors return: frozen values, in one vocabulary for every source.

The words are those of docs/architecture.md: a *lamp* is a light or what a light stands for, a *component* is the part
it belongs to, unique within (server, source), a *verdict* is what it says. *Locate* (identify, UID) lights are kept
apart and are never faults.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from collectors.failures import CheckFailure
from collectors.transcript import NOTHING, Recording, lines_of


class Verdict(IntEnum):
    """What a lamp says. Compare, never add. UNKNOWN is never rounded to NORMAL."""

    UNKNOWN = -1
    NORMAL = 0
    WARNING = 1
    CRITICAL = 2


class Lamp(StrEnum):
    """The kinds of lamps, closed: the ``lamp`` label."""

    SYSTEM = "system"
    POWER = "power"
    FAN = "fan"
    POWER_SUPPLY = "power_supply"
    DRIVE = "drive"
    TEMPERATURE = "temperature"
    VOLTAGE = "voltage"
    MEMORY = "memory"
    PROCESSOR = "processor"
    BATTERY = "battery"
    INTRUSION = "intrusion"
    STORAGE = "storage"
    NETWORK = "network"
    EVENT_LOG = "event_log"
    OTHER = "other"


class Quantity(StrEnum):
    """What a sensor measures, in the metric's unit: the metric is ``dserver_`` + the value."""

    TEMPERATURE = "temperature_celsius"
    FAN_SPEED = "fan_speed_rpm"
    FAN_SPEED_RATIO = "fan_speed_ratio"
    VOLTAGE = "voltage_volts"
    CURRENT = "current_amperes"
    POWER = "power_watts"


@dataclass(frozen=True, slots=True)
class LampReading:
    """One lamp as one source showed it.

    ``verdict`` is None where the part is not fitted: an absent part has no series. ``evidence`` is what was read,
    verbatim (bytes, OID and value, Redfish path and property).
    """

    lamp: Lamp
    component: str
    verdict: Verdict | None
    evidence: str


@dataclass(frozen=True, slots=True)
class SensorReading:
    """One measured value, in the unit of its quantity."""

    quantity: Quantity
    sensor: str
    value: float


@dataclass(frozen=True, slots=True)
class EventLogReading:
    """How full an event log is. ``used_ratio`` (0 to 1) is None where the device does not tell."""

    log: str
    entries: int
    used_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Hardware:
    """Who the machine says it is. Empty where it does not say."""

    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    firmware: str = ""
    board: str = ""
    """Serial number of the main board, where it has one of its own."""


@dataclass(frozen=True, slots=True)
class HardwareReading:
    """All that one source told in one read.

    ``locate`` and ``power`` are None while unknown. ``complete`` says that every part the source has was listed: a part
    seen earlier and not listed now is gone (an exchanged board), not silent.
    """

    lamps: tuple[LampReading, ...] = ()
    sensors: tuple[SensorReading, ...] = ()
    logs: tuple[EventLogReading, ...] = ()
    hardware: Hardware | None = None
    locate: bool | None = None
    power: bool | None = None
    complete: bool = True
    transcript: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ServiceReading:
    """The outcome of one attempt of one service check.

    ``duration`` is in seconds. ``certificate_expiry`` (Unix time, seconds) is there whenever a certificate was seen,
    also when the attempt failed because of it. ``recording`` is what was said, without secrets.
    """

    failure: CheckFailure | None
    duration: float
    certificate_expiry: float | None = None
    recording: Recording = field(default=NOTHING, repr=False)

    @property
    def transcript(self) -> tuple[str, ...]:
        """The lines of what was said, rendered now."""
        return lines_of(self.recording)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """Return the worst known verdict, UNKNOWN where there is no known one."""
    return max(verdicts, default=Verdict.UNKNOWN)
