"""Hostile servers against every protocol there is: each fails its own check, in time, within bounds, with a reason.

What is said of a protocol here is in its guide section: the options are those of its first example there, and the steps
of a failure are those that it names. A protocol that is registered is covered; what is hostile in one protocol alone
stands in that protocol's own tests.
"""

import asyncio
import gc
import ssl
import tracemalloc
from collections.abc import Iterator
from typing import Any

import pytest

import collectors.services  # noqa: F401 - registers the checks
from collectors.attempt import attempt
from collectors.reading import ServiceReading
from collectors.registry import CHECKS, Options, ServiceTarget
from collectors.secret import Credential, Secret
from collectors.tls import StartTlsOptions, TlsOptions
from tests import guide
from tests.peers.certificates import Authority, server_context
from tests.peers.hostile import HOSTILE, HostileServer, descriptors

WITHIN = 0.3
"""Seconds of an attempt that is kept waiting: it takes them all."""
PATIENCE = 30.0
"""Seconds of one that has a reason to end before."""
ROOM = 2 * 1024 * 1024
"""Bytes that one attempt may hold, with the server that floods it."""
EXPECTING: dict[str, dict[str, Any]] = {
    "http": {"expect_body": "ready"},
    "https": {"expect_body": "ready"},
    "tcp": {"steps": [{"send": "PING\\r\\n"}, {"expect": "+PONG"}]},
    "tls": {"steps": [{"send": "PING\\r\\n"}, {"expect": "+PONG"}]},
}
"""Where the guide's first example expects nothing of an answer."""
TLS_FIRST: dict[str, dict[str, Any]] = {"tcp": {"tls": True}, "redis": {"tls": True}, "ftps": {"mode": "implicit"}}
"""What makes a protocol that has both begin with TLS."""
IN_THE_CLEAR: dict[str, Any] = {"starttls": "off", "tls": False}
CREDENTIAL = Credential("probe", Secret("hunter2"), secrets={"password": Secret("hunter2")})
PROTOCOLS = sorted(name for name, kind in CHECKS.items() if "port" in kind.options.model_fields)
"""Those that have a port, which all but ICMP have."""
DATAGRAMS = {"udp", "dns"}
"""Those that hear nothing of what a server does to connections."""
OVER_TLS = {
    name
    for name in PROTOCOLS
    if issubclass(options := CHECKS[name].options, TlsOptions)
    if name != "http" and not issubclass(options, StartTlsOptions)
}
"""Those that are encrypted from the first byte."""


def options_of(name: str, port: int, credential: Credential | None = None, *, tls: bool = False) -> Options:
    """Return what the guide's first example says, for a server at this port whose certificate does not matter."""
    kind = CHECKS[name]
    entry = next(entry for entry in guide.examples(name) if entry["protocol"] == name)
    chosen = {**guide.options(entry), **EXPECTING.get(name, {}), "port": port}
    if issubclass(kind.options, TlsOptions):
        chosen |= {"certificate": "ignore", "ca_file": None}
    if tls:
        chosen |= TLS_FIRST.get(name, {})
    elif credential is not None:  # else the password stays with us where the server offers no TLS
        chosen |= {key: IN_THE_CLEAR[key] for key in IN_THE_CLEAR.keys() & kind.options.model_fields.keys()}
    return kind.options.model_validate(chosen)


async def try_it(name: str, how: str, port: int, credential: Credential | None, *, tls: bool = False) -> ServiceReading:
    waits = "timeout" in HOSTILE[how].reasons or name in DATAGRAMS
    deadline = asyncio.get_running_loop().time() + (WITHIN if waits else PATIENCE)
    target = ServiceTarget("127.0.0.1", "shop.example", credential)
    return await attempt(CHECKS[name], target, options_of(name, port, credential, tls=tls), deadline)


def judge(name: str, how: str, reading: ServiceReading) -> Iterator[str]:
    """Give what is wrong with the way a check failed."""
    failure = reading.failure
    if failure is None:
        yield f"{name} passed"
        return
    reasons = HOSTILE[how].reasons | ({"timeout", "protocol"} if name in DATAGRAMS else set())
    if failure.reason not in reasons:
        yield f"{name}: {failure} is not a sensible reason"
    if guide.kind_of_step(failure.step) not in guide.steps(name):
        yield f"{name}: {failure}: its guide section knows no step {failure.step}"
    shown = "".join((str(failure), *reading.transcript))
    if not shown.isprintable() or "hunter2" in shown:
        yield f"{name}: {shown!r} is not fit to be shown"


@pytest.fixture(scope="module")
def context(authority: Authority) -> ssl.SSLContext:
    return server_context(authority.issue("shop.example"))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", HOSTILE)
async def test_every_protocol_fails_in_its_time_with_a_sensible_reason_and_step(
    how: str, tls: bool, context: ssl.SSLContext
) -> None:
    async def meet(name: str, credential: Credential | None) -> list[str]:
        async with HostileServer(HOSTILE[how], context if tls else None) as server:
            reading = await try_it(name, how, server.port, credential, tls=tls)
        return [*judge(name, how, reading)]

    names = [name for name in PROTOCOLS if not tls or name in OVER_TLS]
    async with asyncio.timeout(2 * PATIENCE):
        found = await asyncio.gather(*(meet(name, who) for name in names for who in (None, CREDENTIAL)))
    assert not (wrong := [text for texts in found for text in texts]), "\n".join(wrong)


@pytest.mark.parametrize("how", [how for how, hostile in HOSTILE.items() if hostile.flood or "bomb" in how])
async def test_a_flood_fills_no_more_memory_than_is_allowed(how: str) -> None:
    """All protocols at once: one that kept what it gets would hold many times what is allowed to all of them."""

    async def meet(name: str) -> None:
        async with HostileServer(HOSTILE[how]) as server:
            reading = await try_it(name, how, server.port, CREDENTIAL)
        assert reading.failure is not None

    await asyncio.gather(*map(meet, PROTOCOLS))  # once before, for what is made once
    gc.collect()
    tracemalloc.start()
    try:
        await asyncio.gather(*map(meet, PROTOCOLS))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < ROOM * len(PROTOCOLS)


async def test_a_check_beside_them_all_passes_and_nothing_is_left_open() -> None:
    before = descriptors()

    async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"+PONG\r\n")
        await reader.read()
        writer.close()

    servers = {how: HostileServer(hostile) for how, hostile in HOSTILE.items()}
    for server in servers.values():
        await server.__aenter__()
    healthy = await asyncio.start_server(good, "127.0.0.1", 0)
    port = healthy.sockets[0].getsockname()[1]
    attacked = [try_it(name, how, server.port, CREDENTIAL) for name in PROTOCOLS for how, server in servers.items()]
    async with asyncio.timeout(2 * PATIENCE):
        tasks = [asyncio.ensure_future(each) for each in attacked]
        while not all(task.done() for task in tasks):
            deadline = asyncio.get_running_loop().time() + PATIENCE
            reading = await attempt(CHECKS["tcp"], ServiceTarget("127.0.0.1"), options_of("tcp", port), deadline)
            assert reading.failure is None
            await asyncio.sleep(0.05)
    assert all(task.result().failure is not None for task in tasks)
    healthy.close()
    for server in servers.values():
        await server.__aexit__(None, None, None)
    await asyncio.sleep(0)
    assert descriptors() <= before + 2
