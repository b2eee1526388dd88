"""Sensor data records: which sensors there are, what they are called, how their readings are converted.

IPMI v2.0 sections 43.1 (full), 43.2 (compact), 43.3 (event-only) and 43.7 (device locator). Pure: bytes in, values out.
"""

import math
import struct
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from collectors.hardware.ipmi.text import decode
from collectors.reading import Quantity

FULL, COMPACT, DEVICE_LOCATOR = 0x01, 0x02, 0x10
HEADER_LENGTH = 5
BMC = 0x20
THRESHOLD = 0x01

SHARED_RECORDS = 4_096
"""Records whose sensors are remembered: machines of one model have the same, and share them."""

NAME_AT = {FULL: 47, COMPACT: 31}
BODY_AT = struct.Struct("<5x3B2BxBBB3HBB")
"""Owner, LUN, number, entity, instance, capabilities, sensor type, event type, three masks, units 1 and 2."""

LOCATOR_AT, LOCATOR_NAME_AT = struct.Struct("<5xBB5xBBB"), 15
"""Access and slave address, entity, instance, OEM."""

LINEARISATION: dict[int, Callable[[float], float]] = {
    1: math.log,
    2: math.log10,
    3: math.log2,
    4: math.exp,
    5: lambda x: math.pow(10, x),
    6: math.exp2,
    7: lambda x: 1 / x,
    8: lambda x: x * x,
    9: lambda x: x * x * x,
    10: math.sqrt,
    11: math.cbrt,
}

NON_LINEAR = range(0x70, 0x80)
"""Sensors whose factors depend on the reading: Get Sensor Reading Factors has them (section 35.5)."""

PERCENT = -1
QUANTITIES: dict[int, tuple[Quantity, Callable[[float], float]]] = {
    1: (Quantity.TEMPERATURE, lambda celsius: celsius),
    2: (Quantity.TEMPERATURE, lambda fahrenheit: round((fahrenheit - 32) / 1.8, 3)),
    3: (Quantity.TEMPERATURE, lambda kelvin: round(kelvin - 273.15, 3)),
    4: (Quantity.VOLTAGE, lambda volts: volts),
    5: (Quantity.CURRENT, lambda amperes: amperes),
    6: (Quantity.POWER, lambda watts: watts),
    18: (Quantity.FAN_SPEED, lambda rpm: rpm),
    PERCENT: (Quantity.FAN_SPEED_RATIO, lambda percent: percent / 100),
}
"""Base units (table 43-15) and how they become the metric's unit."""

FAN_TYPES = frozenset({0x04, 0x0A})


@dataclass(frozen=True, slots=True)
class Conversion:
    """How a raw reading becomes a value (section 36.3): ``L[(M x + B 10^K1) 10^K2]``."""

    quantity: Quantity
    unit: int
    data_format: int
    linearisation: int
    slope: int = 1
    offset: int = 0
    offset_exponent: int = 0
    exponent: int = 0

    def value(self, raw: int) -> float | None:
        """Return the value in the quantity's unit, None where the formula has none."""
        if raw & 0x80 and self.data_format:
            # One's complement, or two's complement
            raw -= 255 if self.data_format == 1 else 256
        # In integers as long as possible: 12.096, not 12.096000000000002
        lowest = min(self.exponent, self.offset_exponent + self.exponent)
        scaled = self.slope * raw * 10 ** (self.exponent - lowest)
        scaled += self.offset * 10 ** (self.offset_exponent + self.exponent - lowest)
        value = scaled / 10**-lowest if lowest < 0 else float(scaled * 10**lowest)
        try:
            if self.linearisation in LINEARISATION:
                value = LINEARISATION[self.linearisation](value)
        except (ValueError, ZeroDivisionError, OverflowError):
            return None
        value = QUANTITIES[self.unit][1](value)
        return value if math.isfinite(value) else None

    @property
    def needs_factors(self) -> bool:
        """Whether the record's factors hold for no reading."""
        return self.linearisation in NON_LINEAR

    def with_factors(self, data: bytes) -> "Conversion":
        """Return the conversion with other factors: the six bytes of a record, or of Get Sensor Reading Factors."""
        return replace(
            self,
            slope=signed(data[0] | (data[1] & 0xC0) << 2, 10),
            offset=signed(data[2] | (data[3] & 0xC0) << 2, 10),
            offset_exponent=signed(data[5] & 0x0F, 4),
            exponent=signed(data[5] >> 4, 4),
        )


@dataclass(frozen=True, slots=True)
class Sensor:
    """One sensor of a record.

    ``states`` are the offsets that a discrete sensor can report; ``compared`` the comparisons that a threshold sensor
    returns, in the order of its reading's bits; ``thresholds`` tells whether it has any.
    """

    owner: int
    channel: int
    lun: int
    number: int
    entity: int
    instance: int
    type: int
    event_type: int
    name: str
    thresholds: bool = False
    compared: int = 0
    states: int = 0
    conversion: Conversion | None = None


@dataclass(frozen=True, slots=True)
class Locator:
    """A device that is no sensor: a generic device locator record (section 43.7). Addresses as they stand there."""

    access: int
    slave: int
    entity: int
    instance: int
    oem: int
    name: str


def locator(record: bytes) -> Locator | None:
    """Return the device that a record locates, None where it is of another kind or cut short."""
    if len(record) < LOCATOR_NAME_AT or record[3] != DEVICE_LOCATOR:
        return None
    access, slave, entity, instance, oem = LOCATOR_AT.unpack_from(record)
    label = name_at(record, LOCATOR_NAME_AT)
    return Locator(access, slave, entity, instance, oem, label or f"Device {entity}.{instance & 0x7F}")


def name_at(record: bytes, at: int) -> str:
    """Return the text that begins with its type and length at a place, empty where there is none."""
    return decode(record[at] >> 6, record[at + 1 :][: record[at] & 0x1F]) if len(record) > at else ""


@lru_cache(maxsize=SHARED_RECORDS)
def parse(record: bytes) -> tuple[Sensor, ...]:
    """Return the sensors that a record describes: none for other records, several where it is shared.

    Event-only sensors (43.3) have no state to read and so no lamp. Raises ValueError where a sensor's record is cut
    short before it says how to read the sensor.
    """
    kind = record[3] if len(record) >= HEADER_LENGTH else COMPACT
    if kind not in NAME_AT:
        return ()
    if len(record) < BODY_AT.size:
        raise ValueError(f"sensor data record cut short: {record.hex(' ')}")
    fields = BODY_AT.unpack_from(record)
    owner, lun, number, entity, instance, capabilities, sensor_type, event_type = fields[:8]
    lower_mask, upper_mask, states, units, base_unit = fields[8:]
    if owner & 1:
        return ()  # system software: there is nobody to ask
    threshold = event_type == THRESHOLD
    sensor = Sensor(
        owner=owner,
        channel=lun >> 4,
        lun=lun & 0x03,
        number=number,
        entity=entity,
        instance=instance & 0x7F,
        type=sensor_type,
        event_type=event_type,
        name=name_at(record, NAME_AT[kind]) or f"Sensor {number}",
        thresholds=threshold and capabilities & 0x0C != 0,
        # Bits 14:12 of both masks: which comparisons Get Sensor Reading returns (table 43-1, bytes 15 to 18)
        compared=(lower_mask >> 12 & 0x07) | (upper_mask >> 12 & 0x07) << 3 if threshold else 0,
        states=0 if threshold else states & 0x7FFF,
        conversion=conversion(record, units, base_unit, sensor_type) if kind == FULL else None,
    )
    return shared(sensor, record[23], record[24]) if kind == COMPACT and len(record) > 24 else (sensor,)


def conversion(record: bytes, units: int, base_unit: int, sensor_type: int) -> Conversion | None:
    """Return how a full record's readings are converted, None where they are no quantity that we publish."""
    data_format, modified, percentage = units >> 6, units & 0x06, units & 0x01
    unit = base_unit
    if percentage:
        unit = PERCENT if sensor_type in FAN_TYPES else 0
    if len(record) < 30 or data_format == 3 or modified or unit not in QUANTITIES:
        return None
    linearisation = record[23] & 0x7F
    if linearisation and linearisation not in LINEARISATION and linearisation not in NON_LINEAR:
        return None
    return Conversion(QUANTITIES[unit][0], unit, data_format, linearisation).with_factors(record[24:30])


def shared(sensor: Sensor, sharing: int, modifiers: int) -> tuple[Sensor, ...]:
    """Return the sensors that share one compact record (table 43-2, bytes 24 and 25)."""
    count = sharing & 0x0F
    if count <= 1:
        return (sensor,)
    alphabetic, first, own_entities = sharing >> 4 & 0x03 == 1, modifiers & 0x7F, modifiers >> 7
    return tuple(
        replace(
            sensor,
            number=(sensor.number + step) & 0xFF,
            instance=(sensor.instance + step * own_entities) & 0x7F,
            name=sensor.name + (letters(first + step) if alphabetic else str(first + step)),
        )
        for step in range(count)
    )


def letters(number: int) -> str:
    """Return A to Z, then AA and on."""
    return (letters(number // 26 - 1) if number >= 26 else "") + chr(ord("A") + number % 26)


def signed(value: int, bits: int) -> int:
    """Return a two's complement number."""
    return value - (1 << bits) if value >> bits - 1 & 1 else value


def components(sensors: Iterable[Sensor], taken: Iterable[str]) -> tuple[tuple[str, Sensor], ...]:
    """Return the sensors with their components' names, each different and none of those ``taken``.

    A repeated name gets its entity, ``Temp (3.2)``; where that repeats too, also its address and number.
    """
    sensors = tuple(sensors)
    used = set(taken)
    names = Counter(sensor.name for sensor in sensors)
    names.update(used)
    places = Counter((sensor.name, sensor.entity, sensor.instance) for sensor in sensors)
    named = []
    for position, sensor in enumerate(sensors):
        component, place = sensor.name, f"{sensor.entity}.{sensor.instance}"
        if names[sensor.name] > 1:
            if places[sensor.name, sensor.entity, sensor.instance] > 1:
                place += f", {sensor.owner:02x}h/{sensor.lun}/{sensor.number}"
            component = f"{sensor.name} ({place})"
        if component in used:
            component = f"{component} #{position}"
        used.add(component)
        named.append((component, sensor))
    return tuple(named)
