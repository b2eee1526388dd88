"""HTTP and HTTPS: a pass proves that the server answers a request with an expected status, header fields and body.

One HTTP/1.1 request (RFC 9112) to the target's address, whatever host is asked for in ``Host`` and SNI. Redirects (RFC
9110 §15.4) are followed on the same host, or within its site, always to the same address: nothing else is contacted.
The body is read to its end or to ``max_body``, so that a server which stalls half-way does not pass. https verifies the
certificate.
"""

import base64
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urljoin

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_validator,
    model_validator,
)

from collectors import jsonpath
from collectors.dialogue import Dialogue
from collectors.failures import Misconfigured, Unauthorized, Unavailable, UnexpectedReply, WrongContent
from collectors.http1 import Enough, Response, read_body, read_head
from collectors.inflate import OFFERED, Inflated, InflateError, coding
from collectors.patterns import Pattern, TooSlow, search
from collectors.registry import Options, Port, ServiceTarget, check
from collectors.secret import Credential, Secret
from collectors.tls import TlsOptions, is_ip, needs_name
from collectors.urls import DEFAULT_PORTS, Place, encoded, may_know, read_url, same_site

OVERHEAD = 512 * 1024
"""Bytes received beside the body, at most: headers, TLS, chunk sizes."""
LONGEST_JSON = 1024 * 1024
"""Characters: more would hold the event loop for too long."""
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


def _path(text: str) -> str:
    if not text.startswith("/") or not text.isprintable() or " " in text or "#" in text:
        raise ValueError("must be a path that starts with /, without spaces")
    return encoded(text)


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


def _expected(fields: dict[str, re.Pattern[str]]) -> dict[str, re.Pattern[str]]:
    for name in fields:
        if not _TOKEN.fullmatch(name):
            raise ValueError("must be header fields: a name without spaces, and a pattern")
    return fields


def _followed(value: object) -> object:
    return {True: "host", False: "off"}[value] if isinstance(value, bool) else value  # YAML reads off as false


class JsonValue(Options):
    """A value that has to be at a path of a JSON body."""

    path: jsonpath.PathText
    value: StrictBool | StrictInt | StrictFloat | StrictStr | None


class HttpOptions(TlsOptions):
    """What can be said about an http check. Its TLS options are for redirects to https."""

    scheme: ClassVar[str] = "http"

    port: Port | None = None
    url: str = ""
    path: Annotated[str, AfterValidator(_path)] = "/"
    host: Annotated[str, AfterValidator(_host)] = ""
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: Annotated[dict[str, str], AfterValidator(_headers)] = Field(default_factory=dict)
    body: Annotated[str, Field(max_length=65536)] = ""
    expect_status: tuple[Annotated[int, Field(ge=100, le=599)], ...] = ()
    """Statuses that pass; empty for every 2xx."""
    expect_header: Annotated[dict[str, Pattern], AfterValidator(_expected)] = Field(default_factory=dict)
    """Fields that have to be in the response, each with a pattern that is found in its value."""
    expect_body: Pattern | None = None
    reject_body: Pattern | None = None
    expect_json: Annotated[tuple[JsonValue, ...], BeforeValidator(lambda v: [v] if isinstance(v, dict) else v)] = ()
    """What has to be in a JSON body: a path and a value, or a list of such."""
    max_body: Annotated[int, Field(ge=1, le=16 * 1024 * 1024)] = 1024 * 1024
    """Bytes of the body that are read, and that it may have when it is inflated."""
    compression: bool = False
    """Ask for a compressed body. One that comes without being asked for is inflated all the same where it is judged."""
    follow_redirects: Annotated[Literal["host", "site", "off"], BeforeValidator(_followed)] = "host"
    """``host``: on the same host; ``site``: also to one below or above it, such as ``www.`` and the name without it."""
    max_redirects: Annotated[int, Field(ge=1, le=20)] = 5

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
        if self.method == "HEAD" and self.judges_body:
            raise ValueError("a HEAD request has no body to look at: remove what is expected of it, or use GET")
        if self.body and self.method in {"GET", "HEAD"}:
            raise ValueError("a request with a body needs a method such as POST")
        return self

    @property
    def judges_body(self) -> bool:
        """Whether something is expected of the body."""
        return bool(self.expect_body or self.reject_body or self.expect_json)

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
        if self.compression:
            fields["Accept-Encoding"] = OFFERED
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
    for hop in range(opts.max_redirects + 1):
        tls = opts if place.scheme == "https" else None
        name = place.host if (opts.url or hop) and not is_ip(place.host) else ""
        port = opts.port if opts.port and (place.scheme, place.port) == (start.scheme, start.port) else place.port
        await talk.connect(port, tls=tls, name=name, limit=opts.max_body + OVERHEAD)
        # what is meant for one site is not sent to another, nor in the clear what went encrypted, whoever says so
        credential = talk.target.credential if may_know(place, start) else None
        talk.write(*_request(opts, place, method, body, credential))
        response = await read_head(talk)
        onward = _redirect(talk, opts, place, response)
        if onward is None:
            _judge_status(talk, opts, response, logged_in=credential is not None)
            _judge_header(talk, opts, response)
            await _judge_body(talk, opts, method, response)
            return
        place = onward
        if response.status in BECOMES_GET and method != "HEAD":
            method, body = "GET", ""
    raise WrongContent("redirect", f"more than {opts.max_redirects} redirects, the last to {talk.show(str(place))}")


def _start(opts: HttpOptions, target: ServiceTarget) -> Place:
    if opts.named is not None:
        return opts.named
    host = (target.hostname or target.address).lower()
    return Place(opts.scheme, host, opts.port or DEFAULT_PORTS[opts.scheme], opts.path)


def _request(
    opts: HttpOptions, place: Place, method: str, body: str, credential: Credential | None
) -> Iterator[str | Secret]:
    yield f"{method} {place.target} HTTP/1.1\r\nHost: {place.authority}\r\n{opts.fields}"
    if body or method in {"POST", "PUT", "PATCH"}:
        yield f"\r\nContent-Length: {len(body.encode())}"
    if credential is not None and (token := credential.secrets.get("token")):  # RFC 6750
        yield "\r\nAuthorization: Bearer "
        yield token
    elif credential is not None:  # RFC 7617
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
    if opts.follow_redirects == "off" or response.status in opts.expect_status:
        return None
    try:
        onward = read_url(urljoin(str(place), location.replace(" ", "%20")))
    except ValueError:
        detail = f"{talk.show(str(response))} to what cannot be followed: {talk.show(location)}"
        raise WrongContent("redirect", detail) from None
    if onward.host != place.host and not (opts.follow_redirects == "site" and same_site(onward.host, place.host)):
        other = "site" if opts.follow_redirects == "site" else "host"
        detail = f"{talk.show(str(response))} to another {other}, {talk.show(onward.host)}, which is not followed"
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


def _judge_header(talk: Dialogue, opts: HttpOptions, response: Response) -> None:
    for name, pattern in opts.expect_header.items():
        value = response.fields.get(name.lower())
        if value is None:
            raise WrongContent(talk.step, f"the response has no field {name}")
        if not _found(talk, pattern, value):
            raise WrongContent(talk.step, f"{name}: {talk.show(value)}, which expect_header does not match")


async def _judge_body(talk: Dialogue, opts: HttpOptions, method: str, response: Response) -> None:
    if not opts.judges_body and not opts.compression:
        await read_body(talk, method, response, opts.max_body, len)
        return
    body = await _read(talk, opts, method, response)
    talk.step = "content"
    charset = _CHARSET.search(response.fields.get("content-type", ""))
    text = body.decode(CHARSETS.get(charset[1].lower(), "utf-8") if charset else "utf-8", "replace")
    if opts.expect_body is not None and not _found(talk, opts.expect_body, text):
        raise WrongContent(talk.step, f"expect_body is not in the {len(body)} bytes of the body")
    if opts.reject_body is not None and _found(talk, opts.reject_body, text):
        raise WrongContent(talk.step, "reject_body is in the body")
    if opts.expect_json:
        _judge_json(talk, opts.expect_json, text)


async def _read(talk: Dialogue, opts: HttpOptions, method: str, response: Response) -> bytes:
    """Return the body, inflated where it came compressed."""
    name = response.fields.get("content-encoding", "identity").lower()
    body = bytearray()
    if name == "identity":
        await read_body(talk, method, response, opts.max_body, body.extend)
        talk.transcript.note("<", body)
        return bytes(body)
    undo = coding(name)
    if undo is None:
        raise WrongContent("content", f"the body is encoded in a way that was not asked for: {talk.show(name)}")
    inflated = Inflated(undo, opts.max_body)

    def take(piece: bytes) -> None:
        inflated.take(piece)
        if inflated.full:
            raise Enough

    try:
        await read_body(talk, method, response, opts.max_body, take)
        return inflated.end()
    except InflateError as error:
        raise UnexpectedReply(talk.step, f"the body is not what {name} makes: {error}") from None
    finally:
        talk.transcript.note("<", inflated.body)


def _judge_json(talk: Dialogue, expected: tuple[JsonValue, ...], text: str) -> None:
    if len(text) > LONGEST_JSON:
        raise WrongContent(talk.step, f"a body of more than {LONGEST_JSON} characters is not read as JSON")
    try:
        document = jsonpath.read(text)
    except ValueError as error:
        raise WrongContent(talk.step, f"the body is not JSON: {talk.show(str(error))}") from None
    for each in expected:
        try:
            found: Any = jsonpath.find(document, jsonpath.parse(each.path))
        except LookupError:
            raise WrongContent(talk.step, f"the body has nothing at {each.path}") from None
        if not jsonpath.same(found, each.value):
            raise WrongContent(talk.step, f"{each.path} is {talk.show(repr(found))}, expected {each.value!r}")


def _found(talk: Dialogue, pattern: re.Pattern[str], text: str) -> bool:
    try:
        return search(pattern, text) is not None
    except TooSlow:
        raise Misconfigured(talk.step, f"the pattern {pattern.pattern} needs too long here: simplify it") from None
