"""A queue of things that are due at a time. No event loop, no clock: times are given, monotonic milliseconds."""

import heapq
from typing import Generic, TypeVar


class Due:
    """Something in the queue: subclass it and let the queue keep its two fields."""

    __slots__ = ("due", "ticket")

    def __init__(self) -> None:
        self.due = 0
        self.ticket = 0
        """Of the queue's item that counts; 0 while not queued."""


D = TypeVar("D", bound=Due)


class DueQueue(Generic[D]):
    """A heap whose things can be moved and dropped: what was moved leaves a stale item behind, which is skipped."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, int, D, bool]] = []
        self._ready: list[tuple[bool, int, int, D]] = []
        self._tickets = 0

    def put(self, thing: D, due: int, *, urgent: bool = False) -> None:
        """Queue or move a thing. Among those that are due, an urgent one comes first."""
        if thing.ticket and thing.due == due:
            return
        self._tickets += 1
        thing.due, thing.ticket = due, self._tickets
        heapq.heappush(self._waiting, (due, self._tickets, thing, urgent))

    def drop(self, thing: D) -> None:
        """Take a thing out, wherever it is."""
        thing.ticket = 0

    def next_due(self) -> int | None:
        """Return when the next waiting thing is due; those that were due at the last ``take`` are no longer waiting."""
        while self._waiting and self._waiting[0][2].ticket != self._waiting[0][1]:
            heapq.heappop(self._waiting)
        return self._waiting[0][0] if self._waiting else None

    def take(self, now: int) -> D | None:
        """Take out what is due first, urgent things before others; None when nothing is due."""
        while self._waiting and self._waiting[0][0] <= now:
            due, ticket, thing, urgent = heapq.heappop(self._waiting)
            if thing.ticket == ticket:
                heapq.heappush(self._ready, (not urgent, due, ticket, thing))
        while self._ready:
            _, _, ticket, thing = heapq.heappop(self._ready)
            if thing.ticket == ticket:
                thing.ticket = 0
                return thing
        return None
