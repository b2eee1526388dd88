"""Paths into JSON, inflating and URLs: no text or bytes of a server or an operator break them."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import jsonpath
from collectors.inflate import Inflated, InflateError, coding
from collectors.urls import may_know, read_url, same_site

LIMIT = 10_000


@given(st.sampled_from(["gzip", "deflate", "br"]), st.lists(st.binary(max_size=300), max_size=5))
def test_no_bytes_break_the_inflating_or_give_more_than_the_limit(name: str, pieces: list[bytes]) -> None:
    undo = coding(name)
    assert undo
    inflated = Inflated(undo, LIMIT)
    with contextlib.suppress(InflateError):
        for piece in pieces:
            inflated.take(piece)
        assert len(inflated.end()) <= LIMIT
    assert len(inflated.body) <= 2 * LIMIT


@given(st.text())
def test_a_path_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert all(isinstance(part, str | int) for part in jsonpath.parse(text))


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda kids: st.dictionaries(st.text(), kids))
)
def test_every_value_of_a_document_is_found_by_its_path(document: object) -> None:
    path: list[str | int] = []
    found = jsonpath.read(json.dumps(document))
    while isinstance(document, dict) and document:
        name = next(iter(document))
        path.append(name)
        document = document[name]
    assert jsonpath.same(jsonpath.find(found, tuple(path)), document)


@pytest.mark.parametrize(
    ("place", "start", "may"),
    [
        ("http://a.example/x", "http://a.example/", True),
        ("https://a.example/", "http://a.example/", True),
        ("https://a.example:8443/", "http://a.example/", True),
        ("http://a.example/", "https://a.example/", False),
        ("http://a.example:8080/", "http://a.example/", False),
        ("https://a.example:8443/", "https://a.example/", False),
        ("http://b.example/", "http://a.example/", False),
    ],
)
def test_who_may_know_what_logs_us_in(place: str, start: str, may: bool) -> None:
    assert may_know(read_url(place), read_url(start)) is may


def test_addresses_have_no_site() -> None:
    assert same_site("10.0.0.1", "10.0.0.1")
    assert not same_site("0.0.1", "10.0.0.1")
