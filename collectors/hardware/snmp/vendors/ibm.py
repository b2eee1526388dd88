"""IBM Integrated Management Module (IMM-MIB): the layout that Lenovo's XCC kept.

The first IMMs have no health columns: their parts are unknown, and their measurements are read.
"""

from collectors.hardware.snmp.vendors.lenovo import described

IMM = "1.3.6.1.4.1.2.3.51.3.1"

VENDOR = described(IMM, name="IBM IMM", manufacturer="IBM", systems=("1.3.6.1.4.1.2.3.51.3",))
