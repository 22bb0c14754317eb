"""`<lora:name:0.8>` and textual inversions in prompts: found, recorded, or refused with a sentence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generation.errors import AtelierError, InvalidRequestError
from generation.images.metadata import format_parameters
from generation.jobs.protocol import GenerateCommand, Share
from generation.requests.errors import (
    AddonChangedError,
    AddonMismatchError,
    AddonNamedTwiceError,
    AddonNameError,
    AddonNotRecordedError,
    LoraInNegativePromptError,
    LoraWeightError,
    OutOfRangeError,
    TooManyLorasError,
    UnknownEmbeddingError,
    UnknownLoraError,
    UnknownTagError,
)
from generation.requests.prompt_addons import Adapter, Embedding, PromptAddon, check_known, is_name, read_prompts, split
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec
from generation.workers.frames import decode_command
from tests.generation.engine.toy import toy_model
from tests.messages import is_said

A, B, C = "a" * 64, "b" * 64, "c" * 64
MODEL = toy_model(
    Path("nowhere"),
    context_width=768,
    loras=(
        PromptAddon(name="neon", path=Path("n"), sha256=A, context_width=768),
        PromptAddon(name="Ink (v2)", path=Path("i"), sha256=B),
        PromptAddon(name="xl", path=Path("x"), sha256=C, context_width=2048),
    ),
    embeddings=(
        PromptAddon(name="EasyNegative", path=Path("e"), sha256=A, context_width=768),
        PromptAddon(name="other-base", path=Path("o"), sha256=B, context_width=1024),
    ),
)
SPEC = ImageSpec(prompt="a cat", model="toy", width_px=64, height_px=64, steps=4, guidance=3.0, sampler="DDIM", seed=1)


def test_tags_are_taken_out_and_their_order_kept() -> None:
    written = read_prompts(MODEL, "a <lora:ink (V2):0.5> cat <LyCO:neon>, (red:1.2)", "EASYNEGATIVE, blurry")
    assert written.prompt == "a cat , (red:1.2)"
    assert written.adapters == (Adapter("Ink (v2)", B, 0.5), Adapter("neon", A, 1.0))
    assert written.embeddings == (Embedding("EasyNegative", A),)


@pytest.mark.parametrize(
    ("tag", "kind", "details"),
    [
        ("<lora:../../x:1>", UnknownLoraError, {"name": "../../x", "available": "neon, Ink (v2)"}),
        ("<lora:/etc/passwd:1>", UnknownLoraError, {}),
        ("<lora:..\\..\\x:1>", UnknownLoraError, {}),
        ("<lora:．．／x:1>", UnknownLoraError, {}),
        ("<lora:neon\x00:1>", UnknownLoraError, {}),
        ("<lora::1>", UnknownLoraError, {"name": ""}),
        (f"<lora:{'x' * 5000}:1>", UnknownLoraError, {}),
        ("<lora:xl:1>", AddonMismatchError, {"name": "xl", "made_for": "Stable Diffusion XL", "model": "toy"}),
        ("<lora:neon:nan>", LoraWeightError, {"name": "neon", "high": 2}),
        ("<lora:neon:1e309>", LoraWeightError, {}),
        ("<lora:neon:1:2>", LoraWeightError, {}),
        ("<lora:neon:>", LoraWeightError, {}),
        ("<lora:neon:3>", LoraWeightError, {}),
        ("<lora:neon:1> <lora:NEON:1>", AddonNamedTwiceError, {"name": "neon"}),
        ("<hypernet:x:1>", UnknownTagError, {"kind": "hypernet"}),
    ],
)
def test_a_tag_that_cannot_be_used_says_why(tag: str, kind: type[InvalidRequestError], details: dict[str, Any]) -> None:
    with pytest.raises(kind) as refused:
        read_prompts(MODEL, f"a cat {tag}")
    assert is_said(kind, str(refused.value), **details)
    assert len(str(refused.value)) < 300


def test_the_negative_prompt_cannot_call_one() -> None:
    with pytest.raises(LoraInNegativePromptError):
        read_prompts(MODEL, "a cat", "<lora:neon:1>")


def test_a_learned_word_stands_alone_and_fits_the_model() -> None:
    assert read_prompts(MODEL, "EasyNegatives not-EasyNegative other-base").embeddings == ()
    assert list(split("an Ink, ink2 (INK)", ["ink"])) == [
        ("an ", False),
        ("Ink", True),
        (", ink2 (", False),
        ("INK", True),
        (")", False),
    ]


@pytest.mark.parametrize("letter", ["\u0131", "\u0130"])
def test_a_letter_that_only_resembles_one_is_plain_text(letter: str) -> None:
    """The i without a dot and the I with one: an i to regular expressions, another letter to `casefold`."""
    model = replace(MODEL, embeddings=(PromptAddon(name="ink", path=Path("i"), sha256=A),))
    prompt = f"a cat in {letter}nk"
    assert read_prompts(model, f"{prompt}, INK").embeddings == (Embedding("ink", A),)
    assert read_prompts(model, prompt)[:4] == (prompt, "", (), ())
    assert not any(is_name for _, is_name in split(prompt, ["ink"]))


@given(st.text(alphabet="<lora:neon>1.() xl-", max_size=60))
def test_any_prompt_is_read_or_refused(text: str) -> None:
    try:
        written = read_prompts(MODEL, text)
    except InvalidRequestError:
        return
    assert "<lora:" not in written.prompt.lower() or ">" not in written.prompt.split("<lora:", 1)[-1]


@pytest.mark.parametrize("changes", [{"name": "../x"}, {"name": "a\x00b"}, {"name": "a\\b"}, {"sha256": "abc"}])
def test_a_forged_recipe_cannot_name_a_path(changes: dict[str, Any]) -> None:
    with pytest.raises((AddonNameError, AddonNotRecordedError)):
        replace(Adapter("neon", A), **changes)
    forged = msgspec.json.encode({"name": "neon", "sha256": A} | changes)
    with pytest.raises((ValueError, AtelierError)):
        msgspec.json.decode(forged, type=Embedding)


@pytest.mark.parametrize("name", ["..", "a..b", "/a", "a/b", "a\\b", "．．", "a\x00", " a", "a ", "", "a" * 65, "a\n"])
def test_such_names_nothing_has(name: str) -> None:
    assert not is_name(name)


def test_the_files_of_a_recipe_must_be_here_unchanged() -> None:
    check_known(MODEL, [Adapter("neon", A)], [Embedding("EasyNegative", A)])
    with pytest.raises(AddonChangedError):
        check_known(MODEL, [Adapter("neon", C)], [])
    with pytest.raises(UnknownEmbeddingError):
        check_known(MODEL, [], [Embedding("gone", A)])
    with pytest.raises(AddonMismatchError):
        check_known(MODEL, [Adapter("xl", C)], [])


def test_a_spec_takes_four_and_a_layer_there_may_be() -> None:
    four = tuple(Adapter(f"l{index}", A) for index in range(4))
    assert replace(SPEC, adapters=four).written == "a cat <lora:l0:1> <lora:l1:1> <lora:l2:1> <lora:l3:1>"
    with pytest.raises(TooManyLorasError):
        replace(SPEC, adapters=(*four, Adapter("l4", A)))
    for layer in (0, 13, 1.5):
        with pytest.raises(OutOfRangeError, match="Clip skip"):
            replace(SPEC, clip_skip=layer)  # type: ignore[arg-type]


def a_recipe(spec: ImageSpec) -> Recipe:
    return Recipe(spec=spec, model_sha256=C, trace="2x4", fingerprint=Fingerprint({}), pixels_sha256=A)


def test_recipe_and_parameters_line_tell_all() -> None:
    spec = replace(SPEC, adapters=(Adapter("neon", A, 0.8),), embeddings=(Embedding("EasyNegative", B),), clip_skip=2)
    recipe = a_recipe(spec)
    assert Recipe.from_json(recipe.to_json()) == recipe
    line = format_parameters(recipe)
    assert line.startswith("a cat <lora:neon:0.8>\n")
    assert 'Clip skip: 2, Lora hashes: "neon: aaaaaaaaaaaa", TI hashes: "EasyNegative: bbbbbbbbbbbb"' in line


def test_specs_without_addons_are_still_read() -> None:
    recipe = msgspec.json.decode(a_recipe(SPEC).to_json())
    order = msgspec.msgpack.decode(
        msgspec.msgpack.encode(GenerateCommand(image_id="a", attempt=1, spec=SPEC, share=Share(1)))
    )
    for field in ("adapters", "embeddings", "clip_skip"):
        del recipe["spec"][field], order["spec"][field]
    assert Recipe.from_json(msgspec.json.encode(recipe)).spec == SPEC
    command = decode_command(msgspec.msgpack.encode(order))
    assert isinstance(command, GenerateCommand) and command.spec == SPEC
