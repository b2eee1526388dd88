"""Alertmanager's API v2 (its ``api/v2/openapi.yaml``): alerts are asked for; silences made, listed and ended.

Calls block: where the exporter serves, they run in a thread. One cluster is one Alertmanager: its members tell each
other of silences, so one member is asked, the first that is ready. Alerts are asked of all: each knows its own.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests
from urllib3.exceptions import HTTPError

from collectors.failures import Misconfigured
from collectors.secret import Credential
from exporter.alerts import Alert, parse_alerts
from exporter.clock import SECOND
from exporter.inventory import Alertmanager
from exporter.secrets import Secrets, authorizations

PATIENCE = 5.0
"""Seconds for a connection, and between two pieces of an answer."""
DEADLINE = 10.0
"""Seconds for a whole answer: the customer waits."""
LARGEST = 64 << 20
"""Bytes of an answer: 12,000 alerts with their annotations are a tenth of that."""
CHUNK = 64 << 10
READY = frozenset({"ready", "disabled"})
"""What a member says of its cluster when it can be relied on; ``disabled`` is an Alertmanager alone."""
PENDING, EXPIRED = "pending", "expired"
"""States of silences; the third is ``active``."""


class AlertmanagerError(Exception):
    """No Alertmanager did what was asked; the message says what each of them answered, and the remedy."""


class UnreachableError(AlertmanagerError):
    """No Alertmanager answers; the message says why."""


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


@dataclass(frozen=True, slots=True)
class Access:
    """How the members of a cluster are spoken to."""

    ca_file: Path | None = None
    """Who vouches for their certificates; the system's authorities where None."""
    credential: Credential | None = None
    """A token, or user name and password."""

    @classmethod
    def of(cls, configured: Alertmanager, secrets: Secrets) -> Self:
        """Return it as it is configured, with the secrets as they are now. Raises Misconfigured."""
        return cls(configured.ca_file, secrets.get(configured.credential) if configured.credential else None)


async def customer_alerts(urls: Sequence[str], access: Callable[[], Access] = Access) -> tuple[Alert, ...]:
    """Return the customers' alerts of a cluster, suppressed ones too.

    Raises UnreachableError: none answers, or what we are to show them cannot be had.
    """
    if not urls:
        raise UnreachableError("alertmanager.urls is empty: nobody can be asked")
    try:
        how = access()
    except Misconfigured as error:
        raise UnreachableError(f"alertmanager.credential: {error}") from error

    def ask(url: str) -> tuple[Alert, ...]:
        with AlertmanagerClient([url], how) as client:
            return client.customer_alerts(url)

    answers = await asyncio.gather(*(asyncio.to_thread(ask, url) for url in urls), return_exceptions=True)
    known: list[Alert] = []
    errors: list[str] = []
    for answer in answers:
        if isinstance(answer, AlertmanagerError):
            errors.append(str(answer))
        elif isinstance(answer, BaseException):
            raise answer
        else:
            known += answer
    if len(errors) == len(urls):
        raise UnreachableError("; ".join(errors))
    return tuple(known)


class AlertmanagerClient(AbstractContextManager["AlertmanagerClient"]):
    """Asks one cluster. ``urls`` are of its members. Every method raises AlertmanagerError."""

    def __init__(self, urls: Sequence[str], access: Access) -> None:
        self._urls = [url.rstrip("/") for url in urls]
        self._session = _session(access)
        self._chosen = ""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Hang up."""
        self._session.close()

    def status(self, url: str) -> str:
        """Return what a member says of its cluster: ``ready``, ``settling`` or ``disabled``."""
        answer = self._ask("GET", f"{url.rstrip('/')}/api/v2/status")
        return str(_field(_field(answer, "cluster", url), "status", url))

    def customer_alerts(self, url: str) -> tuple[Alert, ...]:
        """Return the customers' alerts that a member has, suppressed ones too."""
        address = f"{url.rstrip('/')}/api/v2/alerts"
        body = self._body("GET", address, query={"filter": 'notify="customer"'})
        try:
            return parse_alerts(body)
        except ValueError as error:
            raise AlertmanagerError(f"{address}: {error}") from error

    def create(self, silence: Silence) -> str:
        """Make a silence; return its id."""
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
        url = f"{self._member()}/api/v2/silences"
        return str(_field(self._ask("POST", url, wanted), "silenceID", url))

    def silences(self) -> list[Silence]:
        """Return all silences, expired ones too as long as Alertmanager keeps them."""
        url = f"{self._member()}/api/v2/silences"
        answer = self._ask("GET", url)
        try:
            return [_silence(entry) for entry in answer]
        except (KeyError, TypeError, ValueError) as error:
            raise AlertmanagerError(f"{url}: the list of silences is not readable: {error!r}") from error

    def expire(self, identity: str) -> None:
        """End a silence now."""
        self._ask("DELETE", f"{self._member()}/api/v2/silence/{identity}")

    def _member(self) -> str:
        """Return the member to ask, found once: the first that is ready, else the first that answers."""
        if not self._chosen:
            self._chosen = self._choose()
        return self._chosen

    def _choose(self) -> str:
        unready, refusals = [], []
        for url in self._urls:
            try:
                if self.status(url) in READY:
                    return url
                unready.append(url)
            except AlertmanagerError as error:
                refusals.append(str(error))
        if not unready:
            raise AlertmanagerError("; ".join(refusals) or "alertmanager.urls is empty: nobody can be asked")
        return unready[0]

    def _ask(self, method: str, url: str, content: object = None) -> Any:
        body = self._body(method, url, content)
        try:
            return json.loads(body) if body.strip() else None
        except (ValueError, RecursionError) as error:
            raise AlertmanagerError(f"{url}: its answer is no JSON: {error}") from error

    def _body(self, method: str, url: str, content: object = None, *, query: dict[str, str] | None = None) -> bytes:
        deadline = time.monotonic() + DEADLINE
        body = bytearray()
        try:
            with self._session.request(
                method, url, params=query, json=content, timeout=PATIENCE, allow_redirects=False, stream=True
            ) as response:
                while piece := response.raw.read1(CHUNK):
                    body += piece
                    if len(body) > LARGEST:
                        raise AlertmanagerError(f"{url}: its answer is longer than {LARGEST >> 20} MiB")
                    if time.monotonic() > deadline:
                        raise AlertmanagerError(f"{url}: its answer takes longer than {DEADLINE:g} s")
        except (OSError, HTTPError, ValueError) as error:
            raise AlertmanagerError(f"{url}: {_sentence(error)}") from error
        if response.status_code != requests.codes.ok:
            said = body[:200].decode(errors="replace").strip()
            remedy = _REMEDIES.get(response.status_code, "")
            raise AlertmanagerError(f"{url} answered {response.status_code}{remedy}{said and ': '}{said}")
        return bytes(body)


_ELSEWHERE = ", which points elsewhere: correct alertmanager.urls"
_REMEDIES = {
    401: ": name who we are with alertmanager.credential",
    403: ": alertmanager.credential is not allowed to",
    **dict.fromkeys((301, 302, 303, 307, 308), _ELSEWHERE),
}


def _session(access: Access) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # proxies, netrc and authorities from the environment are meant for others
    session.verify = str(access.ca_file) if access.ca_file else _system_authorities()
    session.headers["Accept-Encoding"] = "identity"
    if access.credential:
        for header in authorizations(access.credential)[:1]:
            session.headers["Authorization"] = header
    return session


def _system_authorities() -> str | bool:
    """Return where the system keeps its authorities; True, those that `requests` brings, where it has none."""
    paths = ssl.get_default_verify_paths()
    return paths.cafile or paths.capath or True


def _sentence(error: Exception) -> str:
    """Return why an answer did not come: the innermost cause, and the remedy where one is known."""
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
    if isinstance(error, requests.Timeout) or isinstance(cause, TimeoutError):
        return f"no answer within {PATIENCE:g} s"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {cause.verify_message}: name its authority with alertmanager.ca_file"
    if isinstance(cause, ssl.SSLError):
        return f"TLS fails: {cause.reason or cause}"
    return (isinstance(cause, OSError) and cause.strerror) or str(cause) or type(cause).__name__


def _field(answer: Any, name: str, url: str) -> Any:
    if not isinstance(answer, dict) or name not in answer:
        raise AlertmanagerError(
            f"{url}: the answer has no {name}: this is no Alertmanager with API v2, correct alertmanager.urls"
        )
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
