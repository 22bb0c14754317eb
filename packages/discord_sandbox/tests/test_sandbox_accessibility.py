"""The page's main states, checked by axe-core, an independent tool: light, dark, and on a phone."""

from __future__ import annotations

from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect
from tabs import in_a_browser, tab

from discord_sandbox import Sandbox

pytestmark = in_a_browser
axe = Axe()
CONTRAST = {"runOnly": ["color-contrast"], "resultTypes": ["violations"]}
LINES = ("/showcase", "/panel", "/draw x", "/whisper y", "hello **bold** `code` @Cleo\n# Heading\n> quote")


async def faults(page: Page) -> list[str]:
    """What axe has against the page as it stands: all its rules in one theme, contrasts in the other, too."""
    found = (await axe.run(page)).response["violations"]
    await page.evaluate("document.documentElement.dataset.theme = 'light'")
    found += (await axe.run(page, options=CONTRAST)).response["violations"]
    await page.evaluate("document.documentElement.dataset.theme = 'dark'")
    return [f"{fault['help']}: {node['html'][:150]}" for fault in found for node in fault["nodes"]]


async def test_control_axe_sees_what_is_wrong(browser: Browser) -> None:
    page = await browser.new_page()
    await page.set_content("<html lang=en><title>x</title><main><h1>x</h1><button></button>")
    assert [fault.partition(":")[0] for fault in await faults(page)] == ["Buttons must have discernible text"]
    await page.close()


async def test_axe_finds_nothing_in_talk_lists_menus_and_dialogs(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        page, keyboard = cleo.page, cleo.page.keyboard
        assert await faults(page) == [], "the empty channel"
        for line in LINES:
            await cleo.box.fill(line)
            await cleo.box.press("Enter")
            if line in ("/showcase", "/panel"):
                await keyboard.press("Enter")
        await expect(page.get_by_text("Only you can see this")).to_be_visible()
        await expect(page.locator(".embed")).to_be_visible()
        assert await faults(page) == [], "every kind of message"

        await cleo.box.fill("/dr")
        await expect(page.get_by_role("option", name="/draw")).to_be_visible()
        assert await faults(page) == [], "the list of commands"
        await keyboard.press("Tab")
        await keyboard.type("a fox")
        await keyboard.press("Tab")
        await expect(page.get_by_role("option", name="model")).to_be_visible()
        assert await faults(page) == [], "options"
        await keyboard.press("Escape")

        await page.get_by_role("button", name="Choose a colour").click()
        assert await faults(page) == [], "a select menu"
        await keyboard.press("Escape")
        await page.locator(".message .content").last.click(button="right")
        assert await faults(page) == [], "a context menu"
        await keyboard.press("Escape")
        await page.locator(".gallery .tile").first.click()
        await expect(page.get_by_role("dialog", name="Picture")).to_be_visible()
        assert await faults(page) == [], "a picture on its own"
        await keyboard.press("z")
        assert await faults(page) == [], "looked at closely"
        await keyboard.press("Escape")
        await page.get_by_role("button", name="Feedback").click()
        await expect(page.get_by_role("dialog", name="Feedback")).to_be_visible()
        assert await faults(page) == [], "a modal"
        await keyboard.press("Escape")
        server.faults.lose_files()
        await expect(page.get_by_text("no longer exists").first).to_be_visible()
        assert await faults(page) == [], "pictures and files that are gone"


async def test_axe_finds_nothing_in_places_and_panels(browser: Browser, server: Sandbox) -> None:
    server.load_generator.quiet_s = 0.1
    async with tab(browser, server, "dev") as dev:
        page = dev.page
        for place in ("weekend ideas", "after-dark", "announcements"):
            await page.locator("#channels").get_by_role("button", name=place).click()
            await expect(page.get_by_role("heading", level=1, name=place)).to_be_visible()
            assert await faults(page) == [], place
        await page.get_by_role("button", name="Direct messages").click()
        await expect(page.get_by_text("the beginning of your direct messages")).to_be_visible()
        assert await faults(page) == [], "direct messages"
        await page.get_by_role("button", name="Inspector", exact=True).click()
        await page.get_by_text("Inject faults").click()
        await page.get_by_role("button", name="503 ×3").click()
        await expect(page.get_by_role("button", name="503 · 3 left")).to_be_visible()
        await page.get_by_role("button", name="Clear", exact=True).click()
        await page.locator(".entry-line.rest summary").first.click()
        assert await faults(page) == [], "the inspector"
        await page.get_by_role("button", name="Load generator", exact=True).click()
        await page.get_by_label("Command of every user").fill("/draw a {red|blue} circle")
        await page.get_by_label("Requests a second").fill("10")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.get_by_role("row").filter(has_text="Load 1")).to_be_visible()
        await page.get_by_role("button", name="Stop").click()
        assert await faults(page) == [], "the load generator"


async def test_axe_finds_nothing_on_a_phone(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "dev", width=390) as dev:
        page = dev.page
        await dev.box.fill("/showcase")
        await dev.box.press("Enter")
        await page.keyboard.press("Enter")
        await expect(page.locator(".gallery")).to_be_visible()
        assert await faults(page) == [], "the conversation"
        await page.get_by_role("button", name="Servers and channels").click()
        assert await faults(page) == [], "the drawer"
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Inspector", exact=True).click()
        assert await faults(page) == [], "the inspector"


async def test_axe_finds_nothing_before_the_bot_is_there_and_where_one_signs_in(browser: Browser) -> None:
    async with Sandbox(seed_world=True, openapi="") as server:
        back = "http://127.0.0.1:9/done"
        server.application.web_pages["Gallery"] = back
        server.oauth2.redirect_uris.add(back)
        page = await browser.new_page(reduced_motion="reduce")
        query = f"client_id={server.application.id}&response_type=code&scope=identify&redirect_uri={back}"
        await page.goto(f"{server.url}/oauth2/authorize?{query}")
        assert await faults(page) == [], "who are you"
        await page.goto(server.url)
        await expect(page.get_by_text("The bot is starting")).to_be_visible()
        await expect(page.get_by_role("link", name="Gallery")).to_have_attribute("href", back)
        assert await faults(page) == [], "no bot"
        await page.close()
