"""Requests whose attached files are not fetched yet: what is known of them is checked before the acknowledgement."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TypeVar

from msgspec import UNSET

from generation.requests.spec import GenerationRequest
from generation.validation import stored

NO_FILE = "0" * 64
"""Stands for the SHA-256 of a file that is not fetched yet."""
T = TypeVar("T", str, str | None)


def hide_files(request: GenerationRequest, files: Collection[str]) -> GenerationRequest:
    """Return the request as it was before these files were fetched: with `NO_FILE` in their places."""
    if not files:
        return request

    def hide(sha256: T) -> T:
        return NO_FILE if sha256 in files else sha256

    start, upscale = request.spec.start, request.spec.upscale
    with stored():  # it is compared, never painted
        if start is not None:
            start = replace(start, sha256=hide(start.sha256), mask_sha256=hide(start.mask_sha256))
        if upscale is not None:
            upscale = replace(upscale, sha256=hide(upscale.sha256))
        control = tuple(replace(each, sha256=hide(each.sha256)) for each in request.spec.controls) or UNSET
        edited = tuple(replace(each, sha256=hide(each.sha256)) for each in request.spec.references) or UNSET
        seen = request.spec.image_prompt
        if seen:
            seen = replace(seen, sha256=hide(seen.sha256))
        spec = replace(request.spec, start=start, upscale=upscale, control=control)
        return replace(request, spec=replace(spec, reference=edited, image_prompt=seen))
