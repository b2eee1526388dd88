"""The exporter's metrics about itself, kept with prometheus_client."""

import platform
from collections import deque
from collections.abc import Callable
from enum import StrEnum
from importlib.metadata import version

import prometheus_client
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from exporter.clock import SECOND, Clock
from exporter.exposition import OPENMETRICS_END

VERSION = version("dserver-exporter")


class TrapResult(StrEnum):
    """What became of a datagram at ``traps.listen``."""

    REREAD = "reread"
    JOINED = "joined"
    LIMITED = "limited"
    FOREIGN = "foreign"
    MALFORMED = "malformed"
    UNAUTHORIZED = "unauthorized"
    DISCOVERY = "discovery"


class RecentMaximum:
    """The largest value seen in the last minute, so that a scrape every 15 s or 60 s misses no peak."""

    _BUCKET = 10 * SECOND
    _BUCKETS = 7  # the present one and six whole ones

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._peaks: deque[tuple[int, float]] = deque(maxlen=self._BUCKETS)

    def observe(self, value: float) -> None:
        """Take in a value."""
        bucket = self._clock.now().monotonic // self._BUCKET
        if self._peaks and self._peaks[-1][0] == bucket:
            if value > self._peaks[-1][1]:
                self._peaks[-1] = (bucket, value)
        else:
            self._peaks.append((bucket, value))

    def value(self) -> float:
        """Return the maximum; 0 when nothing was seen."""
        oldest = self._clock.now().monotonic // self._BUCKET - self._BUCKETS
        return max((peak for bucket, peak in self._peaks if bucket > oldest), default=0.0)


class Telemetry:
    """All metrics named ``dserver_exporter_*``, and the process's own."""

    def __init__(self, clock: Clock) -> None:
        self.registry = CollectorRegistry()
        prometheus_client.disable_created_metrics()
        build = self._gauge("build_info", "Version of the exporter and of Python, always 1.", "version", "python")
        build.labels(VERSION, platform.python_version()).set(1)
        self.reload_successful = self._gauge(
            "config_last_reload_successful", "Whether the last reading of the configuration succeeded: 1 yes, 0 no."
        )
        # a first reading that fails ends the process: until it is done, nothing has failed
        self.reload_successful.set(1)
        self.reload_timestamp = self._gauge(
            "config_last_reload_success_timestamp_seconds",
            "Unix time of the last successful reading of the configuration.",
        )
        self.checks = Counter(
            "dserver_exporter_checks",
            "Attempts of service checks that ended, by protocol and result (success, failure, or void: our fault).",
            ["protocol", "result"],
            registry=self.registry,
        )
        self.in_flight = self._gauge("checks_in_flight", "Attempts of service checks under way.")
        self.schedule_lag = RecentMaximum(clock)
        self._peak("schedule_lag_seconds", "How late an attempt started, worst of the last minute.", self.schedule_lag)
        self.loop_lag = RecentMaximum(clock)
        self._peak("loop_lag_seconds", "How late the event loop was, worst of the last minute.", self.loop_lag)
        self.scrape_duration = self._gauge(
            "scrape_duration_seconds", "How long the last answer to a scrape took, sending included."
        )
        self.ledger_errors = Counter(
            "dserver_exporter_ledger_errors",
            "Batches that could not be written to the ledger. What they held is kept in memory and tried again.",
            registry=self.registry,
        )
        self.traps = Counter(
            "dserver_exporter_traps",
            "Datagrams at traps.listen, by result: reread (the lamps are read now), joined (when the minute since the "
            "last such read is over), limited (too many, not looked at), foreign (not from a controller of the "
            "inventory), malformed, unauthorized, discovery (who we are was asked).",
            ["result"],
            registry=self.registry,
        )
        for result in TrapResult:
            self.traps.labels(result)
        self.notices = Counter(
            "dserver_notices",
            "Mails of the exporter's own outbox, by kind (notice, hardware, update, recovery, repaired, report, "
            "interim; to the NOC: call, chain, held, watchdog, undelivered) and result: sent, deferred (tried again), "
            "refused (by the mail server, for good; tried again all the same), cancelled (a person told the customer), "
            "expired (a day old).",
            ["kind", "result"],
            registry=self.registry,
        )
        self._who_tells = Gauge(
            "dserver_exporter_notices_info",
            "Who tells customers: by is alertmanager or ledger (this exporter), always 1.",
            ["by"],
            registry=self.registry,
        )
        self.outbox_pending = Gauge(
            "dserver_outbox_pending", "Mails in the outbox that have not been handed over yet.", registry=self.registry
        )
        self.notice_delay = Histogram(
            "dserver_outage_notice_delay_seconds",
            "From the contract's limit (ten confirmed minutes) until the mail server had taken the notice.",
            buckets=(5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 600, 1800, 3600),
            registry=self.registry,
        )
        self.vantage_up = self._gauge(
            "vantage_up",
            "Whether our own uplink works: 1 while a vantage address answers or none is configured, 0 while all fail.",
        )
        self.vantage_up.set(1)
        self._certificate: Gauge | None = None
        ProcessCollector(registry=self.registry)

    def tell_who_tells(self, by: str) -> None:
        """Say who tells customers: ``global.notices``."""
        self._who_tells.clear()
        self._who_tells.labels(by).set(1)

    def tell_certificate(self, expires: float | None) -> None:
        """Say when the certificate of our own web server expires (Unix time); None: it has none, and no series."""
        if self._certificate is not None:
            self.registry.unregister(self._certificate)
            self._certificate = None
        if expires is not None:
            self._certificate = self._gauge(
                "web_certificate_expiry_timestamp_seconds",
                "Unix time at which the certificate of the exporter's own web server expires. Absent without TLS.",
            )
            self._certificate.set(expires)

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return the metrics as text, in OpenMetrics without its end."""
        if openmetrics:
            text: bytes = generate_openmetrics(self.registry)
            return text.removesuffix(OPENMETRICS_END)
        return prometheus_client.generate_latest(self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"dserver_exporter_{name}", text, labels, registry=self.registry)

    def _peak(self, name: str, text: str, maximum: RecentMaximum) -> None:
        value: Callable[[], float] = maximum.value
        self._gauge(name, text).set_function(value)
