"""The closed values of metrics as they are shown: with a symbol and a word, never by colour alone."""

from dashboards.generate.vocabulary import BAD, GOOD, GREY, NOTICE, WARN, WITHOUT_END, State, States
from exporter.words import LAMPS

VERDICT: States = (
    State(2, BAD, "critical", "✖"),
    State(1, WARN, "warning", "▲"),
    State(0, GOOD, "normal", "●"),
    State(-1, GREY, "unknown", "？"),
)
UP: States = (State(1, GOOD, "up", "●"), State(0, BAD, "down", "✖"))
LEVEL: States = (State(0, GOOD, "none", "●"), State(1, WARN, "level 1", "▲"), State(2, BAD, "level 2", "✖"))
NEXT_STEP: States = (
    State(0, GOOD, "nothing to do", "●"),
    State(1, WARN, "log in, look, restart the service", "▲"),
    State(2, BAD, "nobody can log in: reboot the platform", "✖"),
    State(10, GOOD, "nothing to do", "●"),
    State(11, GREY, "no managed contract: reboot if the customer asks", "☎"),
    State(12, GREY, "no managed contract: reboot if the customer asks", "☎"),
)
"""By level, and ten more without the managed contract: `dashboards.generate.queries.NEXT_STEP`."""

NOT_TOLD: States = (State(0, GREY, "nothing recorded", "–"),)
BUSINESS: States = (State(1, GOOD, "help desk open", "●"), State(0, NOTICE, "outside business hours", "☾"))
SEVERITY: States = (State(3, BAD, "critical", "✖"), State(2, WARN, "warning", "▲"), State(1, NOTICE, "info", "ℹ"))
HEALTH: States = (State(0, GOOD, "works", "●"), State(1, BAD, to=WITHOUT_END))
SUCCESS: States = (State(1, GOOD, "succeeded", "●"), State(0, BAD, "failed", "✖"))
UPLINK: States = (State(1, GOOD, "works", "●"), State(0, BAD, "lost", "✖"))
POWER: States = (State(1, GOOD, "on", "●"), State(0, GREY, "off", "○"))
LOCATE: States = (State(1, NOTICE, "lit", "◆"), State(0, GREY, "dark", "○"))
MAINTENANCE: States = (State(1, NOTICE, "in maintenance", "■"), State(0, GOOD, "none", "●"))
FAILED: States = (State(1, BAD, "failed", "✖"),)

DAYS_LEFT: States = (
    State(-WITHOUT_END, BAD, to=0),
    State(0, WARN, to=30),
    State(30, GOOD, to=WITHOUT_END),
)
"""Of days until something ends; the sign of the number says that it is over."""
HOURS_LEFT: States = (State(-WITHOUT_END, BAD, to=0), State(0, WARN, to=7), State(7, GOOD, to=WITHOUT_END))
"""Of hours until a report is due."""


def _words(**words: str) -> States:
    return tuple(State(value.replace("_", "-"), "", word) for value, word in words.items())


REASON: States = _words(
    dns="no address for the name",
    refused="connection refused",
    unreachable="not reachable",
    timeout="no answer in time",
    tls="TLS fails",
    certificate="certificate at fault",
    unavailable="says it is not available",
    protocol="not this protocol",
    content="wrong content",
    auth="our side: credentials",
    misconfigured="our side: settings",
    internal="our side: defect or resources",
)
LAMP: States = tuple(State(lamp.value, "", word) for lamp, word in LAMPS["en"].items())
KIND: States = _words(outage="outage", lamp="lamp", reboot_request="reboot request")
IS_MANAGED: States = _words(true="managed", false="not managed")
