"""One check: its history, how long it takes, and why it failed."""

from dashboards.generate import states, variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    GOOD,
    WARN,
    Board,
    Query,
    Row,
    named,
    number,
    state_timeline,
    time_series,
)

_OF = '{server="$server",check="$check"}'


def _one(metric: str) -> str:
    return f"max({metric}{_OF})"


_DOWN_SINCE = _one("dserver_service_down_since_timestamp_seconds")

BOARD = Board(
    "check",
    "Check",
    "One service check of one server: history, duration, reasons.",
    (variables.SITE, variables.CUSTOMER, variables.ONE_SERVER, variables.ONE_CHECK),
    (
        Row(
            4,
            (
                number(
                    "State",
                    "Last result of the check. Void attempts, our own fault, change nothing.",
                    _one("dserver_service_up"),
                    width=4,
                    states=states.UP,
                    none="no result yet",
                ),
                number(
                    "Confirmed outage",
                    "How long the present outage is confirmed: time between failed attempts. 0 "
                    "while it is up; from ten minutes on the customer is told.",
                    _one("dserver_service_outage_seconds"),
                    width=5,
                    unit=shared.LENGTH,
                    base=GOOD,
                    steps={1: WARN, 600: BAD},
                    none="no result yet",
                ),
                number(
                    "Down since",
                    "When the present outage began.",
                    f"{_DOWN_SINCE} * 1000",
                    width=5,
                    unit=shared.TIME,
                    base=GOOD,
                    steps={1e-9: BAD},
                    none="it is not down",
                ),
                number(
                    "Ran ago",
                    "How long ago the last attempt began.",
                    f"time() - {_one('dserver_service_check_last_run_timestamp_seconds')}",
                    width=5,
                    unit=shared.LENGTH,
                    steps={1800: BAD},
                    none="it has not run yet",
                ),
                number(
                    "Certificate ends in",
                    "Days until the certificate that the service showed last expires.",
                    f"({_one('dserver_service_certificate_expiry_timestamp_seconds')} - time()) / 86400",
                    width=5,
                    states=states.DAYS_LEFT,
                    unit=shared.DAYS,
                    decimals=0,
                    none="it shows no certificate",
                ),
            ),
        ),
        Row(
            5,
            (
                state_timeline(
                    "History",
                    "When the check was up and down.",
                    named(_one("dserver_service_up"), "State"),
                    states.UP,
                    width=24,
                    none="no result yet",
                ),
            ),
        ),
        Row(
            6,
            (
                state_timeline(
                    "Reasons of failures",
                    "Why and at which step attempts failed or were void (auth, misconfigured, internal: our side).",
                    Query(f"max by (reason, step) (dserver_service_failure_info{_OF})", "{{reason}} ({{step}})"),
                    states.FAILED,
                    width=24,
                    none="it did not fail",
                ),
            ),
        ),
        Row(
            8,
            (
                time_series(
                    "How long it takes",
                    "Duration of the last attempt.",
                    named(_one("dserver_service_check_duration_seconds"), "duration"),
                    width=12,
                    unit="s",
                    none="no result yet",
                ),
                time_series(
                    "Confirmed outage over time",
                    "How long the outage was confirmed. The dashed line is the "
                    "tenth minute, at which the customer is told.",
                    named(_one("dserver_service_outage_seconds"), "confirmed outage"),
                    width=12,
                    unit="s",
                    limits={600: BAD},
                    none="no result yet",
                ),
            ),
        ),
        Row(
            4,
            (
                number(
                    "Customer told at",
                    "When the customer was told of the present outage, as the ledger knows it.",
                    f"{_one('dserver_outage_notified_timestamp_seconds')} * 1000",
                    width=8,
                    unit=shared.TIME,
                    none="nothing recorded",
                ),
                number(
                    "Share of time up",
                    "Over the dashboard's time range. The month's availability, without "
                    "maintenance and void spells, is told by dserver-exporter availability.",
                    f"max(avg_over_time(dserver_service_up{_OF}[$__range]))",
                    width=8,
                    unit="percentunit",
                    decimals=2,
                    none="no result yet",
                ),
                number(
                    "Maintenance",
                    "Whether the server is in a maintenance window: the customer is not told of outages.",
                    'max(dserver_server_maintenance{server="$server"})',
                    width=8,
                    states=states.MAINTENANCE,
                ),
            ),
        ),
    ),
    since="now-24h",
)
