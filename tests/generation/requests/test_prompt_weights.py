"""Numbers in prompts: every form is read, an invalid one is named, and old pictures keep their reading."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.images.metadata import sign_png
from generation.requests.decimals import read_decimal
from generation.requests.errors import LoraWeightError, OutOfRangeError
from generation.requests.prompt_addons import Adapter, PromptAddon, read_prompts
from generation.requests.prompt_weights import (
    FIRST_SYNTAX,
    MAX_WEIGHT,
    MIN_WEIGHT,
    SYNTAX,
    parse_weights,
    read_weights,
)
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from generation.requests.unread_syntax import list_prompt_notes
from generation.rules.folding import fold
from tests.generation.engine.toy import toy_model
from tests.messages import is_said

SPEC = ImageSpec(prompt="a", model="toy", width_px=64, height_px=64, steps=4, guidance=3.0, sampler="DDIM", seed=1)
MODEL = toy_model(Path("nowhere"), loras=(PromptAddon(name="neon", path=Path("n"), sha256="a" * 64),))
NUMBERS = {
    ".5": 0.5,
    " 0.5": 0.5,
    "0.5 ": 0.5,
    "0,5": 0.5,
    ",5": 0.5,
    "+0.5": 0.5,
    "5e-1": 0.5,
    "5E-1": 0.5,
    "0.30000000000000004": 0.3,
    "0.7999999999999999": 0.8,
    "1.": 1.0,
    "0000.5": 0.5,
    "½": 0.5,
    "1½": 1.5,
    "¾": 0.75,
    "０．５": 0.5,
    "０，５": 0.5,
    "٠٫٥": 0.5,
    "०.५": 0.5,
}
NONE = ["1e309", "nan", "inf", "-inf", "1.2.3", "80%", "1/2", "0.5.", "--1", ".", "+", "0. 5", "1,000.5", "0x1", "~0.5"]


@pytest.mark.parametrize("written", NUMBERS)
def test_every_form_of_a_number_is_read(written: str) -> None:
    meant = NUMBERS[written]
    assert parse_weights(f"(a:2) (word:{written})")[-1] == ("word" if meant != 1 else " word", meant)
    assert parse_weights(f"(word\uff1a{written})") == [("word", meant)], "a full-width colon"
    [adapter] = read_prompts(MODEL, f"a <lora:neon:{written}>").adapters
    assert adapter == Adapter("neon", "a" * 64, meant)


@pytest.mark.parametrize("written", ["-0.5", "\u22120.5", "\u20130.5", "-½", "-5e-1"])
def test_a_negative_weight_counts_as_zero_with_a_note(written: str) -> None:
    assert parse_weights(f"(word:{written})") == [("word", 0.0)]
    assert list_prompt_notes(replace(SPEC, prompt=f"(word:{written})", syntax=2)) == (
        f"Weights end at 0 and 2, and these go beyond: “(word:{written})”.",
    )


@pytest.mark.parametrize("written", NONE)
def test_an_invalid_weight_is_named_and_has_no_effect(written: str) -> None:
    prompt = f"a (word:{written}) b"
    assert parse_weights(prompt) == [(prompt, 1.0)]
    [note] = list_prompt_notes(replace(SPEC, prompt="b", negative=prompt, syntax=2))
    assert f"painted as plain words: “(word:{written})”" in note
    with pytest.raises(LoraWeightError):
        read_prompts(MODEL, f"a <lora:neon:{written}>")


@pytest.mark.parametrize(
    "prompt", ["(style: baroque)", "(at 12:30 pm)", "(a red: cat)", "(red:)", "a :) b", "C++", "12:30"]
)
def test_words_after_a_colon_are_words_without_a_note(prompt: str) -> None:
    assert {weight for _, weight in parse_weights(prompt)} <= {1.0, 1.1}
    assert list_prompt_notes(replace(SPEC, prompt=prompt, syntax=2)) == ()


@pytest.mark.parametrize(
    "part",
    [
        *("[a|b:0.5]", "[a:b:c:0.5]", "AND"),
        *("{word}", "__a/b*__", "<wildcard:x>", "<lora:neon:1", "< lora:neon:1>"),
        *("＜lora:neon:1＞", "（word:0.5）", "embedding:foo", "--ar 16:9", "--no", "—ar 16:9", "::2", "::-.5"),
    ],
)
def test_syntax_that_is_not_read_is_plain_words_and_named(part: str) -> None:
    prompt = f"a {part} b" if not part.startswith("::") else f"a{part} b"
    if "(dog" not in part:
        assert parse_weights(prompt) == [(prompt, 1.0)]
    spec = replace(SPEC, **read_prompts(MODEL, prompt)._asdict())
    assert spec.prompt == prompt
    [note] = list_prompt_notes(spec)
    assert f"“{part}”" in note
    assert list_prompt_notes(replace(SPEC, prompt="b", negative=prompt, syntax=2)) == (note,)


@pytest.mark.parametrize(
    "part",
    [
        *("[a:b:0.5]", "[a:0.5]", "[a::.5]", "[a:b:10]", "[a|b]", "[a|b|c]", "[cat|(dog:1.2)]", "BREAK", "{a|b}"),
        *("{2$$a|b}", "__wildcard__"),
    ],
)
def test_the_second_syntax_names_what_the_third_reads(part: str) -> None:
    prompt = f"a {part} b"
    if "(dog" not in part:
        assert parse_weights(prompt, 2) == [(prompt, 1.0)]
    [note] = list_prompt_notes(replace(SPEC, prompt=prompt, syntax=2))
    assert f"“{part}”" in note


def test_a_note_stays_short() -> None:
    [note] = list_prompt_notes(
        replace(SPEC, prompt="[" + "x" * 900 + "|y] " + " ".join(f"__w{n}__" for n in range(50)), syntax=2)
    )
    assert len(note) < 500 and note.count("“") == 6


def test_emoji_of_discord_are_no_syntax() -> None:
    assert (
        list_prompt_notes(replace(SPEC, prompt="a <a:dance:123456789012345678> <:cat:123456789012345678>", syntax=2))
        == ()
    )


@pytest.mark.parametrize("tag", ["<lora:neon:0.8:0.6>", "<lora:neon:0.8:0.8:0.8>", "<lora:neon:te=0.5:unet=0.8>"])
def test_a_tag_with_more_than_a_weight_says_how_to_write_it(tag: str) -> None:
    with pytest.raises(LoraWeightError) as refused:
        read_prompts(MODEL, f"a {tag}")
    assert is_said(LoraWeightError, str(refused.value), name="neon", high=2)


def test_a_tag_without_a_weight_has_one_and_two_equal_ones_are_one() -> None:
    for tag, weight in {"<lora:neon>": 1.0, "<lora: neon : .8 >": 0.8, "<lora:neon:0,8:0.80>": 0.8}.items():
        assert [each.weight for each in read_prompts(MODEL, f"a {tag}").adapters] == [weight]


@pytest.mark.parametrize("written", [*NUMBERS, "-0.5", "\u22120.5"])
def test_a_weight_hides_no_word_from_the_rules(written: str) -> None:
    assert fold(f"(gr:{written})emlin").translate(str.maketrans("", "", "() ")) == "gremlin"


# What was painted before there was a second syntax.


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("(red:.5)", [("red:.5", 1.1)]),
        ("(red:0,5)", [("red:0,5", 1.1)]),
        ("(red:-0.5)", [("red:-0.5", 1.1)]),
        ("(red:1e309) (nan:nan)", [("red:1e309", 1.1), (" ", 1.0), ("nan:nan", 1.1)]),
        ("(red:1.2.3)", [("red:1.2.3", 1.1)]),
        ("(red:0.30000000000000004)", [("red:0.30000000000000004", 1.1)]),
        ("(red:0.123456 ) (x: 3)", [("red", 0.123456), (" ", 1.0), ("x", 2.0)]),
        ("[a:b:0.5] [c|d]", [("a:b:0.5", 1 / 1.1), (" ", 1.0), ("c|d", 1 / 1.1)]),
        ("(red：0.5)", [("red：0.5", 1.1)]),
        ("(12:999)", [("12", 2.0)]),
    ],
)
def test_the_first_syntax_reads_as_it_always_did(prompt: str, meant: list[tuple[str, float]]) -> None:
    assert parse_weights(prompt, FIRST_SYNTAX) == meant
    assert list_prompt_notes(replace(SPEC, prompt=prompt)) == ()


def test_a_recipe_from_before_is_of_the_first_and_its_file_stays_the_same() -> None:
    recipe = Recipe(spec=SPEC, model_sha256="c" * 64, trace="2x4", fingerprint=Fingerprint({}), pixels_sha256="a" * 64)
    assert "syntax" not in recipe.to_json()
    again = Recipe.from_json(recipe.to_json())
    assert again == recipe and again.spec.syntax_version == FIRST_SYNTAX
    assert sign_png(b"\0" * 12, (2, 2), again) == sign_png(b"\0" * 12, (2, 2), recipe)


def test_a_recipe_says_by_which_syntax_it_was_read() -> None:
    spec = replace(SPEC, **read_prompts(MODEL, "a (b:.5)")._asdict())
    assert msgspec.json.decode(msgspec.json.encode(spec), type=ImageSpec) == spec
    assert spec.syntax_version == SYNTAX
    with pytest.raises(OutOfRangeError, match="The syntax of the prompt"):
        replace(spec, syntax=SYNTAX + 1)


# Whatever is typed.

TYPED = st.text(st.sampled_from("()[]{}<>:：,.|\\_-+0123456789½e ab%"), max_size=60)


@given(TYPED | st.text(max_size=80), st.sampled_from([1, 2, 3]))
def test_any_text_is_read(text: str, syntax: int) -> None:
    reading = read_weights(text, syntax)
    assert all(math.isfinite(each.weight) and MIN_WEIGHT <= each.weight <= MAX_WEIGHT for each in reading.stretches)
    list_prompt_notes(
        replace(SPEC, prompt="b", negative=" ".join(text.split()) if text.isprintable() else "", syntax=syntax)
    )


@given(st.text(max_size=40) | st.floats().map(str) | st.floats(allow_nan=False, allow_infinity=False).map(repr))
def test_any_number_is_finite_or_none(text: str) -> None:
    number = read_decimal(text)
    assert number is None or math.isfinite(number)


@given(st.floats(min_value=-3, max_value=3).map(lambda number: round(number, 6)), st.sampled_from([".", ","]))
def test_a_number_comes_back_as_it_was_written(number: float, point: str) -> None:
    assert read_decimal(f"{number:.6f}".replace(".", point)) == number
    assert read_decimal(repr(number)) == number


@pytest.mark.parametrize(
    ("prompt", "named"),
    [
        ("a (word:1.2) b", "“(word:1.2)”"),
        ("a (b (c:0,5) d:1.1)", "“(b (c:0,5) d:1.1)”"),
        ("((a)) [b]", "“((a))”, “[b]”"),
        (r"a \(b\) BREAK c", r"“BREAK”, “\(”, “\)”"),
        ("(a:3) (b:80%) --ar 3:2", "“(a:3)”, “(b:80%)”, “--ar 3:2”"),
        ("[a:(b:1.2):0.5]", "“(b:1.2)”"),
    ],
)
def test_what_has_no_effect_on_a_language_model_is_named(prompt: str, named: str) -> None:
    """Weights beyond bounds are no matter where there are none."""
    spec = replace(SPEC, prompt=prompt, syntax=3)
    [note] = list_prompt_notes(spec, literal={SPEC.model})
    assert note == f"“{SPEC.model}” has no weights of words, so these are painted as they stand: {named}."
    [note] = list_prompt_notes(replace(SPEC, prompt="b", negative=prompt, syntax=3), literal={SPEC.model})
    assert named in note
    assert all("no weights of words" not in each for each in list_prompt_notes(spec, literal={"another"}))


@pytest.mark.parametrize("prompt", ["a cat (small), (2) of them", "[a:b:0.5] c", "[a|b]", "(style: baroque)", "C++ :)"])
def test_people_s_own_brackets_and_edits_are_no_matter_for_a_note(prompt: str) -> None:
    assert list_prompt_notes(replace(SPEC, prompt=prompt, syntax=3), literal={SPEC.model}) == ()


def test_notes_for_models_of_both_kinds_are_two() -> None:
    plain, literal = (replace(SPEC, prompt="(a:3)", model=model, syntax=3) for model in ("one", "two"))
    first, second = list_prompt_notes(plain, literal, literal={"two"})
    assert first.startswith("Weights end at") and second.startswith("“two” has no weights")
