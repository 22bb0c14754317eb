"""All rules of a guild, made ready to screen prompts in about a millisecond, however many they are.

Words are looked up, so ten thousand cost what ten do. Patterns are matched all at once by RE2, whose time is linear
in the text whatever the pattern. A guild's own rules are compiled and run in a process apart:
`generation.rules.screening`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import NamedTuple, Protocol, Self

import msgspec

from generation.rules import folding
from generation.rules.errors import TooManyPatternsError, TooManyRulesError
from generation.rules.look_alikes import BAR
from generation.rules.patterns import PatternSet
from generation.rules.phrases import PhraseIndex
from generation.rules.rule import MAX_PATTERNS, MAX_RULES, Action, Kind, Rule


class Match(NamedTuple):
    """Which rule of a list matched, and the words or the piece of text it was found in."""

    position: int
    found: str


@dataclass(frozen=True, slots=True)
class Hit:
    """A rule that matched where it holds, and what it was found in."""

    rule: Rule
    found: str


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The rules of one guild as they are stored, not compiled. `key` says which texts they forbid."""

    rules: tuple[Rule, ...] = ()
    key: str = ""

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> Self:
        every = tuple(rules)
        read = msgspec.json.encode([(rule.kind, rule.text) for rule in every])
        return cls(every, hashlib.sha256(read).hexdigest())

    def hits(
        self, matches: Iterable[Match], *, channel_ids: Collection[int] = (), role_ids: Collection[int] = ()
    ) -> tuple[Hit, ...]:
        """Return the matches of rules that hold for these channels (with parents) and roles, blocking ones first."""
        every = (Hit(self.rules[position], found) for position, found in matches)
        holding = (hit for hit in every if holds(hit.rule, channel_ids=channel_ids, role_ids=role_ids))
        return tuple(sorted(holding, key=lambda hit: hit.rule.action is not Action.BLOCK))


NO_RULES = RuleSet()


class Rulebook:
    """Rules made ready to screen with. Raise `InvalidRequestError` for too many, and for what cannot be compiled."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = tuple(rules)
        require_number(self.rules)
        self._pattern_indexes = [index for index, rule in enumerate(self.rules) if rule.kind is Kind.PATTERN]
        self._patterns = PatternSet([self.rules[index].text for index in self._pattern_indexes])
        phrases = [(index, rule.text) for index, rule in enumerate(self.rules) if rule.kind is Kind.WORD]
        self._phrases, self._strokes = PhraseIndex(phrases), PhraseIndex(phrases, as_strokes=True)

    @property
    def weight(self) -> int:
        """About how much memory it takes, in the parts it is made of."""
        return len(self.rules) + self._patterns.num_instructions

    def matches(self, texts: Iterable[str]) -> list[Match]:
        """Return the rules that match one of the texts, in their own order, each once."""
        found: dict[int, str] = {}
        groups: set[int] = set()
        for text in filter(None, texts):
            for index, piece in self._match_patterns(text) if self._pattern_indexes else ():
                found.setdefault(index, piece)
            for numbers, words in self._match_phrases(text):
                if id(numbers) not in groups:  # the same words again: ten thousand rules may hold them
                    groups.add(id(numbers))
                    found |= {index: words for index in numbers if index not in found}
        return [Match(index, found[index]) for index in sorted(found)]

    def screen(
        self, texts: Iterable[str], *, channel_ids: Collection[int] = (), role_ids: Collection[int] = ()
    ) -> tuple[Hit, ...]:
        """Return the `matches` of rules that hold there for those roles; blocking rules come first."""
        return RuleSet(self.rules).hits(self.matches(texts), channel_ids=channel_ids, role_ids=role_ids)

    def _match_patterns(self, text: str) -> Iterator[tuple[int, str]]:
        for way in dict.fromkeys((folding.plain(text), *folding.resolved(folding.fold(text)))):
            yield from ((self._pattern_indexes[number], piece) for number, piece in self._patterns.matches(way))

    def _match_phrases(self, text: str) -> Iterator[tuple[set[int], str]]:
        folded = folding.fold(text)
        own = () if text.isascii() else folding.readings(folding.native(text))
        yield from self._phrases.find((reading, None) for reading in chain(folding.readings(folded), own))
        if BAR in folded:
            yield from self._strokes.find(folding.readings_of_strokes(folded))
        yield from self._phrases.find_unspaced(folded)


class HasKind(Protocol):
    @property
    def kind(self) -> Kind: ...


def require_number(rules: Collection[HasKind]) -> None:
    """Raise `InvalidRequestError` for more rules than a guild may have."""
    require_numbers(len(rules), count_patterns(rules))


def count_patterns(rules: Iterable[HasKind]) -> int:
    return sum(rule.kind is Kind.PATTERN for rule in rules)


def require_numbers(num_rules: int, num_patterns: int) -> None:
    """Check numbers as `require_number` does, where they were only counted; patterns count as rules."""
    if num_rules > MAX_RULES:
        raise TooManyRulesError(most=MAX_RULES, number=num_rules)
    if num_patterns > MAX_PATTERNS:
        raise TooManyPatternsError(most=MAX_PATTERNS, number=num_patterns)


def holds(rule: Rule, *, channel_ids: Collection[int], role_ids: Collection[int]) -> bool:
    """Return whether a rule holds in one of these channels for a member with these roles."""
    in_channel = not rule.channel_ids or not set(rule.channel_ids).isdisjoint(channel_ids)
    return in_channel and (not rule.role_ids or not set(rule.role_ids).isdisjoint(role_ids))


def look_back(rule: Rule, prompts: Sequence[tuple[str, ...]]) -> list[tuple[int, str]]:
    """Return which of these prompts the rule matches, by their index, and what was found."""
    book = Rulebook([rule])
    found = ((index, book.matches(texts)) for index, texts in enumerate(prompts))
    return [(index, matches[0].found) for index, matches in found if matches]
