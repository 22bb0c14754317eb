"""What the prompts of a picture were drawn from."""

from __future__ import annotations

from dataclasses import dataclass

from generation.requests.prompt import NEGATIVE_NAME, PROMPT_NAME, check_prompt
from generation.requests.wildcards import DRAWING
from generation.validation import checked


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Prompts as they were written, with choices in them, and the version of what is drawn from a seed
    (`generation.requests.wildcards`)."""

    prompt: str
    negative: str = ""
    version: int = DRAWING

    def __post_init__(self) -> None:
        check_prompt(self.prompt, name=PROMPT_NAME)
        check_prompt(self.negative, name=NEGATIVE_NAME, may_be_empty=True)
