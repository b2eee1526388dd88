"""What all pages share: language, theme, policy, the files beside them, and asking again for what has not changed."""

import re
from collections.abc import Mapping
from importlib.resources import files
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from exporter.clock import MINUTE
from exporter.monitor import Monitor
from exporter.web.pages import assets
from tests.exporter.web.browsing import DOWN, Clock, Elements, see, set_check

PAGES = ["/", "/servers/web01", "/incidents"]
TOKYO = ZoneInfo("Asia/Tokyo")
JAPANESE = re.compile(r"[ぁ-んァ-ヶ一-龠]")


@pytest.fixture(autouse=True)
def clock(monitor: Monitor) -> Clock:
    monitor.clock = Clock()
    return monitor.clock


async def get(start: Any, path: str, **headers: str) -> tuple[int, Mapping[str, str], str]:
    client = await start()
    async with client.session.get(client.url(path), headers=headers, allow_redirects=False) as response:
        return response.status, response.headers, await response.text()


@pytest.mark.parametrize(
    ("wish", "language"),
    [
        ("ja", "ja"),
        ("en-GB,en;q=0.9", "en"),
        ("fr;q=0.9, en;q=0.3, ja;q=0.5", "ja"),
        ("fr", "ja"),
        ("", "ja"),
        ("en;q=0", "ja"),
    ],
)
async def test_a_page_speaks_the_browsers_language_and_else_that_of_the_noc(
    start: Any, wish: str, language: str
) -> None:
    _, _, text = await get(start, "/", **{"Accept-Language": wish})
    assert f'<html lang="{language}"' in text


async def test_a_click_on_a_switch_is_remembered_and_leads_back_to_the_same_view(start: Any) -> None:
    status, headers, _ = await get(start, "/?q=web&lang=en&theme=dark", **{"Accept-Language": "ja"})
    assert (status, headers["Location"]) == (303, "/?q=web")
    client = await start()
    async with client.session.get(client.url("/?q=web&lang=en"), allow_redirects=False) as response:
        cookie = response.cookies["lang"]
    assert (cookie.value, cookie["path"], cookie["samesite"], cookie["httponly"]) == ("en", "/", "Lax", True)
    _, _, text = await get(start, "/?q=web", **{"Accept-Language": "ja", "Cookie": "lang=en; theme=dark"})
    assert '<html lang="en" data-theme="dark">' in text


async def test_a_choice_that_does_not_exist_is_none(start: Any) -> None:
    status, headers, _ = await get(start, '/?lang=fr&theme="><script>')
    assert (status, headers["Location"], "Set-Cookie" in headers) == (303, "/", False)
    _, _, text = await get(start, "/", **{"Cookie": 'lang=fr; theme="><script>', "Accept-Language": "en"})
    assert '<html lang="en" data-theme="auto">' in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_loads_nothing_but_our_own_files_and_has_no_script_or_style_in_it(start: Any, path: str) -> None:
    _, headers, text = await get(start, path)
    assert headers["Content-Security-Policy"] == (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
    page = Elements(text)
    assert not {"style", "iframe", "object", "embed", "base"} & {tag for tag, _ in page.tags}
    assert not [name for _, given in page.tags for name in given if name == "style" or name.startswith("on")]
    targets = [value for _, given in page.tags for name in ("href", "src", "action") if (value := given.get(name))]
    assert all(re.match(r"/(?!/)|#|tel:|mailto:", target) for target in targets)
    scripts = [given for tag, given in page.tags if tag == "script"]
    assert [given["src"] for given in scripts] == [assets.address("live.js")]
    assert re.search(r"<script[^>]*></script>", text)


@pytest.mark.parametrize("name", sorted(assets.ASSETS))
async def test_files_carry_a_digest_in_their_name_and_are_kept_for_ever(start: Any, name: str) -> None:
    stem, _, kind = name.rpartition(".")
    assert re.fullmatch(rf"/static/{re.escape(stem)}\.[0-9a-f]{{16}}\.{kind}", assets.address(name))
    status, headers, text = await get(start, assets.address(name))
    assert (status, text) == (200, files("exporter.web.pages").joinpath("static", name).read_text("utf-8"))
    assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
    assert headers["X-Content-Type-Options"] == "nosniff"
    status, _, _ = await get(start, assets.address(name).replace(stem, "other"))
    assert status == 404


async def test_a_page_that_has_not_changed_is_not_sent_again(start: Any, monitor: Monitor, clock: Clock) -> None:
    set_check(monitor, "https", DOWN)
    status, headers, _ = await get(start, "/")
    again = {"If-None-Match": headers["ETag"]}
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    clock.passed += MINUTE
    status, _, text = await get(start, "/", **again)
    assert (status, text) == (304, "")  # only the clock went on: the browser counts by itself
    clock.passed += MINUTE
    set_check(monitor, "ssh", DOWN)
    status, headers, _ = await get(start, "/", **again)
    assert (status, headers["ETag"] == again["If-None-Match"]) == (200, False)


async def test_those_who_may_see_less_are_not_given_the_page_of_those_who_may_see_all(
    start: Any, monitor: Monitor
) -> None:
    set_check(monitor, "https", DOWN)
    assert "ops@customer.example" in (await see(start)).text
    client = await start("0.0.0.0:0")
    async with client.session.get(client.url("/"), headers={"Accept-Language": "en"}) as response:
        assert "ops@customer.example" not in await response.text()


@pytest.mark.parametrize("path", PAGES)
async def test_headings_are_in_order_and_landmarks_have_names(start: Any, monitor: Monitor, path: str) -> None:
    set_check(monitor, "https", DOWN)
    page = await see(start, path)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    names = [given.get("aria-label") for tag, given in page.tags if tag == "nav"]
    assert all(names)
    assert len(names) == len(set(names))
    (skip, target) = ("#main", [given.get("id") for tag, given in page.tags if tag == "main"])
    assert page.links()[0] == skip
    assert target == ["main"]
    ids = [given["id"] for _, given in page.tags if "id" in given]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("path", PAGES)
async def test_an_english_page_has_no_japanese_of_ours(start: Any, path: str) -> None:
    text = (await see(start, path, "0.0.0.0:0")).text
    assert set(JAPANESE.findall(text)) <= set("日本語")
