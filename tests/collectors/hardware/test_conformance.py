"""What every registered source promises, read from the same machine: one vocabulary through one emitter."""

import asyncio

import pytest
from prometheus_client.parser import text_string_to_metric_families

import collectors.hardware  # noqa: F401 - registers the sources
from collectors.reading import HardwareReading, Lamp, Verdict
from collectors.registry import SOURCES
from exporter.clock import Moment
from exporter.exposition import text_of
from exporter.inventory import Server
from exporter.lamps import HARDWARE, LampEvent, LampRead, SourceState, decide
from exporter.probe import as_confirmed, lamps_told
from exporter.rendering import server_lamp_lines, source_lines
from tests.collectors.hardware.devices import ABSENT, DEVICES, FAILED, SILENT, SOUND, Machine

PATIENCE = 20.0
SERVER = Server("web01", "c0001", managed=True, address="192.0.2.10")

Samples = dict[str, dict[tuple[str, ...], float]]

each_source = pytest.mark.parametrize("name", sorted(SOURCES))


async def read(name: str, machine: Machine) -> HardwareReading:
    async with DEVICES[name](machine) as (options, target):
        kind = SOURCES[name]
        reader = kind.build(kind.options.model_validate(options))
        return await reader.read(target, asyncio.get_running_loop().time() + PATIENCE)


def exposed(name: str, reading: HardwareReading) -> Samples:
    """What the emitter makes of a reading that was confirmed: samples by family and label values but the server's."""
    state = as_confirmed(LampRead(Moment(0, 1), reading, 0.1), SERVER)
    key = (SERVER.name, name)
    text = text_of([source_lines(key, state), server_lamp_lines(SERVER.name, {key: state})]).decode()
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = tuple(sample.labels[label] for label in sorted(sample.labels) if label != "server")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def supplies(name: str, samples: Samples) -> dict[str, float]:
    """The verdicts of the single power supplies by the digit in their component."""
    lamps = samples.get("dserver_lamp_verdict", {})
    return {
        component[-1]: verdict
        for (component, lamp, source), verdict in lamps.items()
        if lamp == Lamp.POWER_SUPPLY and source == name and component[-1].isdigit()
    }


def test_every_source_is_put_to_the_test() -> None:
    assert set(DEVICES) == set(SOURCES)


@each_source
async def test_parts_are_read_beside_their_roll_ups_and_the_worst_known_wins(name: str) -> None:
    samples = exposed(name, await read(name, Machine(supplies=(SOUND, FAILED, ABSENT, SILENT))))
    assert supplies(name, samples) == {"1": 0, "2": 2, "4": -1}
    assert samples["dserver_server_lamp_verdict"] == {(): 2}
    rolled_up = [
        verdict
        for (_, lamp, _), verdict in samples["dserver_lamp_verdict"].items()
        if lamp in {Lamp.SYSTEM, Lamp.POWER}
    ]
    assert rolled_up
    assert set(rolled_up) == {0}


@each_source
async def test_an_absent_part_has_no_series_and_an_unknown_one_is_not_normal(name: str) -> None:
    samples = exposed(name, await read(name, Machine(supplies=(SOUND, ABSENT, SILENT))))
    assert supplies(name, samples) == {"1": 0, "3": -1}
    assert samples["dserver_server_lamp_verdict"] == {(): 0}


@each_source
@pytest.mark.parametrize("lit", [True, False])
async def test_the_locate_lamp_is_told_apart_and_is_never_a_fault(name: str, lit: bool) -> None:
    samples = exposed(name, await read(name, Machine(supplies=(SOUND, SOUND), locate=lit)))
    assert samples["dserver_locate_lamp_on"] == {(): float(lit)}
    assert set(samples["dserver_lamp_verdict"].values()) == {0}
    assert samples["dserver_server_lamp_verdict"] == {(): 0}


@each_source
async def test_lamps_are_closed_components_are_one_line_each_and_unique_and_evidence_is_there(name: str) -> None:
    reading = await read(name, Machine())
    components = [lamp.component for lamp in reading.lamps]
    assert len(set(components)) == len(components)
    for lamp in reading.lamps:
        assert isinstance(lamp.lamp, Lamp)
        assert lamp.verdict is None or isinstance(lamp.verdict, Verdict)
        assert lamp.component.isprintable()
        assert 0 < len(lamp.component) <= 100
        assert lamp.evidence.strip()
        assert lamp.evidence.isprintable()
    assert reading.complete
    assert reading.transcript


@each_source
async def test_the_evidence_is_what_was_read_verbatim(name: str) -> None:
    reading = await read(name, Machine(supplies=(SOUND, FAILED)))
    [failed] = [lamp for lamp in reading.lamps if lamp.verdict is Verdict.CRITICAL]
    verbatim = {
        "ipmi": "00 c0 03 00",
        "snmp": "1.3.6.1.4.1.674.10892.5.4.600.12.1.5.1.2=5",
        "redfish": "/redfish/v1/Chassis/1/Power",
    }
    assert verbatim.get(name, "") in failed.evidence


@each_source
async def test_a_probe_shows_every_lamp_with_its_evidence(name: str) -> None:
    reading = await read(name, Machine(supplies=(SOUND, FAILED, ABSENT, SILENT), locate=True))
    told = list(lamps_told(reading, as_confirmed(LampRead(Moment(0, 1), reading, 0.1), SERVER)))
    for lamp in reading.lamps:
        word = "absent" if lamp.verdict is None else lamp.verdict.name.lower()
        assert f"{word:8} {lamp.lamp:12} {lamp.component}: {lamp.evidence}" in told
    assert told[-1] == "the locate lamp is on"


@each_source
async def test_a_part_that_is_gone_at_the_next_read_loses_its_series(name: str) -> None:
    state = SourceState()
    for machine in (Machine(supplies=(SOUND, SOUND)), Machine(supplies=(SOUND, ABSENT))):
        state, _ = decide(state, LampRead(Moment(0, 1), await read(name, machine), 0.1), power_expected=True)
    assert [known for known in state.lamps if known.endswith("2")] == []


@each_source
async def test_another_serial_number_is_told(name: str) -> None:
    readings = [await read(name, Machine(serial=serial)) for serial in ("S-1", "S-2")]
    assert [reading.hardware.serial for reading in readings if reading.hardware] == ["S-1", "S-2"]
    state = SourceState()
    changes: tuple[LampEvent, ...] = ()
    for reading in readings:
        state, changes = decide(state, LampRead(Moment(0, 1), reading, 0.1), power_expected=True)
    assert [change.subject for change in changes] == [HARDWARE]
    assert changes[0].now.endswith("serial S-2")
