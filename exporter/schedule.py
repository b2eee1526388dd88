"""The queue of checks: which is due, which goes first. No event loop and no clock: `exporter.runner` drives it.

Plain Python on purpose, so that a year of a fleet can be run through it in virtual time.
"""

from collections.abc import Iterator

from exporter.clock import Moment
from exporter.due import Due, DueQueue
from exporter.inventory import Check, CheckKey, Timing
from exporter.lastruns import Run
from exporter.outage import CheckState
from exporter.timetable import NEVER, dark_runs, fails_since, first_run, is_dark, next_run, notice_run, slot_of


class Entry(Due):
    """One check in the queue. ``last_start`` is in monotonic milliseconds."""

    __slots__ = ("check", "failed", "good", "last_start", "running", "siblings", "slot", "state")

    def __init__(self, check: Check, state: CheckState, siblings: "list[Entry]") -> None:
        super().__init__()
        self.check = check
        self.state = state
        self.siblings = siblings
        """All entries of the same server, this one included."""
        self.slot = slot_of(check.key, check.timing.interval)
        self.last_start = NEVER
        self.running = False
        self.good: Run | None = None
        """The last run that was a success, of this process; and below, the last one that was none."""
        self.failed: Run | None = None

    def keep(self, run: Run, *, good: bool) -> None:
        """Keep a run as the last one of its kind."""
        if good:
            self.good = run
        else:
            self.failed = run

    @property
    def timing(self) -> Timing:
        """The check's intervals."""
        return self.check.timing


class Schedule:
    """All checks, by server, and when each is due."""

    def __init__(self) -> None:
        self._entries: dict[CheckKey, Entry] = {}
        self._servers: dict[str, list[Entry]] = {}
        self._queue: DueQueue[Entry] = DueQueue()

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def get(self, key: CheckKey) -> Entry | None:
        """Return the check's entry."""
        return self._entries.get(key)

    def holds(self, entry: Entry) -> bool:
        """Tell whether an entry is still in the schedule: a reload may have taken it out during its run."""
        return self._entries.get(entry.check.key) is entry

    def server(self, name: str) -> list[Entry]:
        """Return the entries of a server's checks."""
        return self._servers.get(name, [])

    def add(self, check: Check, state: CheckState, fleet: int, now: Moment) -> Entry:
        """Take in one of ``fleet`` new checks. One that the ledger knows as failing or just recovered is due now."""
        siblings = self._servers.setdefault(check.server, [])
        entry = Entry(check, state, siblings)
        siblings.append(entry)
        self._entries[check.key] = entry
        interval = check.timing.interval
        if state.rejected and state.last_run is not None:
            due = now.monotonic + max(0, interval - max(0, now.wall - state.last_run))
        elif state.first_failed is not None or state.recovery is not None:
            due = now.monotonic
        else:
            due = first_run(check.key, interval, fleet, now.monotonic)
        self._plan(entry, due)
        return entry

    def update(self, check: Check, now: int) -> None:
        """Give a check new options; its state stays. A changed timing counts from its last attempt on, or from now."""
        entry = self._entries[check.key]
        retimed = entry.check.timing != check.timing
        entry.check = check
        if retimed:
            entry.slot = slot_of(check.key, check.timing.interval)
            if entry.last_start != NEVER:
                self._plan(entry, max(now, next_run(entry)))
            elif not entry.state.rejected:  # those keep the pace that they had before a restart
                self._plan(entry, min(entry.due, first_run(check.key, check.timing.interval, len(self), now)))

    def remove(self, key: CheckKey) -> Entry:
        """Drop a check. A run under way is the caller's to discard."""
        entry = self._entries.pop(key)
        self._queue.drop(entry)
        entry.siblings.remove(entry)
        if not entry.siblings:
            del self._servers[key[0]]
        return entry

    def next_due(self) -> int | None:
        """Return when the next waiting check is due (monotonic ms); None when none waits."""
        return self._queue.next_due()

    def take(self, now: int) -> Entry | None:
        """Return the most urgent check that is due, marked as running from ``now`` on; None when none is."""
        entry = self._queue.take(now)
        if entry is not None:
            entry.running = True
            entry.last_start = now
        return entry

    def finish(self, entry: Entry, state: CheckState, now: int) -> None:
        """Record the outcome of a run and plan what follows for the check and its server."""
        entry.running = False
        if not self.holds(entry):
            return
        others = [other for other in entry.siblings if other is not entry]
        was_dark = is_dark(entry.siblings)
        begins = state.network_failure and not entry.state.network_failure
        entry.state = state
        if is_dark(entry.siblings):
            for each, run in zip(entry.siblings, dark_runs(entry.siblings), strict=True):
                self._plan(each, run)
        else:
            self._plan(entry, next_run(entry))
            for other in others if was_dark else ():
                # Whoever waited for the one that was tried for all: at once if it answered, else on its own grid again.
                self._plan(other, min(other.due, next_run(other, now)) if state.void else now)
        if begins and not any(fails_since(other, now - entry.timing.recheck_interval) for other in others):
            # The server's first such failure runs all its checks; beside an older one, those that were well until now.
            first = not any(other.state.network_failure for other in others)
            for other in others:
                if (first or other.state.up is not False) and not other.state.rejected:
                    self._plan(other, now)

    def _plan(self, entry: Entry, due: int) -> None:
        if not entry.running:
            notice = notice_run(entry)
            self._queue.put(entry, due, urgent=notice is not None and due >= notice)
