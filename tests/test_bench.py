"""The benchmark's report: figures are never asserted, what is made of them is."""

import asyncio
from pathlib import Path

import pytest

import collectors.services  # noqa: F401 - registers the checks
from collectors.attempt import attempt
from collectors.registry import CHECKS, ServiceTarget
from tests.bench import report
from tests.bench.measure import PROJECT, Helper, Sample
from tests.bench.ours import NAME
from tests.bench.protocols import PROTOCOLS, options, row_key
from tests.bench.report import ROWS, Result
from tests.peers.certificates import Authority


def row(results: dict[str, Result], key: str) -> tuple[str, ...]:
    return report.table(results)[1 + list(ROWS).index(key)]


def test_a_row_has_medians_their_range_the_ratio_and_whether_the_goal_is_met() -> None:
    result = Result(Sample((0.1, 0.3, 0.101)), Sample((0.6, 0.505, 0.4)))
    assert row({"tcp": result}, "tcp") == (
        "TCP, paced",
        "ms CPU / check",
        "0.101 (0.1 to 0.3)",
        "blackbox_exporter",
        "0.505 (0.4 to 0.6)",
        "1/5.0",
        "1/5",
        "met",
    )
    missed = Result(Sample((0.102,)), Sample((0.505,)))
    assert row({"tcp": missed}, "tcp")[-3:] == ("1/5.0", "1/5", "missed")


def test_a_peer_that_is_not_installed_is_named_and_its_row_stays_open() -> None:
    cells = row({"bmc": Result(Sample((4.0,)), "ipmi_exporter is not installed")}, "bmc")
    assert cells[2:] == ("4", "ipmi_exporter, FreeIPMI", "ipmi_exporter is not installed", "–", "1/10", "")


def test_a_row_without_a_measurement_is_there_and_says_so() -> None:
    assert len(report.table({})) == 1 + len(ROWS)
    assert row({}, "load-long")[2:] == ("not measured", "–", "–", "–", "–", "")


def test_a_figure_without_a_peer_is_judged_by_its_limit() -> None:
    assert row({"load-short": Result(Sample((9.99,)))}, "load-short")[-2:] == ("10 s", "met")
    assert row({"load-short": Result(Sample((10.1,)))}, "load-short")[-2:] == ("10 s", "missed")


@pytest.mark.parametrize(
    ("key", "goal"),
    [("tcp", 1 / 5), ("http", 1 / 3), ("https", 1 / 2), ("bmc", 1 / 10), ("snmp-paced", 1), ("scrape", 1 / 20)],
)
def test_every_goal_has_its_row(key: str, goal: float) -> None:
    assert ROWS[key].goal == goal


def test_every_protocol_has_its_row_and_no_other() -> None:
    assert PROTOCOLS.keys() == CHECKS.keys()
    for name, protocol in PROTOCOLS.items():
        for peer in protocol.peers:
            assert ROWS[row_key(name, peer)].peer == peer


async def test_every_protocol_passes_against_its_target(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    with Helper("targets", str(authority.issue(NAME, "127.0.0.1"))) as targets:
        ports = targets.ask()["ports"]
        for name in PROTOCOLS.keys() - {"icmp"}:  # that is between us and the kernel, and needs privileges
            kind = CHECKS[name]
            opts = kind.options.model_validate(options(name, ports, authority.file))
            deadline = asyncio.get_running_loop().time() + 10
            reading = await attempt(kind, ServiceTarget("127.0.0.1", NAME), opts, deadline)
            assert reading.failure is None, f"{name}: {reading.failure}"


def test_the_terminal_shows_aligned_columns_and_the_document_a_table() -> None:
    cells = [("work", "ours"), ("TCP, paced", "0.1"), ("a", "12")]
    assert report.plain(cells) == "work        ours\n----------------\nTCP, paced  0.1\na           12"
    assert report.markdown(cells) == "| work | ours |\n|---|---|\n| TCP, paced | 0.1 |\n| a | 12 |\n"


def test_only_what_stands_between_the_markers_is_replaced() -> None:
    old = f"before\n{report.BEGIN}old\n{report.END}after\n"
    assert report.put(old, "new") == f"before\n{report.BEGIN}\nnew\n{report.END}after\n"
    with pytest.raises(ValueError, match="markers"):
        report.put("no table here", "new")
    assert report.BEGIN in (PROJECT / "docs" / "performance.md").read_text("utf-8")
