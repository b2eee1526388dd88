"""The demo's story as the NOC sees it: nobody reloads the page, and nothing is said that is not so."""

import re

import pytest
from playwright.async_api import expect

from exporter.clock import MINUTE, SECOND
from exporter.demo import story
from tests.browser.conftest import Visit
from tests.browser.stage import Stage
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def never_reloaded(visitor: Visitor) -> None:
    assert await visitor.page.evaluate("window.neverReloaded === true"), "the page was loaded anew"


async def watch(visit: Visit, stage: Stage, path: str = "/", language: str = "en") -> Visitor:
    """Open a page and stay there."""
    visitor = await visit(stage, language=language)
    await visitor.go(path)
    await visitor.page.evaluate("window.neverReloaded = true")
    return visitor


async def test_a_lamp_turns_amber_and_appears_without_a_reload(stage: Stage, visit: Visit) -> None:
    visitor = await watch(visit, stage)
    lamps = visitor.page.locator("#lamps")
    await expect(lamps).to_have_count(0)
    await stage.play(story.drive_weakens)
    await visitor.wait(stage, 25 * MINUTE)
    row = lamps.locator("tbody tr")
    await expect(row).to_contain_text(["warning"])
    await expect(row).to_contain_text(["db01"])
    await expect(row).to_contain_text(["Drive 2"])
    await expect(visitor.page.locator("#news")).to_contain_text("Lamp warning: db01 Drive 2")
    await stage.play(story.drive_fails)
    await visitor.wait(stage, 12 * MINUTE)
    await expect(row.first).to_contain_text("critical")
    await stage.play(story.drive_is_replaced)
    await visitor.wait(stage, 12 * MINUTE)
    await expect(lamps).to_have_count(0)
    await never_reloaded(visitor)


async def test_an_outage_opens_counts_up_and_closes(stage: Stage, visit: Visit) -> None:
    visitor = await watch(visit, stage)
    page = visitor.page
    await expect(page.locator("#incidents")).to_have_count(0)
    await stage.play(story.service_dies)
    await visitor.wait(stage, 22 * MINUTE)
    row = page.locator("#incidents tbody tr")
    await expect(row).to_have_count(1)
    for told in ("shop01", "c0002", "https", "level 1: log in", "not told yet"):
        await expect(row).to_contain_text(told)
    await expect(page).to_have_title("1 down · dserver-exporter")
    await expect(page.locator("#now h1")).to_contain_text("1 server is down: 1 customer is affected")
    await expect(page.locator("#news")).to_contain_text("Outage: shop01, customer c0002")

    counted = row.locator("time[data-since]").first
    before = await counted.text_content()
    await page.clock.run_for(2_000)
    await expect(counted).not_to_have_text(before or "")

    [incident] = stage.monitor.duties.incidents.open()
    stage.desk.told(incident.id, "運用担当", "phone", "sato")
    await stage.take_in_commands()
    await visitor.wait(stage, 2 * SECOND)
    await expect(row).not_to_contain_text("not told yet")

    await stage.play(story.service_returns)
    await visitor.wait(stage, 90 * SECOND)
    await expect(page.locator("#now h1")).to_contain_text("no service is down")
    await expect(row).to_contain_text("the recovery is not confirmed")
    await visitor.wait(stage, 5 * MINUTE)
    await expect(page.locator("#incidents")).to_have_count(0)
    await expect(page).to_have_title("NOC · dserver-exporter")
    await never_reloaded(visitor)
    await page.get_by_role("link", name="Incidents", exact=True).click()
    owed = page.locator("#owed tbody tr")
    for told in ("Closed", incident.id, "draft, not approved"):
        await expect(owed).to_contain_text(told)


async def test_an_incidents_time_line_grows_while_it_is_read(stage: Stage, visit: Visit) -> None:
    await stage.play(story.service_dies)
    await stage.until(lambda: bool(stage.monitor.duties.incidents.open()), 11 * MINUTE)
    [incident] = stage.monitor.duties.incidents.open()
    visitor = await watch(visit, stage, f"/incidents/{incident.id}", "ja")
    page = visitor.page
    line = page.locator("#timeline li")
    await expect(line.first).to_contain_text("インシデント発生（サービス停止）")
    await expect(page.locator("#commands")).to_contain_text(f"incidents ack {incident.id}")
    stage.desk.acknowledge(incident.id, "sato")
    stage.desk.note(incident.id, "sato", "nginxを再起動した")
    await stage.take_in_commands()
    await visitor.wait(stage, 10 * MINUTE)
    await expect(line).to_contain_text(["sato が対応開始"])
    await expect(line).to_contain_text(["メモ（sato） nginxを再起動した"])
    await expect(line).to_contain_text(["お客様への連絡が必要"])
    await expect(page.locator("#commands")).not_to_contain_text("incidents ack")
    await expect(page.locator("#now h1")).to_contain_text("停止中")
    await stage.play(story.service_returns)
    await visitor.wait(stage, 6 * MINUTE)
    await expect(line.last).to_contain_text("クローズ")
    await expect(page.locator("#now h1")).to_contain_text("クローズ")
    await expect(page.locator("#report")).to_contain_text("下書き（未承認）")
    await never_reloaded(visitor)
    await page.get_by_role("link", name="報告書を開く（A4）").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("障害報告書")


async def test_a_servers_page_follows_its_outage(stage: Stage, visit: Visit) -> None:
    visitor = await watch(visit, stage, "/servers/shop01")
    page = visitor.page
    await expect(page.locator("#now h1")).to_contain_text("nothing is known to be wrong")
    await expect(page.locator("#services .strip .mark-down")).to_have_count(0)
    await stage.play(story.service_dies)
    await visitor.wait(stage, 13 * MINUTE)
    await expect(page.locator("#now h1")).to_contain_text("down")
    https = page.locator("#services tbody tr", has_text="https")
    await expect(https).to_contain_text("the server does not accept connections")
    await expect(https.locator(".strip .mark-down")).to_have_count(2)
    said = re.compile(r"https, Last 24 hours: up \d\d\.\d{3} %, 1 outage, \d+ min.* for \d+ min")
    await expect(https.get_by_role("img").first).to_have_attribute("aria-label", said)
    await never_reloaded(visitor)
