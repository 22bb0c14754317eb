"""The patterns of one guild, compiled together by RE2: one pass over a text for all of them.

RE2 takes time linear in the text, but the factor is the size of the compiled program: a counted repeat multiplies what
it repeats. So the patterns of a guild share one budget of instructions. Too many are refused where they are added;
whether a set fits is decided by its size alone, never by how busy the machine is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import re2

from generation.rules.errors import PatternsNotCompiledError, PatternsTooLargeError
from generation.rules.rule import compile_pattern, options

MAX_INSTRUCTIONS = 100_000
"""Of all patterns of a guild together. A pattern of plain words has about as many as it has characters."""
_SMALL_SET_MEMORY = 1 << 20
_MEMORY_PER_INSTRUCTION = 320
"""Bytes: RE2 gives a quarter to the program (16 an instruction), the rest to the states it meets (4 an instruction)."""


class PatternSet:
    """Raise `InvalidRequestError` for a pattern that RE2 refuses, and for patterns that are too large together."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self.num_instructions = _require_affordable(patterns)
        self._patterns = patterns
        chosen = options()
        chosen.max_mem = _SMALL_SET_MEMORY + _MEMORY_PER_INSTRUCTION * self.num_instructions
        self._set = re2.Set.SearchSet(chosen)
        for pattern in patterns:
            self._set.Add(pattern)
        try:
            self._set.Compile()
        except re2.error:
            raise PatternsNotCompiledError from None

    def matches(self, text: str) -> Iterator[tuple[int, str]]:
        """Yield the index of each pattern that matches, and the piece of text it matches."""
        for index in (self._set.Match(text) or ()) if self._patterns else ():
            match = compile_pattern(self._patterns[index]).search(text)
            yield index, match.group() if match else ""


def _require_affordable(patterns: Sequence[str]) -> int:
    """Return the instructions of all of them. Raise `InvalidRequestError` as soon as they are too many."""
    total = 0
    for pattern in patterns:
        total += (own := compile_pattern(pattern).programsize)
        if total > MAX_INSTRUCTIONS:
            raise PatternsTooLargeError(most=MAX_INSTRUCTIONS, text=pattern, own=own, repeat="{60}")
    return total
