"""The way every request takes, whether typed or pressed: check, acknowledge, submit, and have its message followed.

Acknowledging decides whether an answer is seen by all or by one. So what can be refused by looking alone is refused
before it; what is refused after it deletes the public message first (see `cogs.error_handler.tell_privately`).
"""

from __future__ import annotations

import logging
from collections.abc import Collection

import discord

from cogs.common.plain_text import build_plain
from cogs.common.policy_checks import fetch_policy, get_place, require_allowed, require_may_request
from cogs.common.posting_permissions import require_can_post
from cogs.common.submission_notes import format_warnings, list_word_notes
from cogs.context import Interaction, get_owner
from cogs.error_handler import JOB, LOST, PRIVATE
from cogs.i18n.gettext import get_guild_language, match_language
from generation.errors import RefusedError
from generation.jobs.job import Job, ReplyTo
from generation.policy.guild_preferences import Visibility
from generation.requests.spec import GenerationRequest
from generation.rules.rule import Rule

log = logging.getLogger(__name__)


async def acknowledge(
    interaction: Interaction, request: GenerationRequest | None = None, *, attached: Collection[str] = ()
) -> ReplyTo:
    """Refuse at once what can be refused at once; else show everyone “thinking…”. Where the answer will go.

    `request` is None where it can only be known after the acknowledgement; `attached`: its files that the person sent.
    """
    services, owner = interaction.client.services, get_owner(interaction)
    services.admission_limiter.check_capacity(owner.guild_id)
    with services.admission_limiter.slot(owner.guild_id):
        return await _acknowledge(interaction, request, attached)


async def _acknowledge(
    interaction: Interaction, request: GenerationRequest | None, attached: Collection[str]
) -> ReplyTo:
    received_s = interaction.client.services.monotonic()
    require_can_post(interaction)
    if request is not None:
        interaction.client.services.studio.check(request, get_owner(interaction))
        await require_allowed(interaction, request, attached=attached)
    else:
        interaction.client.services.studio.require_open()
        await require_may_request(interaction)
    choices = (await fetch_policy(interaction)).choices
    is_private = choices.visibility is Visibility.PRIVATE
    is_alone = is_private or interaction.guild_id is None
    interaction.extras[PRIVATE] = is_private
    response = await interaction.response.defer(thinking=True, ephemeral=is_private)
    return ReplyTo(
        application_id=interaction.application_id,
        channel_id=interaction.channel_id or 0,
        token=interaction.token,
        token_expires_at=interaction.expires_at,
        received_s=received_s,
        message_id=response.message_id if response is not None else None,
        locale=match_language(str(interaction.locale))
        if is_alone
        else get_guild_language(choices.language, interaction.guild_locale),
        is_private=is_private,
    )


async def submit(
    interaction: Interaction, request: GenerationRequest, reply_to: ReplyTo, *, attached: Collection[str] = ()
) -> Job:
    """Have the request accepted; from here on the tracker looks after its message."""
    async with interaction.client.services.admission_limiter.acquire(get_owner(interaction).guild_id):
        job, warnings = await _submit(interaction, request, reply_to, attached)
    notes = [format_warnings(warnings)] if warnings else []
    if interaction.type is not discord.InteractionType.component:  # a button repeats words that were told of before
        notes += list_word_notes(request)
    if notes:  # this waits for Discord, so it keeps no turn from others
        await send_note(interaction, "\n".join(notes))
    return job


async def _submit(
    interaction: Interaction, request: GenerationRequest, reply_to: ReplyTo, attached: Collection[str]
) -> tuple[Job, tuple[Rule, ...]]:
    """Submit the request. Return the job, and the rules that warn of it."""
    client = interaction.client
    warnings = await require_allowed(interaction, request, attached=attached)
    policy, owner = await fetch_policy(interaction), get_owner(interaction)
    services = client.services
    services.rates.take(owner, limit=policy.choices.requests_per_minute)
    roles = interaction.user.roles if isinstance(interaction.user, discord.Member) else []
    try:
        job = await services.studio.submit(
            request,
            owner,
            reply_to=reply_to,
            role_ids=[role.id for role in roles],
            asked_at=interaction.created_at,
            attached=attached,
            handling=policy.handling(get_place(interaction)),
        )
    except RefusedError:
        services.rates.give_back(owner)
        raise
    client.tracker.watch(job.id, reply_to, size_limit=interaction.filesize_limit)
    interaction.extras[JOB] = job.id
    return job, warnings


async def acknowledge_and_submit(interaction: Interaction, request: GenerationRequest) -> Job:
    """Both in one, for a request that is complete."""
    return await submit(interaction, request, await acknowledge(interaction, request))


async def send_note(interaction: Interaction, text: str) -> bool:
    """Say something to the person alone, beside the answer they asked for. Whether it could be said."""
    job_id = interaction.extras.get(JOB)
    if job_id is not None and not await interaction.client.tracker.shown(job_id):
        return False
    try:
        await interaction.followup.send(**build_plain(text), ephemeral=True)
    except LOST as error:  # what was asked for is accepted: an error from here would tell of a refusal
        log.warning("interaction=%s action=note-failed error=%s", interaction.id, type(error).__name__)
        return False
    return True
