"""Every alert has its runbook in both languages, of the same build, and what it tells one to type exists."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.cli import _parser
from exporter.clock import SystemClock
from exporter.families import FAMILIES
from exporter.telemetry import Telemetry

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "runbooks"
TEMPLATES = ROOT / "exporter" / "mail" / "templates"
RULES: list[dict[str, Any]] = [
    rule
    for file in sorted((ROOT / "alert_rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text("utf-8"))["groups"]
    for rule in group["rules"]
    if "alert" in rule
]
LABELS = {
    rule["alert"]: set(re.findall(r"\w+", " ".join(re.findall(r"by \(([^)]*)\)", rule["expr"])))) for rule in RULES
}
HEADINGS = {
    "": ["What it means", "What the contract asks", "What to look at", "What to do", "How to quiet it", "How it ends"],
    "ja": ["意味", "契約上の義務", "確認すること", "対処", "通知を止めるには", "解消の条件"],
}
VALUES = {"TIME": "2026-12-10T12:00", "DATE": "2026-12-10", "DURATION": "2h"}
"""What a word in capitals stands for; others are names or texts."""

each_alert = pytest.mark.parametrize("alert", sorted(LABELS))
each_page = pytest.mark.parametrize(
    "page", sorted(FOLDER.glob("**/[A-Z]*.md")), ids=lambda page: str(page.relative_to(FOLDER))
)


@each_alert
@pytest.mark.parametrize("language", HEADINGS)
def test_every_alert_has_a_short_runbook_in_both_languages(alert: str, language: str) -> None:
    text = (FOLDER / language / f"{alert}.md").read_text("utf-8")
    assert text.startswith(f"# {alert}\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS[language]
    assert len(text.split()) < 450


@each_alert
def test_both_languages_have_the_same_commands_and_metrics(alert: str) -> None:
    english, japanese = ((FOLDER / language / f"{alert}.md").read_text("utf-8") for language in HEADINGS)
    assert set(commands(english)) == set(commands(japanese))
    assert metrics(english) == metrics(japanese)


@each_alert
def test_the_index_names_it_in_both_languages(alert: str) -> None:
    assert f"| `{alert}` | [English]({alert}.md) | [日本語](ja/{alert}.md) |" in (FOLDER / "README.md").read_text(
        "utf-8"
    )


def test_no_runbook_is_left_of_an_alert_that_is_gone() -> None:
    assert {page.stem for page in FOLDER.glob("**/*.md")} == {*LABELS, "README"}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_mails_to_the_noc_name_runbooks_in_its_language(language: str) -> None:
    mails = [file.read_text("utf-8") for file in (TEMPLATES / language).glob("*.txt")]
    named = [ROOT / path for text in mails for path in re.findall(r"docs/runbooks/\S+", text)]
    assert named
    assert {path.parent for path in named} == {FOLDER / "ja" if language == "ja" else FOLDER}
    assert all(path.is_file() for path in named)


def test_the_sample_configuration_scrapes_whatever_runbooks_ask_metrics_of() -> None:
    asked = {
        name
        for page in FOLDER.glob("**/*.md")
        for name in re.findall(r"\b([a-z]+)_\w+(?:_total|_seconds)\b", page.read_text("utf-8"))
    }
    jobs = yaml.safe_load((ROOT / "examples" / "prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert asked == {"alertmanager", "dserver"}
    assert asked <= {job["job_name"].partition("-")[0] for job in jobs}


def commands(text: str) -> list[str]:
    """Return the lines that one would type, from blocks and from what is set in type within a sentence."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("   #")[0].strip() for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`((?:dserver-exporter|amtool) [^`]*)`", text)


def metrics(text: str) -> set[str]:
    return set(re.findall(r"\bdserver_\w+", text))


@each_page
def test_the_commands_of_a_runbook_exist_with_their_flags(page: Path) -> None:
    for line in commands(page.read_text("utf-8")):
        words = shlex.split(re.sub(r"\b[A-Z]{4,}\b", lambda word: VALUES.get(word[0], "name"), line))
        if words[0] != "dserver-exporter":
            continue
        _, rest = _parser().parse_known_args(words[1:])  # exits where an argument is missing or is none
        assert rest == [], line


@each_page
def test_a_silence_is_narrow_and_has_an_end_an_author_and_a_reason(page: Path) -> None:
    for line in commands(page.read_text("utf-8")):
        if line.startswith("amtool silence add "):
            words = shlex.split(line)
            matchers = dict(word.split("=", 1) for word in words[3:] if not word.startswith("-"))
            assert {word.split("=")[0] for word in words if word.startswith("--")} == {
                "--duration",
                "--author",
                "--comment",
            }
            assert matchers.pop("alertname") == page.stem
            assert matchers.keys() - {"severity", "notify"} <= LABELS[page.stem]
            assert matchers.get("server") or matchers.get("instance")
            assert matchers.get("notify") != "customer"


@each_page
def test_only_metrics_that_exist_are_named(page: Path) -> None:
    declared = {family.name for family in FAMILIES}
    own = Telemetry(SystemClock()).render().decode()
    unknown = {name for name in metrics(page.read_text("utf-8")) - declared if f"# TYPE {name} " not in own}
    assert unknown == set()
