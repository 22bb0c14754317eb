"""Weights read from prompts, and prompts split into chunks."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from generation.engine.engine import Engine
from generation.engine.text import apply_weights, tokenize_pair
from generation.requests.prompt_weights import MAX_WEIGHT, MIN_WEIGHT, parse_weights
from tests.generation.engine.painting import a_spec, an_order, paint

LENGTH = 77


def read_back(prompt: str) -> list[tuple[str, float]]:
    return [(text, round(weight, 4)) for text, weight in parse_weights(prompt)]


@pytest.mark.parametrize(
    ("prompt", "meant"),
    [
        ("a red cat", [("a red cat", 1.0)]),
        ("a (red:1.2) cat", [("a ", 1.0), ("red", 1.2), (" cat", 1.0)]),
        ("(red)", [("red", 1.1)]),
        ("((red))", [("red", 1.21)]),
        ("[red]", [("red", 0.9091)]),
        ("(a (b:1.5) c:0.5)", [("a ", 0.5), ("b", 0.75), (" c", 0.5)]),
        (r"\(red\) \\ back", [(r"(red) \ back", 1.0)]),
        ("(red", [("(red", 1.0)]),
        ("red) cat]", [("red) cat]", 1.0)]),
        ("(red] cat", [("(red] cat", 1.0)]),
        ("time 12:30 (x: y)", [("time 12:30 ", 1.0), ("x: y", 1.1)]),
        ("(red:)", [("red:", 1.1)]),
        ("", []),
    ],
)
def test_weights_are_read_as_the_web_ui_reads_them(prompt: str, meant: list[tuple[str, float]]) -> None:
    assert read_back(prompt) == meant


def test_weights_are_bounded_and_deep_brackets_are_quick() -> None:
    started = time.thread_time()
    assert read_back("(" * 750 + "x" + ")" * 749) == [("(", 1.0), ("x", MAX_WEIGHT)]
    assert read_back("(x:999)") == [("x", MAX_WEIGHT)]
    assert time.thread_time() - started < 1.0


def test_infinite_weights_are_clamped() -> None:
    beyond = "(" * 103 + "cat" + ":999)" * 103
    assert read_back(beyond) == [("cat", MAX_WEIGHT)]
    assert read_back(f"({beyond}:0)") == [("cat", MIN_WEIGHT)]


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from([":999)", ":0.001)", ":0)", ")"]), st.sampled_from([1, 3, 120])), max_size=6))
def test_every_weight_is_a_number_within_bounds(closings: list[tuple[str, int]]) -> None:
    closing = "".join(bracket * times for bracket, times in closings)
    weights = [weight for _, weight in parse_weights("(" * closing.count(")") + "x" + closing)]
    assert all(MIN_WEIGHT <= weight <= MAX_WEIGHT for weight in weights), "no bound holds for what is no number"


def test_every_stretch_is_kept_in_order() -> None:
    prompt = "a (b [c] (d:1.3)) e ) ( f"
    assert "".join(text for text, _ in parse_weights(prompt)) == "a b c d e ) ( f"


@pytest.fixture
def tokenizer(engine: Engine) -> Any:
    return engine._models.get("toy").family._tokenizer  # type: ignore[attr-defined]


def test_a_short_prompt_has_the_ids_the_tokenizer_itself_gives(tokenizer: Any) -> None:
    tokens, dropped = tokenize_pair(tokenizer, a_spec(), length=LENGTH, max_chunks=3)
    plain = tokenizer(["dog", "a red cat"], padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids
    assert torch.equal(tokens.ids[:, 0], plain)
    assert (tokens.ids.shape, dropped, bool((tokens.weights == 1).all())) == ((2, 1, LENGTH), "", True)


def test_a_long_prompt_is_cut_and_what_does_not_fit_is_named(tokenizer: Any) -> None:
    prompt = "x" * 150 + "y" * 80
    tokens, dropped = tokenize_pair(tokenizer, a_spec(prompt=prompt), length=LENGTH, max_chunks=3)
    assert tokens.ids.shape == (2, 3, LENGTH)
    assert dropped == "y" * 5
    assert bool((tokens.ids[..., 0] == tokenizer.bos_token_id).all())


def test_weights_belong_to_their_tokens(tokenizer: Any) -> None:
    tokens, _ = tokenize_pair(tokenizer, a_spec(prompt="a (bc:1.5) d"), length=LENGTH, max_chunks=3)
    assert [round(weight, 3) for weight in tokens.weights[1, 0, :6].tolist()] == [1.0, 1.0, 1.5, 1.5, 1.0, 1.0]


def test_weights_scale_their_tokens_and_keep_the_mean() -> None:
    embedding = torch.rand(1, 4, 8) + 1
    weighted = apply_weights(embedding, torch.tensor([1.0, 2.0, 1.0, 1.0]))
    assert torch.allclose(weighted.mean(), embedding.mean())
    assert torch.allclose((weighted / embedding)[0, 1], 2 * (weighted / embedding)[0, 0])
    assert apply_weights(embedding, torch.ones(4)) is embedding


def test_the_engine_reads_by_the_syntax_of_the_spec(tokenizer: Any) -> None:
    typed = a_spec(prompt="a (bc:,5) d")
    first, _ = tokenize_pair(tokenizer, typed, length=LENGTH, max_chunks=3)
    second, _ = tokenize_pair(tokenizer, replace(typed, syntax=2), length=LENGTH, max_chunks=3)
    assert [round(weight, 3) for weight in first.weights[1, 0, :8].tolist()] == [1.0, 1.0, *[1.1] * 5, 1.0]
    assert [round(weight, 3) for weight in second.weights[1, 0, :6].tolist()] == [1.0, 1.0, 0.5, 0.5, 1.0, 1.0]


@pytest.mark.parametrize(
    ("prompt", "chunks"),
    [
        ("ab BREAK c", ["ab", "c"]),
        ("abBREAKc break d", ["abBREAKc break d"]),
        ("(ab BREAK c:1.2)", ["ab", "c"]),
        ("BREAK a", ["", "a"]),
        ("a BREAK", ["a"]),
        ("a BREAK BREAK b", ["a", "", "b"]),
        ("x" * 75 + " BREAK b", ["x" * 75, "b"]),
        ("x " * 76 + "BREAK b", ["x " * 75, "x", "b"]),
        ("a BREAK b BREAK c BREAK d", ["a", "b", "c"]),
    ],
)
def test_break_ends_a_chunk(tokenizer: Any, prompt: str, chunks: list[str]) -> None:
    tokens, dropped = tokenize_pair(
        tokenizer, a_spec(prompt=prompt, guidance=1.0, syntax=3), length=LENGTH, max_chunks=3
    )
    alone = [
        tokenize_pair(tokenizer, a_spec(prompt=each or "a", guidance=1.0), length=LENGTH, max_chunks=3)[0].ids[0, 0]
        if each
        else tokenizer([""], padding="max_length", max_length=LENGTH, return_tensors="pt").input_ids[0]
        for each in chunks
    ]
    assert torch.equal(tokens.ids[0], torch.stack(alone))
    assert dropped == ("d" if prompt.endswith("d") and len(chunks) == 3 else "")


def test_an_older_prompt_has_no_break(tokenizer: Any) -> None:
    for syntax in (1, 2):
        spec = a_spec(prompt="ab BREAK c", guidance=1.0, syntax=syntax)
        assert tokenize_pair(tokenizer, spec, length=LENGTH, max_chunks=3)[0].ids.shape[1] == 1


def test_a_weight_changes_the_picture_and_no_weight_does_not(engine: Engine) -> None:
    pictures = {prompt: paint(engine, an_order(a_spec(prompt=prompt))).pixels for prompt in ("a b", "(a:1.0) b")}
    assert pictures["a b"] == pictures["(a:1.0) b"]
    assert paint(engine, an_order(a_spec(prompt="(a:1.8) b"))).pixels != pictures["a b"]


def test_the_dropped_end_of_a_prompt_is_named_with_the_picture(engine: Engine) -> None:
    long = "x" * 225 + " " + "end"
    assert paint(engine, an_order(a_spec(prompt=long, steps=1))).dropped == "e n d".replace(" ", "")
    assert paint(engine, an_order(a_spec(steps=1))).dropped == ""
