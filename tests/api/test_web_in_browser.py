"""The pages in a real browser: sign-in, older pictures without a new page, and what axe finds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, async_playwright
from tabs import ARGUMENTS, CHROMIUM, Tab

from tests.api.web_harness import opened_pages

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
            await page.screenshot(path=Path(SHOTS) / f"{name}-{theme}.png")
    return found


async def test_the_pages_in_a_browser(tmp_path: Path, blank_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.web.gallery.JOBS_A_PAGE", 2)
    async with opened_pages(tmp_path, blank_database) as pages, async_playwright() as playwright:
        jobs = [await pages.painted(pages.ada, count=4) for _ in range(3)]
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
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
        await page.set_viewport_size({"width": 390, "height": 844})
        wrong += await look(page, "gallery-phone")
        await cards.nth(1).click()
        await page.wait_for_url(f"**/gallery/{jobs[-1].id}/1")
        wrong += await look(page, "picture-phone")
        await page.set_viewport_size({"width": 1280, "height": 800})
        wrong += await look(page, "picture")
        await page.get_by_role("button", name="Make it again").click()
        await page.wait_for_url(lambda url: jobs[-1].id not in url)
        await page.locator(".frame img").wait_for()
        await page.goto(f"{pages.web.url}/operator")
        wrong += await look(page, "operator")
        await page.set_viewport_size({"width": 390, "height": 844})
        wrong += await look(page, "operator-phone")
        assert wrong == []
        assert tab.problems == []
        await browser.close()
