"""One timer for all the waits of a session."""

import asyncio
from collections.abc import Callable
from typing import cast

from collectors.hardware.alarm import Alarm


class Handle:
    """A timer of `Loop`."""

    def __init__(self, moment: float, call: Callable[[], None]) -> None:
        self.moment = moment
        self.call = call
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class Loop:
    """Keeps timers, and runs them when the test moves on."""

    def __init__(self) -> None:
        self.handles: list[Handle] = []

    def call_at(self, moment: float, call: Callable[[], None]) -> Handle:
        self.handles.append(Handle(moment, call))
        return self.handles[-1]

    def move_to(self, moment: float) -> None:
        while due := [each for each in self.handles if not each.is_cancelled and each.moment <= moment]:
            self.handles.remove(due[0])
            due[0].call()


def alarm_of(loop: Loop, rings: list[str]) -> Alarm:
    return Alarm(cast("asyncio.AbstractEventLoop", loop), lambda: rings.append("ring"))


def test_it_rings_at_the_moment_that_was_set_last() -> None:
    loop, rings = Loop(), list[str]()
    alarm = alarm_of(loop, rings)
    alarm.set(2.0)
    alarm.set(5.0)
    loop.move_to(4.9)
    assert not rings
    loop.move_to(5.0)
    assert rings == ["ring"]


def test_a_sooner_moment_is_not_missed() -> None:
    loop, rings = Loop(), list[str]()
    alarm = alarm_of(loop, rings)
    alarm.set(5.0)
    alarm.set(2.0)
    loop.move_to(2.0)
    assert rings == ["ring"]
    loop.move_to(9.0)
    assert rings == ["ring"]


def test_a_hundred_waits_cost_one_timer() -> None:
    loop, rings = Loop(), list[str]()
    alarm = alarm_of(loop, rings)
    for number in range(100):
        alarm.set(10.0 + number)
    assert len(loop.handles) == 1


def test_once_ended_it_rings_no_more() -> None:
    loop, rings = Loop(), list[str]()
    alarm = alarm_of(loop, rings)
    alarm.set(1.0)
    alarm.end()
    loop.move_to(9.0)
    assert not rings
