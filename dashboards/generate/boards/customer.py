"""One customer: their servers, what is broken, what is owed, what ends soon."""

from dashboards.generate import queries as q
from dashboards.generate import states, variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    NOTICE,
    WARN,
    Board,
    Column,
    Query,
    Row,
    number,
    some,
    state_timeline,
    table_of,
)

_DOWN = f"count by (server) ({q.DOWN_SINCE})"
_CONTRACT = q.by_server("dserver_os_contract_end_timestamp_seconds")
_DETAILS = q.inventory("customer_id, site, rack, os, managed")
_EXPIRY = q.by_check("dserver_service_certificate_expiry_timestamp_seconds")


def _detailed(vector: str) -> str:
    """Return a vector of servers with all that the inventory says of them."""
    return f"({_DETAILS}) * on (server) group_left () ({vector})"


BOARD = Board(
    "customer",
    "Customer",
    "Everything about one customer: servers, outages, lamps, reports that are owed, contracts and certificates that end.",
    (variables.SITE, variables.ONE_CUSTOMER, variables.SERVERS_OF_ONE, variables.PROTOCOL),
    (
        Row(
            4,
            (
                number(
                    "Servers",
                    "Servers that the customer leases.",
                    f"count({q.inventory()})",
                    width=4,
                ),
                number(
                    "Open outages",
                    "Checks of the customer that have failed since their last success.",
                    q.total(q.within_fleet(q.DOWN_SINCE)),
                    width=5,
                    states=some(BAD),
                ),
                number(
                    "Servers with an abnormal lamp",
                    "Servers of the customer with a lamp that is critical or warning.",
                    q.total(q.within_fleet(f"{q.SERVER_VERDICT} > 0")),
                    width=5,
                    states=some(BAD),
                ),
                number(
                    "Reports owed",
                    "Outage reports that the customer has to have by the next business day.",
                    q.total(q.within_fleet(q.REPORTS_DUE)),
                    width=5,
                    states=some(WARN),
                ),
                number(
                    "Servers in maintenance",
                    "Servers of the customer in a maintenance window now: the customer is not told of their outages.",
                    q.total(q.within_fleet(f"{q.by_server('dserver_server_maintenance')} == 1")),
                    width=5,
                    states=some(NOTICE),
                ),
            ),
        ),
        Row(8, (shared.open_outages(24),)),
        Row(
            9,
            (
                table_of(
                    "Servers of the customer",
                    "Where each server is, its lamps' verdict, how many of its checks are down, and in how many days the "
                    "contract ends with its operating system.",
                    (
                        _DETAILS,
                        _detailed(q.SERVER_VERDICT),
                        _detailed(f"{_DOWN} or {q.LEVEL} * 0"),
                        _detailed(f"({_CONTRACT} - time()) / 86400"),
                    ),
                    (
                        shared.SERVER,
                        shared.SITE,
                        Column("rack", "Rack", 90),
                        Column("os", "Operating system", 150),
                        Column("managed", "Managed", 150, states=states.IS_MANAGED),
                        Column("Value #B", "Lamps", 120, states=states.VERDICT),
                        Column("Value #C", "Checks down", 150, states=some(BAD)),
                        Column("Value #D", "Contract ends in days", 180, states=states.DAYS_LEFT, decimals=0),
                    ),
                    width=24,
                    worst_first=("Value #C", "Value #B"),
                ),
            ),
        ),
        Row(
            9,
            (
                state_timeline(
                    "Checks over time",
                    "When each check of the customer was up and down.",
                    Query(
                        q.within_fleet(q.by_check("dserver_service_up")),
                        "{{server}} {{check}}",
                    ),
                    states.UP,
                    width=24,
                    links=(shared.TO_CHECK_OF_SERIES,),
                    none="no check is configured",
                ),
            ),
        ),
        Row(7, (shared.abnormal_lamps(14), shared.reports_due(10))),
        Row(
            8,
            (
                table_of(
                    "Certificates of the customer",
                    "The certificate that each service showed last, the next to end first. Below zero days it is "
                    "expired; amber from 30 days.",
                    (
                        q.of_fleet(f"({_EXPIRY} - time()) / 86400"),
                        q.of_fleet(f"{_EXPIRY} * 1000"),
                    ),
                    (
                        shared.SERVER,
                        shared.CHECK,
                        Column("Value #A", "Days left", 110, states=states.DAYS_LEFT, decimals=0),
                        Column("Value #B", "Expires", 130, unit="time:YYYY-MM-DD"),
                    ),
                    width=12,
                    worst_first=("Value #A",),
                    ascending=True,
                ),
                table_of(
                    "Open incidents of the customer",
                    "Incidents that are not closed yet. One ends when its checks are well again and the lamps were seen "
                    "to be normal after that.",
                    q.of_fleet('max by (server, incident, kind) (dserver_incident_open{server=~"$server"})'),
                    (
                        shared.SERVER,
                        Column("kind", "Kind", 150, states=states.KIND),
                        Column("incident", "Incident", 280),
                    ),
                    width=12,
                ),
            ),
        ),
    ),
    since="now-24h",
)
