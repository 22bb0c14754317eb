"""Which variant of a finished message Discord takes: with smaller files, without files, without the member's words."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cogs.common.discord_errors import CONTENT, LATER, Step
from cogs.common.message_limits import DEFAULT_SIZE_LIMIT
from cogs.common.messages import MessageSpec
from cogs.common.refused_messages import MessageRefusedError, UnreachableError

CUT = 0.7
MAX_CUTS = 12
"""From 10 MiB that leads to 140 KiB."""


@dataclass(frozen=True, slots=True)
class MessageVariant:
    """What of a message is sent. `size_limit`: of each file, in bytes."""

    size_limit: int = DEFAULT_SIZE_LIMIT
    has_files: bool = True
    has_words: bool = True
    num_cuts: int = 0
    why: str | None = None
    """Why something is missing."""

    def within(self, size_limit: int) -> MessageVariant:
        """Return the same with files of at most `size_limit` bytes."""
        return replace(self, size_limit=min(self.size_limit, size_limit))

    def after(self, refused: MessageRefusedError, sent: MessageSpec) -> MessageVariant:
        """Return the next one to try. Raise `Unreachable` if there is none, and `refused` if this one is to wait."""
        step, why = refused.step, refused.refusal.why
        if step in LATER:
            raise refused
        if step is Step.KEEP or self._has_met(step):
            raise UnreachableError(why) from refused
        sizes = [len(each.data) for each in sent.pictures()]
        if step is Step.SMALLER and sizes and self.num_cuts < MAX_CUTS:
            return replace(self, size_limit=_compute_next_limit(max(sizes)), num_cuts=self.num_cuts + 1)
        return replace(
            self,
            has_files=self.has_files and step is Step.NO_WORDS,
            has_words=self.has_words and step in CONTENT - {Step.NO_WORDS},
            why=why,
        )

    def _has_met(self, step: Step) -> bool:
        """Return whether a step could change nothing any more."""
        if step in (Step.SMALLER, Step.NO_FILES):
            return not self.has_files
        return not self.has_words and (step is Step.NO_WORDS or not self.has_files)


def _compute_next_limit(largest: int) -> int:
    """Discord's usual limit first: it is what a server falls back to when its boosts run out."""
    return DEFAULT_SIZE_LIMIT if largest > DEFAULT_SIZE_LIMIT else int(largest * CUT)
