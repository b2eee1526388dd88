"""Lamp sources: importing this package registers each under its configuration name."""

from collectors.hardware import ipmi

__all__ = ["ipmi"]
