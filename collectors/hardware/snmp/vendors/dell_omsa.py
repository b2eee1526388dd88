"""Dell OpenManage Server Administrator in the operating system (MIB-Dell-10892): iDRAC's tables, and "absent"."""

from collectors.hardware.snmp.mib import ABSENT, Meaning, Scalar, Vendor
from collectors.hardware.snmp.vendors import dell
from collectors.reading import Lamp

OMSA = "1.3.6.1.4.1.674.10892.1"
STATUS: Meaning = {**dell.STATUS, 7: ABSENT}

VENDOR = Vendor(
    name="Dell OpenManage Server Administrator",
    manufacturer="Dell",
    systems=(OMSA,),
    subtrees=(OMSA,),
    scalars=(
        Scalar(Lamp.SYSTEM, "System", f"{OMSA}.200.10.1.2.1", STATUS),
        *(scalar for scalar in dell.roll_ups(f"{OMSA}.200.10.1", STATUS) if scalar.component != "Global"),
    ),
    tables=dell.parts(OMSA, STATUS),
    model=(f"{OMSA}.300.10.1.9.1",),
    serial=(f"{OMSA}.300.10.1.11.1",),
)
