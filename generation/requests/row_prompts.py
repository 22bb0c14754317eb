"""The part of a spec that says what the rows of its forwards read."""

from __future__ import annotations

from msgspec import UnsetType

from generation.requests.prompt_addons import Adapter, Embedding
from generation.requests.prompt_weights import FIRST_SYNTAX
from generation.requests.regions import Area, list_row_prompts, read_regions
from generation.requests.template import Template


class ReadByRows:
    """Prompts, and how many rows read them."""

    __slots__ = ()
    prompt: str
    negative: str
    guidance: float
    adapters: tuple[Adapter, ...]
    embeddings: tuple[Embedding, ...]
    syntax: int | UnsetType
    true_cfg: float | UnsetType
    template: Template | UnsetType

    @property
    def syntax_version(self) -> int:
        return FIRST_SYNTAX if isinstance(self.syntax, UnsetType) else self.syntax

    @property
    def written(self) -> str:
        """The prompt as people write it: the words, then the LoRA."""
        return " ".join((self.prompt, *map(str, self.adapters)))

    @property
    def names(self) -> tuple[str, ...]:
        """The LoRA and learned words that it calls."""
        return (*(each.name for each in self.adapters), *(each.name for each in self.embeddings))

    @property
    def is_undrawn(self) -> bool:
        """Whether its prompts are those of its template: what they hold is not known before they are drawn."""
        if isinstance(self.template, UnsetType):
            return False
        return (self.template.prompt, self.template.negative) == (self.prompt, self.negative)

    @property
    def areas(self) -> tuple[Area, ...]:
        """The parts of the picture that have words of their own, in the order of their rows."""
        return () if self.is_undrawn else read_regions(self.prompt, self.syntax_version).areas

    @property
    def row_prompts(self) -> tuple[str, ...]:
        """What its rows read, but for that of the negative prompt: the prompt or, with regions, what is for each."""
        return (self.prompt,) if self.is_undrawn else list_row_prompts(self.prompt, self.syntax_version)

    @property
    def is_guided(self) -> bool:
        """Whether classifier-free guidance is on: such an image has one more row of a forward."""
        return self.cfg_scale > 1.0

    @property
    def cfg_scale(self) -> float:
        """What classifier-free guidance multiplies by."""
        return self.guidance if isinstance(self.true_cfg, UnsetType) else self.true_cfg

    @property
    def num_rows(self) -> int:
        """The rows it takes of a forward: `[negative,] prompt` or, with regions, one for each and one for the rest."""
        return len(self.row_prompts) + self.is_guided
