"""Write all dashboards in both languages: ``dashboards/ja/*.json`` and ``dashboards/en/*.json``."""

import argparse
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


def main() -> None:
    """Write the files, and delete those of dashboards that are no more."""
    parser = argparse.ArgumentParser(prog="python -m dashboards.generate", description=__doc__)
    parser.add_argument("--runbooks", default=RUNBOOKS, help="where docs/runbooks is published (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=FOLDER, help="folder to write to (default: %(default)s)")
    options = parser.parse_args()
    files = generate(options.runbooks)
    for language in LANGUAGES:
        (options.output / language).mkdir(parents=True, exist_ok=True)
        for old in (options.output / language).glob("*.json"):
            if old.relative_to(options.output) not in files:
                old.unlink()
    for path, text in files.items():
        (options.output / path).write_text(text, "utf-8")


if __name__ == "__main__":
    main()
