"""The response level: 2 only when nobody can log in and nothing else answers, on evidence, never on our own faults."""

from dataclasses import replace

import pytest

from exporter.clock import MINUTE, Moment
from exporter.contract.level import NextStep, Response, diagnose
from exporter.inventory import Server
from exporter.outage import Attempt, CheckState, decide

MANAGED = Server("web01", "c0001", managed=True, address="192.0.2.10", login_check="ssh")
INTERVAL = 10 * MINUTE


def after(*reasons: str) -> CheckState:
    """Return the state of a check whose attempts ended so, a minute apart; "" is a success, "auth" void."""
    state = CheckState()
    for number, reason in enumerate(reasons):
        at = Moment(number * MINUTE, number * MINUTE)
        state, _ = decide(state, Attempt(at, reason, "connect", void=reason == "auth"), INTERVAL)
    return state


UP = after("")
DOWN_ONCE = after("", "timeout")
DOWN_TWICE = after("", "timeout", "timeout")


@pytest.mark.parametrize(
    ("log_in", "other", "response"),
    [
        (UP, UP, Response(0, NextStep.NONE)),
        (UP, DOWN_TWICE, Response(1, NextStep.LOG_IN)),
        (DOWN_ONCE, DOWN_TWICE, Response(1, NextStep.LOG_IN)),
        (DOWN_TWICE, DOWN_TWICE, Response(2, NextStep.REBOOT)),
        (DOWN_TWICE, UP, Response(1, NextStep.CONSOLE)),
        (after("", "timeout", "auth"), DOWN_TWICE, Response(1, NextStep.LOG_IN)),
        (after("", "timeout", "timeout", "auth"), DOWN_TWICE, Response(2, NextStep.REBOOT)),
        (after("auth", "auth"), DOWN_TWICE, Response(1, NextStep.LOG_IN)),
        (CheckState(), DOWN_TWICE, Response(1, NextStep.LOG_IN)),
        (after("timeout", "timeout"), DOWN_TWICE, Response(2, NextStep.REBOOT)),
        (DOWN_TWICE, after("timeout"), Response(2, NextStep.REBOOT)),
        (after("timeout", "timeout"), after("timeout"), Response(0, NextStep.NONE)),
    ],
)
def test_the_level_follows_from_the_log_in_check_and_the_others(
    log_in: CheckState, other: CheckState, response: Response
) -> None:
    assert diagnose(MANAGED, {"ssh": log_in, "https": other}) == response


def test_without_a_log_in_check_it_is_level_one_and_says_so() -> None:
    server = replace(MANAGED, login_check="")
    assert diagnose(server, {"https": DOWN_TWICE}) == Response(1, NextStep.LOG_IN_UNCHECKED)


@pytest.mark.parametrize(("log_in", "level"), [(UP, 1), (DOWN_TWICE, 2)])
def test_without_the_managed_contract_a_reboot_waits_for_the_customers_request(log_in: CheckState, level: int) -> None:
    server = replace(MANAGED, managed=False)
    states = {"ssh": log_in, "https": DOWN_TWICE}
    assert diagnose(server, states) == Response(level, NextStep.REBOOT_ON_REQUEST)
