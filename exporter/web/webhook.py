"""The webhook that Alertmanager calls: who may, and what it is answered.

Alertmanager tries again after a 5xx and gives up after a 4xx. So 200 is said only when the ledger has the alerts, 503
when it cannot be written, and 4xx only to what will never be right.
"""

import asyncio
import hmac
import logging

from aiohttp import hdrs, web

from collectors.failures import Misconfigured
from exporter.alerts import parse_webhook
from exporter.monitor import Monitor
from exporter.secrets import authorizations

log = logging.getLogger("web")

PATH = "/api/v1/alertmanager"
PATIENCE = 10.0
"""Seconds for the body."""
REFUSED = "Only for Alertmanager: it has to show what alertmanager.webhook_credential names, or a client certificate.\n"


def shows_secret(request: web.Request, monitor: Monitor) -> bool:
    """Tell whether the client shows the webhook's secret: a bearer token, or user name and password."""
    name = monitor.config.alertmanager.webhook_credential
    if not name:
        return False
    try:
        credential = monitor.secrets.get(name)
    except Misconfigured as error:
        log.error("the webhook's secret cannot be had, so Alertmanager is refused: %s", error)  # noqa: TRY400
        return False
    given = request.headers.get(hdrs.AUTHORIZATION, "").encode("utf-8", "surrogateescape")
    return any(hmac.compare_digest(given, wanted) for wanted in authorizations(credential))


async def receive(request: web.Request, monitor: Monitor) -> web.Response:
    """Take in a notification."""
    if not monitor.notices.active:
        raise web.HTTPConflict(text="By its configuration (notices, mail) the exporter tells nobody.\n")
    try:
        async with asyncio.timeout(PATIENCE):
            body = await request.read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="The notification did not come to its end.\n") from None
    try:
        alerts = parse_webhook(body)
    except ValueError as error:
        log.warning("what came to the webhook is not understood: %s", error)
        raise web.HTTPBadRequest(text="This is not a notification of Alertmanager, version 4.\n") from None
    if not await monitor.chain.received(alerts):
        raise web.HTTPServiceUnavailable(text="The ledger cannot be written; try again.\n")
    return web.Response(text="The ledger has it.\n")
