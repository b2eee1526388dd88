"""LDAP's messages: BER that lies is refused, filters are what RFC 4515 says, and every result has its meaning."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import ber
from collectors import ldapwire as wire
from collectors.failures import (
    CheckFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WrongContent,
)


@given(st.binary(max_size=70_000))
def test_an_element_is_read_as_it_was_written(content: bytes) -> None:
    written = ber.element(ber.OCTETS, content)
    assert list(ber.elements(written)) == [(ber.OCTETS, content)]
    first = written[1]
    more = written[2 : 2 + ber.more_length(first)]
    assert ber.length(first, more) == len(content)


@given(st.integers(0, 2**62))
def test_a_number_is_read_as_it_was_written(number: int) -> None:
    [(tag, content)] = ber.elements(ber.integer(number))
    assert (tag, ber.number(content)) == (ber.INTEGER, number)


@pytest.mark.parametrize(
    "content",
    [
        b"\x04",
        b"\x04\x80abc\0\0",  # indefinite
        b"\x04\x85\0\0\0\0\1a",
        b"\x04\xff",
        b"\x04\x84\xff\xff\xff\xffa",
        b"\x04\x82\xff",
        b"\x04\x02a",
    ],
)
def test_a_length_that_lies_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"length|longer"):
        list(ber.elements(content))


@pytest.mark.parametrize("content", [b"", bytes(9)])
def test_a_number_without_bytes_or_with_too_many_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match="number"):
        ber.number(content)


@given(st.binary(max_size=200))
def test_no_bytes_break_the_parsers(content: bytes) -> None:
    for parse in (wire.parsed, wire.result):
        with contextlib.suppress(ValueError):
            parse(content)


# the examples of RFC 4515 §4 that are no extensible matches


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("(cn=Babs Jensen)", b"\xa3\x11\x04\x02cn\x04\x0bBabs Jensen"),
        ("(!(cn=Tim Howes))", b"\xa2\x11\xa3\x0f\x04\x02cn\x04\x09Tim Howes"),
        ("(o=univ*of*mich*)", b"\xa4\x15\x04\x01o\x30\x10\x80\x04univ\x81\x02of\x81\x04mich"),
        ("(seeAlso=)", b"\xa3\x0b\x04\x07seeAlso\x04\x00"),
        ("(objectClass=*)", b"\x87\x0bobjectClass"),
        (r"(o=Parens R Us \28for all\29)", b"\xa3\x1a\x04\x01o\x04\x15Parens R Us (for all)"),
        (r"(cn=*\2A*)", b"\xa4\x09\x04\x02cn\x30\x03\x81\x01*"),
        (r"(bin=\00\00\00\04)", b"\xa3\x0b\x04\x03bin\x04\x04\0\0\0\4"),
        (r"(sn=Lu\c4\8di\c4\87)", b"\xa3\x0d\x04\x02sn\x04\x07Lu\xc4\x8di\xc4\x87"),
        (
            "(|(a>=1)(a<=2)(a~=3))",
            b"\xa1\x18"
            + b"".join(bytes((t, 6)) + b"\x04\x01a\x04\x01" + v for t, v in ((0xA5, b"1"), (0xA6, b"2"), (0xA8, b"3"))),
        ),
        ("(&(a=*x))", b"\xa0\x0a\xa4\x08\x04\x01a\x30\x03\x82\x01x"),
    ],
)
def test_a_filter_becomes_what_the_server_reads(said: str, wanted: bytes) -> None:
    assert wire.filter_of(said) == wanted


@pytest.mark.parametrize(
    "said",
    [
        "",
        "cn=x",
        "(cn=x",
        "(cn=x))",
        "(&)",
        "(!(a=1)(b=2))",
        "(cn)",
        "(cn>=a*)",
        "(cn=**)",
        r"(cn=\2)",
        r"(cn=\zz)",
        "(!" * 20,
    ],
)
def test_what_is_no_filter_is_refused(said: str) -> None:
    with pytest.raises(ValueError, match=r"has|is|must"):
        wire.filter_of(said)


@given(st.text(alphabet="()&|!=*<>~\\a2 :é", max_size=40))
def test_no_filter_breaks_the_parser(said: str) -> None:
    with contextlib.suppress(ValueError):
        wire.filter_of(said)


@pytest.mark.parametrize(
    ("code", "text", "failure"),
    [
        (49, "80090308: LdapErr: DSID-0C09044E, data 775", Unauthorized),
        (48, "anonymous bind disallowed", Unauthorized),
        (50, "", Unauthorized),
        (13, "TLS confidentiality required", Misconfigured),
        (1, "In order to perform this operation a successful bind must be completed", Unauthorized),
        (1, "", WrongContent),
        (51, "", Unavailable),
        (52, "", Unavailable),
        (53, "shadow context; no update referral", Unavailable),
        (3, "", TimedOut),
        (2, "", UnexpectedReply),
        (32, "", WrongContent),
        (10, "", WrongContent),
        (34, "invalid DN", Misconfigured),
    ],
)
def test_a_result_has_its_meaning(code: int, text: str, failure: type[CheckFailure]) -> None:
    assert type(wire.meaning(wire.Result(code, text), "search", text)) is failure
