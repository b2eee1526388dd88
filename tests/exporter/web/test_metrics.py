"""/metrics: what is selected, compressed when asked for, at the reader's pace, and without stalling the event loop."""

import asyncio
import gzip
import subprocess
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as text_string_to_openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from exporter.families import Selection
from exporter.monitor import Monitor
from exporter.outage import CheckState
from exporter.web import scrape
from exporter.web.accept import accepts_gzip, prefers_openmetrics
from tests.peers.prometheus import Prometheus

UP = CheckState(up=True, ever_up=True, last_run=1_800_000_000_000)


@pytest.fixture(autouse=True)
def published(monitor: Monitor) -> None:
    entry = monitor.schedule.get(("web01", "https"))
    assert entry
    monitor.runner.publish(entry.check, UP, 0.125)


async def test_without_collect_everything_is_there_for_prometheus_to_read(start: Any, monitor: Monitor) -> None:
    client = await start()
    async with client.session.get(client.url("/metrics")) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert "Server" not in response.headers
        text = await response.text()
    assert 'dserver_service_up{check="https",protocol="https",server="web01"} 1.0\n' in text
    assert "\ndserver_server_lamp_verdict{" in text
    assert "\ndserver_exporter_build_info{" in text
    assert "\nprocess_open_fds " in text
    assert text.startswith(b"".join(monitor.exposition.chunks(list(Selection))).decode())


@pytest.mark.parametrize(
    ("query", "has"),
    [
        ("collect[]=services", {"service"}),
        ("collect[]=lamps", {"lamp"}),
        ("collect%5B%5D=sensors", set()),
        ("collect[]=exporter", {"exporter"}),
        ("collect[]=lamps&collect[]=services&collect[]=lamps", {"service", "lamp"}),
        ("collect[]=services,exporter", {"service", "exporter"}),
        ("collect[]=services,sensors&collect[]=lamps,services", {"service", "lamp"}),
    ],
)
async def test_collect_selects_and_what_names_the_servers_always_comes_along(
    start: Any, query: str, has: set[str]
) -> None:
    client = await start()
    status, text = await client.get(f"/metrics?{query}")
    assert status == 200
    found = {
        word
        for word, name in (
            ("service", "service_up{"),
            ("lamp", "server_lamp_verdict{"),
            ("exporter", "exporter_build_"),
        )
        if f"\ndserver_{name}" in text
    }
    assert found == has
    assert text.count("\ndserver_server_info{") == text.count("\ndserver_server_maintenance{") == 1


async def test_an_unknown_selection_is_refused_with_the_known_ones(start: Any) -> None:
    client = await start()
    status, text = await client.get("/metrics?collect[]=services,disks")
    assert status == 400
    assert text == "collect[] knows services, lamps, sensors, exporter; not 'disks'.\n"


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("GZIP ; Q=0.5", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("x-gzip", True),
        ("*", True),
        ("", False),
        ("identity", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
        ("*;q=1, gzip;q=0", False),
        ("*;q=0", False),
        ("gzip;q=x", False),
        ("gzip;q=nan", False),
        ("notgzip", False),
    ],
)
async def test_compression_follows_accept_encoding(start: Any, header: str, accepted: bool) -> None:
    assert accepts_gzip([header]) is accepted
    client = await start()
    options = {"headers": {"Accept-Encoding": header}, "auto_decompress": False}
    async with client.session.get(client.url("/metrics?collect[]=services"), **options) as response:
        body = await response.read()
        assert response.headers.get("Content-Encoding", "") == ("gzip" if accepted else "")
        assert response.headers["Vary"] == "Accept, Accept-Encoding"
    text = gzip.decompress(body) if accepted else body
    assert b"\ndserver_service_up{" in text


def test_several_accept_encoding_lines_count_as_one() -> None:
    assert accepts_gzip(["br", "gzip"])
    assert not accepts_gzip(["gzip", "gzip;q=0"])


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)


@pytest.mark.parametrize(
    ("accept", "openmetrics"),
    [
        ([PROMETHEUS], True),
        (PROMETHEUS.split(","), True),
        ([f"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;q=0.7,{PROMETHEUS}"], True),
        (["Application/OpenMetrics-Text"], True),
        (["application/openmetrics-text; version=1.0.0 ; q=0.1"], True),
        (['application/openmetrics-text;version="1.0.0"'], True),
        (["application/openmetrics-text,*/*"], True),
        (["application/openmetrics-text;q=0.3,text/plain;version=0.0.4;q=0.6"], False),
        (["application/openmetrics-text,text/plain"], False),
        (["application/openmetrics-text;version=1.0.0;q=0.1,application/openmetrics-text,text/plain;q=0.5"], False),
        (["application/openmetrics-text;version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"], False),
        (["application/openmetrics-text;version=2.0.0"], False),
        (["application/openmetrics-text;q=0"], False),
        (["application/openmetrics-text;version=1.0.0;q=0,*/*;q=1"], False),
        (["application/openmetrics-text;q=x"], False),
        (["application/openmetrics-text;q=nan"], False),
        (["application/openmetrics-text;q=9"], False),
        (["text/plain;version=1.0.0;q=0.9,application/openmetrics-text;q=0.2,text/plain;version=0.0.4;q=0.1"], True),
        (["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], False),
        (["application/json"], False),
        (["*/*"], False),
        ([""], False),
        ([], False),
    ],
)
def test_the_format_follows_accept_with_its_weights(accept: list[str], openmetrics: bool) -> None:
    assert prefers_openmetrics(accept) is openmetrics


def samples(families: Iterable[Metric]) -> set[tuple[str, frozenset[tuple[str, str]], float]]:
    """Return the samples whose value is the same from one scrape to the next."""
    return {
        (sample.name, frozenset(sample.labels.items()), sample.value)
        for family in families
        for sample in family.samples
        if not sample.name.startswith("process_") and "seconds" not in sample.name
    }


async def test_openmetrics_has_the_same_samples_as_the_text_format_and_one_end(start: Any) -> None:
    client = await start()
    async with client.session.get(client.url("/metrics"), headers={"Accept": PROMETHEUS}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
        told = await response.text()
    _, text = await client.get("/metrics")
    assert told.endswith("\n# EOF\n")
    assert told.count("# EOF") == 1
    assert "# EOF" not in text
    assert "# TYPE dserver_exporter_checks counter\n" in told
    assert "# TYPE dserver_exporter_checks_total counter\n" in text
    parsed = samples(text_string_to_openmetrics_families(told))
    assert parsed == samples(text_string_to_metric_families(text))
    assert ("dserver_exporter_ledger_errors_total", frozenset(), 0.0) in parsed


async def test_openmetrics_without_the_exporters_own_metrics_ends_too(start: Any) -> None:
    client = await start()
    _, told = await client.get("/metrics?collect[]=services", headers={"Accept": PROMETHEUS})
    assert told.endswith("\n# EOF\n")
    assert list(text_string_to_openmetrics_families(told))


SCRAPING = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - {{job_name: openmetrics, scrape_protocols: [OpenMetricsText1.0.0], static_configs: [{{targets: ["{target}"]}}]}}
  - {{job_name: text, scrape_protocols: [PrometheusText0.0.4], static_configs: [{{targets: ["{target}"]}}]}}
"""


async def test_a_real_prometheus_reads_the_same_from_both_formats(
    start: Any, monitor: Monitor, peer: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    formats: set[bool] = set()
    render = monitor.telemetry.render

    def noted(*, openmetrics: bool) -> bytes:
        formats.add(openmetrics)
        return render(openmetrics=openmetrics)

    monkeypatch.setattr(monitor.telemetry, "render", noted)
    client = await start()
    target = f"127.0.0.1:{client.web.port}"
    prometheus = Prometheus(peer("prometheus"), tmp_path / "prometheus", SCRAPING.format(target=target))
    await asyncio.to_thread(prometheus.start)

    async def series(job: str) -> set[tuple[tuple[str, str], ...]]:
        found = await asyncio.to_thread(prometheus.query, f'{{job="{job}",__name__=~"dserver_.+|process_.+"}}')
        return {tuple(sorted((each["metric"] | {"job": ""}).items())) for each in found}

    try:
        async with asyncio.timeout(20):
            while not (await series("openmetrics") and await series("text")):  # noqa: ASYNC110 - another program's state
                await asyncio.sleep(0.05)
        assert await series("openmetrics") == await series("text")
        up = await asyncio.to_thread(prometheus.query, 'dserver_service_up{job="openmetrics"}')
        assert [each["value"][1] for each in up] == ["1"]
        assert formats == {True, False}
    finally:
        await asyncio.to_thread(prometheus.stop)


class Endless:
    """An exposition whose pieces are counted as they are taken."""

    PIECE = b"# " + b"x" * (scrape.PIECE - 3) + b"\n"

    def __init__(self, pieces: int) -> None:
        self.pieces = pieces
        self.taken = 0

    def chunks(self, _selections: Collection[Selection]) -> Iterator[bytes]:
        while self.taken < self.pieces:
            self.taken += 1
            yield self.PIECE


async def test_a_large_text_is_compressed_outside_the_event_loop(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []
    real = zlib.compressobj

    class Packer:
        def __init__(self, level: int, wbits: int) -> None:
            self._packer = real(level=level, wbits=wbits)
            self.flush = self._packer.flush

        def compress(self, data: bytes) -> bytes:
            if len(data) > scrape.INLINE:
                threads.append(threading.current_thread())
            return self._packer.compress(data)

    monkeypatch.setattr("exporter.web.scrape.zlib.compressobj", Packer)
    endless = Endless(8)
    monkeypatch.setattr(monitor, "exposition", endless)
    client = await start()
    _, text = await client.get("/metrics?collect[]=services", headers={"Accept-Encoding": "gzip"})
    assert text.encode() == Endless.PIECE * 8
    assert len(threads) == 8
    assert threading.main_thread() not in threads


async def test_other_work_gets_its_turn_during_a_large_scrape(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Endless(40)
    monkeypatch.setattr(monitor, "exposition", endless)
    client = await start()
    seen: set[int] = set()
    scraping = asyncio.create_task(client.get("/metrics?collect[]=services", headers={"Accept-Encoding": "identity"}))
    while not scraping.done():
        seen.add(endless.taken)
        await asyncio.sleep(0)
    assert len(await scraping) == 2
    assert seen >= set(range(1, 40))  # we were asked between any two pieces


async def test_a_client_that_does_not_read_holds_little_and_is_dropped(
    start: Any, monitor: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = Endless(400)  # 100 MB
    monkeypatch.setattr(monitor, "exposition", endless)
    monkeypatch.setattr(scrape, "DEADLINE", 0.5)
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port, limit=1024)
    writer.transport.pause_reading()  # type: ignore[attr-defined] # of the transport of a socket
    writer.write(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
    server = client.web._runner.server
    async with asyncio.timeout(10):
        while not server.connections:  # noqa: ASYNC110 - aiohttp has no event for it
            await asyncio.sleep(0)
        transport = server.connections[0].transport
        while server.connections:
            assert transport.get_write_buffer_size() <= 2 * scrape.PIECE
            await asyncio.sleep(0.01)
    assert endless.taken < 100  # what the kernel's buffers took, and not more
    writer.transport.resume_reading()  # type: ignore[attr-defined] # likewise
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await reader.readexactly(400 * scrape.PIECE)
    writer.close()


async def test_a_head_request_has_headers_and_no_body(start: Any) -> None:
    client = await start()
    async with client.session.head(client.url("/metrics")) as response:
        assert response.status == 200
        assert await response.read() == b""
    assert (await client.get("/metrics"))[0] == 200


async def test_an_http_1_0_client_gets_everything_until_the_end_of_the_connection(start: Any) -> None:
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port)
    writer.write(b"GET /metrics?collect[]=exporter HTTP/1.0\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200")
    assert b"chunked" not in head.lower()
    assert body.startswith(b"# HELP dserver_server_info")
    assert b"dserver_exporter_ledger_errors_total 0.0\n" in body
    writer.close()


async def test_before_the_exporter_is_ready_the_metrics_that_exist_are_told(start: Any, monitor: Monitor) -> None:
    monitor.ready = False
    client = await start()
    status, text = await client.get("/metrics")
    assert status == 200
    assert "\ndserver_exporter_build_info{" in text


async def test_how_long_a_scrape_took_is_told_by_the_next_on_the_same_connection(start: Any) -> None:
    client = await start()
    name = "\ndserver_exporter_scrape_duration_seconds "
    durations = []
    for _ in range(2):
        _, text = await client.get("/metrics")
        durations.append(float(text.partition(name)[2].partition("\n")[0]))
    assert durations[0] == 0.0
    assert 0.0 < durations[1] < 5.0


async def test_promtool_finds_nothing_to_say_about_a_whole_scrape(start: Any, peer: Callable[[str], str]) -> None:
    client = await start()
    _, text = await client.get("/metrics")
    program = peer("promtool")
    done = await asyncio.to_thread(
        subprocess.run, [program, "check", "metrics"], input=text.encode(), capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
