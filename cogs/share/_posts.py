"""Posts in a showcase, on Discord: make one once, find one that a crash kept from being noted, delete one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import discord

from cogs.common.components import list_custom_ids
from cogs.common.custom_ids import CustomId
from cogs.common.messages import Action, MessageSpec
from cogs.common.rendering import render_new
from cogs.context import BaseBot
from cogs.share._messages import build_title
from generation.jobs.job import Job
from generation.jobs.share import Share

Showcase = discord.TextChannel | discord.ForumChannel
LOOK_BACK = 50
_NO_MENTIONS = discord.AllowedMentions.none()


@dataclass(frozen=True, slots=True)
class Post:
    """Where a post stands; in a forum its channel is a thread of its own."""

    channel_id: int
    message_id: int
    is_thread: bool


async def create_post(channel: Showcase, job: Job, share: Share, say: MessageSpec, tags: tuple[int, ...]) -> Post:
    """Post in a channel, with a nonce that Discord keeps unique, or in a forum, with those of the tags that it has."""
    if isinstance(channel, discord.ForumChannel):
        chosen = [tag for tag in channel.available_tags if tag.id in tags]
        made = await channel.create_thread(
            name=build_title(job), applied_tags=chosen, **render_new(say), allowed_mentions=_NO_MENTIONS
        )
        return Post(made.thread.id, made.message.id, is_thread=True)
    sent = await channel.send(**render_new(say), nonce=build_nonce(share, job), allowed_mentions=_NO_MENTIONS)
    return Post(channel.id, sent.id, is_thread=False)


def build_nonce(share: Share, job: Job) -> str:
    """Return what keeps Discord from posting a share twice, in at most 25 characters. One that was taken back and is
    shared again is another."""
    return f"{int(share.at.timestamp() * 1000):x}.{job.id[:12]}"


async def find_post(channel: Showcase, job: Job) -> Post | None:
    """Return the post of a job among the bot's recent ones."""
    mark = str(CustomId.of_button(Action.REPORT, job.id))
    if isinstance(channel, discord.ForumChannel):
        for thread in channel.threads:
            if thread.owner_id == channel.guild.me.id and await _shows(thread.get_partial_message(thread.id), mark):
                return Post(thread.id, thread.id, is_thread=True)
        return None
    with suppress(discord.Forbidden):  # without Read Message History the nonce alone has to do
        async for message in channel.history(limit=LOOK_BACK):
            if message.author.id == channel.guild.me.id and mark in list_custom_ids(message):
                return Post(channel.id, message.id, is_thread=False)
    return None


async def _shows(message: discord.PartialMessage, mark: str) -> bool:
    try:
        return mark in list_custom_ids(await message.fetch())
    except (discord.NotFound, discord.Forbidden):
        return False


async def delete_post(client: BaseBot, share: Share) -> None:
    """Delete a post, in a forum with its thread. One that is gone already is deleted, too."""
    if share.message_id is None:
        return
    with suppress(discord.NotFound):
        if share.is_thread:
            with suppress(discord.Forbidden):  # it takes the right to manage threads; its own message needs none
                await client.http.delete_channel(share.channel_id)
                return
        channel = client.get_partial_messageable(share.channel_id)
        await channel.get_partial_message(share.message_id).delete()
