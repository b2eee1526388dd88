"""The files of a configuration: the main file, and what it includes."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as File
from typing import Any, TypeVar

from pydantic import ValidationError

from exporter.config.document import UnreadableError, contents, parse
from exporter.config.problems import Findings, Path
from exporter.config.schema import MAIN, SHARED, Section
from exporter.config.sentences import sentences, unknown_key

Model = TypeVar("Model", bound=Section)

SECTIONS = {*MAIN, *SHARED, "include"}


@dataclass(frozen=True, slots=True)
class Part:
    """One file: its sections as plain values, and where to say what is wrong with them."""

    file: str
    folder: File
    """Where the relative paths in it start."""
    sections: dict[str, Any]
    findings: Findings

    @property
    def name(self) -> str:
        """The name of the file, without its folder."""
        return File(self.file).name

    def error(self, path: Path, message: str, see: tuple[str, Path] | None = None) -> None:
        """Report a mistake. ``see`` is another place that it has to do with."""
        self.findings.add(self.file, path, message, see=see)

    def warn(self, path: Path, message: str, see: tuple[str, Path] | None = None) -> None:
        """Report a doubt."""
        self.findings.add(self.file, path, message, severity="warning", see=see)

    def section(self, path: Path, model: type[Model], raw: Any) -> Model | None:
        """Validate one mapping. With mistakes in it, return what is left of it without them, where that makes sense."""
        if not isinstance(raw, dict):
            self.error(path, "must be a mapping: {key: value}")
            return None
        context = {"folder": self.folder}
        try:
            return model.model_validate(raw, context=context)
        except ValidationError as error:
            for below, sentence in sentences(error, model, raw):
                self.error((*path, *below), sentence)
            wrong = {detail["loc"][0] for detail in error.errors() if detail["loc"]}
        rest = {**model.placeholders, **{key: value for key, value in raw.items() if key not in wrong}}
        try:
            return model.model_validate(rest, context=context)
        except ValidationError:
            return None

    def one(self, name: str, model: type[Model]) -> Model:
        """Return a section, or its defaults."""
        raw = self.sections.get(name)
        return (self.section((name,), model, raw) if raw is not None else None) or model.model_validate({})

    def items(self, name: str) -> Iterator[tuple[Path, Any]]:
        """Give the entries of a section that is a list, with their places."""
        value = self.sections.get(name)
        if isinstance(value, list):
            yield from (((name, number), item) for number, item in enumerate(value))
        elif value is not None:
            self.error((name,), "must be a list: each entry begins with -")


def read(path: File, findings: Findings) -> tuple[list[Part], bool]:
    """Return the files, the main one first, and whether all of them could be read."""
    main, whole = _read(path, findings, main=None)
    if main is None:
        return [], False
    parts = [main]
    seen = {path.resolve()}
    for place, pattern in main.items("include"):
        if not isinstance(pattern, str) or not pattern or "\0" in pattern:
            main.error(place, "must be the name of a file, or a pattern such as servers/*.yml")
            continue
        files = _matches(path.parent, pattern)
        if not files:
            main.warn(place, f"matches no file; relative paths start at the folder of {main.name}")
        for file in files:
            if (real := file.resolve()) in seen:
                continue
            seen.add(real)
            part, readable = _read(file, findings, main=path)
            whole = whole and readable
            if part:
                parts.append(part)
    return parts, whole


def _read(path: File, findings: Findings, main: File | None) -> tuple[Part | None, bool]:
    """Read one file, ``main`` being the one that includes it. The second value is false where entries are unknown."""
    name = str(path)
    try:
        document = parse(contents(path))
    except UnreadableError as error:
        findings.add(name, (), f"{error}" if main else f"{error}; name another file with --config.file")
        return None, False
    for mistake in document.mistakes:
        findings.add(name, mistake.path, mistake.message, line=mistake.line)
    if document.value is None and not document.mistakes:
        if main:
            findings.add(name, (), "is empty", severity="warning")
        else:
            findings.add(name, (), "is empty; docs/configuration.md describes what it can say")
    elif not isinstance(document.value, dict):
        if not document.mistakes:
            findings.add(name, (), "must be a mapping of sections, such as servers:", line=1)
        return None, False
    part = Part(name, path.parent.absolute(), document.value or {}, findings)
    for key, value in part.sections.items():
        if main and key == "include":
            part.error((key,), f"only {main.name} includes files: name them there")
        elif main and key in MAIN:
            part.error((key,), f"belongs into {main.name}: move it there")
        elif key not in SECTIONS:
            part.error(*unknown_key((key,), value, SECTIONS))
    return part, True


def _matches(folder: File, pattern: str) -> list[File]:
    """Return the files of a pattern in their order; as in a shell, * leaves out the hidden ones."""
    if File(pattern).is_absolute():
        folder = File(File(pattern).anchor)
        pattern = str(File(pattern).relative_to(folder))
    try:
        return sorted(file for file in folder.glob(pattern) if not file.name.startswith(".") and file.is_file())
    except (OSError, ValueError, NotImplementedError):
        return []
