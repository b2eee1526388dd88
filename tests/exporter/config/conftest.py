"""What the tests of the configuration share: a protocol to configure, and a way to load a text."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collectors.registry import CHECKS, Options, Port, Registry, check
from exporter.config import Problem, load
from exporter.inventory import Config

RULES = Path(__file__).parent / "rules"
"""Alert rules that say 600 s, so that no test depends on those we ship."""

CUSTOMER = """
customers:
  - {id: c0001, name: 株式会社サンプル, managed: true, contacts: [{name: 運用担当, email: ops@customer.example}]}
"""

Load = Callable[..., tuple[Config, tuple[Problem, ...]]]


class MailboxOptions(Options):
    port: Port = 143
    starttls: str = "auto"


async def mailbox(_talk: object, _options: MailboxOptions) -> None:
    """Stands for a protocol with a log-in; it is configured here, never run."""


@pytest.fixture(autouse=True)
def imap() -> Iterator[None]:
    """Let imap be a protocol, also where no such check is written yet."""
    if "imap" in CHECKS:
        yield
        return
    check("imap", options=MailboxOptions)(mailbox)
    yield
    del Registry.checks["imap"]


@pytest.fixture
def rules() -> Path:
    return RULES


@pytest.fixture
def config_of(tmp_path: Path) -> Load:
    """Load a text, with one customer unless it says its own; ``files`` are written beside it."""

    def config_of(text: str, **files: str) -> tuple[Config, tuple[Problem, ...]]:
        for name, content in files.items():
            (tmp_path / name).write_text(content)
            (tmp_path / name).chmod(0o600)
        path = tmp_path / "dserver.yml"
        path.write_text(text if "customers:" in text else CUSTOMER + text)
        return load(path, rules=RULES)

    return config_of
