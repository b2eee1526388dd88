"""The configuration: read, validated with all mistakes at once, and turned into frozen values.

``load`` does it here and now, ``load_in_child`` in a child process, so that the event loop never stalls.
"""

from exporter.config.command import check, summary
from exporter.config.handover import load_in_child
from exporter.config.load import load, read_time
from exporter.config.page import redacted
from exporter.config.problems import ConfigError, Problem

__all__ = ["ConfigError", "Problem", "check", "load", "load_in_child", "read_time", "redacted", "summary"]
