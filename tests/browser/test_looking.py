"""What people do with the pages, with mouse, keyboard, screen reader or printer, with and without JavaScript."""

import pytest
from playwright.async_api import expect

from exporter.ledger import lease_event
from tests.browser.conftest import Visit
from tests.browser.stage import Stage

pytestmark = pytest.mark.asyncio(loop_scope="session")


def paths(stage: Stage) -> list[str]:
    """Every page, at night."""
    owed = next(each for each in stage.monitor.duties.incidents.known() if each.report.owed)
    request = next(each for each in stage.monitor.duties.incidents.open() if each.server == "lab01")
    incidents = [f"/incidents/{each.id}" for each in (stage.outage, owed, request)]
    servers = [f"/servers/{name}" for name in ("shop01", "db01", "app02", "lab01")]
    return ["/", "/?q=nothing", "/incidents", *servers, *incidents, f"/incidents/{owed.id}/report"]


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_axe_finds_nothing_serious_on_any_page_in_light_and_dark(
    night: Stage, visit: Visit, language: str
) -> None:
    visitor = await visit(night, language=language)
    defects: dict[str, list[str]] = {}
    # in English one page of a kind: the others differ from it as they do in Japanese
    for path in paths(night) if language == "ja" else ("/", "/servers/shop01", f"/incidents/{night.outage.id}"):
        assert await visitor.go(path) == 200
        defects[path] = await visitor.defects()
        await visitor.page.emulate_media(color_scheme="dark")
        defects[f"{path}, dark"] = await visitor.defects("color-contrast")  # the only one that it can change
        await visitor.page.emulate_media(color_scheme="light")
    assert {path: found for path, found in defects.items() if found} == {}


async def test_axe_finds_nothing_serious_where_there_is_no_such_page_any_more(night: Stage, visit: Visit) -> None:
    visitor = await visit(night)
    await night.monitor.ledger.save([lease_event("old01", was="", now="c0001", at=night.clock.now().wall)])
    assert await visitor.go("/servers/old01") == 200
    assert await visitor.defects() == []
    assert await visitor.go("/servers/nobody") == 404
    assert await visitor.defects() == []
    visitor.faults = [fault for fault in visitor.faults if "404 (Not Found)" not in fault]


@pytest.mark.parametrize("path", ["/", "/servers/shop01", "/incidents"])
async def test_a_page_fits_a_telephone(night: Stage, visit: Visit, path: str) -> None:
    visitor = await visit(night, width=390, height=844)
    await visitor.go(path)
    assert await visitor.page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_no_part_of_an_open_incident_is_out_of_sight(night: Stage, visit: Visit, language: str) -> None:
    visitor = await visit(night, language=language, width=1200)
    await visitor.go("/")
    hidden = "table => table.scrollWidth - table.clientWidth"
    assert await visitor.page.locator("#incidents .table").evaluate(hidden) == 0


@pytest.mark.parametrize("language", ["ja", "en"])
async def test_whom_to_call_is_in_the_first_view_of_a_telephone(night: Stage, visit: Visit, language: str) -> None:
    visitor = await visit(night, language=language, width=390, height=844)
    await visitor.go("/")
    row = visitor.page.locator("#incidents tbody tr").first
    for told in (row.locator(".whom"), row.locator("a[href^=tel]"), row.get_by_role("link", name="shop01").first):
        box = await told.bounding_box()
        assert box
        assert box["y"] + box["height"] <= 844


async def test_servers_are_filtered_by_customer_and_what_the_filter_hides_is_told(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, language="en")
    page = visitor.page
    await visitor.go("/")
    await page.locator("#customers").get_by_role("link", name="c0003").click()
    await expect(page).to_have_url(f"{night.url}?customer=c0003")
    servers = page.locator("#servers tbody tr")
    await expect(servers).to_have_count(3)
    await expect(page.locator("#incidents")).to_have_count(0)
    await page.get_by_role("link", name="1 server that is down is hidden by the filter: show all").click()
    await expect(page.locator("#incidents tbody tr").first).to_contain_text("shop01")
    await page.get_by_role("searchbox").fill("shop")
    await page.get_by_role("searchbox").press("Enter")
    await expect(servers).to_have_count(2)


async def test_the_language_is_switched_and_stays_so_on_every_page(night: Stage, visit: Visit) -> None:
    visitor = await visit(night)
    page = visitor.page
    await visitor.go("/servers/shop01")
    await expect(page.locator("#now")).to_contain_text("障害発生中")
    await page.get_by_role("link", name="English").click()
    await expect(page.locator("html")).to_have_attribute("lang", "en")
    await expect(page).to_have_url(f"{night.url}servers/shop01")
    await page.locator("#open a").first.click()
    await expect(page.locator("#now h1")).to_contain_text("Down:")
    await page.get_by_role("link", name="日本語").click()
    await expect(page.locator("#now h1")).to_contain_text("停止中:")


async def test_a_chosen_theme_stays(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, language="en")
    await visitor.go("/")
    await visitor.page.get_by_role("link", name="Dark").click()
    await visitor.go("/incidents")
    assert await visitor.page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"


async def test_everything_can_be_reached_with_the_keyboard(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, language="en")
    page, keyboard = visitor.page, visitor.page.keyboard
    await visitor.go("/")
    await keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to the content")
    await expect(skip).to_be_focused()
    await expect(skip).to_be_in_viewport()
    await keyboard.press("Enter")
    await expect(page.locator("#main")).to_be_focused()
    for _ in range(100):
        await keyboard.press("Tab")
        if await page.evaluate("document.activeElement.getAttribute('href')") == "/servers/shop01":
            break
    assert await page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    await keyboard.press("Enter")
    await expect(page.locator("#now h1")).to_contain_text("shop01")
    said = page.locator("#services summary").last
    await said.focus()
    await keyboard.press("Enter")
    await expect(page.locator("#services details[open] pre").first).to_be_visible()


async def test_what_is_open_or_focused_stays_so_when_the_page_looks_anew(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, language="en")
    page = visitor.page
    await visitor.go("/servers/shop01")
    summary = page.locator("#services tbody tr", has_text="https").locator("summary")
    await summary.click()
    await summary.focus()
    await visitor.wait(night, 61_000)
    await expect(page.locator("#services details[open]")).to_have_count(1)
    await expect(summary).to_be_focused()


async def test_a_command_is_selected_as_a_whole_by_a_click(night: Stage, visit: Visit) -> None:
    visitor = await visit(night)
    await visitor.go(f"/incidents/{night.outage.id}")
    line = visitor.page.locator("#commands code").first
    await line.click()
    assert await visitor.page.evaluate("getSelection().toString()") == await line.text_content()


async def test_everything_works_without_javascript(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, language="en", javascript=False)
    page = visitor.page
    await visitor.go("/")
    await expect(page.locator("#incidents tbody tr").first).to_contain_text("shop01")
    await expect(page.locator("noscript meta[http-equiv=refresh]")).to_have_count(1)
    await page.locator("#incidents").get_by_role("link", name="shop01", exact=True).first.click()
    await page.locator("#services summary").last.click()
    await expect(page.locator("#services details[open]")).to_have_count(1)
    await page.locator("#open a").first.click()
    await expect(page.locator("#timeline li").first).to_contain_text("opened (outage)")
    await page.get_by_role("link", name="日本語").click()
    await expect(page.locator("#timeline li").first).to_contain_text("インシデント発生")
    await page.get_by_role("searchbox").fill("db01")
    await page.get_by_role("button", name="検索").click()
    await expect(page.locator("#servers tbody tr")).to_have_count(1)


async def test_on_paper_there_is_the_content_and_nothing_to_click(night: Stage, visit: Visit) -> None:
    visitor = await visit(night, scheme="dark")
    page = visitor.page
    await visitor.go("/servers/shop01")
    await page.emulate_media(media="print")
    for gone in ("header nav", "header form", ".switches", "#commands", "footer"):
        await expect(page.locator(gone).first).to_be_hidden()
    await expect(page.locator("#lamps tbody tr").first).to_be_visible()
    assert await page.evaluate("getComputedStyle(document.body).colorScheme") == "light"
    assert (await page.pdf()).startswith(b"%PDF-")
    await visitor.go("/")
    await expect(page.locator("#filter")).to_be_hidden()
    reasons = await page.locator("#incidents td:nth-child(4)").first.bounding_box()
    assert reasons
    assert reasons["width"] > 150


async def test_what_a_server_sends_does_nothing_in_a_browser(night: Stage, visit: Visit) -> None:
    visitor = await visit(night)
    dialogs: list[str] = []
    visitor.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    evil = (
        "<img src=http://elsewhere.example/x onerror=alert(1)><script>alert(2)</script><style>*{display:none}</style>"
    )
    night.desk.note(night.outage.id, evil, evil)
    await night.take_in_commands()
    await visitor.go(f"/incidents/{night.outage.id}")
    await expect(visitor.page.locator("#timeline")).to_contain_text("<script>alert(2)</script>")
    assert dialogs == []
