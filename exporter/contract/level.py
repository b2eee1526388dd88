"""The response level: what the contract asks to be done about a server's open outage.

Level 1 is to log in, look at the service and restart it. Level 2 is to reboot the platform, because nobody can log in.
This is a diagnosis for people: nothing is restarted here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from exporter.inventory import Server
from exporter.outage import CheckState


class NextStep(StrEnum):
    """What the contract asks for next. Said in words in `exporter.words`."""

    NONE = "none"
    LOG_IN = "log-in"
    LOG_IN_UNCHECKED = "log-in-unchecked"
    """As LOG_IN; no check of the server stands for logging in, so whether it can be done is not known."""
    CONSOLE = "console"
    """Log-in fails and other services answer: the machine runs, so its console is the way in."""
    REBOOT = "reboot"
    REBOOT_ON_REQUEST = "reboot-on-request"
    """Without the managed contract nobody logs in for the customer; a reboot is forced when the customer asks."""


@dataclass(frozen=True, slots=True)
class Response:
    """The level (0 none, 1, 2) and the step that the contract asks for."""

    level: int = 0
    step: NextStep = NextStep.NONE


def diagnose(server: Server, states: Mapping[str, CheckState]) -> Response:
    """Return the response to a server's outages. ``states`` has the server's checks by name.

    Level 2 needs two failed attempts of the log-in check and no other check that is up; void attempts are no evidence.
    """
    if all(state.down_since is None for state in states.values()):
        return Response()
    log_in = states.get(server.login_check)
    others_up = any(state.up for name, state in states.items() if name != server.login_check)
    failed = log_in is not None and log_in.up is False
    twice = log_in is not None and failed and log_in.first_failed != log_in.last_failed
    level = 2 if twice and not others_up else 1
    if not server.managed:
        return Response(level, NextStep.REBOOT_ON_REQUEST)
    if level == 2:
        return Response(level, NextStep.REBOOT)
    if log_in is None:
        return Response(level, NextStep.LOG_IN_UNCHECKED)
    return Response(level, NextStep.CONSOLE if failed and others_up else NextStep.LOG_IN)
