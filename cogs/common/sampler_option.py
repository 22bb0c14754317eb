"""The option `sampler` of the commands that paint: while typing, those of the model that is chosen are offered."""

from __future__ import annotations

from typing import Any

from discord import app_commands

from cogs.common.member_defaults import fetch_chosen_model
from cogs.common.transformers import filter_choices
from cogs.context import Interaction
from generation.requests.sampler_names import read_sampler

_MAX_TYPED = 100


class SamplerOption(app_commands.Transformer[Any]):
    """A sampler by name, completed while typing. Becomes our name for it, also of another tool's name; an unknown one
    stays as it is. Which model it is for, is known by the command."""

    @property
    def max_value(self) -> int:
        return _MAX_TYPED

    async def transform(self, interaction: Interaction, value: str, /) -> str:
        return read_sampler(value) or value

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        model = await fetch_chosen_model(interaction)
        return filter_choices([(name, name) for name in model.samplers], value)
