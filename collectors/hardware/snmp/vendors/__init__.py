"""Vendors' agents, one file each. A new one is added to the list here."""

from collectors.hardware.snmp.mib import Vendor
from collectors.hardware.snmp.vendors import (
    cisco,
    dell,
    dell_mx,
    dell_omsa,
    entity,
    fujitsu,
    hpe,
    huawei,
    ibm,
    insyde,
    lenovo,
    oracle,
    superdoctor,
    supermicro,
    ups,
)

VENDORS: tuple[Vendor, ...] = (
    dell.VENDOR,
    dell_mx.VENDOR,
    dell_omsa.VENDOR,
    hpe.VENDOR,
    lenovo.VENDOR,
    ibm.VENDOR,
    fujitsu.VENDOR,
    supermicro.VENDOR,
    superdoctor.VENDOR,
    cisco.VENDOR,
    oracle.VENDOR,
    huawei.VENDOR,
    insyde.VENDOR,
)
GENERIC: tuple[Vendor, ...] = (entity.VENDOR, ups.VENDOR)
"""Standard MIBs: read where no vendor is named."""
