"""/defaults: what the models are painted with in a server where a member leaves it open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from discord import app_commands
from discord.app_commands import Transform
from discord.ext import commands

from cogs.common import transformers
from cogs.common.checks import build_audit_entry, require_manager, tell_log_channel
from cogs.common.errors import NoDefaultsError
from cogs.common.messages import MessageSpec
from cogs.common.model_option import ModelName
from cogs.common.policy_checks import fetch_policy, require_words_allowed
from cogs.common.responses import send_reply
from cogs.common.sampler_option import SamplerOption
from cogs.context import Interaction, ListBuilder
from cogs.i18n.gettext import N_, _
from cogs.settings import _defaults_messages as pages
from generation.models.samplers import check_defaults
from generation.policy.defaults import adapt_model
from generation.policy.guild_preferences import GuildPreferences
from generation.requests.defaults import NO_OVERRIDES, DefaultOverrides
from generation.requests.prompt import read_negative
from generation.safety.minor_safety import protection
from generation.translatable import Phrase

CHANGED = N_("changed the defaults of the model “{model}”")


@app_commands.guild_only()
class DefaultsGroup(
    commands.GroupCog,
    group_name="defaults",
    group_description="What each model is painted with in this server when a member leaves it open.",
):
    """Everyone may look; only those who manage the server may change them."""

    @app_commands.command(description="Show the defaults of all models in this server.")
    async def list(self, interaction: Interaction) -> None:
        await send_reply(interaction, await _build_list(interaction, ""))

    @app_commands.command(description="Set defaults of a model in this server. What you leave out stays. For managers.")
    @app_commands.describe(
        model="The model.",
        steps="The number of denoising steps.",
        guidance="How closely to follow the prompt. At 1 or below, negative prompts have no effect.",
        sampler="How noise becomes the picture (A1111 names).",
        rescale="Guidance rescale, 0 to 1, for models with v-prediction that burn out. 0 is off.",
        negative="What to avoid where a member does not say it. A minus sign (-): nothing.",
    )
    async def set(
        self,
        interaction: Interaction,
        model: Transform[str, ModelName],
        steps: transformers.Steps | None = None,
        guidance: transformers.Guidance | None = None,
        sampler: Transform[str, SamplerOption] | None = None,
        rescale: app_commands.Range[float, 0, 1] | None = None,
        negative: transformers.Prompt | None = None,
    ) -> None:
        require_manager(interaction)
        known = interaction.client.services.generation.catalog.get(model)
        given = DefaultOverrides(
            steps=steps,
            guidance=guidance,
            sampler=sampler,
            rescale=rescale,
            negative=read_negative(transformers.clean_typed_prompt(negative)) if negative else None,
        )
        if not given.given:
            raise NoDefaultsError
        if given.negative:
            protection().require_harmless(("", given.negative))
            await require_words_allowed(interaction, (given.negative,))
        policy = await fetch_policy(interaction)
        check_defaults(adapt_model(known, policy).with_defaults(given))
        await _change(interaction, known.name, lambda old: old.merged(given))

    @app_commands.command(description="Forget the defaults of a model in this server. For managers.")
    @app_commands.describe(model="The model.")
    async def reset(self, interaction: Interaction, model: Transform[str, ModelName]) -> None:
        require_manager(interaction)
        if model not in (await fetch_policy(interaction)).choices.model_defaults:  # also one that is gone by now
            interaction.client.services.generation.catalog.get(model)
        await _change(interaction, model, lambda old: NO_OVERRIDES)


async def _change(interaction: Interaction, name: str, change: Callable[[DefaultOverrides], DefaultOverrides]) -> None:
    """Apply the change, record it, tell the log channel, and show all defaults."""
    guild_id, said = require_manager(interaction), Phrase(CHANGED, model=name)

    def changed(choices: GuildPreferences) -> GuildPreferences:
        kept = choices.model_defaults | {name: change(choices.model_defaults.get(name, NO_OVERRIDES))}
        return replace(choices, model_defaults={key: each for key, each in kept.items() if each.given})

    before, after = await interaction.client.services.guild_policy.change_settings(
        guild_id, lambda old: replace(old, choices=changed(old.choices)), build_audit_entry(interaction, said)
    )
    await send_reply(interaction, await _build_list(interaction, "", done=_(pages.CHANGED, model=name)))
    if after != before:
        await tell_log_channel(interaction, said)


async def _build_list(interaction: Interaction, _page: str, *, done: str | None = None) -> MessageSpec:
    policy = await fetch_policy(interaction)
    models = [adapt_model(model, policy) for model in interaction.client.services.generation.catalog.models]
    return pages.build_defaults(models, policy.choices.model_defaults.keys(), done=done)


LISTS: dict[str, ListBuilder] = {pages.KEY: _build_list}
