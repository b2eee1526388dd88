"""The exporter is killed at the worst moment: the mail server has the notice, and we do not know it yet."""

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope

from tests.peers.exporter import Exporter
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
PATIENCE = 30.0


class KillingSink(SmtpSink):
    """Takes the first mail, and kills whoever sent it before it can hear so."""

    victim = 0

    async def handle_DATA(self, server: SMTP, session: Any, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        answer = await super().handle_DATA(server, session, envelope)
        if self.victim:
            os.kill(self.victim, signal.SIGKILL)
            self.victim = 0
        return answer


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


def test_killed_between_the_servers_250_and_our_commit_sends_two_copies_with_one_message_id(tmp_path: Path) -> None:
    folder = tmp_path / "exporter"
    port = free_port()
    with KillingSink() as sink:
        exporter = Exporter(folder, CONFIG.format(smtp=sink.port, port=port))
        (folder / "hook").touch(mode=0o600)
        (folder / "hook").write_text("s3cret\n")
        with socket.create_server(("127.0.0.1", port)):
            exporter.start()
            until(lambda: exporter.value("dserver_service_up", server="web01") == 1, "the service is not up")
        try:
            until(lambda: (exporter.value("dserver_service_outage_seconds") or 0) >= 1, "no outage")
            sink.victim = exporter.pid
            assert alert(exporter)
            sink.wait(lambda mails: len(mails) == 1, PATIENCE)
            exporter.kill()
            exporter.start()
            sink.wait(lambda mails: len(mails) == 2, PATIENCE)
            notified = "dserver_outage_notified_timestamp_seconds"
            until(lambda: exporter.value(notified, server="web01") is not None, "not known to be told")
            assert alert(exporter)
            exporter.kill()
            exporter.start()
            assert alert(exporter)
            assert (exporter.value("dserver_outbox_pending")) == 0
        finally:
            exporter.stop()
        first, second = sink.mails
    assert first.message["Message-ID"] == second.message["Message-ID"]
    assert first.recipients == ("ops@customer.example",)
    assert first.message.as_bytes() == second.message.as_bytes()
