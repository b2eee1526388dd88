"""Whether the operator's templates work, tried on made-up mails before a real one has to leave."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter.clock import DAY, MINUTE, SECOND
from exporter.contract.incidents import AbnormalLamp, Note, Observation, Told
from exporter.contract.report import INTERIM, REPORT, Disruption, Fault, Report
from exporter.contract.reporting import Postponement
from exporter.inventory import Contact, Customer, Provider
from exporter.mail.facts import Case, Part, Service
from exporter.mail.message import Outgoing
from exporter.mail.templates import LANGUAGES, OURS, TemplateError, Templates

_AT = 1_764_061_200_000

CASE = Case(
    "web01-20251125-180000",
    "web01",
    Customer("c0001", "株式会社サンプル"),
    Contact("運用担当", "ops@customer.example"),
    Provider("株式会社プロバイダ", "0120-000-000", "support@provider.example"),
    [Service("https", "https", _AT, _AT - 10 * MINUTE, _AT + 30 * MINUTE, "refused")],
    [Part("drive", "Drive 1", _AT)],
    _AT + 30 * MINUTE,
    _AT + 70 * MINUTE,
)

FILED = Report(
    incident=CASE.incident,
    server=CASE.server,
    last_good=_AT - 10 * MINUTE,
    detected=_AT,
    recovered=CASE.recovered,
    disruptions=(
        Disruption(
            "https", "https", _AT, CASE.recovered, 1, 30 * MINUTE, (Observation(_AT, "refused", "connect", "refused"),)
        ),
    ),
    faults=(Fault("Drive 1", AbnormalLamp(_AT + 31 * MINUTE, "drive", "critical", "0x6f 0x02")),),
    lamps_normal=CASE.recovered + 40 * MINUTE,
    told=(
        Told(_AT + 620 * SECOND, "運用担当 <ops@customer.example>", "mail", "notice", "ops@customer.example"),
        Told(_AT + 620 * SECOND, "desk@customer.example", "mail", "notice", "desk@customer.example"),
        Told(_AT + 11 * MINUTE, "運用担当", "phone"),
    ),
    notes=(Note(_AT + 20 * MINUTE, "noc", "Webサーバを再起動"),),
    cause="ドライブの故障",
    measures="ドライブを交換",
    postponed=(Postponement(_AT + DAY, _AT + 3 * DAY, "部品の解析に時間を要しております", "noc"),),
    due=_AT + 3 * DAY,
    approved=_AT + 2 * DAY,
)

_LETTER = Outgoing(
    "<x@x>", _AT, CASE.incident, "notice", "運用担当", "ops@customer.example", "noc@provider.example", b""
)

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    **{name: {"case": CASE} for name in ("notice", "hardware", "update", "recovery", "repaired", "call")},
    "chain": {"servers": ["web01"], "answer": "unreachable"},
    "held": {"servers": ["web01"]},
    "watchdog": {"silent": 5 * MINUTE},
    "undelivered": {"failures": [{"mail": _LETTER, "given_up": False, "why": "550 5.1.1 no such user"}]},
    **{name: {"case": CASE, "report": FILED} for name in (REPORT, INTERIM)},
}
"""By the name of each mail: facts with which it can be tried."""


def mistakes(folder: Path) -> Iterator[str]:
    """Say what is wrong with the templates in the operator's folder."""
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if file.is_file())
    for file in files:
        if not file.parts[-1].startswith(".") and not (OURS / file).is_file() and file.suffix != ".html":
            yield f"{file} is not the name of a template: docs/notices.md lists them"
    templates = Templates(ZoneInfo("Asia/Tokyo"), folder)
    for language in LANGUAGES:
        for name, facts in SAMPLES.items():
            try:
                templates.verify(language, name, **facts)
            except TemplateError as error:
                yield str(error)
