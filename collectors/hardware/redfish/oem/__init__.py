"""What vendors add under ``Oem``: one module each, found by the key that its vendor writes there.

A module has ``KEYS`` and ``parts(resource, data)``: the resource it stands in, and the vendor's object in its Oem. Only
what came with the standard resources is looked at: no request is made for it.
"""

from collections.abc import Callable, Iterator, Mapping

from collectors.hardware.redfish.documents import Json, Resource, mapping
from collectors.hardware.redfish.oem import dell, fujitsu, hpe, lenovo
from collectors.hardware.redfish.parts import Part

VENDORS: Mapping[str, Callable[[Resource, Json], Iterator[Part]]] = {
    key: module.parts for module in (dell, fujitsu, hpe, lenovo) for key in module.KEYS
}


def parts(resource: Resource) -> Iterator[Part]:
    """Give the parts that vendors describe in a resource."""
    for key, value in mapping(resource.data.get("Oem")).items():
        if key in VENDORS:
            yield from VENDORS[key](resource, mapping(value))
