"""Write all dashboards in both languages: ``dashboards/ja/*.json`` and ``dashboards/en/*.json``."""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from dashboards.generate.boards import BOARDS
from dashboards.generate.messages import LANGUAGES
from dashboards.generate.vocabulary import as_json

FOLDER = Path(__file__).parents[1]
RUNBOOKS = "https://docs.example.net/runbooks"
"""Stands for where docs/runbooks is published, as in examples/prometheus.yml."""


def generate(runbooks: str = RUNBOOKS) -> dict[Path, str]:
    """Return the text of every file, by its path below the folder of the dashboards."""
    return {
        Path(language) / f"{board.name}.json": as_json(board.build(language, BOARDS, runbooks))
        for language in LANGUAGES
        for board in BOARDS
    }


def stale(files: Mapping[Path, str], folder: Path) -> list[Path]:
    """Return which files of the folder are missing, different, or of dashboards that are no more."""
    there = {
        path.relative_to(folder): path.read_text("utf-8")
        for language in LANGUAGES
        for path in (folder / language).glob("*.json")
    }
    return sorted(path for path in {*files, *there} if files.get(path) != there.get(path))


def main() -> None:
    """Write the files, and delete those of dashboards that are no more."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generate", description=__doc__)
    parser.add_argument("--runbooks", default=RUNBOOKS, help="where docs/runbooks is published (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to (default: %(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; fail and name the files that would change")
    options = parser.parse_args()
    files = generate(options.runbooks)
    if options.check:
        if changed := [str(path) for path in stale(files, options.output)]:
            sys.exit(f"not what the generator makes, run `make dashboards`: {', '.join(changed)}")
        return
    for path in stale(files, options.output):
        if path in files:
            (options.output / path).parent.mkdir(parents=True, exist_ok=True)
            (options.output / path).write_text(files[path], "utf-8")
        else:
            (options.output / path).unlink()


if __name__ == "__main__":
    main()
