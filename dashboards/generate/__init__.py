"""The Grafana dashboards, generated: `python -m dashboards.generate`. What each is for: dashboards/README.md."""
