"""Log lines as Prometheus programs write them: logfmt by default, JSON on request, on standard error."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES = {level: name for name, level in LEVELS.items()} | {logging.CRITICAL: "error"}


def set_up(level: str, form: Literal["logfmt", "json"]) -> None:
    """Send all log lines of at least ``level`` to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LogfmtFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(LEVELS[level])
    logging.getLogger("asyncio").setLevel(max(LEVELS[level], logging.WARNING))  # it says which selector it uses


class _Formatter(logging.Formatter):
    def fields(self, record: logging.LogRecord) -> dict[str, str]:
        """Return the line's fields in order."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        fields = {
            "ts": at,
            "level": _NAMES.get(record.levelno, record.levelname.lower()),
            "component": record.name,
            "msg": record.getMessage(),
        }
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return fields


class JsonFormatter(_Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return json.dumps(self.fields(record), ensure_ascii=False)


class LogfmtFormatter(_Formatter):
    """``key=value`` pairs; values that need it are quoted as JSON strings, so a line never breaks."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return " ".join(f"{key}={_quoted(value)}" for key, value in self.fields(record).items())


def _quoted(value: str) -> str:
    plain = value.isprintable() and not set(value) & set(' "=')
    return value if plain and value else json.dumps(value, ensure_ascii=False)
