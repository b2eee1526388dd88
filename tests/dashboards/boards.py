"""The committed dashboards as a test reads them: panels, queries, and what Grafana would put in place of variables."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "dashboards"

CHOSEN: Mapping[str, Mapping[str, str]] = {
    "customer": {"customer": "c0002"},
    "server": {"server": "shop01"},
    "check": {"server": "shop01", "check": "https"},
}
"""What is chosen where one has to be: the customer and the server of the story's outage. Elsewhere all are."""


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
    """Return a query as Grafana asks it. A variable that the dashboard does not have is a mistake."""
    for name, value in chosen.items():
        expr = expr.replace(f"${name}", value)
    assert "$" not in expr, expr
    return expr


def choice(dashboard: Mapping[str, Any], chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the values of a dashboard's variables and of Grafana's own."""
    values = {"__range": "900s"}
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            name = variable["name"]
            values[name] = (
                chosen.get(name, variable.get("allValue", ".*")) if variable.get("includeAll") else chosen[name]
            )
    return values


def targets(board: str, language: str = "en", **chosen: str) -> Iterator[Target]:
    """Return every query of a dashboard."""
    dashboard = load(board, language)
    values = choice(dashboard, {**CHOSEN.get(board, {}), **chosen})
    for panel in panels(dashboard):
        for target in panel["targets"]:
            expr = substituted(target["expr"], values)
            yield Target(board, panel, target["refId"], expr, bool(target.get("instant")))


NAMES = sorted(path.stem for path in (FOLDER / "en").glob("*.json"))
