"""Receives SNMP traps and informs: one from a controller of the inventory makes us look at that server's lamps at once.

Nothing else is believed on a trap's word, and nobody else is answered. A sender's address is looked up and its pace is
judged before a datagram is decoded, and decoding takes a small share of the loop's time, so that a flood delays nothing
(docs/decisions/0006-traps.md).
"""

import asyncio
import contextlib
import errno
import hashlib
import ipaddress
import logging
import socket
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from collectors.failures import Misconfigured
from collectors.notifications import Engine, Malformed, Notification, Unauthenticated, describe
from collectors.secret import Credential
from exporter.clock import MINUTE, SECOND, Clock
from exporter.config import ConfigError, Problem
from exporter.config.values import host_and_port, is_ip
from exporter.inventory import Config, CredentialEntry
from exporter.secrets import Secrets
from exporter.telemetry import TrapResult

log = logging.getLogger("traps")

LARGEST = 4_096
"""Bytes of a datagram; traps have a few hundred, and a larger one would only keep the decoder busy."""
BATCH = 64
"""Datagrams taken from the socket in one turn of the loop."""
WAITING = 1_000
"""Datagrams of members that wait to be decoded."""
ALLOWANCE = 10
"""Datagrams of one address that are decoded in a minute: one makes a read, the others are informs and repetitions."""
SHARE = 10
"""Decoding rests this many times as long as it took."""
REST = 0.005
"""Seconds it rests at least."""
RESOLVE_PERIOD = 300.0
"""Seconds between two look-ups of controllers that are named, not numbered."""
RESOLVED_TOGETHER = 16

ENGINE_PREFIX = bytes.fromhex("80 00 00 00 05")
"""An engine id of the form "octets" (RFC 3411, SnmpEngineID), of no enterprise: we have no number."""
ENGINE_EPOCH = 1_577_836_800
"""2020-01-01. To senders of informs we booted then, once: a clock that no restart sets back."""


@dataclass(slots=True)
class _Allowance:
    """How many more datagrams of an address are decoded: one more every ``MINUTE / ALLOWANCE``."""

    left: float
    at: int

    def take(self, now: int) -> bool:
        self.left = min(ALLOWANCE, self.left + (now - self.at) * ALLOWANCE / MINUTE)
        self.at = now
        if self.left < 1:
            return False
        self.left -= 1
        return True


class Members:
    """Which servers a sender's address stands for: the addresses of their management controllers."""

    def __init__(self) -> None:
        self._hosts: dict[str, set[str]] = {}
        """Servers by the host that the inventory gives for their controller."""
        self._named: dict[str, frozenset[str]] = {}
        """Addresses of those hosts that are names, as far as they are known."""
        self._servers: dict[str, tuple[str, ...]] = {}

    def __getitem__(self, address: str) -> tuple[str, ...]:
        """Return the servers behind an address as the socket gives it; none for a stranger's."""
        return self._servers.get(address) or self._servers.get(plain(address), ())

    def replace(self, endpoints: Iterable[tuple[str, str]]) -> None:
        """Take over the controllers of an inventory, ``(server, host:port)``; names keep the addresses they had."""
        self._hosts = {}
        for server, endpoint in endpoints:
            self._hosts.setdefault(endpoint.rpartition(":")[0].strip("[]"), set()).add(server)
        self._named = {host: self._named.get(host, frozenset()) for host in self._hosts if not is_ip(host)}
        self._connect()

    async def resolve(self) -> None:
        """Look the named controllers up, a few at a time. One without an answer keeps the addresses it had."""
        names = list(self._named)
        for start in range(0, len(names), RESOLVED_TOGETHER):
            some = names[start : start + RESOLVED_TOGETHER]
            for name, found in zip(some, await asyncio.gather(*map(_addresses, some)), strict=True):
                if found and name in self._named:  # a reload may have come between
                    self._named[name] = found
        self._connect()

    def _connect(self) -> None:
        found: defaultdict[str, set[str]] = defaultdict(set)
        for host, servers in self._hosts.items():
            for address in self._named.get(host, (host,)):
                found[plain(address)] |= servers
        self._servers = {address: tuple(sorted(servers)) for address, servers in found.items()}


def plain(address: str) -> str:
    """Return an address as it is looked up: without a zone, and one of IPv4 not wrapped in IPv6."""
    try:
        known = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return str(getattr(known, "ipv4_mapped", None) or known)


async def _addresses(name: str) -> frozenset[str]:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(name, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError):
        return frozenset()
    return frozenset(str(place[0]) for *_, place in found)


class Users:
    """The credentials that a user of SNMPv3 may have, with their secrets as they are now."""

    def __init__(self, secrets: Secrets) -> None:
        self._secrets = secrets
        self._by_name: defaultdict[str, list[str]] = defaultdict(list)

    def replace(self, credentials: Mapping[str, CredentialEntry]) -> None:
        """Take over the credentials of a configuration."""
        self._by_name.clear()
        for entry in credentials.values():
            if "auth_protocol" in entry.values:
                self._by_name[entry.values.get("username", "")].append(entry.name)

    def __call__(self, user: str) -> Iterator[Credential]:
        """Give the credentials of that user name. One whose secret cannot be had is left out."""
        for name in self._by_name.get(user, ()):
            try:
                yield self._secrets.get(name)
            except Misconfigured as failure:
                log.warning("%s", failure)


def bound(listen: str) -> socket.socket:
    """Return a socket that receives at ``listen``. Raises OSError."""
    host, port = host_and_port(listen)
    receiver = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        receiver.setblocking(False)
        receiver.bind((host, port))
    except OSError:
        receiver.close()
        raise
    return receiver


REMEDIES = {
    errno.EADDRINUSE: "another program receives there, such as snmptrapd: stop it, or choose another port",
    errno.EACCES: "a port below 1024 needs CAP_NET_BIND_SERVICE (AmbientCapabilities= in the systemd unit): grant it, "
    "or choose a port from 1024 on and have the firewall redirect 162 to it",
    errno.EADDRNOTAVAIL: "this host has no such address: name one of its own, or 0.0.0.0 for all",
    errno.EAFNOSUPPORT: "this host has no such family of addresses: name an address of the other",
}


class Traps:
    """The receiver. ``rebind`` opens the socket, ``replace`` says whose datagrams count."""

    def __init__(
        self, clock: Clock, secrets: Secrets, reread: Callable[[str], bool], count: Callable[[TrapResult], None]
    ) -> None:
        self._clock = clock
        self._reread = reread
        self._count = count
        self._users = Users(secrets)
        self._members = Members()
        self._changed = asyncio.Event()
        self._allowances: dict[str, _Allowance] = {}
        self._waiting: deque[tuple[bytes, Any]] = deque()
        self._loop = asyncio.get_running_loop()
        self._decoding: asyncio.TimerHandle | None = None
        self._socket: socket.socket | None = None
        self._read: Callable[[bytes, Users, Engine], Notification]
        self._listen = ""

    @property
    def port(self) -> int:
        """The port it receives at; 0 while it does not."""
        return int(self._socket.getsockname()[1]) if self._socket else 0

    def rebind(self, listen: str, file: Path) -> None:
        """Receive at ``listen`` from now on, nowhere if it is empty.

        Raises ConfigError with the remedy, and goes on as before, where that address cannot be had.
        """
        if listen == self._listen:
            return
        before = self._listen
        self._close()  # first: the old address may overlap the new one
        try:
            self._open(listen)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._open(before)
            remedy = REMEDIES.get(error.errno or 0, "choose another address")
            message = f"SNMP traps cannot be received at {listen}: {error.strerror}: {remedy}"
            raise ConfigError([Problem("error", str(file), 0, "traps.listen", message)]) from error
        if listen:
            log.info("SNMP traps are received at %s", listen)

    def replace(self, config: Config, endpoints: Iterable[tuple[str, str]]) -> None:
        """Take over the members, ``(server, host:port)``, and the users of a configuration."""
        self._users.replace(config.credentials)
        self._members.replace(endpoints)
        self._allowances = {address: kept for address, kept in self._allowances.items() if self._members[address]}
        self._changed.set()

    async def watch(self) -> None:
        """Keep the addresses of named controllers up for ever."""
        while True:
            self._changed.clear()
            await self._members.resolve()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESOLVE_PERIOD):
                    await self._changed.wait()

    def stop(self) -> None:
        """Receive no more."""
        self._close()
        if self._decoding:
            self._decoding.cancel()

    def _open(self, listen: str) -> None:
        self._listen = listen
        if listen:
            try:
                self._socket = bound(listen)
            except OSError:
                self._listen = ""
                raise
            from collectors.notifications.decoding import read  # 0.1 s and 18 MB for those who receive alone

            self._read = read
            self._loop.add_reader(self._socket, self._receive)

    def _close(self) -> None:
        self._listen = ""
        if self._socket:
            self._loop.remove_reader(self._socket)
            self._socket.close()
            self._socket = None

    def _receive(self) -> None:
        """Take what has come: a lookup and a subtraction for each, nothing is decoded here."""
        assert self._socket is not None
        now = self._clock.now().monotonic
        for _ in range(BATCH):
            try:
                datagram, sender = self._socket.recvfrom(LARGEST + 1)
            except OSError:  # nothing more, or word of an answer that could not be delivered
                return
            if not self._members[sender[0]]:
                self._count(TrapResult.FOREIGN)
            elif len(datagram) > LARGEST:
                self._count(TrapResult.MALFORMED)
            elif len(self._waiting) >= WAITING or not self._allowed(sender[0], now):
                self._count(TrapResult.LIMITED)
            else:
                self._waiting.append((datagram, sender))
                if self._decoding is None:
                    self._decoding = self._loop.call_later(0, self._decode)

    def _allowed(self, address: str, now: int) -> bool:
        allowance = self._allowances.get(address)
        if allowance is None:
            allowance = self._allowances[address] = _Allowance(ALLOWANCE, now)
        return allowance.take(now)

    def _decode(self) -> None:
        """Decode one datagram, then let the checks have the loop."""
        self._decoding = None
        if not self._waiting:
            return
        begun = time.monotonic()
        self._judge(*self._waiting.popleft())
        rest = max(REST, SHARE * (time.monotonic() - begun))
        self._decoding = self._loop.call_later(rest, self._decode)

    def _judge(self, datagram: bytes, sender: Any) -> None:
        address, servers = sender[0], self._members[sender[0]]
        if not servers:  # a reload came between
            self._count(TrapResult.FOREIGN)
            return
        try:
            notification = self._read(datagram, self._users, self._engine())
        except Malformed as why:
            self._count(TrapResult.MALFORMED)
            log.debug("%s sent what is no notification: %s", address, why)
        except Unauthenticated as why:
            self._count(TrapResult.UNAUTHORIZED)
            log.warning(
                "a notification from %s is not authentic: %s: correct the credential, or the controller's", address, why
            )
        else:
            self._obey(notification, sender, servers)

    def _obey(self, notification: Notification, sender: Any, servers: tuple[str, ...]) -> None:
        if notification.reply and self._socket:
            with contextlib.suppress(OSError):
                self._socket.sendto(notification.reply, sender)
        if not notification.trap:
            self._count(TrapResult.DISCOVERY)
            return
        now = [self._reread(server) for server in servers]
        self._count(TrapResult.REREAD if any(now) else TrapResult.JOINED)
        when = "now" if any(now) else "when the minute is over"
        log.info(
            "%s: %s from %s: the lamps are read %s", ", ".join(servers), describe(notification.trap), sender[0], when
        )

    def _engine(self) -> Engine:
        own = hashlib.sha256(f"{socket.gethostname()} {self._listen}".encode()).digest()[:16]
        return Engine(ENGINE_PREFIX + own, 1, self._clock.now().wall // SECOND - ENGINE_EPOCH)
