"""/imagine: from typed options to a request."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.attachments import lend_files, require_size_px
from cogs.common.errors import KeepsSizeError
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.lora_option import ADDITIONS, LoraOption
from cogs.common.model_option import ModelOption
from cogs.common.picture_sources import SOURCE, SourceOption, fetch_needed_source
from cogs.common.policy_checks import require_words_allowed
from cogs.common.sampler_option import SamplerOption
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.context import Interaction
from cogs.imagine._flags import join_flags
from cogs.imagine._reference import OPTIONS as REFERENCE
from cogs.imagine._reference import AdapterOption, Reference, ReferenceStrength, fetch_reference, submit_looking
from cogs.imagine._typed import fill_in, hide_like, tell_notes
from generation.admission.typed import Typed, build_request, choose_size
from generation.jobs.derive_edits import start_from_image
from generation.jobs.job import Job
from generation.models.catalog import Model
from generation.requests.edits import StartImage
from generation.requests.spec import GenerationRequest
from generation.requests.style import Style
from generation.requests.unfetched import NO_FILE
from generation.rules.folding import words_of_name

DEFAULT_STRENGTH = 0.6
SHOWN = {
    "spoiler": "Show the pictures behind a spoiler.",
    "alt": "Say what is to be seen, for those who cannot see it. Your prompt if left out.",
}


class Imagine(commands.Cog):
    """Paints what is described."""

    @app_commands.command(description="Paint a picture of what you describe.")
    @app_commands.describe(
        prompt="What to paint.",
        aspect="The shape of the picture.",
        count="How many pictures, 1 to 10.",
        image="A picture to start from.",
        source=SOURCE,
        strength="With a start image: how much of it may change, 0.05 to 1. Default: 0.6.",
        negative="What to avoid. A minus sign (-): nothing, not even what the model avoids by default.",
        seed="The same seed and settings give the same picture. Random if left out.",
        steps="The number of denoising steps. More steps take longer.",
        guidance="How closely to follow the prompt.",
        sampler="How noise becomes the picture (A1111 names).",
        size="Exact size in pixels, for example 512x768, instead of a shape.",
        style="A style of this server: words that are added to your prompt.",
        model="The model that paints the picture. Type a part of its name or kind to find it.",
        **ADDITIONS,
        **SHOWN,
        **REFERENCE,
    )
    @app_commands.rename(source="from")
    @app_commands.choices(aspect=transformers.ASPECTS)
    async def imagine(
        self,
        interaction: Interaction,
        prompt: transformers.Prompt,
        aspect: Choice[str] | None = None,
        count: transformers.Count | None = None,
        image: discord.Attachment | None = None,
        strength: transformers.Strength = DEFAULT_STRENGTH,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        size: str | None = None,
        style: Transform[Style, transformers.StyleOption] | None = None,
        model: Transform[Model, ModelOption] | None = None,
        lora: Transform[str, LoraOption] | None = None,
        clip_skip: transformers.ClipSkip | None = None,
        source: Transform[str, SourceOption] | None = None,
        spoiler: bool | None = None,
        alt: transformers.Alt | None = None,
        reference: discord.Attachment | None = None,
        reference_from: Transform[str, SourceOption] | None = None,
        reference_strength: ReferenceStrength | None = None,
        adapter: Transform[str, AdapterOption] | None = None,
    ) -> None:
        options: dict[str, Any] = {
            "aspect": aspect.value if aspect else None,
            "size": size,
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
        notes: tuple[str, ...] = ()
        if "--" in prompt or "\u2014" in prompt:
            prompt, options, notes = await join_flags(interaction, prompt, options)
        if style is not None:
            await require_words_allowed(interaction, (style.name, words_of_name(style.name)))
        named = (reference, reference_from, reference_strength, adapter)
        seen = None if named == (None, None, None, None) else await fetch_reference(interaction, *named)
        has_picture = image is not None or source is not None
        options |= {"has_picture": has_picture, "has_upload": has_picture or seen is not None}
        typed = await fill_in(interaction, prompt, options, style=style, takes_style=True, notes=notes)
        if seen is not None:
            typed = hide_like(typed, seen.picture)
        if has_picture:
            start = await fetch_needed_source(interaction, image, source, option="image")
            job = await submit_from(interaction, typed, start, strength=strength, reference=seen)
        elif seen is not None:
            job = await submit_looking(interaction, build_request(typed), typed.model, seen)
        else:
            job = await acknowledge_and_submit(interaction, build_request(typed))
        await tell_notes(interaction, typed, job)


async def submit_from(
    interaction: Interaction,
    typed: Typed,
    source: Attached | Found,
    *,
    strength: float,
    mask: Attached | None = None,
    reference: Reference | None = None,
) -> Job:
    """Have it painted from what a member attached or named: see `fetch_needed_source`."""
    if isinstance(source, Attached):
        return await submit_from_image(interaction, typed, source, strength=strength, mask=mask, reference=reference)
    typed = hide_like(typed, source)
    if mask is None:
        request = build_from_picture(typed, source, strength=strength)
        if reference is not None:
            return await submit_looking(interaction, request, typed.model, reference)
        return await acknowledge_and_submit(interaction, request)
    return await _submit_with_mask(interaction, typed, source, mask, strength=strength)


def build_from_picture(
    typed: Typed, found: Found, *, strength: float, mask_sha256: str | None = None
) -> GenerationRequest:
    """Return the request started from a picture of ours, at its size. Raise `InvalidRequestError`."""
    picture, size_px = found.image, found.image.spec.result_size_px
    if typed.size is not None or typed.aspect is not None:
        raise KeepsSizeError(width=size_px[0], height=size_px[1])
    request = build_request(typed, start_size_px=size_px)
    spec = start_from_image(picture, strength=strength, seed=request.spec.seed, basis=request.spec)
    assert spec.start is not None
    start = replace(spec.start, mask_sha256=mask_sha256)
    return replace(request, spec=replace(spec, start=start), parent=picture.id)


async def _submit_with_mask(
    interaction: Interaction, typed: Typed, found: Found, mask: Attached, *, strength: float
) -> Job:
    size_px = found.image.spec.result_size_px
    require_size_px(mask.size_px, size_px)
    trial = build_from_picture(typed, found, strength=strength, mask_sha256=NO_FILE)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        mask_sha256, mask_px = await lent.keep_attached(mask, lambda _: size_px, is_mask=True)
        require_size_px(mask_px, size_px)
        request = build_from_picture(typed, found, strength=strength, mask_sha256=mask_sha256)
        return await submit(interaction, request, acknowledged, attached={mask_sha256})


async def submit_from_image(
    interaction: Interaction,
    typed: Typed,
    image: Attached,
    *,
    strength: float,
    mask: Attached | None = None,
    reference: Reference | None = None,
) -> Job:
    """Fetch the files once the answer is on its way (that may take longer than Discord waits), and have it painted."""
    typed = hide_like(typed, image)
    request = build_request(typed, start_size_px=image.size_px)
    unfetched = StartImage(sha256=NO_FILE, strength=strength, mask_sha256=NO_FILE if mask is not None else None)
    trial = _add_start_image(request, unfetched)
    if reference is not None:
        trial = reference.add_to(trial, typed.model)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        sha256, size_px = await lent.keep_attached(image, lambda shown_px: choose_size(typed, shown_px))
        mask_sha256 = None
        if mask is not None:
            mask_sha256, mask_px = await lent.keep_attached(mask, lambda _: choose_size(typed, size_px), is_mask=True)
            if size_px is not None:
                require_size_px(mask_px, size_px)
        if size_px != image.size_px:
            request = build_request(typed, start_size_px=size_px)
        request = _add_start_image(request, StartImage(sha256=sha256, strength=strength, mask_sha256=mask_sha256))
        attached = request.spec.files
        if reference is not None:
            seen = await reference.keep(lent)
            request, attached = reference.add_to(request, typed.model, seen), attached | ({seen} - {NO_FILE})
        return await submit(interaction, request, acknowledged, attached=attached)


def _add_start_image(request: GenerationRequest, start: StartImage) -> GenerationRequest:
    return replace(request, spec=replace(request.spec, start=start))
