"""The availability of a month, read from the ledger that an exporter may be serving at the same time."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time
from zoneinfo import ZoneInfo

import sqlalchemy as sa

from exporter.clock import SECOND
from exporter.contract.availability import WITHDRAWN, Availability, Span, availability, common, spent_in
from exporter.contract.maintenance import Booking
from exporter.inventory import CheckKey, Config, Server
from exporter.ledger import LEASE, RUNNING, SITE, STOPPED, bookings, events, last_alive
from exporter.outage import Phase
from exporter.presence import GAP

DECEMBER = 12


@dataclass(frozen=True, slots=True)
class Month:
    """A calendar month in a time zone, as far as it is over."""

    first: date
    zone: ZoneInfo
    period: Span
    over: bool

    def __str__(self) -> str:
        """Return it as it is asked for."""
        return f"{self.first:%Y-%m}"


def month_of(text: str, zone: ZoneInfo, now: int) -> Month:
    """Return the month that ``YYYY-MM`` names. Raises ValueError with a sentence."""
    try:
        first = date.fromisoformat(f"{text}-01")
    except ValueError:
        raise ValueError("is no month, such as 2026-11") from None
    following = date(first.year + first.month // DECEMBER, first.month % DECEMBER + 1, 1)
    start, end = (round(datetime.combine(day, time(), zone).timestamp() * SECOND) for day in (first, following))
    if start >= now:
        raise ValueError("has not begun")
    return Month(first, zone, (start, min(end, now)), end <= now)


@dataclass(frozen=True, slots=True)
class CheckReport:
    """How one check did."""

    customer: str
    """Who leased the server; empty where that was never written down."""
    server: str
    check: str
    result: Availability


@dataclass(slots=True)
class Histories:
    """What the ledger has of a period, each history in the order in which it was written."""

    phases: dict[CheckKey, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    voids: dict[CheckKey, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    leases: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    moves: dict[str, list[tuple[int, str]]] = field(default_factory=lambda: defaultdict(list))
    presence: list[tuple[int, str]] = field(default_factory=list)

    def take_in(self, kind: str, server: str, subject: str, at: int, was: str, now: str) -> None:
        """Take in the next change, as the ledger has it."""
        if kind == "exporter":
            self.presence.append((at, now))
        elif kind == LEASE:
            self.leases[server].append((at, now))
        elif kind == SITE:
            self.moves[server].append((at, now))
        elif kind == "void":
            self.voids[server, subject].append((at, now))
        else:
            self.phases[server, subject].append((at, now))
            if now == WITHDRAWN or was == Phase.UNTRIED:  # another check from now on, under the same name
                self.voids[server, subject].append((at, ""))


def reports(connection: sa.Connection, config: Config, month: Month, now: int, customer: str = "") -> list[CheckReport]:
    """Return how each check did, sorted: those of the configuration, and others that were watched in the month.

    A server that went from one customer to another in the month has its checks once for each of them.
    """
    histories = read_histories(connection, month.period)
    running = running_spans(connection, histories, month.period[1], now)
    booked = bookings(connection)
    watched: dict[str, set[str]] = defaultdict(set)
    for name, check in histories.phases:
        watched[name].add(check)
    found = []
    for name in {*config.servers, *watched}:
        known = config.servers.get(name)
        for server, leased in _leased(histories, known, name, month.period):
            if customer not in ("", server.customer):
                continue
            windows = window_spans(booked, server, histories, month.period)
            theirs = common(running, leased)
            now_theirs = (
                {check.name for check in known.checks} if known and known.customer == server.customer else set()
            )
            for check in now_theirs | watched[name]:
                result = availability(
                    month.period,
                    phases=histories.phases.get((name, check), ()),
                    voids=histories.voids.get((name, check), ()),
                    watched=theirs,
                    maintenance=windows,
                )
                if check in now_theirs or result.counted or result.void:
                    found.append(CheckReport(server.customer, name, check, result))
    return sorted(found, key=lambda each: (each.customer, each.server, each.check))


def _leased(histories: Histories, known: Server | None, name: str, period: Span) -> Iterator[tuple[Server, list[Span]]]:
    """Give a server as each of its customers had it, and when. ``known`` is what the configuration has of it."""
    known = known or Server(name, "", managed=False, address="")
    if name not in histories.leases:  # a ledger from before leases were written down
        yield known, [period]
        return
    history = histories.leases[name]
    for customer in {known.customer, *(customer for _, customer in history)} - {""}:
        yield replace(known, customer=customer), spent_in(customer, history, period[1])


def read_histories(connection: sa.Connection, period: Span, server: str = "") -> Histories:
    """Read the changes in a period, and of each history the last one before it; of all servers, or of one."""
    start, end = period
    column = events.c
    relevant = sa.and_(column.kind.in_(("check", "void", "exporter", LEASE, SITE)))
    if server:
        relevant &= column.server.in_((server, ""))  # the exporter's own history names no server
    before = (
        sa.select(sa.func.max(column.id))
        .where(relevant, column.at < start)
        .group_by(column.server, column.kind, column.subject)
    )
    query = (
        sa.select(column.kind, column.server, column.subject, column.at, column.was, column.now)
        .where(relevant, sa.or_(sa.and_(column.at >= start, column.at < end), column.id.in_(before)))
        .order_by(column.id)
    )
    histories = Histories()
    for row in connection.execute(query):
        histories.take_in(*row)
    return histories


def running_spans(connection: sa.Connection, histories: Histories, end: int, now: int) -> list[Span]:
    """Return when an exporter ran. The last one is believed to run as long as it gives signs of life."""
    presence = histories.presence
    alive = last_alive(connection)
    if alive is not None and now - alive > GAP:
        presence = [*presence, (alive, STOPPED)]
    return spent_in(RUNNING, presence, end)


def window_spans(booked: Sequence[Booking], server: Server, histories: Histories, period: Span) -> list[Span]:
    """Return when a server was in maintenance, a site's windows as far as it was there."""
    return list(_windows(booked, server, _stays(histories, server, period)))


def _stays(histories: Histories, server: Server, period: Span) -> dict[str, list[Span]]:
    """Return when a server was at each site. Before the first that was written down it was there already."""
    history = histories.moves.get(server.name) or [(period[0], server.site)]
    history = [(min(history[0][0], period[0]), history[0][1]), *history[1:]]
    return {site: spent_in(site, history, period[1]) for _, site in history}


def _windows(booked: Sequence[Booking], server: Server, stays: Mapping[str, list[Span]]) -> Iterator[Span]:
    for booking in booked:
        window = booking.in_force
        if window.site:
            yield from common([(window.start, window.end)], stays.get(window.site, ()))
        elif server.within({window.scope}):
            yield window.start, window.end
