"""A Redfish service on a free port of the loopback: serves a tree, keeps sessions, misbehaves when told to.

Written from DSP0266, for what no recording has: what is answered to whom, how many sessions are left, what was asked.
"""

import asyncio
import base64
import json
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import deepcopy
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from collectors.secret import Credential, Secret

USER, PASSWORD = "monitor", "secret-of-the-bmc"
SESSIONS = "/redfish/v1/SessionService/Sessions"
OLD_SESSIONS = "/redfish/v1/Sessions"
MESSAGE = "@Message.ExtendedInfo"
EXPAND = re.compile(r"[.*](?:\(\$levels=(\d+)\))?")

Tree = dict[str, dict[str, Any]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def credential(password: str = PASSWORD) -> Credential:
    """Return the account that the service has."""
    return Credential(USER, Secret(password))


def recorded(folder: Path) -> Tree:
    """Return the tree of a mockup: each folder is a URI below /redfish/v1, ``index.json`` its answer."""
    tree = {}
    for file in sorted(folder.rglob("index.json")):
        path = "/redfish/v1/" + "/".join(file.parent.relative_to(folder).parts)
        tree[path.rstrip("/")] = json.loads(file.read_text("utf-8"))
    return tree


class RedfishService:
    """Serves ``tree``: properties by path, without a slash at the end."""

    def __init__(self, tree: Mapping[str, Mapping[str, Any]], tls: ssl.SSLContext | None = None) -> None:
        self.tree: Tree = deepcopy({path: dict(data) for path, data in tree.items()})
        self.sessions: dict[str, str] = {}
        """The open ones: URI by token."""
        self.opened = 0
        self.asked: list[str] = []
        """Requests in their order, ``GET /redfish/v1/``."""
        self.connections: set[Any] = set()
        self.session_places = {SESSIONS}
        self.takes_basic = True
        self.expands = True
        self.knows_queries = True
        """Otherwise nothing is found under a path with a query, as with a file server."""
        self.most_sessions = 4
        self.gives_token = True
        self.gives_location = True
        self.session_status = 201
        self.answers: dict[str, Handler] = {}
        """Instead of the tree's answer, by path."""
        self.before: Callable[[str], Awaitable[None]] | None = None
        """Called with each request before it is answered."""
        self._tls = tls
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._runner
        await self._runner.cleanup()

    def paths(self) -> list[str]:
        """Return what was read, without queries."""
        return [said.split()[1].partition("?")[0] for said in self.asked if said.startswith("GET")]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path.rstrip("/")
        said = f"{request.method} {request.path_qs}"
        self.asked.append(said)
        self.connections.add(request.transport)
        if self.before is not None:
            await self.before(said)
        if path in self.answers:
            return await self.answers[path](request)
        if request.method == "POST":
            return await self._open(request, path)
        if path != "/redfish/v1" and not self._knows(request):
            return refusal(401, "Base.1.8.NoValidSession")
        if request.method == "DELETE":
            return self._end(path)
        if request.method != "GET" or path not in self.tree or (request.query and not self.knows_queries):
            return refusal(404, "Base.1.8.ResourceMissingAtURI")
        return web.json_response(self._expanded(path, request.query.get("$expand", "")))

    def _knows(self, request: web.Request) -> bool:
        if request.headers.get("X-Auth-Token", "") in self.sessions:
            return True
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        return self.takes_basic and request.headers.get("Authorization") == f"Basic {basic}"

    async def _open(self, request: web.Request, path: str) -> web.Response:
        if path not in self.session_places:
            return refusal(405, "Base.1.8.ActionNotSupported")
        account = await request.json()
        if (account.get("UserName"), account.get("Password")) != (USER, PASSWORD):
            return refusal(401, "Base.1.8.ResourceAtUriUnauthorized")
        if len(self.sessions) >= self.most_sessions:
            return refusal(503, "Base.1.8.SessionLimitExceeded")
        self.opened += 1
        token, uri = f"token-{self.opened}", f"{path}/{self.opened}"
        self.sessions[token] = uri
        fields = {"X-Auth-Token": token} if self.gives_token else {}
        if self.gives_location:
            fields["Location"] = f"https://bmc.example{uri}"
        return web.json_response({"Id": str(self.opened)}, status=self.session_status, headers=fields)

    def _end(self, path: str) -> web.Response:
        tokens = [token for token, uri in self.sessions.items() if uri == path]
        for token in tokens:
            del self.sessions[token]
        return web.Response(status=204 if tokens else 404)

    def _expanded(self, path: str, query: str) -> dict[str, Any]:
        wanted = EXPAND.fullmatch(query)
        if not self.expands or wanted is None:
            return self.tree[path]
        expanded: dict[str, Any] = self._inlined(self.tree[path], int(wanted[1] or 1))
        return expanded

    def _inlined(self, value: Any, levels: int) -> Any:
        """Put resources in the place of references, but for those under Links."""
        if isinstance(value, list):
            return [self._inlined(item, levels) for item in value]
        if not isinstance(value, dict):
            return value
        if set(value) == {"@odata.id"}:
            found = self.tree.get(str(value["@odata.id"]).rstrip("/"))
            return value if found is None or not levels else self._inlined(found, levels - 1)
        return {key: item if key == "Links" else self._inlined(item, levels) for key, item in value.items()}


def refusal(status: int, message: str, **fields: str) -> web.Response:
    """Return an error answer as the Base registry words it."""
    error = {"error": {"code": message, MESSAGE: [{"MessageId": message}]}}
    return web.json_response(error, status=status, headers=fields)


def collection_of(path: str, members: Sequence[str]) -> dict[str, Any]:
    """Return a collection of references."""
    references = [{"@odata.id": member} for member in members]
    return {"@odata.id": path, "Members": references, "Members@odata.count": len(references)}


def tree_of(*resources: Mapping[str, Any]) -> Tree:
    """Return a tree of resources by their ``@odata.id``, a service root over it, and each collection that is named.

    A property whose value is a list of paths becomes a reference to a collection of these members.
    """
    tree: Tree = {}
    root: dict[str, Any] = {"@odata.id": "/redfish/v1", "Id": "RootService", "Name": "Root Service"}
    for resource in ({**root}, *resources):
        path = str(resource["@odata.id"])
        tree[path] = {}
        for key, value in resource.items():
            if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
                collection = f"{path}/{key}"
                tree[collection] = collection_of(collection, value)
                tree[path][key] = {"@odata.id": collection}
            else:
                tree[path][key] = value
    for key in ("Systems", "Chassis", "Managers"):
        members = [path for path in tree if re.fullmatch(f"/redfish/v1/{key}/[^/]+", path)]
        if members:
            collection = f"/redfish/v1/{key}"
            tree[collection] = collection_of(collection, members)
            tree["/redfish/v1"][key] = {"@odata.id": collection}
    return tree


@asynccontextmanager
async def serving(tree: Mapping[str, Mapping[str, Any]], **fields: Any) -> AsyncIterator[RedfishService]:
    """Serve a tree, with these attributes set."""
    async with RedfishService(tree) as service:
        for name, value in fields.items():
            setattr(service, name, value)
        yield service


async def never(_: web.Request) -> web.StreamResponse:
    """Answer nothing, ever."""
    await asyncio.Event().wait()
    raise AssertionError
