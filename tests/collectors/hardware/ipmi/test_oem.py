"""Vendors' lamps: what is asked of whom, and what each answer means."""

import struct
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.hardware.ipmi import Ipmi, IpmiOptions, oem
from collectors.hardware.ipmi.oem import picmg, vendor
from collectors.hardware.ipmi.sdr import Locator
from collectors.reading import HardwareReading, Lamp, LampReading, Verdict
from tests.collectors.hardware.ipmi.conftest import HARMLESS
from tests.peers.ipmi_sim import SimSensor, name_field, record
from tests.peers.scripted_bmc import INVALID_COMMAND, OK, ScriptedBmc

Read = Callable[..., Awaitable[HardwareReading]]
U, N, W, C = Verdict.UNKNOWN, Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL

CISCO, DELL, FUJITSU, HP, HUAWEI, IBM, INTEL, LENOVO, ORACLE, WISTRON = (
    *(5771, 674, 10368, 11, 2011, 20301, 343, 19046, 42, 11161),
)

MANUFACTURERS = sorted({0, 10876}.union(*(each.manufacturers for each in oem.VENDORS)))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same retries, in a twentieth of the time."""
    monkeypatch.setattr(vendor, "WAITS", (0.05, 0.075))


@pytest.fixture
def read_own(bmc: ScriptedBmc, read: Read) -> Callable[..., Awaitable[HardwareReading]]:
    """Read the scripted BMC as a manufacturer's, with vendor commands allowed."""

    async def once(manufacturer: int, *, allowed: bool = True) -> HardwareReading:
        bmc.made_by(manufacturer)
        return await read(bmc, Ipmi(IpmiOptions(address="127.0.0.1", port=bmc.port, oem=allowed)))

    return once


def answers(bmc: ScriptedBmc, netfn: int, command: int, by_data: dict[str, str]) -> None:
    """Have a command answered by its data, both in hexadecimal; all else is C9h."""
    known = {bytes.fromhex(data): bytes.fromhex(answer) for data, answer in by_data.items()}
    bmc.answers[netfn, command] = lambda data: OK + known[data] if data in known else b"\xc9"


def lamps(reading: HardwareReading) -> dict[str, Verdict | None]:
    return {lamp.component: lamp.verdict for lamp in reading.lamps}


def of_vendor(bmc: ScriptedBmc) -> list[tuple[int, int, bytes]]:
    return [asked for asked in bmc.asked if asked[:2] not in HARMLESS]


# --- consent ---


@pytest.mark.parametrize("manufacturer", MANUFACTURERS)
async def test_vendor_commands_need_consent_but_for_fujitsus(
    bmc: ScriptedBmc, read_own: Read, manufacturer: int
) -> None:
    plain = len((await read_own(0, allowed=False)).lamps)
    reading = await read_own(manufacturer, allowed=False)
    assert {netfn for netfn, _, _ in of_vendor(bmc)} == ({0x2E} if manufacturer == FUJITSU else set())
    assert len(reading.lamps) == plain
    assert reading.complete


@pytest.mark.parametrize("manufacturer", MANUFACTURERS)
@pytest.mark.parametrize("answer", [INVALID_COMMAND, b"\xd5", OK, OK + b"\xa5", OK + b"\xff" * 20, None])
async def test_whatever_a_bmc_makes_of_vendor_commands_costs_only_their_lamps_and_is_never_normal(
    bmc: ScriptedBmc, read_own: Read, manufacturer: int, answer: bytes | None
) -> None:
    for netfn, command in ((0x2E, 0xF5), (0x30, 0x32), (0x30, 0x1C), (0x30, 0xB0), (0x3A, 0xC0), (0x3A, 0x02)):
        bmc.answers[netfn, command] = (lambda _: answer) if answer is None else answer
    bmc.answers[0x2C, 0x05] = bmc.answers[0x2C, 0x08] = bmc.answers[0x2E, 0xF5]
    reading = await read_own(manufacturer)
    found = lamps(reading)
    assert found.pop("CPU Temp") == N
    assert len(reading.sensors) == 18
    own = [lamp for lamp in reading.lamps if "/" in lamp.evidence]
    assert N not in {lamp.verdict for lamp in own}
    assert (bmc.opened, bmc.closed) == (1, 1)


async def test_a_bmc_that_is_silent_about_its_lamps_is_asked_once(bmc: ScriptedBmc, read_own: Read) -> None:
    bmc.answers[0x3A, 0xC1] = bmc.answers[0x3A, 0x02] = lambda _data: None
    found = lamps(await read_own(LENOVO))
    assert {data for _, _, data in of_vendor(bmc)} == {b""}
    assert found["System fault lamp"] == U
    assert found["CPU Temp"] == N


async def test_the_evidence_of_a_vendors_lamp_is_what_was_asked_and_answered(bmc: ScriptedBmc, read_own: Read) -> None:
    answers(bmc, 0x30, 0x1C, {"": "01 03 00 02"})
    (lamp,) = [lamp for lamp in (await read_own(WISTRON)).lamps if lamp.component == "Fault lamp"]
    assert lamp.evidence == "30/1c -> 01 03 00 02"


def test_no_lamp_is_called_like_another() -> None:
    same = [LampReading(Lamp.SYSTEM, "Fault lamp", verdict, "") for verdict in (N, C, W)]
    found = oem.without_namesakes(same, ["Fault lamp #2", "Fan 1"])
    assert [(lamp.component, lamp.verdict) for lamp in found] == [
        ("Fault lamp", N),
        ("Fault lamp #3", C),
        ("Fault lamp #4", W),
    ]


# --- Fujitsu ---


@pytest.mark.parametrize(
    ("state", "global_error", "self_service"),
    [(0, N, N), (1, W, N), (2, C, N), (3, N, W), (4, W, W), (5, C, W), (6, N, C), (7, W, C), (8, C, C), (9, U, U)],
)
@pytest.mark.parametrize("identify", [0, 1])
async def test_fujitsus_error_and_identify_lamps(
    bmc: ScriptedBmc, read_own: Read, state: int, global_error: Verdict, self_service: Verdict, identify: int
) -> None:
    answers(bmc, 0x2E, 0xF5, {"80 28 00 b3": f"80 28 00 {state:02x}", "80 28 00 b1": f"80 28 00 {identify:02x}"})
    reading = await read_own(FUJITSU, allowed=False)
    found = lamps(reading)
    assert (found["Global error lamp"], found["Customer self service lamp"]) == (global_error, self_service)
    assert reading.locate is bool(identify)


# --- HP ---


async def hps_lights(bmc: ScriptedBmc, uid: int, health: int) -> None:
    for number, (name, event_type, states) in enumerate(
        (("UID Light", 0x70, uid), ("Sys. Health LED", 0x71, health)), start=90
    ):
        bmc.records.append(SimSensor(number, name, 0xC0, event_type, readable=(0, 1, 2)).record(number))
        bmc.readings[number] = bytes([0, 0xC0, states, 0])


@pytest.mark.parametrize(("states", "expected"), [(0, U), (1, N), (2, W), (4, C), (5, C), (3, W), (8, U), (9, U)])
async def test_hps_health_led_is_the_system_lamp(
    bmc: ScriptedBmc, read_own: Read, states: int, expected: Verdict
) -> None:
    await hps_lights(bmc, 0, states)
    (lamp,) = [lamp for lamp in (await read_own(HP, allowed=False)).lamps if lamp.component == "Sys. Health LED"]
    assert (lamp.lamp, lamp.verdict, lamp.evidence) == (Lamp.SYSTEM, expected, f"reading=00 c0 {states:02x} 00")


@pytest.mark.parametrize(("states", "lit"), [(1, True), (2, False), (4, True)])
async def test_hps_uid_light_is_the_locate_lamp_and_no_other(
    bmc: ScriptedBmc, read_own: Read, states: int, lit: bool
) -> None:
    await hps_lights(bmc, states, 1)
    reading = await read_own(HP, allowed=False)
    assert reading.locate is lit
    assert "UID Light" not in lamps(reading)


async def test_the_same_sensors_of_another_maker_mean_nothing_known(bmc: ScriptedBmc, read_own: Read) -> None:
    await hps_lights(bmc, 1, 4)
    found = lamps(await read_own(DELL))
    assert (found["UID Light"], found["Sys. Health LED"]) == (U, U)


# --- Cisco ---


@pytest.mark.parametrize(("states", "expected"), [(0x01, U), (0x12, N), (0x22, W), (0x02, U), (0x32, U), (0x00, U)])
async def test_ciscos_led_sensors_tell_by_their_colour(
    bmc: ScriptedBmc, read_own: Read, states: int, expected: Verdict
) -> None:
    bmc.records.append(SimSensor(90, "LED_PSU_STATUS", 0xC0, 0x6F).record(90))
    bmc.records.append(SimSensor(91, "LED_FPID", 0xC0, 0x6F).record(91))
    bmc.readings[90], bmc.readings[91] = bytes([0, 0xC0, states, 0]), bytes.fromhex("00 c0 42 00")
    reading = await read_own(CISCO)
    (lamp,) = [lamp for lamp in reading.lamps if lamp.component == "LED_PSU_STATUS"]
    assert (lamp.lamp, lamp.verdict) == (Lamp.POWER_SUPPLY, expected)
    assert "LED_FPID" not in lamps(reading)
    assert reading.locate is True
    assert lamps(await read_own(CISCO, allowed=False))["LED_PSU_STATUS"] == U


# --- Dell, Wistron, Intel ---


@pytest.mark.parametrize(("answer", "lit"), [("00", False), ("01", True)])
async def test_dells_identify_lamp(bmc: ScriptedBmc, read_own: Read, answer: str, lit: bool) -> None:
    answers(bmc, 0x30, 0x32, {"": answer})
    assert (await read_own(DELL)).locate is lit


@pytest.mark.parametrize(
    ("answer", "fault", "lit"),
    [
        ("01 03 00 00", N, False),
        ("01 03 01 01", C, True),
        ("01 03 02 02", C, True),
        ("01 03 00 03", U, False),
        ("01 02 01 00", N, False),
        ("01 01 01 00", None, True),
        ("01 03 01", U, False),
    ],
)
async def test_wistrons_chassis_lights(
    bmc: ScriptedBmc, read_own: Read, answer: str, fault: Verdict | None, lit: bool
) -> None:
    """What it does not tell of the identify light, the chassis status does: off."""
    answers(bmc, 0x30, 0x1C, {"": answer})
    reading = await read_own(WISTRON)
    assert lamps(reading).get("Fault lamp") == fault
    assert reading.locate is lit


@pytest.mark.parametrize(
    ("amber", "green", "expected"),
    [
        *((2, green, C) for green in (0, 1, 2)),
        *((1, green, W) for green in (0, 1, 2)),
        (0, 1, W),
        (0, 2, N),
        (0, 0, U),
        (3, 2, U),
        (0, 3, U),
    ],
)
@pytest.mark.parametrize(("identify", "lit"), [(0, False), (1, True), (2, True)])
async def test_intels_front_panel(
    bmc: ScriptedBmc, read_own: Read, amber: int, green: int, expected: Verdict, identify: int, lit: bool
) -> None:
    answers(bmc, 0x30, 0xB0, {"": f"{amber << 2 | green << 4 | identify << 6:02x}"})
    reading = await read_own(INTEL)
    assert lamps(reading)["Status lamp"] == expected
    assert reading.locate is lit


# --- IBM, Lenovo ---


@pytest.mark.parametrize(("lit", "expected"), [("00", N), ("01", C), ("ff", C)])
@pytest.mark.parametrize("location", ["00 01", "01 00"])
async def test_ibms_light_path_in_either_order_of_bytes(
    bmc: ScriptedBmc, read_own: Read, lit: str, expected: Verdict, location: str
) -> None:
    answers(bmc, 0x3A, 0xC0, {"00 00": f"00 {lit} 00 00 10 02", location: f"00 {lit} 00 00 00 03"})
    reading = await read_own(IBM)
    assert lamps(reading)["Fault lamp"] == expected
    assert reading.locate is (expected == C)


async def test_lenovos_tsm_is_asked_for_each_light(bmc: ScriptedBmc, read_own: Read) -> None:
    answers(bmc, 0x3A, 0x02, {"00": "ff", "02": "00", "03": "00", "04": "ff", "10": "00", "11": "42"})
    reading = await read_own(LENOVO)
    found = {lamp.component: (lamp.lamp, lamp.verdict) for lamp in reading.lamps}
    assert {name: found[name] for name in found if name.endswith("fault lamp")} == {
        "System fault lamp": (Lamp.SYSTEM, N),
        "PSU1 fault lamp": (Lamp.POWER_SUPPLY, N),
        "PSU2 fault lamp": (Lamp.POWER_SUPPLY, C),
        "Fan 1 fault lamp": (Lamp.FAN, N),
        "Fan 2 fault lamp": (Lamp.FAN, C),
    }
    assert reading.locate is True


async def test_lenovos_xcc_is_known_and_left_alone(bmc: ScriptedBmc, read_own: Read) -> None:
    answers(bmc, 0x3A, 0xC1, {"": "01 02 03"})
    await read_own(LENOVO)
    assert of_vendor(bmc) == [(0x3A, 0xC1, b"")]


# --- Oracle ---


def locator(name: str, light: int, slave: int, instance: int = 1) -> bytes:
    """Return a generic device locator record."""
    body = struct.pack("<BB5xBBB", 0x20, slave, 7, instance, light)
    return record(1, 0x10, body + name_field(name))


@pytest.mark.parametrize(("mode", "expected"), [("00", N), ("01", C), ("02", C), ("03", C), ("04", C), ("05", U)])
@pytest.mark.parametrize("blade", [False, True])
async def test_oracles_lights_are_asked_for_by_their_records(
    bmc: ScriptedBmc, read_own: Read, mode: str, expected: Verdict, blade: bool
) -> None:
    bmc.records += [locator("SERVICE", 1, 0x40), locator("LOCATE", 3, 0x42), locator("OK2RM", 0, 0x44)]
    tail = "07 01 00" if blade else "00"
    answers(bmc, 0x2E, 0x21, {f"40 01 20 01 {tail}": mode, f"42 03 20 03 {tail}": "03"})
    reading = await read_own(ORACLE)
    assert lamps(reading)["SERVICE"] == expected
    assert reading.locate is True
    assert {data[0] for _, _, data in of_vendor(bmc)} == {0x40, 0x42}


async def test_two_lights_of_one_name_are_two_lamps(bmc: ScriptedBmc, read_own: Read) -> None:
    bmc.records += [locator("SERVICE", 1, 0x40), locator("SERVICE", 1, 0x42), locator("CPU Temp", 1, 0x44)]
    answers(bmc, 0x2E, 0x21, {"40 01 20 01 00": "00", "42 01 20 01 00": "01", "44 01 20 01 00": "01"})
    found = lamps(await read_own(ORACLE))
    assert (found["SERVICE"], found["SERVICE #2"], found["CPU Temp"], found["CPU Temp #2"]) == (N, C, N, C)


# --- Huawei, PICMG ---

BLUE, RED, GREEN, AMBER, ORANGE, WHITE = range(1, 7)


def local(function: str, colour: int) -> str:
    return f"00 01 {function} 00 {colour:02x}"


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (local("ff", GREEN), N),
        (local("00", GREEN), U),
        (local("20", GREEN), U),
        (local("00", RED), N),
        (local("ff", RED), C),
        (local("32", RED), C),
        (local("ff", AMBER), W),
        (local("fa", AMBER), C),
        (local("00", ORANGE), N),
        (local("01", ORANGE), C),
        (local("fb", RED), U),
        (local("ff", 9), U),
        ("00 03 ff 00 03 ff 00 02", C),  # override before local control
        ("00 03 ff 00 02 00 00 02", N),
        ("00 02 00 00 00 ff 00 04", W),
        ("00 03 ff 00 03 ff", U),  # an override that is cut off
        ("00 07 ff 00 03 ff 00 02 10", U),  # lamp test
        ("00 00 ff 00 03", U),
        ("00 01 ff", U),
        ("01 01 ff 00 03", U),
    ],
)
async def test_picmgs_lights_tell_by_colour_and_by_what_is_shown(
    bmc: ScriptedBmc, read_own: Read, state: str, expected: Verdict
) -> None:
    answers(bmc, 0x2C, 0x05, {"00 00": "00 03 01"})
    answers(bmc, 0x2C, 0x08, {"00 00 00": local("ff", BLUE), "00 00 01": state, "00 00 04": local("ff", GREEN)})
    reading = await read_own(HUAWEI)
    found = lamps(reading)
    assert (found["FRU LED 1"], found["FRU LED 4"]) == (expected, N)
    assert "FRU LED 0" not in found
    assert reading.locate is True


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(state=st.binary(max_size=12))
def test_any_state_of_a_light_is_a_verdict_and_only_a_told_one_is_normal(state: bytes) -> None:
    verdict = picmg.health(state)
    assert verdict != N or (picmg.effective(state) is not None and len(state) >= 4)


# --- any bytes at all ---


class Mumbling:
    """A session in which every command has the same answer."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def request(self, *_: object, **__: object) -> bytes:
        return self._answer


@given(
    each=st.sampled_from(oem.VENDORS), answer=st.binary(max_size=12), names=st.lists(st.text(max_size=3), max_size=3)
)
async def test_no_answer_breaks_a_vendors_reader(each: oem.Vendor, answer: bytes, names: list[str]) -> None:
    locators = [Locator(0x20, 0x40, 7, 1, light % 4, name) for light, name in enumerate(names)]
    talk = oem.Talk(Mumbling(answer), locators)  # type: ignore[arg-type]  # what of a session is needed
    told = await each.read(talk)
    assert told.locate in {True, False, None}
    assert all(isinstance(lamp.verdict, Verdict) for lamp in told.lamps)
