"""What a sensor's state bits and the chassis status say about a lamp. Pure: bytes in, readings out.

IPMI v2.0 sections 28.2 (chassis status), 31.2 (SEL), 35.14 (sensor readings), tables 42-1 to 42-3 (offsets). Which
offset is how grave is policy, laid down in docs/lamps/ipmi.md. Nothing known is UNKNOWN, never NORMAL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from collectors.hardware.ipmi.sdr import THRESHOLD, Sensor
from collectors.reading import EventLogReading, Lamp, LampReading, Verdict

NORMAL, WARNING, CRITICAL, UNKNOWN = Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN

ABSENT = "absent"
"""The offset says that nothing is fitted."""

SENSOR_SPECIFIC = 0x6F
OEM_EVENT_TYPES = range(0x70, 0x80)
OEM_SENSOR_TYPES = range(0xC0, 0x100)

SCANNING = 0x40
UNAVAILABLE = 0x20

LAMPS: Mapping[int, Lamp] = {
    0x01: Lamp.TEMPERATURE,
    0x02: Lamp.VOLTAGE,
    0x03: Lamp.POWER,
    0x04: Lamp.FAN,
    0x05: Lamp.INTRUSION,
    0x07: Lamp.PROCESSOR,
    0x08: Lamp.POWER_SUPPLY,
    0x09: Lamp.POWER,
    0x0A: Lamp.FAN,
    0x0C: Lamp.MEMORY,
    0x0D: Lamp.DRIVE,
    0x10: Lamp.EVENT_LOG,
    0x12: Lamp.SYSTEM,
    0x13: Lamp.SYSTEM,
    0x23: Lamp.SYSTEM,
    0x27: Lamp.NETWORK,
    0x28: Lamp.SYSTEM,
    0x29: Lamp.BATTERY,
}
"""Sensor types (table 42-3) that say what part they belong to."""

ENTITIES: Mapping[int, Lamp] = {
    0x03: Lamp.PROCESSOR,
    0x04: Lamp.DRIVE,
    0x08: Lamp.MEMORY,
    0x0A: Lamp.POWER_SUPPLY,
    0x0F: Lamp.DRIVE,
    0x13: Lamp.POWER,
    0x14: Lamp.POWER_SUPPLY,
    0x15: Lamp.POWER,
    0x1A: Lamp.DRIVE,
    0x1D: Lamp.FAN,
    0x1E: Lamp.FAN,
    0x20: Lamp.MEMORY,
    0x28: Lamp.BATTERY,
    0x41: Lamp.PROCESSOR,
}
"""Entities (table 43-13), where the sensor type does not say."""

Offsets = Mapping[int, Verdict | str]

GENERIC: Mapping[int, Offsets] = {
    0x03: {0: NORMAL, 1: WARNING},
    0x04: {0: NORMAL, 1: WARNING},
    0x05: {0: NORMAL, 1: CRITICAL},
    0x06: {0: NORMAL, 1: CRITICAL},
    0x07: {
        0: NORMAL,
        1: WARNING,
        2: CRITICAL,
        3: CRITICAL,
        4: WARNING,
        5: CRITICAL,
        6: CRITICAL,
        7: WARNING,
        8: NORMAL,
    },
    0x08: {0: ABSENT, 1: NORMAL},
    0x09: {0: NORMAL, 1: NORMAL},
    0x0A: {
        0: NORMAL,
        1: NORMAL,
        2: NORMAL,
        3: NORMAL,
        4: WARNING,
        5: NORMAL,
        6: CRITICAL,
        7: NORMAL,
        8: CRITICAL,
    },
    0x0B: {
        0: NORMAL,
        1: CRITICAL,
        2: WARNING,
        3: WARNING,
        4: WARNING,
        5: CRITICAL,
        6: WARNING,
        7: WARNING,
    },
}
"""Generic event types (table 42-2). What is switched off on purpose is normal."""

GRAVE_STATES = frozenset({0x07, 0x0C, 0x15})
"""Processor, memory, module/board: their "state asserted" (03h) is a failure."""

PRESENT_OR_NOT = frozenset({0x08, 0x09})
"""Device presence and device enabled: one of their two offsets is always asserted."""

SPECIFIC: Mapping[int, Offsets] = {
    0x05: dict.fromkeys(range(7), CRITICAL),
    0x07: {
        **dict.fromkeys((0, 1, 2, 3, 4, 5, 6, 8, 11), CRITICAL),
        **dict.fromkeys((10, 12), WARNING),
        **dict.fromkeys((7, 9), NORMAL),
    },
    0x08: {0: NORMAL, **dict.fromkeys((1, 3, 4, 6), CRITICAL), **dict.fromkeys((2, 5, 7), WARNING)},
    0x09: {
        **dict.fromkeys((0, 1), NORMAL),
        **dict.fromkeys((4, 5, 6), CRITICAL),
        **dict.fromkeys((2, 3, 7), WARNING),
    },
    0x0C: {
        **dict.fromkeys((1, 2, 3, 4, 7, 10), CRITICAL),
        **dict.fromkeys((0, 5, 9), WARNING),
        **dict.fromkeys((6, 8), NORMAL),
    },
    0x0D: {
        **dict.fromkeys((0, 3, 4, 7), NORMAL),
        **dict.fromkeys((1, 5, 6, 8), CRITICAL),
        2: WARNING,
    },
    0x10: {**dict.fromkeys((0, 1, 3, 4, 6), CRITICAL), 2: NORMAL, 5: WARNING},
    0x12: {**dict.fromkeys((0, 5), WARNING), 2: CRITICAL, **dict.fromkeys((1, 3, 4), NORMAL)},
    0x13: {**dict.fromkeys((0, 1, 2, 4, 5, 6, 8, 9, 10), CRITICAL), **dict.fromkeys((3, 7, 11), WARNING)},
    0x21: {0: CRITICAL, **dict.fromkeys((1, 2, 3, 4, 5, 6, 7, 9), NORMAL), 8: WARNING},
    0x23: {**dict.fromkeys((0, 8), WARNING), **dict.fromkeys((1, 2, 3), CRITICAL)},
    0x25: {0: NORMAL, 1: ABSENT, 2: NORMAL},
    0x28: dict.fromkeys(range(6), CRITICAL),
    0x29: {0: WARNING, 1: CRITICAL, 2: NORMAL},
}
"""Sensor-specific offsets (table 42-3). Types that are not here (buttons, boot progress ...) stand for no lamp."""

PRESENCE = {0x07: 7, 0x08: 0, 0x0C: 6, 0x0D: 0, 0x29: 2}
"""The offset that says "present": a sensor that could say so and does not belongs to an empty place."""

THRESHOLD_VERDICTS = (WARNING, CRITICAL, CRITICAL, WARNING, CRITICAL, CRITICAL)
"""Lower non-critical, critical, non-recoverable; upper non-critical, critical, non-recoverable."""

CROSSED = tuple(
    max((verdict for bit, verdict in enumerate(THRESHOLD_VERDICTS) if crossed >> bit & 1), default=NORMAL)
    for crossed in range(1 << len(THRESHOLD_VERDICTS))
)
"""The verdict of each combination of comparison bits: the gravest."""

CHASSIS_LAMPS = ("Chassis power", "Chassis intrusion", "Chassis drives", "Chassis fans")
EVENT_LOG = "SEL"


def lamp_of(sensor: Sensor) -> Lamp:
    """Return the kind of lamp that a sensor stands for."""
    return LAMPS.get(sensor.type) or ENTITIES.get(sensor.entity, Lamp.OTHER)


def judge(sensor: Sensor, component: str, data: bytes, evidence: str) -> LampReading | None:
    """Return the lamp of a sensor by the data of Get Sensor Reading, None where it stands for none.

    ``data`` is empty where there was no reading; ``evidence`` then says why.
    """
    told = is_readable(data) and len(data) > 2
    verdict: Verdict | None = UNKNOWN
    if sensor.event_type == THRESHOLD:
        crossed = data[2] & 0x3F if told else 0
        if not (sensor.thresholds or sensor.compared or crossed):
            return None  # a measurement without limits says nothing about health
        if told:
            verdict = CROSSED[crossed]
        return LampReading(lamp_of(sensor), component, verdict, evidence)
    lamp, offsets = lamp_of(sensor), offsets_of(sensor)
    if offsets is None and not is_oem(sensor):
        return None
    if told:
        verdict = discrete_verdict(sensor, state_bits(data), offsets)
    return LampReading(lamp, component, verdict, evidence)


def without_empty_places(judged: Iterable[tuple[Sensor, LampReading]]) -> tuple[LampReading, ...]:
    """Return the lamps, where what cannot be read of an absent entity is absent too."""
    judged = tuple(judged)
    empty = {(sensor.entity, sensor.instance) for sensor, lamp in judged if lamp.verdict is None}
    return tuple(
        replace(lamp, verdict=None) if lamp.verdict == UNKNOWN and (sensor.entity, sensor.instance) in empty else lamp
        for sensor, lamp in judged
    )


def is_readable(data: bytes) -> bool:
    """Tell whether a reading is one: scanning is on and the BMC does not call it unavailable."""
    return len(data) > 1 and data[1] & (SCANNING | UNAVAILABLE) == SCANNING


def state_bits(data: bytes) -> int:
    """Return the asserted offsets of a discrete sensor. The second byte of states is optional."""
    return data[2] | (data[3] & 0x7F) << 8 if len(data) > 3 else data[2]


def is_oem(sensor: Sensor) -> bool:
    """Tell whether only the vendor knows what the state bits mean."""
    return sensor.event_type in OEM_EVENT_TYPES or (
        sensor.event_type == SENSOR_SPECIFIC and sensor.type in OEM_SENSOR_TYPES
    )


def offsets_of(sensor: Sensor) -> Offsets | None:
    """Return what a discrete sensor's offsets mean, None where they mean nothing for health."""
    if sensor.event_type == SENSOR_SPECIFIC:
        return SPECIFIC.get(sensor.type)
    offsets = GENERIC.get(sensor.event_type)
    if sensor.event_type == 0x03 and sensor.type in GRAVE_STATES:
        return {0: NORMAL, 1: CRITICAL}
    return offsets


def discrete_verdict(sensor: Sensor, states: int, offsets: Offsets | None) -> Verdict | None:
    """Return the verdict of a discrete sensor's asserted offsets, None where the part is absent.

    Presence comes first, then the gravest asserted offset; an asserted offset without a known meaning is never read
    as normal; nor is silence, where the record says that the sensor could have said "fine" or "present".
    """
    if offsets is None:
        return UNKNOWN
    asserted = [offsets.get(offset, UNKNOWN) for offset in range(15) if states >> offset & 1]
    if ABSENT in asserted:
        return None
    present = PRESENCE.get(sensor.type) if sensor.event_type == SENSOR_SPECIFIC else None
    if present is not None and sensor.states >> present & 1 and not states >> present & 1:
        return None
    verdicts = [verdict for verdict in asserted if isinstance(verdict, Verdict)]
    if verdicts:
        gravest = max(verdicts)
        return UNKNOWN if gravest == NORMAL and UNKNOWN in verdicts else gravest
    return NORMAL if is_silence_normal(sensor, present) else UNKNOWN


def is_silence_normal(sensor: Sensor, present: int | None) -> bool:
    """Tell whether no asserted offset means that nothing is wrong."""
    if sensor.event_type == SENSOR_SPECIFIC:
        # Without a mask the record does not tell an empty place from a healthy part.
        return sensor.type != 0x25 and (present is None or sensor.states != 0)
    # A sensor that could assert offset 0 ("fine", "deasserted") and does not has not said so.
    return sensor.event_type not in PRESENT_OR_NOT and sensor.states != 0 and not sensor.states & 1


def chassis_lamps(status: bytes, *, proven: bool) -> tuple[LampReading, ...]:
    """Return the lamps of Get Chassis Status (three or four bytes; some BMCs leave the last out).

    The fault bits are summaries whose support varies: set they are critical, clear they say something only beside
    sensors that could be read (``proven``).
    """
    power, misc = status[0], status[2]
    clear = NORMAL if proven else UNKNOWN
    supply = CRITICAL if power & 0x1A else WARNING if power & 0x04 else clear
    verdicts = (supply, *(CRITICAL if misc >> bit & 1 else clear for bit in (0, 2, 3)))
    evidence = f"chassis status={status.hex(' ')}"
    kinds = (Lamp.POWER, Lamp.INTRUSION, Lamp.DRIVE, Lamp.FAN)
    return tuple(
        LampReading(lamp, component, verdict, evidence)
        for lamp, component, verdict in zip(kinds, CHASSIS_LAMPS, verdicts, strict=True)
    )


def chassis_locate(status: bytes) -> bool | None:
    """Return whether the locate lamp is lit: bits 5:4 of the third byte count only where bit 6 says so."""
    if not status[2] & 0x40:
        return None
    return {0: False, 1: True, 2: True}.get(status[2] >> 4 & 0x03)


def event_log(info: bytes, *, proven: bool) -> tuple[LampReading, EventLogReading]:
    """Return lamp and fill of the system event log by the data of Get SEL Info (14 bytes).

    The lamp says whether events were lost; like the chassis' it does not stand for a server that showed nothing else.
    """
    entries = int.from_bytes(info[1:3], "little")
    free = int.from_bytes(info[3:5], "little")
    used = entries * 16
    # FFFFh free bytes means "that many or more" (section 31.2).
    ratio = used / (used + free) if free != 0xFFFF and used + free else None
    verdict = WARNING if info[13] & 0x80 else NORMAL if proven else UNKNOWN
    lamp = LampReading(Lamp.EVENT_LOG, EVENT_LOG, verdict, f"SEL info={info.hex(' ')}")
    return lamp, EventLogReading(EVENT_LOG, entries, ratio)
