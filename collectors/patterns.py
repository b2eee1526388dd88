"""Regular expressions of the configuration, searched for in what a server sent, with limits.

A server chooses the text, so it can choose one on which a harmless looking pattern needs hours, and the event loop with
it. Two limits keep that from happening where a pattern repeats something. It looks through the text in pieces of 8 KiB,
since even ``.*x`` needs time with the square of the length; ``$`` may match at the end of a piece. And it ends after
200 ms, by an alarm, which the `re` module heeds wherever the time could grow faster than that. Both together end the
worst of them in about a third of a second.
"""

import re
import signal
import threading
from types import FrameType
from typing import Annotated

from pydantic import BeforeValidator, PlainSerializer

SECONDS = 0.2
WINDOW = 8 * 1024
"""Characters that a pattern with a repetition looks at in one go."""
OVERLAP = 4 * 1024
"""Characters that the next piece repeats: a match may be so long, wherever it lies."""

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


def search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return where the pattern is first found in the text. Raises TooSlow after 200 ms."""
    if _REPETITION.isdisjoint(pattern.pattern):
        return pattern.search(text)
    if threading.current_thread() is not threading.main_thread():  # alarms reach the main thread only
        return _search(pattern, text)
    before = signal.signal(signal.SIGALRM, _ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, SECONDS)
        return _search(pattern, text)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _search(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    for start in range(0, max(len(text) - OVERLAP, 1), WINDOW - OVERLAP):
        if match := pattern.search(text, start, start + WINDOW):
            return match
    return None


def _ring(signum: int, frame: FrameType | None) -> None:
    raise TooSlow
