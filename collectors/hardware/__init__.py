"""Lamp sources: importing this package registers each under its configuration name."""

from collectors.hardware import ipmi, redfish, snmp

__all__ = ["ipmi", "redfish", "snmp"]
