"""/img2img, /inpaint and /upscale: what begins with somebody's own picture."""

from __future__ import annotations

from dataclasses import replace
from pathlib import PurePath

import discord
from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands

from cogs import options
from cogs.asking import begin, finish
from cogs.form import Attached
from cogs.gate import default_model
from cogs.imagine import DEFAULT_STRENGTH, Typed, request_of
from cogs.language import _
from cogs.remixing import require_size_px
from cogs.services import Interaction
from cogs.uploads import fetch_attachment, keep_start_image
from generation.catalog import Model
from generation.errors import InvalidRequest
from generation.job import Job
from generation.phrase import Phrase
from generation.remix import REGION_STRENGTH
from generation.request import MAX_SIDE_PX, MIN_SIDE_PX, SIDE_MULTIPLE_PX, GenerationRequest, ImageSpec, StartImage
from generation.request import Upscale as Enlarge

NO_FILE = "0" * 64
"""Stands for a file that is not fetched yet, where a request is checked before the acknowledgement."""
_IMAGE = "The picture."
_STRENGTH = "How much of it may change, 0.05 to 1."
_SETTINGS = {
    "negative": "What to avoid.",
    "seed": "The same seed and settings give the same picture. Random if left out.",
    "steps": "Denoising steps: more take longer.",
    "guidance": "How closely to follow the prompt.",
    "sampler": "How the picture is worked out of the noise.",
    "model": "Which model paints.",
}


class FromPictures(commands.Cog):
    """Pictures from pictures."""

    @app_commands.command(description="Paint from a picture of yours, changing as much of it as you say.")
    @app_commands.describe(
        image=_IMAGE, prompt="What it should become.", strength=_STRENGTH, count="How many, 1 to 4.", **_SETTINGS
    )
    @app_commands.choices(sampler=options.SAMPLER_CHOICES)
    async def img2img(
        self,
        interaction: Interaction,
        image: discord.Attachment,
        prompt: options.Prompt,
        strength: options.Strength = DEFAULT_STRENGTH,
        count: options.Count = 1,
        negative: options.Prompt | None = None,
        seed: options.Seed | None = None,
        steps: options.Steps | None = None,
        guidance: options.Guidance | None = None,
        sampler: Choice[str] | None = None,
        model: Transform[Model, options.ModelOption] | None = None,
    ) -> None:
        typed = Typed(
            prompt=prompt,
            model=model or await default_model(interaction),
            count=count,
            seed=seed,
            negative=negative,
            steps=steps,
            guidance=guidance,
            sampler=sampler.value if sampler else None,
        )
        await paint_from(interaction, typed, attached(image), strength=strength)

    @app_commands.command(description="Paint a part of a picture again: where the mask is white.")
    @app_commands.describe(
        image=_IMAGE,
        mask="A picture of the same size: white (or transparent) is painted again, black stays.",
        prompt="What the white part should become.",
        strength=_STRENGTH,
        **_SETTINGS,
    )
    @app_commands.choices(sampler=options.SAMPLER_CHOICES)
    async def inpaint(
        self,
        interaction: Interaction,
        image: discord.Attachment,
        mask: discord.Attachment,
        prompt: options.Prompt,
        strength: options.Strength = REGION_STRENGTH,
        negative: options.Prompt | None = None,
        seed: options.Seed | None = None,
        steps: options.Steps | None = None,
        guidance: options.Guidance | None = None,
        sampler: Choice[str] | None = None,
        model: Transform[Model, options.ModelOption] | None = None,
    ) -> None:
        typed = Typed(
            prompt=prompt,
            model=model or await default_model(interaction),
            seed=seed,
            negative=negative,
            steps=steps,
            guidance=guidance,
            sampler=sampler.value if sampler else None,
        )
        picture, hole = attached(image), attached(mask)
        if picture.size_px is not None:
            require_size_px(hole, picture.size_px)
        await paint_from(interaction, typed, picture, strength=strength, mask=hole)

    @app_commands.command(description="A picture of yours at twice its width and height.")
    @app_commands.describe(image=_IMAGE)
    async def upscale(self, interaction: Interaction, image: discord.Attachment) -> None:
        await enlarge_attached(interaction, attached(image))


def attached(file: discord.Attachment) -> Attached:
    size_px = (file.width, file.height) if file.width and file.height else None
    return Attached(file.url, file.size, file.filename, size_px)


async def paint_from(
    interaction: Interaction, typed: Typed, image: Attached, *, strength: float, mask: Attached | None = None
) -> Job:
    """Fetch the files once the answer is on its way (that may take longer than Discord waits), and have it painted."""
    request = request_of(typed, start_size_px=image.size_px)
    mask_name = NO_FILE if mask is not None else None
    trial = _starting(request, StartImage(sha256=NO_FILE, strength=strength, mask_sha256=mask_name))
    reply_to = await begin(interaction, trial)
    sha256 = await _keep(interaction, image, request.spec)
    mask_sha256 = await _keep(interaction, mask, request.spec) if mask is not None else None
    start = StartImage(sha256=sha256, strength=strength, mask_sha256=mask_sha256)
    return await finish(interaction, _starting(request, start), reply_to)


async def enlarge_attached(interaction: Interaction, image: Attached) -> Job:
    """The picture at twice its size. Raises `InvalidRequest` for one that is too large already, or no picture."""
    if image.size_px is None:
        raise InvalidRequest(what=Phrase("The file"), problem=Phrase("is not a picture."))
    width_px, height_px = (side // SIDE_MULTIPLE_PX * SIDE_MULTIPLE_PX for side in image.size_px)
    if max(image.size_px) * 2 > MAX_SIDE_PX or min(image.size_px) < MIN_SIDE_PX:
        problem = Phrase(
            "is {size}; I enlarge pictures with sides of {least} to {most} pixels.",
            size="{}x{}".format(*image.size_px),
            least=MIN_SIDE_PX,
            most=MAX_SIDE_PX // 2,
        )
        raise InvalidRequest(what=Phrase("The picture"), problem=problem)
    model = await default_model(interaction)
    spec = ImageSpec(
        prompt=options.prompt_of(PurePath(image.filename).stem.replace("_", " ")) or _("a picture"),
        model=model.name,
        width_px=width_px,
        height_px=height_px,
        steps=model.defaults.steps,
        guidance=model.defaults.guidance,
        sampler=model.defaults.sampler,
        seed=0,
        upscale=Enlarge(sha256=NO_FILE),
    )
    reply_to = await begin(interaction, GenerationRequest(spec=spec))
    sha256 = await _keep(interaction, image, spec)
    return await finish(interaction, GenerationRequest(spec=replace(spec, upscale=Enlarge(sha256=sha256))), reply_to)


def _starting(request: GenerationRequest, start: StartImage) -> GenerationRequest:
    return replace(request, spec=replace(request.spec, start=start))


async def _keep(interaction: Interaction, file: Attached, spec: ImageSpec) -> str:
    data = await fetch_attachment(file, interaction.client.connector)
    size_px = (spec.width_px, spec.height_px)
    return await keep_start_image(data, size_px, interaction.client.services.studio.files)
