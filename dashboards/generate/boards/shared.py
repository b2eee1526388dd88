"""What several dashboards show, and how one leads to the other."""

from collections.abc import Sequence

from dashboards.generate import queries as q
from dashboards.generate import states
from dashboards.generate.vocabulary import Column, Link, Panel, RunbookLink, of_row, of_series, table_of

TIME = "time:MM-DD HH:mm"
LENGTH = "dthms"
DAYS = "word:days"

TO_CUSTOMER = Link("customer", "Open the customer", {"customer": of_row("customer_id")})
TO_SERVER = Link("server", "Open the server", {"server": of_row("server")})
TO_CHECK = Link("check", "Open the check", {"server": of_row("server"), "check": of_row("check")})
TO_CHECK_OF_SERIES = Link("check", "Open the check", {"server": of_series("server"), "check": of_series("check")})
TO_INCIDENTS = Link("incidents", "Open incidents and reports")
TO_EXPORTER = Link("exporter", "Open the exporter")
TO_FLEET = Link("fleet", "Open the fleet's hardware")

CUSTOMER = Column("customer_id", "Customer", 90, link=TO_CUSTOMER)
SITE = Column("site", "Site", 110)
SERVER = Column("server", "Server", 110, link=TO_SERVER)
CHECK = Column("check", "Check", 110, link=TO_CHECK)


def open_outages(width: int) -> Panel:
    """Return the table of what cannot be used now, worst first."""
    return table_of(
        "Open outages, worst first",
        "Every check that has failed since its last success: for whom, where, since when, why, what the contract asks for "
        "next, and when the customer was told (as the ledger knows it: nothing is recorded where Alertmanager tells "
        "customers). Level 1: log in, look, restart the service. Level 2: nobody can log in, reboot the platform. "
        "Sorted by level, then by length.",
        q.outage_queries(),
        (
            CUSTOMER,
            SERVER,
            CHECK,
            Column("protocol", "Protocol", 90),
            SITE,
            Column("Value #B", "Down since", 120, unit=TIME),
            Column("Value #A", "For", 100, unit=LENGTH),
            Column("Value #C", "Level", 110, states=states.LEVEL),
            Column("Value #D", "Next step", states=states.NEXT_STEP),
            Column("reason", "Reason", 150, states=states.REASON),
            Column("step", "At step", 110),
            Column("Value #E", "Customer told", 150, states=states.NOT_TOLD, unit=TIME),
        ),
        width=width,
        worst_first=("Value #C", "Value #A"),
    )


def abnormal_lamps(width: int) -> Panel:
    """Return the table of lamps that are not normal."""
    return table_of(
        "Lamps that are not normal",
        "Every lamp whose verdict is critical or warning, and every source that could not be read: its lamps keep their "
        "last verdict, and nobody knows what they show now.",
        q.of_fleet(q.ABNORMAL_LAMPS),
        (
            Column("Value", "Verdict", 110, states=states.VERDICT),
            CUSTOMER,
            SERVER,
            SITE,
            Column("lamp", "Lamp", 120, states=states.LAMP),
            Column("component", "Component"),
            Column("source", "Source", 85),
            Column("reason", "Unreadable: why", 140, states=states.REASON),
        ),
        width=width,
        worst_first=("Value",),
    )


def reports_due(width: int) -> Panel:
    """Return the table of outage reports that are owed."""
    return table_of(
        "Reports that are owed, most urgent first",
        "Incidents that are over and whose report the customer has to have by the next business day, the most urgent "
        "first. Below zero hours: it is late.",
        (
            q.of_fleet(f"({q.REPORTS_DUE} - time()) / 3600"),
            q.of_fleet(f"{q.REPORTS_DUE} * 1000"),
        ),
        (
            Column("Value #A", "Hours left", 110, states=states.HOURS_LEFT, decimals=1),
            Column("Value #B", "Due", 120, unit=TIME),
            CUSTOMER,
            SERVER,
            Column("incident", "Incident"),
        ),
        width=width,
        worst_first=("Value #A",),
        ascending=True,
    )


def alerts(width: int) -> Panel:
    """Return the table of firing alerts with their runbooks."""
    return table_of(
        "Alerts, with what to do",
        "What Prometheus alerts of now, the worst first. The name of an alert opens its runbook: what it means, what the "
        "contract asks for, what to do. Where the runbooks are published is the dashboard's variable.",
        q.ALERTS,
        (
            Column("Value", "Severity", 110, states=states.SEVERITY),
            Column("alertname", "Alert (runbook)", 190, link=RunbookLink()),
            CUSTOMER,
            SERVER,
            Column("check", "Check", 110),
            Column("lamp", "Lamp", 145, states=states.LAMP),
            Column("incident", "Incident"),
            Column("instance", "Exporter", 140),
        ),
        width=width,
        worst_first=("Value",),
    )


def certificates(width: int, selector: str, leading: Sequence[Column] = ()) -> Panel:
    """Return the table of certificates, the next to end first."""
    expiry = q.by_check("dserver_service_certificate_expiry_timestamp_seconds", selector)
    return table_of(
        "Certificates",
        "The certificate that the service showed last, also when it is expired or not trusted. Below zero days it is "
        "expired; amber from 30 days.",
        (f"({expiry} - time()) / 86400", f"{expiry} * 1000"),
        (
            *leading,
            CHECK,
            Column("Value #A", "Days left", 110, states=states.DAYS_LEFT, decimals=0),
            Column("Value #B", "Expires", 130, unit="time:YYYY-MM-DD"),
        ),
        width=width,
        worst_first=("Value #A",),
        ascending=True,
    )
