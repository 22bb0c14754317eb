"""/reproduce: make a picture again, byte for byte, from its id, its link, or the PNG itself."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

import discord
from discord import app_commands
from discord.ext import commands
from msgspec import UNSET

from cogs.common.attachments import lend_files, open_attachment
from cogs.common.errors import NoSettingsError, OnePictureError
from cogs.common.member_defaults import fetch_default_model
from cogs.common.picture_links import parse_picture_id
from cogs.common.submission import (
    Acknowledged,
    accepted,
    acknowledge,
    acknowledge_and_submit,
    send_note,
    submit,
)
from cogs.context import Interaction, get_owner
from cogs.i18n.gettext import _
from cogs.recipe import _messages
from generation.errors import UnknownJobError
from generation.images.interchange import ForeignSettings
from generation.images.untrusted_decoder import read_settings, read_signed
from generation.jobs.adopt import adopt
from generation.jobs.derive import reproduce, reuse_settings
from generation.jobs.permissions import may_follow, require_visible
from generation.jobs.source_access import is_kept
from generation.requests.recipe import Recipe
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest


class Reproduce(commands.Cog):
    """Pictures again."""

    @app_commands.command(description="Paint a picture again, byte for byte, and compare the two.")
    @app_commands.describe(
        picture="The id of the picture (see its recipe), or the link to its message.",
        file="Or a file: the PNG. From a file of A1111 or ComfyUI, only the settings are used.",
    )
    async def reproduce(
        self, interaction: Interaction, picture: str | None = None, file: discord.Attachment | None = None
    ) -> None:
        if (picture is None) == (file is None):
            raise OnePictureError
        if picture is not None:
            await acknowledge_and_submit(interaction, await _build_from_id(interaction, picture))
        elif file is not None:
            await _submit_from_file(interaction, file)


async def _build_from_id(interaction: Interaction, text: str) -> GenerationRequest:
    job_id, index = await parse_picture_id(interaction, text)
    job = await interaction.client.services.jobs.fetch_job(job_id)
    require_visible(job, get_owner(interaction))
    image = job.images[index] if index < len(job.images) else None
    if image is None or image.recipe is None:
        raise UnknownJobError
    again = reproduce(image.recipe, parent=image.id, original=image.file_sha256)
    return again.shown_like(job.request, alt=image.alt)


async def _submit_from_file(interaction: Interaction, file: discord.Attachment) -> None:
    """Read the file and submit what it says, which is known only after the acknowledgement."""
    async with acknowledge(interaction) as acknowledged:
        await _read_and_submit(interaction, file, acknowledged)


async def _read_and_submit(interaction: Interaction, file: discord.Attachment, acknowledged: Acknowledged) -> None:
    owner, note, clean = acknowledged.context.owner, None, None
    async with open_attachment(interaction, file) as png:
        found = await read_settings(png, owner=owner)
        if isinstance(found, ForeignSettings):
            request = adopt(found, await fetch_default_model(interaction), seed=draw_seed())
            note = _messages.format_adopted(found)
        elif found is None:
            raise NoSettingsError
        else:
            recipe, clean = await read_signed(png, owner=owner)
            request, note = await _build_from_recipe(interaction, recipe, sha256(clean).hexdigest())
            request = replace(request, is_spoiler=True if file.is_spoiler() else UNSET)
    async with lend_files(interaction) as lent:
        if clean is not None and request.replay is not None:
            await lent.keep(clean)  # what comes out is compared with it
        job = await submit(interaction, request, acknowledged)
    if note is not None:
        async with accepted(interaction, job):
            await send_note(interaction, note, job_id=job.id)


async def _build_from_recipe(
    interaction: Interaction, recipe: Recipe, original: str
) -> tuple[GenerationRequest, str | None]:
    """Return the request that a recipe in a file makes, and what to say of it if it is not followed exactly."""
    services = interaction.client.services
    if not await is_kept(recipe, get_owner(interaction), services.jobs):
        return reuse_settings(recipe, services.generation.catalog.get(recipe.spec.model)), _(_messages.WORDS_ONLY)
    request = reproduce(recipe, original=original)
    if not recipe.spec.sources and not await may_follow(recipe, original, services.jobs):  # else it is one made here
        spec = replace(request.spec, template=UNSET)  # its words stay
        return replace(request, spec=spec, replay=None), _(_messages.UNKNOWN_TRACE)
    return request, None
