"""/models and /loras: what members may paint with."""

from __future__ import annotations

import asyncio

from discord import app_commands
from discord.ext import commands

from cogs.common.messages import MessageSpec
from cogs.common.policy_checks import choose_default_model, fetch_policy
from cogs.common.responses import send_reply
from cogs.context import Interaction, ListBuilder
from cogs.models import _messages
from generation.models.catalog import Model
from generation.models.weights import count_weight_bytes


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
        list(zip(found, sizes, strict=True)), checks_safety=generation.checks_safety, unusable=unusable
    )


async def _build_loras(interaction: Interaction, _: str) -> MessageSpec:
    return _messages.build_loras(await _fetch_models(interaction))


async def _fetch_models(interaction: Interaction) -> list[Model]:
    """Return the models that this server allows, the one that paints by default first."""
    catalog, policy = interaction.client.services.generation.catalog, await fetch_policy(interaction)
    default, allowed = choose_default_model(catalog, policy), policy.choices.models
    found = [model for model in catalog.models if not allowed or model.name in allowed]
    return sorted(found, key=lambda model: model.name != default.name)


LISTS: dict[str, ListBuilder] = {_messages.MODELS: _build_models, _messages.LORAS: _build_loras}
