"""The queries of the dashboards name only what exists: metrics, labels, recorded series."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry, ProcessCollector

from exporter.clock import SystemClock
from exporter.families import FAMILIES
from exporter.telemetry import Telemetry
from tests.dashboards.boards import NAMES, Target, load, panels, targets

ROOT = Path(__file__).parents[2]
TARGET = {"job", "instance"}
OF_PROMETHEUS = {
    "up": set[str](),
    "scrape_duration_seconds": set[str](),
    "scrape_samples_scraped": set[str](),
    "ALERTS": {"alertname", "alertstate", "severity", "notify"},
}
OF_ALERTS = {"customer_id", "server", "check", "protocol", "lamp", "incident"}
"""Labels of alerts (`tests.alert_rules`)."""


def _declared() -> dict[str, set[str]]:
    """Return the labels of every metric that there is, by its name, without those of the target."""
    metrics = {family.name: set(family.labels) for family in FAMILIES} | OF_PROMETHEUS
    telemetry = Telemetry(SystemClock())
    telemetry.tell_who_tells("ledger")
    own = CollectorRegistry()
    ProcessCollector(registry=own)
    for registry in (telemetry.registry, own):
        for family in registry.collect():
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            labels = {name for sample in family.samples for name in sample.labels}
            for suffix in suffixes:
                metrics[family.name + suffix] = set(labels)
    metrics["dserver_exporter_checks_total"] = {"protocol", "result"}
    metrics["dserver_notices_total"] = {"kind", "result"}
    return metrics | {name: set(re.split(":|_(?=protocol)", name)[:-2]) for name in _recorded()}


def _recorded() -> set[str]:
    rules = yaml.safe_load((ROOT / "alert_rules" / "recording.yml").read_text("utf-8"))["groups"]
    return {rule["record"] for group in rules for rule in group["rules"]}


DECLARED = _declared()
LABELS = {label for labels in DECLARED.values() for label in labels} | TARGET | OF_ALERTS
OWN = {"le"}
"""Labels that PromQL names itself."""

each_target = pytest.mark.parametrize("target", [target for name in NAMES for target in targets(name)], ids=str)


def _selectors(expr: str) -> Iterator[tuple[str, set[str]]]:
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expr)
    for name, matchers in re.findall(r"\b([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?", bare):
        if name in DECLARED or name.startswith(("dserver_", "process_", "scrape_")) or ":" in name:
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))


@each_target
def test_only_declared_metrics_and_their_labels_are_asked_for(target: Target) -> None:
    selectors = list(_selectors(target.expr))
    assert selectors, target.expr
    for name, labels in selectors:
        assert name in DECLARED, name
        assert labels <= DECLARED[name] | TARGET | (OF_ALERTS if name == "ALERTS" else set()), (name, labels)


@each_target
def test_only_labels_that_exist_are_grouped_and_joined_by(target: Target) -> None:
    for listed in re.findall(r"\b(?:by|on|group_left|without|ignoring)\s*\(([^()]*)\)", target.expr):
        assert set(re.findall(r"\w+", listed)) <= LABELS | OWN, listed


@each_target
def test_no_inventory_is_joined_by_a_series_that_can_be_there_twice(target: Target) -> None:
    joined = re.findall(r"group_left \([^)]*\) (?:\(?)(\w+)", target.expr)
    assert "dserver_server_info" not in joined


def test_every_recorded_series_is_used_by_a_dashboard() -> None:
    asked = " ".join(target.expr for name in NAMES for target in targets(name))
    assert {name for name in _recorded() if name not in asked} == set()


def test_recorded_series_are_named_level_metric_operations() -> None:
    for name in _recorded():
        level, metric, operation = name.split(":")
        assert level.replace("site_protocol", "").replace("instance", "").replace("protocol", "") == ""
        assert metric in {family.name for family in FAMILIES}
        assert operation in {"count", "sum", "min", "quantile95"}


def test_what_can_be_chosen_is_asked_of_declared_metrics_and_labels() -> None:
    for name in NAMES:
        for variable in load(name)["templating"]["list"]:
            if variable["type"] != "query":
                continue
            matched = re.fullmatch(r"label_values\((\w+)(?:\{(.*)\})?, (\w+)\)", variable["query"])
            assert matched, variable["query"]
            labels = DECLARED[matched[1]] | TARGET
            assert {matched[3], *re.findall(r"(\w+)=~?", matched[2] or "")} <= labels


def test_legends_and_columns_name_only_labels_that_exist() -> None:
    for name in NAMES:
        for panel in panels(load(name)):
            for target in panel["targets"]:
                used = set(re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat") or ""))
                assert used <= LABELS | OWN, panel["title"]
            if panel["type"] == "table":
                columns = {each["matcher"]["options"] for each in panel["fieldConfig"]["overrides"]}
                assert {column for column in columns if not column.startswith("Value")} <= LABELS, panel["title"]
