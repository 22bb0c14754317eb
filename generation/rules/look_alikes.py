"""Which ASCII letter or digit a character can be taken for.

By, in this order: its compatibility form; its own name in Unicode; the Unicode Consortium's table of confusables
(UTS 39); and short tables of what none of these knows: letters of other scripts that people write English with (`Я` for
R), signs of currencies, letters that are newer than this Python.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache

from confusable_homoglyphs import confusables

from generation.characters import category

BAR = "\u01c0"
"""What an upright stroke becomes that can be an i as well as an l. It counts as a letter."""
BLANK = "\u200b"
"""What a character becomes that shows nothing, or a gap: it can stand between two words, or hide in one."""
_FILLERS = frozenset("\u115f\u1160\u3164\uffa0\u2800\u180e\u200b")
_DROPPED = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))
_LETTER = re.compile(
    r"(?:[A-Z -]+ )?LATIN (?:CAPITAL|SMALL|SUBSCRIPT|LETTER|LIGATURE)(?: (?:CAPITAL|SMALL|LETTER|LIGATURE))*"
    r" (?:[A-Z-]+ )*?([A-Z]|AE|OE|AA|AO|AU|AV|AY|OO|OU|TZ|VY|DZ|TS)(?: WITH .*| DIGRAPH.*| ROTUNDA)?"
    r"|REGIONAL INDICATOR SYMBOL LETTER ([A-Z])|MODIFIER LETTER (?:[A-Z]+ )*([A-Z])"
)
_LTR_MARK = "\u200e"  # around letters of scripts that run from right to left, in the table
_STROKES = "\u04cf\u2502\u2503\u2223\u00a6\ufe31\uffe8\U00010320"
_PAIRS = (
    # Latin, by how it looks
    "ŋn Ŋn ĸk əe Əe ɘe ɜe ɛe ʃs ʒz ʊu ɒa ɵo ȷj þp Þp ðd Ðd ƿp ƨs Ƨs ƽs ƅb Ƅb ʌa Ʌa ɸo ᴆd ᴓo ᴝu ᴧa ᴨn ᴩp ɯw ʍm ƻz ɂp "
    # Greek
    "Λa Δa Σe Ξe Θo Φo Πn Ωo βb δd εe ζz ηn θo κk λa μu µu ξe πn τt φo χx ωw ϐb ϑo ϕo ϖw ϰk ϱp ϲc Ϲc ϵe ϙq Ϙq ϝf Ϝf "
    # Cyrillic
    "вb дd зe иn кk лn мm нh пn тt фo цu чy шw щw ъb ьb ыb эe яr єe ђh ћh їi ґr ғf қk ңh өo үy ұy һh әe ҫc ҳx ҭt ӄk ӊh "
    "ӎm ӡe ѡw ѳo ѵv Бb Дd Зe Иn Йn Лn Пn Фo Цu Чy Шw Щw Ъb Ыb Эe Яr Єe Ђh Ћh Ґr Ғf Ңh Өo Үy Ұy Әe Ҫc Ҳx Ҭt Ӊh Ѡw Ѳo Ѵv "
    # signs
    "¢c ¥y ₡c ₢c ₣f ₤l ₦n ₩w ₫d ₭k ₮t ₱p ₲g ₳a ₴s ₵c ₹r ₽p ₿b ©c ®r ℗p ∂d ∑e ∆a ∅o"
)
_OTHERS = {pair[0]: pair[1:] for pair in _PAIRS.split()}
_OUTLINED = {chr(0x1CCD6 + number): chr(ord("a") + number) for number in range(26)}  # Unicode 16
_OUTLINED |= {chr(0x1CCF0 + number): str(number) for number in range(10)}


class Table(dict[int, str | None]):
    """For `str.translate`, filled as characters are met."""

    def __init__(self, becomes: Callable[[str], str | None]) -> None:
        self._becomes = becomes

    def __missing__(self, code: int) -> str | None:
        self[code] = found = self._becomes(chr(code))
        return found


def is_dropped(char: str) -> bool:
    """Return whether a character shows nothing of its own."""
    return char in _FILLERS or category(char) in _DROPPED


def _look_alike(char: str) -> str | None:
    """Return the ASCII letters or digit that a character looks like, `BAR` or `BLANK`, else itself, or None."""
    if char.isascii():
        return char
    if char in _FILLERS:
        return BLANK
    if (known := _OUTLINED.get(char) or _OTHERS.get(char)) is not None:
        return known
    if is_dropped(char):
        return " " if char.isspace() else None
    compatible = unicodedata.normalize("NFKC", char)
    if compatible.isascii() and compatible.isalnum():
        return compatible
    named = _LETTER.fullmatch(unicodedata.name(char, ""))
    if named is not None:
        return str(next(filter(None, named.groups()))).lower()
    return BAR if char in _STROKES else _load_confusables().get(char, char)


@cache
def _load_confusables() -> dict[str, str]:
    """Return Unicode's confusables (UTS 39) that can be taken for one ASCII letter or digit."""
    found: dict[str, str] = {}
    for char, others in confusables.confusables_data.items():
        alike = [str(other["c"]) for other in others]
        ascii_ones = [each for each in alike if len(each) == 1 and each.isascii() and each.isalnum()]
        if not char.isascii() and ascii_ones:
            # A letter is the better guess than a digit; `l`, `1`, `I` and `|` are one class there, called `l`.
            best = next((each for each in ascii_ones if each.isalpha()), ascii_ones[0])
            found[char.strip(_LTR_MARK)] = BAR if best == "l" else best
    return found


LOOK_ALIKES = Table(_look_alike)
