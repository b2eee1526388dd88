"""Every query of every panel, asked of a real Prometheus at four moments of the demo fleet's story."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.dashboards.boards import NAMES, Target, targets
from tests.dashboards.conftest import WINDOW, Told

MOMENTS = ("healthy", "amber", "outage", "recovered")

OUTAGE = {"outage"}
NEVER: set[str] = set()
ONLY_AT: dict[str, set[str]] = {
    # NOC wall, incidents, customer
    "The worst outages: level, next step, customer, server, check, and for how long": OUTAGE,
    "The worst outages: level, next step, customer, server, check, and for how long C": NEVER,  # all are managed
    "Open outages, worst first": OUTAGE,
    "Lamps that are not normal": {"amber", "outage"},
    "Reports that are owed, most urgent first": {"recovered"},
    "Open incidents": {"outage", "recovered"},  # the reboot that was asked for stays
    "Open incidents over time": {"outage", "recovered"},
    "Open incidents of the customer": OUTAGE,
    "Mails of the last 24 hours": NEVER,  # the demo mails nothing
    "From the tenth minute to the mail": NEVER,
    # check
    "Down since": OUTAGE,
    "Customer told at": OUTAGE,
    "Reasons of failures": OUTAGE,
    # exporter
    "Checks that tell nothing: our side": NEVER,
    "Lamp sources that cannot be read": OUTAGE,
    # server: shop01's hardware has no such sensor, and the contract does not name its system
    "Fans, share of their maximum": NEVER,
    "Currents": NEVER,
    "Contract ends in": NEVER,
    "Operating system and contract": NEVER,
}
"""The panels that have nothing to show at some moment, and the moments at which they have; all others always have."""

UNAFFECTED = {"customer": {"Lamps that are not normal"}, "server": set[str](), "check": set[str]()}
"""What stays empty where one customer or server is chosen: its lamps stay normal."""


def _last(series: dict[str, Any]) -> float:
    return float(series["value"][1] if "value" in series else series["values"][-1][1])


NOTHING = "vector(-9) unless on ()"
"""How a panel of states says in words that it has nothing to show."""


def _expected(target: Target) -> set[str]:
    if target.title in UNAFFECTED.get(target.board, set()):
        return NEVER
    return ONLY_AT.get(f"{target.title} {target.ref}", ONLY_AT.get(target.title, set(MOMENTS)))


ALL = [target for name in NAMES for target in targets(name)]
each_target = pytest.mark.parametrize(
    "target", [target for target in ALL if not target.expr.startswith(NOTHING)], ids=str
)
each_of_states = pytest.mark.parametrize(
    "target", [target for target in ALL if target.panel["type"] in {"state-timeline", "status-history"}], ids=str
)


@each_of_states
def test_a_panel_of_states_says_in_words_that_there_is_nothing(told: Told, target: Target) -> None:
    shown, nothing = [each for each in targets(target.board) if each.title == target.title]
    for moment in MOMENTS:
        times = [
            {time for series in told.ask(each, moment) for time, _ in series["values"]} for each in (shown, nothing)
        ]
        assert not times[0] & times[1]
        assert len(times[0] | times[1]) == WINDOW // 60 + 1


@each_target
def test_it_has_data_when_there_is_something_to_tell_and_only_then(told: Told, target: Target) -> None:
    assert {moment for moment in MOMENTS if told.ask(target, moment)} == _expected(target)


@each_target
def test_every_value_has_a_word_where_values_have_words(told: Told, target: Target) -> None:
    field = f"Value #{target.ref}" if len(target.panel["targets"]) > 1 else "Value"
    options = dict(target.panel["fieldConfig"]["defaults"])
    for override in target.panel["fieldConfig"]["overrides"]:
        if override["matcher"]["options"].partition(" (")[0] == field:
            options |= {each["id"]: each["value"] for each in override["properties"]}
    if len(options.get("mappings", [])) < 2:
        return  # no words, or one for none at all
    for moment in MOMENTS:
        for series in told.ask(target, moment):
            assert _mapped(_last(series), options["mappings"]), (moment, series)


def _mapped(value: float, mappings: list[dict[str, Any]]) -> bool:
    return any(
        mapping["options"]["from"] <= value <= mapping["options"]["to"]
        if mapping["type"] == "range"
        else f"{value:g}" in mapping["options"]
        for mapping in mappings
    )


@each_target
def test_every_label_of_a_legend_is_there(told: Told, target: Target) -> None:
    [asked] = [each for each in target.panel["targets"] if each["refId"] == target.ref]
    wanted = set(re.findall(r"\{\{(\w+)\}\}", asked.get("legendFormat") or ""))
    for moment in MOMENTS:
        for series in told.ask(target, moment):
            assert wanted <= set(series["metric"]), series


def _rows(told: Told, board: str, title: str, ref: str, moment: str) -> dict[tuple[str, str], dict[str, Any]]:
    [target] = [each for each in targets(board) if (each.title, each.ref) == (title, ref)]
    return {
        (series["metric"]["server"], series["metric"].get("check") or series["metric"].get("component", "")): series
        for series in told.ask(target, moment)
    }


def test_the_outages_are_on_the_wall_with_customer_since_level_step_and_reason(told: Told) -> None:
    def column(ref: str) -> dict[tuple[str, str], float]:
        rows = _rows(told, "noc", "Open outages, worst first", ref, "outage")
        return {key: _last(series) for key, series in rows.items()}

    dark, shop = {("mail01", "ssh"), ("mail01", "http")}, ("shop01", "https")
    rows = _rows(told, "noc", "Open outages, worst first", "A", "outage")
    assert set(rows) == {*dark, shop}
    for series in rows.values():
        assert (series["metric"]["customer_id"], series["metric"]["site"]) == ("c0002", "ogaki-demo")
        assert (series["metric"]["reason"], series["metric"]["step"]) == ("refused", "connect")
    assert 1380 < column("A")[shop] < 1400
    assert column("B")[shop] / 1000 == pytest.approx(told.when.outage - column("A")[shop], abs=0.01)
    assert column("C") == {shop: 1, **dict.fromkeys(dark, 2)}
    assert column("D") == {shop: 1, **dict.fromkeys(dark, 2)}
    assert column("E")[shop] / 1000 == pytest.approx(told.when.begin + 52 * 60 + 7, abs=2)
    assert {column("E")[key] for key in dark} == {0}


def test_all_columns_of_the_outages_have_the_same_rows_so_that_grafana_can_merge_them(told: Told) -> None:
    rows = [_rows(told, "noc", "Open outages, worst first", ref, "outage") for ref in "ABCDE"]
    identities = [
        {
            tuple(series["metric"][name] for name in ("server", "check", "protocol", "customer_id", "site"))
            for series in row
        }
        for row in (each.values() for each in rows)
    ]
    assert all(identity == identities[0] for identity in identities)


def test_the_worst_outage_comes_first_in_the_tiles(told: Told) -> None:
    tiles = [target for target in targets("noc") if target.title.startswith("The worst outages")]
    shown = [[series["metric"]["server"] for series in told.ask(target, "outage")] for target in tiles]
    assert shown == [["mail01", "mail01"], ["shop01"], []]  # of level 2, then of level 1, longer


def test_outages_without_the_managed_contract_come_last_and_say_so(told: Told) -> None:
    tiles = [target for target in targets("noc") if target.title.startswith("The worst outages")]
    assert all('managed="false"' in target.expr for target in tiles)
    exchanged = [replace(target, expr=target.expr.replace('managed="false"', 'managed="true"')) for target in tiles]
    shown = [[series["metric"]["server"] for series in told.ask(target, "outage")] for target in exchanged]
    assert shown == [[], [], ["shop01", "mail01", "mail01"]]  # the longest first


def test_amber_lamps_are_listed_and_counted_by_every_source(told: Told) -> None:
    amber = _rows(told, "noc", "Lamps that are not normal", "A", "amber")
    assert {server for server, _ in amber} == {"db01", "web02", "app01"}
    assert {_last(series) for series in amber.values()} == {1}
    assert {series["metric"]["source"] for series in amber.values()} == {"ipmi", "snmp", "redfish"}


def test_a_critical_lamp_and_an_unreadable_controller_are_listed(told: Told) -> None:
    rows = _rows(told, "noc", "Lamps that are not normal", "A", "outage")
    assert _last(rows["db01", "Drive 2"]) == 2
    assert _last(rows["file01", ""]) == -1
    assert rows["file01", ""]["metric"]["reason"] == "timeout"


def test_servers_are_counted_by_their_lamps(told: Told) -> None:
    def counts(moment: str) -> list[float]:
        asked = [target for target in targets("noc") if target.title == "Servers by their lamps"]
        return [sum(_last(series) for series in told.ask(target, moment)) for target in asked]

    # critical, warning, unknown, normal
    assert counts("healthy") == [0, 0, 0, 12]
    assert counts("amber") == [0, 3, 0, 9]
    assert counts("outage") == [1, 2, 1, 8]
    assert counts("recovered") == [0, 0, 0, 12]


def test_after_the_recovery_reports_are_owed_by_the_next_business_day(told: Told) -> None:
    [target] = [
        each for each in targets("noc") if (each.title, each.ref) == ("Reports that are owed, most urgent first", "A")
    ]
    rows = told.ask(target, "recovered")
    assert {series["metric"]["server"] for series in rows} == {"shop01", "mail01", "db01"}
    assert {round(_last(series), 1) for series in rows} == {29.7}


def test_alerts_are_listed_with_their_severity(told: Told) -> None:
    [target] = [each for each in targets("noc") if each.title == "Alerts, with what to do"]
    firing = {(s["metric"]["alertname"], s["metric"].get("server")): _last(s) for s in told.ask(target, "outage")}
    assert firing["ServiceDown", "shop01"] == firing["ServiceOutage", "mail01"] == 3
    assert firing["ServerLampAbnormal", "db01"] == 3
    assert firing["ServerLampAbnormal", "web02"] == 2
    assert ("Watchdog", None) not in firing


def test_maintenance_and_business_hours_are_seen(told: Told) -> None:
    assert (
        told.prometheus.query('max(dserver_server_maintenance{server="spare01"})', told.when.outage)[0]["value"][1]
        == "1"
    )
    assert told.prometheus.query("max(dserver_business_hours)", told.when.outage)[0]["value"][1] == "1"


@pytest.mark.parametrize("server", ["app01", "web02", "file01", "spare01", "lab01"])
def test_the_server_dashboard_can_be_asked_of_every_kind_of_server(told: Told, server: str) -> None:
    answered = {target.title for target in targets("server", server=server) if told.ask(target, "healthy")}
    assert {"Inventory", "Hardware", "Lamps now", "Temperatures", "How the lamps were read"} <= answered
    assert ("Checks now" in answered) == (server not in {"spare01", "lab01"})


@pytest.mark.parametrize(
    "chosen", [{"site": "gifu-demo"}, {"customer": "c0001"}, {"server": "web01"}, {"protocol": "ssh"}]
)
def test_what_is_not_chosen_is_not_shown(told: Told, chosen: dict[str, str]) -> None:
    [target] = [
        each for each in targets("noc", **chosen) if (each.title, each.ref) == ("Open outages, worst first", "A")
    ]
    shown = {(series["metric"]["server"], series["metric"]["check"]) for series in told.ask(target, "outage")}
    assert shown == ({("mail01", "ssh")} if "protocol" in chosen else set())
