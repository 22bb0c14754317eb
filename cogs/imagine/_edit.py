"""/edit: pictures changed as a sentence says, by a model that edits by instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.attachments import lend_files, read_attachment
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.lora_option import ADDITIONS, LoraOption
from cogs.common.model_option import EditorOption
from cogs.common.picture_sources import SOURCE, SourceOption, fetch_needed_source
from cogs.common.sampler_option import SamplerOption
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.context import Interaction
from cogs.imagine._cog import SHOWN
from cogs.imagine._typed import hide_like, read_typed, tell_notes
from generation.admission.typed import Typed, build_request
from generation.jobs.errors import PictureDeletedError
from generation.jobs.job import Job
from generation.models.catalog import Model
from generation.models.editing import choose_reference_size, refer_to
from generation.requests.references import Reference
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE


class EditCommand(commands.Cog):
    """Pictures changed by a sentence."""

    @app_commands.command(description="Change a picture as you say, for example: make it snow.")
    @app_commands.describe(
        what="What is to be changed, in a sentence.",
        image="The picture to change.",
        source=SOURCE,
        image2="A second picture that the sentence speaks of.",
        image3="A third picture that the sentence speaks of.",
        image4="A fourth picture that the sentence speaks of.",
        aspect="The shape of the picture.",
        count="How many pictures, 1 to 10.",
        negative="What to avoid. A minus sign (-): nothing, not even what the model avoids by default.",
        seed="The same seed and settings give the same picture. Random if left out.",
        steps="The number of denoising steps. More steps take longer.",
        guidance="How closely to follow the prompt.",
        sampler="How noise becomes the picture (A1111 names).",
        size="Exact size in pixels, for example 512x768, instead of a shape.",
        model="The model that changes it: one that edits by instruction. Type a part of its name to find it.",
        lora=ADDITIONS["lora"],
        **SHOWN,
    )
    @app_commands.rename(source="from")
    @app_commands.choices(aspect=transformers.ASPECTS)
    async def edit(
        self,
        interaction: Interaction,
        what: transformers.Prompt,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        image2: discord.Attachment | None = None,
        image3: discord.Attachment | None = None,
        image4: discord.Attachment | None = None,
        aspect: Choice[str] | None = None,
        count: transformers.Count | None = None,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        size: str | None = None,
        model: Transform[Model, EditorOption] | None = None,
        lora: Transform[str, LoraOption] | None = None,
        spoiler: bool | None = None,
        alt: transformers.Alt | None = None,
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
            "model": model,
            "lora": lora,
            "spoiler": spoiler,
            "alt": alt,
        }
        typed = await read_typed(interaction, what, options, edits=True)
        first = await fetch_needed_source(interaction, image, source, option="image")
        given = {"image2": image2, "image3": image3, "image4": image4}
        more = [read_attachment(each, option=name) for name, each in given.items() if each is not None]
        await tell_notes(interaction, typed, await submit_edit(interaction, typed, [first, *more]))


async def submit_edit(interaction: Interaction, typed: Typed, pictures: Sequence[Found | Attached]) -> Job:
    """Have pictures changed, each one of ours or attached. Attached ones are fetched once the answer is on its way."""
    typed = hide_like(typed, *pictures)
    sizes = [_find_size(each) for each in pictures]
    trial = _build_edit(typed, pictures, sizes, [NO_FILE] * len(pictures))
    if all(isinstance(each, Found) for each in pictures):
        return await acknowledge_and_submit(interaction, trial)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        files = [NO_FILE] * len(pictures)
        for place, each in enumerate(pictures):
            if isinstance(each, Attached):
                files[place], sizes[place] = await lent.keep_attached(
                    each, lambda shown_px: choose_reference_size(typed.model, shown_px)
                )
        request = _build_edit(replace(typed, seed=trial.spec.seed), pictures, sizes, files)
        return await submit(interaction, request, acknowledged, attached=set(files) - {NO_FILE})


def _find_size(picture: Found | Attached) -> tuple[int, int] | None:
    return picture.size_px if isinstance(picture, Attached) else picture.image.spec.result_size_px


def _build_edit(
    typed: Typed, pictures: Sequence[Found | Attached], sizes: Sequence[tuple[int, int] | None], files: Sequence[str]
) -> GenerationRequest:
    """Return the request, of the first picture's shape if none was chosen. `files`: what each attached one is, by
    SHA-256. Raise `InvalidRequestError`."""
    references = tuple(
        _refer(typed.model, picture, sha256, size_px)
        for picture, sha256, size_px in zip(pictures, files, sizes, strict=True)
    )
    request = build_request(typed, start_size_px=sizes[0])
    first = pictures[0]
    # With a picture that was attached it counts as an upload.
    is_ours = isinstance(first, Found) and len(pictures) == 1
    parent = first.image.id if is_ours and isinstance(first, Found) else None
    return replace(request, spec=replace(request.spec, reference=references), parent=parent)


def _refer(model: Model, picture: Found | Attached, sha256: str, size_px: tuple[int, int] | None) -> Reference:
    if isinstance(picture, Found):
        if picture.image.file_sha256 is None:
            raise PictureDeletedError
        sha256 = picture.image.file_sha256
    return refer_to(model, sha256, size_px)
