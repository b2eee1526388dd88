"""Which silences a set of maintenance windows asks for, and what has to change for Alertmanager to have them."""

from dataclasses import replace

import pytest

from exporter.alertmanager_client import Matcher, Silence
from exporter.clock import HOUR, MINUTE
from exporter.contract.maintenance import GRACE, Booking
from exporter.inventory import MaintenanceWindow, Server
from exporter.silences import author_of, differences, wanted

NOW = 1_795_653_000_000  # 2026-11-26 09:30:00 in Japan
US = author_of("0badcafe")
SERVERS = [
    Server("web01", "c0001", managed=False, address="192.0.2.10", site="ogaki"),
    Server("db.01", "c0001", managed=False, address="192.0.2.11", site="ogaki"),
    Server("app01", "c0002", managed=False, address="192.0.2.12"),
]


def booking(start: int = NOW - HOUR, end: int = NOW + HOUR, number: int = 1, server: str = "web01") -> Booking:
    return Booking(number, MaintenanceWindow(start, end, "メモリ増設", server=server), NOW - HOUR, "sato")


def scoped(**scope: str) -> Booking:
    return replace(booking(), window=MaintenanceWindow(NOW - HOUR, NOW + HOUR, "メモリ増設", **scope))


def asked(*booked: Booking) -> list[Silence]:
    return wanted(booked, SERVERS, US, NOW)


@pytest.mark.parametrize(
    ("scope", "matcher"),
    [
        ({"server": "web01"}, Matcher("server", "web01")),
        ({"customer": "c0001"}, Matcher("customer_id", "c0001")),
        ({"site": "ogaki"}, Matcher("server", r"db\.01|web01", regex=True)),
    ],
)
def test_a_window_asks_for_one_silence_of_what_is_told_to_its_customers(
    scope: dict[str, str], matcher: Matcher
) -> None:
    [silence] = asked(scoped(**scope))
    assert silence.matchers == {Matcher("notify", "customer"), matcher}
    assert (silence.start, silence.end) == (NOW - HOUR, NOW + HOUR + GRACE)
    assert (silence.author, silence.comment) == ("dserver-exporter 0badcafe", "maintenance 1 (sato): メモリ増設")


def test_a_configured_window_is_silenced_as_one_that_was_entered() -> None:
    [silence] = asked(replace(booking(), configured=True, author="configuration"))
    assert silence.comment == "maintenance 1: メモリ増設"


def test_a_site_without_servers_silences_nothing_instead_of_everything() -> None:
    assert asked(scoped(site="tokyo")) == []


def test_a_window_that_is_over_or_never_began_asks_for_none_and_one_that_was_ended_for_ten_more_minutes() -> None:
    assert asked(booking(end=NOW - GRACE)) == []
    assert asked(replace(booking(NOW + HOUR, NOW + 2 * HOUR), ended=NOW)) == []
    [silence] = asked(replace(booking(), ended=NOW - MINUTE))
    assert silence.end == NOW - MINUTE + GRACE


def test_what_is_there_is_left_alone_also_where_alertmanager_let_it_begin_when_it_was_made() -> None:
    coming, now = asked(booking(NOW + HOUR, NOW + 2 * HOUR, number=1), booking(number=2))
    there = [replace(coming, id="a", state="pending"), replace(now, id="b", state="active", start=NOW)]
    assert differences([coming, now], there, US) == ([], [])


@pytest.mark.parametrize(
    "change",
    [
        {"end": NOW + 2 * HOUR},
        {"comment": "edited by hand"},
        {"matchers": frozenset({Matcher("server", "web01")})},
        {"start": NOW + 1, "state": "pending"},
    ],
)
def test_a_silence_that_is_not_as_it_should_be_is_replaced(change: dict[str, object]) -> None:
    [silence] = asked(booking())
    there = replace(replace(silence, id="a", state="active"), **change)  # type: ignore[arg-type]  # each of its type
    assert differences([silence], [there], US) == ([silence], [there])


def test_left_overs_and_doubles_of_ours_are_ended_and_nobody_elses_is_touched() -> None:
    [silence] = asked(booking())
    once, twice = (replace(silence, id=name, state="active") for name in "ab")
    left = replace(silence, id="c", comment="maintenance 7 (sato): x", state="pending")
    expired = replace(silence, id="d", state="expired", end=NOW)
    persons = replace(silence, id="e", author="sato", state="active")
    standbys = replace(silence, id="f", author=author_of("12345678"), state="active")
    missing, surplus = differences([silence], [once, twice, left, expired, persons, standbys], US)
    assert (missing, [each.id for each in surplus]) == ([], ["b", "c"])
