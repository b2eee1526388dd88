"""The parts of which the dashboards' queries are made.

Each server, check and lamp is merged over jobs and instances first (`max by`), so that two scrape jobs or a standby
count once. The inventory is joined with `topk by (server) (1, ...)`: while a server moves to another rack there are two
of its series, and a plain join fails for every server at once (docs/alerting.md).
"""

FLEET = 'dserver_server_info{site=~"$site",customer_id=~"$customer",server=~"$server"}'
OWN = "auth|misconfigured|internal"
"""Reasons of void attempts: our own side is at fault."""
_CHECKS = '{server=~"$server",protocol=~"$protocol"}'
_SERVERS = '{server=~"$server"}'


def inventory(labels: str = "customer_id, site") -> str:
    """Return one series a server with these labels, its value 1."""
    return f"topk by (server) (1, max by (server, {labels}) ({FLEET}))"


def of_fleet(vector: str) -> str:
    """Return a vector with the inventory's labels, of the servers that were chosen."""
    return f"({vector}) * on (server) group_left (customer_id, site) {inventory()}"


def within_fleet(vector: str) -> str:
    """Return a vector of the servers that were chosen, as it is."""
    return f"({vector}) and on (server) {FLEET}"


def total(vector: str) -> str:
    """Return how many series there are, 0 for none."""
    return f"count({vector}) or vector(0)"


def by_server(metric: str, selector: str = _SERVERS) -> str:
    """Return a metric of servers, merged."""
    return f"max by (server) ({metric}{selector})"


def by_check(metric: str, selector: str = _CHECKS) -> str:
    """Return a metric of checks, merged."""
    return f"max by (server, check, protocol) ({metric}{selector})"


def next_step(level: str) -> str:
    """Return the level, and ten more for a server without the managed contract."""
    return f'(({level}) + on (server) 10 * max by (server) (dserver_server_info{{managed="false"}})) or ({level})'


def why(outages: str, selector: str = _CHECKS) -> str:
    """Return the vector of checks with the reason and step of their last failed attempt, where it is known."""
    failures = f'dserver_service_failure_info{selector[:-1]},reason!~"{OWN}"}}'
    known = f"topk by (server, check, protocol) (1, max by (server, check, protocol, reason, step) ({failures}))"
    told = f"({outages}) * on (server, check, protocol) group_left (reason, step) {known}"
    return f"({told}) or on (server, check, protocol) ({outages})"


def on_outages(vector: str, outages: str) -> str:
    """Return a vector of servers, once for each of the outages."""
    return f"({outages}) * 0 + on (server) group_left () ({vector})"


DOWN_SINCE = by_check("dserver_service_down_since_timestamp_seconds")
LEVEL = by_server("dserver_response_level")
UNTIL_NOW = f"time() - {DOWN_SINCE}"


def outage_queries() -> tuple[str, ...]:
    """Return the queries of a table of open outages: A so long, with why; B since; C level; D next step; E told at."""
    told = f"{by_check('dserver_outage_notified_timestamp_seconds')} * 1000 or {DOWN_SINCE} * 0"
    return tuple(
        of_fleet(vector)
        for vector in (
            why(UNTIL_NOW),
            f"{DOWN_SINCE} * 1000",
            on_outages(LEVEL, DOWN_SINCE),
            on_outages(next_step(LEVEL), DOWN_SINCE),
            told,
        )
    )


SERVER_VERDICT = by_server("dserver_server_lamp_verdict")

ABNORMAL_LAMPS = (
    'max by (server, lamp, component, source) (dserver_lamp_verdict{server=~"$server"} > 0)'
    ' or max by (server, source, reason) (dserver_lamp_check_failure_info{server=~"$server"}) * -1'
)
"""Lamps that are not normal, and sources that could not be read: their lamps are unknown."""

REPORTS_DUE = 'max by (server, incident) (dserver_incident_report_due_timestamp_seconds{server=~"$server"})'

ALERTS = " or ".join(
    f'max by (alertname, severity, customer_id, server, check, lamp, incident, instance) (ALERTS{{alertstate="firing",'
    f'notify=~"noc|customer",severity="{severity}"}}) * {rank}'
    for severity, rank in (("critical", 3), ("warning", 2), ("info", 1))
)

JOBS = 'up{job=~"dserver.*"}'
MONITORING_FAULTS = " + ".join(
    f"({total(vector)})"
    for vector in (
        f"{JOBS} == 0",
        f"absent({JOBS})",
        "dserver_exporter_vantage_up == 0",
        "dserver_exporter_config_last_reload_successful == 0",
        "max by (instance) (dserver_exporter_loop_lag_seconds) > 1",
        "max by (instance) (increase(dserver_exporter_ledger_errors_total[15m])) > 0",
    )
)
"""How many things are wrong with the monitoring itself: scrapes, uplink, configuration, event loop, ledger."""

HARDWARE = (
    "group by (server, manufacturer, model, firmware) (topk by (server) (1,"
    ' max by (server, manufacturer, model, firmware) (dserver_hardware_info{source="redfish",server=~"$server"}) * 3'
    ' or max by (server, manufacturer, model, firmware) (dserver_hardware_info{source="snmp",server=~"$server"}) * 2'
    ' or max by (server, manufacturer, model, firmware) (dserver_hardware_info{source="ipmi",server=~"$server"})))'
)
"""One series a server: of several sources, Redfish tells most and IPMI least."""


def hardware_by(labels: str) -> tuple[str, ...]:
    """Return the queries of a table by labels of the hardware: A servers, B critical, C warning, D unknown."""
    machines = f"(({HARDWARE}) and on (server) {FLEET})"
    return (f"count by ({labels}) ({machines})", *_verdicts_by(labels, machines))


def place_by(labels: str) -> tuple[str, ...]:
    """Return the same by labels of the inventory."""
    machines = inventory(labels if "site" in labels else f"{labels}, site")
    return (f"count by ({labels}) ({machines})", *_verdicts_by(labels, machines))


def _verdicts_by(labels: str, machines: str) -> tuple[str, ...]:
    return tuple(
        f"sum by ({labels}) ({machines} * on (server) group_left () ({SERVER_VERDICT} == bool {verdict}))"
        for verdict in (2, 1, -1)
    )
