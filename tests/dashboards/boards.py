"""The committed dashboards as a test reads them: panels, queries, and what Grafana would put in place of variables."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards"

ALL = {"site": ".*", "customer": ".*", "server": ".*", "protocol": ".*", "instance": ".*"}
CHOSEN: Mapping[str, Mapping[str, str]] = {
    "customer": {"customer": "c0002"},
    "server": {"server": "shop01"},
    "check": {"server": "shop01", "check": "https"},
}
"""What is chosen on the dashboards that show one of a kind: the customer and server of the story's outage."""


@dataclass(frozen=True, slots=True)
class Target:
    """One query of a panel, ready to be asked."""

    board: str
    panel: Mapping[str, Any]
    ref: str
    expr: str
    instant: bool

    @property
    def title(self) -> str:
        """The panel's title."""
        return str(self.panel["title"])

    def __str__(self) -> str:
        return f"{self.board}: {self.title} {self.ref}"


def load(board: str, language: str = "en") -> dict[str, Any]:
    """Return a committed dashboard."""
    return json.loads((FOLDER / language / f"{board}.json").read_text("utf-8"))  # type: ignore[no-any-return]  # an object


def panels(dashboard: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the panels, without the rows."""
    for panel in dashboard["panels"]:
        if panel["type"] != "row":
            yield panel
        yield from panel.get("panels", ())


def substituted(expr: str, chosen: Mapping[str, str]) -> str:
    """Return a query as Grafana asks it."""
    for name, value in {**ALL, **chosen, "__range": "1800s"}.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, expr
    return expr


def targets(board: str, language: str = "en", **chosen: str) -> Iterator[Target]:
    """Return every query of a dashboard."""
    choice = {**CHOSEN.get(board, {}), **chosen}
    for panel in panels(load(board, language)):
        for target in panel["targets"]:
            expr = substituted(target["expr"], choice)
            yield Target(board, panel, target["refId"], expr, bool(target.get("instant")))


NAMES = sorted(path.stem for path in (FOLDER / "en").glob("*.json"))
