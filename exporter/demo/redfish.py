"""A management controller that speaks Redfish over TLS, inside this process: sessions, one system, one chassis.

DSP0266 for who is answered (section 13) and the DMTF's schemas for what. Few sessions, as real ones have; counters say
how many were opened and closed.
"""

import base64
import hmac
import secrets
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import hdrs, web

ROOT = "/redfish/v1"
SESSION_SERVICE = f"{ROOT}/SessionService"
SESSIONS = f"{SESSION_SERVICE}/Sessions"
SYSTEM, CHASSIS, MANAGER = f"{ROOT}/Systems/1", f"{ROOT}/Chassis/1", f"{ROOT}/Managers/bmc"
STORAGE = f"{SYSTEM}/Storage/1"
MOST_SESSIONS = 4
LARGEST_REQUEST = 4_096
SHUTDOWN = 0.1
TOKEN = "X-Auth-Token"  # noqa: S105 - the name of a header field
WITHOUT_LOG_IN = frozenset({"/redfish", ROOT})

Resource = dict[str, Any]


@dataclass(slots=True)
class Drive:
    """One drive of the storage controller."""

    name: str
    failure_predicted: bool = False
    health: str = "OK"


@dataclass(eq=False)
class RedfishBmc:
    """One controller. Every public field can be changed while it runs."""

    serial: str
    password: str = field(repr=False)
    username: str = "monitor"
    drives: list[Drive] = field(default_factory=lambda: [Drive(f"Bay {bay}") for bay in (1, 2, 3)])
    locate: bool = False
    power: bool = True

    def __post_init__(self) -> None:
        self.port = 0
        self.opened = self.closed = 0
        self._sessions: dict[str, str] = {}
        self._runner: web.AppRunner | None = None

    @property
    def open_sessions(self) -> int:
        """How many sessions nobody has ended."""
        return len(self._sessions)

    async def start(self, host: str, tls: ssl.SSLContext) -> None:
        """Answer on a free port. Raises OSError."""
        app = web.Application(client_max_size=LARGEST_REQUEST)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, 0, ssl_context=tls).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Give the port back."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        if request.method == hdrs.METH_POST and path == SESSIONS:
            return await self._log_in(request)
        if path not in WITHOUT_LOG_IN and not self._knows(request):
            return _refusal(401)
        if request.method == hdrs.METH_DELETE:
            return self._log_out(path)
        if request.method != hdrs.METH_GET:
            return _refusal(405)
        resource = self.tree().get(path)
        return _refusal(404) if resource is None else web.json_response(resource)

    async def _log_in(self, request: web.Request) -> web.Response:
        try:
            account = await request.json()
            wanted = str(account["UserName"]), str(account["Password"])
        except (ValueError, TypeError, KeyError):
            return _refusal(400)
        if not _same(wanted, (self.username, self.password)):
            return _refusal(401)
        if len(self._sessions) >= MOST_SESSIONS:
            return _refusal(503)
        self.opened += 1
        uri, token = f"{SESSIONS}/{self.opened}", secrets.token_urlsafe(24)
        self._sessions[uri] = token
        return web.json_response(self.tree()[uri], status=201, headers={hdrs.LOCATION: uri, TOKEN: token})

    def _log_out(self, path: str) -> web.Response:
        if self._sessions.pop(path, None) is None:
            return _refusal(404)
        self.closed += 1
        return web.Response(status=204)

    def _knows(self, request: web.Request) -> bool:
        if (token := request.headers.get(TOKEN)) is not None:
            return any(_same((token,), (known,)) for known in self._sessions.values())
        basic = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return _same((request.headers.get(hdrs.AUTHORIZATION, ""),), (f"Basic {basic}",))

    def tree(self) -> dict[str, Resource]:
        """Return all resources by path, as they are now."""
        return {str(resource["@odata.id"]): resource for resource in self._resources()}

    def _resources(self) -> Iterator[Resource]:
        yield _resource(
            ROOT,
            "Root Service",
            RedfishVersion="1.15.0",
            Vendor="Demo",
            Systems=_link(f"{ROOT}/Systems"),
            Chassis=_link(f"{ROOT}/Chassis"),
            Managers=_link(f"{ROOT}/Managers"),
            SessionService=_link(SESSION_SERVICE),
            Links={"Sessions": _link(SESSIONS)},
        )
        yield _resource(SESSION_SERVICE, "Session Service", Sessions=_link(SESSIONS))
        yield _collection(SESSIONS, *self._sessions)
        for path in self._sessions:
            yield _resource(path, "Session", UserName=self.username)
        for member in (SYSTEM, CHASSIS, MANAGER):
            yield _collection(member.rpartition("/")[0], member)
        yield _resource(
            SYSTEM,
            "System",
            Manufacturer="Demo",
            Model="Demo Server R",
            SerialNumber=self.serial,
            PowerState="On" if self.power else "Off",
            LocationIndicatorActive=self.locate,
            # as many real ones: the roll-up says nothing of a failure that is only predicted
            Status=_status(),
            Storage=_link(f"{SYSTEM}/Storage"),
            Memory=_link(f"{SYSTEM}/Memory"),
        )
        yield _collection(f"{SYSTEM}/Storage", STORAGE)
        drives = [f"{STORAGE}/Drives/{number}" for number in range(1, len(self.drives) + 1)]
        yield _resource(STORAGE, "Storage", Status=_status(), Drives=[_link(path) for path in drives])
        for path, drive in zip(drives, self.drives, strict=True):
            yield _resource(
                path,
                drive.name,
                Status=_status(drive.health),
                FailurePredicted=drive.failure_predicted,
                StatusIndicator="PredictiveFailureAnalysis" if drive.failure_predicted else "OK",
            )
        modules = [f"{SYSTEM}/Memory/{number}" for number in (1, 2)]
        yield _collection(f"{SYSTEM}/Memory", *modules)
        yield _resource(modules[0], "DIMM 1", Status=_status(), CapacityMiB=32_768)
        yield _resource(modules[1], "DIMM 2", Status={"State": "Absent"})
        yield _resource(
            CHASSIS,
            "Chassis",
            Status=_status(),
            LocationIndicatorActive=self.locate,
            Thermal=_link(f"{CHASSIS}/Thermal"),
            Power=_link(f"{CHASSIS}/Power"),
        )
        fans = [_part(f"Fan {number}", Reading=5_400, ReadingUnits="RPM") for number in (1, 2)]
        inlet = _part("Inlet Temp", ReadingCelsius=22)
        yield _resource(f"{CHASSIS}/Thermal", "Thermal", Fans=fans, Temperatures=[inlet])
        supplies = [_part(f"PSU {number}", LastPowerOutputWatts=190) for number in (1, 2)]
        yield _resource(f"{CHASSIS}/Power", "Power", PowerSupplies=supplies)
        yield _resource(MANAGER, "Manager", Status=_status(), FirmwareVersion="1.0.0")


def _resource(path: str, name: str, **properties: Any) -> Resource:
    return {"@odata.id": path, "Id": path.rpartition("/")[2], "Name": name, **properties}


def _collection(path: str, *members: str) -> Resource:
    name = path.rpartition("/")[2]
    return {"@odata.id": path, "Name": name, "Members@odata.count": len(members), "Members": [*map(_link, members)]}


def _part(name: str, **properties: Any) -> Resource:
    return {"MemberId": name, "Name": name, "Status": _status(), **properties}


def _link(path: str) -> Resource:
    return {"@odata.id": path}


def _status(health: str = "OK") -> Resource:
    return {"State": "Enabled", "Health": health}


def _same(given: tuple[str, ...], known: tuple[str, ...]) -> bool:
    return all(hmac.compare_digest(ours.encode(), theirs.encode()) for ours, theirs in zip(given, known, strict=True))


def _refusal(status: int) -> web.Response:
    return web.json_response({"error": {"code": "Base.1.8.GeneralError", "message": "no"}}, status=status)
