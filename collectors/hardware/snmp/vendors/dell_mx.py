"""Dell PowerEdge MX chassis, OpenManage Enterprise Modular (DELL-MM-MIB-SMIv2)."""

from collectors.hardware.snmp.mib import Scalar, State, Table, Vendor
from collectors.hardware.snmp.vendors.dell import STATUS
from collectors.reading import Lamp

MM = "1.3.6.1.4.1.674.10892.6"
ROLL_UPS = range(1, 8)
"""Numbers of the chassis' subsystem states, 6.3.1.1 to 6.3.1.7."""

VENDOR = Vendor(
    name="Dell MX chassis",
    manufacturer="Dell",
    systems=(MM,),
    descriptions=("OpenManage Enterprise Modular",),
    subtrees=(MM,),
    scalars=(
        Scalar(Lamp.SYSTEM, "Chassis", f"{MM}.2.1.0", STATUS),
        *(Scalar(Lamp.SYSTEM, f"Chassis subsystem {number}", f"{MM}.3.1.{number}.0", STATUS) for number in ROLL_UPS),
    ),
    tables=(Table(Lamp.POWER_SUPPLY, f"{MM}.4.2.1", "Power supply", states=(State(8, STATUS),), names=(3,)),),
    model=(f"{MM}.1.1.1.0",),
    serial=(f"{MM}.1.1.6.0",),
    firmware=(f"{MM}.1.1.5.0",),
)
