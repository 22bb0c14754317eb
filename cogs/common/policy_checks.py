"""Whether a request may be made here, now, by this person: the guild's policy asked with what Discord says of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
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
    UserInstallsOffError,
    WithheldTooOftenError,
)
from cogs.context import Interaction, get_owner, list_role_ids
from cogs.services import Services
from generation.errors import BlockedByRuleError
from generation.jobs.source_access import require_sources
from generation.models.catalog import Model
from generation.models.sizes import choose_upscaler
from generation.owner import DM_TENANT, NO_SERVERS, USER_TENANT, Owner
from generation.policy.defaults import adapt_model, choose_server_model
from generation.policy.guild_preferences import Pressers, Visibility
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences
from generation.policy.policy import ChannelContext, Policy, Requester, collect_texts
from generation.requests.drawing import draw_prompts
from generation.requests.spec import GenerationRequest
from generation.requests.upscalers import Upscaler
from generation.requests.wildcards import Lists
from generation.rules.folding import words_of_name
from generation.rules.rule import Rule
from generation.safety.checker_trust import is_vetted
from generation.safety.errors import MinorSafetyError
from generation.safety.minor_safety import protection

NOTHING_LEFT = {"channel_ids": ChannelsDeletedError, "role_ids": RolesDeletedError, "models": ModelsGoneError}


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestContext:
    """Who asks, where, and what binds them there: read once, and handed on. Equal as long as none of it has changed."""

    owner: Owner
    requester: Requester
    place: ChannelContext
    policy: Policy
    own: MemberPreferences = NO_PREFERENCES
    """What the person chose for themself."""

    @property
    def is_private(self) -> bool:
        """Whether the person alone sees the answer: the server's choice, or theirs where it leaves that to them."""
        visibility = self.policy.settings.choices.visibility
        if visibility is Visibility.PRIVATE or self.owner.guild_id == USER_TENANT:
            return True
        return visibility is Visibility.PUBLIC and self.own.is_private and not self.place.is_dm


async def fetch_policy(interaction: Interaction) -> Policy:
    """Return what binds requests where the person is."""
    return await interaction.client.services.guild_policy.fetch(get_owner(interaction).guild_id)


async def fetch_context(interaction: Interaction) -> RequestContext:
    """Return all that decides about requests of this person here, as of now."""
    owner = get_owner(interaction)
    return RequestContext(
        owner=owner,
        requester=get_requester(interaction),
        place=build_place(
            interaction.channel, channel_id=interaction.channel_id or 0, is_dm=owner.guild_id in NO_SERVERS
        ),
        policy=await interaction.client.services.guild_policy.fetch(owner.guild_id),
        own=interaction.client.services.preferences.chosen.get(owner.user_id, NO_PREFERENCES),
    )


async def require_allowed(
    interaction: Interaction, context: RequestContext, request: GenerationRequest, *, attached: Collection[str] = ()
) -> tuple[Rule, ...]:
    """Raise `Refused` unless the request may be made. What comes back are rules the person is to be told of.

    `context` is what `require_may_request` returned; `attached`: the files of the request that came with it.
    """
    services, owner, policy = interaction.client.services, context.owner, context.policy
    catalog, specs = services.generation.catalog, request.specs
    is_from_upload = await require_sources(request, owner, services.jobs, attached=attached)
    for model in {spec.model: catalog.get(spec.model) for spec in specs}.values():
        is_judged = is_vetted(model, checks_safety=services.generation.checks_safety, is_from_upload=is_from_upload)
        policy.require_vetted(context.place, is_vetted=is_judged, is_from_upload=is_from_upload)
    if policy.settings.choices.pressers is Pressers.OWNER:
        await _require_own(interaction, context)
    policy.require_within_limits(request, context.requester)
    try:
        for spec in specs:
            protection().require_harmless(spec.said)
        if request.alt:
            protection().require_harmless((request.alt,))
        if not policy.rules.rules:
            return ()
        default = policy.choices.find_channel_defaults(context.place.channel_ids).model
        if default is None or default not in {spec.model for spec in specs}:
            default = choose_server_model(catalog, policy).name
        own = {spec.model: adapt_model(catalog.get(spec.model), policy).defaults.negative for spec in specs}
        texts = collect_texts(request, default_model=default, own_negatives=own)
        return await _require_words_allowed(services, context, texts)
    except (BlockedByRuleError, MinorSafetyError):
        await services.moderation.record_refusal(owner.guild_id, owner.user_id)
        raise


async def draw_from_lists(interaction: Interaction, request: GenerationRequest) -> GenerationRequest:
    """Return the request with the choices in its prompts drawn, from the lists that the server has now.

    Raise `InvalidRequestError` for what cannot be drawn.
    """
    model = interaction.client.services.generation.catalog.get(request.spec.model)
    return draw_prompts(request, model, (await fetch_policy(interaction)).choices.word_lists)


async def require_words_allowed(interaction: Interaction, texts: Iterable[str]) -> tuple[Rule, ...]:
    """Raise `BlockedByRuleError` if a rule of the server forbids one of these here. Return the rules that only warn."""
    return await _require_words_allowed(interaction.client.services, await fetch_context(interaction), texts)


async def require_lines_allowed(interaction: Interaction, lists: Lists) -> None:
    """Raise `RefusedError` for lists whose names or lines could not be asked for here."""
    lines = [line for each in lists.values() for line in each]
    for line in lines:
        protection().require_harmless((line, ""))
    if lines:
        await require_words_allowed(interaction, (*lists, *map(words_of_name, lists), *lines))


async def _require_words_allowed(services: Services, context: RequestContext, texts: Iterable[str]) -> tuple[Rule, ...]:
    matches = await services.content_rules.screen(context.policy, texts)
    return context.policy.require_unblocked(matches, context.requester, context.place)


async def require_may_request(interaction: Interaction) -> RequestContext:
    """Return the context; raise `Refused` unless this person may ask here and now, for whatever it is.

    Asked before anything is fetched, decoded or drawn for them.
    """
    context, services = await fetch_context(interaction), interaction.client.services
    (await services.operator.admission()).require_admitted(context.owner.guild_id)
    if context.place.is_dm:
        _require_open(services, context.owner)
    await _require_not_blocked(services, context.owner, context.policy, now=interaction.created_at)
    _require_possible(interaction, context.policy)
    context.policy.require_place(context.requester, context.place)
    return context


def _require_open(services: Services, owner: Owner) -> None:
    """Raise `NotAllowedError` outside servers, unless the operator wants requests there."""
    if owner.guild_id == DM_TENANT and not services.allows_dms:
        raise ServersOnlyError
    if owner.guild_id == USER_TENANT and not services.allows_user_installs:
        raise UserInstallsOffError


def _require_possible(interaction: Interaction, policy: Policy) -> None:
    """Raise `NotAllowedError` where everything that a choice names is gone: no member can do what it asks for."""
    choices = policy.settings.choices
    if not (choices.channel_ids or choices.role_ids or choices.models):
        return
    models = [model.name for model in interaction.client.services.generation.catalog.models]
    for key, gone in find_deleted(choices, interaction.guild, models).items():
        if key in NOTHING_LEFT and len(gone) == len(getattr(choices, key)):
            raise NOTHING_LEFT[key]


async def _require_not_blocked(services: Services, owner: Owner, policy: Policy, *, now: datetime) -> None:
    """Raise `NotAllowedError` for a person who is blocked, too quick, or had many pictures withheld lately.

    `now`: by Discord, which dates what people do; the clock of this machine may be wrong.
    """
    choices = policy.settings.choices
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


async def _require_own(interaction: Interaction, context: RequestContext) -> None:
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
