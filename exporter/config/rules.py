"""The limit that the alert rules compare with: the promise is kept by both together, so both have to say the same."""

import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

from exporter.config.document import UnreadableError, contents, parse

ALERT = "ServiceOutage"
LIMIT = re.compile(r"dserver_service_outage_seconds[^<>=]*>=?\s*([0-9]+(?:\.[0-9]+)?)")
PACKAGE = File(__file__).parent.parent


def folder_of_rules(configuration: File) -> File | None:
    """Return the alert rules that belong to a configuration: beside it, in the current folder, or those we ship."""
    shipped = (PACKAGE / "alert_rules", PACKAGE.parent / "alert_rules")
    candidates = (configuration.parent / "alert_rules", File("alert_rules"), *shipped)
    return next((folder for folder in candidates if folder.is_dir()), None)


def outage_limits(folder: File) -> Iterator[tuple[File, float]]:
    """Give each rule file's limits of the customer's outage alert, in seconds. Raises UnreadableError."""
    for file in sorted(folder.glob("*.y*ml")):
        document = parse(contents(file))
        if any(not mistake.path for mistake in document.mistakes):
            raise UnreadableError(f"{file} is not valid YAML")
        for rule in _rules(document.value):
            if rule.get("alert") == ALERT and (match := LIMIT.search(str(rule.get("expr")))):
                yield file, float(match[1])


def _rules(value: Any) -> Iterator[dict[str, Any]]:
    groups = value.get("groups") if isinstance(value, dict) else None
    for group in groups if isinstance(groups, list) else ():
        rules = group.get("rules") if isinstance(group, dict) else None
        yield from (rule for rule in rules if isinstance(rule, dict)) if isinstance(rules, list) else ()
