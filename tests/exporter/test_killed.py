"""The exporter is killed at every step of an incident, also when the mail server has a mail and we do not know it."""

import contextlib
import json
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

from tests.peers.exporter import Exporter, Mortal
from tests.peers.process import free_port
from tests.peers.smtp_sink import SmtpSink

CONFIG = """\
global: {{interval: 1s, recheck_interval: 500ms, timeout: 400ms, outage_notice_after: 1s, notices: ledger}}
noc: {{contacts: [{{name: NOC, email: noc@provider.example}}]}}
mail: {{smarthost: "127.0.0.1:{smtp}", from: noc@provider.example, tls: none}}
alertmanager: {{urls: ["http://127.0.0.1:9"], webhook_credential: hook}}
credentials: {{hook: {{token_file: hook}}}}
customers: [{{id: c0001, name: Example, managed: true, contacts: [{{name: Desk, email: ops@customer.example}}]}}]
servers:
  - {{name: web01, customer: c0001, address: 127.0.0.1, services: [{{protocol: tcp, port: {port}}}]}}
"""
PATIENCE = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)  # another process cannot be waited for otherwise


def alert(exporter: Exporter) -> bool:
    """Call the webhook as Alertmanager does; tell whether it was taken."""
    labels = {"notify": "customer", "server": "web01", "check": "tcp"}
    body = json.dumps({"version": "4", "alerts": [{"status": "firing", "labels": labels}]}).encode()
    headers = {"Authorization": "Bearer s3cret"}
    request = urllib.request.Request(f"{exporter.url}/api/v1/alertmanager", body, headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


DOWN = (
    "before:alerted",
    "after:alerted",
    "after:outbox/notice",
    "taken:notice",
)
UP = (
    "before:recovered",
    "after:recovered",
    "after:outbox/recovery",
    "taken:recovery",
)


def in_the_outbox(exporter: Exporter, kind: str) -> bool:
    """Tell whether a mail of this kind was written already, in one commit with what was killed for just now."""
    with closing(sqlite3.connect(exporter.folder / "data" / "ledger.db")) as ledger:
        return ledger.execute("SELECT 1 FROM outbox WHERE kind = ?", (kind,)).fetchone() is not None


def test_killed_at_every_step_of_one_incident_it_sends_each_mail_and_none_more_than_twice(tmp_path: Path) -> None:
    port = free_port()
    with SmtpSink() as sink, ExitStack() as running:
        exporter = Mortal(tmp_path / "exporter", CONFIG.format(smtp=sink.port, port=port))
        (exporter.folder / "hook").touch(mode=0o600)
        (exporter.folder / "hook").write_text("s3cret\n")
        running.callback(exporter.stop)
        with socket.create_server(("127.0.0.1", port)):
            exporter.start()
            until(lambda: exporter.value("dserver_service_up", server="web01") == 1, "the service is not up")
        until(lambda: (exporter.value("dserver_service_outage_seconds") or 0) >= 1, "no outage")
        exporter.kill()

        def gone() -> bool:
            if not exporter.gone:
                alert(exporter)  # as Alertmanager repeats it
            return exporter.gone

        def dies(step: str) -> None:
            if step.startswith("after:outbox/") and in_the_outbox(exporter, step.partition("/")[2]):
                return
            exporter.step = step
            with contextlib.suppress(RuntimeError):  # it may come so far before it is ready
                exporter.start()
            until(gone, f"it did not come to {step}")
            exporter.kill()

        for step in DOWN:
            dies(step)
        running.enter_context(socket.create_server(("127.0.0.1", port), backlog=100))
        for step in UP:
            dies(step)
        exporter.step = ""
        exporter.start()
        until(lambda: len(sink.mails) >= 4, "the mail of which nothing is known does not leave again")
        until(lambda: exporter.value("dserver_outbox_pending") == 0, "a mail does not leave")
        assert alert(exporter)
        until(lambda: exporter.value("dserver_incident_report_due_timestamp_seconds") is not None, "no report is owed")
    sent = Counter((str(mail.message["Message-ID"]), mail.subject) for mail in sink.mails)
    assert [subject[:4] for _, subject in sent] == ["【重要】", "【復旧】"]
    assert list(sent.values()) == [2, 2]
    assert len({mail.message.as_bytes() for mail in sink.mails}) == 2
