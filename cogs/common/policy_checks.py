"""Whether a request may be made here, now, by this person: the guild's policy asked with what Discord says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any

import discord

from cogs.common.custom_ids import find_job_id
from cogs.common.deleted_references import find_deleted
from cogs.common.errors import (
    BlockedError,
    BlockedUntilError,
    ChannelsDeletedError,
    ModelsGoneError,
    RolesDeletedError,
    ServersOnlyError,
    WithheldTooOftenError,
)
from cogs.context import Interaction, get_owner, list_role_ids
from cogs.services import Services
from generation.errors import BlockedByRuleError
from generation.jobs.source_access import require_sources
from generation.models.catalog import Model
from generation.owner import Owner
from generation.policy.guild_preferences import Pressers
from generation.policy.policy import ChannelContext, Policy, Requester, collect_texts
from generation.requests.spec import GenerationRequest
from generation.rules.rule import Rule
from generation.safety.checker_trust import is_vetted
from generation.safety.errors import MinorSafetyError
from generation.safety.minor_safety import protection

NOTHING_LEFT = {"channel_ids": ChannelsDeletedError, "role_ids": RolesDeletedError, "models": ModelsGoneError}


async def fetch_policy(interaction: Interaction) -> Policy:
    """Return what binds requests where the person is."""
    return await interaction.client.services.guild_policy.fetch(get_owner(interaction).guild_id)


async def require_allowed(
    interaction: Interaction, request: GenerationRequest, *, attached: Collection[str] = ()
) -> tuple[Rule, ...]:
    """Raise `Refused` unless the request may be made. What comes back are rules the person is to be told of.

    `attached`: the files of the request that came with it.
    """
    policy, asker, place = await require_may_request(interaction), get_requester(interaction), get_place(interaction)
    services, owner = interaction.client.services, get_owner(interaction)
    model = services.studio.catalog.get(request.spec.model)
    is_from_upload = await require_sources(request, owner, services.jobs, attached=attached)
    is_judged = is_vetted(model, checks_safety=services.studio.checks_safety, is_from_upload=is_from_upload)
    policy.require_vetted(place, is_vetted=is_judged, is_from_upload=is_from_upload)
    if policy.choices.pressers is Pressers.OWNER:
        await _require_own(interaction, policy)
    policy.require_allowed(request, asker, place)
    try:
        protection().require_harmless(request.spec.said)
        texts = collect_texts(request, default_model=(await fetch_default_model(interaction)).name)
        return await require_words_allowed(interaction, texts)
    except (BlockedByRuleError, MinorSafetyError):
        await services.moderation.record_refusal(owner.guild_id, owner.user_id)
        raise


async def require_words_allowed(interaction: Interaction, texts: Iterable[str]) -> tuple[Rule, ...]:
    """Raise `BlockedByRuleError` if a rule of the server forbids one of these here. Return the rules that only warn."""
    policy = await fetch_policy(interaction)
    matches = await interaction.client.services.content_rules.screen(policy, texts)
    return policy.require_unblocked(matches, get_requester(interaction), get_place(interaction))


async def require_may_request(interaction: Interaction) -> Policy:
    """Return the policy; raise `Refused` unless this person may ask here and now, for whatever it is.

    Asked before anything is fetched, decoded or drawn for them.
    """
    policy, place = await fetch_policy(interaction), get_place(interaction)
    services, owner = interaction.client.services, get_owner(interaction)
    (await services.operating.admission()).require_admitted(owner.guild_id)
    if place.is_dm and not services.allows_dms:
        raise ServersOnlyError
    await _require_not_blocked(services, owner, policy, now=interaction.created_at)
    _require_possible(interaction, policy)
    policy.require_place(get_requester(interaction), place)
    return policy


def _require_possible(interaction: Interaction, policy: Policy) -> None:
    """Raise `NotAllowedError` where everything that a choice names is gone: no member can do what it asks for."""
    models = [model.name for model in interaction.client.services.studio.catalog.models]
    for key, gone in find_deleted(policy.choices, interaction.guild, models).items():
        if key in NOTHING_LEFT and len(gone) == len(getattr(policy.choices, key)):
            raise NOTHING_LEFT[key]


async def _require_not_blocked(services: Services, owner: Owner, policy: Policy, *, now: datetime) -> None:
    """Raise `NotAllowedError` for a person who is blocked, too quick, or had many pictures withheld lately.

    `now`: by Discord, which dates what people do; the clock of this machine may be wrong.
    """
    choices = policy.choices
    if (until := await services.moderation.fetch_blocked_until(owner.guild_id, owner.user_id, now=now)) is not None:
        is_short = until - now < timedelta(days=1000)
        raise BlockedUntilError(when=f"<t:{int(until.timestamp())}:f>") if is_short else BlockedError()
    services.rates.check(owner, limit=choices.requests_per_minute)
    if choices.withheld_per_hour:
        since = now - timedelta(hours=1)
        withheld = await services.jobs.num_withheld(owner, since=since)
        if withheld >= choices.withheld_per_hour:
            raise WithheldTooOftenError


def get_requester(interaction: Interaction) -> Requester:
    return Requester(user_id=interaction.user.id, role_ids=tuple(list_role_ids(interaction)))


def get_place(interaction: Interaction) -> ChannelContext:
    """Return the channel as Discord describes it now; a thread is as age-restricted as what it lies in."""
    return build_place(interaction.channel, channel_id=interaction.channel_id or 0, is_dm=interaction.guild_id is None)


def build_place(channel: object, *, channel_id: int, is_dm: bool) -> ChannelContext:
    parent_id = channel.parent_id if isinstance(channel, discord.Thread) else None
    is_nsfw = getattr(channel, "is_nsfw", None)
    return ChannelContext(
        channel_ids=(channel_id,) if parent_id is None else (channel_id, parent_id),
        is_age_restricted=bool(is_nsfw()) if callable(is_nsfw) else False,
        is_dm=is_dm,
    )


async def _require_own(interaction: Interaction, policy: Policy) -> None:
    """Where a button, menu or form asks: it must be under pictures of one's own."""
    data: Any = interaction.data or {}
    job_id = find_job_id([str(data.get("custom_id", ""))])
    if job_id is None:
        return
    job = await interaction.client.services.jobs.fetch_job(job_id)
    policy.require_may_press(job.owner, get_requester(interaction))


async def fetch_default_model(interaction: Interaction) -> Model:
    """Return the model that paints here where none is named: the guild's choice, else the installation's."""
    catalog = interaction.client.services.studio.catalog
    name = (await fetch_policy(interaction)).choices.choose_default_model([model.name for model in catalog.models])
    return catalog.default if name is None else catalog.get(name)


async def fetch_default_aspect(interaction: Interaction) -> str | None:
    """Return the shape that pictures have here where none is asked for; None for the model's own."""
    return (await fetch_policy(interaction)).choices.default_aspect
