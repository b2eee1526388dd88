"""What Redfish's words say about a lamp. Pure.

``Status`` (Resource.v1 schema): ``State`` says whether the part is there and in use, ``Health`` how it is,
``HealthRollup`` how it is with all below it. Presence beats health; of what is known the worst wins; null, a missing
word and a word nobody knows are UNKNOWN, never NORMAL.
"""

from collections.abc import Mapping

from collectors.hardware.redfish.documents import Json, mapping, word
from collectors.reading import Verdict, worst

NORMAL, WARNING, CRITICAL, UNKNOWN = Verdict.NORMAL, Verdict.WARNING, Verdict.CRITICAL, Verdict.UNKNOWN

HEALTH: Mapping[str, Verdict] = {
    "ok": NORMAL,
    "warning": WARNING,
    "critical": CRITICAL,
    # not of the schema, and seen: the one in HPE's and Lenovo's memory, the other in HPE's DIMMs
    "degraded": WARNING,
    "goodinuse": NORMAL,
}

OFF = frozenset({"disabled", "standbyoffline"})
"""Out of use on purpose: such a part says nothing."""

IN_USE = frozenset(
    {
        "",
        "enabled",
        "standbyspare",
        "intest",
        "starting",
        "updating",
        "quiesced",
        "deferring",
        "qualified",
        "degraded",
    }
)
"""States beside which the health counts. Any other (UnavailableOffline, or unheard of) makes a fine health doubtful."""

DRIVE_INDICATOR: Mapping[str, Verdict] = {
    "ok": NORMAL,
    "hotspare": NORMAL,
    "rebuild": WARNING,
    "predictivefailureanalysis": WARNING,
    "fail": CRITICAL,
    "inacriticalarray": CRITICAL,
    "inafailedarray": CRITICAL,
}
"""``Drive.StatusIndicator``: what a drive's lamp would show (Drive.v1 schema)."""

INTRUSION: Mapping[str, Verdict] = {"normal": NORMAL, "hardwareintrusion": CRITICAL, "tamperingdetected": CRITICAL}
"""``Chassis.PhysicalSecurity.IntrusionSensor``, as grave as in the other sources."""

LINE_INPUT: Mapping[str, Verdict] = {"normal": NORMAL, "lossofinput": CRITICAL, "outofrange": WARNING}
"""``PowerSupply.LineInputStatus``."""

LEAK: Mapping[str, Verdict] = {"ok": NORMAL, "warning": WARNING, "critical": CRITICAL}
"""``LeakDetector.DetectorState``."""

LIT = {"lit": True, "blinking": True, "on": True, "off": False}
"""``IndicatorLED``, and the OEM properties that are like it."""

POWER = {"on": True, "paused": True, "off": False}
"""``PowerState``. On its way from one to the other it is unknown."""


def health(status: object) -> Verdict:
    """Return what ``Health`` says."""
    return HEALTH.get(word(_status(status).get("Health")), UNKNOWN)


def roll_up(status: object) -> Verdict:
    """Return what ``HealthRollup`` says; Dell's summaries spell it ``HealthRollUp``."""
    told = _status(status)
    return HEALTH.get(word(told.get("HealthRollup", told.get("HealthRollUp"))), UNKNOWN)


def judged(status: object, *others: Verdict, whole: bool = False) -> Verdict | None:
    """Return the verdict of a part by its Status and by ``others`` that its resource gives; None where it is absent.

    ``whole``: a system or a chassis, whose fault counts although the server is switched off.
    """
    state = word(_status(status).get("State"))
    known = worst((health(status), *others))
    if state == "absent":
        return None
    if state in OFF:
        return known if whole and known >= WARNING else None
    return known if state in IN_USE or known >= WARNING else UNKNOWN


def is_absent(status: object) -> bool:
    """Tell whether nothing is fitted."""
    return word(_status(status).get("State")) == "absent"


def locate(data: Json) -> bool | None:
    """Return whether the locate lamp of a resource is lit.

    ``LocationIndicatorActive`` replaces ``IndicatorLED`` (ComputerSystem v1.13, Chassis v1.14, Drive v1.11).
    """
    active = data.get("LocationIndicatorActive")
    return active if isinstance(active, bool) else LIT.get(word(data.get("IndicatorLED")))


def _status(status: object) -> Json:
    """Return Status as an object: some services send only the word."""
    if isinstance(status, str):
        return {"Health": status} if word(status) in HEALTH else {"State": status}
    return mapping(status)
