"""The page, in a real Chromium: what a user types, presses and sees."""

from __future__ import annotations

import re

from playwright.async_api import Browser, expect
from sample_bot import running
from tabs import focus_on, in_a_browser, tab

from discord_sandbox import Sandbox
from discord_sandbox.message_service import MessageBody

pytestmark = in_a_browser


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
        await expect(cleo.page.locator(".toast")).to_have_text("count must be at most 4.")


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
        assert await cleo.page.get_by_text("very fine").count() == 0, "the secret of another user"
        await bo.page.get_by_role("button", name="Dismiss message").click()
        await expect(bo.page.get_by_text("very fine")).to_have_count(0)


async def test_the_keyboard_goes_everywhere_and_comes_back(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        page, keyboard = cleo.page, cleo.page.keyboard

        async def press(*keys: str, then: str = "") -> None:
            """Press these keys, and wait until the focus is on what is called so."""
            for key in keys:
                await keyboard.press(key)
            if then:
                await focus_on(page, then)

        await keyboard.type("hello")
        await press("Enter")
        await keyboard.type("/panel")
        await press("Enter", "Enter")
        await expect(page.get_by_role("button", name="Feedback")).to_be_visible()
        await page.locator("#scroll").focus()
        await press("ArrowUp", then="Bot, ")  # the last message
        await press("ArrowUp", then="Cleo, ")
        await press("Enter")
        await press("ArrowDown", "ArrowUp", then="Count letters")
        await press("Escape", then="Cleo, ")  # back on the message
        await press("Tab", then="Reply")
        await press("Tab", "Tab", then="More")
        await press("Enter")
        await press("Escape", then="More")
        await page.get_by_role("button", name="Feedback").focus()
        await press("Enter")
        await expect(page.get_by_role("dialog", name="Feedback")).to_be_visible()
        await press("Escape", then="Feedback")
        await page.get_by_role("button", name="Choose a colour").focus()
        await press("Enter", "ArrowDown")
        await press("Escape", then="Choose a colour")
        await page.get_by_role("button", name="Inspector", exact=True).focus()
        await press("Enter", then="Inspector")  # drawn again, and still in focus
        await page.get_by_text("Inject faults").focus()
        await press("Escape", then="Inspector")
        await expect(page.locator("#inspector")).to_be_hidden()


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
        server.end_deadlines()
        await expect(page.get_by_text("The application did not respond")).to_be_visible()


async def test_selects_show_what_is_chosen_and_only_what_fits(browser: Browser, server: Sandbox) -> None:
    guild = next(iter(server.world.guilds.values()))
    moderator = next(role for role in guild.roles.values() if role.name == "Moderator")
    writer = server.act_as(guild.members[guild.owner_id], next(iter(guild.channels.values()))).client.messages
    roles = {"type": 6, "custom_id": "r", "default_values": [{"id": str(moderator.id), "type": "role"}]}
    channels = {"type": 8, "custom_id": "c", "channel_types": [0], "placeholder": "Which channel?"}
    rows = [{"type": 1, "components": [menu]} for menu in (roles, channels)]
    body = MessageBody({"content": "Choose", "components": rows}, {})
    writer.post(writer.create(next(iter(guild.channels.values())), server.application.bot, body, size_limit=1))
    async with tab(browser, server, "cleo") as cleo:
        await expect(cleo.page.get_by_role("button", name="@Moderator")).to_be_visible()
        await cleo.page.get_by_role("button", name="Which channel?").click()
        await expect(cleo.page.get_by_role("option", name="#gallery")).to_be_visible()
        await expect(cleo.page.get_by_role("option", name="weekend ideas")).to_have_count(0)


async def test_several_are_chosen_in_a_form_by_mouse(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        page = cleo.page
        await cleo.box.fill("/panel")
        await cleo.box.press("Enter")
        await page.keyboard.press("Enter")
        await page.get_by_role("button", name="Feedback").last.click()
        dialog = page.get_by_role("dialog", name="Feedback")
        await dialog.get_by_label("Words").fill("both")
        await dialog.get_by_text("Make a selection").click()
        for name in ("Good", "Bad"):
            await dialog.get_by_role("option", name=name).click()
            await expect(dialog.get_by_role("option", name=name, selected=True)).to_be_visible()
        await dialog.get_by_role("button", name="Submit").click()
        await expect(page.get_by_text("both/good+bad/[]")).to_be_visible()


async def test_a_preselected_option_is_not_sent_again(browser: Browser, server: Sandbox) -> None:
    """As in Discord's own client: only once the message has changed."""

    async def choose(name: str) -> None:
        await page.locator(".select").nth(-1).click()
        await page.get_by_role("option", name=name).click()

    async with tab(browser, server, "cleo") as cleo:
        page = cleo.page
        await cleo.box.fill("/panel")
        await cleo.box.press("Enter")
        await page.keyboard.press("Enter")
        await choose("Ada")
        await expect(page.get_by_text("chose ada")).to_have_count(1)
        await choose("Ada")
        await choose("Dev")
        await expect(page.get_by_text("chose dev")).to_have_count(1)
        assert await page.get_by_text("chose ada").count() == 1, "shown already"
        await page.get_by_role("button", name="Think").last.click()
        await expect(page.get_by_text("thought").first).to_be_visible()
        await choose("Dev")
        await expect(page.get_by_text("chose dev")).to_have_count(2)


async def test_a_follow_up_names_its_command_as_a_command(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        await cleo.box.fill("/twice")
        await cleo.box.press("Enter")
        await cleo.page.keyboard.press("Enter")
        await expect(cleo.page.get_by_text("and again")).to_be_visible()
        await expect(cleo.page.locator(".above .mention")).to_have_text(["/twice", "/twice"])


async def test_three_tall_pictures_fill_their_place(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        await cleo.box.fill("/draw a tall tower count:3")
        await cleo.box.press("Enter")
        tiles = cleo.page.locator(".gallery .tile")
        await expect(tiles).to_have_count(3)
        first, second, third = [await tiles.nth(number).bounding_box() or {} for number in range(3)]
        assert first["height"] < 400
        assert abs(second["height"] + 4 + third["height"] - first["height"]) < 1
        assert abs(third["y"] + third["height"] - first["y"] - first["height"]) < 1


async def test_words_are_never_markup(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        words = "<img src=https://evil.example/x.png onerror=alert(1)> **bold** `code` [a](javascript:alert(1))"
        await cleo.box.fill(words)
        await cleo.box.press("Enter")
        line = cleo.page.locator("#messages .markdown")
        await expect(line).to_contain_text("<img src=https://evil.example/x.png onerror=alert(1)> bold code")
        assert await line.locator("img, a[href^=javascript]").count() == 0
        await expect(line.locator("strong")).to_have_text("bold")


async def test_on_a_phone(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "dev", width=390) as dev:
        page = dev.page
        await expect(page.get_by_role("button", name="gallery")).to_be_hidden()
        await page.get_by_role("button", name="Servers and channels").click()
        await page.wait_for_function("document.querySelector('#main').inert")  # out of reach under the drawer
        await page.get_by_role("button", name="gallery").click()
        await expect(page.get_by_role("heading", name="Welcome to #gallery")).to_be_visible()
        await dev.box.fill("/draw a very long prompt that goes on and on, well beyond the width of a phone count:4")
        await dev.box.press("Enter")
        await expect(page.locator(".gallery img")).to_have_count(4)
        await page.wait_for_function("document.documentElement.scrollWidth === 390")  # nothing sticks out
        await dev.box.fill("/showcase")
        await dev.box.press("Enter")
        await page.keyboard.press("Enter")
        box = await page.locator(".container").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= 390 - 14, "words too long for a phone end in dots"


async def test_the_inspector_shows_messages_without_secrets(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "ada") as ada:
        page = ada.page
        await page.get_by_role("button", name="Inspector", exact=True).click()
        await expect(page.locator(".entry-line", has_text="READY")).to_be_visible()
        for number in range(30):
            await ada.box.fill(f"/whisper {number}")
            await ada.box.press("Enter")
        await expect(page.get_by_text("29", exact=True)).to_be_visible()
        last = page.locator(".entry-line.rest").last
        await expect(last).to_be_in_viewport()
        await page.get_by_text("Inject faults").click()
        await expect(last).to_be_in_viewport()
        await last.locator("summary").click()
        await expect(last.locator("pre").first).to_contain_text('"content": "29"')
        await page.get_by_role("button", name="gateway").click()
        await expect(last).to_be_hidden()
        assert server.token not in await page.content()


async def test_a_panel_and_the_members_take_turns(browser: Browser, server: Sandbox) -> None:
    async with tab(browser, server, "cleo") as cleo:
        people = cleo.page.get_by_role("button", name="Members", exact=True)
        await expect(cleo.page.locator("#members")).to_be_visible()
        for name in ("Inspector", "Load generator"):
            await cleo.page.get_by_role("button", name=name, exact=True).click()
            await expect(cleo.page.locator("#members")).to_be_hidden()
            await expect(people).to_have_attribute("aria-pressed", "false")
            await people.click()
            await expect(cleo.page.locator("#members")).to_be_visible()
            await expect(cleo.page.locator(f"#{name.lower()}")).to_be_hidden()
            await expect(people).to_have_attribute("aria-pressed", "true")
        await people.click()
        await expect(cleo.page.locator("#members")).to_be_hidden()


async def test_the_banner_while_the_bot_is_not_there(browser: Browser) -> None:
    async with Sandbox(seed_world=True) as server:
        page = await browser.new_page()
        await page.goto(server.url)
        await expect(page.get_by_text("The bot is starting…")).to_be_visible()
        async with running(server):
            await expect(page.get_by_text("The bot is starting…")).to_be_hidden()
            await expect(page.get_by_text("/draw", exact=True)).to_be_visible()
        await expect(page.get_by_text("The bot is not connected")).to_be_visible()
        await page.close()


async def test_the_load_generator_shows_how_each_server_is_served(browser: Browser, server: Sandbox) -> None:
    server.load_generator.quiet_s = 0.1
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.get_by_role("button", name="Load generator", exact=True).click()
        command = cleo.page.get_by_label("Command of every user")
        await expect(command).to_have_value("/draw a {red|blue|green} {circle|square|star}")
        await command.fill("/draw a {red|blue} {circle|square}")
        await cleo.page.get_by_label("Requests a second").fill("10")
        await cleo.page.get_by_role("button", name="Start", exact=True).click()
        row = cleo.page.get_by_role("row").filter(has_text="Load 1")
        await expect(row.get_by_role("cell").nth(2)).not_to_have_text("0")
        await expect(cleo.page.get_by_role("img", name="Share of the pictures")).to_be_visible()
        await cleo.page.get_by_role("button", name="Stop").click()
        await row.get_by_role("button", name="Load 1").click()
        await expect(cleo.page.locator(".embed-title").first).to_have_text(re.compile("a (red|blue) (circle|square)"))
    guilds = server.load_generator.view()["guilds"]
    assert guilds[0]["asked"] > guilds[1]["asked"], "the first server is the greedy one"


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


async def test_the_page_scrolls_to_the_answer_to_you(browser: Browser, server: Sandbox) -> None:
    guild = next(iter(server.world.guilds.values()))
    general = next(iter(guild.channels.values()))
    ada = server.act_as(guild.members[guild.owner_id], general)
    for number in range(40):
        ada.say(f"line {number}")
    async with tab(browser, server, "cleo") as cleo:
        await cleo.page.locator("#scroll").evaluate("node => { node.scrollTop = 0 }")
        ada.say("of another user")
        await expect(cleo.page.get_by_text("of another user")).not_to_be_in_viewport()
        await cleo.box.fill("/draw a fox")
        await cleo.box.press("Enter")
        await expect(cleo.page.locator(".gallery img")).to_be_in_viewport()


async def test_a_user_of_another_language_reads_commands_in_it(browser: Browser, server: Sandbox) -> None:
    draw, letters = (
        next(each for each in server.commands if each["name"] == name) for name in ("draw", "Count letters")
    )
    draw["description_localizations"] = {"fr": "Dessine une image"}
    letters["name_localizations"] = {"fr": "Compter les lettres"}
    async with tab(browser, server, "dev&locale=fr") as dev:
        page = dev.page
        await page.keyboard.type("/dr")
        await expect(page.get_by_role("option", name="Dessine une image")).to_be_visible()
        await page.keyboard.press("Tab")
        await page.keyboard.type("a fox")
        await page.keyboard.press("Enter")
        picture = page.locator(".message", has_text="a fox").last
        await expect(picture.locator(".gallery img")).to_be_visible()
        sent = [event for event in server.journal.events if event.name == "INTERACTION_CREATE"]
        assert sent[-1].data["locale"] == "fr"
        await picture.click(button="right")
        await page.get_by_role("menuitem", name="Compter les lettres").click()
        await expect(page.get_by_text("letters", exact=False).last).to_be_visible()
    async with tab(browser, server, "dev&locale=tlh") as dev:
        await dev.page.keyboard.type("/dr")
        await expect(dev.page.get_by_role("option", name="Dessine une image")).to_be_visible()
    async with tab(browser, server, "dev&locale=en-US") as dev:
        await dev.page.keyboard.type("/dr")
        await expect(dev.page.get_by_role("option", name="Draw")).to_be_visible()
