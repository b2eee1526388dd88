"""Which resources are read, by which requests: few, and none twice.

At most ``BUDGET`` requests, plus one for each drive, memory module and processor that the service does not send along
with its collection (``$expand``, DSP0266 section 7.3.1). What only repeats - new resources beside old ones, sensors
beside parts - is read where the budget allows it; what is the only word on a part is read beyond it, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from collectors.failures import Unauthorized, Unavailable, UnexpectedReply, WrongContent
from collectors.hardware.redfish import oem, resources
from collectors.hardware.redfish.client import ROOT, Answer, Unreadable, local
from collectors.hardware.redfish.documents import (
    LONGEST_EVIDENCE,
    Json,
    Resource,
    is_whole,
    link,
    mapping,
    mappings,
    number,
    parsed,
    printable,
    text,
)
from collectors.hardware.redfish.oem.storage import StorageTree
from collectors.hardware.redfish.parts import Part
from collectors.hardware.redfish.session import BUSY, Visit
from collectors.reading import Hardware, Lamp, Verdict

BUDGET = 30
"""Requests of one read, the log-in and its end among them."""
MOST_MEMBERS = 512
MOST_PAGES = 32
"""Of one collection: more is a loop, or no server."""
MOST_PARTS = 4096
MOST_REDIRECTS = 3

NOT_THERE = frozenset({404, 405, 410, 501})
"""What a service answers for a resource that it does not have: not a fault."""
UNKNOWN_QUERY = NOT_THERE | {400}
"""What it answers where it has the resource and does not know the query."""
REDIRECTS = frozenset({301, 302, 307, 308})

LEVELS = 2
"""How deep $expand is asked for at most: a storage collection, its members, their drives."""


@dataclass(frozen=True, slots=True)
class Expand:
    """How the service expands references, by ``ProtocolFeaturesSupported``."""

    symbol: str
    most: int

    def query(self, levels: int) -> str:
        """Return the query that asks for it."""
        return f"?$expand={self.symbol}($levels={min(levels, self.most)})" if self.most else f"?$expand={self.symbol}"


def expand_of(root: Json) -> Expand | None:
    """Return what the service root offers: ``.`` follows what is subordinate, ``*`` also what is under Links."""
    offer = mapping(mapping(root.get("ProtocolFeaturesSupported")).get("ExpandQuery"))
    symbol = "." if offer.get("NoLinks") is True else "*" if offer.get("ExpandAll") is True else ""
    if not symbol:
        return None
    most = number(offer.get("MaxLevels"))
    return Expand(symbol, max(1, int(min(most or LEVELS, LEVELS))) if offer.get("Levels") is True else 0)


@dataclass(slots=True)
class Findings:
    """What a walk found: parts, whose machine it is, and the paths of what was not read, each with the reason.

    ``failures`` could not be read; ``left`` would have been too many requests (its lamp is None where others tell the
    same).
    """

    parts: list[Part] = field(default_factory=list)
    failures: dict[str, tuple[Lamp | None, str]] = field(default_factory=dict)
    left: dict[str, tuple[Lamp | None, str]] = field(default_factory=dict)
    hardware: Hardware = field(default_factory=Hardware)
    power: bool | None = None


class Walk:
    """Reads resources of one service, each once."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._manners = visit.manners
        self._client = visit.client
        self._expand: Expand | None = None
        self._free = 0
        self._seen: dict[str, Resource | None] = {}
        self._taken: set[str] = set()
        self._root = Resource(ROOT, {})
        self.found = Findings()

    @property
    def spare(self) -> int:
        """How many requests of the budget are left, beside those that end sessions."""
        return BUDGET - (self._client.requests - self._free) - len(self._visit.sessions)

    async def log_in(self) -> None:
        """Read the service root, which needs no log-in, and log in."""
        self._client.step = "service root"
        answer = await self._answer(ROOT)
        known = answer.status not in {401, 403}
        if known:
            self._root = self._opened(answer)
        await self._visit.log_in(link(mapping(self._root.data.get("Links")).get("Sessions")))
        if not known:
            self._client.step = "service root"
            self._root = self._opened(await self._authorised(ROOT))
        self._expand = expand_of(self._root.data) if self._manners.expands else None

    def _opened(self, answer: Answer) -> Resource:
        step = self._client.step
        if answer.status in BUSY:
            raise Unavailable(step, str(answer))
        if answer.status in {401, 403}:
            raise Unauthorized(step, f"{answer}: the account may not read it")
        if answer.status != 200:
            raise UnexpectedReply(step, f"{answer}: there is no Redfish service here")
        try:
            root = parsed(answer.body)
        except ValueError as error:
            raise UnexpectedReply(step, str(error)) from error
        if not {"Systems", "Chassis"} & root.keys():
            raise UnexpectedReply(step, "it names neither Systems nor Chassis: this is no Redfish service root")
        return Resource(ROOT, root)

    async def survey(self) -> Findings:
        """Read everything. Raises CheckFailure where nothing at all could be read."""
        systems = await self._top("Systems", Lamp.SYSTEM)
        for system in systems:
            self._take(resources.system(system), system)
            await self._parts(system, "Memory", Lamp.MEMORY, resources.memory)
            await self._parts(system, "Processors", Lamp.PROCESSOR, resources.processor)
            await self._storage(system)
        chassis = await self._top("Chassis", Lamp.SYSTEM)
        for enclosure in chassis:
            self._take(resources.chassis(enclosure), enclosure)
            await self._array(enclosure, "Thermal", Lamp.FAN, resources.thermal)
            await self._array(enclosure, "Power", Lamp.POWER_SUPPLY, resources.power)
        managers = await self._top("Managers", Lamp.OTHER)
        for manager in managers:
            self._take(resources.manager(manager), manager)
        for enclosure in chassis:
            await self._thermal_subsystem(enclosure)
            await self._power_subsystem(enclosure)
            await self._chassis_drives(enclosure)
        for owner in (*systems, *managers, *chassis):
            await self._logs(owner)
        for enclosure in chassis:
            await self._sensors(enclosure)
        if not (systems or chassis):
            self._nothing()
        who = resources.hardware(self._root, systems, chassis, managers)
        self.found.hardware = replace(who, board=next(filter(None, map(oem.board, systems)), ""))
        self.found.power = resources.power_state(systems)
        return self.found

    def _nothing(self) -> None:
        why = "; ".join(f"{path}: {detail}" for path, (_, detail) in self.found.failures.items())
        self._client.step = "systems"
        if "HTTP 403" in why:
            raise Unauthorized("systems", f"the account may not read them: {why}")
        if any(f"HTTP {status}" in why for status in BUSY):
            raise Unavailable("systems", why)
        raise WrongContent("systems", why or "there is neither a system nor a chassis")

    # What belongs to a system

    async def _parts(self, owner: Resource, key: str, lamp: Lamp, describe: Callable[[Resource, str], Part]) -> None:
        """Take a collection of which every member may cost a request of its own."""
        for member in await self._members(owner, key, lamp, free=True):
            self._take((describe(member, owner.path),), member)

    async def _storage(self, system: Resource) -> None:
        drives = 0
        for storage in await self._members(system, "Storage", Lamp.STORAGE, levels=2):
            self._take(resources.storage(storage), storage)
            for reference in mappings(storage.data.get("Drives")):
                drives += 1
                drive = await self._member(reference, f"{storage.path}#/Drives", Lamp.DRIVE, free=True)
                if drive is not None:
                    self._take((resources.drive(drive, storage.path),), drive)
        for tree in oem.storages(system):
            drives += await self._vendor_storage(system, tree)
        if not drives:  # where both are, they list the same drives
            for simple in await self._members(system, "SimpleStorage", Lamp.STORAGE):
                self._take(resources.simple_storage(simple), simple)

    async def _vendor_storage(self, system: Resource, tree: StorageTree) -> int:
        """Take the drives of a vendor's own tree but those that the standard Storage has too. Return how many."""
        root = await self._member(tree.root, f"{system.path}#/Oem", Lamp.STORAGE)
        if root is None:
            return 0
        standard = {_make(resource) for resource in self._seen.values() if resource} - {("", "")}
        count = 0
        for controller in await self._members(_links(root), tree.controllers, Lamp.STORAGE):
            self._take(resources.container(controller, Lamp.STORAGE, controller.path, (Lamp.DRIVE,)), controller)
            for drive in await self._members(_links(controller), tree.drives, Lamp.DRIVE, free=True):
                if _make(drive) not in standard:
                    count += 1
                    self._take((tree.describe(drive, controller.path),), drive)
        return count

    # What belongs to a chassis

    async def _array(
        self, enclosure: Resource, key: str, lamp: Lamp, describe: Callable[[Resource, str], Iterator[Part]]
    ) -> None:
        resource = await self._linked(enclosure, key, lamp)
        if resource is not None:
            self._take(describe(resource, enclosure.path), resource)

    async def _thermal_subsystem(self, enclosure: Resource) -> None:
        repeats = "Thermal" in enclosure.data
        subsystem = await self._subsystem(enclosure, "ThermalSubsystem", Lamp.FAN, resources.thermal_subsystem, repeats)
        if subsystem is None:
            return
        for fan in await self._members(subsystem, "Fans", Lamp.FAN, repeats=repeats):
            self._take((resources.fan(fan, enclosure.path),), fan)
        if self.spare > 1 and (leaks := await self._linked(subsystem, "LeakDetection", Lamp.OTHER)) is not None:
            for detector in await self._members(leaks, "LeakDetectors", Lamp.OTHER):
                self._take((resources.leak_detector(detector, enclosure.path),), detector)

    async def _power_subsystem(self, enclosure: Resource) -> None:
        repeats = "Power" in enclosure.data
        lamp = Lamp.POWER_SUPPLY
        subsystem = await self._subsystem(enclosure, "PowerSubsystem", lamp, resources.power_subsystem, repeats)
        if subsystem is None:
            return
        for supply in await self._members(subsystem, "PowerSupplies", lamp, repeats=repeats):
            self._take((resources.supply(supply, enclosure.path),), supply)
        for battery in await self._members(subsystem, "Batteries", Lamp.BATTERY, repeats=repeats):
            self._take((resources.battery(battery, enclosure.path),), battery)

    async def _subsystem(
        self,
        enclosure: Resource,
        key: str,
        lamp: Lamp,
        describe: Callable[[Resource, str], Iterator[Part]],
        repeats: bool,
    ) -> Resource | None:
        if repeats and self.spare < 2:
            self._leave(link(enclosure.data.get(key)), None, "not read")
            return None
        subsystem = await self._linked(enclosure, key, lamp)
        if subsystem is not None:
            self._take(describe(subsystem, enclosure.path), subsystem)
        return subsystem

    async def _chassis_drives(self, enclosure: Resource) -> None:
        """Take the drives of a chassis that no storage of a system listed."""
        if self.spare < 1 and any(part.lamp is Lamp.DRIVE for part in self.found.parts):
            self._leave(link(enclosure.data.get("Drives")), None, "not read")
            return
        await self._parts(enclosure, "Drives", Lamp.DRIVE, resources.drive)

    async def _sensors(self, enclosure: Resource) -> None:
        """Take sensors: all that come with their collection; one by one only where nothing else measures."""
        repeats = "Thermal" in enclosure.data or "Power" in enclosure.data
        if self.spare < 1:
            self._leave(link(enclosure.data.get("Sensors")), None if repeats else Lamp.TEMPERATURE, "not read")
            return
        for sensor in await self._members(enclosure, "Sensors", Lamp.TEMPERATURE, repeats=repeats, partly=True):
            self._take((resources.sensor(sensor, enclosure.path),), sensor)

    # Logs

    async def _logs(self, owner: Resource) -> None:
        if self.spare < 3:
            self._leave(link(owner.data.get("LogServices")), None, "not read")
            return
        for log in await self._members(owner, "LogServices", Lamp.EVENT_LOG, partly=True):
            entries = link(log.data.get("Entries"))
            if log.data.get("ServiceEnabled") is False or not entries or self.spare < 1:
                continue
            self._take((resources.log(log, await self._count(entries, log)),), log)

    async def _count(self, entries: str, log: Resource) -> Json:
        """Return a log's collection of entries for its count: one entry of it, where the service can send less."""
        try:
            target = local(entries, self._client.origin)
            if self._manners.trims and "?" not in target:
                answer = await self._authorised(f"{target}?$top=1")
                if answer.status == 200:
                    return parsed(answer.body)
                self._manners.trims = answer.status not in UNKNOWN_QUERY
                if self.spare < 1:
                    return {}
            return parsed((await self._authorised(target)).body)
        except (Unreadable, ValueError) as error:
            self._client.transcript.note("*", f"{log.path}: {error}")
            return {}

    # How resources are read

    async def _top(self, key: str, lamp: Lamp) -> list[Resource]:
        self._client.step = key.lower()
        return await self._members(self._root, key, lamp)

    def _take(self, parts: Iterable[Part], resource: Resource) -> None:
        if resource.path not in self._taken:
            self._taken.add(resource.path)
            self.found.parts += (*parts, *oem.parts(resource))
            if len(self.found.parts) > MOST_PARTS:
                raise UnexpectedReply(self._client.step, f"it has no end: more than {MOST_PARTS} parts")

    def _leave(self, path: str, lamp: Lamp | None, why: str) -> None:
        if path:
            self.found.left[path] = (lamp, f"{why}: the {BUDGET} requests of a read are used up")

    def _miss(self, path: str, lamp: Lamp, why: str) -> None:
        self.found.failures[path] = (lamp, why)
        self._client.transcript.note("*", f"{path}: {why}")

    async def _linked(self, owner: Resource, key: str, lamp: Lamp) -> Resource | None:
        """Return the resource that a property refers to, None where there is none or it cannot be read."""
        value = mapping(owner.data.get(key))
        if is_whole(value) or link(value):
            return await self._member(value, f"{owner.path}#/{key}", lamp)
        return None

    async def _member(self, value: Json, fallback: str, lamp: Lamp, *, free: bool = False) -> Resource | None:
        """Return a resource that came along, or read the one that is referred to."""
        target = link(value)
        if is_whole(value):
            return self._came_along(value, fallback)
        path = target or fallback
        try:
            path = local(target.partition("#")[0], self._client.origin)
            return await self._read(path, free=free)
        except Unreadable as unreadable:
            self._miss(path, lamp, unreadable.detail)
            return None

    def _came_along(self, value: Json, fallback: str) -> Resource:
        try:
            path = local(link(value), self._client.origin)
        except Unreadable:
            path = fallback
        resource = Resource(path, value)
        self._seen.setdefault(path, resource)
        return resource

    async def _members(
        self,
        owner: Resource,
        key: str,
        lamp: Lamp,
        *,
        levels: int = 1,
        free: bool = False,
        repeats: bool = False,
        partly: bool = False,
    ) -> list[Resource]:
        """Return the members of a collection that a property of ``owner`` refers to.

        ``free`` ones do not count against the budget. ``repeats``: others said what they say; they are left where that
        would cost more than the budget has. ``partly``: they are read as far as the budget goes.
        """
        value = mapping(owner.data.get(key))
        target = link(value)
        found: dict[str, Resource] = {}
        pages: set[str] = set()
        while target or is_whole(value):
            try:
                page = self._came_along(value, target) if "Members" in value else await self._page(target, levels)
            except Unreadable as unreadable:
                self._miss(target, lamp, unreadable.detail)
                break
            if page is None:
                break
            pages.add(page.path)
            members = mappings(page.data.get("Members"))
            single = sum(not is_whole(member) for member in members)
            if repeats and single > max(self.spare, 0):
                self._leave(page.path, None, f"{single} members not read")
                break
            for position, member in enumerate(members):
                if len(found) >= MOST_MEMBERS:
                    break
                if partly and not is_whole(member) and self.spare < 1:
                    quiet = lamp is Lamp.EVENT_LOG
                    self._leave(page.path, None if quiet else lamp, f"{len(members) - position} members not read")
                    break
                resource = await self._member(member, f"{page.path}#/Members/{position}", lamp, free=free)
                if resource is not None:
                    found[resource.path] = resource
            value, target = {}, str(page.data.get("Members@odata.nextLink") or "")
            if len(found) >= MOST_MEMBERS or (target and (len(pages) >= MOST_PAGES or target in pages)):
                self._miss(page.path, lamp, "the collection has no end")
                break
        return list(found.values())

    async def _page(self, target: str, levels: int) -> Resource | None:
        """Return a page of a collection, its members in it where the service can."""
        path = local(target, self._client.origin)
        if path in self._seen or self._expand is None or "?" in path:
            return await self._read(path)
        try:
            page = await self._read(path, self._expand.query(levels))
        except Unreadable as unreadable:
            self._client.transcript.note("*", f"$expand: {unreadable.detail}; asking without")
            page = await self._read(path)
            if page is not None:
                self._expand = None
            if page is not None and unreadable.status in UNKNOWN_QUERY:
                self._manners.expands = self._manners.trims = False  # it knows no queries at all, most likely
            return page
        members = () if page is None else mappings(page.data.get("Members"))
        if members and not any(map(is_whole, members)):
            self._expand = None  # offered, and not done
        return page

    async def _read(self, path: str, query: str = "", *, free: bool = False) -> Resource | None:
        """Return a resource, None where the service has none there. Raises Unreadable, also for a query not known."""
        if path in self._seen:
            return self._seen[path]
        before = self._client.requests
        answer = await self._authorised(path + query)
        if free:
            self._free += self._client.requests - before
        if answer.status in NOT_THERE and not query:  # with one it may be the query that is not known
            self._seen[path] = None
            return None
        if answer.status != 200:
            raise Unreadable(str(answer), answer.status)
        try:
            resource = Resource(path, parsed(answer.body))
        except ValueError as error:
            raise Unreadable(str(error)) from error
        self._seen[path] = resource
        return resource

    async def _authorised(self, target: str) -> Answer:
        """Return an answer, logging in once more where the session has ended."""
        answer = await self._answer(target)
        if answer.status == 401:
            await self._visit.renew()
            answer = await self._answer(target)
            if answer.status == 401:
                await self._visit.renew()
        return answer

    async def _answer(self, target: str) -> Answer:
        for _ in range(MOST_REDIRECTS):
            answer = await self._client.get(target)
            if answer.status not in REDIRECTS:
                return answer
            target = local(answer.fields.get("location", ""), self._client.origin)
        raise Unreadable("it redirects without end")


def _links(resource: Resource) -> Resource:
    """Return what a resource has under Links, as if it were its own."""
    return Resource(resource.path, mapping(resource.data.get("Links")))


def _make(resource: Resource) -> tuple[str, str]:
    """Return what tells one drive from another: its model and serial number. Empty where it has no number."""
    serial = text(resource.data.get("SerialNumber"))
    return (text(resource.data.get("Model")), serial) if serial else ("", "")


def unread(found: Findings, remembered: Mapping[str, tuple[Lamp, str]]) -> Iterator[Part]:
    """Give UNKNOWN lamps for what was not read: those of its parts that were read before, else one for all of it."""
    read = {part.path for part in found.parts}
    for path, (lamp, why) in {**found.left, **found.failures}.items():
        told = printable(f"{path}: {why}", LONGEST_EVIDENCE)
        below = [known for known in remembered if known == path or known.startswith((f"{path}/", f"{path}#"))]
        for known in below:
            if known not in read:
                kind, component = remembered[known]
                yield Part(known, component, kind, Verdict.UNKNOWN, told)
        if lamp is not None and not below:
            title = "/".join(path.partition("?")[0].rstrip("/").split("/")[-2:])
            yield Part(path, printable(title) or lamp, lamp, Verdict.UNKNOWN, told)
