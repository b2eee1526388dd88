"""The mails that Alertmanager sends, as templates in its language (Go's text/template and html/template).

A mail is written once, as blocks, and comes out as text and as HTML. What the configuration says (names, phone numbers)
is taken literally, whatever characters it has; what an alert says is escaped by Alertmanager.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exporter.inventory import Contact, Customer, Language, Provider
from exporter.words import LAMPS, REASON_UNKNOWN, REASONS


@dataclass(frozen=True, slots=True)
class Template:
    """Template text, taken as it is. Inside a mail the dot is the alert."""

    text: str


Piece = str | Template
"""Literal words (str), or template text."""


@dataclass(frozen=True, slots=True)
class Row:
    """A name and a value. Left out where the field of the alert that it is about, if one is named, is empty."""

    name: str
    value: Piece
    about: str = ""


@dataclass(frozen=True, slots=True)
class Either:
    """What is said of an alert about a lamp, and of any other."""

    lamp: "list[Block]"
    otherwise: "list[Block]"


Block = tuple[Piece, ...] | tuple[Row, ...] | Either
"""A paragraph of lines, a table, or a choice."""


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail: its subject and both of its bodies, as templates."""

    subject: str
    text: str
    html: str


def literal(text: str) -> str:
    """Return template text that stands for ``text`` itself: a brace might open an action, so it goes into a string."""
    return "{{ " + json.dumps(text, ensure_ascii=False) + " }}" if "{" in text else text


STARTED = Template('{{ (.StartsAt.UTC.Add 32400000000000).Format "2006-01-02 15:04:05" }} JST')
"""When the alert began, in JST: nine hours are 32,400,000,000,000 ns."""

DOWN_SINCE = Template(f"{{{{ with .Annotations.down_since }}}}{{{{ . }}}}{{{{ else }}}}{STARTED.text}{{{{ end }}}}")

SERVER = Template("{{ .Labels.server }}")
CHECK = Template("{{ .Labels.check }}")
COMPONENTS = Template("{{ .Annotations.components }}")

SUBJECT = "{{ .Labels.server }}" + "".join(
    f"{{{{ with .Labels.{label} }}}} {{{{ . }}}}{{{{ end }}}}" for label in ("check", "lamp", "incident")
)


def customer_letter(customer: Customer, contact: Contact, provider: Provider) -> Letter:
    """Return the mail to one contact of a customer: an outage or a critical lamp."""
    write = _customer_ja if customer.language == "ja" else _customer_en
    return write(customer, contact, provider)


def noc_letter(language: Language) -> Letter:
    """Return the mail to our own staff, for every alert, firing and resolved."""
    firing, resolved, customer = {
        "ja": ("[発生]", "[復旧]", "[顧客宛]"),
        "en": ("[FIRING]", "[RESOLVED]", "[customer]"),
    }[language]
    subject = (
        f'{{{{ if eq .Status "firing" }}}}{firing}{{{{ else }}}}{resolved}{{{{ end }}}}'
        f'{{{{ if eq .Labels.notify "customer" }}}}{customer}{{{{ end }}}}'
        f" {{{{ .Labels.severity }}}} {{{{ .Labels.alertname }}}} {{{{ .Labels.instance }}}}{SUBJECT}"
        "{{ with .Labels.customer_id }} ({{ . }}){{ end }}"
    )
    return _letter(language, subject, _alert(language))


def phone_letter(language: Language, customer: Customer) -> Letter:
    """Return the mail that tells our own staff to phone a customer who has no mail address."""
    head, said, nobody, who = {
        "ja": (
            "【要電話連絡】",
            "この契約者にはメールの連絡先が登録されていません。ただちに電話で連絡し、連絡した時刻を記録してください。",
            "電話番号も登録されていません。連絡先を確認してください。",
            "契約者",
        ),
        "en": (
            "[PHONE THE CUSTOMER] ",
            "This customer has no mail address. Phone them now, and note the time.",
            "There is no phone number either: find one.",
            "Customer",
        ),
    }[language]
    phones = tuple(Row(contact.name, contact.phone) for contact in customer.contacts)
    order: Block = (said,) if phones else (said, nobody)
    subject = f"{head}{literal(customer.name)} {SUBJECT}"
    return _letter(
        language, subject, [order, (Row(who, f"{customer.name} ({customer.id})"), *phones), *_alert(language)]
    )


def unknown_customer_letter(language: Language) -> Letter:
    """Return the mail that tells our own staff of an alert for a customer whom this configuration does not know."""
    head, said = {
        "ja": (
            "【顧客へ通知できません】",
            "この契約者は Alertmanager の設定にありません。連絡先を確認して連絡し、設定を作り直してください。",
        ),
        "en": (
            "[CUSTOMER NOT TOLD] ",
            "Alertmanager's configuration does not know this customer. Tell them, then print and load it anew.",
        ),
    }[language]
    order: Block = (said, "dserver-exporter alertmanager-config")
    return _letter(
        language,
        f"{head}{SUBJECT}{{{{ with .Labels.customer_id }}}} ({{{{ . }}}}){{{{ end }}}}",
        [order, *_alert(language)],
    )


def _customer_ja(customer: Customer, contact: Contact, provider: Provider) -> Letter:
    lamp = _lamp("ja")
    service_blocks: list[Block] = [
        (
            "ご利用いただいております専有サーバにおきまして、下記のとおりサービスの障害を検知いたしました。",
            "ご迷惑をおかけしておりますことを、深くお詫び申し上げます。",
        ),
        (
            Row("障害検知日時（日本時間）", DOWN_SINCE),
            Row("対象サーバ", SERVER),
            Row("影響を受けているサービス", _service("（{{ .Labels.protocol }}）")),
            Row("状況", _reason("ja")),
        ),
        (
            "【今後の対応】",
            "現在、状況の確認と復旧に向けた対応を進めております。今しばらくお待ちくださいますようお願い申し上げます。",
            "障害の内容につきましては、復旧後の翌営業日までにメールにてご報告いたします。",
            "調査が困難な場合や時間を要する場合は、その旨をご連絡いたします。",
        ),
    ]
    lamp_blocks: list[Block] = [
        (
            "ご利用いただいております専有サーバのハードウェアにおきまして、下記のとおり異常を検知いたしました。",
            "ご心配をおかけいたしますことを、深くお詫び申し上げます。",
        ),
        (
            Row("検知日時（日本時間）", STARTED),
            Row("対象サーバ", SERVER),
            Row("異常箇所", lamp),
            Row("部品", COMPONENTS, ".Annotations.components"),
        ),
        (
            "【今後の対応】",
            "現在、状態の確認と部品交換の手配を進めております。",
            "交換にあたりサーバの停止が必要な場合は、事前に日程をご相談申し上げます。",
        ),
    ]
    return _letter(
        "ja",
        _either(
            f"【重要】ハードウェア異常のお知らせ（{SERVER.text} {lamp.text}）",
            f"【重要】サービス障害のお知らせ（{SERVER.text} {CHECK.text}）",
        ),
        [
            (customer.name, f"{contact.name} 様") if contact.name else (f"{customer.name} 御中",),
            (
                "平素より格別のお引き立てを賜り、誠にありがとうございます。",
                f"{provider.name or '専有サーバサービス運用窓口'}でございます。",
            ),
            Either(lamp_blocks, service_blocks),
            ("【お問い合わせ先】", *_signature(provider, "電話：", "メール：")),
            ("本メールは監視システムより自動で送信しております。",),
        ],
    )


def _customer_en(customer: Customer, contact: Contact, provider: Provider) -> Letter:
    lamp = _lamp("en")
    service_blocks: list[Block] = [
        ("We have detected an outage of a service on your dedicated server, and apologise for the inconvenience.",),
        (
            Row("Down since (Japan time)", DOWN_SINCE),
            Row("Server", SERVER),
            Row("Affected service", _service(" ({{ .Labels.protocol }})")),
            Row("What we see", _reason("en")),
        ),
        (
            "What happens next",
            "We are investigating and working on the recovery.",
            "You will receive a report by mail by the next business day after it.",
            "Should the investigation be difficult or take longer, we will tell you so.",
        ),
    ]
    lamp_blocks: list[Block] = [
        ("We have detected a hardware fault of your dedicated server, and apologise for the concern it causes.",),
        (
            Row("Detected at (Japan time)", STARTED),
            Row("Server", SERVER),
            Row("What is affected", lamp),
            Row("Parts", COMPONENTS, ".Annotations.components"),
        ),
        (
            "What happens next",
            "We are verifying it and arranging the replacement of the part.",
            "Should the server have to be stopped for it, we will agree on a time with you first.",
        ),
    ]
    return _letter(
        "en",
        _either(
            f"[Important] Hardware fault ({SERVER.text}, {lamp.text})",
            f"[Important] Service outage ({SERVER.text} {CHECK.text})",
        ),
        [
            (customer.name, f"Dear {contact.name}," if contact.name else "Dear Sir or Madam,"),
            Either(lamp_blocks, service_blocks),
            ("Contact", *_signature(provider, "Phone: ", "Mail: ")),
            ("This mail was sent automatically by our monitoring.",),
        ],
    )


def _service(protocol: str) -> Template:
    """Say which check failed, and by which protocol where its name does not say so."""
    return Template(f"{CHECK.text}{{{{ if ne .Labels.check .Labels.protocol }}}}{protocol}{{{{ end }}}}")


def _reason(language: Language) -> Template:
    """Say an alert's reason in plain words."""
    return _choice(".Annotations.reason", REASONS[language], REASON_UNKNOWN[language])


def _lamp(language: Language) -> Template:
    """Say an alert's lamp in plain words."""
    return _choice(".Labels.lamp", {str(lamp): said for lamp, said in LAMPS[language].items()}, "{{ .Labels.lamp }}")


def _choice(field: str, words: Mapping[str, str], otherwise: str) -> Template:
    cases = " else ".join(f'if eq {field} "{code}" }}}}{said}{{{{' for code, said in words.items())
    return Template(f"{{{{ {cases} else }}}}{otherwise}{{{{ end }}}}")


def _signature(provider: Provider, phone: str, mail: str) -> tuple[Piece, ...]:
    lines = (
        provider.name,
        f"{phone}{provider.phone}" if provider.phone else "",
        f"{mail}{provider.email}" if provider.email else "",
    )
    return tuple(line for line in lines if line)


def _alert(language: Language) -> list[Block]:
    """All that an alert says, for our own staff."""
    fields = {
        ".Labels.customer_id": ("契約者", "Customer"),
        ".Labels.server": ("サーバ", "Server"),
        ".Labels.check": ("監視項目", "Check"),
        ".Labels.protocol": ("プロトコル", "Protocol"),
        ".Labels.lamp": ("ランプ", "Lamp"),
        ".Labels.incident": ("管理番号", "Incident"),
        ".Annotations.due": ("報告書の提出期限", "Report due"),
        ".Labels.instance": ("監視プログラム", "Exporter"),
        ".Annotations.down_since": ("障害検知日時", "Down since"),
        ".Annotations.reason": ("理由", "Reason"),
        ".Annotations.step": ("段階", "Step"),
        ".Annotations.level": ("対応レベル", "Response level"),
        ".Annotations.components": ("部品", "Components"),
        ".Annotations.sources": ("読み取り元", "Sources"),
        ".Annotations.logs": ("イベントログ", "Event logs"),
        ".Annotations.abnormal_since": ("サーバの異常開始", "Server abnormal since"),
        ".Annotations.os": ("OS", "Operating system"),
        ".Annotations.contract_ends": ("契約終了", "Contract ends"),
        ".Annotations.expires": ("証明書の有効期限", "Certificate expires"),
        ".Annotations.runbook_url": ("手順書", "Runbook"),
    }
    column = 0 if language == "ja" else 1
    plain = {
        ".Annotations.reason": Template(f"{{{{ .Annotations.reason }}}}: {_reason(language).text}"),
        ".Labels.lamp": Template(f"{{{{ .Labels.lamp }}}}: {_lamp(language).text}"),
    }
    if language == "ja":  # the runbooks in Japanese have the same names, in a folder beside the others
        plain[".Annotations.runbook_url"] = Template('{{ reReplaceAll "([^/]+)$" "ja/$1" .Annotations.runbook_url }}')
    rows = tuple(
        Row(names[column], plain.get(field, Template(f"{{{{ {field} }}}}")), field) for field, names in fields.items()
    )
    return [(Template("{{ .Annotations.summary }}"), Template("{{ .Annotations.description }}")), rows]


def _letter(language: Language, subject: str, blocks: Sequence[Block]) -> Letter:
    """Put a mail together. There is one alert in it (``group_by: ['...']``)."""
    # without a language, Japanese may be shown in the shapes of Chinese characters
    body = f'<html lang="{language}"><body>{_html(blocks)}</body></html>'
    return Letter(_each(subject), _each(_text(blocks).rstrip("\n") + "\n"), _each(body))


def _each(template: str) -> str:
    return f"{{{{ range .Alerts }}}}{template}{{{{ end }}}}"


def _either(lamp: str, otherwise: str) -> str:
    return f"{{{{ if .Labels.lamp }}}}{lamp}{{{{ else }}}}{otherwise}{{{{ end }}}}"


def _where(field: str, template: str) -> str:
    return f"{{{{ if {field} }}}}{template}{{{{ end }}}}" if field else template


def _text(blocks: Sequence[Block]) -> str:
    texts = []
    for block in blocks:
        if isinstance(block, Either):
            texts.append(_either(_text(block.lamp), _text(block.otherwise)))
            continue
        lines = (
            _where(piece.about, f"  {_said(piece.name)}{_colon(piece.name)}{_said(piece.value)}\n")
            if isinstance(piece, Row)
            else f"{_said(piece)}\n"
            for piece in block
        )
        texts.append("".join(lines) + "\n")
    return "".join(texts)


def _colon(name: str) -> str:
    return ": " if name.isascii() else "："


def _html(blocks: Sequence[Block]) -> str:
    texts = []
    for block in blocks:
        if isinstance(block, Either):
            texts.append(_either(_html(block.lamp), _html(block.otherwise)))
        elif rows := [piece for piece in block if isinstance(piece, Row)]:
            texts.append(f'<table cellpadding="4">{"".join(map(_html_row, rows))}</table>')
        else:
            lines = (_marked(piece) for piece in block if not isinstance(piece, Row))
            texts.append(f"<p>{'<br>'.join(lines)}</p>")
    return "\n".join(texts)


def _html_row(row: Row) -> str:
    return _where(row.about, f'<tr><th align="left">{_marked(row.name)}</th><td>{_marked(row.value)}</td></tr>')


def _said(piece: Piece) -> str:
    return piece.text if isinstance(piece, Template) else literal(piece)


def _marked(piece: Piece) -> str:
    """As `_said`, for HTML. What stands in an action is escaped by html/template, in a string too."""
    return html.escape(piece) if isinstance(piece, str) and "{" not in piece else _said(piece)
