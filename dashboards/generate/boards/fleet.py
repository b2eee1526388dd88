"""The fleet's hardware: by vendor, model, site and rack."""

from collections.abc import Sequence

from dashboards.generate import queries as q
from dashboards.generate import variables
from dashboards.generate.boards import shared
from dashboards.generate.vocabulary import (
    BAD,
    GREY,
    NOTICE,
    WARN,
    Board,
    Column,
    Panel,
    Query,
    Row,
    named,
    number,
    some,
    table_of,
    time_series,
)


def _verdicts(title: str, description: str, queries: Sequence[str], leading: Sequence[Column], width: int) -> Panel:
    return table_of(
        title,
        description,
        queries,
        (
            *leading,
            Column("Value #A", "Servers", 90),
            Column("Value #B", "Critical", 100, states=some(BAD)),
            Column("Value #C", "Warning", 100, states=some(WARN)),
            Column("Value #D", "Unknown", 100, states=some(GREY)),
        ),
        width=width,
        worst_first=("Value #B", "Value #C", "Value #A"),
        none="no server was read yet",
    )


_VERDICT = q.SERVER_VERDICT
_RATIO = 'max by (server, source, log) (dserver_event_log_used_ratio{server=~"$server"})'

BOARD = Board(
    "fleet",
    "Fleet hardware",
    "The hardware of all servers: by vendor, model, site and rack, and what could not be read.",
    (variables.SITE, variables.CUSTOMER, variables.SERVER),
    (
        Row(
            4,
            (
                number("Servers", "Servers in the inventory.", f"count({q.inventory()})", width=4),
                number(
                    "Critical",
                    "Servers with a critical lamp.",
                    q.total(q.within_fleet(f"{_VERDICT} == 2")),
                    width=4,
                    states=some(BAD),
                ),
                number(
                    "Warning",
                    "Servers whose worst lamp is a warning.",
                    q.total(q.within_fleet(f"{_VERDICT} == 1")),
                    width=4,
                    states=some(WARN),
                ),
                number(
                    "Unknown",
                    "Servers of whose lamps nothing is known for certain: a source could not be read, or "
                    "there is none.",
                    q.total(q.within_fleet(f"{_VERDICT} == -1")),
                    width=4,
                    states=some(GREY),
                ),
                number(
                    "Switched off",
                    "Servers that are powered off; some are meant to be.",
                    q.total(q.within_fleet(f"{q.by_server('dserver_power_on')} == 0")),
                    width=4,
                    states=some(NOTICE),
                ),
                number(
                    "Locate lamps lit",
                    "Servers whose locate lamp is lit: somebody looks for them.",
                    q.total(q.within_fleet(f"{q.by_server('dserver_locate_lamp_on')} == 1")),
                    width=4,
                    states=some(NOTICE),
                ),
            ),
        ),
        Row(
            8,
            (
                _verdicts(
                    "By vendor",
                    "Servers and their lamps by the manufacturer that the hardware names.",
                    q.hardware_by("manufacturer"),
                    (Column("manufacturer", "Manufacturer"),),
                    12,
                ),
                _verdicts(
                    "By model",
                    "Servers and their lamps by the model that the hardware names.",
                    q.hardware_by("manufacturer, model"),
                    (Column("manufacturer", "Manufacturer", 160), Column("model", "Model")),
                    12,
                ),
            ),
        ),
        Row(
            8,
            (
                _verdicts(
                    "By site", "Servers and their lamps by site.", q.place_by("site"), (Column("site", "Site"),), 12
                ),
                _verdicts(
                    "By rack",
                    "Servers and their lamps by rack: several in one rack point to its power or its cooling.",
                    q.place_by("site, rack"),
                    (Column("site", "Site", 160), Column("rack", "Rack")),
                    12,
                ),
            ),
        ),
        Row(
            9,
            (
                shared.abnormal_lamps(14),
                table_of(
                    "Firmware",
                    "Versions of firmware by model, and how many servers have each.",
                    f"count by (manufacturer, model, firmware) ({q.HARDWARE} and on (server) {q.FLEET})",
                    (
                        Column("manufacturer", "Manufacturer", 160),
                        Column("model", "Model", 160),
                        Column("firmware", "Firmware"),
                        Column("Value", "Servers", 90),
                    ),
                    width=10,
                    worst_first=("Value",),
                    none="no server was read yet",
                ),
            ),
        ),
        Row(
            8,
            (
                time_series(
                    "Lamps over time",
                    "Servers by the verdict of their lamps.",
                    (
                        named(f"count({_VERDICT} == 2) or vector(0)", "critical"),
                        named(f"count({_VERDICT} == 1) or vector(0)", "warning"),
                        named(f"count({_VERDICT} == -1) or vector(0)", "unknown"),
                    ),
                    width=8,
                    points=96,
                ),
                table_of(
                    "The fullest event logs",
                    "A full log keeps no new event, and the cause of the next fault is lost.",
                    f"topk(10, {q.of_fleet(_RATIO)})",
                    (
                        shared.SERVER,
                        Column("log", "Log", 110),
                        Column("source", "Source", 100),
                        Column("Value", "Full", 100, unit="percentunit"),
                    ),
                    width=8,
                    worst_first=("Value",),
                    none="no log tells how full it is",
                ),
                time_series(
                    "Power of the fleet",
                    "Power drawn by the servers that tell it, by site.",
                    Query(
                        "sum by (site) ("
                        + q.of_fleet('max by (server) (dserver_power_watts{server=~"$server"})')
                        + ")",
                        "{{site}}",
                    ),
                    width=8,
                    points=96,
                    unit="watt",
                    none="no server tells its power",
                ),
            ),
        ),
    ),
    since="now-24h",
)
