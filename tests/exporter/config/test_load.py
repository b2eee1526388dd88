"""What a good configuration becomes."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collectors.registry import CHECKS, SOURCES
from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.config import ConfigError, Problem, load, schema
from exporter.config.durations import parse, text
from exporter.config.parts import SECTIONS
from exporter.inventory import Check, Config, Contact, Customer, SecretSource, Settings, Timing

RULES = Path(__file__).parent / "rules"
CUSTOMER = "customers: [{id: c0001, name: A, managed: true, contacts: [{name: a, email: a@customer.example}]}]\n"
Load = Callable[..., tuple[Config, tuple[Problem, ...]]]
WEB01 = """
servers:
  - name: web01
    customer: c0001
    address: 192.0.2.10
    hostname: web01.example.jp
"""


def loaded_or_refused_with_sentences(file: Path) -> bool:
    try:
        load(file, rules=RULES)
    except ConfigError as failure:
        return any(problem.severity == "error" and problem.message for problem in failure.problems)
    return True


def test_every_global_value_is_the_default(config_of: Load) -> None:
    said, _ = config_of(
        WEB01
        + """
global:
  timezone: Asia/Tokyo
  interval: 10m
  recheck_interval: 1m
  outage_notice_after: 10m
  timeout: 10s
  lamp_interval: 1d
  lamp_recheck_interval: 10m
  calendar: {hours: ["10:00-12:00", "13:00-17:00"], closed: ["12-29/01-03"], open: []}
  vantage: []
  external_url: ""
  notices: ledger
noc: {contacts: [{name: NOC, email: noc@provider.example}]}
mail: {smarthost: "mail.provider.example:587", from: noc@provider.example}
alertmanager: {webhook_credential: hook}
credentials: {hook: {token_env: PATH}}
"""
    )
    unsaid, _ = config_of(WEB01)
    assert said.settings == unsaid.settings == Settings()


def test_a_server_takes_managed_from_its_customer_unless_it_says_otherwise(config_of: Load) -> None:
    config, _ = config_of(
        """
customers:
  - {id: a, name: A, managed: true, contacts: [{name: a, email: a@customer.example}]}
  - {id: b, name: B, contacts: [{name: b, email: b@customer.example}]}
servers:
  - {name: s1, customer: a, address: 192.0.2.1}
  - {name: s2, customer: a, address: 192.0.2.2, managed: no}
  - {name: s3, customer: b, address: 192.0.2.3}
  - {name: s4, customer: b, address: 192.0.2.4, managed: yes}
"""
    )
    assert [server.managed for server in config.servers.values()] == [True, False, False, True]


@pytest.mark.parametrize(("written", "expected"), [("on", True), ("off", False), ("true", True), ('"off"', False)])
def test_power_is_on_or_off_however_yaml_sees_it(written: str, expected: bool, config_of: Load) -> None:
    config, _ = config_of(f"{WEB01}    power: {written}\n")
    assert config.servers["web01"].power_expected is expected


def test_numbers_are_taken_for_names_where_a_name_is_wanted(config_of: Load) -> None:
    config, _ = config_of(f"{WEB01}    rack: 12\n    os: 7.10\n")
    assert (config.servers["web01"].rack, config.servers["web01"].os) == ("12", "7.10")


def test_a_key_with_nothing_after_it_counts_as_not_given(config_of: Load) -> None:
    config, problems = config_of(f"{WEB01}    lamps:\n    services:\n    rack:\nmaintenance:\ninclude:\n")
    assert problems == ()
    assert config.servers["web01"].checks == ()


def test_a_check_has_the_name_of_its_protocol_and_the_address_of_its_server(config_of: Load) -> None:
    config, _ = config_of(f"{WEB01}    services: [ssh]\n")
    (check,) = config.servers["web01"].checks
    assert check.key == ("web01", "ssh")
    assert (check.protocol, check.address, check.hostname) == ("ssh", "192.0.2.10", "web01.example.jp")
    assert (check.timing, check.credential, check.address_family) == (Timing(), "", "any")


def test_a_check_may_have_its_own_name_address_timing_and_options(config_of: Load) -> None:
    config, _ = config_of(
        f"""{WEB01}    services:
      - protocol: imap
        name: imap-main
        address: 192.0.2.11
        source_address: 192.0.2.5
        hostname: mail.example.jp
        interval: 5m
        recheck_interval: 30s
        timeout: 500ms
        credential: mail
        port: 1143
credentials:
  mail: {{username: probe@example.jp, password_file: mail}}
""",
        mail="x\n",
    )
    (check,) = config.servers["web01"].checks
    assert (check.name, check.address, check.hostname) == ("imap-main", "192.0.2.11", "mail.example.jp")
    assert check.source_address == "192.0.2.5"
    assert check.timing == Timing(5 * MINUTE, 30 * SECOND, 10 * MINUTE, 500)
    assert check.credential == "mail"
    assert check.options.model_dump()["port"] == 1143


def test_both_address_families_are_two_checks(config_of: Load) -> None:
    config, _ = config_of(
        WEB01.replace("192.0.2.10", "web01.example.jp")
        + "    login_check: ssh-ipv6\n    services: [{protocol: ssh, address_family: both}]\n"
    )
    checks = config.servers["web01"].checks
    assert [(check.name, check.address_family) for check in checks] == [("ssh-ipv4", "ipv4"), ("ssh-ipv6", "ipv6")]


def test_equal_entries_share_their_options_timing_and_texts(config_of: Load) -> None:
    entries = "[ssh, {protocol: http, name: web, port: 8080, timeout: 5s}]"
    config, _ = config_of(
        "servers:\n"
        + "".join(f"  - {{name: s{i}, customer: c0001, address: 192.0.2.{i}, services: {entries}}}\n" for i in (1, 2))
        + "  - {name: s3, customer: c0001, address: 192.0.2.3, services: [{protocol: ssh, name: other}]}\n"
    )
    one, two, three = (server.checks for server in config.servers.values())

    def shared(a: Check, b: Check) -> list[bool]:
        return [getattr(a, key) is getattr(b, key) for key in ("options", "timing", "name", "protocol")]

    assert shared(one[0], two[0]) == [True] * 4
    assert shared(one[1], two[1]) == [True] * 4
    assert three[0].options is one[0].options
    assert one[1].timing is not one[0].timing


def test_a_hundred_equal_entries_are_validated_once(config_of: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    validated = []
    validate = schema.ServiceSection.model_validate

    def count(raw: object, **said: Any) -> schema.ServiceSection:
        validated.append(raw)
        return validate(raw, **said)

    monkeypatch.setattr(schema.ServiceSection, "model_validate", count)
    entry = "{name: s%d, customer: c0001, address: 192.0.2.1, services: [ssh, {protocol: ssh, name: b}]}"
    config_of("servers: [" + ", ".join(entry % number for number in range(100)) + "]\n")
    assert validated == [{"protocol": "ssh"}, {"protocol": "ssh", "name": "b"}]


def test_two_sources_of_a_kind_are_numbered(config_of: Load) -> None:
    config, _ = config_of(
        f"""{WEB01}    lamps:
      - {{source: ipmi, address: 192.0.2.110, credential: bmc}}
      - {{source: ipmi, address: 192.0.2.111, credential: bmc}}
credentials:
  bmc: {{username: monitor, password_file: bmc}}
""",
        bmc="x\n",
    )
    sources = config.servers["web01"].lamps
    assert [source.key for source in sources] == [("web01", "ipmi"), ("web01", "ipmi-2")]
    assert [source.kind for source in sources] == ["ipmi", "ipmi"]
    assert [source.options.model_dump()["address"] for source in sources] == ["192.0.2.110", "192.0.2.111"]


def test_no_option_hides_behind_a_key_that_all_entries_have() -> None:
    for protocol in CHECKS.values():
        assert not schema.ServiceSection.written().keys() & protocol.options.model_fields.keys(), protocol.name
    for source in SOURCES.values():
        assert not schema.LampSection.written().keys() & source.options.model_fields.keys(), source.name


def test_credentials_keep_plain_values_and_places_of_secrets_apart(config_of: Load, tmp_path: Path) -> None:
    config, _ = config_of(
        f"""{WEB01}
credentials:
  v3: {{username: monitor, auth_protocol: SHA-256, auth_password_file: auth}}
  hook: {{token_env: PATH}}
""",
        auth="x\n",
    )
    v3, hook = config.credentials.values()
    assert v3.values == {"username": "monitor", "auth_protocol": "SHA-256"}
    assert v3.secrets == {"auth_password": SecretSource(file=tmp_path / "auth")}
    assert hook.secrets == {"token": SecretSource(env="PATH")}


def test_customers_keep_their_contacts_and_language(config_of: Load) -> None:
    config, _ = config_of(WEB01)
    assert config.customers == {
        "c0001": Customer("c0001", "株式会社サンプル", "ja", True, (Contact("運用担当", "ops@customer.example"),))
    }


def test_maintenance_is_in_the_global_time_zone_unless_it_says_its_own(config_of: Load) -> None:
    config, _ = config_of(
        f"""{WEB01}    site: ogaki
maintenance:
  - {{server: web01, from: 2026-12-10T10:00, to: 2026-12-10T03:00+00:00, reason: メモリ増設}}
  - {{customer: c0001, from: 2026-12-10, to: 2026-12-11 12:30:15}}
  - {{site: ogaki, from: 2026-12-10T10:00:00+09:00, to: "2026-12-10T12:00Z"}}
"""
    )
    first, second, third = config.maintenance

    def at(*moment: int) -> float:
        return datetime(*moment, tzinfo=UTC).timestamp() * 1000  # type: ignore[misc, arg-type]  # year, month, day ...

    assert (first.server, first.start, first.end) == ("web01", at(2026, 12, 10, 1), at(2026, 12, 10, 3))
    assert (second.customer, second.start, second.end) == ("c0001", at(2026, 12, 9, 15), at(2026, 12, 11, 3, 30, 15))
    assert (third.site, third.start, third.end) == ("ogaki", at(2026, 12, 10, 1), at(2026, 12, 10, 12))
    assert config.servers["web01"].within({first.scope})


def test_the_main_file_has_its_further_sections(config_of: Load, tmp_path: Path) -> None:
    config, _ = config_of(
        f"""{WEB01}
global: {{vantage: [{{tcp: "198.51.100.1:53"}}, {{tcp: "[2001:db8::1]:53"}}], external_url: "https://monitor.example"}}
noc: {{language: en, contacts: [{{name: NOC, email: noc@provider.example, phone: 0120-000-000}}]}}
provider: {{name: 株式会社プロバイダ, phone: 0120-000-000, email: support@provider.example}}
mail: {{smarthost: "mail.provider.example:587", from: noc@provider.example, tls: implicit}}
alertmanager: {{urls: ["http://127.0.0.1:9093"], webhook_cert_file: am.pem, webhook_key_file: keys/am.key}}
traps: {{listen: "0.0.0.0:162"}}
"""
    )
    assert [(address.host, address.port) for address in config.settings.vantage] == [
        ("198.51.100.1", 53),
        ("2001:db8::1", 53),
    ]
    assert config.noc.contacts == (Contact("NOC", "noc@provider.example", "0120-000-000"),)
    assert config.provider.name == "株式会社プロバイダ"
    assert config.mail is not None
    assert (config.mail.host, config.mail.port, config.mail.tls) == ("mail.provider.example", 587, "implicit")
    assert config.alertmanager.urls == ("http://127.0.0.1:9093",)
    names = [config.alertmanager.webhook_cert_file, config.alertmanager.webhook_key_file]
    assert [file and file.parts[-2:] for file in names] == [(tmp_path.name, "am.pem"), ("keys", "am.key")]
    assert config.tells_customers
    assert config.traps_listen == "0.0.0.0:162"


def test_included_files_add_their_sections_and_start_their_own_paths(tmp_path: Path) -> None:
    folder = tmp_path / "servers"
    folder.mkdir()
    (folder / "a.yml").write_text(
        "customers: [{id: a, name: A, contacts: [{name: a, email: a@customer.example}]}]\n"
        "credentials: {bmc: {username: m, password_file: secret}}\n"
        "servers: [{name: a1, customer: a, address: 192.0.2.1}]\n"
    )
    (folder / "b.yml").write_text(
        "servers: [{name: b1, customer: a, address: 192.0.2.2}]\n"
        "maintenance: [{server: main1, from: 2026-12-10, to: 2026-12-11}]\n"
    )
    (folder / ".b.yml.swp.yml").write_text("an editor's leftovers: [")
    (folder / "secret").write_text("x\n")
    (folder / "secret").chmod(0o600)
    main = tmp_path / "dserver.yml"
    main.write_text(
        "include: [servers/*.yml, servers/a.yml, '*.yml']\nservers: [{name: main1, customer: a, address: 192.0.2.3}]\n"
    )
    config, problems = load(main, rules=RULES)
    assert problems == ()
    assert list(config.servers) == ["main1", "a1", "b1"]
    assert config.credentials["bmc"].secrets["password"].file == folder / "secret"
    assert config.maintenance[0].server == "main1"


def test_an_absolute_pattern_is_included(tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("servers: [{name: s, customer: c0001, address: 192.0.2.1}]\n")
    main = tmp_path / "dserver.yml"
    main.write_text(f"include: ['{tmp_path}/mor*.yml']\n{CUSTOMER}")
    assert list(load(main, rules=RULES)[0].servers) == ["s"]


def test_a_missing_configuration_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"dserver\.yml: does not exist; name another file with --config\.file"):
        load(tmp_path / "dserver.yml")


def test_a_configuration_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is not a file"):
        load(tmp_path)


def test_a_readable_secret_file_is_a_warning(config_of: Load, tmp_path: Path) -> None:
    (tmp_path / "open").write_text("x\n")
    (tmp_path / "open").chmod(0o644)
    _, problems = config_of(f"{WEB01}\ncredentials: {{bmc: {{username: m, password_file: open}}}}\n")
    assert [problem.severity for problem in problems] == ["warning"]
    assert problems[0].message.endswith("chmod o-r")


def test_secrets_that_are_set_in_the_environment_are_no_warning(
    config_of: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DSERVER_TEST_PASSWORD", "x")
    _, problems = config_of(f"{WEB01}\ncredentials: {{bmc: {{username: m, password_env: DSERVER_TEST_PASSWORD}}}}\n")
    assert problems == ()


def test_rules_beside_the_configuration_are_compared(tmp_path: Path) -> None:
    rules = tmp_path / "alert_rules"
    rules.mkdir()
    expression = "(last_over_time(dserver_service_outage_seconds[5m]) >= 300) * on (server) dserver_server_info"
    groups = [{"name": "services", "rules": [{"alert": "ServiceOutage", "expr": expression}]}]
    (rules / "services.yml").write_text(yaml.safe_dump({"groups": groups}))
    (rules / "other.yaml").write_text("- not rules at all\n")
    main = tmp_path / "dserver.yml"
    main.write_text(CUSTOMER + WEB01)
    _, (problem,) = load(main)
    assert "fires after 300 s" in problem.message
    assert load(main, rules=RULES)[1] == ()


def test_rules_that_are_not_there_or_cannot_be_read_are_a_warning(tmp_path: Path) -> None:
    main = tmp_path / "dserver.yml"
    main.write_text(CUSTOMER + WEB01)
    _, (problem,) = load(main, rules=tmp_path / "absent")
    assert "does not exist" in problem.message
    (tmp_path / "broken.yml").write_text("groups: [")
    main.rename(tmp_path / "dserver.conf")
    _, (problem,) = load(tmp_path / "dserver.conf", rules=tmp_path)
    assert "could not be compared" in problem.message


def test_what_an_unread_file_may_hold_is_not_missed(tmp_path: Path) -> None:
    (tmp_path / "customers.yml").write_text("customers: [{id: c0001")
    main = tmp_path / "dserver.yml"
    main.write_text("include: [customers.yml]\nservers: [{name: a, customer: c0001, address: 192.0.2.1}]\n")
    with pytest.raises(ConfigError) as failure:
        load(main, rules=RULES)
    assert [Path(problem.file).name for problem in failure.value.problems] == ["customers.yml"]


def test_a_mistake_in_a_shared_entry_is_told_for_each_server(config_of: Load) -> None:
    servers = "".join(
        f"  - {{name: s{i}, customer: c0001, address: 192.0.2.{i}, services: [{{protocol: ssh, port: 0}}]}}\n"
        for i in (1, 2, 3)
    )
    with pytest.raises(ConfigError) as failure:
        config_of(f"servers:\n{servers}")
    assert [problem.path for problem in failure.value.problems] == [f"servers[{i}].services[0].port" for i in range(3)]
    assert len({problem.line for problem in failure.value.problems}) == 3


def test_ten_thousand_mistakes_are_told_by_the_first_thousand(config_of: Load) -> None:
    with pytest.raises(ConfigError) as failure:
        config_of("servers: [" + "x, " * 10_000 + "]\n")
    assert len(failure.value.problems) == 1_001
    assert failure.value.problems[-1].message == "9000 more are not listed"


@pytest.mark.parametrize(
    ("written", "milliseconds"),
    [
        ("500ms", 500),
        ("30s", 30 * SECOND),
        ("10m", 10 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("1d", DAY),
        ("36h", 36 * HOUR),
    ],
)
def test_a_duration_is_its_milliseconds(written: str, milliseconds: int) -> None:
    assert parse(written) == milliseconds


@given(st.integers(1, 366 * DAY))
def test_a_written_duration_is_read_back(milliseconds: int) -> None:
    assert parse(text(milliseconds)) == milliseconds


@pytest.mark.parametrize(
    "written", ["", "m", "10 m", "1.5h", "30m1h", "10m10m", "-5m", "１０m", "1e3s", None, True, 1.5]
)
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"duration|needs a unit"):
        parse(written)


MODELS = [model for model in vars(schema).values() if isinstance(model, type) and issubclass(model, schema.Section)]
KEYS = st.sampled_from(sorted({key for model in MODELS for key in model.written()} | {"password", "port", "source"}))
WORDS = st.sampled_from(
    [
        "ssh",
        "https",
        "ipmi",
        "redfish",
        "c0001",
        "web01",
        "192.0.2.1",
        "::1",
        "10m",
        "10",
        "on",
        "a b",
        "",
        "both",
        "\0",
    ]
)
ANY = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
SECTION = st.sampled_from(sorted(SECTIONS))
ENTRIES = st.lists(st.dictionaries(KEYS, ANY, max_size=6), max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.dictionaries(SECTION, ANY | ENTRIES | st.dictionaries(KEYS, ANY, max_size=4), max_size=5))
def test_whatever_is_in_the_file_is_loaded_or_refused_with_sentences(tmp_path: Path, raw: dict[str, Any]) -> None:
    file = tmp_path / "dserver.yml"
    file.write_bytes(yaml.safe_dump(raw, allow_unicode=True).encode("utf-8", "surrogatepass"))
    assert loaded_or_refused_with_sentences(file)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
@given(st.binary(max_size=60))
def test_any_bytes_are_loaded_or_refused_with_sentences(tmp_path: Path, raw: bytes) -> None:
    file = tmp_path / "dserver.yml"
    file.write_bytes(raw)
    assert loaded_or_refused_with_sentences(file)


def test_a_configuration_that_uses_every_section_and_source_is_loaded() -> None:
    config, problems = load(Path(__file__).parent / "everything.yml", rules=RULES)
    (server,) = config.servers.values()
    assert [check.name for check in server.checks] == ["ssh", "https", "imap-main"]
    assert [lamp.source for lamp in server.lamps] == ["ipmi", "snmp", "redfish"]
    assert {problem.severity for problem in problems} == {"warning"}


def test_templates_that_would_fail_are_errors_of_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "mails" / "ja").mkdir(parents=True)
    (tmp_path / "mails" / "ja" / "notice.txt").write_text("件名\n\n{{ case.servr }}\n", "utf-8")
    file = tmp_path / "dserver.yml"
    for folder, sentence in (("mails", "has no attribute 'servr'"), ("none", "mail.templates: is not a folder")):
        file.write_text(
            f'mail: {{smarthost: "mail.provider.example:587", from: noc@provider.example, templates: {folder}}}\n',
            "utf-8",
        )
        with pytest.raises(ConfigError, match=sentence):
            load(file)
