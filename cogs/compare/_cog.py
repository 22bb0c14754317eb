"""/compare: options with one value or several become the cells of a sheet, and these one request."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from discord import app_commands
from discord.app_commands import Choice, Transform
from discord.ext import commands
from msgspec import UNSET, UnsetType

from cogs.common import transformers
from cogs.common.errors import NothingToCompareError, TooManyAxesError, TooManyCellsError
from cogs.common.lora_option import build_choices
from cogs.common.member_defaults import fetch_default_model
from cogs.common.model_option import list_allowed
from cogs.common.policy_checks import fetch_policy
from cogs.common.submission import acknowledge_and_submit
from cogs.compare import _values
from cogs.context import Interaction
from cogs.i18n.gettext import _, join_list
from cogs.imagine import fill_in, tell_notes
from generation.admission.typed import Typed, build_request
from generation.models.catalog import Catalog
from generation.policy.defaults import adapt_model
from generation.policy.policy import Policy
from generation.requests.comparison import MAX_CELLS, Axis, Comparison
from generation.requests.drawing import draw_prompts
from generation.requests.origin import SAMPLER, Origin
from generation.requests.seeds import draw_seed
from generation.requests.spec import GenerationRequest, ImageSpec
from generation.requests.wildcards import Lists
from generation.translatable import Phrase

NAMES = {
    Axis.PROMPT: Phrase("Prompt"),
    Axis.MODEL: Phrase("Model"),
    Axis.LORA: Phrase("LoRA"),
    Axis.SAMPLER: Phrase("Sampler"),
    Axis.STEPS: Phrase("Steps"),
    Axis.GUIDANCE: Phrase("Guidance"),
    Axis.SEED: Phrase("Seed"),
}
MAX_PROMPTS_CHARS = 4000
Prompts = app_commands.Range[str, 1, MAX_PROMPTS_CHARS]
Values = app_commands.Range[str, 1, _values.MAX_TYPED]


class _ListOption(app_commands.Transformer[Any]):
    """Names parted by commas, the last one completed while typing. Stays text."""

    @property
    def max_value(self) -> int:
        return _values.MAX_TYPED

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        return build_choices((text, "") for text in _values.complete_list(value, await self.list_names(interaction)))

    async def list_names(self, interaction: Interaction) -> Iterable[str]:
        raise NotImplementedError


class ModelsOption(_ListOption):
    """One model or several."""

    async def list_names(self, interaction: Interaction) -> Iterable[str]:
        return [model.name for model in await list_allowed(interaction)]


class SamplersOption(_ListOption):
    """One sampler or several, of those that work with every model that is named so far."""

    async def list_names(self, interaction: Interaction) -> Iterable[str]:
        named = _values.split_list(interaction.namespace.model or "")
        models = [each for each in interaction.client.services.generation.catalog.models if each.name in named]
        models = models or [await fetch_default_model(interaction)]
        return [name for name in models[0].samplers if all(name in model.samplers for model in models)]


class Compare(commands.Cog):
    """Pictures side by side."""

    @app_commands.command(description="Compare prompts, models, samplers and more on one sheet, one or two at once.")
    @app_commands.describe(
        prompt="What to paint. Several: a fox | a cat.",
        model="The model, or several: name, name.",
        lora="LoRA with weights. Several: neon:0.4 | neon:0.8.",
        sampler="The sampler, or several: Euler, Heun.",
        steps="The number of denoising steps, or several: 10, 20, 30.",
        guidance="How closely to follow the prompt, or several: 3, 5, 7.5.",
        seed="The seed, or several: 7, 11 or 7-9. One random seed for all if left out.",
        negative="What to avoid.",
        aspect="The shape of the pictures.",
        clip_skip="Which layer of the text encoder is used, counted from the end. Default: 1.",
    )
    @app_commands.choices(aspect=transformers.ASPECTS)
    async def compare(
        self,
        interaction: Interaction,
        prompt: Prompts,
        model: Transform[str, ModelsOption] | None = None,
        lora: Values | None = None,
        sampler: Transform[str, SamplersOption] | None = None,
        steps: Values | None = None,
        guidance: Values | None = None,
        seed: Values | None = None,
        negative: transformers.Prompt | None = None,
        aspect: Choice[str] | None = None,
        clip_skip: transformers.ClipSkip | None = None,
    ) -> None:
        catalog, policy = interaction.client.services.generation.catalog, await fetch_policy(interaction)
        written = {
            Axis.PROMPT: prompt,
            Axis.MODEL: model,
            Axis.LORA: lora,
            Axis.SAMPLER: sampler,
            Axis.STEPS: steps,
            Axis.GUIDANCE: guidance,
            Axis.SEED: seed,
        }
        options = {"aspect": aspect.value if aspect else None, "negative": negative, "clip_skip": clip_skip}
        base = await fill_in(interaction, prompt, options | {"seed": draw_seed(), "has_picture": False})
        if model is not None:  # a sampler of one's own need not be one of these models
            base = replace(base, sampler=None)
        values = read_values({axis: text for axis, text in written.items() if text is not None}, catalog, policy)
        job = await acknowledge_and_submit(interaction, build_comparison(base, values, policy.choices.word_lists))
        await tell_notes(interaction, base, job)


def read_values(written: dict[Axis, str], catalog: Catalog, policy: Policy) -> dict[Axis, list[Any]]:
    """Return the values of every option that has some. Raise `InvalidRequestError` for what cannot be read."""

    def read_models(text: str, *, name: str) -> list[Any]:
        names = _values.require_different(_values.split_list(text), name=name)
        return [adapt_model(catalog.get(each), policy) for each in names]

    def read_bars(text: str, *, name: str) -> list[Any]:
        return _values.require_different(_values.split_bars(text), name=name)

    readers: dict[Axis, Callable[..., list[Any]]] = {
        Axis.PROMPT: read_bars,
        Axis.MODEL: read_models,
        Axis.LORA: read_bars,
        Axis.SAMPLER: _values.parse_samplers,
        Axis.STEPS: _values.parse_wholes,
        Axis.GUIDANCE: _values.parse_numbers,
        Axis.SEED: _values.parse_wholes,
    }
    read = {axis: readers[axis](text, name=NAMES[axis]) for axis, text in written.items()}
    return {axis: values for axis, values in read.items() if values}


def build_comparison(base: Typed, values: dict[Axis, list[Any]], lists: Lists) -> GenerationRequest:
    """Return the request for every combination of the values. Raise `InvalidRequestError`.

    The first of two axes, in the order of `Axis`, is that of the rows. `lists`: those of the server, to draw from.
    """
    single = {axis.value: found[0] for axis, found in values.items() if len(found) == 1}
    axes = [axis for axis in Axis if len(values.get(axis, ())) > 1]
    if not axes:
        raise NothingToCompareError
    if len(axes) > 2:
        raise TooManyAxesError(number=len(axes), names=join_list([_(NAMES[axis]) for axis in axes]))
    number = len(values[axes[0]]) * (len(values[axes[1]]) if len(axes) == 2 else 1)
    if number > MAX_CELLS:
        raise TooManyCellsError(most=MAX_CELLS, number=number)
    fixed = replace(base, **single)
    cells = tuple(
        _build_cell(replace(fixed, **{axis.value: value for axis, value in zip(axes, chosen, strict=True)}), lists)
        for chosen in product(*(values[axis] for axis in axes))
    )
    layout = Comparison(columns=axes[-1], num_columns=len(values[axes[-1]]), rows=axes[0] if len(axes) == 2 else None)
    chosen_by = _keep_origins(base, values)
    return GenerationRequest(spec=cells[0], count=len(cells), comparison=layout, cells=cells, chosen_by=chosen_by)


def _keep_origins(base: Typed, values: Mapping[Axis, object]) -> dict[str, Origin] | UnsetType:
    """Return who chose what is the same in all cells, where a default chose any of it."""
    kept = {name: by for name, by in base.shown.get("chosen_by", {}).items() if name not in values}
    if SAMPLER in kept and base.sampler is None:
        del kept[SAMPLER]
    return kept if set(kept.values()) - {Origin.TYPED} else UNSET


def _build_cell(typed: Typed, lists: Lists) -> ImageSpec:
    """Return the spec of one picture, with the choices in its prompts drawn by its seed."""
    typed = replace(typed, prompt=transformers.clean_typed_prompt(typed.prompt))
    return next(draw_prompts(build_request(typed), typed.model, lists).images())
