"""Tells the person at a terminal that a command still works. On standard error, so that no output changes."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

FIRST, RARER = 2.0, 1.5
"""Seconds until it is first said, and by what the wait grows each time."""


@contextmanager
def patience(what: str) -> Iterator[None]:
    """Say every few seconds that ``what`` is still under way, for as long as the block lasts."""
    over = threading.Event()
    begun = time.monotonic()

    def tell() -> None:
        wait = FIRST
        while not over.wait(wait):
            print(f"... {what}, {time.monotonic() - begun:.0f} s so far", file=sys.stderr, flush=True)
            wait *= RARER

    teller = threading.Thread(target=tell, name="patience", daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()
        teller.join()
