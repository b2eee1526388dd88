"""Lamps by IPMI v2.0 (docs/lamps/ipmi.md): session, sensor data records, verdicts, reader."""

from collectors.hardware.ipmi.reader import Ipmi, IpmiOptions

__all__ = ["Ipmi", "IpmiOptions"]
