"""The kind of a job, read from its request, for display."""

from __future__ import annotations

from enum import StrEnum

from generation.requests.spec import GenerationRequest


class JobKind(StrEnum):
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
    COMPARED = "compared"
    GUIDED = "following a picture"
    EDITED = "edited"


def get_job_kind(request: GenerationRequest) -> JobKind:
    """Return what was done to make these pictures."""
    spec = request.spec
    if request.replay is not None:
        return JobKind.REPRODUCED
    if request.comparison:
        return JobKind.COMPARED
    if spec.upscale is not None:
        return JobKind.ENLARGED
    if spec.hires is not None:
        return JobKind.DETAILED
    if spec.start is not None and spec.start.margins is not None:
        return JobKind.ZOOMED
    if spec.start is not None and spec.start.mask_sha256 is not None:
        return JobKind.REGION
    if spec.references and spec.start is None and spec.variation is None:
        return JobKind.EDITED
    if spec.controls and spec.start is None and spec.variation is None:
        return JobKind.GUIDED
    if request.parent is not None and (spec.variation is not None or spec.start is not None):
        return JobKind.VARIED
    if spec.start is not None:
        return JobKind.STARTED
    return JobKind.REMIXED if request.parent is not None else JobKind.PAINTED
