"""The duty to report an outage: what is owed by when, and what people have made of it so far.

A part of an incident (`exporter.contract.incidents`), changed by its events alone. All times are Unix time in ms.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Postponement:
    """A report that could not be there in time: until when, and what the customer is told of why."""

    at: int
    until: int
    reason: str
    author: str


@dataclass(frozen=True, slots=True)
class Approval:
    """Who said that the report can be sent."""

    at: int
    author: str


@dataclass(frozen=True, slots=True)
class Waiver:
    """Who said that no report has to be sent, and why."""

    at: int
    reason: str
    author: str


@dataclass(frozen=True, slots=True)
class SentReport:
    """A report that a person handed over, or that the mail server took."""

    at: int
    to: str
    by: str
    """``mail``, ``fax`` or ``post``."""
    copy: str
    """What it said, its subject first."""
    page: str
    """The same as HTML."""
    end: int = 0
    """The end of the incident of which it tells; 0 where its posting has that."""
    posted: int = 0
    """When it was put into the outbox; 0 where a person handed it over."""


@dataclass(frozen=True, slots=True)
class Posting:
    """A report that was put into the outbox, and the end of the incident of which it tells."""

    at: int
    end: int


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where the report of an incident stands."""

    end: int | None = None
    """When the incident was over. None until then, and where nothing has to be reported."""
    due: int | None = None
    cause: str = ""
    measures: str = ""
    postponed: tuple[Postponement, ...] = ()
    approved: Approval | None = None
    """Only while nothing changed that the report says."""
    posted: tuple[Posting, ...] = ()
    sent: tuple[SentReport, ...] = ()
    waived: Waiver | None = None
    """Only while nobody wrote into the report after that."""

    @property
    def owed(self) -> bool:
        """Tell whether the customer has to get a report and has none."""
        return self.due is not None and self.delivered is None and self.waived is None

    @property
    def delivered(self) -> SentReport | None:
        """Return the report that the customer has of the whole incident, not of what it was before an outage joined."""
        whole = {posting.at for posting in self.posted if posting.end == self.end}
        return next((sent for sent in self.sent if sent.end == self.end or sent.posted in whole), None)

    @property
    def state(self) -> str:
        """Return where it stands, in a word or two; empty where there is none."""
        if self.due is None:
            return ""
        if self.delivered:
            return "sent"
        if self.waived:
            return "waived"
        if any(posting.end == self.end for posting in self.posted):
            return "in the outbox"
        return "approved" if self.approved else "draft"

    def drafted(self, end: int, due: int) -> "Reporting":
        """Return it after the incident is over."""
        return replace(self, end=end, due=due)

    def reopened(self) -> "Reporting":
        """Return it after another outage joined: what was said, promised and approved is not the whole any more."""
        return replace(self, end=None, due=None, postponed=(), approved=None, waived=None)

    def edited(self, cause: str | None, measures: str | None) -> "Reporting":
        """Return it with another text; None leaves one as it is. One that was waived is owed again."""
        return replace(
            self,
            cause=self.cause if cause is None else cause,
            measures=self.measures if measures is None else measures,
            approved=None,
            waived=None,
        )

    def annotated(self) -> "Reporting":
        """Return it after a note, which the report tells too: it has to be approved again."""
        return replace(self, approved=None)

    def postponed_by(self, postponement: Postponement) -> "Reporting":
        """Return it with another day on which it is due."""
        return replace(self, due=postponement.until, postponed=(*self.postponed, postponement))

    def approved_by(self, approval: Approval) -> "Reporting":
        """Return it after it was approved."""
        return replace(self, approved=approval)

    def waived_by(self, waiver: Waiver) -> "Reporting":
        """Return it after a person said that none has to be sent."""
        return replace(self, waived=waiver)

    def posted_as(self, posting: Posting) -> "Reporting":
        """Return it after it was put into the outbox."""
        return replace(self, posted=(*self.posted, posting))

    def sent_as(self, sent: SentReport) -> "Reporting":
        """Return it after the customer got it."""
        return replace(self, sent=(*self.sent, sent))
