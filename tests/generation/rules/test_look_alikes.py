"""Every single character that looks like an ASCII letter, over all of Unicode that this Python knows.

What counts as one: Unicode's confusables (UTS 39), its compatibility forms without accents, and characters whose own
name says which Latin letter they are. The score, and what is not caught, stand in docs/safety.md.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from collections import defaultdict
from functools import cache

import pytest
from confusable_homoglyphs import confusables

from generation.rules.folding import fold, native, readings
from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import Rulebook

NAMED = re.compile(r".*LATIN (?:CAPITAL|SMALL|SUBSCRIPT SMALL) LETTER(?: [A-Z-]+)*? ([A-Z])(?: WITH .*)?")
NOT_CAUGHT = {
    ("ǈ", "l"),  # two letters in one; the digraph is read as such
    ("ǋ", "n"),
    ("ǲ", "d"),
    ("Ʌ", "v"),  # upside down; taken for what they look like: a, w, m
    ("ʌ", "v"),
    ("ɯ", "m"),
    ("ʍ", "w"),
}
GREMLIN = Rulebook([Rule(text="gremlin")])


@cache
def look_alikes() -> dict[str, set[str]]:
    """Return each character, and the letters it must be matched as."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for key, others in confusables.confusables_data.items():
        char = key.strip("\u200e")
        for other in (str(each["c"]) for each in others):
            if len(char) == 1 and not char.isascii() and len(other) == 1 and other in string.ascii_letters:
                found[char] |= {"i", "l"} if other in "Il" else {other.lower()}
    for char in map(chr, range(0x80, sys.maxunicode + 1)):
        if unicodedata.category(char) in ("Cn", "Cs", "Co", "Cf"):
            continue
        bare = "".join(each for each in unicodedata.normalize("NFKD", char) if not unicodedata.combining(each))
        named = NAMED.fullmatch(unicodedata.name(char, "")) if not unicodedata.combining(char) else None
        if named is not None:
            found[char] = {named[1].lower()}
        elif len(bare) == 1 and bare in string.ascii_letters:
            found[char] = {bare.lower()}
    return dict(found)


@pytest.mark.parametrize("letter", string.ascii_lowercase)
def test_each_single_look_alike_of_a_letter_is_caught(letter: str) -> None:
    book = Rulebook([Rule(text=f"zq{letter}qz")])
    chars = [char for char, letters in look_alikes().items() if letter in letters]
    assert len(chars) > 30
    missed = {char for char in chars if not book.matches([f"zq{char}qz"])}
    assert missed == {char for char, of in NOT_CAUGHT if of == letter}


def test_the_score_that_is_published() -> None:
    assert len(look_alikes()) >= 2350, "the walk must find them, or this says nothing"
    assert sum(map(len, look_alikes().values())) >= 2400


@pytest.mark.parametrize(
    "text",
    [
        "GREMLІN",  # Cyrillic І
        "GREMLΙN",  # Greek Ι
        "GREMӀΙN",  # palochka as l, Greek as I
        "gremІӏn",  # the other way round
        "gremӏіn",
        "gremIin",  # a capital I as an l, in ASCII
        "gremI1n",
        "gremǀ!n",
        "grem∣in",
        "ԌＲEＭ𝐋ꓲＮ",
        "ɢʀᴇᴍʟıɴ",
        "ġřėmłİñ",
        "GЯEMLIИ",
        "gяємlїn",
        "🅖🅡🅔🅜🅛🅘🅝",
        "🄶🅁🄴🄼🄻🄸🄽",
        "⒢⒭⒠⒨⒧⒤⒩",
        "\U0001ccdc\U0001cce7\U0001ccda\U0001cce2\U0001cce1\U0001ccde\U0001cce3",  # outlined, of Unicode 16
        "gr\u2800em\u3164lin",
        "gr\u200be\u115fmlin",
        "g\u0363r\u0488e\U000e0067m\ufe0flin",
        "🇬🇷🇪🇲🇱🇮🇳",
    ],
)
def test_mixed_and_hidden_letters(text: str) -> None:
    assert GREMLIN.matches([f"a {text} in the rain"])


@pytest.mark.parametrize("gap", ["\u2800", "\u3164", "\u200b", "\uffa0", "\u00a0", "\u2003"])
def test_invisible_characters_can_divide_words(gap: str) -> None:
    assert GREMLIN.matches([f"red{gap}gremlin{gap}ink"])
    assert Rulebook([Rule(text="red gremlin")]).matches([f"a red{gap}gremlin"])
    assert Rulebook([Rule(kind=Kind.PATTERN, text=r"\bgremlins\b")]).matches([f"red{gap}gremlins"])
    assert Rulebook([Rule(kind=Kind.PATTERN, text=r"^gremlin$")]).matches([f"grem{gap}lin"]) or gap in "\u00a0\u2003"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("red gremlin", "a red gremӏіn"),
        ("red gremlin", "a rеd gremlin"),
        ("gremli*", "gremӏіns"),
        ("red gremli*", "red gremӏіns"),
        ("gremlіn", "gremlin"),  # the rule in disguise
        ("oeuvre", "œuvre"),
        ("aether", "æther"),
        ("straße", "STRASSE"),
        ("strasse", "Straße"),
        ("file", "ﬁle"),
        ("lodz", "Łódź"),
        ("thor", "Thor"),
    ],
)
def test_words_as_they_are_written(rule: str, text: str) -> None:
    assert Rulebook([Rule(text=rule)]).matches([text])


@pytest.mark.parametrize("pattern", ["gremlin", r"\bgrem(?:lin|let)\b"])
def test_patterns_see_an_upright_stroke_both_ways(pattern: str) -> None:
    book = Rulebook([Rule(kind=Kind.PATTERN, text=pattern)])
    assert book.matches(["GREMLІN"]) and book.matches(["gremӏin"])


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("tit", "a tlt, Іtaly"),  # only words with such a stroke are read as one
        ("kill", "klil Ӏ"),
        ("hell", "a Hеллo sign, ІІІ"),
        ("gremlin", "grem lin"),
        ("ass", "аss\u00adembly"),
    ],
)
def test_words_that_share_a_letter_do_not_match(rule: str, text: str) -> None:
    assert not Rulebook([Rule(text=rule)]).matches([text])


def test_no_character_becomes_a_long_text() -> None:
    """Of 18 letters, as one of them has, a prompt of the longest would take twenty times as long."""
    every = [char for char in map(chr, range(sys.maxunicode + 1)) if len(unicodedata.normalize("NFKD", char)) > 3]
    assert "\ufdfa" in every
    assert [char for char in every if len(fold(char * 100)) > 700 or len(native(char * 100)) > 700] == []


def test_a_text_is_read_in_few_ways() -> None:
    for text in ("aaaІ1 " * 250, "Іӏ " * 500, "a\u2800" * 750, "1\ufdfa" * 750, "a1! " * 375, "g r " * 375):
        assert len(list(readings(fold(text)))) <= 30
