"""With ``notices: ledger``: from a dead service over real Prometheus and a cluster of two Alertmanagers to the mails.

Times are scaled down as in `tests.chain.world`, and by `tests.peers.mortal` those that nobody may configure.
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
from tests.peers.exporter import Mortal
from tests.peers.nginx import Nginx
from tests.peers.prometheus import Prometheus
from tests.peers.smtp_sink import Mail, SmtpSink

CONFIGURATION = Template("""\
global:
  interval: 3s
  recheck_interval: 1s
  timeout: 800ms
  outage_notice_after: ${limit}s
  external_url: http://127.0.0.1:${exporter}
noc: {language: en, contacts: [{name: NOC, email: noc@provider.example}]}
provider: {name: 株式会社プロバイダ, phone: 0120-000-000, email: support@provider.example}
mail: {smarthost: "127.0.0.1:${smtp}", from: noc@provider.example, tls: none}
alertmanager: {urls: ["http://127.0.0.1:${first}", "http://127.0.0.1:${second}"], webhook_credential: hook}
credentials: {hook: {token_file: hook}}
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: desk@sample.example}]}
servers:
  - name: shop01
    customer: c0001
    address: 127.0.0.1
    services: [{protocol: http, port: ${web}}, {protocol: tcp, port: ${web}}]
""")
NOC = "noc@provider.example"
NOTIFIED = "dserver_outage_notified_timestamp_seconds"


@dataclass
class Chain:
    """Everything between one web server and the customer's mail box."""

    web: Nginx
    exporter: Mortal
    alertmanagers: tuple[Alertmanager, Alertmanager]
    prometheus: Prometheus
    sink: SmtpSink

    def mails(self, to: str, said: str = "") -> list[Mail]:
        return [mail for mail in list(self.sink.mails) if mail.recipients == (to,) and said in mail.subject]

    def customer(self, said: str = "") -> list[Mail]:
        return self.mails("desk@sample.example", said)

    def alerted(self, member: Alertmanager) -> bool:
        return {"http", "tcp"} <= {alert["labels"].get("check") for alert in member.alerts()}

    def clustered(self) -> bool:
        return all(member.peers() == 2 for member in self.alertmanagers)


@pytest.fixture
def chain(peer: Callable[[str], str], tmp_path: Path) -> Iterator[Chain]:
    programs = {name: peer(name) for name in ("nginx", "prometheus", "alertmanager")}
    with ExitStack() as running:
        sink = running.enter_context(SmtpSink())
        web = running.enter_context(Nginx(programs["nginx"], tmp_path / "web", "location / { return 200 ready; }"))
        exporter = Mortal(tmp_path / "exporter", "")
        first, second = (Alertmanager(programs["alertmanager"], tmp_path / name, "") for name in ("first", "second"))
        ports = {"smtp": sink.port, "exporter": exporter.port, "web": web.port}
        members = {"first": first.port, "second": second.port}
        configuration = CONFIGURATION.substitute(ports, **members, limit=LIMIT)
        (exporter.folder / "dserver.yml").write_text(configuration, "utf-8")
        (exporter.folder / "hook").touch(mode=0o600)
        (exporter.folder / "hook").write_text("s3cret\n")
        routing = _replaced(exporter.alertmanager_config(), "group_interval: 1m", f"group_interval: {GROUP_INTERVAL}s")
        routing = _replaced(routing, "group_interval: 2s", "group_interval: 1s")
        routing = _replaced(routing, "repeat_interval: 5m", "repeat_interval: 3s")
        for member in (first, second):
            (member.folder / "alertmanager.yml").write_text(routing, "utf-8")
            member.members = (first, second)
        running.enter_context(exporter)
        for member in (first, second):
            running.enter_context(member)
        sample = _sample_configuration(exporter.port, members.values(), _scaled_rules(tmp_path / "rules"))
        resend = [f"--rules.alert.resend-delay={RESEND}s"]
        prometheus = Prometheus(programs["prometheus"], tmp_path / "prometheus", sample, resend)
        running.enter_context(prometheus)
        chain = Chain(web, exporter, (first, second), prometheus, sink)
        until(partial(prometheus.query, "count(dserver_service_up == 1) == 2"), "both services up")
        until(chain.clustered, "the Alertmanagers know each other")
        yield chain


def test_an_outage_of_two_checks_is_one_mail_and_one_recovery_whatever_is_killed_meanwhile(chain: Chain) -> None:
    first, second = chain.alertmanagers
    chain.web.kill()
    until(partial(chain.customer, "重要"), "the customer told")
    until(partial(chain.exporter.value, NOTIFIED, check="tcp"), "known to be told")
    for program in (chain.exporter, first):
        program.kill()
        program.start()
    chain.prometheus.kill()
    until(lambda: not any(member.alerts() for member in chain.alertmanagers), "the alerts held for resolved")
    chain.prometheus.start()
    for member in chain.alertmanagers:
        until(partial(chain.alerted, member), "the alerts repeated to both Alertmanagers")
    # repeated by Alertmanager every three seconds from then on
    chain.sink.wait(lambda _: False, 3 * GROUP_INTERVAL)
    second.kill()
    chain.web.start()
    until(partial(chain.customer, "復旧"), "the customer told of the recovery")
    second.start()
    chain.sink.wait(lambda _: False, 3 * GROUP_INTERVAL)
    notice, recovery = chain.customer()
    assert notice.subject in (
        "【重要】サービス障害のお知らせ（shop01 http、tcp）",
        "【重要】サービス障害のお知らせ（shop01 tcp、http）",
    )
    assert recovery.subject == "【復旧】サービス復旧のお知らせ（shop01）"
    assert recovery.message["References"] == notice.message["Message-ID"]
    assert chain.mails(NOC, "[FIRING][customer] critical ServiceOutage")
    assert not chain.mails(NOC, "CHAIN BROKEN")


def test_without_alertmanagers_the_customer_is_told_all_the_same_and_not_again_when_they_return(chain: Chain) -> None:
    for member in chain.alertmanagers:
        member.kill()
    chain.web.kill()
    until(partial(chain.customer, "重要"), "the customer told by the last resort")
    until(partial(chain.mails, NOC, "CHAIN BROKEN"), "the NOC told that the chain is broken")
    for member in chain.alertmanagers:
        member.start()
    for member in chain.alertmanagers:
        until(partial(chain.alerted, member), "the alerts come to both Alertmanagers")
    chain.sink.wait(lambda _: False, 3 * GROUP_INTERVAL)
    [notice] = chain.customer()
    assert "tcp" in notice.subject
    assert "http" in notice.subject
