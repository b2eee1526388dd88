"""HTTP to one Redfish service: one connection, one request at a time, bounded in bytes, requests and time.

Only the service itself is ever asked: links that lead to another host, another scheme or out of ``/redfish`` are not
followed. aiohttp's errors become CheckFailures here and nowhere else.
"""

import asyncio
import contextlib
import re
import ssl
from dataclasses import dataclass, field
from urllib.parse import quote, unquote, urljoin, urlsplit

import aiohttp
from yarl import URL

from collectors import tls
from collectors.failures import (
    CertificateFailure,
    CheckFailure,
    NoAddress,
    TimedOut,
    UnexpectedReply,
    Unreachable,
    translate,
)
from collectors.hardware.redfish.documents import printable, unpacked, values_in
from collectors.transcript import Transcript

LONGEST_BODY = 4 * 1024 * 1024
LONGEST_READ = 16 * 1024 * 1024
"""Bytes of one body and of one whole read, packed or unpacked."""
MOST_VALUES = 100_000
MOST_VALUES_READ = 300_000
"""Of JSON, in one body and in one whole read: a hundred bytes of memory each. A thousand log entries have 10,000."""
MOST_REQUESTS = 1_500
REQUEST_TIMEOUT = 30.0
"""Seconds for one answer: slow controllers need ten for a long collection."""
BODY_TIMEOUT = 2.0
"""Seconds for the body of an answer that only its head counts of."""
LONGEST_LINK = 1024

ROOT = "/redfish/v1/"
TREE = "/redfish/"
PLAIN_LINK = re.compile(r"/redfish/(?!.*\.\.)[A-Za-z0-9_./:,()$=&?~-]*")
"""What nearly every link is: nothing in it has to be looked at twice."""
HEADERS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "OData-Version": "4.0",
    "User-Agent": "dserver-exporter",
}
"""iLO packs its answers whatever is asked for."""


class Unreadable(Exception):  # noqa: N818 - one resource that gives nothing is a result, not an error of ours
    """One resource cannot be read: it costs only what it would have told. ``status`` is HTTP's, 0 for other causes."""

    def __init__(self, detail: str, status: int = 0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.status = status


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``fields`` are its header fields, in lower case."""

    status: int
    body: bytes = field(repr=False)
    fields: dict[str, str] = field(default_factory=dict, repr=False)

    def __str__(self) -> str:
        later = self.fields.get("retry-after")
        return f"HTTP {self.status}" + (f", retry after {printable(later, 30)}" if later else "")


def local(link: str, origin: URL) -> str:
    """Return a link's path and query on this service. Raises Unreadable for one that leads elsewhere."""
    if not link or len(link) > LONGEST_LINK:
        raise Unreadable("a link without a target" if not link else "a link that is too long")
    if PLAIN_LINK.fullmatch(link):
        return link
    try:
        parts = urlsplit(urljoin(str(origin), link))
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        raise Unreadable(f"a link that is none: {printable(link)}") from None
    if (parts.scheme, parts.hostname, port) != (origin.scheme, origin.host, origin.port) or parts.username is not None:
        raise Unreadable(f"a link to another host, which is not followed: {printable(link)}")
    plain = unquote(parts.path)
    if not plain.startswith(TREE) or "/.." in plain or "\\" in plain:
        raise Unreadable(f"a link out of {TREE}, which is not followed: {printable(link)}")
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return quote(target, safe="/?:@!$&'()*+,;=-._~%[]|")


class Client:
    """Sends requests to one service. ``until`` (event-loop time, seconds) is when it gives up.

    ``authorisation`` holds the header fields that say who we are; ``step`` names how far the read came.
    """

    def __init__(
        self, origin: URL, trust: ssl.SSLContext | aiohttp.Fingerprint | bool, until: float, transcript: Transcript
    ) -> None:
        self.origin = origin
        self.until = until
        self.transcript = transcript
        self.authorisation: dict[str, str] = {}
        self.step = "connect"
        self.requests = 0
        self._received = self._values = 0
        self._stalled = False
        self._lost = False
        connector = aiohttp.TCPConnector(limit=1, ssl=trust)
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=HEADERS,
            auto_decompress=False,
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )

    async def close(self) -> None:
        """Close the connection."""
        await self._http.close()

    async def get(self, target: str) -> Answer:
        """Return the answer to a GET. One lost connection and one stalled answer in a read are lived with.

        Raises Unreadable for a body that is too much or too late, CheckFailure where the service cannot be talked to.
        """
        if self.requests >= MOST_REQUESTS:
            raise UnexpectedReply(self.step, f"it has no end: more than {MOST_REQUESTS} requests")
        try:
            return await self.send("GET", target)
        except Unreachable:
            if self._lost:
                raise
            self._lost = True
            self.transcript.note("*", "the connection was lost; asking again")
            return await self.send("GET", target)
        except TimedOut as late:
            if self._stalled or asyncio.get_running_loop().time() >= self.until:
                raise
            self._stalled = True
            raise Unreadable(late.detail) from late

    async def send(
        self, method: str, target: str, json: dict[str, str] | None = None, authorisation: dict[str, str] | None = None
    ) -> Answer:
        """Return the answer to one request. Redirects are not followed here.

        Raises Unreadable for the body of a GET. Of other answers the head counts: a session that was opened is to be
        ended, whatever comes behind the place where it is named.
        """
        self.requests += 1
        self.transcript.note(">", f"{method} {target}")
        fields = self.authorisation if authorisation is None else authorisation
        url = URL(f"{self.origin}{target}", encoded=True)
        loop = asyncio.get_running_loop()
        limit = min(self.until, loop.time() + REQUEST_TIMEOUT)
        try:
            async with (
                asyncio.timeout_at(limit),
                self._http.request(method, url, json=json, headers=fields, allow_redirects=False) as response,
            ):
                body = b""
                if method == "GET":
                    body = await self._body(response)
                else:
                    with contextlib.suppress(Unreadable, aiohttp.ClientError, TimeoutError):
                        async with asyncio.timeout(BODY_TIMEOUT):
                            body = await self._body(response)
                answer = Answer(response.status, body, {key.lower(): text for key, text in response.headers.items()})
        except TimeoutError as error:
            raise TimedOut(self.step, f"no answer to {method} {target}") from error
        except aiohttp.ClientConnectorCertificateError as error:
            raise await self._refused(error.certificate_error, limit) from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise meaning(error, self.step) from error
        self.transcript.note("<", f"{answer}, {len(answer.body)} bytes")
        return answer

    async def _refused(self, error: Exception, limit: float) -> CheckFailure:
        """Say what is wrong with a certificate that was not accepted, after a second look: TLS shows it only then."""
        if not isinstance(error, ssl.SSLCertVerificationError):
            return translate(error, tls.STEP)
        host = self.origin.host or ""
        der = b""
        try:
            async with asyncio.timeout_at(limit):
                unverified = tls.contexts.get(tls.TlsOptions(), verify=False)
                _, writer = await asyncio.open_connection(host, self.origin.port, ssl=unverified)
                der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
                writer.transport.abort()
        except OSError:  # TimeoutError is one; the first look's failure stands, whatever hinders the second
            self.transcript.note("*", "a second look at the certificate failed")
        certificate = tls.read_certificate(der) if der else None
        detail = tls.explain(error, certificate, host) + (f"; its fingerprint is {tls.fingerprint(der)}" if der else "")
        return CertificateFailure(tls.flaw_of(error, certificate), printable(detail, 500))

    async def _body(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for piece in response.content.iter_any():
            body += piece
            if len(body) > LONGEST_BODY:
                response.close()
                raise Unreadable(f"its body is longer than {LONGEST_BODY} bytes")
        try:
            plain = unpacked(bytes(body), response.headers.get("Content-Encoding", ""), LONGEST_BODY)
        except ValueError as error:
            raise Unreadable(str(error)) from error
        if (values := values_in(plain)) > MOST_VALUES:
            raise Unreadable(f"its body has more than {MOST_VALUES} values")
        self._received += max(len(plain), len(body))
        self._values += values
        if self._received > LONGEST_READ or self._values > MOST_VALUES_READ:
            raise UnexpectedReply(self.step, f"it has no end: {self._received} bytes, {self._values} values")
        return plain


def meaning(error: Exception, step: str) -> CheckFailure:
    """Return the failure that an error of aiohttp's means."""
    # Most specific first: the connector's errors are OSErrors, and carry the one that caused them.
    match error:
        case aiohttp.ServerFingerprintMismatch():
            return CertificateFailure(tls.Flaw.PIN, f"its fingerprint is {error.got.hex()}, not the one configured")
        case aiohttp.ClientConnectorSSLError():
            return translate(error.os_error, tls.STEP)
        case aiohttp.ClientConnectorDNSError():
            return NoAddress("resolve", f"no address for {error.host}")
        case aiohttp.ClientConnectorError():
            return translate(error.os_error, "connect")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return Unreachable(step, "the service closed the connection in the middle")
        case aiohttp.ClientResponseError():
            return UnexpectedReply(step, f"this is not HTTP: {printable(error.message)}")
        case aiohttp.ClientOSError():
            return Unreachable(step, error.strerror or "the connection was lost")
        case _:
            return translate(error, step)
