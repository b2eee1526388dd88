"""What vendors add under ``Oem``: one module each, found by the key that its vendor writes there.

A module has ``KEYS`` and ``parts(resource, data)``: the resource it stands in, and the vendor's object in its Oem; and
``board(data)`` where the vendor tells the main board's serial number. They look at what came with the standard
resources; a vendor that keeps drives elsewhere says with ``storage(data)`` where the walk finds them.
"""

from collections.abc import Callable, Iterator, Mapping

from collectors.hardware.redfish.documents import Json, Resource, mapping
from collectors.hardware.redfish.oem import dell, fujitsu, hpe, lenovo
from collectors.hardware.redfish.oem.storage import StorageTree
from collectors.hardware.redfish.parts import Part

VENDORS: Mapping[str, Callable[[Resource, Json], Iterator[Part]]] = {
    key: module.parts for module in (dell, fujitsu, hpe, lenovo) for key in module.KEYS
}

STORAGES: Mapping[str, Callable[[Json], StorageTree | None]] = {
    key: module.storage for module in (hpe,) for key in module.KEYS
}

BOARDS: Mapping[str, Callable[[Json], str]] = {key: module.board for module in (fujitsu,) for key in module.KEYS}


def board(resource: Resource) -> str:
    """Return the serial number of a system's main board, empty where no vendor tells it."""
    own = mapping(resource.data.get("Oem"))
    return next((found for key in own if key in BOARDS and (found := BOARDS[key](mapping(own[key])))), "")


def storages(resource: Resource) -> Iterator[StorageTree]:
    """Give the vendors' own trees of a system's drives."""
    for key, value in mapping(resource.data.get("Oem")).items():
        if key in STORAGES and (tree := STORAGES[key](mapping(value))) is not None:
            yield tree


def parts(resource: Resource) -> Iterator[Part]:
    """Give the parts that vendors describe in a resource."""
    for key, value in mapping(resource.data.get("Oem")).items():
        if key in VENDORS:
            yield from VENDORS[key](resource, mapping(value))
