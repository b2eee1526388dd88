"""SNMP traps and informs: which notification a datagram is, and what an inform is answered with.

Pure: no sockets, no clock. The words are here; `decoding` and `usm` load pysnmp, which takes 0.1 s and 18 MB that only
those pay who receive.
"""

from dataclasses import dataclass

GENERIC_TRAPS = "1.3.6.1.6.3.1.1.5"
PET = "1.3.6.1.4.1.3183.1.1."
"""Platform Event Traps (IPMI Platform Event Trap Format Specification v1.0): the specific trap is a sensor's event."""

PET_SENSORS = {
    0x01: "temperature",
    0x02: "voltage",
    0x03: "current",
    0x04: "fan",
    0x05: "intrusion",
    0x07: "processor",
    0x08: "power supply",
    0x09: "power unit",
    0x0C: "memory",
    0x0D: "drive",
    0x10: "event log",
    0x13: "critical interrupt",
    0x23: "watchdog",
    0x28: "management subsystem",
    0x29: "battery",
}

ORIGINS = {
    "1.3.6.1.4.1.674.10892.": "Dell",
    "1.3.6.1.4.1.232.": "HPE iLO",
    "1.3.6.1.4.1.19046.11.": "Lenovo XCC",
    "1.3.6.1.4.1.2.6.158.": "IBM IMM",
    "1.3.6.1.4.1.231.": "Fujitsu iRMC",
    "1.3.6.1.4.1.10876.": "Supermicro",
    "1.3.6.1.4.1.21317.": "Supermicro",
    "1.3.6.1.4.1.9.9.719.": "Cisco CIMC",
    "1.3.6.1.4.1.42.2.": "Oracle ILOM",
    "1.3.6.1.4.1.2011.2.235.": "Huawei iBMC",
    "1.3.6.1.2.1.131.": "ENTITY-STATE",
    "1.3.6.1.2.1.33.": "UPS",
    f"{GENERIC_TRAPS}.": "SNMP agent",
}
"""Whose notifications begin like this."""


class Malformed(Exception):  # noqa: N818 - what a stranger sent is no error of ours
    """It is no notification; the message says what it lacks."""


class Unauthenticated(Exception):  # noqa: N818 - what a stranger sent is no error of ours
    """No credential fits what claims to be authentic; the message names the user."""


@dataclass(frozen=True, slots=True)
class Notification:
    """One trap or inform."""

    trap: str
    """Its object identifier; empty where a sender of informs only asked who we are."""
    reply: bytes = b""
    """What is sent back; empty for a trap."""


@dataclass(frozen=True, slots=True)
class Engine:
    """Who we are to senders of informs. ``boots`` and ``time`` never go back, also across a restart."""

    id: bytes
    boots: int
    time: int


def describe(trap: str) -> str:
    """Return a notification's name for people: ``Dell 1.3.6.1.4.1.674.10892.5.3.2.1.0.2185``."""
    if trap.startswith(PET):
        return f"platform event: {_platform_event(int(trap.rpartition('.')[2]))}"
    origin = next((name for prefix, name in ORIGINS.items() if trap.startswith(prefix)), "")
    return f"{origin} {trap}".strip()


def _platform_event(specific: int) -> str:
    """Read a specific trap: sensor type, event type, and in the last byte the offset, with bit 7 set when it ended."""
    sensor, event, offset = specific >> 16 & 0xFF, specific >> 8 & 0xFF, specific & 0x0F
    state = "ended" if specific & 0x80 else "began"
    return f"{PET_SENSORS.get(sensor, f'sensor type {sensor:02x}h')}, event {event:02x}h offset {offset} {state}"
