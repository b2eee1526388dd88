"""What decides, remembers and publishes: schedule, outage clock, ledger, exposition, web server."""
