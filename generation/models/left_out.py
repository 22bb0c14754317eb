"""Pipelines of diffusers that are not run here, and why, to follow a folder's name in a sentence. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

_EXPERTS = "a mixture of experts, in which the pictures of a forward change each other's bits"
_WHY: Mapping[str, str] = MappingProxyType(
    {
        "Flux2Pipeline": "FLUX.2 dev, whose weights take 105 GiB",
        "HiDreamImagePipeline": f"HiDream-I1, {_EXPERTS}",
        "Ideogram4Pipeline": "Ideogram 4, which reads prompts in a format of its own and is not for commercial use",
        "NucleusMoEImagePipeline": f"NucleusMoE, {_EXPERTS}",
        "QwenImage21Pipeline": "Qwen-Image 2.1, which is another network than Qwen-Image",
        "QwenImageLayeredPipeline": "Qwen-Image-Layered, which paints one picture in layers",
    }
)
MODULAR_INDEX = "modular_model_index.json"
_ONLY_MODULAR = "is only for diffusers' modular pipelines (as Anima and some of Krea 2 are), which are not run here"


def explain_no_index(folder: Path) -> str:
    """Return why a folder has no index of a pipeline that is run."""
    return _ONLY_MODULAR if (folder / MODULAR_INDEX).is_file() else "has no model_index.json"


def explain_left_out(pipeline: str) -> str:
    """Return why a pipeline is not run; empty where there is no more to say than that."""
    return f"is {why}; it is not run here" if (why := _WHY.get(pipeline, "")) else ""
