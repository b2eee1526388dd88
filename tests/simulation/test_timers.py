"""The model of Prometheus's and Alertmanager's timers against the real ones, with all of their times scaled down.

The same story is told to both: an alert that fires, lost scrapes, Alertmanager killed with its notification log lost, a
webhook that fails, Prometheus away until its alerts count as resolved. The model is asked for every phase in which
Prometheus may scrape and evaluate; what the real ones do has to lie within what it says of these.
"""

import heapq
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain
from pathlib import Path

import yaml

from exporter.clock import SECOND
from tests.chain.world import ROOT, until
from tests.peers.alertmanager import Alertmanager
from tests.peers.prometheus import Prometheus
from tests.simulation import timers

PACE = timers.RulePace(scrape=SECOND, evaluation=SECOND, resend=2 * SECOND, lookback=4 * SECOND)
ROUTE = timers.RoutePace(group_interval=2 * SECOND, repeat_interval=3 * SECOND)
KEY: timers.Key = (timers.CUSTOMER, "web01", "https")

LOST = (6.0, 9.0)
KILLED, RESTARTED = 11.0, 12.0
FAILS = (16.0, 18.0)
PROMETHEUS_KILLED, PROMETHEUS_RETURNS = 20.5, 30.5
END = 39.0
SEGMENTS = {
    "fires": (0.0, 6.0),
    "three scrapes lost": (6.0, 11.0),
    "Alertmanager killed": (12.0, 16.0),
    "the webhook works again": (18.0, 20.5),
    "Prometheus away, the alert not over yet": (20.5, 26.0),
    "Prometheus away, the alert over": (31.5, 35.0),
    "Prometheus back": (31.5, 39.0),
}
EARLY, LATE = 0.5, 1.5
"""Seconds that the real ones may be off: programs take time to start, and machines are busy."""


def told_by_the_model(scrape: int, evaluation: int) -> list[float]:
    """Return when the webhook is answered with 200, in seconds; both begin so many ms after the start."""
    prometheus = timers.Prometheus(PACE)
    alertmanager = timers.Alertmanager({timers.CUSTOMER: ROUTE})
    told: list[float] = []
    found = 0
    acts: list[tuple[int, int, str]] = []
    for at in range(scrape, round(END * SECOND), PACE.scrape):
        heapq.heappush(acts, (at, 0, "scrape"))
    for at in range(evaluation, round(END * SECOND), PACE.evaluation):
        heapq.heappush(acts, (at, 1, "evaluate"))
    heapq.heappush(acts, (round(RESTARTED * SECOND), -1, "restart"))
    heapq.heappush(acts, (round(PROMETHEUS_RETURNS * SECOND), -1, "return"))
    tries: list[tuple[float, float, timers.Notification, Iterator[float]]] = []
    for now in range(0, round(END * SECOND), 50):
        while acts and acts[0][0] <= now:
            at, _, act = heapq.heappop(acts)
            away = PROMETHEUS_KILLED * SECOND <= at < PROMETHEUS_RETURNS * SECOND
            lost = LOST[0] * SECOND <= at < LOST[1] * SECOND
            if act == "scrape" and not away and not lost and at >= found:
                prometheus.scrape(at, {KEY[1:]: 900.0}, ())  # type: ignore[dict-item]  # a key without its first word
            elif act == "evaluate" and not away:
                for key, ends in prometheus.evaluate(at):
                    dead = KILLED * SECOND <= at < RESTARTED * SECOND
                    if key == KEY and not dead and at >= found:
                        alertmanager.receive(at, key, ends)
            elif act == "restart":
                alertmanager.restart(at, forgets=True)
                tries.clear()
            elif act == "return":
                prometheus.restart()
                found = at + timers.DISCOVERY
        if not KILLED * SECOND <= now < RESTARTED * SECOND:
            for notification in alertmanager.flush(now):
                first = [float(notification.flushed)]
                again: Iterator[float] = chain(first, timers.retries(notification.flushed))
                heapq.heappush(tries, (next(again), notification.deadline, notification, again))
        while tries and tries[0][0] <= now:
            due, deadline, notification, again = heapq.heappop(tries)
            if FAILS[0] * SECOND <= due < FAILS[1] * SECOND:
                following = next(again)
                if following <= deadline:
                    heapq.heappush(tries, (following, deadline, notification, again))
            else:
                told.append(due / SECOND)
                alertmanager.notified(notification)
    return told


@dataclass
class Ends:
    """Both ends of the real chain: what is scraped, and where the webhook arrives."""

    scrapes: bool = True
    takes: bool = True
    told: list[float] = field(default_factory=list)

    @contextmanager
    def serving(self) -> Iterator[int]:
        """Serve both on one port."""
        ends = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                labels = 'server="web01",check="https",protocol="https"'
                text = f"dserver_service_outage_seconds{{{labels}}} 900\n"
                text += 'dserver_server_info{server="web01",customer_id="c1"} 1\n'
                text += 'dserver_server_maintenance{server="web01"} 0\n'
                self._answer(200 if ends.scrapes else 503, text.encode())

            def do_POST(self) -> None:
                said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                if ends.takes and any(alert["labels"]["notify"] == "customer" for alert in said["alerts"]):
                    ends.told.append(time.monotonic())
                self._answer(200 if ends.takes else 503, b"")

            def _answer(self, code: int, body: bytes) -> None:
                self.send_response(code)
                self.send_header("Content-Type", "text/plain; version=0.0.4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


def rules() -> str:
    """Return the shipped rule of the customers' alert, scaled."""
    shipped = yaml.safe_load((ROOT / "alert_rules" / "services.yml").read_text("utf-8"))
    [group] = [group for group in shipped["groups"] if group["name"] == "dserver-notice"]
    group["interval"] = "1s"
    for rule in group["rules"]:
        assert "[5m]" in rule["expr"]
        rule["expr"] = rule["expr"].replace("[5m]", "[4s]").replace("[10m]", "[1s]")
        rule["annotations"] = {}
    return yaml.safe_dump({"groups": [group]})


def told_by_the_real_ones(peer: Callable[[str], str], folder: Path) -> list[float]:
    """Tell the story to the real ones; return when the webhook was answered with 200, in seconds from the start."""
    ends = Ends(scrapes=False)
    programs = {name: peer(name) for name in ("prometheus", "alertmanager")}
    with ExitStack() as running:
        port = running.enter_context(ends.serving())
        route = {"receiver": "ledger", "group_by": ["..."], "group_wait": "0s", "group_interval": "2s"}
        webhook = {"url": f"http://127.0.0.1:{port}/", "send_resolved": False}
        routing = {
            "route": {**route, "repeat_interval": "3s"},
            "receivers": [{"name": "ledger", "webhook_configs": [webhook]}],
        }
        alertmanager = Alertmanager(programs["alertmanager"], folder / "alertmanager", yaml.safe_dump(routing))
        running.enter_context(alertmanager)
        file = folder / "rules.yml"
        file.write_text(rules(), "utf-8")
        configuration = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(file)],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager.port}"]}]}]},
            "scrape_configs": [{"job_name": "dserver", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}]}],
        }
        flags = ["--rules.alert.resend-delay=2s"]
        prometheus = Prometheus(programs["prometheus"], folder / "prometheus", yaml.safe_dump(configuration), flags)
        running.enter_context(prometheus)
        until(lambda: bool(prometheus.alertmanagers() and prometheus.targets()["activeTargets"]), "it finds nobody")
        begun = time.monotonic()
        ends.scrapes = True

        def killed(forgets: Path) -> None:
            alertmanager.kill()
            shutil.rmtree(forgets)

        story: Mapping[float, Callable[[], object]] = {
            LOST[0]: lambda: setattr(ends, "scrapes", False),
            LOST[1]: lambda: setattr(ends, "scrapes", True),
            KILLED: lambda: killed(alertmanager.folder / "data"),
            RESTARTED - 0.3: alertmanager.start,
            FAILS[0]: lambda: setattr(ends, "takes", False),
            FAILS[1]: lambda: setattr(ends, "takes", True),
            PROMETHEUS_KILLED: prometheus.kill,
            PROMETHEUS_RETURNS - 0.3: prometheus.start,
            END: lambda: None,
        }
        for at, act in story.items():
            time.sleep(max(begun + at - time.monotonic(), 0))  # real time is what this is about
            act()
        return [at - begun for at in ends.told]


def test_the_model_tells_when_the_real_prometheus_and_alertmanager_bring_an_alert(
    peer: Callable[[str], str], tmp_path: Path
) -> None:
    phases = range(50, 1000, 225)
    modelled = [told_by_the_model(scrape, evaluation) for scrape in phases for evaluation in phases]
    real = told_by_the_real_ones(peer, tmp_path)
    for name, (start, end) in SEGMENTS.items():
        counts = [sum(start <= at < end for at in told) for told in modelled]
        count = sum(start <= at < end for at in real)
        assert min(counts) - 1 <= count <= max(counts) + 1, (name, real, modelled[0])
        if min(counts) and name != "Prometheus away, the alert not over yet":
            firsts = [next(at for at in told if at >= start) for told in modelled]
            first = next(at for at in real if at >= start)
            assert min(firsts) - EARLY <= first <= max(firsts) + LATE, (name, real, modelled[0])
        if not max(counts):
            assert count == 0, (name, real, modelled[0])
