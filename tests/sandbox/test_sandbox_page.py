"""The page, in a real Chromium: what a person types, presses and sees."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright, expect
from sample_bot import running

from sandbox import Sandbox

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]

# One browser for all of them: starting it takes longer than most of the tests.
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: the page was not looked at"),
]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def server() -> AsyncIterator[Sandbox]:
    async with Sandbox(seed_world=True, ack_deadline_s=1.0) as server:
        async with running(server):
            yield server
        assert not server.violations, "\n".join(map(str, server.violations))


class Tab:
    """A person's tab, and whatever went wrong in it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.box = page.get_by_role("combobox", name="Message")
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
        viewport={"width": width, "height": 844 if width < 500 else 800}, color_scheme=theme
    )
    page = await context.new_page()
    opened = Tab(page)
    await page.goto(f"{server.url}/?as={who}")
    await page.wait_for_selector(".offer", state="attached")
    yield opened
    assert opened.problems == []
    await context.close()


async def test_a_picture_in_three_actions(browser: Browser, server: Sandbox) -> None:
    """Open the page, type the command straight through, press a button."""
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.keyboard.type("/draw a red circle on a blue background")
        await cleo.page.keyboard.press("Enter")
        image = cleo.page.locator(".gallery img")
        await expect(image).to_be_visible()
        assert await image.evaluate("image => image.decode().then(() => image.naturalWidth)") == 64
        await cleo.page.get_by_role("button", name="Count 0").click()
        await expect(cleo.page.get_by_role("button", name="Count 1")).to_be_visible()


async def test_a_pasted_command_line_needs_no_chips(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        await cleo.box.fill("/draw a red circle count: 3")
        await cleo.box.press("Enter")
        await expect(cleo.page.locator(".gallery img")).to_have_count(3)
        await expect(cleo.page.locator(".embed-title")).to_have_text("a red circle")
        await cleo.box.fill("/draw a fox count: 9")
        await cleo.box.press("Enter")
        await expect(cleo.page.locator(".toast")).to_have_text("count must be at most 4")


async def test_options_by_keyboard_with_autocomplete(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        keyboard, page = cleo.page.keyboard, cleo.page
        await keyboard.type("/dr")
        await expect(page.get_by_role("option", name="/draw")).to_be_visible()
        await keyboard.press("Tab")
        await keyboard.type("a fox")
        await keyboard.press("Tab")
        await page.get_by_role("option", name="model").click()
        await keyboard.type("pas")
        await expect(page.get_by_role("option", name="The pastel")).to_be_visible()
        await keyboard.press("Enter")
        await keyboard.press("Enter")
        await expect(page.locator(".gallery img")).to_be_visible()
    sent = [e for e in server.journal.events if e.name == "INTERACTION_CREATE" and e.data["type"] == 2]
    assert [(o["name"], o["value"]) for o in sent[-1].data["data"]["options"]] == [
        ("prompt", "a fox"),
        ("model", "pastel"),
    ]


async def test_two_people_a_modal_and_a_secret(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo, tab(browser, server, "bo", theme="light") as bo:
        await cleo.box.fill("/panel")
        await cleo.box.press("Enter")
        await cleo.page.keyboard.press("Enter")
        await expect(bo.page.get_by_role("button", name="Feedback")).to_be_visible()
        await bo.page.get_by_role("button", name="Feedback").click()
        dialog = bo.page.get_by_role("dialog", name="Feedback")
        await dialog.get_by_label("Words").fill("very fine")
        await dialog.get_by_text("Make a selection").click()
        await dialog.get_by_role("option", name="Good").click()
        await dialog.get_by_label("Proof").set_input_files(
            {"name": "a.txt", "mimeType": "text/plain", "buffer": b"12345"}
        )
        await dialog.get_by_role("button", name="Submit").click()
        await expect(bo.page.get_by_text("very fine/good/[5]")).to_be_visible()
        await expect(bo.page.get_by_text("Only you can see this")).to_be_visible()
        await bo.box.fill("did you see that, @Cleo?")
        await bo.box.press("Enter")
        await expect(cleo.page.locator(".message .mention").get_by_text("@Cleo")).to_be_visible()
        assert await cleo.page.get_by_text("very fine").count() == 0, "somebody else's secret"
        await bo.page.get_by_role("button", name="Dismiss message").click()
        await expect(bo.page.get_by_text("very fine")).to_have_count(0)


async def test_selects_menus_and_a_silent_bot(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "ada") as ada:
        page = ada.page
        await ada.box.fill("four words from me")
        await ada.box.press("Enter")
        await page.locator(".message .content").first.click(button="right")
        await page.get_by_role("menuitem", name="Count letters").click()
        await expect(page.get_by_text("18 letters")).to_be_visible()
        await ada.box.fill("/panel")
        await ada.box.press("Enter")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Choose a colour").click()
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("colour b")).to_be_visible()
        await ada.box.fill("/silent")
        await ada.box.press("Enter")
        await page.keyboard.press("Enter")
        await expect(page.get_by_text("Sending command…")).to_be_visible()
        await expect(page.get_by_text("The application did not respond")).to_be_visible()


async def test_words_are_never_markup(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        words = "<img src=https://evil.example/x.png onerror=alert(1)> **bold** `code` [a](javascript:alert(1))"
        await cleo.box.fill(words)
        await cleo.box.press("Enter")
        line = cleo.page.locator("#messages .markdown")
        await expect(line).to_contain_text("<img src=https://evil.example/x.png onerror=alert(1)> bold code")
        assert await line.locator("img, a[href^=javascript]").count() == 0
        assert await line.locator("strong").inner_text() == "bold"


async def test_on_a_phone(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "dev", width=390) as dev:
        page = dev.page
        assert not await page.get_by_role("button", name="gallery").is_visible()
        await page.get_by_role("button", name="Servers and channels").click()
        await page.get_by_role("button", name="gallery").click()
        await expect(page.get_by_role("heading", name="Welcome to #gallery")).to_be_visible()
        await dev.box.fill("/draw a very long prompt that goes on and on, well beyond the width of a phone count:4")
        await dev.box.press("Enter")
        await expect(page.locator(".gallery img")).to_have_count(4)
        assert await page.evaluate("document.documentElement.scrollWidth") == 390, "nothing sticks out"


async def test_the_inspector_and_its_switches(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "ada") as ada:
        await ada.page.get_by_role("button", name="Inspector", exact=True).click()
        await expect(ada.page.locator(".entry-line", has_text="READY")).to_be_visible()
        await ada.page.get_by_text("Make trouble").click()
        before = server.clock.now()
        await ada.page.get_by_role("button", name="+15 min").click()
        await server.wait_for(lambda: server.clock.now() > before + 890)
        assert server.token not in await ada.page.content()


async def test_the_banner_while_the_bot_is_not_there(browser: Browser) -> None:
    async with Sandbox(seed_world=True) as server:
        page = await browser.new_page()
        await page.goto(server.url)
        await expect(page.get_by_text("The bot is starting…")).to_be_visible()
        async with running(server):
            await expect(page.get_by_text("The bot is starting…")).to_be_hidden()
            await expect(page.get_by_text("/draw", exact=True)).to_be_visible()
        await expect(page.get_by_text("The bot is away")).to_be_visible()
        await page.close()


NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, textarea, dialog, [role=menu]')]
  .filter(node => node.checkVisibility() && !node.closest('[aria-hidden=true]'))
  .filter(node => !(node.getAttribute('aria-label') || node.innerText.trim() || node.labels?.length || node.title))
  .map(node => node.outerHTML.slice(0, 120))"""

FAINT = """async () => {
  await Promise.all(document.getAnimations().filter(one => one instanceof CSSTransition).map(one => one.finished));
  const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parts = colour => {
    const found = colour.replace('srgb', '').match(/[\\d.]+/g).map(Number);
    return colour.startsWith('color') ? [...found.slice(0, 3).map(part => part * 255), found[3] ?? 1] : found;
  };
  const ground = node => {
    for (let at = node; at; at = at.parentElement) {
      const found = parts(getComputedStyle(at).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const node of document.querySelectorAll('#app *')) {
    const words = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
    if (!words || !node.checkVisibility({ opacityProperty: true }) || node.closest(':disabled, svg, .off')) continue;
    const [a, b] = [light(parts(getComputedStyle(node).color)), light(ground(node))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push(`${ratio.toFixed(2)} ${node.className}: ${node.textContent.slice(0, 30)}`);
  }
  return faint;
}"""


async def test_everything_has_a_name_and_can_be_read(browser: Browser, server: Sandbox) -> None:
    """Names for screen readers, and a contrast of 4.5 (WCAG AA) for every visible word."""
    async with tab(browser, server, "cleo") as cleo:
        for line in ("/showcase", "/panel", "/draw x", "/whisper y"):
            await cleo.box.fill(line)
            await cleo.box.press("Enter")
            if " " not in line:
                await cleo.page.keyboard.press("Enter")
        await expect(cleo.page.get_by_text("Only you can see this")).to_be_visible()
        await expect(cleo.page.locator(".embed")).to_be_visible()
        assert await cleo.page.evaluate(NAMELESS) == []
        assert await cleo.page.evaluate(FAINT) == []
        await cleo.page.get_by_role("button", name="Light theme").click()
        assert await cleo.page.evaluate(FAINT) == []


async def test_a_crowd_shows_how_it_fares(browser: Browser, server: Sandbox) -> None:
    server.crowd.quiet_s = 0.1
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.get_by_role("button", name="Crowd", exact=True).click()
        await cleo.page.get_by_label("Everybody types").fill("/draw a {red|blue} {circle|square}")
        await cleo.page.get_by_label("Requests a second").fill("10")
        await cleo.page.get_by_role("button", name="Start").click()
        row = cleo.page.get_by_role("row").filter(has_text="Crowd 1")
        await expect(row.get_by_role("cell").nth(2)).not_to_have_text("0")
        await expect(cleo.page.get_by_role("img", name="Share of the pictures")).to_be_visible()
        await cleo.page.get_by_role("button", name="Stop").click()
        await row.get_by_role("button", name="Crowd 1").click()
        await expect(cleo.page.locator(".embed-title").first).to_have_text(re.compile("a (red|blue) (circle|square)"))
    camps = server.crowd.view()["camps"]
    assert camps[0]["asked"] > camps[1]["asked"], "the first server is the greedy one"


async def test_links_to_messages_stay_on_the_page(browser: Browser, server: Sandbox) -> None:
    guild = next(iter(server.world.guilds.values()))
    general, gallery = list(guild.channels.values())[:2]
    ada = guild.members[guild.owner_id]
    said = server.act_as(ada, gallery).say("look at this")
    server.act_as(ada, general).say(
        f"[over there](https://discord.com/channels/{guild.id}/{gallery.id}/{said.id}) and </draw:1>"
    )
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.get_by_role("button", name="/draw", exact=True).click()
        await expect(cleo.page.get_by_role("group", name="Command /draw")).to_be_visible()
        await cleo.page.keyboard.press("Escape")
        await cleo.page.get_by_role("button", name="over there").click()
        await expect(cleo.page.locator(f"#m{said.id}")).to_be_visible()
        await expect(cleo.page.get_by_role("heading", name="gallery", exact=True)).to_be_visible()


async def test_what_you_caused_is_scrolled_to(browser: Browser, server: Sandbox) -> None:
    guild = next(iter(server.world.guilds.values()))
    general = next(iter(guild.channels.values()))
    ada = server.act_as(guild.members[guild.owner_id], general)
    for number in range(40):
        ada.say(f"line {number}")
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.locator("#scroll").evaluate("node => { node.scrollTop = 0 }")
        ada.say("somebody else's")
        await expect(cleo.page.get_by_text("somebody else's")).not_to_be_in_viewport()
        await cleo.box.fill("/draw a fox")
        await cleo.box.press("Enter")
        await expect(cleo.page.locator(".gallery img")).to_be_in_viewport()
