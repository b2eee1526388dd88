"""Lenovo: ``Chassis.Oem.Lenovo.LED.IdentifyLED.State`` is the locate lamp of an SMM (``On``, ``Blinking``, ``Off``)."""

from collections.abc import Iterator

from collectors.hardware.redfish import status
from collectors.hardware.redfish.documents import Json, Resource, evidence, mapping, word
from collectors.hardware.redfish.parts import Part

KEYS = ("Lenovo",)


def parts(resource: Resource, data: Json) -> Iterator[Part]:
    """Give the locate lamp of a chassis."""
    led = mapping(mapping(data.get("LED")).get("IdentifyLED"))
    lit = status.LIT.get(word(led.get("State")))
    if lit is not None:
        path = f"{resource.path}#/Oem/Lenovo/LED/IdentifyLED"
        yield Part(path, "IdentifyLED", None, None, evidence(path, led, "State"), resource.path, locate=lit)
