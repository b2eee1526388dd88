"""Which silences Alertmanager should have, so that its users see the maintenance windows; pure.

All times are Unix time in ms.
"""

import re
from collections import defaultdict
from collections.abc import Iterable

from exporter.alertmanager_client import EXPIRED, PENDING, Matcher, Silence
from exporter.contract.maintenance import GRACE, Booking
from exporter.inventory import Server


def author_of(ledger: str) -> str:
    """Return who makes the silences of a ledger: exporters that share an Alertmanager leave each other's alone."""
    return f"dserver-exporter {ledger}"


def wanted(booked: Iterable[Booking], servers: Iterable[Server], author: str, now: int) -> list[Silence]:
    """Return what should be there: one silence for each window that is not over, until ten minutes after it.

    It holds back what would be told to the customer; the NOC hears all the same.
    """
    at_site: dict[str, list[str]] = defaultdict(list)
    for server in servers:
        at_site[server.site].append(re.escape(server.name))
    silences = []
    for booking in booked:
        window = booking.in_force
        if window.end <= window.start or window.end + GRACE <= now:
            continue
        if window.site:  # no label of an alert: its servers are named
            whose = Matcher("server", "|".join(sorted(at_site[window.site])), regex=True)
        else:
            whose = Matcher("server", window.server) if window.server else Matcher("customer_id", window.customer)
        if not whose.value:  # a site without servers: an empty value would stand for alerts of no server
            continue
        by = "" if booking.configured else f" ({booking.author})"
        comment = f"maintenance {booking.number}{by}: {window.reason}".rstrip(": ")
        matchers = frozenset({Matcher("notify", "customer"), whose})
        silences.append(Silence(matchers, window.start, window.end + GRACE, author, comment))
    return silences


def differences(
    wanted: Iterable[Silence], found: Iterable[Silence], author: str
) -> tuple[list[Silence], list[Silence]]:
    """Return the silences that have to be made, and those of ``author`` that have to be ended.

    One that is active is right whenever it began: Alertmanager lets none begin before it is made.
    """
    standing: dict[tuple[frozenset[Matcher], int, str], list[Silence]] = defaultdict(list)
    for silence in found:
        if silence.author == author and silence.state != EXPIRED:
            standing[silence.matchers, silence.end, silence.comment].append(silence)
    missing = []
    for silence in wanted:
        alike = standing[silence.matchers, silence.end, silence.comment]
        right = next((each for each in alike if each.state != PENDING or each.start == silence.start), None)
        if right is None:
            missing.append(silence)
        else:
            alike.remove(right)
    return missing, [silence for left in standing.values() for silence in left]
