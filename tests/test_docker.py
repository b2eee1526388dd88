"""The image's recipe and the compose stack: what they name exists, nothing is root, and the peers accept their files.

The image itself is built where there is something to build it with; what is promised here can be read from the files.
"""

import re
import shutil
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import bcrypt
import pytest
import yaml

from exporter.alertmanager_config import alertmanager_config
from exporter.config import load
from exporter.demo import Demo
from exporter.demo.fleet import PLANS
from exporter.inventory import Config
from exporter.web import config as web_config

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
RECIPE = (DOCKER / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
OWN: dict[str, Any] = yaml.safe_load((DOCKER / "own.yaml").read_text("utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
LASTING = sorted(name for name, service in SERVICES.items() if service["restart"] != "no")
IN_THEIR_IMAGES = {"python3", "promtool", "amtool", "wget", "/mailpit"}
"""What health checks run: each is in its own image."""

each_service = pytest.mark.parametrize("name", sorted(SERVICES))


def mounts(service: dict[str, Any]) -> dict[str, str]:
    """Return what is mounted, by its place in the container."""
    found = {}
    for mount in service.get("volumes", ()):
        if isinstance(mount, str):
            source, target = mount.split(":")[:2]
            found[target] = source
        else:
            found[mount["target"]] = mount["source"]
    return found


# the image


def test_the_base_is_named_once_and_can_be_exchanged() -> None:
    assert re.findall(r"^FROM (\S+)", RECIPE, re.MULTILINE) == ["${BASE}", "${BASE}"]
    assert re.findall(r"^ARG BASE=(\S+)$", RECIPE, re.MULTILINE) == ["python:3.13-slim-bookworm"]


def test_the_image_runs_as_a_number_that_is_not_root_and_tells_its_health() -> None:
    assert re.findall(r"^USER (.*)$", RECIPE, re.MULTILINE) == ["10623:10623"]
    assert re.search(r'^HEALTHCHECK .* CMD \["python3", ', RECIPE, re.MULTILINE)
    assert {label for label in ("title", "description", "licenses", "version") if f"image.{label}=" in RECIPE} == {
        "title",
        "description",
        "licenses",
        "version",
    }


def test_every_package_has_a_hash_and_no_compiler_is_needed() -> None:
    assert "--require-hashes --no-deps --only-binary=:all:" in RECIPE
    downloads = re.findall(r"\bpip download\b", RECIPE)
    assert len(downloads) == 1
    assert RECIPE.count("--no-index") == 3, "everything else comes from what was downloaded then"


def test_what_is_copied_into_the_image_is_there_and_is_not_ignored() -> None:
    allowed = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source for line in re.findall(r"^COPY (?!--from)(.*) \S+$", RECIPE, re.MULTILINE) for source in line.split()
    ]
    assert set(copied) == set(allowed)
    assert [source for source in copied if not (ROOT / source).exists()] == []


@pytest.fixture
def served() -> Iterator[tuple[str, dict[str, Any]]]:
    """Answer one URL with a status; remember what was asked with."""
    seen: dict[str, Any] = {"status": 200}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen["authorization"] = self.headers.get("Authorization")
            self.send_response(seen["status"])
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/-/ready", seen
        server.shutdown()
        thread.join()


def health(url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(DOCKER / "healthcheck.py")]
    variables = {"DSERVER_HEALTH_URL": url, **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=False)


def test_the_health_check_is_green_when_the_exporter_is_ready_and_says_why_it_is_not(
    served: tuple[str, dict[str, Any]],
) -> None:
    url, seen = served
    assert health(url).returncode == 0
    assert seen["authorization"] is None
    seen["status"] = 503
    done = health(url)
    assert done.returncode == 1
    assert "503" in done.stderr
    assert "Traceback" not in health("http://127.0.0.1:9/").stderr


def test_the_health_check_logs_in_with_the_password_of_the_file(
    served: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    url, seen = served
    (tmp_path / "password").write_text("s3cret\n")
    done = health(url, DSERVER_HEALTH_USER="probe", DSERVER_HEALTH_PASSWORD_FILE=str(tmp_path / "password"))
    assert done.returncode == 0, done.stderr
    assert seen["authorization"] == "Basic " + b64encode(b"probe:s3cret").decode()


# the stack


@each_service
def test_nothing_has_more_rights_than_it_needs(name: str) -> None:
    service = SERVICES[name]
    user, _, _ = service["user"].partition(":")
    assert user.isdecimal()
    assert user != "0"
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert "cap_add" not in service


@each_service
def test_every_image_is_pinned_to_one_version(name: str) -> None:
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+", SERVICES[name]["image"])


@each_service
def test_every_page_is_on_the_loopback_only(name: str) -> None:
    for port in SERVICES[name].get("ports", ()):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


@each_service
def test_every_path_volume_and_network_exists(name: str) -> None:
    service = SERVICES[name]
    for source in mounts(service).values():
        if source.startswith("."):
            assert (DOCKER / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]
    assert set(service.get("networks", ())) <= set(COMPOSE["networks"])
    for other, how in service.get("depends_on", {}).items():
        lasting = other in LASTING
        assert how["condition"] == ("service_healthy" if lasting else "service_completed_successfully")


@pytest.mark.parametrize("name", LASTING)
def test_every_service_that_lasts_has_a_health_check(name: str) -> None:
    kind, program, *_ = SERVICES[name]["healthcheck"]["test"]
    assert kind == "CMD"
    assert program in IN_THEIR_IMAGES


@pytest.mark.parametrize("name", ["exporter", "alertmanager-config", "prometheus", "alertmanager"])
def test_nothing_of_the_demo_is_left_where_ones_own_servers_are_watched(name: str) -> None:
    merged = mounts(SERVICES[name]) | mounts(OWN["services"][name])
    assert not [source for source in merged.values() if source.startswith("./demo")]
    assert "demo" not in OWN["services"][name].get("command", ())
    assert set(OWN["services"]) <= set(SERVICES)


def test_the_shipped_timing_is_the_stacks() -> None:
    sample = yaml.safe_load((ROOT / "examples" / "prometheus.yml").read_text("utf-8"))
    stack = yaml.safe_load((DOCKER / "prometheus.yml").read_text("utf-8"))
    assert stack["global"] == sample["global"]
    own = {"static_configs", "basic_auth"}
    jobs = {job["job_name"]: {key: job[key] for key in job.keys() - own} for job in stack["scrape_configs"]}
    for job in sample["scrape_configs"]:
        assert jobs[job["job_name"]] == {key: job[key] for key in job.keys() - own}
    assert stack["alerting"]["alert_relabel_configs"] == sample["alerting"]["alert_relabel_configs"]
    assert "--data.maintenance-interval=1s" in SERVICES["alertmanager"]["command"]


def test_promtool_accepts_prometheus_configuration_as_the_container_sees_it(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    for target, source in mounts(SERVICES["prometheus"]).items():
        if target.startswith("/etc/prometheus/"):
            place = tmp_path / target.removeprefix("/etc/prometheus/")
            (shutil.copytree if (DOCKER / source).is_dir() else shutil.copy)(DOCKER / source, place)
    command = [peer("promtool"), "check", "config", "--lint=all", "--lint-fatal", str(tmp_path / "prometheus.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "rules found" in done.stdout


@pytest.fixture
async def demo(tmp_path: Path) -> Config:
    """Return the configuration of the stack's demo, with the fleet's servers as a running one writes them."""
    shutil.copytree(DOCKER / "demo", tmp_path / "etc")
    file = tmp_path / "etc" / "dserver.yml"
    text = file.read_text("utf-8")
    assert "include: [/tmp/fleet/servers.yml]" in text
    assert "--fleet.path=/tmp/fleet" in SERVICES["exporter"]["command"]
    file.write_text(text.replace("/tmp/fleet", str(tmp_path / "fleet")), "utf-8")
    for secret in file.parent.glob("secrets/*/*"):
        secret.chmod(0o600)
    async with Demo(folder=tmp_path / "fleet", config_file=file) as running:
        assert running.config_file == file
        config, warnings = load(file)
        assert warnings == ()
    assert (tmp_path / "fleet" / "servers.yml").exists(), "it is yours: the demo does not delete it"
    return config


def test_the_demo_of_the_stack_watches_the_fleet_with_the_shipped_ten_minutes(demo: Config) -> None:
    assert set(demo.servers) == {plan.name for plan in PLANS}
    assert demo.settings.timing.outage_notice_after == 600_000
    assert demo.settings.notices == "ledger"
    assert demo.mail is not None
    assert (demo.mail.host, demo.mail.port) == ("mail", 1025), "mails go into the sink and nowhere else"
    addresses = [contact.email for customer in demo.customers.values() for contact in customer.contacts]
    assert all(address.endswith(".example") for address in addresses)


def test_amtool_accepts_what_is_printed_for_the_demo(peer: Callable[[str], str], demo: Config, tmp_path: Path) -> None:
    text = alertmanager_config(demo)
    (tmp_path / "alertmanager.yml").write_text(text, "utf-8")
    command = [peer("amtool"), "check-config", str(tmp_path / "alertmanager.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "url: http://exporter:10623/api/v1/alertmanager" in text
    where = str(tmp_path / "etc")
    [secret] = re.findall(r"credentials_file: (.*)", text)
    assert str(Path(secret.replace(where, "/etc/dserver")).parent) in mounts(SERVICES["alertmanager"])


def test_the_passwords_of_the_demo_are_those_that_are_told() -> None:
    users = web_config.load(DOCKER / "demo" / "web.yml").users
    assert set(users) == {"noc", "prometheus"}
    assert bcrypt.checkpw(b"demo", users["noc"])
    password = (DOCKER / "demo" / "secrets" / "prometheus" / "password").read_bytes().strip()
    assert bcrypt.checkpw(password, users["prometheus"])
    for readme in ("README.md", "README.ja.md"):
        text = (ROOT / readme).read_text("utf-8")
        assert "`noc`" in text
        assert "`demo`" in text
        pages = {int(port) for port in re.findall(r"\[:(\d+)\]", text)}
        ports = {int(port.split(":")[1]) for service in SERVICES.values() for port in service.get("ports", ())}
        assert pages == ports


# Grafana


def provisioned(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(
        (DOCKER / "grafana" / "provisioning" / name / "dserver.yml").read_text("utf-8")
    )
    assert document["apiVersion"] == 1
    return document


def test_the_data_sources_have_the_uids_that_dashboards_name_and_reach_the_stack() -> None:
    sources = {source["uid"]: source for source in provisioned("datasources")["datasources"]}
    assert {uid: source["type"] for uid, source in sources.items()} == {
        "prometheus": "prometheus",
        "alertmanager": "alertmanager",
    }
    for source in sources.values():
        host, port = source["url"].removeprefix("http://").split(":")
        assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]
        assert set(SERVICES[host]["networks"]) & set(SERVICES["grafana"]["networks"])
    assert sources["prometheus"]["jsonData"]["alertmanagerUid"] == "alertmanager"


def test_dashboards_of_both_languages_come_from_folders_that_are_there() -> None:
    providers = provisioned("dashboards")["providers"]
    places = mounts(SERVICES["grafana"])
    sources = {provider["folderUid"]: places[provider["options"]["path"]] for provider in providers}
    assert sources == {"dserver-ja": "../dashboards/ja", "dserver-en": "../dashboards/en"}
    assert all((DOCKER / source).is_dir() for source in sources.values())
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert str(home.parent) in places
