"""A style: words a guild has given a name, put around a user's prompt."""

from __future__ import annotations

from dataclasses import dataclass

from generation.characters import is_newer
from generation.requests.errors import StyleNameError
from generation.requests.prompt import NO_NEGATIVE, check_prompt, join_words
from generation.translatable import Phrase
from generation.validation import checked

PLACE = "{prompt}"
"""Where in a style's words the person's own words go; at the front if it is not there."""
MAX_NAME_CHARS = 32
MAX_STYLES = 50
_SEPARATORS = frozenset(" '-")


@checked
@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """One style of one guild. Raise `InvalidRequestError`."""

    guild_id: int
    name: str
    prompt: str
    negative: str = ""

    def __post_init__(self) -> None:
        if len(self.name) > MAX_NAME_CHARS or not _is_name(self.name):
            raise StyleNameError(most=MAX_NAME_CHARS)
        check_prompt(self.prompt, name=Phrase("The style's prompt"))
        check_prompt(self.negative, name=Phrase("The style's negative prompt"), may_be_empty=True)

    def around(self, prompt: str, negative: str) -> tuple[str, str]:
        """Return prompt and negative prompt with the style's words: what is screened, painted and shown."""
        template = self.prompt if PLACE in self.prompt else f"{PLACE}, {self.prompt}"
        negative = negative if negative == NO_NEGATIVE else join_words(negative, self.negative)
        return template.replace(PLACE, prompt), negative


def _is_name(text: str) -> bool:
    return bool(text) and text[0] not in _SEPARATORS and all(map(_may_be_in_name, text))


def _may_be_in_name(char: str) -> bool:
    return char.isalnum() or char == "_" or char in _SEPARATORS or is_newer(char)
