"""A monitor that runs only what a test asks for, the web server in front of it, certificates, and clients."""

import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from collectors.failures import CheckFailure
from collectors.reading import HardwareReading
from collectors.registry import LampTarget, Options, Registry, SourceKind
from exporter.clock import SystemClock
from exporter.inventory import Check, Config, Contact, Customer, LampSourceEntry, Server, Timing
from exporter.ledger import Ledger
from exporter.monitor import Monitor
from exporter.web import WebServer, serve


class Controller:
    """A lamp source that answers what a test says."""

    def __init__(self) -> None:
        self.answer: HardwareReading | CheckFailure = HardwareReading()
        self.sessions = 0
        self.most_sessions = 0
        self.before: Callable[[], Awaitable[object]] | None = None

    async def read(self, target: LampTarget, deadline: float) -> HardwareReading:
        self.sessions += 1
        self.most_sessions = max(self.most_sessions, self.sessions)
        try:
            if self.before:
                await self.before()
        finally:
            self.sessions -= 1
        if isinstance(self.answer, CheckFailure):
            raise self.answer
        return self.answer

    def endpoint(self) -> str:
        return "192.0.2.110:623"


@pytest.fixture
def controller(monkeypatch: pytest.MonkeyPatch) -> Controller:
    controller = Controller()
    monkeypatch.setitem(Registry.sources, "test", SourceKind("test", Options, lambda _options: controller))
    return controller


def server(name: str, *protocols: str, customer: str = "c0001") -> Server:
    """Return a server with one lamp source and these checks."""
    return Server(
        name,
        customer,
        managed=True,
        address="127.0.0.1",
        site="ogaki",
        rack="A-03",
        lamps=(LampSourceEntry(name, "test", "test", Options()),),
        checks=tuple(
            Check(name, protocol, protocol, "127.0.0.1", "", Options(), Timing(timeout=2_000)) for protocol in protocols
        ),
    )


CUSTOMER = Customer(
    "c0001", "株式会社サンプル", contacts=(Contact("運用担当", "ops@customer.example", "+81-584-00-0000"),)
)


def inventory(*servers: Server) -> Config:
    """Return a configuration with these servers."""
    return Config(customers={"c0001": CUSTOMER}, servers={server.name: server for server in servers})


@pytest.fixture
def servers() -> Callable[[list[str]], Config]:
    """Return a configuration of servers with these names, four checks each."""
    return lambda names: inventory(*(server(name, "ssh", "https", "smtp", "imap") for name in names))


@pytest.fixture
async def monitor(tmp_path: Path, controller: Controller) -> AsyncIterator[Monitor]:
    ledger = Ledger.open(tmp_path / "data", SystemClock())
    monitor = Monitor(tmp_path / "dserver.yml", ledger, SystemClock())
    # nothing runs by itself
    await monitor.runner.stop()
    await monitor.lamps.stop()
    await monitor._apply(inventory(server("web01", "https", "ssh")))
    monitor.ready = True
    yield monitor
    await monitor.stop()
    ledger.close()


@dataclass
class Client:
    """Asks the server under test."""

    web: WebServer
    session: aiohttp.ClientSession
    address: str = "127.0.0.1"

    def url(self, path: str) -> str:
        return f"{self.web.url.partition(':')[0]}://{self.address}:{self.web.port}{path}"

    async def get(self, path: str, method: str = "GET", **options: object) -> tuple[int, str]:
        async with self.session.request(method, self.url(path), **options) as response:  # type: ignore[arg-type] # passed on
            return response.status, await response.text()


Start = Callable[..., Awaitable[Client]]


@pytest.fixture
async def start(monitor: Monitor, tmp_path: Path) -> AsyncIterator[Start]:
    """Start the web server, with the text of a web configuration if one is given."""
    running: list[Client] = []

    async def start(listen_address: str = "127.0.0.1:0", web_config: str = "") -> Client:
        file = tmp_path / "web.yml"
        file.write_text(web_config)
        web = await serve(monitor, listen_address, file if web_config else None, watch_period=0.02)
        client = Client(web, aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)))
        running.append(client)
        return client

    yield start
    for client in running:
        await client.session.close()
        await client.web.stop()


@dataclass(frozen=True)
class Certificates:
    """Makes certificates of a CA, in a folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: str

    @classmethod
    def make(cls, folder: Path, name: str) -> "Certificates":
        ca = cls(folder, ec.generate_private_key(ec.SECP256R1()), name)
        ca._write(name, ca.key, (), ca=True)
        return ca

    @property
    def file(self) -> Path:
        return self.folder / f"{self.name}.pem"

    def issue(self, name: str, *sans: str, hours: int = 1) -> Path:
        """Write NAME.pem and NAME.key, good for so many hours, and return the certificate's path."""
        return self._write(name, ec.generate_private_key(ec.SECP256R1()), sans, ca=False, hours=hours)

    def client_context(self, name: str = "") -> ssl.SSLContext:
        """Return what a client that trusts this CA uses, with the certificate NAME if given."""
        context = ssl.create_default_context(cafile=self.file)
        if name:
            context.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return context

    def _write(
        self, name: str, key: ec.EllipticCurvePrivateKey, sans: tuple[str, ...], *, ca: bool, hours: int = 1
    ) -> Path:
        now = dt.datetime.now(dt.UTC)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(hours=hours))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if sans:
            names = [_general_name(san) for san in sans]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(self.key, hashes.SHA256())
        file = self.folder / f"{name}.pem"
        (self.folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return file


def _general_name(san: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(san))
    except ValueError:
        return x509.DNSName(san)


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    """A CA; `server` is issued for 127.0.0.1."""
    ca = Certificates.make(tmp_path, "ca")
    ca.issue("server", "127.0.0.1")
    return ca
