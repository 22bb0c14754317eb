"""The kind of a job, read from its request, for display."""

from __future__ import annotations

from enum import StrEnum

from generation.requests.spec import GenerationRequest


class Origin(StrEnum):
    """How a job came about; the words people read."""

    PAINTED = "painted"
    STARTED = "from a picture"
    REMIXED = "remixed"
    VARIED = "varied"
    REGION = "region repainted"
    ZOOMED = "zoomed out"
    DETAILED = "enlarged with new detail"
    ENLARGED = "enlarged"
    REPRODUCED = "reproduced"


def origin_of(request: GenerationRequest) -> Origin:
    """Return what was done to make these pictures."""
    spec = request.spec
    if request.replay is not None:
        return Origin.REPRODUCED
    if spec.upscale is not None:
        return Origin.ENLARGED
    if spec.hires is not None:
        return Origin.DETAILED
    if spec.start is not None and spec.start.margins is not None:
        return Origin.ZOOMED
    if spec.start is not None and spec.start.mask_sha256 is not None:
        return Origin.REGION
    if request.parent is not None and (spec.variation is not None or spec.start is not None):
        return Origin.VARIED
    if spec.start is not None:
        return Origin.STARTED
    return Origin.REMIXED if request.parent is not None else Origin.PAINTED
