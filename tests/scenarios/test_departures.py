"""A server removes the bot: what is kept of it stays for a grace, and then it is gone from every table and byte."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from cogs.maintenance import sweep
from db.admin.erasure import list_guild_tables
from db.admin.reconcile import reconcile
from db.models import Base
from db.stores.audit_log import Entry
from discord_sandbox import Guild, Message, Sandbox, ScriptedUser
from generation.admission.errors import BlockedError
from generation.owner import Owner
from generation.policy.guild_preferences import GuildPreferences
from generation.policy.guild_settings import GuildSettings
from generation.policy.quota import Quota, Scope, Unit
from generation.requests.style import Style
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.patience import PATIENCE_S
from tests.running import run_for_a_day
from tests.scenarios.bot_harness import LivingBot, People, until_done, until_shown

DAY = 24 * 3600
OWN = "an unmistakable zanzibar of marmalade"
RED = "a red circle on a blue background"


async def live_in(discord: Sandbox, bot: LivingBot, guild: Guild, prompt: str) -> tuple[ScriptedUser, Message]:
    """Everything a server can leave behind.

    Pictures, shared ones, settings, rules, styles, quotas, refusals, reports, a block.
    """
    lobby, showcase = guild.add_channel("lobby"), guild.add_channel("showcase")
    lee = discord.act_as(guild.add_member(f"lee of {guild.name}"), lobby)
    services = bot.services
    choices = GuildPreferences(max_steps=40, share_channel_id=showcase.id)
    await bot.choose(GuildSettings(guild_id=guild.id, choices=choices))
    message = await until_done(discord, await lee.slash("imagine", prompt=prompt, steps=2))
    await until_shown(discord, await lee.click(message, "Share"))
    await discord.wait_for(lambda: showcase.messages)
    await services.content_rules.add_rules(guild.id, [Rule(text="goblin")], by=lee.user.id)
    await services.styles.save(Style(guild_id=guild.id, name="Ink", prompt="in ink"), Entry(1, "for a test"))
    quota = Quota(scope=Scope.USER, subject_id=lee.user.id, unit=Unit.IMAGES, limit=9)
    await services.quotas.set_quota(guild.id, quota)
    await until_shown(discord, await lee.slash("imagine", prompt="a goblin"))
    await until_shown(discord, await lee.context_menu("Report picture", message))
    await services.api_keys.create(Owner(guild.id, lee.user.id), "mine")
    await services.moderation.block(guild.id, lee.user.id, Entry(1, "for a test"), lasting=None)
    return lee, message


def everything(bot: LivingBot) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(bot.data_dir.rglob("*")) if path.is_file())


async def sweep_after_a_day(discord: Sandbox, bot: LivingBot) -> int:
    """What the clock says is believed once it has said so for a day of running."""
    await run_for_a_day(bot.database, bot.now)
    discord.clock.advance(DAY)
    return await sweep(bot.services)


async def num_rows(bot: LivingBot, guild: Guild) -> dict[str, int]:
    def count(session: Session) -> Any:
        return {
            table.name: session.scalar(text(f"SELECT count(*) FROM {table.name} WHERE guild_id = {guild.id}"))
            for table in Base.metadata.tables.values()
            if "guild_id" in table.columns
        }

    return await bot.database.read(count)


def of_ours(found: dict[str, int]) -> dict[str, int]:
    """Without the counters, which the queue writes from memory."""
    return {name: number for name, number in found.items() if name != "queue_counters"}


async def until_gone(bot: LivingBot, guild: Guild, *, is_gone: bool = True) -> None:
    """The bot has heard of it, and written it down."""
    async with asyncio.timeout(PATIENCE_S):
        while bool((await num_rows(bot, guild))["departures"]) is not is_gone:
            pass


async def test_a_server_that_left_is_forgotten_after_the_grace_and_not_before(
    discord: Sandbox, people: People, bot: LivingBot
) -> None:
    meadow, cave = discord.add_guild("Meadow"), discord.add_guild("Cave")
    lee, painted = await live_in(discord, bot, meadow, OWN)
    await live_in(discord, bot, cave, RED)
    before, others = await num_rows(bot, meadow), await num_rows(bot, cave)
    filled = {table.name for table in list_guild_tables()} - {"departures", "role_boosts"}
    assert all(before[name] for name in filled), "or the counts below would say nothing"

    meadow.kick_bot()
    await until_gone(bot, meadow)
    discord.clock.advance(29 * DAY)
    assert await sweep_after_a_day(discord, bot) == 0
    discord.add_bot(meadow)
    await until_gone(bot, meadow, is_gone=False)
    discord.clock.advance(2 * DAY)
    assert await sweep_after_a_day(discord, bot) == 0, "who invites the bot again finds everything as it was"
    assert of_ours(await num_rows(bot, meadow)) == of_ours(before) | {"refusals": 0, "api_keys": 0}
    await bot.services.moderation.unblock(meadow.id, lee.user.id, Entry(1, "for a test"))
    assert (await until_done(discord, await lee.click(painted, "Reroll"))).attachments
    await bot.services.moderation.block(meadow.id, lee.user.id, Entry(1, "for a test"), lasting=None)

    await bot.stop()
    meadow.kick_bot()
    await bot.start()  # nobody was there to hear it
    await until_gone(bot, meadow)
    discord.clock.advance(31 * DAY)
    assert await sweep(bot.services) == 0, "one look at a clock deletes nothing: it may be wrong"
    assert await sweep_after_a_day(discord, bot) == 2
    left = await num_rows(bot, meadow)
    assert {name for name, number in of_ours(left).items() if number} == {"ledger", "balances", "blocks"}
    traces = [OWN.encode(), lee.user.id.to_bytes(8, "big"), str(lee.user.id).encode()]
    assert [trace for trace in traces if trace in everything(bot)] == [], "sums and blocks lead to nobody"
    assert (await reconcile(bot.database)).is_exact
    kept = await num_rows(bot, cave)
    assert of_ours(kept) == of_ours(others) | {"refusals": 0, "api_keys": 0}, "they are kept for 30 days"
    assert RED.encode() in everything(bot)
    assert len(list((bot.data_dir / "pictures").rglob("*.png"))) == 1

    discord.add_bot(meadow)
    refused = await until_shown(discord, await lee.slash("imagine", prompt=RED))
    assert is_said(BlockedError, refused.text), "inviting the bot again does not lift a block"
