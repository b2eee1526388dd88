"""Virtual time over real sockets: a clock that jumps to what happens next, and stands still while anything is going on.

Hours of the real monitoring of the demo fleet take seconds, in the shipped timing. What takes real time, a thread or a
conversation with a server of this process, takes no virtual time.
"""

import asyncio
import os
import selectors
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, TypeVar, TypeVarTuple

from exporter.clock import SECOND, Moment

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

GRACE = 0.02
"""Seconds of real silence after which nothing more is expected of a conversation: it is waiting for a timeout."""
GRACE_AFTER_SILENCE = 0.002
"""The same, while nothing has been heard since the last time."""


class PatientSelector(selectors.DefaultSelector):
    """Waits for files only; what it should wait for time, it reports to the clock, unless time is being held."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed
        self.holders = 0
        """How much is going on elsewhere, in threads for instance, for which time stands still."""
        self._silence = False
        self._conversations: set[int] = set()
        """The files that are neither a server's nor the loop's own."""

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        key = super().register(fileobj, events, data)
        self._silence = False
        if _is_a_conversation(key.fd):
            self._conversations.add(key.fd)
        return key

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        key = super().unregister(fileobj)
        self._conversations.discard(key.fd)
        return key

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            self._silence = self._silence and not ready
            return ready
        while self.holders:
            if ready := super().select(1.0):
                return ready
        if self._conversations:
            if ready := super().select(GRACE_AFTER_SILENCE if self._silence else GRACE):
                self._silence = False
                return ready
            self._silence = True
        if timeout is None:
            return super().select(None)
        self._passed(timeout)
        return ready


class PatientLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is virtual. It is a clock of the exporter, too: `now`."""

    def __init__(self, epoch: int) -> None:
        """Begin at ``epoch``, Unix time in milliseconds."""
        self._elapsed = 0.0
        self._epoch = epoch
        self.patience = PatientSelector(self._pass)
        super().__init__(self.patience)

    def time(self) -> float:
        return self._elapsed

    def now(self) -> Moment:
        # a timer fires when its time has come, and floating point may lack a millionth of a millisecond to that
        passed = int(self._elapsed * SECOND + 1e-3)
        return Moment(passed, self._epoch + passed)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let time stand still for the duration of the block."""
        self.patience.holders += 1
        try:
            yield
        finally:
            self.patience.holders -= 1

    def run_in_executor(
        self, executor: Executor | None, func: Callable[[*Arguments], Result], *args: *Arguments
    ) -> asyncio.Future[Result]:
        future = super().run_in_executor(executor, func, *args)
        self.patience.holders += 1
        future.add_done_callback(self._let_go)
        return future

    def _let_go(self, _done: Any) -> None:
        self.patience.holders -= 1

    def _pass(self, seconds: float) -> None:
        self._elapsed += seconds


def _is_a_conversation(fd: int) -> bool:
    """Tell whether this is a socket with somebody at its other end, and not the loop's own pair."""
    try:
        with socket.socket(fileno=os.dup(fd)) as file:
            if file.family == socket.AF_UNIX or file.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return False
            return file.type == socket.SOCK_STREAM or bool(file.getpeername())
    except OSError:
        return False
