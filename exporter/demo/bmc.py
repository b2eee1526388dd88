"""A management controller that speaks IPMI 2.0 over UDP, inside this process.

What it answers is data that can change at any time: sensors, chassis status, event log, product record. It keeps to
the specification where BMCs do: cipher suites 17 and 3, a few sessions only, sessions that expire, reservations.
Section numbers are those of the IPMI 2.0 specification, revision 1.1.
"""

import asyncio
import contextlib
import hmac
import secrets
import struct
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, cast

from exporter.clock import SECOND, Clock, SystemClock
from exporter.demo.rmcpplus import SUITES, BadPacket, Header, Keys, Suite, parse_header, seal, unseal
from exporter.demo.sdr import EIGHT_BIT_ASCII, Sensor

RMCP_VERSION = 0x06
RMCP_NO_ACK = 0xFF
CLASS_ASF = 0x06
CLASS_IPMI = 0x07
ASF_ENTERPRISE = struct.pack(">I", 4542)
BMC_ADDRESS = 0x20
SESSIONLESS_HEADER = struct.Struct("<BIIB")  # IPMI 1.5: authentication type, sequence number, session ID, length
LAST_RECORD = 0xFFFF


class Payload(IntEnum):
    """Payload types (table 13-16)."""

    IPMI = 0x00
    OPEN_SESSION_REQUEST = 0x10
    OPEN_SESSION_RESPONSE = 0x11
    RAKP_1 = 0x12
    RAKP_2 = 0x13
    RAKP_3 = 0x14
    RAKP_4 = 0x15


class Status(IntEnum):
    """RMCP+ and RAKP status codes (table 13-15)."""

    OK = 0x00
    INSUFFICIENT_RESOURCES = 0x01
    INVALID_SESSION_ID = 0x02
    UNAUTHORIZED_ROLE = 0x0A
    UNAUTHORIZED_NAME = 0x0D
    INVALID_INTEGRITY_CHECK = 0x0F
    NO_CIPHER_SUITE_MATCH = 0x11


class Completion(IntEnum):
    """Completion codes (table 5-2, and those of Set Session Privilege Level and Close Session)."""

    OK = 0x00
    PRIVILEGE_EXCEEDED = 0x81
    UNKNOWN_SESSION = 0x87
    INVALID_COMMAND = 0xC1
    RESERVATION_CANCELLED = 0xC5
    WRONG_LENGTH = 0xC7
    OUT_OF_RANGE = 0xC9
    TOO_MANY_BYTES = 0xCA
    NOT_PRESENT = 0xCB
    INSUFFICIENT_PRIVILEGE = 0xD4


class Privilege(IntEnum):
    """Privilege levels (§6.8)."""

    CALLBACK = 1
    USER = 2
    OPERATOR = 3
    ADMINISTRATOR = 4


class Declined(Exception):  # noqa: N818 - a completion code is an answer, not an error of ours
    """A request that is answered with a completion code only."""

    def __init__(self, completion: Completion) -> None:
        super().__init__(completion)
        self.completion = completion


@dataclass(frozen=True, slots=True)
class Product:
    """Who the server says it is, in the product area of FRU 0."""

    manufacturer: str = "Demo"
    name: str = "Demo Server"
    part_number: str = "DEMO-1"
    version: str = "01"
    serial: str = "DEMO0000"


@dataclass(slots=True)
class Session:
    """One session, from Open Session on. Active once it has keys, that is after RAKP message 3."""

    id: int
    console_id: int
    suite: Suite
    last_seen: int
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(16))
    console_salt: bytes = b""
    role: bytes = b""
    """ROLEm, ULENGTHm and UNAMEm as all the codes take them."""
    privilege: Privilege = Privilege.USER
    keys: Keys | None = None
    received: int = 0
    sent: int = 0


@dataclass(eq=False)
class Bmc:
    """One simulated BMC. Every public field can be changed while it runs.

    To script other behaviour in a test, override `answer` (one command) or `handle` (whole packets).
    """

    name: str
    password: str = field(repr=False)
    username: str = "monitor"
    privilege: Privilege = Privilege.ADMINISTRATOR
    sensors: Sequence[Sensor] = ()
    product: Product = Product()
    suites: tuple[int, ...] = (17, 3)
    clock: Clock = field(default_factory=SystemClock, repr=False)

    silent: bool = False
    """Answers nothing at all."""
    answers_ping: bool = True
    """Some BMCs never answer the ASF presence ping."""
    power: bool = True
    power_fault: bool = False
    intrusion: bool = False
    drive_fault: bool = False
    fan_fault: bool = False
    identify: bool | None = False
    """The locate lamp; None where the state is not supported."""
    event_log_entries: int = 12
    event_log_free: int = 16_000
    """Free bytes."""
    event_log_overflow: bool = False

    max_sessions: int = 4
    session_timeout: int = 60 * SECOND
    """§6.12.15 wants 60 s +/- 3 s."""
    sdr_read_limit: int = 32
    """Most bytes that one Get SDR returns; more is refused, as many BMCs do."""

    sessions_opened: int = 0
    sessions_closed: int = 0
    sessions_expired: int = 0
    sessions_peak: int = 0
    """Most sessions held at one time."""
    requests: Counter[tuple[int, int]] = field(default_factory=Counter)
    """Requests answered, by (network function, command)."""

    def __post_init__(self) -> None:
        self._sessions: dict[int, Session] = {}
        self._transport: asyncio.DatagramTransport | None = None
        self._reservation = 1  # never 0: that means none
        self._sdr_changed = self.clock.now().wall // SECOND
        self._guid = uuid.uuid5(uuid.NAMESPACE_DNS, self.name).bytes

    # -- what happens to the server ---------------------------------------------------------------------------------

    def set_sensor(self, name: str, **changes: Any) -> None:
        """Change fields of the one sensor of this name. Raises KeyError where there is no such sensor, or several."""
        places = [place for place, sensor in enumerate(self.sensors) if sensor.name == name]
        if len(places) != 1:
            raise KeyError(name)
        self.sensors = [*self.sensors]
        self.sensors[places[0]] = replace(self.sensors[places[0]], **changes)

    def exchange_sensors(self, sensors: Sequence[Sensor]) -> None:
        """Put other sensors in place, as an exchanged board does: the SDR repository is a new one."""
        self.sensors = sensors
        self._reserve()
        self._sdr_changed = self.clock.now().wall // SECOND

    # -- on the network ---------------------------------------------------------------------------------------------

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, by default on a free port of loopback. Raises OSError."""
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Wire(self), local_addr=(host, port))

    def stop(self) -> None:
        """Close the socket."""
        if self._transport:
            self._transport.close()
            self._transport = None

    @property
    def port(self) -> int:
        """The UDP port while it listens."""
        assert self._transport, "start() comes first"
        port: int = self._transport.get_extra_info("sockname")[1]
        return port

    @property
    def sessions_open(self) -> int:
        """Sessions held now, those still being set up included."""
        self._expire()
        return len(self._sessions)

    def handle(self, datagram: bytes) -> bytes | None:
        """Return the answer to one datagram, None where a BMC keeps silent."""
        if self.silent or len(datagram) < 5 or datagram[0] != RMCP_VERSION:
            return None
        rmcp_class, body = datagram[3], datagram[4:]
        try:
            reply = self._pong(body) if rmcp_class == CLASS_ASF else self._ipmi(rmcp_class, body)
        except BadPacket:
            return None
        return bytes([RMCP_VERSION, 0, RMCP_NO_ACK, rmcp_class]) + reply

    def _pong(self, body: bytes) -> bytes:
        """Presence Pong (§13.2.4): IPMI is supported."""
        if not self.answers_ping or len(body) < 8 or body[:5] != ASF_ENTERPRISE + b"\x80":
            raise BadPacket("not a presence ping")
        return ASF_ENTERPRISE + bytes([0x40, body[5], 0, 16]) + ASF_ENTERPRISE + bytes([0, 0, 0, 0, 0x81, 0]) + bytes(6)

    def _ipmi(self, rmcp_class: int, body: bytes) -> bytes:
        if rmcp_class != CLASS_IPMI:
            raise BadPacket("unknown RMCP class")
        if body[0] == 0:
            return self._outside_a_session(body)
        header = parse_header(body)
        return self._inside_a_session(header, body) if header.session_id else self._set_up(header, body)

    def _outside_a_session(self, body: bytes) -> bytes:
        """Answer an IPMI 1.5 packet without authentication: all that RMCP+ uses of IPMI 1.5."""
        if len(body) < SESSIONLESS_HEADER.size or body[9] != len(body) - SESSIONLESS_HEADER.size or any(body[5:9]):
            raise BadPacket("not a packet outside of a session")
        reply = self._message(body[SESSIONLESS_HEADER.size :], None)
        return SESSIONLESS_HEADER.pack(0, 0, 0, len(reply)) + reply

    # -- setting up a session (§13.17 to §13.24) --------------------------------------------------------------------

    def _set_up(self, header: Header, packet: bytes) -> bytes:
        request = unseal(packet, header, None)
        match header.payload_type:
            case Payload.IPMI:  # how ipmitool asks for the cipher suites
                return _plain(Payload.IPMI, self._message(request, None))
            case Payload.OPEN_SESSION_REQUEST if len(request) >= 32:
                return _plain(Payload.OPEN_SESSION_RESPONSE, self._open_session(request))
            case Payload.RAKP_1 if len(request) >= 28 and len(request) >= 28 + request[27]:
                return _plain(Payload.RAKP_2, self._rakp_1(request))
            case Payload.RAKP_3 if len(request) >= 8:
                return _plain(Payload.RAKP_4, self._rakp_3(request))
        raise BadPacket("not a packet that sets up a session")

    def _open_session(self, request: bytes) -> bytes:
        tag, privilege, console_id = request[0], request[1] & 0x0F, request[4:8]
        wanted = (request[12] & 0x3F, request[20] & 0x3F, request[28] & 0x3F)
        suite = next((SUITES[number] for number in self.suites if SUITES[number].algorithms == wanted), None)
        if suite is None:
            return bytes([tag, Status.NO_CIPHER_SUITE_MATCH, 0, 0]) + console_id
        self._expire()
        if len(self._sessions) >= self.max_sessions:
            return bytes([tag, Status.INSUFFICIENT_RESOURCES, 0, 0]) + console_id
        session = Session(self._new_id(), int.from_bytes(console_id, "little"), suite, self.clock.now().monotonic)
        self._sessions[session.id] = session
        self.sessions_peak = max(self.sessions_peak, len(self._sessions))
        granted = min(privilege or self.privilege, self.privilege)
        reply = bytes([tag, Status.OK, granted, 0]) + console_id + struct.pack("<I", session.id)
        return reply + b"".join(struct.pack("<BxxBBxxx", kind, 8, number) for kind, number in enumerate(wanted))

    def _rakp_1(self, request: bytes) -> bytes:
        tag, session = request[0], self._setting_up(request[4:8])
        if session is None or session.keys:
            return bytes([tag, Status.INVALID_SESSION_ID, 0, 0, 0, 0, 0, 0])
        session.console_salt = request[8:24]
        session.role = request[24:25] + request[27 : 28 + request[27]]
        refusal = None
        if session.role[2:] != self.username.encode():
            refusal = Status.UNAUTHORIZED_NAME
        elif request[24] & 0x0F > self.privilege:
            refusal = Status.UNAUTHORIZED_ROLE
        console_id = struct.pack("<I", session.console_id)
        if refusal:
            del self._sessions[session.id]
            return bytes([tag, refusal, 0, 0]) + console_id
        code = session.suite.mac(
            self.password.encode(),
            console_id + request[4:8] + session.console_salt + session.salt + self._guid + session.role,
        )
        return bytes([tag, Status.OK, 0, 0]) + console_id + session.salt + self._guid + code

    def _rakp_3(self, request: bytes) -> bytes:
        tag, session = request[0], self._setting_up(request[4:8])
        if request[1] != Status.OK:
            if session and not session.keys:
                del self._sessions[session.id]
            raise BadPacket("the console gave up")  # an answer is not due (§13.23)
        if session is None or not session.role:
            return bytes([tag, Status.INVALID_SESSION_ID, 0, 0, 0, 0, 0, 0])
        console_id = struct.pack("<I", session.console_id)
        code = session.suite.mac(self.password.encode(), session.salt, console_id, session.role)
        if not hmac.compare_digest(code, request[8:]):
            if not session.keys:
                del self._sessions[session.id]
            return bytes([tag, Status.INVALID_INTEGRITY_CHECK, 0, 0]) + console_id
        integrity_key = session.suite.mac(self.password.encode(), session.console_salt, session.salt, session.role)
        if not session.keys:  # a repeated message 3 gets the same answer
            session.keys = Keys(session.suite, integrity_key)
            self.sessions_opened += 1
        proof = session.suite.mac(integrity_key, session.console_salt, request[4:8], self._guid)
        return bytes([tag, Status.OK, 0, 0]) + console_id + proof[: session.suite.code_length]

    def _setting_up(self, session_id: bytes) -> Session | None:
        self._expire()
        return self._sessions.get(int.from_bytes(session_id, "little"))

    def _new_id(self) -> int:
        while (number := secrets.randbits(32)) == 0 or number in self._sessions:
            pass
        return number

    def _expire(self) -> None:
        oldest = self.clock.now().monotonic - self.session_timeout
        for session in [session for session in self._sessions.values() if session.last_seen <= oldest]:
            del self._sessions[session.id]
            self.sessions_expired += 1

    # -- commands ---------------------------------------------------------------------------------------------------

    def _inside_a_session(self, header: Header, packet: bytes) -> bytes:
        self._expire()
        session = self._sessions.get(header.session_id)
        if session is None or session.keys is None or header.payload_type != Payload.IPMI:
            raise BadPacket("no such session")
        request = unseal(packet, header, session.keys)
        if header.sequence <= session.received:
            raise BadPacket("a repeated packet")  # §6.12.13; loopback does not reorder, so no window is kept
        session.received = header.sequence
        session.last_seen = self.clock.now().monotonic
        reply = self._message(request, session)
        session.sent += 1
        return seal(Payload.IPMI, reply, session.console_id, session.sent, session.keys)

    def _message(self, message: bytes, session: Session | None) -> bytes:
        """Answer one IPMI LAN message (§13.8)."""
        if len(message) < 7 or sum(message[:3]) & 0xFF or sum(message[3:]) & 0xFF or message[0] != BMC_ADDRESS:
            raise BadPacket("wrong address or checksum")
        netfn, command, data = message[1] >> 2, message[5], message[6:-1]
        if netfn & 1:
            raise BadPacket("a response")
        self.requests[netfn, command] += 1
        try:
            answer = self._command(netfn, command, data, session)
        except Declined as declined:
            answer = bytes([declined.completion])
        to = bytes([message[3], (netfn | 1) << 2 | message[4] & 0x03])
        body = bytes([message[0], message[4] & 0xFC | message[1] & 0x03, command]) + answer
        return to + _checksum(to) + body + _checksum(body)

    def _command(self, netfn: int, command: int, data: bytes, session: Session | None) -> bytes:
        match netfn, command:
            case 0x06, 0x38:
                return self._authentication_capabilities(data)
            case 0x06, 0x54:
                return self._cipher_suites(data)
            case _ if session is None:
                raise Declined(Completion.INSUFFICIENT_PRIVILEGE)
            case 0x06, 0x3B:
                return self._set_privilege(data, session)
            case 0x06, 0x3C:
                return self._close(data, session)
            case _:
                return self.answer(netfn, command, data)

    def answer(self, netfn: int, command: int, data: bytes) -> bytes:
        """Return completion code and data for one command within a session. May raise `Declined`."""
        match netfn, command:
            case 0x00, 0x01:
                return self._chassis_status()
            case 0x04, 0x2D:
                return self._sensor_reading(data)
            case 0x06, 0x01:
                return self._device_id()
            case 0x0A, 0x10:
                return self._fru_size(data)
            case 0x0A, 0x11:
                return self._read_fru(data)
            case 0x0A, 0x20:
                return self._sdr_repository()
            case 0x0A, 0x22:
                return b"\0" + struct.pack("<H", self._reserve())
            case 0x0A, 0x23:
                return self._get_sdr(data)
            case 0x0A, 0x40:
                return self._event_log()
            case _:
                raise Declined(Completion.INVALID_COMMAND)

    def _authentication_capabilities(self, data: bytes) -> bytes:
        """§22.13: only IPMI 2.0 log-ins, by user name."""
        _demand(len(data) == 2)
        extended = data[0] & 0x80
        return bytes([0, 1, extended, 0x04, 0x02 if extended else 0, 0, 0, 0, 0])

    def _cipher_suites(self, data: bytes) -> bytes:
        """§22.15: records of algorithms, by cipher suite, in sixteens."""
        _demand(len(data) == 3)
        records = b"".join(
            bytes([0xC0, number, auth, integrity | 0x40, confidentiality | 0x80])
            for number, (auth, integrity, confidentiality) in ((n, SUITES[n].algorithms) for n in self.suites)
        )
        start = (data[2] & 0x3F) * 16
        return bytes([0, 1]) + records[start : start + 16]

    def _set_privilege(self, data: bytes, session: Session) -> bytes:
        """§22.18."""
        _demand(len(data) == 1)
        wanted = data[0] & 0x0F
        if wanted > self.privilege:
            raise Declined(Completion.PRIVILEGE_EXCEEDED)
        if wanted:
            session.privilege = Privilege(wanted)
        return bytes([0, session.privilege])

    def _close(self, data: bytes, session: Session) -> bytes:
        """§22.19."""
        _demand(len(data) >= 4)
        if data[:4] != struct.pack("<I", session.id):
            raise Declined(Completion.UNKNOWN_SESSION)
        del self._sessions[session.id]
        self.sessions_closed += 1
        return b"\0"

    def _device_id(self) -> bytes:
        """§20.1: firmware 1.23, IPMI 2.0, with SDR, SEL, FRU, sensor and chassis devices, of no known vendor."""
        return bytes([0, 0x20, 0x81, 0x01, 0x23, 0x02, 0x8F, 0, 0, 0, 0, 0, 0, 0, 0, 0])

    def _chassis_status(self) -> bytes:
        """§28.2."""
        identify = 0 if self.identify is None else 0x40 | self.identify << 5
        misc = self.intrusion | self.drive_fault << 2 | self.fan_fault << 3 | identify
        return bytes([0, self.power | self.power_fault << 3, 0x00, misc, 0x00])

    def _sensor_reading(self, data: bytes) -> bytes:
        _demand(len(data) == 1)
        if not 1 <= data[0] <= len(self.sensors):
            raise Declined(Completion.NOT_PRESENT)
        return b"\0" + self.sensors[data[0] - 1].reading_bytes()

    def sdr_records(self) -> list[bytes]:
        """Return the records of the SDR repository; record IDs and sensor numbers count from 1."""
        return [sensor.record(number) for number, sensor in enumerate(self.sensors, start=1)]

    def _reserve(self) -> int:
        """Cancel the reservation that holds and return the next."""
        self._reservation = self._reservation % 0xFFFF + 1
        return self._reservation

    def _sdr_repository(self) -> bytes:
        """§33.9: reservations are supported."""
        times = struct.pack("<II", self._sdr_changed, self._sdr_changed)
        return b"\0\x51" + struct.pack("<HH", len(self.sdr_records()), 0) + times + b"\x02"

    def _get_sdr(self, data: bytes) -> bytes:
        """§33.12: a read from within a record needs a reservation that still holds."""
        _demand(len(data) == 6)
        reservation, wanted, offset, count = struct.unpack("<HHBB", data)
        if (offset or reservation) and reservation != self._reservation:
            raise Declined(Completion.RESERVATION_CANCELLED)
        records = self.sdr_records()
        ids = [int.from_bytes(record[:2], "little") for record in records]
        if ids:
            wanted = {0: ids[0], LAST_RECORD: ids[-1]}.get(wanted, wanted)
        if wanted not in ids:
            raise Declined(Completion.NOT_PRESENT)
        place = ids.index(wanted)
        record = records[place]
        if offset > len(record):
            raise Declined(Completion.OUT_OF_RANGE)
        if min(count, len(record) - offset if count == 0xFF else count) > self.sdr_read_limit:
            raise Declined(Completion.TOO_MANY_BYTES)
        following = ids[place + 1] if place + 1 < len(ids) else LAST_RECORD
        return b"\0" + struct.pack("<H", following) + record[offset : offset + count]

    def _event_log(self) -> bytes:
        """§31.2."""
        counts = struct.pack("<HH", self.event_log_entries, self.event_log_free)
        times = struct.pack("<II", self._sdr_changed, self._sdr_changed)
        return b"\0\x51" + counts + times + bytes([0x02 | self.event_log_overflow << 7])

    def _fru_size(self, data: bytes) -> bytes:
        """§34.1: bytes are the unit."""
        self._demand_fru(data, 1)
        return b"\0" + struct.pack("<H", len(_fru(self.product))) + b"\0"

    def _read_fru(self, data: bytes) -> bytes:
        """§34.2."""
        self._demand_fru(data, 4)
        fru = _fru(self.product)
        offset, count = int.from_bytes(data[1:3], "little"), data[3]
        if offset >= len(fru):
            raise Declined(Completion.OUT_OF_RANGE)
        piece = fru[offset : offset + count]
        return bytes([0, len(piece)]) + piece

    @staticmethod
    def _demand_fru(data: bytes, length: int) -> None:
        _demand(len(data) == length)
        if data[0] != 0:
            raise Declined(Completion.NOT_PRESENT)


class _Wire(asyncio.DatagramProtocol):
    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # asyncio's own is not a subclass of it

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        reply = self._bmc.handle(data)
        if reply is not None:
            with contextlib.suppress(OSError):  # the asker is gone
                self._transport.sendto(reply, addr)


def _demand(right_length: bool) -> None:
    if not right_length:
        raise Declined(Completion.WRONG_LENGTH)


def _checksum(part: bytes) -> bytes:
    return bytes([-sum(part) & 0xFF])


def _plain(kind: Payload, payload: bytes) -> bytes:
    return seal(kind, payload, 0, 0, None)


def _fru(product: Product) -> bytes:
    """Return FRU inventory with one product area (Platform Management FRU Information Storage Definition §8, §12)."""
    header = bytes([0x01, 0, 0, 0, 1, 0, 0])
    texts = (product.manufacturer, product.name, product.part_number, product.version, product.serial, "", "")
    fields = b"".join(bytes([EIGHT_BIT_ASCII | len(text)]) + text.encode("latin-1") for text in texts)
    end = b"\xc1"
    length = 3 + len(fields) + len(end) + 1
    area = bytes([0x01, -(-length // 8), 25]) + fields + end + bytes(-length % 8)
    return header + _checksum(header) + area + _checksum(area)
