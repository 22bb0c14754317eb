"""Every fault switch, pressed in a real Chromium with a discord.py bot behind it, and what a user then sees."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime, timedelta

import discord
import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect
from sample_bot import png, running
from tabs import Tab, in_a_browser, tab

from discord_sandbox import Channel, Sandbox, Upload

pytestmark = in_a_browser


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[Sandbox]:
    """Discord as it is, with its own 3 s; no trouble on request may be held against the bot."""
    async with Sandbox(seed_world=True) as server:
        yield server
        assert not server.violations, "\n".join(map(str, server.violations))


@asynccontextmanager
async def troubled(browser: Browser, server: Sandbox) -> AsyncIterator[Tab]:
    """Ada's tab with the switches laid open."""
    async with tab(browser, server, "ada") as ada:
        await ada.page.get_by_role("button", name="Inspector", exact=True).click()
        await ada.page.get_by_text("Inject faults").click()
        yield ada


async def press(user: Tab, switch: str, told: str) -> None:
    await user.page.locator("#inspector").get_by_role("button", name=switch, exact=True).click()
    await expect(user.page.locator(".toast").last).to_contain_text(told)


async def whisper(user: Tab, words: str) -> None:
    """Ask the bot for an answer that only this person sees."""
    await user.box.fill(f"/whisper {words}")
    await user.box.press("Enter")


def find_channel(server: Sandbox, name: str) -> Channel:
    return next(channel for channel in server.world.channels.values() if channel.name == name)


async def test_three_429_and_then_the_answer(browser: Browser, server: Sandbox) -> None:
    async with running(server), troubled(browser, server) as ada:
        await press(ada, "429 ×3", "next three requests are answered with 429")
        await expect(ada.page.get_by_role("button", name="429 · 3 left")).to_be_visible()
        await whisper(ada, "after all")
        await expect(ada.page.get_by_text("after all", exact=True)).to_be_visible()
        await expect(ada.page.locator(".entry-line .fault")).to_have_count(3)
        await expect(ada.page.get_by_role("button", name="429 ×3")).to_be_visible()
        assert [call.status for call in server.journal.calls[-4:]] == [429, 429, 429, 200]


async def test_503_for_too_long_and_then_cleared(browser: Browser, server: Sandbox) -> None:
    async with running(server), troubled(browser, server) as ada:
        await press(ada, "503 ×3", "next three requests are answered with 503")
        await whisper(ada, "too late")
        await server.wait_for(lambda: any(call.status == 503 for call in server.journal.calls))
        server.end_deadlines()
        await expect(ada.page.get_by_text("The application did not respond")).to_be_visible()
        await press(ada, "Clear", "answered without faults")
        await expect(ada.page.get_by_role("button", name="Clear", exact=True)).to_be_disabled()
        await whisper(ada, "in time")
        await expect(ada.page.get_by_text("in time", exact=True)).to_be_visible()
        assert await ada.page.get_by_text("too late", exact=True).count() == 0


async def test_a_dropped_answer_was_carried_out(browser: Browser, server: Sandbox) -> None:
    async with running(server), troubled(browser, server) as ada:
        await press(ada, "Drop answer", "but not answered")
        await whisper(ada, "done all the same")
        await expect(ada.page.get_by_text("done all the same", exact=True)).to_be_visible()
        await expect(ada.page.locator(".entry-line .fault")).to_have_text("answer dropped")


@pytest.mark.parametrize(
    ("switch", "told", "wanted"),
    [
        ("Close 4000", "4000: the bot may resume", "RESUMED"),
        ("Close 4009", "4009: the bot must identify again", "READY"),
        ("Reconnect", "asked to reconnect", "RESUMED"),
        ("End session", "must identify again", "READY"),
    ],
)
async def test_the_bot_comes_back_and_answers(
    browser: Browser, server: Sandbox, switch: str, told: str, wanted: str
) -> None:
    async with running(server), troubled(browser, server) as ada:
        seen = len(server.journal.events)
        await press(ada, switch, told)
        await server.wait_for(lambda: any(event.name == wanted for event in server.journal.events[seen:]))
        await whisper(ada, "back again")
        await expect(ada.page.get_by_text("back again", exact=True)).to_be_visible()
        await expect(ada.page.locator("#banner")).to_be_hidden()
        await expect(ada.page.locator(".entry-line", has_text=wanted).first).to_be_attached()


async def test_the_switch_reports_that_no_bot_is_connected(browser: Browser, server: Sandbox) -> None:
    async with AsyncExitStack() as stack:
        async with running(server):
            ada = await stack.enter_async_context(troubled(browser, server))
        await expect(ada.page.get_by_text("The bot is not connected")).to_be_visible()
        for switch in ("Close 4000", "Close 4009", "Reconnect", "End session"):
            await press(ada, switch, "No bot is connected.")


@pytest.mark.parametrize("place", ["general", "weekend ideas"], ids=["a channel", "a thread"])
async def test_the_bot_may_not_write_and_may_again(browser: Browser, server: Sandbox, place: str) -> None:
    async with running(server) as bot, troubled(browser, server) as ada:
        await ada.page.locator("#channels").get_by_role("button", name=place).click()
        await expect(ada.page.get_by_role("heading", level=1, name=place)).to_be_visible()
        await press(ada, "Mute bot here", f"may no longer write in {place}")
        here = bot.get_channel(find_channel(server, place).id)
        assert isinstance(here, discord.abc.Messageable)
        with pytest.raises(discord.Forbidden):
            await here.send("unheard")
        await press(ada, "Let bot write here", f"may write in {place} again")
        await here.send("heard")
        await expect(ada.page.locator(".message").get_by_text("heard", exact=True)).to_be_visible()
        assert await ada.page.get_by_text("unheard").count() == 0


async def test_the_bot_is_removed_and_invited_again(browser: Browser, server: Sandbox) -> None:
    async with running(server), troubled(browser, server) as ada:
        await press(ada, "Remove bot", "removed from Harbour")
        await expect(ada.page.get_by_text("No commands can be used here")).to_be_visible()
        await expect(ada.page.get_by_role("button", name="Mute bot here")).to_be_disabled()
        await press(ada, "Invite bot back", "invited back to Harbour")
        await expect(ada.page.locator(".offer").first).to_be_visible()
        await whisper(ada, "welcome back")
        await expect(ada.page.get_by_text("welcome back", exact=True)).to_be_visible()


async def test_users_leave_a_deleted_channel(browser: Browser, server: Sandbox) -> None:
    async with running(server) as bot, troubled(browser, server) as ada, tab(browser, server, "cleo") as cleo:
        await cleo.page.locator("#channels").get_by_role("button", name="weekend ideas").click()
        await expect(cleo.page.get_by_role("heading", level=1, name="weekend ideas")).to_be_visible()
        general, thread = find_channel(server, "general"), find_channel(server, "weekend ideas")
        await press(ada, "Delete channel", "The channel general was deleted")
        for user in (ada, cleo):
            await expect(user.page.get_by_role("heading", level=1, name="gallery")).to_be_visible()
        assert bot.get_channel(general.id) is bot.get_channel(thread.id) is None
        for name in ("gallery", "after-dark", "announcements"):
            await press(ada, "Delete channel", f"The channel {name} was deleted")
        await press(ada, "Delete channel", "This is the last channel of the server. A server needs one.")
        await ada.page.get_by_role("button", name="Direct messages").click()
        await expect(ada.page.get_by_role("button", name="Delete channel")).to_be_disabled()


async def test_fifteen_minutes_later(browser: Browser, server: Sandbox) -> None:
    async with running(server), troubled(browser, server) as ada:
        await ada.box.fill("/panel")
        await ada.box.press("Enter")
        await ada.page.keyboard.press("Enter")
        await expect(ada.page.get_by_role("button", name="Think")).to_be_visible()
        await press(ada, "+15 min", "15 minutes later")
        await ada.page.get_by_role("button", name="Think").click()
        await expect(ada.page.locator(".markdown").get_by_text("thought", exact=True)).to_be_visible()
        times = [await when.get_attribute("datetime") for when in await ada.page.locator(".message time").all()]
        first, last = (datetime.fromisoformat(when or "") for when in (times[0], times[-1]))
        assert last - first >= timedelta(minutes=15)


async def test_lost_files_are_shown_as_lost(browser: Browser, server: Sandbox) -> None:
    general = find_channel(server, "general")
    async with running(server), troubled(browser, server) as ada:
        await press(ada, "Lose files", "no files to lose")
        for line in ("/showcase", "/framed"):
            await ada.box.fill(line)
            await ada.box.press("Enter")
            await ada.page.keyboard.press("Enter")
        server.act_as(general.guild.members[general.guild.owner_id], general).say(
            "", files=[Upload("mine.png", png(), description="Mine"), Upload("notes.pdf", b"x")]
        )
        pictures = ada.page.locator("#messages .tile img")
        await expect(pictures).to_have_count(5)
        source = await pictures.first.get_attribute("src")
        assert (await ada.page.request.get(f"{server.url}{source}")).status == 200
        await press(ada, "Lose files", "Files lost: 6")
        for _ in range(2):  # at once, and for a user who opens the page now
            await expect(pictures).to_have_count(0)
            await expect(ada.page.get_by_text("This picture no longer exists")).to_have_count(5)
            await expect(ada.page.locator(".file", has_text="notes.pdf")).to_contain_text("no longer exists")
            await ada.page.reload()
        assert (await ada.page.request.get(f"{server.url}{source}")).status == 404
        await ada.box.fill("/draw a fox")
        await ada.box.press("Enter")
        await expect(pictures).to_have_count(1)
