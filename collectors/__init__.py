"""Readers: each speaks one protocol to one machine and returns a frozen reading, or raises a CheckFailure.

Nothing here knows of Prometheus, schedules, configuration files or our own HTTP server (docs/architecture.md).
"""
