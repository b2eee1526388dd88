"""The outage report as the customer reads it: as text, in the HTML part of a mail, and on paper."""

import re
from dataclasses import replace
from email import message_from_bytes, policy
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from exporter.clock import MINUTE
from exporter.contract.incidents import AbnormalLamp, Note, Observation, Told
from exporter.contract.report import INTERIM, REPORT, Disruption, Fault, Report
from exporter.contract.reporting import Postponement
from exporter.inventory import Contact, Customer, Language, Mail, Provider
from exporter.mail.facts import Case
from exporter.mail.message import Occasion, compose
from exporter.mail.samples import CASE, FILED
from exporter.mail.templates import LANGUAGES, LONGEST_SUBJECT, Letter, Templates

TOKYO = ZoneInfo("Asia/Tokyo")
TEMPLATES = Templates(TOKYO)
HOSTILE = (
    "</style></td><script>alert(1)</script><img src=//evil.example/x>\r\nBcc: all@world.example\n\n■原因\n当社の不手際"
    "\u202e{{ 7*7 }}{% raw %}\x00\x1b[31m\ud800"
)
LONG = "あ" * 5_000

TEXT = """\
株式会社サンプル
運用担当 様

平素より格別のお引き立てを賜り、誠にありがとうございます。
株式会社プロバイダでございます。

ご利用いただいております専有サーバにおきまして発生いたしました障害につきまして、下記のとおりご報告申し上げます。
ご迷惑をおかけいたしましたことを、重ねて深くお詫び申し上げます。

■対象サーバ
　web01

■発生日時および復旧日時
　最終正常確認：2025年11月25日（火）17:50:00
　障害検知　　：2025年11月25日（火）18:00:00
　復旧確認　　：2025年11月25日（火）18:30:00
　障害時間　　：30分（障害検知から復旧確認まで）

■影響範囲
　次のサービスをご利用いただけない状態でした。
　・https
　　停止：2025年11月25日（火）18:00:00から2025年11月25日（火）18:30:00まで
　　停止時間：30分

■事象
　・https：サーバが接続を受け付けていません（接続拒否）
　　（2025年11月25日（火）18:00:00の確認による。記録：refused）
　・ドライブ（Drive 1）のランプが異常を示しておりました。
　　（2025年11月25日（火）18:31:00の確認による。記録：0x6f 0x02）

■原因
　ドライブの故障

■対応内容
　・2025年11月25日（火）18:20:00　Webサーバを再起動
　・2025年11月25日（火）18:30:00　サービスが正常に応答することを監視により確認

■再発防止策
　ドライブを交換

■サーバのランプの状態
　2025年11月25日（火）19:10:00 に正常であることを確認いたしました。

■ご連絡の記録
　・2025年11月25日（火）18:10:20　運用担当 様（メール：障害のお知らせ）
　・2025年11月25日（火）18:10:20　desk@customer.example 様（メール：障害のお知らせ）
　・2025年11月25日（火）18:11:00　運用担当 様（お電話）

■備考
　・お客様が導入されたプログラムの動作は、弊社では確認しておりません。お手数ですが、お客様にてご確認くださいますようお願い申し上げます。
　・日時は日本時間で、弊社の監視によるものです。障害は、最終正常確認から障害検知までの間に発生したものと考えられます。

以上

管理番号：web01-20251125-180000

【お問い合わせ先】
株式会社プロバイダ
電話：0120-000-000
メール：support@provider.example
"""


def rendered(report: Report, language: Language = "ja", name: str = REPORT, case: Case = CASE) -> Letter:
    return TEMPLATES.render(language, name, case=case, report=report)


def full_of(value: str) -> tuple[Case, Report]:
    """Return a report in which whatever is a text is ``value``."""
    at = FILED.detected
    case = Case(
        CASE.incident, value, Customer(value, value), Contact(value, "ops@customer.example"), Provider(value, value)
    )
    service = Disruption(value, value, at, at + 1, 3, 1, (Observation(at, value, value, value),) * 3)
    report = replace(
        FILED,
        server=value,
        last_good=0,
        disruptions=(service,) * 9,
        faults=(Fault(value, AbnormalLamp(at, value, value, value)),) * 9,
        told=(Told(at, value, value),) * 9,
        notes=(Note(at, value, value),) * 9,
        cause=value,
        measures=value,
        postponed=(Postponement(at, at, value, value),),
        approved=0,
    )
    return case, report


class Page(HTMLParser):
    """The elements of a page, those that were left open, and everything that points elsewhere."""

    VOID = ("meta", "br", "img", "link", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: set[str] = set()
        self.open: list[str] = []
        self.links: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "style", "onload"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_says_in_business_japanese_all_that_the_customer_has_to_know() -> None:
    letter = rendered(FILED)
    assert letter.subject == "障害報告書（web01 2025年11月25日発生）"
    assert letter.text == TEXT


def test_text_and_page_say_the_same() -> None:
    for language in LANGUAGES:
        letter = rendered(FILED, language)
        page = " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", letter.html, flags=re.DOTALL).split())
        for said in ("web01", "18:30:00", "Drive 1", "0x6f 0x02", "ドライブの故障", "ドライブを交換", "19:10:00"):
            assert said in letter.text
            assert said in page


def test_what_a_template_puts_around_a_value_keeps_its_spaces() -> None:
    [service] = FILED.disruptions
    letter = rendered(replace(FILED, cause="", disruptions=(replace(service, check="mail", times=2),)), "en")
    assert "  - mail (https)\n    down from 2025-11-25 18:00:00 JST to 2025-11-25 18:30:00 JST\n" in letter.text
    assert "    for 30 min in all, 2 times\n" in letter.text
    assert "Cause\n  (not written yet)\n" in letter.text
    recovery = TEMPLATES.render("en", "recovery", case=CASE)
    assert "  - https: from 2025-11-25 18:00:00 JST to 2025-11-25 18:30:00 JST\n" in recovery.text


def test_an_english_report_names_what_was_not_tested() -> None:
    letter = rendered(FILED, "en")
    assert letter.subject == "Outage report (web01, 2025-11-25)"
    assert "Recovery confirmed:  2025-11-25 18:30:00 JST" in letter.text
    assert "Programs that you have installed were not tested by us." in letter.text


def test_a_draft_cannot_be_taken_for_a_report() -> None:
    marks: dict[Language, str] = {"ja": "未承認", "en": "not approved"}
    for language, mark in marks.items():
        letter = rendered(replace(FILED, approved=0), language)
        assert mark in letter.subject
        assert mark in letter.html
        assert mark not in rendered(FILED, language).html


def test_times_are_named_for_the_zone_that_they_are_in() -> None:
    letter = Templates(ZoneInfo("UTC")).render("ja", REPORT, case=CASE, report=FILED)
    assert "　復旧確認　　：2025年11月25日（火）09:30:00\n" in letter.text
    assert "　・日時はUTCの時刻で、弊社の監視によるものです。" in letter.text


def test_lamps_that_nobody_has_seen_yet_are_said_to_be_awaited() -> None:
    letter = rendered(replace(FILED, lamps_normal=0))
    assert "■サーバのランプの状態\n　現在、確認を進めております。\n" in letter.text


def test_a_fault_without_an_outage_is_no_outage_of_a_service() -> None:
    letter = rendered(replace(FILED, disruptions=(), last_good=0))
    assert "　サービスの停止は検知しておりません。\n" in letter.text
    assert "最終正常確認" not in letter.text
    assert "ハードウェア障害" in letter.html


def test_several_outages_of_a_service_are_counted_and_added_up() -> None:
    [service] = FILED.disruptions
    letter = rendered(replace(FILED, disruptions=(replace(service, times=3, down=12 * MINUTE),)))
    assert "　　停止時間：12分（延べ3回）\n" in letter.text


def test_a_cause_keeps_its_lines() -> None:
    letter = rendered(replace(FILED, cause="一つ目\n二つ目 <b>"))
    assert "■原因\n　一つ目\n　二つ目 <b>\n" in letter.text
    assert '<p class="written">一つ目\n二つ目 &lt;b&gt;</p>' in letter.html


def test_an_interim_report_says_why_and_when_the_report_comes() -> None:
    letter = rendered(FILED, name=INTERIM)
    assert letter.subject == "【中間報告】障害報告書のご提出について（web01 2025年11月25日発生）"
    assert "■状況\n　部品の解析に時間を要しております\n" in letter.text
    assert "■報告書のご提出予定\n　2025年11月28日\n" in letter.text


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_prints_on_a4_and_fetches_nothing(language: Language) -> None:
    html = rendered(FILED, language).html
    page = Page(html)
    assert "@page { size: A4;" in html
    assert "counter(page)" in html
    assert page.open == []
    assert page.links == []
    assert not page.elements & {"img", "link", "script", "iframe", "object"}
    assert "url(" not in html
    assert "@import" not in html


@pytest.mark.parametrize("name", [REPORT, INTERIM])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", ["", LONG, HOSTILE], ids=["empty", "long", "hostile"])
def test_no_value_breaks_a_report_or_speaks_for_us(name: str, language: Language, value: str) -> None:
    case, report = full_of(value)
    letter = rendered(report, language, name, case)
    occasion = Occasion(CASE.incident, name, FILED.due)
    sender = Mail("mail.provider.example", 587, "noc@provider.example")
    wire = compose(
        letter, occasion, case.contact, mail=sender, provider=case.provider, language=language, zone=TOKYO
    ).as_bytes()
    message = message_from_bytes(wire, policy=policy.default)
    assert message["Bcc"] is None
    assert 0 < len(str(message["Subject"])) <= LONGEST_SUBJECT
    lines = letter.text.splitlines()
    assert lines.count("■原因") == (1 if (language, name) == ("ja", REPORT) else 0)
    assert not [line for line in lines if line.startswith("Bcc")]
    assert not set("\u202e\x00\x1b\ud800") & set(letter.text + letter.html)
    assert "{{ 7*7 }}" in letter.text or value != HOSTILE
    page = Page(letter.html)
    assert page.open == []
    assert not page.elements & {"script", "img"}
