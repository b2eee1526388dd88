"""DNS messages: what a zone file says comes out, and no bytes can do harm."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.dns_message import HEADER, RECORDS_READ, TYPES, Malformed, Record, answers, parse, question, tidy
from tests.peers.dns import ZONE, name, record, response

ASKED = question(7, "shop.example.", "A", recursion=True, edns=False)


def test_a_question_is_what_rfc_1035_says() -> None:
    assert bytes.fromhex("0007 0100 0001 0000 0000 0000 0473686f70 076578616d706c65 00 0001 0001") == ASKED
    with_edns = question(7, "shop.example.", "A", recursion=False, edns=True)
    assert with_edns[2:4] == b"\0\0"
    assert with_edns[10:12] == b"\0\1"
    assert with_edns.endswith(bytes.fromhex("00 0029 04d0 00000000 0000"))


@pytest.mark.parametrize(
    ("kind", "data", "text"),
    [
        ("A", bytes([192, 0, 2, 1]), "192.0.2.1"),
        ("AAAA", bytes.fromhex("20010db8000000000000000000000001"), "2001:db8::1"),
        ("CNAME", name("WWW.Shop.Example"), "www.shop.example."),
        ("MX", b"\0\x0a" + name("mail.shop.example"), "10 mail.shop.example."),
        ("NS", name("ns1.shop.example"), "ns1.shop.example."),
        ("PTR", b"\xc0\x0c", "shop.example."),
        ("SRV", b"\0\1\0\2\x01\xbb" + name("a.example"), "1 2 443 a.example."),
        ("TXT", b"\x06v=spf1\x05 -all", "v=spf1 -all"),
        ("TXT", b"\x03\xff\0a", "\\xff\0a"),
        ("CAA", b"\0\5issueca.example", "0 issue ca.example"),
        ("SOA", name("ns1.example") + name("mail.example") + bytes(19) + b"\1", "ns1.example. mail.example. 0 0 0 0 1"),
        ("A", None, ""),
    ],
)
def test_records_are_told_as_a_zone_file_has_them(kind: str, data: bytes | None, text: str) -> None:
    records = [] if data is None else [record(b"\xc0\x0c", kind, data)]
    message = parse(response(ASKED, records))
    assert message.rcode == "NOERROR"
    assert message.records("shop.example.", kind) == ((text,) if text else ())


def test_types_that_are_not_known_are_passed_over() -> None:
    records = [record(b"\xc0\x0c", 46, b"signature"), record(b"\xc0\x0c", "A", bytes(4))]
    assert parse(response(ASKED, records)).answers == (Record("shop.example.", "A", "0.0.0.0"),)


def test_aliases_lead_to_the_records_and_a_chain_that_bites_its_tail_to_none() -> None:
    chain = [record(name("shop.example"), "CNAME", name("b.example")), record(name("b.example"), "A", bytes(4))]
    assert parse(response(ASKED, chain)).records("shop.example.", "A") == ("0.0.0.0",)
    assert parse(response(ASKED, chain)).records("shop.example.", "CNAME") == ("b.example.",)
    circle = [record(name("shop.example"), "CNAME", name("b.example")), record(name("b.example"), "CNAME", b"\xc0\x0c")]
    assert parse(response(ASKED, circle)).records("shop.example.", "A") == ()


@pytest.mark.parametrize(
    "said",
    [
        b"",
        ASKED[:11],
        response(ASKED, [record(b"\xc0\x1e", "A", bytes(4))]),  # points at itself
        response(ASKED, [record(b"\xc0\xff", "A", bytes(4))]),  # points beyond the end
        response(ASKED, [record(b"\x01a\xc0\x1e", "A", bytes(4))]),  # points at its own beginning
        response(ASKED, [record(b"\x40a", "A", bytes(4))]),
        response(ASKED, [record((b"\x3f" + b"x" * 63) * 4 + b"\0", "A", bytes(4))]),
        response(ASKED, [record(b"\xc0\x0c", "A", bytes(5))]),
        response(ASKED, [record(b"\xc0\x0c", "A", bytes(3))]),
        response(ASKED, [record(b"\xc0\x0c", "TXT", b"\xffabc")]),
        response(ASKED, [record(b"\xc0\x0c", "A", bytes(4))])[:-2],
        response(ASKED, [], count=0xFFFF),
        response(ASKED, [], count=3),
    ],
)
def test_what_cannot_be_is_malformed(said: bytes) -> None:
    with pytest.raises(Malformed):
        parse(said)


def test_names_that_point_at_each_other_end() -> None:
    said = response(ASKED, [record(b"\xc0\x20", "A", bytes(4))])
    with pytest.raises(Malformed, match="backwards"):
        parse(said)


def test_the_longest_answer_is_read_and_a_longer_one_is_not() -> None:
    records = [record(b"\xc0\x0c", "A", bytes(4))] * RECORDS_READ
    assert len(parse(response(ASKED, records)).answers) == RECORDS_READ
    with pytest.raises(Malformed, match="more than"):
        parse(response(ASKED, [*records, records[0]]))


def test_a_truncated_answer_may_end_between_records() -> None:
    message = parse(response(ASKED, [], flags=0x8200, count=4))
    assert message.truncated
    assert message.answers == ()


@pytest.mark.parametrize(
    "said",
    [
        ASKED,  # the question itself
        response(question(8, "shop.example.", "A", recursion=True, edns=False), []),
        response(question(7, "shop.example.", "AAAA", recursion=True, edns=False), []),
        response(question(7, "other.example.", "A", recursion=True, edns=False), []),
        response(ASKED, [])[: HEADER - 1],
        response(ASKED, [], flags=0x8800),
        response(ASKED, [])[:4] + bytes(8),  # no question, and no complaint about it
        bytes(50),
    ],
)
def test_only_our_question_is_answered(said: bytes) -> None:
    assert not answers(said, 7, "shop.example.", "A")


def test_a_question_comes_back_in_any_case_or_not_at_all_with_a_complaint() -> None:
    assert answers(response(ASKED.replace(b"shop", b"sHoP"), []), 7, "shop.example.", "A")
    assert answers(response(ASKED, [], flags=0x8001)[:4] + bytes(8), 7, "shop.example.", "A")


@pytest.mark.parametrize(
    ("kind", "text", "same"),
    [
        ("A", "192.0.2.1", "192.0.2.1"),
        ("AAAA", "2001:DB8:0::1", "2001:db8::1"),
        ("MX", "10  Mail.Example", "10 mail.example."),
        ("CAA", '0 ISSUE "ca.example"', "0 issue ca.example"),
        ("TXT", "v=spf1  -all", "v=spf1  -all"),
        ("NS", ".", "."),
    ],
)
def test_data_of_the_configuration_is_brought_into_the_form_of_the_answers(kind: str, text: str, same: str) -> None:
    assert tidy(kind, text) == same


@pytest.mark.parametrize(
    ("kind", "text"),
    [("A", "x"), ("AAAA", "192.0.2.1"), ("MX", "mail.example"), ("NS", "日本.example"), ("NS", "a..b")],
)
def test_data_that_cannot_be_is_refused(kind: str, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        tidy(kind, text)


@given(said=st.binary(max_size=600))
def test_no_bytes_crash_the_parser(said: bytes) -> None:
    for data in (said, response(ASKED, []) + said, said[:6] + b"\0\5" + said[6:]):
        try:
            message = parse(data)
        except Malformed:
            continue
        assert all(record.kind in TYPES for record in message.answers)


@given(zone=st.lists(st.sampled_from(ZONE), max_size=8), cut=st.integers(0, 400), noise=st.binary(max_size=4))
def test_an_answer_with_a_fault_anywhere_is_read_or_malformed(zone: list[bytes], cut: int, noise: bytes) -> None:
    said = response(ASKED, zone)
    place = min(cut, len(said))
    with contextlib.suppress(Malformed):
        parse(said[:place] + noise + said[place + len(noise) :])
