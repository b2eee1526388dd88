"""The endpoints. What each answers, and to whom, is in docs/web.md."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from exporter.config import ConfigError, redacted, summary
from exporter.exposition import OPENMETRICS_END
from exporter.families import Selection
from exporter.monitor import Monitor
from exporter.web import discovery, scrape, webhook
from exporter.web.accept import prefers_openmetrics
from exporter.web.access import Passwords, authenticate, certified, from_another_site, is_local
from exporter.web.config import WebConfig
from exporter.web.documents import Documents
from exporter.web.pages import assets
from exporter.web.pages.fleet import Look
from exporter.web.pages.front import FrontView
from exporter.web.pages.incident import IncidentsView, IncidentView, ReportView
from exporter.web.pages.layout import Layout
from exporter.web.pages.server import ServerView
from exporter.web.probe import Prober

TEXT = "text/plain; charset=utf-8"
JSON = "application/json"
METRICS = "text/plain; version=0.0.4; charset=utf-8"
OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

TRUSTED = web.RequestKey("trusted", bool)
"""Whether the client may see contacts and transcripts and make the exporter act."""

PROVEN = web.RequestKey("proven", bool)
"""Whether it proved who it is: that it is on this machine does not count."""

ONLY_KNOWN = (
    "Only for clients that log in, or that address a loopback address as such: "
    "give the exporter client certificates or basic_auth_users with --web.config.file.\n"
)


class Endpoints:
    """The web application. ``config`` may be exchanged while it runs."""

    def __init__(self, monitor: Monitor, config: WebConfig, *, loopback: bool) -> None:
        self._monitor = monitor
        self.adopt(config)
        self._loopback = loopback
        self._passwords = Passwords()
        self._threads = ThreadPoolExecutor(2, "web")
        self._layout = Layout(monitor, self._threads)
        self._look = Look(monitor)
        self._front = FrontView(self._look)
        self._server = ServerView(monitor, self._threads)
        self._incidents = IncidentsView(monitor, self._threads)
        self._incident = IncidentView(monitor, self._threads)
        self._report = ReportView(monitor, self._incident)
        self._prober = Prober(monitor)
        self._documents = Documents(self._threads)

    def adopt(self, config: WebConfig) -> None:
        """Work by another web configuration."""
        self.config = config
        self._monitor.telemetry.tell_certificate(config.certificate_expires)

    def application(self) -> web.Application:
        """Return the application with its routes."""
        application = web.Application(middlewares=[self._guard])
        application.router.add_get("/", self._noc_page)
        application.router.add_get("/servers/{name}", self._server_page)
        application.router.add_get("/incidents", self._incidents_page)
        application.router.add_get("/incidents/{name}", self._incident_page)
        application.router.add_get("/incidents/{name}/report", self._report_page)
        application.router.add_get(f"{assets.PATH}{{name}}", assets.serve)
        application.router.add_get("/metrics", self._metrics)
        application.router.add_get("/probe", self._probe)
        application.router.add_get("/config", self._config)
        application.router.add_get("/sd/prometheus", self._discovery)
        application.router.add_get("/-/healthy", self._healthy)
        application.router.add_get("/-/ready", self._ready)
        application.router.add_post("/-/reload", self._reload)
        application.router.add_post(webhook.PATH, self._webhook)
        application.on_response_prepare.append(self._add_headers)
        application.cleanup_ctx.append(self._keep_warm)
        return application

    def close(self) -> None:
        """Give the threads free."""
        self._passwords.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _keep_warm(self, _application: web.Application) -> AsyncIterator[None]:
        warm = asyncio.create_task(self._look.keep_warm())
        yield
        warm.cancel()
        await asyncio.gather(warm, return_exceptions=True)

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == webhook.PATH and (
            webhook.shows_secret(request, self._monitor) or certified(request, self.config)
        ):
            request[PROVEN] = request[TRUSTED] = True
            return await handler(request)
        known = await authenticate(request, self.config, self._passwords)
        request[PROVEN] = known
        request[TRUSTED] = known or (self._loopback and is_local(request))
        return await handler(request)

    async def _add_headers(self, _request: web.Request, response: web.StreamResponse) -> None:
        headers = response.headers
        headers.popall(hdrs.SERVER, None)
        headers.setdefault("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        headers.setdefault("X-Content-Type-Options", "nosniff")
        headers.setdefault("Referrer-Policy", "no-referrer")
        headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
        headers.update(self.config.headers)

    async def _noc_page(self, request: web.Request) -> web.StreamResponse:
        return await self._layout.answer(request, self._front, trusted=request[TRUSTED])

    async def _server_page(self, request: web.Request) -> web.StreamResponse:
        view = partial(self._server, request.match_info["name"])
        return await self._layout.answer(request, view, trusted=request[TRUSTED])

    async def _incidents_page(self, request: web.Request) -> web.StreamResponse:
        return await self._layout.answer(request, self._incidents, trusted=request[TRUSTED])

    async def _incident_page(self, request: web.Request) -> web.StreamResponse:
        view = partial(self._incident, request.match_info["name"])
        return await self._layout.answer(request, view, trusted=request[TRUSTED])

    async def _report_page(self, request: web.Request) -> web.StreamResponse:
        if not request[TRUSTED]:
            raise web.HTTPForbidden(text=ONLY_KNOWN)
        return await self._report.answer(request)

    async def _metrics(self, request: web.Request) -> web.StreamResponse:
        asked = [name for given in request.query.getall("collect[]", ()) for name in given.split(",")]
        if unknown := set(asked) - set(Selection):
            raise web.HTTPBadRequest(
                text=f"collect[] knows {', '.join(Selection)}; not {', '.join(map(repr, sorted(unknown)))}.\n"
            )
        selections = {Selection(name) for name in asked or Selection}
        openmetrics = prefers_openmetrics(request.headers.getall(hdrs.ACCEPT, ()))
        headers: dict[str, str] = {
            hdrs.CONTENT_TYPE: OPENMETRICS if openmetrics else METRICS,
            hdrs.VARY: f"{hdrs.ACCEPT}, {hdrs.ACCEPT_ENCODING}",
        }
        for selection, kind in ((Selection.SERVICES, "check"), (Selection.LAMPS, "lamp")):
            if selection in selections:
                self._monitor.chain.scraped(kind)
        begun = time.perf_counter()  # uvloop's clock knows only milliseconds
        try:
            return await scrape.send(request, self._text(selections, openmetrics=openmetrics), headers, self._threads)
        finally:
            self._monitor.telemetry.scrape_duration.set(time.perf_counter() - begun)

    def _text(self, selections: set[Selection], *, openmetrics: bool) -> Iterator[bytes]:
        yield from self._monitor.exposition.chunks(selections)
        if Selection.EXPORTER in selections:
            yield self._monitor.telemetry.render(openmetrics=openmetrics)
        if openmetrics:
            yield OPENMETRICS_END

    async def _probe(self, request: web.Request) -> web.StreamResponse:
        self._act(request)
        self._started()
        names = [request.query.get(parameter, "") for parameter in ("server", "check")]
        if not all(names):
            raise web.HTTPBadRequest(text="Name both: /probe?server=NAME&check=NAME (or check=lamps).\n")
        answer = await self._prober.probe(*names)
        debug = request.query.get("debug") == "true"
        return web.Response(body=answer.text(debug=debug), headers={hdrs.CONTENT_TYPE: TEXT if debug else METRICS})

    async def _config(self, request: web.Request) -> web.StreamResponse:
        self._started()
        return await self._documents.answer(request, redacted, self._monitor.config, TEXT)

    async def _discovery(self, request: web.Request) -> web.StreamResponse:
        role = request.query.get("role")
        if role is None:
            address = request.host if hdrs.HOST in request.headers else _socket_address(request)
            return web.Response(text=discovery.own_jobs(address, tls=request.secure), content_type=JSON)
        self._started()
        if (render := discovery.ROLES.get(role)) is None:
            raise web.HTTPBadRequest(
                text=f"role knows {', '.join(discovery.ROLES)}; not {role!r}. Without it: the exporter's own jobs.\n"
            )
        return await self._documents.answer(request, render, self._monitor.config, JSON)

    async def _healthy(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(text="dserver-exporter is healthy.\n")

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        self._started()
        return web.Response(text="dserver-exporter is ready.\n")

    async def _reload(self, request: web.Request) -> web.StreamResponse:
        self._act(request)
        self._started()
        try:
            await self._monitor.reload()
        except ConfigError as error:
            raise web.HTTPInternalServerError(
                text=f"The configuration is bad, the old one stays in force:\n{error}\n"
            ) from None
        return web.Response(text=f"The configuration was read again: {summary(self._monitor.config)}.\n")

    async def _webhook(self, request: web.Request) -> web.StreamResponse:
        if self._monitor.ready and not request[PROVEN]:
            raise web.HTTPForbidden(text=webhook.REFUSED)
        self._started()
        return await webhook.receive(request, self._monitor)

    def _act(self, request: web.Request) -> None:
        """Let only those through for whom the exporter does something."""
        if not request[TRUSTED]:
            raise web.HTTPForbidden(text=ONLY_KNOWN)
        if from_another_site(request):
            raise web.HTTPForbidden(text="A page of another site must not make the exporter act.\n")

    def _started(self) -> None:
        if not self._monitor.ready:
            raise web.HTTPServiceUnavailable(
                text=f"starting: {self._monitor.progress}\n", headers={hdrs.RETRY_AFTER: "1"}
            )


def _socket_address(request: web.Request) -> str:
    """Return where the connection of a client that does not say whom it addresses came in."""
    host, port = (request.get_extra_info("sockname") or ("localhost", 0))[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
