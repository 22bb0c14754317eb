"""The site of `make docs`, built once for this file: no link is broken, and what axe finds, wide and on a phone.

All that builds it is in one file, which one process runs: it is built in one folder.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, async_playwright
from tabs import ARGUMENTS, CHROMIUM

from tools import docs_site

PAGES = "index.html", "docs/api/index.html", "docs/managing/index.html", "docs/performance/index.html"
SIZES = {"light": (1280, 900), "dark": (390, 844)}


@pytest.fixture(scope="module")
def site() -> Path:
    """Return the folder of the built site."""
    assert docs_site.main() == 0
    return docs_site.BUILD / "site"


def test_the_site_is_built_without_a_warning(site: Path) -> None:
    assert (site / "docs" / "troubleshooting" / "index.html").is_file()


async def look(browser: Browser, path: Path, theme: str) -> list[str]:
    """Return what axe has against a page."""
    width, height = SIZES[theme]
    page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)  # type: ignore[arg-type]
    await page.goto(path.as_uri())
    found = (await Axe().run(page)).response["violations"]
    await page.close()
    return [f"{path}, {theme}: {each['id']} {node['html'][:120]}" for each in found for node in each["nodes"]]


@pytest.mark.browser
@pytest.mark.long  # half a minute
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the site was not looked at")
async def test_axe_finds_nothing_on_the_site(site: Path) -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        assert [found for path in PAGES for theme in SIZES for found in await look(browser, site / path, theme)] == []
        await browser.close()
    text = (site / "docs/api/index.html").read_text(encoding="utf-8")
    assert not re.search(r"<th[^>]*></th>", text), "an empty cell heads nothing"
