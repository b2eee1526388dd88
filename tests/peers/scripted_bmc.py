"""A BMC under a test's thumb: an RMCP+ server on loopback that counts sessions and misbehaves on request.

Written from the IPMI v2.0 specification apart from the reader's code: it is no oracle for verdicts (that is OpenIPMI's
simulator with FreeIPMI), it is for what no real BMC does on command. Behaviour is changed by assigning to attributes:
``answers`` and ``readings`` say what commands return, ``tamper`` decides what becomes of each packet that leaves.
"""

import asyncio
import hmac
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

RMCP = b"\x06\x00\xff\x07"
OPEN, OPENED, RAKP1, RAKP2, RAKP3, RAKP4, IPMI = 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x00
HASH = {3: ("sha1", 12), 17: ("sha256", 16)}
ALGORITHMS = {3: (1, 1, 1), 17: (3, 4, 1)}

GET_SENSOR_READING = (0x04, 0x2D)
GET_DEVICE_ID, GET_CHASSIS_STATUS, GET_SEL_INFO = (0x06, 0x01), (0x00, 0x01), (0x0A, 0x40)
GET_SDR_INFO, RESERVE_SDR, GET_SDR = (0x0A, 0x20), (0x0A, 0x22), (0x0A, 0x23)
SET_PRIVILEGE, CLOSE_SESSION, READ_FRU = (0x06, 0x3B), (0x06, 0x3C), (0x0A, 0x11)

OK, INVALID_COMMAND, NOT_PRESENT, CANCELLED, TOO_LONG = b"\x00", b"\xc1", b"\xcb", b"\xc5", b"\xca"

Answer = bytes | Callable[[bytes], bytes | None]


@dataclass
class BmcSession:
    """What the BMC knows of one session."""

    console_id: int
    suite: int
    nonce: bytes = b""
    console_nonce: bytes = b""
    role: bytes = b""
    k1: bytes = b""
    k2: bytes = b""
    active: bool = False
    sequence: int = 0


@dataclass
class ScriptedBmc(asyncio.DatagramProtocol):
    """An asynchronous context manager; ``port`` is known inside of it."""

    username: str = "monitor"
    password: str = "secret-of-the-bmc"
    suites: tuple[int, ...] = (17, 3)
    records: list[bytes] = field(default_factory=list)
    readings: dict[int, bytes] = field(default_factory=dict)
    """Data of Get Sensor Reading by sensor number."""
    answers: dict[tuple[int, int], Answer] = field(default_factory=dict)
    """Completion code and data by network function and command; None is silence."""
    tamper: Callable[[int, bytes], list[bytes]] = lambda _kind, packet: [packet]
    """What really leaves in place of a packet of this payload type."""
    device_id: bytes = bytes.fromhex("20 01 02 43 02 9f a2 02 00 00 01")
    """What Get Device ID returns: a Dell's."""
    whole_records: bool = True
    hash_lookup_bit: bool = True
    host: str = "127.0.0.1"
    port: int = 0

    def __post_init__(self) -> None:
        self.sessions: dict[int, BmcSession] = {}
        self.asked: list[tuple[int, int, bytes]] = []
        self.packets = 0
        self.opened = self.closed = self.most_open = self.aborted = 0
        self.changed = asyncio.Event()
        """Set at every packet that comes in; a test clears it."""

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(self.host, self.port))
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._transport.close()

    @property
    def open_sessions(self) -> int:
        """How many sessions are established right now."""
        return sum(session.active for session in self.sessions.values())

    @property
    def manufacturer(self) -> int:
        """The IANA number of the maker."""
        return int.from_bytes(self.device_id[6:9], "little")

    def made_by(self, manufacturer: int) -> None:
        """Become another manufacturer's."""
        self.device_id = self.device_id[:6] + manufacturer.to_bytes(3, "little") + self.device_id[9:]

    async def until(self, condition: Callable[[], bool], patience: float = 10.0) -> None:
        """Wait until ``condition`` holds; it is looked at whenever a packet comes in."""
        async with asyncio.timeout(patience):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def count(self, command: tuple[int, int]) -> int:
        """Return how often a command was received."""
        return sum((netfn, number) == command for netfn, number, _ in self.asked)

    # --- packets ---

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.packets += 1
        self.changed.set()
        if data[:4] != RMCP:
            return
        kind, session_id, _, length = struct.unpack_from("<xBIIH", data, 4)
        payload = data[16 : 16 + length]
        match kind & 0x3F:
            case 0x10:
                self._open(payload, addr)
            case 0x12:
                self._rakp1(payload, addr)
            case 0x14:
                self._rakp3(payload, addr)
            case 0x00:
                self._ipmi(session_id, data[4:], payload, addr)

    def _send(self, kind: int, packet: bytes, addr: tuple[str, int]) -> None:
        for real in self.tamper(kind, packet):
            self._transport.sendto(real, addr)

    def _reply(self, kind: int, payload: bytes, addr: tuple[str, int]) -> None:
        self._send(kind, RMCP + struct.pack("<BBIIH", 6, kind, 0, 0, len(payload)) + payload, addr)

    def _open(self, request: bytes, addr: tuple[str, int]) -> None:
        tag, _, console_id = struct.unpack_from("<BBxxI", request)
        wanted = (request[12], request[20], request[28])
        suite = next((number for number in self.suites if ALGORITHMS[number] == wanted), 0)
        if not suite:
            self._reply(OPENED, struct.pack("<BBxxI", tag, 0x11, console_id), addr)
            return
        session_id = int.from_bytes(os.urandom(4), "little") | 1
        self.sessions[session_id] = BmcSession(console_id, suite)
        answer = struct.pack("<BBBxII", tag, 0, 4, console_id, session_id)
        self._reply(OPENED, answer + request[8:32], addr)

    def _rakp1(self, request: bytes, addr: tuple[str, int]) -> None:
        tag, session_id, nonce, role, length = struct.unpack_from("<BxxxI16sBxxB", request)
        session = self.sessions.get(session_id)
        if session is None:
            return
        console_id = struct.pack("<I", session.console_id)
        if request[28 : 28 + length].decode() != self.username:
            self._reply(RAKP2, struct.pack("<BBxx", tag, 0x0D) + console_id, addr)
            return
        session.console_nonce, session.nonce = nonce, os.urandom(16)
        session.role = bytes([role if self.hash_lookup_bit else role & 0x0F, length]) + self.username.encode()
        guid = bytes(range(16))
        signed = console_id + struct.pack("<I", session_id) + nonce + session.nonce + guid + session.role
        answer = struct.pack("<BBxx", tag, 0) + console_id + session.nonce + guid
        self._reply(RAKP2, answer + self._sign(session, signed), addr)

    def _rakp3(self, request: bytes, addr: tuple[str, int]) -> None:
        tag, status, session_id = struct.unpack_from("<BBxxI", request)
        session = self.sessions.get(session_id)
        if session is None:
            return
        if status:
            self.aborted += 1
            del self.sessions[session_id]
            return
        console_id = struct.pack("<I", session.console_id)
        if request[8:] != self._sign(session, session.nonce + console_id + session.role):
            self._reply(RAKP4, struct.pack("<BBxx", tag, 0x0F) + console_id, addr)
            return
        digest, cut = HASH[session.suite]
        sik = self._sign(session, session.console_nonce + session.nonce + session.role)
        session.k1, session.k2 = (hmac.digest(sik, bytes([number] * 20), digest) for number in (1, 2))
        if not session.active:
            session.active = True
            self.opened += 1
            self.most_open = max(self.most_open, self.open_sessions)
        check = hmac.digest(sik, session.console_nonce + struct.pack("<I", session_id) + bytes(range(16)), digest)
        self._reply(RAKP4, struct.pack("<BBxx", tag, 0) + console_id + check[:cut], addr)

    def _sign(self, session: BmcSession, data: bytes) -> bytes:
        return hmac.digest(self.password.encode(), data, HASH[session.suite][0])

    def _ipmi(self, session_id: int, packet: bytes, payload: bytes, addr: tuple[str, int]) -> None:
        session = self.sessions.get(session_id)
        if session is None or not session.active:
            return
        digest, cut = HASH[session.suite]
        if hmac.digest(session.k1, packet[:-cut], digest)[:cut] != packet[-cut:]:
            return
        cipher = Cipher(algorithms.AES(session.k2[:16]), modes.CBC(payload[:16])).decryptor()
        plain = cipher.update(payload[16:]) + cipher.finalize()
        message = plain[: -1 - plain[-1]]
        netfn, lun, sequence, command, data = message[1] >> 2, message[1] & 3, message[4], message[5], message[6:-1]
        self.asked.append((netfn, command, data))
        answer = self._answer(netfn, command, data)
        if answer is None:
            return
        head = bytes([0x81, (netfn + 1) << 2])
        body = bytes([0x20, sequence & 0xFC | lun, command]) + answer
        self.say(session_id, head + checksum(head) + body + checksum(body), addr)
        if (netfn, command) == CLOSE_SESSION:
            self.closed += 1
            del self.sessions[session_id]

    def say(self, session_id: int, message: bytes, addr: tuple[str, int]) -> None:
        """Send one signed and encrypted IPMI message."""
        session = self.sessions[session_id]
        session.sequence += 1
        self._send(IPMI, seal(session, message), addr)

    # --- commands ---

    def _answer(self, netfn: int, command: int, data: bytes) -> bytes | None:
        scripted = self.answers.get((netfn, command))
        if scripted is not None:
            return scripted(data) if callable(scripted) else scripted
        match netfn, command:
            case 0x06, 0x3B:
                return OK + data
            case 0x06, 0x3C:
                return OK
            case 0x06, 0x01:
                return OK + self.device_id
            case 0x00, 0x01:
                return OK + bytes.fromhex("01 10 40 70")
            case 0x0A, 0x40:
                return OK + bytes.fromhex("51 10 00 00 0f 00 00 00 00 00 00 00 00 02")
            case 0x0A, 0x20:
                return OK + struct.pack("<BHHIIB", 0x51, len(self.records), 0xFFFF, 1_000, 0, 2)
            case 0x0A, 0x22:
                return OK + b"\x01\x00"
            case 0x0A, 0x23:
                return self.sdr(data)
            case 0x04, 0x2D:
                reading = self.readings.get(data[0])
                return NOT_PRESENT if reading is None else OK + reading
            case _:
                return INVALID_COMMAND

    def sdr(self, data: bytes) -> bytes:
        """Answer Get SDR from ``records``, which are numbered by their place."""
        record_id, offset, count = int.from_bytes(data[2:4], "little"), data[4], data[5]
        if record_id >= len(self.records):
            return NOT_PRESENT
        if count == 0xFF and not self.whole_records:
            return TOO_LONG
        next_id = record_id + 1 if record_id + 1 < len(self.records) else 0xFFFF
        return OK + struct.pack("<H", next_id) + self.records[record_id][offset : offset + count]


def seal(session: BmcSession, message: bytes) -> bytes:
    """Return an encrypted, signed packet (IPMI v2.0 sections 13.6 and 13.29)."""
    pad = -(len(message) + 1) % 16
    vector = os.urandom(16)
    cipher = Cipher(algorithms.AES(session.k2[:16]), modes.CBC(vector)).encryptor()
    payload = vector + cipher.update(message + bytes(range(1, pad + 1)) + bytes([pad])) + cipher.finalize()
    packet = struct.pack("<BBIIH", 6, 0xC0, session.console_id, session.sequence, len(payload)) + payload
    pad = -(len(packet) + 2) % 4
    packet += b"\xff" * pad + bytes([pad, 7])
    digest, cut = HASH[session.suite]
    code: bytes = hmac.digest(session.k1, packet, digest)[:cut]
    return RMCP + packet + code


def checksum(data: bytes) -> bytes:
    """Return the two's complement checksum of IPMI messages."""
    return bytes([-sum(data) & 0xFF])
