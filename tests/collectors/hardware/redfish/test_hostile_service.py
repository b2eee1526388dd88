"""The reader against a service that is slow, lost, endless, garbled or malicious: it fails alone and leaves nothing."""

import asyncio
import contextlib
import gzip
import random
import ssl
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from pydantic import ValidationError

from collectors.failures import (
    CertificateFailure,
    CheckFailure,
    Misconfigured,
    NoAddress,
    Refused,
    TimedOut,
    TlsFailure,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    Unreachable,
    WrongContent,
)
from collectors.hardware.redfish import Redfish, RedfishOptions, client
from collectors.reading import HardwareReading, Lamp, Verdict
from collectors.registry import LampTarget
from tests.collectors.hardware.redfish.conftest import Read
from tests.collectors.hardware.redfish.test_requests import large_server
from tests.peers.certificates import Authority, server_context
from tests.peers.process import free_port
from tests.peers.redfish_service import (
    Handler,
    RedfishService,
    credential,
    never,
    refusal,
    serving,
    tree_of,
)

ROOT = "/redfish/v1"
SYSTEM = "/redfish/v1/Systems/1"
MEMORY = f"{SYSTEM}/Memory"
FINE = {"State": "Enabled", "Health": "OK"}
SERVER = tree_of(
    {
        "@odata.id": SYSTEM,
        "Name": "System",
        "PowerState": "On",
        "Status": FINE,
        "Memory": [f"{MEMORY}/1", f"{MEMORY}/2"],
    },
    {"@odata.id": f"{MEMORY}/1", "Name": "DIMM 1", "Status": FINE},
    {"@odata.id": f"{MEMORY}/2", "Name": "DIMM 2", "Status": FINE},
    {"@odata.id": "/redfish/v1/Chassis/1", "Name": "Chassis", "Status": FINE},
)
LARGE = large_server(old=True, new=True)


def verdicts(reading: HardwareReading) -> dict[str, Verdict | None]:
    return {lamp.component: lamp.verdict for lamp in reading.lamps}


def says(status: int, body: bytes = b"", **fields: str) -> Handler:
    async def answer(_: web.Request) -> web.StreamResponse:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return web.Response(status=status, body=body, headers=headers)

    return answer


# One resource that cannot be read


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(500), "HTTP 500"),
        (says(403), "HTTP 403"),
        (says(503, Retry_After="30"), "HTTP 503, retry after 30"),
        (says(200, b"<html>"), "it is not JSON"),
        (says(200, b""), "it is not JSON"),
        (says(200, b"[1, 2]"), "not an object"),
        (says(200, b'{"Status": NaN}'), "NaN is no JSON number"),
        (says(200, b"[" * 100_000), "nested too deeply"),
        (says(200, b'{"a":' * 100_000), "nested too deeply"),
        (says(200, b'{"Id": [' + b"[]," * 200_000 + b"[]]}"), "more than 100000 values"),
        (says(200, b'{"Id": ' + b"9" * 5_000 + b"}"), "it is not JSON"),
        (says(200, b"{}", Content_Encoding="br"), "'br' was not asked for"),
        (says(200, b"{}", Content_Encoding="gzip"), "gzip body is broken"),
        (says(200, gzip.compress(b"{}")[:-6], Content_Encoding="gzip"), "gzip body is cut off"),
        (says(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), "unpacks to more than"),
        (says(302, Location="https://elsewhere.example/redfish/v1/x"), "another host"),
        (says(302), "a link without a target"),
        (says(302, Location=f"{MEMORY}/1"), "redirects without end"),
    ],
)
async def test_a_resource_that_cannot_be_read_is_unknown_with_the_reason(read: Read, answer: Handler, why: str) -> None:
    async with serving(SERVER, answers={f"{MEMORY}/1": answer}) as service:
        reading = await read(service)
        assert service.sessions == {}
    assert verdicts(reading)["Memory/1"] is Verdict.UNKNOWN
    assert verdicts(reading)["DIMM 2"] is Verdict.NORMAL
    assert not reading.complete
    (lamp,) = (lamp for lamp in reading.lamps if lamp.component == "Memory/1")
    assert lamp.lamp is Lamp.MEMORY
    assert lamp.evidence.startswith(f"{MEMORY}/1: ")
    assert why in lamp.evidence


@pytest.mark.parametrize("status", [404, 405, 410, 501])
async def test_what_the_service_does_not_have_is_no_fault(read: Read, status: int) -> None:
    async with serving(SERVER, answers={MEMORY: says(status)}) as service:
        reading = await read(service)
    assert set(verdicts(reading)) == {"System", "Chassis"}
    assert reading.complete


async def test_what_was_read_before_is_unknown_under_its_own_name(read: Read) -> None:
    async with serving(SERVER) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        await read(service, reader)
        service.answers[MEMORY] = says(500)
        silent = await read(service, reader)
        again = await read(service, reader)
    assert verdicts(silent)["DIMM 1"] is verdicts(silent)["DIMM 2"] is Verdict.UNKNOWN
    assert verdicts(again) == verdicts(silent)
    assert not silent.complete


async def test_a_stalled_resource_is_unknown_and_a_second_one_ends_the_read(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "REQUEST_TIMEOUT", 1.0)
    async with serving(SERVER, answers={f"{MEMORY}/1": never}) as service:
        assert verdicts(await read(service))["Memory/1"] is Verdict.UNKNOWN
        service.answers[f"{MEMORY}/2"] = never
        with pytest.raises(TimedOut) as failure:
            await read(service)
        assert service.sessions == {}
    assert f"{MEMORY}/2" in failure.value.detail


async def test_a_connection_lost_once_is_opened_again_and_lost_twice_ends_the_read(read: Read) -> None:
    async with serving(SERVER) as service:
        service.answers[f"{MEMORY}/1"] = hanging_up(service, times=1)
        assert verdicts(await read(service))["DIMM 2"] is Verdict.NORMAL
        service.answers[f"{MEMORY}/1"] = hanging_up(service, times=9)
        with pytest.raises(Unreachable) as failure:
            await read(service)
        assert service.sessions == {}
    assert failure.value.step == "systems"


async def test_a_body_without_end_is_cut_off(read: Read) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b" " * 65_536)
            sent += 65_536

    async with serving(SERVER, answers={f"{MEMORY}/1": endless}) as service:
        reading = await read(service)
    assert verdicts(reading)["Memory/1"] is Verdict.UNKNOWN
    assert sent < 5 * client.LONGEST_BODY


async def test_many_large_bodies_end_the_read(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "LONGEST_READ", 100_000)
    padding = {"Padding": "x" * 60_000}
    tree = {**SERVER, **{path: {**SERVER[path], **padding} for path in (f"{MEMORY}/1", f"{MEMORY}/2")}}
    async with serving(tree) as service:
        with pytest.raises(UnexpectedReply, match="it has no end"):
            await read(service)
        assert service.sessions == {}


async def test_a_nesting_that_can_just_be_parsed_is_unknown_and_breaks_nothing(read: Read) -> None:
    async with serving(SERVER) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        for depth in range(850, 1_000):  # somewhere among them is Python's limit, here and there
            body = b'{"Name": "DIMM 1", "Status": {"State": ' + b"[" * depth + b"]" * depth + b"}}"
            service.answers[f"{MEMORY}/1"] = says(200, body)
            reading = await read(service, reader)
            assert Verdict.UNKNOWN in verdicts(reading).values()


# Links and collections


@pytest.mark.parametrize(
    "link",
    [
        "https://elsewhere.example/redfish/v1/x",
        "//elsewhere.example/redfish/v1/x",
        "http://127.0.0.1:1/redfish/v1/x",
        "ftp://127.0.0.1/redfish/v1/x",
        "/logout",
        "/redfish/../logout",
        "/redfish/%2e%2e/logout",
        "/redfish\\..\\logout",
        "http://[::1/redfish",
        "/redfish/v1/" + "x" * 5_000,
    ],
)
async def test_links_out_of_the_service_are_not_followed(read: Read, link: str) -> None:
    tree = {**SERVER, MEMORY: {"Members": [{"@odata.id": link}, {"@odata.id": f"{MEMORY}/2"}]}}
    async with serving(tree) as service:
        reading = await read(service)
    assert all("elsewhere" not in said and "logout" not in said for said in service.asked)
    assert len(service.asked) == 9
    assert verdicts(reading)["DIMM 2"] is Verdict.NORMAL
    assert Verdict.UNKNOWN in verdicts(reading).values()


async def test_line_breaks_in_a_link_do_not_become_a_request(read: Read) -> None:
    link = f"{MEMORY}/1 HTTP/1.1\r\nX-Evil: 1\r\n\r\nDELETE /redfish/v1/x"
    tree = {**SERVER, MEMORY: {"Members": [{"@odata.id": link}]}}
    async with serving(tree) as service:
        await read(service)
    assert not any(said.startswith("DELETE /redfish/v1/x") for said in service.asked)
    assert len(service.asked) == 9


@pytest.mark.parametrize("next_link", [f"{MEMORY}?page={{}}", MEMORY])
async def test_a_collection_without_end_is_left_and_told(read: Read, next_link: str) -> None:
    async def page(request: web.Request) -> web.StreamResponse:
        number = int(request.query.get("page", "0")) + 1
        members = [{"@odata.id": f"{MEMORY}/{number}", "Name": f"DIMM {number}", "Status": FINE}]
        return web.json_response({"Members": members, "Members@odata.nextLink": next_link.format(number)})

    async with serving(SERVER, answers={MEMORY: page}) as service:
        reading = await read(service)
        assert service.sessions == {}
    assert len(service.asked) < 50
    (lamp,) = (lamp for lamp in reading.lamps if lamp.verdict is Verdict.UNKNOWN)
    assert "no end" in lamp.evidence


async def test_a_collection_of_very_many_is_cut(read: Read) -> None:
    members = [{"@odata.id": f"{MEMORY}/{n}", "Name": f"DIMM {n}", "Status": FINE} for n in range(5_000)]
    tree = {**SERVER, MEMORY: {"Members": members}}
    async with serving(tree) as service:
        reading = await read(service)
    assert 500 < len(reading.lamps) < 600
    assert Verdict.UNKNOWN in verdicts(reading).values()


async def test_more_parts_than_any_server_has_end_the_read(read: Read) -> None:
    fans = [{"Name": f"Fan {n}", "Status": FINE} for n in range(5_000)]
    chassis = {**SERVER["/redfish/v1/Chassis/1"], "Thermal": {"@odata.id": f"{ROOT}/T"}}
    async with serving({**SERVER, "/redfish/v1/Chassis/1": chassis, f"{ROOT}/T": {"Fans": fans}}) as service:
        with pytest.raises(UnexpectedReply, match="more than 4096 parts"):
            await read(service)
        assert service.sessions == {}


async def test_resources_that_contain_each_other_are_read_once(read: Read) -> None:
    loop = {"@odata.id": SYSTEM, "Name": "Loop", "Status": FINE, "Memory": {"@odata.id": SYSTEM}}
    tree = {**SERVER, SYSTEM: {**loop, "Members": [{"@odata.id": SYSTEM}], "Storage": {"@odata.id": f"{ROOT}/Systems"}}}
    async with serving(tree) as service:
        reading = await read(service)
    assert len(service.asked) == 7
    assert verdicts(reading)["Loop"] is Verdict.NORMAL


@pytest.mark.parametrize(
    "value", [None, 7, "x", True, [], {}, [None], {"@odata.id": 7}, {"Members": 7}, {"Members": [7]}]
)
@pytest.mark.parametrize("key", ["Systems", "Chassis", "Managers", "Links", "ProtocolFeaturesSupported", "Oem"])
async def test_a_service_root_of_wrong_types_breaks_nothing(read: Read, key: str, value: Any) -> None:
    async with serving({**SERVER, ROOT: {**SERVER[ROOT], key: value}}) as service:
        reading = await read(service)
        assert service.sessions == {}
    assert reading.lamps


@pytest.mark.parametrize("status", [400, 404, 405, 500, 501])
async def test_expand_that_is_offered_and_refused_is_asked_for_once(read: Read, status: int) -> None:
    features = {"ProtocolFeaturesSupported": {"ExpandQuery": {"NoLinks": True, "Levels": True, "MaxLevels": 1}}}

    async with serving({**SERVER, ROOT: {**SERVER[ROOT], **features}}) as service:

        async def refuse(request: web.Request) -> web.StreamResponse:
            if request.query:
                return refusal(status, "Base.1.8.QueryNotSupported")
            return web.json_response(service.tree[request.path])

        service.answers = dict.fromkeys((f"{ROOT}/Systems", MEMORY, f"{ROOT}/Chassis"), refuse)
        reading = await read(service)
    assert len([said for said in service.asked if "$expand" in said]) == 1
    assert verdicts(reading)["DIMM 2"] is Verdict.NORMAL


# The whole service


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (says(404), UnexpectedReply),
        (says(200, b"<html>It works!"), UnexpectedReply),
        (says(200, b'{"Name": "printer"}'), UnexpectedReply),
        (says(200, gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"), UnexpectedReply),
        (says(302, Location="https://elsewhere.example/"), UnexpectedReply),
        (says(503, Retry_After="120"), Unavailable),
        (says(502), Unavailable),
    ],
)
async def test_what_is_no_service_root_is_told(read: Read, answer: Handler, kind: type[CheckFailure]) -> None:
    async with serving(SERVER, answers={ROOT: answer}) as service:
        with pytest.raises(kind) as failure:
            await read(service)
    assert failure.value.step == "service root"
    assert service.opened == 0
    assert failure.value.transcript


@pytest.mark.parametrize(
    ("status", "kind"), [(403, Unauthorized), (503, Unavailable), (500, WrongContent), (404, WrongContent)]
)
async def test_a_service_that_shows_nothing_at_all_failed(read: Read, status: int, kind: type[CheckFailure]) -> None:
    async with serving(SERVER, answers=dict.fromkeys((f"{ROOT}/Systems", f"{ROOT}/Chassis"), says(status))) as service:
        with pytest.raises(kind) as failure:
            await read(service)
        assert service.sessions == {}
    assert failure.value.step == "systems"


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"])
async def test_what_does_not_speak_http_is_protocol(said: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        with pytest.raises(UnexpectedReply):
            await once(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")


async def test_a_closed_port_is_refused_and_a_name_without_address_is_dns() -> None:
    with pytest.raises(Refused):
        await once(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(NoAddress):
        await once("https://bmc.invalid")


async def test_silence_is_a_timeout(read: Read) -> None:
    async with serving(SERVER, answers={ROOT: never}) as service:
        with pytest.raises(TimedOut) as failure:
            await read(service, patience=0.3)
    assert failure.value.step == "service root"


# Trust


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("bmc-authority"))


@pytest.fixture(scope="module")
def certificate(authority: Authority) -> Path:
    return authority.issue("127.0.0.1")


def fingerprint(certificate: Path) -> str:
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text().partition("-----BEGIN PRIVATE")[0])
    return sha256(der).hexdigest()


async def test_a_certificate_is_verified_by_the_ca_file(read: Read, authority: Authority, certificate: Path) -> None:
    async with RedfishService(SERVER, server_context(certificate)) as service:
        assert (await read(service, ca_file=authority.file)).power is True
        with pytest.raises(CertificateFailure) as failure:
            await read(service)
    assert (failure.value.step, service.opened) == ("chain", 1)
    assert "its issuer 'Test authority' is not trusted" in failure.value.detail
    assert f"its fingerprint is {fingerprint(certificate)}" in failure.value.detail


async def test_a_certificate_for_another_name_is_not_accepted(read: Read, authority: Authority) -> None:
    async with RedfishService(SERVER, server_context(authority.issue("bmc.example"))) as service:
        with pytest.raises(CertificateFailure) as failure:
            await read(service, ca_file=authority.file)
    assert failure.value.step == "name"
    assert failure.value.detail.startswith("it is for bmc.example, not for 127.0.0.1")
    assert service.asked == []


async def test_a_pinned_certificate_is_accepted_and_any_other_is_not(read: Read, certificate: Path) -> None:
    pin = fingerprint(certificate)
    async with RedfishService(SERVER, server_context(certificate)) as service:
        assert (await read(service, fingerprint_sha256=pin)).power is True
        asked = len(service.asked)
        with pytest.raises(CertificateFailure) as failure:
            await read(service, fingerprint_sha256="00" * 32)
    assert failure.value.step == "pin"
    assert pin in failure.value.detail
    assert len(service.asked) == asked


async def test_any_certificate_will_do_where_that_is_written(read: Read, certificate: Path) -> None:
    async with RedfishService(SERVER, server_context(certificate)) as service:
        assert (await read(service, verify=False)).power is True


async def test_a_service_without_tls_is_tls_and_a_missing_ca_file_misconfigured(read: Read, tmp_path: Path) -> None:
    async with serving(SERVER) as service:
        with pytest.raises((TlsFailure, Unreachable)):
            await once(service.url.replace("http:", "https:"))
        with pytest.raises(Misconfigured):
            await once(service.url.replace("http:", "https:"), ca_file=tmp_path / "missing.pem")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"url": "192.0.2.110"}, "must be the URL of a management controller"),
        ({"url": "ftp://192.0.2.110"}, "must be the URL of a management controller"),
        ({"url": "https://"}, "must be the URL of a management controller"),
        ({"url": "https://192.0.2.110:0"}, "must be the URL of a management controller"),
        ({"url": "https://192.0.2.110/redfish/v1/Systems"}, "must end after the host and port"),
        ({"url": "https://a:b@192.0.2.110"}, "has a user name or password in the URL"),
        ({"url": "https://b", "fingerprint_sha256": "aa:bb"}, "must be 64 hexadecimal digits"),
        ({"url": "https://b", "fingerprint_sha256": "aa" * 32, "verify": False}, "takes only one of"),
    ],
)
def test_options_are_refused_with_a_sentence(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        RedfishOptions.model_validate(options)


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("https://192.0.2.110", "192.0.2.110:443"),
        ("https://192.0.2.110:8443/redfish/v1/", "192.0.2.110:8443"),
        ("https://[2001:db8::1]", "[2001:db8::1]:443"),
        ("http://bmc.example", "bmc.example:80"),
    ],
)
def test_the_endpoint_is_host_and_port(url: str, endpoint: str) -> None:
    assert Redfish(RedfishOptions(url=url)).endpoint() == endpoint


async def once(url: str, *, within: float = 5.0, **options: object) -> HardwareReading:
    reader = Redfish(RedfishOptions.model_validate({"url": url, **options}))
    return await reader.read(LampTarget(credential()), asyncio.get_running_loop().time() + within)


def hanging_up(service: RedfishService, times: int) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """Close the connection instead of answering, so many times."""
    left = times

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal left
        left -= 1
        if left < 0:
            return web.json_response(service.tree[request.path])
        assert request.transport
        request.transport.close()
        raise asyncio.CancelledError

    return answer


@pytest.mark.parametrize("line", [b"X-Filler: x\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"x"])
async def test_a_head_without_end_ends_the_read(line: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if line.startswith(b"X-"):
            writer.write(b"HTTP/1.1 200 OK\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(line * 1_000)
                await writer.drain()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        with pytest.raises((UnexpectedReply, TimedOut, Unreachable)) as failure:
            await once(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", within=1.0)
    assert failure.value.step == "service root"


@pytest.mark.parametrize("seed", range(60))
async def test_whatever_single_requests_are_answered_no_session_is_left(read: Read, seed: int) -> None:
    """Any path but the session's own answers with anything, or hangs up, now and then."""
    choose = random.Random(seed)
    async with serving(LARGE) as service:
        answers = [
            *(says(status) for status in (200, 202, 204, 206, 301, 400, 401, 403, 404, 405, 429, 500, 501, 503, 504)),
            *(says(200, body) for body in (b"{}", b"[]", b"null", b'{"Members": [{}]}', b"\xff\xfe{}", b"{" * 99)),
            *(says(302, Location=link) for link in ("/", "//x/redfish/", f"{ROOT}/", f"{MEMORY}/1", "\x7f")),
            says(200, b"{}", Content_Encoding="gzip"),
            hanging_up(service, times=1),
        ]
        for path in service.tree:
            if choose.random() < 0.1:
                service.answers[path] = choose.choice(answers)
        with contextlib.suppress(CheckFailure):
            reading = await read(service)
            assert reading.lamps
        assert service.sessions == {}
