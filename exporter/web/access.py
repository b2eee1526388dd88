"""Who asks: passwords, client certificates, and what is kept from those who are neither here nor known.

Unless somebody proved who he is, only the exporter's own machine sees contacts and transcripts and may make it act.
"""

import asyncio
import base64
import hashlib
import hmac
import os
from collections import OrderedDict
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from typing import Any

import bcrypt
from aiohttp import hdrs, web

from exporter.web.config import WebConfig

REMEMBERED = 1_000
"""Answers that are kept, right and wrong ones apart: a flood of wrong ones pushes no right one out."""
WAITING = 20
"""Log-ins that may wait for their turn."""
PAUSE = 0.2
"""Seconds after a wrong password until the next is tried: guessing takes four a second and a quarter of a core."""


class BusyError(Exception):
    """Too many log-ins wait already."""


class Passwords:
    """Checks passwords against bcrypt hashes, one at a time in a thread of its own, and remembers the answers."""

    def __init__(self) -> None:
        self._key = os.urandom(32)
        self._right: OrderedDict[bytes, None] = OrderedDict()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()
        self._turn = asyncio.Lock()
        self._waiting = 0
        self._thread = ThreadPoolExecutor(1, "passwords")

    def close(self) -> None:
        """Give the thread free."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def match(self, users: Mapping[str, bytes], user: str, password: str) -> bool:
        """Tell whether ``user`` is one of ``users`` and this is his password. Raises BusyError."""
        # An unknown user costs as much as the most expensive known one, so that time does not tell who is known.
        known = user in users
        stored = users[user] if known else max(users.values(), key=_cost)
        given = password.encode()
        token = self._token(user.encode(), given, stored if known else b"")
        if token in self._right:
            return True
        if token in self._wrong:
            return False
        if self._waiting >= WAITING:
            raise BusyError
        self._waiting += 1
        try:
            async with self._turn:
                if token in self._right or token in self._wrong:  # the same one was before us in the queue
                    return token in self._right
                loop = asyncio.get_running_loop()
                right = await loop.run_in_executor(self._thread, _matches, given, stored) and known
                remembered = self._right if right else self._wrong
                remembered[token] = None
                if len(remembered) > REMEMBERED:
                    remembered.popitem(last=False)
                if not right:
                    await asyncio.sleep(PAUSE)
                return right
        finally:
            self._waiting -= 1

    def _token(self, *parts: bytes) -> bytes:
        # keyed, so that a dump of this process's memory is no list of unsalted hashes; the stored hash is a part, so
        # that a changed password is a new question
        message = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
        return hmac.digest(self._key, message, hashlib.sha256)


def _cost(stored: bytes) -> int:
    return int(stored[4:6])


def _matches(password: bytes, stored: bytes) -> bool:
    return bcrypt.checkpw(password[:72], stored)  # bcrypt itself ends there, and htpasswd cuts silently


def certified(request: web.Request, config: WebConfig) -> bool:
    """Tell whether the client showed a certificate that is right. Raises what answers one whose names are not."""
    certificate = request.get_extra_info("peercert")  # there only if it was verified
    if config.allowed_sans is not None and config.allowed_sans.isdisjoint(_names(certificate)):
        raise web.HTTPForbidden(text="This client certificate's names are not in client_allowed_sans.\n")
    return bool(certificate)


async def authenticate(request: web.Request, config: WebConfig, passwords: Passwords) -> bool:
    """Return whether the client proved who it is. Raises what answers a client that must and did not."""
    certificate = certified(request, config)
    if not config.users:
        return certificate
    try:
        if await passwords.match(config.users, *_given(request.headers.get(hdrs.AUTHORIZATION, ""))):
            return True
    except BusyError:
        raise web.HTTPTooManyRequests(text="Too many log-ins at once.\n", headers={hdrs.RETRY_AFTER: "5"}) from None
    except ValueError:
        pass  # no such header, or one that is none
    raise web.HTTPUnauthorized(
        text="A user name and a password are needed.\n",
        headers={hdrs.WWW_AUTHENTICATE: 'Basic realm="dserver-exporter", charset="UTF-8"'},
    )


def _given(header: str) -> tuple[str, str]:
    """Return user and password (RFC 7617). Raises ValueError where there are none."""
    scheme, _, encoded = header.partition(" ")
    user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    if scheme.lower() != "basic" or not colon:
        raise ValueError("no basic authentication")
    return user, password


def _names(certificate: Any) -> set[str]:
    names: set[str] = set()
    for kind, name in (certificate or {}).get("subjectAltName", ()):
        names.add(str(ip_address(name)) if kind == "IP Address" else name)
    return names


def is_local(request: web.Request) -> bool:
    """Tell whether the client addresses us as this machine.

    A page of another site that resolves its own name to our address (DNS rebinding) does not, nor does a proxy that
    passes on the name that somebody elsewhere typed.
    """
    host = request.headers.get(hdrs.HOST, "localhost").lower()
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def from_another_site(request: web.Request) -> bool:
    """Tell whether a browser sends this for a page of another site, with our user's rights but not at his wish."""
    return request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}
