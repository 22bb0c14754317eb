"""The one way from a request value to an accepted job: the checks and limits of Discord's submission, in its order.

What differs: there is no channel, so nothing may be seen that needs an age-restricted one; there is no blur, so what a
checker flags is kept back and refunded; nothing is posted, for the one who asks comes for the pictures.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass, replace
from typing import Any

from api.context import PLACE, ApiContext
from api.keys import Caller
from generation import tracing
from generation.admission.context import RequestContext
from generation.admission.defaults import choose_defaults
from generation.admission.gate import require_allowed, require_usable_over_http, require_welcome
from generation.admission.typed import Typed, build_request
from generation.errors import RefusedError
from generation.images.loans import Loans, hold_loans
from generation.jobs.job import NO_CHANNEL, Job, ReplyTo
from generation.policy.defaults import Wishes
from generation.policy.member_preferences import NO_PREFERENCES
from generation.policy.policy import Requester
from generation.requests.drawing import draw_prompts
from generation.requests.edits import Hires, Variation
from generation.requests.prompt import clean_prompt
from generation.requests.sampler_names import read_sampler
from generation.requests.spec import GenerationRequest
from generation.rules.rule import Rule
from generation.safety.visibility import FlaggedHandling, SafetyLevel

SHARE = 1 / 3
"""Of the places of the limiter: a program can wait and try again, and Discord gives a person three seconds."""
COLLECTED = ReplyTo(application_id=0, channel_id=NO_CHANNEL, is_private=True, is_collected=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a dialect has read of a request; None leaves it to the member's, the server's and the model's defaults."""

    prompt: str
    negative: str | None = None
    model: str | None = None
    count: int | None = None
    size: str | None = None
    aspect: str | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    lora: str | None = None
    clip_skip: int | None = None
    variation: Variation | None = None
    hires: Hires | None = None

    def apply_edits(self, request: GenerationRequest) -> GenerationRequest:
        """Return the request with a second seed and a second pass, where they are asked for."""
        if self.variation is None and self.hires is None:
            return request
        return replace(request, spec=replace(request.spec, variation=self.variation, hires=self.hires))


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A job, and the rules that warn of its words."""

    job: Job
    warnings: tuple[Rule, ...] = ()

    def list_warnings(self) -> list[str]:
        """Return the reasons that those rules have."""
        return [rule.reason or "A rule of this server warns of these words." for rule in self.warnings]


Finish = Callable[[Typed, Loans], Awaitable[tuple[GenerationRequest, Collection[str]]]]
"""Makes the request of what was asked for, with the files that came with it: puts them, and names them (SHA-256)."""


async def fetch_context(context: ApiContext, caller: Caller) -> RequestContext:
    """Return all that decides about requests of this key, as of now."""
    rooms, owner = context.rooms, caller.owner
    return RequestContext(
        owner=owner,
        requester=Requester(user_id=owner.user_id, role_ids=caller.role_ids),
        place=PLACE,
        policy=await rooms.guild_policy.fetch(owner.guild_id),
        own=rooms.preferences.chosen.get(owner.user_id, NO_PREFERENCES),
    )


async def require_may_request(context: ApiContext, caller: Caller) -> RequestContext:
    """Return the context. Raise `RefusedError` unless this key may ask now, for whatever it is."""
    context.rooms.admission_limiter.check_capacity(caller.owner.guild_id, share=SHARE)
    context.rooms.generation.require_open()
    found = await fetch_context(context, caller)
    await require_welcome(context.rooms, found, now=context.rooms.clock())
    require_usable_over_http(found.policy)
    found.policy.require_place(found.requester, found.place)
    return found


async def submit(
    context: ApiContext, caller: Caller, asked: Asked, finish: Finish | None = None, *, has_start: bool = True
) -> Accepted:
    """Have it accepted. Raise `RefusedError`: nothing is kept or charged then.

    `finish`: for what is made from files. It runs after the person was found welcome, and before the words are
    screened. `has_start`: whether it starts from one, and so has its shape.
    """
    found = await require_may_request(context, caller)
    has_files = finish is not None
    typed = await fill_in(context, found, asked, has_picture=has_files and has_start, has_upload=has_files)
    if finish is None:
        return await _submit(context, found, asked.apply_edits(build_request(typed)))
    async with hold_loans(Loans(context.rooms.generation.files)) as loans:
        request, attached = await finish(typed, loans)
        return await _submit(context, found, asked.apply_edits(request), attached)


async def submit_request(
    context: ApiContext, caller: Caller, request: GenerationRequest, *, attached: Collection[str] = ()
) -> Accepted:
    """Have a request accepted that is complete: one derived from a picture."""
    return await _submit(context, await require_may_request(context, caller), request, attached)


async def fill_in(
    context: ApiContext, found: RequestContext, asked: Asked, *, has_picture: bool, has_upload: bool
) -> Typed:
    """Return what is to be painted, with defaults for what was left open. Raise `InvalidRequestError`.

    `has_picture`: whether it starts from one; `has_upload`: whether it may be made from what came with it.
    """

    async def as_found() -> RequestContext:
        return found

    wishes = Wishes(
        prompt=clean_prompt(asked.prompt),
        model=context.rooms.generation.catalog.get(asked.model) if asked.model else None,
        shape=asked.aspect,
        sampler=(read_sampler(asked.sampler) or asked.sampler) if asked.sampler else None,
        negative=clean_prompt(asked.negative) if asked.negative else "",
        steps=asked.steps,
        guidance=asked.guidance,
        has_shape=has_picture or asked.size is not None,
        is_from_upload=has_upload,
    )
    chosen = await choose_defaults(context.rooms, found.owner, wishes, as_found)
    shown: dict[str, Any] = {"chosen_by": chosen.chosen_by} if chosen.chosen_by else {}
    return Typed(
        prompt=chosen.prompt,
        model=chosen.model,
        aspect=chosen.shape,
        size=asked.size,
        count=asked.count,
        seed=asked.seed,
        negative=chosen.negative,
        steps=asked.steps,
        guidance=asked.guidance,
        sampler=chosen.sampler,
        lora=asked.lora,
        clip_skip=asked.clip_skip,
        shown=shown,
    )


async def _submit(
    context: ApiContext, found: RequestContext, request: GenerationRequest, attached: Collection[str] = ()
) -> Accepted:
    rooms, owner, began_s = context.rooms, found.owner, time.monotonic()
    model = rooms.generation.catalog.get(request.spec.model)
    request = draw_prompts(request, model, found.policy.choices.word_lists)
    rooms.generation.check(request, owner)
    rooms.admission_limiter.check_capacity(owner.guild_id, share=SHARE)  # others were let in meanwhile
    async with rooms.admission_limiter.acquire(owner.guild_id):
        warnings = await require_allowed(rooms, found, request, attached=attached)
        rooms.rates.take(owner, limit=found.policy.choices.requests_per_minute)
        try:
            job = await rooms.generation.submit(
                request,
                owner,
                reply_to=COLLECTED,
                role_ids=found.requester.role_ids,
                attached=attached,
                handling=_keep_back(found),
                is_checked=True,
            )
        except RefusedError:
            rooms.rates.give_back(owner)
            raise
    tracing.record(job.id, "accepted", began_s, images=len(job.images))
    return Accepted(job=job, warnings=warnings)


def _keep_back(found: RequestContext) -> FlaggedHandling:
    return replace(found.policy.handling(found.place), level=SafetyLevel.BLOCK)
