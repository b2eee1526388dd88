"""PostgreSQL's messages: what is malformed is refused, and every error has its meaning."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import pgwire
from collectors.failures import (
    CheckFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WrongContent,
)


def test_an_error_says_severity_code_and_text() -> None:
    body = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0Fpostmaster.c\0L2344\0\0"
    assert str(pgwire.failed(body)) == "FATAL 57P03: the database system is starting up"


@pytest.mark.parametrize("body", [b"", b"\0", b"M\0\0", b"Mno code\0\0", b"C57\0Mshort\0\0", b"C57P0\xff\0Mx\0\0"])
def test_an_error_without_code_or_text_is_none(body: bytes) -> None:
    with pytest.raises(ValueError, match="without code or message"):
        pgwire.failed(body)


def test_a_row_gives_its_columns() -> None:
    assert pgwire.row(b"\0\3\0\0\0\1x\xff\xff\xff\xff\0\0\0\0") == [b"x", None, b""]


@pytest.mark.parametrize("body", [b"\0\1", b"\0\1\0\0\0\5x", b"\0\1\xff\xff\xff\xfe", b"\0\2\0\0\0\1x", b"\xff\xff"])
def test_a_row_that_lies_about_its_length_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="longer than it is"):
        pgwire.row(body)


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0, 3, pgwire.LONGEST + 5])
def test_a_length_that_cannot_be_is_refused(length: int) -> None:
    assert pgwire.body_length(b"R" + length.to_bytes(4, "big")) is None


@given(st.binary(min_size=5, max_size=5), st.binary(max_size=200))
def test_no_message_breaks_the_parsers(head: bytes, body: bytes) -> None:
    length = pgwire.body_length(head)
    assert length is None or 0 <= length <= pgwire.LONGEST
    for parse in (pgwire.row, pgwire.failed):
        with contextlib.suppress(ValueError):
            parse(body)


@pytest.mark.parametrize(
    ("code", "message", "failure"),
    [
        ("28P01", "password authentication failed", Unauthorized),
        ("28000", "no pg_hba.conf entry", Unauthorized),
        ("42501", "permission denied for table stock", Unauthorized),
        ("57P03", "the database system is starting up", Unavailable),
        ("57P01", "terminating connection due to administrator command", Unavailable),
        ("53300", "sorry, too many clients already", Unavailable),
        ("57014", "canceling statement due to statement timeout", TimedOut),
        ("3D000", "database does not exist", WrongContent),
        ("42P01", "relation does not exist", WrongContent),
        ("XX001", "invalid page in block 7", WrongContent),
        ("42601", "syntax error", Misconfigured),
        ("25006", "cannot execute INSERT in a read-only transaction", Misconfigured),
        ("08P01", "SASL authentication failed", Unauthorized),
        ("08P01", "no such user: probe", Unauthorized),
        ("08P01", "no such database: shop", WrongContent),
        ("08P01", "no more connections allowed (max_client_conn)", Unavailable),
        ("08P01", "server login has been failing, try again later (server_login_retry)", Unavailable),
        ("08P01", "query_wait_timeout", Unavailable),
        ("08P01", "transaction blocks not allowed in statement pooling mode", Misconfigured),
        ("08P01", "invalid message format", UnexpectedReply),
    ],
)
def test_an_error_has_the_meaning_of_its_code(code: str, message: str, failure: type[CheckFailure]) -> None:
    meant = pgwire.meaning(pgwire.Failed("FATAL", code, message), "log-in", message)
    assert type(meant) is failure
    assert meant.step == "log-in"
