"""All rules of a guild, made ready to screen prompts in about a millisecond, however many they are.

Words are looked up, so ten thousand cost what ten do. Patterns are matched all at once by RE2, whose time is linear
in the text whatever the pattern.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import re2

from generation.errors import InvalidRequest
from generation.phrase import Phrase
from generation.rules import folding
from generation.rules.rule import MAX_PATTERNS, MAX_RULES, Action, Kind, Rule, compile_pattern, options

_SET_MEMORY = 64 << 20


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule, and the words or the piece of text it was found in."""

    rule: Rule
    found: str


@dataclass(frozen=True, slots=True)
class _Phrase:
    """A word rule: the words, and whether the last may have any ending."""

    words: tuple[str, ...]
    is_open: bool
    rule: Rule


class Rulebook:
    """The rules of one guild. Raises `InvalidRequest` if they are too many."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        require_number(self.rules)
        self._phrases: defaultdict[str, list[_Phrase]] = defaultdict(list)
        self._stems: dict[str, list[_Phrase]] = {}
        self._unspaced: list[tuple[str, Rule]] = []
        self._patterns = [rule for rule in self.rules if rule.kind is Kind.PATTERN]
        self._compiled = [compile_pattern(rule.text) for rule in self._patterns]
        self._set = _set_of(self._patterns)
        for rule in self.rules:
            if rule.kind is Kind.WORD:
                self._add_words(rule)

    def screen(
        self, texts: Iterable[str], *, channel_ids: Collection[int] = (), role_ids: Collection[int] = ()
    ) -> tuple[Hit, ...]:
        """The rules that hold there (a channel and what it lies in) for those roles, and match one of the texts.

        Blocking rules come first; a rule is named once.
        """
        found: dict[Rule, Hit] = {}
        for text in texts:
            for hit in self._hits(text) if text else ():
                if holds(hit.rule, channel_ids=channel_ids, role_ids=role_ids):
                    found.setdefault(hit.rule, hit)
        return tuple(sorted(found.values(), key=lambda hit: hit.rule.action is not Action.BLOCK))

    def _hits(self, text: str) -> Iterator[Hit]:
        folded = folding.fold(text)
        if self._set is not None:
            yield from self._pattern_hits(text, folded)
        for reading in folding.readings(folded):
            yield from self._word_hits(reading)
        if not text.isascii():
            for reading in folding.readings(folding.native(text)):
                yield from self._word_hits(reading)
        if self._unspaced:
            whole = folding.unspaced(folded)
            yield from (Hit(rule, word) for word, rule in self._unspaced if word in whole)

    def _pattern_hits(self, text: str, folded: str) -> Iterator[Hit]:
        assert self._set is not None
        for way in {folding.plain(text), folded}:
            for index in self._set.Match(way) or ():
                match = self._compiled[index].search(way)
                yield Hit(self._patterns[index], match.group() if match else "")

    def _word_hits(self, reading: list[str]) -> Iterator[Hit]:
        for at, word in enumerate(reading):
            if (phrases := self._phrases.get(word)) is not None:
                yield from _matching(phrases, reading, at)
            if self._stems:
                for end in range(1, len(word) + 1):
                    if (phrases := self._stems.get(word[:end])) is not None:
                        yield from (Hit(phrase.rule, word) for phrase in phrases)

    def _add_words(self, rule: Rule) -> None:
        is_open = rule.text.rstrip().endswith("*")
        for folded in {folding.fold(rule.text), folding.native(rule.text)}:
            self._add_phrase(folded, rule, is_open=is_open)

    def _add_phrase(self, folded: str, rule: Rule, *, is_open: bool) -> None:
        words = folding.words(folded)
        phrase = _Phrase(words, is_open, rule)
        if folding.has_no_spaces(folded):
            self._unspaced.append((folding.unspaced(folded), rule))
        elif is_open and len(words) == 1:
            self._stems.setdefault(words[0], []).append(phrase)
        else:
            self._phrases[words[0]].append(phrase)


def require_number(rules: Collection[Rule]) -> None:
    """Raise `InvalidRequest` for more rules than a guild may have."""
    require_numbers(len(rules), count_patterns(rules))


def count_patterns(rules: Iterable[Rule]) -> int:
    return sum(rule.kind is Kind.PATTERN for rule in rules)


def require_numbers(num_rules: int, num_patterns: int) -> None:
    """As `require_number`, where they were only counted; the patterns are among the rules."""
    if num_rules > MAX_RULES:
        problem = Phrase("may have at most {most} rules, not {number}.", most=MAX_RULES, number=num_rules)
        raise InvalidRequest(what=Phrase("A server"), problem=problem)
    if num_patterns > MAX_PATTERNS:
        problem = Phrase(
            "may have at most {most} patterns, not {number}. Words are not limited like that.",
            most=MAX_PATTERNS,
            number=num_patterns,
        )
        raise InvalidRequest(what=Phrase("A server"), problem=problem)


def holds(rule: Rule, *, channel_ids: Collection[int], role_ids: Collection[int]) -> bool:
    """Whether a rule holds in one of these channels for somebody with these roles."""
    in_channel = not rule.channel_ids or not set(rule.channel_ids).isdisjoint(channel_ids)
    return in_channel and (not rule.role_ids or not set(rule.role_ids).isdisjoint(role_ids))


def _matching(phrases: Iterable[_Phrase], reading: list[str], at: int) -> Iterator[Hit]:
    for phrase in phrases:
        *first, last = phrase.words
        there = reading[at : at + len(phrase.words)]
        if len(there) == len(phrase.words) and there[:-1] == first:
            ends = there[-1].startswith(last) if phrase.is_open else there[-1] == last
            if ends:
                yield Hit(phrase.rule, " ".join(there))


def _set_of(patterns: Iterable[Rule]) -> re2.Set | None:
    chosen = options()
    chosen.max_mem = _SET_MEMORY
    found = re2.Set.SearchSet(chosen)
    number = 0
    for number, rule in enumerate(patterns, 1):  # noqa: B007 - the number is used below
        found.Add(rule.text)
    if not number:
        return None
    found.Compile()
    return found


@lru_cache(maxsize=1)
def nothing_forbidden() -> Rulebook:
    """The rules of a guild that has none."""
    return Rulebook()
