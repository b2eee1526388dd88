"""Which series a state has, and which it must not have."""

from dataclasses import replace

import pytest

from collectors.reading import EventLogReading, Hardware, Lamp, Quantity, SensorReading, Verdict
from collectors.registry import Options
from exporter.clock import Moment
from exporter.exposition import Exposition, Lines
from exporter.families import Selection
from exporter.inventory import Check, Server, Timing
from exporter.lamps import KnownLamp, SourceState
from exporter.outage import CheckState, restored
from exporter.rendering import calendar_lines, check_lines, inventory_lines, server_lamp_lines, source_lines

CHECK = Check("web01", "shop", "https", "192.0.2.10", "", Options(), Timing())
LABELS = '{check="shop",protocol="https",server="web01"}'
DOWN = CheckState(
    up=False,
    ever_up=True,
    down_since=1_800_000_000_500,
    confirmed=600_000,
    first_failed=Moment(0, 1_800_000_000_500),
    last_failed=Moment(600_000, 1_800_000_600_500),
    last_run=1_800_000_600_500,
    reason="refused",
    step="connect",
)


def text(lines: Lines) -> str:
    exposition = Exposition()
    exposition.publish(("test",), lines)
    published = b"".join(exposition.chunks(list(Selection))).decode()
    return "\n".join(line for line in published.splitlines() if not line.startswith("#"))


def test_a_check_that_is_up_has_no_outage_and_no_failure() -> None:
    up = CheckState(up=True, ever_up=True, last_run=1_800_000_000_250)
    assert text(check_lines(CHECK, up, 0.125, 1.9e9)).splitlines() == [
        f"dserver_service_up{LABELS} 1.0",
        f"dserver_service_outage_seconds{LABELS} 0.0",
        f"dserver_service_check_duration_seconds{LABELS} 0.125",
        f"dserver_service_check_last_run_timestamp_seconds{LABELS} 1.80000000025e+09",
        f"dserver_service_certificate_expiry_timestamp_seconds{LABELS} 1.9e+09",
    ]


def test_a_check_that_is_down_says_since_when_how_long_and_why() -> None:
    lines = text(check_lines(CHECK, DOWN, 0.5, None))
    assert f"dserver_service_up{LABELS} 0.0" in lines
    assert f"dserver_service_outage_seconds{LABELS} 600.0" in lines
    assert f"dserver_service_down_since_timestamp_seconds{LABELS} 1.8000000005e+09" in lines
    why = '{check="shop",protocol="https",reason="refused",server="web01",step="connect"}'
    assert f"dserver_service_failure_info{why} 1.0" in lines


def test_after_a_restart_a_void_attempt_takes_nothing_back_of_what_was_confirmed_before() -> None:
    void = replace(restored(DOWN), void=True, reason="auth", step="log-in")
    assert f"dserver_service_outage_seconds{LABELS} 600.0" in text(check_lines(CHECK, void, 0.5, None))


def test_after_a_restart_an_outage_keeps_its_down_since_and_has_no_length_until_it_was_tried() -> None:
    lines = text(check_lines(CHECK, restored(DOWN), None, None))
    assert "dserver_service_down_since_timestamp_seconds" in lines
    assert f"dserver_service_up{LABELS} 0.0" in lines
    assert "last_run_timestamp" in lines
    assert "outage_seconds" not in lines
    assert "duration" not in lines


def test_after_a_restart_a_check_that_was_up_has_no_series_until_it_was_tried() -> None:
    assert text(check_lines(CHECK, restored(CheckState(up=True, ever_up=True, last_run=5)), None, None)) == ""


def test_a_check_whose_first_attempt_was_void_has_a_failure_and_no_verdict() -> None:
    void = CheckState(last_run=1_800_000_000_000, reason="auth", step="log-in", void=True)
    lines = text(check_lines(CHECK, void, 0.1, None))
    assert 'reason="auth"' in lines
    assert "service_up" not in lines
    assert "outage_seconds" not in lines


def test_a_check_that_never_answered_is_down_without_an_outage() -> None:
    never = CheckState(up=False, last_run=1_800_000_000_000, reason="refused", step="connect")
    lines = text(check_lines(CHECK, never, 0.1, None))
    assert f"dserver_service_up{LABELS} 0.0" in lines
    assert f"dserver_service_outage_seconds{LABELS} 0.0" in lines
    assert "down_since" not in lines


def lamp(verdict: Verdict, component: str = 'Drive "1"') -> KnownLamp:
    return KnownLamp(Lamp.DRIVE, component, verdict, verdict, 1_800_000_000_000, "reading=00")


def test_a_lamp_source_publishes_lamps_sensors_logs_and_how_its_read_went() -> None:
    state = SourceState(
        lamps={'Drive "1"': lamp(Verdict.CRITICAL)},
        sensors=(SensorReading(Quantity.TEMPERATURE, "CPU 1", 42.5),),
        logs=(EventLogReading("SEL", 3, None),),
        hardware=Hardware("Example", "X1", "", "1.0"),
        last_run=1_800_000_000_000,
        last_success=1_800_000_000_000,
        duration=1.5,
    )
    lines = text(source_lines(("web01", "ipmi"), state)).splitlines()
    of_source = '{server="web01",source="ipmi"}'
    assert lines == [
        r'dserver_lamp_verdict{component="Drive \"1\"",lamp="drive",server="web01",source="ipmi"} 2.0',
        'dserver_hardware_info{firmware="1.0",manufacturer="Example",model="X1",serial="",server="web01",source="ipmi"}'
        " 1.0",
        f"dserver_lamp_check_success{of_source} 1.0",
        f"dserver_lamp_check_duration_seconds{of_source} 1.5",
        f"dserver_lamp_check_last_run_timestamp_seconds{of_source} 1.8e+09",
        f"dserver_lamp_check_last_success_timestamp_seconds{of_source} 1.8e+09",
        'dserver_event_log_entries{log="SEL",server="web01",source="ipmi"} 3.0',
        'dserver_temperature_celsius{sensor="CPU 1",server="web01",source="ipmi"} 42.5',
    ]


def test_a_source_that_was_never_read_successfully_says_zero_and_why() -> None:
    state = SourceState(last_run=1_800_000_000_000, reason="timeout", step="open session")
    lines = text(source_lines(("web01", "ipmi"), state))
    assert 'dserver_lamp_check_success{server="web01",source="ipmi"} 0.0' in lines
    assert 'dserver_lamp_check_last_success_timestamp_seconds{server="web01",source="ipmi"} 0.0' in lines
    assert 'dserver_lamp_check_failure_info{reason="timeout",server="web01",source="ipmi"} 1.0' in lines


def test_the_server_shows_the_worst_lamp_and_what_is_unknown_has_no_series() -> None:
    states = {("web01", "ipmi"): SourceState(lamps={"a": lamp(Verdict.WARNING)}, last_run=1, locate=True)}
    assert text(server_lamp_lines("web01", states)).splitlines() == [
        'dserver_server_lamp_verdict{server="web01"} 1.0',
        'dserver_lamp_abnormal_since_timestamp_seconds{server="web01"} 1.8e+09',
        'dserver_locate_lamp_on{server="web01"} 1.0',
    ]


def test_a_server_without_a_lamp_source_is_unknown() -> None:
    assert text(server_lamp_lines("web01", {})) == 'dserver_server_lamp_verdict{server="web01"} -1.0'


def test_the_inventory_is_published_without_contacts() -> None:
    server = Server("web01", "c0001", managed=True, address="192.0.2.10", os="rhel-8", site="ogaki", rack="A-03")
    assert text(inventory_lines(server, maintenance=True)).splitlines() == [
        'dserver_server_info{customer_id="c0001",managed="true",os="rhel-8",rack="A-03",server="web01",site="ogaki"}'
        " 1.0",
        'dserver_server_maintenance{server="web01"} 1.0',
    ]


def test_a_managed_servers_system_that_the_contract_names_has_its_dates() -> None:
    server = Server("web01", "c0001", managed=True, address="192.0.2.10", os="rhel-7")
    assert text(inventory_lines(server, maintenance=False)).splitlines()[2:] == [
        'dserver_os_end_of_life_timestamp_seconds{os="rhel-7",server="web01"} 1.7197596e+09',
        'dserver_os_contract_end_timestamp_seconds{os="rhel-7",server="web01"} 1.8065052e+09',
    ]


@pytest.mark.parametrize(("managed", "system"), [(False, "rhel-7"), (True, "rhel-9"), (True, "")])
def test_a_server_that_is_not_managed_or_whose_system_is_not_named_has_no_dates(managed: bool, system: str) -> None:
    server = Server("web01", "c0001", managed=managed, address="192.0.2.10", os=system)
    assert "dserver_os" not in text(inventory_lines(server, maintenance=False))


def test_business_hours_have_no_labels() -> None:
    assert text(calendar_lines(business_hours=True)) == "dserver_business_hours 1.0"
