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
class SentReport:
    """A report that reached the customer. ``by`` is ``mail``, ``fax`` or ``post``; ``copy`` is what it said."""

    at: int
    to: str
    by: str
    copy: str


@dataclass(frozen=True, slots=True)
class Reporting:
    """Where the report of an incident stands."""

    due: int | None = None
    """None until the incident is over, and where nothing has to be reported."""
    cause: str = ""
    measures: str = ""
    postponed: tuple[Postponement, ...] = ()
    approved: Approval | None = None
    """Only while nothing changed that the report says."""
    sent: tuple[SentReport, ...] = ()

    @property
    def owed(self) -> bool:
        """Tell whether the customer has to get a report and has none."""
        return self.due is not None and not self.sent

    def drafted(self, due: int) -> "Reporting":
        """Return it after the incident is over."""
        return replace(self, due=due)

    def reopened(self) -> "Reporting":
        """Return it after another outage joined: what was said, promised and approved is not the whole any more."""
        return Reporting(cause=self.cause, measures=self.measures)

    def edited(self, cause: str | None, measures: str | None) -> "Reporting":
        """Return it with another text; None leaves one as it is."""
        return replace(
            self,
            cause=self.cause if cause is None else cause,
            measures=self.measures if measures is None else measures,
            approved=None,
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

    def sent_as(self, sent: SentReport) -> "Reporting":
        """Return it after the customer got it."""
        return replace(self, sent=(*self.sent, sent))
