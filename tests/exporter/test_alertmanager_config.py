"""`alertmanager-config`: what it prints, where alerts go (amtool), and how the mails read (real Alertmanager)."""

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from collectors.failures import CheckFailure
from collectors.reading import Lamp, Verdict
from exporter.alertmanager_config import AlertmanagerConfigError, alertmanager_config
from exporter.alertmanager_mails import literal
from exporter.clock import SECOND
from exporter.config import load
from exporter.contract.incidents import Hold
from exporter.contract.level import NextStep
from exporter.contract.notices import GATHER
from exporter.inventory import Alertmanager as AlertmanagerSettings
from exporter.inventory import (
    Config,
    Contact,
    CredentialEntry,
    Customer,
    Language,
    Mail,
    Noc,
    Provider,
    SecretSource,
    Settings,
)
from exporter.words import HOLDS, LAMPS, NEXT_STEPS, REASONS, VERDICTS
from tests.peers.alertmanager import Alertmanager
from tests.peers.smtp_sink import Mail as Received
from tests.peers.smtp_sink import SmtpSink

ROOT = Path(__file__).parents[2]
HOSTILE = """A" }}{{ .Labels.server }}{{ "b\\ <script>x</script> '#: & {"""

CUSTOMERS = (
    Customer(
        "c0001",
        "株式会社サンプル",
        contacts=(Contact("運用担当", "ops@customer.example", "+81-584-00-0000"), Contact("", "desk@customer.example")),
    ),
    Customer("c0002", "有限会社電話のみ", contacts=(Contact("電話番", phone="+81-584-00-0002"),)),
    Customer("c0003", "Sample Ltd.", "en", contacts=(Contact("Operations <R&D>", "ops@english.example"),)),
    Customer('c"}\\4', HOSTILE, contacts=(Contact(HOSTILE, "ops@hostile.example"),)),
    Customer("c0005", HOSTILE, "en", contacts=(Contact(HOSTILE, phone=HOSTILE),)),
    Customer("c0006", "誰もいない株式会社"),
)
RECEIVERS = {
    "c0001": "customer-c0001",
    "c0002": "noc-phones-c0002",
    "c0003": "customer-c0003",
    'c"}\\4': 'customer-c"}\\4',
    "c0005": "noc-phones-c0005",
    "c0006": "noc-phones-c0006",
    "c9999": "noc-customer-unknown",
}
CONFIG = Config(
    settings=Settings(notices="alertmanager"),
    noc=Noc(contacts=(Contact("NOC", "noc@provider.example"), Contact("当番", phone="0120-000-001"))),
    provider=Provider("株式会社プロバイダ", "0120-000-000", "support@provider.example"),
    mail=Mail("127.0.0.1", 25, "noc@provider.example", "none"),
    customers={customer.id: customer for customer in CUSTOMERS},
)


def _subclasses(kind: type[CheckFailure]) -> Iterator[type[CheckFailure]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


def test_every_closed_word_is_said_in_both_languages() -> None:
    reasons = {kind.reason for kind in _subclasses(CheckFailure) if hasattr(kind, "reason")}
    for language in ("ja", "en"):
        assert set(REASONS[language]) == reasons
        assert set(LAMPS[language]) == set(Lamp)
        assert set(VERDICTS[language]) == set(Verdict)
        assert set(NEXT_STEPS[language]) == set(NextStep)
        assert set(HOLDS[language]) == set(Hold)


def test_a_brace_at_the_end_of_a_name_opens_no_action() -> None:
    assert literal("Brace {") + "{{ .Labels.server }}" == '{{ "Brace {" }}{{ .Labels.server }}'


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("alertmanager-config") / "alertmanager.yml"
    file.write_text(alertmanager_config(CONFIG), "utf-8")
    return file


def test_alertmanager_accepts_it_whatever_the_names_are(peer: Callable[[str], str], printed: Path) -> None:
    done = subprocess.run([peer("amtool"), "check-config", printed], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_accepts_that_of_the_sample_configuration(peer: Callable[[str], str], tmp_path: Path) -> None:
    config, _ = load(Path(__file__).parents[2] / "examples" / "dserver.yml")
    test_alertmanager_accepts_it_whatever_the_names_are(peer, _written(tmp_path, config))


@pytest.mark.parametrize(("customer", "receiver"), RECEIVERS.items())
def test_an_alert_for_a_customer_goes_to_them_and_to_the_noc(
    peer: Callable[[str], str], printed: Path, customer: str, receiver: str
) -> None:
    value = customer.replace("\\", "\\\\").replace('"', '\\"')
    assert _route(peer("amtool"), printed, "notify=customer", f'customer_id="{value}"') == f"noc,{receiver}"


def test_an_alert_for_the_noc_never_goes_to_a_customer(peer: Callable[[str], str], printed: Path) -> None:
    assert _route(peer("amtool"), printed, "notify=noc", "customer_id=c0001") == "noc"
    assert _route(peer("amtool"), printed, "alertname=FromElsewhere") == "noc"


def test_the_watchdog_is_no_mail(peer: Callable[[str], str], printed: Path) -> None:
    assert _route(peer("amtool"), printed, "notify=watchdog") == "watchdog"
    [receiver] = [each for each in _document(CONFIG)["receivers"] if each["name"] == "watchdog"]
    assert receiver == {"name": "watchdog"}


def _route(amtool: str, file: Path, *labels: str) -> str:
    command = [amtool, "config", "routes", "test", f"--config.file={file}", *labels]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _document(config: Config) -> Any:
    return yaml.safe_load(alertmanager_config(config))


def test_one_mail_per_alert_at_once_and_not_again_for_five_days() -> None:
    route = _document(CONFIG)["route"]
    timing = {key: route[key] for key in ("group_by", "group_wait", "group_interval", "repeat_interval")}
    assert timing == {"group_by": ["..."], "group_wait": "0s", "group_interval": "1m", "repeat_interval": "120h"}


def test_customers_are_not_told_that_an_alert_is_resolved_and_the_noc_is() -> None:
    told = {
        receiver["name"]: {mail["send_resolved"] for mail in receiver.get("email_configs", [])}
        for receiver in _document(CONFIG)["receivers"]
    }
    assert told.pop("noc") == {True}
    assert told.pop("watchdog") == set()
    assert set(map(frozenset, told.values())) == {frozenset({False})}


class Smtp(NamedTuple):
    tls: str
    port: int
    expected: dict[str, Any]


@pytest.mark.parametrize(
    "case",
    [
        Smtp("starttls", 587, {"smtp_require_tls": True}),
        Smtp("none", 25, {"smtp_require_tls": False}),
        Smtp("implicit", 465, {"smtp_require_tls": False}),
        Smtp("implicit", 10465, {"smtp_require_tls": False, "smtp_force_implicit_tls": True}),
        Smtp("starttls", 465, {"smtp_require_tls": True, "smtp_force_implicit_tls": False}),
    ],
    ids=lambda case: f"{case.tls}-{case.port}",
)
def test_tls_is_as_configured_whatever_the_port(peer: Callable[[str], str], tmp_path: Path, case: Smtp) -> None:
    config = replace(CONFIG, mail=Mail("mail.provider.example", case.port, "noc@provider.example", case.tls))  # type: ignore[arg-type]  # the parameters are the literals
    smtp = {"smtp_smarthost": f"mail.provider.example:{case.port}", "smtp_from": "noc@provider.example"}
    assert _document(config)["global"] == smtp | case.expected
    test_alertmanager_accepts_it_whatever_the_names_are(peer, _written(tmp_path, config))


def _written(folder: Path, config: Config) -> Path:
    file = folder / "alertmanager.yml"
    file.write_text(alertmanager_config(config), "utf-8")
    return file


def test_an_address_of_ip_version_6_stands_in_brackets() -> None:
    config = replace(CONFIG, mail=Mail("2001:db8::25", 587, "noc@provider.example"))
    assert _document(config)["global"]["smtp_smarthost"] == "[2001:db8::25]:587"


def _with_login(**entry: Any) -> Config:
    mail = Mail("mail.provider.example", 587, "noc@provider.example", credential="smtp")
    return replace(CONFIG, mail=mail, credentials={"smtp": CredentialEntry("smtp", **entry)})


def test_the_password_stays_in_its_file() -> None:
    secret = {"password": SecretSource(file=Path("/etc/dserver/smtp"))}
    smtp = _document(_with_login(values={"username": "noc"}, secrets=secret))["global"]
    assert smtp["smtp_auth_username"] == "noc"
    assert smtp["smtp_auth_password_file"] == "/etc/dserver/smtp"


NOBODY = replace(CONFIG, noc=Noc(contacts=(Contact("当番", phone="0120-000-001"),)))
IN_ENVIRONMENT = {"password": SecretSource(env="SMTP_PASSWORD")}
IN_FILE = {"password": SecretSource(file=Path("secret"))}


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (replace(CONFIG, mail=None), "mail: the section is missing, and .*: add smarthost and from"),
        (NOBODY, "noc.contacts: nobody in it has an email address, and .*: add one"),
        (
            _with_login(values={"username": "noc"}, secrets=IN_ENVIRONMENT),
            "credentials.smtp: .* environment variable SMTP_PASSWORD, .*: write it to a file .*, and use password_file",
        ),
        (_with_login(values={"username": "noc"}), "credentials.smtp: it has no password, .*: add password_file"),
        (_with_login(secrets=IN_FILE), "credentials.smtp: it has no username, .*: add username"),
        (replace(_with_login(), credentials={}), "credentials.smtp: .* does not exist: add it"),
    ],
    ids=["no mail", "nobody in the NOC", "secret in the environment", "no password", "no username", "no credential"],
)
def test_what_alertmanager_cannot_do_is_refused_with_the_remedy(config: Config, sentence: str) -> None:
    with pytest.raises(AlertmanagerConfigError, match=f"^{sentence}"):
        alertmanager_config(config)


OUTAGE = {"alertname": "ServiceOutage", "severity": "critical", "notify": "customer", "server": "web01"}
HTTPS = {"check": "https", "protocol": "https"}
NOTES = {
    "summary": "https on web01 cannot be used",
    "description": "down for 10m",
    "down_since": "2026-11-24 12:34:56 JST",
    "reason": "refused",
    "step": "connect",
}


class Desk:
    """A real Alertmanager that mails into a sink."""

    def __init__(self, alertmanager: Alertmanager, sink: SmtpSink) -> None:
        self._alertmanager = alertmanager
        self._sink = sink

    def mails_of(self, labels: dict[str, str], annotations: dict[str, str], count: int) -> list[Received]:
        """Hand over an alert and return the ``count`` mails that it makes, those to the NOC included."""
        before = len(self._sink.mails)
        self._alertmanager.send(labels, annotations, startsAt=datetime.now(UTC).isoformat())
        mails = self._sink.wait(lambda mails: len(mails) >= before + count, 20)[before:]
        assert len(mails) == count
        return mails


def _to(address: str, mails: list[Received], subject: str = "") -> Received:
    [mail] = [mail for mail in mails if mail.recipients == (address,) and mail.subject.startswith(subject)]
    return mail


@pytest.fixture(scope="module")
def desk(peer: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    program = peer("alertmanager")
    with SmtpSink() as sink:
        config = replace(CONFIG, mail=Mail("127.0.0.1", sink.port, "noc@provider.example", "none"))
        folder = tmp_path_factory.mktemp("alertmanager")
        with Alertmanager(program, folder, alertmanager_config(config)) as alertmanager:
            yield Desk(alertmanager, sink)


def test_the_noc_reads_which_system_ends_the_contract_and_when(desk: Desk) -> None:
    labels = {"alertname": "OSContractEndsSoon", "severity": "warning", "notify": "noc", "server": "old01"}
    told = {"summary": "The contract ends", "os": "centos-7", "contract_ends": "2027-04-01 00:00:00 JST"}
    [mail] = desk.mails_of(labels, told, 1)
    assert "centos-7" in mail.text
    assert "2027-04-01 00:00:00 JST" in mail.text


@pytest.mark.parametrize("language", ["ja", "en"])
def test_whatever_a_rule_says_of_its_alert_is_in_the_mail_to_the_noc(language: Language) -> None:
    files = (ROOT / "alert_rules").glob("*.yml")
    groups = [group for file in files for group in yaml.safe_load(file.read_text("utf-8"))["groups"]]
    said = {name for group in groups for rule in group["rules"] for name in rule.get("annotations", ())}
    assert "expires" in said
    noc = next(
        receiver
        for receiver in yaml.safe_load(
            alertmanager_config(replace(CONFIG, noc=replace(CONFIG.noc, language=language)))
        )["receivers"]
        if receiver["name"] == "noc"
    )
    [mail, *_] = noc["email_configs"]
    # a lamp's verdict is the alert's severity, which stands in the subject
    assert {name for name in said if f".Annotations.{name}" not in mail["text"]} == {"verdict"}


def test_a_certificate_that_expires_is_told_with_its_day_and_the_runbook_in_the_nocs_language(desk: Desk) -> None:
    labels = {"alertname": "DserverCertificateExpiresSoon", "severity": "warning", "notify": "noc", "server": "shop01"}
    base = "https://docs.example.net/runbooks"
    said = {
        "summary": "expires",
        "expires": "2026-12-08 09:00:00 JST",
        "runbook_url": f"{base}/DserverCertificateExpiresSoon.md",
    }
    [mail] = desk.mails_of(labels, said, 1)
    assert "証明書の有効期限：2026-12-08 09:00:00 JST" in mail.text
    assert f"手順書：{base}/ja/DserverCertificateExpiresSoon.md" in mail.text


def test_a_nearly_full_event_log_is_told_to_the_noc_alone_with_its_name(desk: Desk) -> None:
    labels = {"alertname": "EventLogNearlyFull", "severity": "warning", "notify": "noc", "customer_id": "c0001"}
    mails = desk.mails_of({**labels, "server": "db01"}, {"summary": "nearly full", "logs": "SEL (ipmi, 93%)"}, 1)
    assert "イベントログ：SEL (ipmi, 93%)" in _to("noc@provider.example", mails).text


def test_a_report_that_is_due_is_told_to_the_noc_alone_with_its_incident_and_time(desk: Desk) -> None:
    labels = {"alertname": "OutageReportDue", "severity": "warning", "notify": "noc", "customer_id": "c0001"}
    incident = {"server": "db01", "incident": "db01-20261126-093000"}
    mails = desk.mails_of({**labels, **incident}, {"summary": "due", "due": "2026-11-27 17:00:00 JST"}, 1)
    mail = _to("noc@provider.example", mails)
    assert "OutageReportDue db01 db01-20261126-093000" in mail.subject
    assert "管理番号：db01-20261126-093000" in mail.text
    assert "報告書の提出期限：2026-11-27 17:00:00 JST" in mail.text


def test_an_outage_is_told_in_good_japanese_to_every_contact(desk: Desk) -> None:
    mails = desk.mails_of({**OUTAGE, **HTTPS, "customer_id": "c0001"}, NOTES, 3)
    mail = _to("ops@customer.example", mails)
    assert mail.subject == "【重要】サービス障害のお知らせ（web01 https）"
    assert mail.text == OUTAGE_JA
    assert "株式会社サンプル 御中\n\n平素より" in _to("desk@customer.example", mails).text
    assert mail.message["Reply-To"] == "support@provider.example"
    assert mail.message["Auto-Submitted"] == "auto-generated"
    for said in (
        "2026-11-24 12:34:56 JST",
        "web01",
        '<html lang="ja">',
        ">https<",
        REASONS["ja"]["refused"],
        "0120-000-000",
    ):
        assert said in mail.html
    noc = _to("noc@provider.example", mails)
    assert noc.subject == "[発生][顧客宛] critical ServiceOutage web01 https (c0001)"
    assert "理由：refused: サーバが接続を受け付けていません（接続拒否）" in noc.text


OUTAGE_JA = """\
株式会社サンプル
運用担当 様

平素より格別のお引き立てを賜り、誠にありがとうございます。
株式会社プロバイダでございます。

ご利用いただいております専有サーバにおきまして、下記のとおりサービスの障害を検知いたしました。
ご迷惑をおかけしておりますことを、深くお詫び申し上げます。

  障害検知日時（日本時間）：2026-11-24 12:34:56 JST
  対象サーバ：web01
  影響を受けているサービス：https
  状況：サーバが接続を受け付けていません（接続拒否）

【今後の対応】
現在、状況の確認と復旧に向けた対応を進めております。今しばらくお待ちくださいますようお願い申し上げます。
障害の内容につきましては、復旧後の翌営業日までにメールにてご報告いたします。
調査が困難な場合や時間を要する場合は、その旨をご連絡いたします。

【お問い合わせ先】
株式会社プロバイダ
電話：0120-000-000
メール：support@provider.example

本メールは監視システムより自動で送信しております。
"""


def test_a_customer_who_reads_english_is_told_in_english(desk: Desk) -> None:
    shop = {"check": "shop", "protocol": "https"}
    mails = desk.mails_of({**OUTAGE, **shop, "customer_id": "c0003"}, {**NOTES, "reason": ""}, 2)
    mail = _to("ops@english.example", mails)
    assert mail.subject == "[Important] Service outage (web01 shop)"
    assert "  Affected service: shop (https)\n" in mail.text
    assert '<html lang="en">' in mail.html
    assert "Dear Operations <R&D>,\n" in mail.text
    assert "Dear Operations &lt;R&amp;D&gt;," in mail.html
    assert "  Down since (Japan time): 2026-11-24 12:34:56 JST\n" in mail.text
    assert "  What we see: the cause is being looked into\n" in mail.text


def test_a_critical_lamp_is_told_with_its_parts(desk: Desk) -> None:
    labels = {**OUTAGE, "alertname": "ServerLampAbnormal", "lamp": "drive", "customer_id": "c0001"}
    mails = desk.mails_of(labels, {"components": "Drive 3, Drive 4", "sources": "ipmi"}, 3)
    mail = _to("ops@customer.example", mails)
    assert mail.subject == "【重要】ハードウェア異常のお知らせ（web01 ドライブ）"
    assert "  異常箇所：ドライブ\n  部品：Drive 3, Drive 4\n" in mail.text
    told = re.search("  検知日時（日本時間）：(.{19}) JST\n", mail.text)
    assert told
    japan = timezone(timedelta(hours=9))
    age = datetime.now(japan) - datetime.fromisoformat(told[1]).replace(tzinfo=japan)
    assert timedelta(0) <= age < timedelta(minutes=1)
    assert "状況：" not in mail.text


def test_a_customer_without_mail_is_phoned(desk: Desk) -> None:
    mails = desk.mails_of({**OUTAGE, **HTTPS, "customer_id": "c0002"}, NOTES, 2)
    mail = _to("noc@provider.example", mails, "【")
    assert mail.subject == "【要電話連絡】有限会社電話のみ web01 https"
    assert "  電話番：+81-584-00-0002\n" in mail.text


def test_an_alert_for_an_unknown_customer_tells_the_noc_that_nobody_was_told(desk: Desk) -> None:
    mails = desk.mails_of({**OUTAGE, **HTTPS, "customer_id": "c9999"}, NOTES, 2)
    mail = _to("noc@provider.example", mails, "【")
    assert mail.subject == "【顧客へ通知できません】web01 https (c9999)"


def test_hostile_names_and_values_stay_words(desk: Desk) -> None:
    labels = {**OUTAGE, "server": "web01\r\nBcc: evil@evil.example", "check": "<b>{{ x }}", "protocol": "https"}
    mails = desk.mails_of({**labels, "customer_id": 'c"}\\4'}, {**NOTES, "reason": "<i>"}, 2)
    mail = _to("ops@hostile.example", mails)
    assert mail.text.startswith(f"{HOSTILE}\n{HOSTILE} 様\n")
    assert mail.message["Bcc"] is None
    assert "<script>" not in mail.html
    assert "<b>" not in mail.html
    assert "&lt;script&gt;" in mail.html
    phone = _to("noc@provider.example", desk.mails_of({**labels, "customer_id": "c0005"}, NOTES, 2), "【")
    assert f"{HOSTILE}: {HOSTILE}\n" in phone.text


def ledger_config(tmp_path: Path, **values: str) -> Config:
    secret = {"token" if not values else "password": SecretSource(tmp_path / "hook")}
    return replace(
        CONFIG,
        settings=Settings(notices="ledger", external_url="https://exporter.provider.example:10623/"),
        alertmanager=AlertmanagerSettings(("http://127.0.0.1:9093",), "hook"),
        credentials={"hook": CredentialEntry("hook", values, secret)},
    )


def test_with_ledger_customers_alerts_and_the_watchdog_go_to_the_webhook_and_the_rest_to_the_noc(
    tmp_path: Path,
) -> None:
    document = yaml.safe_load(alertmanager_config(ledger_config(tmp_path)))
    assert [receiver["name"] for receiver in document["receivers"]] == ["noc", "ledger"]
    [webhook] = document["receivers"][1]["webhook_configs"]
    assert webhook == {
        "url": "https://exporter.provider.example:10623/api/v1/alertmanager",
        "send_resolved": False,
        "http_config": {"authorization": {"type": "Bearer", "credentials_file": str(tmp_path / "hook")}},
    }
    watchdog, noc, customers = document["route"]["routes"]
    assert (watchdog["receiver"], watchdog["repeat_interval"]) == ("ledger", "1m")
    assert noc == {"receiver": "noc", "continue": True}
    assert (customers["receiver"], customers["repeat_interval"]) == ("ledger", "5m")
    # waited for less long than the ledger waits for alerts that belong together, an evaluation (15 s) apart
    waits = [int(customers[name].removesuffix("s")) for name in ("group_wait", "group_interval")]
    assert customers["group_by"] == ["server"]
    assert 15 + sum(waits) <= GATHER // SECOND
    assert "customer.example" not in str(document)


def by_certificate(tmp_path: Path) -> Config:
    cert, key, ca = (tmp_path / f"am.{name}" for name in ("cert", "key", "ca"))
    shown = AlertmanagerSettings(webhook_cert_file=cert, webhook_key_file=key, webhook_ca_file=ca)
    return replace(ledger_config(tmp_path), alertmanager=shown, credentials={})


def test_a_client_certificate_is_enough_for_the_webhook(tmp_path: Path) -> None:
    document = yaml.safe_load(alertmanager_config(by_certificate(tmp_path)))
    [webhook] = document["receivers"][1]["webhook_configs"]
    files = {f"{name}_file": str(tmp_path / f"am.{name}") for name in ("ca", "cert", "key")}
    assert webhook["http_config"] == {"tls_config": files}
    with pytest.raises(AlertmanagerConfigError, match="neither webhook_credential nor webhook_cert_file"):
        alertmanager_config(replace(by_certificate(tmp_path), alertmanager=AlertmanagerSettings()))


def test_with_ledger_amtool_takes_it(peer: Callable[[str], str], tmp_path: Path) -> None:
    for name in ("cert", "key", "ca"):
        (tmp_path / f"am.{name}").touch()
    configs = (ledger_config(tmp_path), ledger_config(tmp_path, username="alertmanager"), by_certificate(tmp_path))
    for config in configs:
        file = tmp_path / "alertmanager.yml"
        file.write_text(alertmanager_config(config), "utf-8")
        subprocess.run([peer("amtool"), "check-config", str(file)], check=True, capture_output=True)


def test_a_webhook_secret_that_alertmanager_cannot_read_is_refused(tmp_path: Path) -> None:
    config = ledger_config(tmp_path)
    entry = CredentialEntry("hook", {}, {"token": SecretSource(env="HOOK")})
    with pytest.raises(AlertmanagerConfigError, match="Alertmanager can read secrets from files only"):
        alertmanager_config(replace(config, credentials={"hook": entry}))
    with pytest.raises(AlertmanagerConfigError, match="it names no credential"):
        alertmanager_config(replace(config, credentials={}))
