"""A file says that a machine made it, in IPTC's terms, and the same picture stays the same file."""

from __future__ import annotations

import io

import pytest
from PIL import Image

from generation.errors import InvalidRequestError
from generation.images.codec import pixels_sha256, shrink
from generation.images.iptc import SourceType
from generation.images.metadata import read_recipe, sign_png
from generation.images.verify import Disclosure, read_disclosure
from generation.requests.edits import StartImage
from generation.requests.recipe import Fingerprint, Recipe
from generation.requests.spec import ImageSpec

PIXELS = bytes(range(192)) * 64


def a_recipe(start: StartImage | None = None) -> Recipe:
    spec = ImageSpec(
        prompt="a red circle",
        model="m",
        width_px=64,
        height_px=64,
        steps=1,
        guidance=1.0,
        sampler="Euler a",
        seed=1,
        start=start,
    )
    return Recipe(
        spec=spec, model_sha256="0" * 64, trace="1x1", fingerprint=Fingerprint({}), pixels_sha256=pixels_sha256(PIXELS)
    )


@pytest.mark.parametrize(
    ("start", "expected"),
    [(None, SourceType.GENERATED), (StartImage(sha256="0" * 64, strength=0.5), SourceType.COMPOSITE)],
)
def test_a_picture_says_what_it_is_in_png_and_in_jpeg(start: StartImage | None, expected: SourceType) -> None:
    png = sign_png(PIXELS, (64, 64), a_recipe(start))
    assert png == sign_png(PIXELS, (64, 64), a_recipe(start))
    assert read_disclosure(png) == Disclosure(source_type=expected, is_intact=True)
    assert read_recipe(png) == a_recipe(start)
    jpeg = shrink(png, max_bytes=10_000)
    assert read_disclosure(jpeg) == Disclosure(source_type=expected, is_intact=None)


def test_pixels_that_were_changed_and_files_that_say_nothing() -> None:
    changed = sign_png(PIXELS[::-1], (64, 64), a_recipe())
    assert read_disclosure(changed).is_intact is False
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    assert read_disclosure(buffer.getvalue()) == Disclosure(source_type=None, is_intact=None)
    for data in (b"", b"<html>", buffer.getvalue()[:40]):
        with pytest.raises(InvalidRequestError):
            read_disclosure(data)
