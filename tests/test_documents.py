"""What the documents point at is there, and the two READMEs say the same commands."""

import re
from pathlib import Path

import pytest

from exporter.config import load

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("alert_rules/*.md"), *ROOT.glob("dashboards/*.md")]
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    missing = [
        target
        for target in targets
        if "://" not in target and not target.startswith("#") and not (document.parent / target.split("#")[0]).exists()
    ]
    assert missing == []


def headings(document: Path) -> set[str]:
    """Return what of a document can be linked to: headings in small letters, hyphens for spaces, else words alone."""
    found = re.findall(r"^#+ (.*)$", document.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_heading_leads_to_one(document: Path) -> None:
    targets = re.findall(r"\]\(([^)\s:]*)#([^)\s]+)\)", document.read_text(encoding="utf-8"))
    missing = [
        f"{name}#{heading}"
        for name, heading in targets
        if heading not in headings(document.parent / name if name else document)
    ]
    assert missing == []


def test_no_two_decisions_have_the_same_number() -> None:
    numbers = [path.name[:4] for path in sorted((ROOT / "docs" / "decisions").glob("*.md"))]
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


def commands(name: str) -> list[str]:
    text = (ROOT / name).read_text(encoding="utf-8")
    return [line.split("#")[0].strip() for line in text.splitlines() if line.startswith("$ ")]


def test_both_readmes_give_the_same_commands_and_the_same_configuration() -> None:
    assert commands("README.md") == commands("README.ja.md")
    blocks = [
        re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(), re.DOTALL) for name in ("README.md", "README.ja.md")
    ]
    assert blocks[0] == blocks[1]


def test_the_readmes_first_configuration_is_ten_lines_and_valid(tmp_path: Path) -> None:
    found = re.search(r"```yaml\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found
    (tmp_path / "dserver.yml").write_text(found[1], encoding="utf-8")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "bmc").write_text("x")
    (tmp_path / "secrets" / "bmc").chmod(0o600)
    config, problems = load(tmp_path / "dserver.yml")
    assert problems == ()
    assert [check.name for check in config.checks()] == ["ssh", "https"]
    assert len(found[1].splitlines()) <= 10
