"""Our side: inventories, the real dserver-exporter on them, and a process that loops attempts and reads."""

import asyncio
import gzip
import http.client
import re
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import uvloop

import collectors.hardware
import collectors.services  # noqa: F401 - both for what they register
from collectors.attempt import attempt
from collectors.registry import CHECKS, SOURCES, LampTarget, ServiceTarget
from collectors.secret import Credential, Secret
from tests.bench.measure import Answer, Questions, cpu_seconds
from tests.peers.process import ServerProcess

CHECKS_PER_SERVER = 12
NAME = "shop.example"
"""What the targets' certificate is for."""
HEAD = """\
global: {{interval: {interval}ms, lamp_interval: {lamps}ms, {rest}}}
credentials:
  bmc: {{username: monitor, password_file: password}}
  v2c: {{community_file: password}}
  v3: {{username: monitor, auth_protocol: SHA-256, auth_password_file: password, priv_protocol: AES-128, \
priv_password_file: password}}
customers: [{{id: c0001, name: Example, managed: true, contacts: [{{name: Desk, email: ops@customer.example}}]}}]
servers:
"""
SHORT_SERVER = """\
- {{name: {name}, customer: c0001, address: {address}, hostname: {host}, site: a, rack: {rack}, lamps: [{lamp}], \
services: [{services}]}}
"""
LONG_SERVER = """\
- name: {name}
  customer: c0001
  managed: true
  address: 127.0.0.1
  hostname: {name}.example
  power: on
  os: rhel-9
  site: a
  rack: {rack}
  services:
"""
LONG_CHECK = """\
  - protocol: http
    name: {check}
    port: {port}
    path: /{name}/{check}
    host: {name}.example
    expect_status: [200]
    expect_body: ready
    interval: 10m
    recheck_interval: 1m
    timeout: 10s
"""


def one_address(_number: int) -> str:
    """Return the address of every server."""
    return "127.0.0.1"


def own_address(number: int) -> str:
    """Return an address of the loopback for each server of its own."""
    return f"127.1.{number // 250}.{number % 250 + 1}"


def head(interval: float, rest: str = "timeout: 5s", lamps: float = 0.0) -> str:
    """Return all but the servers; ``interval`` (seconds) is that of checks, and of lamps where these say no other.

    ``rest`` are other settings.
    """
    return HEAD.format(interval=int(interval * 1000), lamps=int((lamps or interval) * 1000), rest=rest)


def inventory(servers: Mapping[str, Sequence[str]], lamp: str = "", address: Callable[[int], str] = one_address) -> str:
    """Return servers in short form, each on one line: its services, and the same lamp source for all."""
    parts = (
        SHORT_SERVER.format(
            name=name,
            address=address(number),
            host=NAME,
            rack=f"r{number // 40}",
            services=", ".join(services),
            lamp=lamp,
        )
        for number, (name, services) in enumerate(servers.items())
    )
    return "".join(parts)


def controllers(ports: Sequence[int]) -> str:
    """Return a server without services for each BMC on these ports."""
    parts = (
        SHORT_SERVER.format(
            name=f"bmc{number:05}",
            address=one_address(number),
            host=NAME,
            rack=f"b{number // 40}",
            services="",
            lamp=f"{{source: ipmi, address: 127.0.0.1, port: {port}, credential: bmc}}",
        )
        for number, port in enumerate(ports)
    )
    return "".join(parts)


def fleet(servers: int, port: int) -> str:
    """Return servers with 12 TCP checks each in short form."""
    return alike(servers, [f"{{protocol: tcp, name: c{number}, port: {port}}}" for number in range(CHECKS_PER_SERVER)])


def alike(servers: int, services: Sequence[str], address: Callable[[int], str] = one_address) -> str:
    """Return servers with the same services each in short form."""
    return inventory({f"s{number:05}": services for number in range(servers)}, address=address)


def long_fleet(servers: int, port: int) -> str:
    """Return servers with 12 HTTP checks each, every key on a line of its own and no two checks alike."""
    parts = []
    for number in range(servers):
        name = f"s{number:05}"
        parts.append(LONG_SERVER.format(name=name, rack=f"r{number // 40}"))
        parts += [LONG_CHECK.format(name=name, check=f"c{each}", port=port) for each in range(CHECKS_PER_SERVER)]
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Opened:
    """A page that was opened: seconds until its first byte and its last, bytes as shown (0 if it had not changed)."""

    first: float
    whole: float
    size: int
    etag: str


class Exporter(ServerProcess):
    """The real process, on a configuration that may be replaced."""

    patience = 300.0

    def __init__(self, folder: Path, configuration: str, password: str = "") -> None:
        super().__init__(folder)
        self._file = folder / "dserver.yml"
        (folder / "password").touch(mode=0o600)
        (folder / "password").write_text(password, "utf-8")
        self.configure(configuration)

    def configure(self, configuration: str) -> None:
        """Write the configuration."""
        self._file.write_text(configuration, "utf-8")

    def command(self) -> Sequence[str]:
        """Return the command line."""
        program = Path(sys.executable).with_name("dserver-exporter")
        return (str(program), f"--config.file={self._file}", f"--web.listen-address=127.0.0.1:{self.port}")

    @property
    def cpu(self) -> float:
        """Seconds of CPU time spent so far."""
        return cpu_seconds(self.pid)

    def reload(self) -> float:
        """Have the configuration read again; return the seconds it took."""
        began = time.monotonic()
        request = urllib.request.Request(f"{self.url}/-/reload", method="POST")
        with urllib.request.urlopen(request, timeout=300) as answer:
            answer.read()
        return time.monotonic() - began

    def scrape(self, query: str = "") -> tuple[bytes, bytes]:
        """Return what /metrics gives, as it came and decompressed."""
        request = urllib.request.Request(f"{self.url}/metrics{query}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            packed: bytes = answer.read()
        return packed, gzip.decompress(packed)

    def page(self, etag: str = "") -> Opened:
        """Open the NOC page as a browser does; with an ETag, as its script does that has it already."""
        headers = {"Accept-Encoding": "gzip"} | ({"If-None-Match": etag} if etag else {})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        began = time.monotonic()
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        first = time.monotonic() - began
        body = answer.read()
        whole = time.monotonic() - began
        connection.close()
        return Opened(first, whole, len(gzip.decompress(body)) if body else 0, answer.headers["ETag"])

    def metric(self, pattern: str) -> float:
        """Return the sum of the metrics whose name and labels match."""
        query = "?collect[]=exporter" if pattern.startswith("dserver_exporter_") else ""
        text = self.scrape(query)[1].decode()
        return sum(float(value) for value in re.findall(rf"^{pattern} (\S+)$", text, re.MULTILINE))


async def loop_attempts() -> None:
    """Answer questions: try a check or read lamps again and again, so many at a time, for so many seconds."""
    loop = asyncio.get_running_loop()
    asked = Questions()
    target = ServiceTarget("127.0.0.1", NAME)
    while (question := await asyncio.to_thread(asked.next)) is not None:
        if "source" in question:
            asked.answer(passed=await loop_reads(question), failures=[])
            continue
        kind = CHECKS[question["protocol"]]
        opts = kind.options.model_validate(question["options"])
        end = loop.time() + question["seconds"]
        passed, failures = 0, set()

        async def one() -> None:
            nonlocal passed
            while loop.time() < end:  # noqa: B023 - it ends before the next question
                reading = await attempt(kind, target, opts, loop.time() + 5.0)  # noqa: B023 - as above
                passed += reading.failure is None
                failures.add(str(reading.failure or ""))  # noqa: B023 - as above

        await asyncio.gather(*(one() for _ in range(question["concurrency"])))
        asked.answer(passed=passed, failures=sorted(failures - {""}))


async def loop_reads(question: Answer) -> int:
    """Read lamps again and again, each loop with a reader of its own; return how often. Raises CheckFailure."""
    kind = SOURCES[question["source"]]
    options = kind.options.model_validate(question["options"])
    said = question["credential"]
    secrets = {name: Secret(text) for name, text in said["secrets"].items()}
    password = secrets.get("password", Secret(""))
    credential = Credential(said["values"].get("username", ""), password, values=said["values"], secrets=secrets)
    target = LampTarget(credential, transcript=False)
    loop = asyncio.get_running_loop()
    end = loop.time() + question["seconds"]

    async def one() -> int:
        reader, read = kind.build(options), 0
        while loop.time() < end:
            await reader.read(target, loop.time() + 5.0)
            read += 1
        return read

    return sum(await asyncio.gather(*(one() for _ in range(question["concurrency"]))))


if __name__ == "__main__":
    uvloop.run(loop_attempts())
