"""Lamp sources: importing this package registers each under its configuration name."""

from collectors.hardware import ipmi, redfish

__all__ = ["ipmi", "redfish"]
