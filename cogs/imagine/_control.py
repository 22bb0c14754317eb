"""/control: a picture that follows the lines, depths or poses of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice, Range, Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.attachments import lend_files, read_attachment
from cogs.common.errors import KeepsSizeError, SecondNetMissingError
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.lora_option import ADDITIONS, LoraOption
from cogs.common.member_defaults import fetch_chosen_model
from cogs.common.model_option import ModelOption
from cogs.common.picture_sources import SOURCE, SourceOption, fetch_needed_source
from cogs.common.sampler_option import SamplerOption
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.context import Interaction
from cogs.imagine._cog import SHOWN
from cogs.imagine._guide import PREPARATIONS, Guide
from cogs.imagine._reference import Reference, submit_looking
from cogs.imagine._typed import hide_like, read_typed, tell_notes
from generation.admission.typed import Typed, build_request, choose_size
from generation.jobs.derive_edits import guide_by_image
from generation.jobs.job import Job
from generation.models.catalog import Catalog, Model
from generation.requests.control import EVERY_STEP, MAX_STRENGTH, read_span
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE

_Strength = Range[float, 0.0, MAX_STRENGTH]


class ControlOption(app_commands.Transformer[Any]):
    """A ControlNet by name; those that fit the model are offered while typing. Stays text: the command knows the
    model."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[Choice[str]]:
        model = await fetch_chosen_model(interaction)
        return transformers.filter_choices([(each.name, each.name) for each in model.controls], value)


class ControlCommand(commands.Cog):
    """Pictures that follow another."""

    @app_commands.command(description="Paint a picture that follows the lines, depths or poses of another.")
    @app_commands.describe(
        prompt="What to paint.",
        image="The picture to follow.",
        source=SOURCE,
        net="The ControlNet: what of the picture is followed. The model's first if left out.",
        preprocessor="What is made of the picture first. What the ControlNet is known for if left out.",
        strength="How strongly it is followed, 0 to 2. Default: 1.",
        during="In which part of the steps it works, for example 0-0.5. All of them if left out.",
        net2="A second ControlNet that works as well.",
        image2="The picture that the second one follows. The same if left out.",
        preprocessor2="What is made of the second one's picture first.",
        strength2="How strongly the second one's picture is followed, 0 to 2. Default: 1.",
        during2="In which part of the steps the second one works. All of them if left out.",
        aspect="The shape of the picture.",
        count="How many pictures, 1 to 10.",
        negative="What to avoid. A minus sign (-): nothing, not even what the model avoids by default.",
        seed="The same seed and settings give the same picture. Random if left out.",
        steps="The number of denoising steps. More steps take longer.",
        guidance="How closely to follow the prompt.",
        sampler="How noise becomes the picture (A1111 names).",
        size="Exact size in pixels, for example 512x768, instead of a shape.",
        model="The model that paints the picture. Type a part of its name or kind to find it.",
        **ADDITIONS,
        **SHOWN,
    )
    @app_commands.rename(source="from")
    @app_commands.choices(aspect=transformers.ASPECTS, preprocessor=PREPARATIONS, preprocessor2=PREPARATIONS)
    async def control(
        self,
        interaction: Interaction,
        prompt: transformers.Prompt,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        net: Transform[str, ControlOption] | None = None,
        preprocessor: Choice[str] | None = None,
        strength: _Strength = 1.0,
        during: str | None = None,
        net2: Transform[str, ControlOption] | None = None,
        image2: discord.Attachment | None = None,
        preprocessor2: Choice[str] | None = None,
        strength2: _Strength | None = None,
        during2: str | None = None,
        aspect: Choice[str] | None = None,
        count: transformers.Count | None = None,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        size: str | None = None,
        model: Transform[Model, ModelOption] | None = None,
        lora: Transform[str, LoraOption] | None = None,
        clip_skip: transformers.ClipSkip | None = None,
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
            "clip_skip": clip_skip,
            "model": model,
            "lora": lora,
            "spoiler": spoiler,
            "alt": alt,
        }
        guides = (
            _build_guide(net, preprocessor, strength, during),
            *_list_second(net2, image2, preprocessor2, strength2, during2),
        )
        typed = await read_typed(interaction, prompt, options)
        picture = await fetch_needed_source(interaction, image, source, option="image")
        await tell_notes(interaction, typed, await submit_guided(interaction, typed, picture, guides))


def _build_guide(
    network: str | None, made: Choice[str] | None, strength: float, during: str | None, image: Attached | None = None
) -> Guide:
    begin, end = EVERY_STEP if during is None else read_span(during)
    preparation = made.value if made else None
    return Guide(network=network, preparation=preparation, strength=strength, begin=begin, end=end, image=image)


def _list_second(
    network: str | None,
    image: discord.Attachment | None,
    made: Choice[str] | None,
    strength: float | None,
    during: str | None,
) -> list[Guide]:
    """Return the second guide, if anything was said of one. Raise `SecondNetMissingError` without its ControlNet."""
    if network is not None:
        attached = None if image is None else read_attachment(image, option="image2")
        return [_build_guide(network, made, 1.0 if strength is None else strength, during, attached)]
    if (image, made, strength, during) != (None, None, None, None):
        raise SecondNetMissingError
    return []


async def submit_guided(
    interaction: Interaction,
    typed: Typed,
    picture: Found | Attached,
    guides: tuple[Guide, ...],
    *,
    adapter: str | None = None,
) -> Job:
    """Have pictures painted that follow one of ours or an attached one, and those that other guides have of their own.

    `adapter`: an IP-Adapter that looks at it, too. Attached ones are fetched once the answer is on its way.
    """
    typed = hide_like(typed, picture, *(each.image for each in guides if each.image is not None))
    seen = None if adapter is None else Reference(picture=picture, adapter=adapter)
    if seen is not None and not guides:
        return await submit_looking(interaction, build_request(typed), typed.model, seen)
    size_px = picture.size_px if isinstance(picture, Attached) else picture.image.spec.result_size_px
    if isinstance(picture, Found):
        _require_its_size(typed, picture)
    build = partial(_build_guided, interaction.client.services.generation.catalog, typed, picture, guides, seen)
    trial_px, trial = size_px, build(size_px, [NO_FILE] * len(guides))
    if isinstance(picture, Found) and not any(each.image for each in guides):
        return await acknowledge_and_submit(interaction, trial)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        first = NO_FILE
        if isinstance(picture, Attached):
            first, size_px = await lent.keep_attached(picture, lambda shown_px: choose_size(typed, shown_px))
        fitted_px = choose_size(typed, size_px) if isinstance(picture, Attached) else picture.image.spec.result_size_px
        files = [
            (await lent.keep_attached(each.image, lambda _: fitted_px))[0] if each.image else first for each in guides
        ]
        request = build(size_px, files)
        if size_px == trial_px:  # the seed and what was checked stay
            own = request.spec
            request = replace(trial, spec=replace(trial.spec, control=own.control, image_prompt=own.image_prompt))
        return await submit(interaction, request, acknowledged, attached=set(files) - {NO_FILE})


def _require_its_size(typed: Typed, found: Found) -> None:
    """Raise `KeepsSizeError` if another size was typed for a picture of ours."""
    size_px = found.image.spec.result_size_px
    if typed.size is not None or typed.aspect is not None:
        raise KeepsSizeError(width=size_px[0], height=size_px[1])


def _build_guided(
    catalog: Catalog,
    typed: Typed,
    picture: Found | Attached,
    guides: tuple[Guide, ...],
    seen: Reference | None,
    size_px: tuple[int, int] | None,
    files: Sequence[str],
) -> GenerationRequest:
    """Return the request; `files` are the SHA-256 of what each guide follows, `NO_FILE` for a picture of ours."""
    request = build_request(typed, start_size_px=size_px)
    controls = tuple(each.build(typed.model, catalog, file) for each, file in zip(guides, files, strict=True))
    if isinstance(picture, Attached):
        request = replace(request, spec=replace(request.spec, control=controls))
        return request if seen is None else seen.add_to(request, typed.model, files[0])
    own = {index for index, each in enumerate(guides) if each.image is not None}
    spec = guide_by_image(picture.image, controls, own=own, seed=request.spec.seed, basis=request.spec)
    # With a picture that was attached it counts as an upload.
    return replace(request, spec=spec, parent=None if own else picture.image.id)
