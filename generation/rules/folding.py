"""Makes disguised text comparable: look-alikes, invisible characters, spaced letters, leetspeak.

The stages, in order: HTML entities and prompt syntax; look-alike letters (`generation.rules.look_alikes`) as they are
written, then of the compatibility forms (NFKD), once before case is folded (Greek capital nu looks like N, small nu
like v) and once after; invisible and combining characters dropped. What comes of that is *read* in several ways,
because no single one is right: `grem-lin` may be one word or two, an upright stroke (`BAR`) an i or an l.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Iterable, Iterator

from generation.rules.look_alikes import BAR, BLANK, LOOK_ALIKES, Table, is_dropped

_DIGIT, _SIGN = r"\d\xbc-\xbe\u2150-\u215e.,\u066b\uff0c\uff0e", r"+\u2010\u2011\u2013\u2212\uff0b\uff0d\-"
_WEIGHT = re.compile(rf"[:\uff1a]\s?[{_SIGN}]?[{_DIGIT}][{_DIGIT}{_SIGN}eE\uff25\uff45\u2044]{{0,60}}\s?(?=[)\]}}>])")
"""Every number that `generation.requests.decimals` reads. Before letters are folded, for digits of some scripts look
like letters; and after, for what looks like digits."""
_BREAK = re.compile(r"\s?\bBREAK\b\s?")  # before case is folded: only in capitals it is syntax
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_SENTENCES = str.maketrans("\ufdfa\ufdfb", "  ")  # one character of 18 letters, one of 8: texts would grow
_HIDDEN_L = re.compile(r"(?<=[a-z])I")
_BARS = (str.maketrans(BAR, "i"), str.maketrans(BAR, "l"))
_STROKES = str.maketrans(f"{BAR}i1|!", "lllll")
_EDGES = ".,;:!?\"'`()[]{}<>*~-…“”‘’"
_LEET = str.maketrans("0134567892@$!|+€£", "oieasgtbgzasiitel")
_LEET_L = _LEET | str.maketrans("1!|", "lll")
_SIGNS = re.compile(r"[\d@$!|+€£]")
_RUN = re.compile(r"(?<!\w)\w(?: +\w){2,}(?!\w)")
_REPEATED = re.compile(r"([^\W\d_])\1{2,}")
_SEAM = re.compile(
    r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[^\W\d_])(?=\d)|(?<=\d)(?=[^\W\d_])"
)  # where a word ends in camelCase, and where letters and digits meet
_NO_SPACES = re.compile(r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")


def plain(text: str) -> str:
    """Return the text in lower case, without entities and invisible characters, but in its own letters: for patterns.

    Digits of every script become those of ASCII.
    """
    if text.isascii() and "&" not in text:
        return text.lower()
    composed = unicodedata.normalize("NFKC", _unescape(text).translate(_SENTENCES))
    return composed.translate(_TIDY).casefold()


def native(text: str) -> str:
    """Fold in the text's own letters: look-alikes of capitals and small letters differ in every script."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", plain(text)).translate(_VISIBLE))


def fold(text: str) -> str:
    """Fold through all stages: texts that look the same become the same. Separators and punctuation stay."""
    text = _WEIGHT.sub("", _BREAK.sub("", _unescape(text)))
    text = _HIDDEN_L.sub(BAR, _EMOJI.sub(r" \1 ", text))
    if not text.isascii():
        text = text.translate(_SENTENCES).translate(LOOK_ALIKES)
        text = unicodedata.normalize("NFKD", text).translate(LOOK_ALIKES)
        text = unicodedata.normalize("NFKD", text.casefold()).translate(LOOK_ALIKES)
        text = unicodedata.normalize("NFC", text)
    return _WEIGHT.sub("", text.lower())


def words(text: str) -> tuple[str, ...]:
    """Return the words of a folded text in its usual reading."""
    return tuple(text.translate(_APART).split())


def resolved(text: str) -> Iterator[str]:
    """Yield a folded text without strokes and blanks that can be read in two ways: once for each way."""
    for bars in _BARS if BAR in text else _BARS[:1]:
        for blank in (" ", "") if BLANK in text else ("",):
            yield text.translate(bars).replace(BLANK, blank)


def readings(text: str) -> Iterator[list[str]]:
    """Yield the words of a folded text, once for each way to read it.

    For those with a `BAR` see `readings_of_strokes`.
    """
    for reading in dict.fromkeys(_list_ways(text)):
        yield from _list_unrepeated(reading.split())


def readings_of_strokes(text: str) -> Iterator[tuple[list[str], frozenset[int]]]:
    """Return `readings` with each word written as `strokes` does, and the places of the words with a `BAR`."""
    for reading in _drop_same_strokes(_list_ways(text)) if BAR in text else ():
        for words in _list_unrepeated(reading.split()):
            places = frozenset(at for at, word in enumerate(words) if BAR in word)
            yield strokes(" ".join(words)).split(" "), places


def _drop_same_strokes(ways: Iterable[str]) -> Iterable[str]:
    """Return those that differ by more than an i for an l."""
    return {strokes(way): way for way in ways}.values()


def strokes(text: str) -> str:
    """Return a folded text in which i, l, 1 and their look-alikes are one letter."""
    return text.translate(_STROKES)


def words_of_name(name: str) -> str:
    """Return a file's name as people read it: `GremlinStyle_v2` as `Gremlin Style v 2`."""
    return " ".join(_SEAM.sub(" ", name.replace("_", " ")).split())


def append_names(text: str, names: Iterable[str]) -> str:
    """Return the text with names behind it, taken apart into words."""
    return " ".join((text, *map(words_of_name, names)))


def unspaced(text: str) -> str:
    """Return a folded text with nothing between its letters, for scripts that write no spaces."""
    return "".join(words(text))


def has_no_spaces(text: str) -> bool:
    """Return whether its script puts no spaces between words (Chinese, Japanese, Thai and others)."""
    return _NO_SPACES.search(text) is not None


def _list_ways(text: str) -> Iterator[str]:
    apart = text.translate(_APART)
    yield apart
    yield text.translate(_TOGETHER)
    yield from _join_spelled(apart)
    if _SIGNS.search(text):
        for table in (_LEET, _LEET_L):
            unmasked = " ".join(_unmask(word, table) for word in text.split())
            apart = unmasked.translate(_APART)
            yield apart
            yield unmasked.translate(_TOGETHER)
            yield from _join_spelled(text.translate(table).translate(_APART))


def _join_spelled(text: str) -> Iterator[str]:
    """Return `g r e m l i n` as one word; once more without an article that happens to stand before it."""
    runs = [run.replace(" ", "") for run in _RUN.findall(text)]
    if runs:
        yield " ".join([*runs, *(run[1:] for run in runs if run[0] in "ai")])


def _unmask(word: str, table: dict[int, int]) -> str:
    """Replace digits and signs by the letters they stand for, in a word that has letters."""
    if not _SIGNS.search(word):
        return word
    inner = word.strip(_EDGES)
    return inner.translate(table) if any(char.isalpha() for char in inner) else word


def _list_unrepeated(words: list[str]) -> Iterator[list[str]]:
    """Return them as they are; and `looong` as `long` and as `loong`."""
    yield words
    stretched = {word for word in words if len(word) > 3 and _REPEATED.search(word)}
    for kept in (r"\1", r"\1\1") if stretched else ():
        yield [_REPEATED.sub(kept, word) if word in stretched else word for word in words]


def _unescape(text: str) -> str:
    return html.unescape(html.unescape(text)) if "&" in text else text


def _tidy(char: str) -> str | None:
    if char.isdecimal():
        return str(unicodedata.decimal(char))
    return None if is_dropped(char) and not char.isspace() and not unicodedata.combining(char) else char


def _is_part_of_word(char: str) -> bool:
    return char.isalnum() or unicodedata.combining(char) > 0


_TIDY = Table(_tidy)
_VISIBLE = Table(lambda char: None if is_dropped(char) and not char.isspace() else char)
_APART = Table(lambda char: char if _is_part_of_word(char) else " ")
_TOGETHER = Table(lambda char: char if _is_part_of_word(char) else " " if char.isspace() else None)
