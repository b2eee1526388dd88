"""Trees that no server has: whatever stands anywhere in them, the reader does not crash, not hang, and tells no lie."""

import asyncio
import json
from copy import deepcopy
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from yarl import URL

from collectors.failures import WrongContent
from collectors.hardware.redfish.client import MOST_REQUESTS, Answer
from collectors.hardware.redfish.parts import told
from collectors.hardware.redfish.session import Manners, Visit
from collectors.hardware.redfish.walk import Findings, Walk, unread
from collectors.reading import LampReading, Verdict
from collectors.transcript import Transcript
from tests.peers.redfish_service import Tree, credential, tree_of

ROOT = "/redfish/v1"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/1"
FINE = {"State": "Enabled", "Health": "OK", "HealthRollup": "OK"}


def reference(path: str) -> dict[str, str]:
    return {"@odata.id": path}


SERVER = tree_of(
    {
        "@odata.id": SYSTEM,
        "Name": "System",
        "PowerState": "On",
        "SerialNumber": "S1",
        "IndicatorLED": "Off",
        "Status": FINE,
        "MemorySummary": {"Status": FINE},
        "Memory": [f"{SYSTEM}/Memory/1"],
        "Processors": [f"{SYSTEM}/Processors/1"],
        "Storage": [f"{SYSTEM}/Storage/1"],
        "LogServices": [f"{SYSTEM}/LogServices/1"],
        "Oem": {
            "Hpe": {"AggregateHealthStatus": {"Fans": {"Status": FINE}, "FanRedundancy": "Redundant"}},
            "Dell": {"DellSystem": {"FanRollupStatus": "OK"}},
        },
    },
    {"@odata.id": f"{SYSTEM}/Memory/1", "Name": "DIMM 1", "Status": FINE},
    {"@odata.id": f"{SYSTEM}/Processors/1", "Name": "CPU 1", "Status": FINE},
    {
        "@odata.id": f"{SYSTEM}/Storage/1",
        "Name": "RAID",
        "Status": FINE,
        "StorageControllers": [{"Name": "Controller", "Status": FINE}],
        "Drives": [reference(f"{SYSTEM}/Storage/1/Drives/1")],
    },
    {
        "@odata.id": f"{SYSTEM}/Storage/1/Drives/1",
        "Name": "Drive 1",
        "Status": FINE,
        "FailurePredicted": False,
        "StatusIndicator": "OK",
    },
    {
        "@odata.id": f"{SYSTEM}/LogServices/1",
        "Name": "SEL",
        "MaxNumberOfRecords": 10,
        "OverWritePolicy": "NeverOverWrites",
        "Entries": reference(f"{SYSTEM}/LogServices/1/Entries"),
    },
    {"@odata.id": f"{SYSTEM}/LogServices/1/Entries", "Members@odata.count": 3, "Members": []},
    {
        "@odata.id": CHASSIS,
        "Name": "Chassis",
        "Status": FINE,
        "PhysicalSecurity": {"IntrusionSensor": "Normal"},
        "Thermal": reference(f"{CHASSIS}/Thermal"),
        "Power": reference(f"{CHASSIS}/Power"),
        "ThermalSubsystem": reference(f"{CHASSIS}/ThermalSubsystem"),
        "Sensors": [f"{CHASSIS}/Sensors/1"],
    },
    {
        "@odata.id": f"{CHASSIS}/Thermal",
        "Fans": [{"Name": "Fan 1", "Status": FINE, "Reading": 5000, "ReadingUnits": "RPM"}],
        "Temperatures": [{"Name": "Inlet", "Status": FINE, "ReadingCelsius": 22}],
        "Redundancy": [{"Name": "Fans", "Status": FINE}],
    },
    {
        "@odata.id": f"{CHASSIS}/Power",
        "PowerSupplies": [{"Name": "PSU 1", "Status": FINE, "LineInputVoltage": 200, "LineInputStatus": "Normal"}],
        "Voltages": [{"Name": "12V", "Status": FINE, "ReadingVolts": 12.1}],
        "PowerControl": [{"Name": "Total", "PowerConsumedWatts": 200}],
    },
    {"@odata.id": f"{CHASSIS}/ThermalSubsystem", "Status": FINE, "Fans": [f"{CHASSIS}/ThermalSubsystem/Fans/1"]},
    {"@odata.id": f"{CHASSIS}/ThermalSubsystem/Fans/1", "Name": "Fan 1", "Status": FINE},
    {"@odata.id": f"{CHASSIS}/Sensors/1", "Name": "Inlet", "Status": FINE, "Reading": 22, "ReadingUnits": "Cel"},
    {"@odata.id": MANAGER, "Name": "BMC", "Status": FINE, "FirmwareVersion": "1.0", "LogServices": []},
)

Place = tuple[str | int, ...]


def places(value: Any, here: Place = ()) -> list[Place]:
    """All places in a tree below the resources themselves."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in inner for place in ((*here, key), *places(item, (*here, key)))]


PLACES = [place for place in places(SERVER) if len(place) > 1]
PATHS = sorted(SERVER)
WORDS = st.sampled_from(
    (
        *("OK", "Ok ", "WARNING", "Critical", "Degraded", "GoodInUse", "Absent", "Disabled", "StandbyOffline"),
        *("Enabled", "UnavailableOffline", "Fail", "Error", "Lit", "Off", "On", "NeverOverWrites", "Redundant"),
        *("FailedRedundant", "?", "", "\ud800", "A\nB"),
    )
)
VALUES = st.recursive(
    WORDS
    | st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.just(10**400)
    | st.sampled_from(PATHS)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@odata.id", "Members", "Status", "Health", "State", "Name"]), inner, max_size=3
        )
        | st.fixed_dictionaries({"@odata.id": st.sampled_from(PATHS)})
    ),
    max_leaves=6,
)
MUTATIONS = st.lists(st.tuples(st.sampled_from(PLACES), VALUES), max_size=8)


class ServiceInMemory:
    """What a walk asks, without a network."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.origin = URL("https://bmc.example")
        self.transcript = Transcript(lambda: 0.0)
        self.authorisation: dict[str, str] = {}
        self.step = ""
        self.requests = 0

    async def get(self, target: str) -> Answer:
        self.requests += 1
        assert self.requests < MOST_REQUESTS
        path = target.partition("?")[0].rstrip("/")
        if path not in self.tree:
            return Answer(404, b"")
        return Answer(200, json.dumps(self.tree[path]).encode("utf-8", "surrogatepass"))

    async def send(self, method: str, target: str, *_: object) -> Answer:
        assert method == "POST"
        return Answer(404, b"")


async def walked(tree: Tree) -> Findings:
    client: Any = ServiceInMemory(tree)
    walk = Walk(Visit(client, credential(), Manners(), 0.0))
    await walk.log_in()
    return await walk.survey()


def lamps(tree: Tree) -> tuple[LampReading, ...]:
    found = asyncio.run(walked(tree))
    return told([*found.parts, *unread(found, {})], {}).lamps


def mutated(mutations: list[tuple[Place, Any]]) -> Tree:
    tree: Any = deepcopy(SERVER)
    for place, value in mutations:
        owner: Any = tree
        key: Any
        for key in place[:-1]:
            inside = isinstance(owner, dict) and key in owner
            inside |= isinstance(owner, list) and isinstance(key, int) and key < len(owner)
            owner = owner[key] if inside else None
        last: Any = place[-1]
        if isinstance(owner, dict) or (isinstance(owner, list) and isinstance(last, int) and last < len(owner)):
            owner[last] = value
    # without a service root there is nothing to be read; that is tested elsewhere
    tree[ROOT] = {**SERVER[ROOT], "Oem": tree[ROOT].get("Oem")} if isinstance(tree[ROOT], dict) else SERVER[ROOT]
    return {path: data if isinstance(data, dict) else {} for path, data in tree.items()}


FINE_WORDS = ("ok", "goodinuse", "hotspare", "normal", "redundant")
BAD_WORDS = (
    *("warning", "critical", "degraded", "fail", "rebuild", "array", "true", "loss", "range", "intrusion", "tampering"),
    *("neveroverwrites", "redundan"),
)


@settings(deadline=None, max_examples=300)
@given(MUTATIONS)
def test_whatever_is_in_the_tree_no_verdict_is_made_up(mutations: list[tuple[Place, Any]]) -> None:
    tree = mutated(mutations)
    try:
        shown = lamps(tree)
    except WrongContent:
        return  # nothing was left of it
    assert len({lamp.component for lamp in shown}) == len(shown)
    for lamp in shown:
        assert lamp.component.isprintable()
        assert lamp.evidence.isprintable()
        lamp.evidence.encode()
        said = lamp.evidence.lower()
        if said.endswith("..."):
            continue  # cut before the words
        if lamp.verdict is Verdict.NORMAL:
            assert any(word in said for word in FINE_WORDS), lamp
        if lamp.verdict in {Verdict.WARNING, Verdict.CRITICAL}:
            assert any(word in said for word in BAD_WORDS), lamp


HEALTHS = [place for place in PLACES if place[-1] == "Health"]


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(HEALTHS), st.sampled_from(["Critical", "critical ", "CRITICAL"]))
def test_a_critical_part_is_never_lost(place: Place, word: str) -> None:
    verdicts = [lamp.verdict for lamp in lamps(mutated([(place, word)])) if lamp.verdict is not None]
    assert max(verdicts) is Verdict.CRITICAL


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(HEALTHS), st.sampled_from([None, "", "Fine", 0, True, {}]))
def test_a_health_that_nobody_knows_is_never_a_fault(place: Place, value: object) -> None:
    verdicts = [lamp.verdict for lamp in lamps(mutated([(place, value)])) if lamp.verdict is not None]
    assert max(verdicts) is Verdict.NORMAL


def test_the_untouched_server_is_normal() -> None:
    assert {lamp.verdict for lamp in lamps(SERVER)} - {None} == {Verdict.NORMAL}
