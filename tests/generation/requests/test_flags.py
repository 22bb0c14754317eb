"""Flags in a prompt: which are read, which are left out, and what stays words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.models.sizes import find_closest_aspect
from generation.requests.errors import FlagValueError, UnknownSamplerError
from generation.requests.flags import read_flags
from tests.generation.requests.test_wildcards import MODEL


@pytest.mark.parametrize(
    ("flag", "option", "value"),
    [
        ("--ar 3:2", "aspect", "3:2"),
        ("--aspect 16:9", "aspect", "16:9"),
        ("\u2014ar 3:2", "aspect", "3:2"),
        ("--no cars, red people", "negative", "cars, red people"),
        ("--seed 7", "seed", 7),
        ("--steps 20", "steps", 20),
        ("--cfg 7.5", "guidance", 7.5),
        ("--cfg 7,5", "guidance", 7.5),
        ("--n 2", "count", 2),
        ("--count 4", "count", 4),
        ("--model My Model", "model", "My Model"),
        ("--sampler euler A", "sampler", "Euler a"),
        ("--size 512x768", "size", "512x768"),
        ("--clip-skip 2", "clip_skip", 2),
        ("--SEED 7", "seed", 7),
    ],
)
def test_a_flag_with_an_equal_is_that_option(flag: str, option: str, value: Any) -> None:
    words, flags = read_flags(f"a cat {flag}")
    assert (words, flags.values, flags.left_out) == ("a cat", {option: value}, ())
    assert flags.written[option].lower() == flag.replace("\u2014", "--").lower()


def test_flags_anywhere_and_together() -> None:
    words, flags = read_flags("a cat --ar 3:2 in ink --no dogs --seed 1 --seed 2 at night --no red cars")
    assert words == "a cat in ink at night"
    assert flags.values == {"aspect": "3:2", "negative": "dogs, red cars", "seed": 2}


def test_what_only_midjourney_has_is_left_out_and_named() -> None:
    words, flags = read_flags("a cat --stylize 100 --v 6.1 --tile on grass --niji --style raw --c 5 --q .5 --raw")
    assert words == "a cat on grass .5", "a value of another kind is not swallowed"
    assert flags.left_out == ("--stylize 100", "--v 6.1", "--tile", "--niji", "--style raw", "--c 5", "--q", "--raw")
    assert flags.values == {}


@pytest.mark.parametrize(
    "prompt",
    ["a --unknown 3", "a--seed 7", "a -- b", "--", "x --seed7", "{a --ar 3:2|b} c", "a \u2014 b", "twenty--no one"],
)
def test_anything_else_stays_words(prompt: str) -> None:
    words, flags = read_flags(prompt)
    assert (words, dict(flags.values), flags.left_out) == (prompt, {}, ())


@pytest.mark.parametrize(
    "flag", ["--seed x", "--seed", "--ar 3", "--ar 0:1", "--steps 1.5", "--cfg x", "--no", "--n ²"]
)
def test_a_value_that_cannot_be_read_is_refused(flag: str) -> None:
    with pytest.raises(FlagValueError) as refused:
        read_flags(f"a cat {flag}")
    assert f"“{flag}”" in str(refused.value)


def test_an_unknown_sampler_is_refused() -> None:
    with pytest.raises(UnknownSamplerError):
        read_flags("a --sampler nonsense")


def test_a_shape_that_is_not_offered_is_the_nearest() -> None:
    closest = {typed: find_closest_aspect(MODEL, typed) for typed in ("3:2", "4:3", "21:9", "1:3", "100:99", "9999:1")}
    assert closest == {"3:2": "3:2", "4:3": "3:2", "21:9": "16:9", "1:3": "9:16", "100:99": "1:1", "9999:1": "16:9"}


WORDS = st.lists(st.sampled_from(["a", "--ar", "3:2", "--no", "--seed", "7", "\u2014s", "--", "{", "}", "--v", "b"]))


@given(WORDS.map(" ".join) | st.text(max_size=60))
def test_any_prompt_is_read_or_refused(prompt: str) -> None:
    try:
        words, flags = read_flags(prompt)
    except InvalidRequestError:
        return
    assert set(words.split()) <= set(prompt.split())
    if not (flags.values or flags.left_out):
        assert words == " ".join(prompt.split())
