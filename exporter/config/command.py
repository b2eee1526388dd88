"""The command check-config: is the configuration right?"""

from pathlib import Path
from typing import TextIO

from exporter.config.load import load
from exporter.config.problems import ConfigError, Problem
from exporter.inventory import Config


def check(config_file: Path, rules: Path | None, out: TextIO) -> int:
    """Print every problem, errors first, and a line that sums up. Returns the exit status: 1 with errors, else 0."""
    try:
        config, problems = load(config_file, rules=rules)
    except ConfigError as error:
        problems = error.problems
        verdict = _problems(problems)
    else:
        warnings = f", {_problems(problems)}" if problems else ""
        verdict = f"OK: {summary(config)}{warnings}"
    for problem in problems:
        print(problem, file=out)
    print(f"{config_file}: {verdict}", file=out)
    return int(any(problem.severity == "error" for problem in problems))


def _problems(problems: tuple[Problem, ...]) -> str:
    errors = sum(problem.severity == "error" for problem in problems)
    counts = ((errors, "error"), (len(problems) - errors, "warning"))
    return ", ".join(_count(number, word) for number, word in counts if number)


def summary(config: Config) -> str:
    """Return how much there is to watch, in words."""
    counts = (
        (len(config.servers), "server"),
        (sum(1 for _ in config.checks()), "check"),
        (sum(1 for _ in config.sources()), "lamp source"),
        (len(config.customers), "customer"),
    )
    return ", ".join(_count(number, word) for number, word in counts)


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
