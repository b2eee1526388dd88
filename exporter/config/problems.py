"""What is wrong with a configuration: every mistake at once, each with its place and its remedy."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Literal

Severity = Literal["error", "warning"]
Path = tuple[str | int, ...]
"""Where a value is: keys and list positions from the top of its file."""

MOST = 1_000
"""Errors and warnings, each, that are kept: a mistake made on ten thousand servers is told by its first thousand."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake (``error``) or doubt (``warning``): a sentence with its remedy. Never the value of a secret.

    ``line`` counts from 1; 0 where there is none. ``path`` is like ``servers[3].services[1].port``; empty where the
    whole file is meant.
    """

    severity: Severity
    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        parts = (place, "warning" if self.severity == "warning" else "", self.path, self.message)
        return ": ".join(part for part in parts if part)


class ConfigError(Exception):
    """The configuration has errors. ``problems`` holds all of them, and the warnings."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem whose line is not looked up yet. ``see`` is another place, named after the message."""

    file: str
    path: Path
    message: str
    severity: Severity
    line: int = 0
    see: "Finding | None" = None


class Findings:
    """Collects findings; lines are looked up at the end, and only where something was found."""

    def __init__(self) -> None:
        self._findings: list[Finding] = []
        self._count: Counter[Severity] = Counter()

    def add(
        self,
        file: str,
        path: Path,
        message: str,
        *,
        severity: Severity = "error",
        line: int = 0,
        see: tuple[str, Path] | None = None,
    ) -> None:
        """Remember one finding."""
        self._count[severity] += 1
        if self._count[severity] > MOST:
            return
        other = Finding(*see, "", severity) if see else None
        self._findings.append(Finding(file, path, message, severity, line, other))

    def problems(self, lines_of: Callable[[str, set[Path]], Mapping[Path, int]]) -> tuple[Problem, ...]:
        """Return the problems, errors first, in the order of their files and lines.

        ``lines_of(file, paths)`` returns the lines of those paths that the file has.
        """
        wanted: dict[str, set[Path]] = {}
        for finding in self._findings:
            for place in (finding, finding.see):
                if place and not place.line and place.path:
                    wanted.setdefault(place.file, set()).update(_prefixes(place.path))
        lines = {file: lines_of(file, paths) for file, paths in wanted.items()}

        def line(place: Finding) -> int:
            known = lines.get(place.file, {})
            return place.line or next((known[path] for path in _prefixes(place.path) if path in known), 0)

        order = {file: number for number, file in enumerate(dict.fromkeys(f.file for f in self._findings))}
        found: dict[Problem, None] = {}  # the same mistake of a shared value, or told by two rules, is told once
        for finding in self._findings:
            message = finding.message
            if finding.see:
                message += f" (the other is {finding.see.file}:{line(finding.see)})"
            found[Problem(finding.severity, finding.file, line(finding), dotted(finding.path), message)] = None
        problems = sorted(found, key=lambda problem: (problem.severity, order[problem.file], problem.line))
        for severity, count in sorted(self._count.items()):
            if count > MOST:
                problems.append(Problem(severity, problems[0].file, 0, "", f"{count - MOST} more are not listed"))
        return tuple(problems)


def _prefixes(path: Path) -> Iterable[Path]:
    """Give the path, then its parents: a missing key is shown at what it is missing from."""
    return (path[:length] for length in range(len(path), 0, -1))


def dotted(path: Path) -> str:
    """Write a path as operators do: ``servers[3].services[1].port``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{shown(part)}" if text else shown(part)
    return text


def shown(text: str) -> str:
    """Return a key fit for one line of output."""
    return text if text.isprintable() and len(text) <= 100 else "(key)"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the remedy for a word that is none of ``known``: the nearest one, or all of them."""
    names = sorted(known)
    if close := get_close_matches(word[:100], names, n=1, cutoff=0.65):
        return f"did you mean {close[0]}?"
    if not names:
        return "there is none"
    listed = ", ".join(names[:20])
    return f"there are: {listed}, ..." if len(names) > 20 else f"there are: {listed}"
