"""Whether the operator's templates work, tried on made-up mails before a real one has to leave."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from exporter.clock import MINUTE
from exporter.inventory import Contact, Customer, Provider
from exporter.mail.facts import Case, Part, Service
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
)

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    **{name: {"case": CASE} for name in ("notice", "hardware", "update", "recovery", "call")},
    "chain": {"servers": ["web01"], "answer": "unreachable"},
    "held": {"servers": ["web01"]},
    "watchdog": {"silent": 5 * MINUTE},
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
