"""The NOC's wall: what is broken, for whom, since when, and what the contract asks for next."""

from dashboards.generate import queries as q
from dashboards.generate import states, variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    GOOD,
    GREY,
    NOTICE,
    WARN,
    Board,
    Query,
    Row,
    State,
    named,
    number,
    some,
    status_history,
)

_BIG = (20, 44)
_LINE = (28, 36)
_WORST = 6
_LONG = 'max by (server, check) (dserver_service_outage_seconds{server=~"$server",protocol=~"$protocol"}) >= 600'
_RANK = q.of_fleet(f"{q.on_outages(q.LEVEL, q.DOWN_SINCE)} * 1e9 + {q.UNTIL_NOW}")
_WORST_OF_ALL = f"topk({_WORST}, {_RANK})"


def _worst(steps: str, what: str) -> Query:
    """Return those of the worst outages whose next step is among ``steps``, the longest first."""
    outages = (
        f"({q.of_fleet(q.UNTIL_NOW)}) and on (server, check) {_WORST_OF_ALL}"
        f" and on (server) (({q.next_step(q.LEVEL)}) {steps})"
    )
    return named(f"sort_desc({outages})", f"{what} · {{{{customer_id}}}} · {{{{server}}}} · {{{{check}}}}")


def _servers(verdict: int) -> str:
    return q.total(q.within_fleet(f"{q.SERVER_VERDICT} == {verdict}"))


BOARD = Board(
    "noc",
    "NOC wall",
    "What is broken now, for whom, since when, and what the contract asks for next. For a screen of 1920x1080 in kiosk "
    "mode; the two upper rows can be read from four metres.",
    variables.FLEET,
    (
        Row(
            4,
            (
                number(
                    "Open outages",
                    "Checks that have failed since their last success.",
                    q.total(q.within_fleet(q.DOWN_SINCE)),
                    width=3,
                    states=some(BAD),
                    sizes=_BIG,
                    links=(shared.TO_INCIDENTS,),
                ),
                number(
                    "Ten minutes or more",
                    "Outages confirmed for ten minutes or more: the contract asks that the customer is told promptly.",
                    q.total(q.within_fleet(_LONG)),
                    width=3,
                    states=some(BAD),
                    sizes=_BIG,
                    links=(shared.TO_INCIDENTS,),
                ),
                number(
                    "Servers by their lamps",
                    "Servers by the verdict of their lamps: the worst of each server counts. Unknown: a source could not "
                    "be read, or there is none; it is never taken for normal.",
                    (
                        named(_servers(2), "critical"),
                        named(_servers(1), "warning"),
                        named(_servers(-1), "unknown"),
                        named(_servers(0), "normal"),
                    ),
                    width=9,
                    states=(State(0, GREY, "none", "–"),),
                    sizes=_BIG,
                    base=GREY,
                    colours={"critical": BAD, "warning": WARN, "normal": NOTICE},
                    links=(shared.TO_FLEET,),
                ),
                number(
                    "Reports owed",
                    "Outage reports that customers have to have by the next business day.",
                    q.total(q.within_fleet(q.REPORTS_DUE)),
                    width=3,
                    states=some(WARN),
                    sizes=_BIG,
                    links=(shared.TO_INCIDENTS,),
                ),
                number(
                    "Help desk",
                    "Whether the help desk works now, by the calendar with the public holidays of Japan.",
                    "max(dserver_business_hours)",
                    width=3,
                    states=states.BUSINESS,
                    sizes=(20, 26),
                ),
                number(
                    "The monitoring itself",
                    "How many things are wrong with the monitoring itself: a scrape that fails, no exporter at all, the "
                    "uplink, the configuration, a late event loop, the ledger. While it is not zero, believe nothing here "
                    "without looking.",
                    q.MONITORING_FAULTS,
                    width=3,
                    states=states.HEALTH,
                    sizes=(20, 36),
                    unit="word:faults",
                    links=(shared.TO_EXPORTER,),
                ),
            ),
        ),
        Row(
            8,
            (
                number(
                    "The worst outages: level, next step, customer, server, check, and for how long",
                    "The six worst of the open outages, by level and then by length, in letters for the wall. Those without "
                    "the managed contract come last. All are in the table below, with since when and why.",
                    (
                        _worst("== 2", "L2 reboot the platform"),
                        _worst("== 1", "L1 log in, restart the service"),
                        _worst("> 10", "reboot if the customer asks"),
                    ),
                    width=24,
                    unit=shared.LENGTH,
                    base=GOOD,
                    steps={1e-9: BAD},
                    sizes=_LINE,
                    lines=True,
                    none="none",
                    links=(shared.TO_CHECK_OF_SERIES,),
                ),
            ),
        ),
        Row(6, (shared.open_outages(24),)),
        Row(
            5,
            (
                shared.abnormal_lamps(12),
                status_history(
                    "Checks that fail, by protocol",
                    "How many checks of each protocol had no success last, also those that never had one: these are no "
                    "outage. Of the sites and protocols that are chosen, all customers: made by "
                    "recording rules (alert_rules/recording.yml), since it is slow with 120,000 checks.",
                    Query(
                        'sum by (protocol) (site_protocol:dserver_service_up:count{site=~"$site",protocol=~"$protocol"}'
                        ' - site_protocol:dserver_service_up:sum{site=~"$site",protocol=~"$protocol"})',
                        "{{protocol}}",
                    ),
                    some(BAD),
                    width=12,
                    none="no recorded series",
                ),
            ),
        ),
        Row(5, (shared.reports_due(10), shared.alerts(14))),
    ),
    since="now-3h",
    refresh="30s",
    runbooks=True,
)
