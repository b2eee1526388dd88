"""Incidents and reports: what is open, what is owed, and whether the customers' mails leave."""

from dashboards.generate import queries as q
from dashboards.generate import states, variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    WARN,
    Board,
    Column,
    Query,
    Row,
    named,
    number,
    some,
    table_of,
    time_series,
)


def _open(kind: str) -> str:
    of_kind = f'max by (server, incident) (dserver_incident_open{{server=~"$server",kind="{kind}"}})'
    return q.total(q.within_fleet(of_kind))


def _due(comparison: str) -> str:
    return q.total(q.within_fleet(f"{q.REPORTS_DUE} - time() {comparison}"))


BOARD = Board(
    "incidents",
    "Incidents and reports",
    "Open incidents, reports that customers have to have, mails on their way, and alerts with their runbooks.",
    (variables.SITE, variables.CUSTOMER, variables.SERVER, variables.PROTOCOL),
    (
        Row(
            4,
            (
                number(
                    "Outages",
                    "Open incidents of kind outage: of a server whose checks are not all well, or whose "
                    "lamps were not seen to be normal since.",
                    _open("outage"),
                    width=4,
                    states=some(BAD),
                ),
                number("Critical lamps", "Open incidents of kind lamp.", _open("lamp"), width=4, states=some(BAD)),
                number(
                    "Reboots asked for",
                    "Reboots that customers asked for and that are not done.",
                    _open("reboot-request"),
                    width=4,
                    states=some(WARN),
                ),
                number(
                    "Reports late",
                    "Reports that are owed and whose time has passed.",
                    _due("<= 0"),
                    width=4,
                    states=some(BAD),
                ),
                number(
                    "Reports due within seven hours",
                    "Reports that are due within seven hours: today, from 10:00 on.",
                    _due("> 0 <= 25200"),
                    width=4,
                    states=some(WARN),
                ),
                number(
                    "Mails waiting",
                    "Mails in the exporter's outbox that were not handed over yet.",
                    "sum(dserver_outbox_pending)",
                    width=4,
                    states=some(WARN),
                ),
            ),
        ),
        Row(
            8,
            (
                table_of(
                    "Open incidents",
                    "Incidents that are not closed yet. One ends when its checks are "
                    "well again and the lamps were seen to be normal after that. The name says when it began.",
                    q.of_fleet('max by (server, incident, kind) (dserver_incident_open{server=~"$server"})'),
                    (
                        shared.CUSTOMER,
                        shared.SERVER,
                        shared.SITE,
                        Column("kind", "Kind", 150, states=states.KIND),
                        Column("incident", "Incident"),
                    ),
                    width=12,
                    worst_first=("incident",),
                ),
                shared.reports_due(12),
            ),
        ),
        Row(9, (shared.open_outages(24),)),
        Row(8, (shared.alerts(24),)),
        Row(
            8,
            (
                table_of(
                    "Mails of the last 24 hours",
                    "Mails of the exporter's own outbox, by what they are and what became of them. None where Alertmanager "
                    "tells customers.",
                    "round(sum by (kind, result) (increase(dserver_notices_total[24h]))) > 0",
                    (
                        Column("kind", "Kind", 150, states=states.KIND),
                        Column("result", "Result", 150),
                        Column("Value", "Mails", 90),
                    ),
                    width=8,
                    worst_first=("Value",),
                ),
                time_series(
                    "From the tenth minute to the mail",
                    "How long after ten confirmed minutes the mail server had taken the notice. The contract says "
                    "promptly; our own limit is the dashed line.",
                    (
                        named(
                            "histogram_quantile(0.5, sum by (le) (increase("
                            "dserver_outage_notice_delay_seconds_bucket[24h]))) > 0",
                            "half are faster than",
                        ),
                        named(
                            "histogram_quantile(0.95, sum by (le) (increase("
                            "dserver_outage_notice_delay_seconds_bucket[24h]))) > 0",
                            "95 % are faster than",
                        ),
                    ),
                    width=8,
                    unit="s",
                    limits={60: BAD},
                ),
                time_series(
                    "Open incidents over time",
                    "How many incidents were open, by kind.",
                    Query("count by (kind) (max by (server, incident, kind) (dserver_incident_open))", "{{kind}}"),
                    width=8,
                ),
            ),
        ),
    ),
    since="now-24h",
    runbooks=True,
)
