"""``/sd/prometheus``: targets for Prometheus's HTTP service discovery.

Without a role they are the exporter's own two jobs, ready to scrape; with one they are members of the inventory for
other exporters, with labels ``__meta_dserver_*`` to relabel from. Format: Prometheus's documentation, "HTTP SD".
"""

import json
from collections.abc import Iterable, Iterator, Mapping

from collectors.registry import Options
from collectors.services.http import HttpOptions
from collectors.urls import DEFAULT_PORTS
from exporter.families import Selection
from exporter.inventory import Config
from exporter.lampwatch import reader_of
from exporter.web.documents import Render

JOBS = (
    ("dserver-services", (Selection.SERVICES, Selection.EXPORTER), "15s", "10s"),
    ("dserver-lamps", (Selection.LAMPS, Selection.SENSORS), "60s", "30s"),
)
"""Name, selections, interval and timeout of the jobs, as in examples/prometheus.yml."""


def own_jobs(address: str, *, tls: bool) -> str:
    """Return the exporter's own jobs, scraped at ``address``. Labels set what a scrape configuration would."""
    groups = []
    for job, selections, interval, timeout in JOBS:
        labels = {
            "job": job,
            "__scrape_interval__": interval,
            "__scrape_timeout__": timeout,
            "__param_collect[]": ",".join(selections),  # a label can give a parameter only once
        }
        groups.append(_group(address, labels | ({"__scheme__": "https"} if tls else {})))
    return "".join(_array(groups))


def servers(config: Config) -> Iterator[str]:
    """Give a target for each server: its address, without a port."""
    return _array(
        _group(
            server.address,
            _meta(
                server=server.name,
                customer_id=server.customer,
                site=server.site,
                rack=server.rack,
                os=server.os,
                managed="true" if server.managed else "false",
            ),
        )
        for server in config.servers.values()
    )


def bmcs(config: Config) -> Iterator[str]:
    """Give a target for each lamp source: where it is read."""
    return _array(
        _group(reader_of(source).endpoint(), _meta(server=source.server, source=source.source, kind=source.kind))
        for source in config.sources()
    )


def services(config: Config) -> Iterator[str]:
    """Give a target for each service check: where it connects to."""
    return _array(
        _group(
            f"[{check.address}]:{port}" if ":" in check.address else f"{check.address}:{port}",
            _meta(server=check.server, check=check.name, protocol=check.protocol),
        )
        for check in config.checks()
        if (port := _port(check.options))
    )


ROLES: Mapping[str, Render] = {"servers": servers, "bmc": bmcs, "services": services}


def _port(options: Options) -> int | None:
    """Return the port that is connected to first; None for a check that has none."""
    if isinstance(options, HttpOptions):
        return options.port or (options.named.port if options.named else DEFAULT_PORTS[options.scheme])
    port: int | None = getattr(options, "port", None)
    return port


def _meta(**labels: str) -> dict[str, str]:
    return {f"__meta_dserver_{name}": value for name, value in labels.items() if value}


def _group(target: str, labels: Mapping[str, str]) -> str:
    return json.dumps({"targets": [target], "labels": labels})


def _array(groups: Iterable[str]) -> Iterator[str]:
    before = "["
    for group in groups:
        yield before + group
        before = ",\n"
    yield "]\n" if before != "[" else "[]\n"
