"""InvokeAI: the `invokeai_metadata` text, a flat object of settings."""

from __future__ import annotations

from collections.abc import Mapping

from generation.interchange import foreign
from generation.interchange.foreign import Foreign
from generation.interchange.samplers import our_sampler


def read_invokeai(text: Mapping[str, str]) -> Foreign | None:
    """None if there is no such text."""
    metadata = foreign.parsed(text.get("invokeai_metadata"))
    if not isinstance(metadata, dict) or "positive_prompt" not in metadata:
        return None
    model = metadata.get("model")
    scheduler = metadata.get("scheduler")
    return Foreign(
        tool="InvokeAI",
        prompt=foreign.words(metadata["positive_prompt"]),
        negative=foreign.words(metadata.get("negative_prompt")),
        steps=foreign.steps(metadata.get("steps")),
        guidance=foreign.guidance(metadata.get("cfg_scale")),
        seed=foreign.seed(metadata.get("seed")),
        size_px=foreign.size(metadata.get("width"), metadata.get("height")),
        sampler=our_sampler(scheduler if isinstance(scheduler, str) else None),
        sampler_there=foreign.name(scheduler),
        model_there=foreign.name(model.get("name", model.get("model_name")) if isinstance(model, dict) else model),
    )
