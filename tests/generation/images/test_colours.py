"""Pictures keep their values: every depth, mode, profile and orientation, against values worked out by hand."""

from __future__ import annotations

import io
import logging
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from generation.images.codec import read_upload
from generation.images.colours import Reading
from generation.images.errors import PictureDamagedError, PictureSizeError
from generation.images.icc import profile_of
from generation.images.untrusted_decoder import fit_picture
from tests.generation.images.hostile_files import chunk, with_chunk

SIDE = 16
WHITE, BLACK, RED, GREEN, BLUE = (255, 255, 255), (0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255)
WHITE_POINT, SRGB = (0.3127, 0.329), (0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
DISPLAY_P3 = profile_of(0.45455, (*WHITE_POINT, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06))
ADOBE_RGB = profile_of(256 / 563, (*WHITE_POINT, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06))


def a_png(depth: int, colour_type: int, pixel: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """One colour, `pixel` being a row's first bytes, which are repeated."""
    samples = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row = pixel * (SIDE * samples * depth // 8 // len(pixel))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, depth, colour_type, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress((b"\0" + row) * SIDE))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*each) for each in chunks) + data + chunk(b"IEND", b"")


def saved(picture: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def colour_of(data: bytes, *, reading: Reading = Reading.PICTURE) -> tuple[int, ...]:
    picture = read_upload(data, reading=reading)
    assert picture.mode == "RGB" and picture.size == (SIDE, SIDE)
    [(_, colour)] = picture.getcolors()  # type: ignore[misc]
    return colour  # type: ignore[return-value]


def s16(*levels: int) -> bytes:
    return struct.pack(f">{len(levels)}H", *levels)


def keyed(*levels: int) -> tuple[bytes, bytes]:
    return b"tRNS", s16(*levels)


PALETTE = (b"PLTE", bytes((10, 20, 30, 200, 100, 50)))
PNGS = {
    # depth, colour type, the bytes of a row's beginning, further chunks: what is seen, on white
    "1 bit white": (a_png(1, 0, b"\xff"), WHITE),
    "1 bit black": (a_png(1, 0, b"\0"), BLACK),
    "1 bit, black transparent": (a_png(1, 0, b"\0", keyed(0)), WHITE),
    "2 bit": (a_png(2, 0, b"\x55"), (85, 85, 85)),
    "2 bit, that grey transparent": (a_png(2, 0, b"\x55", keyed(1)), WHITE),
    "2 bit, another transparent": (a_png(2, 0, b"\x55", keyed(3)), (85, 85, 85)),
    "4 bit": (a_png(4, 0, b"\x44"), (68, 68, 68)),
    "4 bit, that grey transparent": (a_png(4, 0, b"\x44", keyed(4)), WHITE),
    "8 bit": (a_png(8, 0, b"\x44"), (68, 68, 68)),
    "8 bit, that grey transparent": (a_png(8, 0, b"\x44", keyed(68)), WHITE),
    "16 bit, a third": (a_png(16, 0, s16(21845)), (85, 85, 85)),
    "16 bit, 200 of 255": (a_png(16, 0, s16(51400)), (200, 200, 200)),
    "16 bit white": (a_png(16, 0, s16(65535)), WHITE),
    "16 bit, nearly black": (a_png(16, 0, s16(129)), (1, 1, 1)),
    "16 bit, that grey transparent": (a_png(16, 0, s16(51401), keyed(51401)), WHITE),
    "16 bit, one beside it transparent": (a_png(16, 0, s16(51401), keyed(51400)), (200, 200, 200)),
    "RGB": (a_png(8, 2, b"\x0a\x64\xc8"), (10, 100, 200)),
    "RGB, that colour transparent": (a_png(8, 2, b"\x0a\x64\xc8", keyed(10, 100, 200)), WHITE),
    "RGB 16 bit": (a_png(16, 2, s16(2570, 25700, 51400)), (10, 100, 200)),
    "RGB 16 bit, that colour transparent": (a_png(16, 2, s16(2561, 25601, 51201), keyed(2561, 25601, 51201)), WHITE),
    "palette": (a_png(8, 3, b"\1", PALETTE), (200, 100, 50)),
    "palette 1 bit": (a_png(1, 3, b"\xff", PALETTE), (200, 100, 50)),
    "palette 2 bit": (a_png(2, 3, b"\x55", PALETTE), (200, 100, 50)),
    "palette, that colour transparent": (a_png(8, 3, b"\1", PALETTE, (b"tRNS", b"\xff\0")), WHITE),
    "palette, half": (a_png(8, 3, b"\1", PALETTE, (b"tRNS", b"\xff\x80")), (227, 177, 152)),  # 255-55*128/255, ...
    "palette, the other transparent": (a_png(8, 3, b"\1", PALETTE, (b"tRNS", b"\0")), (200, 100, 50)),
    "grey and alpha": (a_png(8, 4, b"\0\x80"), (127, 127, 127)),
    "grey and alpha 16 bit": (a_png(16, 4, s16(51400, 0)), WHITE),
    "grey and full alpha 16 bit": (a_png(16, 4, s16(51400, 65535)), (200, 200, 200)),
    "RGBA, transparent red": (a_png(8, 6, b"\xff\0\0\0"), WHITE),
    "RGBA, half a red": (a_png(8, 6, b"\xff\0\0\x80"), (255, 127, 127)),
    "RGBA 16 bit": (a_png(16, 6, s16(2570, 25700, 51400, 65535)), (10, 100, 200)),
}


@pytest.mark.parametrize("name", PNGS)
def test_a_png_of_every_depth_and_colour_type(name: str) -> None:
    data, seen = PNGS[name]
    assert colour_of(data) == pytest.approx(seen, abs=1 if "half" in name or "and alpha" in name else 0)


def test_an_interlaced_png() -> None:
    """A ramp from left to right, in the seven passes of Adam7: what the second pass has stands at column 4."""
    starts = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
    rows = b"".join(
        b"\0" + bytes(16 * x for x in range(left, SIDE, across))
        for left, top, across, down in starts
        for _ in range(top, SIDE, down)
    )
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 1))
    data = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    picture = read_upload(data)
    assert [picture.getpixel((x, 9)) for x in range(SIDE)] == [(16 * x,) * 3 for x in range(SIDE)]


# JPEG and WebP.


def planes(*levels: int) -> Image.Image:
    """Return four channels of one level each: ink, from 0 to 255."""
    return Image.merge("CMYK", [Image.new("L", (SIDE, SIDE), level) for level in levels])


def with_transform(jpeg: bytes, transform: int) -> bytes:
    """Return the same file with an Adobe segment that says how its channels are meant."""
    at = jpeg.index(b"\xff\xee") + 15
    return jpeg[:at] + bytes([transform]) + jpeg[at + 1 :]


def test_jpegs_in_ink_are_seen_as_viewers_show_them() -> None:
    """Adobe writes ink inverted, and so all viewers read it: red = 255 (1 - c) (1 - k)."""
    for ink, seen in {
        (0, 0, 0, 0): WHITE,
        (255, 0, 0, 0): (0, 255, 255),
        (0, 255, 255, 0): RED,
        (0, 0, 0, 255): BLACK,
        (51, 102, 0, 51): (163, 122, 204),
    }.items():
        assert colour_of(saved(planes(*ink), "JPEG", quality=100)) == pytest.approx(seen, abs=2)


def test_a_ycck_jpeg() -> None:
    """Y 150, Cb 100 and Cr 180 are R 223, G 122.5, B 100.4, of which ink leaves what lacks to 255; K leaves 204."""
    stored = planes(*(255 - level for level in (150, 100, 180, 204)))
    seen = colour_of(with_transform(saved(stored, "JPEG", quality=100), 2))
    assert seen == pytest.approx((32 * 204 / 255, 132.5 * 204 / 255, 154.6 * 204 / 255), abs=2)


def test_grey_rgb_and_ycbcr_jpegs() -> None:
    grey = Image.new("L", (SIDE, SIDE), 77)
    assert colour_of(saved(grey, "JPEG", quality=100)) == pytest.approx((77, 77, 77), abs=1)
    colours = Image.new("RGB", (SIDE, SIDE), (200, 100, 50))
    assert colour_of(saved(colours, "JPEG", quality=100)) == pytest.approx((200, 100, 50), abs=2)
    as_rgb = saved(colours, "JPEG", quality=100, keep_rgb=True)
    assert colour_of(as_rgb) == pytest.approx((200, 100, 50), abs=1)
    assert colour_of(saved(colours, "JPEG", quality=100, progressive=True)) == pytest.approx((200, 100, 50), abs=2)


def test_webp_with_and_without_losses_and_transparency() -> None:
    half = Image.new("RGBA", (SIDE, SIDE), (200, 0, 0, 51))  # a fifth of red on white
    assert colour_of(saved(half, "WEBP", lossless=True)) == pytest.approx((244, 204, 204), abs=1)
    assert colour_of(saved(half.convert("RGB"), "WEBP", quality=100)) == pytest.approx((200, 0, 0), abs=4)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_first_picture_of_an_animation_is_used(kind: str) -> None:
    frames = [Image.new("RGB", (SIDE, SIDE), colour) for colour in (RED, GREEN, BLUE)]
    options = {"lossless": True} if kind == "WEBP" else {}
    assert colour_of(saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)) == RED


def test_a_webp_that_claims_to_be_huge_is_too_large() -> None:
    small = saved(Image.new("RGBA", (SIDE, SIDE), (1, 2, 3, 4)), "WEBP", lossless=True, exif=exif_block(1))
    huge = small[:24] + (16383).to_bytes(3, "little") * 2 + small[30:]
    with pytest.raises(PictureSizeError):
        read_upload(huge)


# Profiles. What comes out was computed from the definitions of the spaces, not by a colour engine.

WIDE = {  # in Display P3: in sRGB
    (200, 100, 50): (215, 93, 31),
    (128, 128, 128): (128, 128, 128),
    (50, 200, 60): (0, 204, 12),
    (90, 80, 200): (92, 80, 207),
}


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "JPEG"])
@pytest.mark.parametrize("colour", WIDE)
def test_display_p3(kind: str, colour: tuple[int, int, int]) -> None:
    choices: dict[str, dict[str, Any]] = {
        "PNG": {},
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 100, "keep_rgb": True},
    }
    data = saved(Image.new("RGB", (SIDE, SIDE), colour), kind, icc_profile=DISPLAY_P3, **choices[kind])
    assert colour_of(data) == pytest.approx(WIDE[colour], abs=2)


def test_adobe_rgb_and_transparency() -> None:
    half = Image.new("RGBA", (SIDE, SIDE), (200, 100, 50, 255))
    assert colour_of(saved(half, "PNG", icc_profile=ADOBE_RGB)) == pytest.approx((228, 100, 44), abs=2)
    half.putalpha(0)
    assert colour_of(saved(half, "PNG", icc_profile=ADOBE_RGB)) == WHITE


def grey_profile(gamma: float) -> bytes:
    """Build a profile of one curve."""
    curve = b"curv\0\0\0\0" + struct.pack(">IH2x", 1, round(gamma * 256))
    point = b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(each * 65536) for each in (0.9642, 1, 0.8249)))
    return an_icc(b"GRAY", b"XYZ ", b"mntr", {b"wtpt": point, b"kTRC": curve})


def an_icc(space: bytes, through: bytes, kind: bytes, tags: dict[bytes, bytes]) -> bytes:
    start, table, body = 132 + 12 * len(tags), struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", start + len(body), len(tag))
        body += tag
    light = struct.pack(">3i", *(round(each * 65536) for each in (0.9642, 1, 0.8249)))
    words = (start + len(body), b"", 0x02400000, kind, space, through, b"acsp", light)
    return struct.pack(">I4sI4s4s4s12x4s28x12s48x", *words) + table + body


def test_a_grey_profile() -> None:
    """Of gamma 1: 55 of 255 is 21.6 % of the light, which sRGB writes as 128."""
    grey = Image.new("L", (SIDE, SIDE), 55)
    assert colour_of(saved(grey, "PNG", icc_profile=grey_profile(1.0))) == pytest.approx((128,) * 3, abs=1)
    both = Image.merge("LA", (grey, Image.new("L", (SIDE, SIDE), 255)))
    assert colour_of(saved(both, "PNG", icc_profile=grey_profile(1.0))) == pytest.approx((128,) * 3, abs=1)
    deep = with_chunk(a_png(16, 0, s16(55 * 257)), b"iCCP", b"grey\0\0" + zlib.compress(grey_profile(1.0)))
    assert colour_of(deep) == pytest.approx((128,) * 3, abs=1)


def ink_profile() -> bytes:
    """Build a profile of four equal inks: no ink is Lab 100, any full ink is Lab 0."""
    corners = [0 if number else 255 for number in range(16)]
    cells = b"".join(bytes((light, 128, 128)) for light in corners)
    ramp = bytes(range(256))
    unit = struct.pack(">9i", *(65536 if place % 4 == 0 else 0 for place in range(9)))
    table = b"mft1\0\0\0\0" + bytes((4, 3, 2, 0)) + unit + ramp * 4 + cells + ramp * 3
    return an_icc(b"CMYK", b"Lab ", b"prtr", {b"A2B0": table, b"wtpt": b"XYZ \0\0\0\0" + bytes(12)})


def test_a_profile_of_ink() -> None:
    """With half the cyan, half the lightness: Lab 50, which sRGB writes as 119. Without the profile it is turquoise."""
    data = saved(planes(128, 0, 0, 0), "JPEG", quality=100, icc_profile=ink_profile())
    assert colour_of(data) == pytest.approx((119, 119, 119), abs=3)
    assert colour_of(saved(planes(128, 0, 0, 0), "JPEG", quality=100)) == pytest.approx((127, 255, 255), abs=2)


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param(b"no profile at all", id="nonsense"),
        pytest.param(DISPLAY_P3[:200], id="cut short"),
        pytest.param(DISPLAY_P3[:132] + b"\xff" * 200, id="odd tags"),
        pytest.param(grey_profile(1.0), id="of grey"),
        pytest.param(ink_profile(), id="of ink"),
        pytest.param(profile_of(0.45455, (*WHITE_POINT, *SRGB)), id="sRGB"),
    ],
)
def test_a_profile_that_is_broken_or_of_other_colours_changes_nothing(profile: bytes) -> None:
    picture = Image.merge("RGB", [Image.linear_gradient("L")] * 3)
    assert read_upload(saved(picture, "PNG", icc_profile=profile)).tobytes() == picture.tobytes()
    jpeg = saved(picture, "JPEG", quality=100)
    assert (
        read_upload(saved(picture, "JPEG", quality=100, icc_profile=profile)).tobytes() == read_upload(jpeg).tobytes()
    )


def gama(gamma: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(gamma * 100_000))


def chrm(*numbers: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(number * 100_000) for number in numbers))


@pytest.mark.parametrize(
    ("chunks", "before", "after"),
    [
        ([gama(1.0)], (55, 55, 55), (128, 128, 128)),
        ([gama(1.0)], (188, 128, 10), (223, 188, 56)),
        ([gama(1 / 1.8)], (128, 188, 55), (146, 200, 71)),
        ([gama(0.45455)], (10, 100, 200), (10, 100, 200)),
        ([gama(0.45455), chrm(*WHITE_POINT, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)], (200, 100, 50), (215, 93, 31)),
        ([gama(1.0), (b"sRGB", b"\0")], (55, 55, 55), (55, 55, 55)),
        ([gama(0)], (55, 55, 55), (55, 55, 55)),
        ([gama(1.0), chrm(*[0.0] * 8)], (55, 55, 55), (55, 55, 55)),
        ([gama(1.0), (b"cHRM", b"short")], (55, 55, 55), (128, 128, 128)),
        ([(b"gAMA", b"x")], (55, 55, 55), (55, 55, 55)),
    ],
)
def test_gamma_and_primaries_of_a_png(
    chunks: list[tuple[bytes, bytes]], before: tuple[int, ...], after: tuple[int, ...]
) -> None:
    assert colour_of(a_png(8, 2, bytes(before), *chunks)) == pytest.approx(after, abs=2)
    assert colour_of(a_png(8, 2, bytes(before), *chunks, (b"iCCP", b"p\0\0" + zlib.compress(b"broken")))) is not None


# How it lies.

CORNERS = {  # by orientation, what is seen at the upper left, upper right and lower left of red, green / blue, white
    1: (RED, GREEN, BLUE),
    2: (GREEN, RED, WHITE),
    3: (WHITE, BLUE, GREEN),
    4: (BLUE, WHITE, RED),
    5: (RED, BLUE, GREEN),
    6: (BLUE, RED, WHITE),
    7: (WHITE, GREEN, BLUE),
    8: (GREEN, WHITE, RED),
}


def quarters() -> Image.Image:
    picture = Image.new("RGB", (64, 32), RED)
    for place, colour in (((32, 0), GREEN), ((0, 16), BLUE), ((32, 16), WHITE)):
        picture.paste(colour, (*place, place[0] + 32, place[1] + 16))
    return picture


def exif_block(orientation: int, *more: tuple[int, int, int, bytes], order: str = "<", kind: int = 3) -> bytes:
    """A TIFF block with that orientation, and with other tags: number, type, count, value."""
    value = struct.pack(f"{order}{'H' if kind == 3 else 'I'}", orientation)
    tags = sorted([(0x0112, kind, 1, value), *more])
    place, table, body = 8 + 2 + 12 * len(tags) + 4, b"", b""
    for number, type_, count, data in tags:
        shown = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(f"{order}I", place + len(body))
        body += data if len(data) > 4 else b""
        table += struct.pack(f"{order}HHI", number, type_, count) + shown
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return start + table + bytes(4) + body


def seen_corners(data: bytes) -> tuple[tuple[int, ...], ...]:
    picture = read_upload(data)
    right, low = picture.width - 3, picture.height - 3
    spots = [picture.getpixel(place) for place in ((2, 2), (right, 2), (2, low))]
    return tuple(tuple(255 * (level > 127) for level in spot) for spot in spots)  # type: ignore[union-attr]


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_orientation_in_every_kind(orientation: int, order: str) -> None:
    block = exif_block(orientation, order=order)
    png = saved(quarters(), "PNG")
    for data in (
        saved(quarters(), "JPEG", quality=95, exif=b"Exif\0\0" + block),
        saved(quarters(), "WEBP", lossless=True, exif=block),
        with_chunk(png, b"eXIf", block),
        png[:-12] + chunk(b"eXIf", block) + png[-12:],
        with_chunk(png, b"eXIf", exif_block(orientation, order=order, kind=4)),
        with_chunk(
            png,
            b"tEXt",
            b"Raw profile type exif\0\nexif\n%8d\n" % (len(block) + 6) + (b"Exif\0\0" + block).hex().encode(),
        ),
    ):
        assert seen_corners(data) == CORNERS[orientation]


RATIO = struct.pack("<II", 72, 1)
ODD_TAGS = {
    "XResolution as text": (0x011A, 2, 5, b"72/1\0"),
    "XResolution signed, -1/0": (0x011A, 10, 1, struct.pack("<ii", -1, 0)),
    "XResolution 0/0": (0x011A, 5, 1, bytes(8)),
    "DateTime as a fraction": (0x0132, 5, 1, RATIO),
    "ImageWidth as a fraction": (0x0100, 5, 1, RATIO),
    "ResolutionUnit as a fraction": (0x0128, 5, 1, RATIO),
    "a type that is none": (0x9999, 99, 1, b"x"),
    "a block far beyond the end": (0x8769, 4, 1, b"\xff\xff\xff\x7f"),
    "thousands of values": (0x010E, 3, 1 << 30, b"\xff\xff\xff\x7f"),
    "a maker's note": (0x927C, 7, 6, b"Nikon\0"),
}


@pytest.mark.parametrize("name", ODD_TAGS)
def test_an_unneeded_exif_tag_is_ignored(name: str) -> None:
    block = exif_block(6, ODD_TAGS[name])
    for data in (
        saved(quarters(), "JPEG", quality=95, exif=b"Exif\0\0" + block),
        saved(quarters(), "WEBP", lossless=True, exif=block),
        with_chunk(saved(quarters(), "PNG"), b"eXIf", block),
    ):
        assert seen_corners(data) == CORNERS[6]


@pytest.mark.parametrize(
    "block", [b"", b"II", b"II*\0", b"II*\0\x08\0\0\0\xff\xff", b"XX" * 20, b"MM\0*\xff\xff\xff\xff"]
)
def test_exif_that_is_cut_short_is_none(block: bytes) -> None:
    for data in (
        saved(quarters(), "JPEG", quality=95, exif=b"Exif\0\0" + block),
        with_chunk(saved(quarters(), "PNG"), b"eXIf", block),
        saved(quarters(), "WEBP", lossless=True, exif=block or b"x"),
    ):
        assert seen_corners(data) == CORNERS[1]


def with_segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    return jpeg[:2] + struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body + jpeg[2:]


@pytest.mark.parametrize(
    ("marker", "body"),
    [
        (0xE2, b"ICC_PROFILE\0"),
        (0xE2, b"ICC_PROFILE\0\1\2" + DISPLAY_P3),
        (0xE2, b"MPF\0" + b"II*\0\x08\0\0\0\xff\xff"),
        (0xED, b"Photoshop 3.0\x008BIM\x03\xed\0\0\xff\xff\xff\xff"),
        (0xE0, b"JFIF"),
        (0xEE, b"Adobe"),
        (0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:broken"),
        (0xFE, b"\xff\xd8 a comment"),
    ],
)
def test_an_unneeded_segment_is_ignored(marker: int, body: bytes) -> None:
    jpeg = saved(quarters(), "JPEG", quality=95, exif=b"Exif\0\0" + exif_block(6))
    assert seen_corners(with_segment(jpeg, marker, body)) == CORNERS[6]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (b"pHYs", b"x"),
        (b"tRNS", b"x"),
        (b"sRGB", b""),
        (b"iCCP", b"x"),
        (b"tIME", b""),
        (b"acTL", b"x"),
        (b"bKGD", b""),
    ],
)
def test_an_unneeded_chunk_is_ignored(kind: bytes, body: bytes) -> None:
    assert seen_corners(with_chunk(saved(quarters(), "PNG"), kind, body)) == CORNERS[1]


def test_a_chunk_with_a_wrong_checksum_is_ignored() -> None:
    png = with_chunk(saved(quarters(), "PNG"), b"eXIf", exif_block(6))
    at = png.index(b"eXIf") + 5
    assert seen_corners(png[:at] + b"\xff" + png[at + 1 :]) == CORNERS[1]


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_picture_is_read_with_any_exif(data: st.DataObject) -> None:
    block = bytearray(exif_block(1, *ODD_TAGS.values()))
    for _ in range(data.draw(st.integers(1, 6))):
        block[data.draw(st.integers(0, len(block) - 1))] = data.draw(st.integers(0, 255))
    for file in (
        saved(quarters(), "JPEG", exif=b"Exif\0\0" + bytes(block)),
        with_chunk(saved(quarters(), "PNG"), b"eXIf", bytes(block)),
    ):
        assert sorted(read_upload(file).size) == [32, 64]


# Masks.


def strokes(stroke: tuple[int, ...], ground: tuple[int, ...]) -> bytes:
    """Draw the left half on a ground."""
    picture = Image.new("RGBA", (SIDE, SIDE), ground)
    picture.paste(stroke, (0, 0, SIDE // 2, SIDE))
    return saved(picture, "PNG")


@pytest.mark.parametrize(
    ("data", "halves"),
    [
        pytest.param(strokes((255, 255, 255, 255), (0, 0, 0, 255)), (WHITE, BLACK), id="white on black"),
        pytest.param(strokes((0, 0, 0, 0), (0, 0, 0, 255)), (WHITE, BLACK), id="a hole in black"),
        pytest.param(strokes((255, 255, 255, 255), (0, 0, 0, 0)), (WHITE, BLACK), id="white on nothing"),
        pytest.param(strokes((255, 255, 255, 255), (255, 255, 255, 0)), (WHITE, BLACK), id="white on invisible white"),
        pytest.param(strokes((0, 0, 0, 255), (0, 0, 0, 0)), (BLACK, WHITE), id="black on nothing"),
        pytest.param(strokes((130, 130, 130, 255), (120, 120, 120, 255)), (WHITE, BLACK), id="greys"),
        pytest.param(a_png(16, 0, s16(65535)), (WHITE, WHITE), id="16 bit white"),
        pytest.param(a_png(16, 0, s16(32000)), (BLACK, BLACK), id="16 bit, less than half"),
        pytest.param(
            a_png(1, 3, b"\xff", (b"PLTE", bytes((255, 255, 255, 0, 0, 0)))), (BLACK, BLACK), id="inverted palette"
        ),
        pytest.param(a_png(8, 6, bytes(4)), (WHITE, WHITE), id="nothing at all"),
    ],
)
def test_a_mask_is_black_and_white(data: bytes, halves: tuple[tuple[int, ...], ...]) -> None:
    mask = read_upload(data, reading=Reading.MASK)
    assert (mask.getpixel((2, 5)), mask.getpixel((SIDE - 3, 5))) == halves


def test_a_mask_that_was_saved_with_losses_has_no_grey() -> None:
    mask = read_upload(
        saved(Image.open(io.BytesIO(strokes((255,) * 4, (0, 0, 0, 255)))).convert("L"), "JPEG", quality=30),
        reading=Reading.MASK,
    )
    assert sorted(colour for _, colour in mask.getcolors()) == [BLACK, WHITE]  # type: ignore[misc, type-var]


# In the process.


async def test_values_come_through_the_process_and_masks_are_made_there() -> None:
    made = Image.open(io.BytesIO(await fit_picture(a_png(16, 0, s16(21845)), (32, 32))))
    assert made.getcolors() == [(1024, (85, 85, 85))]
    drawn = strokes((255,) * 4, (0, 0, 0, 0))
    made = Image.open(io.BytesIO(await fit_picture(drawn, (SIDE, SIDE), reading=Reading.MASK)))
    assert made.getpixel((2, 2)) == WHITE and made.getpixel((13, 2)) == BLACK


@pytest.mark.parametrize("mode", ["P", "LA", "RGBA", "I;16", "CMYK"])
async def test_the_largest_of_every_mode_fits_the_limits(mode: str) -> None:
    picture = Image.new(mode, (4096, 4096))
    profile = {"CMYK": ink_profile(), "RGBA": DISPLAY_P3, "P": DISPLAY_P3}.get(mode, grey_profile(1.0))
    data = saved(picture, "JPEG" if mode == "CMYK" else "PNG", icc_profile=profile)
    assert await fit_picture(data, (64, 64))


async def test_an_unforeseen_error_says_what_it_is_and_is_logged(
    wild_decoder: None, caplog: pytest.LogCaptureFixture
) -> None:
    """A library that trips over a file: not the file's size, and the log says where, without a word of the file."""
    with (
        caplog.at_level(logging.ERROR, "generation.images.untrusted_decoder"),
        pytest.raises(PictureDamagedError),
    ):
        await fit_picture(b"trips", (64, 64))
    assert "error=KeyError untrusted_decoder.py:" in caplog.text and "secret" not in caplog.text
