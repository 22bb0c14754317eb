"""Who chooses what a request leaves open: what is typed, then the member, the channel, the server, the model. Pure.

A default that cannot be used here and now is passed over and told of: it never refuses a request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from generation.errors import InvalidRequestError, NotAllowedError
from generation.models.catalog import Catalog, Model
from generation.models.sizes import get_shape_size
from generation.policy.guild_preferences import NO_CHANNEL_DEFAULTS, ChannelDefaults
from generation.policy.member_preferences import NO_PREFERENCES, MemberPreferences
from generation.policy.policy import ChannelContext, Policy
from generation.requests.origin import GUIDANCE, MODEL, NEGATIVE, SAMPLER, SHAPE, STEPS, STYLE, Origin
from generation.requests.prompt import check_prompt
from generation.requests.samplers import SAMPLERS
from generation.requests.style import Style
from generation.safety.checker_trust import is_vetted
from generation.translatable import Phrase

GONE = Phrase("it is not here any more")
FORBIDDEN = Phrase("a rule of this server forbids it")
NOT_USED = Phrase("it is not used in this server")
UNCHECKED = Phrase("nothing checks what it paints, so it works in age-restricted channels only")
OTHER_SAMPLERS = Phrase("the model does not paint with it")
TOO_MANY_STEPS = Phrase("this server allows fewer steps")
TOO_LARGE = Phrase("this server allows only smaller pictures")
TOO_LONG = Phrase("it makes the prompt too long")
IGNORED = {
    Origin.MEMBER: Phrase("I did not use your own default “{value}”: {why}. Your defaults are in `/me show`."),
    Origin.CHANNEL: Phrase("I did not use this channel's default “{value}”: {why}."),
}
"""Told where a default is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers:
    """Whose defaults hold for a request. `forbidden`: the words of theirs that a rule of the server forbids here."""

    policy: Policy
    place: ChannelContext
    own: MemberPreferences = NO_PREFERENCES
    channel: ChannelDefaults = NO_CHANNEL_DEFAULTS
    style: Style | None = None
    """The channel's."""
    forbidden: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a person typed of the values that have defaults; None for what they left open."""

    prompt: str = ""
    model: Model | None = None
    shape: str | None = None
    style: Style | None = None
    sampler: str | None = None
    negative: str = ""
    steps: int | None = None
    guidance: float | None = None
    has_shape: bool = False
    """Whether a size or a picture says the shape already."""
    takes_style: bool = False
    is_from_upload: bool = False

    @property
    def typed(self) -> list[str]:
        """The names of the values that were typed."""
        values = {
            MODEL: self.model,
            SHAPE: self.shape,
            STYLE: self.style,
            SAMPLER: self.sampler,
            NEGATIVE: self.negative,
            STEPS: self.steps,
            GUIDANCE: self.guidance,
        }
        return [name for name, value in values.items() if value is not None and value != ""]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The values of a request with those that were chosen for it; None is left to the model."""

    model: Model
    prompt: str
    shape: str | None
    sampler: str | None
    negative: str
    chosen_by: dict[str, Origin] = field(default_factory=dict)
    """Empty where no default chose anything."""
    ignored: tuple[Phrase, ...] = ()
    """What there is to say of defaults that were passed over."""


def choose_server_model(catalog: Catalog, policy: Policy) -> Model:
    """Return the model that paints in a server where no one names another: its choice, else the installation's."""
    choices = policy.settings.choices
    name = choices.choose_default_model([model.name for model in catalog.models])
    model = catalog.default if name is None else catalog.get(name)
    return adapt_model(model, policy) if choices.model_defaults else model


def adapt_model(model: Model, policy: Policy) -> Model:
    """Return the model with the defaults that the guild has chosen for it."""
    return model.with_defaults(policy.choices.model_defaults.get(model.name))


Offer = tuple[Origin, Any]


@dataclass(slots=True)
class Chooser:
    """Chooses the values of one request."""

    wishes: Wishes
    layers: Layers
    catalog: Catalog
    checks_safety: bool = True
    _chosen_by: dict[str, Origin] = field(default_factory=dict)
    _ignored: list[Phrase] = field(default_factory=list)

    def choose(self) -> Choice:
        """Return the values, each from the first that chose it and can be used here."""
        wishes, own, channel = self.wishes, self.layers.own, self.layers.channel
        choices = self.layers.policy.settings.choices
        shape, sampler, prompt, negative = wishes.shape, wishes.sampler, wishes.prompt, wishes.negative
        model = None if wishes.model is None else adapt_model(wishes.model, self.layers.policy)
        if model is None and (own.model or channel.model):
            offers = (Origin.MEMBER, own.model), (Origin.CHANNEL, channel.model)
            name = self._pick(MODEL, offers, self._refuse_model)
            model = adapt_model(self.catalog.get(name), self.layers.policy) if name is not None else None
        if model is None:
            model = choose_server_model(self.catalog, self.layers.policy)
            if choices.default_model is not None and choices.default_model == model.name:
                self._chosen_by[MODEL] = Origin.SERVER
        if shape is None and not wishes.has_shape:
            if own.shape or channel.shape:
                offers = (Origin.MEMBER, own.shape), (Origin.CHANNEL, channel.shape)
                shape = self._pick(SHAPE, offers, lambda name: self._refuse_shape(model, name))
            if shape is None and choices.default_aspect is not None:
                shape, self._chosen_by[SHAPE] = choices.default_aspect, Origin.SERVER
        if sampler is None and own.sampler:
            sampler = self._pick(
                SAMPLER, [(Origin.MEMBER, own.sampler)], lambda name: self._refuse_sampler(model, name)
            )
        if not negative and own.negative and self._is_guided(model):
            negative = self._pick(NEGATIVE, [(Origin.MEMBER, own.negative)], self._refuse_negative) or ""
        if wishes.style is not None:
            prompt, negative = wishes.style.around(prompt, negative)
        elif wishes.takes_style and channel.style:
            prompt, negative = self._put_channel_style(channel.style, prompt, negative)
        if choices.model_defaults:
            self._note_server(model)
        return Choice(
            model=model,
            prompt=prompt,
            shape=shape,
            sampler=sampler,
            negative=negative,
            chosen_by=self._chosen_by and {**dict.fromkeys(wishes.typed, Origin.TYPED), **self._chosen_by},
            ignored=tuple(self._ignored),
        )

    def _pick(self, name: str, offers: Iterable[Offer], refuse: Callable[[Any], Phrase | None]) -> Any:
        """Return the first offer that can be used, and note whose it is; None if there is none."""
        for origin, value in offers:
            if not value:
                continue
            why = FORBIDDEN if value in self.layers.forbidden else refuse(value)
            if why is None:
                self._chosen_by[name] = origin
                return value
            self._ignored.append(Phrase(IGNORED[origin].template, value=value, why=why))
        return None

    def _refuse_model(self, name: str) -> Phrase | None:
        model = next((each for each in self.catalog.models if each.name == name), None)
        if model is None:
            return GONE
        policy, wishes = self.layers.policy, self.wishes
        choices, model = policy.choices, adapt_model(model, policy)
        if choices.models and name not in choices.models:
            return NOT_USED
        is_from_upload = wishes.is_from_upload
        vetted = is_vetted(model, checks_safety=self.checks_safety, is_from_upload=is_from_upload)
        try:
            policy.require_vetted(self.layers.place, is_vetted=vetted, is_from_upload=is_from_upload)
        except NotAllowedError:
            return UNCHECKED
        if wishes.steps is None and model.defaults.steps > choices.max_steps:
            return TOO_MANY_STEPS
        return TOO_LARGE if model.defaults.native_px > choices.max_side_px else None

    def _refuse_shape(self, model: Model, name: str) -> Phrase | None:
        try:
            size_px = get_shape_size(model, name)
        except InvalidRequestError:
            return GONE
        return TOO_LARGE if max(size_px) > self.layers.policy.choices.max_side_px else None

    def _refuse_sampler(self, model: Model, name: str) -> Phrase | None:
        if name not in SAMPLERS:
            return GONE
        if name not in model.samplers:
            return OTHER_SAMPLERS
        steps, most = self.wishes.steps or model.defaults.steps, SAMPLERS[name].max_steps
        return Phrase("it takes at most {most} steps", most=most) if most is not None and steps > most else None

    def _refuse_negative(self, text: str) -> Phrase | None:
        style = self.wishes.style
        return None if style is None or _fits(style.around("a", text)[1]) else TOO_LONG

    def _is_guided(self, model: Model) -> bool:
        """Return whether there is guidance for a negative prompt to work, which costs no row more."""
        return not model.defaults.embeds_guidance and model.defaults.can_avoid(self.wishes.guidance)

    def _put_channel_style(self, name: str, prompt: str, negative: str) -> tuple[str, str]:
        style = self.layers.style
        if style is None:
            why = GONE
        elif style.name in self.layers.forbidden:
            why = FORBIDDEN
        else:
            around = style.around(prompt, negative)
            if all(map(_fits, around)):
                self._chosen_by[STYLE] = Origin.CHANNEL
                return around
            why = TOO_LONG
        self._ignored.append(Phrase(IGNORED[Origin.CHANNEL].template, value=name, why=why))
        return prompt, negative

    def _note_server(self, model: Model) -> None:
        """Note what the server has chosen for the model and no one else chose."""
        given = self.layers.policy.choices.model_defaults.get(model.name)
        taken = {*self.wishes.typed, *self._chosen_by}
        for name in (given.given if given is not None else {}).keys() & {SAMPLER, NEGATIVE, STEPS, GUIDANCE} - taken:
            if name != NEGATIVE or self._is_guided(model):
                self._chosen_by[name] = Origin.SERVER


def _fits(text: str) -> bool:
    """Return whether a prompt is short enough to be painted."""
    try:
        check_prompt(text, name=Phrase("The prompt"), may_be_empty=True)
    except InvalidRequestError:
        return False
    return True
