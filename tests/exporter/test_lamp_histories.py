"""The server's verdict over generated histories of several sources: what silence, absence and other sources may do."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.failures import TimedOut, Unauthorized
from collectors.reading import HardwareReading, Lamp, LampReading, Verdict
from exporter.clock import MINUTE, Moment
from exporter.lamps import POWER_COMPONENT, LampRead, SourceState, decide, server_verdict

GRAVITY = [Verdict.NORMAL, Verdict.UNKNOWN, Verdict.WARNING, Verdict.CRITICAL]
"""From best to worst, for a server."""

SOURCES = ("ipmi", "snmp", "redfish")
PARTS = ("Drive 1", "Fan 1")

Outcome = HardwareReading | TimedOut | Unauthorized
Step = tuple[str, Outcome]

readings = st.builds(
    lambda verdicts, complete, locate, power: HardwareReading(
        lamps=tuple(
            LampReading(Lamp.OTHER, part, verdict, "generated")
            for part, verdict in zip(PARTS, verdicts, strict=True)
            if verdict != "unlisted"
        ),
        complete=complete,
        locate=locate,
        power=power,
    ),
    st.tuples(*[st.sampled_from([*Verdict, None, "unlisted"])] * len(PARTS)),
    st.booleans(),
    st.none() | st.booleans(),
    st.none() | st.just(True),
)
outcomes = readings | st.sampled_from([TimedOut("connect"), Unauthorized("log-in")])
histories = st.lists(st.tuples(st.sampled_from(SOURCES), outcomes), max_size=12)


def played(history: Sequence[Step]) -> list[dict[str, SourceState]]:
    """The states of all sources after each step, all configured from the start."""
    states = {source: SourceState() for source in SOURCES}
    seen = [states]
    for number, (source, outcome) in enumerate(history):
        read = LampRead(Moment(number * MINUTE, number * MINUTE + 1), outcome, 0.1)
        after, _ = decide(states[source], read, power_expected=True)
        states = {**states, source: after}
        seen.append(states)
    return seen


def gravity(states: dict[str, SourceState]) -> int:
    return GRAVITY.index(server_verdict(states.values()))


@settings(max_examples=300, deadline=None)
@given(histories)
def test_a_source_that_falls_silent_makes_no_lamp_better_and_no_server(history: list[Step]) -> None:
    for before, after, (source, outcome) in zip(played(history), played(history)[1:], history, strict=False):
        if isinstance(outcome, TimedOut | Unauthorized):
            assert after[source].lamps == before[source].lamps
            assert gravity(after) >= gravity(before)


@settings(max_examples=300, deadline=None)
@given(histories)
def test_a_lamp_is_changed_by_its_own_source_alone(history: list[Step]) -> None:
    states = played(history)
    for before, after, (source, _) in zip(states, states[1:], history, strict=False):
        assert all(after[other] is before[other] for other in SOURCES if other != source)


@settings(max_examples=300, deadline=None)
@given(histories)
def test_a_server_is_normal_only_if_each_source_answered_and_told_a_lamp_and_none_was_bad_twice(
    history: list[Step],
) -> None:
    if server_verdict(played(history)[-1].values()) is not Verdict.NORMAL:
        return
    for source in SOURCES:
        own = [outcome for name, outcome in history if name == source]
        assert own
        assert isinstance(own[-1], HardwareReading)
        told = [outcome for outcome in own if isinstance(outcome, HardwareReading)]
        for part in PARTS:
            verdicts = [{lamp.component: lamp.verdict for lamp in reading.lamps} for reading in told]
            # a whole reading without the part says that it is gone; one that is cut off says nothing of it
            seen = [of.get(part) for of, reading in zip(verdicts, told, strict=True) if part in of or reading.complete]
            bad = [verdict is not None and verdict >= Verdict.WARNING for verdict in seen[-2:]]
            assert bad != [True, True]


@settings(max_examples=300, deadline=None)
@given(histories, st.sampled_from(SOURCES), st.sampled_from(PARTS), histories)
def test_what_one_source_read_as_critical_twice_stays_until_that_source_reads_it_otherwise(
    before: list[Step], source: str, part: str, others: list[Step]
) -> None:
    bad = HardwareReading(lamps=(LampReading(Lamp.DRIVE, part, Verdict.CRITICAL, "generated"),))
    others = [(name, outcome) for name, outcome in others if name != source or not isinstance(outcome, HardwareReading)]
    history = [*before, (source, bad), (source, bad), *others]
    for states in played(history)[len(before) + 2 :]:
        assert server_verdict(states.values()) is Verdict.CRITICAL


@settings(max_examples=300, deadline=None)
@given(histories)
def test_an_absent_part_is_not_known_after_the_read_that_says_so(history: list[Step]) -> None:
    for states, (source, outcome) in zip(played(history)[1:], history, strict=True):
        if isinstance(outcome, HardwareReading):
            absent = {lamp.component for lamp in outcome.lamps if lamp.verdict is None}
            assert not absent & set(states[source].lamps)
            listed = {lamp.component for lamp in outcome.lamps}
            if outcome.complete:
                assert set(states[source].lamps) - {POWER_COMPONENT} <= listed


@settings(max_examples=200, deadline=None)
@given(histories, st.none() | st.booleans())
def test_the_locate_lamp_changes_no_verdict(history: list[Step], locate: bool | None) -> None:
    other = [
        (source, replace(outcome, locate=locate) if isinstance(outcome, HardwareReading) else outcome)
        for source, outcome in history
    ]
    assert [gravity(states) for states in played(history)] == [gravity(states) for states in played(other)]
