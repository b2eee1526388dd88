"""One RMCP+ session with one BMC: IPMI v2.0 over UDP (IPMI v2.0 rev. 1.1, sections 13.6 to 13.32).

Packets and dialogue are ours (docs/decisions/0002-ipmi-session.md): one socket, one request in flight, retries with
growing waits inside the deadline. Whatever is not the answer we wait for (stray, repeated, wrongly signed, out of
sequence, garbage) is dropped and counted, never believed.
"""

import asyncio
import contextlib
import hmac
import os
import socket
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from types import TracebackType
from typing import Self

from pyipmi.msgs import constants  # type: ignore[import-untyped]  # has no py.typed

from collectors.failures import (
    CheckFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    translate,
)
from collectors.hardware.alarm import Alarm
from collectors.hardware.ipmi import packets
from collectors.hardware.ipmi.packets import Keys, PacketError, Suite
from collectors.secret import Credential

WAITS = (1.0, 1.5, 2.5, 5.0)
"""Seconds until a request is sent again; a BMC that stays silent for their sum is given up."""

CLOSE_WAITS = (0.4, 0.6)
"""The same for Close Session, the only part that may outlive a cancellation."""

CIPHER_SUITES = tuple(packets.SUITES)
"""What we propose, best first."""

TRANSCRIPT_LINES = 2_000

BMC_ADDRESS = 0x20
CONSOLE_ADDRESS = 0x81
NAME_ONLY_LOOKUP = 0x10
SEQUENCE_WINDOW = 32
MAX_NAME, MAX_PASSWORD = 16, 20
"""Bytes (sections 13.20 and 22.30)."""

NETFN_APPLICATION = 0x06
SEND_MESSAGE, TRACK_REQUEST = 0x34, 0x40
SET_SESSION_PRIVILEGE_LEVEL = 0x3B
CLOSE_SESSION = 0x3C

MORE = b""
"""What takes an answer returns this when the wait goes on. An answer has at least its completion code."""

BUSY = frozenset({constants.CC_NODE_BUSY, constants.CC_TIMEOUT, constants.CC_CANT_RESP_DUPLI_REQ})
"""Completion codes that ask us to try again."""

ALGORITHM_REFUSED = frozenset(
    {
        constants.MSC_INVALID_AUTHENTICATION_ALGORITHM,
        constants.MSC_INVALID_INTEGRITY_ALGORITHM,
        constants.MSC_NO_MATCHING_AUTHENTICATION_PAYLOAD,
        constants.MSC_NO_MATCHING_INTEGRITY_PAYLOAD,
        constants.MSC_INVALID_CONFIDENTIALITY_ALGORITHM,
        constants.MSC_NO_CIPHER_SUITE_MATCH,
    }
)
ROLE_REFUSED = frozenset({constants.MSC_INVALID_ROLE, constants.MSC_UNAUTHORIZED_ROLE})
NO_SLOT = frozenset({constants.MSC_INSUFFICIENT_RESOURCES, constants.MSC_INSUFFICIENT_RESOURCES_FOR_ROLE})
USER_REFUSED = ROLE_REFUSED | {
    constants.MSC_UNAUTHORIZED_NAME,
    constants.MSC_INVALID_NAME_LENGTH,
    constants.MSC_INVALID_INTEGRITY_CHECK_VALUE,
}
STATUS_TEXTS: dict[int, str] = dict(constants.MESSAGE_STATUS_CODE_DESCR)
COMPLETION_TEXTS: dict[int, str] = dict(constants.COMPLETION_CODE_DESCR)


class Privilege(IntEnum):
    """Privilege levels (table 6-5). Everything that we read is granted to USER (appendix G)."""

    USER = 2
    OPERATOR = 3


class Rejected(Exception):  # noqa: N818 - a completion code is an answer, not an error of ours
    """The BMC answered with a completion code other than 00h."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        text = COMPLETION_TEXTS.get(self.code)
        return f"completion code {self.code:02x}h" + (f" ({text})" if text else "")


class SessionLost(TimedOut):
    """The BMC fell silent inside an established session: it restarted, dropped the session, or is gone."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to a satellite controller: the BMC's channel and the controller's slave address on it."""

    channel: int
    address: int


class SuiteRefused(Exception):  # noqa: N818 - the next cipher suite is tried
    """The BMC does not want this cipher suite."""


Exchange = tuple[int, int, bytes, bytes]
"""Network function, command, data, and the answer from its completion code on."""


@dataclass(slots=True)
class Transcript:
    """What was asked and answered, without secrets. Kept as it came, rendered when somebody asks."""

    entries: list[str | Exchange] = field(default_factory=list)

    def note(self, entry: str | Exchange) -> None:
        """Keep one entry, as long as there is room."""
        if len(self.entries) < TRANSCRIPT_LINES:
            self.entries.append(entry)

    def lines(self) -> tuple[str, ...]:
        """Return one short line for each entry."""
        return tuple(entry if isinstance(entry, str) else exchange_text(*entry) for entry in self.entries)


def exchange_text(netfn: int, command: int, data: bytes, answer: bytes) -> str:
    """Return a command and its answer as a line."""
    return f"{netfn:02x}/{command:02x} {data.hex(' ')} -> {answer.hex(' ')}"


class Session:
    """An authenticated, encrypted session; an asynchronous context manager that always closes it.

    ``step`` names what is being done and goes into every failure; the reader moves it on. ``dropped`` counts the
    packets that were not believed.
    """

    def __init__(self, host: str, port: int, deadline: float, transcript: Transcript) -> None:
        """``host`` is an IP address; ``deadline`` is event-loop time."""
        self.step = "open session"
        self.dropped = 0
        self.suite = 0
        self._waits: Sequence[float] = WAITS
        self._host = host
        self._port = port
        self._deadline = deadline
        self._transcript = transcript
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._waiting: asyncio.Future[bytes | None] | None = None
        self._accept: Callable[[bytes], bytes | None] = lambda _: None
        self._alarm = Alarm(self._loop, self._give_up_waiting)
        self._answered = False
        self._last_drop = ""
        self._keys: Keys | None = None
        self._derived_keys: Keys | None = None
        self._opening = False
        self._console_id = 0
        self._managed_id = 0
        self._tag = 0
        self._sequence = 0
        self._request_sequence = 0
        self._highest = 0
        self._seen = 0

    # --- opening and closing -----------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        # A plain socket: asyncio's datagram endpoint took half of the time of a request.
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            self._socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            raise translate(error, self.step) from error
        try:
            self._socket.connect((self._host, self._port))
        except OSError as error:
            self._socket.close()
            raise translate(error, self.step) from error
        self._loop.add_reader(self._socket, self._readable)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._socket is not None
        try:
            if self._opening and kind is asyncio.CancelledError:
                await self._await_slot()
            if self._derived_keys is not None:
                # Also when its last answer was not awaited: the BMC may hold an open session.
                self._keys = self._derived_keys
                await self._close()
            elif self._managed_id:
                # Half open: a RAKP message 3 that carries a status frees the slot (section 13.23).
                self._send(self._rakp3(constants.MSC_INSUFFICIENT_RESOURCES))
        finally:
            self._alarm.end()
            self._loop.remove_reader(self._socket)
            self._socket.close()

    async def _await_slot(self) -> None:
        """Await the answer to an Open Session Request a little longer: it names the slot, which then can be freed."""
        self._waiting = waiting = self._loop.create_future()
        self._alarm.set(self._loop.time() + CLOSE_WAITS[0])
        with contextlib.suppress(OSError):
            await waiting

    async def _close(self) -> None:
        # Close Session leaves before the first await, so that not even a second cancellation can keep it back.
        self._deadline = self._loop.time() + sum(CLOSE_WAITS)
        with contextlib.suppress(CheckFailure, Rejected):
            await self.request(NETFN_APPLICATION, CLOSE_SESSION, struct.pack("<I", self._managed_id), waits=CLOSE_WAITS)

    async def log_in(self, credential: Credential, suites: Sequence[int], privilege: Privilege) -> None:
        """Establish the session with the first of ``suites`` that the BMC takes.

        Raises Unauthorized where user, password or privilege level are refused, Unavailable where it has no free
        slot, UnexpectedReply where it takes no suite, TimedOut where it never answers.
        """
        username = credential.username.encode()
        password = credential.password.reveal().encode()
        if len(username) > MAX_NAME:
            raise Misconfigured("log-in", f"IPMI user names have at most {MAX_NAME} bytes")
        if len(password) > MAX_PASSWORD:
            raise Misconfigured("log-in", f"IPMI passwords have at most {MAX_PASSWORD} bytes")
        refusals: list[str] = []
        silence: CheckFailure | None = None
        waits = self._waits
        for number in suites:
            # All proposals together wait as long as one: some BMCs answer a suite that they do not know with silence.
            share = len(waits) if number == suites[-1] else len(waits) // 2
            self.step = "open session"
            suite = packets.SUITES[number]
            try:
                await self._open(suite, privilege, waits[:share])
                self.step = "log-in"
                await self._authenticate(suite, username, password, privilege)
            except SuiteRefused as refusal:
                self._managed_id = 0
                refusals.append(f"cipher suite {number}: {refusal}")
                waits = self._waits
            except TimedOut as failure:
                if self.step != "open session":
                    raise
                silence = failure
                waits = waits[share:]
            else:
                self.suite = number
                self._transcript.note(f"session open, cipher suite {number}, privilege level {privilege.name}")
                break
        else:
            raise UnexpectedReply("open session", "; ".join(refusals)) if silence is None else silence
        if privilege > Privilege.USER:  # at which sessions start (section 22.18); ipmitool does not ask for it either
            with contextlib.suppress(Rejected):
                await self.request(NETFN_APPLICATION, SET_SESSION_PRIVILEGE_LEVEL, bytes([privilege]))

    async def _open(self, suite: Suite, privilege: Privilege, waits: Sequence[float]) -> None:
        """Open Session Request and Response (sections 13.17 and 13.18)."""
        self._console_id = int.from_bytes(os.urandom(4), "little") | 1
        proposal = b"".join(struct.pack("<BxxBBxxx", kind, 8, number) for kind, number in enumerate(suite.algorithms))

        def take_slot(answer: bytes) -> bool:
            (self._managed_id,) = struct.unpack_from("<I", answer, 8)
            self._opening = False
            return True

        self._opening = True
        answer = await self._handshake(
            packets.OPEN_SESSION,
            struct.pack("<BxxI", privilege, self._console_id) + proposal,
            36,
            waits,
            take_slot,
        )
        if tuple(answer[at] & 0x3F for at in (16, 24, 32)) != suite.algorithms:
            self._send(self._rakp3(constants.MSC_NO_CIPHER_SUITE_MATCH))
            raise SuiteRefused("the BMC chose other algorithms")

    async def _authenticate(self, suite: Suite, username: bytes, password: bytes, privilege: Privilege) -> None:
        """RAKP messages 1 to 4 (sections 13.20 to 13.23) and the session's keys (sections 13.31 and 13.32)."""

        def sign(key: bytes, *parts: bytes) -> bytes:
            return hmac.digest(key, b"".join(parts), suite.digest)

        console, managed = struct.pack("<I", self._console_id), struct.pack("<I", self._managed_id)
        nonce = os.urandom(16)
        asked = privilege | NAME_ONLY_LOOKUP
        signed_role = b""
        mismatches = 0

        def proven(answer: bytes) -> bool:
            """Tell whether the sender of a RAKP message 2 knows the password. The first that does not is dropped."""
            nonlocal signed_role, mismatches
            # Some BMCs sign the role without the lookup bit (FreeIPMI's "opensesspriv"): what they signed tells.
            for signed in (asked, int(privilege)):
                signed_role = bytes([signed, len(username)]) + username
                expected = sign(password, console, managed, nonce, answer[8:24], answer[24:40], signed_role)
                if hmac.compare_digest(expected, answer[40:]):
                    return True
            mismatches += 1
            signed_role = b""
            return mismatches > 1

        answer = b""
        try:
            answer = await self._handshake(
                packets.RAKP_1,
                struct.pack("<xxx4s16sBxxB", managed, nonce, asked, len(username)) + username,
                40,
                believed=proven,
            )
        except (TimedOut, UnexpectedReply):
            if not mismatches:
                raise
        if not signed_role:
            self._send(self._rakp3(constants.MSC_INVALID_INTEGRITY_CHECK_VALUE))
            self._managed_id = 0
            raise Unauthorized("log-in", "the BMC has another password for this user")
        bmc_nonce, guid = answer[8:24], answer[24:40]
        integrity_key = sign(password, nonce, bmc_nonce, signed_role)
        self._derived_keys = Keys(suite, integrity_key)
        answer = await self._handshake(
            packets.RAKP_3,
            struct.pack("<xxx4s", managed) + sign(password, bmc_nonce, console, signed_role),
            8,
        )
        if not hmac.compare_digest(sign(integrity_key, nonce, managed, guid)[: suite.code_length], answer[8:]):
            raise Unauthorized("log-in", "the session's keys differ: is a BMC key (K_G) set there?")
        self._keys = self._derived_keys

    def _rakp3(self, status: int) -> bytes:
        """Return a RAKP message 3 that ends the log-in."""
        self._tag = (self._tag + 1) & 0xFF
        message = struct.pack("<BBxxI", self._tag, status, self._managed_id)
        return packets.plain(packets.RAKP_3, message)

    async def _handshake(
        self,
        kind: int,
        message: bytes,
        length: int,
        waits: Sequence[float] | None = None,
        believed: Callable[[bytes], bool] = lambda _: True,
    ) -> bytes:
        """Send a message of the log-in, of which the tag is still missing, and return its answer."""
        self._tag = tag = (self._tag + 1) & 0xFF
        packet = packets.plain(kind, bytes([tag]) + message)
        console = struct.pack("<I", self._console_id)

        def accept(data: bytes) -> bytes | None:
            answer_kind, payload = packets.open_plain(data)
            # Answers to the log-in have the type of their request plus one; a refusal may be cut short.
            if answer_kind != kind + 1 or len(payload) < 2 or payload[0] != tag:
                return None
            if payload[1] != constants.MSC_OK:
                return payload
            return payload if len(payload) >= length and payload[4:8] == console and believed(payload) else None

        answer = await self._exchange(lambda: packet, accept, waits or self._waits)
        status = answer[1]
        if status != constants.MSC_OK:
            text = f"{STATUS_TEXTS.get(status, 'status')} ({status:02x}h)"
            self._transcript.note(f"{self.step}: refused: {text}")
            if status in ALGORITHM_REFUSED:
                raise SuiteRefused(text)
            if status in USER_REFUSED:
                raise Unauthorized("log-in", f"the BMC refuses the user: {text}")
            if status in NO_SLOT:
                raise Unavailable(self.step, f"the BMC has no free session: {text}")
            raise UnexpectedReply(self.step, f"the BMC refuses: {text}")
        return answer

    # --- requests ----------------------------------------------------------------------------------------------------

    async def request(
        self,
        netfn: int,
        command: int,
        data: bytes = b"",
        *,
        lun: int = 0,
        route: Route | None = None,
        waits: Sequence[float] | None = None,
    ) -> bytes:
        """Send one command, to a satellite controller where a ``route`` is given, and return what follows its code.

        Raises Rejected for a completion code other than 00h (after having asked again where the BMC was busy),
        SessionLost where it does not answer, TimedOut at the deadline.
        """
        waits = waits or self._waits
        answer = b""
        for pause in waits:
            answer = await self._exchange(*self._command(netfn, command, data, lun, route), waits)
            if answer[0] not in BUSY:
                break
            await asyncio.sleep(min(pause / 4, max(0.0, self._deadline - self._loop.time())))
        self._transcript.note((netfn, command, data, answer))
        return completed(answer)

    async def series(self, netfn: int, command: int, asked: Sequence[tuple[int, bytes]]) -> list[bytes]:
        """Send a command again and again, each time with a LUN and data, and return the answers from their codes on.

        Each leaves when the one before has been answered, still one at a time, but only the last answer wakes the
        task: waking it costs a quarter of a request. Where one is not answered at once, or the BMC is busy, the answers
        end before it: `request` has the patience for it. Raises TimedOut at the deadline.
        """
        answers: list[bytes] = []
        if not asked:
            return answers
        commands = (self._command(netfn, command, data, lun) for lun, data in asked)
        pack, take = next(commands)

        def accept(packet: bytes) -> bytes | None:
            nonlocal pack, take
            answer = take(packet)
            if answer is None or answer[0] in BUSY:
                return answer
            self._transcript.note((netfn, command, asked[len(answers)][1], answer))
            answers.append(answer)
            if len(answers) == len(asked):
                return answer
            pack, take = next(commands)
            self._send(pack())
            self._alarm.set(min(self._loop.time() + self._waits[0], self._deadline))
            return MORE

        with contextlib.suppress(SessionLost):
            await self._exchange(lambda: pack(), accept, self._waits[:1])
        return answers

    def _command(
        self, netfn: int, command: int, data: bytes, lun: int = 0, route: Route | None = None
    ) -> tuple[Callable[[], bytes], Callable[[bytes], bytes | None]]:
        """Return what makes a packet with an IPMI message (section 13.8), and what takes its answer from one."""
        self._request_sequence = sequence = (self._request_sequence + 1) & 0x3F
        expected = (netfn + 1, sequence, command)
        forwarded = (NETFN_APPLICATION + 1, sequence, SEND_MESSAGE) if route else None
        if route is None:
            message = packets.request(BMC_ADDRESS, netfn << 2 | lun, CONSOLE_ADDRESS, sequence, command, data)
        else:
            # The BMC tracks the request and puts its own address in place of ours (section 6.13.3).
            inner = packets.request(route.address, netfn << 2 | lun, BMC_ADDRESS, sequence, command, data)
            outer = bytes([TRACK_REQUEST | route.channel]) + inner
            message = packets.request(
                BMC_ADDRESS, NETFN_APPLICATION << 2, CONSOLE_ADDRESS, sequence, SEND_MESSAGE, outer
            )
        keys = self._keys
        assert keys is not None, "not logged in"

        def pack() -> bytes:
            # Every transmission has its own session sequence number (section 6.12.12); 0 is for session-less packets.
            self._sequence = self._sequence % 0xFFFFFFFF + 1
            return keys.seal(self._managed_id, self._sequence, message)

        def accept(packet: bytes) -> bytes | None:
            session, number, payload = keys.open(packet)
            if session != self._console_id or not self._fresh(number):
                return None
            # The integrity code has vouched for the bytes; some BMCs get the inner checksums wrong.
            found = (payload[1] >> 2, payload[4] >> 2, payload[5]) if len(payload) >= packets.SHORTEST_ANSWER else None
            if found == forwarded and payload[6] == 0 and len(payload) >= 2 * packets.SHORTEST_ANSWER:
                payload = payload[7:-1]  # the satellite's answer inside the BMC's; others send it on its own
                found = (payload[1] >> 2, payload[4] >> 2, payload[5])
            if found == expected or (found == forwarded and payload[6]):
                return payload[6:-1]
            return None

        return pack, accept

    def _fresh(self, number: int) -> bool:
        """Tell whether a session sequence number is new: ahead, or not yet seen inside the window (section 6.12.13)."""
        ahead = number - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead | 1) & (1 << SEQUENCE_WINDOW) - 1 if ahead < SEQUENCE_WINDOW else 1
            self._highest = number
            return True
        if -ahead >= SEQUENCE_WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True

    # --- packets -----------------------------------------------------------------------------------------------------

    async def _exchange(
        self, pack: Callable[[], bytes], accept: Callable[[bytes], bytes | None], waits: Sequence[float]
    ) -> bytes:
        """Send what ``pack`` gives until ``accept`` returns an answer.

        That takes a packet and returns None for what is no answer, or raises PacketError for what is no packet.
        """
        self._accept = accept
        for wait in waits:
            now = self._loop.time()
            if now >= self._deadline:
                break
            self._waiting = waiting = self._loop.create_future()
            self._send(pack())
            self._alarm.set(min(now + wait, self._deadline))
            try:
                answer: bytes | None = await waiting
            except OSError as error:
                raise translate(error, self.step) from error
            finally:
                self._waiting = None
            if answer is not None:
                self._answered = True
                return answer
        raise self._silence()

    def _give_up_waiting(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _silence(self) -> CheckFailure:
        """Return the failure that no answer means."""
        dropped = f"; {self.dropped} packets were dropped, the last: {self._last_drop}" if self.dropped else ""
        if self._loop.time() >= self._deadline:
            return TimedOut(self.step, f"no answer before the deadline{dropped}")
        if self._keys is not None:
            return SessionLost(self.step, f"the BMC stopped answering inside the session{dropped}")
        if self.dropped and not self._answered:
            return UnexpectedReply(self.step, f"what answers does not speak IPMI 2.0{dropped}")
        return TimedOut(self.step, f"the BMC does not answer{dropped}")

    def _send(self, packet: bytes) -> None:
        assert self._socket is not None
        try:
            self._socket.send(packet)
        except BlockingIOError:
            pass  # our own buffers are full: the packet is lost as on the wire, and sent again
        except OSError as error:
            self._end_wait(error)

    def _readable(self) -> None:
        assert self._socket is not None
        try:
            data = self._socket.recv(packets.LARGEST_PACKET)
        except BlockingIOError:
            return
        except OSError as error:  # an ICMP error
            self._end_wait(error)
        else:
            self._take(data)

    def _take(self, packet: bytes) -> None:
        """Take one packet: the awaited answer, or nothing."""
        # Also a log-in that was cancelled this very moment wants to know its slot.
        if self._waiting is None or (self._waiting.done() and not self._opening):
            self._drop("nothing was asked")
            return
        try:
            answer = self._accept(packet)
        except PacketError as error:
            self._drop(str(error))
            return
        if answer is None:
            self._drop("not an answer to what was asked")
        elif answer is not MORE and not self._waiting.done():
            self._waiting.set_result(answer)

    def _end_wait(self, error: OSError) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)

    def _drop(self, why: str) -> None:
        self.dropped += 1
        self._last_drop = why
        self._transcript.note(f"{self.step}: dropped a packet: {why}")


def completed(answer: bytes) -> bytes:
    """Return what follows an answer's completion code. Raises Rejected for another code than 00h."""
    if answer[0]:
        raise Rejected(answer[0])
    return answer[1:]
