"""A scrape of 48,000 samples: our exposition and prometheus_client's, on the same data, in one process, alternating."""

import time
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from exporter import families as f
from exporter.exposition import Exposition, Lines, label_text
from exporter.families import Selection
from tests.bench.measure import Questions

CHECKS = 12_000
FAMILIES = (f.SERVICE_UP, f.SERVICE_OUTAGE, f.SERVICE_DURATION, f.SERVICE_LAST_RUN)


class Ready(Collector):
    """Gives metrics that were made before, so that only their rendering is measured."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        yield from self._metrics


def main() -> None:
    """Answer questions: so many rounds, each the CPU seconds of ours and of the peer's."""
    exposition = Exposition()
    metrics = [GaugeMetricFamily(family.name, family.help, labels=family.labels) for family in FAMILIES]
    for number in range(CHECKS):
        labels = (f"s{number // 12:05}", f"c{number % 12}", "tcp")
        values = (1.0, 0.0, 0.001 + number / 1e6, 1.8e9 + number / 1000)
        lines = Lines()
        for family, metric, value in zip(FAMILIES, metrics, values, strict=True):
            lines.add(family, label_text(family.labels, labels), value)
            metric.add_metric(labels, value)
        exposition.publish(("check", *labels[:2]), lines)
    registry = CollectorRegistry()
    registry.register(Ready(list(metrics)))

    def ours() -> bytes:
        return b"".join(exposition.chunks((Selection.SERVICES,)))

    def theirs() -> bytes:
        return generate_latest(registry)

    mine = ours()
    assert all(family in mine for family in theirs().split(b"# HELP ")[1:]), "they do not say the same"
    asked = Questions()
    while (question := asked.next()) is not None:
        rounds = [(_cpu(ours), _cpu(theirs)) for _ in range(question["rounds"])]
        asked.answer(rounds=rounds)


def _cpu(render: Callable[[], bytes]) -> float:
    began = time.process_time()
    render()
    return time.process_time() - began


if __name__ == "__main__":
    main()
