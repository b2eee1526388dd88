"""The monitoring itself: lag, limits, durations, errors, scrapes."""

from dashboards.generate import queries as q
from dashboards.generate import states, variables
from dashboards.generate.vocabulary import (
    BAD,
    GOOD,
    WARN,
    Board,
    Column,
    Query,
    Row,
    number,
    some,
    state_timeline,
    table_of,
    time_series,
)

_OF = '{instance=~"$instance"}'
_JOBS = 'job=~"dserver.*",instance=~"$instance"'


def _of(metric: str) -> str:
    return f"max by (instance) ({metric}{_OF})"


def _each(metric: str) -> Query:
    return Query(_of(metric), "{{instance}}")


BOARD = Board(
    "exporter",
    "Exporter",
    "Whether the monitoring itself is well: lag, limits, durations, errors, scrapes.",
    (variables.INSTANCE,),
    (
        Row(
            4,
            (
                number(
                    "The monitoring itself",
                    "How many things are wrong with the monitoring: a scrape that fails, no "
                    "exporter at all, the uplink, the configuration, a late event loop, the ledger.",
                    q.MONITORING_FAULTS,
                    width=4,
                    states=states.HEALTH,
                    unit="word:faults",
                ),
                number(
                    "Uplink",
                    "Whether our own uplink works: while it does not, failures are void.",
                    f"min(dserver_exporter_vantage_up{_OF})",
                    width=4,
                    states=states.UPLINK,
                    none="no exporter",
                ),
                number(
                    "Configuration read",
                    "Whether the last reading of the configuration succeeded. If not, the old one stays in force.",
                    f"min(dserver_exporter_config_last_reload_successful{_OF})",
                    width=4,
                    states=states.SUCCESS,
                    none="no exporter",
                ),
                number(
                    "The oldest result",
                    "How long ago the check that has waited longest ran. More than three intervals: "
                    "checks have stopped. Made by recording rules (alert_rules/recording.yml).",
                    f"time() - min(instance:dserver_service_check_last_run_timestamp_seconds:min{_OF})",
                    width=4,
                    unit="dthms",
                    base=GOOD,
                    steps={1200: WARN, 1800: BAD},
                    none="no recorded series",
                ),
                number(
                    "Checks under way",
                    "Attempts of service checks that are under way.",
                    f"sum(dserver_exporter_checks_in_flight{_OF})",
                    width=4,
                    none="no exporter",
                ),
                number(
                    "Errors of the ledger in 24 hours",
                    "Batches that could not be written. They are kept in memory and tried again: look at the disk.",
                    f"round(sum(increase(dserver_exporter_ledger_errors_total{_OF}[24h]))) or vector(0)",
                    width=4,
                    states=some(BAD),
                ),
            ),
        ),
        Row(
            5,
            (
                table_of(
                    "Exporters",
                    "Version, who tells customers, and when the configuration was read.",
                    (
                        f"max by (instance, version, python) (dserver_exporter_build_info{_OF})"
                        " * on (instance) group_left (by) max by (instance, by) (dserver_exporter_notices_info)",
                        f"max by (instance, version, python) (dserver_exporter_build_info{_OF}) * on (instance)"
                        f" group_left () {_of('dserver_exporter_config_last_reload_success_timestamp_seconds')} * 1000",
                    ),
                    (
                        Column("instance", "Exporter", 200),
                        Column("version", "Version", 110),
                        Column("python", "Python", 110),
                        Column("by", "Customers are told by", 190),
                        Column("Value #B", "Configuration of", unit="time:YYYY-MM-DD HH:mm"),
                    ),
                    width=12,
                    none="no exporter",
                ),
                state_timeline(
                    "Scrapes",
                    "Whether each scrape of each job succeeded.",
                    Query(f"max by (job, instance) (up{{{_JOBS}}})", "{{job}} {{instance}}"),
                    states.UP,
                    width=12,
                    none="no job whose name begins with dserver",
                ),
            ),
        ),
        Row(
            8,
            (
                time_series(
                    "Lag of the schedule",
                    "How late an attempt started, worst of the last minute.",
                    _each("dserver_exporter_schedule_lag_seconds"),
                    width=8,
                    unit="s",
                    limits={1: BAD},
                    none="no exporter",
                ),
                time_series(
                    "Lag of the event loop",
                    "How late the event loop was, worst of the last minute. Beyond one second failures are void.",
                    _each("dserver_exporter_loop_lag_seconds"),
                    width=8,
                    unit="s",
                    limits={1: BAD},
                    none="no exporter",
                ),
                time_series(
                    "Checks under way over time",
                    "Attempts of service checks that were under way.",
                    _each("dserver_exporter_checks_in_flight"),
                    width=8,
                    none="no exporter",
                ),
            ),
            title="Lag and limits",
        ),
        Row(
            8,
            (
                time_series(
                    "Attempts by result",
                    "Attempts of service checks a second; void: our own fault.",
                    Query(f"sum by (result) (rate(dserver_exporter_checks_total{_OF}[10m]))", "{{result}}"),
                    width=8,
                    unit="ops",
                    none="no attempt",
                ),
                time_series(
                    "Attempts by protocol",
                    "Attempts of service checks a second.",
                    Query(f"sum by (protocol) (rate(dserver_exporter_checks_total{_OF}[10m]))", "{{protocol}}"),
                    width=8,
                    unit="ops",
                    none="no attempt",
                ),
                time_series(
                    "How long checks take",
                    "The duration that 95 % of a protocol's checks stay below. Made by recording rules (alert_rules/recording.yml).",
                    Query("protocol:dserver_service_check_duration_seconds:quantile95", "{{protocol}}"),
                    width=8,
                    unit="s",
                    none="no recorded series",
                ),
            ),
            title="Checks",
        ),
        Row(
            8,
            (
                table_of(
                    "Checks that tell nothing: our side",
                    "Void by our own fault, by reason and step: auth, our credentials were rejected; misconfigured, our file "
                    "or secret; internal, our defect or resources.",
                    f'count by (protocol, reason, step) (dserver_service_failure_info{{reason=~"{q.OWN}"}})',
                    (
                        Column("protocol", "Protocol", 110),
                        Column("reason", "Reason", 140, states=states.REASON),
                        Column("step", "At step", 140),
                        Column("Value", "Checks", 90),
                    ),
                    width=8,
                    worst_first=("Value",),
                ),
                table_of(
                    "Lamp sources that cannot be read",
                    "How many sources could not be read, by reason.",
                    "count by (source, reason) (max by (server, source, reason) (dserver_lamp_check_failure_info))",
                    (
                        Column("source", "Source", 110),
                        Column("reason", "Reason", 180, states=states.REASON),
                        Column("Value", "Servers", 90),
                    ),
                    width=8,
                    worst_first=("Value",),
                ),
                time_series(
                    "How long lamps take",
                    "The longest reading of each kind of source.",
                    Query("max by (source) (dserver_lamp_check_duration_seconds)", "{{source}}"),
                    width=8,
                    points=96,
                    unit="s",
                    none="no lamp was read yet",
                ),
            ),
        ),
        Row(
            8,
            (
                time_series(
                    "Duration of scrapes",
                    "How long Prometheus waited for each scrape.",
                    Query(f"max by (job, instance) (scrape_duration_seconds{{{_JOBS}}})", "{{job}} {{instance}}"),
                    width=8,
                    unit="s",
                    none="no job whose name begins with dserver",
                ),
                time_series(
                    "Samples of a scrape",
                    "How many samples each scrape has.",
                    Query(f"max by (job, instance) (scrape_samples_scraped{{{_JOBS}}})", "{{job}} {{instance}}"),
                    width=8,
                    unit="short",
                    none="no job whose name begins with dserver",
                ),
                time_series(
                    "Answering a scrape",
                    "How long the exporter took for its last answer, sending included.",
                    _each("dserver_exporter_scrape_duration_seconds"),
                    width=8,
                    unit="s",
                    none="no exporter",
                ),
            ),
            title="Scrapes",
        ),
        Row(
            8,
            (
                time_series(
                    "Processor",
                    "Share of one core.",
                    Query(f"max by (instance) (rate(process_cpu_seconds_total{{{_JOBS}}}[5m]))", "{{instance}}"),
                    width=6,
                    unit="percentunit",
                    none="no exporter",
                ),
                time_series(
                    "Memory",
                    "Resident memory.",
                    Query(f"max by (instance) (process_resident_memory_bytes{{{_JOBS}}})", "{{instance}}"),
                    width=6,
                    unit="bytes",
                    none="no exporter",
                ),
                time_series(
                    "Open files",
                    "Open file descriptors, as a share of the limit.",
                    Query(
                        f"max by (instance) (process_open_fds{{{_JOBS}}} / process_max_fds{{{_JOBS}}})", "{{instance}}"
                    ),
                    width=6,
                    unit="percentunit",
                    limits={0.8: BAD},
                    none="no exporter",
                ),
                time_series(
                    "Traps",
                    "Datagrams at traps.listen a minute, by what became of them.",
                    Query(f"sum by (result) (rate(dserver_exporter_traps_total{_OF}[10m])) * 60", "{{result}}"),
                    width=6,
                    none="no exporter",
                ),
            ),
            title="Process",
        ),
        Row(
            6,
            (
                time_series(
                    "Mails waiting over time",
                    "Mails in the outbox that were not handed over yet.",
                    Query(f"max by (instance) (dserver_outbox_pending{_OF})", "{{instance}}"),
                    width=12,
                    none="no exporter",
                ),
                time_series(
                    "Errors of the ledger",
                    "Batches that could not be written, in 15 minutes.",
                    Query(
                        f"max by (instance) (increase(dserver_exporter_ledger_errors_total{_OF}[15m]))", "{{instance}}"
                    ),
                    width=12,
                    none="no exporter",
                ),
            ),
        ),
    ),
)
