"""ICMP: a pass proves that the host answers echo requests (ping), of which so many may be lost and no more.

RFC 792 and, with IPv6, RFC 4443 §4: an echo reply brings back number and data of its request. Nothing is proved about
any service. A socket for echo requests alone (SOCK_DGRAM; Linux allows it to the groups in
``net.ipv4.ping_group_range``, for IPv6 as well) is used where it may be opened, else a raw one (CAP_NET_RAW).
"""

import asyncio
import contextlib
import errno
import secrets
import socket
from dataclasses import dataclass, field
from typing import Annotated, Self

from pydantic import Field, model_validator

from collectors.datagram import Datagrams, connected, family_of
from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, TimedOut, Unreachable
from collectors.registry import Options, check

PAUSE = 0.2
"""Seconds between two requests: what ping allows everybody."""
TOKEN = 24
"""Bytes of data that only an answer to us brings back."""
HEADER = 8
NOT_ALLOWED = frozenset({errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT})
REMEDY = (
    "this host lets us send no echo requests: allow them with sysctl -w net.ipv4.ping_group_range='0 2147483647' "
    "(IPv6 as well), or give the exporter CAP_NET_RAW (AmbientCapabilities= in its systemd unit)"
)


class IcmpOptions(Options):
    """What can be said about an icmp check."""

    count: Annotated[int, Field(ge=1, le=20)] = 3
    """Requests sent, at most: no more once enough have been answered."""
    max_lost: Annotated[int, Field(ge=0)] = 2

    @model_validator(mode="after")
    def _answerable(self) -> Self:
        if self.max_lost >= self.count:
            raise ValueError(
                f"max_lost must be less than count, {self.count}: one answer is the least that proves anything"
            )
        return self


@dataclass(frozen=True, slots=True)
class Kind:
    """Echo in one version of IP."""

    protocol: int
    request: int
    reply: int
    checksum: bool
    """Whether it is ours to compute; for IPv6 the kernel does."""


IPV4 = Kind(socket.IPPROTO_ICMP, 8, 0, checksum=True)
IPV6 = Kind(socket.IPPROTO_ICMPV6, 128, 129, checksum=False)


@check("icmp", options=IcmpOptions)
async def icmp(talk: Dialogue, opts: IcmpOptions) -> None:
    """Return as soon as enough requests have been answered."""
    talk.step = "echo"

    async def attempt(address: str) -> None:
        kind = IPV6 if ":" in address else IPV4
        with connected(talk, lambda: _socket(talk, address, kind), address) as sock:
            talk.transcript.note("*", f"echo requests to {address}")
            await Echo(talk, opts, kind, Datagrams(talk, sock)).run()

    await talk.reach(attempt)


@dataclass(slots=True)
class Echo:
    """One series of requests."""

    talk: Dialogue
    opts: IcmpOptions
    kind: Kind
    datagrams: Datagrams
    identifier: int = field(default_factory=lambda: secrets.randbits(16))
    token: bytes = field(default_factory=lambda: secrets.token_bytes(TOKEN))
    sent: int = 0
    answered: set[int] = field(default_factory=set)
    reported: int = 0
    """Requests that a router reported as undeliverable. Routers do not report every one (RFC 1812 §4.3.2.8)."""

    @property
    def _least(self) -> int:
        return self.opts.count - self.opts.max_lost

    async def run(self) -> None:
        """Send and listen, until it is decided."""
        for left in reversed(range(self.opts.count)):
            self._send()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PAUSE if left else None):  # after the last there is the deadline
                    await self._listen()
                    return

    def _send(self) -> None:
        self.sent += 1
        self.talk.transcript.note(">", f"echo request {self.sent}")
        self.datagrams.send(message(self.kind, self.identifier, self.sent, self.token), note=False)
        self._note_loss()

    async def _listen(self) -> None:
        """Return when enough have been answered. Raises Unreachable when too many were reported as lost."""
        while True:
            try:
                data = await self.datagrams.receive()
            except Unreachable as failure:
                self.talk.transcript.note("*", failure.detail)
                self.reported += 1
                if self.reported > self.opts.max_lost:
                    raise
                if not self.answered:
                    self.talk.late = failure
                continue
            number = answered(self.kind, data, self.token)
            if number is None or number in self.answered:
                continue
            self.talk.transcript.note("<", f"echo reply {number}")
            self.answered.add(number)
            if len(self.answered) >= self._least:
                return
            self._note_loss()

    def _note_loss(self) -> None:
        if self.reported and not self.answered:
            return  # why is known
        answered = f"{len(self.answered)} of {self.sent} echo requests answered"
        self.talk.late = TimedOut(self.talk.step, f"{answered}, at least {self._least} must be")


def _socket(talk: Dialogue, address: str, kind: Kind) -> socket.socket:
    for way in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            return socket.socket(family_of(address), way, kind.protocol)
        except OSError as error:
            if error.errno not in NOT_ALLOWED:
                raise
    raise Misconfigured(talk.step, REMEDY)


def message(kind: Kind, identifier: int, number: int, token: bytes) -> bytes:
    """Return an echo request."""
    rest = identifier.to_bytes(2) + number.to_bytes(2) + token
    checksum = checksum_of(bytes([kind.request, 0, 0, 0]) + rest) if kind.checksum else 0
    return bytes([kind.request, 0]) + checksum.to_bytes(2) + rest


def answered(kind: Kind, data: bytes, token: bytes) -> int | None:
    """Return the number of the request that is answered by this, None when it is no answer to us.

    The identifier says nothing: a socket for echo requests alone has its own. A raw one for IPv4 gives the IP header,
    too, which begins with a 4 where a reply begins with a 0.
    """
    if kind is IPV4 and data[:1] and data[0] >> 4 == 4:
        data = data[(data[0] & 15) * 4 :]
    if len(data) != HEADER + len(token) or data[0] != kind.reply or data[HEADER:] != token:
        return None
    return int.from_bytes(data[6:8])


def checksum_of(data: bytes) -> int:
    """Return the checksum of the Internet (RFC 1071) of an even number of bytes."""
    total = sum(int.from_bytes(data[place : place + 2]) for place in range(0, len(data), 2))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF
