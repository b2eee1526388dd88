"""The conversation of one attempt with one server: every protocol speaks through it.

A check connects, says, and expects; the dialogue keeps the step it is at, the limits, the transcript and the
certificate. Its methods raise CheckFailure. A monitored server is untrusted input: everything read has a limit. The
deadline is `collectors.attempt`'s business.
"""

import asyncio
import contextlib
import errno
import re
import socket
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar, cast

from collectors.failures import (
    NETWORK_REASONS,
    CertificateFailure,
    CheckFailure,
    Misconfigured,
    NoAddress,
    TimedOut,
    TlsFailure,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    Void,
    translate,
)
from collectors.registry import ServiceTarget
from collectors.secret import Secret
from collectors.tls import Flaw, TlsOptions, contexts, fingerprint, flaw_of
from collectors.transcript import HIDDEN, Transcript

T = TypeVar("T")

BYTES = 1024 * 1024
"""Received on one connection, at most, where a check says nothing else."""
LINE = 8 * 1024
"""Bytes of one line, at most."""
HIGH_WATER = 64 * 1024
"""Bytes waiting to be looked at from which on reading pauses."""
RECORD = 16 * 1024
"""Bytes of a TLS record."""
FREE_LOOKS = 10
PAUSE = 0.05
"""Seconds between two looks for something in an answer, after the first ten."""

JUDGED = {"verify": "verified", "pin": "as pinned", "ignore": "not judged"}
ADDRESS_FAMILIES = {"any": socket.AF_UNSPEC, "ipv4": socket.AF_INET, "ipv6": socket.AF_INET6}
EMPTY_LINE = re.compile(rb"\r?\n\r?\n")
TLS_RECORD = re.compile(rb"[\x14-\x17]\x03[\x00-\x04]")
"""How a TLS record begins (RFC 8446 §5.1): type and legacy version."""


class CertificateSeen(Exception):  # noqa: N818 - the second look ends with it; it is no error
    """The handshake that was to be looked at is over; ``der`` is the server's certificate."""

    def __init__(self, der: bytes | None) -> None:
        super().__init__()
        self.der = der


class _TooMuch(Exception):  # noqa: N818 - becomes an UnexpectedReply where the step is known
    """The server sent more than the connection's limit."""


class _Wire(asyncio.Protocol):
    """One connection: what arrived and was not looked at yet, the one who waits for more, and how it ended.

    TLS runs here, between transport and buffer, on `ssl.MemoryBIO`: the handshake is a step of its own with a time and
    failures of its own, over a new connection as well as after STARTTLS, and costs less than the loop's TLS transport.
    """

    __slots__ = (
        "_incoming",
        "_left",
        "_limit",
        "_outgoing",
        "_paused",
        "_transport",
        "_waiter",
        "buffer",
        "ended",
        "opening",
        "secure",
        "shaken",
    )

    def __init__(self, limit: int) -> None:
        self.buffer = bytearray()
        self.ended: Exception | None = None
        self.secure: ssl.SSLObject | None = None
        self.opening = b""
        """What arrived first after TLS was begun."""
        self.shaken = False
        self._limit = limit
        self._left = limit
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None

    # the event loop's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has its methods and is no subclass

    def data_received(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self.end(_TooMuch(f"more than {self._limit} bytes"))
            return
        if self.secure is None:
            self.buffer += data
        else:
            self._incoming.write(data)
            if self.shaken:
                self._decrypt()
            elif not self.opening:
                self.opening = data[:RECORD]
        if len(self.buffer) > HIGH_WATER and self.ended is None:
            self._transport.pause_reading()
            self._paused = True
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended = self.ended or exc or EOFError()
        self._wake()

    # the dialogue's side

    def more(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[None]:
        """Return a future of more input, or of the end."""
        if self.secure is not None:
            self._flush()  # our part of the handshake, where nothing we said has taken it along
        if self._paused and not self._transport.is_closing():
            self._transport.resume_reading()
            self._paused = False
        self._waiter = loop.create_future()
        return self._waiter

    def write(self, data: bytes) -> None:
        if self.ended is not None:
            return  # the next read tells
        if self.secure is None:
            self._transport.write(data)
        else:
            self.secure.write(data)
            self._flush()

    def local_address(self) -> str:
        return str(self._transport.get_extra_info("sockname")[0])

    def peer_address(self) -> str:
        return str(self._transport.get_extra_info("peername")[0])

    def secure_with(self, context: ssl.SSLContext, name: str, earlier: ssl.SSLObject | None) -> ssl.SSLObject:
        # a session belongs to its context, which is another one when the CA file has changed meanwhile
        session = earlier.session if earlier is not None and earlier.context is context else None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.secure = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        return self.secure

    def shake(self) -> bool:
        """Go on with the handshake; tell whether it is done."""
        assert self.secure is not None
        try:
            self.secure.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError:
            self._flush()  # the alert: the server's log shall say why we went
            raise
        self.shaken = True
        self._decrypt()  # more may have come with the last flight
        return True

    def farewell(self) -> None:
        """Say that nothing more comes (close_notify, RFC 8446 §6.1): without it servers log a broken connection."""
        if self.secure is not None and self.shaken and self.ended is None:
            with contextlib.suppress(ssl.SSLError):  # it would wait for the server's
                self.secure.unwrap()
            self._flush()

    def end(self, why: Exception) -> None:
        """Drop the connection, now."""
        self.ended = self.ended or why
        self._transport.abort()
        self._wake()

    def _decrypt(self) -> None:
        assert self.secure is not None
        try:
            while self._incoming.pending:
                if not (piece := self.secure.read(RECORD)):
                    self.end(EOFError())
                    break
                self.buffer += piece
        except ssl.SSLWantReadError:
            pass  # a part of a record
        except ssl.SSLError as error:
            self.end(error)

    def _flush(self) -> None:
        if self._outgoing.pending and self.ended is None:
            self._transport.write(self._outgoing.read())

    def _wake(self) -> None:
        if self._waiter is not None:
            if not self._waiter.done():
                self._waiter.set_result(None)
            self._waiter = None


class Dialogue:
    """One conversation. ``deadline`` is event-loop time in seconds; the caller enforces it.

    ``look_at`` makes it a second look: the handshake of that number does not verify, and ends with CertificateSeen.
    ``earlier`` is a connection whose TLS session is resumed where that is possible.
    """

    def __init__(
        self, target: ServiceTarget, deadline: float, *, look_at: int = 0, earlier: ssl.SSLObject | None = None
    ) -> None:
        self.target = target
        self.step = "start"
        """How far the conversation came; a failure carries it."""
        self.certificate: bytes | None = None
        """The certificate of the last handshake that went well, DER."""
        self.rejected: ssl.SSLCertVerificationError | None = None
        """Why the certificate of the last handshake was not accepted."""
        self.server_name = ""
        """The name of the last handshake."""
        self.handshakes = 0
        self.late: CheckFailure | None = None
        """What the deadline means now, where the server has answered and the answer was not the one waited for."""
        self._loop = asyncio.get_running_loop()
        self._deadline = deadline
        self._look_at = look_at
        self._wire: _Wire | None = None
        self._earlier = earlier
        self.transcript = Transcript(time.monotonic)
        self.show = self.transcript.show
        if target.credential is not None:
            for secret in (target.credential.password, *target.credential.secrets.values()):
                self.transcript.hide(secret)

    async def connect(self, port: int, *, tls: TlsOptions | None = None, name: str = "", limit: int = BYTES) -> None:
        """Open a connection to the target's address, with TLS from the first byte if ``tls`` is given.

        An earlier connection is closed. ``name`` is the server name where the options say none; ``limit`` is how many
        bytes are received at most.
        """
        self.close()
        self.step = "connect"
        self._wire = await self.reach(lambda address: self._dial(address, port, limit))
        if tls is not None:
            await self.start_tls(tls, name)

    async def reach(self, attempt: Callable[[str], Awaitable[T]]) -> T:
        """Return what ``attempt`` makes of the target's IP address.

        A name's addresses are tried one after the other, each with its share of the time that is left, until one
        answers, rightly or wrongly.
        """
        if _is_literal(self.target.address):
            return await attempt(self.target.address)
        addresses = await self._resolve(self.target.address)
        failure: CheckFailure | None = None
        for number, address in enumerate(addresses):
            share = (self._deadline - self._loop.time()) / (len(addresses) - number)
            try:
                async with asyncio.timeout(share):
                    return await attempt(address)
            except TimeoutError:
                if self.late is not None:
                    raise self.late from None
                latest: CheckFailure = TimedOut(self.step, f"{address} did not answer")
            except CheckFailure as error:
                if error.reason not in NETWORK_REASONS and not isinstance(error, Void):
                    raise
                latest = error
            self.transcript.note("*", f"{address}: {latest.detail}")
            # no route says least: often it is only a family of addresses that this host does not have
            if failure is None or isinstance(failure, Unreachable):
                failure = latest
        assert failure is not None
        raise failure

    async def start_tls(self, options: TlsOptions, name: str = "") -> None:
        """Encrypt the connection from here on.

        Raises CertificateFailure (its step is the `Flaw`), TlsFailure, Misconfigured for a CA file that cannot be used,
        and UnexpectedReply when the server has said more than was asked before.
        """
        wire = self._connected()
        if wire.buffer:  # it could be somebody else's words, taken for the encrypted server's (CVE-2011-0411)
            raise self.unexpected("nothing before TLS begins", wire.buffer)
        self.step = "tls"
        self.handshakes += 1
        verify = options.certificate == "verify" and self.handshakes != self._look_at
        self.server_name = (options.server_name or name or self.target.hostname or self.target.address).rstrip(".")
        secure = wire.secure_with(contexts.get(options, verify=verify), self.server_name, self._earlier)
        try:
            while not wire.shake():
                await self._more(wire)
        except ssl.SSLCertVerificationError as error:
            self.rejected = error
            raise CertificateFailure(flaw_of(error), error.verify_message) from error
        except ssl.SSLError as error:
            if wire.opening and not TLS_RECORD.match(wire.opening):
                raise TlsFailure(self.step, f"it answers without TLS: {self.show(wire.opening)}") from error
            raise translate(error, self.step) from error
        self.certificate = secure.getpeercert(binary_form=True)
        if self.handshakes == self._look_at:
            raise CertificateSeen(self.certificate)
        if options.certificate == "pin":
            shown = fingerprint(self.certificate or b"")
            if shown != options.fingerprint_sha256:
                raise CertificateFailure(Flaw.PIN, f"its fingerprint (SHA-256) is {shown}, which is not the one pinned")
        self.transcript.note("*", f"{secure.version()}, certificate {JUDGED[options.certificate]}")

    def send(self, *parts: str | Secret) -> None:
        """Send one line: the parts and CR LF. A Secret among them is shown nowhere."""
        self.write(*parts, "\r\n")

    def write(self, *parts: str | bytes | Secret, shown_as: str | None = None) -> None:
        """Send the parts as they are. A Secret among them is shown nowhere.

        ``shown_as`` stands in the transcript instead of them: what a message of bytes says. Empty, nothing does.
        """
        wire = self._connected()
        sent = b""
        shown = b""
        for part in parts:
            if isinstance(part, Secret):
                self.transcript.hide(part)
                sent += part.reveal().encode()
                shown += HIDDEN
            else:
                piece = part.encode() if isinstance(part, str) else part
                sent += piece
                shown += piece
        if shown_as != "":
            self.transcript.note(">", shown if shown_as is None else shown_as)
        wire.write(sent)

    async def line(self, limit: int = LINE, *, note: bool = True) -> str:
        """Return the next line without its end (CR LF or LF); what is not UTF-8 in it is escaped.

        Raises UnexpectedReply when it is longer than ``limit`` bytes, Unreachable when the connection ends first.
        """
        wire = self._connected()
        buffer = wire.buffer
        seen = 0
        while (end := buffer.find(b"\n", seen, limit)) < 0:
            seen = len(buffer)
            if seen >= limit:
                raise self.unexpected(f"a line of less than {limit} bytes", buffer)
            await self._more(wire)
        line = buffer[:end].removesuffix(b"\r").decode("utf-8", "backslashreplace")
        del buffer[: end + 1]
        if note:
            self.transcript.note("<", line)
        return line

    async def paragraph(self, limit: int) -> list[str]:
        """Return the lines before the next empty one, and take that too. What is not UTF-8 is escaped.

        Raises UnexpectedReply when they are longer than ``limit`` bytes, Unreachable when the connection ends first.
        """
        wire = self._connected()
        buffer = wire.buffer
        seen = 0
        while (end := EMPTY_LINE.search(buffer, seen, limit)) is None:
            seen = max(len(buffer) - 3, 0)
            if len(buffer) >= limit:
                raise self.unexpected(f"an empty line within {limit} bytes", buffer)
            await self._more(wire)
        taken = _take(buffer, end.end())[: end.start()]
        self.transcript.note("<", taken)
        return taken.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")

    async def expect(self, step: str, *prefixes: str, unavailable: str | tuple[str, ...] = ()) -> str:
        """Return the next line if it begins with one of the prefixes (upper case; the line's own case does not matter).

        Raises Unavailable if it begins with one of ``unavailable``, else UnexpectedReply; and what `line` raises.
        """
        self.step = step
        line = await self.line()
        said = line.upper()
        if said.startswith(prefixes):
            return line
        if said.startswith(unavailable):
            raise Unavailable(step, self.show(line))
        raise self.unexpected(" or ".join(prefixes), line)

    async def until(self, wanted: str, find: Callable[[bytes], int], limit: int) -> bytes:
        """Return what comes, up to the end of what ``find`` finds in it (its place, -1 for not yet).

        Raises UnexpectedReply, also at the deadline, where something else comes; ``wanted`` names what was to come.
        """
        wire = self._connected()
        looks = 0
        while (end := find(bytes(wire.buffer[:limit])) if wire.buffer else -1) < 0:
            if wire.buffer:
                self.late = self.unexpected(wanted, wire.buffer)
                if len(wire.buffer) >= limit or wire.ended is not None:
                    raise self.late
            await self._more(wire)
            looks += 1
            if looks > FREE_LOOKS:
                await asyncio.sleep(PAUSE)  # a server that sends in drops does not make us look at every one
        self.late = None
        taken = _take(wire.buffer, end)
        self.transcript.note("<", taken)
        return taken

    async def begins(self, prefix: bytes) -> bool:
        """Tell whether what comes next begins with these bytes, as soon as that is certain. Takes nothing."""
        wire = self._connected()
        while len(wire.buffer) < len(prefix) and prefix.startswith(wire.buffer):
            await self._more(wire)
        return wire.buffer.startswith(prefix)

    async def exactly(self, count: int) -> bytes:
        """Return the next ``count`` bytes. The caller has judged whether so many are sensible."""
        wire = self._connected()
        while len(wire.buffer) < count:
            await self._more(wire)
        return _take(wire.buffer, count)

    async def some(self, most: int) -> bytes:
        """Return what is there: one byte to ``most``, none when the server has closed the connection in order."""
        wire = self._connected()
        while not wire.buffer:
            if isinstance(wire.ended, EOFError):
                return b""
            await self._more(wire)
        return _take(wire.buffer, most)

    def beside(self) -> "Dialogue":
        """Return a second conversation with the address that we are connected to, such as FTP has for its data.

        It resumes the TLS session of this one, and what is said in it stands in the same transcript. The caller closes
        it, and tells its failures as steps of this one.
        """
        wire, target = self._connected(), self.target
        target = replace(target, address=wire.peer_address(), hostname=target.hostname or target.address)
        other = Dialogue(target, self._deadline, earlier=wire.secure)
        other.transcript, other.show = self.transcript, self.show
        return other

    @property
    def encrypted(self) -> bool:
        """Whether the connection speaks TLS by now."""
        return self._wire is not None and self._wire.secure is not None

    def source_for(self, address: str) -> tuple[str, int] | None:
        """Return what a socket to an IP address is to be bound to; None where routing chooses. Raises Misconfigured."""
        source = self.target.source_address
        if source and (":" in source) != (":" in address):
            detail = f"source_address {source} and the server's address {address} are of different families"
            raise Misconfigured(self.step, detail)
        return (source, 0) if source else None

    def unreached(self, error: OSError) -> CheckFailure:
        """Return the failure for an address that no socket of ours could be opened to."""
        if self.target.source_address and error.errno == errno.EADDRNOTAVAIL:
            detail = f"source_address {self.target.source_address} is not an address of this host"
            return Misconfigured(self.step, detail)
        return translate(error, self.step)

    def time_left(self) -> float:
        """Return the seconds until the deadline: what a server can be told that we shall wait."""
        return max(self._deadline - self._loop.time(), 0.0)

    def local_address(self) -> str:
        """Return the IP address that we talk from."""
        return self._connected().local_address()

    def waiting(self) -> bytes:
        """Return what has arrived and was not taken yet, without taking it."""
        return bytes(self._wire.buffer) if self._wire else b""

    def unexpected(self, wanted: str, got: bytes | bytearray | str) -> UnexpectedReply:
        """Return the failure for an answer that is not of this protocol."""
        if TLS_RECORD.match(got[:8].encode() if isinstance(got, str) else got):
            return UnexpectedReply(self.step, f"expected {wanted}, got a TLS record: this port speaks TLS")
        return UnexpectedReply(self.step, f"expected {wanted}, got: {self.show(got)}")

    def close(self) -> None:
        """Close the connection, at once. What was sent has left."""
        if self._wire is not None:
            self._wire.farewell()
            self._wire.end(EOFError())
            self._wire = None

    def _connected(self) -> _Wire:
        if self._wire is None:
            raise RuntimeError("a check connects before it talks")
        return self._wire

    async def _more(self, wire: _Wire) -> None:
        """Wait until more has arrived. Raises CheckFailure when nothing more will."""
        if wire.ended is None:
            await wire.more(self._loop)
            return
        if isinstance(wire.ended, _TooMuch):
            raise UnexpectedReply(self.step, str(wire.ended))
        if isinstance(wire.ended, EOFError) and wire.buffer:
            if TLS_RECORD.match(wire.buffer):
                raise self.unexpected("a reply", wire.buffer)
            raise Unreachable(self.step, f"the server closed the connection after: {self.show(wire.buffer)}")
        raise translate(wire.ended, self.step)

    async def _dial(self, address: str, port: int, limit: int) -> _Wire:
        wire = _Wire(limit)
        local = self.source_for(address)
        try:
            await self._loop.create_connection(lambda: wire, address, port, local_addr=local)
        except OSError as error:
            raise self.unreached(error) from error
        self.transcript.note("*", f"connected to {address} port {port}")
        return wire

    async def _resolve(self, name: str) -> list[str]:
        family = ADDRESS_FAMILIES[self.target.address_family]
        if source := self.target.source_address:
            family = socket.AF_INET6 if ":" in source else socket.AF_INET
        try:
            found = await self._loop.getaddrinfo(name, None, family=family, type=socket.SOCK_STREAM)
        except (socket.gaierror, UnicodeError) as error:  # the codec for names refuses labels that are too long
            raise NoAddress(self.step, f"{name}: {getattr(error, 'strerror', None) or 'is not a DNS name'}") from error
        return [str(address[0]) for *_, address in found]


def _is_literal(address: str) -> bool:
    if ":" in address:
        return True
    try:
        socket.inet_pton(socket.AF_INET, address)
    except OSError:
        return False
    return True


def _take(buffer: bytearray, count: int) -> bytes:
    taken = bytes(buffer[:count])
    del buffer[:count]
    return taken
