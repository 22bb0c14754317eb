"""Which quantised weights are read, told from names, formats and settings. No torch.

Weights in fp8 are read, with a scale for each layer or row or without. Others are refused by name: ignored scales give
a white picture without an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from generation.errors import ConfigurationError
from generation.models.checkpoint import IncompatibleFileError
from generation.models.families import FAMILIES

_UNTRIED = "which computes on graphics cards only and is not run here yet"
_REMEDY = "Look for the same model in bf16, fp16, fp8 or GGUF."
_BITSANDBYTES, _NUNCHAKU = f"bitsandbytes, {_UNTRIED}", f"nunchaku, {_UNTRIED}"
_OTHERS = (
    (r"\.(absmax|quant_map|nested_absmax|nested_quant_map|SCB|weight_format)$|\.quant_state\.", _BITSANDBYTES),
    (r"\.(wscales|wcscales|wtscale|smooth_factor|smooth_factor_orig|smooth)$", _NUNCHAKU),
    (
        r"\.(weight_scale_2|weight_scale_inv)$",
        "blocks of fp4 or fp8 (nvfp4, mxfp8), which are not read here",
    ),
    (r"\.(qweight|qzeros|g_idx)$", "GPTQ or AWQ, which is not read here"),
    (r"\.(weight_zero_point|zero_point)$", "a scheme of int8, which is not read here"),
)


_SAID = ("model_class", "quantization_config")
"""Where files of nunchaku say what they are."""
STORED = "fp8"


def read_storage(wanted: str | None, family: str) -> str:
    """Return how the operator wants a model's denoiser kept: `fp8`, or empty for `whole`.

    Raise `ConfigurationError` for other words, and for families whose weights are never kept so.
    """
    if wanted is None or wanted == "whole":
        return ""
    if wanted != STORED:
        raise ConfigurationError(
            problem=f"{wanted[:40]!r} is not a way to keep weights.", remedy=f"Use {STORED} or whole."
        )
    if not family or not FAMILIES[family].is_flow:
        runs = ", ".join(each.title for each in FAMILIES.values() if each.is_flow)
        raise ConfigurationError(problem=f"--storage {STORED} is for {runs} only.", remedy="Leave it out.")
    return STORED


def require_known(names: Iterable[str], metadata: Mapping[str, str] = MappingProxyType({})) -> None:
    """Raise `IncompatibleFileError` if names in a file, or what it says of itself, are those of a quantisation that is
    not read."""
    names = list(names)
    if any(re.search("nunchaku|svdq", metadata.get(key, ""), re.IGNORECASE) for key in _SAID):
        raise IncompatibleFileError(f"is quantised by {_NUNCHAKU}", _REMEDY)
    found = (what for pattern, what in _OTHERS if any(re.search(pattern, name) for name in names))
    if what := next(found, ""):
        raise IncompatibleFileError(f"is quantised by {what}", _REMEDY)


def require_plain_settings(part: str, settings: Mapping[str, Any]) -> None:
    """Raise `IncompatibleFileError` if the settings of a folder's part name a quantiser."""
    if settings.get("quantization_config") is not None:
        config = settings["quantization_config"]
        method = str(config.get("quant_method", "")) if isinstance(config, dict) else ""
        known = (("bitsandbytes", _BITSANDBYTES), ("nunchaku", _NUNCHAKU), ("svdq", _NUNCHAKU))
        named = next((what for mark, what in known if mark in method), "")
        what = named or (f"{method[:40] or 'a method it does not name'}, which is not read here")
        raise IncompatibleFileError(f"has a {part} that is quantised by {what}", _REMEDY)
