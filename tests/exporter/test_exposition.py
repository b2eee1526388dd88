"""The exposition says what prometheus_client would say, byte for byte, and each family where it was promised."""

import math
import subprocess
from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.registry import Collector

from exporter.exposition import OPENMETRICS_END, OWNERS_PER_CHUNK, Exposition, Lines, label_text, text_of
from exporter.families import FAMILIES, SERVICE_OUTAGE, SERVICE_UP, Family, Selection

Sample = tuple[Family, tuple[str, ...], float]

# no surrogates: they have no UTF-8
LABEL_VALUES = st.one_of(
    st.sampled_from(
        ["", '"', "\\", "\n", '\\"\n\\n', "\r\t\0", "サーバ", "\U0001f4a1", "\u202eevil", 'a"} 1\n# HELP x']
    ),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
VALUES = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e21, 1e-7, 5e-324, 1.7976931348623157e308]),
    st.sampled_from([1.8e9, 1_800_000_000.25, 123456.0, 1234567.0, 0.1 + 0.2, 999999.9]),
    st.floats(),
    st.integers(-(2**53), 2**53).map(float),
)


@st.composite
def samples(draw: st.DrawFn) -> Sample:
    family = draw(st.sampled_from(FAMILIES))
    return family, tuple(draw(LABEL_VALUES) for _ in family.labels), draw(VALUES)


class Oracle(Collector):
    """Gives the same samples to prometheus_client, in the same order."""

    def __init__(self, owners: Sequence[Sequence[Sample]]) -> None:
        self._samples = [sample for owner in owners for sample in owner]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for family in FAMILIES:
            metric = GaugeMetricFamily(family.name, family.help, labels=family.labels)
            for wanted, values, value in self._samples:
                if wanted is family:
                    metric.add_metric(values, value)
            yield metric


def lines(owner: Sequence[Sample]) -> Lines:
    made = Lines()
    for family, values, value in owner:
        made.add(family, label_text(family.labels, values), value)
    return made


@given(st.lists(st.lists(samples(), max_size=6), max_size=6))
def test_both_formats_equal_those_of_prometheus_client_byte_for_byte(owners: list[list[Sample]]) -> None:
    exposition = Exposition()
    for number, owner in enumerate(owners):
        exposition.publish(("owner", str(number)), lines(owner))
    registry = CollectorRegistry()
    registry.register(Oracle(owners))
    text = b"".join(exposition.chunks(list(Selection)))
    assert text == generate_latest(registry)
    assert text + OPENMETRICS_END == generate_openmetrics(registry)


def test_a_lone_surrogate_costs_one_character_and_no_line() -> None:
    family = SERVICE_UP
    exposition = Exposition()
    exposition.publish(("a",), lines([(family, ("web\ud800", "https", "https"), 1.0)]))
    assert b'server="web?"} 1.0\n' in b"".join(exposition.chunks(list(Selection)))


def test_a_fleet_larger_than_a_chunk_is_said_in_full_and_in_order() -> None:
    family = SERVICE_UP
    owners = [[(family, (f"web{number}", "https", "https"), 1.0)] for number in range(2 * OWNERS_PER_CHUNK + 1)]
    exposition = Exposition()
    for number, owner in enumerate(owners):
        exposition.publish((str(number),), lines(owner))
    registry = CollectorRegistry()
    registry.register(Oracle(owners))
    assert b"".join(exposition.chunks(list(Selection))) == generate_latest(registry)


def test_what_an_owner_publishes_replaces_what_it_published_and_can_be_withdrawn() -> None:
    up, outage = SERVICE_UP, SERVICE_OUTAGE
    labels = ("web01", "https", "https")
    exposition = Exposition()
    exposition.publish(("a",), lines([(up, labels, 0.0), (outage, labels, 60.0)]))
    exposition.publish(("a",), lines([(up, labels, 1.0)]))
    text = b"".join(exposition.chunks(list(Selection)))
    assert text.count(b"\ndserver_service_up{") == 1
    assert b'protocol="https",server="web01"} 1.0\n' in text
    assert b"\ndserver_service_outage_seconds{" not in text
    exposition.withdraw(("a",))
    assert b"{" not in b"".join(exposition.chunks(list(Selection)))


def test_a_scrape_that_pauses_still_gives_the_moment_at_which_it_began() -> None:
    up = SERVICE_UP
    exposition = Exposition()
    exposition.publish(("a",), lines([(up, ("web01", "https", "https"), 1.0)]))
    chunks = exposition.chunks([Selection.SERVICES])
    first = next(chunks)
    exposition.withdraw(("a",))
    exposition.publish(("b",), lines([(up, ("web02", "https", "https"), 0.0)]))
    text = first + b"".join(chunks)
    assert b'server="web01"' in text
    assert b'server="web02"' not in text


def test_the_text_of_some_owners_has_their_families_once_and_no_others() -> None:
    up = SERVICE_UP
    text = text_of(lines([(up, (name, "https", "https"), 1.0)]) for name in ("web01", "web02")).decode()
    assert [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")] == ["dserver_service_up"]
    assert text.count("\ndserver_service_up{") == 2


SERVICES = """dserver_business_hours dserver_response_level dserver_incident_open
    dserver_incident_report_due_timestamp_seconds
    dserver_outage_notified_timestamp_seconds dserver_service_up dserver_service_outage_seconds
    dserver_service_down_since_timestamp_seconds
    dserver_service_failure_info dserver_service_check_duration_seconds dserver_service_check_last_run_timestamp_seconds
    dserver_service_certificate_expiry_timestamp_seconds"""
LAMPS = """dserver_os_end_of_life_timestamp_seconds dserver_os_contract_end_timestamp_seconds
    dserver_server_lamp_verdict dserver_lamp_verdict dserver_lamp_abnormal_since_timestamp_seconds
    dserver_locate_lamp_on dserver_power_on dserver_hardware_info dserver_lamp_check_success
    dserver_lamp_check_failure_info dserver_lamp_check_duration_seconds dserver_lamp_check_last_run_timestamp_seconds
    dserver_lamp_check_last_success_timestamp_seconds dserver_event_log_entries dserver_event_log_used_ratio"""
SENSORS = """dserver_temperature_celsius dserver_fan_speed_rpm dserver_fan_speed_ratio dserver_voltage_volts
    dserver_current_amperes dserver_power_watts"""


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (Selection.SERVICES, SERVICES),
        (Selection.LAMPS, LAMPS),
        (Selection.SENSORS, SENSORS),
        (Selection.EXPORTER, ""),
    ],
)
def test_every_family_is_in_its_selection_and_what_names_the_servers_is_in_all(
    selection: Selection, names: str
) -> None:
    text = b"".join(Exposition().chunks([selection])).decode()
    shown = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert sorted(shown) == sorted(["dserver_server_info", "dserver_server_maintenance", *names.split()])


def test_several_selections_give_each_family_once() -> None:
    text = b"".join(Exposition().chunks(list(Selection))).decode()
    shown = [line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")]
    assert shown == [family.name for family in FAMILIES]


HOURS = b'dserver_business_hours use base unit "seconds" instead of "hours"\n'
"""What promtool takes for a unit, and is none."""


def test_promtool_finds_nothing_to_say_about_the_families(peer: Callable[[str], str]) -> None:
    owner: list[Sample] = []
    for family in FAMILIES:
        owner.append((family, tuple(f"{name} サーバ" for name in family.labels), 1.0))
        if family.labels:
            owner.append((family, tuple('"\\\n' for _ in family.labels), 1e9))
    exposition = Exposition()
    exposition.publish(("a",), lines(owner))
    text = b"".join(exposition.chunks(list(Selection)))
    done = subprocess.run([peer("promtool"), "check", "metrics"], input=text, capture_output=True, check=False)
    assert (done.stdout, done.stderr) == (b"", HOURS)
