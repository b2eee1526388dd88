"""One server: lamps, sensors, checks, event log, certificates, the end of its contract."""

from dashboards.generate import queries as q
from dashboards.generate import states, variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    GOOD,
    WARN,
    Board,
    Column,
    Query,
    Row,
    State,
    number,
    some,
    state_timeline,
    table_of,
    time_series,
)

_OF = '{server="$server"}'


def _one(metric: str) -> str:
    return f"max({metric}{_OF})"


def _sensor(metric: str) -> Query:
    return Query(f"max by (source, sensor) ({metric}{_OF})", "{{sensor}} ({{source}})")


def _by_source(metric: str) -> str:
    return f"max by (server, source) ({metric}{_OF})"


_CHECK = "max by (server, check, protocol) "
_UP = f"{_CHECK}(dserver_service_up{_OF})"

BOARD = Board(
    "server",
    "Server",
    "Everything about one server: lamps with their evidence, sensors, checks, event log, certificates, contract.",
    (variables.SITE, variables.CUSTOMER, variables.ONE_SERVER),
    (
        Row(
            4,
            (
                number(
                    "Lamps",
                    "The worst of the server's lamps.",
                    _one("dserver_server_lamp_verdict"),
                    width=4,
                    states=states.VERDICT,
                    none="no lamp source",
                ),
                number(
                    "Open outages",
                    "Checks of the server that have failed since their last success.",
                    q.total(f"max by (check) (dserver_service_down_since_timestamp_seconds{_OF})"),
                    width=4,
                    states=some(BAD),
                ),
                number(
                    "Response level",
                    "What the contract asks for: 1 log in and restart the service, 2 reboot the "
                    "platform, since nobody can log in.",
                    _one("dserver_response_level"),
                    width=4,
                    states=states.LEVEL,
                ),
                number(
                    "Power",
                    "Whether the server is powered on.",
                    _one("dserver_power_on"),
                    width=3,
                    states=states.POWER,
                    none="not known",
                ),
                number(
                    "Locate lamp",
                    "Whether the locate (identify, UID) lamp is lit. It is never a fault.",
                    _one("dserver_locate_lamp_on"),
                    width=3,
                    states=states.LOCATE,
                    none="not known",
                ),
                number(
                    "Maintenance",
                    "Whether the server is in a maintenance window: the customer is not told of outages.",
                    _one("dserver_server_maintenance"),
                    width=3,
                    states=states.MAINTENANCE,
                ),
                number(
                    "Contract ends in",
                    "Days until the contract ends with the operating system; managed servers whose "
                    "system the contract names.",
                    f"({_one('dserver_os_contract_end_timestamp_seconds')} - time()) / 86400",
                    width=3,
                    states=states.DAYS_LEFT,
                    unit=shared.DAYS,
                    decimals=0,
                    none="no end is named",
                ),
            ),
        ),
        Row(
            5,
            (
                table_of(
                    "Inventory",
                    "What the inventory says of the server.",
                    f"max by (customer_id, site, rack, os, managed) (dserver_server_info{_OF})",
                    (
                        shared.CUSTOMER,
                        shared.SITE,
                        Column("rack", "Rack", 100),
                        Column("os", "Operating system", 160),
                        Column("managed", "Managed", 150, states=states.IS_MANAGED),
                    ),
                    width=10,
                ),
                table_of(
                    "Hardware",
                    "What the hardware says of itself, by the source that read it.",
                    f"max by (source, manufacturer, model, serial, firmware) (dserver_hardware_info{_OF})",
                    (
                        Column("source", "Source", 90),
                        Column("manufacturer", "Manufacturer", 180),
                        Column("model", "Model", 180),
                        Column("serial", "Serial number", 150),
                        Column("firmware", "Firmware"),
                    ),
                    width=14,
                    none="the hardware was not read yet",
                ),
            ),
        ),
        Row(
            8,
            (
                table_of(
                    "Checks now",
                    "Each service check with its last result, how long it took, and how long ago it ran.",
                    (
                        q.why(_UP, _OF),
                        f"time() - {_CHECK}(dserver_service_check_last_run_timestamp_seconds{_OF}) + 0 * {_UP}",
                        f"{_CHECK}(dserver_service_check_duration_seconds{_OF}) + 0 * {_UP}",
                        f"{_CHECK}(dserver_service_outage_seconds{_OF}) + 0 * {_UP}",
                    ),
                    (
                        Column("Value #A", "State", 90, states=states.UP),
                        shared.CHECK,
                        Column("protocol", "Protocol", 90),
                        Column("Value #D", "Confirmed outage", 180, unit=shared.LENGTH),
                        Column("reason", "Reason", 110, states=states.REASON),
                        Column("step", "At step", 110),
                        Column("Value #C", "Took", 90, unit="s"),
                        Column("Value #B", "Ran ago", 130, unit=shared.LENGTH),
                        Column("server", "Server", hidden=True),
                    ),
                    width=14,
                    worst_first=("Value #A",),
                    ascending=True,
                    none="no check is configured",
                ),
                state_timeline(
                    "Checks of the server over time",
                    "When each check was up and down.",
                    Query(f"max by (server, check) (dserver_service_up{_OF})", "{{check}}"),
                    states.UP,
                    width=10,
                    links=(shared.TO_CHECK_OF_SERIES,),
                    none="no check is configured",
                ),
            ),
            title="Service checks",
        ),
        Row(
            9,
            (
                table_of(
                    "Lamps now",
                    "Every lamp with its last known verdict. A lamp keeps it until the same source reads it otherwise.",
                    f"max by (lamp, component, source) (dserver_lamp_verdict{_OF})",
                    (
                        Column("Value", "Verdict", 110, states=states.VERDICT),
                        Column("lamp", "Lamp", 130, states=states.LAMP),
                        Column("component", "Component", 200),
                        Column("source", "Source"),
                    ),
                    width=10,
                    worst_first=("Value",),
                    none="no lamp was read yet",
                ),
                state_timeline(
                    "Lamps over time",
                    "The worst verdict of each kind of lamp.",
                    Query(f"max by (lamp) (dserver_lamp_verdict{_OF})", "{{lamp}}"),
                    states.VERDICT,
                    width=14,
                    none="no lamp was read yet",
                ),
            ),
            title="Lamps",
        ),
        Row(
            5,
            (
                table_of(
                    "How the lamps were read",
                    "Each source: whether its last read succeeded, when one succeeded last, how long it took, and why it "
                    "failed.",
                    (
                        f"({_by_source('dserver_lamp_check_success')}) * on (server, source) group_left (reason)"
                        f" max by (server, source, reason) (dserver_lamp_check_failure_info{_OF})"
                        f" or on (server, source) {_by_source('dserver_lamp_check_success')}",
                        f"time() - ({_by_source('dserver_lamp_check_last_success_timestamp_seconds')} > 0)",
                        _by_source("dserver_lamp_check_duration_seconds"),
                    ),
                    (
                        Column("source", "Source", 90),
                        Column("Value #A", "Last read succeeded", 180, states=states.SUCCESS),
                        Column("Value #B", "Succeeded ago", 140, unit=shared.LENGTH),
                        Column("Value #C", "Took", 90, unit="s"),
                        Column("reason", "Reason", states=states.REASON),
                        Column("server", "Server", hidden=True),
                    ),
                    width=12,
                    none="no lamp source is configured",
                ),
                table_of(
                    "Event log of the hardware",
                    "How many entries the log has and how full it is. A full log keeps no new event.",
                    (
                        f"max by (server, source, log) (dserver_event_log_entries{_OF})",
                        f"max by (server, source, log) (dserver_event_log_used_ratio{_OF})",
                    ),
                    (
                        Column("source", "Source", 90),
                        Column("log", "Log", 140),
                        Column("Value #A", "Entries", 100),
                        Column(
                            "Value #B",
                            "Full",
                            120,
                            unit="percentunit",
                            states=(State(0, GOOD, to=0.9), State(0.9, WARN, to=1.0)),
                        ),
                        Column("server", "Server", hidden=True),
                    ),
                    width=12,
                    none="the hardware has no log, or was not read yet",
                ),
            ),
        ),
        Row(
            8,
            (
                time_series(
                    "Temperatures",
                    "What the temperature sensors say. Read once a day while all is normal.",
                    _sensor("dserver_temperature_celsius"),
                    width=8,
                    unit="celsius",
                    none="no such sensor",
                ),
                time_series(
                    "Fans",
                    "Speed of the fans, in revolutions a minute.",
                    _sensor("dserver_fan_speed_rpm"),
                    width=8,
                    unit="rotrpm",
                    none="no such sensor",
                ),
                time_series(
                    "Fans, share of their maximum",
                    "Speed of the fans where the hardware tells it as a share.",
                    _sensor("dserver_fan_speed_ratio"),
                    width=8,
                    unit="percentunit",
                    none="no such sensor",
                ),
            ),
            title="Sensors",
        ),
        Row(
            8,
            (
                time_series(
                    "Voltages",
                    "What the voltage sensors say.",
                    _sensor("dserver_voltage_volts"),
                    width=8,
                    unit="volt",
                    none="no such sensor",
                ),
                time_series(
                    "Currents",
                    "What the current sensors say.",
                    _sensor("dserver_current_amperes"),
                    width=8,
                    unit="amp",
                    none="no such sensor",
                ),
                time_series(
                    "Power drawn",
                    "Power drawn or given.",
                    _sensor("dserver_power_watts"),
                    width=8,
                    unit="watt",
                    none="no such sensor",
                ),
            ),
        ),
        Row(
            6,
            (
                shared.certificates(12, _OF),
                table_of(
                    "Operating system and contract",
                    "When the maker's support ends, and when the contract ends with the system. Of managed servers whose "
                    "system the contract names.",
                    (
                        f"max by (server, os) (dserver_os_end_of_life_timestamp_seconds{_OF}) * 1000",
                        f"max by (server, os) (dserver_os_contract_end_timestamp_seconds{_OF}) * 1000",
                        f"(max by (server, os) (dserver_os_contract_end_timestamp_seconds{_OF}) - time()) / 86400",
                    ),
                    (
                        Column("os", "Operating system", 160),
                        Column("Value #A", "Maker's support ends", 170, unit="time:YYYY-MM-DD"),
                        Column("Value #B", "Contract ends", 140, unit="time:YYYY-MM-DD"),
                        Column("Value #C", "Days left", 110, states=states.DAYS_LEFT, decimals=0),
                        Column("server", "Server", hidden=True),
                    ),
                    width=12,
                    none="no end is named",
                ),
            ),
            title="What ends",
        ),
    ),
    since="now-24h",
)
