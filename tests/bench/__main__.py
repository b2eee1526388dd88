"""``make bench``: measures ours and the peers side by side, and shows the table."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import report
from tests.bench.measure import PROJECT
from tests.bench.rows import Bench

DOCUMENT = PROJECT / "docs" / "performance.md"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of five; docs/performance.md stays")
    quick = parser.parse_args().quick
    began = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {step}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), tell, quick=quick)
        bench.run()
    cells = report.table(bench.results)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(bench.versions.items()))
    where = f"{datetime.now(UTC):%Y-%m-%d}, {report.machine()}; {versions or 'no peers'}."
    print(f"\n{report.plain(cells)}\n\n{where}\nMedian of the rounds (least to most).")
    if not quick:
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(report.put(text, f"{where}\n\n{report.markdown(cells)}"), "utf-8")


if __name__ == "__main__":
    main()
