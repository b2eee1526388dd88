"""A real browser in front of the whole exporter. A test fails also by what the browser has to complain about."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.browser.stage import Stage
from tests.browser.visitor import Visitor

FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
"""Without a sandbox, since CI is root; the pages are ours."""


@pytest.fixture(scope="session")
def chromium(peer: Callable[[str], str]) -> str:
    return peer("chromium")


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    """One browser for all tests: windows are cheap, the program is not."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def stage(chromium: str, tmp_path: Path) -> AsyncIterator[Stage]:
    """The demo's fleet and its exporter, without a history: for a test that lets something happen."""
    async with Stage.open(tmp_path / "data") as stage:
        yield stage


@pytest_asyncio.fixture(loop_scope="session", scope="session")
async def night(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """A night with an outage, a failed drive and a weak one, a request and a report: for tests that only look."""
    async with Stage.open(tmp_path_factory.mktemp("night") / "data") as stage:
        await stage.night()
        yield stage


Visit = Callable[..., Awaitable[Visitor]]


@pytest_asyncio.fixture(loop_scope="session")
async def visit(browser: Browser) -> AsyncIterator[Visit]:
    """Open a window in front of a stage. What is wrong in any of them fails the test."""
    async with AsyncExitStack() as windows:
        visitors: list[Visitor] = []

        async def visit(stage: Stage, **looks: Any) -> Visitor:
            visitors.append(await windows.enter_async_context(Visitor.at(browser, stage.url, **looks)))
            return visitors[-1]

        yield visit
    assert [fault for visitor in visitors for fault in visitor.faults] == []
