"""A newcomer's first minutes: `make sandbox`, a picture, the gallery, its recipe, the operator's page."""

from __future__ import annotations

import asyncio
import io
import json
import os
import re
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Download, Page, async_playwright
from tabs import ARGUMENTS, CHROMIUM, Tab

from tests.patience import PATIENCE_S

pytestmark = [
    pytest.mark.long,
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: nobody went through the first minutes"),
]
ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a red circle on a blue background"


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[list[str]]:
    """Start `bot.py sandbox` as `make sandbox` does; give the lines that it printed until it was ready."""
    kept = {name: value for name, value in os.environ.items() if name != "DISCORD_OPENAPI"}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "bot.py"), "sandbox", "--port", "0"),
        env=kept | {"ATELIER_HOME": str(folder), "ATELIER_NUM_THREADS": "2"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    lines = list[str]()
    try:
        while not any(each.startswith("Ready.") for each in lines):
            line = await asyncio.wait_for(process.stdout.readline(), 2 * PATIENCE_S)
            assert line, "\n".join(lines)
            lines.append(line.decode().rstrip())
        yield lines
    finally:
        process.terminate()
        await process.wait()


async def click_to_new_tab(context: BrowserContext, page: Page, name: str) -> Tab:
    async with context.expect_page() as opened:
        await page.get_by_role("link", name=name).click()
    return Tab(await opened.value)


async def fetch(page: Page, name: str) -> bytes:
    """Return the file behind a link."""
    async with page.expect_download() as began:
        await page.get_by_role("link", name=name, exact=True).click()
    download: Download = await began.value
    return await asyncio.to_thread(Path(await download.path()).read_bytes)


async def test_from_the_first_command_to_a_picture_in_the_gallery(tmp_path: Path) -> None:
    async with started(tmp_path) as lines, async_playwright() as playwright:
        assert len(lines) == 3, "three calm lines"
        url, pages = re.search(r"(http\S+), .* (http\S+)\. Ctrl-C", lines[-1]).groups()
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = await browser.new_context(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
        context.set_default_timeout(2 * PATIENCE_S * 1000)
        discord = Tab(await context.new_page())
        await discord.page.goto(url)
        assert await discord.page.locator(".offer.best b").inner_text() == "/imagine"
        await discord.box.press_sequentially(f"/imagine {PROMPT}")
        await discord.page.keyboard.press("Enter")
        await discord.page.get_by_role("button", name="Reroll").wait_for()
        gallery = await click_to_new_tab(context, discord.page, "Gallery")
        await gallery.page.wait_for_url(f"{pages}/gallery")  # signed in as who they are on Discord, without a question
        await gallery.page.get_by_role("img", name=PROMPT).click()
        assert json.loads(await fetch(gallery.page, "Recipe"))["spec"]["prompt"] == PROMPT
        first = await fetch(gallery.page, "Download")
        before = gallery.page.url
        await gallery.page.get_by_role("button", name="Make it again").click()
        await gallery.page.wait_for_url(lambda now: now != before)
        await gallery.page.locator(".frame img").wait_for()
        assert await fetch(gallery.page, "Download") == first, "byte for byte"
        await gallery.page.get_by_role("link", name="Gallery").click()
        with zipfile.ZipFile(io.BytesIO(await fetch(gallery.page, "Download as a ZIP"))) as archive:
            assert [archive.read(name) for name in archive.namelist()] == [first, first]
        refused = await click_to_new_tab(context, discord.page, "Operator, for Ada")
        await refused.page.get_by_text("This page is for the operators").wait_for()
        await discord.page.goto(f"{url}/?as=ada")
        operator = await click_to_new_tab(context, discord.page, "Operator, for Ada")
        await operator.page.get_by_role("heading", name="Operator").wait_for()
        assert [*discord.problems, *gallery.problems, *operator.problems] == []
        await browser.close()
