"""Redfish: a read proves that the controller lets us in, and tells what it says about each of its lamps.

DSP0266 (protocol) and the DMTF's schemas; what is read in which order is in `walk`, what it means in `resources` and
`status` (docs/lamps/redfish.md). Only GET is sent, beside the POST and DELETE of our own session.
"""

import asyncio
import ssl
from typing import Annotated, Self

import aiohttp
from pydantic import AfterValidator, model_validator
from yarl import URL

from collectors import tls
from collectors.failures import CheckFailure, Misconfigured, TimedOut, UnexpectedReply
from collectors.hardware.redfish.client import Client, Unreadable
from collectors.hardware.redfish.parts import told
from collectors.hardware.redfish.session import CLOSE_WITHIN, Manners, Visit
from collectors.hardware.redfish.walk import Findings, Walk, unread
from collectors.reading import HardwareReading, Lamp
from collectors.registry import LampTarget, Options, source
from collectors.tls import CaFile, Fingerprint, TlsOptions
from collectors.transcript import Transcript

CLOSE_SHARE = 0.1
"""The part of the time that is kept for ending the session, at most CLOSE_WITHIN seconds."""

DEFAULT_PORTS = {"http": 80, "https": 443}


def _origin(text: str) -> str:
    """Return the scheme, host and port of a service. A path is only that of the service root."""
    sentence = "must be the URL of a management controller, such as https://192.0.2.110"
    try:
        url = URL(text)
    except ValueError:
        raise ValueError(sentence) from None
    if url.scheme not in DEFAULT_PORTS or not url.host or not url.port or not text.isprintable() or " " in text:
        raise ValueError(sentence)
    if url.user is not None or url.password is not None:
        raise ValueError("has a user name or password in the URL: remove it and name a credential instead")
    if url.path.rstrip("/") not in {"", "/redfish", "/redfish/v1"} or url.query_string or url.fragment:
        raise ValueError("must end after the host and port: what is below /redfish/v1 is found from there")
    return str(url.origin())


class RedfishOptions(Options):
    """Where the service is, and how its certificate is trusted."""

    url: Annotated[str, AfterValidator(_origin)]
    ca_file: CaFile = None
    fingerprint_sha256: Fingerprint = ""
    """Of the certificate itself: nothing else about it is judged then."""
    verify: bool = True

    @model_validator(mode="after")
    def _one_way_to_trust(self) -> Self:
        if sum((bool(self.ca_file), bool(self.fingerprint_sha256), not self.verify)) > 1:
            raise ValueError("takes only one of ca_file, fingerprint_sha256 and verify: false")
        return self


@source("redfish", options=RedfishOptions)
class Redfish:
    """Reads one service. Remembers how it opens sessions, and what its parts were called."""

    def __init__(self, options: RedfishOptions) -> None:
        self._options = options
        self._origin = URL(options.url)
        self._manners = Manners()
        self._names: dict[str, tuple[Lamp, str]] = {}
        self._one_session = asyncio.Lock()

    def endpoint(self) -> str:
        """Return ``host:port`` of the service."""
        host = self._origin.host or ""
        return f"[{host}]:{self._origin.port}" if ":" in host else f"{host}:{self._origin.port}"

    async def read(self, target: LampTarget, deadline: float) -> HardwareReading:
        """Read everything once, before ``deadline`` (event-loop time, seconds).

        Raises CheckFailure; docs/lamps/redfish.md lists reasons and steps.
        """
        transcript = Transcript(asyncio.get_running_loop().time)
        try:
            async with asyncio.timeout_at(deadline):
                await self._one_session.acquire()
        except TimeoutError as error:
            raise TimedOut("connect", "another read of this service took all the time") from error
        try:
            found = await self._visit(target, deadline, transcript)
        except CheckFailure as failure:
            failure.transcript = transcript.lines()
            raise
        finally:
            self._one_session.release()
        parts = [*found.parts, *unread(found, self._names)]
        shown = told(parts, self._names)
        self._names = dict(shown.names)
        return HardwareReading(
            lamps=shown.lamps,
            sensors=shown.sensors,
            logs=shown.logs,
            hardware=found.hardware,
            locate=shown.locate,
            power=found.power,
            complete=not found.failures,
            transcript=transcript.lines(),
        )

    async def _visit(self, target: LampTarget, deadline: float, transcript: Transcript) -> Findings:
        """Log in, ask for everything, log out."""
        if target.credential is None:
            raise Misconfigured("log-in", "Redfish needs a credential")
        transcript.hide(target.credential.password)
        trust = self._trust()
        now = asyncio.get_running_loop().time()
        until = deadline - min(CLOSE_WITHIN, CLOSE_SHARE * (deadline - now))
        client = Client(self._origin, trust, until, transcript)
        async with Visit(client, target.credential, self._manners, deadline) as visit:
            walk = Walk(visit)
            try:
                async with asyncio.timeout_at(until):
                    await walk.log_in()
                    return await walk.survey()
            except TimeoutError as error:
                raise TimedOut(client.step, f"not done in time, after {client.requests} requests") from error
            except Unreadable as unreadable:
                raise UnexpectedReply(client.step, unreadable.detail) from unreadable

    def _trust(self) -> ssl.SSLContext | aiohttp.Fingerprint | bool:
        """Return what aiohttp is to trust. Raises Misconfigured for a CA file that is none."""
        options = self._options
        if self._origin.scheme == "http":
            return True
        if options.fingerprint_sha256:
            return aiohttp.Fingerprint(bytes.fromhex(options.fingerprint_sha256))
        return tls.contexts.get(TlsOptions(ca_file=options.ca_file), verify=options.verify)
