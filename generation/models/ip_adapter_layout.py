"""What an IP-Adapter is for, told from names and shapes. No torch.

Its file has two parts: `image_proj.` makes tokens of what an image encoder saw, and `ip_adapter.` has keys and values
for each cross-attention of a UNet, by odd numbers. The standard kind reads the encoder's summary of a picture, the plus
kind all patches. What else is called an IP-Adapter is refused by its name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from generation.models.checkpoint import IncompatibleFileError, Shapes

PROJECTION, ATTENTION = "image_proj.", "ip_adapter."
ENCODER_CLASS = "CLIPVisionModelWithProjection"
NUM_TOKENS = 4
"""Of the standard kind."""
_SUMMARY, _PATCHES = f"{PROJECTION}proj.weight", f"{PROJECTION}proj_in.weight"
_OTHERS = (
    (r"(double_blocks|single_blocks)\..*ip_adapter|ip_adapter_proj_model\.", "an IP-Adapter of FLUX"),
    (r"ip_adapter\..*(lora)", "an IP-Adapter FaceID"),
    (r"image_proj\.perceiver_resampler\.", "an IP-Adapter FaceID Plus"),
    (r"image_proj\.proj\.3\.", "an IP-Adapter Full Face"),
    (r"image_proj\.(time_|layers\.\d+\.adaln|.*\.adaln)", "an IP-Adapter of Stable Diffusion 3"),
    (r"image_proj\.proj\.0\.", "an IP-Adapter FaceID"),
)
"""What is called an IP-Adapter and is not run here, by the names in it."""
_FAMILIES = {768: "sd", 1024: "sd", 2048: "sdxl"}
_FACE_WIDTH, _KOLORS = 512, (2048, 1024)
_REMEDY = "IP-Adapters of Stable Diffusion 1, 2 and XL are run here, standard and plus."


class Layout(NamedTuple):
    """What a file of an IP-Adapter holds."""

    numbers: tuple[int, ...]
    """Of its cross-attentions, in their order."""
    context_width: int
    """Numbers a token that the model reads."""
    image_width: int
    """Numbers that its image encoder says of a picture, or of a patch."""
    is_plus: bool

    @property
    def family(self) -> str:
        """The family of the models it is for; empty where only the width of their prompts is known."""
        return _FAMILIES.get(self.context_width, "")


def is_ip_adapter(shapes: Shapes) -> bool:
    """Return whether a file is called an IP-Adapter, of whatever kind, by the names in it."""
    has_both = all(any(name.startswith(prefix) for name in shapes) for prefix in (PROJECTION, ATTENTION))
    return has_both or any(re.match(_OTHERS[0][0], name) for name in shapes)


def read_ip_adapter(shapes: Shapes) -> Layout:
    """Return what the file of an IP-Adapter holds. Raise `IncompatibleFileError` for a kind that is not run here."""
    other = next((what for pattern, what in _OTHERS if any(re.match(pattern, name) for name in shapes)), "")
    _require_other(other)
    is_plus = _SUMMARY not in shapes
    try:
        numbers = sorted(
            int(name.split(".")[1]) for name in shapes if re.fullmatch(r"ip_adapter\.\d+\.to_k_ip\.weight", name)
        )
        pairs = [_read_pair(shapes, number) for number in numbers]
        (context_width,) = {pair[1] for pair in pairs}
        image_width = shapes[_PATCHES if is_plus else _SUMMARY][1]
        made = shapes[f"{PROJECTION}proj_out.weight"][0] if is_plus else shapes[_SUMMARY][0] // NUM_TOKENS
    except (LookupError, ValueError):
        raise IncompatibleFileError("has names or shapes that no IP-Adapter here has", _REMEDY) from None
    if is_plus and image_width == _FACE_WIDTH:
        _require_other("an InstantID")
    if is_plus and (context_width, image_width) == _KOLORS:
        _require_other("an IP-Adapter of Kolors")
    if made != context_width or numbers != list(range(1, 2 * len(numbers), 2)):
        raise IncompatibleFileError("is an IP-Adapter whose parts do not fit each other", _REMEDY)
    return Layout(tuple(numbers), context_width, image_width, is_plus)


def _require_other(what: str) -> None:
    """Raise `IncompatibleFileError` if `what` is anything."""
    if what:
        raise IncompatibleFileError(f"is {what}, which cannot be used here", _REMEDY)


def _read_pair(shapes: Shapes, number: int) -> tuple[int, int]:
    """Return the shape of keys and of values. Raise `LookupError` or `ValueError` unless both have one."""
    (shape,) = {shapes[f"{ATTENTION}{number}.{name}.weight"] for name in ("to_k_ip", "to_v_ip")}
    height, width = shape
    return height, width


def is_image_encoder(settings: Mapping[str, Any]) -> bool:
    """Return whether a folder's `config.json` is that of an image encoder."""
    return settings.get("architectures") == [ENCODER_CLASS]


def read_encoder_width(settings: Mapping[str, Any], *, is_plus: bool) -> int:
    """Return the numbers that an image encoder says of a picture, or of a patch; 0 if its settings do not say."""
    value = settings.get("hidden_size" if is_plus else "projection_dim")
    return value if isinstance(value, int) and not isinstance(value, bool) else 0
