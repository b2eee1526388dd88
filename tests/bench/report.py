"""The rows of the benchmark, their goals, and the table: in the terminal and in docs/performance.md."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from exporter.runner import IN_FLIGHT
from tests.bench.measure import Sample
from tests.bench.protocols import PROTOCOLS, row_key

BEGIN, END = "<!-- make bench: begin -->\n", "<!-- make bench: end -->\n"
OPEN = "–"
BLACKBOX, IPMI, SNMP, CLIENT = "blackbox_exporter", "ipmi_exporter", "snmp_exporter", "prometheus_client"


@dataclass(frozen=True, slots=True)
class Spec:
    """A row: what is measured, in which unit, beside whom, and what is to be reached.

    ``goal`` is the largest part of the peer's figure that ours may be, ``limit`` the largest figure itself.
    """

    title: str
    unit: str
    peer: str = ""
    goal: float | None = None
    limit: float | None = None


CHECK, READ = "ms CPU / check", "ms CPU / read"

ROWS: Mapping[str, Spec] = {
    "tcp": Spec("TCP, paced", CHECK, BLACKBOX, goal=1 / 5),
    "http": Spec("HTTP, paced", CHECK, BLACKBOX, goal=1 / 3),
    "https": Spec("HTTPS, new handshake, paced", CHECK, BLACKBOX, goal=1 / 2),
    **{
        row_key(name, peer): Spec(f"{name}, closed loop", CHECK, peer)
        for name, protocol in PROTOCOLS.items()
        for peer in protocol.peers or ("",)
    },
    "bmc": Spec("BMC of 27 sensors, all that we read", READ, f"{IPMI}, FreeIPMI", goal=1 / 10),
    "bmc-looped": Spec("the same, closed loop", READ, f"{IPMI}, FreeIPMI"),
    "bmc-sensors": Spec("BMC of 27 sensors, the peer reads sensors only", READ, f"{IPMI}, FreeIPMI"),
    "bmc-native": Spec("BMC of 27 sensors, all that we read", READ, f"{IPMI}, native"),
    "snmp": Spec("SNMP agent of 58 parts, v2c, closed loop", READ, SNMP),
    "snmp-v3": Spec("the same, v3 with SHA-256 and AES, closed loop", READ, SNMP),
    "snmp-paced": Spec("the same, v2c, by the whole exporter, paced", READ, SNMP, goal=1),
    "snmp-v3-paced": Spec("the same, v3, by the whole exporter, paced", READ, SNMP, goal=1),
    "bmcs": Spec("1,000 BMCs of 17 sensors, all read for the first time", "s"),
    "bmcs-memory": Spec("the same, memory of their lamps and records", "MiB"),
    "bmcs-peak": Spec("the same, most memory meanwhile", "MiB", limit=200),
    "bmcs-lag": Spec("the same, worst lag of 200 TCP checks a second meanwhile", "ms", limit=1000),
    "scrape": Spec("Scrape of 48,000 samples, rendered", "ms CPU", f"{CLIENT}.generate_latest", goal=1 / 20),
    "served": Spec("Scrape of 1,000 servers x 12 checks, over HTTP with gzip", "ms"),
    "served-cpu": Spec("the same", "ms CPU"),
    "served-bytes": Spec("the same, as sent", "kB"),
    "served-text": Spec("the same, decompressed", "kB"),
    "memory": Spec("Memory of 1,000 checks with their results", "MB"),
    "load-short": Spec("Configuration of 10,000 servers x 12 checks, short form, loaded", "s", limit=10),
    "load-short-lag": Spec("the same, worst loop lag", "ms", limit=1000),
    "load-short-memory": Spec("the same, memory of 1,000 checks before their first run", "MB"),
    "load-long": Spec("Configuration of 10,000 servers x 12 checks, long form, loaded", "s"),
    "load-long-lag": Spec("the same, worst loop lag", "ms", limit=1000),
    "load-long-memory": Spec("the same, memory of 1,000 checks before their first run", "MB"),
    "fleet": Spec("10,000 servers x 12 checks every ten minutes, their first runs", "of a core", limit=0.25),
    "fleet-rate": Spec("the same", "checks / s"),
    "fleet-lag": Spec("the same, latest start of an attempt", "ms", limit=1000),
    "page": Spec("NOC page of 10,000 servers x 12 checks while they run, first byte", "ms", limit=200),
    "page-whole": Spec("the same, whole", "ms", limit=1000),
    "page-bytes": Spec("the same, decompressed", "kB", limit=500),
    "page-screens": Spec("the same, 20 screens that show it, beside the checks", "of a core"),
    "minute": Spec("10,000 servers x 12 checks every minute", "of a core", limit=1),
    "fleet-memory": Spec("the same, memory of the fleet with its results", "MB"),
    "minute-rate": Spec("the same", "checks / s"),
    "minute-lag": Spec("the same, latest start of an attempt", "ms", limit=1000),
    "dark": Spec(
        "A tenth of the servers dark at once: latest attempt after its tenth minute, all 60 times as fast",
        "ms",
        limit=1000,
    ),
    "dark-lag": Spec("the same, latest start of an attempt", "ms", limit=1000),
    "dark-virtual": Spec(
        "1,000 of 10,000 servers dark at once, in virtual time: latest attempt after its tenth minute", "ms", limit=1000
    ),
    "dark-virtual-lag": Spec("the same, latest start of an attempt", "ms", limit=1000),
    "dark-virtual-flight": Spec("the same, most attempts at once", "attempts", limit=IN_FLIGHT),
    "lag": Spec("Loop lag, worst of all other rows", "ms", limit=1000),
}


@dataclass(frozen=True, slots=True)
class Result:
    """What was measured for a row, in its unit; a text says why there is nothing."""

    ours: Sample | str
    theirs: Sample | str = ""

    @property
    def ratio(self) -> float | None:
        """Ours as a part of the peer's."""
        if isinstance(self.ours, str) or isinstance(self.theirs, str):
            return None
        return self.ours.median / self.theirs.median


def table(results: Mapping[str, Result], *, all_rows: bool = True) -> list[tuple[str, ...]]:
    """Return the table's cells, the heading first: every row, in order, those that were not measured open."""
    cells: list[tuple[str, ...]] = [("work", "unit", "ours", "peer", "its figure", "ours / peer", "goal", "")]
    for key, spec in ROWS.items():
        if key not in results and not all_rows:
            continue
        result = results.get(key, Result("not measured"))
        ratio = result.ratio
        cells.append(
            (
                spec.title,
                spec.unit,
                _figure(result.ours),
                spec.peer or OPEN,
                _figure(result.theirs),
                OPEN if ratio is None else f"1/{1 / ratio:.1f}",
                _goal(spec),
                _judged(spec, result),
            )
        )
    return cells


def _figure(sample: Sample | str) -> str:
    if isinstance(sample, str):
        return sample or OPEN
    if len(sample.rounds) == 1:
        return _number(sample.median)
    return f"{_number(sample.median)} ({_number(min(sample.rounds))} to {_number(max(sample.rounds))})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _goal(spec: Spec) -> str:
    if spec.goal is not None:
        return f"1/{1 / spec.goal:.0f}"
    return OPEN if spec.limit is None else f"{_number(spec.limit)} {spec.unit}"


def _judged(spec: Spec, result: Result) -> str:
    if spec.goal is not None and result.ratio is not None:
        return "met" if result.ratio <= spec.goal else "missed"
    if spec.limit is not None and not isinstance(result.ours, str):
        return "met" if result.ours.median <= spec.limit else "missed"
    return ""


def plain(cells: Sequence[Sequence[str]]) -> str:
    """Return the table for the terminal."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def markdown(cells: Sequence[Sequence[str]]) -> str:
    """Return the table for the documentation."""
    heading, *rows = [f"| {' | '.join(row)} |" for row in cells]
    return "\n".join([heading, "|---" * len(cells[0]) + "|", *rows]) + "\n"


def put(document: str, between: str) -> str:
    """Return the document with something else between the markers."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the markers of the table are not in the document")
    return f"{before}{begin}\n{between}\n{end}{after}"


def machine() -> str:
    """Return what the figures were taken on, in one line."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    memory = int(next(line for line in _lines("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) / 1024**2
    kernel = ".".join(platform.release().split(".")[:2])
    return f"{cores} x {model}, {memory:.0f} GB, Linux {kernel}, Python {platform.python_version()}"


def _lines(file: str) -> list[str]:
    return Path(file).read_text("utf-8").splitlines()
