"""A browser and a server for the tests of the page, and how long these tests wait."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright, expect

from discord_sandbox import Sandbox

# A busy machine fails no test: these limits end what hangs and judge nothing.
Sandbox.ack_deadline_s, Sandbox.patience_s = 60.0, 900.0

with warnings.catch_warnings():  # on Python 3.11 discord.py imports the deprecated `audioop`: once, before tests begin
    warnings.simplefilter("ignore", DeprecationWarning)
    from sample_bot import running
    from tabs import ARGUMENTS, CHROMIUM


expect.set_options(timeout=Sandbox.patience_s * 1000)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed_world=True) as server:
        async with running(server):
            yield server
        assert not server.violations, "\n".join(map(str, server.violations))
