"""What fails every browser test is really seen: otherwise all of them would be green for nothing."""

import pytest

from tests.browser.conftest import Visit
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")

BAD = """<!DOCTYPE html><html><head><title>bad</title></head><body>
<img src="http://elsewhere.example/spy.png">
<p style="color: red">a style of its own</p>
<script>throw new Error("inline")</script>
<script src="/broken.js"></script>
</body></html>"""
POLICY = "default-src 'none'; script-src 'self'; img-src http:"


async def test_errors_policy_violations_other_hosts_and_what_axe_calls_grave_are_seen(
    stage: Stage, visit: Visit
) -> None:
    visitor = await visit(stage)
    headers = {"Content-Security-Policy": POLICY}
    await visitor.context.route(
        "**/bad", lambda route: route.fulfill(body=BAD, content_type="text/html", headers=headers)
    )
    await visitor.context.route(
        "**/broken.js", lambda route: route.fulfill(body="nothing.at.all()", content_type="text/javascript")
    )
    await visitor.context.route("http://elsewhere.example/**", lambda route: route.fulfill(body=""))
    await visitor.go("/bad")
    told = "\n".join(visitor.faults)
    for fault in ("Content-Security-Policy: script-src", "style-src", "elsewhere.example", "nothing is not defined"):
        assert fault in told
    assert any(defect.startswith("image-alt (critical)") for defect in await visitor.defects())
    visitor.faults.clear()
