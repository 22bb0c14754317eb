"""Pictures and recipes of earlier releases (`tests/samples`): still read, and still written letter by letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.column_types import JsonOf
from generation.images.codec import decode_png, pixels_sha256, read_png_text
from generation.images.metadata import read_recipe, sign_png
from generation.images.verify import read_disclosure
from generation.requests.recipe import Recipe, Trace, require_trace
from generation.requests.spec import GenerationRequest

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "0.1.0"
CIRCLE, SQUARE = (SAMPLES / "circle.png").read_bytes(), (SAMPLES / "square.png").read_bytes()


@pytest.mark.parametrize(
    ("png", "prompt", "negative", "size_px", "steps", "seed", "trace"),
    [
        (CIRCLE, "a (red:1.2) circle on a blue background", "green", (64, 64), 4, 4294967295, "2x4"),
        (SQUARE, "a yellow square, 猫", "", (64, 96), 3, 8, "8x3"),
    ],
    ids=["circle", "square"],
)
def test_a_picture_made_before_says_how_it_was_made(
    png: bytes, prompt: str, negative: str, size_px: tuple[int, int], steps: int, seed: int, trace: str
) -> None:
    recipe, (pixels, shown_px) = read_recipe(png), decode_png(png)
    spec = recipe.spec
    assert (spec.prompt, spec.negative, spec.steps, spec.seed) == (prompt, negative, steps, seed)
    assert (spec.model, spec.sampler, spec.guidance, spec.clip_skip) == ("paintbox", "DPM++ 2M Karras", 3.5, 1)
    assert (spec.width_px, spec.height_px) == shown_px == size_px
    assert require_trace(spec, recipe.trace) == Trace.parse(trace)
    assert recipe.pixels_sha256 == pixels_sha256(pixels)
    assert recipe.fingerprint.facts["torch"] == "2.13.0+cpu"


@pytest.mark.parametrize("png", [CIRCLE, SQUARE], ids=["circle", "square"])
def test_a_picture_made_before_is_signed_with_the_same_texts_today(png: bytes) -> None:
    assert read_disclosure(png).is_sound
    assert read_png_text(sign_png(*decode_png(png), read_recipe(png))) == read_png_text(png)


def test_a_changed_pixel_of_a_picture_made_before_is_noticed() -> None:
    pixels, size_px = decode_png(CIRCLE)
    changed = bytes([pixels[0] ^ 1]) + pixels[1:]
    assert not read_disclosure(sign_png(changed, size_px, read_recipe(CIRCLE))).is_sound


@pytest.mark.parametrize(("name", "kind"), [("request", GenerationRequest), ("recipe", Recipe)])
def test_a_stored_value_of_before_is_read_and_written_letter_by_letter(
    name: str, kind: type[GenerationRequest | Recipe]
) -> None:
    stored, column = (SAMPLES / f"{name}.json").read_text(encoding="utf-8").strip(), JsonOf(kind)
    value = column.process_result_value(stored, None)  # type: ignore[arg-type]
    assert isinstance(value, kind)
    assert column.process_bind_param(value, None) == stored  # type: ignore[arg-type]


def test_the_stored_recipe_is_the_one_in_the_picture() -> None:
    assert Recipe.from_json((SAMPLES / "recipe.json").read_text(encoding="utf-8")) == read_recipe(SQUARE)
