"""SCRAM: the examples of the RFCs, passwords that need preparation, and servers that ask for too much."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors import scram
from collectors.secret import Secret
from tests.peers.certificates import Authority

FIRST = "n=user,r=rOprNGfwEbeRWgbNEkqO"
CHALLENGE = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"


def test_the_example_of_rfc_7677_is_answered_and_its_server_believed() -> None:
    asked = scram.challenge(CHALLENGE, "rOprNGfwEbeRWgbNEkqO")
    answer = scram.answer(Secret("pencil"), asked, FIRST, b"n,,")
    assert answer.begin == "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p="
    assert answer.proof.reveal() == "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    assert scram.proves("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", answer)


@pytest.mark.parametrize(
    "last", ["", "v=", "v=7rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", "e=other-error", "v=\u00e9", "v=AAAA"]
)
def test_a_server_that_does_not_know_the_password_is_not_believed(last: str) -> None:
    answer = scram.answer(Secret("pencil"), scram.challenge(CHALLENGE, "rOprNGfwEbeRWgbNEkqO"), FIRST, b"n,,")
    assert not scram.proves(last, answer)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "not the server's first message"),
        ("r=abcX,s=AAAA,i=0", "not the server's first message"),
        ("r=abcX,s=AAAA,i=-5", "not the server's first message"),
        ("r=abcX,s=,i=4096", "not the server's first message"),
        ("m=ext,r=abcX,s=AAAA,i=4096", "not the server's first message"),
        ("r=abcX,s=AAA,i=4096", "base64"),
        ("r=abc,s=AAAA,i=4096", "nonce"),
        ("r=other,s=AAAA,i=4096", "nonce"),
        ("r=abcX,s=AAAA,i=999999999", "limit"),
        ("r=abcX,s=AAAA,i=99999999999999", "not the server's first message"),
    ],
)
def test_a_challenge_that_asks_for_too_much_or_nothing_is_refused(text: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=wrong):
        scram.challenge(text, "abc")


@given(st.text(alphabet="r=abcXs,i0123456789AQ+/\0\u00e9"))
def test_no_challenge_breaks_the_parser(text: str) -> None:
    try:
        asked = scram.challenge(text, "a")
    except ValueError:
        return
    assert 1 <= asked.iterations <= scram.MOST_ITERATIONS


# the examples of RFC 4013 §3, and what PostgreSQL does with what it does not allow: take it as it is


@pytest.mark.parametrize(
    ("password", "prepared"),
    [
        ("I\u00adX", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("\u0007", "\u0007"),
        ("\u0627\u0031", "\u0627\u0031"),
        ("パスワード\u3000１", "パスワード 1"),
        ("\uff8a\uff9f", "パ"),
        ("", ""),
    ],
)
def test_a_password_is_prepared_as_the_server_did_when_it_was_set(password: str, prepared: str) -> None:
    assert scram.prepared(password) == prepared


@given(st.text())
def test_no_password_breaks_the_preparation(password: str) -> None:
    assert isinstance(scram.prepared(password), str)


def test_the_proof_is_bound_to_the_hash_of_the_certificate(authority: Authority) -> None:
    pem = authority.issue("db.example").read_text("utf-8").partition("-----BEGIN CERTIFICATE-----")[2]
    der = base64.b64decode(pem.partition("-----END")[0])
    assert scram.end_point(der) == hashlib.sha256(der).digest()
    assert scram.end_point(b"\0nonsense") is None
