"""Whether a request may be made: the guild's policy asked with what is known of the person. Discord and the API ask it.

It says nothing of what only Discord knows: whether a channel or a role still exists, whose button was pressed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from generation.admission.context import RequestContext
from generation.admission.errors import (
    BlockedError,
    BlockedUntilError,
    NoChannelHereError,
    ServersOnlyError,
    UserInstallsOffError,
    WithheldTooOftenError,
)
from generation.admission.rooms import Rooms
from generation.errors import BlockedByRuleError
from generation.jobs.job import Image, Job
from generation.jobs.source_access import require_sources
from generation.owner import DM_TENANT, USER_TENANT, Owner
from generation.policy.defaults import adapt_model, choose_server_model
from generation.policy.guild_preferences import Visibility
from generation.policy.policy import ChannelContext, Policy, collect_texts
from generation.requests.spec import GenerationRequest
from generation.rules.rule import Rule
from generation.safety.checker_trust import is_harmless, is_judged, is_vetted
from generation.safety.errors import MinorSafetyError
from generation.safety.minor_safety import protection
from generation.safety.visibility import Shown


async def require_welcome(rooms: Rooms, context: RequestContext, *, now: datetime) -> None:
    """Raise `NotAllowedError` unless requests of this person are taken here and now, for whatever it is.

    Also for one who is too quick, or had many pictures withheld lately. `now`: by Discord where that is known, which
    dates what people do; the clock of this machine may be wrong.
    """
    owner, choices = context.owner, context.policy.choices
    (await rooms.operator.admission()).require_admitted(owner.guild_id)
    if context.place.is_dm:
        _require_open(rooms, owner)
    if (until := await rooms.moderation.fetch_blocked_until(owner.guild_id, owner.user_id, now=now)) is not None:
        is_short = until - now < timedelta(days=1000)
        raise BlockedUntilError(when=f"<t:{int(until.timestamp())}:f>") if is_short else BlockedError()
    rooms.rates.check(owner, limit=choices.requests_per_minute)
    if choices.withheld_per_hour:
        withheld = await rooms.jobs.num_withheld(owner, since=now - timedelta(hours=1))
        if withheld >= choices.withheld_per_hour:
            raise WithheldTooOftenError


def require_usable_over_http(policy: Policy) -> None:
    """Raise `NoChannelHereError` where a guild names channels, or wants every answer public: HTTP has no channel."""
    if policy.choices.channel_ids or policy.choices.visibility is Visibility.ALWAYS_PUBLIC:
        raise NoChannelHereError


def _require_open(rooms: Rooms, owner: Owner) -> None:
    """Raise `NotAllowedError` outside servers, unless the operator wants requests there."""
    if owner.guild_id == DM_TENANT and not rooms.allows_dms:
        raise ServersOnlyError
    if owner.guild_id == USER_TENANT and not rooms.allows_user_installs:
        raise UserInstallsOffError


async def require_allowed(
    rooms: Rooms, context: RequestContext, request: GenerationRequest, *, attached: Collection[str] = ()
) -> tuple[Rule, ...]:
    """Raise `RefusedError` unless the request may be made. What comes back are rules the person is to be told of.

    `context` is of a person who is welcome (`require_welcome`); `attached`: the files of the request that came with it.
    """
    owner, policy = context.owner, context.policy
    catalog, specs = rooms.generation.catalog, request.specs
    is_from_upload = await require_sources(request, owner, rooms.jobs, attached=attached)
    for model in {spec.model: catalog.get(spec.model) for spec in specs}.values():
        is_judged = is_vetted(model, checks_safety=rooms.generation.checks_safety, is_from_upload=is_from_upload)
        policy.require_vetted(context.place, is_vetted=is_judged, is_from_upload=is_from_upload)
    policy.require_within_limits(request, context.requester, attached=attached)
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
        return await require_words_allowed(rooms, context, texts)
    except (BlockedByRuleError, MinorSafetyError):
        await rooms.moderation.record_refusal(owner.guild_id, owner.user_id)
        raise


async def require_words_allowed(rooms: Rooms, context: RequestContext, texts: Iterable[str]) -> tuple[Rule, ...]:
    """Raise `BlockedByRuleError` if a rule of the guild forbids one of these here. Return the rules that only warn."""
    matches = await rooms.content_rules.screen(context.policy, texts)
    return context.policy.require_unblocked(matches, context.requester, context.place)


async def fetch_visibility(job: Job, rooms: Rooms, place: ChannelContext) -> dict[int, Shown]:
    """How each picture of a job may be shown in a place, by its index."""
    policy = await rooms.guild_policy.fetch(job.owner.guild_id)
    models = {each.name: each for each in rooms.generation.catalog.models}

    def how_shown(image: Image) -> Shown:
        model, is_upload = models.get(image.spec.model), job.is_from_upload
        margins = image.judgement.margins if image.judgement is not None else {}
        return policy.how_shown(
            job,
            image,
            place,
            is_harmless=model is not None and is_harmless(model, is_from_upload=is_upload),
            is_judged=model is None or is_judged(model, margins, is_from_upload=is_upload),
        )

    return {image.index: how_shown(image) for image in job.images}
