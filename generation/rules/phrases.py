"""The word rules of one guild, looked up by what they begin with: ten thousand cost what ten do, for any text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence

from generation.rules import folding


class PhraseIndex:
    """Phrases by their number. Two that read alike are found together. `as_strokes`: see `folding.strokes`."""

    def __init__(self, texts: Iterable[tuple[int, str]], *, as_strokes: bool = False) -> None:
        self._as_strokes = as_strokes
        self._whole: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
        self._open: defaultdict[tuple[str, ...], dict[str, set[int]]] = defaultdict(dict)
        """By all words but the last, then by how the last begins."""
        self._unspaced: defaultdict[str, set[int]] = defaultdict(set)
        self._lengths: defaultdict[str, set[int]] = defaultdict(set)
        """How many words the phrases have that begin with a word."""
        for number, text in texts:
            self._add(text, number)
        stems = {stem for last in self._open.values() for stem in last}
        self._shortest_stem, self._longest_stem = min(map(len, stems), default=0), max(map(len, stems), default=0)
        self._heads = {stem[: self._shortest_stem] for stem in stems}

    def _add(self, text: str, number: int) -> None:
        """Take a rule's text up, in each way it is spelled; `*` at its end stands for any ending."""
        is_open = text.rstrip().endswith("*")
        for folded in self._list_spellings(text):
            words = folding.words(folded)
            if not words:
                continue
            if folding.has_no_spaces(folded):
                self._unspaced[folding.unspaced(folded)].add(number)
            elif is_open:
                self._add_open(words, number)
            else:
                self._whole[words].add(number)
                if len(words) > 1:
                    self._lengths[words[0]].add(len(words))

    def _list_spellings(self, text: str) -> set[str]:
        folded = folding.fold(text)
        if self._as_strokes:
            return {folding.strokes(folded)}
        return {*folding.resolved(folded), folding.native(text)}

    def _add_open(self, words: tuple[str, ...], number: int) -> None:
        *first, stem = words
        if first:
            self._lengths[first[0]].add(len(words))
        self._open[tuple(first)].setdefault(stem, set()).add(number)

    def find(self, readings: Iterable[tuple[Sequence[str], Collection[int] | None]]) -> Iterator[tuple[set[int], str]]:
        """Yield the phrases in the readings of one text, and the words they were found in.

        With each reading come the places of which a phrase must have one; None: any will do. A word is looked up once,
        in however many readings it stands.
        """
        seen: set[str] = set()
        for reading, places in readings:
            words = set(reading) if places is None else {reading[place] for place in places}
            for word in words - seen:
                if (word,) in self._whole or word[: self._shortest_stem] in self._heads:
                    yield from self._found((word,))
            seen |= words
            if self._lengths:
                yield from self._find_phrases(reading, places)

    def _find_phrases(self, reading: Sequence[str], places: Collection[int] | None) -> Iterator[tuple[set[int], str]]:
        """Return those of several words."""
        for at, word in enumerate(reading):
            for length in self._lengths.get(word, ()):
                words = tuple(reading[at : at + length])
                touches = places is None or any(at <= place < at + length for place in places)
                if touches and len(words) == length:
                    yield from self._found(words)

    def _found(self, words: tuple[str, ...]) -> Iterator[tuple[set[int], str]]:
        if (numbers := self._whole.get(words)) is not None:
            yield numbers, " ".join(words)
        last = words[-1]
        if last[: self._shortest_stem] in self._heads and (stems := self._open.get(words[:-1])) is not None:
            for end in range(self._shortest_stem, min(len(last), self._longest_stem) + 1):
                if (numbers := stems.get(last[:end])) is not None:
                    yield numbers, " ".join(words)

    def find_unspaced(self, folded: str) -> Iterator[tuple[set[int], str]]:
        """Yield the phrases of scripts without spaces."""
        whole = folding.unspaced(folded) if self._unspaced else ""
        yield from ((numbers, word) for word, numbers in self._unspaced.items() if word in whole)
