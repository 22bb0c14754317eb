"""Pictures that are named in words: by an id, or by the link to a message."""

from __future__ import annotations

import re

import discord

from cogs.common.components import list_custom_ids
from cogs.common.custom_ids import find_job_id
from cogs.common.errors import PictureReferenceError
from cogs.context import Interaction
from generation.errors import UnknownJobError
from generation.jobs.job import JOB_ID_LENGTH

_LINK = re.compile(r"https://(?:\w+\.)?discord(?:app)?\.com/channels/(?:[0-9]{1,20}|@me)/([0-9]{1,20})/([0-9]{1,20})")
_ID = re.compile(rf"[0-9A-Za-z]{{{JOB_ID_LENGTH}}}(?:[-:]\d)?")


async def parse_picture_id(interaction: Interaction, text: str) -> tuple[str, int]:
    """Job id and index named by an id, or by a link to a message of ours. Raise `InvalidRequestError`,
    `UnknownJobError`."""
    named = parse_id(text)
    if named is not None:
        return named[0], named[1] or 0
    job_id = find_shown_job(interaction, await fetch_linked_message(interaction, text))
    if job_id is None:
        raise UnknownJobError
    return job_id, 0


def parse_id(text: str) -> tuple[str, int | None] | None:
    """Return job id and index (None if it names none) of a picture's id; None for any other text."""
    text = text.strip().strip("<>")
    if not _ID.fullmatch(text):
        return None
    index = text[JOB_ID_LENGTH + 1 :]
    return text[:JOB_ID_LENGTH], int(index) if index else None


async def fetch_linked_message(interaction: Interaction, link: str) -> discord.Message:
    """Return a linked message: only where the person could read it themselves.

    Raise `PictureReferenceError` for what is no link, else `UnknownJobError`.
    """
    found = _LINK.fullmatch(link.strip().strip("<>"))
    if found is None:
        raise PictureReferenceError
    channel_id, message_id = int(found[1]), int(found[2])
    if not may_read(interaction, channel_id):
        raise UnknownJobError
    partial = interaction.client.get_partial_messageable(channel_id).get_partial_message(message_id)
    try:
        return await partial.fetch()
    except discord.HTTPException as refused:
        if refused.status not in (400, 403, 404):  # 400: no message could have that id
            raise
        raise UnknownJobError from None


def may_read(interaction: Interaction, channel_id: int) -> bool:
    """Return whether the person may read old messages of a channel of this server, by their own permissions."""
    channel = interaction.guild.get_channel_or_thread(channel_id) if interaction.guild else None
    if channel is None or not isinstance(interaction.user, discord.Member):
        return False
    may = channel.permissions_for(interaction.user)
    is_closed = isinstance(channel, discord.Thread) and channel.is_private() and not may.manage_threads
    # Who is in a private thread is not known here; a person who asks from inside it is.
    return may.view_channel and may.read_message_history and (not is_closed or channel_id == interaction.channel_id)


def find_shown_job(interaction: Interaction, message: discord.Message) -> str | None:
    """Return the id of the job that a message of ours shows; None for any other message."""
    is_ours = message.author.id == interaction.application_id
    return find_job_id(list_custom_ids(message)) if is_ours else None
