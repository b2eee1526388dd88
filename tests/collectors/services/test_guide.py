"""What docs/checks/ promises: every check has its section, every option stands in it, every example is valid."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

import collectors.services  # noqa: F401 - registers the checks
from collectors.registry import CHECKS
from collectors.tls import TlsOptions

FOLDER = Path(__file__).parents[3] / "docs" / "checks"
GUIDE = "\n".join(file.read_text("utf-8") for file in sorted(FOLDER.glob("*.md")))
SECTIONS = dict(re.findall(r"^### `([^`]+)`\n(.*?)(?=^##? |^### |\Z)", GUIDE, re.MULTILINE | re.DOTALL))
COMMON = {"protocol", "name", "credential"}
TOLD_WITH = {"https": "http", "mariadb": "mysql"}
"""Checks whose options stand in the section of another."""


def test_the_guide_has_a_section_for_every_check_and_no_other() -> None:
    assert SECTIONS.keys() == CHECKS.keys()
    index = (FOLDER / "index.md").read_text("utf-8")
    assert all(f"`{name}`" in index for name in CHECKS)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_section_of_a_check_names_every_option(name: str) -> None:
    own = CHECKS[name].options.model_fields.keys() - TlsOptions.model_fields.keys()
    documented = set(re.findall(r"^\| `(\w+)` \|", SECTIONS[name], re.MULTILINE))
    if name in TOLD_WITH:
        documented |= set(re.findall(r"^\| `(\w+)` \|", SECTIONS[TOLD_WITH[name]], re.MULTILINE))
    assert own == documented - TlsOptions.model_fields.keys()


def test_the_common_tls_options_are_all_in_the_guide() -> None:
    assert all(f"| `{name}` |" in GUIDE for name in TlsOptions.model_fields)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_examples_of_a_check_are_valid(name: str) -> None:
    examples: list[dict[str, Any]] = []
    for text in re.findall(r"```yaml\n(services:.*?)```", SECTIONS[name], re.DOTALL):
        examples += [{"protocol": each} if isinstance(each, str) else each for each in yaml.safe_load(text)["services"]]
    assert any(example["protocol"] == name for example in examples)
    for example in examples:
        options = {key: value for key, value in example.items() if key not in COMMON}
        CHECKS[example["protocol"]].options.model_validate(options, context={"folder": FOLDER})
