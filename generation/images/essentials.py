"""Keeps the parts of a PNG or JPEG that decide its look. The rest is left out, so that nothing in it decides whether
the picture is read: a date, a resolution, a thumbnail, a profile cut short.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
_EXIF, _ICC = b"Exif\0", b"ICC_PROFILE\0"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_MAX_PROFILE_BYTES = 1 << 20
_LENGTHS = {b"gAMA": 4, b"cHRM": 32, b"sRGB": 1}
_TRANSPARENT = {0: 2, 2: 6}
"""Length of a tRNS chunk by colour type; that of a palette has one byte for each of its first colours."""
_START_OF_SCAN, _APP0, _APP1, _APP2, _APP14, _APP15, _COMMENT = 0xDA, 0xE0, 0xE1, 0xE2, 0xEE, 0xEF, 0xFE
_ORIENTATION, _WHOLE = 0x0112, {1: "B", 3: "H", 4: "I"}
"""The tag, and the types of number it may have."""
_ALONE = {0x01, *range(0xD0, 0xD9)}


class Essentials(NamedTuple):
    """A file to decode, and the EXIF block of a JPEG, which is taken out of it."""

    data: bytes
    exif: bytes | None = None


def essentials(data: bytes) -> Essentials:
    """Return what is needed of a file. What cannot be taken apart is left as it is, for the decoder to judge."""
    if data.startswith(PNG):
        return Essentials(PNG + b"".join(_select_chunks(data)))
    if data.startswith(JPEG):
        return _jpeg(data)
    return Essentials(data)


def _select_chunks(png: bytes) -> Iterator[bytes]:
    place, kind_of_colour = len(PNG), 0
    while len(png) - place >= 12:
        length, kind = struct.unpack_from(">I4s", png, place)
        end = place + 12 + length
        if end > len(png):
            break
        if kind == b"IHDR" and length == 13:
            kind_of_colour = png[place + 17]
        if kind[:1].isupper() or _is_needed(kind, png[place + 8 : end - 4], png[end - 4 : end], kind_of_colour):
            yield png[place:end]
        place = end
    yield png[place:]


def _is_needed(kind: bytes, body: bytes, crc: bytes, kind_of_colour: int) -> bool:
    """Return whether an optional chunk is whole and tells how the picture looks. Texts stay: they are limited."""
    if zlib.crc32(kind + body) != int.from_bytes(crc, "big"):
        return False
    if kind == b"tRNS":
        return len(body) == _TRANSPARENT.get(kind_of_colour, len(body))
    if kind == b"iCCP":
        return _has_profile(body)
    return len(body) == _LENGTHS.get(kind, -1) or kind in (b"eXIf", *_TEXTS)


def _has_profile(body: bytes) -> bool:
    """Return whether a profile can be unpacked, and is not too long for a decoder that limits what it unpacks."""
    _, _, packed = body.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        unpacking.decompress(packed[1:], _MAX_PROFILE_BYTES)
    except zlib.error:
        return False
    return packed[:1] == b"\0" and unpacking.eof


def orientation_in(exif: bytes) -> int:
    """Return how a picture lies by its EXIF block, 1 to 8; 1 where that does not say so. No other tag is looked at."""
    block = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(block[:2], "")
    try:
        if not order:
            return 1
        (start,) = struct.unpack_from(f"{order}I", block, 4)
        (number,) = struct.unpack_from(f"{order}H", block, start)
        for place in range(start + 2, start + 2 + 12 * number, 12):
            tag, kind = struct.unpack_from(f"{order}HH", block, place)
            if tag == _ORIENTATION and kind in _WHOLE:
                (value,) = struct.unpack_from(order + _WHOLE[kind], block, place + 8)
                return value if 1 <= value <= 8 else 1
    except struct.error:  # cut short
        pass
    return 1


def _jpeg(data: bytes) -> Essentials:
    kept, exif, place = [data[:2]], None, 2
    while place + 4 <= len(data) and data[place] == 0xFF:
        marker = data[place + 1]
        if marker == 0xFF or marker in _ALONE:
            place += 1 if marker == 0xFF else 2
            continue
        if marker == _START_OF_SCAN:
            break
        end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : end]
        if marker == _APP1 and body.startswith(_EXIF) and exif is None:
            exif = body
        if (not _APP0 <= marker <= _APP15 and marker != _COMMENT) or _is_needed_segment(marker, body):
            kept.append(data[place:end])
        place = end
    return Essentials(b"".join([*kept, data[place:]]), exif)


def _is_needed_segment(marker: int, body: bytes) -> bool:
    """Return whether a segment for applications tells how the colours are meant."""
    if marker == _APP2:
        return body.startswith(_ICC) and len(body) > len(_ICC) + 2
    return (marker == _APP0 and body.startswith(b"JFIF\0") and len(body) >= 14) or (
        marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12
    )
