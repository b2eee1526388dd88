"""Certificates for tests: an authority of its own, and files with a good or bad server certificate and its key."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def now() -> datetime:
    """Return this second."""
    return datetime.now(UTC).replace(microsecond=0)


class Authority:
    """Signs certificates. ``folder`` gets ``ca.pem`` and every file that is issued."""

    def __init__(self, folder: Path, name: str = "Test authority", ends: datetime | None = None) -> None:
        self._folder = folder
        self._name = _name(name)
        self._key = ec.generate_private_key(ec.SECP256R1())
        certificate = (
            _builder(self._name, self._name, self._key.public_key(), now() - 400 * DAY, ends or now() + 400 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, *names: str, begins: datetime | None = None, ends: datetime | None = None, self_signed: bool = False
    ) -> Path:
        """Return a file with a certificate for these names (the first is the common name) and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0])
        issuer, signer = (subject, key) if self_signed else (self._name, self._key)
        certificate = (
            _builder(subject, issuer, key.public_key(), begins or now() - 90 * DAY, ends or now() + 30 * DAY)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .sign(signer, hashes.SHA256())
        )
        file = self._folder / f"{certificate.serial_number:x}.pem"
        file.touch(mode=0o600)
        file.write_bytes(
            certificate.public_bytes(serialization.Encoding.PEM)
            + key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return file


def server_context(file: Path) -> ssl.SSLContext:
    """Return a server's TLS context with the certificate and key in ``file``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key)
    return builder.serial_number(x509.random_serial_number()).not_valid_before(begins).not_valid_after(ends)
