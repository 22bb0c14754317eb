"""/img2img, /inpaint and /upscale: requests that start from a person's own picture."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import PurePath
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Transform
from discord.ext import commands
from msgspec import UNSET

from cogs.common import transformers
from cogs.common.attachments import lend_files, read_attachment, require_size_px
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.lora_option import ADDITIONS, LoraOption
from cogs.common.member_defaults import fetch_default_model
from cogs.common.model_option import ModelOption
from cogs.common.picture_sources import SOURCE, SourceOption, fetch_needed_source
from cogs.common.policy_checks import fetch_default_upscaler
from cogs.common.sampler_option import SamplerOption
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.context import Interaction, get_owner
from cogs.i18n.gettext import _
from cogs.imagine._cog import DEFAULT_STRENGTH, SHOWN, submit_from
from cogs.imagine._typed import read_typed, tell_notes
from generation.admission.enlarge import build_enlargement, fit_sides
from generation.jobs.derive import enlarge
from generation.jobs.derive_edits import REGION_STRENGTH
from generation.jobs.job import Job
from generation.jobs.source_access import require_uploader
from generation.models.catalog import Model
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE
from generation.requests.upscalers import Upscaler, build_upscale

_IMAGE = "The picture."
_STRENGTH = "How much of it may change, 0.05 to 1."
_SETTINGS = {
    "negative": "What to avoid. A minus sign (-): nothing, not even what the model avoids by default.",
    "seed": "The same seed and settings give the same picture. Random if left out.",
    "steps": "The number of denoising steps. More steps take longer.",
    "guidance": "How closely to follow the prompt.",
    "sampler": "How noise becomes the picture (A1111 names).",
    "model": "The model that paints the picture. Type a part of its name or kind to find it.",
    **ADDITIONS,
    **SHOWN,
}


class FromImage(commands.Cog):
    """Pictures from pictures."""

    @app_commands.command(description="Paint from your own picture. You choose how much of it may change.")
    @app_commands.describe(
        image=_IMAGE,
        source=SOURCE,
        prompt="What the picture should become.",
        strength=_STRENGTH,
        count="How many pictures, 1 to 10.",
        **_SETTINGS,
    )
    @app_commands.rename(source="from")
    async def img2img(
        self,
        interaction: Interaction,
        prompt: transformers.Prompt,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        strength: transformers.Strength = DEFAULT_STRENGTH,
        count: transformers.Count | None = None,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        model: Transform[Model, ModelOption] | None = None,
        lora: Transform[str, LoraOption] | None = None,
        clip_skip: transformers.ClipSkip | None = None,
        spoiler: bool | None = None,
        alt: transformers.Alt | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "count": count,
            "seed": seed,
            "negative": negative,
            "steps": steps,
            "guidance": guidance,
            "sampler": sampler,
            "clip_skip": clip_skip,
            "model": model,
            "lora": lora,
            "spoiler": spoiler,
            "alt": alt,
        }
        typed = await read_typed(interaction, prompt, options)
        start = await fetch_needed_source(interaction, image, source)
        job = await submit_from(interaction, typed, start, strength=strength)
        await tell_notes(interaction, typed, job)

    @app_commands.command(description="Repaint a part of a picture: where the mask is white.")
    @app_commands.describe(
        image=_IMAGE,
        source=SOURCE,
        mask="A picture of the same size: white (or transparent) is repainted, black stays.",
        prompt="What the white part should become.",
        strength=_STRENGTH,
        **_SETTINGS,
    )
    @app_commands.rename(source="from")
    async def inpaint(
        self,
        interaction: Interaction,
        mask: discord.Attachment,
        prompt: transformers.Prompt,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        strength: transformers.Strength = REGION_STRENGTH,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        model: Transform[Model, ModelOption] | None = None,
        lora: Transform[str, LoraOption] | None = None,
        clip_skip: transformers.ClipSkip | None = None,
        spoiler: bool | None = None,
        alt: transformers.Alt | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "seed": seed,
            "negative": negative,
            "steps": steps,
            "guidance": guidance,
            "sampler": sampler,
            "clip_skip": clip_skip,
            "model": model,
            "lora": lora,
            "spoiler": spoiler,
            "alt": alt,
        }
        typed = await read_typed(interaction, prompt, options)
        picture, hole = (
            await fetch_needed_source(interaction, image, source, option="image"),
            read_attachment(mask, option="mask"),
        )
        if (
            isinstance(picture, Attached) and picture.size_px is not None and hole.size_px != picture.size_px[::-1]
        ):  # one of the two may lie on its side
            require_size_px(hole.size_px, picture.size_px)
        job = await submit_from(interaction, typed, picture, strength=strength, mask=hole)
        await tell_notes(interaction, typed, job)

    @app_commands.command(description="Enlarge your own picture, to twice its width and height if you choose nothing.")
    @app_commands.describe(
        image=_IMAGE,
        source=SOURCE,
        upscaler="What enlarges it.",
        factor="How many times as wide and high it becomes. Not every upscaler has every factor.",
        spoiler=SHOWN["spoiler"],
    )
    @app_commands.rename(source="from")
    async def upscale(
        self,
        interaction: Interaction,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        upscaler: Transform[Upscaler, transformers.UpscalerOption] | None = None,
        factor: transformers.Factor | None = None,
        spoiler: bool | None = None,
    ) -> None:
        picture = await fetch_needed_source(interaction, image, source)
        if isinstance(picture, Attached):
            await submit_upscale(interaction, picture, upscaler, factor=factor, spoiler=spoiler)
        else:
            await _enlarge(interaction, picture, upscaler, factor=factor, spoiler=spoiler)


async def _enlarge(
    interaction: Interaction, found: Found, upscaler: Upscaler | None, *, factor: int | None, spoiler: bool | None
) -> None:
    """Submit a picture of ours to be enlarged: as by its button, only its uploader may if it starts from an upload."""
    services, (job, picture) = interaction.client.services, found
    await require_uploader(picture.spec, get_owner(interaction), services.jobs)
    model = services.generation.catalog.get(picture.spec.model)
    upscaler = upscaler or await fetch_default_upscaler(interaction, model)
    request = enlarge(picture, upscaler, factor=factor).shown_like(job.request, alt=picture.alt)
    await acknowledge_and_submit(interaction, request if spoiler is None else replace(request, is_spoiler=spoiler))


async def submit_upscale(
    interaction: Interaction,
    image: Attached,
    upscaler: Upscaler | None = None,
    *,
    factor: int | None = None,
    spoiler: bool | None = None,
) -> Job:
    """Submit the picture to be enlarged, by what the server chose if no upscaler is named.

    Raise `InvalidRequestError` if it is too large already, or no picture, or for a factor that there is not.
    """
    model = await fetch_default_model(interaction)
    upscale = build_upscale(upscaler or await fetch_default_upscaler(interaction, model), NO_FILE, factor=factor)
    fit = partial(fit_sides, factor=upscale.factor)
    prompt = transformers.clean_typed_prompt(PurePath(image.filename).stem.replace("_", " ")) or _("a picture")
    is_hidden = image.is_spoiler if spoiler is None else spoiler
    trial = GenerationRequest(
        spec=build_enlargement(model, upscale, image.size_px, prompt=prompt), is_spoiler=True if is_hidden else UNSET
    )
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        sha256, size_px = await lent.keep_attached(image, fit)
        spec = build_enlargement(model, replace(upscale, sha256=sha256), size_px, prompt=prompt)
        return await submit(interaction, replace(trial, spec=spec), acknowledged, attached={sha256})
