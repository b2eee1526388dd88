"""The exporter, which ends by SIGKILL at a step. Run as a program: ``mortal.py STEP FLAGS``.

Without a step it lives on. The step is ``before:WHAT`` or ``after:WHAT`` the commit that has WHAT for the first time
(an incident's event, or ``outbox/KIND`` and ``delivery/KIND`` of a mail), or ``taken:KIND``: the mail server has a mail
of this kind, and we do not know.

What nobody may configure is scaled down: a recovery lasts after a second instead of two minutes, and the webhook is
waited for five seconds after a scrape, six without.
"""

import os
import signal
import sys
from collections.abc import Iterator

from exporter import chain, ledger, outage
from exporter.cli import main
from exporter.mail.courier import Courier, Result
from exporter.mail.message import Outgoing

KINDS: dict[str, str] = {}
"""Of mails, by Message-ID."""


def whats(events: list[ledger.Event]) -> Iterator[str]:
    """Give what a commit has in it."""
    for event in events:
        values = event.values
        if event.table is ledger.incident_events:
            yield str(values["what"])
        elif event.table is ledger.outbox:
            KINDS[str(values["message_id"])] = str(values["kind"])
            yield f"outbox/{values['kind']}"
        elif event.table is ledger.deliveries:
            yield f"delivery/{KINDS[str(values['message_id'])]}"


def mortal(step: str) -> None:
    """Let this process end at the step."""
    when, _, what = step.partition(":")
    commit, hand_over = ledger.Ledger._commit, Courier.hand_over

    def commits(self: ledger.Ledger) -> bool:
        here = what in set(whats(self._unwritten_events))
        if here and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        written = commit(self)
        if here and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    def hands_over(self: Courier, mail: Outgoing) -> tuple[Result, str]:
        KINDS[mail.message_id] = mail.kind
        result = hand_over(self, mail)
        if when == "taken" and mail.kind == what:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    ledger.Ledger._commit = commits  # type: ignore[method-assign]
    Courier.hand_over = hands_over  # type: ignore[method-assign]


if __name__ == "__main__":
    outage.LASTING = 1_000
    chain.AFTER_SCRAPE, chain.WITHOUT_SCRAPE = 5_000, 6_000
    mortal(sys.argv.pop(1))
    main()
