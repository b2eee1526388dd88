"""A real Prometheus with a given configuration."""

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.peers.process import ServerProcess


class Prometheus(ServerProcess):
    """Storage, log and configuration are in ``folder``; relative paths in the configuration start there."""

    def __init__(self, program: str, folder: Path, configuration: str, flags: Sequence[str] = ()) -> None:
        super().__init__(folder)
        self._program = program
        self._flags = flags
        self._file = folder / "prometheus.yml"
        self._file.write_text(configuration, "utf-8")

    def command(self) -> Sequence[str]:
        return (
            self._program,
            f"--config.file={self._file}",
            f"--storage.tsdb.path={self.folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
            *self._flags,
        )

    def query(self, expression: str, at: float | None = None) -> list[dict[str, Any]]:
        """Return the result of an instant query, now or ``at`` a Unix time."""
        moment = {} if at is None else {"time": str(at)}
        return self._get("query", query=expression, **moment)["result"]  # type: ignore[no-any-return]  # Prometheus's JSON

    def query_range(self, expression: str, begin: float, end: float, step: float) -> list[dict[str, Any]]:
        """Return the result of a range query; times are Unix times, ``step`` is in seconds."""
        times = {"start": str(begin), "end": str(end), "step": str(step)}
        return self._get("query_range", query=expression, **times)["result"]  # type: ignore[no-any-return]  # Prometheus's JSON

    def alerts(self) -> list[dict[str, Any]]:
        """Return the active alerts with their annotations."""
        return self._get("alerts")["alerts"]  # type: ignore[no-any-return]  # Prometheus's JSON

    def alertmanagers(self) -> list[dict[str, Any]]:
        """Return the Alertmanagers that it has found."""
        return list(self._get("alertmanagers")["activeAlertmanagers"])

    def targets(self) -> dict[str, Any]:
        """Return the targets, active and dropped."""
        return self._get("targets")  # type: ignore[no-any-return]  # Prometheus's JSON

    def _get(self, what: str, **parameters: str) -> Any:
        address = f"{self.url}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
        with urllib.request.urlopen(address, timeout=10) as answer:
            return json.load(answer)["data"]
