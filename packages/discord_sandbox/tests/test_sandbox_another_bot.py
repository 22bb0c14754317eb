"""A bot of the older kind: prefix commands, reactions, awaited replies, threads, pins, roles, direct messages."""

from __future__ import annotations

import discord
from discord.ext import commands, tasks
from sample_bot import running

from discord_sandbox import Permission, Sandbox


class Warden(commands.Bot):
    """Nothing here is a slash command."""

    def __init__(self) -> None:
        intents = discord.Intents(guilds=True, messages=True, message_content=True, members=True)
        super().__init__("!", intents=intents, guild_ready_timeout=0.05, help_command=None)
        self.joined: list[str] = []
        self.rounds = 0
        self.add_command(survey)
        self.add_command(tidy)
        self.add_command(appoint)

    async def setup_hook(self) -> None:
        self.patrol.start()

    async def close(self) -> None:
        self.patrol.cancel()
        await super().close()

    async def on_member_join(self, member: discord.Member) -> None:
        self.joined.append(member.display_name)
        await member.send(f"Welcome to {member.guild.name}!")

    @tasks.loop(seconds=0.02, count=3)
    async def patrol(self) -> None:
        self.rounds += 1


@commands.command()
async def survey(context: commands.Context[Warden], *, question: str) -> None:
    async with context.typing():
        asked = await context.reply(f"**{question}**", mention_author=False)
    for mark in ("👍", "👎"):
        await asked.add_reaction(mark)
    await asked.pin()
    answer = await context.bot.wait_for(
        "message", check=lambda m: m.author == context.author and m.reference is not None, timeout=Sandbox.patience_s
    )
    assert isinstance(context.channel, discord.TextChannel)
    thread = await context.channel.create_thread(name="Results", type=discord.ChannelType.public_thread)
    await thread.send(f"{answer.author.display_name} said: {answer.content}")


@commands.command()
@commands.has_permissions(manage_messages=True)
async def tidy(context: commands.Context[Warden], number: int) -> None:
    assert isinstance(context.channel, discord.TextChannel)
    gone = await context.channel.purge(limit=number)
    await context.send(f"{len(gone)} messages gone", delete_after=60)


@commands.command()
async def appoint(context: commands.Context[Warden], member: discord.Member, role: discord.Role) -> None:
    await member.add_roles(role)
    fetched = await member.guild.fetch_member(member.id)
    await context.send(f"{member.mention} is now {', '.join(role.name for role in fetched.roles[1:])}")


async def test_a_bot_without_slash_commands() -> None:
    async with Sandbox() as server:
        guild = server.add_guild("Harbour")
        channel = guild.add_channel("general")
        keeper = guild.add_role("Keeper")
        ada = server.act_as(guild.add_member("ada", permissions=int(Permission.ADMINISTRATOR)), channel)
        guild.bot_member.roles[0].permissions |= int(Permission.ADMINISTRATOR)
        async with running(server, Warden()) as bot:
            ada.say("!survey Tea or coffee?")
            asked = await server.wait_for(lambda: next((m for m in channel.messages if m.is_pinned), None))
            assert asked.reference is not None
            assert set(asked.reactions) == {"👍", "👎"}
            ada.say("Tea", reply_to=asked)
            thread = await server.wait_for(lambda: next((c for c in guild.channels.values() if c.is_thread), None))
            told = await server.wait_for(lambda: next(iter(thread.messages), None))
            assert told.content == "ada said: Tea"

            cleo = guild.add_member("cleo")
            letters = server.world.open_direct_channel(cleo.user)
            await server.wait_for(lambda: any("Welcome to Harbour" in m.content for m in letters.messages))
            ada.say(f"!appoint <@{cleo.id}> <@&{keeper.id}>")
            await server.wait_for(lambda: any("is now Keeper" in m.content for m in channel.messages))
            assert keeper in cleo.roles

            ada.say("!tidy 3")
            await server.wait_for(lambda: any("3 messages gone" in m.content for m in channel.messages))
            assert isinstance(bot, Warden)
            assert (bot.joined, bot.rounds) == (["cleo"], 3)
        assert not server.violations, "\n".join(map(str, server.violations))
