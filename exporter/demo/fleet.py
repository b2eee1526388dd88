"""The servers of the demo: on loopback, on free ports, all in this process, and the configuration that watches them."""

import datetime
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from exporter.demo.bmc import Bmc, Product
from exporter.demo.endpoints import Authority, Endpoint, Http, Https, Ssh
from exporter.demo.idrac import Idrac
from exporter.demo.redfish import RedfishBmc
from exporter.demo.sdr import DiscreteSensor, Entity, Sensor, SensorType, Thresholds, ThresholdSensor, Unit

HOST = "127.0.0.1"
TIMING = {
    "interval": "10s",
    "recheck_interval": "3s",
    "outage_notice_after": "30s",
    "timeout": "2s",
    "lamp_interval": "20s",
    "lamp_recheck_interval": "5s",
}
"""Everything that takes ten minutes or a day in earnest, in seconds: two minutes are enough to see it."""

PRESENT = 0b001
FAULT = 0b010
PREDICTED = 0b100
REDUNDANCY = 0x0B  # event/reading type "redundancy": state 0 is full redundancy
SOUND_CERTIFICATE = datetime.timedelta(days=90)

CUSTOMERS: tuple[dict[str, Any], ...] = (
    {"id": "c0001", "name": "株式会社サンプル（デモ）", "language": "ja", "managed": True},
    {"id": "c0002", "name": "サンプル商事株式会社（デモ）", "language": "ja", "managed": True},
    {"id": "c0003", "name": "Example Trading (demo)", "language": "en", "managed": True},
    {"id": "c0004", "name": "サンプル工業株式会社（デモ）", "language": "ja", "managed": False},
)


@dataclass(frozen=True, slots=True)
class Plan:
    """One server of the fleet, before it runs."""

    name: str
    customer: str
    os: str
    site: str
    rack: str
    services: tuple[str, ...] = ("ssh", "http")
    certificate: datetime.timedelta = SOUND_CERTIFICATE
    power: bool = True
    identify: bool = False
    suites: tuple[int, ...] = (17, 3)
    lamps: tuple[str, ...] = ("ipmi",)
    """The sources by which its lamps are read."""

    @property
    def hostname(self) -> str:
        """The name that its certificate is for."""
        return f"{self.name}.{self.customer}.example"


OGAKI, GIFU = "ogaki-demo", "gifu-demo"
WEB = ("ssh", "http", "https")
PLANS = (
    Plan("web01", "c0001", "rhel-8", OGAKI, "A-01", WEB),
    Plan("web02", "c0001", "rhel-8", OGAKI, "A-01", WEB, lamps=("ipmi", "snmp")),
    Plan("db01", "c0001", "rhel-9", OGAKI, "A-02"),
    Plan("spare01", "c0001", "rhel-9", OGAKI, "A-02", services=(), power=False),
    Plan("shop01", "c0002", "rhel-8", OGAKI, "B-01", WEB),
    Plan("shop02", "c0002", "centos-7", OGAKI, "B-01", WEB, certificate=datetime.timedelta(days=10)),
    Plan("mail01", "c0002", "centos-7", OGAKI, "B-02", suites=(3,)),
    Plan("batch01", "c0002", "centos-stream-8", OGAKI, "B-02", identify=True),
    Plan("app01", "c0003", "rhel-8", GIFU, "C-01", WEB, lamps=("ipmi", "redfish")),
    Plan("app02", "c0003", "rhel-8", GIFU, "C-01", WEB, certificate=datetime.timedelta(days=-3)),
    Plan("file01", "c0003", "rhel-7", GIFU, "C-02"),
    Plan("lab01", "c0004", "centos-7", GIFU, "C-02", services=()),
)


@dataclass(slots=True)
class DemoServer:
    """One server of the fleet, running."""

    plan: Plan
    bmc: Bmc
    idrac: Idrac
    """What answers SNMP, where its lamps are read by that."""
    redfish: RedfishBmc
    """The same for Redfish."""
    endpoints: dict[str, Endpoint] = field(default_factory=dict)


class Fleet:
    """The servers, by name."""

    def __init__(self, folder: Path, plans: Sequence[Plan] = PLANS) -> None:
        """Take ports and make certificates; ``folder`` is where files go that the checks need."""
        self._folder = folder
        self._password = secrets.token_urlsafe(12)
        self._community = secrets.token_urlsafe(12)
        self._authority = Authority(folder)
        self._servers = {plan.name: self._server(number, plan) for number, plan in enumerate(plans)}

    def __getitem__(self, name: str) -> DemoServer:
        return self._servers[name]

    def __iter__(self) -> Iterator[DemoServer]:
        return iter(self._servers.values())

    def __len__(self) -> int:
        return len(self._servers)

    async def start(self) -> None:
        """Start all BMCs and services. Raises OSError."""
        for server in self:
            await server.bmc.start(HOST)
            if "snmp" in server.plan.lamps:
                await server.idrac.start(HOST)
            if "redfish" in server.plan.lamps:
                tls = self._authority.server_context(HOST, valid_for=SOUND_CERTIFICATE)
                await server.redfish.start(HOST, tls)
            for endpoint in server.endpoints.values():
                await endpoint.start()

    async def stop(self) -> None:
        """Stop everything and give the ports back."""
        for server in self:
            server.bmc.stop()
            server.idrac.stop()
            await server.redfish.stop()
            for endpoint in server.endpoints.values():
                await endpoint.close()

    def write_config(self) -> Path:
        """Write dserver.yml and the secrets it names, for a fleet that is running. Return its path."""
        # Beside the configuration, so that it is not compared with the shipped rules, which speak of ten minutes.
        (self._folder / "alert_rules").mkdir(exist_ok=True)
        document = {
            "global": {**TIMING, "notices": "alertmanager"},  # there is nobody to mail
            "provider": {"name": "DEMO", "email": "support@provider.example"},
            "noc": {"language": "ja", "contacts": [{"name": "NOC", "email": "noc@provider.example"}]},
            "customers": [
                customer | {"contacts": [{"name": "運用担当", "email": f"ops@{customer['id']}.example"}]}
                for customer in CUSTOMERS
            ],
            **self._servers_and_credentials(),
        }
        return self._write("dserver.yml", document)

    def write_servers(self) -> Path:
        """Write servers.yml, the fleet for a configuration that includes it and has customers c0001 to c0004."""
        return self._write("servers.yml", self._servers_and_credentials())

    def _servers_and_credentials(self) -> dict[str, Any]:
        (self._folder / "secrets").mkdir(mode=0o700, exist_ok=True)
        for name, text in (("bmc", self._password), ("community", self._community)):
            secret = self._folder / "secrets" / name
            secret.touch(mode=0o600)
            secret.write_text(text, encoding="utf-8")
        return {
            "credentials": {
                "bmc": {"username": "monitor", "password_file": "secrets/bmc"},
                "community": {"community_file": "secrets/community"},
            },
            "servers": [self._entry(server) for server in self],
        }

    def _write(self, name: str, document: dict[str, Any]) -> Path:
        file = self._folder / name
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False)
        file.write_text("# DEMO: every server in here is simulated by one process on this machine.\n" + text, "utf-8")
        return file

    def _server(self, number: int, plan: Plan) -> DemoServer:
        serial = f"DEMO{number + 1:04}"
        bmc = Bmc(
            plan.hostname,
            self._password,
            sensors=sensors_of(number, on=plan.power),
            product=Product(serial=serial),
            suites=plan.suites,
            power=plan.power,
            identify=plan.identify,
        )
        return DemoServer(
            plan,
            bmc,
            Idrac(serial, self._community),
            RedfishBmc(serial, self._password),
            {name: self._endpoint(name, plan) for name in plan.services},
        )

    def _endpoint(self, name: str, plan: Plan) -> Endpoint:
        match name:
            case "ssh":
                return Ssh(HOST)
            case "http":
                return Http(host=HOST)
            case _:
                tls = self._authority.server_context(plan.hostname, valid_for=plan.certificate)
                return Https(tls, host=HOST)

    def _entry(self, server: DemoServer) -> dict[str, Any]:
        plan = server.plan
        entry: dict[str, Any] = {
            "name": plan.name,
            "customer": plan.customer,
            "address": HOST,
            "hostname": plan.hostname,
            "power": "on" if plan.power else "off",
            "os": plan.os,
            "site": plan.site,
            "rack": plan.rack,
            "lamps": [self._source(server, source) for source in plan.lamps],
        }
        if server.endpoints:
            entry["services"] = [self._service(plan, name, at.port) for name, at in server.endpoints.items()]
            entry["login_check"] = "ssh"
        return entry

    def _source(self, server: DemoServer, source: str) -> dict[str, Any]:
        match source:
            case "ipmi":
                return {"source": source, "address": HOST, "port": server.bmc.port, "credential": "bmc"}
            case "snmp":
                return {"source": source, "address": HOST, "port": server.idrac.port, "credential": "community"}
            case _:
                url = f"https://{HOST}:{server.redfish.port}"
                return {"source": source, "url": url, "credential": "bmc", "ca_file": self._authority.file.name}

    def _service(self, plan: Plan, name: str, port: int) -> dict[str, Any]:
        match name:
            case "ssh":
                return {"protocol": "ssh", "port": port}
            case "http":
                return {"protocol": "http", "url": f"http://{plan.hostname}:{port}/", "expect_body": "ready"}
            case _:
                url = f"https://{plan.hostname}:{port}/"
                return {"protocol": "https", "url": url, "expect_body": "ready", "ca_file": self._authority.file.name}


def sensors_of(number: int, *, on: bool) -> list[Sensor]:
    """Return the sensors of one server, a little different for each; with the power off most have no reading."""
    vary = number % 4

    def measured(value: float) -> float | None:
        return value if on else None

    def temperature(name: str, value: float | None, limits: tuple[int, int], entity: tuple[Entity, int]) -> Sensor:
        thresholds = Thresholds(upper_noncritical=limits[0], upper_critical=limits[1])
        return ThresholdSensor(name, SensorType.TEMPERATURE, Unit.CELSIUS, value, thresholds, entity)

    sensors: list[Sensor] = [temperature("Inlet Temp", 21 + vary, (42, 47), (Entity.AIR_INLET, 1))]
    sensors += [
        temperature(f"CPU{cpu} Temp", measured(44 + vary + cpu), (85, 95), (Entity.PROCESSOR, cpu)) for cpu in (1, 2)
    ]
    rail = Thresholds(lower_critical=10.8, upper_critical=13.2)
    speed = Thresholds(lower_noncritical=1000, lower_critical=700)
    sensors += [
        ThresholdSensor("12V", SensorType.VOLTAGE, Unit.VOLT, measured(12.06), rail, factor=6, exponent=-2),
        ThresholdSensor("Power", SensorType.OTHER_UNITS, Unit.WATT, measured(180 + 4 * number), factor=4),
    ]
    for fan in range(1, 5):
        rpm = measured(5400 + 100 * vary)
        sensors.append(ThresholdSensor(f"Fan {fan}", SensorType.FAN, Unit.RPM, rpm, speed, (Entity.FAN, fan), 100))
    for supply in (1, 2):
        sensors.append(DiscreteSensor(f"PS{supply}", SensorType.POWER_SUPPLY, PRESENT, (Entity.POWER_SUPPLY, supply)))
    redundancy = (Entity.POWER_UNIT, 1)
    sensors.append(DiscreteSensor("PS Redundancy", SensorType.POWER_UNIT, 1, redundancy, event_type=REDUNDANCY))
    for drive in range(1, 5):
        sensors.append(DiscreteSensor(f"Drive {drive}", SensorType.DRIVE, PRESENT, (Entity.DISK, drive)))
    sensors.append(DiscreteSensor("Memory", SensorType.MEMORY, 1 << 6, (Entity.MEMORY, 1)))
    sensors.append(DiscreteSensor("CMOS Battery", SensorType.BATTERY, 1 << 2, (Entity.BATTERY, 1)))
    return sensors
