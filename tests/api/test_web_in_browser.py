"""The pages in a real browser: sign-in, older pictures without a new page, and what axe finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, ViewportSize, async_playwright
from tabs import ARGUMENTS, CHROMIUM, Tab

from tests.api.web_harness import SERVER, opened_pages
from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the pages were not looked at"),
]
SHOTS = os.environ.get("SCREENSHOTS")
"""A folder for pictures of each page, to be looked at."""


async def look(page: Page, name: str) -> list[str]:
    """Return what axe has against the page, in both themes; the contrasts in the second."""
    found = list[str]()
    for theme in ("light", "dark"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")  # type: ignore[arg-type]
        found += [
            f"{name} {theme}: {each['id']} {node['html'][:120]}"
            for each in (await Axe().run(page)).response["violations"]
            for node in each["nodes"]
        ]
        if SHOTS:
            await page.screenshot(path=Path(SHOTS) / f"{name}-{theme}.png", full_page=True)
    return found


WIDE: ViewportSize = {"width": 1280, "height": 800}
PHONE: ViewportSize = {"width": 390, "height": 844}
LONG = "a lighthouse at dusk, painted in oil, with very many words about its light, " * 12
RIGHT_TO_LEFT = "دائرة حمراء على خلفية زرقاء"


async def look_at(page: Page, url: str, name: str) -> list[str]:
    """Return what axe has against a page, wide and on a phone, and whether it is wider than its window."""
    found = list[str]()
    for suffix, size in (("", WIDE), ("-phone", PHONE)):
        await page.set_viewport_size(size)
        await page.goto(url)
        await page.wait_for_load_state("networkidle")
        found += await look(page, name + suffix)
        if await page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{name}{suffix} is wider than its window")
    return found


async def test_the_pages_in_a_browser(tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.gallery.JOBS_A_PAGE", 2)
    async with opened_pages(tmp_path, blank_database) as pages, async_playwright() as playwright:
        jobs = [await pages.painted(pages.ada, count=4) for _ in range(3)]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport=WIDE)
        page.set_default_timeout(PATIENCE_S * 1000)
        tab, wrong = Tab(page), list[str]()
        await page.goto(pages.web.url)
        wrong += await look(page, "home")
        await page.get_by_role("link", name="Sign in with Discord").click()
        await page.get_by_role("button", name="Ada").click()
        await page.wait_for_url("**/gallery")
        cards = page.locator(".cards img")
        assert await cards.count() == 8
        await page.get_by_role("link", name="Show older pictures").click()
        await cards.nth(11).wait_for()
        assert page.url.endswith("/gallery")
        wrong += await look(page, "gallery")
        await cards.nth(1).click()
        await page.wait_for_url(f"**/gallery/{jobs[-1].id}/1")
        await page.get_by_role("button", name="Make it again").click()
        await page.wait_for_url(lambda url: jobs[-1].id not in url)
        await page.locator(".frame img").wait_for()
        await page.goto(f"{pages.web.url}/operator")
        await page.get_by_text("These numbers as a table").first.click()
        assert await page.get_by_role("img", name="Pictures a day").count() == 1
        assert await page.locator("details tbody tr").first.locator("td").first.inner_text() == "13"
        wrong += await look(page, "operator-table")
        assert wrong == []
        assert tab.problems == []
        await browser.close()


@pytest.mark.long
async def test_every_page_is_sound_in_both_themes_and_widths(tmp_path: Path, blank_database: Path) -> None:
    """With what stretches a page: very long prompts, one that is read from the right, and a wide picture."""
    async with opened_pages(tmp_path, blank_database) as pages, async_playwright() as playwright:
        long = await pages.painted(pages.ada, prompt=LONG[:900], count=2)
        wide = await pages.painted(pages.ada, prompt=RIGHT_TO_LEFT, size="256x64")
        high = await pages.painted(pages.bo, prompt="x" * 300, size="64x256")
        for job in (long, wide, high):
            await pages.api.services.moderation.report(SERVER, job.id, by=pages.bo.id, reason="Reported by a member.")
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page()
        page.set_default_timeout(PATIENCE_S * 1000)
        tab, url = Tab(page), pages.web.url
        wrong = await look_at(page, url, "home")
        await page.goto(f"{url}/sign-in")
        await page.get_by_role("button", name="Ada").click()
        await page.wait_for_url("**/gallery")
        for path in ("gallery", "usage", "operator", "review"):
            wrong += await look_at(page, f"{url}/{path}", path)
        for name, job in (("long", long), ("wide", wide)):
            wrong += await look_at(page, f"{url}/gallery/{job.id}/0", f"picture-{name}")
        wrong += await look_at(page, f"{url}/gallery?server={SERVER}&kind=favourites", "gallery-empty")
        assert wrong == []
        assert tab.problems == []
        await browser.close()
