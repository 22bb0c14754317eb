"""The option `model` of the commands: which models are offered while typing, in which order, and what each is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from discord import app_commands

from cogs.common.member_defaults import fetch_default_model
from cogs.common.model_lines import list_uses
from cogs.common.policy_checks import fetch_policy, get_place
from cogs.common.transformers import filter_choices
from cogs.context import Interaction
from generation.models.catalog import Model
from generation.models.editing import can_edit
from generation.safety.checker_trust import is_vetted


class ModelOption(app_commands.Transformer[Any]):
    """A model by name, completed while typing: those that the server allows, the default one first.

    Becomes a `Model`, which has the server's defaults only in a request. Raises `UnknownModelError`.
    """

    async def transform(self, interaction: Interaction, value: str, /) -> Model:
        return interaction.client.services.generation.catalog.get(value)

    async def autocomplete(  # type: ignore[override]
        self, interaction: Interaction, value: str, /
    ) -> list[app_commands.Choice[str]]:
        return filter_choices([(describe(each), each.name) for each in await self.list_models(interaction)], value)

    async def list_models(self, interaction: Interaction) -> Sequence[Model]:
        """Return those that are offered, in their order."""
        return await list_allowed(interaction)


class EditorOption(ModelOption):
    """The same, but only those that edit by instruction are offered."""

    async def list_models(self, interaction: Interaction) -> Sequence[Model]:
        return [each for each in await list_allowed(interaction) if can_edit(each)]


class ModelName(ModelOption):
    """The name of any model, also of one that the server does not allow. Looked up by the command, after it has asked
    who may. Stays the name."""

    async def transform(self, interaction: Interaction, value: str, /) -> str:  # type: ignore[override]
        return value

    async def list_models(self, interaction: Interaction) -> Sequence[Model]:
        return interaction.client.services.generation.catalog.models


async def list_allowed(interaction: Interaction) -> list[Model]:
    """Return the models that may be used where the person is: the one that paints by default first, then as listed."""
    generation = interaction.client.services.generation
    policy, place = await fetch_policy(interaction), get_place(interaction)
    allowed, default = policy.choices.models, await fetch_default_model(interaction)
    found = [
        each
        for each in generation.catalog.models
        if (not allowed or each.name in allowed)
        and (place.is_age_restricted or is_vetted(each, checks_safety=generation.checks_safety, is_from_upload=False))
    ]
    return sorted(found, key=lambda each: each.name != default.name)


def describe(model: Model) -> str:
    """Return its name, of which kind it is, and what else than painting from words it is made for."""
    return " · ".join(filter(None, (model.name, model.base, *list_uses(model))))
