"""What Alertmanager knows, asked by its API v2 (``GET /api/v2/alerts``)."""

import asyncio
from collections.abc import Sequence

import aiohttp

from exporter.alerts import Alert, parse_alerts

TIMEOUT = 10.0
"""Seconds for an answer: the customer waits."""
LARGEST = 64 * 1024 * 1024
"""Bytes of an answer: 12,000 alerts with their annotations are a tenth of that."""
CHUNK = 64 * 1024


class UnreachableError(Exception):
    """No Alertmanager answers; the message says why."""


async def customer_alerts(urls: Sequence[str]) -> tuple[Alert, ...]:
    """Return the customers' alerts of a cluster, suppressed ones too. Raises UnreachableError if none answers."""
    if not urls:
        raise UnreachableError("alertmanager.urls is empty")
    timeout = aiohttp.ClientTimeout(total=TIMEOUT)
    async with aiohttp.ClientSession(timeout=timeout, auto_decompress=False) as session:
        answers = await asyncio.gather(*(_alerts(session, url) for url in urls), return_exceptions=True)
    known: list[Alert] = []
    errors: list[str] = []
    for url, answer in zip(urls, answers, strict=True):
        if isinstance(answer, tuple):
            known += answer
        elif isinstance(answer, (aiohttp.ClientError, OSError, ValueError, TimeoutError)):
            errors.append(f"{url}: {str(answer) or type(answer).__name__}")
        else:
            raise answer
    if len(errors) == len(urls):
        raise UnreachableError("; ".join(errors))
    return tuple(known)


async def _alerts(session: aiohttp.ClientSession, url: str) -> tuple[Alert, ...]:
    address = f"{url.rstrip('/')}/api/v2/alerts"
    headers = {"Accept-Encoding": "identity"}
    async with session.get(address, params={"filter": 'notify="customer"'}, headers=headers) as answer:
        if answer.status != 200:
            raise ValueError(f"it answers {answer.status}")
        body = bytearray()
        async for chunk in answer.content.iter_chunked(CHUNK):
            body += chunk
            if len(body) > LARGEST:
                raise ValueError("its answer is too large")
    return await asyncio.to_thread(parse_alerts, bytes(body))
