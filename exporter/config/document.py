"""Reads one YAML file into plain values, without YAML's surprises.

YAML 1.1 takes ``on`` for true, ``10:00`` for 600, ``0x16`` for 22 and ``2026-12-10`` for a date, keeps the last of two
equal keys, and lets a few lines expand to billions of values. Here a plain scalar is a whole decimal number, ``true``,
``false``, nothing at all, or text; a repeated key is a mistake, and so is expanding without bounds.

libyaml's events are read directly: for 120,000 checks that takes a fifth of the time of PyYAML's own loader.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path as File
from stat import S_ISREG
from typing import Any

import yaml

from exporter.config.problems import Path

LARGEST = 128 * 1024 * 1024
"""Bytes of one file: about 400,000 checks in long form."""
MOST_VALUES = 10_000_000
"""Values after aliases are expanded."""
DEEPEST = 40
"""Levels of nesting; a configuration has eight."""

SHOWN = 8
"""Levels of the path that are told."""

WHOLE_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")
CONSTANTS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
REMEDIES = {
    "mapping values are not allowed in this context": "put a text that contains ': ' in quotes",
    "did not find expected ',' or ']'": "close the list with ]",
    "did not find expected ',' or '}'": "close the mapping with }",
    "found unexpected end of stream": "close the quotes",
}


@dataclass(frozen=True, slots=True)
class Mistake:
    """What is wrong with the file as YAML."""

    path: Path
    line: int
    message: str


@dataclass(slots=True)
class Document:
    """The contents of one YAML file. ``lines`` has those paths that were asked for."""

    value: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    lines: dict[Path, int] = field(default_factory=dict)


class UnreadableError(Exception):
    """The file cannot be had at all; the message is the sentence."""


def contents(file: File) -> str:
    """Return the text of a file. Raises UnreadableError."""
    try:
        status = file.stat()
        if not S_ISREG(status.st_mode):
            raise UnreadableError("is not a file")
        if status.st_size > LARGEST:
            raise UnreadableError(f"is larger than {LARGEST >> 20} MiB: split it with include")
        data = file.read_bytes()
    except FileNotFoundError:
        raise UnreadableError("does not exist") from None
    except PermissionError:
        raise UnreadableError("cannot be read: give the exporter's user permission to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableError(f"cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise UnreadableError(f"is not UTF-8 (line {line}): save it as UTF-8, not as Shift_JIS or UTF-16") from None


def parse(text: str, wanted: set[Path] | None = None) -> Document:
    """Return the values of a YAML text, with all mistakes that can be told apart, and the lines of ``wanted``."""
    reader = _Reader(text, wanted or set())
    try:
        reader.read()
    except _StopError as stop:
        reader.document.mistakes.append(stop.mistake)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, text.find(chr(error.character))) + 1 if isinstance(error.character, int) else 0
        reader.document.mistakes.append(
            Mistake((), line, "has a control character that YAML does not allow: remove it")
        )
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line if error.problem_mark else 0
        reader.document.mistakes.append(Mistake((), line + 1, _syntax(error, text.splitlines(), line)))
    return reader.document


def _syntax(error: yaml.MarkedYAMLError, lines: list[str], line: int) -> str:
    """Write libyaml's complaint, which is fixed text, with a remedy."""
    problem = error.problem or "cannot be understood"
    around = lines[line : line + 1]
    if any("\t" in text[: len(text) - len(text.lstrip())] for text in around):
        remedy = "indent with spaces, not with tabs"
    else:
        remedy = REMEDIES.get(problem, "look at the indentation and the quotes here and in the line before")
    return f"is not valid YAML: {problem}: {remedy}"


class _StopError(Exception):
    """Nothing after this can be read."""

    def __init__(self, mistake: Mistake) -> None:
        self.mistake = mistake


@dataclass(frozen=True, slots=True)
class _Anchor:
    value: Any
    size: int
    height: int


def _line(event: Any) -> int:
    """Return the line where an event begins, counted from 0."""
    line: int = event.start_mark.line
    return line


class _Reader:
    """Builds values from events, one call per node."""

    def __init__(self, text: str, wanted: set[Path]) -> None:
        self.document = Document()
        self._events: Iterator[Any] = yaml.parse(text, Loader=yaml.CSafeLoader)
        self._wanted = wanted
        self._path: list[str | int] = []
        self._texts: dict[str, str] = {}  # equal texts are one object: memory per check counts
        self._anchors: dict[str, _Anchor] = {}
        self._values = 0
        self._depth = 0
        self._reached = 0

    def read(self) -> None:
        """Read the one document of the stream."""
        next(self._events)  # the start of the stream
        if isinstance(next(self._events), yaml.StreamEndEvent):
            return
        self.document.value = self._node(next(self._events))
        next(self._events)  # the end of the document
        follows = next(self._events)
        if not isinstance(follows, yaml.StreamEndEvent):
            self._mistake(follows, "starts a second document: a configuration is one, remove the ---")

    def _mistake(self, event: Any, message: str) -> None:
        line = _line(event) + 1
        self.document.mistakes.append(Mistake(tuple(self._path), line, message))

    def _stop(self, event: Any, message: str) -> _StopError:
        return _StopError(Mistake(tuple(self._path[:SHOWN]), _line(event) + 1, message))

    def _node(self, event: Any) -> Any:
        self._values += 1
        kind = type(event)
        if kind is yaml.ScalarEvent and not event.anchor:
            return self._scalar(event)
        if kind is yaml.AliasEvent:
            return self._alias(event)
        if not event.anchor:
            return self._collection(event)
        size, reached, self._reached = self._values - 1, self._reached, self._depth
        value = self._scalar(event) if kind is yaml.ScalarEvent else self._collection(event)
        self._anchors[event.anchor] = _Anchor(value, self._values - size, self._reached - self._depth)
        self._reached = max(reached, self._reached)
        return value

    def _scalar(self, event: Any) -> Any:
        text: str = event.value
        if event.tag:
            if event.tag not in {"!", "tag:yaml.org,2002:str"}:
                self._mistake(event, "has a YAML tag (!): put a text that starts with ! in quotes")
        elif event.implicit[0]:  # plain: not quoted
            if text in CONSTANTS:
                return CONSTANTS[text]
            if text[0] in "-0123456789" and WHOLE_NUMBER.fullmatch(text):
                return int(text)
        return self._texts.setdefault(text, text)

    def _alias(self, event: Any) -> Any:
        # the name is not shown: an unquoted password may start with *
        anchor = self._anchors.get(event.anchor)
        if anchor is None:
            raise self._stop(event, "is a YAML alias (*) of nothing above: put a text that starts with * in quotes")
        self._values += anchor.size
        self._reached = max(self._reached, self._depth + anchor.height)
        self._bound(event)
        return anchor.value

    def _bound(self, event: Any) -> None:
        if self._values > MOST_VALUES:
            raise self._stop(event, f"expands to more than {MOST_VALUES} values: use fewer YAML aliases (*)")
        if self._reached > DEEPEST:
            raise self._stop(event, f"is nested deeper than {DEEPEST} levels: look at the brackets and the indentation")

    def _collection(self, event: Any) -> Any:
        if event.tag:
            self._mistake(event, "has a YAML tag (!): remove it")
        self._depth += 1
        self._reached = max(self._reached, self._depth)
        self._bound(event)
        value = self._mapping() if type(event) is yaml.MappingStartEvent else self._sequence()
        self._depth -= 1
        return value

    def _child(self, key: str | int, event: Any, line: int) -> Any:
        self._path.append(key)
        if self._wanted and (path := tuple(self._path)) in self._wanted:
            self.document.lines[path] = line + 1
        value = self._node(event)
        self._path.pop()
        return value

    def _sequence(self) -> list[Any]:
        values: list[Any] = []
        while type(event := next(self._events)) is not yaml.SequenceEndEvent:
            values.append(self._child(len(values), event, _line(event)))
        return values

    def _mapping(self) -> dict[str, Any]:
        values: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        first: dict[str, int] = {}
        while type(event := next(self._events)) is not yaml.MappingEndEvent:
            if type(event) is not yaml.ScalarEvent:
                raise self._stop(event, "has a key that is not a text: put a text that starts with { or [ in quotes")
            key = self._texts.setdefault(event.value, event.value)
            line = _line(event)
            if key == "<<" and event.implicit[0]:
                self._merge(merged, self._child(key, next(self._events), line), event)
                continue
            if key in first:
                self._path.append(key)
                self._mistake(event, f"is already given in line {first[key] + 1}: remove one of the two")
                self._path.pop()
            first[key] = line
            values[key] = self._child(key, next(self._events), line)
        return {**merged, **values} if merged else values

    def _merge(self, merged: dict[str, Any], value: Any, event: Any) -> None:
        """Take over the keys of YAML's merge key; of several mappings the first one wins."""
        for mapping in reversed(value if isinstance(value, list) else [value]):
            if isinstance(mapping, dict):
                merged.update(mapping)
            else:
                self._mistake(event, "<< takes a mapping: write << : *anchor, the anchor being one")
