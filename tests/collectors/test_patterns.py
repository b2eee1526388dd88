"""Patterns find what is there, and no text makes them stall the event loop."""

import contextlib
import re
import signal
import threading
import time

import pytest

from collectors.patterns import TooSlow, search


@pytest.mark.parametrize("place", [0, 5_000, 8_190, 8_195, 100_000, 900_000])
@pytest.mark.parametrize("pattern", ["ready", "re+ady", r"^ready|[^x]\w{3}y", "re.*y"])
def test_a_pattern_finds_its_match_wherever_it_is(pattern: str, place: int) -> None:
    match = search(re.compile(pattern), "x" * place + "ready" + "x" * 10_000)
    assert match is not None
    assert match.start() <= place < match.end()


@pytest.mark.parametrize("length", [0, 100, 8_192, 16_384, 16_385, 500_000])
def test_a_pattern_finds_nothing_where_nothing_is(length: int) -> None:
    assert search(re.compile("re+ady"), "x" * length) is None


def test_the_beginning_of_the_text_is_there_only() -> None:
    assert search(re.compile("^x+ready"), "y" + "x" * 100_000 + "ready") is None


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", ".*b", ".*.*b", r"\w+@\w+", "[^b]*b", "(?:.|\n)*b", "a.*a.*b"]
)
def test_no_text_stalls_the_loop(pattern: str) -> None:
    began = time.monotonic()
    with contextlib.suppress(TooSlow):
        assert search(re.compile(pattern), "a" * 1_000_000) is None
    assert time.monotonic() - began < 1  # a third of it on an idle machine


def test_the_alarm_is_given_back() -> None:
    before = signal.getsignal(signal.SIGALRM)
    search(re.compile("a+"), "a")
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_a_search_outside_the_main_thread_has_no_alarm_and_works() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(search(re.compile("a+"), "baa")))
    thread.start()
    thread.join()
    assert found[0] is not None
