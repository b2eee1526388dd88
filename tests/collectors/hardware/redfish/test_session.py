"""Sessions: opened where the service has them, and none left behind, whatever comes in between."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from collectors.failures import Misconfigured, TimedOut, Unauthorized, Unavailable, UnexpectedReply
from collectors.hardware.redfish import Redfish, RedfishOptions, client, reader
from collectors.registry import LampTarget
from tests.collectors.hardware.redfish.conftest import Read
from tests.peers.redfish_service import (
    OLD_SESSIONS,
    PASSWORD,
    SESSIONS,
    RedfishService,
    credential,
    never,
    refusal,
    serving,
    tree_of,
)

SYSTEM = "/redfish/v1/Systems/1"
SERVER = tree_of(
    {
        "@odata.id": SYSTEM,
        "Id": "1",
        "Name": "System",
        "PowerState": "On",
        "Status": {"State": "Enabled", "Health": "OK"},
        "Memory": [f"{SYSTEM}/Memory/1"],
    },
    {"@odata.id": f"{SYSTEM}/Memory/1", "Name": "DIMM 1", "Status": {"State": "Enabled", "Health": "OK"}},
    {"@odata.id": "/redfish/v1/Chassis/1", "Name": "Chassis", "Status": {"State": "Enabled", "Health": "OK"}},
)
REQUESTS = 9
"""Root, log-in, collection and member of systems, memory and chassis, log-out."""


async def test_a_session_is_opened_once_used_for_all_and_ended(read: Read) -> None:
    async with serving(SERVER) as service:
        await read(service)
    assert service.asked[:2] == ["GET /redfish/v1/", f"POST {SESSIONS}"]
    assert service.asked[-1] == f"DELETE {SESSIONS}/1"
    assert len(service.asked) == REQUESTS
    assert service.sessions == {}


@pytest.mark.parametrize("answered", [True, False], ids=["answered", "unanswered"])
@pytest.mark.parametrize("last", range(1, REQUESTS + 1))
async def test_no_session_is_left_when_cancelled_at_any_request(last: int, answered: bool) -> None:
    async with serving(SERVER) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        arrived = asyncio.Event()

        async def cancel(_: str) -> None:
            if len(service.asked) == last:
                reading.cancel()
                arrived.set()
                if not answered and service.asked[-1].startswith("GET"):
                    await asyncio.Event().wait()

        service.before = cancel
        target = LampTarget(credential())
        reading = asyncio.create_task(reader.read(target, asyncio.get_running_loop().time() + 20.0))
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert arrived.is_set()
        assert service.sessions == {}


async def test_no_session_is_left_when_cancelled_again_while_saying_goodbye() -> None:
    async with serving(SERVER) as service:
        reader = Redfish(RedfishOptions(url=service.url))

        async def cancel(said: str) -> None:
            if said.startswith("DELETE") or said.endswith("Memory"):
                reading.cancel()

        service.before = cancel
        target = LampTarget(credential())
        reading = asyncio.create_task(reader.read(target, asyncio.get_running_loop().time() + 20.0))
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert service.sessions == {}


async def test_no_session_is_left_when_the_time_is_over(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "CLOSE_SHARE", 0.9)  # of ten seconds: room for a busy machine to say goodbye
    monkeypatch.setattr(reader, "CLOSE_WITHIN", 9.0)
    async with serving(SERVER, answers={f"{SYSTEM}/Memory": never}) as service:
        with pytest.raises(TimedOut) as failure:
            await read(service, patience=10.0)
        assert service.sessions == {}
    assert failure.value.step == "systems"


async def test_a_goodbye_that_was_lost_is_said_again(read: Read) -> None:
    async with serving(SERVER) as service:
        service.before = hang_up_once(service, "DELETE")
        await read(service)
        assert service.sessions == {}


@pytest.mark.parametrize("places", [{SESSIONS}, {OLD_SESSIONS}])
async def test_sessions_are_found_where_today_and_where_old_services_have_them(read: Read, places: set[str]) -> None:
    async with serving(SERVER, session_places=places, takes_basic=False) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        await read(service, reader)
        first = len(service.asked)
        await read(service, reader)
    assert len(service.asked) - first == REQUESTS  # the second time it knows the place
    assert (service.opened, service.sessions) == (2, {})


async def test_sessions_are_opened_where_the_service_root_says(read: Read) -> None:
    tree = {
        **SERVER,
        "/redfish/v1": {**SERVER["/redfish/v1"], "Links": {"Sessions": {"@odata.id": "/redfish/v1/S/Sessions"}}},
    }
    async with serving(tree, session_places={"/redfish/v1/S/Sessions"}) as service:
        await read(service)
    assert service.asked[1] == "POST /redfish/v1/S/Sessions"
    assert service.sessions == {}


async def test_without_sessions_basic_serves_and_is_remembered(read: Read) -> None:
    async with serving(SERVER, session_places=set()) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        reading = await read(service, reader)
        first = len(service.asked)
        await read(service, reader)
    assert reading.power is True
    assert not any(said.startswith("POST") for said in service.asked[first:])


async def test_a_session_without_token_is_ended_and_not_opened_again(read: Read) -> None:
    async with serving(SERVER, gives_token=False) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        await read(service, reader)
        await read(service, reader)
    assert (service.opened, service.sessions) == (1, {})


async def test_a_session_that_could_not_be_ended_is_not_opened_again(read: Read) -> None:
    async with serving(SERVER, gives_location=False) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        await read(service, reader)
        await read(service, reader)
    assert service.opened == 1


async def test_the_uri_in_the_body_serves_as_well_as_location(read: Read) -> None:
    async def opened(request: web.Request) -> web.Response:
        service.opened += 1
        service.sessions["token"] = f"{SESSIONS}/7"
        return web.json_response({"@odata.id": f"{SESSIONS}/7"}, status=201, headers={"X-Auth-Token": "token"})

    async with serving(SERVER, answers={SESSIONS: opened}) as service:
        await read(service)
        assert (service.opened, service.sessions) == (1, {})


@pytest.mark.parametrize("body", ["packed wrongly", "without end", "stalled", "cut off"])
async def test_a_session_is_ended_though_the_answer_that_names_it_is_broken(
    read: Read, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "BODY_TIMEOUT", 0.1)

    async def opened(request: web.Request) -> web.StreamResponse:
        service.sessions["token"] = f"{SESSIONS}/7"
        fields = {"X-Auth-Token": "token", "Location": f"{SESSIONS}/7"}
        if body == "packed wrongly":
            return web.Response(status=201, body=b"{}", headers={**fields, "Content-Encoding": "gzip"})
        response = web.StreamResponse(status=201, headers={**fields, "Content-Length": str(10**9)})
        await response.prepare(request)
        await response.write(b"{")
        if body == "stalled":
            await never(request)
        assert request.transport
        if body == "cut off":
            request.transport.close()
            return response
        while True:
            await response.write(b" " * 65_536)

    async with serving(SERVER, answers={SESSIONS: opened}) as service:
        assert (await read(service)).power is True
        assert service.sessions == {}


async def test_a_session_is_ended_after_more_requests_than_a_read_may_have(
    read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "MOST_REQUESTS", 5)
    async with serving(SERVER) as service:
        with pytest.raises(UnexpectedReply, match="more than 5 requests"):
            await read(service)
        assert service.sessions == {}


async def test_only_a_session_is_ever_deleted(read: Read) -> None:
    async def opened(request: web.Request) -> web.Response:
        fields = {"X-Auth-Token": "token", "Location": "/redfish/v1/AccountService/Accounts/1"}
        return web.json_response({}, status=201, headers=fields)

    async with serving(SERVER, answers={SESSIONS: opened}) as service:
        await read(service)
    assert not any(said.startswith("DELETE") for said in service.asked)


@pytest.mark.parametrize("status", [400, 401, 403])
async def test_a_rejected_password_is_auth_and_is_tried_once(read: Read, status: int) -> None:
    async def rejected(request: web.Request) -> web.Response:
        return refusal(status, "Base.1.8.ResourceAtUriUnauthorized")

    async with serving(SERVER, answers={SESSIONS: rejected}) as service:
        with pytest.raises(Unauthorized) as failure:
            await read(service, password="wrong")
    assert failure.value.step == "log-in"
    assert service.asked == ["GET /redfish/v1/", f"POST {SESSIONS}"]
    assert not any("wrong" in line for line in failure.value.transcript)


async def test_a_password_that_basic_rejects_is_auth_and_is_tried_once(read: Read) -> None:
    async with serving(SERVER, session_places=set()) as service:
        with pytest.raises(Unauthorized):
            await read(service, password="wrong")
    assert len([said for said in service.asked if said.startswith("GET")]) == 2


async def test_without_a_free_session_basic_serves(read: Read) -> None:
    async with serving(SERVER, most_sessions=0) as service:
        assert (await read(service)).power is True


async def test_without_a_free_session_and_without_basic_it_is_unavailable(read: Read) -> None:
    async with serving(SERVER, most_sessions=0, takes_basic=False) as service:
        with pytest.raises(Unavailable) as failure:
            await read(service)
    assert (failure.value.step, "no session is free" in failure.value.detail) == ("log-in", True)


async def test_a_session_that_ends_too_early_is_opened_once_more(read: Read) -> None:
    async with serving(SERVER, takes_basic=False) as service:
        service.before = forget_once(service)
        reading = await read(service)
        assert (service.opened, service.sessions) == (2, {})
    assert {lamp.component for lamp in reading.lamps} == {"System", "DIMM 1", "Chassis"}


async def test_sessions_that_never_last_are_auth(read: Read) -> None:
    async with serving(SERVER, takes_basic=False) as service:

        async def forget(said: str) -> None:
            if said.startswith("GET"):
                service.sessions.clear()

        service.before = forget
        with pytest.raises(Unauthorized):
            await read(service)
    assert service.opened == 2


async def test_a_service_root_behind_a_log_in_is_read_after_it(read: Read) -> None:
    async with serving(SERVER) as service:

        async def closed(request: web.Request) -> web.StreamResponse:
            if "X-Auth-Token" not in request.headers:
                return refusal(401, "Base.1.8.NoValidSession")
            return web.json_response(service.tree["/redfish/v1"])

        service.answers["/redfish/v1"] = closed
        assert (await read(service)).power is True
        assert service.sessions == {}


async def test_an_answer_to_the_log_in_that_is_none_is_protocol(read: Read) -> None:
    async def odd(request: web.Request) -> web.Response:
        return web.Response(status=418)

    async with serving(SERVER, answers={SESSIONS: odd}) as service:
        with pytest.raises(UnexpectedReply):
            await read(service)


async def test_a_source_without_credential_is_misconfigured() -> None:
    reader = Redfish(RedfishOptions(url="https://192.0.2.110"))
    with pytest.raises(Misconfigured):
        await reader.read(LampTarget(), asyncio.get_running_loop().time() + 1.0)


async def test_two_reads_of_one_reader_never_have_two_sessions(read: Read) -> None:
    async with serving(SERVER, most_sessions=1, takes_basic=False) as service:
        reader = Redfish(RedfishOptions(url=service.url))
        await asyncio.gather(read(service, reader), read(service, reader))
        assert (service.opened, service.sessions) == (2, {})


async def test_no_secret_is_in_the_transcript(read: Read) -> None:
    async with serving(SERVER) as service:
        transcript = "\n".join((await read(service)).transcript)
    assert f"POST {SESSIONS}" in transcript
    assert PASSWORD not in transcript
    assert "token-1" not in transcript


def forget_once(service: RedfishService) -> Callable[[str], Awaitable[None]]:
    """Forget all sessions when the memory is asked for, once."""

    async def forget(said: str) -> None:
        if said.endswith("/Memory") and service.opened == 1:
            service.sessions.clear()

    return forget


def hang_up_once(service: RedfishService, method: str) -> Callable[[str], Awaitable[None]]:
    """Close the connection instead of answering the first request of a method."""
    done = False

    async def hang_up(said: str) -> None:
        nonlocal done
        if said.startswith(method) and not done:
            done = True
            for connection in service.connections:
                connection.close()
            await asyncio.Event().wait()

    return hang_up
