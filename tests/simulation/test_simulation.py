"""The promise, simulated in small: drawn weeks, a story written by hand, and the product broken on purpose."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any
from unittest import mock

import pytest

from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.contract.businessdays import BusinessCalendar
from exporter.contract.incidents import IncidentEvent
from exporter.contract.notices import queued_event
from exporter.inventory import MaintenanceWindow
from exporter.outage import Attempt, CheckState, Transition, decide, restored
from tests.simulation.oracle import Verdict, judge, kind_of
from tests.simulation.record import Part, Record, Span
from tests.simulation.run import Case, simulate
from tests.simulation.site import Site, contacts
from tests.simulation.world import CHECKS, EPOCH, ExporterEnds, How, Milestone, Plan, Restart, Trouble

SERVER = "s001"


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_in_drawn_weeks_every_promise_is_kept(seed: str) -> None:
    outcomes = simulate(Case(seed, 0, servers=3, days=30))
    assert [(broken.server, broken.what, history) for _, broken, history in outcomes.broken] == []
    assert outcomes.counts["outages"]


def empty(hours: float) -> Plan:
    """Return some hours at one server in which nothing happens."""
    plan = Plan("story", (SERVER,), EPOCH + round(hours * HOUR))
    plan.troubles = {(SERVER, check): [] for check in CHECKS}
    plan.away = {part: [] for part in (Part.VANTAGE, Part.LOOP, Part.MAIL, Part.SCRAPES)}
    return plan


@cache
def first_attempts() -> dict[str, int]:
    """Return a time at which each check is tried; it is every ten minutes from then on, until the exporter restarts."""
    with TemporaryDirectory() as folder:
        return {attempt.check: attempt.true for attempt in Site(empty(0.5), Path(folder)).run().attempts}


def story(hours: float) -> Plan:
    """Return some hours at one server, with something in them for everything that can go wrong in the product."""
    plan = empty(hours)

    def down(check: str, hour: float, *spells: tuple[float, float, str]) -> int:
        """Add troubles from and until so many minutes after an attempt, the first in this hour; return its time."""
        first = first_attempts()[check]
        first += -(-(EPOCH + round(hour * HOUR) - first) // (10 * MINUTE)) * 10 * MINUTE
        for begin, end, reason in spells:
            span = [first + round(minutes * MINUTE) - SECOND for minutes in (begin, end)]
            plan.troubles[SERVER, check].append(Trouble(span[0], span[1], reason))
        return first

    down("chk-a", 1, (0, 25, "timeout"))  # told: the whole server
    for check in CHECKS[1:]:
        plan.troubles[SERVER, check] += plan.troubles[SERVER, "chk-a"]
    down("chk-c", 3, (0, 9.9, "unavailable"))  # not long enough
    down("chk-d", 4, (0, 4.5, "tls"), (4.5, 30, "auth"), (30, 39.5, "tls"))  # with a gap in it that is no evidence
    start = down("chk-b", 6, (0, 40, "content"))  # in maintenance
    window = MaintenanceWindow(start - 10 * MINUTE, start + 50 * MINUTE, "story", server=SERVER)
    plan.windows, plan.configured = [window], (window,)
    plan.acts += [(mark, Milestone()) for mark in (window.start, window.end, window.end + 10 * MINUTE)]
    start = down("chk-a", 9, (0, 15, "refused"))  # told by the last resort
    plan.acts.append((start - MINUTE, Restart(Part.ALERTMANAGER, 30 * MINUTE, forgets=True)))
    start = EPOCH + 11 * HOUR
    plan.away[Part.VANTAGE] = [Span(start, start + 30 * MINUTE)]
    start = down("chk-a", 13, (0, 14, "refused"))  # told, across a restart
    plan.acts.append((start + 5 * MINUTE, ExporterEnds(How.KILLED, 40 * SECOND)))
    return plan


def lived(folder: Path, *, hours: float = 15, thorough: bool = False) -> tuple[Record, list[IncidentEvent], Verdict]:
    """Live through the story; return what happened, what the ledger has of it, and what the oracle says."""
    plan = story(hours)
    site = Site(plan, folder, thorough=thorough)
    record = site.run()
    return record, site.history(), judge(record, plan.windows, {SERVER: contacts(SERVER)}, plan.end)


def test_the_story_is_told_as_it_should_be(tmp_path: Path) -> None:
    record, _, verdict = lived(tmp_path, hours=44)
    assert verdict.broken == []
    [address, *_] = contacts(SERVER)
    said = [(kind_of(mail), round((mail.true - EPOCH) / HOUR)) for mail in record.mails if mail.recipient == address]
    assert [hour for kind, hour in said if kind in ("notice", "update")] == [1, 9, 13]
    assert [hour for kind, hour in said if kind == "recovery"] == [1, 9, 13]
    assert [kind for kind, _ in said].count("report") == 3


def test_what_is_skipped_would_have_changed_nothing(tmp_path: Path) -> None:
    record, history, _ = lived(tmp_path / "skipping")
    all_of_it, whole_history, _ = lived(tmp_path / "all", thorough=True)
    assert record.lived < 0.8 * all_of_it.lived
    assert record.mails == all_of_it.mails
    assert history == whole_history
    seen, everything = (
        {(each.true, each.check, each.outcome, each.reason) for each in of.attempts} for of in (record, all_of_it)
    )
    assert seen <= everything
    assert {outcome for _, _, outcome, _ in everything - seen} == {"success"}


Decided = tuple[CheckState, tuple[Transition, ...]]


def _deciding(change: Callable[[CheckState, Attempt, int], Decided]) -> AbstractContextManager[Any]:
    return mock.patch("exporter.runner.decide", change)


def _one_check_early(state: CheckState, attempt: Attempt, interval: int) -> Decided:
    new, changes = decide(state, attempt, interval)
    return (replace(new, confirmed=new.confirmed + MINUTE) if new.confirmed == 9 * MINUTE else new), changes


def _long_step(state: CheckState, attempt: Attempt, interval: int) -> Decided:
    return decide(state, attempt, 10 * interval)


def _void_counts(state: CheckState, attempt: Attempt, interval: int) -> Decided:
    return decide(state, replace(attempt, void=False), interval)


def _restart_resets(state: CheckState) -> CheckState:
    return CheckState(up=True, ever_up=True, last_run=state.last_run) if state.down_since else restored(state)


def _nothing_remembered(*args: Any) -> IncidentEvent:
    event = queued_event(*args)
    return replace(event, data=MappingProxyType({**event.data, "covers": ""}))


def _a_day_late(calendar: BusinessCalendar, recovered: int) -> int:
    return calendar.end_of_business(calendar.next_business_day(calendar.day(recovered))) + DAY


async def _uplink_is_fine(*_: Any) -> bool:
    return False


BREAKS: dict[str, tuple[Callable[[], AbstractContextManager[Any]], str]] = {
    "told one check early": (lambda: _deciding(_one_check_early), "told in vain of chk-c"),
    "a long step is evidence": (lambda: _deciding(_long_step), "told in vain of chk-d"),
    "a void attempt is evidence": (lambda: _deciding(_void_counts), "told in vain"),
    "a restart forgets an outage": (
        lambda: mock.patch("exporter.ledger.restored", _restart_resets),
        "was told that chk-a was down",
    ),
    "what was told is forgotten": (lambda: mock.patch("exporter.notices.queued_event", _nothing_remembered), "told"),
    "maintenance is ignored": (
        lambda: mock.patch("exporter.maintenance.Maintenance.spares_customer", return_value=False),
        "told in vain of chk-b",
    ),
    "no vantage guard": (lambda: mock.patch("exporter.vantage.Vantage.lost", _uplink_is_fine), "told in vain"),
    "no last resort": (lambda: mock.patch("exporter.chain._Missing.due", return_value=False), "chk-a"),
    "reports a day late": (
        lambda: mock.patch("exporter.contract.businessdays.BusinessCalendar.report_due", _a_day_late),
        "the report was not drafted",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_oracle_sees_what_is_broken(name: str, tmp_path: Path) -> None:
    patch, said = BREAKS[name]
    with patch():
        _, _, verdict = lived(tmp_path, hours=44 if "report" in name else 15)
    assert any(said in broken.what for broken in verdict.broken), verdict.broken
