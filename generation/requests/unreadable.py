"""Stand-ins for stored requests that this release cannot read."""

from __future__ import annotations

from generation.requests.spec import GenerationRequest, ImageSpec
from generation.validation import stored

with stored():
    UNREADABLE_SPEC = ImageSpec(prompt="", model="", width_px=0, height_px=0, steps=0, guidance=0, sampler="", seed=0)
    """Stands for a stored spec that this release cannot read. It passes no check, so nothing is painted from it."""
    UNREADABLE_REQUEST = GenerationRequest(spec=UNREADABLE_SPEC)
