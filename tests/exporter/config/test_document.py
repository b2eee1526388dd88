"""YAML's surprises: a value is what was written, and a file can neither grow nor nest without bounds."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from exporter.config.document import UnreadableError, contents, parse


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("10:00", "10:00"),
        ("10:00-12:00", "10:00-12:00"),
        ("12-29", "12-29"),
        ("2026-12-10", "2026-12-10"),
        ("2026-12-10T10:00+09:00", "2026-12-10T10:00+09:00"),
        ("on", "on"),
        ("no", "no"),
        ("0x16", "0x16"),
        ("017", "017"),
        ("+81584000000", "+81584000000"),
        ("7.10", "7.10"),
        ("1e3", "1e3"),
        ("22", 22),
        ("-1", -1),
        ('"22"', "22"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("=", "="),
        ("!!str 22", "22"),
    ],
)
def test_a_plain_value_is_what_was_written(written: str, value: object) -> None:
    assert parse(f"key: {written}\n").value == {"key": value}


def test_keys_are_texts() -> None:
    assert parse("{8: a, on: b, null: c}").value == {"8": "a", "on": "b", "null": "c"}


def test_aliases_and_merge_keys_are_understood() -> None:
    document = parse("a: &a {x: 1, y: 2}\nb: *a\nc: {<<: *a, y: 3}\nd: {<<: [{x: 9}, *a]}\n")
    assert document.mistakes == []
    assert document.value == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 2},
        "c": {"x": 1, "y": 3},
        "d": {"x": 9, "y": 2},
    }


def test_a_repeated_key_is_a_mistake_at_the_second_one() -> None:
    (mistake,) = parse("a:\n  - b: 1\n    c: 2\n    b: 3\n").mistakes
    assert (mistake.path, mistake.line) == (("a", 0, "b"), 4)


def test_a_key_that_is_also_merged_is_no_repetition() -> None:
    assert parse("a: &a {x: 1}\nb: {x: 2, <<: *a}\n").mistakes == []


def test_lines_are_those_of_the_keys_and_list_entries_that_were_asked_for() -> None:
    text = "servers:\n  - name: a\n    lamps:\n      - source:\n          ipmi\n"
    wanted = {("servers",), ("servers", 0), ("servers", 0, "lamps", 0, "source"), ("nowhere",)}
    assert parse(text, wanted).lines == {
        ("servers",): 1,
        ("servers", 0): 2,
        ("servers", 0, "lamps", 0, "source"): 4,
    }


def test_nesting_by_aliases_is_bounded_too() -> None:
    deep = "a0: &a0 " + "[" * 30 + "]" * 30 + "\na1: " + "[" * 20 + "*a0" + "]" * 20 + "\n"
    assert "nested deeper" in parse(deep).mistakes[0].message


@pytest.mark.parametrize("opened", ["[", "{a: ", "- ", "? "])
def test_a_hundred_thousand_levels_are_refused_without_harm(opened: str) -> None:
    assert parse(opened * 100_000).mistakes


def test_equal_texts_are_one_object() -> None:
    first, second = parse("[ogaki-site, ogaki-site]").value
    assert first is second


def test_a_file_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match="is not a file"):
        contents(tmp_path)
    with pytest.raises(UnreadableError, match="does not exist"):
        contents(tmp_path / "absent")
    with pytest.raises(UnreadableError, match="cannot be read"):
        contents(tmp_path / "nul\0")


def test_a_file_without_permission_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "dserver.yml"
    file.touch()

    def refuse(_self: Path) -> bytes:  # as root, which tests may run as, every file can be read
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(UnreadableError, match="give the exporter's user permission"):
        contents(file)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "dserver.yml"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    with pytest.raises(UnreadableError, match="split it with include"):
        contents(file)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    file = tmp_path / "dserver.yml"
    file.write_bytes("a: 1\n".encode("utf-8-sig"))
    assert parse(contents(file)).value == {"a": 1}


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(PLAIN)
def test_what_yaml_writes_is_read_back(value: object) -> None:
    document = parse(yaml.safe_dump(value))
    assert document.mistakes == []
    assert document.value == value


@given(st.text(alphabet=st.sampled_from("ab:-?,[]{}&*!|>'\"%@`#<~ \n\t0129.é\x07"), max_size=60))
def test_any_text_is_read_or_refused_with_a_place(text: str) -> None:
    document = parse(text)
    for mistake in document.mistakes:
        assert 1 <= mistake.line <= text.count("\n") + 2
