"""Vendors' lamps, one file each (docs/lamps/ipmi.md). A new vendor is a file, its name in `VENDORS`, and a test."""

from collections.abc import Sequence

from collectors.hardware.ipmi.oem.cisco import CISCO
from collectors.hardware.ipmi.oem.dell import DELL
from collectors.hardware.ipmi.oem.fujitsu import FUJITSU
from collectors.hardware.ipmi.oem.hp import HP
from collectors.hardware.ipmi.oem.ibm import IBM
from collectors.hardware.ipmi.oem.intel import INTEL
from collectors.hardware.ipmi.oem.lenovo import LENOVO
from collectors.hardware.ipmi.oem.oracle import ORACLE
from collectors.hardware.ipmi.oem.picmg import HUAWEI
from collectors.hardware.ipmi.oem.vendor import Light, LocateLight, Talk, Vendor, VendorLamps, without_namesakes
from collectors.hardware.ipmi.oem.wistron import WISTRON

__all__ = ["VENDORS", "Light", "LocateLight", "Talk", "Vendor", "VendorLamps", "vendor_of", "without_namesakes"]

VENDORS: Sequence[Vendor] = (CISCO, DELL, FUJITSU, HP, HUAWEI, IBM, INTEL, LENOVO, ORACLE, WISTRON)


def vendor_of(manufacturer: int, *, allowed: bool) -> Vendor:
    """Return the vendor of a BMC by its manufacturer id: one that knows nothing where we know none or may not ask."""
    return next(
        (vendor for vendor in VENDORS if manufacturer in vendor.manufacturers and (allowed or vendor.always)),
        Vendor(frozenset()),
    )
