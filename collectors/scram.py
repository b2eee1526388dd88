"""SCRAM: both sides prove that they know a password, and neither sends it (RFC 5802, RFC 7677).

Only what a client needs. ``tls-server-end-point`` (RFC 5929 §4) binds the proof to the server's certificate: somebody
between, with a certificate of their own, cannot pass it on.
"""

import base64
import binascii
import hashlib
import hmac
import re
import stringprep
import unicodedata
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from collectors.secret import Secret

MOST_ITERATIONS = 600_000
"""Hashes that a server can make us compute for one log-in (4096 are usual): a third of a second of one core."""

_SERVER_FIRST = re.compile(r"r=([\x21-\x2b\x2d-\x7e]{1,1000}),s=([A-Za-z0-9+/=]{1,1000}),i=([1-9][0-9]{0,8})")
_UNASSIGNED = stringprep.in_table_a1
_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


@dataclass(frozen=True, slots=True)
class Challenge:
    """The server's first message (§5.1)."""

    text: str
    nonce: str
    salt: bytes
    iterations: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Our last message, whose proof lets nobody in but makes guessing the password possible, and the server's proof."""

    begin: str
    proof: Secret
    server_signature: bytes


def client_first(nonce: str) -> str:
    """Return our first message, without its header for channel binding, for a server that knows the user already."""
    return f"n=,r={nonce}"


def challenge(text: str, nonce: str) -> Challenge:
    """Return what the server's first message asks. Raises ValueError where it is none, or asks for too much."""
    match = _SERVER_FIRST.fullmatch(text)
    if match is None:
        raise ValueError("not the server's first message of SCRAM")
    if not match[1].startswith(nonce) or match[1] == nonce:
        raise ValueError("the server's nonce does not continue ours")
    if int(match[3]) > MOST_ITERATIONS:
        raise ValueError(f"it wants {match[3]} iterations, and {MOST_ITERATIONS} are the limit")
    try:
        salt = base64.b64decode(match[2], validate=True)
    except binascii.Error:
        raise ValueError("the salt is not base64") from None
    return Challenge(text, match[1], salt, int(match[3]))


def answer(password: Secret, asked: Challenge, first: str, binding: bytes) -> Answer:
    """Return the proof for SCRAM-SHA-256 (§3). ``binding`` is the header and the data of the channel binding.

    Takes as long as the server wants: 0.5 ms for each 1000 iterations.
    """
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password.reveal()).encode(), asked.salt, asked.iterations)
    client_key = _hmac(salted, b"Client Key")
    begin = f"c={base64.b64encode(binding).decode()},r={asked.nonce}"
    message = f"{first},{asked.text},{begin}".encode()
    signature = _hmac(hashlib.sha256(client_key).digest(), message)
    proof = bytes(a ^ b for a, b in zip(client_key, signature, strict=True))
    return Answer(
        f"{begin},p=",
        Secret(base64.b64encode(proof).decode()),
        _hmac(_hmac(salted, b"Server Key"), message),
    )


def proves(text: str, expected: Answer) -> bool:
    """Tell whether the server's last message shows that it knows the password, too."""
    try:
        given = base64.b64decode(text.removeprefix("v="), validate=True) if text.startswith("v=") else b""
    except ValueError:
        return False
    return hmac.compare_digest(given, expected.server_signature)


def end_point(certificate: bytes) -> bytes | None:
    """Return the data of tls-server-end-point, None for a certificate that it is not defined for (RFC 5929 §4.1)."""
    try:
        used = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except Exception:  # noqa: BLE001 - a server chooses the certificate, and OpenSSL accepts more than the parser does
        return None
    if used is None:
        return None
    weak = isinstance(used, hashes.MD5 | hashes.SHA1)
    digest = hashes.Hash(hashes.SHA256() if weak else used)
    digest.update(certificate)
    return digest.finalize()


def prepared(password: str) -> str:
    """Return a password in the form that is hashed (SASLprep, RFC 4013); as it is where that is not defined."""
    mapped = "".join(" " if stringprep.in_table_c12(c) else c for c in password if not stringprep.in_table_b1(c))
    text = unicodedata.normalize("NFKC", mapped)
    if not text or any(_UNASSIGNED(c) or any(table(c) for table in _PROHIBITED) for c in text):
        return password
    right = [stringprep.in_table_d1(c) for c in text]
    if any(right) and (any(map(stringprep.in_table_d2, text)) or not (right[0] and right[-1])):  # RFC 3454 §6
        return password
    return text


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
