"""The whole chain on real peers, from what the exporter sees to what a customer reads, each program killed on the way.

The fixture `story` lets everything happen once, in about a minute; each test is a promise about what came of it.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from html import unescape
from typing import Any

import pytest

from tests.chain.world import DETECTED, GROUP_INTERVAL, LIMIT, QUIET, World, until
from tests.dashboards import boards
from tests.peers.smtp_sink import Mail

JAPAN = timezone(timedelta(hours=9))
NOC = ("noc@provider.example",)
LONG = ("shop01", "web02")
"""The servers whose outage lasts longer than the limit."""
DOWN_SINCE = "dserver_service_down_since_timestamp_seconds"


@dataclass
class Story:
    """What happened, and every mail that came of it."""

    begun: float
    """Unix time at which the long outages were made."""
    down_since: dict[str, float]
    """Of the long outages, as the exporter told it when they began."""
    down_since_later: dict[str, float]
    """The same, from the exporter that was started after the kill."""
    short: float
    """Confirmed seconds of the short outage."""
    once_told: list[Mail]
    """The mails when both customers had been told."""
    mails: list[Mail]

    def to_customers(self, server: str = "") -> list[Mail]:
        """Return the mails to anybody but the NOC, about a server or any."""
        return [mail for mail in self.mails if mail.recipients != NOC and server in mail.subject]

    def to_noc(self) -> set[str]:
        """Return the subjects of the mails to the NOC."""
        return {mail.subject for mail in self.mails if mail.recipients == NOC}

    def since(self, server: str) -> str:
        """Return when a long outage began as the mails have to say it."""
        return f"{datetime.fromtimestamp(int(self.down_since[server]), JAPAN):%Y-%m-%d %H:%M:%S} JST"


@pytest.fixture(scope="session")
def story(world: World) -> Story:
    """Let it happen."""
    exporter, prometheus, alertmanager = world.exporter, world.prometheus, world.alertmanager
    overload = world.web["web02"].folder / "overloaded"

    def down_since() -> dict[str, float]:
        values = {server: exporter.value(DOWN_SINCE, server=server) for server in LONG}
        return {server: value for server, value in values.items() if value is not None}

    def known_to_alertmanager() -> bool:
        alerts = (alert["labels"] for alert in alertmanager.alerts())
        return {labels["server"] for labels in alerts if labels["notify"] == "customer"} == {*LONG, "db01"}

    def scraped(result: int) -> str:
        """Ask for both jobs: whether a scrape that began from now on had this result."""
        up = 'up{job=~"dserver-.+"}'
        return f"count({up} == {result} and timestamp({up}) > {datetime.now(UTC).timestamp()}) == 2"

    def everything_is_well() -> bool:
        return bool(
            prometheus.query("count(dserver_service_up == 1) == 3")
            and prometheus.query("count(dserver_server_lamp_verdict == 0) == 2")
        )

    until(everything_is_well, "three services up and two servers without an abnormal lamp")

    world.web["web03"].kill()
    world.bmc["db01"].set_states("Drive 1", 0, 1)  # present, fault
    world.bmc["db02"].set_raw("CPU Temp", 85)  # above the non-critical limit
    until(partial(world.mails, "[発生]", "ServiceDown", "web03"), "the NOC told of the short outage")
    world.web["web03"].start()
    until(partial(world.mails, "[復旧]", "ServiceDown", "web03"), "the NOC told of its end")
    until(partial(world.mails, "[発生]", "db02"), "the NOC told of the warning")
    until(partial(world.mails, "ハードウェア", "db01"), "the customer told of the critical lamp")
    [short] = prometheus.query('max_over_time(dserver_service_outage_seconds{server="web03"}[5m])')

    begun = datetime.now(UTC).timestamp()
    world.web["shop01"].kill()
    overload.touch()
    until(lambda: len(down_since()) == len(LONG), "both outages begun")
    first = down_since()
    exporter.kill()
    until(partial(prometheus.query, scraped(0)), "Prometheus without the exporter")
    exporter.start()
    until(lambda: len(down_since()) == len(LONG), "both outages known again")
    later = down_since()
    prometheus.kill()
    prometheus.start()
    until(partial(world.remembered, "c0003"), "the lamp's mail in Alertmanager's storage")
    alertmanager.kill()
    alertmanager.start()
    assert not world.mails("shop01", "重要"), "the limit came before the kills were over: make it longer"

    until(partial(world.mails, "重要", "shop01"), "the Japanese customer told")
    until(partial(world.mails, "Important", "web02"), "the English customer told")
    told = list(world.sink.mails)
    until(partial(world.remembered, "c0001", "c0002", "c0003"), "the mails in Alertmanager's storage")
    alertmanager.kill()
    alertmanager.start()
    until(known_to_alertmanager, "the alerts repeated to the new Alertmanager")
    prometheus.kill()
    prometheus.start()
    until(partial(prometheus.query, scraped(1)), "Prometheus scrapes again")
    exporter.kill()
    away = f'count(max_over_time(up{{job=~"dserver-.+"}}[{2 * GROUP_INTERVAL}s]) == 0) == 2'
    # long enough that an alert which ended with its metrics would be evaluated, mailed as resolved, and come again
    until(partial(prometheus.query, away), "the exporter away")
    exporter.start()
    until(partial(prometheus.query, scraped(1)), "the exporter scraped again")
    world.listen(QUIET)

    world.web["shop01"].start()
    overload.unlink()
    world.bmc["db01"].set_states("Drive 1", 0)
    world.bmc["db02"].set_raw("CPU Temp", 42)
    for server in (*LONG, "db01", "db02"):
        until(partial(world.mails, "[復旧]", server), f"the NOC told that {server} is well")
    for server in (*LONG, "db01"):
        until(
            partial(world.mails, "[復旧][顧客宛]", server), f"the NOC told that the customer's alert of {server} ended"
        )
    world.listen(2 * GROUP_INTERVAL)
    return Story(begun, first, later, float(short["value"][1]), told, list(world.sink.mails))


JAPANESE = """\
株式会社サンプル 御中

平素より格別のお引き立てを賜り、誠にありがとうございます。
株式会社プロバイダでございます。

ご利用いただいております専有サーバにおきまして、下記のとおりサービスの障害を検知いたしました。
ご迷惑をおかけしておりますことを、深くお詫び申し上げます。

  障害検知日時（日本時間）：{since}
  対象サーバ：shop01
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

ENGLISH = """\
Example Trading
Dear Operations,

We have detected an outage of a service on your dedicated server, and apologise for the inconvenience.

  Down since (Japan time): {since}
  Server: web02
  Affected service: http
  What we see: the service answers that it is not available now
"""


@pytest.mark.parametrize(
    ("server", "customer", "subject"),
    [
        ("shop01", "desk@sample.example", "【重要】サービス障害のお知らせ（shop01 https）"),
        ("web02", "ops@trading.example", "[Important] Service outage (web02 http)"),
    ],
    ids=LONG,
)
def test_an_outage_longer_than_the_limit_gives_one_mail_to_the_right_customer(
    story: Story, server: str, customer: str, subject: str
) -> None:
    [mail] = story.to_customers(server)
    assert mail.recipients == (customer,)
    assert mail.message["To"] == customer
    assert mail.subject == subject


def test_the_mail_says_in_good_japanese_what_is_down_since_when_and_why(story: Story) -> None:
    [mail] = story.to_customers("shop01")
    assert mail.text == JAPANESE.format(since=story.since("shop01"))


def test_the_html_says_word_for_word_what_the_text_says(story: Story) -> None:
    for mail in story.to_customers():
        words = unescape(re.sub(r"<[^>]*>|[\s：:]", "", mail.html))
        assert words == re.sub(r"[\s：:]", "", mail.text)


def test_a_customer_who_reads_english_is_told_in_english(story: Story) -> None:
    [mail] = story.to_customers("web02")
    assert mail.text.startswith(ENGLISH.format(since=story.since("web02")))


@pytest.mark.parametrize("server", LONG)
def test_down_since_is_when_the_outage_was_first_seen_and_survives_kill_9_of_the_exporter(
    story: Story, server: str
) -> None:
    # an attempt may have been under way when its server was stopped
    assert story.begun - 1 < story.down_since[server] < story.begun + 60
    assert story.down_since_later[server] == story.down_since[server]


@pytest.mark.parametrize("server", LONG)
def test_the_customer_is_not_told_before_the_limit(story: Story, server: str) -> None:
    [mail] = story.to_customers(server)
    sent = mail.message["Date"].datetime.timestamp()  # in whole seconds
    assert sent + 1 > story.down_since[server] + LIMIT


def test_a_shorter_outage_is_told_to_the_noc_and_to_no_customer(story: Story) -> None:
    assert DETECTED <= story.short < LIMIT
    assert "[発生] critical ServiceDown web03 http (c0003)" in story.to_noc()
    assert story.to_customers("web03") == []


def test_kill_9_of_any_program_after_the_mail_gives_no_second_one(story: Story) -> None:
    customers = [mail for mail in story.once_told if mail.recipients != NOC]
    assert story.to_customers() == customers


def test_a_critical_lamp_is_told_to_the_customer_and_to_the_noc(story: Story) -> None:
    [mail] = story.to_customers("db01")
    assert mail.recipients == ("ops@mihon.example",)
    assert mail.subject == "【重要】ハードウェア異常のお知らせ（db01 ドライブ）"
    assert mail.text.startswith("有限会社見本商店\n運用担当 様\n")
    assert "  対象サーバ：db01\n  異常箇所：ドライブ\n  部品：Drive 1\n" in mail.text
    assert "[発生][顧客宛] critical ServerLampAbnormal db01 drive (c0003)" in story.to_noc()


def test_a_warning_lamp_is_told_to_the_noc_alone(story: Story) -> None:
    assert "[発生] warning ServerLampAbnormal db02 temperature (c0001)" in story.to_noc()
    assert story.to_customers("db02") == []


def test_the_noc_hears_of_everything_and_of_its_end_and_of_nothing_else(story: Story) -> None:
    alerts = {
        "critical ServiceDown web03 http (c0003)",
        "warning ServerLampAbnormal db02 temperature (c0001)",
        "critical ServerLampAbnormal db01 drive (c0003)",
        "critical ServiceDown shop01 https (c0001)",
        "critical ServiceDown web02 http (c0002)",
    }
    to_customers = {
        "critical ServerLampAbnormal db01 drive (c0003)",
        "critical ServiceOutage shop01 https (c0001)",
        "critical ServiceOutage web02 http (c0002)",
    }
    subjects = {f" {alert}" for alert in alerts} | {f"[顧客宛] {alert}" for alert in to_customers}
    assert story.to_noc() == {f"{state}{subject}" for state in ("[発生]", "[復旧]") for subject in subjects}


def test_customers_are_told_of_beginnings_only_and_of_nothing_else(story: Story) -> None:
    assert len(story.to_customers()) == 3
    ended = [mail.recipients for mail in story.mails if mail.subject.startswith("[復旧]")]
    assert set(ended) == {NOC}


@pytest.mark.parametrize("board", boards.NAMES)
@pytest.mark.usefixtures("story")
def test_every_query_of_the_dashboards_is_answered(world: World, board: str) -> None:
    for target in boards.targets(board):
        world.prometheus.query(target.expr)


def test_the_wall_showed_outages_and_lamps_and_shows_none_now(story: Story, world: World) -> None:
    def asked(title: str) -> str:
        return next(target.expr for target in boards.targets("noc") if (target.title, target.ref) == (title, "A"))

    def servers(series: list[dict[str, Any]]) -> set[str]:
        return {each["metric"]["server"] for each in series}

    outages, lamps = asked("Open outages, worst first"), asked("Lamps that are not normal")
    assert servers(world.prometheus.query_range(outages, story.begun, story.begun + 90, 1)) == set(LONG)
    assert servers(world.prometheus.query_range(lamps, story.begun, story.begun + 90, 1)) >= {"db01", "db02"}
    assert servers(world.prometheus.query(outages)) == servers(world.prometheus.query(lamps)) == set()
