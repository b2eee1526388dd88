"""MySQL's packets: what is malformed is refused, proofs are what servers expect, and every error has its meaning."""

import contextlib
import hashlib

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from hypothesis import given
from hypothesis import strategies as st

from collectors import mysqlwire as wire
from collectors.failures import (
    CheckFailure,
    Misconfigured,
    TimedOut,
    Unauthorized,
    Unavailable,
    UnexpectedReply,
    WrongContent,
)
from collectors.mysqlwire import Can

SALT = bytes(range(1, 21))


def greeting(
    version: bytes = b"8.0.36", *, capabilities: int = 0xFFFFFFFF, method: bytes = b"caching_sha2_password"
) -> bytes:
    low, high = (capabilities & 0xFFFF).to_bytes(2, "little"), (capabilities >> 16).to_bytes(2, "little")
    head = b"\x0a" + version + b"\0" + b"\7\0\0\0" + SALT[:8] + b"\0" + low
    return head + b"\xff\2\0" + high + b"\x15" + bytes(10) + SALT[8:] + b"\0" + method + b"\0"


def test_a_greeting_says_version_capabilities_salt_and_method() -> None:
    said = wire.greeting(greeting())
    assert (said.version, said.salt, said.method, said.mariadb) == ("8.0.36", SALT, "caching_sha2_password", False)
    assert Can.SSL in said.capabilities
    assert wire.greeting(greeting(b"5.5.5-10.11.2-MariaDB")).mariadb
    old = wire.greeting(b"\x0a5.0.95\0\7\0\0\0" + SALT[:8] + b"\0\x00\xa2" + b"\x08\2\0" + bytes(13) + SALT[8:] + b"\0")
    assert (old.salt, old.method) == (SALT, "mysql_native_password")
    assert Can.PLUGIN_AUTH not in old.capabilities


@pytest.mark.parametrize(
    "body", [b"", b"\x09", b"\x0a", b"\x0a5.5", b"\x0a5.5\0", b"\x0a5.5\0" + bytes(14), b"SSH-2.0-x"]
)
def test_what_is_no_greeting_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="greeting"):
        wire.greeting(body)


def test_a_native_proof_is_one_that_the_server_can_check_with_the_stored_hash() -> None:
    proof = wire.proof(wire.NATIVE, "pass", SALT)
    assert proof is not None
    stored = hashlib.sha1(hashlib.sha1(b"pass").digest()).digest()
    mask = hashlib.sha1(SALT + stored).digest()
    assert hashlib.sha1(bytes(a ^ b for a, b in zip(proof, mask, strict=True))).digest() == stored


def test_a_caching_sha2_proof_is_one_that_the_server_can_check_with_the_cached_hash() -> None:
    proof = wire.proof(wire.CACHING_SHA2, "pass", SALT)
    assert proof is not None
    cached = hashlib.sha256(hashlib.sha256(b"pass").digest()).digest()
    mask = hashlib.sha256(cached + SALT).digest()
    assert hashlib.sha256(bytes(a ^ b for a, b in zip(proof, mask, strict=True))).digest() == cached


def test_no_password_has_no_proof_and_another_method_none_of_ours() -> None:
    assert wire.proof(wire.NATIVE, "", SALT) == b""
    assert wire.proof(wire.CACHING_SHA2, "", SALT) == b"\0"
    assert wire.proof("mysql_clear_password", "pass", SALT) is None


def test_a_sealed_password_opens_with_the_servers_key_only() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    sealed = wire.sealed("long pass word of more than twenty", SALT, pem)
    opened = key.decrypt(sealed, padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None))
    assert (
        bytes(byte ^ SALT[place % 20] for place, byte in enumerate(opened)) == b"long pass word of more than twenty\0"
    )


def test_what_is_no_rsa_key_seals_nothing() -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    other = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    for key in (b"", b"-----BEGIN PUBLIC KEY-----\n", other):
        with pytest.raises(ValueError, match=r".+"):
            wire.sealed("pass", SALT, key)


def test_a_switch_says_method_and_salt_and_an_old_servers_neither() -> None:
    assert wire.switch(b"\xfemysql_native_password\0" + SALT + b"\0") == ("mysql_native_password", SALT)
    assert wire.switch(b"\xfe") == ("mysql_old_password", b"")


def test_an_error_has_its_code_with_and_without_a_state() -> None:
    assert str(wire.failed(b"\xff\x10\x04#08004Too many connections")) == "1040: Too many connections"
    assert str(wire.failed(b"\xff\x69\x04Host '192.0.2.1' is blocked")) == "1129: Host '192.0.2.1' is blocked"
    with pytest.raises(ValueError, match="without a code"):
        wire.failed(b"\xff\x10")


def test_the_first_column_is_read_in_all_its_lengths() -> None:
    assert wire.first_column(b"\x017\x01x") == b"7"
    assert wire.first_column(b"\0") == b""
    assert wire.first_column(b"\xfb\x01x") is None
    for prefix in (b"\xfc\x02\0", b"\xfd\x02\0\0", b"\xfe\x02\0\0\0\0\0\0\0"):
        assert wire.first_column(prefix + b"ab") == b"ab"


@pytest.mark.parametrize("body", [b"", b"\x057", b"\xfc\x02", b"\xfe" + b"\xff" * 8 + b"x", b"\xff"])
def test_a_column_that_lies_about_its_length_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"length|longer"):
        wire.first_column(body)


@given(st.binary(max_size=200))
def test_no_packet_breaks_the_parsers(body: bytes) -> None:
    for parse in (wire.greeting, wire.failed, wire.column_count, wire.first_column):
        with contextlib.suppress(ValueError):
            parse(body)
    method, salt = wire.switch(body)
    assert method
    assert len(salt) <= 20
    wire.is_end(body)


@pytest.mark.parametrize(
    ("code", "message", "failure"),
    [
        (1040, "Too many connections", Unavailable),
        (1053, "Server shutdown in progress", Unavailable),
        (1047, "WSREP has not yet prepared node for application use", Unavailable),
        (1047, "Unknown command", UnexpectedReply),
        (2003, "Can't connect to remote MySQL server", Unavailable),
        (9001, "Max connect timeout reached while reaching hostgroup 0", Unavailable),
        (1045, "Access denied", Unauthorized),
        (1129, "Host is blocked because of many connection errors", Misconfigured),
        (1130, "Host is not allowed to connect", Unauthorized),
        (1142, "SELECT command denied", Unauthorized),
        (4150, "User is blocked because of too many credential errors", Unauthorized),
        (1064, "You have an error in your SQL syntax", Misconfigured),
        (3159, "Connections using insecure transport are prohibited", Misconfigured),
        (1792, "Cannot execute statement in a READ ONLY transaction", Misconfigured),
        (1969, "max_statement_time exceeded", TimedOut),
        (3024, "maximum statement execution time exceeded", TimedOut),
        (1049, "Unknown database", WrongContent),
        (1146, "Table doesn't exist", WrongContent),
        (1030, "Got error 28 from storage engine", WrongContent),
    ],
)
def test_an_error_has_the_meaning_of_its_code(code: int, message: str, failure: type[CheckFailure]) -> None:
    assert type(wire.meaning(wire.Failed(code, message), "query", message)) is failure


def test_the_limits_are_those_of_the_server() -> None:
    assert "SET SESSION max_statement_time = 8.500" in wire.limits(wire.greeting(greeting(b"10.11.2-MariaDB")), 8.5)
    assert "SET SESSION max_execution_time = 8500" in wire.limits(wire.greeting(greeting()), 8.5)
