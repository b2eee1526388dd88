"""Makes the pictures of the README: ``make screenshots``. The same night as in the tests, with a week before it."""

import asyncio
import shutil
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import uvloop
from playwright.async_api import Browser, async_playwright

from exporter.clock import DAY, HOUR, MINUTE, SystemClock
from exporter.demo.fleet import PLANS
from exporter.ledger import Event, Ledger, Record, alive_row, events, presence_event
from tests.browser.conftest import FLAGS
from tests.browser.stage import Stage, StageClock
from tests.browser.visitor import Visitor

FOLDER = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 200_000
"""Bytes of one picture."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"


async def main(chromium: str) -> None:
    """Write all pictures."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dserver-screenshots-") as folder:
        clock = StageClock()
        await remember_a_week(Path(folder) / "data", clock.now().wall)
        async with Stage.open(Path(folder) / "data", clock) as stage, async_playwright() as playwright:
            await stage.night()
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            for language in ("ja", "en"):
                await take(browser, stage, "/", f"noc-{language}", language=language)
                await take(browser, stage, "/servers/shop01", f"server-{language}", language=language)
                path = f"/incidents/{stage.outage.id}"
                await take(browser, stage, path, f"incident-{language}", language=language, scheme="dark")
            await browser.close()


async def take(
    browser: Browser, stage: Stage, path: str, name: str, scheme: Literal["light", "dark"] = "light", **looks: Any
) -> None:
    """Write one picture. Exits with a message where something is wrong with the page, or it became too large."""
    async with Visitor.at(browser, stage.url, scheme=scheme, width=1200, height=700, **looks) as visitor:
        await visitor.go(path)
        picture = packed(await visitor.page.screenshot())
        if visitor.faults or len(picture) > LARGEST:
            sys.exit(f"{name}: {len(picture)} bytes; {'; '.join(visitor.faults)}")
        (FOLDER / f"{name}.png").write_bytes(picture)
        print(f"{name}.png: {len(picture):,} bytes")


async def remember_a_week(storage: Path, now: int) -> None:
    """Write a ledger in which the fleet was watched for a week, with a few outages."""
    spells = {
        ("shop01", "https"): [(5 * DAY, 25 * MINUTE), (9 * HOUR, 40 * MINUTE)],
        ("shop01", "http"): [(5 * DAY, 25 * MINUTE)],
        ("shop01", "ssh"): [(3 * DAY, 3 * HOUR)],
    }
    changed: list[Event] = []
    for plan in PLANS:
        for check in plan.services:
            changes = [(now - 8 * DAY, "untried", "up")]
            for before, length in spells.get((plan.name, check), ()):
                changes += [(now - before, "up", "down"), (now - before + length, "down", "up")]
            changed += [_change(plan.name, check, *each) for each in changes]
    changed.sort(key=lambda event: int(event.values["at"]))  # as it would have been written
    records: list[Record] = [presence_event(now - 8 * DAY, running=True), alive_row(now), *changed]
    ledger = Ledger.open(storage, SystemClock())
    try:
        await ledger.save(records)
    finally:
        await asyncio.to_thread(ledger.close)


def _change(server: str, check: str, at: int, was: str, now: str) -> Event:
    reason = {"reason": "timeout", "step": "connect"} if now == "down" else {}
    values = {"at": at, "server": server, "kind": "check", "subject": check, "was": was, "now": now}
    return Event({**values, **reason}, events)


def packed(png: bytes) -> bytes:
    """Return a PNG picture with its pixels compressed as well as zlib can; browsers are in a hurry.

    PNG (Third Edition) section 5.3: a chunk is its length, its type, its data, and a checksum of the last two.
    """
    chunks = list(_chunks(png))
    pixels = zlib.compress(zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT")), 9)
    kept = {b"IHDR": b"", b"IDAT": pixels, b"IEND": b""} | {kind: data for kind, data in chunks if kind == b"IHDR"}
    return SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in kept.items()
    )


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(SIGNATURE)
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        yield kind, png[at + 8 : at + 8 + length]
        at += length + 12


if __name__ == "__main__":
    program = shutil.which("chromium")
    if program is None:
        sys.exit("chromium is not installed: apt install chromium fonts-noto-cjk")
    uvloop.run(main(program))
