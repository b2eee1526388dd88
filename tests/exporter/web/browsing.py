"""What tests of the pages share: a clock that stands still, states to set, and a page as a browser would see it."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

from collectors.failures import Unavailable
from collectors.reading import Lamp, Verdict
from collectors.transcript import Recording, Transcript
from exporter.clock import MINUTE, Moment
from exporter.inventory import Mail
from exporter.lamps import KnownLamp, SourceState
from exporter.lastruns import pack
from exporter.monitor import Monitor
from exporter.outage import CheckState

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)> {{ 7 * 7 }} &amp;"
SINCE = 1_800_000_000_000  # 2027-01-15 17:00:00 in Japan
DOWN = CheckState(
    up=False,
    ever_up=True,
    down_since=SINCE,
    confirmed=13 * MINUTE,
    first_failed=Moment(0, SINCE),
    last_failed=Moment(13 * MINUTE, SINCE + 13 * MINUTE),
    last_run=SINCE + 13 * MINUTE,
    reason="refused",
    step="connect",
)
MAIL = Mail("mail.provider.example", 25, "noc@provider.example", tls="none")
STRANGER = "0.0.0.0:0"
"""Where the exporter listens for those who are not on its machine and have not logged in."""


@dataclass
class Clock:
    """A clock that a test moves. It begins 15 minutes after `SINCE`."""

    passed: int = 0

    def now(self) -> Moment:
        return Moment(10_000_000 + self.passed, SINCE + 15 * MINUTE + self.passed)


class Elements(HTMLParser):
    """Collects the elements of a page and its text, as a browser would see them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.source = source
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(source)
        self.text = re.sub(r"\s+", " ", " ".join(self.texts))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def links(self) -> list[str]:
        """Return where the page's links lead."""
        return [href for tag, attributes in self.tags if tag == "a" and (href := attributes.get("href"))]

    def section(self, name: str) -> "Elements":
        """Return a section alone. Raises ValueError if the page has none of that name."""
        start = self.source.index(f'<section id="{name}"')
        return Elements(self.source[start : self.source.index("</section>", start)])


async def see(start: Any, path: str = "/", address: str = "127.0.0.1:0", language: str = "en") -> Elements:
    """Return a page as a browser of this language gets it."""
    client = await start(address)
    async with client.session.get(client.url(path), headers={"Accept-Language": language}) as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        return Elements(await response.text())


def set_check(monitor: Monitor, name: str, state: CheckState) -> None:
    entry = monitor.schedule.get(("web01", name))
    assert entry
    entry.state = state


def set_lamps(monitor: Monitor, state: SourceState) -> None:
    entry = monitor.lamps.get(("web01", "test"))
    assert entry
    entry.state = state


def lamp(verdict: Verdict, component: str = "Drive 3", evidence: str = "state=0x0003") -> SourceState:
    known = KnownLamp(Lamp.DRIVE, component, verdict, verdict, SINCE, evidence)
    return SourceState(lamps={component: known}, last_run=SINCE, last_success=SINCE)


def said(what: str) -> Recording:
    transcript = Transcript(lambda: 0.0)
    transcript.note("<", what)
    return transcript.recording()


def set_runs(monitor: Monitor, name: str, heard: str) -> None:
    entry = monitor.schedule.get(("web01", name))
    assert entry
    entry.keep(pack(SINCE, None, said(f"well {heard}")), good=True)
    failure = Unavailable("status", f"503 {heard}")
    entry.keep(pack(SINCE + 13 * MINUTE, failure, said(f"HTTP/1.1 503 {heard}")), good=False)
