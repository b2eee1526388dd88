"""The demo's Redfish service as any client sees it: who is answered, how sessions end, no dead links."""

import ssl
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from exporter.demo.endpoints import Authority
from exporter.demo.redfish import MOST_SESSIONS, ROOT, SESSIONS, TOKEN, RedfishBmc

HOST = "127.0.0.1"
ACCOUNT = {"UserName": "monitor", "Password": "correct-horse"}


@pytest.fixture
async def bmc(tmp_path: Path) -> AsyncIterator[RedfishBmc]:
    made = RedfishBmc("DEMO0001", ACCOUNT["Password"])
    await made.start(HOST, Authority(tmp_path).server_context(HOST, valid_for=timedelta(days=1)))
    yield made
    await made.stop()


@pytest.fixture
async def http(bmc: RedfishBmc, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    trust = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
    connector = aiohttp.TCPConnector(ssl=trust)
    async with aiohttp.ClientSession(f"https://{HOST}:{bmc.port}", connector=connector) as session:
        yield session


async def log_in(http: aiohttp.ClientSession) -> tuple[str, dict[str, str]]:
    async with http.post(SESSIONS, json=ACCOUNT) as answer:
        assert answer.status == 201
        return answer.headers["Location"], {TOKEN: answer.headers[TOKEN]}


async def status(http: aiohttp.ClientSession, path: str, method: str = "GET", **more: Any) -> int:
    async with http.request(method, path, **more) as answer:
        return answer.status


def basic(password: str) -> dict[str, str]:
    return {"Authorization": aiohttp.encode_basic_auth("monitor", password)}


async def test_only_the_root_is_for_everybody(http: aiohttp.ClientSession) -> None:
    assert await status(http, f"{ROOT}/") == 200
    assert await status(http, f"{ROOT}/Systems") == 401
    assert await status(http, f"{ROOT}/Systems", headers={TOKEN: "guessed"}) == 401
    assert await status(http, f"{ROOT}/Systems", headers=basic("wrong")) == 401
    assert await status(http, f"{ROOT}/Systems", headers=basic("correct-horse")) == 200


async def test_a_session_is_opened_used_and_ended(http: aiohttp.ClientSession, bmc: RedfishBmc) -> None:
    location, token = await log_in(http)
    assert await status(http, f"{ROOT}/Systems/1", headers=token) == 200
    assert await status(http, location, "DELETE", headers=token) == 204
    assert await status(http, f"{ROOT}/Systems/1", headers=token) == 401
    assert (bmc.opened, bmc.closed, bmc.open_sessions) == (1, 1, 0)


async def test_sessions_are_few(http: aiohttp.ClientSession) -> None:
    for _ in range(MOST_SESSIONS):
        await log_in(http)
    assert await status(http, SESSIONS, "POST", json=ACCOUNT) == 503


async def test_what_is_no_log_in_is_refused(http: aiohttp.ClientSession) -> None:
    assert await status(http, SESSIONS, "POST", json={**ACCOUNT, "Password": "wrong"}) == 401
    assert await status(http, SESSIONS, "POST", data=b"no JSON") == 400
    assert await status(http, SESSIONS, "POST", json=["a list"]) == 400
    assert await status(http, SESSIONS, "POST", data=b"x" * 10_000) == 413


async def test_nothing_can_be_written(http: aiohttp.ClientSession) -> None:
    _, token = await log_in(http)
    for method in ("PATCH", "PUT", "POST"):
        assert await status(http, f"{ROOT}/Systems/1", method, headers=token, json={}) == 405
    assert await status(http, f"{ROOT}/Systems/1", "DELETE", headers=token) == 404


async def test_every_link_leads_somewhere_and_says_where_it_is(http: aiohttp.ClientSession) -> None:
    _, token = await log_in(http)
    seen: set[str] = set()
    waiting = [ROOT]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        async with http.get(path, headers=token) as answer:
            assert answer.status == 200, path
            resource = await answer.json()
        assert resource["@odata.id"] == path
        waiting += links(resource)
    assert len(seen) > 15


def links(value: Any) -> list[str]:
    if isinstance(value, list):
        return [link for item in value for link in links(item)]
    if isinstance(value, dict):
        own = [value["@odata.id"]] if "@odata.id" in value else []
        return own + [link for item in value.values() for link in links(item)]
    return []


async def test_a_predicted_failure_and_the_locate_lamp_show(http: aiohttp.ClientSession, bmc: RedfishBmc) -> None:
    bmc.drives[2].failure_predicted = True
    bmc.locate = True
    _, token = await log_in(http)
    async with http.get(f"{ROOT}/Systems/1/Storage/1/Drives/3", headers=token) as answer:
        drive = await answer.json()
    assert (drive["FailurePredicted"], drive["Status"]["Health"]) == (True, "OK")
    async with http.get(f"{ROOT}/Systems/1", headers=token) as answer:
        assert (await answer.json())["LocationIndicatorActive"] is True
