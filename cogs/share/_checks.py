"""Who may share what, and where. Asked at each press."""

from __future__ import annotations

import discord

from cogs.common.checks import may_moderate_in
from cogs.common.errors import (
    AgeRestrictedShareError,
    NoShowcaseError,
    NotYourShareError,
    SharedHereError,
)
from cogs.common.picture_visibility import fetch_channel
from cogs.common.policy_checks import build_place
from cogs.common.posting_permissions import require_can_share
from cogs.context import Interaction, get_owner
from cogs.share._posts import Showcase
from generation.admission.context import RequestContext
from generation.jobs.job import Job, ReplyTo
from generation.policy.defaults import adapt_model, choose_server_model
from generation.policy.policy import ChannelContext, collect_texts
from generation.safety.minor_safety import protection


def find_showcase(interaction: Interaction, context: RequestContext) -> Showcase:
    """Return the channel that the server chose. Raise `NotAllowedError` if there is none, or the bot may not post."""
    guild = interaction.guild
    channel = guild.get_channel(context.policy.choices.share_channel_id) if guild is not None else None
    if not isinstance(channel, discord.TextChannel | discord.ForumChannel):
        raise NoShowcaseError
    require_can_share(channel)
    return channel


def require_may_share(interaction: Interaction, job: Job, delivered: ReplyTo, *, channel_id: int | None = None) -> None:
    """Raise `NotYourShareError` unless the job is the person's own, or they moderate where it (or its post) stands."""
    if job.owner == get_owner(interaction):
        return
    places = [each for each in (delivered.channel_id, channel_id) if each is not None]
    is_moderator = any(may_moderate_in(interaction, each) for each in places)
    if not is_moderator or (delivered.is_private and channel_id is None):
        raise NotYourShareError


async def require_suits(interaction: Interaction, delivered: ReplyTo, channel: Showcase) -> ChannelContext:
    """Return the showcase as a place. Raise `NotAllowedError` if what stands in that channel does not belong there."""
    place = build_place(channel, channel_id=channel.id, is_dm=False)
    if delivered.channel_id == channel.id and not delivered.is_private:
        raise SharedHereError(channel=channel.mention)
    source = await fetch_channel(interaction.client, delivered.channel_id)
    is_restricted = build_place(source, channel_id=delivered.channel_id, is_dm=False).is_age_restricted
    if is_restricted and not place.is_age_restricted:
        raise AgeRestrictedShareError(channel=channel.mention)
    return place


async def require_words_allowed_there(
    interaction: Interaction, context: RequestContext, job: Job, place: ChannelContext
) -> None:
    """Raise `BlockedByRuleError` if a rule of today forbids in the showcase what was asked for and is said of it."""
    services, policy = interaction.client.services, context.policy
    alts = tuple(image.alt for image in job.images if image.alt)
    for said in (*(spec.said for spec in job.request.specs), alts):
        protection().require_harmless(said)
    catalog, wanted = services.generation.catalog, {spec.model for spec in job.request.specs}
    own = {each.name: adapt_model(each, policy).defaults.negative for each in catalog.models if each.name in wanted}
    default = choose_server_model(catalog, policy)
    texts = collect_texts(job.request, default_model=default.name, own_negatives=own)
    matches = await services.content_rules.screen(policy, (*texts, *alts))
    policy.require_unblocked(matches, context.requester, place)
