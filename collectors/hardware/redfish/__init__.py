"""Lamps by Redfish (docs/lamps/redfish.md): client, session, walk, and what resources say."""

from collectors.hardware.redfish.reader import Redfish, RedfishOptions

__all__ = ["Redfish", "RedfishOptions"]
