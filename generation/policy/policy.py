"""Whether a request may be made: what its guild has chosen and forbidden, for this person, in this place, now. Pure.

It is asked at every submit, typed or pressed: a button may be older than the rule that forbids it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from generation.errors import BlockedByRuleError
from generation.jobs.job import Image, Job
from generation.owner import Owner
from generation.policy.errors import (
    CountNotAllowedError,
    ModelNotAllowedError,
    NoPaintingRoleError,
    NoStartImageRoleError,
    NotThisChannelError,
    NotYourButtonError,
    SideNotAllowedError,
    StepsNotAllowedError,
    UncheckedModelError,
    UncheckedUploadError,
)
from generation.policy.guild_preferences import GuildPreferences, Pressers, Spoilers
from generation.policy.guild_settings import GuildSettings
from generation.requests.spec import GenerationRequest
from generation.rules.folding import words_of_name
from generation.rules.rule import Action, Rule
from generation.rules.rulebook import NO_RULES, Match, RuleSet
from generation.safety.visibility import FlaggedHandling, Shown, get_level_at, how_shown, stricter
from generation.translatable import Phrase


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelContext:
    """Where something is asked: the channel, then what it lies in. All of it as Discord says it now."""

    channel_ids: tuple[int, ...] = ()
    is_age_restricted: bool = False
    is_dm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Requester:
    """Who asks, with their roles in the guild."""

    user_id: int
    role_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """All that binds the requests of one guild."""

    settings: GuildSettings
    rules: RuleSet = NO_RULES
    choices: GuildPreferences = field(init=False, repr=False, compare=False)
    """Those of `settings`: a field, for every request reads it several times."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "choices", self.settings.choices)

    def require_unblocked(self, matches: Iterable[Match], asker: Requester, place: ChannelContext) -> tuple[Rule, ...]:
        """Raise `BlockedByRuleError` if a rule that matched holds here and blocks. Return the rules that only warn."""
        hits = self.rules.hits(matches, channel_ids=place.channel_ids, role_ids=_add_everyone(self, asker))
        for hit in hits:
            if hit.rule.action is Action.BLOCK:
                raise BlockedByRuleError(
                    reason=hit.rule.reason or Phrase("it holds something this server does not want.")
                )
        return tuple(hit.rule for hit in hits)

    def require_vetted(self, place: ChannelContext, *, is_vetted: bool, is_from_upload: bool) -> None:
        """Raise `NotAllowedError` for pictures that no checker can judge, outside age-restricted channels."""
        if is_vetted or place.is_age_restricted:
            return
        if is_from_upload:
            raise UncheckedUploadError
        raise UncheckedModelError

    def handling(self, place: ChannelContext) -> FlaggedHandling:
        """Return how flagged pictures requested in that place are handled."""
        level = get_level_at(self.settings.safety, is_age_restricted=place.is_age_restricted)
        choices = self.settings.choices
        return FlaggedHandling(level=level, strictness=choices.strictness, review_hours=choices.review_hours)

    def how_shown(self, job: Job, image: Image, place: ChannelContext, *, is_harmless: bool, is_judged: bool) -> Shown:
        """Return whether a finished picture may be shown there now, by today's policy and that of its request.

        `is_judged`: its scores vouch for it, where it has some.
        """
        if not is_judged and not place.is_age_restricted:
            return Shown.NOT
        now = get_level_at(self.settings.safety, is_age_restricted=place.is_age_restricted)
        shown = how_shown(image.judgement, stricter(job.handling.level, now), is_harmless=is_harmless)
        return Shown.SPOILER if shown is Shown.OPENLY and self.is_behind_spoiler(job.request) else shown

    def is_behind_spoiler(self, request: GenerationRequest) -> bool:
        """Return whether its pictures are hidden until a viewer wants to see them, flagged or not."""
        return request.is_spoiler is True or self.settings.choices.spoilers is Spoilers.ALL

    def require_may_press(self, owner: Owner, asker: Requester) -> None:
        """Raise `NotAllowedError` where only one's own buttons may be pressed."""
        if self.settings.choices.pressers is Pressers.OWNER and owner.user_id != asker.user_id:
            raise NotYourButtonError

    def require_place(self, asker: Requester, place: ChannelContext) -> None:
        """Raise `NotAllowedError` where the guild does not let this person paint."""
        choices = self.choices
        if choices.channel_ids and set(choices.channel_ids).isdisjoint(place.channel_ids):
            named = ", ".join(f"<#{channel_id}>" for channel_id in choices.channel_ids[:5])
            raise NotThisChannelError(channels=named)
        if choices.role_ids and set(choices.role_ids).isdisjoint(_add_everyone(self, asker)):
            raise NoPaintingRoleError

    def require_within_limits(
        self, request: GenerationRequest, asker: Requester, *, attached: Collection[str] = ()
    ) -> None:
        """Raise `NotAllowedError` for more than the guild allows, without regard to the text, which is screened.

        `attached`: the files that came with the request, by SHA-256.
        """
        choices, spec = self.choices, request.spec
        if request.count > choices.max_count:
            raise CountNotAllowedError(most=choices.max_count, asked=request.count)
        for each in request.cells or (spec,):  # what is drawn differs in words only
            if choices.models and each.model not in choices.models:
                raise ModelNotAllowedError(model=each.model, allowed=", ".join(choices.models[:10]))
            if each.steps > choices.max_steps:
                raise StepsNotAllowedError(most=choices.max_steps, asked=each.steps)
            if (side_px := max(each.result_size_px)) > choices.max_side_px:
                raise SideNotAllowedError(most=choices.max_side_px, asked=side_px)
        wanted = choices.start_image_role_ids
        if wanted and set(wanted).isdisjoint(_add_everyone(self, asker)):
            is_started = spec.start is not None or bool(spec.control or spec.reference or spec.image_prompt)
            # Beside a picture of ours, which is its parent, there may be one that came. A mask is no picture.
            if is_started and (request.parent is None or not set(attached).isdisjoint(spec.made_from)):
                raise NoStartImageRoleError


def collect_texts(
    request: GenerationRequest, *, default_model: str, own_negatives: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """Return all texts of a request: both prompts, and the names of what it calls, as they are and in words.

    The name of a model counts where a member chose it: what paints by default is no one's saying. Nor are
    `own_negatives`, the negative prompts that models have by default: they name what a server may well forbid.
    """
    texts, names = list[str](), list[str]()
    for spec in request.specs:
        is_own = spec.negative == own_negatives.get(spec.model)
        texts += [spec.prompt, "" if is_own else spec.negative]
        texts += [text for wording in spec.readings for text in (wording[:1] if is_own else wording)]
        if spec.template:
            texts += [spec.template.prompt, spec.template.negative]
        names += spec.names if spec.model == default_model else (*spec.names, spec.model)
    if request.alt:
        texts.append(request.alt)
    return tuple(dict.fromkeys((*texts, *names, *map(words_of_name, names))))


def _add_everyone(policy: Policy, asker: Requester) -> set[int]:
    """Return a member's roles; the one whose id is the guild's is everyone."""
    return {*asker.role_ids, policy.settings.guild_id}
