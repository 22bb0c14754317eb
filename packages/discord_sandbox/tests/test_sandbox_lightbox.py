"""A picture over the page, in a real Chromium: enlarged, moved, turned to the next, closed."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect
from sample_bot import png
from tabs import FOCUS, focus_on, in_a_browser, tab

from discord_sandbox import Message, Sandbox, Upload
from discord_sandbox.message_service import MessageBody

pytestmark = in_a_browser

WIDE = (1800, 1200)
# Which point of the picture lies at x, y; whether all of it is in sight; how it is drawn.
LOOK = """([x, y]) => {
  const image = document.querySelector('.stage img'), stage = image.parentElement;
  const box = image.getBoundingClientRect();
  return {
    at: [(x - box.left) / box.width, (y - box.top) / box.height],
    size: [box.width, box.height],
    isWhole: stage.scrollWidth <= stage.clientWidth && stage.scrollHeight <= stage.clientHeight,
    scrolled: [stage.scrollLeft, stage.scrollTop],
  };
}"""


WHOLE = "() => document.querySelector('.stage').scrollWidth <= document.querySelector('.stage').clientWidth"
WIDTH = "width => document.querySelector('.stage img').getBoundingClientRect().width === width"
SCROLLED = """([left, top]) => {
  const stage = document.querySelector('.stage');
  return Math.abs(stage.scrollLeft - left) <= 1 && Math.abs(stage.scrollTop - top) <= 1;
}"""


async def look(page: Page, x: float = 0, y: float = 0) -> dict[str, Any]:
    found: dict[str, Any] = await page.evaluate(LOOK, [x, y])
    return found


def shown(server: Sandbox, *sizes: tuple[int, int]) -> Message:
    """A message of Ada's with pictures that she described."""
    general = next(channel for channel in server.world.channels.values() if channel.name == "general")
    ada = server.act_as(general.guild.members[general.guild.owner_id], general)
    files = [
        Upload(f"{n}.png", png(*size), description=f"Field {n}, red all over") for n, size in enumerate(sizes, start=1)
    ]
    return ada.say("look", files=files)


@pytest.mark.parametrize(("width", "theme"), [(1280, "dark"), (390, "light")])
async def test_a_click_looks_closely_where_it_was(browser: Browser, server: Sandbox, width: int, theme: str) -> None:
    shown(server, WIDE)
    async with tab(browser, server, "cleo", width=width, theme=theme) as cleo:
        page = cleo.page
        await page.get_by_role("button", name="Open Field 1, red all over").click()
        dialog = page.get_by_role("dialog", name="Picture")
        await expect(dialog.locator("figcaption")).to_contain_text("Field 1, red all over")
        await expect(dialog.get_by_role("img", name="Field 1, red all over")).to_be_visible()
        await page.wait_for_function(WHOLE)  # at first all of it is seen
        box = await dialog.locator(".stage img").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6
        before = await look(page, x, y)
        await page.mouse.click(x, y)
        await page.wait_for_function(WIDTH, arg=WIDE[0])
        after = await look(page, x, y)
        assert after["size"] == list(WIDE), "a pixel of the picture is one of the page"
        assert after["at"] == pytest.approx(before["at"], abs=0.01), "what was under the hand stays there"
        await page.mouse.click(x, y)
        await page.wait_for_function(WHOLE)


async def test_a_close_picture_is_dragged_and_scrolled(browser: Browser, server: Sandbox) -> None:
    shown(server, WIDE, WIDE)
    async with tab(browser, server, "cleo") as cleo:
        page = cleo.page
        await page.get_by_role("button", name="Open Field 1, red all over").click()
        await page.get_by_role("button", name="Zoom").click()
        await expect(page.get_by_role("button", name="Zoom")).to_have_attribute("aria-pressed", "true")
        left, top = (await look(page))["scrolled"]
        await page.mouse.move(600, 400)
        await page.mouse.down()
        await page.mouse.move(500, 330, steps=4)
        await page.mouse.up()
        await page.wait_for_function(SCROLLED, arg=[left + 100, top + 70])
        await page.keyboard.press("ArrowLeft")
        await page.keyboard.press("ArrowUp")
        await page.wait_for_function(SCROLLED, arg=[left - 20, top - 50])  # and no picture is turned
        await page.mouse.wheel(0, 60)
        await page.wait_for_function("top => document.querySelector('.stage').scrollTop > top", arg=top - 50)
        await expect(page.locator("figcaption")).to_contain_text("1 of 2")
        await page.keyboard.press("z")
        await page.wait_for_function(WHOLE)
        await page.keyboard.press("ArrowRight")
        await expect(page.locator("figcaption")).to_contain_text("Field 2, red all over")
        await page.get_by_role("button", name="previous").click()
        await expect(page.locator("figcaption")).to_contain_text("1 of 2")


async def test_it_is_left_in_three_ways_and_the_focus_returns(browser: Browser, server: Sandbox) -> None:
    shown(server, (300, 200))
    async with tab(browser, server, "cleo") as cleo:
        page = cleo.page
        opener = page.get_by_role("button", name="Open Field 1, red all over")
        dialog = page.get_by_role("dialog", name="Picture")
        for leave in (
            lambda: page.keyboard.press("Escape"),
            lambda: page.get_by_role("button", name="Close", exact=True).click(),
            lambda: page.mouse.click(60, 400),
        ):
            await opener.click()
            await focus_on(page, "Close")
            await page.keyboard.press("Shift+Tab")
            await page.wait_for_function("document.querySelector('dialog').contains(document.activeElement)")
            await leave()
            await expect(dialog).to_have_count(0)
            await focus_on(page, "Open Field 1, red all over")


async def test_the_focus_has_a_place_when_its_message_is_gone(browser: Browser, server: Sandbox) -> None:
    message = shown(server, (300, 200))
    async with tab(browser, server, "cleo") as cleo:
        opener = cleo.page.get_by_role("button", name="Open Field 1, red all over")
        await opener.focus()
        writer = server.act_as(message.author, message.channel).client.messages
        writer.edit(message, MessageBody({"content": "look again"}, {}), size_limit=1)
        await expect(cleo.page.get_by_text("look again")).to_be_visible()
        await focus_on(cleo.page, "Open Field 1, red all over")  # an edit takes no focus
        await opener.click()
        writer.delete(message)
        await expect(opener).to_have_count(0)
        closed = f"async () => {{ document.querySelector('dialog').close(); await null; return {FOCUS}; }}"
        assert await cleo.page.evaluate(closed) == "Messages", "in the same task: no key is lost in between"
        await expect(cleo.page.get_by_role("dialog")).to_have_count(0)


async def test_a_small_picture_is_drawn_in_whole_multiples(browser: Browser, server: Sandbox) -> None:
    shown(server, (96, 64))
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.get_by_role("button", name="Open Field 1, red all over").click()
        await cleo.page.wait_for_function(WIDTH, arg=6 * 96)
        await cleo.page.keyboard.press("z")
        await cleo.page.wait_for_function(WIDTH, arg=12 * 96)
        assert (await look(cleo.page))["size"] == [12 * 96, 12 * 64]
