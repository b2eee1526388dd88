"""A small fleet and everything that watches it, all real: exporter, Prometheus, Alertmanager, nginx, BMCs, mail.

Only times are scaled down: the exporter's by its configuration, the others in copies of the sample configuration of
Prometheus, of the shipped rules (their limits too) and of what ``alertmanager-config`` prints (``group_interval``).
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Self, TypeVar

import yaml

from tests.peers.alertmanager import Alertmanager
from tests.peers.certificates import Authority
from tests.peers.exporter import Exporter
from tests.peers.ipmi_sim import IpmiSim
from tests.peers.nginx import Nginx
from tests.peers.process import ServerProcess
from tests.peers.prometheus import Prometheus
from tests.peers.smtp_sink import Mail, SmtpSink

ROOT = Path(__file__).parents[2]

LIMIT = 15
"""Seconds instead of 600: long enough to kill three programs and have them back before the customer is told."""
DETECTED = 2
"""Seconds instead of 60: when the NOC is told of an outage."""
RESEND = 5
"""Seconds between Prometheus's repetitions of an alert, instead of 60. An alert that was not repeated for four times
as long counts as resolved, and a Prometheus that starts needs five seconds to find its targets."""
GROUP_INTERVAL = 2
"""Seconds after which Alertmanager looks again whether a mail is due, instead of 60."""
QUIET = 2 * RESEND + 2 * GROUP_INTERVAL
"""Seconds in which Prometheus repeats every alert twice and Alertmanager looks at each again after that: a second mail
that is going to come has come by then. That nothing comes cannot be waited for otherwise."""

PATIENCE = 60.0

CONFIGURATION = Template("""\
global:
  interval: 3s
  recheck_interval: 1s
  timeout: 800ms
  outage_notice_after: ${limit}s
  lamp_interval: 3s
  lamp_recheck_interval: 1s
  notices: alertmanager
noc: {contacts: [{name: NOC, email: noc@provider.example}]}
provider: {name: 株式会社プロバイダ, phone: 0120-000-000, email: support@provider.example}
mail: {smarthost: "127.0.0.1:${smtp}", from: noc@provider.example, tls: none}
credentials:
  bmc: {username: monitor, password_file: bmc-password}
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: "", email: desk@sample.example}]}
  - {id: c0002, name: Example Trading, language: en, managed: true, contacts: [{name: Operations, email: ops@trading.example}]}
  - {id: c0003, name: 有限会社見本商店, managed: true, contacts: [{name: 運用担当, email: ops@mihon.example}]}
servers:
  - name: shop01
    customer: c0001
    address: 127.0.0.1
    services: [{protocol: https, url: "https://shop.example:${shop01}/health", expect_body: ready, ca_file: ${ca}}]
  - {name: web02, customer: c0002, address: 127.0.0.1, services: [{protocol: http, port: ${web02}}]}
  - {name: web03, customer: c0003, address: 127.0.0.1, services: [{protocol: http, port: ${web03}}]}
  - {name: db01, customer: c0003, address: 127.0.0.1, lamps: [{source: ipmi, address: 127.0.0.1, port: ${db01}, credential: bmc}]}
  - {name: db02, customer: c0001, address: 127.0.0.1, lamps: [{source: ipmi, address: 127.0.0.1, port: ${db02}, credential: bmc}]}
""")  # noqa: E501 - one line per entry

WEB = """\
if (-f {folder}/overloaded) {{ return 503; }}
location / {{ return 200 ready; }}
"""


Result = TypeVar("Result")


def until(condition: Callable[[], Result], what: str) -> Result:
    """Return the condition's value as soon as it is true. Raises AssertionError after a minute, with ``what``."""
    deadline = time.monotonic() + PATIENCE
    while not (result := condition()):
        assert time.monotonic() < deadline, f"not within {PATIENCE:.0f} s: {what}"
        time.sleep(0.1)  # what other processes show over HTTP or in files cannot be waited for otherwise
    return result


@dataclass
class World:
    """The fleet and its watchers, running."""

    sink: SmtpSink
    web: Mapping[str, Nginx]
    bmc: Mapping[str, IpmiSim]
    exporter: Exporter
    alertmanager: Alertmanager
    prometheus: Prometheus

    @classmethod
    @contextmanager
    def running(cls, peer: Callable[[str], str], folder: Path) -> Iterator[Self]:
        """Start everything, and end it with the block."""
        programs = {name: peer(name) for name in ("nginx", "ipmi_sim", "prometheus", "alertmanager")}
        with ExitStack() as running:
            authority = Authority(folder)
            certificate = authority.issue("shop.example")
            sink = running.enter_context(SmtpSink())
            web = {
                name: Nginx(programs["nginx"], folder / name, WEB.format(folder=folder / name), certificate)
                for name in ("shop01", "web02", "web03")
            }
            bmc = {name: IpmiSim(programs["ipmi_sim"], folder / name) for name in ("db01", "db02")}
            for server in web.values():
                running.enter_context(server)
            for controller in bmc.values():
                running.enter_context(controller)
            ports = {
                "shop01": web["shop01"].tls_port,
                "web02": web["web02"].port,
                "web03": web["web03"].port,
                **{name: each.port for name, each in bmc.items()},
            }
            configuration = CONFIGURATION.substitute(ports, limit=LIMIT, smtp=sink.port, ca=authority.file)
            exporter = Exporter(folder / "exporter", configuration)
            secret = exporter.folder / "bmc-password"
            secret.touch(mode=0o600)
            secret.write_text(bmc["db01"].password)
            running.enter_context(exporter)
            routing = _replaced(
                exporter.alertmanager_config(), "group_interval: 1m", f"group_interval: {GROUP_INTERVAL}s"
            )
            alertmanager = Alertmanager(programs["alertmanager"], folder / "alertmanager", routing)
            running.enter_context(alertmanager)
            prometheus = Prometheus(
                programs["prometheus"],
                folder / "prometheus",
                _sample_configuration(exporter.port, [alertmanager.port], _scaled_rules(folder / "rules")),
                [f"--rules.alert.resend-delay={RESEND}s"],
            )
            running.enter_context(prometheus)
            yield cls(sink, web, bmc, exporter, alertmanager, prometheus)

    def mails(self, *said: str) -> list[Mail]:
        """Return the mails so far in whose subject all of this is said."""
        return [mail for mail in list(self.sink.mails) if all(each in mail.subject for each in said)]

    def remembered(self, *customers: str) -> bool:
        """Tell whether Alertmanager has on its disk that these customers were told."""
        file = self.alertmanager.folder / "data" / "nflog"
        return file.exists() and all(f"customer-{each}".encode() in file.read_bytes() for each in customers)

    def listen(self, seconds: float) -> None:
        """Give mails that should not come the time to come."""
        self.sink.wait(lambda _: False, seconds)

    def diagnosis(self) -> str:
        """Tell what there is to know when something did not happen."""
        told = [f"{mail.message['Date']} {', '.join(mail.recipients)}: {mail.subject}" for mail in self.sink.mails]
        try:
            firing = [str(alert["labels"]) for alert in self.prometheus.alerts()]
        except OSError as error:
            firing = [str(error)]
        watchers: tuple[ServerProcess, ...] = (self.exporter, self.prometheus, self.alertmanager)
        logs = [f"--- {each.folder.name}\n{_tail(each.log)}" for each in watchers]
        return "\n".join(["--- mails", *told, "--- ALERTS", *firing, *logs])


def _tail(file: Path, lines: int = 40) -> str:
    return "\n".join(file.read_text("utf-8", "replace").splitlines()[-lines:]) if file.exists() else "(no log)"


def _replaced(text: str, shipped: str, scaled: str) -> str:
    assert re.search(shipped, text), f"{shipped} is not in it any more"
    return re.sub(shipped, scaled, text)


def _scaled_rules(folder: Path) -> Path:
    folder.mkdir()
    for file in (ROOT / "alert_rules").glob("*.yml"):
        text = _replaced(file.read_text("utf-8"), r"interval: (15|60)s", "interval: 1s")
        if file.stem == "services":
            text = _replaced(text, r">= 600\b", f">= {LIMIT}")
            text = _replaced(text, r">= 60\b", f">= {DETECTED}")
        (folder / file.name).write_text(text, "utf-8")
    return folder


def _sample_configuration(exporter: int, alertmanagers: Iterable[int], rules: Path) -> str:
    sample = yaml.safe_load((ROOT / "examples" / "prometheus.yml").read_text("utf-8"))
    fast = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    sample["global"] |= {**fast, "evaluation_interval": "1s"}
    sample["rule_files"] = [str(rules / "*.yml")]
    members = [{"targets": [f"127.0.0.1:{port}" for port in alertmanagers]}]
    [sender] = sample["alerting"]["alertmanagers"]
    sender["static_configs"] = members
    for job in sample["scrape_configs"]:
        targets = members if job["job_name"] == "alertmanager" else [{"targets": [f"127.0.0.1:{exporter}"]}]
        job |= {**fast, "static_configs": targets}
    return yaml.safe_dump(sample)
