"""A PNG of ours in other programs: an independent reader finds every setting, and nothing is lost."""

from __future__ import annotations

import io
from typing import Any

import pytest
from PIL import Image as PillowImage
from PIL.PngImagePlugin import PngInfo
from sd_parsers import Eagerness, ParserManager
from sd_parsers.data import Generators

from generation.images.codec import pixels_sha256, read_png_text
from generation.images.interchange import read_foreign
from generation.images.metadata import read_recipe, sign_png
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.samplers import SAMPLERS
from generation.requests.spec import ImageSpec

PIXELS = bytes(range(256)) * 48


def recipe_of(**changes: Any) -> Recipe:
    chosen: dict[str, Any] = {
        "prompt": "a (red:1.2) circle, by the sea, 猫",
        "negative": "blurry, low contrast",
        "model": "paintbox",
        "width_px": 64,
        "height_px": 64,
        "steps": 20,
        "guidance": 7.5,
        "sampler": "DPM++ 2M Karras",
        "seed": 4294967295,
    }
    return Recipe(
        spec=ImageSpec(**(chosen | changes)),
        model_sha256="ab" * 32,
        trace="8x12,4x8",
        fingerprint=Fingerprint({"torch": "2.13.0"}),
        pixels_sha256=pixels_sha256(PIXELS),
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_an_independent_reader_finds_every_setting(sampler: str) -> None:
    spec = recipe_of(sampler=sampler).spec
    png = sign_png(PIXELS, (64, 64), recipe_of(sampler=sampler))
    found = ParserManager().parse(io.BytesIO(png), Eagerness.EAGER)
    assert found is not None
    assert found.generator is Generators.AUTOMATIC1111
    assert found.full_prompt == spec.prompt
    assert found.full_negative_prompt == spec.negative
    assert [str(model.name) for model in found.models] == ["paintbox"]
    assert [model.hash for model in found.models] == ["ab" * 5]
    (used,) = found.samplers
    assert used.name == sampler
    assert used.parameters["seed"] == "4294967295"
    assert used.parameters["steps"] == "20"
    assert used.parameters["cfg_scale"] == "7.5"
    assert found.metadata["Size"] == "64x64"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"negative": ""},
        {"prompt": "Negative prompt: nothing, Steps: 3, Sampler: none"},
        {"prompt": 'quotes "and, commas": everywhere', "seed": 0, "guidance": 0.0},
    ],
)
def test_our_reader_reads_our_parameters_line(changes: dict[str, Any]) -> None:
    spec = recipe_of(**changes).spec
    found = read_foreign(read_png_text(sign_png(PIXELS, (64, 64), recipe_of(**changes))))
    assert found is not None
    assert found.tool == "Atelier"
    words = spec.prompt.replace("Negative prompt:", "Negative prompt").replace("Steps:", "Steps")
    assert (found.prompt, found.negative) == (words, spec.negative)
    assert (found.steps, found.guidance, found.seed) == (spec.steps, spec.guidance, spec.seed)
    assert (found.sampler, found.size_px, found.model_there) == (spec.sampler, (64, 64), "paintbox")


def test_a_file_written_again_by_another_program_keeps_its_recipe() -> None:
    recipe = recipe_of()
    picture = PillowImage.open(io.BytesIO(sign_png(PIXELS, (64, 64), recipe)))
    info = PngInfo()
    for keyword, text in picture.text.items():  # type: ignore[attr-defined]
        info.add_itxt(keyword, text)
    again = io.BytesIO()
    picture.save(again, "PNG", pnginfo=info, compress_level=1)
    assert read_recipe(again.getvalue()) == recipe
