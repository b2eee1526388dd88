"""Datagrams: the conversation of one attempt over a protocol without connections, UDP or ICMP.

Beside `collectors.dialogue`, whose target, deadline, step and transcript they share. The socket is connected, so that
the kernel passes on only what comes from the address that is asked (and, with UDP, its port), gives it a source port
that cannot be guessed, and reports the ICMP errors that our datagrams cause.
"""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from collectors.dialogue import Dialogue
from collectors.failures import UnexpectedReply, translate

T = TypeVar("T")

SIZE = 64 * 1024
"""Bytes of a datagram, at most: no protocol has longer ones."""
DATAGRAMS = 1_000
"""Received in one exchange, at most."""
AGAIN = 1.0
"""Seconds without an answer after which a question is asked again; then twice as many. Datagrams get lost."""

IP_RECVERR, IPV6_RECVERR = 11, 25
"""linux/in.h and linux/in6.h: host and network unreachable are told, too. Python's socket module lacks the names."""


class Datagrams:
    """One exchange of datagrams with one address. Its methods raise CheckFailure."""

    def __init__(self, talk: Dialogue, sock: socket.socket) -> None:
        self.sock = sock
        self._talk = talk
        self._loop = asyncio.get_running_loop()
        self._left = DATAGRAMS

    def send(self, data: bytes, *, note: bool = True) -> None:
        """Send one datagram."""
        if note:
            self._talk.transcript.note(">", data)
        try:
            self.sock.send(data)
        except BlockingIOError:
            pass  # our queue is full: lost, as it could have been anywhere
        except OSError as error:
            raise translate(error, self._talk.step) from error

    async def receive(self) -> bytes:
        """Return the next datagram. Raises UnexpectedReply when there have been too many."""
        self._left -= 1
        if self._left < 0:
            raise UnexpectedReply(self._talk.step, f"more than {DATAGRAMS} datagrams, and none is the answer")
        try:
            return await self._loop.sock_recv(self.sock, SIZE)
        except OSError as error:
            self._forget_errors()
            raise translate(error, self._talk.step) from error

    def _forget_errors(self) -> None:
        """Take what the kernel tells about an ICMP error beside its errno, else the socket stays ready to read."""
        with contextlib.suppress(OSError):
            while True:
                self.sock.recvmsg(0, 0, socket.MSG_ERRQUEUE)

    async def ask(self, question: bytes, wanted: str, take: Callable[[bytes], T | None], *, note: bool = True) -> T:
        """Send a question until it is answered; return what ``take`` makes of the answer, None being no answer to it.

        ``wanted`` names what was to come: when only something else has come by the deadline, that is the failure.
        Without ``note`` the transcript is the caller's business.
        """
        wait = AGAIN
        while True:
            self.send(question, note=note)
            with contextlib.suppress(TimeoutError):  # ours; that of the attempt passes as a cancellation
                async with asyncio.timeout(wait):
                    return await self._answer(wanted, take, note=note)
            wait *= 2

    async def _answer(self, wanted: str, take: Callable[[bytes], T | None], *, note: bool) -> T:
        while True:
            data = await self.receive()
            if note:
                self._talk.transcript.note("<", data)
            if (answer := take(data)) is not None:
                self._talk.late = None
                return answer
            self._talk.late = self._talk.unexpected(wanted, data)


async def over_udp(talk: Dialogue, port: int, exchange: Callable[[Datagrams], Awaitable[T]]) -> T:
    """Return what an exchange of UDP datagrams gives with the target's address, the first of a name that answers."""

    async def attempt(address: str) -> T:
        with connected(talk, partial(socket.socket, family_of(address), socket.SOCK_DGRAM), address, port) as sock:
            talk.transcript.note("*", f"udp to {address} port {port}")
            return await exchange(Datagrams(talk, sock))

    return await talk.reach(attempt)


def family_of(address: str) -> socket.AddressFamily:
    """Return the family of an IP address."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def connected(talk: Dialogue, build: Callable[[], socket.socket], address: str, port: int = 0) -> socket.socket:
    """Return the socket that ``build`` opens, connected, for `Datagrams`. Raises CheckFailure."""
    try:
        sock = build()
        try:
            sock.setblocking(False)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
            else:
                sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
            if local := talk.source_for(address):
                sock.bind(local)
            sock.connect((address, port))
        except BaseException:
            sock.close()
            raise
    except OSError as error:
        raise talk.unreached(error) from error
    return sock
