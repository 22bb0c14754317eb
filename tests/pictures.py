"""Takes the screenshots of the documentation: the real bot with the built-in model, the local Discord, a browser.

`make pictures` takes all of them, in a few minutes; `make pictures ARGS="grid recipe"` takes some. Hours, ids and
some seeds are others each time, so look at them and keep those that show something new.
"""

from __future__ import annotations

import asyncio
import io
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image
from playwright.async_api import Browser, Page, async_playwright
from tabs import ARGUMENTS, CHROMIUM

from db.engine import parse_url
from db.migrate import migrate
from discord_sandbox import Interaction, Message, Sandbox, ScriptedUser
from generation.workers.frames import DEFAULT_ENGINE
from tests.scenarios.bot_harness import LivingBot, job_id_in, until_done, until_shown

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "images"
RED = "a red circle on a blue background"
NARROW, WIDE = 560, 1280
COLOURS = 256
LOAD_S = 75


@dataclass
class Studio:
    """The bot, its users and the browser that shows it."""

    discord: Sandbox
    bot: LivingBot
    browser: Browser

    def person(self, name: str, channel: str = "gallery") -> ScriptedUser:
        guild = next(iter(self.discord.world.guilds.values()))
        places = {each.name: each for each in guild.channels.values()}
        return self.discord.act_as(guild.members[self.discord.world.get_or_add_user(name).id], places[channel])

    async def painted(self, who: ScriptedUser, prompt: str = RED, **options: object) -> Message:
        return await until_done(self.discord, await who.slash("imagine", prompt=prompt, **options))

    async def told(self, asked: Interaction) -> Message:
        """Return the private answer."""
        return await until_shown(self.discord, asked)

    @asynccontextmanager
    async def page(self, who: ScriptedUser, width: int) -> AsyncIterator[Page]:
        context = await self.browser.new_context(
            viewport={"width": width, "height": 800 if width == WIDE else 1600},
            color_scheme="dark",
            reduced_motion="reduce",
            timezone_id="UTC",
        )
        page = await context.new_page()
        await page.goto(f"{self.discord.url}/?as={who.user.username}&channel={who.channel.id}")
        await page.wait_for_selector("#welcome h2")
        yield page
        await context.close()

    async def message(self, who: ScriptedUser, message: Message) -> bytes:
        """Show one message, as wide as a narrow window."""
        async with self.page(who, NARROW) as page:
            node = page.locator(f"#m{message.id}")
            await node.scroll_into_view_if_needed()
            await _with_its_pictures(page)
            return await node.screenshot()

    async def window(self, who: ScriptedUser) -> bytes:
        """Show the whole page."""
        async with self.page(who, WIDE) as page:
            await _with_its_pictures(page)
            return await page.screenshot()


async def _with_its_pictures(page: Page) -> None:
    """Wait for the pictures in sight; others are not loaded at all."""
    await page.evaluate("""() => {
        const inSight = ({ top, bottom }) => bottom > 0 && top < innerHeight;
        const seen = [...document.images].filter((image) => inSight(image.getBoundingClientRect()));
        return Promise.all(seen.map((image) => image.decode().catch(() => 0)));
    }""")


# What is taken, by the name of its file. They happen in this order, in one world.


async def sandbox(generation: Studio) -> bytes:
    bo = generation.person("bo", "general")
    await generation.painted(bo, seed=10)
    return await generation.window(bo)


async def waiting(generation: Studio) -> bytes:
    people = [generation.person(name) for name in ("ada", "bo", "dev", "cleo")]
    await generation.bot.hold_painting()
    for who in people:
        asked = await who.slash("imagine", prompt=RED, seed=7, count=4)
    taken = await generation.message(who, await until_shown(generation.discord, asked))
    for who in people:
        await who.slash("cancel")
    generation.bot.go_on_painting()
    await generation.discord.wait_for(lambda: not generation.bot.generation.list_live_ids())
    return taken


async def painting(generation: Studio) -> bytes:
    cleo = generation.person("cleo")
    message = await until_shown(generation.discord, await cleo.slash("imagine", prompt=RED, seed=7, steps=60))
    await generation.discord.wait_for(lambda: [file.filename for file in message.attachments] == ["preview.jpg"])
    await generation.bot.hold_painting()
    taken = await generation.message(cleo, message)
    await cleo.click(message, "Cancel")
    generation.bot.go_on_painting()
    await generation.discord.wait_for(lambda: not generation.bot.generation.list_live_ids())
    return taken


async def grid(generation: Studio) -> bytes:
    cleo = generation.person("cleo")
    return await generation.message(
        cleo, await generation.painted(cleo, "a yellow star above a blue house", seed=11, count=4)
    )


async def recipe(generation: Studio) -> bytes:
    cleo = generation.person("cleo")
    first = await generation.painted(cleo, seed=7)
    varied = await until_done(generation.discord, await cleo.click(first, "Vary"))
    await until_done(generation.discord, await cleo.click(varied, f"atelier:up:{job_id_in(varied)}:1"))
    return await generation.message(cleo, await generation.told(await cleo.click(varied, "Recipe")))


async def rules(generation: Studio) -> bytes:
    ada = generation.person("ada")
    await generation.told(await ada.slash("rules add", text="goblin", reason="Goblins are for #fantasy only."))
    await generation.told(await ada.slash("rules add", text="dragon*", action="warn"))
    return await generation.message(
        ada, await generation.told(await ada.slash("rules test", text="a g0bl1n and a dragonfly"))
    )


async def review(generation: Studio) -> bytes:
    cleo, dev, bo = (generation.person(name) for name in ("cleo", "dev", "bo"))
    await dev.context_menu("Report picture", await generation.painted(cleo, seed=5, count=2))
    return await generation.message(bo, await generation.told(await bo.slash("review")))


async def settings(generation: Studio) -> bytes:
    ada = generation.person("ada")
    panel = await generation.told(await ada.slash("settings"))
    await ada.click(panel, "Where and who")
    await generation.discord.wait_for(lambda: "Where I paint" in panel.text)
    return await generation.message(ada, panel)


async def set_up(generation: Studio) -> bytes:
    guild = generation.discord.add_guild("Meadow", owner=generation.discord.world.get_or_add_user("kit"), has_bot=False)
    lobby = guild.add_channel("lobby")
    generation.discord.add_bot(guild)
    hello: Any = await generation.discord.wait_for(lambda: lobby.messages and lobby.messages[0])
    return await generation.message(generation.discord.act_as(guild.members[guild.owner_id], lobby), hello)


async def load(generation: Studio) -> bytes:
    """Request more than can be generated, so that the first server, which asks most, has a queue."""
    async with generation.page(generation.person("cleo"), WIDE) as page:
        await page.get_by_role("button", name="Load generator", exact=True).click()
        await page.get_by_label("Requests a second").fill("3")
        await page.get_by_role("button", name="Start", exact=True).click()
        await asyncio.sleep(LOAD_S)
        await page.get_by_role("row").filter(has_text="Load 2").get_by_role("button").click()
        await page.wait_for_selector(".message")
        await _with_its_pictures(page)
        return await page.screenshot()


PICTURES: dict[str, Callable[[Studio], Awaitable[bytes]]] = {
    "sandbox": sandbox,
    "waiting": waiting,
    "painting": painting,
    "grid": grid,
    "recipe": recipe,
    "rules": rules,
    "review": review,
    "settings": settings,
    "set-up": set_up,
    "load": load,
}


def small(png: bytes) -> bytes:
    """Reduce the colours: a tenth of the size, without a visible difference."""
    buffer = io.BytesIO()
    flat = Image.open(io.BytesIO(png)).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    flat.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


@asynccontextmanager
async def _running(bot: LivingBot) -> AsyncIterator[None]:
    """Run it, cut off at the end: requests of the load generator are not awaited."""
    await bot.start()
    try:
        yield
    finally:
        await bot.crash()


async def take(names: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        blank = Path(folder) / "blank.db"
        migrate(parse_url(f"sqlite:///{blank}"))
        data = Path(folder) / "data"
        data.mkdir()
        async with Sandbox(seed_world=True, bot_name="Atelier") as discord:
            pages = ("Gallery", "Operator, for Ada")  # as `sandbox` links them
            discord.application.web_pages.update(dict.fromkeys(pages, "http://127.0.0.1:8791"))
            bot = LivingBot(discord, data, blank, engine=DEFAULT_ENGINE)
            async with _running(bot), async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
                for name in names or list(PICTURES):
                    (FOLDER / f"{name}.png").write_bytes(small(await PICTURES[name](Studio(discord, bot, browser))))
                    sys.stdout.write(f"{name}.png\n")
                await browser.close()


if __name__ == "__main__":
    asyncio.run(take(sys.argv[1:]))
