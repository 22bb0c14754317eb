"""The word rules of one guild, looked up by what they begin with: ten thousand cost what ten do, whatever the text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from generation.rules import folding


class PhraseIndex:
    """Phrases by their number. Two that read alike are found together."""

    def __init__(self) -> None:
        self._whole: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        self._open: defaultdict[tuple[str, ...], dict[str, set[int]]] = defaultdict(dict)
        """By all words but the last, then by how the last begins."""
        self._unspaced: defaultdict[str, set[int]] = defaultdict(set)
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        """How many words the phrases have that begin with a word."""
        self._longest_stem = 0

    def add(self, text: str, number: int) -> None:
        """Take a rule's text up, in each way it is spelled; `*` at its end stands for any ending."""
        is_open = text.rstrip().endswith("*")
        for folded in {folding.fold(text), folding.native(text)}:
            words = folding.words(folded)
            if not words:
                continue
            if folding.has_no_spaces(folded):
                self._unspaced[folding.unspaced(folded)].add(number)
            elif is_open:
                self._add_open(words, number)
            else:
                self._lengths[words[0]].add(len(words))
                self._whole[words].add(number)

    def _add_open(self, words: tuple[str, ...], number: int) -> None:
        *first, stem = words
        if first:
            self._lengths[first[0]].add(len(words))
        self._open[tuple(first)].setdefault(stem, set()).add(number)
        self._longest_stem = max(self._longest_stem, len(stem))

    def find(self, reading: Sequence[str]) -> Iterator[tuple[set[int], str]]:
        """Yield the phrases in one reading of a text, and the words they were found in."""
        for at, word in enumerate(reading):
            yield from self._opened((), word, word)
            for length in self._lengths.get(word, ()):
                words = tuple(reading[at : at + length])
                if (numbers := self._whole.get(words)) is not None:
                    yield numbers, " ".join(words)
                if len(words) == length > 1:
                    yield from self._opened(words[:-1], words[-1], " ".join(words))

    def find_unspaced(self, folded: str) -> Iterator[tuple[set[int], str]]:
        """Yield the phrases of scripts without spaces."""
        whole = folding.unspaced(folded) if self._unspaced else ""
        yield from ((numbers, word) for word, numbers in self._unspaced.items() if word in whole)

    def _opened(self, first: tuple[str, ...], last: str, found: str) -> Iterator[tuple[set[int], str]]:
        if (stems := self._open.get(first)) is None:
            return
        for end in range(1, min(len(last), self._longest_stem) + 1):
            if (numbers := stems.get(last[:end])) is not None:
                yield numbers, found
