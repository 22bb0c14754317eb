"""A user's browser tab on the sandbox's page, and the errors in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from playwright.async_api import Browser, Page

from discord_sandbox import Sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# One browser for all tests of a module: starting it takes longer than most of them.
in_a_browser = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page was not looked at"),
]


FOCUS = "(document.activeElement.getAttribute('aria-label') || document.activeElement.innerText || '').trim()"


async def focus_on(page: Page, name: str) -> None:
    """Wait until the focus is on what has this name, or one that begins so. The page may move it a task later."""
    here = f"document.activeElement !== document.body && {FOCUS}.startsWith(name)"
    await page.wait_for_function(f"name => {here}", arg=name)


class Tab:
    """A person's tab, and whatever went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_role("textbox", name="Message")
        self.problems: list[str] = []
        page.on("pageerror", lambda error: self.problems.append(str(error)))
        page.on("console", lambda message: self.problems.append(message.text) if message.type == "error" else None)
        page.on("request", self._requested)

    def _requested(self, request: object) -> None:
        url = getattr(request, "url", "")
        if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:")):
            self.problems.append(f"asked for {url}")


@asynccontextmanager
async def tab(
    browser: Browser, server: Sandbox, who: str, *, width: int = 1280, theme: str = "dark"
) -> AsyncIterator[Tab]:
    context = await browser.new_context(
        viewport={"width": width, "height": 844 if width < 500 else 800}, color_scheme=theme, reduced_motion="reduce"
    )
    context.set_default_timeout(Sandbox.patience_s * 1000)
    page = await context.new_page()
    opened = Tab(page)
    await page.goto(f"{server.url}/?as={who}")
    await page.wait_for_selector(".offer", state="attached")
    yield opened
    assert opened.problems == []
    await context.close()
