"""TLS: the options every protocol shares, contexts made once and kept, and the one inspection of certificates."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from cryptography import x509
from cryptography.x509.oid import NameOID
from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, model_validator

from collectors.failures import Misconfigured, WrongContent
from collectors.registry import Options

STEP = "tls"
DAY = 86_400
"""Seconds."""
LEGACY_SERVER_CONNECT = 0x4
"""SSL_OP_LEGACY_SERVER_CONNECT, for servers without secure renegotiation; `ssl` names it from Python 3.12 on."""
NAMES_TOLD = 5
LONGEST_NAME = 100


def is_ip(text: str) -> bool:
    """Tell whether a text is an IP address."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _server_name(text: str) -> str:
    if text and not is_ip(text) and (not text.isascii() or not all(c.isalnum() or c in "-._" for c in text)):
        raise ValueError("must be a DNS name in ASCII (an internationalised one in its xn-- form) or an IP address")
    return text


def _file(value: object, info: ValidationInfo) -> object:
    """Take a relative path from the configuration's folder, where that is told."""
    if not isinstance(value, str):
        return value
    if not value or "\0" in value:
        raise ValueError("must be the path of a file")
    return (info.context or {}).get("folder", Path()) / value


CaFile = Annotated[Path | None, BeforeValidator(_file)]
"""A file of authorities in PEM, relative to the configuration's folder."""


def _version(value: object) -> object:
    return str(value) if isinstance(value, float) else value  # as YAML reads it without quotes


def _fingerprint(text: str) -> str:
    digits = text.replace(":", "").lower()
    if text and (len(digits) != 64 or not set(digits) <= set("0123456789abcdef")):
        raise ValueError("must be 64 hexadecimal digits, with or without colons: openssl x509 -fingerprint -sha256")
    return digits


Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
"""SHA-256 of a certificate, kept as 64 lower-case digits."""
Judging = Literal["verify", "pin", "ignore"]


class TlsOptions(Options):
    """What can be said about TLS, in every protocol that has it."""

    server_name: Annotated[str, AfterValidator(_server_name)] = ""
    """The name sent as SNI and looked for in the certificate; else the URL's, the server's hostname or its address."""
    ca_file: CaFile = None
    """The authorities trusted, in PEM, instead of the system's."""
    certificate: Judging = "verify"
    """``pin``: it must be the one of ``fingerprint_sha256``, whatever it says; ``ignore``: reported and not judged."""
    fingerprint_sha256: Fingerprint = ""
    certificate_warning_days: Annotated[int, Field(ge=0, le=3650)] = 14
    """A certificate that expires within so many days is worth a warning: the check passes all the same."""
    min_tls: Annotated[Literal["1.0", "1.2", "1.3"], BeforeValidator(_version)] = "1.2"
    """The oldest version spoken. ``1.0`` also admits the short keys and old ciphers of that age."""

    @model_validator(mode="after")
    def _pinned(self) -> Self:
        if (self.certificate == "pin") != bool(self.fingerprint_sha256):
            raise ValueError("certificate: pin and fingerprint_sha256 need each other: give both, or neither")
        return self


def _switch(value: object) -> object:
    return {True: "required", False: "off"}[value] if isinstance(value, bool) else value  # YAML reads off as false


StartTls = Annotated[Literal["auto", "required", "off"], BeforeValidator(_switch)]


class StartTlsOptions(TlsOptions):
    """What can be said about TLS in protocols that begin in plain text."""

    starttls: StartTls = "auto"
    """``auto``: used where the server offers it."""
    certificate: Judging = "ignore"
    """A client that takes plain text where there is no TLS gains nothing from refusing a certificate."""

    def begin(self, *, offered: bool) -> bool:
        """Tell whether to begin TLS. Raises WrongContent where it is required and the server does not offer it."""
        if self.starttls == "required" and not offered:
            raise WrongContent("starttls", "the server does not offer TLS on this port")
        return offered and self.starttls != "off"


def needs_name(options: TlsOptions) -> bool:
    """Tell whether a certificate is verified and the options say no name for it."""
    encrypted = not isinstance(options, StartTlsOptions) or options.starttls != "off"
    return encrypted and options.certificate == "verify" and not options.server_name


class Contexts:
    """One context for all checks that trust the same; made anew when its CA file changes."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path | None, bool, str], tuple[tuple[int, int], ssl.SSLContext]] = {}

    def get(self, options: TlsOptions, *, verify: bool) -> ssl.SSLContext:
        """Return the context for these options. Raises Misconfigured when the CA file is missing or not one."""
        file = options.ca_file if verify else None
        key = (file, verify, options.min_tls)
        try:
            stamp = _stamp(file)
            known = self._known.get(key)
            if known is None or known[0] != stamp:
                self._known[key] = known = (stamp, _context(file, verify=verify, oldest=options.min_tls))
        except OSError as error:  # ssl.SSLError, for a file that is not PEM, is one too
            why = "is not a file of certificates in PEM" if isinstance(error, ssl.SSLError) else error.strerror
            raise Misconfigured(STEP, f"ca_file {file}: {why}") from error
        return known[1]


contexts = Contexts()


def _stamp(file: Path | None) -> tuple[int, int]:
    if file is None:
        return (0, 0)
    stat = file.stat()
    return (stat.st_mtime_ns, stat.st_size)


def _context(file: Path | None, *, verify: bool, oldest: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    match oldest:
        case "1.0":
            context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
            context.set_ciphers("DEFAULT:@SECLEVEL=0")  # OpenSSL 3 has no older version at higher levels
            context.options |= LEGACY_SERVER_CONNECT
        case "1.2":
            context.minimum_version = ssl.TLSVersion.TLSv1_2
        case _:
            context.minimum_version = ssl.TLSVersion.TLSv1_3
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif file is None:
        context.load_default_certs()
    else:
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN  # what the file names is trusted, a root or not
        context.load_verify_locations(file)
    return context


@dataclass(frozen=True, slots=True)
class Certificate:
    """What a failure tells about a server's certificate."""

    begins: datetime
    ends: datetime
    names: tuple[str, ...]
    issuer: str
    self_signed: bool


def read_certificate(der: bytes) -> Certificate | None:
    """Return what a certificate says, None where it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        return Certificate(
            certificate.not_valid_before_utc,
            certificate.not_valid_after_utc,
            _names(certificate),
            _common_name(certificate.issuer) or certificate.issuer.rfc4514_string(),
            certificate.issuer == certificate.subject,
        )
    except Exception:  # noqa: BLE001 - a server chooses the certificate, and OpenSSL accepts more than the parser does
        return None


@lru_cache(maxsize=1024)
def expiry(der: bytes) -> float | None:
    """Return when a certificate ends (Unix time, seconds), None where it cannot be read."""
    try:
        return x509.load_der_x509_certificate(der).not_valid_after_utc.timestamp()
    except Exception:  # noqa: BLE001 - a server chooses the certificate, and OpenSSL accepts more than the parser does
        return None


def fingerprint(der: bytes) -> str:
    """Return a certificate's SHA-256 as ``fingerprint_sha256`` has it."""
    return sha256(der).hexdigest()


def expires_soon(options: Options, expiry: float | None, now: float) -> bool:
    """Tell whether a certificate that ends at ``expiry`` is worth a warning ``now`` (Unix time, seconds)."""
    days = options.certificate_warning_days if isinstance(options, TlsOptions) else 0
    return expiry is not None and expiry - now < days * DAY


class Flaw(StrEnum):
    """What is wrong with a certificate: the step of its failure."""

    EXPIRY = "expiry"
    """Expired, or not valid yet."""
    NAME = "name"
    CHAIN = "chain"
    """Not issued by whom we trust, or by one whose own certificate is at fault."""
    PIN = "pin"


def flaw_of(error: ssl.SSLCertVerificationError, certificate: Certificate | None = None) -> Flaw:
    """Return what OpenSSL finds wrong with a certificate; the ``certificate`` tells whether it itself expired."""
    match error.verify_code:
        case Verify.HOSTNAME_MISMATCH | Verify.IP_ADDRESS_MISMATCH:
            return Flaw.NAME
        case Verify.EXPIRED | Verify.NOT_YET_VALID:
            own = certificate is None or not certificate.begins <= datetime.now(UTC) <= certificate.ends
            return Flaw.EXPIRY if own else Flaw.CHAIN
        case _:
            return Flaw.CHAIN


def explain(error: ssl.SSLCertVerificationError, certificate: Certificate | None, name: str) -> str:
    """Say plainly what is wrong with a certificate that was to be for ``name``."""
    if certificate is None:
        return error.verify_message
    now = datetime.now(UTC)  # OpenSSL has judged by the same clock
    until = f"it is valid until {_time(certificate.ends)}" if now <= certificate.ends else "it is expired too"
    match error.verify_code:
        case Verify.HOSTNAME_MISMATCH | Verify.IP_ADDRESS_MISMATCH:
            return f"it is for {_some(certificate.names)}, not for {name}; {until}"
        case Verify.EXPIRED if certificate.ends < now:
            return f"expired on {_time(certificate.ends)}"
        case Verify.NOT_YET_VALID if now < certificate.begins:
            return f"not valid before {_time(certificate.begins)}"
        case Verify.EXPIRED | Verify.NOT_YET_VALID:
            return f"a certificate of its chain: {error.verify_message}; {until}"
        case Verify.SELF_SIGNED:
            return f"self-signed, and not in our ca_file; {until}"
        case Verify.SELF_SIGNED_IN_CHAIN | Verify.NO_ISSUER | Verify.NO_LOCAL_ISSUER | Verify.NO_CHAIN:
            return f"its issuer {certificate.issuer!r} is not trusted (or an intermediate is not sent); {until}"
        case _:
            return f"{error.verify_message}; {until}"


class Verify(IntEnum):
    """Why OpenSSL does not accept a certificate: X509_V_ERR_* in its x509_vfy.h."""

    NO_ISSUER = 2
    NOT_YET_VALID = 9
    EXPIRED = 10
    SELF_SIGNED = 18
    SELF_SIGNED_IN_CHAIN = 19
    NO_LOCAL_ISSUER = 20
    NO_CHAIN = 21
    HOSTNAME_MISMATCH = 62
    IP_ADDRESS_MISMATCH = 64


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        san = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return (_common_name(certificate.subject),)
    return (*san.get_values_for_type(x509.DNSName), *map(str, san.get_values_for_type(x509.IPAddress)))


def _common_name(name: x509.Name) -> str:
    return next((str(part.value) for part in name.get_attributes_for_oid(NameOID.COMMON_NAME)), "")


def _some(names: tuple[str, ...]) -> str:
    told = [name[:LONGEST_NAME] for name in names[:NAMES_TOLD]]
    return (", ".join(told) or "no name") + (f" and {len(names) - NAMES_TOLD} more" if len(names) > NAMES_TOLD else "")


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
