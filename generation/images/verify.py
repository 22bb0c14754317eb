"""Verifies the origin that a picture file states."""

from __future__ import annotations

import io
from dataclasses import dataclass

from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from generation.images.c2pa import CredentialState, read_credentials
from generation.images.codec import XMP_KEYWORD, decode_png, pixels_sha256
from generation.images.errors import NotAPictureError, PictureDamagedError
from generation.images.iptc import parse_source_type
from generation.images.metadata import RECIPE_KEYWORD, read_recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Disclosure:
    """What a file says of itself. `is_intact`: its pixels are those its recipe names; None without a recipe."""

    source_type: str | None
    is_intact: bool | None
    credentials: str | None = None
    """What its content credentials are worth (`generation.images.c2pa.CredentialState`); None where it has none."""
    signed_by: str | None = None

    @property
    def is_sound(self) -> bool:
        """Whether it says that a machine made it, and nothing in it speaks against its being unchanged."""
        return bool(self.source_type) and self.is_intact is not False and self.credentials != CredentialState.INVALID


def read_disclosure(data: bytes) -> Disclosure:
    """Return what a PNG, JPEG or WebP discloses of its origin. Raise `InvalidRequestError` for anything else."""
    try:
        with PillowImage.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
            xmp = picture.info.get("xmp") or picture.info.get(XMP_KEYWORD) or b""
            is_ours = picture.format == "PNG" and RECIPE_KEYWORD in picture.info
    except UnidentifiedImageError:
        raise NotAPictureError from None
    except (OSError, ValueError, SyntaxError, PillowImage.DecompressionBombError):
        raise PictureDamagedError from None
    intact = pixels_sha256(decode_png(data)[0]) == read_recipe(data).pixels_sha256 if is_ours else None
    signed = read_credentials(data)
    return Disclosure(
        source_type=parse_source_type(xmp) or (signed.source_type if signed else None),
        is_intact=intact,
        credentials=signed.state if signed else None,
        signed_by=signed.signed_by if signed else None,
    )
