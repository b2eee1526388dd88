"""The pages of incidents: the list, one with all that happened in it, and its report as the customer gets it."""

import shlex
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial

from aiohttp import hdrs, web

from collectors.reading import Lamp, Verdict
from exporter.archive import INCIDENTS, IncidentPast, incidents
from exporter.clock import Moment
from exporter.contract.incidents import Held, Hold, Incident, IncidentEvent, Kind, What, holding
from exporter.contract.level import NextStep
from exporter.inventory import Config, Customer, Language, Server
from exporter.mail.reports import addressee, customer_of, report_letter
from exporter.monitor import Monitor
from exporter.web.pages.asked import Asked
from exporter.web.pages.layout import Shown
from exporter.web.pages.remembered import Memory, UnreadableError
from exporter.web.pages.words import LANGUAGES, Words
from exporter.words import MEANS

LONGEST = 100
"""Characters of a name that is asked for."""
DIGITS = 19
"""A number with fewer is one of the ledger's."""
REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""A report brings its own style along, as the mail does, perhaps the operator's; it can do nothing else."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the time line. ``private`` is what only a trusted reader sees; ``said`` is what a server sent."""

    at: int
    what: What
    words: str
    private: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class IncidentNow:
    """An incident at one moment. Without a ``history`` the ledger could not be read."""

    at: Moment
    incident: Incident
    history: tuple[IncidentEvent, ...] | None
    server: Server | None
    """None where the inventory has it no longer."""
    customer: Customer | None
    holding: tuple[Held, ...]
    chained: bool
    """Whether the exporter tells customers itself: where Alertmanager does, nobody tells us that it did."""

    @classmethod
    def of(cls, monitor: Monitor, past: IncidentPast, now: Moment, *, readable: bool = True) -> "IncidentNow":
        """Look at an incident."""
        incident, config = past.incident, monitor.config
        states = monitor.lamps.states(incident.server)
        return cls(
            at=now,
            incident=incident,
            history=past.history if readable else None,
            server=config.servers.get(incident.server),
            customer=config.customers.get(incident.customer),
            holding=holding(incident, states) if incident.open else (),
            chained=config.tells_customers,
        )

    @property
    def state(self) -> str:
        """Return where it stands: a key of the catalogue."""
        return state_of(self.incident)


def state_of(incident: Incident) -> str:
    """Return where an incident stands: a key of the catalogue."""
    if incident.withdrawn:
        return "withdrawn"
    if incident.closed is not None:
        return "closed"
    if incident.down:
        return "down"
    if incident.recovered is not None:
        return "lamps-awaited"
    return {Kind.OUTAGE: "recovering", Kind.LAMP: "lamp", Kind.REBOOT_REQUEST: "requested"}[incident.kind]


def commands(now: IncidentNow, *, trusted: bool) -> Iterator[str]:
    """Give what a person may type next about an incident. Contacts are named to a ``trusted`` reader alone."""
    incident, name = now.incident, shlex.quote(now.incident.id)
    call = "dserver-exporter incidents"
    if incident.open and incident.acknowledged is None:
        yield f"{call} ack {name}"
    if incident.open and incident.customer_had_to_be_told and not incident.told:
        contacts = [each for each in now.customer.contacts if each.phone] if now.customer and trusted else []
        for each in contacts:
            yield f"{call} told {name} --by phone --to {shlex.quote(each.name or each.phone)}"
        if not contacts:
            yield f"{call} told {name} --by phone --to NAME"
    if not incident.report.delivered:
        yield f"{call} note {name} TEXT"
    if any(each.why is Hold.NO_SOURCE for each in now.holding):
        yield f"dserver-exporter lamps confirm {shlex.quote(incident.server)} --verdict normal --note TEXT"
    if any(each.why is Hold.UNDONE for each in now.holding):
        yield f"{call} close {name}"
    if incident.report.owed:
        if not (incident.report.cause and incident.report.measures):
            yield f"{call} report {name} --cause TEXT --measures TEXT"
        elif incident.report.approved is None:
            yield f"{call} report {name} --approve"
        else:
            yield f"{call} send {name}"
        yield f"{call} postpone {name} --until DATE --reason TEXT"
        yield f"{call} report {name} --waive TEXT"


def time_line(history: Iterable[IncidentEvent], speak: Words) -> list[Entry]:
    """Return all that happened, in the order in which it did."""
    return [_entry(event, speak) for event in sorted(history, key=lambda event: event.at)]


def _entry(event: IncidentEvent, speak: Words) -> Entry:
    data, subject = event.data, event.subject
    private = said = ""
    facts: dict[str, object] = {"subject": subject}
    match event.what:
        case What.OPENED:
            facts["kind"] = speak(f"incident.kind_{data['kind']}")
            private = str(data.get("reason", ""))
        case What.CHECK_DOWN | What.OBSERVED:
            facts |= {"reason": speak.reason(str(data["reason"])), "step": f"{data['reason']}: {data['step']}"}
            said = str(data.get("detail", ""))
        case What.LIMIT_REACHED:
            facts["length"] = speak.length(int(data["confirmed"]))
        case What.LAMP_ABNORMAL:
            facts |= {"lamp": _lamp(str(data["lamp"]), speak), "verdict": _verdict(str(data["verdict"]), speak)}
            facts["evidence"] = data["evidence"]
        case What.LEVEL:
            facts["step"] = speak.next_step(NextStep(str(data["step"])))
        case What.QUEUED | What.DROPPED:
            private = subject
        case What.TOLD:
            facts["means"] = _means(str(data.get("by", "")), speak)
            private = " ".join(filter(None, (subject, str(data.get("to", "")))))
        case What.ACKNOWLEDGED | What.REPORT_EDITED | What.REPORT_APPROVED | What.REPORT_POSTED:
            facts["author"] = data.get("author", "")
        case What.NOTE:
            facts["author"] = data.get("author", "")
            private = str(data.get("text", ""))
        case What.REPORT_DRAFTED:
            facts["due"] = speak.time(int(data["due"]))
        case What.REPORT_POSTPONED:
            facts |= {"until": speak.time(int(data["until"])), "author": data.get("author", "")}
            private = str(data["reason"])
        case What.REPORT_WAIVED:
            facts["author"] = data.get("author", "")
            private = str(data.get("reason", ""))
        case What.REPORT_SENT:
            facts["means"] = _means(str(data["by"]), speak)
            private = subject
        case _:
            pass
    key = "withdrawn-check" if event.what is What.WITHDRAWN and subject else event.what.value
    return Entry(event.at, event.what, speak(f"incident.event_{key}", **facts), private, said)


def _lamp(name: str, speak: Words) -> str:
    return speak.lamp(Lamp(name)) if name in set(Lamp) else name


def _verdict(name: str, speak: Words) -> str:
    return speak.verdict(Verdict[name.upper()]) if name.upper() in Verdict.__members__ else name


def _means(by: str, speak: Words) -> str:
    return MEANS[speak.language].get(by, by)


class IncidentView:
    """Looks at what the page of an incident shows."""

    def __init__(self, monitor: Monitor, executor: Executor) -> None:
        self._monitor = monitor
        self._memory = Memory(monitor.ledger, executor)

    async def __call__(self, name: str, asked: Asked) -> Shown:
        """Return the page of the incident of this name."""
        now = self._monitor.clock.now()
        readable = True
        try:
            past = await self.past(name)
        except UnreadableError:
            known, readable = self._monitor.duties.incidents.get(name), False
            past = IncidentPast(known, ()) if known else None
        if past is None:
            return Shown("missing.html.j2", lambda _speak: {"kind": "incident", "name": name}, now, status=404)
        seen = IncidentNow.of(self._monitor, past, now, readable=readable)
        return Shown("incident.html.j2", partial(_incident_values, seen, asked.reader.trusted), now)

    async def past(self, name: str) -> IncidentPast | None:
        """Return what the ledger has of an incident. Raises UnreadableError."""
        return await self._memory.ask(lambda connection: IncidentPast.of(connection, name))


def _incident_values(now: IncidentNow, trusted: bool, speak: Words) -> Mapping[str, object]:
    return {
        "now": now,
        "incident": now.incident,
        "state": now.state,
        "entries": None if now.history is None else time_line(now.history, speak),
        "commands": list(commands(now, trusted=trusted)),
        "means": partial(_means, speak=speak),
        "lamp": partial(_lamp, speak=speak),
        "verdict_named": {verdict.name.lower(): verdict for verdict in Verdict},
    }


class ReportView:
    """Shows the report of an incident on A4, as it was sent or as it is now."""

    def __init__(self, monitor: Monitor, view: IncidentView) -> None:
        self._monitor = monitor
        self._view = view

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer with it, in the customer's language or in that of ``?language=``. Raises HTTPNotFound and others."""
        name = request.match_info["name"]
        try:
            past = await self._view.past(name)
        except UnreadableError:
            raise web.HTTPServiceUnavailable(text="The ledger cannot be read now; the log says why.\n") from None
        if past is None or past.incident.report.due is None:
            raise web.HTTPNotFound(text=f"There is no report of an incident {name}.\n")
        language = next((each for each in LANGUAGES if each == request.query.get("language")), None)
        config = self._monitor.config
        sent = past.incident.report.delivered
        page = sent.page if sent and not language else _page(config, past.incident, language)
        headers = {hdrs.CONTENT_TYPE: "text/html; charset=utf-8", "Content-Security-Policy": REPORT_POLICY}
        return web.Response(body=page.encode(errors="backslashreplace"), headers=headers)


@dataclass(frozen=True, slots=True)
class Listed:
    """The incidents that are shown: the open ones, those that owe a report, and the others that are over."""

    at: Moment
    config: Config
    server: str
    customer: str
    open: tuple[Incident, ...]
    owed: tuple[Incident, ...]
    over: tuple[Incident, ...]
    before: int | None
    """Where the list of those that are over goes on; None at its end."""
    first: bool
    readable: bool


class IncidentsView:
    """Looks at what the list of incidents shows."""

    def __init__(self, monitor: Monitor, executor: Executor) -> None:
        self._monitor = monitor
        self._memory = Memory(monitor.ledger, executor)

    async def __call__(self, asked: Asked) -> Shown:
        """Return the part of the list that is asked for."""
        query = asked.here.query
        server, customer, number = (query.get(name, "").strip()[:LONGEST] for name in ("server", "customer", "before"))
        before = int(number) if number.isascii() and number.isdecimal() and len(number) < DIGITS else None
        now = self._monitor.clock.now()
        known = [
            each
            for each in sorted(
                self._monitor.duties.incidents.known(),
                key=lambda each: (not each.down, -each.response.level, each.opened),  # as on the NOC page
            )
            if server in {"", each.server} and customer in {"", each.customer}
        ]
        ask = partial(incidents, server=server, customer=customer, before=before)
        try:
            found, readable = await self._memory.ask(ask), True
        except UnreadableError:
            found, readable = [], False
        pending = {each.id for each in known if each.open or each.report.owed}
        listed = Listed(
            at=now,
            config=self._monitor.config,
            server=server,
            customer=customer,
            open=tuple(each for each in known if each.open),
            owed=tuple(sorted((e for e in known if e.report.owed), key=lambda each: each.report.due or 0)),
            over=tuple(each for _, each in found if each.id not in pending),
            before=found[-1][0] if len(found) == INCIDENTS else None,
            first=before is None,
            readable=readable,
        )
        return Shown("incidents.html.j2", lambda _speak: {"listed": listed, "state_of": state_of}, now)


def _page(config: Config, incident: Incident, language: Language | None) -> str:
    contact = addressee(customer_of(config, incident))
    return report_letter(config, incident, contact, language=language).html
