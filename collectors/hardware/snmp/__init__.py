"""Lamps by SNMP (docs/lamps/snmp.md): session, detection, vendors' MIBs as data, verdicts, reader."""

from collectors.hardware.snmp.reader import Snmp, SnmpOptions

__all__ = ["Snmp", "SnmpOptions"]
