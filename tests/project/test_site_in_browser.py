"""The built documentation in a real browser: what axe finds, wide and on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, async_playwright
from tabs import ARGUMENTS, CHROMIUM

from tools import docs_site

pytestmark = [
    pytest.mark.browser,
    pytest.mark.long,  # half a minute
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the site was not looked at"),
]
SITE = docs_site.BUILD / "site"
PAGES = "index.html", "docs/api/index.html", "docs/managing/index.html", "docs/performance/index.html"
SIZES = {"light": (1280, 900), "dark": (390, 844)}


async def look(browser: Browser, path: Path, theme: str) -> list[str]:
    """Return what axe has against a page."""
    width, height = SIZES[theme]
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    await page.goto(path.as_uri())
    found = (await Axe().run(page)).response["violations"]
    await page.close()
    return [f"{path}, {theme}: {each['id']} {node['html'][:120]}" for each in found for node in each["nodes"]]


async def test_axe_finds_nothing_on_the_site() -> None:
    assert docs_site.main() == 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        assert [found for path in PAGES for theme in SIZES for found in await look(browser, SITE / path, theme)] == []
        await browser.close()
    text = (SITE / "docs/api/index.html").read_text(encoding="utf-8")
    assert not re.search(r"<th[^>]*></th>", text), "an empty cell heads nothing"
