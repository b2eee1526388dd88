"""What the documents promise: every key is described, the example is whole and right."""

import re
import shutil
from io import StringIO
from pathlib import Path

import pytest

from exporter.config import check, load, schema

ROOT = Path(__file__).parents[3]
GUIDE = (ROOT / "docs" / "configuration.md").read_text()
PARTS = dict(re.findall(r"^##+ (.+?)\n(.*?)(?=^##|\Z)", GUIDE, re.MULTILINE | re.DOTALL))

DESCRIBED: dict[str, type[schema.Section]] = {
    **{f"`{name}`": model for name, model in schema.MAIN.items()},
    "`global.calendar`": schema.CalendarSection,
    "`global.vantage`": schema.VantageSection,
    "Contacts": schema.ContactSection,
    "`maintenance`": schema.MaintenanceSection,
    "`credentials`": schema.CredentialSection,
    "`customers`": schema.CustomerSection,
    "`servers`": schema.ServerSection,
    "Services": schema.ServiceSection,
}


def keys(part: str) -> set[str]:
    """The keys in the first column of a part's tables."""
    cells = re.findall(r"^\| (`.+?) \|", part, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(.+?)`", cell)}


@pytest.mark.parametrize("heading", DESCRIBED)
def test_every_key_is_described_and_no_other(heading: str) -> None:
    assert keys(PARTS[heading]) == set(DESCRIBED[heading].written())


def test_every_key_of_a_lamp_source_is_described_and_no_other() -> None:
    assert keys(PARTS["Lamps"]) == set(schema.LampSection.written())


def test_every_section_has_its_heading() -> None:
    assert {f"`{name}`" for name in (*schema.MAIN, *schema.SHARED, "include")} <= PARTS.keys()


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """A copy whose secrets have the permissions that git does not keep."""
    copy = tmp_path / "examples"
    shutil.copytree(ROOT / "examples", copy)
    for file in (copy / "secrets").iterdir():
        file.chmod(0o600)
    return copy / "dserver.yml"


def test_the_example_is_right_and_needs_no_warning(example: Path) -> None:
    out = StringIO()
    assert check(example, ROOT / "alert_rules", out) == 0
    assert len(out.getvalue().splitlines()) == 1, out.getvalue()


def test_the_example_has_every_section(example: Path) -> None:
    text = example.read_text()
    assert {*schema.MAIN, *schema.SHARED} <= set(re.findall(r"^(\w+):", text, re.MULTILINE))
    config, _ = load(example)
    assert {server.power_expected for server in config.servers.values()} == {True, False}
