"""The way every request takes, whether typed or pressed: check, acknowledge, submit, and have its message followed.

Acknowledging decides whether an answer is seen by all or by one. So what can be refused by looking alone is refused
before it; what is refused after it deletes the public message first. What was checked before it is handed on and is not
checked again, unless something it was checked against has changed (docs/decisions/0040-check-once.md).
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import discord

from cogs.common.member_language import get_locale
from cogs.common.plain_text import build_plain
from cogs.common.policy_checks import draw_from_lists, require_may_request, require_own
from cogs.common.posting_permissions import require_can_post
from cogs.common.submission_notes import format_warnings, list_word_notes
from cogs.context import Interaction, get_owner
from cogs.error_handler import LOST, AnsweredError, answer, delete_answer
from cogs.i18n.gettext import get_guild_language, match_language
from generation import metrics, tracing
from generation.admission.context import RequestContext
from generation.admission.gate import require_allowed
from generation.errors import RefusedError
from generation.jobs.job import Job, ReplyTo
from generation.log_context import about
from generation.owner import USER_TENANT, Owner
from generation.policy.guild_preferences import Pressers
from generation.requests.spec import GenerationRequest
from generation.requests.unfetched import hide_files
from generation.rules.rule import Rule

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Acknowledged:
    """An interaction that shows “thinking…”, and what was found before it did. `submit` consumes it."""

    context: RequestContext
    reply_to: ReplyTo
    request: GenerationRequest | None
    """What was checked; None where it was not known yet."""
    warnings: tuple[Rule, ...] = ()
    """The rules that warn of it."""

    def covers(self, context: RequestContext, request: GenerationRequest, attached: Collection[str]) -> bool:
        """Return whether just this was checked, but for the names of the files that had to be fetched first."""
        return self.request is not None and (context == self.context and hide_files(request, attached) == self.request)


@asynccontextmanager
async def acknowledge(
    interaction: Interaction, request: GenerationRequest | None = None, *, attached: Collection[str] = ()
) -> AsyncIterator[Acknowledged]:
    """Refuse at once what can be refused at once; else show everyone “thinking…”. What fails inside is told privately.

    `request` is None where it can only be known after the acknowledgement; `attached`: its files that the person sent.
    """
    limiter, owner = interaction.client.services.admission_limiter, get_owner(interaction)
    limiter.check_capacity(owner.guild_id)
    with limiter.slot(owner.guild_id):
        acknowledged = await _acknowledge(interaction, owner, request, attached)
    make_way = None if acknowledged.reply_to.is_private else partial(delete_answer, interaction)
    try:
        yield acknowledged
    except AnsweredError:
        raise
    except Exception as error:
        await answer(interaction, error, make_way=make_way)
        raise AnsweredError from error


async def _acknowledge(
    interaction: Interaction, owner: Owner, request: GenerationRequest | None, attached: Collection[str]
) -> Acknowledged:
    services, warnings = interaction.client.services, tuple[Rule, ...]()
    received_s = services.monotonic()
    if owner.guild_id != USER_TENANT:  # an answer that one person sees is bound by no permission of the bot
        require_can_post(interaction)
    if request is not None:
        if request.spec.template:
            request = await draw_from_lists(interaction, request)
        services.generation.check(request, owner)
    else:
        services.generation.require_open()
    context = await require_may_request(interaction, owner)
    if request is not None:
        warnings = await _require_allowed(interaction, context, request, attached)
    reply_to = await _defer(interaction, context, received_s=received_s)
    metrics.ACKNOWLEDGED.observe(services.monotonic() - received_s)
    return Acknowledged(context=context, reply_to=reply_to, request=request, warnings=warnings)


async def _require_allowed(
    interaction: Interaction, context: RequestContext, request: GenerationRequest, attached: Collection[str]
) -> tuple[Rule, ...]:
    if context.policy.choices.pressers is Pressers.OWNER:
        await require_own(interaction, context)
    return await require_allowed(interaction.client.services, context, request, attached=attached)


async def _defer(interaction: Interaction, context: RequestContext, *, received_s: float) -> ReplyTo:
    """Show “thinking…”, to everyone or to the person alone. Return where the answer goes."""
    is_private = context.is_private
    is_alone = is_private or context.place.is_dm
    response = await interaction.response.defer(thinking=True, ephemeral=is_private)
    return ReplyTo(
        application_id=interaction.application_id,
        channel_id=interaction.channel_id or 0,
        token=interaction.token,
        token_expires_at=interaction.expires_at,
        received_s=received_s,
        message_id=response.message_id if response is not None else None,
        locale=match_language(get_locale(interaction))
        if is_alone
        else get_guild_language(context.policy.settings.choices.language, interaction.guild_locale),
        is_private=is_private,
    )


async def submit(
    interaction: Interaction,
    request: GenerationRequest,
    acknowledged: Acknowledged,
    *,
    attached: Collection[str] = (),
) -> Job:
    """Have the request accepted; from here on the tracker looks after its message."""
    if request.spec.template:
        request = await draw_from_lists(interaction, request)
    async with interaction.client.services.admission_limiter.acquire(acknowledged.context.owner.guild_id):
        job, warnings = await _submit(interaction, request, acknowledged, attached)
    async with accepted(interaction, job):
        notes = [format_warnings(warnings)] if warnings else []
        if interaction.type is not discord.InteractionType.component:  # a button repeats words that were told of before
            notes += list_word_notes(request, interaction.client.services.generation.catalog.models)
        if notes:  # this waits for Discord, so it keeps no turn from others
            await send_note(interaction, "\n".join(notes), job_id=job.id)
    return job


async def _submit(
    interaction: Interaction, request: GenerationRequest, acknowledged: Acknowledged, attached: Collection[str]
) -> tuple[Job, tuple[Rule, ...]]:
    """Submit the request. Return the job, and the rules that warn of it."""
    client, services = interaction.client, interaction.client.services
    context, warnings = await require_may_request(interaction), acknowledged.warnings
    is_checked = acknowledged.covers(context, request, attached)
    if not is_checked:
        warnings = await _require_allowed(interaction, context, request, attached)
    services.rates.take(context.owner, limit=context.policy.choices.requests_per_minute)
    try:
        job = await services.generation.submit(
            request,
            context.owner,
            reply_to=acknowledged.reply_to,
            role_ids=context.requester.role_ids,
            asked_at=interaction.created_at,
            attached=attached,
            handling=context.policy.handling(context.place),
            is_checked=is_checked,
        )
    except RefusedError:
        services.rates.give_back(context.owner)
        raise
    about(job.id)
    received_s = acknowledged.reply_to.received_s
    since_s = 0.0 if received_s is None else services.monotonic() - received_s
    tracing.record(job.id, "accepted", time.monotonic() - since_s, images=len(job.images))
    client.tracker.watch(job.id, acknowledged.reply_to, size_limit=interaction.filesize_limit)
    return job, warnings


async def acknowledge_and_submit(interaction: Interaction, request: GenerationRequest) -> Job:
    """Both in one, for a request that is complete."""
    async with acknowledge(interaction, request) as acknowledged:
        return await submit(interaction, request, acknowledged)


@asynccontextmanager
async def accepted(interaction: Interaction, job: Job) -> AsyncIterator[None]:
    """Hold what is done for a request after it has become a job: an error in here takes nothing back."""
    try:
        yield
    except Exception as error:
        shown = partial(interaction.client.tracker.shown, job.id)
        await answer(interaction, error, is_accepted=True, make_way=shown)
        raise AnsweredError from error


async def send_note(interaction: Interaction, text: str, *, job_id: str | None = None) -> bool:
    """Say something to the person alone, beside the answer they asked for. Whether it could be said.

    `job_id`: the job whose message that answer becomes.
    """
    if job_id is not None and not await interaction.client.tracker.shown(job_id):
        return False
    try:
        await interaction.followup.send(**build_plain(text), ephemeral=True)
    except LOST as error:  # what was asked for is accepted: an error from here would tell of a refusal
        log.warning("interaction=%s action=note-failed error=%s", interaction.id, type(error).__name__)
        return False
    return True
