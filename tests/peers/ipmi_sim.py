"""OpenIPMI's BMC simulator as a real peer: an IPMI 2.0 BMC on loopback with the sensors we give it.

::

    with IpmiSim(peer("ipmi_sim"), tmp_path) as bmc:
        ...                              # bmc.port, bmc.username, bmc.password
        bmc.set_states("Drive 1", 0, 1)  # present, fault
        bmc.set_raw("CPU Temp", 95)
"""

import shlex
import socket
import struct
import subprocess
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self

PATIENCE = 10.0
BMC = 0x20

THRESHOLD, STATE, PREDICTIVE, PRESENCE, REDUNDANCY, SPECIFIC = 0x01, 0x03, 0x04, 0x08, 0x0B, 0x6F
TEMPERATURE, VOLTAGE, CURRENT, FAN, INTRUSION, PROCESSOR, SUPPLY, UNIT = 0x01, 0x02, 0x03, 0x04, 0x05, 0x07, 0x08, 0x09
MEMORY, DRIVE, EVENT_LOG, WATCHDOG, BATTERY, OTHER_UNITS = 0x0C, 0x0D, 0x10, 0x23, 0x29, 0x0B
CELSIUS, VOLTS, AMPERES, WATTS, RPM = 1, 4, 5, 6, 18

ALL_COMPARISONS = 0x7000


def name_field(name: str) -> bytes:
    """Return a type/length byte and the name in 8-bit characters."""
    return bytes([0xC0 | len(name)]) + name.encode("latin-1")


def record(record_id: int, kind: int, body: bytes) -> bytes:
    """Return a sensor data record (IPMI v2.0 chapter 43) with its header."""
    return struct.pack("<HBBB", record_id, 0x51, kind, len(body)) + body


@dataclass(frozen=True)
class SimSensor:
    """One sensor: what its record says, and what it reads at the start."""

    number: int
    name: str
    type: int
    event_type: int = THRESHOLD
    raw: int = 0
    """The reading of a threshold sensor."""
    states: tuple[int, ...] = ()
    """The asserted offsets of a discrete sensor."""
    readable: tuple[int, ...] = ()
    """The offsets that a discrete sensor can assert."""
    limits: tuple[int, ...] = ()
    """Lower non-critical, critical, non-recoverable, upper non-critical, critical, non-recoverable."""
    unit: int = 0
    units_1: int = 0
    m: int = 1
    b: int = 0
    b_exponent: int = 0
    exponent: int = 0
    linearisation: int = 0
    entity: tuple[int, int] = (7, 1)
    owner: int = BMC
    lun: int = 0
    scanning: bool = True

    @property
    def mask(self) -> int:
        """The discrete reading mask."""
        return sum(1 << offset for offset in self.readable)

    def record(self, record_id: int) -> bytes:
        """Return a full record for a threshold sensor, a compact one for a discrete sensor."""
        key = struct.pack("<5B", self.owner, self.lun, self.number, *self.entity)
        if self.event_type != THRESHOLD:
            body = key + struct.pack(
                "<4B3H3BHBB3xB",
                *(0x63, 0x40, self.type, self.event_type),
                *(self.mask, self.mask, self.mask),
                *(0xC0, self.unit, 0),
                *(1, 0, 0, 0),
            )
            return record(record_id, 2, body + name_field(self.name))
        compared = ALL_COMPARISONS if self.limits else 0
        limits = self.limits or (0,) * 6
        body = key + struct.pack(
            "<4B3H3B",
            *(0x7F, 0x68 if self.limits else 0x40, self.type, THRESHOLD),
            *(compared | (0x0FFF if self.limits else 0), compared | (0x0FFF if self.limits else 0)),
            0x3F3F if self.limits else 0,
            *(self.units_1, self.unit, 0),
        )
        body += bytes(
            [
                self.linearisation,
                *(self.m & 0xFF, self.m >> 2 & 0xC0),
                *(self.b & 0xFF, self.b >> 2 & 0xC0, 0),
                (self.exponent & 0x0F) << 4 | self.b_exponent & 0x0F,
                *(0, 0, 0, 0, 0xFF, 0),
                *(limits[5], limits[4], limits[3], limits[2], limits[1], limits[0]),
                *(0, 0, 0, 0, 0),
            ]
        )
        return record(record_id, 1, body + name_field(self.name))

    def commands(self, record_id: int, store: str = f"main_sdr_add 0x{BMC:02x}") -> list[str]:
        """Return the simulator's commands that add the sensor, and its record to a store."""
        where = f"0x{self.owner:02x} {self.lun} {self.number}"
        lines = [f"sensor_add {where} {self.type} {self.event_type}"]
        if self.event_type == THRESHOLD:
            if self.limits:
                low, high = self.limits[:3], self.limits[3:]
                values = " ".join(str(value) for value in (*high[::-1], *low[::-1]))
                lines.append(f"sensor_set_threshold {where} settable 111111 {values}")
            lines.append(f"sensor_set_value {where} {self.raw} 0")
        else:
            lines += [f"sensor_set_bit {where} {offset} 1 0" for offset in self.states]
        bits = "1" * 15 if self.event_type == THRESHOLD else f"{self.mask:015b}"
        scanning = "scanning" if self.scanning else "no-scanning"
        lines.append(f"sensor_set_event_support {where} enable {scanning} per-state {bits} {bits} {bits} {bits}")
        return [*lines, f"{store} {shell_bytes(self.record(record_id))}"]


def shell_bytes(data: bytes) -> str:
    """Return bytes as the simulator's commands want them."""
    return " ".join(f"0x{byte:02x}" for byte in data)


def temperature(number: int, name: str, raw: int, **more: object) -> SimSensor:
    """Return a temperature in whole degrees, critical from 90 up."""
    fields: dict[str, object] = {"unit": CELSIUS, "limits": (5, 3, 0, 80, 90, 100), **more}
    return SimSensor(number, name, TEMPERATURE, raw=raw, **fields)  # type: ignore[arg-type]  # the fields of SimSensor


def fan(number: int, name: str, raw: int) -> SimSensor:
    """Return a fan: 100 rpm for each step, critical below 500 rpm."""
    return SimSensor(
        number, name, FAN, raw=raw, unit=RPM, m=1, exponent=2, limits=(8, 5, 2, 240, 250, 255), entity=(29, number)
    )


def voltage(number: int, name: str, raw: int, m: int) -> SimSensor:
    """Return a voltage in steps of ``m`` millivolts."""
    low, high = raw * 9 // 10, raw * 11 // 10
    return SimSensor(
        number, name, VOLTAGE, raw=raw, unit=VOLTS, m=m, exponent=-3, limits=(low, low - 2, 0, high, high + 2, 255)
    )


PRESENT, FAILED = 0, 1

SENSORS: tuple[SimSensor, ...] = (
    temperature(1, "CPU Temp", 42, entity=(3, 1)),
    temperature(2, "Ambient Temp", 63, m=5, b=-100, exponent=-1, limits=(25, 22, 20, 180, 190, 200)),
    temperature(3, "Temp", 38, entity=(3, 1)),
    temperature(4, "Temp", 39, entity=(3, 2)),
    temperature(5, "PCH Temp", 0xF6, units_1=0x80, limits=(0xE2, 0xD8, 0xCE, 0xFA, 0xFC, 0xFE)),
    temperature(6, "Exhaust Temp", 31, limits=()),
    *(fan(10 + place, f"Fan {place}", 40 + place) for place in range(1, 7)),
    voltage(20, "12V", 196, 61),
    voltage(21, "5V", 200, 25),
    voltage(22, "3.3V", 206, 16),
    SimSensor(
        23,
        "VBAT",
        VOLTAGE,
        raw=120,
        unit=VOLTS,
        m=25,
        b=5,
        b_exponent=1,
        exponent=-3,
        limits=(80, 70, 0, 150, 160, 170),
    ),
    SimSensor(
        24, "PSU1 Current", CURRENT, raw=15, unit=AMPERES, exponent=-1, limits=(0, 0, 0, 60, 70, 80), entity=(10, 1)
    ),
    SimSensor(25, "Total Power", OTHER_UNITS, raw=57, unit=WATTS, m=4, limits=()),
    SimSensor(30, "PSU1 Status", SUPPLY, SPECIFIC, states=(PRESENT,), readable=(0, 1, 2, 3), entity=(10, 1)),
    SimSensor(31, "PSU2 Status", SUPPLY, SPECIFIC, states=(PRESENT,), readable=(0, 1, 2, 3), entity=(10, 2)),
    SimSensor(32, "PS Redundancy", UNIT, REDUNDANCY, states=(0,), readable=(0, 1, 2), entity=(19, 1)),
    SimSensor(33, "Drive 1", DRIVE, SPECIFIC, states=(PRESENT,), readable=(0, 1, 2, 7), entity=(4, 1)),
    SimSensor(34, "Drive 2", DRIVE, SPECIFIC, states=(PRESENT,), readable=(0, 1, 2, 7), entity=(4, 2)),
    SimSensor(35, "DIMM A1", MEMORY, SPECIFIC, states=(6,), readable=(0, 1, 5, 6), entity=(32, 1)),
    SimSensor(36, "DIMM A2", MEMORY, SPECIFIC, states=(), readable=(0, 1, 5, 6), entity=(32, 2)),
    SimSensor(37, "CPU1 Status", PROCESSOR, SPECIFIC, states=(7,), readable=(0, 1, 7, 10), entity=(3, 1)),
    SimSensor(38, "Intrusion", INTRUSION, SPECIFIC, states=(), readable=(0,), entity=(23, 1)),
)
"""A plain server with 27 sensors, all in order; one DIMM slot is empty."""


@dataclass
class IpmiSim:
    """One simulated BMC: a context manager that starts and ends the program."""

    program: str
    folder: Path
    sensors: tuple[SimSensor, ...] = SENSORS
    username: str = "monitor"
    password: str = "secret-of-the-bmc"
    manufacturer: int = 674
    extra: tuple[str, ...] = ()
    """Further simulator commands, run at the start."""
    more_records: tuple[bytes, ...] = ()
    device_records: bool = False
    """Whether the BMC has device SDRs instead of a repository."""
    fru: bytes = b""
    port: int = 0
    _console_port: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _console: socket.socket | None = None
    _numbers: dict[str, SimSensor] = field(default_factory=dict)
    _told: str = ""
    """All that the console said."""

    def __enter__(self) -> Self:
        for _ in range(3):  # another process may take one of the free ports before the simulator does
            try:
                self._start()
            except OSError:
                self.stop()
            else:
                return self
        raise RuntimeError(f"ipmi_sim does not start: {(self.folder / 'out').read_text()}")

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._numbers = {sensor.name: sensor for sensor in self.sensors}
        self.port = free_port(socket.SOCK_DGRAM)
        self._console_port = free_port(socket.SOCK_STREAM)
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        self.set_power(on=True)
        script = self.folder / "chassis"
        script.write_text(
            f'#!/bin/sh\n[ "$2" = get ] && echo "power:$(cat {shlex.quote(str(self.folder / "power"))})"\nexit 0\n'
        )
        script.chmod(0o700)
        (self.folder / "lan.conf").write_text(self._lan_conf(script))
        (self.folder / "bmc.emu").write_text("\n".join(self._commands()) + "\n")
        with (self.folder / "out").open("wb") as out:
            self._process = subprocess.Popen(
                [self.program, "-n", "-c", "lan.conf", "-f", "bmc.emu", "-s", str(state)],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self._console = self._connect()
        self._read_to_prompt()

    def stop(self) -> None:
        """End the simulator. What it was asked after that is never answered."""
        if self._console is not None:
            self._console.close()
            self._console = None
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def set_raw(self, name: str, raw: int) -> None:
        """Set the raw reading of a threshold sensor; its comparison bits follow."""
        self.command(f"sensor_set_value {self._where(name)} {raw} 0")

    def set_states(self, name: str, *offsets: int) -> None:
        """Set which offsets of a discrete sensor are asserted."""
        for offset in range(15):
            self.command(f"sensor_set_bit {self._where(name)} {offset} {int(offset in offsets)} 0")

    def set_power(self, *, on: bool) -> None:
        """Set the chassis' power."""
        (self.folder / "power").write_text(str(int(on)))

    def command(self, line: str) -> str:
        """Run one of the simulator's commands (ipmi_sim_cmd(5)) and return what it says."""
        assert self._console is not None, "the simulator is not running"
        self._console.sendall(line.encode() + b"\n")
        answer = self._read_to_prompt().removeprefix(line).strip()
        if "**" in answer:
            raise RuntimeError(f"ipmi_sim refuses {line!r}: {answer}")
        return answer

    def sessions(self) -> tuple[int, int]:
        """Return how many sessions were opened and how many closed because somebody asked for it."""
        self.command("")
        return self._told.count("Session started"), self._told.count("Closed due to request")

    def _where(self, name: str) -> str:
        sensor = self._numbers[name]
        return f"0x{sensor.owner:02x} {sensor.lun} {sensor.number}"

    def _lan_conf(self, script: Path) -> str:
        return f"""name "bmc"
set_working_mc 0x{BMC:02x}
  startlan 1
    addr 127.0.0.1 {self.port}
    priv_limit admin
    allowed_auths_callback none md2 md5 straight
    allowed_auths_user none md2 md5 straight
    allowed_auths_operator none md2 md5 straight
    allowed_auths_admin none md2 md5 straight
    guid a123456789abcdefa123456789abcdef
  endlan
  chassis_control "{script} 0x{BMC:02x}"
  console 127.0.0.1 {self._console_port}
  user 2 true "{self.username}" "{self.password}" user 10 none md2 md5 straight
"""

    def _commands(self) -> list[str]:
        device_records, support = ("has-device-sdrs", 0x9D) if self.device_records else ("no-device-sdrs", 0x9F)
        store = f"device_sdr_add 0x{BMC:02x} 0" if self.device_records else f"main_sdr_add 0x{BMC:02x}"
        lines = [
            f"mc_setbmc 0x{BMC:02x}",
            f"mc_add 0x{BMC:02x} 0 {device_records} 0x23 2 0x43 0x{support:02x} 0x{self.manufacturer:06x} 0x0100",
            f"sel_enable 0x{BMC:02x} 1000 0x0a",
        ]
        owners = {sensor.owner for sensor in self.sensors} - {BMC}
        lines += [f"mc_add 0x{owner:02x} 0 no-device-sdrs 0 1 0 0x01 0x000000 0x0001" for owner in sorted(owners)]
        for record_id, sensor in enumerate(self.sensors, start=1):
            lines += sensor.commands(record_id, store)
        lines += [f"main_sdr_add 0x{BMC:02x} {shell_bytes(body)}" for body in self.more_records]
        if self.fru:
            lines.append(f"mc_add_fru_data 0x{BMC:02x} 0 {len(self.fru)} data {shell_bytes(self.fru)}")
        lines += self.extra
        return [*lines, *(f"mc_enable 0x{owner:02x}" for owner in sorted({BMC} | owners))]

    def _connect(self) -> socket.socket:
        deadline = time.monotonic() + PATIENCE
        while True:
            assert self._process is not None
            try:
                return socket.create_connection(("127.0.0.1", self._console_port), timeout=PATIENCE)
            except ConnectionRefusedError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.01)  # the condition is the console's port; it cannot be waited for otherwise

    def _read_to_prompt(self) -> str:
        assert self._console is not None
        said = b""
        while not said.endswith(b"> "):
            some = self._console.recv(4096)
            if not some:
                raise ConnectionError("the simulator closed its console")
            said += some
        text = said.decode("latin-1").replace("\r", "")
        self._told += text
        return text.removesuffix("> ")


def free_port(kind: socket.SocketKind) -> int:
    """Return a port of the loopback interface that is free right now."""
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def with_changes(changes: dict[str, dict[str, object]]) -> tuple[SimSensor, ...]:
    """Return `SENSORS` with some fields of some sensors changed."""
    return tuple(
        replace(sensor, **changes.get(sensor.name, {}))  # type: ignore[arg-type]  # the fields of SimSensor
        for sensor in SENSORS
    )
