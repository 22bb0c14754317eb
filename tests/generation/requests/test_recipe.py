"""Recipes survive JSON and PNG, and name differences."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from generation.errors import InvalidRequestError
from generation.images.codec import decode_png, encode_png, fit_upload, pixels_sha256, read_png_text, read_upload, tile
from generation.images.errors import (
    EmptyFileError,
    NoRecipeError,
    NotAPictureError,
    NotAPngError,
    PictureDamagedError,
    PictureSizeError,
)
from generation.images.metadata import format_parameters, read_recipe, recipe_in, sign_png
from generation.images.replay import Agreement, judge, psnr_db
from generation.images.store import ImageFiles
from generation.requests.edits import Hires, Margins, StartImage, Variation
from generation.requests.errors import RecipeUnusableError
from generation.requests.prompt import MAX_PROMPT_CHARS
from generation.requests.ranges import MAX_STEPS
from generation.requests.recipe import Fingerprint, Forward, Recipe, Trace
from generation.requests.spec import ImageSpec

SPEC = ImageSpec(
    prompt="a red circle, „größer“ 猫",
    negative="blurry",
    model="paintbox",
    width_px=64,
    height_px=64,
    steps=20,
    guidance=7.5,
    sampler="DPM++ 2M Karras",
    seed=7,
)
PIXELS = bytes(range(256)) * 48
RECIPE = Recipe(
    spec=SPEC,
    model_sha256="ab" * 32,
    trace="8x12,4x8",
    fingerprint=Fingerprint({"torch": "2.13.0", "device": "cpu"}),
    pixels_sha256=pixels_sha256(PIXELS),
)


@given(st.lists(st.sampled_from([1, 2, 4, 8, 16]), max_size=60))
def test_a_trace_reads_back_what_it_wrote(buckets: list[int]) -> None:
    trace = Trace.of(buckets)
    assert list(trace.buckets()) == buckets
    assert Trace.parse(str(trace)) == trace
    assert trace.num_evaluations == len(buckets)


def test_the_buckets_of_controlnets_are_read_and_written() -> None:
    trace = Trace.parse("8c2x12,8x3,16c4c1x2")
    assert trace.runs == ((Forward(8, (2,)), 12), (Forward(8), 3), (Forward(16, (4, 1)), 2))
    assert str(trace) == "8c2x12,8x3,16c4c1x2"
    assert list(trace.buckets()) == [8] * 15 + [16] * 2
    assert Trace.parse("2c2x4").is_minimal(2) and not Trace.parse("2c4x4").is_minimal(2)


def test_a_trace_says_where_a_forward_had_a_part_of_the_threads() -> None:
    trace = Trace.parse("8t1x12,8x3,16t2c4c1x2")
    assert list(trace.forwards())[11:] == [Forward(8, (), 1), *[Forward(8)] * 3, *[Forward(16, (4, 1), 2)] * 2]
    assert str(trace) == "8t1x12,8x3,16t2c4c1x2"


NOT_TRACES = ("8t", "8tx2", "8t0x2", "t1x2", "8c2t1x2", "8c", "c2x1", "8c0x2", "8c2", "8c2xx1")


@pytest.mark.parametrize("text", [*NOT_TRACES, "8", "8x", "x3", "0x3", "8x3,", "8x-1", "8x3;4x1", "99999x1"])
def test_an_invalid_trace_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a trace"):
        Trace.parse(text)


def test_a_signed_png_gives_back_pixels_and_recipe() -> None:
    png = sign_png(PIXELS, (64, 64), RECIPE)
    assert read_recipe(png) == RECIPE
    assert decode_png(png) == (PIXELS, (64, 64))


def test_the_same_picture_is_the_same_file() -> None:
    assert sign_png(PIXELS, (64, 64), RECIPE) == sign_png(PIXELS, (64, 64), RECIPE)


def test_the_parameters_line_is_what_other_tools_read() -> None:
    assert format_parameters(RECIPE) == (
        "a red circle, „größer“ 猫\nNegative prompt: blurry\n"
        "Steps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7.5, Seed: 7, Size: 64x64, "
        "Model hash: ababababab, Model: paintbox, Version: Atelier"
    )


def test_a_prompt_cannot_forge_the_lines_below_it() -> None:
    forged = ImageSpec(**{**_fields(SPEC), "prompt": "x Negative prompt: y Steps: 99, Seed: 1"})
    line = format_parameters(Recipe(**{**_fields(RECIPE), "spec": forged}))
    assert line.count("Negative prompt:") == 1
    assert line.count("Steps:") == 1


def test_start_and_variation_are_in_the_parameters() -> None:
    changed = ImageSpec(
        **{
            **_fields(SPEC),
            "start": StartImage(sha256="1" * 64, strength=0.6),
            "variation": Variation(seed=5, strength=0.25),
        }
    )
    line = format_parameters(Recipe(**{**_fields(RECIPE), "spec": changed}))
    assert "Denoising strength: 0.6" in line
    assert "Variation seed: 5, Variation seed strength: 0.25" in line


def test_outpaint_and_hires_fix_are_in_the_recipe_and_the_parameters() -> None:
    outpainted = {"start": StartImage(sha256="1" * 64, strength=1.0, margins=Margins(left=8, bottom=16))}
    for change, says in (
        ({"hires": Hires(factor=1.5, strength=0.4)}, "Denoising strength: 0.4, Hires upscale: 1.5"),
        (outpainted, "Outpaint: left 8 bottom 16"),
    ):
        recipe = Recipe(**{**_fields(RECIPE), "spec": ImageSpec(**_fields(SPEC) | change)})
        assert says in format_parameters(recipe)
        assert read_recipe(sign_png(PIXELS, (64, 64), recipe)) == recipe


def test_a_png_without_a_recipe_says_so() -> None:
    with pytest.raises(NoRecipeError):
        read_recipe(encode_png(PIXELS, (64, 64)))
    with pytest.raises(RecipeUnusableError):
        read_recipe(encode_png(PIXELS, (64, 64), text={"atelier": '{"spec": 3}'}))
    with pytest.raises(NotAPngError):
        read_recipe(b"GIF89a")


def test_a_forged_recipe_that_is_too_long_or_too_deep_cannot_be_read() -> None:
    for forged in (replace(RECIPE, dropped="x" * (1 << 16)).to_json(), '{"x":' + "[" * 50_000):
        with pytest.raises(RecipeUnusableError):
            recipe_in({"atelier": forged})


def test_the_longest_recipe_of_ours_is_read() -> None:
    """Words of quotation marks (two characters each in JSON), and a trace that changes at every evaluation."""
    words = '"' * MAX_PROMPT_CHARS
    trace = str(Trace.of([8, 16] * 2 * MAX_STEPS))
    longest = replace(RECIPE, spec=replace(SPEC, prompt=words, negative=words), trace=trace, dropped=words)
    assert recipe_in({"atelier": longest.to_json()}) == longest


def test_the_verdict_names_what_differs() -> None:
    here = Fingerprint({"torch": "2.14.0", "device": "cpu"})
    other = bytes(min(255, value + 1) for value in PIXELS)
    assert judge(RECIPE, PIXELS, here, original=PIXELS).verdict is Agreement.IDENTICAL
    near = judge(RECIPE, other, here, original=PIXELS)
    assert near.verdict is Agreement.NEAR
    assert near.psnr_db is not None and near.psnr_db > 40
    assert "torch 2.14.0 here, 2.13.0 then" in near.why
    assert judge(RECIPE, bytes(len(PIXELS)), here, original=PIXELS).verdict is Agreement.DIFFERENT
    assert judge(RECIPE, other, here, original=None).psnr_db is None


def test_psnr_is_the_textbooks() -> None:
    assert psnr_db(bytes([10] * 30), bytes([20] * 30)) == pytest.approx(28.13, abs=0.01)


def picture(size: tuple[int, int], kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    PillowImage.new(mode, size, 128 if mode in ("L", "P", "I;16") else None).save(buffer, kind, **options)  # type: ignore[arg-type]
    return buffer.getvalue()


def header_only(width: int, height: int) -> bytes:
    """A PNG whose header claims a size that its data does not have."""
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + _chunk(b"IDAT", zlib.compress(b"\0" * 64)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", EmptyFileError),
        (b"<svg/>", NotAPictureError),
        (b"<html>", NotAPictureError),
        (header_only(60000, 60000), PictureSizeError),
        (header_only(9459, 9459), PictureSizeError),
        (header_only(1, 20000), PictureSizeError),
        (picture((64, 64))[:60], PictureDamagedError),
        (picture((64, 64), "TIFF"), NotAPictureError),
    ],
)
def test_uploads_that_cannot_be_used_say_why(data: bytes, kind: type[InvalidRequestError]) -> None:
    with pytest.raises(kind):
        read_upload(data)


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "CMYK"), ("PNG", "LA"), ("PNG", "I;16"), ("PNG", "P"), ("WEBP", "RGBA")]
)
def test_every_kind_of_picture_becomes_plain_rgb(kind: str, mode: str) -> None:
    pixels, size = decode_png(fit_upload(picture((96, 80), kind, mode), (64, 64)))
    assert size == (64, 64)
    assert len(pixels) == 64 * 64 * 3


def test_a_turned_photograph_is_set_upright_and_keeps_no_metadata() -> None:
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x8825] = {1: "N"}
    data = picture((96, 64), "JPEG", exif=exif)
    upright = read_upload(data)
    assert upright.size == (64, 96)
    assert b"Exif" not in fit_upload(data, (64, 64))
    assert read_png_text(fit_upload(data, (64, 64))) == {}


def test_four_pictures_tile_two_by_two() -> None:
    sheet = tile([encode_png(PIXELS, (64, 64))] * 4)
    assert decode_png(sheet)[1] == (132, 132)


def test_files_are_named_by_their_content_and_damage_shows(tmp_path: Path) -> None:
    files = ImageFiles(tmp_path)
    name = files.put(b"picture")
    assert files.put(b"picture") == name
    assert files.get(name) == b"picture"
    assert files.get("0" * 64) is None
    next(tmp_path.rglob("*.png")).write_bytes(b"damaged")
    assert files.get(name) is None
    files.remove(name)
    with pytest.raises(ValueError, match="SHA-256"):
        files.get("../../etc/passwd")


def _fields(value: object) -> dict[str, Any]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}  # type: ignore[attr-defined]
