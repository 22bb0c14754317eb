"""Pictures that come with a request: decoded in a process of their own, in turns, as those attached on Discord."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from api.context import ApiContext
from api.errors import MaskSizeError, PictureBase64Error
from generation.errors import FileTooLargeError
from generation.images.codec import MAX_UPLOAD_BYTES
from generation.images.colours import Reading
from generation.images.loans import Loans
from generation.images.untrusted_decoder import Size, fit_upright
from generation.owner import DM_TENANT, Owner
from generation.policy.rate_limit import FILES_PER_MINUTE
from generation.requests.edits import StartImage

_UNKNOWN_PX: Size = (1, 1)
"""No picture is that small, so its true size is found out."""
_DATA_URL = re.compile(r"data:image/[\w.+-]{1,20};base64,", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture as it came."""

    data: bytes
    reading: Reading = Reading.PICTURE

    def __repr__(self) -> str:
        return f"Upload({len(self.data)} bytes)"


def read_base64(text: str, reading: Reading = Reading.PICTURE) -> Upload:
    """Return the picture in a text, with or without `data:image/png;base64,` before it. Raise `PictureBase64Error`."""
    found = _DATA_URL.match(text)
    try:
        data = base64.b64decode(text[found.end() if found else 0 :].strip(), validate=True)
    except (binascii.Error, ValueError):
        raise PictureBase64Error from None
    if not data:
        raise PictureBase64Error
    return Upload(data, reading)


async def keep_upload(
    context: ApiContext,
    owner: Owner,
    loans: Loans,
    upload: Upload,
    fit: Callable[[Size | None], Size],
    *,
    expected_px: Size = _UNKNOWN_PX,
) -> tuple[str, Size]:
    """Put a picture, cropped and scaled to what `fit` makes of its size. Return its SHA-256 and its own size.

    One of the size that is expected is decoded once, another twice.

    Raise `InvalidRequestError` or `RefusedError`.
    """
    if len(upload.data) > MAX_UPLOAD_BYTES:
        raise FileTooLargeError(most=MAX_UPLOAD_BYTES // 2**20)
    rooms = context.rooms
    rooms.file_rates.take(Owner(DM_TENANT, owner.user_id), limit=FILES_PER_MINUTE)  # the same in every server
    async with rooms.files_in_hand.turn(owner):
        png, size_px = await fit_upright(upload.data, expected_px, fit, owner, reading=upload.reading)
    assert size_px is not None, "its size was given"
    return await loans.keep(png), size_px


def _ignore_size(chosen_px: Size, _: Size | None) -> Size:
    return chosen_px


async def keep_start(
    context: ApiContext,
    owner: Owner,
    loans: Loans,
    picture: Upload,
    mask: Upload | None,
    *,
    strength: float,
    choose_size: Callable[[Size | None], Size],
) -> tuple[StartImage, Size]:
    """Put a picture to start from, and its mask. Return both as a value, and the size of the picture."""
    sha256, size_px = await keep_upload(context, owner, loans, picture, choose_size)
    if mask is None:
        return StartImage(sha256=sha256, strength=strength), size_px
    fit = partial(_ignore_size, choose_size(size_px))
    mask_sha256, mask_px = await keep_upload(context, owner, loans, mask, fit, expected_px=size_px)
    if mask_px != size_px:
        raise MaskSizeError(width=size_px[0], height=size_px[1])
    return StartImage(sha256=sha256, strength=strength, mask_sha256=mask_sha256), size_px
