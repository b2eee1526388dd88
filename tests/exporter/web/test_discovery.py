"""/sd/prometheus: the exporter's own jobs, and the inventory for other exporters."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from collectors.hardware.ipmi import IpmiOptions
from collectors.hardware.snmp.reader import SnmpOptions
from collectors.registry import Options
from collectors.services.http import HttpOptions, HttpsOptions
from collectors.services.ssh import SshOptions
from exporter.inventory import Check, Config, LampSourceEntry, Server, Timing
from exporter.monitor import Monitor
from exporter.web.discovery import JOBS
from tests.peers.prometheus import Prometheus

ROOT = Path(__file__).parents[3]


def check(name: str, options: Options, address: str = "192.0.2.10") -> Check:
    return Check("web01", name, name.partition("-")[0], address, "", options, Timing(), credential="secret-login")


SERVER = Server(
    "web01",
    "c0001",
    managed=True,
    address="192.0.2.10",
    site="大垣",
    rack="A-03",
    lamps=(
        LampSourceEntry("web01", "ipmi", "ipmi", IpmiOptions(address="192.0.2.110"), "secret-bmc"),
        LampSourceEntry("web01", "ipmi-2", "ipmi", IpmiOptions(address="2001:db8::110", port=6230), "secret-bmc"),
        LampSourceEntry("web01", "snmp", "snmp", SnmpOptions(address="192.0.2.111"), "secret-bmc"),
    ),
    checks=(
        check("ssh", SshOptions(port=2222)),
        check("ssh-six", SshOptions(), "2001:db8::10"),
        check("https", HttpsOptions()),
        check("https-shop", HttpsOptions(url="https://shop.example:8443/health")),
        check("http", HttpOptions(url="http://shop.example/", port=8080)),
        check("none", Options()),
    ),
)
BARE = Server("bare01", "c0001", managed=False, address="2001:db8::20")


@pytest.fixture
def inventory(monitor: Monitor) -> Config:
    monitor.config = replace(monitor.config, servers={server.name: server for server in (SERVER, BARE)})
    return monitor.config


def meta(**labels: str) -> dict[str, str]:
    return {f"__meta_dserver_{name}": value for name, value in labels.items()}


async def found(client: Any, query: str = "", **headers: str) -> dict[str, dict[str, str]]:
    async with client.session.get(client.url(f"/sd/prometheus{query}"), headers=headers) as response:
        assert response.status == 200
        assert response.content_type == "application/json"
        groups = json.loads(await response.text())
    return {f"{group['labels'].get('job', '')}{group['targets'][0]}": group["labels"] for group in groups}


async def test_servers_are_targets_with_what_the_inventory_says(start: Any, inventory: Config) -> None:
    assert await found(await start(), "?role=servers") == {
        "192.0.2.10": meta(server="web01", customer_id="c0001", site="大垣", rack="A-03", managed="true"),
        "2001:db8::20": meta(server="bare01", customer_id="c0001", managed="false"),
    }


async def test_lamp_sources_are_targets_where_they_are_read(start: Any, inventory: Config) -> None:
    assert await found(await start(), "?role=bmc") == {
        "192.0.2.110:623": meta(server="web01", source="ipmi", kind="ipmi"),
        "192.0.2.111:161": meta(server="web01", source="snmp", kind="snmp"),
        "[2001:db8::110]:6230": meta(server="web01", source="ipmi-2", kind="ipmi"),
    }


async def test_service_checks_are_targets_where_they_connect_to(start: Any, inventory: Config) -> None:
    assert await found(await start(), "?role=services") == {
        "192.0.2.10:2222": meta(server="web01", check="ssh", protocol="ssh"),
        "[2001:db8::10]:22": meta(server="web01", check="ssh-six", protocol="ssh"),
        "192.0.2.10:443": meta(server="web01", check="https", protocol="https"),
        "192.0.2.10:8443": meta(server="web01", check="https-shop", protocol="https"),
        "192.0.2.10:8080": meta(server="web01", check="http", protocol="http"),
    }


@pytest.mark.parametrize("role", ["", "?role=servers", "?role=bmc", "?role=services"])
async def test_no_contact_and_no_credential_is_told(start: Any, inventory: Config, role: str) -> None:
    client = await start()
    status, text = await client.get(f"/sd/prometheus{role}")
    assert status == 200
    for private in ("customer.example", "運用担当", "584", "secret-", "株式会社"):
        assert private not in json.dumps(json.loads(text), ensure_ascii=False)


async def test_an_inventory_without_members_is_an_empty_list(start: Any, monitor: Monitor) -> None:
    monitor.config = Config()
    client = await start()
    for role in ("servers", "bmc", "services"):
        assert await client.get(f"/sd/prometheus?role={role}") == (200, "[]\n")


async def test_an_unknown_role_is_refused_with_the_known_ones(start: Any) -> None:
    client = await start()
    status, text = await client.get("/sd/prometheus?role=disks")
    assert status == 400
    assert text == "role knows servers, bmc, services; not 'disks'. Without it: the exporter's own jobs.\n"


async def test_the_own_jobs_are_at_the_address_that_the_client_used(start: Any, monitor: Monitor) -> None:
    monitor.ready = False  # they do not depend on the configuration
    client = await start()
    services = {
        "job": "dserver-services",
        "__scrape_interval__": "15s",
        "__scrape_timeout__": "10s",
        "__param_collect[]": "services,exporter",
    }
    lamps = {
        "job": "dserver-lamps",
        "__scrape_interval__": "60s",
        "__scrape_timeout__": "30s",
        "__param_collect[]": "lamps,sensors",
    }
    for host in (f"127.0.0.1:{client.web.port}", "monitor.provider.example", "[2001:db8::1]:10623"):
        assert await found(client, Host=host) == {f"dserver-services{host}": services, f"dserver-lamps{host}": lamps}
    assert (await client.get("/sd/prometheus?role=servers"))[0] == 503


async def test_a_client_that_names_no_host_is_given_the_address_at_which_it_came_in(start: Any) -> None:
    client = await start()
    reader, writer = await asyncio.open_connection("127.0.0.1", client.web.port)
    writer.write(b"GET /sd/prometheus HTTP/1.0\r\n\r\n")
    _, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert {group["targets"][0] for group in json.loads(body)} == {f"127.0.0.1:{client.web.port}"}


async def test_with_tls_the_own_jobs_are_scraped_by_https(start: Any, certificates: Any) -> None:
    client = await start(web_config="tls_server_config: {cert_file: server.pem, key_file: server.key}\n")
    async with client.session.get(client.url("/sd/prometheus"), ssl=certificates.client_context()) as response:
        groups = json.loads(await response.text())
    assert [group["labels"]["__scheme__"] for group in groups] == ["https", "https"]


async def test_a_list_is_rendered_once_per_configuration_and_not_sent_to_who_has_it(
    start: Any, inventory: Config
) -> None:
    client = await start()
    url = client.url("/sd/prometheus?role=services")
    async with client.session.get(url) as response:
        tag = response.headers["ETag"]
    async with client.session.get(url, headers={"If-None-Match": tag}) as response:
        assert (response.status, await response.read()) == (304, b"")
    async with client.session.get(client.url("/sd/prometheus?role=bmc"), headers={"If-None-Match": tag}) as response:
        assert response.status == 200


async def test_a_large_list_leaves_the_event_loop_its_turns(start: Any, monitor: Monitor) -> None:
    checks = tuple(check(f"ssh-{number}", SshOptions(port=1000 + number)) for number in range(12))
    names = [f"web{number:05}" for number in range(3_000)]
    monitor.config = Config(servers={name: replace(SERVER, name=name, checks=checks) for name in names})
    client = await start()
    loop = asyncio.get_running_loop()
    asking = asyncio.create_task(client.get("/sd/prometheus?role=services"))
    turns, worst, last = 0, 0.0, loop.time()
    while not asking.done():
        await asyncio.sleep(0.001)
        turns, worst, last = turns + 1, max(worst, loop.time() - last), loop.time()
    status, text = await asking
    assert status == 200
    assert text.count("targets") == 36_000
    assert turns > 10
    assert worst < 0.25  # ours is a few milliseconds; the machine that runs this may be busy


def test_the_jobs_are_those_of_the_sample_configuration() -> None:
    written = yaml.safe_load((ROOT / "examples" / "prometheus.yml").read_text("utf-8"))
    whole = written["global"]
    assert [
        (
            job["job_name"],
            tuple(job["params"]["collect[]"]),
            job.get("scrape_interval", whole["scrape_interval"]),
            job.get("scrape_timeout", whole["scrape_timeout"]),
        )
        for job in written["scrape_configs"]
        if "params" in job  # Alertmanager has none
    ] == list(JOBS)


async def test_a_real_prometheus_discovers_the_exporter_and_scrapes_both_jobs(
    start: Any, peer: Callable[[str], str], tmp_path: Path
) -> None:
    client = await start()
    sample = yaml.safe_load((ROOT / "examples" / "prometheus-sd.yml").read_text("utf-8"))
    jobs = [job for job in sample["scrape_configs"] if job["job_name"] == "dserver"]
    jobs[0]["http_sd_configs"][0]["url"] = client.url("/sd/prometheus")
    jobs.append({"job_name": "other", "http_sd_configs": [{"url": client.url("/sd/prometheus?role=servers")}]})
    configuration = yaml.safe_dump({"scrape_configs": jobs})
    prometheus = Prometheus(peer("prometheus"), tmp_path / "prometheus", configuration)
    await asyncio.to_thread(prometheus.start)
    try:
        async with asyncio.timeout(20):
            active: list[Any] = []
            while len(active) < 3:
                await asyncio.sleep(0.05)
                active = (await asyncio.to_thread(prometheus.targets))["activeTargets"]
    finally:
        await asyncio.to_thread(prometheus.stop)
    ours = {each["labels"]["job"]: each for each in active if each["scrapePool"] == "dserver"}
    address = f"127.0.0.1:{client.web.port}"
    assert {job: (each["scrapeUrl"], each["scrapeInterval"], each["scrapeTimeout"]) for job, each in ours.items()} == {
        "dserver-services": (f"http://{address}/metrics?collect%5B%5D=services%2Cexporter", "15s", "10s"),
        "dserver-lamps": (f"http://{address}/metrics?collect%5B%5D=lamps%2Csensors", "60s", "30s"),
    }
    for each in ours.values():
        async with client.session.get(each["scrapeUrl"]) as response:
            assert response.status == 200
    other = next(each for each in active if each["scrapePool"] == "other")
    assert other["discoveredLabels"]["__meta_dserver_server"] == "web01"
