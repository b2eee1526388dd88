"""What docs/checks/ promises: every check has its section, every option stands in it, every example is valid."""

import pytest

import collectors.services  # noqa: F401 - registers the checks
from collectors.registry import CHECKS
from collectors.tls import TlsOptions
from tests import guide


def test_the_guide_has_a_section_for_every_check_and_no_other() -> None:
    assert guide.SECTIONS.keys() == CHECKS.keys()
    index = (guide.FOLDER / "index.md").read_text("utf-8")
    assert all(f"`{name}`" in index for name in CHECKS)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_section_of_a_check_names_every_option(name: str) -> None:
    own = CHECKS[name].options.model_fields.keys() - TlsOptions.model_fields.keys()
    assert own == guide.documented(name) - TlsOptions.model_fields.keys()


@pytest.mark.parametrize("name", sorted(CHECKS))
@pytest.mark.parametrize("part", ["**Sent**", "**A pass proves**", "By hand:"])
def test_the_section_of_a_check_has_its_parts(name: str, part: str) -> None:
    assert part in guide.SECTIONS[name]


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_section_of_a_check_names_its_steps(name: str) -> None:
    assert guide.steps(name) > guide.COMMON_STEPS


def test_the_common_tls_options_are_all_in_the_guide() -> None:
    assert all(f"| `{name}` |" in guide.GUIDE for name in TlsOptions.model_fields)


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_examples_of_a_check_are_valid(name: str) -> None:
    entries = guide.examples(name)
    assert any(entry["protocol"] == name for entry in entries)
    for entry in entries:
        kind = CHECKS[entry["protocol"]]
        kind.options.model_validate(guide.options(entry), context={"folder": guide.FOLDER})
