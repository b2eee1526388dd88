"""One file per mistake: its first lines are the sentences it must produce, and no others."""

import shutil
from pathlib import Path

import pytest

from exporter.config import ConfigError, load

MISTAKES = Path(__file__).parent / "mistakes"
NAMES = sorted(file.name for file in MISTAKES.glob("*.yml"))
MARK = "# expect: "


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy with the permissions that secrets have: git does not keep them."""
    copy = tmp_path_factory.mktemp("config") / "mistakes"
    shutil.copytree(MISTAKES, copy)
    for file in (copy / "files").iterdir():
        file.chmod(0o600)
    return copy


def problems_of(folder: Path, name: str, rules: Path) -> list[str]:
    file = folder / name
    try:
        _, problems = load(file, rules=rules)
    except ConfigError as error:
        problems = error.problems
    texts = [str(problem).removeprefix(f"{file}:").strip() for problem in problems]
    return [text.replace(f"{folder}/", "").replace(str(rules), "rules") for text in texts]


@pytest.mark.parametrize("name", NAMES)
def test_a_mistake_is_told_by_its_sentence_with_its_line_and_path(name: str, folder: Path, rules: Path) -> None:
    lines = (MISTAKES / name).read_text().splitlines()
    expected = [line.removeprefix(MARK) for line in lines if line.startswith(MARK)]
    assert expected
    assert problems_of(folder, name, rules) == expected


@pytest.mark.parametrize("name", NAMES)
def test_no_sentence_repeats_what_may_be_a_secret(name: str, folder: Path, rules: Path) -> None:
    assert not [text for text in problems_of(folder, name, rules) if "hunter" in text]


def test_the_helper_files_are_all_used() -> None:
    said = "".join((MISTAKES / name).read_text() for name in NAMES)
    assert not [file.name for file in (MISTAKES / "files").iterdir() if f"files/{file.name}" not in said]
