"""What /config shows: the configuration, without secrets and without contacts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from collectors.registry import Options, Registry, check
from exporter.config import Problem, load, redacted
from exporter.inventory import Config

Load = Callable[..., tuple[Config, tuple[Problem, ...]]]

TEXT = """
global: {vantage: [{tcp: "198.51.100.1:53"}], external_url: "https://monitor.provider.example/?token=hunter2"}
noc: {contacts: [{name: 監視 太郎, email: taro@provider.example, phone: 0120-111-111}]}
provider: {name: 株式会社プロバイダ, phone: 0120-222-222, email: support@provider.example}
mail: {smarthost: "mail.provider.example:587", from: sender@provider.example, credential: bmc}
alertmanager: {urls: ["http://127.0.0.1:9093/?key=hunter2"], webhook_credential: bmc, credential: env, ca_file: ca.pem}
credentials:
  bmc: {username: monitor, password_file: secret}
  env: {token_env: PATH}
customers:
  - id: c0001
    name: 株式会社サンプル
    managed: true
    contacts: [{name: 運用 花子, email: ops@customer.example, phone: +81-584-00-0000}]
maintenance: [{server: web01, from: 2026-12-10T10:00, to: 2026-12-10T12:00, reason: メモリ増設}]
servers:
  - name: web01
    customer: c0001
    address: 192.0.2.10
    hostname: web01.example.jp
    rack: A-03
    lamps: [{source: ipmi, address: 192.0.2.110, credential: bmc}]
    services:
      - ssh
      - protocol: form
        interval: 5m
        address: web01.example.jp
        address_family: ipv4
        source_address: 192.0.2.5
        url: "https://shop.example/?api=hunter2&q=hunter2#top"
        headers: {Authorization: hunter2}
        body: hunter2
        ca_file: ca.pem
"""


class FormOptions(Options):
    url: str
    headers: dict[str, str] | None = None
    body: str = ""
    ca_file: Path | None = None


async def form(_talk: object, _options: FormOptions) -> None:
    """Stands for a check whose options may hold secrets."""


@pytest.fixture
def shown(config_of: Load, monkeypatch: pytest.MonkeyPatch) -> str:
    check("form", options=FormOptions)(form)
    try:
        return "".join(redacted(config_of(TEXT, secret="hunter2\n")[0]))
    finally:
        del Registry.checks["form"]


def test_secrets_are_left_out(shown: str) -> None:
    assert "hunter2" not in shown


@pytest.mark.parametrize("private", ["taro", "ops@", "support@", "sender@", "運用", "監視", "0120-", "584-00"])
def test_contacts_are_left_out(shown: str, private: str) -> None:
    assert private not in shown


def test_what_is_watched_and_how_is_shown(shown: str) -> None:
    page: dict[str, Any] = yaml.safe_load(shown)
    assert page["global"]["interval"] == "10m"
    assert page["global"]["calendar"]["hours"] == ["10:00-12:00", "13:00-17:00"]
    assert page["customers"] == [{"id": "c0001", "name": "株式会社サンプル", "language": "ja", "managed": True}]
    assert page["maintenance"][0]["from"] == "2026-12-10T10:00:00+09:00"
    assert page["credentials"]["bmc"]["password_file"].endswith("/secret")
    assert page["credentials"]["env"] == {"token_env": "PATH"}
    (server,) = page["servers"]
    assert server["lamps"] == [{"source": "ipmi", "address": "192.0.2.110", "credential": "bmc"}]
    assert server["services"] == [
        {"protocol": "ssh", "name": "ssh"},
        {
            "protocol": "form",
            "name": "form",
            "address": "web01.example.jp",
            "address_family": "ipv4",
            "source_address": "192.0.2.5",
            "interval": "5m",
            "recheck_interval": "1m",
            "timeout": "10s",
            "url": "https://shop.example/?api=(removed)&q=(removed)#top",
            "headers": "(removed)",
            "body": "(removed)",
            "ca_file": "ca.pem",
        },
    ]


def test_an_empty_configuration_is_shown_too(tmp_path: Path, rules: Path) -> None:
    file = tmp_path / "dserver.yml"
    file.write_text("servers: []\n")
    assert yaml.safe_load("".join(redacted(load(file, rules=rules)[0])))["servers"] is None
