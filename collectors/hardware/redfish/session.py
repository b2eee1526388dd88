"""A visit to a Redfish service: the session is opened once, and closed whatever happens.

DSP0266 section 13.3.4: POST the account to the Sessions collection; 201 gives a token (``X-Auth-Token``) and the
session's URI (``Location``); DELETE of that ends it. Services have few slots, and keep a forgotten session for half an
hour. Basic authentication (section 13.3.3) serves where there are no sessions to be had.
"""

import asyncio
import base64
import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from collectors.failures import CheckFailure, Unauthorized, Unavailable, UnexpectedReply, Void
from collectors.hardware.redfish.client import ROOT, TREE, Answer, Client, Unreadable, local
from collectors.hardware.redfish.documents import link, parsed
from collectors.secret import Credential, Secret

PLACES = (f"{ROOT}SessionService/Sessions", f"{ROOT}Sessions")
"""Where sessions are opened, today's place and the old one (iDRAC 8), after the one the service names itself."""

NO_SESSIONS = frozenset({404, 405, 410, 501})
REJECTED = frozenset({400, 401, 403})
"""iLO answers 400 to a wrong password."""
BUSY = frozenset({429, 502, 503, 504})
SESSION_LIMIT = b"SessionLimitExceeded"
"""In the MessageId of the Base registry, whatever status the service chose."""

CLOSE_WITHIN = 5.0
"""Seconds for ending a session after the read, also when that was cancelled."""


class Manners:
    """What a service taught us, kept from read to read: it is not asked again for what it lacks."""

    def __init__(self) -> None:
        self.place = ""
        """Where sessions are opened."""
        self.has_sessions = True
        self.expands = True
        """Until it refused a collection with its members in it."""
        self.trims = True
        """Until it refused the first entry of a log alone."""


class Visit:
    """Logs in to a service and leaves nothing behind there. Its client is closed with it."""

    def __init__(self, client: Client, credential: Credential, manners: Manners, deadline: float) -> None:
        self.client = client
        self._credential = credential
        self.manners = manners
        self._deadline = deadline
        self._opening: asyncio.Task[Answer] | None = None
        self.sessions: list[str] = []
        """The URIs of those that were opened, to be ended."""
        self._refusal: CheckFailure | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # A task of its own: what cancels the read, once or again, does not cancel the goodbye.
        closing = asyncio.create_task(self._close())
        cancelled: asyncio.CancelledError | None = None
        while not closing.done():
            try:
                await asyncio.shield(closing)
            except asyncio.CancelledError as again:
                cancelled = again
        if cancelled is not None:
            raise cancelled

    async def log_in(self, named: str) -> None:
        """Open a session where the service says (``named``) or where others have it; else go on with Basic.

        Raises Unauthorized for a wrong account (never tried twice: accounts get locked), Unavailable where the service
        has no session free and takes no Basic either.
        """
        self.client.step = "log-in"
        for place in self._places(named):
            answer = await self._open(place)
            if answer.status in NO_SESSIONS:
                continue
            self.manners.place = place
            if SESSION_LIMIT in answer.body or answer.status in BUSY:
                # Basic needs no slot in most services; where it is refused too, the slots are what is told
                self.client.transcript.note("*", f"{answer} to a new session; trying Basic")
                self._refusal = Unavailable("log-in", f"{answer}: no session is free")
                self.client.authorisation = self._basic()
                return
            if answer.status in REJECTED:
                raise Unauthorized("log-in", f"{answer}: user name or password was rejected")
            if answer.status // 100 != 2:
                raise UnexpectedReply("log-in", f"{answer} to a new session")
            token = answer.fields.get("x-auth-token", "")
            if token and self.sessions:
                self.client.transcript.hide(Secret(token))
                self.client.authorisation = {"X-Auth-Token": token}
                return
            # Without a token a session is of no use, without its URI it could not be ended: never again, then.
            self.client.transcript.note("*", "a session without token or URI; going on with Basic")
            break
        self.manners.has_sessions = False
        self.client.authorisation = self._basic()

    async def renew(self) -> None:
        """Log in again: the session ended before its time. Raises the refusal where that was the second time."""
        if self._refusal is not None:
            raise self._refusal
        if "X-Auth-Token" not in self.client.authorisation or len(self.sessions) > 1:
            self.manners.has_sessions = True
            raise Unauthorized(self.client.step, "HTTP 401: the credential was rejected")
        step, self.client.authorisation = self.client.step, {}
        self.client.transcript.note("*", "the session is gone; logging in again")
        await self.log_in(self.manners.place)
        self.client.step = step

    def _places(self, named: str) -> Iterator[str]:
        if not self.manners.has_sessions:
            return
        places = [self.manners.place, *PLACES]
        with contextlib.suppress(Unreadable):
            places.insert(1, local(named, self.client.origin))
        yield from dict.fromkeys(place for place in places if place)

    async def _open(self, place: str) -> Answer:
        account = {"UserName": self._credential.username, "Password": self._credential.password.reveal()}
        self._opening = asyncio.create_task(self.client.send("POST", place, account, {}))
        # The service may have opened the session although we are not there any more to hear of it.
        answer = await asyncio.shield(self._opening)
        self._opening = None
        self._remember(answer)
        return answer

    def _remember(self, answer: Answer) -> None:
        """Keep the URI of a session that was opened, from Location or from the body."""
        if answer.status // 100 != 2:
            return
        path = urlsplit(answer.fields.get("location", "")).path
        if not path:
            with contextlib.suppress(ValueError):
                path = urlsplit(link(parsed(answer.body))).path
        # Services behind another name give that name: the path counts. What we DELETE is a session and nothing else.
        if path.startswith(TREE) and "/sessions/" in path.lower() and "/.." not in path and path not in self.sessions:
            self.sessions.append(path)

    def _basic(self) -> dict[str, str]:
        """Return the header field of Basic authentication (RFC 7617)."""
        login = f"{self._credential.username}:{self._credential.password.reveal()}".encode()
        secret = base64.b64encode(login).decode()
        self.client.transcript.hide(Secret(secret))
        return {"Authorization": f"Basic {secret}"}

    async def _close(self) -> None:
        """End the sessions, for at most CLOSE_WITHIN seconds, and close the connection."""
        client = self.client
        step = client.step
        client.until = min(asyncio.get_running_loop().time() + CLOSE_WITHIN, self._deadline)
        try:
            async with asyncio.timeout_at(client.until):
                if self._opening is not None:
                    with contextlib.suppress(CheckFailure):
                        answer = await self._opening
                        self._remember(answer)
                        token = answer.fields.get("x-auth-token", "")
                        client.authorisation = {"X-Auth-Token": token} if token else self._basic()
                for session in reversed(self.sessions):
                    await self._end(session)
        except TimeoutError:
            client.transcript.note("*", "no time left to end the session: the service will, some time")
        finally:
            client.step = step
            if self._opening is not None:
                self._opening.cancel()
            await client.close()

    async def _end(self, session: str) -> None:
        self.client.step = "log-out"
        for _ in range(2):
            try:
                answer = await self.client.send("DELETE", session)
            except Void:
                return
            except CheckFailure:
                continue
            if answer.status not in {401, 403}:
                return
            self.client.authorisation = self._basic()
