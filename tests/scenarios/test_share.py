"""Share and Take back: a post in a channel or forum, once, for as long as its pictures are there. Over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from cogs.common.discord_errors import NO_TAG
from cogs.common.errors import (
    AgeRestrictedShareError,
    NoShowcaseError,
    NotYourShareError,
    SharedHereError,
    ShareRefusedError,
    ShowcaseClosedError,
)
from cogs.moderation._messages import REPORTED
from cogs.share import _cog
from discord_sandbox import Channel, Message, Permission
from generation.errors import BlockedByRuleError
from generation.policy.guild_preferences import Credit, GuildPreferences, Visibility
from generation.policy.guild_settings import GuildSettings
from generation.rules.rule import Rule
from tests.messages import is_said
from tests.patience import until
from tests.scenarios.bot_harness import LivingBot, People, button_of, job_id_in, judged, press, until_done, until_shown
from tests.scenarios.test_from_option import Room
from tests.tally import Tally

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True, scope="module")
def hurried() -> Any:
    """Look for posts whose pictures are gone all the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_cog, "EVERY_S", 0.02)
        patch.setattr(_cog, "EXPIRED_EVERY", 1)
        yield


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def room(tally: Tally, tmp_path_factory: pytest.TempPathFactory, blank_database: Path) -> AsyncIterator[Room]:
    async with judged(tally) as discord:
        people = People.settle(discord)
        bot = LivingBot(discord, tmp_path_factory.mktemp("house"), blank_database)
        await bot.start()
        yield Room(discord, people, bot, people.guild.add_channel("after-dark", nsfw=True))
        await bot.stop()


async def choose(room: Room, channel: Channel | None, **choices: Any) -> None:
    chosen = GuildPreferences(share_channel_id=channel.id if channel else 0, **choices)
    await room.bot.choose(GuildSettings(guild_id=room.people.guild.id, choices=chosen))
    guild = room.bot.client.get_guild(room.people.guild.id)
    assert guild is not None
    await until(lambda: channel is None or guild.get_channel(channel.id) is not None)


async def share(room: Room, message: Message, showcase: Channel) -> Message:
    """Have it shared; return the post."""
    await room.people.ada.click(message, button_of(message, "share"))
    await room.discord.wait_for(lambda: find_posts(showcase))
    await room.discord.wait_for(lambda: button_of_or_none(message, "unshare"))
    return find_posts(showcase)[-1]


def find_posts(showcase: Channel) -> list[Message]:
    threads = [c for c in showcase.guild.channels.values() if c.parent is showcase]
    return [m for channel in (showcase, *threads) for m in channel.messages if not m.is_ephemeral]


def button_of_or_none(message: Message, action: str) -> str | None:
    return next((b["custom_id"] for b in message.buttons if f":{action}:" in b.get("custom_id", "")), None)


async def test_shared_once_in_a_channel_and_taken_back(room: Room) -> None:
    ada, bo, mo = room.people.ada, room.people.bo, room.people.mo
    showcase = room.people.guild.add_channel("showcase")
    before = await room.paint(ada)
    assert button_of_or_none(before, "share") is None, "the server has not chosen where"
    forged = await ada.forging.click(before, f"atelier:share:{job_id_in(before)}")
    await choose(room, showcase)
    assert not find_posts(showcase)
    assert forged.ephemeral
    message = await room.paint(ada, count=2, spoiler=True, alt="Two circles")
    await room.require_refused(await bo.click(message, button_of(message, "share")), NotYourShareError)
    stale = button_of(message, "share")
    post = await share(room, message, showcase)
    assert "a red circle" in post.text
    assert f"<@{ada.user.id}>" in post.text
    assert "'spoiler': True" in str(post.components)
    assert "Two circles" in str(post.components)
    await ada.forging.click(message, stale)
    await room.bot.stop()
    await room.bot.start()
    assert find_posts(showcase) == [post]
    recipe = await until_shown(room.discord, await room.at(bo, showcase).click(post, "Show recipe"))
    assert "a red circle" in recipe.text
    said = await until_shown(room.discord, await room.at(bo, showcase).click(post, "Report"))
    assert is_said(REPORTED, said.text)
    queue = await until_shown(room.discord, await mo.slash("review"))
    await mo.click(queue, "Nothing wrong")
    started = await room.finish(await bo.slash("upscale", **{"from": f"{room.link(post)} 2"}))
    assert started.request.parent == f"{job_id_in(message)}-1"
    await room.require_refused(await bo.click(message, button_of(message, "unshare")), NotYourShareError)
    await mo.click(message, button_of(message, "unshare"))
    await room.discord.wait_for(lambda: not find_posts(showcase) and button_of_or_none(message, "share"))
    again = await share(room, message, showcase)
    assert again is not post


async def test_a_forum_takes_posts_with_tags_and_gives_them_back(room: Room) -> None:
    ada, guild = room.people.ada, room.people.guild
    forum = guild.add_forum("gallery", ("pictures", "night"), requires_tag=True)
    tags = tuple(forum.tags)
    await choose(room, forum)
    message = await room.paint(ada)
    refused = await ada.click(message, button_of(message, "share"))
    await room.discord.wait_for(lambda: refused.followups)
    assert is_said(ShareRefusedError, refused.followups[0].text, channel=forum.mention, reason=NO_TAG)
    await choose(room, forum, share_tags=(tags[1], 12345), share_credit=Credit.UNNAMED)
    post = await share(room, message, forum)
    assert post.channel.tags == {tags[1]: "night"}
    assert post.channel.name == "a red circle on a blue background"
    assert str(ada.user.id) not in post.text
    await ada.click(message, button_of(message, "unshare"))
    await room.discord.wait_for(lambda: not find_posts(forum))


async def test_a_post_that_was_made_before_a_crash_is_found(room: Room) -> None:
    for showcase in (room.people.guild.add_channel("s2"), room.people.guild.add_forum("f2")):
        await choose(room, showcase)
        message = await room.paint(room.people.ada)
        await share(room, message, showcase)
        services, job_id = room.bot.services, job_id_in(message)
        found = await services.shares.fetch(job_id)
        assert found is not None
        await services.shares.forget(found)
        owner = (await services.jobs.fetch_job(job_id)).owner
        await services.shares.reserve(job_id, guild_id=owner.guild_id, channel_id=showcase.id, at=services.clock())
        opened = await press(room.people.ada, message, "alt")
        await room.people.ada.submit_modal(opened, {})  # shows the message as it is now: not shared yet
        await room.discord.wait_for(lambda message=message: button_of_or_none(message, "share"))
        await room.people.ada.click(message, button_of(message, "share"))
        await room.discord.wait_for(lambda message=message: button_of_or_none(message, "unshare"))
        assert len(find_posts(showcase)) == 1
        after = await services.shares.fetch(job_id)
        assert after is not None
        assert after.message_id == found.message_id


async def test_a_post_goes_with_its_pictures(room: Room) -> None:
    ada, guild = room.people.ada, room.people.guild
    mo = room.people.mo
    showcase = guild.add_forum("going")
    for way in ("Delete", "review", "purge", "retention", "erasure"):
        await choose(room, showcase)
        message = await room.paint(ada)
        await share(room, message, showcase)
        if way == "Delete":
            await ada.click(message, "Delete")
        elif way == "review":
            await room.people.bo.context_menu("Report picture", find_posts(showcase)[0])
            queue = await until_shown(room.discord, await mo.slash("review"))
            assert job_id_in(message) in str(queue.components)
            await mo.click(queue, "Delete")
        elif way == "purge":
            asked = await until_shown(room.discord, await mo.slash("purge", member=ada.member))
            await mo.click(asked, "Delete all of them")
        elif way == "retention":
            await room.bot.choose(
                GuildSettings(
                    guild_id=guild.id, choices=GuildPreferences(share_channel_id=showcase.id, retention_days=1)
                )
            )
            retention = room.bot.services.retention
            later = (await retention.fetch_confirmed_now()).replace(year=2100)
            cog: Any = room.bot.client.get_cog("Sharing")
            with pytest.MonkeyPatch.context() as patch:

                async def confirmed(*_: object, later: Any = later) -> Any:
                    return later

                patch.setattr(type(retention), "fetch_confirmed_now", confirmed)
                await cog._sweep(with_expired=True)  # type: ignore[union-attr]
        else:
            await until_shown(room.discord, await ada.slash("privacy", what="delete", sure="DELETE"))
        await room.discord.wait_for(lambda: not find_posts(showcase))


async def test_what_does_not_belong_there_is_refused(room: Room) -> None:
    ada, guild = room.people.ada, room.people.guild
    showcase = guild.add_channel("s3")
    await choose(room, showcase)
    late = await room.paint(room.at(ada, room.late))
    at_night = room.at(ada, room.late)
    await room.require_refused(
        await at_night.click(late, button_of(late, "share")), AgeRestrictedShareError, channel=showcase.mention
    )
    here = await room.paint(room.at(ada, showcase))
    await room.require_refused(
        await room.at(ada, showcase).click(here, button_of(here, "share")), SharedHereError, channel=showcase.mention
    )
    message = await room.paint(ada, prompt="a gremlin on a chair")
    await room.bot.services.content_rules.add_rules(guild.id, [Rule(text="gremlin", reason="None of these.")], by=1)
    await room.require_refused(
        await ada.click(message, button_of(message, "share")), BlockedByRuleError, reason="None of these."
    )
    fine = await room.paint(ada)
    room.discord.faults.take_permission(showcase, int(Permission.ATTACH_FILES))
    known = room.bot.client.get_channel(showcase.id)
    await until(lambda: not known.permissions_for(known.guild.me).attach_files)
    closed = await ada.click(fine, button_of(fine, "share"))
    await room.require_refused(closed, ShowcaseClosedError, channel=showcase.mention, names="“Attach Files”")
    showcase.delete()
    await until(lambda: room.bot.client.get_channel(showcase.id) is None)
    await room.require_refused(await ada.click(fine, button_of(fine, "share")), NoShowcaseError)
    sharing: Any = room.bot.client.get_cog("Sharing")
    assert not sharing.going


async def test_private_pictures_are_shared_by_their_owner_only(room: Room) -> None:
    ada, guild = room.people.ada, room.people.guild
    showcase = guild.add_channel("s4")
    await choose(room, showcase, visibility=Visibility.PRIVATE)
    asked = await ada.slash("imagine", prompt="a secret star", steps=1)
    secret = await until_done(room.discord, asked)
    mo = await room.people.mo.forging.click(secret, button_of(secret, "share"))
    await room.require_refused(mo, NotYourShareError)
    await share(room, secret, showcase)


async def test_managers_choose_where_and_which_tags(room: Room) -> None:
    guild = room.people.guild
    boss = room.at(
        room.discord.act_as(guild.add_member("boss", permissions=int(Permission.MANAGE_GUILD)), room.people.general),
        room.people.general,
    )
    forum = guild.add_forum("chosen", ("day", "night"))
    await choose(room, None)
    client = room.bot.client
    await until(lambda: client.get_channel(forum.id) and client.get_channel(forum.id).available_tags)
    panel = await until_shown(room.discord, await boss.slash("settings"))
    await boss.click(panel, "Sharing")
    await room.discord.wait_for(lambda: "share_channel_id" in str(panel.components))
    await boss.select(panel, "atelier-set:share:share_channel_id", [forum])
    await room.discord.wait_for(lambda: "night" in str(panel.components))
    await boss.select(panel, "atelier-set:share:share_tags", ["night"])
    services = room.bot.services
    chosen = {name: tag for tag, name in forum.tags.items()}["night"]
    assert (await services.guilds.fetch(guild.id)).choices.share_tags == (chosen,)
    forum.tags = {}
    room.discord.world.publish("channel_update", guild=guild, channel=forum)
    await until(lambda: not client.get_channel(forum.id).available_tags)
    await boss.click(panel, "Sharing")
    await room.discord.wait_for(lambda: str(chosen) in str(panel.components))
