"""The NOC page: what is broken, for whom, since when and what the contract asks for next; then the fleet."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from collectors.reading import Verdict
from exporter.contract.businessdays import VERIFIED_UNTIL
from exporter.contract.incidents import Incident, Kind
from exporter.contract.level import Response
from exporter.contract.ossupport import Support, os_dates
from exporter.inventory import MaintenanceWindow, Server
from exporter.web.pages.asked import Asked
from exporter.web.pages.filters import NONE, STATES, VOID, Filter
from exporter.web.pages.fleet import CheckSeen, Fleet, Glance, Health, IncidentSeen, LampSeen, Look, SourceSeen
from exporter.web.pages.layout import Shown
from exporter.web.pages.words import Words

TROUBLES = 60
"""Servers in trouble that are listed: with a whole site dark, the page is still a page."""
ROWS = 50
"""Rows of one other table."""
CELLS = 500
"""Servers whose lamps hang on the wall one by one; of more, sites and racks are summed up."""
LIT, ALL_LIT = 30, 300
"""Servers of one site, and of all, that are not well and hang on the wall all the same."""
GROUPS = 100
"""Sites, and racks of a site."""
SERVERS = 50
"""Servers on one page of the list."""
FEW = 5
"""Servers in trouble, or failing checks of a kind, each with what was said; of more their own pages tell it."""
NAMED = 4
"""Checks of one server that are named in the list of troubles."""

LOOP_LAG, SCHEDULE_LAG = 1.0, 10.0
"""Seconds of lateness from which on the monitoring itself is in trouble."""
SEVERITY = (Verdict.CRITICAL, Verdict.WARNING, Verdict.UNKNOWN, Verdict.NORMAL)


@dataclass(slots=True)
class Trouble:
    """A server with an outage or an open incident."""

    server: Server
    response: Response
    checks: list[CheckSeen] = field(default_factory=list)
    """Those that are down, the oldest outage first."""
    incidents: list[IncidentSeen] = field(default_factory=list)

    @property
    def kind(self) -> Kind:
        """Return why there is an incident, where nothing is down any more."""
        return self.incidents[0].incident.kind

    @property
    def since(self) -> int:
        """Return when it began, wall ms."""
        if self.checks:
            return min(check.state.down_since or 0 for check in self.checks)
        return min(seen.incident.opened for seen in self.incidents)

    @property
    def rank(self) -> tuple[bool, int, int]:
        """What is down goes first, of that the higher level, then the oldest."""
        return (not self.checks, -self.response.level, self.since)


@dataclass(slots=True)
class Group:
    """Servers at one place: of a site, a rack, a customer."""

    name: str
    servers: list[Glance] = field(default_factory=list)

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Return how many servers' lamps say what."""
        return Counter(glance.verdict for glance in self.servers)

    @property
    def down(self) -> int:
        """Return how many servers have an outage."""
        return sum(glance.down for glance in self.servers)

    @property
    def ill(self) -> list[Glance]:
        """Return the servers that are not well, the worst first."""
        return sorted(
            (each for each in self.servers if _rank(each) < WELL), key=lambda each: (_rank(each), each.server.name)
        )

    @property
    def rank(self) -> tuple[int, str]:
        """Return what the worst of it is."""
        return (min(map(_rank, self.servers)), self.name)

    def by_rack(self) -> list["Group"]:
        """Return the racks of a site, in their order."""
        return sorted(_grouped(self.servers, lambda server: server.rack or NONE), key=lambda rack: rack.name)


WELL = 4
"""The rank of a server of which nothing is wrong."""
_RANKS = {Verdict.CRITICAL: 1, Verdict.WARNING: 2, Verdict.UNKNOWN: 3, Verdict.NORMAL: WELL}


def _rank(glance: Glance) -> int:
    """Return how urgent a server is: 0 is the most."""
    return 0 if glance.down else _RANKS[glance.verdict]


def _grouped(glances: Iterable[Glance], key: Callable[[Server], str]) -> list[Group]:
    groups: dict[str, Group] = {}
    for glance in glances:
        name = key(glance.server)
        groups.setdefault(name, Group(name)).servers.append(glance)
    return list(groups.values())


@dataclass(frozen=True, slots=True)
class Front:
    """What the page shows: of the servers that the filter admits, and of all where that says too little."""

    fleet: Fleet
    filter: Filter
    trusted: bool
    servers: list[Glance]
    """Those that are admitted."""
    troubles: list[Trouble]
    hidden: int
    """Servers that are down and not admitted by the filter."""
    sites: list[Group]
    customers: list[Group]
    states: Mapping[str, Counter[str]]
    """How many checks of a protocol stand how."""
    abnormal: list[LampSeen]
    unreadable: list[SourceSeen]
    void: list[CheckSeen]
    never_up: list[CheckSeen]
    expiring: list[CheckSeen]
    reports: list[Incident]
    windows: list[MaintenanceWindow]
    page: int

    @classmethod
    def of(cls, fleet: Fleet, wanted: Filter, page: int, *, trusted: bool) -> "Front":
        """Return the page about a fleet. Pure."""

        def name(server: Server) -> str:
            customer = fleet.customer(server)
            return customer.name if trusted and customer else ""

        servers = (
            [each for each in fleet.glances if wanted.admits(each, name(each.server))] if wanted else fleet.glances
        )
        admitted = {each.server.name for each in servers}

        def checks(seen: Iterable[CheckSeen]) -> list[CheckSeen]:
            return [
                each for each in seen if each.server.name in admitted and wanted.protocol in {"", each.check.protocol}
            ]

        troubles = _troubles(fleet)
        return cls(
            fleet=fleet,
            filter=wanted,
            trusted=trusted,
            servers=servers,
            troubles=[each for each in troubles if each.server.name in admitted],
            hidden=sum(1 for each in troubles if each.checks and each.server.name not in admitted),
            sites=sorted(_grouped(servers, lambda server: server.site or NONE), key=lambda site: site.rank),
            customers=sorted(_grouped(servers, lambda server: server.customer), key=lambda customer: customer.rank),
            states=_states(servers),
            abnormal=[each for each in fleet.abnormal if each.server.name in admitted],
            unreadable=[each for each in fleet.unreadable if each.server.name in admitted],
            void=checks(fleet.void),
            never_up=checks(fleet.never_up),
            expiring=checks(fleet.expiring),
            reports=[each for each in fleet.reports if not wanted or each.server in admitted],
            windows=[
                each for each in fleet.windows if not wanted or any(s.server.within({each.scope}) for s in servers)
            ],
            page=min(max(page, 1), max(1, -(-len(servers) // SERVERS))),
        )

    @property
    def verdicts(self) -> Counter[Verdict]:
        """Return how many servers' lamps say what."""
        return Counter(glance.verdict for glance in self.servers)

    @property
    def totals(self) -> Counter[str]:
        """Return how many checks stand how."""
        return sum(self.states.values(), Counter())

    @property
    def down(self) -> list[Trouble]:
        """Return the troubles that are outages."""
        return [each for each in self.troubles if each.checks]

    @property
    def affected(self) -> int:
        """Return how many customers have an outage."""
        return len({each.server.customer for each in self.down})

    @property
    def maintained(self) -> set[str]:
        """Return which servers are in maintenance."""
        return {each.server.name for each in self.servers if each.maintained}

    @property
    def detailed(self) -> bool:
        """Tell whether the wall has a lamp for each server."""
        return len(self.servers) <= CELLS

    @property
    def lit(self) -> int:
        """Return how many servers of one site hang on the wall where not all do."""
        return min(LIT, ALL_LIT // min(len(self.sites), GROUPS))

    @property
    def listed(self) -> list[Glance]:
        """Return the servers on this page of the list."""
        return self.servers[(self.page - 1) * SERVERS : self.page * SERVERS]

    @property
    def pages(self) -> int:
        """Return how many pages the list has."""
        return max(1, -(-len(self.servers) // SERVERS))

    @property
    def well(self) -> bool:
        """Tell whether nothing is known to be wrong with what is shown."""
        return not (self.troubles or self.abnormal or self.unreadable or self.void or self.never_up)


def _troubles(fleet: Fleet) -> list[Trouble]:
    troubles: dict[str, Trouble] = {}
    for check in fleet.outages:
        server = check.server
        trouble = troubles.setdefault(server.name, Trouble(server, fleet.responses[server.name]))
        trouble.checks.append(check)
    for seen in fleet.incidents:
        trouble = troubles.setdefault(seen.server.name, Trouble(seen.server, seen.response))
        trouble.incidents.append(seen)
    return sorted(troubles.values(), key=lambda each: each.rank)


def _states(servers: Sequence[Glance]) -> Mapping[str, Counter[str]]:
    states: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for standings, times in Counter(each.checks for each in servers).items():
        for protocol, state, void in standings:
            states[protocol][state] += times
            if void:
                states[protocol][VOID] += times
    return dict(sorted(states.items()))


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about the monitoring itself."""

    name: str
    text: str
    bad: bool = False


def facts(health: Health, t: Words) -> Iterator[Fact]:
    """Give what is to be said of the monitoring itself."""
    told = t("front.running") if health.ready else t("front.starting", progress=health.progress)
    yield Fact(t("front.fact_monitoring"), told, not health.ready)
    if not health.config_read:
        yield Fact(t("front.fact_configuration"), t("front.config_unread"))
    else:
        told = t("front.config_read" if health.config_good else "front.config_bad", time=t.time(health.config_read))
        yield Fact(t("front.fact_configuration"), told, not health.config_good)
    told = t("front.ledger_errors", n=health.ledger_errors) if health.ledger_errors else t("front.ledger_good")
    yield Fact(t("front.fact_ledger"), told, bool(health.ledger_errors))
    if health.watchdog_silent is not None:
        told = t("front.chain_silent", length=t.length(health.watchdog_silent))
        yield Fact(t("front.fact_chain"), told, bad=True)
    elif health.chained:
        yield Fact(t("front.fact_chain"), t("front.chain_good"))
    if health.chained or health.outbox:
        told = t("front.outbox_waits", n=health.outbox) if health.outbox else t("front.outbox_empty")
        yield Fact(t("front.fact_outbox"), told)
    elif not health.alertmanager_tells:
        yield Fact(t("front.fact_outbox"), t("front.outbox_none"))
    vantage = {None: "front.vantage_none", True: "front.vantage_up", False: "front.vantage_lost"}[health.vantage]
    yield Fact(t("front.fact_vantage"), t(vantage), health.vantage is False)
    told = t("front.desk_open") if health.open else t("front.desk_closed", time=t.time(health.opens))
    yield Fact(t("front.fact_desk"), told)
    if health.holidays_end:
        yield Fact(t("front.fact_holidays"), t("front.holidays_end", day=VERIFIED_UNTIL), bad=True)
    lag = health.loop_lag
    yield Fact(t("front.fact_loop"), t("front.loop_lag", lag=f"{lag * 1000:.0f}"), lag > LOOP_LAG)
    told = t("front.schedule_lag", n=health.in_flight, lag=f"{health.schedule_lag:.1f}")
    yield Fact(t("front.fact_schedule"), told, health.schedule_lag > SCHEDULE_LAG)


def support(server: Server, t: Words) -> str:
    """Return what the contract says of a managed server's operating system, where that is not simply full support."""
    dates = os_dates(server.os) if server.managed else None
    if dates is None:
        return ""
    match dates.support(t.now):
        case Support.FULL:
            return ""
        case Support.LIMITED:
            return t("front.support_limited", day=dates.contract_end)
        case Support.ENDED:
            return t("front.support_ended", day=dates.contract_end)


class FrontView:
    """Looks at what the page shows."""

    def __init__(self, look: Look) -> None:
        self._look = look

    async def __call__(self, asked: Asked) -> Shown:
        """Return the page that is asked for."""
        return shown(await self._look.fleet(), asked)


def shown(fleet: Fleet, asked: Asked) -> Shown:
    """Return the page about a fleet. Pure."""
    number = asked.here.query.get("page", "")
    page = int(number[:6]) if number.isdecimal() else 1
    wanted = Filter.of(asked.here.query)
    return Shown("front.html.j2", partial(_values, fleet, wanted, page, asked.reader.trusted), fleet.at)


def _values(fleet: Fleet, wanted: Filter, page: int, trusted: bool, t: Words) -> Mapping[str, object]:
    choices = _choices(fleet, t)
    return {
        "front": Front.of(fleet, wanted, page, trusted=trusted),
        "fleet": fleet,
        "wanted": wanted,
        "choices": choices,
        "called": {name: dict(values) for name, values in choices.items()},
        "facts": list(facts(fleet.health, t)),
        "support": lambda server: support(server, t),
        "troubles": TROUBLES,
        "rows": ROWS,
        "few": FEW,
        "named": NAMED,
        "groups": GROUPS,
        "severity": SEVERITY,
        "states": STATES,
        "none": NONE,
    }


def _choices(fleet: Fleet, t: Words) -> Mapping[str, list[tuple[str, str]]]:
    """Return what can be chosen in the filter, by part: values and what they are called."""
    sites = sorted({glance.server.site for glance in fleet.glances})
    protocols = sorted(
        {protocol for standings in {each.checks for each in fleet.glances} for protocol, _, _ in standings}
    )
    return {
        "site": [(site or NONE, site or t("base.no_site")) for site in sites[:GROUPS]],
        "verdict": [(verdict.name.lower(), t.verdict(verdict)) for verdict in SEVERITY],
        "protocol": [(protocol, protocol) for protocol in protocols],
        "state": [(state, t(f"base.state_{state}")) for state in STATES],
    }
