"""The committed dashboards: the same as the generator's, whole in both languages, and what the house asks of each."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.generate import messages, states, vocabulary
from dashboards.generate.__main__ import generate, stale
from dashboards.generate.boards import BOARDS
from dashboards.generate.messages import JAPANESE, LANGUAGES, Language, MissingMessageError, say
from exporter import words
from tests.dashboards.boards import FOLDER, NAMES, load, panels

each = pytest.mark.parametrize(
    ("name", "language"), [(name, language) for name in NAMES for language in LANGUAGES], ids=lambda value: str(value)
)


def test_regenerating_changes_nothing() -> None:
    assert stale(generate(), FOLDER) == [], "the dashboards are not what the generator makes: make dashboards"


def test_a_changed_a_missing_and_a_left_over_file_are_found(tmp_path: Path) -> None:
    files = {Path("ja/noc.json"): "{}\n", Path("en/noc.json"): "{}\n"}
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "noc.json").write_text("{ }\n", "utf-8")
    (tmp_path / "ja" / "old.json").write_text("{}\n", "utf-8")
    assert stale(files, tmp_path) == [Path("en/noc.json"), Path("ja/noc.json"), Path("ja/old.json")]


def test_no_message_is_missing_and_none_is_left_over(monkeypatch: pytest.MonkeyPatch) -> None:
    said = set()

    def listening(message: str, language: Language) -> str:
        said.add(message)
        return say(message, language)

    monkeypatch.setattr(vocabulary, "say", listening)
    generate()
    assert said == set(JAPANESE)


def test_a_missing_message_is_named_with_the_file_where_it_belongs() -> None:
    with pytest.raises(MissingMessageError, match=r"ja\.yml has no line for: 'Nothing of the kind'"):
        say("Nothing of the kind", "ja")


def test_japanese_is_japanese_and_english_has_none() -> None:
    japanese = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff]")
    names = {"Python", "Processor", "Operating system"}  # OS, CPU: written in Latin letters in Japanese, too
    assert {english for english, text in JAPANESE.items() if not japanese.search(text)} - names == set()
    assert [english for english in JAPANESE if japanese.search(english)] == []
    assert messages.LANGUAGES == ("ja", "en")


@each
def test_uids_are_fixed_and_times_are_of_japan(name: str, language: Language) -> None:
    dashboard = load(name, language)
    assert dashboard["uid"] == f"dserver-{name}-{language}"
    assert dashboard["timezone"] == "Asia/Tokyo"
    assert not dashboard["editable"]
    assert dashboard["description"]


@each
def test_it_satisfies_grafanas_schema(name: str, language: Language) -> None:
    # The SDK's types are made from Grafana's own schema, and drop what they do not know.
    dashboard = load(name, language)
    read = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert read == dashboard


@each
def test_every_panel_says_what_it_shows_and_what_nothing_means(name: str, language: Language) -> None:
    for panel in panels(load(name, language)):
        assert panel["title"], panel["id"]
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["noValue"].startswith("– "), panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]


@each
def test_titles_of_panels_differ(name: str, language: Language) -> None:
    titles = [panel["title"] for panel in panels(load(name, language))]
    assert len(titles) == len(set(titles))


@each
def test_panels_do_not_overlap(name: str, language: Language) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in load(name, language)["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert max(x for x, _ in cells) < vocabulary.COLUMNS
        taken |= cells


@each
def test_links_lead_to_dashboards_of_the_language_and_set_variables_that_they_have(
    name: str, language: Language
) -> None:
    dashboard = load(name, language)
    ways = {link["url"].removeprefix("/d/") for link in dashboard["links"]}
    other = "en" if language == "ja" else "ja"
    uids = {f"dserver-{board}-{language}" for board in NAMES if board != name}
    assert ways == uids | {f"dserver-{name}-{other}"}
    for url in _urls(dashboard["panels"]):
        if url.startswith("${runbooks}"):
            assert any(variable["name"] == "runbooks" for variable in dashboard["templating"]["list"])
            continue
        matched = re.match(r"/d/dserver-(\w+)-(\w+)\?(.*)&\$\{__url_time_range\}$", url)
        assert matched, url
        assert matched[2] == language
        has = {variable["name"] for variable in load(matched[1], language)["templating"]["list"]}
        assert set(re.findall(r"var-(\w+)=", matched[3])) <= has, url


def _urls(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["url"]] if isinstance(value.get("url"), str) else []
        return own + [url for each in value.values() for url in _urls(each)]
    return [url for each in value for url in _urls(each)] if isinstance(value, list) else []


def test_the_data_source_is_a_variable_and_what_can_be_chosen_is_there() -> None:
    for name in NAMES:
        variables = load(name)["templating"]["list"]
        assert (variables[0]["name"], variables[0]["type"], variables[0]["query"]) == (
            "datasource",
            "datasource",
            "prometheus",
        )
    names = [variable["name"] for variable in load("noc")["templating"]["list"]]
    assert names[:5] == ["datasource", "site", "customer", "server", "protocol"]


def test_the_wall_fits_a_screen_of_1920x1080_and_looks_anew_every_30_seconds() -> None:
    wall = load("noc")
    assert wall["refresh"] == "30s"
    rows = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in wall["panels"])
    assert 16 + rows * 38 <= 1080


def test_letters_on_the_wall_can_be_read_from_four_metres() -> None:
    # 1080 lines on a screen of 55 inches are 0.63 mm apart; letters of 12 mm are seen at an angle of 10' from 4 m
    large = [panel for panel in panels(load("noc")) if panel["type"] == "stat"]
    assert large
    for panel in large:
        sizes = panel["options"]["text"]
        assert min(sizes["titleSize"], sizes["valueSize"]) * 0.63 >= 12, panel["title"]


def test_no_state_is_told_by_its_colour_alone() -> None:
    declared = [value for value in vars(states).values() if isinstance(value, tuple)]
    for each_states in declared:
        for state in each_states:
            assert state.word or state.to is not None or not state.colour, state
            assert not state.word or not state.colour or state.symbol, state
        symbols = [state.symbol for state in each_states if state.colour and state.word]
        words = {(state.symbol, state.word) for state in each_states if state.colour and state.word}
        assert len(symbols) >= len({symbol for symbol, _ in words})
        assert len({word for _, word in words}) == len({symbol for symbol, _ in words}), each_states


def test_lamps_and_verdicts_are_called_as_in_mails() -> None:
    for lamp, word in words.LAMPS["en"].items():
        assert say(word, "ja") == words.LAMPS["ja"][lamp]
    for verdict, word in words.VERDICTS["en"].items():
        assert say(word, "ja") == words.VERDICTS["ja"][verdict]


def test_words_on_colours_can_be_read() -> None:
    for colour in (vocabulary.GOOD, vocabulary.NOTICE, vocabulary.WARN, vocabulary.BAD, vocabulary.GREY):
        lightness = _luminance(colour)
        white, black = 1.05 / (lightness + 0.05), (lightness + 0.05) / (_luminance("#202226") + 0.05)
        # as Grafana chooses the colour of letters: dark ones on what is brighter than 180
        red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
        assert (black if (red * 299 + green * 587 + blue * 114) / 1000 > 180 else white) >= 4.5, colour


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_dashboard_is_in_the_readme() -> None:
    text = (FOLDER / "README.md").read_text("utf-8")
    assert [board.name for board in BOARDS if f"`{board.name}`" not in text] == []


def test_generating_into_another_folder_takes_the_address_of_the_runbooks(tmp_path: Path) -> None:
    files = generate("https://runbooks.example.jp")
    noc = json.loads(files[Path("ja/noc.json")])
    [runbooks] = [variable for variable in noc["templating"]["list"] if variable["name"] == "runbooks"]
    assert runbooks["current"]["value"] == "https://runbooks.example.jp"
