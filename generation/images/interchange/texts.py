"""The texts in a picture file, by keyword: chunks of a PNG; Exif and comments of a PNG, JPEG or WebP.

What people and programs put into `UserComment` is found as `parameters`, where the web UI's PNGs have it.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterator
from typing import Any

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError
from PIL.PngImagePlugin import iTXt

from generation.images.codec import MAX_UPLOAD_PX
from generation.images.errors import NotAPictureError, PictureDamagedError
from generation.images.interchange import foreign

_FORMATS = ("PNG", "JPEG", "WEBP")
_EXIF, _USER_COMMENT, _XP_COMMENT = 0x8769, 0x9286, 0x9C9C
_TAGS = {0x010E: "Description", 0x0131: "Software", 0x927C: "fooocus_scheme"}
_PREFIXED = {0x010E, 0x010F, 0x0110}
"""Where ComfyUI keeps its graphs in a WebP: `prompt:{...}` and `workflow:{...}`."""


def read_texts(data: bytes) -> dict[str, str]:
    """Raise `InvalidRequestError` for what is no picture, is damaged, or holds absurdly much text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with PillowImage.open(io.BytesIO(data), formats=_FORMATS) as picture:
                _read_on(picture)
                return _texts(picture)
    except UnidentifiedImageError:
        raise NotAPictureError from None
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
        raise PictureDamagedError from None


def _read_on(picture: PillowImage.Image) -> None:
    """Read text after the pixels of a PNG. One that is cut short, or too large to decode, keeps what came before."""
    if picture.format != "PNG" or picture.width * picture.height > MAX_UPLOAD_PX:
        return
    try:
        picture.load()
    except (OSError, ValueError, SyntaxError):
        if not any(isinstance(value, str) for value in picture.info.values()):
            raise


def _texts(picture: PillowImage.Image) -> dict[str, str]:
    texts: dict[str, str] = {}
    if picture.format == "PNG":
        texts = {str(key): _decode_utf8(value) for key, value in picture.info.items() if isinstance(value, str)}
    comment = picture.info.get("comment")
    if isinstance(comment, bytes | str):
        texts.setdefault("Comment", _decode_text(comment))
    for keyword, value in _read_exif_texts(picture):
        texts.setdefault(keyword, value)
    for keyword in ("parameters", "Comment"):
        for each, value in _read_nested(texts.get(keyword, "")):
            texts.setdefault(each, value)
    return texts


def _decode_utf8(text: str) -> str:
    """Decode UTF-8: `tEXt` is Latin-1 by the standard, but programs write UTF-8 into it."""
    if isinstance(text, iTXt):
        return str(text)
    try:
        return text.encode("latin-1").decode()
    except ValueError:
        return text


def _read_exif_texts(picture: PillowImage.Image) -> Iterator[tuple[str, str]]:
    try:
        exif = picture.getexif()
        details = exif.get_ifd(_EXIF)
    except Exception:  # a reader of hostile bytes, and what it cannot read says nothing
        return
    for tag in (_USER_COMMENT, _XP_COMMENT):
        for found in (details.get(tag), exif.get(tag)):
            if isinstance(found, bytes | str) and (text := _decode_text(found).strip()):
                yield "parameters", text
    for tag in _PREFIXED:
        keyword, _, graph = _decode_text(exif.get(tag, "")).partition(":")
        if keyword in ("prompt", "workflow") and graph.lstrip().startswith("{"):
            yield keyword, graph
    for tag, keyword in _TAGS.items():
        for found in (exif.get(tag), details.get(tag)):
            if isinstance(found, bytes | str) and found:
                yield keyword, _decode_text(found)


def _decode_text(value: Any) -> str:
    """Decode text after the eight bytes of its character set, if they are there; those are often wrong."""
    if isinstance(value, tuple) and all(isinstance(each, int) and 0 <= each < 256 for each in value):
        value = bytes(value)
    if isinstance(value, str):
        return _decode_utf8(value).strip("\0")
    if not isinstance(value, bytes):
        return ""
    prefix, body = value[:8], value[8:]
    if prefix == b"JIS\0\0\0\0\0":
        return body.decode("iso2022_jp", "replace").strip("\0")
    if prefix.rstrip(b"\0") not in (b"UNICODE", b"ASCII", b""):
        body = value
    return _decode_unicode(body).strip("\0")


def _decode_unicode(body: bytes) -> str:
    """Decode UTF-16 by its mark or by the zeros of its Latin letters, else UTF-8."""
    if body.startswith((b"\xff\xfe", b"\xfe\xff")):
        return body.decode("utf-16", "replace")
    body = body.removeprefix(b"\xef\xbb\xbf")
    high, low = body[::2].count(0), body[1::2].count(0)
    if body.rstrip(b"\0").count(0) > len(body) // 8:
        return body.decode("utf-16-be" if high > low else "utf-16-le", "replace")
    return body.rstrip(b"\0").decode("utf-8", "replace")


def _read_nested(text: str) -> Iterator[tuple[str, str]]:
    """Return the texts by keyword that a program has put into one as JSON, graphs among them."""
    found = foreign.parsed(text) if text.lstrip().startswith("{") else None
    if not isinstance(found, dict):
        return
    for keyword in ("Comment", "Software", "Description", "prompt", "workflow", "parameters"):
        value = found.get(keyword)
        if isinstance(value, dict):
            yield keyword, json.dumps(value)
        elif isinstance(value, str) and keyword != "prompt":
            yield keyword, value
