"""Pictures as bytes: PNG and JPEG in and out, under limits that hold before a single pixel is decoded.

A user's file is decoded in a process of its own (`generation.images.untrusted_decoder`); our own off the event loop.
"""

from __future__ import annotations

import hashlib
import io
import math
import re

from PIL import Image as PillowImage
from PIL import ImageFile, ImageOps, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile, PngInfo
from PIL.WebPImagePlugin import WebPImageFile

from generation.errors import FileTooLargeError
from generation.images.colours import Reading, plain, read_as
from generation.images.errors import (
    EmptyFileError,
    NotAPictureError,
    NotAPngError,
    PictureDamagedError,
    PictureSizeError,
    PictureTooLargeToSendError,
)
from generation.images.essentials import JPEG, PNG, essentials

MAX_UPLOAD_BYTES = 20 * 1024 * 1024
MAX_UPLOAD_PX = 4096 * 4096
MIN_UPLOAD_SIDE_PX, MAX_UPLOAD_SIDE_PX = 16, 8192
_KINDS: tuple[tuple[re.Pattern[bytes], type[ImageFile.ImageFile]], ...] = (
    (re.compile(re.escape(PNG)), PngImageFile),
    (re.compile(re.escape(JPEG)), JpegImageFile),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), WebPImageFile),
)


XMP_KEYWORD = "XML:com.adobe.xmp"
"""Where a PNG keeps its XMP packet."""


def pixels_sha256(pixels: bytes) -> str:
    """Return the identity of a picture: SHA-256 of its raw RGB8 rows."""
    return hashlib.sha256(pixels).hexdigest()


def encode_png(
    pixels: bytes, size_px: tuple[int, int], *, text: dict[str, str] | None = None, xmp: str | None = None
) -> bytes:
    """Encode RGB8 rows as a PNG with text chunks in the given order. The same input gives the same bytes."""
    info = PngInfo()
    for keyword, value in (text or {}).items():
        info.add_text(keyword, value)
    if xmp is not None:
        info.add_itxt(XMP_KEYWORD, xmp)
    buffer = io.BytesIO()
    PillowImage.frombytes("RGB", size_px, pixels).save(buffer, "PNG", pnginfo=info, compress_level=6)
    return buffer.getvalue()


def decode_png(data: bytes) -> tuple[bytes, tuple[int, int]]:
    """Decode a PNG of ours to `(RGB8 rows, (width, height))`."""
    with PillowImage.open(io.BytesIO(data), formats=("PNG",)) as picture:
        return picture.convert("RGB").tobytes(), picture.size


class SizeMismatchError(Exception):
    """A picture is not as large, upright, as it was said to be: `size_px` is what a person sees."""

    def __init__(self, size_px: tuple[int, int]) -> None:
        super().__init__(size_px)
        self.size_px = size_px


def read_upload(data: bytes, *, reading: Reading = Reading.PICTURE) -> PillowImage.Image:
    """Return a user's picture as sRGB on white, upright, without metadata; a mask as black and white.

    Size and kind are judged by the header alone; only then are pixels decoded. Raise `InvalidRequestError` saying
    what is wrong.
    """
    if not data:
        raise EmptyFileError
    if len(data) > MAX_UPLOAD_BYTES:
        raise FileTooLargeError(most=MAX_UPLOAD_BYTES // 2**20)
    needed = essentials(data)
    try:
        picture = _open(needed.data)
        _check_size(picture.size)
        return read_as(plain(picture, needed.exif), reading)
    except UnidentifiedImageError:
        raise NotAPictureError from None
    except PillowImage.DecompressionBombError:
        raise _size_refused() from None
    except (OSError, ValueError, SyntaxError):
        raise PictureDamagedError from None


def _open(data: bytes) -> PillowImage.Image:
    """Open by the first bytes, so that a photograph's list of further pictures does not decide the type."""
    for begins, kind in _KINDS:
        if begins.match(data):
            return kind(io.BytesIO(data))
    raise UnidentifiedImageError


def fit_upload(
    data: bytes, size_px: tuple[int, int], *, said_px: tuple[int, int] | None = None, reading: Reading = Reading.PICTURE
) -> bytes:
    """Return a user's picture cropped and scaled to `size_px`, as a plain PNG. Raise as `read_upload` does.

    `said_px` is the size that `size_px` was chosen for: `SizeMismatchError` is raised if that is not its size upright.
    """
    upright = read_upload(data, reading=reading)
    if said_px is not None and upright.size != said_px:
        raise SizeMismatchError(upright.size)
    picture = ImageOps.fit(upright, size_px, PillowImage.Resampling.LANCZOS)
    return encode_png(picture.tobytes(), size_px)


def read_png_text(data: bytes) -> dict[str, str]:
    """Return the text chunks of a PNG. Raise `InvalidRequestError` if it is not a PNG or holds too much text."""
    try:
        with PillowImage.open(io.BytesIO(data), formats=("PNG",)) as picture:
            _check_size(picture.size, least_px=1)
            picture.load()
            return {key: str(value) for key, value in getattr(picture, "text", {}).items()}
    except UnidentifiedImageError:
        raise NotAPngError from None
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
        raise PictureDamagedError from None


_SHRUNK = (*((1.0, quality) for quality in (95, 90, 80, 65, 50, 30)), *((part, 75) for part in (0.7, 0.5, 0.35, 0.2)))
"""Part of each side and JPEG quality, best first."""


def shrink(png: bytes, *, max_bytes: int) -> bytes:
    """Return a picture too large to send as the best JPEG of at most `max_bytes`.

    Raise `InvalidRequestError` if none fits.
    """
    original = PillowImage.open(io.BytesIO(png), formats=("PNG",))
    picture, xmp = original.convert("RGB"), str(original.info.get(XMP_KEYWORD, "")).encode()
    for part, quality in _SHRUNK:
        size_px = max(1, round(picture.width * part)), max(1, round(picture.height * part))
        scaled = picture if part == 1 else picture.resize(size_px, PillowImage.Resampling.LANCZOS)
        buffer = io.BytesIO()
        scaled.save(buffer, "JPEG", quality=quality, optimize=True, xmp=xmp)
        if buffer.tell() <= max_bytes:
            return buffer.getvalue()
    raise PictureTooLargeToSendError


def tile(pngs: list[bytes], *, gap_px: int = 4) -> bytes:
    """Return pictures side by side, as one PNG to look at: two in a row up to four, more in nearly as many columns as
    rows."""
    if len(pngs) == 1:
        return pngs[0]
    pictures = [PillowImage.open(io.BytesIO(png)).convert("RGB") for png in pngs]
    width, height = (max(sides) for sides in zip(*(picture.size for picture in pictures), strict=True))
    columns = math.ceil(math.sqrt(len(pictures)))
    rows = math.ceil(len(pictures) / columns)
    size_px = columns * (width + gap_px) - gap_px, rows * (height + gap_px) - gap_px
    sheet = PillowImage.new("RGB", size_px, "#2b2d31")
    for index, picture in enumerate(pictures):
        sheet.paste(picture, ((index % columns) * (width + gap_px), (index // columns) * (height + gap_px)))
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _check_size(size_px: tuple[int, int], *, least_px: int = MIN_UPLOAD_SIDE_PX) -> None:
    width, height = size_px
    if width * height > MAX_UPLOAD_PX or max(size_px) > MAX_UPLOAD_SIDE_PX or min(size_px) < least_px:
        raise _size_refused()


def _size_refused() -> PictureSizeError:
    return PictureSizeError(least=MIN_UPLOAD_SIDE_PX, most=MAX_UPLOAD_SIDE_PX)
