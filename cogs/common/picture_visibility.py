"""How the pictures of a job may be shown in a place, and what that place is now."""

from __future__ import annotations

import discord

from cogs.context import BaseBot
from generation.jobs.job import NO_CHANNEL, Image


def is_flagged(image: Image) -> bool:
    """Return whether the safety checker spoke against a picture."""
    return image.judgement is not None and image.judgement.is_flagged


async def fetch_channel(client: BaseBot, channel_id: int) -> object | None:
    """Return the channel as it is now; of a thread, what it lies in. None if it is gone, or closed to us.

    The gateway names channels only some time after the start, which no result waits for, and archived threads
    never; so what it has not named is asked for. What was asked for over HTTP is in none.
    """
    if channel_id == NO_CHANNEL:
        return None
    channel = client.get_channel(channel_id)
    try:
        channel = channel or await client.fetch_channel(channel_id)
    except (discord.NotFound, discord.Forbidden, discord.InvalidData):
        return None
    return await fetch_channel(client, channel.parent_id) if isinstance(channel, discord.Thread) else channel
