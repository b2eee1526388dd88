"""A vendor's word on all parts of a kind: counts where none of them says at least as bad a thing itself. Pure."""

from collectors.hardware.redfish.documents import Json, evidence
from collectors.hardware.redfish.parts import Part, Rank
from collectors.reading import Lamp, Verdict

EXPLAINED_BY = {Lamp.STORAGE: frozenset({Lamp.STORAGE, Lamp.DRIVE}), Lamp.SYSTEM: frozenset(Lamp)}
"""Other kinds whose parts can be the cause."""


def summary(path: str, data: Json, key: str, lamp: Lamp, verdict: Verdict | None) -> Part:
    """Return the part that stands for a property of a vendor's object."""
    told = evidence(path, data, key)
    explained = EXPLAINED_BY.get(lamp, frozenset())
    return Part(f"{path}/{key}", key, lamp, verdict, told, "", Rank.ROLL_UP, explained_by=explained)
