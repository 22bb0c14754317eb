"""Characters that are newer than this Python: they may be visible, so they are neither removed nor forbidden."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from generation.characters import category, is_newer, is_printable
from generation.errors import InvalidRequestError
from generation.images.metadata import read_recipe, sign_png
from generation.models.hub import is_safe_name
from generation.requests.errors import EmptyPromptError
from generation.requests.prompt import check_prompt, clean_prompt
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from generation.requests.style import Style
from generation.rules.folding import native, plain
from generation.rules.rule import Kind, Rule
from generation.rules.rulebook import Rulebook

KAWI_LETTER, SHAKING_FACE, NEW_EMOJI = "\U00011f12", "\U0001fae8", "\U0001fae9"  # of Unicode 15, 15 and 16
NOBODY_HAS_IT_YET = "\U00045678"
NEW = (KAWI_LETTER, SHAKING_FACE, NEW_EMOJI, NOBODY_HAS_IT_YET)
NOTHING = ("\ufdd0", "\uffff", "\U0001fffe", "\ue000", "\U000f1234", "\ud800", "\u2065", "\U000e0fff", "\x00")
"""Noncharacters, private use, a surrogate, reserved for invisible characters, a control."""


@pytest.mark.parametrize("char", NEW)
def test_a_newer_character_is_kept_wherever_people_write(char: str) -> None:
    assert clean_prompt(f"a {char} cat") == f"a {char} cat"
    check_prompt(char, name="The prompt")
    assert Style(guild_id=1, name=char, prompt=char).name == char
    assert is_safe_name(f"{char}.safetensors")
    assert is_printable(char)


@pytest.mark.parametrize("char", NOTHING)
def test_noncharacters_are_removed(char: str) -> None:
    assert clean_prompt(f"a{char}cat") in ("acat", "a cat")
    with pytest.raises(InvalidRequestError):
        check_prompt(char, name="The prompt")
    with pytest.raises(InvalidRequestError):
        Style(guild_id=1, name=f"x{char}", prompt="x")
    assert not is_safe_name(f"x{char}.safetensors")


def test_selectors_and_tags_stay_but_show_nothing_of_their_own() -> None:
    flag = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
    assert clean_prompt(f"{flag} ❤\ufe0f") == f"{flag} ❤\ufe0f"
    for char in ("\ufe0f", "\U000e0067", "\U000e0100", "\u200d"):
        with pytest.raises(EmptyPromptError):
            check_prompt(char, name="The prompt")


@pytest.mark.parametrize("char", NEW)
def test_a_newer_character_hides_no_forbidden_word_and_can_be_forbidden(char: str) -> None:
    words = Rulebook([Rule(text="gremlin")])
    for text in (f"gre{char}mlin", f"gremlin{char}castle", f"a{char}gremlin"):
        assert words.matches([text]), text
    assert char in plain(f"a {char}") and char in native(f"a {char}")
    assert Rulebook([Rule(kind=Kind.PATTERN, text=char)]).matches([f"a {char} cat"])


def test_a_recipe_keeps_a_newer_character() -> None:
    prompt = f"a {''.join(NEW)} cat"
    spec = ImageSpec(
        prompt=prompt, model="m", width_px=64, height_px=64, steps=2, guidance=1.0, sampler="Euler", seed=1
    )
    recipe = Recipe(spec=spec, model_sha256="0" * 64, trace="1x2", fingerprint=Fingerprint({}), pixels_sha256="0" * 64)
    png = sign_png(bytes(64 * 64 * 3), (64, 64), recipe)
    assert read_recipe(png).spec.prompt == prompt
    assert prompt.encode() in png, "and in the line that other tools read"


def test_every_code_point_is_what_unicode_says_or_may_still_become() -> None:
    for char in map(chr, range(sys.maxunicode + 1)):
        said = unicodedata.category(char)
        assert category(char) == ("So" if is_newer(char) else said)
        assert not is_newer(char) or said == "Cn"
