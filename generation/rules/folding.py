"""Text as people disguise it, made comparable: look-alikes, invisible characters, spaced letters, leetspeak.

The stages, in order: HTML entities and prompt syntax; compatibility forms (NFKD); look-alike letters, by the Unicode
Consortium's table and by the letters' own names, once before case is folded (Greek capital nu looks like N, small nu
like v) and once after; invisible and combining characters dropped. What comes of that is *read* in several ways,
because no single one is right: `grem-lin` is one word to whoever hides it and two to everybody else.
"""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache

from confusable_homoglyphs import confusables

_WEIGHT = re.compile(r":\s?[-+]?[\d.]{1,12}\s?(?=[)\]}>])")
_BREAK = re.compile(r"\s?\bBREAK\b\s?")  # before case is folded: only in capitals it is syntax
_EMOJI = re.compile(r"<a?:(\w+):\d+>")
_LETTER = re.compile(
    r"(?:LATIN (?:CAPITAL|SMALL) LETTER|LATIN LETTER SMALL CAPITAL|MODIFIER LETTER (?:CAPITAL|SMALL)"
    r"|REGIONAL INDICATOR SYMBOL LETTER|(?:NEGATIVE )?(?:SQUARED|CIRCLED) LATIN CAPITAL LETTER)"
    r" (?:TURNED |REVERSED |INVERTED |OPEN |SCRIPT )?([A-Z])(?: WITH .*)?"
)
_INVISIBLE = frozenset("\u115f\u1160\u3164\uffa0\u2800")  # fillers that count as letters or symbols, and show nothing
_DROPPED = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))
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
    """The text in lower case, without entities and invisible characters, but in its own letters: for patterns."""
    if text.isascii() and "&" not in text:
        return text.lower()
    return _tidy(unicodedata.normalize("NFKC", _unescape(text))).casefold()


def native(text: str) -> str:
    """As `fold`, but in the text's own letters: look-alikes of capitals and of small letters differ in every script."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFKD", plain(text)).translate(_VISIBLE))


def fold(text: str) -> str:
    """All stages: what is left looks the same if the text did. Separators and punctuation are still there."""
    text = _EMOJI.sub(r" \1 ", _BREAK.sub("", _unescape(text)))
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text).translate(_LOOK_ALIKES)
        text = unicodedata.normalize("NFKD", text.casefold()).translate(_LOOK_ALIKES)
        text = unicodedata.normalize("NFC", text)
    return _WEIGHT.sub("", text.lower())


def words(text: str) -> tuple[str, ...]:
    """The words of a folded text as everybody reads it."""
    return tuple(text.translate(_APART).split())


def readings(text: str) -> Iterator[list[str]]:
    """The words of a folded text, once for each way to read it."""
    told: set[str] = set()
    for reading in _ways(text):
        if reading not in told:
            told.add(reading)
            yield from _unrepeated(reading.split())


def words_of_name(name: str) -> str:
    """A name of a file as people read it: `GremlinStyle_v2` as `Gremlin Style v 2`."""
    return " ".join(_SEAM.sub(" ", name.replace("_", " ")).split())


def unspaced(text: str) -> str:
    """A folded text with nothing between its letters, for scripts that write none."""
    return "".join(words(text))


def has_no_spaces(text: str) -> bool:
    """Whether this is of a script that puts no spaces between words (Chinese, Japanese, Thai and their like)."""
    return _NO_SPACES.search(text) is not None


def _ways(text: str) -> Iterator[str]:
    apart = text.translate(_APART)
    yield apart
    yield text.translate(_TOGETHER)
    yield from _spelled(apart)
    if _SIGNS.search(text):
        for table in (_LEET, _LEET_L):
            unmasked = " ".join(_unmask(word, table) for word in text.split())
            apart = unmasked.translate(_APART)
            yield apart
            yield unmasked.translate(_TOGETHER)
            yield from _spelled(text.translate(table).translate(_APART))


def _spelled(text: str) -> Iterator[str]:
    """`g r e m l i n` as one word; once more without an article that happens to stand before it."""
    runs = [run.replace(" ", "") for run in _RUN.findall(text)]
    if runs:
        yield " ".join([*runs, *(run[1:] for run in runs if run[0] in "ai")])


def _unmask(word: str, table: dict[int, int]) -> str:
    """Digits and signs as the letters they stand for, in a word that has letters."""
    if not _SIGNS.search(word):
        return word
    inner = word.strip(_EDGES)
    return inner.translate(table) if any(char.isalpha() for char in inner) else word


def _unrepeated(words: list[str]) -> Iterator[list[str]]:
    """As they are; and `looong` as `long` and as `loong`."""
    yield words
    stretched = {word for word in words if len(word) > 3 and _REPEATED.search(word)}
    for kept in (r"\1", r"\1\1") if stretched else ():
        yield [_REPEATED.sub(kept, word) if word in stretched else word for word in words]


def _unescape(text: str) -> str:
    return html.unescape(html.unescape(text)) if "&" in text else text


def _tidy(text: str) -> str:
    return "".join(char for char in text if char.isspace() or not _is_dropped(char) or unicodedata.combining(char))


def _is_dropped(char: str) -> bool:
    return char in _INVISIBLE or unicodedata.category(char) in _DROPPED


class _Table(dict[int, str | None]):
    """For `str.translate`, filled as characters are met."""

    def __init__(self, becomes: Callable[[str], str | None]) -> None:
        self._becomes = becomes

    def __missing__(self, code: int) -> str | None:
        self[code] = found = self._becomes(chr(code))
        return found


def _look_alike(char: str) -> str | None:
    """The ASCII letter or digit a character can be taken for, else itself; None if it shows nothing."""
    if char.isascii():
        return char
    if _is_dropped(char):
        return " " if char.isspace() else None
    named = _LETTER.fullmatch(unicodedata.name(char, ""))
    return named[1] if named else _table().get(char, char)


def _is_part_of_word(char: str) -> bool:
    return char.isalnum() or unicodedata.combining(char) > 0


@cache
def _table() -> dict[str, str]:
    """Unicode's confusables (UTS 39) that can be taken for one ASCII letter or digit."""
    found: dict[str, str] = {}
    for char, others in confusables.confusables_data.items():
        alike = [str(other["c"]) for other in others]
        ascii_ones = [each for each in alike if len(each) == 1 and each.isascii() and each.isalnum()]
        if not char.isascii() and ascii_ones:
            # `l`, `1` and `I` are one class there: a letter is the better guess than a digit.
            found[char] = next((each for each in ascii_ones if each.isalpha()), ascii_ones[0])
    return found


_LOOK_ALIKES = _Table(_look_alike)
_VISIBLE = _Table(lambda char: None if _is_dropped(char) and not char.isspace() else char)
_APART = _Table(lambda char: char if _is_part_of_word(char) else " ")
_TOGETHER = _Table(lambda char: char if _is_part_of_word(char) else " " if char.isspace() else None)
