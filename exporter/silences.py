"""Silences in Alertmanager, by its API v2: a maintenance window mirrored for the people who look there.

The window in the ledger is what counts; a silence that could not be made changes nothing but what Alertmanager shows.
One cluster is one Alertmanager: its members tell each other, so a single one is asked, the first that is ready.
"""

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

import aiohttp

from exporter.clock import SECOND
from exporter.contract.maintenance import GRACE
from exporter.inventory import MaintenanceWindow, Server

PATIENCE = aiohttp.ClientTimeout(total=5)
"""For one question to one member."""
LONGEST_ANSWER = 16 << 20
"""Bytes of an answer that are read: some thousand silences."""
READY = frozenset({"ready", "disabled"})
"""What a member says of its cluster when it can be relied on; ``disabled`` is an Alertmanager alone."""


class AlertmanagerError(Exception):
    """No Alertmanager did what was asked; the message says what each of them answered."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """What one label of an alert must be. A regular expression matches the whole value."""

    name: str
    value: str
    regex: bool = False


@dataclass(frozen=True, slots=True)
class Silence:
    """A silence; Unix time in ms. ``id`` and ``state`` (``active``, ``pending``, ``expired``) are Alertmanager's."""

    matchers: frozenset[Matcher]
    start: int
    end: int
    author: str
    comment: str
    id: str = ""
    state: str = ""


def silence_of(number: int, window: MaintenanceWindow, author: str, servers: Iterable[Server]) -> Silence:
    """Return what mirrors a window: it silences what would be told to the customer, and the NOC hears all the same."""
    if window.site:  # no label of an alert: its servers are named
        names = "|".join(re.escape(server.name) for server in servers if server.site == window.site)
        whose = Matcher("server", names, regex=True)
    else:
        whose = Matcher("server", window.server) if window.server else Matcher("customer_id", window.customer)
    matchers = frozenset({Matcher("notify", "customer"), whose})
    return Silence(matchers, window.start, window.end + GRACE, author, comment_of(number, window))


def comment_of(number: int, window: MaintenanceWindow) -> str:
    """Return the comment by which the silence of a window is known."""
    return f"maintenance {number}: {window.reason}"


class AlertmanagerClient(AbstractAsyncContextManager["AlertmanagerClient"]):
    """Asks one cluster. ``urls`` are of its members."""

    def __init__(self, urls: Sequence[str]) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._member = ""

    async def __aenter__(self) -> Self:
        """Find the member to ask. Raises AlertmanagerError: none answers."""
        self._session = aiohttp.ClientSession(timeout=PATIENCE)
        try:
            self._member = await self._choose()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        await self._session.close()

    async def status(self, url: str) -> str:
        """Return what a member says of its cluster: ``ready``, ``settling`` or ``disabled``."""
        answer = await self._ask("GET", f"{url}/api/v2/status")
        return str(_field(_field(answer, "cluster"), "status"))

    async def create(self, silence: Silence) -> str:
        """Make a silence; return its id. Raises AlertmanagerError."""
        wanted = {
            "matchers": [
                {"name": each.name, "value": each.value, "isRegex": each.regex, "isEqual": True}
                for each in sorted(silence.matchers, key=lambda each: each.name)
            ],
            "startsAt": _written(silence.start),
            "endsAt": _written(silence.end),
            "createdBy": silence.author,
            "comment": silence.comment,
        }
        return str(_field(await self._ask("POST", f"{self._member}/api/v2/silences", wanted), "silenceID"))

    async def list(self) -> list[Silence]:
        """Return all silences, expired ones too as long as Alertmanager keeps them. Raises AlertmanagerError."""
        answer = await self._ask("GET", f"{self._member}/api/v2/silences")
        try:
            return [_silence(entry) for entry in answer]
        except (KeyError, TypeError, ValueError) as error:
            raise AlertmanagerError(f"{self._member}: its list of silences is not readable: {error!r}") from error

    async def expire(self, identity: str) -> None:
        """End a silence now. Raises AlertmanagerError."""
        await self._ask("DELETE", f"{self._member}/api/v2/silence/{identity}")

    async def _choose(self) -> str:
        answers, refusals = {}, []
        for url in self._urls:
            try:
                answers[url] = await self.status(url)
            except AlertmanagerError as error:
                refusals.append(str(error))
                continue
            if answers[url] in READY:
                return url
        if not answers:
            raise AlertmanagerError("; ".join(refusals))
        return next(iter(answers))

    async def _ask(self, method: str, url: str, content: object = None) -> Any:
        try:
            async with self._session.request(method, url, json=content, allow_redirects=False) as response:
                body = bytearray()
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > LONGEST_ANSWER:
                        raise AlertmanagerError(f"{url}: its answer is longer than {LONGEST_ANSWER >> 20} MiB")
                if not response.ok or response.status >= 300:
                    raise AlertmanagerError(f"{url} answered {response.status}: {body[:200].decode(errors='replace')}")
                return json.loads(body) if body.strip() else None
        except TimeoutError:
            raise AlertmanagerError(f"{url} did not answer in time") from None
        except (aiohttp.ClientError, ValueError, RecursionError) as error:
            raise AlertmanagerError(f"{url}: {error}") from error


async def mirror(urls: Sequence[str], silence: Silence) -> None:
    """Make the silence of a window. Raises AlertmanagerError."""
    async with AlertmanagerClient(urls) as alertmanager:
        await alertmanager.create(silence)


async def unmirror(urls: Sequence[str], number: int, window: MaintenanceWindow) -> None:
    """End the silence of a window, where there is one. Raises AlertmanagerError."""
    comment, end = comment_of(number, window), window.end + GRACE  # its servers may be others by now
    async with AlertmanagerClient(urls) as alertmanager:
        for silence in await alertmanager.list():
            if silence.state != "expired" and (silence.comment, silence.end) == (comment, end):
                await alertmanager.expire(silence.id)


def _field(answer: Any, name: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise AlertmanagerError(f"the answer has no {name}: this is no Alertmanager with API v2")
    return answer[name]


def _silence(entry: Any) -> Silence:
    matchers = frozenset(Matcher(each["name"], each["value"], each["isRegex"]) for each in entry["matchers"])
    start, end = _read(entry["startsAt"]), _read(entry["endsAt"])
    return Silence(
        matchers, start, end, entry["createdBy"], entry["comment"], entry["id"], str(entry["status"]["state"])
    )


def _written(wall: int) -> str:
    return datetime.fromtimestamp(wall / SECOND, UTC).isoformat(timespec="milliseconds")


def _read(text: str) -> int:
    return round(datetime.fromisoformat(text).timestamp() * SECOND)
