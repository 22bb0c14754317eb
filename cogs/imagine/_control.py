"""/control: a picture that follows the lines, depths or poses of another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import discord
from discord import app_commands
from discord.app_commands import Choice, Range, Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.attachments import lend_files
from cogs.common.errors import KeepsSizeError
from cogs.common.forms import Attached
from cogs.common.lookups import Found
from cogs.common.lora_option import ADDITIONS, LoraOption
from cogs.common.member_defaults import fetch_chosen_model
from cogs.common.picture_sources import SOURCE, SourceOption, fetch_needed_source
from cogs.common.sampler_option import SamplerOption
from cogs.common.submission import acknowledge, acknowledge_and_submit, submit
from cogs.context import Interaction
from cogs.i18n.gettext import N_
from cogs.imagine._cog import SHOWN, build_request, choose_size
from cogs.imagine._typed import Typed, read_typed, tell_notes
from generation.jobs.derive_edits import guide_by_image
from generation.jobs.job import Job
from generation.models.catalog import Catalog, Model
from generation.models.controls import find_control
from generation.requests.control import MAX_STRENGTH, PREPROCESSORS, Control
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import NO_FILE

_LABELS = {
    "none": N_("nothing: it is a map already"),
    "canny": N_("canny: thin edges"),
    "lineart": N_("lineart: dark lines"),
    "softedge": N_("softedge: soft edges"),
    "invert": N_("invert: black and white change places"),
}
_PREPROCESSORS = [Choice(name=_LABELS[name], value=name) for name in PREPROCESSORS]
_Strength = Range[float, 0.0, MAX_STRENGTH]
_Part = Range[float, 0.0, 1.0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Guide:
    """How a picture guides another; None leaves it to the model's first ControlNet, or to the ControlNet."""

    network: str | None = None
    preprocessor: str | None = None
    strength: float = 1.0
    begin: float = 0.0
    end: float = 1.0

    def build(self, model: Model, catalog: Catalog, sha256: str) -> Control:
        """Return the ControlNet at work on the picture of that file. Raise `InvalidRequestError` for one that is not
        here or does not fit."""
        named = self.network or next((each.name for each in model.controls), "")
        file = find_control(model.controls, catalog.controls, named, model=model.name)
        preprocessor = self.preprocessor or file.preprocessor
        return Control(
            network=file.name,
            network_sha256=file.sha256,
            sha256=sha256,
            strength=self.strength,
            begin=self.begin,
            end=self.end,
            preprocessor=preprocessor,
            version=PREPROCESSORS.get(preprocessor, 1),
        )


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
        begin="From which part of the steps on, 0 to 1. Default: 0.",
        end="Up to which part of the steps, 0 to 1. Default: 1.",
        aspect="The shape of the picture.",
        count="How many pictures, 1 to 10.",
        negative="What to avoid. A minus sign (-): nothing, not even what the model avoids by default.",
        seed="The same seed and settings give the same picture. Random if left out.",
        steps="The number of denoising steps. More steps take longer.",
        guidance="How closely to follow the prompt.",
        sampler="How noise becomes the picture (A1111 names).",
        size="Exact size in pixels, for example 512x768, instead of a shape.",
        model="The model that paints the picture.",
        **ADDITIONS,
        **SHOWN,
    )
    @app_commands.rename(source="from")
    @app_commands.choices(aspect=transformers.ASPECTS, preprocessor=_PREPROCESSORS)
    async def control(
        self,
        interaction: Interaction,
        prompt: transformers.Prompt,
        image: discord.Attachment | None = None,
        source: Transform[str, SourceOption] | None = None,
        net: Transform[str, ControlOption] | None = None,
        preprocessor: Choice[str] | None = None,
        strength: _Strength = 1.0,
        begin: _Part = 0.0,
        end: _Part = 1.0,
        aspect: Choice[str] | None = None,
        count: transformers.Count | None = None,
        negative: transformers.Prompt | None = None,
        seed: transformers.Seed | None = None,
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        size: str | None = None,
        model: Transform[Model, transformers.ModelOption] | None = None,
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
        made = preprocessor.value if preprocessor else None
        guide = Guide(network=net, preprocessor=made, strength=strength, begin=begin, end=end)
        typed = await read_typed(interaction, prompt, options)
        picture = await fetch_needed_source(interaction, image, source)
        if isinstance(picture, Attached):
            job = await submit_guided(interaction, typed, picture, guide)
        else:
            job = await acknowledge_and_submit(interaction, build_guided(interaction, typed, picture, guide))
        await tell_notes(interaction, typed, job)


def build_guided(interaction: Interaction, typed: Typed, found: Found, guide: Guide) -> GenerationRequest:
    """Return the request for pictures that follow one of ours, at its size, behind a spoiler if that one is.

    Raise `InvalidRequestError`.
    """
    size_px = found.image.spec.result_size_px
    if typed.size is not None or typed.aspect is not None:
        raise KeepsSizeError(width=size_px[0], height=size_px[1])
    if typed.spoiler is None and found.job.request.is_spoiler is True:
        typed = replace(typed, shown={**typed.shown, "is_spoiler": True})
    request, catalog = build_request(typed, start_size_px=size_px), interaction.client.services.generation.catalog
    control = guide.build(typed.model, catalog, NO_FILE)
    spec = guide_by_image(found.image, control, seed=request.spec.seed, basis=request.spec)
    return replace(request, spec=spec, parent=found.image.id)


async def submit_guided(interaction: Interaction, typed: Typed, image: Attached, guide: Guide) -> Job:
    """Fetch the picture once the answer is on its way, and have one painted that follows it."""
    catalog = interaction.client.services.generation.catalog

    def build(sha256: str, size_px: tuple[int, int] | None) -> GenerationRequest:
        request = build_request(typed, start_size_px=size_px)
        return replace(request, spec=replace(request.spec, control=(guide.build(typed.model, catalog, sha256),)))

    trial = build(NO_FILE, image.size_px)
    async with acknowledge(interaction, trial, attached={NO_FILE}) as acknowledged, lend_files(interaction) as lent:
        sha256, size_px = await lent.keep_attached(image, lambda shown_px: choose_size(typed, shown_px))
        request = build(sha256, size_px)
        if size_px == image.size_px:  # the seed and what was checked stay
            request = replace(trial, spec=replace(trial.spec, control=request.spec.control))
        return await submit(interaction, request, acknowledged, attached={sha256})
