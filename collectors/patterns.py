"""Regular expressions of the configuration, searched for in what a server sent, with limits.

A server chooses the text, so it can choose one on which a harmless looking pattern needs hours, and the event loop with
it. Two limits keep that from happening. A pattern that repeats looks at the first 64 KiB only, since even `.*x` needs
time with the square of the length; and every search ends after 50 ms, by an alarm, which the `re` module heeds wherever
the time could grow faster than that.
"""

import re
import signal
import threading
from types import FrameType
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

SECONDS = 0.05
REPEATING = 64 * 1024
"""Characters looked at by a pattern with a repetition in it."""

_REPETITION = frozenset("*+?{")


class TooSlow(Exception):  # noqa: N818 - the pattern is, on this text
    """A search took too long."""


def _compile(value: object) -> re.Pattern[str]:
    if isinstance(value, re.Pattern):
        return value
    if not isinstance(value, str):
        raise ValueError("must be a regular expression in quotes")  # noqa: TRY004 - pydantic collects ValueErrors
    try:
        return re.compile(value)
    except (re.error, OverflowError, RecursionError) as error:
        place = getattr(error, "pos", None)
        where = f" at character {place + 1}" if place is not None else ""
        raise ValueError(f"is not a regular expression of Python: {getattr(error, 'msg', error)}{where}") from None


Pattern = Annotated[re.Pattern[str], BeforeValidator(_compile), PlainSerializer(lambda pattern: pattern.pattern)]
"""A field of options: a regular expression in the syntax of Python's ``re``."""


def search(pattern: re.Pattern[str], text: str) -> bool:
    """Tell whether the pattern is found in the text. Raises TooSlow after 50 ms."""
    if _REPETITION.isdisjoint(pattern.pattern):
        return pattern.search(text) is not None
    text = text[:REPEATING]
    if threading.current_thread() is not threading.main_thread():  # alarms reach the main thread only
        return pattern.search(text) is not None
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        return pattern.search(text) is not None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _ring(signum: int, frame: FrameType | None) -> None:
    raise TooSlow
