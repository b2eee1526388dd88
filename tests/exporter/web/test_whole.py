"""The server in front of a real monitor, with a real configuration file and a real service."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from exporter.clock import SystemClock
from exporter.ledger import Ledger
from exporter.monitor import Monitor
from exporter.serve import ServeOptions, running
from exporter.web import WebServer, serve
from tests.peers.process import free_port

CONFIGURATION = """
customers:
  - {{id: c0001, name: 株式会社サンプル, managed: true, contacts: [{{name: 運用担当, email: ops@customer.example}}]}}
servers:
  - name: web01
    customer: c0001
    address: 127.0.0.1
    services: [{{protocol: http, url: "http://shop.example:{port}/health"}}]
"""


@pytest.fixture
async def service() -> AsyncIterator[int]:
    """A web server on loopback; its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\nready\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@dataclass(frozen=True, slots=True)
class Exporter:
    """What `dserver-exporter` runs, before it has read its configuration."""

    file: Path
    monitor: Monitor
    web: WebServer


@pytest.fixture
async def exporter(tmp_path: Path) -> AsyncIterator[Exporter]:
    file = tmp_path / "dserver.yml"
    ledger = Ledger.open(tmp_path / "data", SystemClock())
    monitor = Monitor(file, ledger, SystemClock())
    web = await serve(monitor, "127.0.0.1:0", None)
    yield Exporter(file, monitor, web)
    await monitor.stop()
    await web.stop()
    ledger.close()


async def test_from_the_start_over_a_probe_to_a_reload(exporter: Exporter, service: int) -> None:
    file, monitor, web = exporter.file, exporter.monitor, exporter.web
    file.write_text(CONFIGURATION.format(port=service))
    async with aiohttp.ClientSession(web.url) as session:

        async def ask(path: str, method: str = "GET") -> tuple[int, str]:
            async with session.request(method, path) as response:
                return response.status, await response.text()

        assert await ask("/-/ready") == (503, "starting: reading dserver.yml\n")
        await monitor.start()
        assert (await ask("/-/ready"))[0] == 200
        status, told = await ask("/probe?server=web01&check=http&debug=true")
        assert status == 200
        assert "200 OK" in told
        assert "\nprobe_success 1.0\n" in told
        status, text = await ask("/metrics?collect[]=exporter")
        assert '\ndserver_server_info{customer_id="c0001",' in text
        assert (await ask("/"))[0] == 200
        status, text = await ask("/config")
        assert "name: web01" in text
        assert "ops@customer.example" not in text

        file.write_text(CONFIGURATION.format(port=service).replace("web01", "web02"))
        assert await ask("/-/reload", "POST") == (
            200,
            "The configuration was read again: 1 server, 1 check, 0 lamp sources, 1 customer.\n",
        )
        assert (await ask("/probe?server=web01&check=http"))[0] == 404
        assert "web02" in (await ask("/config"))[1]

        file.write_text(CONFIGURATION.format(port=service).replace("customer: c0001", "customer: c0009"))
        status, text = await ask("/-/reload", "POST")
        assert status == 500
        assert f"{file}:6: servers[0].customer: " in text
        assert "\ndserver_exporter_config_last_reload_successful 0.0\n" in (await ask("/metrics"))[1]
        assert "直近の再読み込みに失敗し" in (await ask("/"))[1]


async def test_a_monitoring_that_cannot_stop_keeps_neither_the_port_nor_the_ledger(
    tmp_path: Path, service: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "dserver.yml"
    file.write_text(CONFIGURATION.format(port=service))
    stop = Monitor.stop

    async def broken(self: Monitor) -> None:
        await stop(self)
        raise RuntimeError("broken")

    monkeypatch.setattr(Monitor, "stop", broken)
    monkeypatch.setattr("exporter.serve._on_signals", lambda _monitor: asyncio.Event())  # pytest's own handlers stay
    port = free_port()
    with pytest.raises(RuntimeError, match="broken"):
        async with running(ServeOptions(file, tmp_path / "data", f"127.0.0.1:{port}")):
            pass
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    Ledger.open(tmp_path / "data", SystemClock()).close()
