"""Listens: address, sockets, TLS that follows its files, and limits on what clients can hold."""

import asyncio
import errno
import logging
import os
import socket
from ipaddress import ip_address
from pathlib import Path

from aiohttp import hdrs, web

from exporter.monitor import Monitor
from exporter.ticks import tick
from exporter.web.app import Endpoints
from exporter.web.config import WebConfig, WebError, load

log = logging.getLogger("web")

CONNECTIONS = 200
"""Connections at once: clients must not take the file descriptors that checks need."""
KEEP_ALIVE = 90.0
"""Seconds for which a connection without a (complete) request is kept: longer than a scrape interval."""
HANDSHAKE = 10.0
"""Seconds for a TLS handshake."""
WATCH_PERIOD = 1.0
"""Seconds between two looks at the web configuration and its certificates."""
SHUTDOWN = 2.0
"""Seconds for requests under way when the exporter stops."""
BACKLOG = 128

Signature = tuple[tuple[int, int, int] | None, ...]
"""Time of change (ns), size and inode of each file; None for one that is not there."""


class _Connection(web.RequestHandler):
    """aiohttp's, but quiet: what clients do wrong is no news for our log, and what we are is none for them."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is not HTTP, or what broke our own code."""
        if status >= 500:
            log.error("answering %s broke our own code", request.path, exc_info=exc)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        text = "This is not a request in HTTP.\n" if status < 500 else "The exporter has a defect; its log says more.\n"
        response = web.Response(status=status, text=text, headers={hdrs.SERVER: "dserver-exporter"})
        response.force_close()
        return response


class _Excess(asyncio.Protocol):
    """A connection too many."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Close it."""
        transport.close()


class WebServer:
    """The running server. Made by `serve`."""

    def __init__(self, endpoints: Endpoints, listening: socket.socket, file: Path | None, period: float) -> None:
        self._endpoints = endpoints
        self._socket = listening
        self._host: str = listening.getsockname()[0]
        self.port: int = listening.getsockname()[1]
        self._file = file
        self._period = period
        self._runner = web.AppRunner(endpoints.application(), access_log=None, shutdown_timeout=SHUTDOWN)
        self._server: asyncio.Server | None = None
        self._watch: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """Return where the NOC page is."""
        scheme = "https" if self._endpoints.config.context else "http"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self.port}/"

    async def start(self) -> None:
        """Begin to answer."""
        await self._runner.setup()
        await self._listen()
        if self._file:
            self._watch = asyncio.create_task(self._follow(self._file, _signature(self._endpoints.config.files)))

    async def stop(self) -> None:
        """Stop answering; requests under way have two seconds."""
        if self._watch:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        if self._server:
            self._server.close()
        await self._runner.cleanup()
        self._socket.close()
        self._endpoints.close()

    async def _listen(self) -> None:
        """Take connections with the present TLS context; those that are open keep theirs."""
        server = self._runner.server
        loop = asyncio.get_running_loop()
        if server is None:
            raise RuntimeError("the web server was not set up")

        def connection() -> asyncio.Protocol:
            if len(server.connections) >= CONNECTIONS:
                return _Excess()
            return _Connection(
                server,
                loop=loop,
                access_log=None,  # type: ignore[arg-type] # how aiohttp's own runner turns it off
                keepalive_timeout=KEEP_ALIVE,
            )

        context = self._endpoints.config.context
        before = self._server
        # a duplicate shares its queue with the original, so that no connection is refused in between
        self._server = await loop.create_server(
            connection,
            sock=self._socket.dup(),
            ssl=context,
            ssl_handshake_timeout=HANDSHAKE if context else None,
            backlog=BACKLOG,
        )
        if before:
            before.close()

    async def _follow(self, file: Path, seen: Signature) -> None:
        """Apply the web configuration anew whenever one of its files changes. A bad one changes nothing."""
        while True:
            await tick(self._period)
            now = _signature(self._endpoints.config.files)
            if now == seen:
                continue
            seen = now
            try:
                fresh = await asyncio.to_thread(load, file)
                _refuse_to_open(self._endpoints.config, fresh)
            except WebError as error:
                log.error("the web configuration is bad, the old one stays in force: %s", error)  # noqa: TRY400
                continue
            self._endpoints.adopt(fresh)
            await self._listen()
            seen = _signature(fresh.files)
            log.info("the web configuration was read again")


def _signature(files: tuple[Path, ...]) -> Signature:
    """Return what changes when one of the files does."""
    signature: list[tuple[int, int, int] | None] = []
    for file in files:
        try:
            status = file.stat()
            signature.append((status.st_mtime_ns, status.st_size, status.st_ino))
        except OSError:
            signature.append(None)
    return tuple(signature)


def _refuse_to_open(old: WebConfig, new: WebConfig) -> None:
    """Raise WebError if ``new`` lets in whom ``old`` kept out: a file that is just being written looks like that."""
    for what, was, now in (
        ("TLS", old.context, new.context),
        ("the users", old.users, new.users),
        ("client certificates", *(c.context.verify_mode if c.context else 0 for c in (old, new))),
        ("client_allowed_sans", old.allowed_sans is not None, new.allowed_sans is not None),
    ):
        if was and not now:
            raise WebError(f"it does without {what}, which takes a restart: put them back, or restart the exporter")


async def serve(
    monitor: Monitor, listen_address: str, web_config: Path | None, *, watch_period: float = WATCH_PERIOD
) -> WebServer:
    """Start the web server on ``HOST:PORT``, ``[IPV6]:PORT`` or ``:PORT`` (all addresses); port 0 takes a free one.

    The web configuration is looked at for changes every ``watch_period`` seconds. Raises WebError.
    """
    host, port = _parsed(listen_address)
    config = await asyncio.to_thread(load, web_config) if web_config else WebConfig()
    listening, loopback = await _bound(host, port, listen_address)
    server = WebServer(Endpoints(monitor, config, loopback=loopback), listening, web_config, watch_period)
    try:
        await server.start()
    except BaseException:
        await server.stop()
        raise
    return server


def _parsed(listen_address: str) -> tuple[str, int]:
    host, colon, port = listen_address.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    fits = colon and port.isascii() and port.isdecimal() and int(port) <= 65535 and (bracketed or ":" not in host)
    if not fits:
        raise WebError(
            f"--web.listen-address={listen_address} is not HOST:PORT: write 127.0.0.1:10623, [::1]:10623, or :10623 "
            "for all addresses"
        )
    return host.strip("[]"), int(port)


async def _bound(host: str, port: int, listen_address: str) -> tuple[socket.socket, bool]:
    """Return a listening socket, and whether only this machine reaches it."""
    try:
        if host:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
            family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        elif socket.has_dualstack_ipv6():
            family, address = socket.AF_INET6, ("::", port)
        else:
            family, address = socket.AF_INET, ("0.0.0.0", port)  # noqa: S104 - all addresses, as asked
        listening = socket.create_server(
            address, family=family, backlog=BACKLOG, dualstack_ipv6=not host and family == socket.AF_INET6
        )
    except OSError as error:
        remedies = {
            errno.EADDRINUSE: "another program listens there: end it, or choose another port with --web.listen-address",
            errno.EADDRNOTAVAIL: "this machine does not have that address: give one of its own, or :PORT for all",
            errno.EACCES: "this user may not: choose a port from 1024 on",
        }
        if remedy := remedies.get(error.errno or 0):
            why = os.strerror(error.errno or 0)  # Python's own text repeats the address
        else:
            why, remedy = str(error.strerror), "give an address and port of this machine with --web.listen-address"
        raise WebError(f"cannot listen on {listen_address}: {why}: {remedy}") from error
    listening.setblocking(False)
    return listening, ip_address(listening.getsockname()[0].partition("%")[0]).is_loopback
