"""What docs/checks/ says, for the tests that hold the checks to it."""

import re
from pathlib import Path
from typing import Any

import yaml

from exporter.config.schema import ServiceSection

FOLDER = Path(__file__).parents[1] / "docs" / "checks"
GUIDE = "\n".join(file.read_text("utf-8") for file in sorted(FOLDER.glob("*.md")))
SECTIONS: dict[str, str] = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##? |^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
COMMON = {*ServiceSection.written()}
"""Keys of an entry that are no options of its protocol."""
COMMON_STEPS = {"start", "connect", "tls", "expiry", "name", "chain", "pin"}
"""Of every check; index.md describes them."""


def documented(name: str) -> set[str]:
    """Return the options in the tables of a section, and of one whose options are told to be its own, too."""
    options = set(re.findall(r"^\| `(\w+)` \|", SECTIONS[name], re.MULTILINE))
    same = {"https": "http", "mariadb": "mysql"}.get(name)
    return options | documented(same) if same else options


def steps(name: str) -> set[str]:
    """Return the steps that a section names after ``Steps``, and those of sections whose steps are told to be its own.

    A numbered one stands for all of its kind.
    """
    found = set(COMMON_STEPS)
    for named in re.findall(r"\bSteps(?: in failures)?:(.*?)(?=\.\s|\n\n|\Z)", SECTIONS[name], re.DOTALL):
        found |= {kind_of_step(word) for word in re.findall(r"`([^`]+)`", named)}
    for other in re.findall(r"\b[Ss]teps\s+and\s+failures\s+are\s+those\s+of\s+`(\w+)`", SECTIONS[name]):
        found |= steps(other)
    return found


def kind_of_step(step: str) -> str:
    """Return a step without its number."""
    return re.sub(r" \d+$", "", step)


def examples(name: str) -> list[dict[str, Any]]:
    """Return all entries of ``services:`` in a section's examples."""
    found: list[dict[str, Any]] = []
    for text in re.findall(r"```yaml\n(services:.*?)```", SECTIONS[name], re.DOTALL):
        found += [{"protocol": each} if isinstance(each, str) else each for each in yaml.safe_load(text)["services"]]
    return found


def options(entry: dict[str, Any]) -> dict[str, Any]:
    """Return the options of an entry that are its protocol's."""
    return {key: value for key, value in entry.items() if key not in COMMON}
