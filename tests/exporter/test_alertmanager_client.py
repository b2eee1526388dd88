"""What a real Alertmanager says of customers' alerts, and what is made of one that is none."""

import asyncio
import json
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exporter.alertmanager_client import UnreachableError, customer_alerts
from exporter.alerts import Alert
from tests.peers.alertmanager import Alertmanager
from tests.peers.process import free_port

ROUTING = "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n"


def silence(alertmanager: Alertmanager, server: str) -> None:
    now = datetime.now(UTC)
    body = {
        "matchers": [{"name": "server", "value": server, "isRegex": False, "isEqual": True}],
        "startsAt": now.isoformat(),
        "endsAt": (now + timedelta(hours=1)).isoformat(),
        "createdBy": "noc",
        "comment": "moved to another rack",
    }
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{alertmanager.url}/api/v2/silences", json.dumps(body).encode(), headers)
    urllib.request.urlopen(request, timeout=10).close()


async def test_a_real_alertmanager_tells_of_customers_alerts_and_which_a_person_silenced(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    with Alertmanager(peer("alertmanager"), tmp_path, ROUTING) as alertmanager:
        for server, notify in (("web01", "customer"), ("web02", "customer"), ("web02", "noc")):
            labels = {"alertname": "ServiceOutage", "notify": notify, "server": server, "check": "https"}
            alertmanager.send(labels, {})
        silence(alertmanager, "web02")
        async with asyncio.timeout(20):
            wanted = {Alert("customer", "web01", "https"), Alert("customer", "web02", "https", suppressed=True)}
            # a silence counts from the next time that alerts are looked at: nothing to wait for but the answer itself
            while set(await customer_alerts([f"{alertmanager.url}/", "http://127.0.0.1:9"])) != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.1)


@asynccontextmanager
async def answering(body: bytes, status: str = "200 OK") -> AsyncIterator[str]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"[" * 10_000, "200 OK"), (b"<html>", "200 OK"), (b"{}", "200 OK"), (b"[]", "502 Bad Gateway")],
)
async def test_an_answer_that_is_none_counts_as_none(body: bytes, status: str) -> None:
    async with answering(body, status) as url:
        with pytest.raises(UnreachableError, match=r"127\.0\.0\.1"):
            await customer_alerts([url])


async def test_one_of_a_cluster_is_enough_and_none_is_said(tmp_path: Path) -> None:
    gone = f"http://127.0.0.1:{free_port()}"
    async with answering(b"[]") as url:
        assert await customer_alerts([gone, url]) == ()
    with pytest.raises(UnreachableError, match=gone):
        await customer_alerts([gone])
    with pytest.raises(UnreachableError, match=r"alertmanager\.urls is empty"):
        await customer_alerts([])
