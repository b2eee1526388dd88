"""http and https: what passes, what fails, and that no server can do more than fail its own check."""

import asyncio
import base64
import gzip
import os
import re
import signal
import socket
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli  # type: ignore[import-untyped] # it has no types
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from collectors.failures import (
    CertificateFailure,
    Misconfigured,
    Refused,
    TimedOut,
    TlsFailure,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.registry import CHECKS
from collectors.secret import Credential, Secret
from collectors.services.http import HttpOptions, HttpsOptions
from tests.peers.certificates import DAY, Authority, now, server_context
from tests.peers.nginx import Nginx
from tests.peers.scripted import Attempt, Script, Serve, answers, says
from tests.peers.without_network import judged

OK = b"HTTP/1.1 200 OK\r\n"
NAME = "shop.example"
PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "deflate without a frame": lambda data: zlib.compress(data)[2:-4],
    "br": lambda data: bytes(brotli.compress(data, quality=5)),
}


def records(requests: list[bytes], *answer: bytes) -> Script:
    """Answer each connection with the next answer, and keep what was asked."""
    left = list(answer)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(left.pop(0) if len(left) > 1 else left[0])

    return script


# what passes


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Content-Length: 5\r\n\r\nready",
        OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nready",
        OK + b"content-LENGTH:5 , 5\r\n\r\nready and more that nobody asked for",
        OK + b"\r\nready",
        b"HTTP/1.1 200\r\n\r\nready",
        b"HTTP/1.0 200 OK\r\n\r\nready",
        b"HTTP/1.1 200 OK\n\nready",
        OK + b"Transfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2;ext=1\r\ndy\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: gzip, Chunked\r\n\r\n0005\r\nready\r\n0\r\nTrailer: x\r\n\r\n",
        OK + b"Transfer-Encoding: identity\r\nContent-Length: 99\r\n\r\nready",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        + OK
        + b"Content-Length: 5\r\n\r\nready",
        OK + b"X-Folded: a\r\n b\r\nContent-Length: 5\r\n\r\nready",
        b"HTTP/1.1 206 Partial Content\r\n\r\nready",
    ],
)
async def test_every_way_to_write_a_response_is_read(serve: Serve, run: Attempt, answer: bytes) -> None:
    reading = await run("http", await serve(answers(answer)), expect_body="^ready")
    assert reading.failure is None, reading.failure


@pytest.mark.parametrize("status", [b"204 No Content", b"200 OK"])
async def test_a_response_without_a_body_does_not_wait_for_one(serve: Serve, run: Attempt, status: bytes) -> None:
    held = says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 10\r\n\r\n")
    reading = await run("http", await serve(held), method="HEAD" if status.startswith(b"200") else "GET")
    assert reading.failure is None


async def test_the_request_is_what_the_options_say(serve: Serve, run: Attempt) -> None:
    requests: list[bytes] = []
    port = await serve(records(requests, OK + b"\r\n"))
    await run("http", port, hostname=NAME, path="/a%20b?q=日")
    await run("http", port, url="http://Shop.example/health?x=1#part")
    await run(
        "http", port, method="POST", body="日本", headers={"accept": "text/html", "X-Probe": "1"}, host="a.example:81"
    )
    await run("http", port, hostname="")
    plain, by_url, post, bare = requests
    assert plain.startswith(b"GET /a%20b?q=%E6%97%A5 HTTP/1.1\r\n")
    assert f"\r\nHost: {NAME}:{port}\r\n".encode() in plain
    assert b"\r\nConnection: close\r\n" in plain
    assert b"\r\nAccept-Encoding: identity\r\n" in plain
    assert by_url.startswith(b"GET /health?x=1 HTTP/1.1\r\nHost: shop.example\r\n")
    assert post.startswith(b"POST / HTTP/1.1\r\nHost: a.example:81\r\n")
    assert b"\r\nContent-Length: 6\r\n" in post
    assert b"accept: text/html\r\n" in post
    assert b"Accept: */*" not in post
    assert b"X-Probe: 1\r\n" in post
    assert f"\r\nHost: 127.0.0.1:{port}\r\n".encode() in bare


async def test_the_body_of_a_request_is_sent(serve: Serve, run: Attempt) -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        heard.append(await reader.readexactly(5))
        writer.write(OK + b"\r\n")

    assert (await run("http", await serve(script), method="POST", body="a=b&c")).failure is None
    assert heard == [b"a=b&c"]


# what does not


@pytest.mark.parametrize(
    ("status", "options", "failure"),
    [
        ("404 Not Found", {}, WrongContent),
        ("500 Internal Server Error", {}, WrongContent),
        ("301 Moved Permanently", {}, WrongContent),
        ("101 Switching Protocols", {}, WrongContent),
        ("503 Service Unavailable", {}, Unavailable),
        ("503 Service Unavailable", {"expect_status": [503]}, None),
        ("404 Not Found", {"expect_status": [404, 410]}, None),
        ("200 OK", {"expect_status": [404, 410]}, WrongContent),
        ("401 Unauthorized", {}, WrongContent),
        ("401 Unauthorized", {"expect_status": [401]}, None),
    ],
)
async def test_the_status_is_judged(
    serve: Serve, run: Attempt, status: str, options: dict[str, Any], failure: type[Exception] | None
) -> None:
    reading = await run("http", await serve(answers(f"HTTP/1.1 {status}\r\n\r\n".encode())), **options)
    assert type(reading.failure) is (failure or type(None))
    if reading.failure is not None:
        assert reading.failure.step == "status"
        assert status in reading.failure.detail


async def test_a_rejected_credential_is_void_and_shown_nowhere(serve: Serve, run: Attempt) -> None:
    requests: list[bytes] = []
    port = await serve(records(requests, b"HTTP/1.1 401 No\r\nX-Echo: Basic bWU6aHVudGVyMg==, hunter2\r\n\r\n"))
    reading = await run("http", port, credential=Credential("me", Secret("hunter2")))
    assert isinstance(reading.failure, Unauthorized)
    token = re.search(rb"\r\nAuthorization: Basic (\S+)\r\n", requests[0])
    assert token
    assert base64.b64decode(token[1]) == b"me:hunter2"
    shown = str(reading.failure) + "".join(reading.transcript)
    assert "hunter2" not in shown
    assert token[1].decode() not in shown
    assert "Authorization: Basic ***" in shown


@pytest.mark.parametrize(
    ("body", "options", "passes"),
    [
        (b"all systems ready", {"expect_body": "systems? ready"}, True),
        (b"all systems down", {"expect_body": "ready"}, False),
        (b"ready, with an error", {"reject_body": "(?i)ERROR"}, False),
        (b"ready", {"expect_body": "ready", "reject_body": "error"}, True),
        ("準備完了".encode(), {"expect_body": "準備"}, True),
        (b"x" * 100 + b"ready", {"expect_body": "ready", "max_body": 100}, False),
        (b"", {"expect_body": "^$"}, True),
        (b"\xff\xfe\x00ready", {"expect_body": "ready"}, True),
    ],
)
async def test_the_body_is_searched(
    serve: Serve, run: Attempt, body: bytes, options: dict[str, Any], passes: bool
) -> None:
    reading = await run("http", await serve(answers(OK + b"\r\n" + body)), **options)
    if passes:
        assert reading.failure is None
    else:
        assert isinstance(reading.failure, WrongContent)
        assert reading.failure.step == "content"


@pytest.mark.parametrize("charset", ["Shift_JIS", "euc-jp", "iso-2022-jp", '"UTF-8"'])
async def test_a_page_is_read_in_its_own_charset(serve: Serve, run: Attempt, charset: str) -> None:
    body = "準備完了".encode(charset.strip('"'))
    head = OK + f"Content-Type: text/html; charset={charset}\r\n\r\n".encode()
    assert (await run("http", await serve(answers(head + body)), expect_body="準備完了")).failure is None


@pytest.mark.parametrize("charset", ["punycode", "zip", "unicode_escape", "no-such", "utf-7"])
async def test_a_server_does_not_choose_among_all_of_pythons_codecs(serve: Serve, run: Attempt, charset: str) -> None:
    head = OK + f"Content-Type: text/html; charset={charset}\r\n\r\n".encode()
    assert (await run("http", await serve(answers(head + b"ready")), expect_body="ready")).failure is None


@pytest.mark.parametrize("name", [*PACKED])
@pytest.mark.parametrize("asked", [True, False])
async def test_a_compressed_body_is_inflated_and_judged(serve: Serve, run: Attempt, name: str, asked: bool) -> None:
    requests: list[bytes] = []
    coding = "deflate" if name == "deflate without a frame" else name
    head = OK + f"Content-Encoding: {coding}\r\n\r\n".encode()
    port = await serve(records(requests, head + PACKED[name]("準備完了".encode() * 1000)))
    assert (await run("http", port, compression=asked, expect_body="(準備完了){3}")).failure is None
    reading = await run("http", port, compression=asked, expect_body="sold out")
    assert isinstance(reading.failure, WrongContent)
    assert "準備完了" in "".join(reading.transcript)
    wanted = b"gzip, deflate, br" if asked else b"identity"
    assert b"\r\nAccept-Encoding: " + wanted + b"\r\n" in requests[0]


@pytest.mark.parametrize("name", [*PACKED])
async def test_a_few_bytes_that_stand_for_many_are_inflated_whole(serve: Serve, run: Attempt, name: str) -> None:
    coding = "deflate" if name == "deflate without a frame" else name
    head = OK + f"Content-Encoding: {coding}\r\n\r\n".encode()
    port = await serve(answers(head + PACKED[name](b"a" * 300_000 + b"ready")))
    assert (await run("http", port, expect_body="ready")).failure is None


@pytest.mark.parametrize("name", [*PACKED])
async def test_a_compressed_body_that_breaks_off_is_not_of_this_protocol(serve: Serve, run: Attempt, name: str) -> None:
    coding = "deflate" if name == "deflate without a frame" else name
    head = OK + f"Content-Encoding: {coding}\r\n\r\n".encode()
    for body in (PACKED[name](b"ready" * 20)[:-6], b"ready"):
        answer = head + body
        reading = await run("http", await serve(answers(answer)), expect_body="ready")
        assert isinstance(reading.failure, UnexpectedReply)
        assert reading.failure.step == "body"
        assert coding in reading.failure.detail
    answer = head + b"ready"  # which nobody looks at, and nobody asked for
    assert (await run("http", await serve(answers(answer)))).failure is None
    assert isinstance((await run("http", await serve(answers(answer)), compression=True)).failure, UnexpectedReply)


@pytest.mark.parametrize("name", [*PACKED])
async def test_a_body_that_stands_for_a_gigabyte_costs_no_more_than_the_limit(
    serve: Serve, run: Attempt, name: str
) -> None:
    coding = "deflate" if name == "deflate without a frame" else name
    bomb = PACKED[name](b"\0" * 50_000_000)
    port = await serve(answers(OK + f"Content-Encoding: {coding}\r\n\r\n".encode() + bomb))
    tracemalloc.start()
    reading = await run("http", port, expect_body="ready")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert isinstance(reading.failure, UnexpectedReply)
    assert "stand for" in reading.failure.detail
    assert peak < 8 * 1024 * 1024


async def test_a_compressed_page_longer_than_the_limit_is_judged_by_its_beginning(serve: Serve, run: Attempt) -> None:
    page = "".join(f"{number} " for number in range(30_000)).encode()
    port = await serve(answers(OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(page)))
    assert (await run("http", port, expect_body="^0 1 2", max_body=100_000)).failure is None
    assert isinstance((await run("http", port, expect_body="29999", max_body=100_000)).failure, WrongContent)
    assert (await run("http", port, expect_body="29999")).failure is None


async def test_a_coding_that_nobody_asked_for_is_named(serve: Serve, run: Attempt) -> None:
    port = await serve(answers(OK + b"Content-Encoding: x-rot13\r\n\r\nernql"))
    reading = await run("http", port, expect_body="ready")
    assert isinstance(reading.failure, WrongContent)
    assert "x-rot13" in reading.failure.detail


@pytest.mark.parametrize(
    ("expected", "passes"),
    [
        ({"Content-Type": "^application/json"}, True),
        ({"content-type": "json", "X-Cache": "HIT"}, True),
        ({"X-Cache": ""}, True),
        ({"X-Cache": "MISS"}, False),
        ({"X-Other": ""}, False),
    ],
)
async def test_header_fields_are_judged(serve: Serve, run: Attempt, expected: dict[str, str], passes: bool) -> None:
    port = await serve(answers(OK + b"Content-Type: application/json\r\nX-CACHE: HIT\r\n\r\n{}"))
    reading = await run("http", port, expect_header=expected)
    assert (reading.failure is None) is passes
    if reading.failure:
        assert isinstance(reading.failure, WrongContent)
        assert reading.failure.step == "headers"


DOCUMENT = b'{"status": "ok", "n": 1, "on": true, "no": null, "checks": [{"a.b": 1.5}, {"state": "up"}]}'


@pytest.mark.parametrize(
    ("path", "value", "passes"),
    [
        ("status", "ok", True),
        ("$.status", "down", False),
        ("n", 1, True),
        ("n", True, False),
        ("on", True, True),
        ("on", 1, False),
        ("no", None, True),
        ("none", None, False),
        ("checks[1].state", "up", True),
        ("checks[-1].state", "up", True),
        ("checks[2].state", "up", False),
        ("checks.state", "up", False),
        ("$['checks'][0][\"a.b\"]", 1.5, True),
        ("status.x", "ok", False),
    ],
)
async def test_values_of_a_json_body_are_judged(
    serve: Serve, run: Attempt, path: str, value: object, passes: bool
) -> None:
    port = await serve(answers(OK + b"\r\n\xef\xbb\xbf" + DOCUMENT))
    reading = await run("http", port, expect_json=[{"path": "n", "value": 1}, {"path": path, "value": value}])
    assert (reading.failure is None) is passes
    if reading.failure:
        assert isinstance(reading.failure, WrongContent)
        assert reading.failure.step == "content"
        assert path in reading.failure.detail


@pytest.mark.parametrize(
    "body", [b"", b"ready", b"[" * 100_000, b"9" * 10_000, b'{"status": "o', b"\xff\0", b"[" + b"0," * 600_000 + b"0]"]
)
async def test_what_is_not_json_or_absurd_is_the_wrong_content(serve: Serve, run: Attempt, body: bytes) -> None:
    port = await serve(answers(OK + b"\r\n" + body))
    expected = {"path": "status", "value": "ok"}
    reading = await run("http", port, expect_json=expected, max_body=2_000_000)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "content"
    assert "JSON" in reading.failure.detail


@pytest.mark.parametrize("pattern", ["(a+)+b", ".*.*x", "(a|a)*b"])
async def test_a_page_on_which_our_pattern_runs_wild_is_our_fault_and_soon_over(
    serve: Serve, run: Attempt, pattern: str
) -> None:
    page = answers(OK + b"\r\n" + b"a" * 500_000 + b"c")
    began = time.monotonic()
    reading = await run("http", await serve(page), expect_body=pattern)
    assert isinstance(reading.failure, Misconfigured)
    assert reading.failure.step == "content"
    assert time.monotonic() - began < 2


# redirects


def _moved(status: int, location: str) -> bytes:
    return f"HTTP/1.1 {status} Moved\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()


@pytest.mark.parametrize("location", ["/next", "next?a", "//shop.example/next", "http://SHOP.example/next", "/a b"])
async def test_a_redirect_on_the_same_host_is_followed_to_the_same_address(
    serve: Serve, run: Attempt, location: str
) -> None:
    requests: list[bytes] = []
    port = await serve(records(requests, _moved(302, location), OK + b"\r\n"))
    assert (await run("http", port, url="http://shop.example/")).failure is None
    assert len(requests) == 2
    assert b"\r\nHost: shop.example\r\n" in requests[1]


async def test_a_redirect_to_another_host_is_the_last_answer_and_named(serve: Serve, run: Attempt) -> None:
    for location in (
        "http://other.example/",
        "https://shop.example.evil.example/",
        "//user@shop.example.evil.example/",
    ):
        reading = await run("http", await serve(answers(_moved(301, location))), hostname=NAME)
        assert isinstance(reading.failure, WrongContent)
        assert reading.failure.step == "redirect"
    reading = await run("http", await serve(answers(_moved(301, "http://other.example/"))), hostname=NAME)
    assert reading.failure is not None
    assert "other.example" in reading.failure.detail


@pytest.mark.parametrize(
    ("host", "location", "followed"),
    [
        ("shop.example", "http://www.shop.example/", True),
        ("www.shop.example", "http://shop.example/", True),
        ("shop.example", "http://shop.example/", True),
        ("shop.example", "http://notshop.example/", False),
        ("shop.example", "http://example/", False),
        ("shop.example", "http://other.example/", False),
        ("10.0.0.1", "http://0.0.1/", False),
    ],
)
async def test_a_redirect_within_the_site_is_followed_where_that_is_chosen(
    serve: Serve, run: Attempt, host: str, location: str, followed: bool
) -> None:
    requests: list[bytes] = []
    last = await serve(records(requests, OK + b"\r\n"))
    port = await serve(records(requests, _moved(301, location.rstrip("/") + f":{last}/"), OK + b"\r\n"))
    await run("http", port, url=f"http://{host}/", follow_redirects="site")
    assert len(requests) == 1 + followed


async def test_a_credential_goes_to_no_other_host_and_no_other_port(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    requests: list[bytes] = []
    last = await serve(records(requests, OK + b"\r\n"))
    secure = await serve(records(requests, OK + b"\r\n"), tls=server_context(authority.issue(NAME)))
    for location, sent in (
        (f"http://www.{NAME}:{last}/", False),
        (f"http://{NAME}:{last}/", False),
        (f"https://{NAME}:{secure}/", True),
        ("/next", True),
    ):
        requests.clear()
        port = await serve(records(requests, _moved(307, location), OK + b"\r\n"))
        credential = Credential("me", Secret("hunter2"), secrets={"token": Secret("t0ken")})
        options: dict[str, Any] = {"follow_redirects": "site", "ca_file": authority.file}
        reading = await run("http", port, url=f"http://{NAME}/", credential=credential, **options)
        assert reading.failure is None
        assert b"Authorization: Bearer t0ken\r\n" in requests[0]
        assert (b"t0ken" in requests[1]) is sent
        assert "t0ken" not in "".join(reading.transcript)


@pytest.mark.parametrize(
    "location", ["ftp://shop.example/", "http://", "http://[::1/", "http://shop.example:99999/", "\x01", ""]
)
async def test_a_redirect_that_cannot_be_followed_fails(serve: Serve, run: Attempt, location: str) -> None:
    reading = await run("http", await serve(answers(_moved(301, location))), url="http://shop.example/")
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "redirect"


async def test_a_redirect_is_judged_by_its_status_where_it_is_expected_or_not_followed(
    serve: Serve, run: Attempt
) -> None:
    port = await serve(answers(_moved(301, "https://other.example/")))
    assert (await run("http", port, expect_status=[301])).failure is None
    reading = await run("http", port, follow_redirects=False)
    assert isinstance(reading.failure, WrongContent)
    assert reading.failure.step == "status"


async def test_endless_redirects_end(serve: Serve, run: Attempt) -> None:
    requests: list[bytes] = []
    reading = await run("http", await serve(records(requests, _moved(302, "/again"))), url="http://shop.example/")
    assert isinstance(reading.failure, WrongContent)
    assert "more than 5 redirects" in reading.failure.detail
    assert len(requests) == 6
    requests.clear()
    port = await serve(records(requests, _moved(302, "/again")))
    await run("http", port, url="http://shop.example/", max_redirects=1)
    assert len(requests) == 2


async def test_after_303_comes_a_get_and_after_307_the_same_again(serve: Serve, run: Attempt) -> None:
    for status, method in ((303, b"GET"), (307, b"POST")):
        requests: list[bytes] = []
        port = await serve(records(requests, _moved(status, "/next"), OK + b"\r\n"))
        await run("http", port, url="http://shop.example/", method="POST", body="x")
        assert requests[1].startswith(method)


async def test_a_redirect_to_https_is_followed_with_a_verified_certificate(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    tls = await serve(answers(OK + b"\r\nready"), tls=server_context(authority.issue(NAME)))
    port = await serve(answers(_moved(301, f"https://{NAME}:{tls}/")))
    reading = await run("http", port, url=f"http://{NAME}/", ca_file=authority.file, expect_body="ready")
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert isinstance((await run("http", port, url=f"http://{NAME}/")).failure, CertificateFailure)


async def test_the_certificate_of_the_second_handshake_is_the_one_that_is_told(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    ends = now() - DAY
    bad = await serve(answers(OK + b"\r\n"), tls=server_context(authority.issue(NAME, ends=ends)))
    good = await serve(answers(_moved(301, f"https://{NAME}:{bad}/")), tls=server_context(authority.issue(NAME)))
    reading = await run("https", good, url=f"https://{NAME}/", ca_file=authority.file)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry == ends.timestamp()


async def test_a_password_that_went_encrypted_is_not_sent_in_the_clear(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    requests: list[bytes] = []
    clear = await serve(records(requests, OK + b"\r\n"))
    tls = await serve(answers(_moved(302, f"http://{NAME}:{clear}/")), tls=server_context(authority.issue(NAME)))
    credential = Credential("me", Secret("hunter2"))
    reading = await run("https", tls, url=f"https://{NAME}/", ca_file=authority.file, credential=credential)
    assert reading.failure is None
    assert b"Authorization" not in requests[0]


async def test_a_certificate_is_not_compared_with_an_address_where_there_is_a_name(
    serve: Serve, run: Attempt, authority: Authority
) -> None:
    port = await serve(answers(OK + b"\r\n"), tls=server_context(authority.issue(NAME)))
    reading = await run("https", port, url="https://127.0.0.1/", hostname=NAME, ca_file=authority.file)
    assert reading.failure is None


# servers that are none, or hostile


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"220 mail.example ESMTP\r\n",
        b"H",
        b"HTTP\r\n\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"\x00\x00\x12\x04\x00\x00\x00\x00\x00",
        b"\x15\x03\x03\x00\x02\x02\x0a",
        b"<html>ready</html>",
        b"\xff" * 5000,
    ],
)
async def test_what_is_not_http_is_told_at_the_status(serve: Serve, run: Attempt, said: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(said)
        if said != b"H":
            await reader.read()  # and stay: what was said is enough to know

    reading = await run("http", await serve(script))
    assert isinstance(reading.failure, UnexpectedReply | Unreachable)
    assert isinstance(reading.failure, Unreachable) == (said == b"H")
    assert reading.failure.step == "status"
    if said.startswith(b"\x15"):
        assert "speaks TLS" in reading.failure.detail


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (OK + b"no colon\r\n\r\n", "headers"),
        (OK + b": no name\r\n\r\n", "headers"),
        (OK + b" folded at once\r\n\r\n", "headers"),
        (OK + b"a b: c\r\n\r\n", "headers"),
        (OK + b"X: y\r\n" * 1000 + b"\r\n", "headers"),
        (OK + b"X: " + b"y" * 200_000 + b"\r\n\r\n", "status"),
        (b"HTTP/1.1 " + b"2" * 200_000, "status"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 1000, "status"),
        (OK + b"Content-Length: -1\r\n\r\n", "body"),
        (OK + b"Content-Length: 5, 6\r\n\r\nready", "body"),
        (OK + b"Content-Length: \r\n\r\nready", "body"),
        (OK + b"Content-Length: \xd9\xa5\r\n\r\nready", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nready\r\n", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"0" * 20 + b"5\r\nready\r\n", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nreadyXX\r\n", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5" + b";" * 5000, "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 70_000, "body"),
    ],
)
async def test_what_breaks_the_rules_of_http_is_told_with_its_step(
    serve: Serve, run: Attempt, answer: bytes, step: str
) -> None:
    reading = await run("http", await serve(says(answer)))
    assert isinstance(reading.failure, UnexpectedReply)
    assert reading.failure.step == step
    assert len(str(reading.failure)) < 500


@pytest.mark.parametrize(
    ("answer", "step"),
    [
        (b"", "status"),
        (b"HTTP/1.1 200", "status"),
        (OK + b"X: y\r\n", "status"),
        (OK + b"Content-Length: 10\r\n\r\nready", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nrea", "body"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nready\r\n", "body"),
    ],
)
async def test_a_response_that_stops_half_way_does_not_pass(
    serve: Serve, run: Attempt, answer: bytes, step: str
) -> None:
    closed = await run("http", await serve(answers(answer)))
    assert isinstance(closed.failure, Unreachable)
    assert closed.failure.step == step
    stuck = await run("http", await serve(says(answer)), within=0.5)
    assert isinstance(stuck.failure, TimedOut)
    assert stuck.failure.step == step

    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    broken = await run("http", await serve(reset))
    assert isinstance(broken.failure, Unreachable)


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("looking", [False, True])
async def test_a_body_of_ten_gigabytes_is_read_to_its_limit_and_no_further(
    serve: Serve, run: Attempt, chunked: bool, looking: bool
) -> None:
    head = b"Transfer-Encoding: chunked\r\n\r\n2540be400\r\n" if chunked else b"Content-Length: 10000000000\r\n\r\n"
    poured = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal poured
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + head)
        while True:
            writer.write(b"ready" * 10_000)
            await writer.drain()
            poured += 50_000

    port = await serve(pour)
    tracemalloc.start()
    try:
        reading = await run("http", port, expect_body="ready" if looking else None)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert reading.failure is None
    assert poured < 20_000_000  # what the sockets' buffers hold
    assert peak < 8_000_000


async def test_a_body_in_drops_ends_at_the_deadline(serve: Serve, run: Attempt) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK + b"Content-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.02)

    reading = await run("http", await serve(drip), within=0.5)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "body"


@given(answer=st.binary(max_size=300))
def test_no_answer_breaks_the_parser(answer: bytes) -> None:
    _judge(answer)


@given(
    st.lists(
        st.sampled_from(
            [
                *(b"HTTP/1.1 200 OK", b"HTTP/1.1 100 X", b"\r\n", b"\n", b"\r", b" ", b":", b"Content-Length", b"5"),
                *(b"Transfer-Encoding: chunked", b"ffffffffffffffff", b"0", b";", b"\0", b"\xff", b"Location: //"),
                *(b",", b"-1", b"a" * 99),
            ]
        ),
        max_size=40,
    ).map(b"".join)
)
def test_no_answer_made_of_the_right_words_breaks_the_parser(answer: bytes) -> None:
    _judge(b"HTTP/1.1 200 OK\r\n" + answer)


def _judge(answer: bytes) -> None:
    """Run the check on an answer that comes byte by byte; only failures that a server can cause may come of it."""
    reading = judged("http", answer, expect_body="ready")
    assert isinstance(reading.failure, UnexpectedReply | Unreachable | WrongContent)


# options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": "https://shop.example/"}, "must start with http://"),
        ({"url": "shop.example"}, "must be a URL"),
        ({"url": "http://user:pass@shop.example/"}, "name a credential"),
        ({"url": "http://例.example/"}, "xn--"),
        ({"url": "http://shop.example/a b"}, "without spaces"),
        ({"url": "http://shop.example/", "path": "/x"}, "not both"),
        ({"url": "http://shop.example/", "host": "x.example"}, "not both"),
        ({"path": "health"}, "starts with /"),
        ({"path": "/a\r\nX: y"}, "must be a path"),
        ({"host": "a.example/x"}, "must be a host"),
        ({"headers": {"Host": "x"}}, "host has a key of its own"),
        ({"headers": {"Authorization": "Basic x"}}, "name a credential"),
        ({"headers": {"X": "a\r\nb"}}, "printable"),
        ({"headers": {"a b": "c"}}, "without spaces"),
        ({"expect_body": "(ready"}, "at character 1"),
        ({"expect_header": {"a b": "c"}}, "without spaces"),
        ({"expect_header": {"Server": "(c"}}, "at character 1"),
        ({"expect_json": {"path": "a..b", "value": 1}}, "must be a path"),
        ({"expect_json": {"path": "a[b]", "value": 1}}, "must be a path"),
        ({"expect_json": {"path": "a"}}, "required"),
        ({"method": "HEAD", "expect_json": {"path": "a", "value": 1}}, "no body"),
        ({"expect_body": "a{99999999999}"}, "not a regular expression"),
        ({"expect_body": 5}, "in quotes"),
        ({"expect_status": [99]}, "100"),
        ({"method": "HEAD", "expect_body": "x"}, "HEAD"),
        ({"body": "x"}, "POST"),
        ({"method": "BREW"}, "GET"),
        ({"max_body": 10**9}, "16777216"),
    ],
)
def test_options_that_cannot_be_are_refused_with_a_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError) as refused:
        HttpOptions.model_validate(options)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("options", "needs_a_name"),
    [
        ({}, True),
        ({"url": "https://192.0.2.1/"}, True),
        ({"host": "shop.example"}, True),
        ({"url": "https://shop.example/"}, False),
        ({"server_name": "shop.example"}, False),
        ({"certificate": "ignore"}, False),
    ],
)
def test_https_needs_a_name_where_it_verifies_and_says_none_itself(options: dict[str, Any], needs_a_name: bool) -> None:
    assert CHECKS["https"].tls(HttpsOptions.model_validate(options)) is needs_a_name
    assert CHECKS["http"].tls(HttpOptions()) is False


# the real one

SITE = """
server_name shop.example;
location / { return 200 "ready\\n"; }
location /old { return 301 /new; }
location /new { return 200 "moved here"; }
location /away { return 302 https://elsewhere.example/; }
location /loop { return 302 /loop; }
location /maintenance { return 503; }
location /private { auth_basic "closed"; auth_basic_user_file /dev/null; return 200; }
location /private/real { auth_basic "closed"; auth_basic_user_file /dev/null; try_files /none =404; }
location /long { gzip on; gzip_types text/plain; gzip_min_length 1; return 200 "LONG"; }
ssl_protocols TLSv1.2;
""".replace("LONG", "x" * 500)


@pytest.fixture(scope="module")
def web(peer: Callable[[str], str], authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    with Nginx(peer("nginx"), tmp_path_factory.mktemp("nginx"), SITE, authority.issue(NAME)) as nginx:
        yield nginx


async def test_nginx_passes_over_http_and_https(web: Nginx, run: Attempt, authority: Authority) -> None:
    assert (await run("http", web.port, expect_body="^ready$")).failure is None
    reading = await run("https", web.tls_port, hostname=NAME, ca_file=authority.file, expect_body="^ready$")
    assert reading.failure is None
    assert reading.certificate_expiry is not None
    assert (await run("http", web.port, method="HEAD")).failure is None


@pytest.mark.parametrize(
    ("path", "failure", "step"),
    [
        ("/old", None, ""),
        ("/nothing/here", None, ""),
        ("/away", WrongContent, "redirect"),
        ("/loop", WrongContent, "redirect"),
        ("/maintenance", Unavailable, "status"),
        ("/private/real", WrongContent, "status"),
    ],
)
async def test_nginx_in_every_state_is_told_as_it_is(
    web: Nginx, run: Attempt, path: str, failure: type[Exception] | None, step: str
) -> None:
    reading = await run("http", web.port, hostname=NAME, path=path)
    assert type(reading.failure) is (failure or type(None))
    assert reading.failure is None or reading.failure.step == step


async def test_nginx_compresses_where_it_is_asked_to(web: Nginx, run: Attempt) -> None:
    reading = await run("http", web.port, path="/long", compression=True, expect_body="x{30}")
    assert reading.failure is None
    assert "Content-Encoding: gzip" in "".join(reading.transcript)
    reading = await run("http", web.port, path="/long", expect_body="x{30}")
    assert "Content-Encoding" not in "".join(reading.transcript)


async def test_a_stopped_nginx_is_a_timeout_while_its_port_is_open(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Nginx(peer("nginx"), tmp_path, SITE) as stuck:
        os.kill(stuck.pid, signal.SIGSTOP)
        try:
            reading = await run("http", stuck.port, within=0.5)
        finally:
            os.kill(stuck.pid, signal.SIGCONT)
    assert isinstance(reading.failure, TimedOut)
    assert reading.failure.step == "status"


async def test_nginx_rejects_our_password(web: Nginx, run: Attempt) -> None:
    credential = Credential("me", Secret("hunter2"))
    assert isinstance((await run("http", web.port, path="/private/real", credential=credential)).failure, Unauthorized)


async def test_nginx_on_the_wrong_port_is_told_as_it_is(web: Nginx, run: Attempt, authority: Authority) -> None:
    plain = await run("http", web.tls_port)
    assert isinstance(plain.failure, WrongContent)  # it answers 400 in plain text
    tls = await run("https", web.port, hostname=NAME, ca_file=authority.file)
    assert type(tls.failure) is TlsFailure
    assert "answers without TLS" in tls.failure.detail


async def test_nginx_that_speaks_older_tls_only_is_a_failure_of_tls(
    web: Nginx, run: Attempt, authority: Authority
) -> None:
    reading = await run("https", web.tls_port, hostname=NAME, ca_file=authority.file, min_tls="1.3")
    assert type(reading.failure) is TlsFailure


async def test_nginx_with_an_expired_certificate_is_told_with_its_expiry_and_tells_why_we_went(
    peer: Callable[[str], str], run: Attempt, authority: Authority, tmp_path: Path
) -> None:
    ends = now() - DAY
    with Nginx(peer("nginx"), tmp_path, SITE, authority.issue(NAME, ends=ends)) as expired:
        reading = await run("https", expired.tls_port, hostname=NAME, ca_file=authority.file)
        async with asyncio.timeout(5):
            while "certificate expired" not in expired.log.read_text():  # noqa: ASYNC110 - nginx writes when it likes
                await asyncio.sleep(0.01)
    assert isinstance(reading.failure, CertificateFailure)
    assert reading.certificate_expiry == ends.timestamp()


async def test_nginx_killed_is_refused_and_passes_when_it_is_back(
    peer: Callable[[str], str], run: Attempt, tmp_path: Path
) -> None:
    with Nginx(peer("nginx"), tmp_path, SITE) as dying:
        assert (await run("http", dying.port)).failure is None
        dying.kill()
        assert isinstance((await run("http", dying.port)).failure, Refused)
        dying.start()
        assert (await run("http", dying.port)).failure is None
