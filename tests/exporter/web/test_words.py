"""The pages' words: complete in both languages, and times and lengths said in them."""

import re
from importlib.resources import files
from itertools import chain
from zoneinfo import ZoneInfo

import jinja2
import pytest
from jinja2 import nodes

from exporter.web.pages.words import CATALOGUE, LANGUAGES, Words
from tests.exporter.web.browsing import SINCE

TOKYO = ZoneInfo("Asia/Tokyo")


def _spoken() -> tuple[set[str], tuple[str, ...]]:
    """Return the keys of the catalogue that templates and modules name, and the beginnings of those made up."""
    keys: set[str] = set()
    beginnings: set[str] = set()
    loader = jinja2.PackageLoader("exporter.web.pages")
    environment = jinja2.Environment(autoescape=True)
    for name in loader.list_templates():
        tree = environment.parse(loader.get_source(environment, name)[0])
        keys |= {const.value for const in tree.find_all(nodes.Const) if isinstance(const.value, str)}
        firsts = (concat.nodes[0] for concat in tree.find_all(nodes.Concat))
        beginnings |= {first.value for first in firsts if isinstance(first, nodes.Const)}
    for file in files("exporter.web.pages").iterdir():
        if file.name.endswith(".py"):
            keys |= set(re.findall(r'"([\w.-]+)"', file.read_text("utf-8")))
            beginnings |= set(re.findall(r'f"([\w.-]+)\{', file.read_text("utf-8")))
    pages = tuple({f"{key.partition('.')[0]}." for key in CATALOGUE})
    found = {key for key in keys - beginnings if key.startswith(pages) and not key.endswith(".html.j2")}
    return found, tuple(each for each in beginnings if each.startswith(pages))


def test_pages_say_only_what_the_catalogue_has_and_the_catalogue_has_nothing_else() -> None:
    spoken, beginnings = _spoken()
    assert spoken - CATALOGUE.keys() == set()
    assert {key for key in CATALOGUE if key not in spoken and not key.startswith(beginnings)} == set()


@pytest.mark.parametrize("key", sorted(CATALOGUE))
def test_every_message_is_there_in_both_languages_with_the_same_parts(key: str) -> None:
    message = CATALOGUE[key]
    assert set(message) == set(LANGUAGES)
    texts = list(chain.from_iterable([text] if isinstance(text, str) else text for text in message.values()))
    parts = {frozenset(re.findall(r"\{(\w+)\}", text)) - {"n"} for text in texts}
    assert len(parts) == 1
    for text in message.values():
        if not isinstance(text, str):
            assert len(text) == 2  # singular and plural


@pytest.mark.parametrize(
    ("milliseconds", "english", "japanese"),
    [
        (0, "0 s", "0秒"),
        (59_999, "59 s", "59秒"),
        (60_000, "1 min", "1分"),
        (200_000, "3 min 20 s", "3分20秒"),
        (7_500_000, "2 h 5 min", "2時間5分"),
        (273_600_000, "3 d 4 h", "3日4時間"),
    ],
)
def test_lengths_of_time_are_told_in_their_two_largest_units(milliseconds: int, english: str, japanese: str) -> None:
    assert Words("en", TOKYO, SINCE).length(milliseconds) == english
    assert Words("ja", TOKYO, SINCE).length(milliseconds) == japanese


def test_times_are_told_in_the_configured_zone_and_with_the_year_where_it_is_another() -> None:
    t = Words("ja", TOKYO, SINCE)
    assert t.time(SINCE) == "2027-01-15 17:00:00 JST"
    assert t.short_time(SINCE) == "01-15 17:00:00"
    assert t.short_time(SINCE - 15 * 86_400_000) == "2026-12-31 17:00:00"
