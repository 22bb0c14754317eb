"""Pictures that come with a request: decoded in a process of their own, in turns, as those attached on Discord."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from api.admission import Finish
from api.context import ApiContext
from api.dialect import MIB
from api.errors import MaskSizeError, PictureBase64Error
from generation.admission.typed import Typed, build_request, choose_size
from generation.errors import FileTooLargeError
from generation.images.codec import MAX_UPLOAD_BYTES
from generation.images.colours import Reading
from generation.images.interchange import ForeignSettings
from generation.images.loans import Loans
from generation.images.untrusted_decoder import Size, fit_upright, read_settings
from generation.models.editing import choose_reference_size, refer_to, require_references
from generation.models.ip_adapters import find_ip_adapter
from generation.owner import DM_TENANT, Owner
from generation.policy.rate_limit import FILES_PER_MINUTE
from generation.requests.edits import StartImage
from generation.requests.image_prompt import ImagePrompt, fit_reference
from generation.requests.recipe import Recipe
from generation.requests.references import MAX_REFERENCES
from generation.requests.spec import GenerationRequest

MAX_JSON_BYTES = MAX_REFERENCES * MAX_UPLOAD_BYTES * 4 // 3 + MIB
"""As many pictures as are edited at once, as base64."""
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


@dataclass(frozen=True, slots=True)
class Found:
    """A picture of ours, by its file."""

    image_id: str
    sha256: str
    size_px: Size


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
    _take(context, owner, upload)
    async with context.rooms.files_in_hand.turn(owner):
        png, size_px = await fit_upright(upload.data, expected_px, fit, owner, reading=upload.reading)
    assert size_px is not None, "its size was given"
    return await loans.keep(png), size_px


def start_from(context: ApiContext, owner: Owner, picture: Upload, mask: Upload | None, *, strength: float) -> Finish:
    """Return what makes the request that starts from a picture, and repaints what its mask says."""

    async def finish(typed: Typed, loans: Loans) -> tuple[GenerationRequest, frozenset[str]]:
        choose = partial(choose_size, typed)
        sha256, size_px = await keep_upload(context, owner, loans, picture, choose)
        start = StartImage(sha256=sha256, strength=strength)
        if mask is not None:
            start = replace(start, mask_sha256=await _keep_mask(context, owner, loans, mask, size_px, choose(size_px)))
        made = build_request(typed, start_size_px=size_px)
        made = replace(made, spec=replace(made.spec, start=start))
        return made, made.spec.files

    return finish


def edit_pictures(context: ApiContext, owner: Owner, pictures: Sequence[Upload | Found]) -> Finish:
    """Return what makes the request that edits these pictures by instruction, each one that came or one of ours."""

    async def finish(typed: Typed, loans: Loans) -> tuple[GenerationRequest, frozenset[str]]:
        return await _build_edit(context, owner, pictures, typed, loans)

    return finish


def look_at(
    context: ApiContext,
    owner: Owner,
    picture: Upload | Found,
    start: Finish | None,
    *,
    adapter: str | None,
    strength: float,
) -> Finish:
    """Return what makes the request that looks at a picture, an upload or one of ours, beside its words.

    `start`: what makes it without that, where it starts from files.
    """

    async def finish(typed: Typed, loans: Loans) -> tuple[GenerationRequest, frozenset[str]]:
        made, files = (build_request(typed), ()) if start is None else await start(typed, loans)
        file = find_ip_adapter(typed.model.ip_adapters, adapter, model=typed.model.name)
        if isinstance(picture, Found):
            sha256, attached = picture.sha256, frozenset(files)
            made = replace(made, parent=made.parent or picture.image_id)
        else:
            sha256, _ = await keep_upload(context, owner, loans, picture, fit_reference)
            attached, made = frozenset((*files, sha256)), replace(made, parent=None)
        prompt = ImagePrompt(adapter=file.name, adapter_sha256=file.sha256, sha256=sha256, strength=strength)
        return replace(made, spec=replace(made.spec, image_prompt=prompt)), attached

    return finish


async def _build_edit(
    context: ApiContext, owner: Owner, pictures: Sequence[Upload | Found], typed: Typed, loans: Loans
) -> tuple[GenerationRequest, frozenset[str]]:
    model, models = typed.model, context.rooms.generation.catalog.models
    require_references(model, models, [refer_to(model, "", None)] * len(pictures))
    seen, sizes, attached = [], [], set[str]()
    for each in pictures:
        if isinstance(each, Upload):
            sha256, size_px = await keep_upload(context, owner, loans, each, partial(choose_reference_size, model))
            attached.add(sha256)
        else:
            sha256, size_px = each.sha256, each.size_px
        seen.append(refer_to(model, sha256, size_px))
        sizes.append(size_px)
    made = build_request(typed, start_size_px=sizes[0])
    parent = next((each.image_id for each in pictures if isinstance(each, Found)), None) if not attached else None
    return replace(made, spec=replace(made.spec, reference=tuple(seen)), parent=parent), frozenset(attached)


async def _keep_mask(
    context: ApiContext, owner: Owner, loans: Loans, mask: Upload, size_px: Size, painted_px: Size
) -> str:
    def fit(_: Size | None) -> Size:
        return painted_px

    sha256, mask_px = await keep_upload(context, owner, loans, mask, fit, expected_px=size_px)
    if mask_px != size_px:
        raise MaskSizeError(width=size_px[0], height=size_px[1])
    return sha256


async def read_upload_settings(context: ApiContext, owner: Owner, upload: Upload) -> Recipe | ForeignSettings | None:
    """Return how a picture was made; None where it does not say. Raise `InvalidRequestError` or `RefusedError`."""
    _take(context, owner, upload)
    async with context.rooms.files_in_hand.turn(owner):
        return await read_settings(upload.data, owner=owner)


def _take(context: ApiContext, owner: Owner, upload: Upload) -> None:
    """Count a file of a member's. Raise `FileTooLargeError`, `TooManyFilesError`."""
    if len(upload.data) > MAX_UPLOAD_BYTES:
        raise FileTooLargeError(most=MAX_UPLOAD_BYTES // MIB)
    context.rooms.file_rates.take(Owner(DM_TENANT, owner.user_id), limit=FILES_PER_MINUTE)  # the same in every server
