"""With ``notices: ledger``: from a dead service over real Prometheus and Alertmanager to one mail.

Times are scaled down as in `tests.chain.world`; that a recovery takes two minutes is not, so it is tested elsewhere.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from string import Template

import pytest

from tests.chain.world import GROUP_INTERVAL, LIMIT, RESEND, _replaced, _sample_configuration, _scaled_rules, until
from tests.peers.alertmanager import Alertmanager
from tests.peers.exporter import Exporter
from tests.peers.nginx import Nginx
from tests.peers.prometheus import Prometheus
from tests.peers.smtp_sink import Mail, SmtpSink

CONFIGURATION = Template("""\
global:
  interval: 3s
  recheck_interval: 1s
  timeout: 800ms
  outage_notice_after: ${limit}s
  notices: ledger
  external_url: http://127.0.0.1:${exporter}
noc: {language: en, contacts: [{name: NOC, email: noc@provider.example}]}
provider: {name: 株式会社プロバイダ, phone: 0120-000-000, email: support@provider.example}
mail: {smarthost: "127.0.0.1:${smtp}", from: noc@provider.example, tls: none}
alertmanager: {urls: ["http://127.0.0.1:${alertmanager}"], webhook_credential: hook}
credentials: {hook: {token_file: hook}}
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: desk@sample.example}]}
servers:
  - name: shop01
    customer: c0001
    address: 127.0.0.1
    services: [{protocol: http, port: ${web}}, {protocol: tcp, port: ${web}}]
""")


@dataclass
class Chain:
    """Everything between one web server and the customer's mail box."""

    web: Nginx
    exporter: Exporter
    alertmanager: Alertmanager
    prometheus: Prometheus
    sink: SmtpSink

    def mails(self, to: str, said: str = "") -> list[Mail]:
        return [mail for mail in list(self.sink.mails) if mail.recipients == (to,) and said in mail.subject]

    customer = property(lambda self: self.mails("desk@sample.example"))


@pytest.fixture
def chain(peer: Callable[[str], str], tmp_path: Path) -> Iterator[Chain]:
    programs = {name: peer(name) for name in ("nginx", "prometheus", "alertmanager")}
    with ExitStack() as running:
        sink = running.enter_context(SmtpSink())
        web = running.enter_context(Nginx(programs["nginx"], tmp_path / "web", "location / { return 200 ready; }"))
        exporter = Exporter(tmp_path / "exporter", "")
        alertmanager = Alertmanager(programs["alertmanager"], tmp_path / "alertmanager", "")
        ports = {"smtp": sink.port, "exporter": exporter.port, "alertmanager": alertmanager.port, "web": web.port}
        configuration = CONFIGURATION.substitute(ports, limit=LIMIT)
        (exporter.folder / "dserver.yml").write_text(configuration, "utf-8")
        (exporter.folder / "hook").touch(mode=0o600)
        (exporter.folder / "hook").write_text("s3cret\n")
        routing = _replaced(exporter.alertmanager_config(), "group_interval: 1m", f"group_interval: {GROUP_INTERVAL}s")
        routing = _replaced(routing, "repeat_interval: 5m", "repeat_interval: 3s")
        (alertmanager.folder / "alertmanager.yml").write_text(routing, "utf-8")
        running.enter_context(exporter)
        running.enter_context(alertmanager)
        sample = _sample_configuration(exporter.port, alertmanager.port, _scaled_rules(tmp_path / "rules"))
        resend = [f"--rules.alert.resend-delay={RESEND}s"]
        prometheus = Prometheus(programs["prometheus"], tmp_path / "prometheus", sample, resend)
        running.enter_context(prometheus)
        chain = Chain(web, exporter, alertmanager, prometheus, sink)
        until(partial(prometheus.query, "count(dserver_service_up == 1) == 2"), "both services up")
        yield chain


def test_an_outage_of_two_checks_is_one_mail_whatever_is_killed_after_it(chain: Chain) -> None:
    chain.web.kill()
    until(lambda: chain.customer, "the customer told")
    notified = "dserver_outage_notified_timestamp_seconds"
    until(partial(chain.exporter.value, notified, check="tcp"), "known to be told")
    for program in (chain.exporter, chain.alertmanager):
        program.kill()
        program.start()
    # repeated by Alertmanager every three seconds from then on
    until(partial(chain.alertmanager.alerts), "the alerts repeated to the new Alertmanager")
    chain.sink.wait(lambda _: False, 3 * GROUP_INTERVAL + RESEND)
    [notice] = chain.customer
    assert notice.subject in (
        "【重要】サービス障害のお知らせ（shop01 http、tcp）",
        "【重要】サービス障害のお知らせ（shop01 tcp、http）",
    )
    assert chain.mails("noc@provider.example", "[FIRING][customer] critical ServiceOutage")
    assert not chain.mails("noc@provider.example", "CHAIN BROKEN")
