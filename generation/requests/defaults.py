"""The choices that a model makes for a request that leaves them open, and what replaces them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import msgspec
from msgspec import UNSET, UnsetType

from generation.requests.errors import TagInModelWordsError, UnknownSamplerError
from generation.requests.prompt import NO_NEGATIVE, check_prompt, join_words
from generation.requests.ranges import CACHE, CLIP_SKIP, MAX_GUIDANCE, STEPS, check_number, check_ranges, check_size
from generation.requests.samplers import SAMPLERS
from generation.translatable import Phrase

TRUE_CFG = 2.0
"""How strongly a negative prompt is avoided by models whose network reads guidance as a number: mild, since the two
add up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """A model's own choices. Sizes in pixels."""

    steps: int
    guidance: float
    sampler: str
    native_px: int
    clip_skip: int = 1
    rescale: float = 0.0
    """How far guidance is scaled back, 0 to 1, as `ImageSpec.rescale`."""
    cache: int = 1
    """The step cache: one of so many evaluations is whole, as `ImageSpec.cache`; 1 is all of them."""
    negative: str = ""
    """The negative prompt of a request that has none, where there is guidance for one to work."""
    prefix: str = ""
    """Words before every prompt and, as `suffix`, behind it: quality tags that the model was trained with."""
    suffix: str = ""
    embeds_guidance: bool = False
    """Whether guidance is a number that its network reads: then a negative prompt is guided by itself (true CFG)."""

    def can_avoid(self, guidance: float | None = None) -> bool:
        """Return whether a negative prompt has an effect at that guidance, or at its own."""
        return self.embeds_guidance or (self.guidance if guidance is None else guidance) > 1

    def choose_true_cfg(self, negative: str) -> float | UnsetType:
        """Return `ImageSpec.true_cfg` for a request with that negative prompt."""
        return rescale_true_cfg(1.0, negative) if self.embeds_guidance else UNSET

    def complete(self, prompt: str, negative: str, guidance: float | None) -> tuple[str, str]:
        """Return both prompts with the model's words. Words that the prompt has already are not added again.

        A negative prompt that is a minus sign alone asks for none.
        """
        if prompt and (self.prefix or self.suffix):
            said = prompt.casefold()
            before, behind = ("" if words.casefold() in said else words for words in (self.prefix, self.suffix))
            prompt = join_words(before, prompt, behind)
        if not negative and self.negative and self.can_avoid(guidance):
            negative = self.negative
        return prompt, "" if negative == NO_NEGATIVE else negative


def rescale_true_cfg(true_cfg: float | UnsetType, negative: str) -> float | UnsetType:
    """Return how strongly a negative prompt is avoided where another strength was: not at all if there is none."""
    if isinstance(true_cfg, UnsetType):
        return UNSET
    return max(true_cfg, TRUE_CFG) if negative else 1.0


class DefaultOverrides(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What replaces a model's defaults, as the fields of `Defaults`; None keeps them. Raise `InvalidRequestError`."""

    steps: int | None = None
    guidance: float | None = None
    sampler: str | None = None
    native_px: int | None = None
    clip_skip: int | None = None
    rescale: float | None = None
    cache: int | None = None
    negative: str | None = None
    prefix: str | None = None
    suffix: str | None = None

    def __post_init__(self) -> None:
        numbers = ((STEPS, self.steps), (CLIP_SKIP, self.clip_skip), (CACHE, self.cache))
        check_ranges(*(each for each in numbers if each[1] is not None))
        if self.guidance is not None:
            check_number(Phrase("Guidance"), self.guidance, low=0, high=MAX_GUIDANCE)
        if self.rescale is not None:
            check_number(Phrase("Guidance rescale"), self.rescale, low=0, high=1)
        if self.sampler is not None and self.sampler not in SAMPLERS:
            raise UnknownSamplerError(name=self.sampler[:60], samplers=", ".join(SAMPLERS))
        if self.native_px is not None:
            check_size(self.native_px, self.native_px)
        for words, name in (
            (self.negative, Phrase("The negative prompt")),
            (self.prefix, Phrase("The words before a prompt")),
            (self.suffix, Phrase("The words behind a prompt")),
        ):
            check_prompt(words or "", name=name, may_be_empty=True)
            if "<" in (words or ""):
                raise TagInModelWordsError(name=name)

    @property
    def given(self) -> dict[str, int | float | str]:
        """The fields that replace something, by name."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        return {name: value for name, value in fields.items() if value is not None}

    def over(self, defaults: Defaults) -> Defaults:
        """Return the defaults with these in place of theirs."""
        return replace(defaults, **self.given)  # type: ignore[arg-type]

    def merged(self, other: DefaultOverrides) -> DefaultOverrides:
        """Return both, those of `other` in place of these."""
        return msgspec.structs.replace(self, **other.given)


NO_OVERRIDES = DefaultOverrides()
