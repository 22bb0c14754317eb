"""How the pictures of a job may be shown in a place, and what that place is now."""

from __future__ import annotations

import discord

from cogs.context import BaseBot
from cogs.services import Services
from generation.jobs.job import Image, Job
from generation.policy.policy import ChannelContext
from generation.safety.checker_trust import is_harmless, is_judged
from generation.safety.visibility import Shown


async def fetch_visibility(job: Job, services: Services, place: ChannelContext) -> dict[int, Shown]:
    """How each picture of a job may be shown in a place, by its index."""
    policy = await services.guild_policy.fetch(job.owner.guild_id)
    models = {each.name: each for each in services.generation.catalog.models}

    def how_shown(image: Image) -> Shown:
        model, is_upload = models.get(image.spec.model), job.is_from_upload
        margins = image.judgement.margins if image.judgement is not None else {}
        return policy.how_shown(
            job,
            image,
            place,
            is_harmless=model is not None and is_harmless(model, is_from_upload=is_upload),
            is_judged=model is None or is_judged(model, margins, is_from_upload=is_upload),
        )

    return {image.index: how_shown(image) for image in job.images}


def is_flagged(image: Image) -> bool:
    """Return whether the safety checker spoke against a picture."""
    return image.judgement is not None and image.judgement.is_flagged


async def fetch_channel(client: BaseBot, channel_id: int) -> object | None:
    """Return the channel as it is now; of a thread, what it lies in. None if it is gone, or closed to us.

    The gateway names channels only some time after the start, which no result waits for, and archived threads
    never; so what it has not named is asked for.
    """
    channel = client.get_channel(channel_id)
    try:
        channel = channel or await client.fetch_channel(channel_id)
    except (discord.NotFound, discord.Forbidden, discord.InvalidData):
        return None
    return await fetch_channel(client, channel.parent_id) if isinstance(channel, discord.Thread) else channel
