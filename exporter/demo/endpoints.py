"""Service endpoints inside this process: http, https, ssh identification. Each can die and come back on its port."""

import asyncio
import contextlib
import datetime
import ipaddress
import socket
import ssl
from abc import ABC, abstractmethod
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PATIENCE = 10.0
"""Seconds a client may take."""
LONGEST_LINE = 8192


class Endpoint(ABC):
    """One TCP service on a port of its own.

    The port stays reserved while the service is down: a second socket is bound to it and never listens, so that
    connections are refused and the kernel gives the number to nobody else.
    """

    tls: ssl.SSLContext | None = None

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self._reservation = _bound(host, 0)
        self.port: int = self._reservation.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()

    @property
    def up(self) -> bool:
        """Whether it accepts connections."""
        return self._server is not None

    async def start(self) -> None:
        """Accept connections. Raises OSError."""
        if not self._server:
            listener = _bound(self.host, self.port)
            self._server = await asyncio.start_server(self._serve, sock=listener, ssl=self.tls, limit=LONGEST_LINE)

    async def stop(self) -> None:
        """Die: refuse connections, drop those that are open."""
        if self._server:
            self._server.close()
            self._server = None
        for talk in self._talks:
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def close(self) -> None:
        """Stop for good and give the port back."""
        await self.stop()
        self._reservation.close()

    @abstractmethod
    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak the protocol with one client."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._talks.add(task)
        try:
            # What a client does wrong ends its own connection and nothing else; so does our stop().
            with contextlib.suppress(OSError, EOFError, ValueError, asyncio.CancelledError):
                async with asyncio.timeout(PATIENCE):
                    await self.talk(reader, writer)
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            writer.transport.abort()
            self._talks.discard(task)


class Http(Endpoint):
    """HTTP/1.1: one answer for every request, then the connection is closed (RFC 9112 §9.6)."""

    def __init__(self, body: str = "ready\n", *, status: int = 200, host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.status = status
        self.body = body

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read the head of the request, whatever it asks for, and answer."""
        while (await reader.readline()).strip():
            pass
        body = self.body.encode()
        head = [
            f"HTTP/1.1 {self.status} Demo",
            "Content-Type: text/plain; charset=utf-8",
            f"Content-Length: {len(body)}",
            "Connection: close",
        ]
        writer.write("".join(f"{line}\r\n" for line in (*head, "")).encode() + body)


class Https(Http):
    """The same over TLS."""

    def __init__(self, tls: ssl.SSLContext, body: str = "ready\n", *, host: str = "127.0.0.1") -> None:
        super().__init__(body, host=host)
        self.tls = tls


def _key_exchange_offer() -> bytes:
    """Return an SSH_MSG_KEXINIT (RFC 4253 §7.1) as a binary packet (§6), with all that a server must know."""
    both = ("aes128-ctr", "aes128-ctr", "hmac-sha2-256", "hmac-sha2-256", "none", "none")
    lists = ("curve25519-sha256", "ssh-ed25519", *both, "", "")
    names = b"".join(len(each).to_bytes(4, "big") + each.encode() for each in lists)
    payload = b"\x14" + bytes(16) + names + bytes(5)
    padding = 4 + -(len(payload) + 9) % 8  # with it, the whole is a multiple of eight bytes
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)


SSH_GREETING = b"SSH-2.0-demo\r\n" + _key_exchange_offer()
"""What an SSH server says first, whoever asks."""


class Ssh(Endpoint):
    """SSH's identification (RFC 4253 §4.2) and its offer to exchange keys, and nothing after them."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet, let the client identify itself, and close."""
        writer.write(SSH_GREETING)
        await reader.readline()


class Authority:
    """A certificate authority that lives as long as the process; its private key is never written."""

    def __init__(self, folder: Path) -> None:
        """Write the authority's certificate to ``folder``/ca.pem."""
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        now = _now()
        self._certificate = (
            _certificate("Demo authority", self._key.public_key(), "Demo authority")
            .not_valid_before(now - datetime.timedelta(days=400))
            .not_valid_after(now + datetime.timedelta(days=365))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.file = folder / "ca.pem"
        self.file.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def server_context(self, hostname: str, *, valid_for: datetime.timedelta) -> ssl.SSLContext:
        """Return a TLS context with a certificate for ``hostname``; less than no time makes an expired one."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = _now()
        certificate = (
            _certificate(hostname, key.public_key(), "Demo authority")
            .not_valid_before(now - datetime.timedelta(days=365))
            .not_valid_after(now + valid_for)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_san(hostname)]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # The ssl module loads a key from a file only: it is there for a moment, readable by us alone.
        file = self._folder / "server.pem"
        file.touch(mode=0o600)
        try:
            file.write_bytes(
                certificate.public_bytes(serialization.Encoding.PEM)
                + key.private_bytes(
                    serialization.Encoding.PEM,
                    serialization.PrivateFormat.PKCS8,
                    serialization.NoEncryption(),
                )
            )
            context.load_cert_chain(file)
        finally:
            file.unlink()
        return context


def _bound(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError:
        sock.close()
        raise
    return sock


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _certificate(subject: str, key: ec.EllipticCurvePublicKey, issuer: str) -> x509.CertificateBuilder:
    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = x509.CertificateBuilder().subject_name(name(subject)).issuer_name(name(issuer))
    return builder.public_key(key).serial_number(x509.random_serial_number())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _san(hostname: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(hostname))
    except ValueError:
        return x509.DNSName(hostname)
