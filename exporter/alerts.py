"""Alerts as Alertmanager tells of them: to our webhook, and by its API. Pure parsing of what somebody else wrote."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

CUSTOMER = "customer"
WATCHDOG = "watchdog"
MOST = 50_000
"""Alerts in one message: more are no message of ours."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Labels are identity; only those that we know are kept."""

    notify: str
    server: str = ""
    check: str = ""
    lamp: str = ""
    firing: bool = True
    suppressed: bool = False
    """A silence or an inhibition keeps it back. Only the API tells."""

    @property
    def subject(self) -> str:
        """Return what of its server it is about, as incidents name it; empty for any other alert."""
        if self.check:
            return f"check/{self.check}"
        return f"lamp/{self.lamp}" if self.lamp else ""


def parse_webhook(body: bytes) -> tuple[Alert, ...]:
    """Return the alerts of a notification (version 4). Raises ValueError."""
    message = _json(body)
    if not isinstance(message, dict) or message.get("version") != "4":
        raise ValueError("this is not a notification of Alertmanager, version 4")
    return tuple(_alerts(message.get("alerts")))


def parse_alerts(body: bytes) -> tuple[Alert, ...]:
    """Return the alerts of an answer of ``/api/v2/alerts``. Raises ValueError."""
    return tuple(_alerts(_json(body)))


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _alerts(raw: Any) -> Iterator[Alert]:
    if not isinstance(raw, list) or len(raw) > MOST:
        raise ValueError("it has no list of alerts")
    for each in raw:
        labels = each.get("labels") if isinstance(each, dict) else None
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise ValueError("an alert has no labels")
        notify, server, check, lamp = (labels.get(name, "") for name in ("notify", "server", "check", "lamp"))
        status = each.get("status")  # a word in notifications, a mapping in the API
        firing = status != "resolved"
        suppressed = isinstance(status, dict) and status.get("state") == "suppressed"
        yield Alert(notify, server, check, lamp, firing=firing, suppressed=suppressed)
