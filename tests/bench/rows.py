"""The measurements, row by row. Work is counted at the target, and what each side says of it must agree."""

import itertools
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from exporter.timetable import share
from exporter.web.pages.layout import PERIOD
from tests.bench import bmcs, ours, peers, snmp
from tests.bench.measure import (
    Answer,
    Helper,
    Sample,
    children_seconds,
    cpu_seconds,
    most_resident_bytes,
    resident_bytes,
)
from tests.bench.ours import CHECKS_PER_SERVER, Exporter
from tests.bench.protocols import MIX, PROTOCOLS, Protocol, options, row_key
from tests.bench.report import BLACKBOX, ROWS, Result
from tests.exporter.simulation import Outage
from tests.peers.certificates import Authority
from tests.peers.ipmi_sim import IpmiSim
from tests.peers.snmpd import Snmpd

RATE = 200.0
"""Checks a second: 10,000 servers with 12 each, every ten minutes."""
READERS = 2
"""Reads at a time in a closed loop: this many cores the peers have."""
READS = 4.0
"""Reads of the BMC a second."""
CONCURRENCY = 10
PACED = ("tcp", "http", "https")
"""The protocols with a goal, measured at the rate of the schedule as well."""
RUNS = 10
"""Of a plug-in, one after the other, in each round."""
PART = 0.94
"""Our checks have their slots in this part of our turn, so that the last one ends within it."""
GUARD = 0.05
"""Seconds between two turns."""
SETTLED = 0.02
"""Seconds without another one counted after which all are."""
WHOLE_FLEET = 10_000
SERVED = 1_000
FIRST_RUNS = 10.0
"""Seconds in which the checks of the served fleet run for the first time."""
REGULAR, EVERY_MINUTE = 600.0, 60.0
FILLING = 130.0
"""Seconds in which all have their first run at a minute's interval, or the machine is too slow for it."""
PAGES = 5
LOOKED_AT = 7.0
"""Seconds between two readers of the NOC page: what one saw is nothing for the next."""
SCREENS = 20
ROUNDS_OF_SCREENS = 6
FASTER = 60
SUCCESSES = r'dserver_exporter_checks_total\{[^}]*result="success"\}'
BMCS = 1_000
LAMPS = 86_400.0
"""Seconds between two reads of a BMC: in earnest, so that none has its second turn in the pass."""
PATIENCE = 500.0
"""Seconds for a pass; the exporter begins ten first reads a second."""
CYCLE = 6.0
"""Seconds between two runs of a check that goes on meanwhile."""
IPMI_ADDRESS = "127.0.0.2"
"""Where the relay has port 623: another address than that of a BMC which this machine may have."""
MILLI, MEGA, KILO, MEBI = 1e3, 1e-6, 1e-3, 2**20


@dataclass
class Contender:
    """A peer in a comparison: the row it is for, its process, and what it is asked."""

    row: str
    peer: peers.Peer
    url: str
    passes: str
    each: int = 0
    """What the target counts for one answer: FreeIPMI opens a session for every kind of data."""
    costs: list[float] = field(default_factory=list)

    def result(self, mine: Sample) -> Result:
        """Return its row, beside our figure."""
        return Result(mine, Sample(tuple(self.costs)) if self.costs else f"gets no answer ({self.peer.last_error()})")


class Bench:
    """Measures. ``tell`` is given each step as it begins."""

    def __init__(self, folder: Path, tell: Callable[[str], None], *, quick: bool) -> None:
        self.results: dict[str, Result] = {}
        self.versions: dict[str, str] = {}
        self._folder = folder
        self._tell = tell
        self._quick = quick
        self._rounds = 2 if quick else 3
        self._turn = 1.0 if quick else 3.0
        """Seconds that one side has at a time."""
        self._lags: list[float] = []
        self._folders = (folder / str(number) for number in itertools.count())
        self._authority = Authority(folder)

    def run(self, parts: Sequence[str]) -> None:
        """Measure the rows of some parts."""
        certificate = self._authority.issue(ours.NAME, "127.0.0.1")
        with Helper("targets", str(certificate)) as self._targets, Helper("driver") as self._driver:
            self._ports = self._targets.ask()["ports"]
            for part in parts:
                PARTS[part](self)
        if self._lags:
            self.results["lag"] = Result(Sample((max(self._lags) * MILLI,)))

    def _services(self) -> None:
        with ExitStack() as stack:
            blackbox = self._blackbox(stack)
            for protocol in PACED:
                contenders = [self._probed(blackbox, protocol, protocol)] if blackbox else []
                mine = self._paced(protocol, contenders)
                self.results[protocol] = Result(mine, "blackbox_exporter is not installed")
                self.results |= {each.row: each.result(mine) for each in contenders}

    def _protocols(self) -> None:
        with ExitStack() as stack:
            attempts = stack.enter_context(Helper("ours"))
            blackbox = self._blackbox(stack)
            for protocol in PROTOCOLS:
                self._looped(protocol, attempts, blackbox)

    def _looped(self, protocol: str, attempts: Helper, blackbox: peers.Peer | None) -> None:
        entry, title = PROTOCOLS[protocol], f"{protocol}, closed loop"
        plugin = self._plugin(entry) if entry.plugin else "none"
        contenders = (
            [self._probed(blackbox, protocol, row_key(protocol, BLACKBOX))] if blackbox and entry.module else []
        )
        how = {"concurrency": CONCURRENCY, "seconds": self._turn / 8}
        question = {"protocol": protocol, "options": self._options(protocol), **how}
        attempts.ask({**question, "seconds": 0.2})
        self._warm_up(title, contenders, entry.target, concurrency=CONCURRENCY)
        mine, theirs = [], []
        for _ in range(self._rounds):
            mine.append(self._cost(attempts.pid, entry.target, partial(_passed, attempts, question)))
            self._drive(contenders, entry.target, **how)
            if not isinstance(plugin, str):
                theirs.append(self._plugin_cost(plugin, entry.target))
        for peer in entry.peers or ("",):
            missing = f"{peer} is not installed" if peer else ""
            self.results[row_key(protocol, peer)] = Result(Sample(tuple(mine)), missing)
        self.results |= {each.row: each.result(Sample(tuple(mine))) for each in contenders}
        if entry.plugin:
            told = plugin if isinstance(plugin, str) else Sample(tuple(theirs))
            self.results[row_key(protocol, entry.peers[0])] = Result(Sample(tuple(mine)), told)

    def _blackbox(self, stack: ExitStack) -> peers.Peer | None:
        modules = [f"  {name}: {entry.module}" for name, entry in PROTOCOLS.items() if entry.module]
        configuration = self._filled("\n".join(("modules:", *modules, "")))
        program = peers.find(BLACKBOX)
        return stack.enter_context(self._peer(program, configuration)) if program else None

    def _probed(self, blackbox: peers.Peer, protocol: str, row: str) -> Contender:
        entry = PROTOCOLS[protocol]
        place = self._filled(entry.place, entry)
        return Contender(row, blackbox, f"{blackbox.url}/probe?module={protocol}&target={place}", "\nprobe_success 1\n")

    def _plugin(self, entry: Protocol) -> list[str] | str:
        """Return a plug-in's command line, or why it cannot be measured."""
        program, *arguments = self._filled(entry.plugin, entry).split()
        path = peers.find(program)
        if path is None:
            return f"{program} is not installed"
        self.versions["monitoring-plugins"] = peers.version(path)
        command = [path, *arguments]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"does not pass ({told.stdout.strip() or told.stderr.strip()})" if told.returncode else command

    def _plugin_cost(self, command: list[str], target: str) -> float:
        """Return the CPU milliseconds of a run of a plug-in, with what it starts itself."""
        counted, cpu = self._counted(target), children_seconds()
        for _ in range(RUNS):
            subprocess.run(command, capture_output=True, check=True)
        spent = children_seconds() - cpu
        if target and self._counted(target) - counted < RUNS:
            raise RuntimeError(f"{command[0]} passes without asking the target")
        return spent / RUNS * MILLI

    def _filled(self, text: str, entry: Protocol | None = None) -> str:
        port = str(self._ports.get(entry.target, "")) if entry else ""
        return text.replace("{port}", port).replace("{authority}", str(self._authority.file))

    def _options(self, protocol: str) -> dict[str, Any]:
        return options(protocol, self._ports, self._authority.file)

    def _paced(self, protocol: str, contenders: Sequence[Contender]) -> Sample:
        said = self._written(protocol)
        servers = {}
        for number in range(round(RATE * self._turn * PART / CHECKS_PER_SERVER)):
            name = f"s{number:03}"
            own = itertools.islice((c for c in _names("c") if self._in_turn((name, c), contenders)), CHECKS_PER_SERVER)
            servers[name] = [f"{{protocol: {protocol}, name: {check}{said}}}" for check in own]
        configuration = ours.head(self._cycle(contenders)) + ours.inventory(servers)
        title = f"{protocol.upper()}, paced"
        self._warm_up(title, contenders, protocol, rate=RATE)
        with self._exporter(configuration) as exporter:
            counter = f'dserver_exporter_checks_total{{protocol="{protocol}",result="success"}}'
            return self._in_turns(title, protocol, exporter, counter, contenders, RATE)

    def _written(self, protocol: str) -> str:
        """Return a protocol's options as they stand in the configuration, after others."""
        return "".join(f", {name}: {json.dumps(said)}" for name, said in self._options(protocol).items())

    def _controllers(self) -> None:
        simulator, program = peers.find("ipmi_sim"), peers.find("ipmi_exporter")
        if simulator is None:
            for row in ("bmc", "bmc-looped", "bmc-sensors", "bmc-native"):
                self.results[row] = Result("ipmi_sim is not installed")
            return
        with ExitStack() as stack:
            bmc = stack.enter_context(IpmiSim(simulator, next(self._folders)))
            self._ports = self._targets.ask({"bmc": bmc.port, "address": IPMI_ADDRESS})["ports"]
            configuration = peers.IPMI.format(username=bmc.username, password=bmc.password)
            passes = '\nipmi_up{collector="ipmi"} 1\n'
            contenders, looped = [], []
            rows = ("bmc", "bmc-looped", "bmc-sensors", "bmc-native")
            missing = dict.fromkeys(rows, "ipmi_exporter is not installed")
            tools = peers.find("ipmimonitoring")
            if program and tools:
                flag = f"--freeipmi.path={Path(tools).parent}"
                forking = stack.enter_context(self._peer(program, configuration, flag))
                url = f"{forking.url}/ipmi?target=127.0.0.1:{self._ports['bmc']}&module="
                contenders.append(Contender("bmc", forking, url + "all", passes))
                looped.append(Contender("bmc-looped", forking, url + "all", passes))
                contenders.append(Contender("bmc-sensors", forking, url + "sensors", passes))
            elif program:
                missing |= dict.fromkeys(("bmc", "bmc-looped", "bmc-sensors"), "FreeIPMI is not installed")
            if program and self._ports["ipmi"]:
                native = stack.enter_context(self._peer(program, configuration, "--native-ipmi"))
                url = f"{native.url}/ipmi?target={IPMI_ADDRESS}&module=all"
                contenders.append(Contender("bmc-native", native, url, passes))
            elif program:
                missing["bmc-native"] = "knows port 623 only, which is not to be had here"
            lamp = f"{{source: ipmi, address: 127.0.0.1, port: {self._ports['bmc']}, credential: bmc}}"
            mine = self._reads("BMC", "bmc", lamp, bmc.password, contenders)
            self.results |= {row: Result(mine, why) for row, why in missing.items()}
            self.results |= {each.row: each.result(mine) for each in contenders}
            credential = {"values": {"username": bmc.username}, "secrets": {"password": bmc.password}}
            options = {"address": "127.0.0.1", "port": self._ports["bmc"]}
            question = {"source": "ipmi", "options": options, "credential": credential}
            mine = self._looped_reads("BMC", "bmc", stack.enter_context(Helper("ours")), question, looped)
            self.results["bmc-looped"] = Result(mine, missing["bmc-looped"])
            self.results |= {each.row: each.result(mine) for each in looped}

    def _agents(self) -> None:
        simulator, program = peers.find("snmpd"), peers.find("snmp_exporter")
        rows = {"snmp": "v2c", "snmp-v3": "v3"}
        if simulator is None:
            self.results |= {row: Result("snmpd is not installed") for key in rows for row in (key, f"{key}-paced")}
            return
        with ExitStack() as stack:
            agent = stack.enter_context(Snmpd(simulator, next(self._folders), snmp.served(), [snmp.USER]))
            port = self._targets.ask({"agent": agent.port})["ports"]["snmp"]
            peer = stack.enter_context(self._peer(program, snmp.module())) if program else None
            reads = stack.enter_context(Helper("ours"))
            for row, auth in rows.items():
                for name, measure in ((row, partial(self._looped_agent, reads)), (f"{row}-paced", self._paced_reads)):
                    contenders = []
                    if peer:
                        url = f"{peer.url}/snmp?target=127.0.0.1:{port}&module=lamps&auth={auth}"
                        contenders.append(Contender(name, peer, url, "\nlamp_2_1_0 3\n"))
                    mine = measure(auth, port, contenders)
                    self.results[name] = Result(mine, "snmp_exporter is not installed")
                    self.results |= {each.row: each.result(mine) for each in contenders}

    def _looped_agent(self, reads: Helper, auth: str, port: int, contenders: Sequence[Contender]) -> Sample:
        options = {"address": "127.0.0.1", "port": port, "version": auth[1:]}
        question = {"source": "snmp", "options": options, "credential": snmp.CREDENTIALS[auth]}
        return self._looped_reads(f"SNMP {auth}", "snmp", reads, question, contenders)

    def _looped_reads(
        self, title: str, target: str, reads: Helper, question: Answer, contenders: Sequence[Contender]
    ) -> Sample:
        readers = (
            1 if target == "bmc" else READERS
        )  # a BMC has one reservation of its records, and we one session at a time
        how = {"concurrency": readers, "seconds": self._turn}
        reads.ask({**question, **how, "seconds": 0.3})
        self._warm_up(f"{title}, closed loop", contenders, target, concurrency=readers)
        mine = []
        for _ in range(self._rounds):
            mine.append(self._cost(reads.pid, target, partial(_passed, reads, {**question, **how})))
            self._drive(contenders, target, **how)
        return Sample(tuple(mine))

    def _paced_reads(self, auth: str, port: int, contenders: Sequence[Contender]) -> Sample:
        lamp = f"{{source: snmp, address: 127.0.0.1, port: {port}, version: {auth[1:]}, credential: {auth}}}"
        return self._reads(f"SNMP {auth}, paced", "snmp", lamp, snmp.PASSWORDS[auth], contenders)

    def _reads(self, title: str, target: str, lamp: str, password: str, contenders: Sequence[Contender]) -> Sample:
        source = lamp.partition("source: ")[2].partition(",")[0]
        names = (name for name in _names("s") if self._in_turn((name, source), contenders))
        servers = list(itertools.islice(names, round(READS * self._turn)))
        configuration = ours.head(self._cycle(contenders)) + ours.inventory(dict.fromkeys(servers, ()), lamp)
        self._warm_up(title, contenders, target, rate=READS)
        with self._exporter(configuration, password=password) as exporter:
            reads = r"dserver_lamp_check_success\{[^}]*\}"
            return self._in_turns(title, target, exporter, reads, contenders, READS)

    def _pass_over_bmcs(self) -> None:
        title = f"{BMCS:,} BMCs in one pass"
        services = ours.fleet(round(RATE * CYCLE) // CHECKS_PER_SERVER, self._ports["tcp"])
        with Helper("bmcs") as controllers, self._exporter(ours.head(CYCLE), bmcs.PASSWORD) as exporter:
            ports = controllers.ask({"start": BMCS})["ports"]
            exporter.configure(ours.head(CYCLE, lamps=LAMPS) + services)
            exporter.reload()
            time.sleep(2 * CYCLE)  # every check has had its first run
            before, began = resident_bytes(exporter.pid), time.monotonic()
            exporter.configure(ours.head(CYCLE, lamps=LAMPS) + services + ours.controllers(ports))
            exporter.reload()
            lag, read = 0.0, 0.0
            while read < BMCS:
                read = exporter.metric(r"dserver_lamp_check_success\{[^}]*\}")
                lag = max(lag, exporter.metric("dserver_exporter_schedule_lag_seconds"))
                if time.monotonic() - began > PATIENCE:
                    raise RuntimeError(f"{read:,.0f} of {BMCS:,} BMCs were read in {PATIENCE:.0f} s")
                self._tell(f"{title}: {read:,.0f} read")
                time.sleep(1.0)
            self.results["bmcs"] = Result(Sample((time.monotonic() - began,)))
            self.results["bmcs-memory"] = Result(Sample(((resident_bytes(exporter.pid) - before) / MEBI,)))
            self.results["bmcs-peak"] = Result(Sample(((most_resident_bytes(exporter.pid) - before) / MEBI,)))
            self.results["bmcs-lag"] = Result(Sample((lag * MILLI,)))
            self._note_lag(exporter)
            sessions = controllers.ask()
        if sessions["opened"] < BMCS or sessions["open"]:
            raise RuntimeError(f"{BMCS:,} BMCs were read, and they say: {sessions}")

    def _rendering(self) -> None:
        with Helper("exposition") as child:
            self._tell("Scrape of 48,000 samples: warming up")
            child.ask({"rounds": 1})
            pairs = []
            for number in range(1, self._rounds + 1):
                self._tell(f"Scrape of 48,000 samples: round {number} of {self._rounds}")
                pairs += child.ask({"rounds": 1})["rounds"]
        mine, theirs = (Sample(tuple(value * MILLI for value in side)) for side in zip(*pairs, strict=True))
        self.results["scrape"] = Result(mine, theirs)

    def _served(self) -> None:
        title = "Scrape of 1,000 servers x 12 checks"
        checks = SERVED * CHECKS_PER_SERVER
        with self._exporter(ours.head(REGULAR)) as exporter:
            before = resident_bytes(exporter.pid)
            exporter.configure(ours.head(FIRST_RUNS) + ours.fleet(SERVED, self._ports["tcp"]))
            exporter.reload()
            while (up := exporter.metric(r"dserver_service_up\{[^}]*\}")) < checks:
                self._tell(f"{title}: {up:,.0f} have had their first run")
                time.sleep(1.0)
            exporter.configure(ours.head(REGULAR) + ours.fleet(SERVED, self._ports["tcp"]))
            exporter.reload()
            walls, costs, sizes = [], [], [0, 0]
            for number in range(1, self._rounds + 1):
                self._tell(f"{title}: round {number} of {self._rounds}")
                began, cpu = time.monotonic(), exporter.cpu
                sizes = [len(text) for text in exporter.scrape()]
                walls.append((time.monotonic() - began) * MILLI)
                costs.append((exporter.cpu - cpu) * MILLI)
            self.results["served"] = Result(Sample(tuple(walls)))
            self.results["served-cpu"] = Result(Sample(tuple(costs)))
            self.results["served-bytes"] = Result(Sample((sizes[0] * KILO,)))
            self.results["served-text"] = Result(Sample((sizes[1] * KILO,)))
            grown = resident_bytes(exporter.pid) - before
            self.results["memory"] = Result(Sample((grown * MEGA / checks * 1000,)))
            self._note_lag(exporter)

    def _loading(self, row: str, fleet: Callable[[int, int], str]) -> None:
        self._tell(f"Configuration of 10,000 servers: {row.removeprefix('load-')} form")
        protocol = "tcp" if fleet is ours.fleet else "http"
        with self._exporter(ours.head(REGULAR)) as exporter:
            before = resident_bytes(exporter.pid)
            exporter.configure(ours.head(REGULAR) + fleet(WHOLE_FLEET, self._ports[protocol]))
            self.results[row] = Result(Sample((exporter.reload(),)))
            grown = resident_bytes(exporter.pid) - before
            self.results[f"{row}-memory"] = Result(Sample((grown * MEGA / WHOLE_FLEET / CHECKS_PER_SERVER * 1000,)))
            self.results[f"{row}-lag"] = Result(Sample((_lag(exporter) * MILLI,)))

    def _fleet(self) -> None:
        """Measure the whole fleet from its first runs on: at the contract's interval, and then every minute."""
        services = [f"{{protocol: {each}, name: {each}{self._written(each)}}}" for each in MIX]
        fleet = ours.alike(WHOLE_FLEET, services)
        checks = WHOLE_FLEET * CHECKS_PER_SERVER
        with self._exporter(ours.head(REGULAR)) as exporter:
            empty = resident_bytes(exporter.pid)
            self._tell("10,000 servers x 12 checks: loading")
            exporter.configure(ours.head(REGULAR) + fleet)
            exporter.reload()
            self._rate("fleet", exporter, 30.0)
            self._page(exporter)
            exporter.configure(ours.head(EVERY_MINUTE) + fleet)
            exporter.reload()
            end = time.monotonic() + FILLING
            while (done := exporter.metric(SUCCESSES)) < checks and time.monotonic() < end:
                self._tell(f"10,000 servers x 12 checks every minute: {done:,.0f} first runs")
                time.sleep(5.0)
            self.results["fleet-memory"] = Result(Sample(((resident_bytes(exporter.pid) - empty) * MEGA,)))
            if done < checks:
                self.results["minute"] = Result(f"falls behind: {done:,.0f} first runs in {FILLING:.0f} s")
                return
            self._rate("minute", exporter, 20.0)

    def _page(self, exporter: Exporter) -> None:
        """Open the NOC page anew, and have it asked for again as often as by 20 screens."""
        self._tell(ROWS["page"].title)
        opened = []
        for _ in range(PAGES):
            time.sleep(LOOKED_AT)
            opened.append(exporter.page())
        self.results["page"] = Result(Sample(tuple(each.first * MILLI for each in opened)))
        self.results["page-whole"] = Result(Sample(tuple(each.whole * MILLI for each in opened)))
        self.results["page-bytes"] = Result(Sample(tuple(each.size * KILO for each in opened)))
        self._tell(f"{SCREENS} screens")
        etag, alone = opened[-1].etag, self.results["fleet"].ours
        cpu, began = exporter.cpu, time.monotonic()
        for number in range(1, SCREENS * ROUNDS_OF_SCREENS + 1):
            etag = exporter.page(etag).etag
            _sleep_until(began + number * PERIOD / SCREENS)
        spent = (exporter.cpu - cpu) / (time.monotonic() - began)
        if not isinstance(alone, str):
            self.results["page-screens"] = Result(Sample((spent - alone.median,)))

    def _rate(self, row: str, exporter: Exporter, seconds: float) -> None:
        """Measure what a process spends in so many seconds, and how late it was at worst."""
        self._tell(f"{ROWS[row].title}: measuring for {seconds:.0f} s")
        before, cpu, began = exporter.metric(SUCCESSES), exporter.cpu, time.monotonic()
        time.sleep(seconds)
        spent, done = exporter.cpu - cpu, exporter.metric(SUCCESSES) - before
        elapsed = time.monotonic() - began
        lag = exporter.metric("dserver_exporter_schedule_lag_seconds")
        self.results[row] = Result(Sample((spent / elapsed,)))
        self.results[f"{row}-rate"] = Result(Sample((done / elapsed,)))
        self.results[f"{row}-lag"] = Result(Sample((lag * MILLI,)))

    def _dark(self) -> None:
        """Let a tenth of a fleet go dark at once and come back: a part of the whole one, and as many times as fast."""
        interval = REGULAR / FASTER
        rest = f"recheck_interval: {60_000 // FASTER}ms, outage_notice_after: {600_000 // FASTER}ms, "
        settings = ours.head(interval, rest + f"timeout: {10_000 // FASTER}ms")
        servers = WHOLE_FLEET // FASTER
        step = f"{{protocol: tcp, name: NAME, port: {self._ports['fleet']}, steps: [{{expect: hello}}]}}"
        services = [step.replace("NAME", f"c{number}") for number in range(CHECKS_PER_SERVER)]
        title = f"{servers} servers, {FASTER} times as fast"
        gone = [ours.own_address(number) for number in range(0, servers, 10)]
        with self._exporter(settings) as exporter:
            exporter.configure(settings + ours.alike(servers, services, ours.own_address))
            exporter.reload()
            self._tell(f"{title}: first runs")
            time.sleep(1.2 * interval)
            self._tell(f"{title}: {len(gone)} go dark")
            self._targets.ask({"dark": gone})
            time.sleep(2.4 * interval)
            noted = self._targets.ask({"dark": [], "noted": True})["noted"]
            lag = exporter.metric("dserver_exporter_schedule_lag_seconds")
            self._tell(f"{title}: they are back")
            time.sleep(0.5 * interval)
            up = exporter.metric(r"dserver_service_up\{[^}]*\}")
        delays = [delay for address in gone for delay in _delays(noted.get(address, []), interval)]
        if len(delays) < len(gone) * CHECKS_PER_SERVER or up < servers * CHECKS_PER_SERVER:
            raise RuntimeError(f"{len(delays)} tenth minutes of {len(gone)} dark servers, and {up:.0f} are up again")
        self.results["dark"] = Result(Sample((max(delays) * MILLI,)))
        self.results["dark-lag"] = Result(Sample((lag * MILLI,)))

    def _dark_in_virtual_time(self) -> None:
        self._tell("1,000 of 10,000 servers go dark, in virtual time")
        outage = Outage(WHOLE_FLEET, CHECKS_PER_SERVER, WHOLE_FLEET // 10)
        fleet = outage.play()
        delays = outage.notice_delays(fleet)
        if len(delays) < outage.dark * outage.checks:
            raise RuntimeError(f"{len(delays)} tenth minutes of {outage.dark} dark servers")
        self.results["dark-virtual"] = Result(Sample((float(max(delays)),)))
        self.results["dark-virtual-lag"] = Result(Sample((float(max(fleet.lags)),)))
        self.results["dark-virtual-flight"] = Result(Sample((float(fleet.most_in_flight),)))

    # turns

    def _cycle(self, contenders: Sequence[Contender]) -> float:
        """Return the seconds of a cycle, in which each side has a turn; without a peer, one stays empty."""
        return self._turn * (1 + max(1, len(contenders)))

    def _in_turn(self, key: tuple[str, str], contenders: Sequence[Contender]) -> bool:
        """Tell whether something with this key runs in our turn, the first of the cycle."""
        return share(key) * self._cycle(contenders) < PART * self._turn

    def _in_turns(
        self,
        title: str,
        target: str,
        exporter: Exporter,
        counter: str,
        contenders: Sequence[Contender],
        rate: float,
    ) -> Sample:
        """Measure our process while its checks run, then each contender at the same rate while they do not.

        Our own count is taken with a scrape at the end of our turn, as Prometheus takes one.
        """
        cycle = self._cycle(contenders)
        _sleep_until(_next(cycle) + cycle - 4 * GUARD)  # every check has had its first run
        said = exporter.metric(counter)
        mine = []
        for number in range(1, self._rounds + 1):
            start = _next(cycle)
            self._tell(f"{title}: round {number} of {self._rounds}")
            _sleep_until(start - GUARD)

            def ours_done(end: float = start + self._turn) -> int:
                nonlocal said
                _sleep_until(end)
                before, said = said, exporter.metric(counter)
                return round(said - before if "total" in counter else said)

            mine.append(self._cost(exporter.pid, target, ours_done))
            self._drive(contenders, target, rate=rate, seconds=self._turn - 4 * GUARD)
        self._note_lag(exporter)
        return Sample(tuple(mine))

    def _warm_up(self, title: str, contenders: Sequence[Contender], target: str, **how: float) -> None:
        """Let each contender work for a moment, alone, and see what the target counts for one of its answers."""
        self._tell(f"{title}: warming up")
        for contender in contenders:
            before = self._counted(target)
            passed = self._ask(contender, seconds=0.6, **how)["passed"]
            counted = self._counted(target) - before if target else passed
            contender.each = round(counted / passed) if passed else 0

    def _drive(self, contenders: Sequence[Contender], target: str, **how: float) -> None:
        """Measure each contender that gets through to the target."""
        for contender in contenders:
            if contender.each:

                def drive(contender: Contender = contender) -> int:
                    return int(self._ask(contender, **how)["passed"])

                contender.costs.append(self._cost(contender.peer.pid, target, drive, contender.each))

    def _ask(self, contender: Contender, **how: float) -> Answer:
        return self._driver.ask({"url": contender.url, "passes": contender.passes, **how})

    def _cost(self, pid: int, target: str, work: Callable[[], int], each: int = 1) -> float:
        """Return the CPU milliseconds that a process spends on a unit of what ``work`` makes it do and tells."""
        counted, cpu = self._counted(target), cpu_seconds(pid)
        told = work()
        spent = cpu_seconds(pid) - cpu
        done = (self._counted(target) - counted) / each if target else told
        if abs(done - told) > max(0.02 * told, CONCURRENCY):  # so many were under way at its ends
            raise RuntimeError(f"the target counts {done:.0f} of {target}, and {told} are told")
        return spent / done * MILLI

    def _counted(self, target: str) -> int:
        """Return what a target has counted, once it has seen all that reached it: a connection waits to be accepted."""
        counted = -1
        while counted != (latest := int(self._targets.ask()["counts"].get(target, 0))):
            counted = latest
            time.sleep(SETTLED)
        return counted

    # processes

    def _peer(self, program: str, configuration: str, *flags: str) -> peers.Peer:
        self.versions[Path(program).name] = peers.version(program)
        return peers.Peer(next(self._folders), program, configuration, *flags)

    def _exporter(self, configuration: str, password: str = "") -> Exporter:
        return Exporter(next(self._folders), configuration, password)

    def _note_lag(self, exporter: Exporter) -> None:
        self._lags.append(_lag(exporter))


def _lag(exporter: Exporter) -> float:
    """Return how late the loop was at worst in the last minute, in seconds."""
    time.sleep(0.5)  # the exporter looks four times a second
    return exporter.metric("dserver_exporter_loop_lag_seconds")


PARTS: Mapping[str, Callable[[Bench], None]] = {
    "services": Bench._services,
    "protocols": Bench._protocols,
    "controllers": Bench._controllers,
    "agents": Bench._agents,
    "bmcs": Bench._pass_over_bmcs,
    "rendering": Bench._rendering,
    "served": Bench._served,
    "load-short": lambda bench: bench._loading("load-short", ours.fleet),
    "load-long": lambda bench: bench._loading("load-long", ours.long_fleet),
    "fleet": Bench._fleet,
    "dark": Bench._dark,
    "dark-virtual": Bench._dark_in_virtual_time,
}
"""The parts of the benchmark, in their order."""
LONG = frozenset({"bmcs", "load-long", "fleet", "dark-virtual"})
"""Those that a quick one leaves out."""


def _passed(attempts: Helper, question: Answer) -> int:
    """Return how many attempts of ours passed: all have to."""
    told = attempts.ask(question)
    if told["failures"] or not told["passed"]:
        raise RuntimeError(f"our own attempts fail, {question['protocol']}: {told['failures']}")
    return int(told["passed"])


def _delays(noted: Sequence[float], notice: float) -> Iterator[float]:
    """Give how long after its notice time each check of a dark server was tried: its first attempts are their first."""
    for first in noted[:CHECKS_PER_SERVER]:
        due = first + notice
        yield from itertools.islice((max(0.0, at - due) for at in noted if at > due - SETTLED), 1)


def _names(prefix: str) -> Iterator[str]:
    return (f"{prefix}{number}" for number in itertools.count())


def _next(cycle: float) -> float:
    """Return when the next cycle begins: slots count from zero of the monotonic clock."""
    return (time.monotonic() // cycle + 1) * cycle


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))
