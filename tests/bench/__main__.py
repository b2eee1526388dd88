"""``make bench``: measures ours and the peers side by side, and shows the table."""

import argparse
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import report
from tests.bench.measure import PROJECT
from tests.bench.rows import LONG, PARTS, Bench

DOCUMENT = PROJECT / "docs" / "performance.md"


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="three minutes instead of eight; docs/performance.md stays"
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=f"of {', '.join(PARTS)}; docs stay")
    asked = parser.parse_args()
    quick = asked.quick
    began = time.monotonic()

    def tell(step: str) -> None:
        print(f"{time.monotonic() - began:4.0f} s  {step}", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        bench = Bench(Path(folder), tell, quick=quick)
        bench.run(asked.only or [part for part in PARTS if not quick or part not in LONG])
    cells = report.table(bench.results, all_rows=not asked.only)
    versions = ", ".join(f"{name} {version}" for name, version in sorted(bench.versions.items()))
    where = f"{datetime.now(UTC):%Y-%m-%d}, {report.machine()}; {versions or 'no peers'}."
    print(f"\n{report.plain(cells)}\n\n{where}\nMedian of the rounds (least to most).")
    if not quick and not asked.only:
        text = DOCUMENT.read_text("utf-8")
        DOCUMENT.write_text(report.put(text, f"{where}\n\n{report.markdown(cells)}"), "utf-8")


if __name__ == "__main__":
    main()
