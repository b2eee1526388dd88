"""The alert rules under promtool, and the rules of the house for every alert.

Each YAML file beside this one is named for what it promises.
"""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.families import FAMILIES

ROOT = Path(__file__).parents[2]
RULE_FILES = sorted((ROOT / "alert_rules").glob("*.yml"))
PROMISES = sorted(Path(__file__).parent.glob("*.yml"))

IDENTITY = {
    "ServiceOutage": {"customer_id", "server", "check", "protocol"},
    "ServiceDown": {"customer_id", "server", "check", "protocol"},
    "CustomerNotTold": {"customer_id", "server", "check", "protocol"},
    "ServiceNeverUp": {"customer_id", "server", "check", "protocol"},
    "ServiceCheckVoid": {"customer_id", "server", "check", "protocol"},
    "ServiceCheckStale": {"instance"},
    "ServerLampAbnormal": {"customer_id", "server", "lamp"},
    "ServerLampUnreadable": {"customer_id", "server"},
    "EventLogNearlyFull": {"customer_id", "server"},
    "OSContractEndsSoon": {"customer_id", "server"},
    "OutageReportDue": {"customer_id", "server", "incident"},
    "OutageReportOverdue": {"customer_id", "server", "incident"},
    "VantageLost": {"instance"},
    "DserverExporterDown": {"instance"},
    "DserverConfigReloadFailed": {"instance"},
    "DserverCertificateExpiresSoon": {"instance"},
    "Watchdog": set(),
}
"""The labels of each alert beside alertname, severity and notify. Whatever else is to be said is an annotation."""

OF_SERVICES = {"DserverCertificateExpiresSoon": {"customer_id", "server", "check", "protocol"}}
"""What it is about can be a service, too: the labels of those in ``services.yml``."""

OWN_METRICS = {
    "dserver_exporter_vantage_up",
    "dserver_exporter_config_last_reload_successful",
    "dserver_exporter_notices_info",
    "dserver_exporter_web_certificate_expiry_timestamp_seconds",
}
"""Of those that the exporter tells about itself (`exporter.telemetry`)."""

OUTAGE = """\
max by (server, check, protocol, customer_id) (
    (last_over_time(dserver_service_outage_seconds[5m]) >= 600)
  * on (job, instance, server) group_left (customer_id)
    topk by (job, instance, server) (1, dserver_server_info or on (job, instance, server) last_over_time(dserver_server_info[5m]))
) unless on (server) (max by (server) (max_over_time(dserver_server_maintenance[10m])) == 1)
"""  # noqa: E501 - as long as in the rule


def _rules() -> list[dict[str, Any]]:
    groups = [group for file in RULE_FILES for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def _named(rule: dict[str, Any]) -> str:
    return f"{rule['alert']}-{rule['labels']['severity']}-{rule['labels']['notify']}"


RULES = _rules()
each_rule = pytest.mark.parametrize("rule", RULES, ids=_named)


def _promtool(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("file", RULE_FILES, ids=lambda file: file.stem)
def test_promtool_accepts_the_rules(peer: Callable[[str], str], file: Path) -> None:
    _promtool(peer("promtool"), "check", "rules", "--lint=all", "--lint-fatal", file)


@pytest.mark.parametrize("file", PROMISES, ids=lambda file: file.stem)
def test_the_rules_keep_the_promise(peer: Callable[[str], str], file: Path) -> None:
    _promtool(peer("promtool"), "test", "rules", file)


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus-sd.yml"])
def test_the_sample_prometheus_configurations_are_accepted(peer: Callable[[str], str], name: str) -> None:
    _promtool(peer("promtool"), "check", "config", "--lint=all", "--lint-fatal", ROOT / "examples" / name)


def test_the_alerts_are_the_ones_that_the_documentation_names() -> None:
    assert {rule["alert"] for rule in RULES} == set(IDENTITY)
    table = (ROOT / "docs" / "alerting.md").read_text("utf-8")
    assert {name for name in IDENTITY if f"| `{name}` |" not in table} == set()


@each_rule
def test_labels_are_closed_and_annotations_are_there(rule: dict[str, Any]) -> None:
    assert set(rule["labels"]) == {"severity", "notify"}
    assert rule["labels"]["severity"] in {"critical", "warning", "info"}
    assert rule["labels"]["notify"] in {"customer", "noc", "watchdog"}
    assert {"summary", "description", "runbook_url"} <= set(rule["annotations"])


@each_rule
def test_the_labels_of_an_alert_are_its_identity(rule: dict[str, Any]) -> None:
    kept = re.match(r"(?:max|min) by \(([^)]*)\)", rule["expr"])
    identity = set(kept[1].split(", ")) if kept else set()
    assert identity in (IDENTITY[rule["alert"]], OF_SERVICES.get(rule["alert"]))


@each_rule
def test_no_rule_keeps_time_of_its_own(rule: dict[str, Any]) -> None:
    assert not {"for", "keep_firing_for"} & set(rule)


@each_rule
def test_the_runbook_is_the_one_of_the_alert(rule: dict[str, Any]) -> None:
    name = rule["alert"]
    assert rule["annotations"]["runbook_url"].endswith(f"docs/runbooks{{{{ end }}}}/{name}.md")
    assert (ROOT / "docs" / "runbooks" / f"{name}.md").is_file()


@each_rule
def test_only_metrics_that_exist_are_used(rule: dict[str, Any]) -> None:
    declared = {family.name for family in FAMILIES} | OWN_METRICS
    used = set(re.findall(r"\bdserver_\w+", rule["expr"] + "".join(rule["annotations"].values())))
    assert used <= declared


@pytest.mark.parametrize("name", IDENTITY)
def test_every_alert_is_tested_firing_and_quiet(name: str) -> None:
    tests = [test for file in PROMISES for test in yaml.safe_load(file.read_text("utf-8"))["tests"]]
    asked = [case for test in tests for case in test.get("alert_rule_test", []) if case["alertname"] == name]
    assert any(case["exp_alerts"] for case in asked)
    assert name == "Watchdog" or any(not case["exp_alerts"] for case in asked)  # a watchdog is never quiet


def test_the_limit_of_the_outage_rule_can_be_found_and_replaced() -> None:
    [rule] = [rule for rule in RULES if rule["alert"] == "ServiceOutage"]
    assert rule["expr"] == OUTAGE
    assert (ROOT / "alert_rules" / "services.yml").read_text("utf-8").count(">= 600") == 1
