"""Drives that a vendor keeps in a tree of its own, beside the standard Storage: how that tree is walked. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from collectors.hardware.redfish.documents import Json, Resource
from collectors.hardware.redfish.parts import Part


@dataclass(frozen=True, slots=True)
class StorageTree:
    """A reference to the tree's root, whose ``Links`` have ``controllers``, whose own ``Links`` have ``drives``."""

    root: Json
    controllers: str
    drives: str
    describe: Callable[[Resource, str], Part]
    """Makes a part of a drive and of the place it belongs to."""
