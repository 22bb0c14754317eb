"""A picture of any depth and mode as upright sRGB, 8 bits a channel, and its transparency.

Profiles are followed (ICC, or gamma and primaries of a PNG); one that is broken or of another kind of colour is not.
"""

from __future__ import annotations

import contextlib
import io
import struct
from collections.abc import Iterator
from enum import StrEnum
from typing import NamedTuple

from PIL import Image as PillowImage
from PIL import ImageChops, ImageCms
from PIL.Image import Image, Transpose

from generation.images.essentials import orientation_in
from generation.images.icc import SRGB, profile_of

_TURNS = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_90,
}
_GREY_STEPS = {"L;2": 85, "L;4": 17}
_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
_HALVES = [0] * 128 + [255] * 128
_MAX_SAME = 2
"""Levels by which a profile may differ from sRGB and is taken for it, so that values stay as they are."""


class Plain(NamedTuple):
    """Colours as RGB, and how opaque each pixel is (L); None where all are wholly."""

    colours: Image
    alpha: Image | None


class Reading(StrEnum):
    """What a user's picture is to become."""

    PICTURE = "picture"  # itself, on white
    MASK = "mask"  # black and white: as `convert_to_mask` says
    HOLES = "holes"  # black and white: as `convert_holes` says


def read_as(plain: Plain, reading: Reading) -> Image:
    """Return what a picture is to become."""
    match reading:
        case Reading.MASK:
            return convert_to_mask(plain)
        case Reading.HOLES:
            return convert_holes(plain)
        case _:
            return on_white(plain)


def plain(picture: Image, exif: bytes | None = None) -> Plain:
    """Return an opened file's first picture. Raise what Pillow raises for one that cannot be decoded."""
    tile = getattr(picture, "tile", None)
    raw = tile[0][3] if tile else ""
    picture.load()
    alpha = _read_alpha(picture, raw if isinstance(raw, str) else "")
    colours = _convert_to_srgb(_convert_to_eight_bits(picture), picture.info)
    turn = _TURNS.get(orientation_in(_read_exif(picture) if exif is None else exif))
    if turn is not None:
        colours, alpha = colours.transpose(turn), alpha.transpose(turn) if alpha is not None else None
    return Plain(colours, alpha)


def on_white(plain: Plain) -> Image:
    """Return the picture on white: transparency would otherwise show whatever colour lay hidden under it."""
    if plain.alpha is None:
        return plain.colours
    return PillowImage.composite(plain.colours, PillowImage.new("RGB", plain.colours.size, "white"), plain.alpha)


def convert_to_mask(plain: Plain) -> Image:
    """Return a mask as black and white: white and transparent are white, the rest is black.

    If no visible pixel is dark, the drawing is white on transparent ground: then what is drawn is white.
    """
    if plain.alpha is not None:
        seen, light = (each.point(_HALVES) for each in (plain.alpha, plain.colours.convert("L")))
        if seen.getbbox() is not None and ImageChops.subtract(seen, light).getbbox() is None:
            return seen.convert("RGB")
    return on_white(plain).convert("L").point(_HALVES).convert("RGB")


def convert_holes(plain: Plain) -> Image:
    """Return a mask as OpenAI's clients draw it: what is transparent is white. An opaque one is as any other mask."""
    if plain.alpha is None:
        return convert_to_mask(plain)
    return ImageChops.invert(plain.alpha.point(_HALVES)).convert("RGB")


def _convert_to_eight_bits(picture: Image) -> Image:
    """Return the colours as L, RGB or CMYK, without what is transparent."""
    if picture.mode.startswith("I"):
        return picture.convert("I").point([(level * 255 + 32767) // 65535 for level in range(65536)], "L")
    if picture.mode in ("1", "LA", "La"):
        return picture.convert("L")
    return picture if picture.mode in _SPACES else _drop_colour_key(picture).convert("RGB")


def _drop_colour_key(picture: Image) -> Image:
    if "transparency" in picture.info:
        picture = picture.copy()
        del picture.info["transparency"]
    return picture


def _read_alpha(picture: Image, raw: str) -> Image | None:
    if picture.mode in ("RGBA", "LA", "PA"):
        return picture.getchannel("A")
    key = picture.info.get("transparency")
    if key is None:
        return None
    if picture.mode.startswith("I"):
        return picture.convert("I").point([255 * (level != key) for level in range(65536)], "L")
    if raw in _GREY_STEPS:
        picture.info["transparency"] = key * _GREY_STEPS[raw] & 255
    elif raw == "RGB;16B":
        picture.info["transparency"] = tuple(level >> 8 for level in key)
    return picture.convert("RGBA").getchannel("A")


def _read_exif(picture: Image) -> bytes:
    """Return the EXIF block of a PNG or WebP; ImageMagick writes it into a PNG as text."""
    block = picture.info.get("exif", b"")
    if not block and (text := picture.info.get("Raw profile type exif")):
        with contextlib.suppress(ValueError):
            block = bytes.fromhex("".join(str(text).split("\n")[3:]))
    return block if isinstance(block, bytes) else b""


# Profiles.


def _convert_to_srgb(colours: Image, info: dict[str | tuple[int, int], object]) -> Image:
    for profile in _load_profiles(colours, info):
        try:
            return _converted(colours, profile)
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            continue  # broken: as if there were none
    return colours.convert("RGB")


def _load_profiles(colours: Image, info: dict[str | tuple[int, int], object]) -> Iterator[bytes]:
    """Yield what says how the colours are meant, best first."""
    icc, gamma, primaries = (info.get(name) for name in ("icc_profile", "gamma", "chromaticity"))
    if isinstance(icc, bytes) and icc:
        yield icc
    if isinstance(gamma, float) and colours.mode != "CMYK" and "srgb" not in info:
        with contextlib.suppress(ArithmeticError, ValueError, struct.error):
            yield profile_of(gamma, primaries if isinstance(primaries, tuple) else SRGB)


def _converted(colours: Image, profile: bytes) -> Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    space = source.profile.xcolor_space.strip()
    if space == "RGB" and colours.mode == "L":
        colours = colours.convert("RGB")
    if _SPACES[colours.mode] != space:
        raise ValueError("a profile for another kind of colour")
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(source, target, colours.mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    if space != "CMYK" and _is_same(transform, colours.mode):
        return colours.convert("RGB")
    converted = ImageCms.applyTransform(colours, transform)
    assert converted is not None
    return converted


def _is_same(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    """Return whether it leaves colours as they are, but for rounding."""
    ramp = PillowImage.linear_gradient("L").resize((64, 64))
    probe = ramp if mode == "L" else PillowImage.merge("RGB", (ramp, ramp.rotate(90), ramp.rotate(180)))
    after = ImageCms.applyTransform(probe, transform)
    assert after is not None
    apart = ImageChops.difference(probe.convert("RGB"), after).getextrema()
    return max(most for _, most in apart) <= _MAX_SAME  # type: ignore[misc]
