"""HTTP and HTTPS: a pass proves that the server answers a request with an expected status and body.

One HTTP/1.1 request (RFC 9112) to the target's address, whatever host is asked for in ``Host`` and SNI. Redirects (RFC
9110 §15.4) are followed on the same host: there the answer would come from the same server. The body is read to its end
or to ``max_body``, so that a server which stalls half-way does not pass. https verifies the certificate.
"""

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self
from urllib.parse import quote, urljoin, urlsplit

from pydantic import AfterValidator, Field, field_validator, model_validator

from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, Unavailable, WrongContent
from collectors.http1 import Response, read_body, read_head
from collectors.patterns import Pattern, TooSlow, search
from collectors.registry import Port, ServiceTarget, check
from collectors.secret import Credential, Secret
from collectors.tls import TlsOptions, is_ip, needs_name

REDIRECTS = 5
OVERHEAD = 512 * 1024
"""Bytes received beside the body, at most: headers, TLS, chunk sizes."""
DEFAULT_PORTS = {"http": 80, "https": 443}
REDIRECTING = frozenset({301, 302, 303, 307, 308})
UNAUTHORIZED = 401
SERVICE_UNAVAILABLE = 503
BECOMES_GET = frozenset({301, 302, 303})
"""What every browser makes a GET of (RFC 9110 §15.4.2-4)."""
FIELDS = {
    "User-Agent": "dserver-exporter",
    "Accept": "*/*",
    "Accept-Encoding": "identity",
    "Connection": "close",
}
OUR_HEADERS = frozenset({"host", "connection", "content-length", "transfer-encoding", "accept-encoding"})
SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie"})
CHARSETS = {
    name: codec
    for codec, names in {
        "utf-8": ("utf-8", "utf8", "us-ascii"),
        "cp1252": ("iso-8859-1", "latin1", "windows-1252"),
        "cp932": ("shift_jis", "shift-jis", "x-sjis", "windows-31j", "cp932"),
        "euc_jp": ("euc-jp",),
        "iso2022_jp": ("iso-2022-jp",),
    }.items()
    for name in names
}
"""Charsets a body may have; others are read as UTF-8. A server must not be able to choose among Python's codecs."""

_CHARSET = re.compile(r";\s*charset\s*=\s*\"?([\w-]{1,40})", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True, slots=True)
class Place:
    """What a URL names. ``host`` is in lower case, ``target`` is path and query as they go into the request line."""

    scheme: str
    host: str
    port: int
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """The value of the Host field."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(text: str) -> Place:
    """Return what a URL names. Raises ValueError for what is not an http or https URL, with a sentence."""
    parts = urlsplit(text)
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.port == 0:
        raise ValueError("must be a URL that starts with http:// or https:// and a host")
    if not text.isprintable() or " " in text or not parts.netloc.isascii():
        raise ValueError("must be a URL without spaces, an internationalised host in its xn-- form")
    if parts.username is not None or parts.password is not None:
        raise ValueError("has a user name or password in the URL: remove it and name a credential instead")
    target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
    return Place(parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], _encoded(target))


def _encoded(target: str) -> str:
    return quote(target, safe="/?:@!$&'()*+,;=-._~%[]|")


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or " " in text or "#" in text:
        raise ValueError("must be a path that starts with /, without spaces")
    return _encoded(text)


def _host(text: str) -> str:
    read_url(f"http://{text}/")
    if any(c in text for c in "/?#@"):
        raise ValueError("must be a host, perhaps with :port")
    return text


def _headers(fields: dict[str, str]) -> dict[str, str]:
    for name, value in fields.items():
        if name.lower() in OUR_HEADERS:
            raise ValueError(f"must not set {name}: this check sets it itself (host has a key of its own)")
        if name.lower() in SECRET_HEADERS:
            raise ValueError(f"must not set {name}: name a credential instead")
        if not _TOKEN.fullmatch(name) or not value.isprintable():
            raise ValueError("must be header fields: a name without spaces, and one printable line")
    return fields


class HttpOptions(TlsOptions):
    """What can be said about an http check. Its TLS options are for redirects to https."""

    scheme: ClassVar[str] = "http"

    port: Port | None = None
    url: str = ""
    path: Annotated[str, AfterValidator(_path)] = "/"
    host: Annotated[str, AfterValidator(_host)] = ""
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] = "GET"
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    body: Annotated[str, Field(max_length=65536)] = ""
    expect_status: tuple[Annotated[int, Field(ge=100, le=599)], ...] = ()
    """Statuses that pass; empty for every 2xx."""
    expect_body: Pattern | None = None
    reject_body: Pattern | None = None
    max_body: Annotated[int, Field(ge=1, le=16 * 1024 * 1024)] = 1024 * 1024
    """Bytes of the body that are read."""
    follow_redirects: bool = True

    @field_validator("url")
    @classmethod
    def _of_this_scheme(cls, url: str) -> str:
        if url and read_url(url).scheme != cls.scheme:
            raise ValueError(f"must start with {cls.scheme}:// in this check")
        return url

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.url and (self.path != "/" or self.host):
            raise ValueError("give url, or path and host, not both")
        if self.method == "HEAD" and (self.expect_body or self.reject_body):
            raise ValueError("a HEAD request has no body to look at: remove expect_body and reject_body, or use GET")
        if self.body and self.method in {"GET", "HEAD"}:
            raise ValueError("a request with a body needs a method such as POST")
        return self

    @cached_property
    def named(self) -> Place | None:
        """What url, or path and host, name. None where the host is the target's."""
        if self.url:
            return read_url(self.url)
        return read_url(f"{self.scheme}://{self.host}{self.path}") if self.host else None

    @cached_property
    def fields(self) -> str:
        """The header fields that are the same in every request."""
        own = {name.lower() for name in self.headers}
        fields = {name: value for name, value in FIELDS.items() if name.lower() not in own} | self.headers
        return "\r\n".join(f"{name}: {value}" for name, value in fields.items())


class HttpsOptions(HttpOptions):
    """What can be said about an https check."""

    scheme: ClassVar[str] = "https"


def _verifies(opts: HttpsOptions) -> bool:
    """Tell whether a certificate is verified for a name that the options do not give."""
    named_by_url = opts.url and opts.named and not is_ip(opts.named.host)
    return needs_name(opts) and not named_by_url


@check("http", options=HttpOptions)
async def http(talk: Dialogue, opts: HttpOptions) -> None:
    """Return when the server gave an expected answer to an HTTP request."""
    await _visit(talk, opts)


@check("https", options=HttpsOptions, verifies=_verifies)
async def https(talk: Dialogue, opts: HttpsOptions) -> None:
    """Return when the server gave an expected answer to an HTTP request over TLS, with a good certificate."""
    await _visit(talk, opts)


async def _visit(talk: Dialogue, opts: HttpOptions) -> None:
    start = place = _start(opts, talk.target)
    method, body = opts.method, opts.body
    for hop in range(REDIRECTS + 1):
        tls = opts if place.scheme == "https" else None
        name = place.host if (opts.url or hop) and not is_ip(place.host) else ""
        port = opts.port if opts.port and (place.scheme, place.port) == (start.scheme, start.port) else place.port
        await talk.connect(port, tls=tls, name=name, limit=opts.max_body + OVERHEAD)
        # a password that went encrypted is not sent in the clear because the server says so
        credential = talk.target.credential if place.scheme == "https" or start.scheme == "http" else None
        talk.write(*_request(opts, place, method, body, credential))
        response = await read_head(talk)
        onward = _redirect(talk, opts, place, response)
        if onward is None:
            _judge_status(talk, opts, response, logged_in=credential is not None)
            await _judge_body(talk, opts, method, response)
            return
        place = onward
        if response.status in BECOMES_GET and method != "HEAD":
            method, body = "GET", ""
    raise WrongContent("redirect", f"more than {REDIRECTS} redirects, the last one to {talk.show(str(place))}")


def _start(opts: HttpOptions, target: ServiceTarget) -> Place:
    if opts.named is not None:
        return opts.named
    host = (target.hostname or target.address).lower()
    return Place(opts.scheme, host, opts.port or DEFAULT_PORTS[opts.scheme], opts.path)


def _request(
    opts: HttpOptions, place: Place, method: str, body: str, credential: Credential | None
) -> Iterator[str | Secret]:
    yield f"{method} {place.target} HTTP/1.1\r\nHost: {place.authority}\r\n{opts.fields}"
    if body or method in {"POST", "PUT"}:
        yield f"\r\nContent-Length: {len(body.encode())}"
    if credential is not None:  # RFC 7617
        login = f"{credential.username}:{credential.password.reveal()}"
        yield "\r\nAuthorization: Basic "
        yield Secret(base64.b64encode(login.encode()).decode())
    yield "\r\n\r\n"
    if body:
        yield body


def _redirect(talk: Dialogue, opts: HttpOptions, place: Place, response: Response) -> Place | None:
    """Return where a redirect leads, None for an answer that is the last one."""
    location = response.fields.get("location")
    if response.status not in REDIRECTING or location is None:
        return None
    if not opts.follow_redirects or response.status in opts.expect_status:
        return None
    try:
        onward = read_url(urljoin(str(place), location.replace(" ", "%20")))
    except ValueError:
        detail = f"{talk.show(str(response))} to what cannot be followed: {talk.show(location)}"
        raise WrongContent("redirect", detail) from None
    if onward.host != place.host:
        detail = f"{talk.show(str(response))} to another host, {talk.show(onward.host)}, which is not followed"
        raise WrongContent("redirect", detail)
    return onward


def _judge_status(talk: Dialogue, opts: HttpOptions, response: Response, *, logged_in: bool) -> None:
    if response.status in opts.expect_status or (not opts.expect_status and response.status // 100 == 2):
        return
    said = talk.show(str(response))
    if response.status == UNAUTHORIZED and logged_in:
        raise Unauthorized("status", f"{said}: the credential was rejected")
    if response.status == SERVICE_UNAVAILABLE:
        raise Unavailable("status", said)
    expected = ", ".join(map(str, opts.expect_status)) or "2xx"
    raise WrongContent("status", f"{said}, expected {expected}")


async def _judge_body(talk: Dialogue, opts: HttpOptions, method: str, response: Response) -> None:
    looking = opts.expect_body is not None or opts.reject_body is not None
    body = await read_body(talk, method, response, opts.max_body, keep=looking)
    if not looking:
        return
    talk.step = "content"
    if (coding := response.fields.get("content-encoding", "identity").lower()) != "identity":
        raise WrongContent(talk.step, f"the body is encoded ({talk.show(coding)}) though identity was asked for")
    charset = _CHARSET.search(response.fields.get("content-type", ""))
    text = body.decode(CHARSETS.get(charset[1].lower(), "utf-8") if charset else "utf-8", "replace")
    try:
        if opts.expect_body is not None and search(opts.expect_body, text) is None:
            raise WrongContent(talk.step, f"expect_body is not in the {len(body)} bytes of the body")
        if opts.reject_body is not None and search(opts.reject_body, text) is not None:
            raise WrongContent(talk.step, "reject_body is in the body")
    except TooSlow:
        raise Misconfigured(talk.step, "expect_body or reject_body needs too long on this body: simplify it") from None
