"""All that was added for models to use, as the fields of a model that hold it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from generation.models.addons import list_addons
from generation.models.controls import list_controls
from generation.models.ip_adapters import list_ip_adapters
from generation.models.registry import Kind, ModelRegistry
from generation.models.shared_additions import checker_of, list_upscalers
from generation.requests.prompt_addons import PromptAddon


def list_additions(
    register: ModelRegistry, folder: Path, left_out: dict[str, str], *, built_in: tuple[PromptAddon, ...]
) -> dict[str, Any]:
    """Return everything by the field of `Model`; why something cannot be offered goes to `left_out`.

    `built_in`: the LoRA that come with the built-in model.
    """
    return {
        "loras": list_addons(register, Kind.LORA, folder, left_out, taken=built_in),
        "embeddings": list_addons(register, Kind.EMBEDDING, folder, left_out),
        # There or not: without a checker that the operator wants, nothing is to be painted.
        "added_checkers": tuple(checker_of(each, folder) for each in register.entries if each.kind is Kind.CHECKER),
        "upscalers": tuple(list_upscalers(register, folder, left_out)),
        "controls": tuple(list_controls(register, folder, left_out)),
        "ip_adapters": tuple(list_ip_adapters(register, folder, left_out)),
    }


def take_fitting(additions: dict[str, Any], family: str, context_width: int) -> dict[str, Any]:
    """Return the ControlNets and IP-Adapters among all additions that models of that kind can have."""
    kinds = {kind: additions[kind] for kind in ("controls", "ip_adapters")}
    return {kind: tuple(each for each in files if each.fits(family, context_width)) for kind, files in kinds.items()}
