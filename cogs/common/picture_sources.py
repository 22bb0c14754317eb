"""The pictures that `from` names: one's last here, one by its id, or one by the link to its message.

A picture is lent only to members who can see it: those of others by the permissions of the member who asks, private
ones to their owner only, and one of an age-restricted channel only in such channels.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import discord
from discord import app_commands

from cogs.common.attachments import read_attachment
from cogs.common.errors import (
    AgeRestrictedSourceError,
    HiddenSourceError,
    ImageOrFromError,
    NoLastPictureError,
    NoPictureInMessageError,
    NoSourceError,
    UnreadMessageError,
    WhichPictureError,
)
from cogs.common.forms import Attached
from cogs.common.lookups import Found, fetch_job
from cogs.common.message_images import find_pictures
from cogs.common.picture_links import fetch_linked_message, find_shown_job, may_read, parse_id
from cogs.common.picture_visibility import fetch_channel
from cogs.common.policy_checks import build_place, get_place
from cogs.common.transformers import filter_choices
from cogs.context import Interaction, get_owner
from cogs.i18n.gettext import _
from generation.admission.gate import fetch_visibility
from generation.errors import UnknownJobError
from generation.jobs.errors import PictureDeletedError
from generation.jobs.history import HistoryFilter
from generation.jobs.job import Image, Job
from generation.safety.visibility import Shown

LAST = "last"
"""What the choice “My last picture here” sends."""
SOURCE = "Or a picture that is here already: your last one, or one by its id or the link to its message."
NUM_RECENT = 10
_NUMBERED = re.compile(r"(?P<named>.*?)(?:\s+#?(?P<number>\d{1,2}))?", re.DOTALL)
T = TypeVar("T")


class SourceOption(app_commands.Transformer[Any]):
    """A picture by words, offered while typing. Stays a text: whether it may be used is checked by the command."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        services, place = interaction.client.services, get_place(interaction)
        jobs = await services.history.fetch_page(get_owner(interaction), HistoryFilter(), limit=NUM_RECENT)
        deliveries = await services.deliveries.fetch_some([job.id for job in jobs])
        channels = {job.id: interaction.client.get_channel(deliveries[job.id].reply_to.channel_id) for job in jobs}
        usable = [job for job in jobs if place.is_age_restricted or not _is_restricted(channels[job.id])]
        pairs = [(_describe(job, image), image.id) for job in usable for image in job.images if image.file_sha256]
        return filter_choices([(_("My last picture here"), LAST), *pairs], value)


async def fetch_needed_source(
    interaction: Interaction, attached: discord.Attachment | None, named: str | None, *, option: str = ""
) -> Found | Attached:
    """Return the picture that a command was given either way. Raise `RefusedError`.

    `option`: as of `read_attachment`.
    """
    if attached is not None and named is not None:
        raise ImageOrFromError
    if named is not None:
        return await fetch_source(interaction, named)
    if attached is None:
        raise NoSourceError
    return read_attachment(attached, option=option)


async def fetch_source(interaction: Interaction, text: str) -> Found | Attached:
    """Return the picture that a member names, or the file of another's message. Raise `RefusedError`."""
    if text.strip() == LAST:
        return await _fetch_last(interaction)
    found = _NUMBERED.fullmatch(text.strip())
    assert found is not None, "it takes any text"
    named, number = found["named"], int(found["number"]) if found["number"] else None
    by_id = parse_id(named)
    if by_id is not None:
        job_id, index = by_id
        return await _fetch_usable(interaction, job_id, number if index is None else index + 1)
    message = await fetch_linked_message(interaction, named)
    shown = find_shown_job(interaction, message)
    if shown is None:
        return await _choose_attached(interaction, message, number)
    await _require_place(interaction, message.channel.id)
    return await _fetch_picture(interaction, await fetch_job(interaction, shown), number)


async def _fetch_last(interaction: Interaction) -> Found:
    last = await interaction.client.services.history.fetch_last(get_owner(interaction), interaction.channel_id or 0)
    if last is None:
        raise NoLastPictureError
    await _require_usable(interaction, last)
    image = [each for each in last.images if each.file_sha256][-1]
    return await _require_shown(interaction, last, image)


async def _fetch_usable(interaction: Interaction, job_id: str, number: int | None) -> Found:
    """Return a picture of a job, by its number from 1. Raise `RefusedError` unless the member may see and use it."""
    job = await fetch_job(interaction, job_id)
    await _require_usable(interaction, job)
    return await _fetch_picture(interaction, job, number)


async def _fetch_picture(interaction: Interaction, job: Job, number: int | None) -> Found:
    image = _choose(job.images, number)
    if image.file_sha256 is None:
        raise PictureDeletedError
    return await _require_shown(interaction, job, image)


async def _choose_attached(interaction: Interaction, message: discord.Message, number: int | None) -> Attached:
    await _require_place(interaction, message.channel.id)
    pictures = list(find_pictures(message))
    if not pictures:  # Discord tells a bot of what others write only where they mention it
        raise NoPictureInMessageError if message.author.id == interaction.application_id else UnreadMessageError
    return _choose(pictures, number)


def _choose(pictures: Sequence[T], number: int | None) -> T:
    number = 1 if number is None and len(pictures) == 1 else number
    if number is None or not 1 <= number <= len(pictures):
        raise WhichPictureError(most=len(pictures))
    return pictures[number - 1]


async def _require_usable(interaction: Interaction, job: Job) -> None:
    """Raise `UnknownJobError` for a job whose message the member cannot see, so that not even its existence shows."""
    delivery = (await interaction.client.services.deliveries.fetch(job.id)).reply_to
    if job.owner != get_owner(interaction) and (delivery.is_private or not may_read(interaction, delivery.channel_id)):
        raise UnknownJobError
    await _require_place(interaction, delivery.channel_id)


async def _require_place(interaction: Interaction, channel_id: int) -> None:
    """Raise `AgeRestrictedSourceError` if what is in that channel may not be used where the member is."""
    if channel_id == interaction.channel_id or get_place(interaction).is_age_restricted:
        return
    if _is_restricted(await fetch_channel(interaction.client, channel_id)):
        raise AgeRestrictedSourceError


def _is_restricted(channel: object) -> bool:
    return build_place(channel, channel_id=0, is_dm=False).is_age_restricted


async def _require_shown(interaction: Interaction, job: Job, image: Image) -> Found:
    shown = await fetch_visibility(job, interaction.client.services, get_place(interaction))
    if shown[image.index] is Shown.NOT:
        raise HiddenSourceError
    return Found(job, image)


def _describe(job: Job, image: Image) -> str:
    prompt, number, total = image.spec.prompt, image.index + 1, len(job.images)
    return prompt if total == 1 else _("{number} of {total}: {prompt}", number=number, total=total, prompt=prompt)
