"""The closed words of metrics and alerts, said plainly, for the people who read mails: Japanese and English."""

from collections.abc import Mapping

from collectors.reading import Lamp, Verdict
from exporter.contract.incidents import Held, Hold
from exporter.contract.level import NextStep
from exporter.inventory import Language

REASONS: Mapping[Language, Mapping[str, str]] = {
    "ja": {
        "dns": "サーバ名からアドレスを得られません（名前解決の失敗）",
        "refused": "サーバが接続を受け付けていません（接続拒否）",
        "unreachable": "サーバに到達できないか、通信が途中で切断されます",
        "timeout": "一定時間内に応答がありません（タイムアウト）",
        "tls": "暗号化通信（TLS）を開始できません",
        "certificate": "サーバ証明書に問題があります（期限切れ、名称の不一致など）",
        "unavailable": "サービスから、現在は利用できないとの応答があります",
        "protocol": "サービス本来のものではない応答が返っています",
        "content": "応答はありますが、内容が正常ではありません",
        "auth": "監視用の認証情報が拒否されました（弊社側）",
        "misconfigured": "監視の設定または秘密情報に誤りがあります（弊社側）",
        "internal": "監視システムの不具合または資源の不足です（弊社側）",
    },
    "en": {
        "dns": "no address can be found for the server's name (name resolution)",
        "refused": "the server does not accept connections (connection refused)",
        "unreachable": "the server cannot be reached, or the connection breaks off",
        "timeout": "there is no answer in time (timeout)",
        "tls": "an encrypted connection (TLS) cannot be opened",
        "certificate": "the server's certificate is at fault (expired, for another name, not trusted)",
        "unavailable": "the service answers that it is not available now",
        "protocol": "something answers that is not this service",
        "content": "the service answers, but not with what it should",
        "auth": "our monitoring's credentials were rejected (our side)",
        "misconfigured": "our monitoring's settings or secrets are at fault (our side)",
        "internal": "a defect of our monitoring, or its resources are exhausted (our side)",
    },
}
"""Every ``reason`` of `collectors.failures`."""

REASON_UNKNOWN: Mapping[Language, str] = {"ja": "原因を確認しております", "en": "the cause is being looked into"}

NEXT_STEPS: Mapping[Language, Mapping[NextStep, str]] = {
    "ja": {
        NextStep.NONE: "対応は不要です",
        NextStep.LOG_IN: "レベル1: ログインしてサービスを確認し、再起動する",
        NextStep.LOG_IN_UNCHECKED: "レベル1: ログインしてサービスを確認し、再起動する（ログイン可否は未監視）",
        NextStep.CONSOLE: "レベル1: ログインできないため、コンソールから入りサービスを再起動する",
        NextStep.REBOOT: "レベル2: ログインできないため、プラットフォームを再起動する",
        NextStep.REBOOT_ON_REQUEST: "運用管理契約なし: お客様の依頼があれば強制再起動する",
    },
    "en": {
        NextStep.NONE: "nothing to do",
        NextStep.LOG_IN: "level 1: log in, look at the service, restart it",
        NextStep.LOG_IN_UNCHECKED: "level 1: log in, look at the service, restart it (log-in is not checked)",
        NextStep.CONSOLE: "level 1: log-in fails, so log in by the console and restart the service",
        NextStep.REBOOT: "level 2: log-in fails and nothing else answers, so reboot the platform",
        NextStep.REBOOT_ON_REQUEST: "no managed contract: a forced reboot when the customer asks for it",
    },
}

LAMPS: Mapping[Language, Mapping[Lamp, str]] = {
    "ja": {
        Lamp.SYSTEM: "システム全体",
        Lamp.POWER: "電源状態",
        Lamp.FAN: "冷却ファン",
        Lamp.POWER_SUPPLY: "電源ユニット",
        Lamp.DRIVE: "ドライブ",
        Lamp.TEMPERATURE: "温度",
        Lamp.VOLTAGE: "電圧",
        Lamp.MEMORY: "メモリ",
        Lamp.PROCESSOR: "プロセッサ",
        Lamp.BATTERY: "バッテリ",
        Lamp.INTRUSION: "筐体の開放検知",
        Lamp.STORAGE: "ストレージ",
        Lamp.NETWORK: "ネットワーク",
        Lamp.EVENT_LOG: "イベントログ",
        Lamp.OTHER: "その他の部品",
    },
    "en": {
        Lamp.SYSTEM: "system as a whole",
        Lamp.POWER: "power state",
        Lamp.FAN: "fan",
        Lamp.POWER_SUPPLY: "power supply",
        Lamp.DRIVE: "drive",
        Lamp.TEMPERATURE: "temperature",
        Lamp.VOLTAGE: "voltage",
        Lamp.MEMORY: "memory",
        Lamp.PROCESSOR: "processor",
        Lamp.BATTERY: "battery",
        Lamp.INTRUSION: "chassis intrusion",
        Lamp.STORAGE: "storage",
        Lamp.NETWORK: "network",
        Lamp.EVENT_LOG: "event log",
        Lamp.OTHER: "other part",
    },
}

VERDICTS: Mapping[Language, Mapping[Verdict, str]] = {
    "ja": {
        Verdict.UNKNOWN: "不明",
        Verdict.NORMAL: "正常",
        Verdict.WARNING: "警告",
        Verdict.CRITICAL: "異常",
    },
    "en": {
        Verdict.UNKNOWN: "unknown",
        Verdict.NORMAL: "normal",
        Verdict.WARNING: "warning",
        Verdict.CRITICAL: "critical",
    },
}

HOLDS: Mapping[Language, Mapping[Hold, str]] = {
    "ja": {
        Hold.DOWN: "{subject} が停止しています",
        Hold.RECOVERING: "復旧の確認中です（2分以上にわたる3回連続の成功を待っています）",
        Hold.UNDONE: "依頼された作業の完了がまだ記録されていません（dserver-exporter incidents close）",
        Hold.NO_SOURCE: "ランプを読み取る手段がありません。目視で確認してください（dserver-exporter lamps confirm）",
        Hold.UNREAD: "その後、{source} でランプを読み取れていません",
        Hold.LIT: "{subject}（{source}）が{verdict}です",
        Hold.UNSEEN: "ランプの状態が不明です（どのランプの状態も得られない読み取り手段があります）",
    },
    "en": {
        Hold.DOWN: "{subject} is down",
        Hold.RECOVERING: "the recovery is not confirmed by three successes over two minutes yet",
        Hold.UNDONE: "nobody has said yet that it was done (dserver-exporter incidents close)",
        Hold.NO_SOURCE: "the server has no lamp source: confirm its lamps by eye (dserver-exporter lamps confirm)",
        Hold.UNREAD: "the lamps have not been read by {source} since",
        Hold.LIT: "{subject} ({source}) is {verdict}",
        Hold.UNSEEN: "the server's lamps are unknown: a source tells the state of none",
    },
}

MAILINGS: Mapping[Language, Mapping[str, str]] = {
    "ja": {
        "notice": "障害のお知らせ",
        "hardware": "ハードウェア異常のお知らせ",
        "update": "障害状況のお知らせ",
        "recovery": "復旧のお知らせ",
        "repaired": "ハードウェア復旧のお知らせ",
    },
    "en": {
        "notice": "notice",
        "hardware": "notice of the fault",
        "update": "update",
        "recovery": "recovery",
        "repaired": "repair",
    },
}
"""What our mails to customers are, where they are listed."""

MEANS: Mapping[Language, Mapping[str, str]] = {
    "ja": {"mail": "メール", "phone": "お電話", "fax": "FAX", "post": "郵送"},
    "en": {"mail": "by mail", "phone": "by phone", "fax": "by fax", "post": "by post"},
}
"""How a customer is told."""


def held(what: Held, language: Language) -> str:
    """Return what keeps an incident from being closed."""
    verdict = VERDICTS[language][what.verdict]
    return HOLDS[language][what.why].format(subject=what.subject, source=what.source, verdict=verdict)
