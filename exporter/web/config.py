"""``--web.config.file``: TLS, client certificates, passwords and headers, in exporter-toolkit's format.

Source: docs/web-configuration.md of exporter-toolkit. Where Python's ``ssl`` cannot do what the format allows, the file
is refused with a sentence instead of being half obeyed. Relative paths are relative to the file.
"""

import re
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, NoReturn, Self

import bcrypt
from cryptography import x509
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from exporter.config.document import UnreadableError, contents, parse
from exporter.config.problems import Findings, nearest
from exporter.config.sentences import sentences


class WebError(Exception):
    """The web server cannot run as it is asked to; the message says why and what to do."""


SUITES = {
    "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256": "ECDHE-ECDSA-AES128-GCM-SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384": "ECDHE-ECDSA-AES256-GCM-SHA384",
    "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-ECDSA-CHACHA20-POLY1305",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA": "ECDHE-ECDSA-AES128-SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA": "ECDHE-ECDSA-AES256-SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "ECDHE-RSA-AES128-GCM-SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384": "ECDHE-RSA-AES256-GCM-SHA384",
    "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256": "ECDHE-RSA-CHACHA20-POLY1305",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA": "ECDHE-RSA-AES128-SHA",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA": "ECDHE-RSA-AES256-SHA",
}
"""TLS 1.2, the format's names (IANA's) to OpenSSL's."""
SUITES_13 = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
"""Always offered in TLS 1.3, named or not, as in Go."""
CURVES = {"X25519": "X25519", "CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1"}
VERSIONS = {"TLS12": ssl.TLSVersion.TLSv1_2, "TLS13": ssl.TLSVersion.TLSv1_3}
VERIFYING = {"VerifyClientCertIfGiven": ssl.CERT_OPTIONAL, "RequireAndVerifyClientCert": ssl.CERT_REQUIRED}

HASH = re.compile(r"\$2[aby]\$(?:0[4-9]|[12][0-9]|3[01])(\$[./A-Za-z0-9]{53})")


def _refused(remedy: str) -> BeforeValidator:
    def refuse(_value: object) -> NoReturn:
        raise ValueError(remedy)

    return BeforeValidator(refuse)


def _version(value: str) -> str:
    if value in {"TLS10", "TLS11"}:
        raise ValueError("TLS 1.0 and 1.1 are not offered here (RFC 8996): use TLS12 or TLS13")
    if value not in VERSIONS:
        raise ValueError("must be TLS12 or TLS13")
    return value


def _client_auth(value: str) -> str:
    if value in {"RequestClientCert", "RequireAnyClientCert", "RequireClientCert"}:
        raise ValueError(
            f"{value} takes certificates without verifying them, which Python cannot do and which proves nothing: "
            "use VerifyClientCertIfGiven or RequireAndVerifyClientCert, with client_ca_file"
        )
    if value not in {"NoClientCert", *VERIFYING}:
        raise ValueError("must be NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert")
    return value


def _suite(value: str) -> str:
    if value not in SUITES and value not in SUITES_13:
        raise ValueError(f"is not a cipher suite that can be used here; {nearest(value, SUITES)}")
    return value


def _curve(value: str) -> str:
    if value not in CURVES:
        raise ValueError(f"is not a curve that can be used here; {nearest(value, CURVES)}")
    return value


def _san(value: str) -> str:
    try:
        return str(ip_address(value))
    except ValueError:
        return value


def _bcrypt(value: str) -> str:
    remedy = "is not a bcrypt hash: make one with htpasswd -nBC 10 '' | tr -d ':\\n'"
    if not (written := HASH.fullmatch(value)):
        raise ValueError(remedy)
    try:
        bcrypt.checkpw(b"", b"$2b$04" + written[1].encode())  # its salt at the lowest cost: whether it can be read
    except ValueError:
        raise ValueError(remedy) from None
    return value


def _user(value: str) -> str:
    if not value or ":" in value:
        raise ValueError("is not a user name: it must not be empty nor contain a colon (RFC 7617)")
    return value


def _header(value: str) -> str:
    if not value.isascii() or not value.isprintable():
        raise ValueError("must be printable ASCII")
    return value


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsServer(_Section):
    """``tls_server_config``."""

    cert_file: str
    key_file: str
    client_auth_type: Annotated[str, AfterValidator(_client_auth)] = "NoClientCert"
    client_ca_file: str = ""
    client_allowed_sans: tuple[Annotated[str, AfterValidator(_san)], ...] | None = None
    min_version: Annotated[str, AfterValidator(_version)] = "TLS12"
    max_version: Annotated[str, AfterValidator(_version)] = "TLS13"
    cipher_suites: tuple[Annotated[str, AfterValidator(_suite)], ...] = ()
    curve_preferences: tuple[Annotated[str, AfterValidator(_curve)], ...] = ()
    prefer_server_cipher_suites: bool = True
    cert: Annotated[None, _refused("is not taken inline: write it to a file and name that with cert_file")] = None
    key: Annotated[None, _refused("is a secret and not taken inline: use key_file")] = None
    client_ca: Annotated[
        None, _refused("is not taken inline: write it to a file and name that with client_ca_file")
    ] = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.min_version > self.max_version:
            raise ValueError("min_version is above max_version: exchange them")
        if self.client_auth_type in VERIFYING and not self.client_ca_file:
            raise ValueError(
                f"client_auth_type {self.client_auth_type} needs client_ca_file: whom else should it trust?"
            )
        if self.client_ca_file and self.client_auth_type not in VERIFYING:
            raise ValueError("client_ca_file does nothing without client_auth_type: add RequireAndVerifyClientCert")
        if self.client_allowed_sans is not None and self.client_auth_type != "RequireAndVerifyClientCert":
            raise ValueError("client_allowed_sans needs client_auth_type: RequireAndVerifyClientCert")
        if self.cipher_suites and self.min_version != "TLS13" and SUITES_13.issuperset(self.cipher_suites):
            raise ValueError("cipher_suites names none of TLS 1.2: add one, or say min_version: TLS13")
        if len(self.curve_preferences) > 1:
            raise ValueError("curve_preferences can name only one curve, since Python sets only one: keep the first")
        return self


HeaderValue = Annotated[str, AfterValidator(_header)]


class Headers(_Section):
    """``http_server_config.headers``: empty is unset."""

    content_security_policy: HeaderValue = Field("", alias="Content-Security-Policy")
    x_frame_options: Literal["", "deny", "sameorigin"] = Field("", alias="X-Frame-Options")
    x_content_type_options: Literal["", "nosniff"] = Field("", alias="X-Content-Type-Options")
    x_xss_protection: HeaderValue = Field("", alias="X-XSS-Protection")
    strict_transport_security: HeaderValue = Field("", alias="Strict-Transport-Security")


class HttpServer(_Section):
    """``http_server_config``. Whatever ``http2`` says, HTTP/1.1 is spoken: it permits HTTP/2, it does not demand it."""

    http2: bool = True
    headers: Headers | None = None


class _File(_Section):
    tls_server_config: TlsServer | None = None
    http_server_config: HttpServer | None = None
    basic_auth_users: dict[Annotated[str, AfterValidator(_user)], Annotated[str, AfterValidator(_bcrypt)]] | None = None
    rate_limit: Annotated[
        None,
        _refused("is not supported: limit requests in a reverse proxy, or leave it out (log-ins are limited anyway)"),
    ] = None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """What the file says, ready to use. The default is no file: plain HTTP for everybody."""

    context: ssl.SSLContext | None = None
    users: Mapping[str, bytes] = field(default_factory=dict)
    """Bcrypt hashes by user name."""
    headers: Mapping[str, str] = field(default_factory=dict)
    allowed_sans: frozenset[str] | None = None
    """Subject alternative names of client certificates; None where any verified certificate will do."""
    certificate_expires: float | None = None
    """Unix time at which our certificate, or one that it was issued by and that is sent with it, expires first."""
    files: tuple[Path, ...] = ()
    """The file and those it names: a change of any of them is a change of the configuration."""


def load(file: Path) -> WebConfig:
    """Read the file and the certificates it names. Raises WebError: all mistakes, each with its place and remedy."""
    findings = Findings()
    name = str(file)
    text = ""
    parsed = _File()
    try:
        text = contents(file)
    except UnreadableError as error:
        findings.add(name, (), f"{error}; name another file with --web.config.file")
    else:
        document = parse(text)
        for mistake in document.mistakes:
            findings.add(name, mistake.path, mistake.message, line=mistake.line)
        raw = {} if document.value is None else document.value
        if not isinstance(raw, dict):
            findings.add(name, (), "must be a mapping that starts with tls_server_config: or basic_auth_users:")
        elif not document.mistakes:
            try:
                parsed = _File.model_validate(raw)
            except ValidationError as error:
                for path, sentence in sentences(error, _File, raw):
                    findings.add(name, path, sentence)
    tls = parsed.tls_server_config
    context = _context(tls, file, findings) if tls else None
    problems = findings.problems(lambda _file, paths: parse(text, paths).lines)
    if problems:
        raise WebError("\n".join(map(str, problems)))
    headers = parsed.http_server_config.headers if parsed.http_server_config else None
    given = headers.model_dump(by_alias=True) if headers else {}
    named = (tls.cert_file, tls.key_file, tls.client_ca_file) if tls else ()
    return WebConfig(
        context=context,
        users={user: stored.encode() for user, stored in (parsed.basic_auth_users or {}).items()},
        headers={key: value for key, value in given.items() if value},
        allowed_sans=None if tls is None or tls.client_allowed_sans is None else frozenset(tls.client_allowed_sans),
        certificate_expires=_expiry(file.parent / tls.cert_file) if tls else None,
        files=(file, *(file.parent / each for each in named if each)),
    )


def _context(tls: TlsServer, file: Path, findings: Findings) -> ssl.SSLContext | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = VERSIONS[tls.min_version]
    context.maximum_version = VERSIONS[tls.max_version]
    context.set_alpn_protocols(["http/1.1"])
    if tls.prefer_server_cipher_suites:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    else:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if suites := [SUITES[suite] for suite in tls.cipher_suites if suite in SUITES]:
        context.set_ciphers(":".join(suites))
    for curve in tls.curve_preferences:
        context.set_ecdh_curve(CURVES[curve])

    def complain(key: str, sentence: str) -> None:
        findings.add(str(file), ("tls_server_config", key), sentence)

    if _readable(file.parent / tls.cert_file, "cert_file", complain) and _readable(
        file.parent / tls.key_file, "key_file", complain
    ):
        try:
            context.load_cert_chain(file.parent / tls.cert_file, file.parent / tls.key_file, password=_no_passphrase)
        except _EncryptedError:
            complain(
                "key_file", "is encrypted, and nobody is there to type its passphrase: decrypt it with openssl pkey"
            )
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                complain(
                    "key_file", "is not the key of the certificate in cert_file: name the pair that belongs together"
                )
            else:
                complain(
                    "cert_file", "is not a certificate in PEM, or key_file is not a key in PEM: convert with openssl"
                )
    if tls.client_ca_file and _readable(file.parent / tls.client_ca_file, "client_ca_file", complain):
        context.verify_mode = VERIFYING[tls.client_auth_type]
        try:
            context.load_verify_locations(file.parent / tls.client_ca_file)
        except ssl.SSLError:
            complain("client_ca_file", "holds no certificate in PEM: convert with openssl x509")
    return context


def _expiry(file: Path) -> float | None:
    try:
        certificates = x509.load_pem_x509_certificates(file.read_bytes())
    except (OSError, ValueError):  # replaced meanwhile, or stranger than OpenSSL minds
        return None
    return min(certificate.not_valid_after_utc.timestamp() for certificate in certificates)


class _EncryptedError(Exception):
    """OpenSSL asked for a passphrase."""


def _no_passphrase() -> str:
    raise _EncryptedError


def _readable(path: Path, key: str, complain: Callable[[str, str], None]) -> bool:
    try:
        with path.open("rb"):
            return True
    except OSError as error:
        complain(key, f"{path} cannot be read: {error.strerror}: name a PEM file that the exporter's user may read")
        return False
