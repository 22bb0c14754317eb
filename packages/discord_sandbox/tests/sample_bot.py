"""An independent discord.py bot: every feature that the sandbox must support, once."""

from __future__ import annotations

import asyncio
import io
import os
import re
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.ext import commands

from discord_sandbox import Sandbox


def png(width: int = 8, height: int = 8, rgb: tuple[int, int, int] = (200, 30, 30)) -> bytes:
    """A picture of one colour."""
    row = b"\0" + bytes(rgb) * width

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(row * height)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@asynccontextmanager
async def pointed_at(server: Sandbox) -> AsyncIterator[None]:
    """discord.py's three addresses, pointed at the sandbox and put back."""
    route, gateway, asset = (
        discord.http.Route.BASE,
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY,
        discord.Asset.BASE,
    )
    discord.http.Route.BASE = server.api_base
    discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(server.gateway_url)
    discord.Asset.BASE = server.cdn_url
    try:
        yield
    finally:
        discord.http.Route.BASE, discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE = (
            route,
            gateway,
            asset,
        )


@asynccontextmanager
async def running(server: Sandbox, bot: discord.Client | None = None) -> AsyncIterator[discord.Client]:
    """A bot connected to the sandbox with its commands registered."""
    async with pointed_at(server):
        bot = bot or SampleBot()
        task = asyncio.create_task(bot.start(server.token))
        try:
            ready = asyncio.create_task(bot.wait_until_ready())
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
            await ready
            yield bot
        finally:
            await bot.close()
            with suppress(asyncio.CancelledError):
                await task


class Counter(discord.ui.DynamicItem[discord.ui.Button[discord.ui.View]], template=r"count:(?P<count>\d+)"):
    """A button whose state is in its id."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(discord.ui.Button(label=f"Count {count}", custom_id=f"count:{count}"))

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction, item: discord.ui.Item[discord.ui.View], match: re.Match[str], /
    ) -> Counter:
        return cls(int(match["count"]))

    async def callback(self, interaction: discord.Interaction) -> None:
        view = discord.ui.View(timeout=None)
        view.add_item(Counter(self.count + 1))
        await interaction.response.edit_message(view=view)


class Feedback(discord.ui.Modal, title="Feedback"):
    """A modal with every kind of field that discord.py's labels take."""

    words = discord.ui.Label(
        text="Words", component=discord.ui.TextInput(custom_id="words", min_length=2, max_length=50)
    )
    mood = discord.ui.Label(
        text="Mood",
        description="Pick one or both",
        component=discord.ui.Select(
            custom_id="mood",
            max_values=2,
            options=[discord.SelectOption(label="Good", value="good"), discord.SelectOption(label="Bad", value="bad")],
        ),
    )
    proof = discord.ui.Label(text="Proof", component=discord.ui.FileUpload(custom_id="proof", required=False))

    async def on_submit(self, interaction: discord.Interaction) -> None:
        assert isinstance(self.words.component, discord.ui.TextInput)
        assert isinstance(self.mood.component, discord.ui.Select)
        assert isinstance(self.proof.component, discord.ui.FileUpload)
        sizes = [file.size for file in self.proof.component.values]
        text = f"{self.words.component.value}/{'+'.join(self.mood.component.values)}/{sizes}"
        await interaction.response.send_message(text, ephemeral=True)


class Panel(discord.ui.View):
    """Buttons of every style and a select."""

    @discord.ui.button(label="Feedback", style=discord.ButtonStyle.primary, emoji="📝", custom_id="feedback")
    async def feedback(self, interaction: discord.Interaction, button: discord.ui.Button[Panel]) -> None:
        await interaction.response.send_modal(Feedback())

    @discord.ui.button(label="Think", style=discord.ButtonStyle.secondary, custom_id="think")
    async def think(self, interaction: discord.Interaction, button: discord.ui.Button[Panel]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content="thought")
        await interaction.followup.send("for you", ephemeral=True)

    @discord.ui.button(label="Off", style=discord.ButtonStyle.danger, disabled=True, custom_id="off")
    async def off(self, interaction: discord.Interaction, button: discord.ui.Button[Panel]) -> None:
        raise AssertionError("a disabled button was pressed")

    @discord.ui.select(
        cls=discord.ui.Select,
        custom_id="colour",
        placeholder="Choose a colour",
        options=[
            discord.SelectOption(label="Red", value="r"),
            discord.SelectOption(label="Blue", value="b", emoji="🔵"),
        ],
    )
    async def colour(self, interaction: discord.Interaction, select: discord.ui.Select[Panel]) -> None:
        await interaction.response.edit_message(content=f"colour {select.values[0]}")

    @discord.ui.select(cls=discord.ui.UserSelect, custom_id="who", placeholder="Choose a member")
    async def who(self, interaction: discord.Interaction, select: discord.ui.UserSelect[Panel]) -> None:
        await interaction.response.send_message(f"chose {select.values[0].name}", ephemeral=True)


class Showcase(discord.ui.LayoutView):
    """Components v2."""

    def __init__(self) -> None:
        super().__init__(timeout=None)
        box: discord.ui.Container[Showcase] = discord.ui.Container(accent_colour=0x5865F2)
        box.add_item(discord.ui.TextDisplay("## Showcase\nA **container** with everything."))
        section = discord.ui.Section("A section", accessory=discord.ui.Thumbnail("attachment://a.png"))
        box.add_item(section)
        box.add_item(discord.ui.Separator())
        gallery: discord.ui.MediaGallery[Showcase] = discord.ui.MediaGallery()
        gallery.add_item(media="attachment://a.png", description="red")
        gallery.add_item(media="attachment://b.png", description="blue")
        box.add_item(gallery)
        box.add_item(discord.ui.File("attachment://notes.txt"))
        row: discord.ui.ActionRow[Showcase] = discord.ui.ActionRow()
        row.add_item(discord.ui.Button(label="Docs", url="https://example.org/docs"))
        row.add_item(Counter(0))
        box.add_item(row)
        wide = "A menu whose words are longer than any phone is wide, and then some"
        menu: discord.ui.Select[Showcase] = discord.ui.Select(
            placeholder=wide, options=[discord.SelectOption(label="a")]
        )
        box.add_item(discord.ui.ActionRow(menu))
        self.add_item(box)


class SampleBot(commands.AutoShardedBot):
    """The bot."""

    def __init__(
        self,
        *,
        shard_count: int | None = None,
        intents: discord.Intents | None = None,
        connector: aiohttp.BaseConnector | None = None,
    ) -> None:
        chosen = intents or discord.Intents(guilds=True)
        super().__init__(
            "!",
            intents=chosen,
            shard_count=shard_count,
            connector=connector,
            guild_ready_timeout=0.05,
            allowed_mentions=discord.AllowedMentions.none(),
        )
        self.release = asyncio.Event()
        self.seen: list[tuple[str, str]] = []
        self.resumed = 0

    async def setup_hook(self) -> None:
        self.add_dynamic_items(Counter)
        self.add_view(Panel(timeout=None))
        _add_commands(self)
        await self.tree.sync()

    async def before_identify_hook(self, shard_id: int | None, *, initial: bool = False) -> None:
        """discord.py would wait 5 s between shards."""

    async def on_message(self, message: discord.Message) -> None:
        self.seen.append(("message", message.content))

    async def on_raw_message_delete(self, payload: discord.RawMessageDeleteEvent) -> None:
        self.seen.append(("delete", str(payload.message_id)))

    async def on_shard_resumed(self, shard_id: int) -> None:
        self.resumed += 1


def _add_commands(bot: SampleBot) -> None:
    tree = bot.tree

    @tree.command(description="Draw a picture")
    @app_commands.describe(prompt="What to draw", count="How many", style="In which style", model="By which model")
    async def draw(
        interaction: discord.Interaction,
        prompt: app_commands.Range[str, 1, 200],
        count: app_commands.Range[int, 1, 4] = 1,
        style: str | None = None,
        model: str | None = None,
        base: discord.Attachment | None = None,
    ) -> None:
        await interaction.response.defer(thinking=True)
        extra = "" if base is None else f" from {len(await base.read())} bytes"
        await interaction.edit_original_response(content=f"Drawing **{prompt}**{extra} …")
        height = 160 if "tall" in prompt else 64
        files = [discord.File(io.BytesIO(png(64 + n, height)), f"picture-{n}.png") for n in range(count)]
        embed = discord.Embed(title=prompt, description="Done", colour=0x57F287)
        embed.add_field(name="Count", value=str(count)).set_footer(text="sample bot")
        view = discord.ui.View(timeout=None)
        view.add_item(Counter(0))
        await interaction.edit_original_response(content="", embed=embed, attachments=files, view=view)

    @draw.autocomplete("model")
    async def models(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        names = ["paintbox", "pastel", "sketch"]
        return [app_commands.Choice(name=f"The {n}", value=n) for n in names if current in n]

    @draw.autocomplete("style")
    async def styles(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=name, value=name.lower()) for name in ("Ink", "Oil", "Watercolour")]

    @tree.command(description="Name a colour of those there are")
    @app_commands.autocomplete(name=styles)
    async def colour(interaction: discord.Interaction, name: str) -> None:
        await interaction.response.send_message(name)

    @tree.command(description="Show buttons and selects")
    async def panel(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Panel", view=Panel(timeout=None))

    @tree.command(description="Tell only you")
    async def whisper(interaction: discord.Interaction, text: str = "psst") -> None:
        await interaction.response.send_message(text, ephemeral=True)

    @tree.command(description="Say something, and something more")
    async def twice(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("once")
        await interaction.followup.send("and again", ephemeral=True)

    @tree.command(description="Show components v2")
    async def showcase(interaction: discord.Interaction) -> None:
        files = [
            discord.File(io.BytesIO(png(96, 64)), "a.png"),
            discord.File(io.BytesIO(png(64, 64, (20, 40, 200))), "b.png"),
        ]
        files.append(discord.File(io.BytesIO(b"hello"), "notes.txt"))
        await interaction.response.send_message(view=Showcase(), files=files)

    @tree.command(description="Picture in an embed")
    async def framed(interaction: discord.Interaction) -> None:
        embed = discord.Embed(title="Framed").set_image(url="attachment://frame.png")
        await interaction.response.send_message(embed=embed, file=discord.File(io.BytesIO(png()), "frame.png"))

    @tree.command(description="Never answers")
    async def silent(interaction: discord.Interaction) -> None:
        await bot.release.wait()

    @tree.command(description="For adults", nsfw=True)
    async def adult(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("ok")

    @tree.context_menu(name="Count letters")
    async def letters(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"{len(message.content)} letters", ephemeral=True)

    @tree.context_menu(name="Greet")
    async def greet(interaction: discord.Interaction, user: discord.Member) -> None:
        await interaction.response.send_message(f"Hello {user.display_name}")

    tree.add_command(Settings())


@app_commands.default_permissions(manage_guild=True)
class Settings(app_commands.Group, name="settings", description="For managers"):
    """A group with a group in it."""

    limits = app_commands.Group(name="limits", description="Limits")

    @app_commands.command(description="Show the settings")
    async def show(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message("nothing set", ephemeral=True)

    @limits.command(description="Set a limit")
    async def set(
        self, interaction: discord.Interaction, value: int, role: discord.Role, where: discord.TextChannel
    ) -> None:
        await interaction.response.send_message(f"{value} for {role.name} in {where.name}")


def main() -> None:
    """The bot as a process of its own: at Discord's own address, or at the one in its environment."""
    if address := os.environ.get("SAMPLE_DISCORD_URL"):
        discord.http.Route.BASE = f"{address}/api/v10"
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(f"ws{address.removeprefix('http')}/gateway")
    SampleBot().run(os.environ["SAMPLE_TOKEN"], log_handler=None)


if __name__ == "__main__":
    main()
