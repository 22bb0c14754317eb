"""Pictures that a request is to follow: each with a ControlNet, as `/control` has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from api.admission import Finish
from api.context import ApiContext
from api.errors import ApiError
from api.uploads import Upload, keep_upload
from generation.admission.guide import Guide
from generation.admission.typed import Typed, build_request, choose_size
from generation.images.loans import Loans
from generation.images.untrusted_decoder import Size
from generation.owner import Owner
from generation.requests.control import MAX_CONTROLS
from generation.requests.errors import TooManyControlsError
from generation.requests.spec import GenerationRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Followed:
    """A picture, and how it is followed."""

    picture: Upload
    guide: Guide
    if_cropped: ApiError | None = None
    """What to raise where it has another shape than what is painted: it was to be stretched or filled up."""

    def require_shape(self, size_px: Size, painted_px: Size) -> None:
        if self.if_cropped is not None and size_px[0] * painted_px[1] != size_px[1] * painted_px[0]:
            raise self.if_cropped


def follow_pictures(
    context: ApiContext, owner: Owner, followed: Sequence[Followed], start: Finish | None = None
) -> Finish | None:
    """Return what makes the request that follows these pictures, and starts from what `start` says; None for neither.

    Without a size the first picture's shape is painted; all are cropped to it. Raise `TooManyControlsError`.
    """
    if not followed:
        return start
    if len(followed) > MAX_CONTROLS:
        raise TooManyControlsError(most=MAX_CONTROLS, number=len(followed))

    async def finish(typed: Typed, loans: Loans) -> tuple[GenerationRequest, frozenset[str]]:
        keep, catalog = partial(keep_upload, context, owner, loans), context.rooms.generation.catalog
        kept = list[tuple[str, Size]]()
        if start is not None:
            made, attached = await start(typed, loans)
        else:
            kept, attached = [await keep(followed[0].picture, partial(choose_size, typed))], ()
            made = build_request(typed, start_size_px=kept[0][1])
        painted_px = (made.spec.width_px, made.spec.height_px)
        kept += [await keep(each.picture, lambda _: painted_px) for each in followed[len(kept) :]]
        for each, (_, size_px) in zip(followed, kept, strict=True):
            each.require_shape(size_px, painted_px)
        files = [sha256 for sha256, _ in kept]
        control = tuple(
            each.guide.build(typed.model, catalog, file) for each, file in zip(followed, files, strict=True)
        )
        return replace(made, spec=replace(made.spec, control=control)), frozenset({*attached, *files})

    return finish
