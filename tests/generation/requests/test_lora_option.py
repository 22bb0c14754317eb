"""The option `lora`: any list of names and weights is read as it was meant, or refused; completed part by part."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import InvalidRequestError
from generation.requests.errors import (
    AddonMismatchError,
    AddonNamedTwiceError,
    LoraWeightError,
    TooManyLorasError,
    UnknownLoraError,
)
from generation.requests.lora_option import SUGGESTED_WEIGHTS, complete_loras, split_loras
from generation.requests.prompt_addons import MAX_LISTED, Adapter, PromptAddon, read_prompts
from tests.generation.engine.toy import toy_model
from tests.messages import is_said

WORDS = ("neon glow", "pink [night]")


def lora(name: str, **details: Any) -> PromptAddon:
    return PromptAddon(name=name, path=Path("l"), sha256="a" * 64, **details)


MODEL = toy_model(
    Path("nowhere"),
    context_width=768,
    loras=(
        lora("neon", context_width=768, trigger_words=WORDS),
        lora("Ink (v2)", base_model="SD 1.5"),
        lora("3d.style-v1"),
        lora("8"),
        lora("old neon"),
        lora("xl", context_width=2048),
    ),
)
FITTING = [each.name for each in MODEL.loras if each.name != "xl"]


def read(text: str, prompt: str = "a cat") -> list[tuple[str, float]]:
    return [(each.name, each.weight) for each in read_prompts(MODEL, prompt, "", split_loras(text)).adapters]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("neon", [("neon", 1)]),
        ("neon:0.8, ink (V2)", [("neon", 0.8), ("Ink (v2)", 1)]),
        (" neon : -2 ,8:2,", [("neon", -2), ("8", 2)]),
        ("neon:0,8", [("neon", 0.8)]),
        ("neon:0,8, 8:½", [("neon", 0.8), ("8", 0.5)]),
        ("neon:\u22120,5,8", [("neon", -0.5), ("8", 1)]),
        ("neon:,8", [("neon", 0.8)]),
        ("neon:1, 8", [("neon", 1), ("8", 1)]),
        ("neon:1,8:0.5", [("neon", 1), ("8", 0.5)]),
        ("neon:1,3d.style-v1", [("neon", 1), ("3d.style-v1", 1)]),
        ("neon:0.8:0.8", [("neon", 0.8)]),
        ("neon:0,8:0,5", [("neon", 0), ("8", 0.5)]),
        ("neon:0,8:0,8,8", [("neon", 0.8), ("8", 1)]),
        ("<lora:neon:0.8> <LORA:8>", [("neon", 0.8), ("8", 1)]),
        ("<lora:neon:0,8>", [("neon", 0.8)]),
        ("neon [neon glow, pink…]:0.5, 8", [("neon", 0.5), ("8", 1)]),
        ("neon\uff1a0.8\uff0c8\u3001Ink (v2)", [("neon", 0.8), ("8", 1), ("Ink (v2)", 1)]),
        ("", []),
        (" , ", []),
    ],
)
def test_a_list_is_read_as_it_is_meant(text: str, meant: list[tuple[str, float]]) -> None:
    assert read(text) == meant


@pytest.mark.parametrize(
    ("text", "kind", "details"),
    [
        ("nothing", UnknownLoraError, {"name": "nothing", "available": ", ".join(FITTING)}),
        ("neon; 8", UnknownLoraError, {}),
        ("../../x", UnknownLoraError, {}),
        (":0.8", UnknownLoraError, {"name": ""}),
        ("neon> a dog <lora:8", UnknownLoraError, {}),
        ("<lyco:neon:1>", UnknownLoraError, {}),
        ("xl", AddonMismatchError, {"name": "xl", "made_for": "Stable Diffusion XL", "model": "toy"}),
        ("neon:3", LoraWeightError, {"name": "neon", "high": 2}),
        ("neon:-2,1", LoraWeightError, {}),
        ("neon:0.8.1", LoraWeightError, {}),
        ("neon:", LoraWeightError, {}),
        ("neon:strong", LoraWeightError, {}),
        ("neon:0.8:0.5", LoraWeightError, {}),
        ("neon, NEON:0.5", AddonNamedTwiceError, {"name": "neon"}),
        ("neon, 8, Ink (v2), 3d.style-v1, old neon", TooManyLorasError, {"most": 4, "number": 5}),
    ],
)
def test_what_cannot_be_used_says_why(text: str, kind: type[InvalidRequestError], details: dict[str, Any]) -> None:
    with pytest.raises(kind) as refused:
        read(text)
    assert is_said(kind, str(refused.value), **details)
    assert len(str(refused.value)) < 300


def test_those_of_the_prompt_come_first_and_count() -> None:
    assert read("neon:0.5", "a cat <lora:8:0.3>") == [("8", 0.3), ("neon", 0.5)]
    assert read_prompts(MODEL, "a cat <lora:8>", "", ["neon"]).prompt == "a cat"
    with pytest.raises(AddonNamedTwiceError):
        read("neon", "a cat <lora:NEON:0.5>")
    with pytest.raises(TooManyLorasError):
        read("neon, 8, Ink (v2)", "a cat <lora:3d.style-v1> <lora:old neon>")


def test_a_refusal_lists_some_of_many() -> None:
    model = replace(MODEL, loras=tuple(lora(f"lora-{number}") for number in range(500)))
    with pytest.raises(UnknownLoraError) as refused:
        read_prompts(model, "a cat", "", ["ink"])
    assert str(refused.value).count("lora-") == MAX_LISTED
    assert "lora-19, …" in str(refused.value)


NAMES = st.lists(st.sampled_from(FITTING), min_size=1, max_size=4, unique=True)
WEIGHTS = st.one_of(st.none(), st.integers(-200, 200).map(lambda each: each / 100))
NOTATIONS = st.sampled_from(
    (
        lambda weight: f"{weight:g}",
        lambda weight: f"{weight:+.2f}",
        lambda weight: f" {weight:.3f} ".replace(".", ","),
        lambda weight: f"{weight:.2e}",
        lambda weight: f"{weight:.2e}".replace(".", ","),
        lambda weight: f"{weight:g}".replace("0.", "."),
    )
)
COMMAS = st.sampled_from((",", ", ", " ,", "\uff0c", ",,"))


@given(st.data())
def test_whatever_way_names_and_weights_are_written_they_come_back(data: st.DataObject) -> None:
    names = data.draw(NAMES)
    weights = [data.draw(WEIGHTS) for _ in names]
    parts = [
        name if weight is None else f"{name}:{data.draw(NOTATIONS)(weight)}"
        for name, weight in zip(names, weights, strict=True)
    ]
    text = parts[0]
    for before, part in pairwise(parts):
        # `neon:1,8` is 1.8: a name of digits takes a space after a weight, as the documentation says
        is_digits = part.startswith("8") and ":" in before
        text += (", " if is_digits else data.draw(COMMAS)) + part
    meant = [(name, 1 if weight is None else weight) for name, weight in zip(names, weights, strict=True)]
    assert read(text) == meant


@given(st.text(alphabet="neon8:,. -+<lora>[]½\uff0c", max_size=60))
def test_any_text_is_read_or_refused_and_can_be_completed(text: str) -> None:
    for completed, _note in complete_loras(MODEL, text):
        assert split_loras(completed)[:-1] == split_loras(text)[: len(split_loras(completed)) - 1]
    try:
        adapters = read_prompts(MODEL, "a cat", "", split_loras(text)).adapters
    except InvalidRequestError:
        return
    assert split_loras(", ".join(f"{each.name}:{each.weight:g}" for each in adapters)) == tuple(
        f"{each.name}:{each.weight:g}" for each in adapters
    )


# What is offered while typing.


def offered(typed: str) -> list[str]:
    return [text for text, _ in complete_loras(MODEL, typed)]


def test_only_those_that_fit_are_offered_and_with_their_trigger_words() -> None:
    assert offered("") == FITTING
    assert dict(complete_loras(MODEL, ""))["neon"] == "neon glow, pink [night]"
    assert offered("x") == []
    assert offered("NEO") == ["neon", "old neon"], "those that begin so are first"
    assert offered("glow") == ["neon"], "trigger words are searched"
    assert offered("sd 1.5") == ["Ink (v2)"], "so is the base model"


def test_each_keystroke_completes_the_last_part_and_keeps_the_others() -> None:
    others = [name for name in FITTING if name != "neon"]
    for typed in ("neon:0.8,", "neon:0.8, ", " neon:0.8 ,", "<lora:neon:0.8>", "neon [neon glow]:0.8,"):
        assert offered(typed) == [f"neon:0.8, {name}" for name in others]
    assert offered("neon:0,8, i") == ["neon:0,8, Ink (v2)"]
    assert offered("neon, neo") == ["neon, old neon"], "what is named is not offered again"
    assert offered("neon, 8, Ink (v2), 3d.style-v1,") == [], "four are enough"
    for typed in ("n", "ne", "neo", "neon"):
        assert "neon" in offered(typed)


def test_after_a_colon_weights_are_offered() -> None:
    assert offered("NEON:") == [f"neon:{weight}" for weight in SUGGESTED_WEIGHTS]
    assert offered("8, neon:0") == ["8, neon:0", "8, neon:0.4", "8, neon:0.6", "8, neon:0.8"]
    assert offered("neon:0,8") == ["neon:0.8"]
    assert offered("neon:-0.25") == ["neon:-0.25"]
    assert offered("neon:9") == offered("nothing:1") == offered("xl:1") == []


@given(st.text(alphabet="neon8:,. <>[]ink", max_size=40))
def test_what_is_offered_is_never_refused(typed: str) -> None:
    for text, _ in complete_loras(MODEL, typed):
        *earlier, _completed = split_loras(text)
        try:
            read(", ".join(earlier))
        except InvalidRequestError:
            continue
        assert read(text)


def test_adapters_are_recorded_as_always() -> None:
    assert read_prompts(MODEL, "a cat", "", split_loras("neon:0.8")).adapters == (Adapter("neon", "a" * 64, 0.8),)
