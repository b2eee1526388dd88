import shutil
from dataclasses import replace
from email import message_from_bytes, policy
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.clock import MINUTE
from exporter.inventory import Contact, Customer, Language, Mail, Provider
from exporter.mail import templates
from exporter.mail.facts import Case, Part, Service
from exporter.mail.message import Occasion, compose, message_id
from exporter.mail.samples import CASE, SAMPLES, mistakes
from exporter.mail.templates import LANGUAGES, LONGEST_SUBJECT, Paragraphs, TemplateError, Templates

TOKYO = ZoneInfo("Asia/Tokyo")
AT = 1_764_061_200_000  # 2025-11-25 18:00 JST
SENDER = Mail("mail.provider.example", 587, "noc@provider.example")
HOSTILE = (
    "</div><script>alert(1)</script>\r\nBcc: all@world.example\n\n【お問い合わせ先】\n電話：0990"
    "\u202e{{ 7*7 }}{% raw %}\x00\ud800"
)
LONG = "あ" * 5_000

NOTICE = """\
株式会社サンプル
運用担当 様

平素より格別のお引き立てを賜り、誠にありがとうございます。
株式会社プロバイダでございます。

ご利用いただいております専有サーバにおきまして、下記のとおりサービスの障害を検知いたしました。
ご迷惑をおかけしておりますことを、深くお詫び申し上げます。

■対象サーバ
　web01

■最終正常確認
　2025年11月25日（火）17:50:00

■障害検知
　2025年11月25日（火）18:00:00

■影響
　次のサービスをご利用いただけない状態です。
　・https
　・imap-main（imap）

■状況
　・https：サーバが接続を受け付けていません（接続拒否）（2025年11月25日（火）18:00:00から）
　・imap-main：一定時間内に応答がありません（タイムアウト）（2025年11月25日（火）18:00:05から）

■次報
　現在、状況の確認と復旧に向けた対応を進めております。
　復旧を確認しだい、改めてご連絡いたします。影響の範囲が広がった場合も、その都度お知らせいたします。
　障害の内容につきましては、復旧後の翌営業日までにメールにてご報告いたします。
　調査が困難な場合や時間を要する場合は、その旨をご連絡いたします。

管理番号：web01-20251125-180000

【お問い合わせ先】
株式会社プロバイダ
電話：0120-000-000
メール：support@provider.example

本メールは監視システムより自動で送信しております。
"""


def case(value: str) -> Case:
    """Return an incident in which everything that has a name is called ``value``."""
    return Case(
        CASE.incident,
        value,
        Customer(value, value),
        Contact(value, "ops@customer.example", value),
        Provider(value, value, "support@provider.example"),
        [Service(value, value, AT, 0, 0, value)] * 12,
        [Part(value, value, AT)] * 12,
        AT,
    )


def written(facts: Case, language: Language = "ja", name: str = "notice", event: str = "notice") -> bytes:
    letter = Templates(TOKYO).render(language, name, case=facts)
    occasion = Occasion(facts.incident, event, AT)
    contact, provider = facts.contact, facts.provider
    return compose(letter, occasion, contact, mail=SENDER, provider=provider, language=language, zone=TOKYO).as_bytes()


def test_a_notice_says_in_business_japanese_what_failed_since_when_and_what_comes_next() -> None:
    down = [
        Service("https", "https", AT, AT - 10 * MINUTE, 0, "refused"),
        Service("imap-main", "imap", AT + 5_000, AT - 9 * MINUTE, 0, "timeout"),
    ]
    facts = Case(CASE.incident, "web01", CASE.customer, CASE.contact, CASE.provider, down)
    letter = Templates(TOKYO).render("ja", "notice", case=facts)
    assert letter.subject == "【重要】サービス障害のお知らせ（web01 https、imap-main）"
    assert letter.text == NOTICE


@pytest.mark.parametrize("name", ["notice", "update"])
@pytest.mark.parametrize(
    ("language", "work", "reboot"),
    [("ja", "復旧に向けた対応", "強制再起動をご希望の場合は"), ("en", "working on", "rebooted by force")],
)
def test_without_the_managed_contract_a_reboot_is_offered_and_no_work_promised(
    name: str, language: Language, work: str, reboot: str
) -> None:
    cases = [replace(CASE, managed=managed) for managed in (True, False)]
    texts = [Templates(TOKYO).render(language, name, case=case).text for case in cases]
    assert [work in text for text in texts] == [True, False]
    assert [reboot in text for text in texts] == [False, True]


def test_a_recovery_says_when_and_how_long() -> None:
    letter = Templates(TOKYO).render("ja", "recovery", case=CASE)
    assert letter.subject == "【復旧】サービス復旧のお知らせ（web01）"
    assert "■復旧確認\n　2025年11月25日（火）18:30:00（障害検知から 30分）\n" in letter.text
    english = Templates(TOKYO).render("en", "recovery", case=CASE)
    assert "Recovery confirmed\n  2025-11-25 18:30:00 JST (30 min after the detection)\n" in english.text


@pytest.mark.parametrize("name", [name for name, facts in SAMPLES.items() if set(facts) == {"case"}])
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", ["", LONG, HOSTILE], ids=["empty", "long", "hostile"])
def test_no_value_breaks_a_mail_or_speaks_for_us(name: str, language: Language, value: str) -> None:
    message = message_from_bytes(written(case(value), language, name), policy=policy.default)
    assert set(message.keys()) <= {
        "From", "To", "Reply-To", "Subject", "Date", "Message-ID", "Auto-Submitted", "Content-Language",
        "MIME-Version", "Content-Type",
    }  # fmt: skip
    assert 0 < len(str(message["Subject"])) <= LONGEST_SUBJECT
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    lines = plain.get_content().splitlines()
    assert len(plain.get_content()) < 60_000
    assert not [line for line in lines if line.startswith(("Bcc", "電話：0990", "【お問い合わせ先】電話"))]
    assert lines.count("【お問い合わせ先】") == (language == "ja" and name != "call")
    assert not set("\u202e\x00") & set(plain.get_content())
    assert "49" not in plain.get_content()
    assert "<script" not in html.get_content()


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("value", ["", LONG, HOSTILE], ids=["empty", "long", "hostile"])
def test_no_value_breaks_a_mail_to_our_own_staff(language: Language, value: str) -> None:
    templates = Templates(TOKYO)
    mails: dict[str, dict[str, object]] = {
        "chain": {"servers": [value] * 100, "answer": value},
        "held": {"servers": [value] * 100},
        "watchdog": {"silent": 0},
    }
    for name, facts in mails.items():
        letter = templates.render(language, name, **facts)
        assert "\n" not in letter.subject
        assert len(letter.text.splitlines()) < 70
        assert "<script" not in letter.html


def test_what_is_said_of_an_incident_to_a_contact_is_one_thread() -> None:
    first = message_from_bytes(written(CASE), policy=policy.default)
    later = message_from_bytes(written(CASE, "ja", "recovery", "recovery"), policy=policy.default)
    assert later["In-Reply-To"] == later["References"] == first["Message-ID"]
    assert later["Message-ID"] != first["Message-ID"]
    assert first["References"] is None


def test_the_same_event_and_contact_have_one_message_id_and_others_another() -> None:
    ours = message_id("i", "notice", "a@x.example", "noc@provider.example")
    assert ours == message_id("i", "notice", "a@x.example", "noc@provider.example")
    assert ours.endswith("@provider.example>")
    others = [("j", "notice", "a@x.example"), ("i", "recovery", "a@x.example"), ("i", "notice", "b@x.example")]
    assert ours not in {message_id(*other, "noc@provider.example") for other in others}


def test_the_operators_template_goes_before_ours_file_by_file(tmp_path: Path) -> None:
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "signature.txt").write_text("敬具\n", "utf-8")
    letter = Templates(TOKYO, tmp_path).render("ja", "notice", case=CASE)
    assert letter.text.endswith("\n敬具\n")
    assert letter.subject.startswith("【重要】")
    assert list(mistakes(tmp_path)) == []


def test_an_upgrade_under_a_running_process_changes_none_of_its_mails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = shutil.copytree(templates.OURS, tmp_path / "templates")
    monkeypatch.setattr(templates, "OURS", installed)
    monkeypatch.setattr(templates, "_shipped", cache(templates._shipped.__wrapped__))
    running = Templates(TOKYO)
    shutil.rmtree(installed)
    assert running.render("ja", "notice", case=CASE).subject.startswith("【重要】")
    assert Templates(TOKYO, tmp_path).render("en", "notice", case=CASE).subject.startswith("[Important]")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("件名\n\n{{ case.servr }}\n", "has no attribute 'servr'"),
        ("件名\n\n{% if %}\n", "line 3"),
        ("件名だけ\n", "its first line has to be the subject"),
    ],
)
def test_a_template_that_fails_is_found_beforehand_and_holds_up_no_mail(
    tmp_path: Path, text: str, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "notice.txt").write_text(text, "utf-8")
    [mistake] = mistakes(tmp_path)
    assert sentence in mistake
    letter = Templates(TOKYO, tmp_path).render("ja", "notice", case=CASE)
    assert letter == Templates(TOKYO).render("ja", "notice", case=CASE)
    assert sentence in caplog.text


def test_a_file_that_no_mail_uses_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "notise.txt").write_text("x", "utf-8")
    assert list(mistakes(tmp_path)) == ["ja/notise.txt is not the name of a template: docs/notices.md lists them"]


def test_what_a_person_wrote_keeps_its_lines_and_is_escaped_in_html(tmp_path: Path) -> None:
    (tmp_path / "ja").mkdir()
    (tmp_path / "ja" / "notice.txt").write_text("件名\n\n{{ words }}\n", "utf-8")
    (tmp_path / "ja" / "page.html").write_text("<p>{{ words }}</p>", "utf-8")
    words = Paragraphs("一行目\r\n二行目\x1b[31m <b>")
    templates = Templates(TOKYO, tmp_path)
    assert templates.render("ja", "notice", words=words).text == "一行目\n二行目 [31m <b>\n"
    assert templates.page("ja", "page", words=words) == "<p>一行目\n二行目 [31m &lt;b&gt;</p>"
    with pytest.raises(TemplateError, match="there is no such template"):
        templates.page("ja", "none")
