"""Dell: the identify lamp (NetFn 30h, command 32h; FreeIPMI's ipmi-oem, PowerEdge 2900 to M910).

Its drive lamps (30h/D5h) can be set only. iDRAC: SNMP and Redfish tell more.
"""

from collectors.hardware.ipmi.oem.vendor import Talk, Vendor, VendorLamps

NETFN, GET_IDENTIFY = 0x30, 0x32


async def read(talk: Talk) -> VendorLamps:
    """Ask whether it is lit: 00h off, 01h on."""
    identify = await talk.ask(NETFN, GET_IDENTIFY)
    return VendorLamps(locate={0: False, 1: True}.get(identify.data[0]) if identify.data else None)


DELL = Vendor(frozenset({674}), read)
