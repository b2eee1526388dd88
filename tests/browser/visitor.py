"""A person with a browser, and what that person would see in its console."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from axe_playwright_python.base import AXE_SCRIPT  # type: ignore[import-untyped] # it has no types
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Page, Request, WebError

from exporter.clock import SECOND
from exporter.web.pages.layout import PERIOD
from tests.browser.stage import Stage

GRAVE = ("serious", "critical")

TELL_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", violation =>
  console.error(`Content-Security-Policy: ${violation.violatedDirective} forbids ${violation.blockedURI}`));
"""

LOCALES = {"ja": "ja-JP", "en": "en-GB"}


@dataclass
class Visitor:
    """One browser window. ``faults`` is all that went wrong in it: errors, violations of the policy, other hosts."""

    context: BrowserContext
    page: Page
    home: str
    faults: list[str] = field(default_factory=list)

    @classmethod
    @contextlib.asynccontextmanager
    async def at(
        cls,
        browser: Browser,
        home: str,
        *,
        language: Literal["ja", "en"] = "ja",
        scheme: Literal["light", "dark"] = "light",
        javascript: bool = True,
        width: int = 1280,
        height: int = 800,
    ) -> AsyncIterator[Self]:
        """Open a window; ``home`` is the URL of the front page. It is not gone to yet."""
        context = await browser.new_context(
            base_url=home,
            locale=LOCALES[language],
            color_scheme=scheme,
            java_script_enabled=javascript,
            viewport={"width": width, "height": height},
            timezone_id="UTC",  # times on the pages are the provider's, wherever the browser is
        )
        context.set_default_timeout(15_000)
        try:
            await context.add_init_script(TELL_VIOLATIONS)
            visitor = cls(context, await context.new_page(), home)
            if javascript:
                await visitor.page.clock.install()
            context.on("console", visitor._console)
            context.on("weberror", visitor._error)
            context.on("request", visitor._request)
            yield visitor
        finally:
            await context.close()

    async def go(self, path: str = "/") -> int:
        """Go to a page of ours; return the status of the answer."""
        response = await self.page.goto(path)
        assert response, path
        return response.status

    async def wait(self, stage: Stage, milliseconds: int) -> None:
        """Sit before the page while time passes on the stage, until it has asked for what is new."""
        await stage.pass_time(milliseconds)
        await self.page.clock.run_for(PERIOD * SECOND)

    async def defects(self, *rules: str) -> list[str]:
        """Return what axe says of the page for those who cannot see it well, or use no mouse: only the grave things.

        All its rules are asked, or these.
        """
        await self.page.evaluate(AXE_SCRIPT)
        options = {"resultTypes": ["violations"], **({"runOnly": list(rules)} if rules else {})}
        found: dict[str, Any] = await self.page.evaluate("options => axe.run(document, options)", options)
        return [
            f"{violation['id']} ({violation['impact']}): {violation['help']}: {node['html']}"
            for violation in found["violations"]
            if violation["impact"] in GRAVE
            for node in violation["nodes"]
        ]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.page.url if message.page else ''}: {message.type}: {message.text}")

    def _error(self, error: WebError) -> None:
        self.faults.append(f"an exception: {error.error}")

    def _request(self, request: Request) -> None:
        wanted, ours = urlsplit(request.url), urlsplit(self.home)
        if wanted.scheme not in ("data", "blob") and wanted.netloc != ours.netloc:
            self.faults.append(f"a request to another host: {request.url}")
