"""Lamp sources: importing this package registers each under its configuration name."""

from collectors.hardware import ipmi, snmp

__all__ = ["ipmi", "snmp"]
