"""Sensors as data, and the SDR and reading bytes that a BMC makes of them (IPMI 2.0 §43.1, §43.2, §35.14)."""

import struct
from dataclasses import dataclass
from enum import IntEnum

OWNER = 0x20  # the BMC itself
EIGHT_BIT_ASCII = 0xC0
SPECIFIC = 0x6F
"""Event/reading type of sensors whose states are those of their sensor type."""
READING_UNAVAILABLE = 0x20
SCANNING = 0x40
EVENTS_ENABLED = 0x80


class SensorType(IntEnum):
    """Sensor types (table 42-3), those in use here."""

    TEMPERATURE = 0x01
    VOLTAGE = 0x02
    CURRENT = 0x03
    FAN = 0x04
    PHYSICAL_SECURITY = 0x05
    PROCESSOR = 0x07
    POWER_SUPPLY = 0x08
    POWER_UNIT = 0x09
    OTHER_UNITS = 0x0B
    MEMORY = 0x0C
    DRIVE = 0x0D
    BATTERY = 0x29


class Unit(IntEnum):
    """Base units (table 43-15), those in use here."""

    CELSIUS = 1
    VOLT = 4
    AMPERE = 5
    WATT = 6
    RPM = 18


class Entity(IntEnum):
    """Entity IDs (table 43-13), those in use here."""

    PROCESSOR = 0x03
    DISK = 0x04
    SYSTEM_BOARD = 0x07
    POWER_SUPPLY = 0x0A
    POWER_UNIT = 0x13
    CHASSIS = 0x17
    FAN = 0x1D
    MEMORY = 0x20
    AIR_INLET = 0x37
    BATTERY = 0x28


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Limits in the sensor's unit; None where the sensor has no such limit."""

    lower_noncritical: float | None = None
    lower_critical: float | None = None
    lower_nonrecoverable: float | None = None
    upper_noncritical: float | None = None
    upper_critical: float | None = None
    upper_nonrecoverable: float | None = None

    def lower(self) -> tuple[float | None, float | None, float | None]:
        """Return the lower limits in the order of their bits."""
        return (self.lower_noncritical, self.lower_critical, self.lower_nonrecoverable)

    def upper(self) -> tuple[float | None, float | None, float | None]:
        """Return the upper limits in the order of their bits."""
        return (self.upper_noncritical, self.upper_critical, self.upper_nonrecoverable)


@dataclass(frozen=True, slots=True)
class ThresholdSensor:
    """A measured value: raw count x ``factor`` x 10^``exponent`` in ``unit``. A reading of None is unavailable."""

    name: str
    sensor_type: SensorType
    unit: Unit
    reading: float | None
    thresholds: Thresholds = Thresholds()
    entity: tuple[Entity, int] = (Entity.SYSTEM_BOARD, 1)
    factor: int = 1
    exponent: int = 0
    scanning: bool = True

    def raw(self, value: float | None) -> int:
        """Return the count nearest to a value, 0 for None. Raises ValueError where it does not fit a byte."""
        count = 0 if value is None else round(value / (self.factor * 10**self.exponent))
        if not 0 <= count <= 0xFF:
            raise ValueError(f"{self.name}: {value} does not fit one byte at {self.factor}e{self.exponent} a count")
        return count

    def state(self) -> int:
        """Return the threshold comparison bits: lower in bits 0 to 2, upper in bits 3 to 5."""
        value = self.raw(self.reading)
        below = [limit is not None and value <= self.raw(limit) for limit in self.thresholds.lower()]
        above = [limit is not None and value >= self.raw(limit) for limit in self.thresholds.upper()]
        return _mask([*below, *above])

    def reading_bytes(self) -> bytes:
        """Return what Get Sensor Reading answers."""
        if self.reading is None:
            return bytes([0, _flags(self.scanning, available=False), 0xC0])
        return bytes([self.raw(self.reading), _flags(self.scanning, available=True), 0xC0 | self.state()])

    def record(self, number: int) -> bytes:
        """Return the full sensor record (type 01h, table 43-1)."""
        limits = (*self.thresholds.lower(), *self.thresholds.upper())
        readable = _mask([limit is not None for limit in limits])
        body = _key(number, self.entity, self.sensor_type, event_type=0x01)
        body += struct.pack("<HHBB", (readable & 0x07) << 12, (readable >> 3) << 12, readable, 0)
        body += bytes([0x00, self.unit, 0x00])  # unsigned, no rate, no modifier
        body += bytes([0x00, self.factor & 0xFF, self.factor >> 2 & 0xC0, 0, 0, 0, (self.exponent & 0x0F) << 4])
        body += bytes([0x00, 0x00, 0xFF, 0x00, 0xFF, 0x00])  # nothing nominal is told; the whole byte is used
        body += bytes(self.raw(limit) for limit in (*reversed(self.thresholds.upper()), *self.thresholds.lower()[::-1]))
        body += bytes(5)  # no hysteresis, reserved, OEM
        return _record(number, 0x01, body + _identifier(self.name))


@dataclass(frozen=True, slots=True)
class DiscreteSensor:
    """States as a mask of asserted offsets (bits 0 to 14). States of None are unavailable."""

    name: str
    sensor_type: SensorType
    states: int | None
    entity: tuple[Entity, int] = (Entity.SYSTEM_BOARD, 1)
    event_type: int = SPECIFIC
    scanning: bool = True

    def reading_bytes(self) -> bytes:
        """Return what Get Sensor Reading answers."""
        if self.states is None:
            return bytes([0, _flags(self.scanning, available=False), 0x00, 0x80])
        return bytes([0, _flags(self.scanning, available=True)]) + struct.pack("<H", self.states | 0x8000)

    def record(self, number: int) -> bytes:
        """Return the compact sensor record (type 02h, table 43-2)."""
        body = _key(number, self.entity, self.sensor_type, self.event_type)
        body += struct.pack("<HHH", 0x7FFF, 0x7FFF, 0x7FFF)
        body += bytes([0xC0, 0x00, 0x00])  # no analog reading
        body += bytes([0x01, 0x00])  # shared by one sensor: itself
        body += bytes(6)  # no hysteresis, reserved, OEM
        return _record(number, 0x02, body + _identifier(self.name))


Sensor = ThresholdSensor | DiscreteSensor


def _mask(bits: list[bool]) -> int:
    return sum(bit << place for place, bit in enumerate(bits))


def _flags(scanning: bool, *, available: bool) -> int:
    return EVENTS_ENABLED | SCANNING * scanning | READING_UNAVAILABLE * (not available)


def _key(number: int, entity: tuple[Entity, int], sensor_type: SensorType, event_type: int) -> bytes:
    initialised, capabilities = 0x7F, 0x44  # re-arms itself, its thresholds are readable
    return bytes([OWNER, 0, number, *entity, initialised, capabilities, sensor_type, event_type])


def _identifier(name: str) -> bytes:
    text = name.encode("latin-1")
    if len(text) > 16:
        raise ValueError(f"{name!r} is longer than the 16 bytes of an SDR's name")
    return bytes([EIGHT_BIT_ASCII | len(text)]) + text


def _record(number: int, kind: int, body: bytes) -> bytes:
    return struct.pack("<HBBB", number, 0x51, kind, len(body)) + body
