"""What the contract owed at a site, worked out from the attempts alone, and whether it was done.

Written from the words of docs/architecture.md and docs/notices.md, apart from the product: nothing here may import its
deciding code. Times are milliseconds; see `tests.simulation.record` for the clocks.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from itertools import takewhile

from exporter.clock import DAY, HOUR, MINUTE, SECOND
from exporter.inventory import MaintenanceWindow
from tests.exporter.contract.test_businessdays import works
from tests.simulation.record import Attempt, Mail, Outcome, Part, Record

INTERVAL = 10 * MINUTE
LIMIT = 10 * MINUTE
"""So much evidence makes an outage one of which the customer is told."""
GRACE = 10 * MINUTE
"""So long after maintenance nobody is told."""
REJOIN = 30 * MINUTE
PROMPT = 60 * SECOND
"""The notice is handed over within this after the evidence is complete, while the chain works."""
LAST_RESORT = 210 * SECOND
"""The notice is handed over within this while the exporter and the mail server work, whatever else does not: 180 s
until somebody is asked, 20 s for the alerts that belong together, and 5 s here until it is looked."""
MAIL_BACK = 15 * MINUTE + 10 * SECOND
"""So long after the mail server is back a mail is tried again at the latest."""
BETWEEN_UPDATES = 10 * MINUTE
EVALUATED = 110 * SECOND
"""A Prometheus that starts has found everything, scraped, evaluated, and sent again what it sent too early, by then."""
LASTING_SUCCESSES, LASTING = 3, 2 * MINUTE
JAPAN = timedelta(hours=9)

SHAPES = {
    "notice": re.compile(r"^(【重要】サービス障害のお知らせ|\[Important\] Service outage)"),
    "update": re.compile(r"^(【重要】障害状況のお知らせ|\[Important\] Outage: more is affected)"),
    "recovery": re.compile(r"^(【復旧】|\[Recovered\])"),
    "report": re.compile(r"^(障害報告書|Outage report)"),
}
CHECK = re.compile(r"\bchk-[a-z]\b")


@dataclass(slots=True)
class Outage:
    """One outage of one check. ``failed`` are its failed attempts."""

    server: str
    check: str
    failed: list[Attempt] = field(default_factory=list)
    limit: Attempt | None = None
    """The attempt with which its customer had to be told."""
    end: Attempt | None = None
    """The first success after it."""
    confirmed: int = 0
    told_or_not: bool = False
    """Maintenance began right after the limit was reached: both to tell and not to tell is right."""
    mails: dict[str, Mail] = field(default_factory=dict)
    """By recipient: the mail that told of it."""

    @property
    def down_since(self) -> int:
        return self.failed[0].wall


class Chain(StrEnum):
    """How well the chain of alerts worked when a notice was due."""

    WHOLE = "chain whole"
    BROKEN = "something of it away"
    MAIL = "mail server away"


@dataclass(frozen=True, slots=True)
class Delay:
    """How long after the evidence was complete a mail was handed over."""

    chain: Chain
    ms: int
    update: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A promise that was not kept."""

    server: str
    true: int
    what: str


@dataclass
class Verdict:
    """What came out of a site."""

    broken: list[Broken] = field(default_factory=list)
    delays: list[Delay] = field(default_factory=list)
    outages: list[Outage] = field(default_factory=list)
    incidents: list[list[Outage]] = field(default_factory=list)
    counts: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))


def judge(
    record: Record, windows: Sequence[MaintenanceWindow], contacts: dict[str, tuple[str, ...]], end: int
) -> Verdict:
    """Return whether everything that was promised to the ``contacts`` of each server was done until ``end``."""
    return _Judge(record, windows, contacts, end).verdict()


def outages_of(attempts: Iterable[Attempt], windows: Sequence[MaintenanceWindow]) -> list[Outage]:
    """Return the outages of one check, from its attempts in the order of their start."""
    outages: list[Outage] = []
    present: Outage | None = None
    ever_up = False
    for attempt in attempts:
        if attempt.ended is None or attempt.lost:
            continue
        if attempt.outcome is Outcome.SUCCESS:
            ever_up = True
            if present is not None:
                present.end, present = attempt, None
        elif attempt.outcome is Outcome.FAILURE and ever_up:
            if present is None:
                present = Outage(attempt.server, attempt.check)
                outages.append(present)
            else:
                present.confirmed += _step(present.failed[-1], attempt)
            present.failed.append(attempt)
        # after maintenance a void attempt is enough: the evidence was complete before, and nothing has ended the outage
        if present is not None and present.limit is None and present.confirmed >= LIMIT:
            near = [window for window in windows if window.server == attempt.server]
            if not any(window.start <= attempt.ended_wall < window.end + GRACE for window in near):
                present.limit = attempt
                soon = attempt.ended_wall + LAST_RESORT
                present.told_or_not = any(attempt.ended_wall <= window.start <= soon for window in near)
    return outages


def _step(earlier: Attempt, later: Attempt) -> int:
    """Return the evidence that two failed attempts in a row give."""
    same = earlier.process == later.process
    length = later.monotonic - earlier.monotonic if same else later.wall - earlier.wall
    return length if 0 <= length <= 2 * INTERVAL else 0


def incidents_of(outages: Iterable[Outage]) -> list[list[Outage]]:
    """Return the outages of one server by incident."""
    incidents: list[list[Outage]] = []
    for outage in sorted(outages, key=lambda each: each.failed[0].true):
        going_on = bool(incidents) and any(
            each.end is None or each.end.true > outage.failed[0].true for each in incidents[-1]
        )
        # by the wall clock of the end that was seen last, whatever that clock said at earlier ones
        ends = [each.end for each in incidents[-1] if each.end] if incidents else []
        last = max(ends, key=lambda each: each.true, default=None)
        if going_on or (last and outage.down_since - last.wall <= REJOIN):
            incidents[-1].append(outage)
        else:
            incidents.append([outage])
    return incidents


def report_due(recovered: int) -> int:
    """Return when the report of what ended at ``recovered`` (wall) is due: 17:00 of the next business day in Japan."""
    day: date = (datetime.fromtimestamp(recovered / SECOND, UTC) + JAPAN).date() + timedelta(days=1)
    while not works(day):
        day += timedelta(days=1)
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) - JAPAN
    return round(midnight.timestamp() * SECOND) + 17 * HOUR


def kind_of(mail: Mail) -> str:
    """Return what a mail is, by its subject."""
    return next((kind for kind, shape in SHAPES.items() if shape.search(mail.subject.strip())), "other")


class _Judge:
    def __init__(
        self, record: Record, windows: Sequence[MaintenanceWindow], contacts: dict[str, tuple[str, ...]], end: int
    ) -> None:
        self.record = record
        self.windows = windows
        self.contacts = contacts
        self.end = end
        self.result = Verdict()

    def verdict(self) -> Verdict:
        by_check: defaultdict[tuple[str, str], list[Attempt]] = defaultdict(list)
        for attempt in self.record.attempts:
            by_check[attempt.server, attempt.check].append(attempt)
            self.result.counts[attempt.outcome] += 1
        mails: defaultdict[str, list[Mail]] = defaultdict(list)
        for mail in self._first_copies():
            mails[mail.recipient].append(mail)
        known = {address for addresses in self.contacts.values() for address in addresses}
        for stranger in mails.keys() - known - {"noc@provider.example"}:
            self._break("", mails[stranger][0].true, f"a mail to {stranger}, who is no contact")
        for complaint in self.record.complaints:
            self._break("", 0, f"the product complains of itself: {complaint}")
        for server, addresses in self.contacts.items():
            attempts = {check: of for (name, check), of in by_check.items() if name == server}
            outages = [outage for of in attempts.values() for outage in outages_of(of, self.windows)]
            incidents = incidents_of(outages)
            self.result.outages += outages
            self.result.incidents += incidents
            for address in addresses:
                self._told(server, address, incidents, mails[address])
                self._recovered(server, address, incidents, mails[address], attempts)
                self._reported(server, incidents, [mail for mail in mails[address] if kind_of(mail) == "report"])
        return self.result

    def _break(self, server: str, true: int, what: str) -> None:
        self.result.broken.append(Broken(server, true, what))

    def _first_copies(self) -> Iterator[Mail]:
        """Give each mail once. A second copy is right only where the exporter was killed since the first."""
        seen: dict[str, int] = {}
        for mail in self.record.mails:
            self.result.counts[f"mail {kind_of(mail)}"] += 1
            first = seen.get(mail.message_id)
            if first is None:
                seen[mail.message_id] = mail.true
                yield mail
            elif not any(first <= killed <= mail.true for killed in self.record.killed):
                self._break("", mail.true, f"a second copy to {mail.recipient} of {mail.subject}")
            else:
                self.result.counts["second copies after a kill"] += 1
                seen[mail.message_id] = mail.true

    def _told(self, server: str, address: str, incidents: Sequence[list[Outage]], mails: Sequence[Mail]) -> None:
        """Every outage that had to be told was told once and in time, and nothing else was."""
        telling = [mail for mail in mails if kind_of(mail) in ("notice", "update")]
        owed: defaultdict[str, list[Outage]] = defaultdict(list)
        for outage in (outage for incident in incidents for outage in incident if outage.limit):
            owed[outage.check].append(outage)
        for mail in telling:
            named = set(CHECK.findall(mail.text))
            if not named:
                self._break(server, mail.true, f"a mail that names no check: {mail.subject}")
            for check in sorted(named):
                waiting = [
                    each for each in owed[check] if address not in each.mails and _ended(each.limit) <= mail.true
                ]
                # one that should have been told long ago is not what this mail is about
                waiting = [
                    each for each in waiting if self._latest(_ended(each.limit), server)[0] >= mail.true
                ] or waiting[-1:]
                if not waiting:
                    self._break(server, mail.true, f"told in vain of {check}: {mail.subject}")
                else:
                    waiting[0].mails[address] = mail
        for incident in incidents:
            threads = _threads(incident, address)
            thread = [mail for mail in mails if mail.thread in threads]
            notices = [mail for mail in thread if kind_of(mail) == "notice"]
            if len(threads) > 1:
                self._break(server, thread[0].true, f"{len(threads)} notices of one incident to {address}")
            if thread and thread[0] not in notices:
                self._break(server, thread[0].true, f"{thread[0].subject} left before the notice to {address}")
            for mail in thread:
                if kind_of(mail) == "recovery":
                    _end_update(incident, address, mail)
            for outage in sorted((each for each in incident if each.limit), key=lambda each: _ended(each.limit)):
                self._in_time(server, outage, address, [mail for mail in thread if kind_of(mail) != "report"])

    def _in_time(self, server: str, outage: Outage, address: str, thread: Sequence[Mail]) -> None:
        owed = _ended(outage.limit)
        mail = outage.mails.get(address)
        latest, chain = self._latest(owed, server)
        before = [each.true for each in takewhile(lambda each: each is not mail, thread)]
        update = bool(before)
        if update:
            # checks that reach the limit later go into one update per ten minutes
            again = max(before) + BETWEEN_UPDATES
            if any(span.overlaps(max(before), owed + PROMPT) for span in self.record.wrong_clock):
                again = max(again, owed + BETWEEN_UPDATES)  # the pace is that of the wall clock
            set_at = sorted(at for span in self.record.wrong_clock for at in (span.start, span.end) if at is not None)
            for at in set_at:
                if max(before) <= at <= again:
                    again = (
                        at + BETWEEN_UPDATES
                    )  # where that was set back, it is waited for so long from then on at most
            if again > owed:
                latest = max(latest, self._latest(again, server)[0])
        if mail is None:
            if latest < self.end and not outage.told_or_not:
                self._break(server, owed, f"nobody at {address or server} was told that {outage.check} was down")
            return
        if mail.true > latest and not outage.told_or_not:
            late = f"{(mail.true - owed) / SECOND:.1f} s after the evidence was complete, {chain}"
            self._break(server, owed, f"{address} was told late of {outage.check}: {late}")
        if not outage.told_or_not:
            self.result.delays.append(Delay(chain, mail.true - owed, update))

    def _latest(self, owed: int, server: str) -> tuple[int, Chain]:
        """Return by when a mail has to be handed over that is owed from ``owed`` on, and how well the chain worked."""
        record = self.record
        chain = (Part.EXPORTER, Part.ALERTMANAGER, Part.SCRAPES)
        away = [span for span in record.spans(*chain) if span.overlaps(owed - 1, owed + PROMPT)]
        away += [span for span in record.spans(Part.PROMETHEUS) if span.overlaps(owed - EVALUATED, owed + PROMPT)]
        # the clock was set into or out of a window: Prometheus spares the server for ten minutes more, by its own clock
        set_at = (at for span in record.wrong_clock for at in (span.start, span.end) if at is not None)
        stepped = any(owed - GRACE - PROMPT <= at <= owed + PROMPT for at in set_at)
        if stepped and any(window.server == server for window in self.windows):
            away = [*record.wrong_clock]
        if not away and not any(span.overlaps(owed, owed + PROMPT) for span in record.spans(Part.MAIL)):
            return owed + PROMPT, Chain.WHOLE
        at, moved, without_mail = owed + LAST_RESORT, True, False
        while moved:
            moved = False
            for span in sorted(record.spans(Part.EXPORTER), key=lambda each: each.start):
                if span.overlaps(max(owed, at - LAST_RESORT), at):
                    at, moved = (span.end or 10 * self.end) + LAST_RESORT, True
            for span in record.spans(Part.MAIL):
                if span.overlaps(owed, at) and (span.end or 10 * self.end) + MAIL_BACK > at:
                    at, moved, without_mail = (span.end or 10 * self.end) + MAIL_BACK, True, True
        return at, Chain.MAIL if without_mail else Chain.BROKEN

    def _recovered(
        self,
        server: str,
        address: str,
        incidents: Sequence[list[Outage]],
        mails: Sequence[Mail],
        attempts: dict[str, list[Attempt]],
    ) -> None:
        """A recovery is told to whom was told of the outage, and only when it lasts."""
        left = {mail.message_id: mail for mail in mails if kind_of(mail) == "recovery"}
        begins = [incident[0].failed[0].true for incident in incidents]
        for incident, next_begins in zip(incidents, [*begins, self.end][1:], strict=True):
            threads = _threads(incident, address)
            recoveries = [mail for mail in left.values() if mail.thread in threads]
            for mail in recoveries:
                del left[mail.message_id]
                for check in sorted(set(CHECK.findall(mail.text))):
                    # one that leaves only in the next incident, since the mail server was away, was true before that
                    if not _lasts(attempts[check], min(mail.true, next_begins)):
                        self._break(server, mail.true, f"{check} was told to be well before that lasted")
            if not threads or any(outage.end is None for outage in incident):
                continue
            over = max(_ended(outage.end) for outage in incident if address in outage.mails)
            if not any(mail.true >= over for mail in recoveries) and over + DAY < self.end:
                self._break(server, over, f"{address} was not told that the outage is over")
        for mail in left.values():
            self._break(server, mail.true, "a recovery was told to somebody who was not told of its outage")

    def _reported(self, server: str, incidents: Sequence[list[Outage]], reports: Sequence[Mail]) -> None:
        """Every incident whose customer had to be told has a report, before it is due."""
        for incident in incidents:
            if not any(outage.limit for outage in incident) or any(outage.end is None for outage in incident):
                continue
            over = max((outage.end for outage in incident if outage.end), key=lambda each: each.true)
            due = report_due(over.wall)
            sent = [mail for mail in reports if mail.true > _ended(over)]
            if (server, over.wall, due) not in self.record.drafts:
                self._break(
                    server, over.true, "the report was not drafted for the end of the incident, due as it should"
                )
            if due > self.end - HOUR:
                continue
            self.result.counts["reports owed"] += 1
            if not sent:
                self._break(server, over.true, "the report was never sent")
                continue
            # due may be over already, by the true time, when the clock was a day behind at the end
            hindered = any(span.overlaps(over.true, max(due, over.true + 1)) for span in self.record.wrong_clock)
            hindered = hindered or any(
                span.overlaps(due - 45 * MINUTE, due + 1) for span in self.record.spans(Part.MAIL, Part.EXPORTER)
            )
            if min(mail.true for mail in sent) > due and not hindered:
                self._break(server, over.true, f"the report was sent {(sent[0].true - due) / MINUTE:.0f} min too late")


def _ended(attempt: Attempt | None) -> int:
    return attempt.ended or 0 if attempt else 0


def _threads(incident: Iterable[Outage], address: str) -> set[str]:
    """Return the conversations in which a contact was told of an incident: one, if all is well."""
    return {outage.mails[address].thread for outage in incident if address in outage.mails}


def _end_update(incident: Iterable[Outage], address: str, recovery: Mail) -> None:
    """Note what a recovery tells of: what was over before its update was due is named there (docs/notices.md)."""
    named = set(CHECK.findall(recovery.text))
    for outage in incident:
        over = outage.end is not None and _ended(outage.end) <= recovery.true
        if outage.limit and over and outage.check in named and address not in outage.mails:
            outage.mails[address] = recovery


def _lasts(attempts: Iterable[Attempt], at: int) -> bool:
    """Tell whether a check was up for three attempts in a row over two minutes, at ``at``."""
    row: list[Attempt] = []
    for attempt in attempts:
        if attempt.ended is None or attempt.ended > at or attempt.outcome is Outcome.VOID:
            continue
        row = [*row, attempt] if attempt.outcome is Outcome.SUCCESS else []
    return len(row) >= LASTING_SUCCESSES and row[-1].true - row[0].true >= LASTING
