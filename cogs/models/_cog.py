"""/models and /loras: what members may paint with."""

from __future__ import annotations

import asyncio

from discord import app_commands
from discord.ext import commands

from cogs.common.member_defaults import fetch_default_model
from cogs.common.messages import MessageSpec
from cogs.common.policy_checks import fetch_policy, get_place
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder
from cogs.models import _messages
from generation.models.catalog import Catalog, Model
from generation.models.weights import count_weight_bytes
from generation.rules.folding import words_of_name
from generation.safety.minor_safety import protection
from generation.safety.preview_visibility import how_preview_shown
from generation.safety.visibility import Shown


class Models(commands.Cog):
    """What there is to paint with."""

    @app_commands.command(description="List the models you may use here, and what each can do.")
    async def models(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_models(interaction, ""))

    @app_commands.command(description="List the LoRA and embeddings, their trigger words, and the models they fit.")
    async def loras(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_loras(interaction, ""))


async def _build_models(interaction: Interaction, _: str) -> MessageSpec:
    generation, found = interaction.client.services.generation, await _fetch_models(interaction)
    sizes, unusable = await asyncio.to_thread(
        lambda: ([count_weight_bytes(model) for model in found], generation.list_unusable_models())
    )
    return _messages.build_models(
        list(zip(found, sizes, strict=True)),
        checks_safety=generation.checks_safety,
        unusable=unusable,
        previews=await _fetch_previews(interaction),
    )


async def _build_loras(interaction: Interaction, _: str) -> MessageSpec:
    return _messages.build_loras(await _fetch_models(interaction), await _fetch_previews(interaction))


async def _fetch_previews(interaction: Interaction) -> dict[str, _messages.ShownPreview]:
    """Return the previews that may be shown where the person is, by what they show."""
    services, policy = interaction.client.services, await fetch_policy(interaction)
    generation, handling = services.generation, policy.handling(get_place(interaction))
    catalog, words = generation.catalog, list_trigger_words(generation.catalog)
    checkers = {each.sha256 for each in catalog.default.added_checkers}

    def choose() -> dict[str, _messages.ShownPreview]:
        shown = {}
        for name, (path, preview) in catalog.previews.items():
            how = how_preview_shown(
                preview,
                handling,
                thresholds=services.thresholds,
                added_checkers=checkers,
                checks_safety=generation.checks_safety,
                says_young=protection().says_young((words_of_name(name), *words.get(name, ()))),
            )
            if how is not Shown.NOT:
                shown[name] = _messages.ShownPreview(path, preview.sha256, how)
        return shown

    return await asyncio.to_thread(choose)


def list_trigger_words(catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Return what the authors of LoRA and the like say to write, by their name."""
    default = catalog.default
    return {each.name: each.trigger_words for each in (*default.loras, *default.embeddings)}


async def _fetch_models(interaction: Interaction) -> list[Model]:
    """Return the models that this server allows, the one that paints by default first."""
    catalog, policy = interaction.client.services.generation.catalog, await fetch_policy(interaction)
    default, allowed = (await fetch_default_model(interaction)), policy.choices.models
    found = [model for model in catalog.models if not allowed or model.name in allowed]
    return sorted(found, key=lambda model: model.name != default.name)


LISTS: dict[str, ListBuilder] = {_messages.MODELS: _build_models, _messages.LORAS: _build_loras}
