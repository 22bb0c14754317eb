"""Whether a request may be made here, now, by this person: the guild's policy asked with what Discord says of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import discord

from cogs.common.custom_ids import find_job_id
from cogs.common.deleted_references import find_deleted
from cogs.common.errors import (
    ChannelsDeletedError,
    ModelsGoneError,
    RolesDeletedError,
)
from cogs.context import Interaction, get_owner, list_role_ids
from generation.admission import gate
from generation.admission.context import RequestContext
from generation.models.catalog import Model
from generation.models.sizes import choose_upscaler
from generation.owner import NO_SERVERS, Owner
from generation.policy.member_preferences import NO_PREFERENCES
from generation.policy.policy import ChannelContext, Policy, Requester
from generation.requests.drawing import draw_prompts
from generation.requests.spec import GenerationRequest
from generation.requests.upscalers import Upscaler
from generation.requests.wildcards import Lists
from generation.rules.folding import words_of_name
from generation.rules.rule import Rule
from generation.safety.minor_safety import protection

NOTHING_LEFT = {"channel_ids": ChannelsDeletedError, "role_ids": RolesDeletedError, "models": ModelsGoneError}


async def fetch_policy(interaction: Interaction) -> Policy:
    """Return what binds requests where the person is."""
    return await interaction.client.services.guild_policy.fetch(get_owner(interaction).guild_id)


async def fetch_context(interaction: Interaction, owner: Owner | None = None) -> RequestContext:
    """Return all that decides about requests of this person here, as of now. `owner`: see `get_owner`, if known."""
    owner = owner or get_owner(interaction)
    return RequestContext(
        owner=owner,
        requester=get_requester(interaction),
        place=build_place(
            interaction.channel, channel_id=interaction.channel_id or 0, is_dm=owner.guild_id in NO_SERVERS
        ),
        policy=await interaction.client.services.guild_policy.fetch(owner.guild_id),
        own=interaction.client.services.preferences.chosen.get(owner.user_id, NO_PREFERENCES),
    )


async def draw_from_lists(interaction: Interaction, request: GenerationRequest) -> GenerationRequest:
    """Return the request with the choices in its prompts drawn, from the lists that the server has now.

    Raise `InvalidRequestError` for what cannot be drawn.
    """
    model = interaction.client.services.generation.catalog.get(request.spec.model)
    return draw_prompts(request, model, (await fetch_policy(interaction)).choices.word_lists)


async def require_words_allowed(interaction: Interaction, texts: Iterable[str]) -> tuple[Rule, ...]:
    """Raise `BlockedByRuleError` if a rule of the server forbids one of these here. Return the rules that only warn."""
    return await gate.require_words_allowed(interaction.client.services, await fetch_context(interaction), texts)


async def require_lines_allowed(interaction: Interaction, lists: Lists) -> None:
    """Raise `RefusedError` for lists whose names or lines could not be asked for here."""
    lines = [line for each in lists.values() for line in each]
    for line in lines:
        protection().require_harmless((line, ""))
    if lines:
        await require_words_allowed(interaction, (*lists, *map(words_of_name, lists), *lines))


async def require_may_request(interaction: Interaction, owner: Owner | None = None) -> RequestContext:
    """Return the context; raise `Refused` unless this person may ask here and now, for whatever it is.

    Asked before anything is fetched, decoded or drawn for them.
    """
    context = await fetch_context(interaction, owner)
    await gate.require_welcome(interaction.client.services, context, now=interaction.created_at)
    _require_possible(interaction, context.policy)
    context.policy.require_place(context.requester, context.place)
    return context


def _require_possible(interaction: Interaction, policy: Policy) -> None:
    """Raise `NotAllowedError` where everything that a choice names is gone: no member can do what it asks for."""
    choices = policy.settings.choices
    if not (choices.channel_ids or choices.role_ids or choices.models):
        return
    models = [model.name for model in interaction.client.services.generation.catalog.models]
    for key, gone in find_deleted(choices, interaction.guild, models).items():
        if key in NOTHING_LEFT and len(gone) == len(getattr(choices, key)):
            raise NOTHING_LEFT[key]


def get_requester(interaction: Interaction) -> Requester:
    return Requester(user_id=interaction.user.id, role_ids=tuple(list_role_ids(interaction)))


def get_place(interaction: Interaction) -> ChannelContext:
    """Return the channel as Discord describes it now; a thread is as age-restricted as what it lies in."""
    channel_id, is_outside = interaction.channel_id or 0, get_owner(interaction).guild_id in NO_SERVERS
    return build_place(interaction.channel, channel_id=channel_id, is_dm=is_outside)


def build_place(channel: object, *, channel_id: int, is_dm: bool) -> ChannelContext:
    """Return what counts of a channel. `is_dm`: outside the servers that have the bot, where nothing tells whether a
    channel is age-restricted, so that it counts as not."""
    if is_dm:
        return ChannelContext(channel_ids=(channel_id,), is_dm=True)
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    is_nsfw = getattr(channel, "is_nsfw", None)
    return ChannelContext(
        channel_ids=(channel_id,) if parent_id is None else (channel_id, parent_id),
        is_age_restricted=bool(is_nsfw()) if callable(is_nsfw) else False,
    )


async def require_own(interaction: Interaction, context: RequestContext) -> None:
    """Where a button, menu or form asks: it must be under pictures of one's own."""
    data: Any = interaction.data or {}
    job_id = find_job_id([str(data.get("custom_id", ""))])
    if job_id is None:
        return
    job = await interaction.client.services.jobs.fetch_job(job_id)
    context.policy.require_may_press(job.owner, context.requester)


async def fetch_default_upscaler(interaction: Interaction, model: Model) -> Upscaler | None:
    """Return what enlarges that model's pictures here where none is named; None is what the model itself has."""
    return choose_upscaler(model, (await fetch_policy(interaction)).choices.default_upscaler)
