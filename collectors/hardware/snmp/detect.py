"""Which vendors' objects an agent has: by sysObjectID, else by sysDescr, else by looking for them."""

from collections.abc import Iterable

from collectors.hardware.snmp.mib import Value, Vendor, text_of
from collectors.hardware.snmp.session import SYSTEM, Session, Silent
from collectors.hardware.snmp.vendors import GENERIC, VENDORS

DESCRIPTION = "1.3.6.1.2.1.1.1.0"
"""sysDescr.0"""


def by_system(system: str) -> Vendor | None:
    """Return the vendor whose sysObjectID begins like this one; the longest beginning counts."""
    oid = system.strip().lstrip(".") + "."
    found = [(len(prefix), vendor) for vendor in VENDORS for prefix in vendor.systems if oid.startswith(f"{prefix}.")]
    return max(found, key=lambda pair: pair[0])[1] if found else None


def by_description(description: str) -> Vendor | None:
    """Return the vendor whose words are in a sysDescr."""
    folded = description.casefold()
    return next((vendor for vendor in VENDORS if any(word.casefold() in folded for word in vendor.descriptions)), None)


def by_what_it_says(said: dict[str, Value]) -> Vendor | None:
    """Return the vendor that sysObjectID or sysDescr names."""
    return by_system(text_of(said.get(SYSTEM))) or by_description(text_of(said.get(DESCRIPTION)))


async def detect(session: Session, said: dict[str, Value]) -> tuple[Vendor, ...]:
    """Return the vendors to read: what the agent says it is, else all of whose objects it has any.

    Many BMCs, and the agents in operating systems, only say that they are net-snmp.
    """
    named = by_what_it_says(said)
    if named is not None:
        return (named,)
    return tuple([vendor for vendor in (*VENDORS, *GENERIC) if await _has_any(session, vendor.subtrees)])


async def _has_any(session: Session, subtrees: Iterable[str]) -> bool:
    for subtree in subtrees:
        try:
            if await session.has_any(subtree):
                return True
        except Silent:
            if not await session.alive():
                raise
    return False
