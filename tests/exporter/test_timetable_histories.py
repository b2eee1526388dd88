"""What the schedule promises, checked on the logs of simulated afternoons by a reader that knows only the promises.

Servers follow a script; `exporter.schedule` decides when each check runs; the log of starts and finishes is then read
with the words of docs/architecture.md. Nothing below looks into the product's timetable.
"""

import heapq
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from collectors.failures import NETWORK_REASONS
from collectors.registry import Options
from exporter.clock import HOUR, MINUTE, SECOND, Moment
from exporter.inventory import Check, Timing
from exporter.outage import Attempt, CheckState, decide
from exporter.schedule import Schedule
from tests.exporter.outage_oracle import Event, Outcome, Passed, Reloaded, Tried, expected

SHIPPED = Timing()
EVERY_MINUTE = Timing(interval=MINUTE)
ODD = Timing(interval=9 * MINUTE, recheck_interval=50 * SECOND, outage_notice_after=7 * MINUTE)
EPOCH = 1_790_000_000_000
AFTERNOON = 4 * HOUR


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a service answers, and how long that takes. No reason: it is healthy."""

    reason: str
    takes: int
    void: bool = False

    @property
    def fails(self) -> bool:
        return bool(self.reason) and not self.void

    @property
    def dark(self) -> bool:
        return self.fails and self.reason in NETWORK_REASONS


HEALTHY = Behaviour("", 40)
SILENT = Behaviour("timeout", 10 * SECOND)
REFUSING = Behaviour("refused", 2)
WRONG = Behaviour("content", 9 * SECOND)
LOCKED_OUT = Behaviour("auth", 80, void=True)
NO_UPLINK = Behaviour("timeout", 10 * SECOND, void=True)
DEFECT = Behaviour("internal", 5, void=True)


@dataclass(frozen=True, slots=True)
class Spell:
    """For ``length`` milliseconds, a service behaves so."""

    length: int
    behaviour: Behaviour


class Script:
    """One spell after the other, healthy after the last."""

    def __init__(self, *spells: Spell) -> None:
        self.begins = list(accumulate((spell.length for spell in spells), initial=0))
        self.behaviours = [*(spell.behaviour for spell in spells), HEALTHY]

    def at(self, time: int) -> Behaviour:
        return self.behaviours[bisect_right(self.begins, time) - 1]


@dataclass(frozen=True, slots=True)
class World:
    """One server's services by name, and what befalls the whole server: that hides what its services would do."""

    timing: Timing
    services: Mapping[str, Script]
    server: Script
    fleet: int = 1
    """The first runs of a big fleet are spread over the interval."""

    def behaviour(self, name: str, time: int) -> Behaviour:
        whole = self.server.at(time)
        return self.services[name].at(time) if whole is HEALTHY else whole


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt, as the log has it."""

    name: str
    start: int
    found: Behaviour

    @property
    def end(self) -> int:
        return self.start + self.found.takes


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the log: the run started, or finished."""

    run: Run
    finished: bool


def check(name: str, timing: Timing) -> Check:
    return Check("web01", name, "tcp", "192.0.2.10", "", Options(), timing)


def simulate(world: World) -> Iterator[Line]:
    """Let the product monitor ``world`` for an afternoon, and log it."""
    schedule = Schedule()
    for name in world.services:
        schedule.add(check(name, world.timing), CheckState(), world.fleet, Moment(0, EPOCH))
    flying: list[tuple[int, int, Run]] = []
    started = 0
    while True:
        ahead = [each for each in (schedule.next_due(), flying[0][0] if flying else None) if each is not None]
        now = min(ahead)
        if now > AFTERNOON:
            return
        while flying and flying[0][0] <= now:
            _, _, run = heapq.heappop(flying)
            entry = schedule.get(("web01", run.name))
            assert entry is not None
            attempt = Attempt(Moment(run.start, EPOCH + run.start), run.found.reason, void=run.found.void)
            state, _ = decide(entry.state, attempt, world.timing.interval)
            schedule.finish(entry, state, now)
            yield Line(run, finished=True)
        while entry := schedule.take(now):
            run = Run(entry.check.name, now, world.behaviour(entry.check.name, now))
            started += 1
            heapq.heappush(flying, (run.end, started, run))
            yield Line(run, finished=False)


class Log:
    """The log, read with the words of the promises."""

    def __init__(self, world: World) -> None:
        self.timing = world.timing
        self.runs: dict[str, list[Run]] = {name: [] for name in world.services}
        self.started_in_dark: set[Run] = set()
        self.first_network_failures: list[Run] = []
        """Runs that failed for a network reason while no other check of the server did at its last."""
        self.answers: list[Run] = []
        """Runs that ended the dark: the server answered, well or badly."""
        self.dark_spells: list[list[int]] = []
        last: dict[str, Behaviour] = {}
        for line in simulate(world):
            run = line.run
            was_dark = self._dark(last)
            if not line.finished:
                self.runs[run.name].append(run)
                if was_dark:
                    self.started_in_dark.add(run)
                continue
            if run.found.dark and not any(found.dark for found in last.values()):
                self.first_network_failures.append(run)
            last[run.name] = run.found
            if was_dark and not (run.found.dark or run.found.void):
                self.answers.append(run)
            if self._dark(last) and not was_dark:
                self.dark_spells.append([run.end, AFTERNOON])
            if was_dark and not self._dark(last):
                self.dark_spells[-1][1] = run.end

    def _dark(self, last: Mapping[str, Behaviour]) -> bool:
        return len(self.runs) > 1 and len(last) == len(self.runs) and all(found.dark for found in last.values())

    def steps(self) -> Iterator[tuple[Run, Run]]:
        """Iterate over each run and the next of the same check."""
        for runs in self.runs.values():
            yield from pairwise(runs)

    def in_rows(self) -> Iterator[tuple[Run, Run, Run]]:
        """Iterate over the runs of failing checks: the first failed of the row, the run before, the run."""
        for runs in self.runs.values():
            first = None
            for before, run in pairwise(runs):
                if not before.found.void:
                    first = (first or before) if before.found.fails else None
                if first is not None:
                    yield first, before, run

    def runs_at_once(self, name: str, time: int) -> bool:
        """Tell whether a check runs at ``time``, or is under way then, or may not because it was locked out."""
        before = [run for run in self.runs[name] if run.start <= time]
        if not before:
            return False
        latest = before[-1]
        locked = latest.found is LOCKED_OUT and time < latest.start + self.timing.interval
        return time <= latest.end or locked


lengths = st.sampled_from([MINUTE, 10 * MINUTE, 11 * MINUTE, 20 * MINUTE, 20 * MINUTE + 1, HOUR]) | st.integers(
    SECOND, 90 * MINUTE
)


def scripts(*behaviours: Behaviour) -> st.SearchStrategy[Script]:
    return st.lists(st.builds(Spell, lengths, st.sampled_from((HEALTHY, *behaviours))), max_size=6).map(
        lambda spells: Script(*spells)
    )


worlds = st.builds(
    World,
    timing=st.sampled_from([SHIPPED, EVERY_MINUTE, ODD]),
    services=st.dictionaries(
        st.sampled_from(["https", "imap", "smtp", "ssh"]),
        scripts(REFUSING, SILENT, WRONG, LOCKED_OUT, DEFECT),
        min_size=1,
    ),
    server=scripts(SILENT, REFUSING, NO_UPLINK),
    fleet=st.sampled_from([1, 100_000]),
)
of_any_world = given(worlds)
REFUSED_BESIDE_A_SLOW_ONE = World(
    SHIPPED, {"https": Script(Spell(HOUR, REFUSING)), "imap": Script(Spell(HOUR, WRONG))}, Script()
)
DARK_FOR_TEN_MINUTES = World(
    SHIPPED, {"https": Script(), "imap": Script()}, Script(Spell(10 * MINUTE, SILENT)), fleet=1
)
UPLINK_LOST_IN_THE_DARK = World(
    EVERY_MINUTE,
    {"https": Script(), "imap": Script()},
    Script(Spell(MINUTE, HEALTHY), Spell(MINUTE, SILENT), Spell(MINUTE, NO_UPLINK)),
)
a_few = settings(max_examples=60, deadline=None)  # a busy machine is no finding


@a_few
@of_any_world
@example(REFUSED_BESIDE_A_SLOW_ONE)
def test_two_runs_of_a_check_never_overlap(world: World) -> None:
    log = Log(world)
    for before, run in log.steps():
        assert before.end <= run.start


@a_few
@of_any_world
@example(UPLINK_LOST_IN_THE_DARK)
def test_no_check_ever_waits_longer_than_its_interval(world: World) -> None:
    log = Log(world)
    for before, run in log.steps():
        assert run.start - before.start <= log.timing.interval


@a_few
@of_any_world
def test_a_check_that_was_locked_out_is_never_retried_before_the_interval(world: World) -> None:
    log = Log(world)
    for before, run in log.steps():
        if before.found is LOCKED_OUT:
            assert run.start - before.start >= log.timing.interval


@a_few
@of_any_world
def test_a_failing_check_is_never_retried_off_its_grid_without_a_cause(world: World) -> None:
    log, timing = Log(world), world.timing
    called = {run.end for run in log.first_network_failures + log.answers}
    for first, before, run in log.in_rows():
        if run in log.started_in_dark:
            continue
        causes = called | {first.start + timing.outage_notice_after}
        causes |= set(range(first.start, run.start + 1, timing.recheck_interval))
        if before.found is LOCKED_OUT:
            causes |= {before.start + timing.interval}
        missed = {cause for cause in causes if before.start < cause < before.end}
        assert run.start in causes or (missed and run.start == before.end)


@a_few
@of_any_world
def test_a_failing_check_of_a_server_that_is_not_dark_is_retried_at_every_point_of_its_grid(world: World) -> None:
    log = Log(world)
    for first, before, run in log.in_rows():
        in_dark = any(start <= run.start and before.start <= end for start, end in log.dark_spells)
        if in_dark or before.found is LOCKED_OUT:
            continue
        grid = range(first.start, run.start, log.timing.recheck_interval)
        assert not [point for point in grid if before.end <= point]


@a_few
@of_any_world
def test_every_outage_that_lasts_until_the_notice_time_has_an_attempt_exactly_then(world: World) -> None:
    log = Log(world)
    for first, before, run in log.in_rows():
        notice = first.start + log.timing.outage_notice_after
        if before.start < notice < run.start:
            assert log.runs_at_once(run.name, notice)
            assert before.found is LOCKED_OUT or run.start == before.end


@a_few
@of_any_world
def test_at_a_servers_first_network_failure_all_its_checks_run_at_once(world: World) -> None:
    log = Log(world)
    for failed in log.first_network_failures:
        for name in log.runs.keys() - {failed.name}:
            assert log.runs_at_once(name, failed.end)


@a_few
@of_any_world
def test_all_checks_run_as_soon_as_a_dark_server_answers(world: World) -> None:
    log = Log(world)
    for answer in log.answers:
        for name in log.runs.keys() - {answer.name}:
            assert log.runs_at_once(name, answer.end)


@a_few
@of_any_world
@example(DARK_FOR_TEN_MINUTES)
def test_one_check_at_a_time_is_retried_for_a_dark_server(world: World) -> None:
    log, timing = Log(world), world.timing
    for dark_from, dark_until in log.dark_spells:
        retried = [
            run
            for first, before, run in log.in_rows()
            if run in log.started_in_dark
            and dark_from <= run.start <= dark_until
            and run.start not in {first.start + timing.outage_notice_after, before.start + timing.interval}
        ]
        assert len(retried) <= (dark_until - dark_from) // timing.recheck_interval + 1


@a_few
@of_any_world
def test_a_dark_server_never_waits_longer_than_the_recheck_interval_and_one_timeout(world: World) -> None:
    log = Log(world)
    for dark_from, dark_until in log.dark_spells:
        starts = [run.start for run in log.started_in_dark if dark_from <= run.start <= dark_until]
        for before, after in pairwise(sorted([dark_from, *starts, dark_until])):
            assert after - before <= log.timing.recheck_interval + SILENT.takes


@a_few
@of_any_world
def test_every_outage_as_long_as_the_interval_and_the_notice_time_is_confirmed_for_the_notice_time(
    world: World,
) -> None:
    log = Log(world)
    for name in world.services:
        for began, ended in failing_spells(world, name):
            if ended - began < world.timing.interval + world.timing.outage_notice_after or ended > AFTERNOON:
                continue
            if expected(history(log, name, until=began)).ever_up:
                assert expected(history(log, name, until=ended)).confirmed >= world.timing.outage_notice_after


def failing_spells(world: World, name: str) -> Iterator[tuple[int, int]]:
    """Iterate over the times between which every attempt of a check fails."""
    changes = sorted({*world.server.begins, *world.services[name].begins})
    for fails, times in groupby(pairwise(changes), lambda time: world.behaviour(name, time[0]).fails):
        spell = list(times)
        if fails:
            yield spell[0][0], spell[-1][1]


def history(log: Log, name: str, until: int) -> list[Event]:
    """Return the attempts of a check that started before ``until``, for the oracle."""
    events: list[Event] = [Reloaded(log.timing.interval)]
    now = 0
    for run in log.runs[name]:
        if run.start < until:
            outcome = Outcome.VOID if run.found.void else Outcome.FAILURE if run.found.fails else Outcome.SUCCESS
            events += [Passed(run.start - now), Tried(outcome, run.found.reason)]
            now = run.start
    return events


def test_the_attempt_that_decides_about_the_notice_goes_first() -> None:
    schedule = Schedule()
    failing = CheckState(up=False, ever_up=True, down_since=EPOCH, first_failed=Moment(0, EPOCH))
    entry = schedule.add(
        check("ssh", Timing(recheck_interval=SHIPPED.outage_notice_after)), failing, fleet=1, now=Moment(0, EPOCH)
    )
    assert schedule.take(0) is entry
    schedule.finish(entry, failing, 0)
    for number in range(50):
        schedule.add(check(f"https-{number}", SHIPPED), CheckState(), fleet=1, now=Moment(0, EPOCH))
    assert schedule.take(10 * MINUTE) is entry
