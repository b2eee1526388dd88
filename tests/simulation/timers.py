"""Prometheus and Alertmanager as far as their timers go: when an alert reaches the webhook, and how often.

Pure: times go in (ms), what is sent comes out. That the real ones do the same is tested in
`tests/simulation/test_timers.py`. As Prometheus 3.5 (``rules/alerting.go``) and Alertmanager 0.33
(``dispatch/dispatch.go``, ``notify/notify.go``) do it, with the shipped rules and what ``alertmanager-config`` prints:

- A rule without ``for`` fires at the first evaluation that sees it. An alert is sent at once, and again at the first
  evaluation *later* than ``resend`` after; it counts as resolved when it was not sent for four times as long.
- ``last_over_time`` sees samples younger than five minutes, whether or not a scrape was lost since.
- Every alert is a group of its own. A new group is flushed at once (``group_wait: 0s``), then every ``group_interval``.
  A flush notifies when the alert was not notified of yet, or when that is *longer* ago than ``repeat_interval``.
- A webhook that fails is tried again, first after half a second, later and later, until the next flush is due.
- A Prometheus that starts finds targets and Alertmanager after five seconds. What it sends before is lost.
- Killed, Alertmanager forgets its alerts, and of its notification log what it had not written yet.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from exporter.clock import MINUTE, SECOND

Key = tuple[str, ...]
"""The identity of an alert: ``(notify, server, check)``."""
Series = tuple[str, str]
"""``(server, check)``."""

DISCOVERY = 5 * SECOND
"""So long a Prometheus that starts knows no target and no Alertmanager: it evaluates, and nobody is sent anything."""

CUSTOMER, WATCHDOG = "customer", "watchdog"
THE_WATCHDOG: Key = (WATCHDOG,)


@dataclass(frozen=True, slots=True)
class RulePace:
    """Prometheus's times."""

    scrape: int = 15 * SECOND
    evaluation: int = 15 * SECOND
    resend: int = 1 * MINUTE
    """``--rules.alert.resend-delay``."""
    lookback: int = 5 * MINUTE
    """The range of the rule's ``last_over_time``."""
    limit: float = 600.0
    """Seconds of confirmed outage from which on the customer's alert fires."""
    grace: int = 10 * MINUTE
    """The range of the rule's ``max_over_time`` over maintenance."""
    resolved_retention: int = 15 * MINUTE


@dataclass(slots=True)
class _Firing:
    sent: int | None = None
    resolved: int | None = None


class Prometheus:
    """What it knows of one exporter, and which customers' alerts it sends when."""

    def __init__(self, pace: RulePace) -> None:
        self.pace = pace
        self._samples: dict[Series, tuple[int, float]] = {}
        self._maintained: dict[str, int] = {}
        self._alerts: dict[Key, _Firing] = {}

    @property
    def quiet(self) -> bool:
        """Whether no customer's alert fires."""
        return all(alert.resolved is not None for key, alert in self._alerts.items() if key != THE_WATCHDOG)

    def scrape(self, now: int, outages: Mapping[Series, float], maintained: Iterable[str]) -> None:
        """Take in a scrape: the seconds of each outage, and which servers are in maintenance."""
        for series, value in outages.items():
            self._samples[series] = (now, value)
        for server in maintained:
            self._maintained[server] = now

    def restart(self) -> None:
        """Forget what is in memory only: samples are on the disk, alerts are not."""
        self._alerts.clear()

    def evaluate(self, now: int) -> list[tuple[Key, int]]:
        """Return the alerts that are sent now, each with when it ends unless it is sent again."""
        firing = set(self._firing(now))
        for key in firing:
            alert = self._alerts.get(key)
            if alert is None or alert.resolved is not None:
                self._alerts[key] = _Firing()
        for key in [key for key in self._alerts if key not in firing]:
            alert = self._alerts[key]
            if alert.resolved is None:
                alert.resolved = now
            elif now - alert.resolved > self.pace.resolved_retention:
                del self._alerts[key]
        return list(self._sent(now))

    def _firing(self, now: int) -> Iterator[Key]:
        yield THE_WATCHDOG
        for (server, check), (at, value) in self._samples.items():
            spared = self._maintained.get(server, now - self.pace.grace) > now - self.pace.grace
            if value >= self.pace.limit and at > now - self.pace.lookback and not spared:
                yield (CUSTOMER, server, check)

    def _sent(self, now: int) -> Iterator[tuple[Key, int]]:
        lasts = 4 * max(self.pace.resend, self.pace.evaluation)
        for key, alert in self._alerts.items():
            news = alert.sent is None or (alert.resolved is not None and alert.resolved > alert.sent)
            if news or (alert.sent is not None and now - alert.sent > self.pace.resend):
                alert.sent = now
                yield key, now + lasts if alert.resolved is None else alert.resolved


@dataclass(frozen=True, slots=True)
class RoutePace:
    """A route's times."""

    group_interval: int = 1 * MINUTE
    repeat_interval: int = 5 * MINUTE


ROUTES: Mapping[str, RoutePace] = {CUSTOMER: RoutePace(), WATCHDOG: RoutePace(15 * SECOND, 1 * MINUTE)}
SHORTEST_TIMEOUT = 10 * SECOND
"""A notification is tried for so long at least, however short ``group_interval`` is."""
COLLECTED = 30 * SECOND
"""Groups without alerts are dropped every so often."""
FIRST_RETRY, RETRY_GROWTH, LONGEST_RETRY = 0.5 * SECOND, 1.5, 60.0 * SECOND


@dataclass(slots=True)
class _Group:
    flush: int
    ends: int
    emptied: int | None = None
    """When a flush found that its alert is over."""


@dataclass(frozen=True, slots=True)
class Notification:
    """A webhook that is due, and until when it is tried."""

    key: Key
    flushed: int
    deadline: int


@dataclass
class Alertmanager:
    """Its alerts, its groups and its notification log."""

    routes: Mapping[str, RoutePace]
    started: int = 0
    _groups: dict[Key, _Group] = field(default_factory=dict)
    _log: dict[Key, int | None] = field(default_factory=dict)
    """When each group was notified of last; None when it was noted since that its alert is over."""

    @property
    def quiet(self) -> bool:
        """Whether it holds no customer's alert."""
        return all(key == THE_WATCHDOG for key in self._groups)

    def restart(self, now: int, *, forgets: bool) -> None:
        """Begin anew: alerts are in memory only, the notification log is on the disk unless it ``forgets`` that."""
        self.started = now
        self._groups.clear()
        if forgets:
            self._log.clear()

    def receive(self, now: int, key: Key, ends: int) -> None:
        """Take in an alert from Prometheus."""
        self._collect(now)
        group = self._groups.get(key)
        if group is None:
            if ends > now:
                self._groups[key] = _Group(now, ends)
        elif ends > now or group.emptied is None:
            group.ends, group.emptied = ends, None

    def known(self, now: int) -> list[Key]:
        """Return the alerts that are active, as its API lists them."""
        return [key for key, group in self._groups.items() if group.ends > now and group.emptied is None]

    def next_flush(self) -> int | None:
        """Return when it has to be looked at next."""
        return min((group.flush for group in self._groups.values()), default=None)

    def flush(self, now: int) -> list[Notification]:
        """Return what has to be notified of now."""
        self._collect(now)
        due: list[Notification] = []
        for key, group in self._groups.items():
            if group.flush > now:
                continue
            pace = self.routes[key[0]]
            flushed, group.flush = group.flush, group.flush + pace.group_interval
            if group.emptied is not None:
                continue
            told = self._log.get(key)
            if group.ends <= now:
                group.emptied = now
                if key in self._log:
                    self._log[key] = None
            elif told is None or flushed - told > pace.repeat_interval:
                deadline = flushed + max(pace.group_interval, SHORTEST_TIMEOUT)
                due.append(Notification(key, flushed, deadline))
        return due

    def notified(self, notification: Notification) -> None:
        """Take in that a webhook was answered with 200."""
        if notification.key in self._groups:
            self._log[notification.key] = notification.flushed

    def _collect(self, now: int) -> None:
        tick = now - (now - self.started) % COLLECTED
        for key, group in list(self._groups.items()):
            if group.emptied is not None and group.emptied <= tick:
                del self._groups[key]


def retries(first: int) -> Iterator[float]:
    """Give when a webhook is tried again that failed at ``first``, without the jitter of up to half of each pause."""
    at, pause = float(first), FIRST_RETRY
    while True:
        at += pause
        yield at
        pause = min(pause * RETRY_GROWTH, LONGEST_RETRY)
