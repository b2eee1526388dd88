"""A real Prometheus that knows the demo fleet's story, what the shipped rules record of it, and what they alert of."""

import datetime
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dashboards.boards import Target
from tests.dashboards.recording import Moments, last_working_day, record
from tests.peers.prometheus import Prometheus

ROOT = Path(__file__).parents[2]
LOOKBACK = 61
"""Seconds for which a sample counts: what is imported has no staleness markers, and a job scrapes every minute."""


WINDOW = 900
"""Seconds that a panel over time looks back at."""


@dataclass(frozen=True, slots=True)
class Told:
    """The story in a Prometheus."""

    prometheus: Prometheus
    when: Moments
    _answers: dict[tuple[str, str], list[dict[str, Any]]] = field(default_factory=dict)

    def ask(self, target: Target, moment: str) -> list[dict[str, Any]]:
        """Return the answer to a panel's query at a moment of the story."""
        asked = (target.expr, moment)
        if asked not in self._answers:
            at = getattr(self.when, moment)
            self._answers[asked] = (
                self.prometheus.query(target.expr, at)
                if target.instant
                else self.prometheus.query_range(target.expr, at - WINDOW, at, 60)
            )
        return self._answers[asked]


@pytest.fixture(scope="session")
def told(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Play the story, import it, record and alert by the shipped rules, and serve it all."""
    promtool, folder = peer("promtool"), tmp_path_factory.mktemp("story")
    prometheus = Prometheus(peer("prometheus"), folder, "", [f"--query.lookback-delta={LOOKBACK}s"])
    scraped, when = record(folder, last_working_day(datetime.datetime.now(datetime.UTC)))
    _promtool(promtool, "create-blocks-from", "openmetrics", "--quiet", scraped, folder / "data")
    with prometheus:
        rules = ROOT / "alert_rules" / "recording.yml"
        span = (f"--start={when.begin}", f"--end={when.end}", "--eval-interval=60s", f"--url={prometheus.url}")
        _promtool(promtool, "create-blocks-from", "rules", *span, f"--output-dir={folder / 'recorded'}", rules)
        alerts = folder / "alerts.om"
        alerts.write_text(_alerts(prometheus, when), "utf-8")
    _promtool(promtool, "create-blocks-from", "openmetrics", "--quiet", alerts, folder / "data")
    for block in (folder / "recorded").iterdir():
        block.rename(folder / "data" / block.name)
    with prometheus:
        yield Told(prometheus, when)


def _promtool(program: str, *arguments: str | Path) -> None:
    command = [program, "tsdb", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def _alerts(prometheus: Prometheus, when: Moments) -> str:
    """Return ALERTS as Prometheus has it: no rule waits, an alert fires while its expression has a value."""
    lines = []
    for file in sorted((ROOT / "alert_rules").glob("*.yml")):
        for group in yaml.safe_load(file.read_text("utf-8"))["groups"]:
            for rule in group["rules"]:
                if "alert" not in rule:
                    continue
                for series in prometheus.query_range(rule["expr"], when.begin, when.end, 60):
                    labels = {**series["metric"], **rule["labels"], "alertname": rule["alert"], "alertstate": "firing"}
                    named = ",".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
                    lines += [f"ALERTS{{{named}}} 1 {time}\n" for time, _ in series["values"]]
    return "".join(lines) + "# EOF\n"
