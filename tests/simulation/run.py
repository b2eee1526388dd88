"""Runs many sites, each by itself, and adds up what came out."""

import logging
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from exporter.clock import HOUR, MINUTE, SECOND
from tests.simulation import world
from tests.simulation.oracle import Broken, Delay, Verdict, judge
from tests.simulation.record import Outcome, Record
from tests.simulation.site import Site, contacts

SERVERS_PER_SITE = 5
MEMORY = Path("/dev/shm")
BEFORE, AFTER = 30 * MINUTE, 60 * MINUTE
"""What is shown of a history around a broken promise."""


@dataclass(frozen=True, slots=True)
class Case:
    """One site to be simulated: the same case gives the same history, always."""

    seed: str
    number: int
    servers: int = SERVERS_PER_SITE
    days: int = 365
    thorough: bool = False

    @property
    def name(self) -> str:
        """The site's name."""
        return f"site{self.number:02}"

    def plan(self) -> world.Plan:
        """Draw what happens there."""
        servers = [f"s{self.number * SERVERS_PER_SITE + place:03}" for place in range(self.servers)]
        return world.draw(self.seed, self.name, servers, self.days)


@dataclass
class Outcomes:
    """What came out of one site or of all."""

    counts: Counter[str] = field(default_factory=Counter)
    delays: list[Delay] = field(default_factory=list)
    broken: list[tuple[Case, Broken, str]] = field(default_factory=list)
    """Each with the history that led to it."""

    def add(self, other: "Outcomes") -> None:
        """Take in another site's."""
        self.counts.update(other.counts)
        self.delays += other.delays
        self.broken += other.broken


def simulate(case: Case) -> Outcomes:
    """Simulate one site."""
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=MEMORY if MEMORY.is_dir() else None) as folder:
        begun = time.process_time()
        plan = case.plan()
        site = Site(plan, Path(folder), thorough=case.thorough)
        record = site.run()
        told = {server: contacts(server) for server in plan.servers}
        verdict = judge(record, plan.windows, told, plan.end)
        outcomes = Outcomes(_counts(case, plan, record, verdict), verdict.delays)
        outcomes.counts["CPU seconds"] = round(time.process_time() - begun)
    for broken in verdict.broken:
        outcomes.broken.append((case, broken, "\n".join(history(case, record, broken))))
    return outcomes


def simulate_all(cases: Sequence[Case], jobs: int) -> Iterator[tuple[Case, Outcomes]]:
    """Simulate sites, several at once; give each as it is done."""
    with ProcessPoolExecutor(jobs, initializer=_quiet) as pool:
        running = {pool.submit(simulate, case): case for case in cases}
        for done in as_completed(running):
            yield running[done], done.result()


def _quiet() -> None:
    os.nice(5)
    logging.disable(logging.WARNING)
    logging.getLogger().addHandler(
        logging.NullHandler()
    )  # what the product says of broken mail servers is no news here


def _counts(case: Case, plan: world.Plan, record: Record, verdict: Verdict) -> Counter[str]:
    owed = [outage for outage in verdict.outages if outage.limit]
    counts: Counter[str] = Counter(verdict.counts)
    counts["sites"] = 1
    counts["servers"] = case.servers
    counts["server-checks"] = case.servers * len(world.CHECKS)
    counts["outages"] = len(verdict.outages)
    counts["outages with 600 s of evidence"] = len(owed)
    counts["incidents"] = len(verdict.incidents)
    counts["hours lived through"] = round(record.lived / HOUR)
    for part, spans in record.away.items():
        counts[f"{part} away"] = len(spans)
    counts["exporter killed"] = len(record.killed)
    counts["clock steps"] = 2 * len(record.wrong_clock)
    counts["maintenance windows"] = len(plan.windows)
    return counts


def history(case: Case, record: Record, broken: Broken) -> Iterator[str]:
    """Give the lines of what happened around a broken promise."""
    plan = case.plan()
    start, end = broken.true - BEFORE, broken.true + AFTER
    told: list[tuple[int, str]] = []
    good: set[str] = set()
    for attempt in record.attempts:
        if attempt.server != broken.server:
            continue
        if attempt.outcome is Outcome.SUCCESS and attempt.check in good:
            continue  # the first of a row says it
        (good.add if attempt.outcome is Outcome.SUCCESS else good.discard)(attempt.check)
        took = "cut off" if attempt.ended is None else f"after {(attempt.ended - attempt.true) / SECOND:g} s"
        lost = ", lost" if attempt.lost else ""
        said = f"{attempt.check} {attempt.outcome} {attempt.reason} {took}{lost} (process {attempt.process})"
        told.append((attempt.true, said))
    told += [
        (mail.true, f"mail to {mail.recipient}: {mail.subject}")
        for mail in record.mails
        if f"@{broken.server}." in mail.recipient or "noc@" in mail.recipient
    ]
    for part, spans in record.away.items():
        for span in spans:
            told += [(span.start, f"{part} away"), (span.end or 0, f"{part} back")]
    for span in record.wrong_clock:
        told += [(span.start, "wall clock wrong"), (span.end or 0, "wall clock right")]
    told += [(killed, "exporter killed") for killed in record.killed]
    for window in plan.windows:
        if window.server == broken.server:
            told += [(window.start, "maintenance begins"), (window.end, "maintenance ends")]
    told += [(at, str(act)) for at, act in plan.acts if not isinstance(act, world.Milestone)]
    for at, line in sorted(told):
        if start <= at < end:
            yield f"  {datetime.fromtimestamp(at / SECOND, UTC):%Y-%m-%d %H:%M:%S.%f}"[:-3] + f"  {line}"
