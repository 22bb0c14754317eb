"""/imagine: from what somebody typed to a request."""

from __future__ import annotations

from dataclasses import dataclass, replace
from secrets import randbelow

import discord
from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands

from cogs import options, replies
from cogs.asking import ask, begin, finish, tell_besides
from cogs.gate import default_aspect, default_model
from cogs.services import Interaction
from cogs.uploads import fetch_attachment, keep_start_image
from generation.catalog import Model
from generation.errors import InvalidRequest
from generation.extras import read_prompts
from generation.job import Job
from generation.phrase import Phrase
from generation.request import MAX_SEED, GenerationRequest, ImageSpec, StartImage
from generation.sizes import closest_shape, native_size, parse_size, shape_size
from generation.style import Style

DEFAULT_STRENGTH = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Typed:
    """The options of one /imagine, as they came; None for those left out."""

    prompt: str
    model: Model
    aspect: str | None = None
    size: str | None = None
    count: int = 1
    seed: int | None = None
    negative: str | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None


class Imagine(commands.Cog):
    """Paints what is described."""

    @app_commands.command(description="Paint a picture of what you describe.")
    @app_commands.describe(
        prompt="What to paint.",
        aspect="Shape of the picture.",
        count="How many pictures, 1 to 4.",
        image="A picture to start from.",
        strength="With a start image: how much of it may change, 0.05 to 1. Usually 0.6.",
        negative="What to avoid.",
        seed="The same seed and settings give the same picture. Random if left out.",
        steps="Denoising steps: more take longer.",
        guidance="How closely to follow the prompt.",
        sampler="How the picture is worked out of the noise.",
        size="Exact size in pixels, for example 512x768, instead of a shape.",
        style="A way of asking that this server has named.",
        model="Which model paints.",
    )
    @app_commands.choices(aspect=options.ASPECTS, sampler=options.SAMPLER_CHOICES)
    async def imagine(
        self,
        interaction: Interaction,
        prompt: options.Prompt,
        aspect: Choice[str] | None = None,
        count: options.Count = 1,
        image: discord.Attachment | None = None,
        strength: options.Strength = DEFAULT_STRENGTH,
        negative: options.Prompt | None = None,
        seed: options.Seed | None = None,
        steps: options.Steps | None = None,
        guidance: options.Guidance | None = None,
        sampler: Choice[str] | None = None,
        size: str | None = None,
        style: Transform[Style, options.StyleOption] | None = None,
        model: Transform[Model, options.ModelOption] | None = None,
    ) -> None:
        if style is not None:
            prompt, negative = style.around(options.prompt_of(prompt), options.prompt_of(negative))
        typed = Typed(
            prompt=prompt,
            model=model or await default_model(interaction),
            aspect=aspect.value if aspect else None if size or image else await default_aspect(interaction),
            size=size,
            count=count,
            seed=seed,
            negative=negative,
            steps=steps,
            guidance=guidance,
            sampler=sampler.value if sampler else None,
        )
        request = request_of(typed, start_size_px=_size_of(image))
        if image is None:
            job = await ask(interaction, request)
        else:
            job = await _ask_with_start(interaction, request, image, strength=strength)
        if size is not None and (note := replies.rounded(size, job)) is not None:
            await tell_besides(interaction, note)


def request_of(typed: Typed, *, start_size_px: tuple[int, int] | None = None) -> GenerationRequest:
    """The request, with the model's own choices where none was made. Raises `InvalidRequest`."""
    model, defaults = typed.model, typed.model.defaults
    width_px, height_px = _size(typed, start_size_px)
    written = read_prompts(model, options.prompt_of(typed.prompt), options.prompt_of(typed.negative))
    spec = ImageSpec(
        **written._asdict(),
        model=model.name,
        width_px=width_px,
        height_px=height_px,
        steps=defaults.steps if typed.steps is None else typed.steps,
        guidance=defaults.guidance if typed.guidance is None else typed.guidance,
        sampler=typed.sampler or defaults.sampler,
        seed=randbelow(MAX_SEED + 1) if typed.seed is None else typed.seed,
    )
    return GenerationRequest(spec=spec, count=typed.count)


def _size(typed: Typed, start_size_px: tuple[int, int] | None) -> tuple[int, int]:
    if typed.size is not None and typed.aspect is not None:
        raise InvalidRequest(what=Phrase("Aspect and size"), problem=Phrase("exclude each other: choose one."))
    if typed.size is not None:
        return parse_size(typed.model, typed.size)
    if typed.aspect is not None:
        return shape_size(typed.model, typed.aspect)
    if start_size_px is not None:
        return closest_shape(typed.model, start_size_px)
    return native_size(typed.model)


async def _ask_with_start(
    interaction: Interaction, request: GenerationRequest, image: discord.Attachment, *, strength: float
) -> Job:
    """The file is fetched after the acknowledgement: that may take longer than Discord waits."""
    client, spec = interaction.client, request.spec
    reply_to = await begin(interaction, request)
    data = await fetch_attachment(image, client.connector)
    size_px = (spec.width_px, spec.height_px)
    sha256 = await keep_start_image(data, size_px, client.services.studio.files)
    start = StartImage(sha256=sha256, strength=strength)
    return await finish(interaction, replace(request, spec=replace(spec, start=start)), reply_to)


def _size_of(image: discord.Attachment | None) -> tuple[int, int] | None:
    """What Discord says of an attached picture, for choosing a shape; its real size is read later."""
    if image is None or not image.width or not image.height:
        return None
    return image.width, image.height
