"""What a vendor's file is made of: whose BMCs it is for, what it asks them, what their lights mean.

Only commands that read are sent, only to BMCs of that maker, and, but for those that are known to be safe (``always``),
only where the inventory says ``oem: true``. A light that the BMC does not know has no lamp; one that it does not tell
this time is UNKNOWN.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from collectors.hardware.ipmi.sdr import Locator, Sensor
from collectors.hardware.ipmi.session import Rejected, Session, SessionLost
from collectors.reading import Lamp, LampReading, Verdict

WAITS = (1.0, 1.5)
"""Seconds until a command is sent again. After their sum nothing more is asked: some drop what they do not know."""

NOT_THERE = frozenset({0xC1, 0xC2, 0xC9, 0xCB, 0xCC})
"""Completion codes of a BMC that has no such command or no such light."""


@dataclass(frozen=True, slots=True)
class VendorLamps:
    """What vendor commands told."""

    lamps: tuple[LampReading, ...] = ()
    locate: bool | None = None


@dataclass(frozen=True, slots=True)
class Light:
    """A vendor's sensor that stands for a light: ``verdict`` gives what its asserted offsets say."""

    lamp: Lamp
    verdict: Callable[[int], Verdict]


@dataclass(frozen=True, slots=True)
class LocateLight:
    """A vendor's sensor that stands for the locate lamp: ``lit`` tells it by its offsets, None where they do not."""

    lit: Callable[[int], bool | None]


@dataclass(frozen=True, slots=True)
class Said:
    """What a BMC said to one command. ``data`` is empty where it told nothing; ``evidence`` is verbatim."""

    data: bytes
    evidence: str
    there: bool = True
    """Whether there is such a command and such a light."""

    def lamp(self, kind: Lamp, component: str, meaning: Callable[[bytes], Verdict]) -> tuple[LampReading, ...]:
        """Return the lamp that was asked for; none where the BMC has no such light."""
        if not self.there:
            return ()
        verdict = meaning(self.data) if self.data else Verdict.UNKNOWN
        return (LampReading(kind, component, verdict, self.evidence),)


class Talk:
    """A BMC's ear for vendor commands. ``locators`` are its device locator records."""

    def __init__(self, session: Session, locators: Sequence[Locator] = ()) -> None:
        self.locators = locators
        self._session = session
        self._silent = False

    async def ask(self, netfn: int, command: int, data: bytes = b"", *, length: int = 1, prefix: bytes = b"") -> Said:
        """Send a command; its answer has at least ``length`` bytes and begins with ``prefix``, which is taken off."""
        asked = f"{netfn:02x}/{command:02x} {data.hex(' ')}".strip()
        if self._silent:
            return Said(b"", f"{asked} not sent: the BMC was silent before")
        try:
            answer = await self._session.request(netfn, command, data, waits=WAITS)
        except Rejected as refusal:
            return Said(b"", f"{asked} -> {refusal}", there=refusal.code not in NOT_THERE)
        except SessionLost:
            self._silent = True
            return Said(b"", f"{asked} -> no answer")
        evidence = f"{asked} -> {answer.hex(' ')}"
        if len(answer) < length or not answer.startswith(prefix):
            return Said(b"", f"{evidence}: not such an answer")
        return Said(answer[len(prefix) :], evidence)


async def no_commands(_talk: Talk) -> VendorLamps:
    """Ask nothing."""
    return VendorLamps()


def no_lights(_sensor: Sensor) -> Light | LocateLight | None:
    """Know no sensor."""
    return None


@dataclass(frozen=True, slots=True)
class Vendor:
    """One vendor's lamps: by commands (``read``), and by sensors of its own (``lights``)."""

    manufacturers: frozenset[int]
    read: Callable[[Talk], Awaitable[VendorLamps]] = no_commands
    lights: Callable[[Sensor], Light | LocateLight | None] = no_lights
    always: bool = False
    """Whether it needs no ``oem: true``."""


def without_namesakes(lamps: Iterable[LampReading], taken: Iterable[str]) -> tuple[LampReading, ...]:
    """Return the lamps, none called like another one or like one of ``taken``."""
    used = set(taken)
    found = []
    for lamp in lamps:
        component, number = lamp.component, 1
        while component in used:
            number += 1
            component = f"{lamp.component} #{number}"
        used.add(component)
        found.append(lamp if component == lamp.component else replace(lamp, component=component))
    return tuple(found)


def either(byte: int, meanings: dict[int, Verdict]) -> Verdict:
    """Return what a byte means, UNKNOWN for one that means nothing known."""
    return meanings.get(byte, Verdict.UNKNOWN)
