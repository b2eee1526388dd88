"""The exporter's end at any step from the alert to the mail of the recovery: every mail leaves, none more than twice.

Each case runs one incident to its end and lets the process be gone at one step: before a commit, after it and before
anybody learns so, before a mail is handed over, and after the server has taken it and before we know. What is not in
the ledger is forgotten; a new process takes over, the checks tell again what they see, and Alertmanager repeats.
"""

import threading
from collections import Counter
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from itertools import count
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest

from exporter.alerts import Alert
from exporter.clock import MINUTE
from exporter.contract.incidents import IncidentEvent, Kind, Value, What, opening
from exporter.ledger import Ledger, incident_record
from exporter.mail.courier import Courier, Result, UnreachableError
from exporter.mail.message import Outgoing
from tests.exporter.mailroom import MailServer
from tests.exporter.test_notices import SERVER, Office

MOST_STEPS = 60


@dataclass
class Fate:
    """Ends the process at a step. What it does after that, it does not do."""

    deadly: int
    steps: int = 0
    dead: bool = False
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self) -> bool:
        """Count a step; tell whether the process is gone by now."""
        with self._turn:
            self.steps += 1
            self.dead = self.dead or self.steps == self.deadly
            return self.dead

    def rule(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commits and mails be steps."""
        commit, hand_over = Ledger._commit, Courier.hand_over

        def commits(ledger: Ledger) -> bool:
            if not (ledger._unwritten_events or ledger._unwritten_rows):
                return commit(ledger)
            return not self.strikes() and commit(ledger) and not self.strikes()

        def hands_over(courier: Courier, mail: Outgoing) -> tuple[Result, str]:
            if self.strikes():
                raise UnreachableError("gone")
            result = hand_over(courier, mail)
            if self.strikes():
                raise UnreachableError("gone")
            return result

        monkeypatch.setattr(Ledger, "_commit", commits)
        monkeypatch.setattr(Courier, "hand_over", hands_over)


class GoneError(Exception):
    """The process of the story is gone."""


@dataclass
class Story:
    """One incident, as it goes on whoever watches it. What happened, happened at its time, however often it is told."""

    office: Office
    fate: Fate
    begun: int

    async def happens(self, what: What, minutes: float, subject: str = "", **data: Value) -> None:
        event = opening(Kind.OUTAGE, SERVER, self.begun, ZoneInfo("Asia/Tokyo"))
        if what is not What.OPENED:
            at = self.begun + round(minutes * MINUTE)
            event = IncidentEvent(event.incident, what, at, subject, MappingProxyType(data))
        fresh = self.office.incidents.take_in([event])
        self.office.notices.happened(fresh)
        self.office.chain.happened(fresh)
        await self.office.ledger.save([incident_record(each) for each in fresh])
        self._alive()

    async def outage(self, check: str, minutes: float) -> None:
        await self.happens(What.CHECK_DOWN, minutes, check, reason="refused", step="connect", last_good=0)
        await self.happens(What.LIMIT_REACHED, minutes + 10, check)
        while not await self.office.chain.received([Alert("customer", SERVER.name, check)]):
            self._alive()

    async def mailed(self) -> None:
        await self.office.notices.look()
        await self.office.until(lambda: self.fate.dead or not self.office.outbox._waiting)
        await self.office.ledger.save([])  # what was handed over is written
        self._alive()

    async def told(self) -> None:
        """Let it go from the first failure to the recovery."""
        await self.happens(What.OPENED, 0)
        self._pass(11)
        await self.outage("https", 0)
        await self.mailed()
        self._pass(22)
        await self.outage("imap", 5)
        await self.mailed()
        self._pass(33)
        for check in ("https", "imap"):
            await self.happens(What.CHECK_UP, 30, check)
        await self.happens(What.RECOVERED, 30)
        await self.mailed()

    def _pass(self, minutes: int) -> None:
        """Let it be so many minutes after the beginning at least."""
        late = self.begun + minutes * MINUTE - self.office.clock.now().wall
        self.office.clock.moved += max(late, 0)

    def _alive(self) -> None:
        if self.fate.dead:
            raise GoneError


async def copies(folder: Path, deadly: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[bytes], bool]:
    """Return the mails of the story with its end at a step, and whether there was such a step."""
    fate, server = Fate(deadly), MailServer()
    fate.rule(monkeypatch)
    struck = False
    async with server.listening() as mail:
        begun, moved = 0, 0
        while True:
            office = Office(folder)
            office.clock.moved = moved
            begun = begun or office.clock.now().wall
            office.server = server
            office.incidents.take_in(event for _, event in office.ledger.incident_events())
            office.configure(mail)
            await office.outbox.refresh()
            try:
                await Story(office, fate, begun).told()
            except GoneError:
                struck = True
            else:
                return server.mails, struck
            finally:
                moved = office.clock.moved
                await office.end()
                fate.dead, fate.deadly = False, 0


async def test_whenever_the_exporter_ends_each_mail_leaves_once_or_twice_with_one_message_id(tmp_path: Path) -> None:
    struck = 0
    for step in count(1):
        with pytest.MonkeyPatch.context() as monkeypatch:
            mails, happened = await copies(tmp_path / f"{step}", step, monkeypatch)
        messages = [message_from_bytes(content, policy=policy.default) for content in mails]
        sent = Counter(str(message["Message-ID"]) for message in messages)
        subjects = {str(message["Message-ID"]): str(message["Subject"]) for message in messages}
        assert [subject[:4] for subject in subjects.values()] == ["【重要】", "【重要】", "【復旧】"], step
        assert max(sent.values()) <= 2, step
        assert len(mails) <= 4, step
        assert len(set(mails)) == 3, step  # a second copy is the first, byte by byte
        if not happened:
            break
        struck += 1
        assert step < MOST_STEPS
    assert struck > 20
